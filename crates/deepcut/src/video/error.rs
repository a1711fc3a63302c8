//! Why a video cannot be read, or not to its end.

use crate::batch::Remedy;
use crate::image::ImageError;
use std::path::PathBuf;

/// Why a video cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VideoError {
    /// The file or stream cannot be read.
    #[error("cannot read the video")]
    Read(#[source] std::io::Error),
    /// There is no frame.
    #[error("there is no frame in it")]
    Empty,
    /// The folder has no file that is named as an image.
    #[error("there is no image in the folder; frames are files such as 0001.jpg or 0001.png")]
    EmptyFolder,
    /// The stream is no YUV4MPEG2.
    #[error("it is no Y4M stream: `ffmpeg -i VIDEO -f yuv4mpegpipe -` writes one")]
    NotY4m,
    /// Something in it cannot be.
    #[error("{what}")]
    Broken {
        /// What.
        what: String,
    },
    /// It ends in the middle of a frame.
    #[error("it ends in the middle of frame {frames}; the {frames} frames before are whole")]
    Truncated {
        /// Frames that are whole.
        frames: usize,
    },
    /// Frames have too many pixels.
    #[error("frames of {width} × {height} pixels are more than {max_pixels}; {}", Remedy::MorePixels)]
    TooLarge {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// The limit.
        max_pixels: u64,
    },
    /// A frame is no image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// ffmpeg is needed and missing.
    #[error(
        "{what} needs the program ffmpeg, which was not found; install it, or give a folder of frames, a GIF, WebP or APNG animation, or a Y4M stream"
    )]
    NoFfmpeg {
        /// What needs it.
        what: &'static str,
    },
    /// ffmpeg failed.
    #[error("ffmpeg cannot {what} it: {message}")]
    Ffmpeg {
        /// What it was to do.
        what: &'static str,
        /// The last line that it said.
        message: String,
    },
    /// The video is to be read twice and cannot be.
    #[error("to look at a video in both directions it is read twice, which a stream cannot be; save it to a file first")]
    Stream,
    /// There are results already.
    #[error("{} exists; {}", path.display(), Remedy::OverwriteOrFolder)]
    Exists {
        /// One of them.
        path: PathBuf,
    },
    /// A result cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no room for what is kept between two readings of a video.
    #[error("cannot write a temporary file; free some space, or set TMPDIR to another disk")]
    Temporary(#[source] std::io::Error),
    /// A result's file cannot be made or put into its place.
    #[error(transparent)]
    File(#[from] crate::batch::FileError),
    /// A frame cannot be segmented.
    #[error(transparent)]
    Segment(#[from] crate::segmenter::Error),
    /// A frame made the program panic.
    #[error(transparent)]
    Panicked(#[from] crate::batch::Panicked),
    /// A file about the video cannot be made.
    #[error(transparent)]
    Export(#[from] crate::export::ExportError),
}

impl VideoError {
    /// What helps, if anything is known to.
    #[must_use]
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::TooLarge { .. } => Some(Remedy::MorePixels),
            Self::Exists { .. } => Some(Remedy::OverwriteOrFolder),
            Self::File(error) => error.remedy(),
            _ => None,
        }
    }
}
