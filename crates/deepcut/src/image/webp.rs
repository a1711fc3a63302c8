//! WebP: lossy, lossless, with alpha, and the first frame of an animation on its canvas.
//!
//! The container is walked here, and only the image's own chunks reach the decoder: it would refuse a file whose flags promise
//! metadata that are not there, and take a file that ends in the middle of one for broken.

use super::picture::{Channels, Header, Picture, Space, room};
use super::{ImageError, exif};
use std::io::Cursor;

/// A lossless image of one colour takes no bits for its pixels: more than this for each byte is refused all the same.
const PIXELS_PER_BYTE: u64 = 1 << 20;

/// Zeros that take the place of pixels that were cut off, beside as many as are left.
const PADDING: usize = 1 << 16;

struct Chunk<'a> {
    kind: [u8; 4],
    data: &'a [u8],
    complete: bool,
}

fn chunks(mut rest: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    std::iter::from_fn(move || {
        let (head, data) = (rest.get(..8)?, &rest[8..]);
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        rest = data.get(length.saturating_add(length & 1)..).unwrap_or_default();
        let kind = [head[0], head[1], head[2], head[3]];
        Some(Chunk { kind, data: &data[..length.min(data.len())], complete: length <= data.len() })
    })
}

fn broken(what: impl Into<String>) -> ImageError {
    ImageError::Broken(what.into())
}

fn three(bytes: &[u8], at: usize) -> Option<usize> {
    bytes.get(at..at + 3).map(|b| usize::from(b[0]) | usize::from(b[1]) << 8 | usize::from(b[2]) << 16)
}

/// The image's own chunks, its size and where it lies on the canvas.
#[derive(Default)]
struct Frame<'a> {
    canvas: Option<(usize, usize)>,
    top: usize,
    left: usize,
    height: usize,
    width: usize,
    pixels: &'a [u8],
    lossless: bool,
    alpha: Option<&'a [u8]>,
    cut: bool,
    frames: usize,
    icc: Option<&'a [u8]>,
    exif: Option<&'a [u8]>,
    xmp: Option<&'a [u8]>,
}

impl<'a> Frame<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, ImageError> {
        let mut frame = Self::default();
        for chunk in chunks(bytes.get(12..).unwrap_or_default()) {
            match &chunk.kind {
                b"VP8X" => {
                    let size = three(chunk.data, 7).zip(three(chunk.data, 4)).ok_or_else(|| broken("its header is wrong"))?;
                    frame.canvas = Some((size.0 + 1, size.1 + 1));
                }
                b"ANMF" => {
                    frame.frames += 1;
                    if let (1, Some(head)) = (frame.frames, chunk.data.get(..16)) {
                        [frame.left, frame.top] = [0, 3].map(|at| three(head, at).unwrap_or(0) * 2);
                        [frame.width, frame.height] = [6, 9].map(|at| three(head, at).unwrap_or(0) + 1);
                        frame.cut |= !chunk.complete;
                        chunks(&chunk.data[16..]).try_for_each(|chunk| frame.part(&chunk))?;
                    }
                }
                b"ICCP" if frame.icc.is_none() => frame.icc = Some(chunk.data),
                b"EXIF" if frame.exif.is_none() => frame.exif = Some(chunk.data),
                b"XMP " if frame.xmp.is_none() => frame.xmp = Some(chunk.data),
                _ if frame.frames == 0 => frame.part(&chunk)?,
                _ => {}
            }
        }
        if frame.pixels.is_empty() {
            return Err(broken("it ends before its pixels"));
        }
        let (height, width) = *frame.canvas.get_or_insert((frame.height, frame.width));
        let is_whole = (frame.top, frame.left, frame.height, frame.width) == (0, 0, height, width);
        let is_within = frame.top + frame.height <= height && frame.left + frame.width <= width;
        if frame.height == 0 || frame.width == 0 || !(is_whole || frame.frames > 0 && is_within) {
            return Err(broken("its canvas has another size than its image"));
        }
        Ok(frame)
    }

    /// Notes a chunk that is part of a still image; the first of each kind counts.
    fn part(&mut self, chunk: &Chunk<'a>) -> Result<(), ImageError> {
        match &chunk.kind {
            b"ALPH" if self.alpha.is_none() && self.pixels.is_empty() => {
                self.cut |= !chunk.complete;
                self.alpha = Some(chunk.data);
            }
            b"VP8 " | b"VP8L" if self.pixels.is_empty() => {
                self.lossless = &chunk.kind == b"VP8L";
                let head = chunk.data.get(..10).ok_or_else(|| broken("it ends before its pixels"))?;
                let size = if self.lossless {
                    let bits = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
                    ((bits >> 14 & 0x3fff) + 1, (bits & 0x3fff) + 1)
                } else {
                    let side = |i: usize| usize::from(u16::from_le_bytes([head[i], head[i + 1]])) & 0x3fff;
                    (side(8), side(6))
                };
                if self.frames > 0 && size != (self.height, self.width) {
                    return Err(broken("its first frame has two sizes"));
                }
                (self.height, self.width) = size;
                self.cut |= !chunk.complete;
                self.pixels = chunk.data;
            }
            _ => {}
        }
        Ok(())
    }

    /// Channels and pixels of a file of this frame alone.
    #[allow(clippy::type_complexity, reason = "the outer error is ours, the inner one the decoder's")]
    fn unpack(&self, still: &[u8]) -> Result<Result<(usize, Vec<u8>), image_webp::DecodingError>, ImageError> {
        let mut decoder = match image_webp::WebPDecoder::new(Cursor::new(still)) {
            Ok(decoder) => decoder,
            Err(error) => return Ok(Err(error)),
        };
        let n = if decoder.has_alpha() { 4 } else { 3 };
        let size = self.height * self.width * n;
        let mut pixels = room(size)?;
        pixels.resize(size, 0);
        Ok(decoder.read_image(&mut pixels).map(|()| (n, pixels)))
    }

    /// A file of this frame alone, its pixels followed by so many zeros.
    fn still(&self, padding: usize) -> Vec<u8> {
        let mut out = b"RIFF\0\0\0\0WEBP".to_vec();
        let mut chunk = |kind: &[u8; 4], data: &[u8]| {
            out.extend_from_slice(kind);
            out.extend_from_slice(&(data.len() as u32).to_le_bytes());
            out.extend_from_slice(data);
            out.extend(&[0][..data.len() & 1]);
        };
        if let (Some(alpha), false) = (self.alpha, self.lossless) {
            let side = |n: usize| [(n - 1) as u8, ((n - 1) >> 8) as u8, ((n - 1) >> 16) as u8];
            chunk(b"VP8X", &[&[0x10, 0, 0, 0][..], &side(self.width), &side(self.height)].concat());
            chunk(b"ALPH", alpha);
        }
        let kind = if self.lossless { b"VP8L" } else { b"VP8 " };
        if padding == 0 {
            chunk(kind, self.pixels);
        } else {
            chunk(kind, &[self.pixels, &vec![0; padding]].concat());
        }
        let length = (out.len() - 8) as u32;
        out[4..8].copy_from_slice(&length.to_le_bytes());
        out
    }
}

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let (height, width) = Frame::read(bytes)?.canvas.unwrap_or_default();
    Ok(Header { height, width, bytes_per_pixel: 20, pixels_per_byte: PIXELS_PER_BYTE })
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let frame = Frame::read(bytes)?;
    let (height, width) = frame.canvas.unwrap_or_default();
    let cannot = |e: image_webp::DecodingError| match frame.cut {
        true => broken(format!("it was cut short ({e})")),
        false => broken(format!("its pixels cannot be decoded ({e})")),
    };
    let (n, pixels) = match frame.unpack(&frame.still(0))? {
        // Zeros in place of what is missing show what there is.
        Err(_) if frame.cut => frame.unpack(&frame.still(frame.pixels.len() + PADDING))?.map_err(cannot)?,
        found => found.map_err(cannot)?,
    };

    let is_whole = (frame.top, frame.left, frame.height, frame.width) == (0, 0, height, width);
    let mut picture = match (is_whole, n) {
        (true, 3) => Picture::new(height, width, Channels::Rgb, pixels),
        (true, _) => Picture::with_alpha(height, width, Channels::Rgb, &pixels),
        (false, _) => {
            // Only the first frame is asked for: around it nothing is to be seen.
            let (mut data, mut alpha) = (room(height * width * 3)?, room(height * width)?);
            data.resize(height * width * 3, 0);
            alpha.resize(height * width, 0);
            for (y, row) in pixels.chunks_exact(frame.width * n).enumerate() {
                let start = (frame.top + y) * width + frame.left;
                for (at, pixel) in (start..).zip(row.chunks_exact(n)) {
                    data[3 * at..3 * at + 3].copy_from_slice(&pixel[..3]);
                    alpha[at] = *pixel.get(3).unwrap_or(&255);
                }
            }
            Picture { alpha: Some(alpha), ..Picture::new(height, width, Channels::Rgb, data) }
        }
    };
    if frame.cut {
        picture.damaged("it was cut short");
    }
    if frame.frames > 1 {
        picture.notes.push("it is an animation: its first frame was taken".to_owned());
    }
    picture.orientation = exif::first_of(frame.exif, frame.xmp);
    picture.space = frame.icc.map_or(Space::Srgb, Space::icc);
    Ok(picture)
}
