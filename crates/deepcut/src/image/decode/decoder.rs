//! The front door for images: files, streams and bytes, within limits.

use super::foreign::{FIRST_BYTES, RAW, foreign_bytes};
use super::picture::{Channels, Header, Picture, Space, upright};
use super::{Image, ImageError, bmp, exif, foreign, gif, jpeg, png, pnm, profile, tiff, webp};
use crate::memory::{Memory, Reservation};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Bytes of a file that a pixel can need at most: four channels of 64 bits, twice.
const FILE_BYTES_PER_PIXEL: u64 = 64;
/// Bytes that no file is too long for: thumbnails, metadata, further frames and pages.
const FILE_BYTES: u64 = 1 << 28;
/// Files with holes are refused from this length on; file systems that compress have short ones, too.
const SPARSE_BYTES: u64 = 1 << 26;
/// How much shorter a file may be on the disk than it claims.
const SPARSE_FACTOR: u64 = 64;
/// Bytes for each pixel that a decoded image keeps reserved: its own, and results of its size made from it.
const KEPT_BYTES_PER_PIXEL: u64 = 12;

/// A format that this build reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// JPEG, ITU-T T.81.
    Jpeg,
    /// PNG and the first image of an APNG.
    Png,
    /// WebP, the first frame of an animation.
    WebP,
    /// TIFF and BigTIFF, the first image that is no thumbnail.
    Tiff,
    /// GIF, the first frame.
    Gif,
    /// Windows and OS/2 bitmap.
    Bmp,
    /// Netpbm: PBM, PGM, PPM, PAM.
    Pnm,
}

impl Format {
    /// The format that a file's first bytes tell of.
    #[must_use]
    pub fn of(first: &[u8]) -> Option<Self> {
        match first {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            [b'I', b'I', b'*' | b'+', 0, ..] | [b'M', b'M', 0, b'*' | b'+', ..] => Some(Self::Tiff),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'B', b'M', ..] => Some(Self::Bmp),
            [b'P', b'1'..=b'7', b' ' | b'\t' | b'\n' | b'\x0b' | b'\x0c' | b'\r' | b'#', ..] => Some(Self::Pnm),
            _ => None,
        }
    }
}

/// Reads images: which are too large, what happens to damaged ones, and how much memory all threads together may take.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// Images of more pixels are refused before they are decoded. Default 2²⁸, about 268 million: phones make 200.
    pub max_pixels: u64,
    /// Whether a damaged image is kept, as far as it goes, with [`Image::damage`] set. Default false: it is an error.
    pub keep_damaged: bool,
    /// The budget that decoding waits for; the image keeps a share of it as long as it lives. Default none.
    pub memory: Option<Arc<Memory>>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { max_pixels: 1 << 28, keep_damaged: false, memory: None }
    }
}

impl Decoder {
    /// Reads a file, after a look at what it is, how long it is, and its first bytes.
    ///
    /// # Errors
    /// Every variant of [`ImageError`] but the last two; [`ImageError::NotAFile`] for a folder, a named pipe or a device.
    pub fn open(&self, path: &Path) -> Result<Image<'static>, ImageError> {
        // Before opening: that of a named pipe waits for a writer.
        let found = std::fs::metadata(path).map_err(ImageError::Read)?;
        check_kind(&found)?;
        let mut file = File::open(path).map_err(ImageError::Read)?;
        // What was opened, which may be another by now.
        let found = file.metadata().map_err(ImageError::Read)?;
        check_kind(&found)?;
        let length = found.len();
        let mut bytes = Vec::with_capacity(length.min(FIRST_BYTES as u64) as usize);
        Read::by_ref(&mut file).take(FIRST_BYTES as u64).read_to_end(&mut bytes).map_err(ImageError::Read)?;
        if bytes.is_empty() {
            return Err(ImageError::Empty);
        }
        // Some formats have names, but no first bytes of their own.
        let format = match format_of(&bytes) {
            Err(ImageError::UnknownFormat) => return Err(foreign(path).map_or(ImageError::UnknownFormat, ImageError::Foreign)),
            found => found?,
        };
        // Most camera raw files are TIFFs that begin with a thumbnail.
        if format == Format::Tiff && foreign(path) == Some(RAW) {
            return Err(ImageError::Foreign(RAW));
        }
        let most = self.max_length(format, &bytes);
        if length > most {
            return Err(ImageError::TooLong { length, max_pixels: self.max_pixels });
        }
        if let Some(stored) = stored(&found).filter(|&stored| length > SPARSE_BYTES && stored < length / SPARSE_FACTOR) {
            return Err(ImageError::Sparse { length, stored });
        }
        self.rest(format, bytes, file, length, most)
    }

    /// Reads a stream, such as standard input.
    ///
    /// # Errors
    /// Every variant of [`ImageError`] but the last two.
    pub fn read(&self, mut reader: impl Read) -> Result<Image<'static>, ImageError> {
        let mut bytes = Vec::with_capacity(FIRST_BYTES);
        Read::by_ref(&mut reader).take(FIRST_BYTES as u64).read_to_end(&mut bytes).map_err(ImageError::Read)?;
        if bytes.is_empty() {
            return Err(ImageError::Empty);
        }
        let format = format_of(&bytes)?;
        let most = self.max_length(format, &bytes);
        self.rest(format, bytes, reader, 0, most)
    }

    /// Decodes a file's bytes.
    ///
    /// # Errors
    /// Every variant of [`ImageError`] but the last two and those of files.
    pub fn decode(&self, bytes: &[u8]) -> Result<Image<'static>, ImageError> {
        if bytes.is_empty() {
            return Err(ImageError::Empty);
        }
        self.decode_as(format_of(bytes)?, bytes)
    }

    /// Decodes bytes of a format that is known.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode_as(&self, format: Format, bytes: &[u8]) -> Result<Image<'static>, ImageError> {
        let room = self.cost(format, bytes)?;
        let room = self.memory.as_ref().map(|memory| memory.acquire(room));
        let picture = pixels_of(format, bytes, self.max_pixels)?;
        if let (Some(damage), false) = (&picture.damage, self.keep_damaged) {
            return Err(ImageError::Damaged(damage.clone()));
        }
        finish(picture, room)
    }

    /// About how many bytes of memory decoding takes at its peak, the file's own included: what it asks [`Decoder::memory`] for.
    ///
    /// # Errors
    /// As [`Decoder::decode`], as far as the header tells.
    pub fn cost(&self, format: Format, bytes: &[u8]) -> Result<u64, ImageError> {
        let header = header(format, bytes)?;
        let (height, width) = (header.height, header.width);
        let pixels = (height as u64).saturating_mul(width as u64);
        if pixels == 0 {
            return Err(ImageError::Broken(format!("its header says {width} × {height} pixels")));
        }
        if pixels > header.pixels_per_byte.saturating_mul(bytes.len() as u64) {
            let length = bytes.len();
            return Err(ImageError::Broken(format!(
                "{length} bytes cannot hold the {width} × {height} pixels that its header claims"
            )));
        }
        if pixels > self.max_pixels {
            return Err(ImageError::TooLarge { height, width, max_pixels: self.max_pixels });
        }
        let needed = pixels.saturating_mul(header.bytes_per_pixel).saturating_add(bytes.len() as u64);
        // Where addresses have 32 bits, sizes of larger images would wrap.
        if isize::try_from(needed).is_err() {
            return Err(ImageError::Memory { needed });
        }
        Ok(needed)
    }

    /// Bytes that a file may have, by its own size if its first bytes tell that.
    fn max_length(&self, format: Format, first: &[u8]) -> u64 {
        let stated = header(format, first).map_or(u64::MAX, |header| (header.height as u64).saturating_mul(header.width as u64));
        stated.min(self.max_pixels).saturating_mul(FILE_BYTES_PER_PIXEL).saturating_add(FILE_BYTES)
    }

    /// Reads what follows the first bytes, `most` at most in all, and decodes it.
    fn rest(
        &self,
        format: Format,
        mut bytes: Vec<u8>,
        reader: impl Read,
        length: u64,
        most: u64,
    ) -> Result<Image<'static>, ImageError> {
        let expected = (length as usize).saturating_sub(bytes.len());
        bytes.try_reserve_exact(expected).map_err(|_| ImageError::Memory { needed: length })?;
        reader.take(most.saturating_add(1) - bytes.len() as u64).read_to_end(&mut bytes).map_err(ImageError::Read)?;
        if bytes.len() as u64 > most {
            return Err(ImageError::TooLong { length: bytes.len() as u64, max_pixels: self.max_pixels });
        }
        self.decode_as(format, &bytes)
    }
}

/// What a mask's file holds, as it lies there.
#[cfg(feature = "datasets")]
pub(crate) struct Stored {
    pub height: usize,
    pub width: usize,
    /// EXIF's number of how it should be turned.
    pub orientation: u8,
    /// `[height, width]`
    pub rgb: Vec<[u8; 3]>,
    /// `[height, width]`, where the file may be transparent.
    pub alpha: Option<Vec<u8>>,
}

/// Decodes a file's bytes whose numbers are no colors: neither turned nor laid over a ground; those of PNG stand for themselves.
///
/// # Errors
/// As [`Decoder::decode`] of [`Decoder::default`].
#[cfg(feature = "datasets")]
pub(crate) fn stored_values(bytes: &[u8]) -> Result<Stored, ImageError> {
    let decoder = Decoder::default();
    let format = format_of(bytes)?;
    decoder.cost(format, bytes)?;
    let mut picture = match format {
        Format::Png => png::values(bytes)?,
        _ => pixels_of(format, bytes, decoder.max_pixels)?,
    };
    if let Some(damage) = picture.damage.take() {
        return Err(ImageError::Damaged(damage));
    }
    let rgb = profile::into_srgb(&mut picture).as_chunks().0.to_vec();
    let Picture { height, width, orientation, alpha, .. } = picture;
    let alpha = alpha.filter(|alpha| format == Format::Png || alpha.iter().any(|&a| a < 255));
    Ok(Stored { height, width, orientation, rgb, alpha })
}

fn format_of(first: &[u8]) -> Result<Format, ImageError> {
    match foreign_bytes(first) {
        Some(found) => Err(ImageError::Foreign(found)),
        None => Format::of(first).ok_or(ImageError::UnknownFormat),
    }
}

fn check_kind(found: &std::fs::Metadata) -> Result<(), ImageError> {
    match found {
        found if found.is_file() => Ok(()),
        found if found.is_dir() => Err(ImageError::NotAFile("a folder")),
        _ => Err(ImageError::NotAFile("a pipe, a socket or a device")),
    }
}

/// Bytes that the disk holds of a file, where the system says so.
#[cfg(unix)]
fn stored(found: &std::fs::Metadata) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::blocks(found).saturating_mul(512))
}

#[cfg(not(unix))]
fn stored(_: &std::fs::Metadata) -> Option<u64> {
    None
}

fn header(format: Format, bytes: &[u8]) -> Result<Header, ImageError> {
    match format {
        Format::Jpeg => jpeg_header(bytes),
        Format::Png => png::header(bytes),
        Format::WebP => webp::header(bytes),
        Format::Tiff => tiff::header(bytes),
        Format::Gif => gif::header(bytes),
        Format::Bmp => bmp::header(bytes),
        Format::Pnm => pnm::header(bytes),
    }
}

fn pixels_of(format: Format, bytes: &[u8], max_pixels: u64) -> Result<Picture, ImageError> {
    match format {
        Format::Jpeg => jpeg_pixels(bytes, max_pixels),
        Format::Png => png::decode(bytes),
        Format::WebP => webp::decode(bytes),
        Format::Tiff => tiff::decode(bytes),
        Format::Gif => gif::decode(bytes),
        Format::Bmp => bmp::decode(bytes),
        Format::Pnm => pnm::decode(bytes),
    }
}

/// What else a pixel takes until it is three channels of sRGB, upright.
const JPEG_BYTES_PER_PIXEL: u64 = 7;

fn jpeg_header(bytes: &[u8]) -> Result<Header, ImageError> {
    let jpeg::Header { height, width, memory, .. } = jpeg::header(bytes)?;
    let bytes_per_pixel = memory.div_ceil((height as u64 * width as u64).max(1)) + JPEG_BYTES_PER_PIXEL;
    // Its decoder knows what bytes can hold.
    Ok(Header { height, width, bytes_per_pixel, pixels_per_byte: u64::MAX })
}

fn jpeg_pixels(bytes: &[u8], max_pixels: u64) -> Result<Picture, ImageError> {
    let found = jpeg::decode(bytes, &jpeg::Limits { max_pixels })?;
    let (mut data, channels) = (
        found.data,
        match found.components {
            jpeg::Components::Gray => Channels::Gray,
            jpeg::Components::Rgb => Channels::Rgb,
            jpeg::Components::Cmyk => Channels::Cmyk,
        },
    );
    if found.inverted && channels == Channels::Cmyk {
        data.iter_mut().for_each(|ink| *ink = 255 - *ink);
    }
    let mut picture = Picture::new(found.height, found.width, channels, data);
    picture.damage = found.damage;
    picture.orientation = exif::first_of(found.exif.as_deref(), exif::xmp_of_jpeg(bytes));
    picture.space = found.icc.map_or(Space::Srgb, Space::Icc);
    Ok(picture)
}

fn finish(mut picture: Picture, room: Option<Reservation>) -> Result<Image<'static>, ImageError> {
    let rgb = profile::into_srgb(&mut picture);
    let stored = (picture.height, picture.width);
    let Picture { alpha, orientation, damage, mut notes, .. } = picture;
    let (rgb, (height, width)) = upright(rgb, stored, 3, orientation);
    let alpha = alpha.map(|alpha| upright(alpha, stored, 1, orientation).0);
    if alpha.as_ref().is_some_and(|alpha| alpha.iter().all(|&a| a == 0)) {
        notes.push("all of it is transparent: nothing of it can be seen".to_owned());
    }
    let mut image = Image::with_alpha(height, width, rgb, alpha)?;
    (image.damage, image.notes, image.orientation) = (damage, notes, orientation);
    image.room = room.map(|mut room| {
        room.shrink((height * width) as u64 * KEPT_BYTES_PER_PIXEL);
        Arc::new(room)
    });
    Ok(image)
}
