//! JPEG: the bytes of a file → its pixels, the same, byte for byte, as from libjpeg-turbo (`djpeg -dct int`) and so Pillow.
//!
//! | file          | step                                                     | source                          |
//! |---------------|----------------------------------------------------------|---------------------------------|
//! | `markers.rs`  | segments: frame, tables, scans, application data         | ITU T.81 annex B; JFIF (T.871)  |
//! | `bits.rs`     | bits of an entropy-coded segment                         | T.81, F.2.2.5                   |
//! | `huffman.rs`  | codes, their tables, the standard's own                  | T.81, annexes C and K.3         |
//! | `scan.rs`     | blocks of a sequential or progressive scan, restarts     | T.81, annexes F and G           |
//! | `idct.rs`     | coefficients → samples                                   | T.81, A.3.3; libjpeg's `islow`  |
//! | `upsample.rs` | rows of a subsampled component → rows of the image     | libjpeg's "fancy" upsampling    |
//! | `color.rs`    | YCbCr, YCCK → RGB, CMYK                                  | T.871; Adobe's note 5116        |
//!
//! Read: baseline, extended sequential (8 bits) and progressive Huffman-coded frames of 1, 3 or 4 components, in any order of scans.
//! Everything else is refused by its name. A sequential image in one scan needs two rows of MCUs beside its pixels; others keep all coefficients.

mod bits;
mod color;
mod huffman;
mod idct;
mod markers;
mod scan;
#[cfg(test)]
mod tests;
mod upsample;

pub(crate) use markers::ColorSpace;
use markers::{Frame, Reader};

/// Coefficient blocks that the scans of one file may visit: a small file can name as many scans of a large image as it likes.
const MAX_VISITS: u64 = 1 << 30;
/// As how many of them a scan's own cost counts.
const SCAN_VISITS: u64 = 4096;

/// Why a JPEG cannot be decoded at all.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum JpegError {
    /// The first bytes are others.
    #[error("not a JPEG file")]
    NotJpeg,
    /// The file ends before its pixels begin.
    #[error("the JPEG was cut short before its pixels; copy or download it again")]
    Truncated,
    /// The pixels stated are far more than the bytes can hold.
    #[error("the JPEG states {height} × {width} pixels, far more than its {bytes} bytes can hold; copy or download it again")]
    Claim {
        /// Rows stated.
        height: usize,
        /// Columns stated.
        width: usize,
        /// Bytes of the file.
        bytes: usize,
    },
    /// More pixels than the caller allows.
    #[error("the JPEG has {height} × {width} pixels, more than {max_pixels}; shrink it first")]
    TooLarge {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// The limit.
        max_pixels: u64,
    },
    /// Something that the standard forbids, before any pixel.
    #[error("the JPEG is broken: {0}; copy or download it again")]
    Broken(String),
    /// A kind that is not read.
    #[error("the JPEG {0}, which this build does not read; save it as an ordinary JPEG or a PNG")]
    Unsupported(&'static str),
    /// Samples of more than 8 bits.
    #[error("the JPEG has samples of {0} bits, and this build reads those of 8; save it as a PNG")]
    Precision(u8),
    /// Neither grey, nor three colours, nor four.
    #[error("the JPEG has {0} components, and this build reads 1, 3 or 4; save it as a PNG")]
    Components(u8),
    /// No room for the image.
    #[error("not enough memory for the JPEG's {0} bytes of pixels and coefficients; shrink it first")]
    Memory(u64),
}

/// What the bytes of a pixel mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Components {
    /// One byte.
    Grey,
    /// Three.
    Rgb,
    /// Four.
    Cmyk,
}

impl Components {
    /// Bytes of a pixel.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
            Self::Cmyk => 4,
        }
    }
}

/// What a file says of itself before its pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// What [`decode`] will return.
    pub components: Components,
    /// Whether the image is coded from coarse to fine.
    pub progressive: bool,
    /// Bytes that [`decode`] takes at most, its result included.
    pub memory: u64,
}

/// What [`decode`] may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows times columns.
    pub max_pixels: u64,
}

/// A decoded file.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// Rows, as stored: EXIF's orientation is not applied.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// What the bytes of a pixel mean.
    pub components: Components,
    /// `[height, width, components]`.
    pub data: Vec<u8>,
    /// What is missing or wrong, and how much of it; the pixels are then the best there are.
    pub damage: Option<String>,
    /// The colour profile.
    pub icc: Option<Vec<u8>>,
    /// The EXIF block: a TIFF file.
    pub exif: Option<Vec<u8>>,
    /// CMYK as Adobe's programs write it: 255 is no ink. True of every CMYK file, marked as Adobe's or not, as in Pillow and in browsers.
    pub inverted: bool,
}

impl Decoded {
    /// The pixels as `[height, width, 3]` bytes, RGB; ink without a profile subtracts from white, as in Pillow.
    #[must_use]
    pub fn into_rgb(self) -> Vec<u8> {
        match self.components {
            Components::Rgb => self.data,
            Components::Grey => self.data.iter().map(|&value| [value; 3]).collect::<Vec<_>>().into_flattened(),
            Components::Cmyk => {
                let pixels = self.data.as_chunks::<4>().0.iter();
                pixels.map(|&cmyk| color::cmyk_to_rgb(cmyk, self.inverted)).collect::<Vec<_>>().into_flattened()
            }
        }
    }
}

/// What is wrong with a file whose pixels could be decoded.
#[derive(Debug, Default, Clone)]
struct Damage {
    /// Blocks that the scans should have, that they lack, and that follow invalid bits within their segment.
    blocks: u64,
    missing: u64,
    doubtful: u64,
    /// Bytes before a marker that belong to nothing.
    stray: u64,
    /// Restart markers that are missing, or not the ones that were due.
    restarts: u64,
    /// The file ends without the marker that ends an image.
    open_end: bool,
    notes: Vec<String>,
}

impl Damage {
    /// Notes something else: of many things, the first few.
    fn note(&mut self, what: impl Into<String>) {
        let what = what.into();
        if self.notes.len() < 4 && !self.notes.contains(&what) {
            self.notes.push(what);
        }
    }

    /// All of it in words, if there is any. An open end alone is none.
    fn words(self) -> Option<String> {
        let Self { blocks, missing, doubtful, stray, restarts, open_end, notes } = self;
        let parts = [
            (open_end && missing > 0).then(|| "the file ends early".into()),
            (missing > 0).then(|| format!("{missing} of {blocks} blocks are missing")),
            (doubtful > 0).then(|| format!("{doubtful} of {blocks} blocks follow invalid codes")),
            (restarts > 0).then(|| format!("{restarts} restart markers are not where they should be")),
            (stray > 0).then(|| format!("{stray} bytes belong to nothing")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().chain(notes).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

impl JpegError {
    /// What ended an image whose first scan is decoded.
    fn reason(self) -> String {
        match self {
            Self::Truncated => "the file ends within a segment".into(),
            Self::Broken(reason) => reason,
            other => other.to_string(),
        }
    }
}

impl Frame {
    fn claim(&self, bytes: usize) -> JpegError {
        JpegError::Claim { height: self.height, width: self.width, bytes }
    }
}

/// Reads what comes before the first scan.
///
/// # Errors
/// Every variant of [`JpegError`] but [`JpegError::TooLarge`] and [`JpegError::Memory`].
pub fn header(bytes: &[u8]) -> Result<Header, JpegError> {
    start(bytes).map(|(_, _, header)| header)
}

fn start(bytes: &[u8]) -> Result<(Reader<'_>, markers::Scan, Header), JpegError> {
    let mut reader = Reader::new(bytes)?;
    let first = reader.next_scan()?;
    let (Some(frame), Some(first)) = (&reader.frame, first) else {
        return Err(JpegError::Broken("it has no scan".into()));
    };
    // A block takes a bit at least in a progressive image's first scan, and two where its end is coded too.
    let bits = frame.all_blocks(false) * if frame.progressive { 1 } else { 2 };
    if bits / 8 > (bytes.len() - reader.at) as u64 {
        return Err(frame.claim(bytes.len()));
    }
    let components = match frame.components.len() {
        1 => Components::Grey,
        3 => Components::Rgb,
        _ => Components::Cmyk,
    };
    let (height, width) = (frame.height, frame.width);
    let buffered = if scan::is_streamed(frame, &first) { 0 } else { 128 * frame.all_blocks(true) };
    let pixels = height as u64 * width as u64 * components.count() as u64;
    let strips = 16 * 8 * frame.all_blocks(true) / frame.mcu_rows as u64 + 8 * 4 * width as u64;
    let header = Header { height, width, components, progressive: frame.progressive, memory: pixels + buffered + strips };
    Ok((reader, first, header))
}

/// Decodes a file: the pixels, even if something is missing or wrong, and what that is.
///
/// Bytes after the image's end, and a missing marker there, are no damage.
///
/// # Errors
/// Every variant of [`JpegError`], if there is nothing to decode.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, JpegError> {
    decode_as(bytes, limits, None)
}

/// As [`decode`]; if what holds the stream states its colours, they are those, whatever its own markers say.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_as(bytes: &[u8], limits: &Limits, stated: Option<ColorSpace>) -> Result<Decoded, JpegError> {
    let (mut reader, first, header) = start(bytes)?;
    let Header { height, width, components, memory, .. } = header;
    if height as u64 * width as u64 > limits.max_pixels {
        return Err(JpegError::TooLarge { height, width, max_pixels: limits.max_pixels });
    }
    let color = stated.unwrap_or_else(|| reader.color_space());
    let frame = reader.frame.clone().ok_or(JpegError::Truncated)?;
    let mut painter = upsample::Painter::new(&frame, color).ok_or(JpegError::Memory(memory))?;
    if scan::is_streamed(&frame, &first) {
        reader.at = scan::stream(&frame, &first, bytes, reader.at, &mut painter, &mut reader.damage);
        match reader.next_scan() {
            Ok(None) => {}
            Ok(Some(_)) => reader.damage.note("a scan follows the last"),
            Err(error) => reader.damage.note(error.reason()),
        }
    } else {
        let mut coefficients = scan::Coefficients::new(&frame).ok_or(JpegError::Memory(memory))?;
        let mut next = Some(first);
        let mut visits = 0;
        while let Some(scan) = next {
            let blocks =
                scan.components.iter().map(|c| frame.padded_blocks(c.index)).map(|(rows, columns)| (rows * columns) as u64);
            visits += SCAN_VISITS + blocks.sum::<u64>();
            if visits > MAX_VISITS {
                reader.damage.note("it has more scans than any program writes, and the last ones are left out");
                break;
            }
            reader.at = coefficients.scan(&frame, &scan, bytes, reader.at, &mut reader.damage);
            next = reader.next_scan().unwrap_or_else(|error| {
                reader.damage.note(error.reason());
                None
            });
        }
        coefficients.check(&mut reader.damage);
        coefficients.paint(&frame, &mut painter);
    }
    let icc = reader.icc();
    Ok(Decoded {
        height,
        width,
        components,
        data: painter.finish(),
        damage: std::mem::take(&mut reader.damage).words(),
        icc,
        inverted: components == Components::Cmyk,
        exif: reader.exif,
    })
}
