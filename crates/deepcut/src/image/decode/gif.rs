//! GIF89a and GIF87a: the first frame, where it lies on the logical screen; what it does not cover is transparent.
//!
//! `video/animation.rs` takes the other frames. Blocks are read here and LZW is unpacked by `weezl`. A frame that reaches beyond the screen makes it larger, as in browsers.

use super::ImageError;
use super::picture::{Channels, Header, Picture, room};
use weezl::BitOrder;
use weezl::decode::Decoder;

/// A code of twelve bits stands for at most 4,096 pixels.
const PIXELS_PER_BYTE: u64 = 2731;

pub(crate) struct Frame<'a> {
    /// Of the whole image.
    pub height: usize,
    pub width: usize,
    /// Of the frame in it.
    pub top: usize,
    pub left: usize,
    pub rows: usize,
    pub columns: usize,
    interlaced: bool,
    palette: &'a [u8],
    transparent: Option<u8>,
    /// What becomes of it before the next frame: 2, nothing is left of it; 3, what was there before is shown again.
    #[cfg_attr(not(feature = "batch"), expect(dead_code, reason = "of animations"))]
    pub disposal: u8,
    /// Hundredths of a second until the next frame.
    #[cfg_attr(not(feature = "batch"), expect(dead_code, reason = "of animations"))]
    pub delay: u16,
    /// From the size of the first code on.
    data: &'a [u8],
}

/// Colors and opacity of a frame's own pixels, `[rows, columns]`.
pub(crate) struct Pixels {
    pub rgb: Vec<u8>,
    pub opaque: Vec<bool>,
    pub damage: Option<String>,
}

fn broken(what: &str) -> ImageError {
    ImageError::Broken(what.to_owned())
}

fn cut() -> ImageError {
    broken("it ends before its first frame")
}

fn short(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// Bytes of the palette that these flags tell of.
fn table(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// The palette of all frames, and where what follows it begins.
fn screen(bytes: &[u8]) -> Result<(&[u8], usize), ImageError> {
    let screen = bytes.get(6..13).ok_or_else(cut)?;
    let palette = bytes.get(13..13 + table(screen[4])).ok_or_else(cut)?;
    Ok((palette, 13 + palette.len()))
}

/// The next frame from `at` on; None at the end.
fn frame_from(bytes: &[u8], mut at: usize) -> Result<Option<Frame<'_>>, ImageError> {
    let (mut palette, _) = screen(bytes)?;
    let screen = bytes.get(6..13).ok_or_else(cut)?;
    let (mut transparent, mut disposal, mut delay) = (None, 0, 0);
    loop {
        match *bytes.get(at).ok_or_else(cut)? {
            0x21 => {
                let label = *bytes.get(at + 1).ok_or_else(cut)?;
                at += 2;
                if let (0xf9, Some(&[_, flags, low, high, index])) = (label, bytes.get(at..at + 5)) {
                    transparent = (flags & 1 == 1).then_some(index);
                    (disposal, delay) = (flags >> 2 & 7, u16::from_le_bytes([low, high]));
                }
                loop {
                    let length = usize::from(*bytes.get(at).ok_or_else(cut)?);
                    at += 1 + length;
                    if length == 0 {
                        break;
                    }
                }
            }
            0x2c => {
                let descriptor = bytes.get(at + 1..at + 10).ok_or_else(cut)?;
                at += 10;
                let local = bytes.get(at..at + table(descriptor[8])).ok_or_else(cut)?;
                at += local.len();
                if !local.is_empty() {
                    palette = local;
                }
                if palette.is_empty() {
                    return Err(broken("it has no palette"));
                }
                let [left, top, columns, rows] = [0, 2, 4, 6].map(|i| short(descriptor, i));
                let (height, width) = (short(screen, 2).max(top + rows), short(screen, 0).max(left + columns));
                let interlaced = descriptor[8] & 0x40 != 0;
                let data = &bytes[at..];
                return Ok(Some(Frame {
                    height,
                    width,
                    top,
                    left,
                    rows,
                    columns,
                    interlaced,
                    palette,
                    transparent,
                    disposal,
                    delay,
                    data,
                }));
            }
            0x3b => return Ok(None),
            // Bytes between blocks are met in files that every program shows.
            0 => at += 1,
            _ => return Err(broken("it has a block that GIF does not know")),
        }
    }
}

fn frame(bytes: &[u8]) -> Result<Frame<'_>, ImageError> {
    let (_, at) = screen(bytes)?;
    frame_from(bytes, at)?.ok_or_else(|| broken("it has no frame"))
}

/// Where the first frame of a file begins to be looked for.
#[cfg(feature = "batch")]
pub(crate) fn begin(bytes: &[u8]) -> Result<usize, ImageError> {
    Ok(screen(bytes)?.1)
}

/// The frame from `at` on, and where the next is looked for; None at the end.
#[cfg(feature = "batch")]
pub(crate) fn next(bytes: &[u8], at: usize) -> Result<Option<Frame<'_>>, ImageError> {
    frame_from(bytes, at)
}

impl Frame<'_> {
    /// Whether its bytes can hold its pixels.
    #[cfg(feature = "batch")]
    pub(crate) fn is_plausible(&self) -> bool {
        (self.rows as u64 * self.columns as u64) <= PIXELS_PER_BYTE.saturating_mul(self.data.len() as u64)
    }

    /// Its pixels, and how many bytes follow the frame.
    pub(crate) fn pixels(&self) -> Result<(Pixels, usize), ImageError> {
        let n = self.rows * self.columns;
        let mut indices = room(n)?;
        indices.resize(n, 0);
        let (found, rest) = unpack(self.data, &mut indices)?;
        if n > 0 && found == 0 {
            return Err(broken("none of its pixels can be decoded"));
        }
        let (mut rgb, mut opaque) = (room(n * 3)?, Vec::new());
        rgb.resize(n * 3, 0);
        opaque.try_reserve_exact(n).map_err(|_| ImageError::Memory { needed: n as u64 })?;
        opaque.resize(n, false);
        let order: Vec<usize> = if self.interlaced {
            let passes = [(0, 8), (4, 8), (2, 4), (1, 2)];
            passes.into_iter().flat_map(|(from, step)| (from..self.rows).step_by(step)).collect()
        } else {
            (0..self.rows).collect()
        };
        let mut beyond = false;
        for (row, y) in indices[..found].chunks(self.columns.max(1)).zip(order) {
            for (at, &index) in (y * self.columns..).zip(row) {
                let color = 3 * usize::from(index);
                match self.palette.get(color..color + 3) {
                    _ if self.transparent == Some(index) => {}
                    Some(color) => {
                        rgb[3 * at..3 * at + 3].copy_from_slice(color);
                        opaque[at] = true;
                    }
                    None => {
                        beyond = true;
                        opaque[at] = true;
                    }
                }
            }
        }
        let damage = match (found < n, beyond) {
            (true, _) => Some(format!("{} of {n} pixels are missing", n - found)),
            (_, true) => Some("some pixels have colors that its palette does not have".to_owned()),
            _ => None,
        };
        Ok((Pixels { rgb, opaque, damage }, rest.len()))
    }
}

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let frame = frame(bytes)?;
    Ok(Header { height: frame.height, width: frame.width, bytes_per_pixel: 15, pixels_per_byte: PIXELS_PER_BYTE })
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let frame = frame(bytes)?;
    let (own, rest) = frame.pixels()?;
    let pixels = frame.height * frame.width;
    let (mut data, mut alpha) = (room(pixels * 3)?, room(pixels)?);
    data.resize(pixels * 3, 0);
    alpha.resize(pixels, 0);
    for at in (0..own.opaque.len()).filter(|&at| own.opaque[at]) {
        let to = (frame.top + at / frame.columns) * frame.width + frame.left + at % frame.columns;
        data[3 * to..3 * to + 3].copy_from_slice(&own.rgb[3 * at..3 * at + 3]);
        alpha[to] = 255;
    }
    let mut picture = Picture { alpha: Some(alpha), ..Picture::new(frame.height, frame.width, Channels::Rgb, data) };
    if let Some(damage) = own.damage {
        picture.damaged(damage);
    }
    if is_followed(&bytes[bytes.len() - rest..]) {
        picture.notes.push("it is an animation: its first frame was taken".to_owned());
    }
    Ok(picture)
}

/// How many pixels were found, and what comes after the frame.
fn unpack<'a>(data: &'a [u8], indices: &mut [u8]) -> Result<(usize, &'a [u8]), ImageError> {
    let (&size, mut rest) = data.split_first().ok_or_else(|| broken("it ends before its pixels"))?;
    if !(1..=11).contains(&size) {
        return Err(broken("its codes have a size that GIF does not know"));
    }
    let mut decoder = Decoder::new(BitOrder::Lsb, size);
    let (mut found, mut stopped) = (0, false);
    while let Some((&length, after)) = rest.split_first() {
        if length == 0 {
            rest = after;
            break;
        }
        let (mut block, next) = after.split_at(usize::from(length).min(after.len()));
        rest = next;
        while !stopped && !block.is_empty() && found < indices.len() {
            let result = decoder.decode_bytes(block, &mut indices[found..]);
            block = &block[result.consumed_in..];
            found += result.consumed_out;
            stopped = !matches!(result.status, Ok(weezl::LzwStatus::Ok)) || (result.consumed_in == 0 && result.consumed_out == 0);
        }
    }
    // Codes that are complete, but wait in the decoder for room.
    while !stopped && found < indices.len() {
        let result = decoder.decode_bytes(&[], &mut indices[found..]);
        found += result.consumed_out;
        stopped = result.status.is_err() || result.consumed_out == 0;
    }
    Ok((found, rest))
}

/// Whether another frame follows.
fn is_followed(mut rest: &[u8]) -> bool {
    loop {
        match rest {
            [0x2c, ..] => return true,
            [0x21, _, blocks @ ..] => {
                rest = blocks;
                while let Some((&length, after)) = rest.split_first() {
                    rest = after.get(usize::from(length)..).unwrap_or_default();
                    if length == 0 {
                        break;
                    }
                }
            }
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image of two colors: its screen, blocks before the frame, the frame's place, flags and indices.
    fn gif(screen: [u8; 2], blocks: &[u8], [left, top, columns, rows]: [u8; 4], flags: u8, indices: &[u8]) -> Vec<u8> {
        let mut out = [b"GIF89a", &[screen[1], 0, screen[0], 0, 0x80, 0, 0, 10, 20, 30, 40, 50, 60][..], blocks].concat();
        out.extend([0x2c, left, 0, top, 0, columns, 0, rows, 0, flags, 2]);
        let packed = weezl::encode::Encoder::new(BitOrder::Lsb, 2).encode(indices).unwrap();
        out.push(packed.len() as u8);
        out.extend(packed);
        out.extend([0, 0x3b]);
        out
    }

    #[test]
    fn the_first_frame_lies_on_its_screen() {
        let extensions = [0x21, 0xfe, 2, b'h', b'i', 0, 0x21, 0xf9, 4, 1, 0, 0, 1, 0];
        let picture = decode(&gif([2, 3], &extensions, [1, 0, 2, 2], 0, &[0, 1, 0, 0])).unwrap();
        assert_eq!((picture.height, picture.width), (2, 3));
        // Around the frame and where it has the transparent color nothing is seen.
        assert_eq!(picture.alpha.unwrap(), [0, 255, 0, 0, 255, 255]);
        assert_eq!(picture.data[3..6], [10, 20, 30]);
        // A frame that is larger than its screen.
        let picture = decode(&gif([1, 1], &[], [0, 0, 2, 2], 0, &[0, 1, 1, 0])).unwrap();
        assert_eq!((picture.height, picture.width, picture.damage), (2, 2, None));
        assert_eq!(picture.data, [10, 20, 30, 40, 50, 60, 40, 50, 60, 10, 20, 30]);
    }

    #[test]
    fn rows_in_four_passes_and_what_is_missing() {
        let rows: Vec<u8> = (0..9).map(|y| u8::from(y % 4 == 0)).collect();
        let stored: Vec<u8> = [0, 8, 4, 2, 6, 1, 3, 5, 7].map(|y: usize| rows[y]).to_vec();
        let picture = decode(&gif([9, 1], &[], [0, 0, 1, 9], 0x40, &stored)).unwrap();
        let seen: Vec<u8> = picture.data.chunks(3).map(|c| u8::from(c[0] == 40)).collect();
        assert_eq!(seen, rows);
        let picture = decode(&gif([9, 1], &[], [0, 0, 1, 9], 0, &stored[..5])).unwrap();
        assert_eq!(picture.damage.unwrap(), "4 of 9 pixels are missing");
        let picture = decode(&gif([1, 1], &[], [0, 0, 1, 1], 0, &[3])).unwrap();
        assert!(picture.damage.unwrap().contains("palette"));
        assert!(matches!(decode(b"GIF89a\x01\0\x01\0\0\0\0\x3b"), Err(ImageError::Broken(_))));
    }
}
