//! Why an image could not be read.

use super::{Foreign, jpeg};

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// The bytes are in no format that is known by its first bytes.
    #[error("not an image in a format this build reads (JPEG, PNG, WebP, TIFF, BMP, GIF, PNM)")]
    UnknownFormat,
    /// A format that this build knows, but does not read.
    #[error("{} is not read; {}", .0.name, .0.remedy)]
    Foreign(Foreign),
    /// A folder, a named pipe or a device where a file was expected.
    #[error("{0}, not a file")]
    NotAFile(&'static str),
    /// The system could not read the file.
    #[error("cannot read the file")]
    Read(#[source] std::io::Error),
    /// The file is far longer than an image can be.
    #[error("the file has {length} bytes, more than an image of {max_pixels} pixels can need; convert it first")]
    TooLong {
        /// Length of the file in bytes.
        length: u64,
        /// The limit in force.
        max_pixels: u64,
    },
    /// Nearly all of the file is a hole: nothing was ever written there.
    #[error("the file has {length} bytes, but only {stored} are on the disk; copy or download it again")]
    Sparse {
        /// Length of the file in bytes.
        length: u64,
        /// Bytes that the disk holds.
        stored: u64,
    },
    /// More pixels than [`Decoder::max_pixels`](super::Decoder::max_pixels).
    #[error(
        "the image has {width} × {height} pixels, more than {max_pixels}; shrink it first, or raise the limit (--max-pixels)"
    )]
    TooLarge {
        /// Rows stated by the header.
        height: usize,
        /// Columns stated by the header.
        width: usize,
        /// The limit in force.
        max_pixels: u64,
    },
    /// The system has no room.
    #[error("there is no memory for {needed} bytes of the image; shrink it first")]
    Memory {
        /// Bytes asked for at once.
        needed: u64,
    },
    /// Part of the image is missing or wrong.
    #[error("damaged: {0}; copy or download it again (or keep it with --keep-damaged)")]
    Damaged(String),
    /// So much is missing or wrong that there is no image.
    #[error("damaged: {0}; copy or download it again")]
    Broken(String),
    /// A JPEG that cannot be decoded at all.
    #[error(transparent)]
    Jpeg(#[from] jpeg::JpegError),
    /// A layout that the format allows, but this build does not read.
    #[error("{0}")]
    Unsupported(String),
    /// The buffer does not hold `height * width * 3` bytes, or a side is zero.
    #[error("{got} bytes do not make a {height} × {width} RGB image")]
    Shape {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Length of the buffer.
        got: usize,
    },
    /// The resampler refused the sizes.
    #[error("cannot resize the image to {height} × {width}: {reason}")]
    Resize {
        /// Rows asked for.
        height: usize,
        /// Columns asked for.
        width: usize,
        /// The resampler's words.
        reason: String,
    },
}
