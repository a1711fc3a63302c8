//! What the decoders of all formats hand over, before colours, orientation and ground.

use super::ImageError;

/// What an image's header claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub height: usize,
    pub width: usize,
    /// Bytes of memory that decoding takes for each pixel, beside the file's own.
    pub bytes_per_pixel: u64,
    /// Most pixels that a byte of this file can stand for: beyond it the header lies.
    pub pixels_per_byte: u64,
}

/// What a pixel of [`Picture::data`] is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channels {
    Grey,
    Rgb,
    /// 255 is full ink.
    Cmyk,
}

impl Channels {
    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
            Self::Cmyk => 4,
        }
    }
}

/// How an image's numbers stand for colours, where the file says so.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Space {
    /// sRGB, or nothing is said.
    Srgb,
    /// An ICC profile's bytes.
    Icc(Vec<u8>),
    /// PNG's `gAMA` and `cHRM`: the exponent that decodes, and the chromaticities of white, red, green and blue.
    Gamma { exponent: f64, chromaticities: Option<[[f64; 2]; 4]> },
    /// ITU-T H.273's codes of the primaries and the transfer curve.
    Cicp { primaries: u8, transfer: u8 },
}

impl Space {
    /// That of a profile; of one that is too long, enough to be refused.
    pub fn icc(profile: &[u8]) -> Self {
        Self::Icc(profile[..profile.len().min(super::profile::MAX_BYTES + 1)].to_vec())
    }
}

/// A decoded image as it lies in the file.
#[derive(Debug)]
pub(super) struct Picture {
    pub height: usize,
    pub width: usize,
    pub channels: Channels,
    /// `[height, width, channels]`
    pub data: Vec<u8>,
    /// `[height, width]`, 255 is opaque; colours are not multiplied by it.
    pub alpha: Option<Vec<u8>>,
    /// EXIF's number, 1 to 8.
    pub orientation: u8,
    pub space: Space,
    /// What is missing or wrong.
    pub damage: Option<String>,
    /// What was assumed.
    pub notes: Vec<String>,
}

impl Picture {
    pub fn new(height: usize, width: usize, channels: Channels, data: Vec<u8>) -> Self {
        let space = Space::Srgb;
        Self { height, width, channels, data, alpha: None, orientation: 1, space, damage: None, notes: Vec::new() }
    }

    /// Takes what is interleaved apart: the last channel of `data` is alpha.
    pub fn with_alpha(height: usize, width: usize, channels: Channels, data: &[u8]) -> Self {
        let n = channels.count();
        let mut colors = Vec::with_capacity(height * width * n);
        let mut alpha = Vec::with_capacity(height * width);
        for pixel in data.chunks_exact(n + 1) {
            colors.extend_from_slice(&pixel[..n]);
            alpha.push(pixel[n]);
        }
        Self { alpha: Some(alpha), ..Self::new(height, width, channels, colors) }
    }

    /// Notes the first damage that is found.
    pub fn damaged(&mut self, what: impl Into<String>) {
        self.damage.get_or_insert(what.into());
    }
}

/// `[height, width, channels]` bytes turned upright, with their new height and width.
pub(super) fn upright(
    data: Vec<u8>,
    (height, width): (usize, usize),
    channels: usize,
    orientation: u8,
) -> (Vec<u8>, (usize, usize)) {
    let (h, w) = (height as isize, width as isize);
    // The source of the target's first pixel, and the steps from row to row and from column to column.
    let (start, down, right) = match orientation {
        2 => (w - 1, w, -1),
        3 => (h * w - 1, -w, -1),
        4 => ((h - 1) * w, -w, 1),
        5 => (0, 1, w),
        6 => ((h - 1) * w, 1, -w),
        7 => (h * w - 1, -1, -w),
        8 => (w - 1, -1, w),
        _ => return (data, (height, width)),
    };
    let (height, width) = if orientation > 4 { (width, height) } else { (height, width) };
    let mut out = Vec::with_capacity(data.len());
    for y in 0..height as isize {
        for x in 0..width as isize {
            let at = (start + y * down + x * right) as usize * channels;
            out.extend_from_slice(&data[at..at + channels]);
        }
    }
    (out, (height, width))
}

/// Inks to light, rounded as Pillow's `convert("RGB")`.
pub(super) fn cmyk_to_rgb(cmyk: &[u8]) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(cmyk.len() / 4 * 3);
    for ink in cmyk.chunks_exact(4) {
        let white = 255 - u32::from(ink[3]);
        rgb.extend(ink[..3].iter().map(|&c| {
            let product = u32::from(c) * white + 128;
            (white - ((product + (product >> 8)) >> 8)) as u8
        }));
    }
    rgb
}

/// 16 bits to 8, rounded to the nearest.
pub(super) fn eight_bits(value: u16) -> u8 {
    ((u32::from(value) * 255 + 32_895) >> 16) as u8
}

/// Room for so many bytes, or an error: a failed allocation must not end a whole batch.
pub(super) fn room(bytes: usize) -> Result<Vec<u8>, ImageError> {
    let mut out = Vec::new();
    out.try_reserve_exact(bytes).map_err(|_| ImageError::Memory { needed: bytes as u64 })?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eight_orientations() {
        // A 2 × 3 image; what each of the eight must show is written as EXIF describes it.
        let turned = |orientation| {
            let (data, (height, width)) = upright(vec![1, 2, 3, 4, 5, 6], (2, 3), 1, orientation);
            assert_eq!(height * width, 6);
            (height, data)
        };
        assert_eq!(turned(1), (2, vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(turned(2), (2, vec![3, 2, 1, 6, 5, 4]));
        assert_eq!(turned(3), (2, vec![6, 5, 4, 3, 2, 1]));
        assert_eq!(turned(4), (2, vec![4, 5, 6, 1, 2, 3]));
        assert_eq!(turned(5), (3, vec![1, 4, 2, 5, 3, 6]));
        assert_eq!(turned(6), (3, vec![4, 1, 5, 2, 6, 3]));
        assert_eq!(turned(7), (3, vec![6, 3, 5, 2, 4, 1]));
        assert_eq!(turned(8), (3, vec![3, 6, 2, 5, 1, 4]));
    }

    #[test]
    fn sixteen_bits_round_to_the_nearest_of_eight() {
        for value in 0..=u16::MAX {
            assert_eq!(eight_bits(value), (f64::from(value) / 257.0).round() as u8, "{value}");
        }
    }
}
