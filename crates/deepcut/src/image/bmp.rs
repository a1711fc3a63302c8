//! Windows and OS/2 bitmaps: every header from 12 to 124 bytes, 1 to 32 bits, bit fields, run lengths of 4, 8 and 24 bits.
//!
//! An alpha channel that is zero everywhere was never filled in: such a picture is opaque.

use super::picture::{Channels, Header, Picture, Space, room};
use super::{ImageError, profile};

/// A file that was cut short to less than this share of its pixels is refused before anything is reserved.
const SLACK: u64 = 64;
/// Pixels that a byte of run lengths may stand for, steps over undrawn ones included.
const RUN_PIXELS_PER_BYTE: u64 = 1 << 13;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Plain,
    /// Run lengths of indices, or of three bytes.
    Runs,
}

#[derive(Debug)]
struct Head {
    height: usize,
    width: usize,
    top_down: bool,
    bits: usize,
    coding: Coding,
    /// Bits of red, green, blue and alpha in a pixel of 16 or 32 bits.
    masks: [u32; 4],
    /// Bytes of a palette's entry, and where it begins and ends.
    entry: usize,
    palette: std::ops::Range<usize>,
    start: usize,
    icc: Option<std::ops::Range<usize>>,
    calibrated: bool,
}

fn broken(what: &str) -> ImageError {
    ImageError::Broken(what.to_owned())
}

fn unsupported(what: &str) -> ImageError {
    ImageError::Unsupported(format!("a BMP {what}; convert it first: magick in.bmp out.png"))
}

fn head(bytes: &[u8]) -> Result<Head, ImageError> {
    let cut = || broken("it ends before its header");
    let short = |at: usize| bytes.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]])).ok_or_else(cut);
    let long = |at: usize| bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).ok_or_else(cut);
    let size = long(14)? as usize;
    let known = matches!(size, 12 | 16 | 40 | 52 | 56 | 64 | 108 | 124);
    if !known {
        return Err(unsupported(&format!("whose header has {size} bytes")));
    }
    let core = size == 12;
    let (width, height, bits) = if core {
        (i64::from(short(18)?), i64::from(short(20)?), short(24)?)
    } else {
        (i64::from(long(18)? as i32), i64::from(long(22)? as i32), short(28)?)
    };
    let compression = if size < 40 { 0 } else { long(30)? };
    let os2 = size == 64;
    let bits = usize::from(bits);
    let coding = match (compression, bits) {
        (0, 1 | 2 | 4 | 8 | 16 | 24 | 32) | (3 | 6, 16 | 32) if !(os2 && compression == 3) => Coding::Plain,
        (1, 8) | (2, 4) => Coding::Runs,
        (4, 24) if os2 => Coding::Runs,
        (3, 1) if os2 => return Err(unsupported("packed as a fax (Huffman 1D)")),
        (4, _) => return Err(unsupported("that wraps a JPEG")),
        (5, _) => return Err(unsupported("that wraps a PNG")),
        (11..=13, _) => return Err(unsupported("of inks (CMYK)")),
        _ => return Err(unsupported(&format!("of {bits} bits with compression {compression}"))),
    };
    let top_down = height < 0;
    if width < 0 || (top_down && coding == Coding::Runs) {
        return Err(broken("its header has a size that BMP does not know"));
    }
    let after = 14 + size;
    // A header of 40 bytes is followed by the masks, the longer ones have them within.
    let fields = coding == Coding::Plain && matches!(compression, 3 | 6);
    let extra = if fields && size == 40 { if compression == 6 { 16 } else { 12 } } else { 0 };
    let mask = |i: usize| long(54 + 4 * i);
    let masks = match (fields, bits) {
        (true, _) => [mask(0)?, mask(1)?, mask(2)?, if size >= 56 || compression == 6 { mask(3)? } else { 0 }],
        (false, 16) => [0x7c00, 0x3e0, 0x1f, 0],
        _ => [0xff_0000, 0xff00, 0xff, 0],
    };
    if fields && masks[..3].iter().any(|&mask| !is_contiguous(mask) || mask == 0) || !is_contiguous(masks[3]) {
        return Err(unsupported("whose bit fields have holes"));
    }
    let entry = if core { 3 } else { 4 };
    let used = if size < 40 { 0 } else { long(46)? as usize };
    let begin = after + extra;
    let palette = if bits <= 8 {
        let full = 1 << bits;
        let count = if used == 0 || used > full { full } else { used };
        let offset = long(10)? as usize;
        // The pixels may begin where the palette should go on.
        let end = (begin + count * entry).min(if offset > begin { offset } else { usize::MAX });
        begin..end
    } else {
        begin..begin
    };
    let offset = long(10)? as usize;
    let start = if offset < begin { palette.end } else { offset };
    let (mut icc, mut calibrated) = (None, false);
    if size >= 108 {
        let kind = long(14 + 56)?;
        calibrated = kind == 0 && (0..9).any(|i| long(14 + 60 + 4 * i).is_ok_and(|v| v != 0));
        if size == 124 && kind == u32::from_be_bytes(*b"MBED") {
            let (at, length) = (long(14 + 112)? as usize, long(14 + 116)? as usize);
            icc = Some(at.saturating_add(14)..at.saturating_add(14).saturating_add(length));
        }
    }
    let (height, width) = (height.unsigned_abs() as usize, width as usize);
    Ok(Head { height, width, top_down, bits, coding, masks, entry, palette, start, icc, calibrated })
}

fn is_contiguous(mask: u32) -> bool {
    let shifted = mask.checked_shr(mask.trailing_zeros()).unwrap_or(0);
    shifted & shifted.wrapping_add(1) == 0
}

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let head = head(bytes)?;
    let pixels_per_byte = if head.coding == Coding::Plain { (8 * SLACK).div_ceil(head.bits as u64) } else { RUN_PIXELS_PER_BYTE };
    Ok(Header { height: head.height, width: head.width, bytes_per_pixel: 15, pixels_per_byte })
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let head = head(bytes)?;
    let Head { height, width, bits, .. } = head;
    let pixels = height * width;
    let data = bytes.get(head.start..).ok_or_else(|| broken("it ends before its pixels"))?;
    let mut rgb = room(pixels * 3)?;
    rgb.resize(pixels * 3, 0);
    let mut alpha = Vec::new();
    if head.masks[3] != 0 && bits > 8 {
        alpha = room(pixels)?;
        alpha.resize(pixels, 0);
    }
    let palette = bytes.get(head.palette.clone()).ok_or_else(|| broken("it ends before its pixels"))?;
    let color = |index: usize| palette.get(index * head.entry..index * head.entry + 3).map(|bgr| [bgr[2], bgr[1], bgr[0]]);
    let row_of = |line: usize| if head.top_down { line } else { height - 1 - line };
    let (mut missing, mut beyond) = (0, false);
    if head.coding == Coding::Runs {
        let size = if bits == 24 { 3 } else { 1 };
        let mut drawn = room(pixels * size)?;
        drawn.resize(pixels * size, 0);
        missing = runs(data, bits, (height, width), &mut drawn);
        for (line, row) in drawn.chunks_exact(width * size).enumerate() {
            let out = rgb[row_of(line) * width * 3..].chunks_exact_mut(3);
            for (pixel, out) in row.chunks_exact(size).zip(out) {
                let found = if size == 3 { Some([pixel[2], pixel[1], pixel[0]]) } else { color(usize::from(pixel[0])) };
                beyond |= found.is_none();
                out.copy_from_slice(&found.unwrap_or_default());
            }
        }
    } else {
        let stride = (width * bits).div_ceil(32) * 4;
        let fields = head.masks.map(|mask| (mask, mask.trailing_zeros().min(31), mask.count_ones()));
        let scaled = |pixel: u32, (mask, shift, ones): (u32, u32, u32)| {
            let (value, most) = (u64::from((pixel & mask) >> shift), (1_u64 << ones) - 1);
            ((value * 255 + most / 2) / most.max(1)) as u8
        };
        for line in 0..height {
            let source = data.get(line * stride..).unwrap_or_default();
            let there = (source.len() * 8 / bits).min(width);
            missing += width - there;
            let row = row_of(line) * width;
            let out = rgb[row * 3..(row + there) * 3].chunks_exact_mut(3);
            match bits {
                24 => source.chunks_exact(3).zip(out).for_each(|(bgr, out)| out.copy_from_slice(&[bgr[2], bgr[1], bgr[0]])),
                16 | 32 => {
                    for (x, (bytes, out)) in source.chunks_exact(bits / 8).zip(out).enumerate() {
                        let pixel = bytes.iter().rev().fold(0, |value, &b| value << 8 | u32::from(b));
                        (0..3).for_each(|c| out[c] = scaled(pixel, fields[c]));
                        if let Some(alpha) = alpha.get_mut(row + x) {
                            *alpha = scaled(pixel, fields[3]);
                        }
                    }
                }
                _ => {
                    for (x, out) in out.enumerate() {
                        let index = source[x * bits / 8] >> (8 - bits - x * bits % 8) & (0xff >> (8 - bits)) as u8;
                        let found = color(usize::from(index));
                        beyond |= found.is_none();
                        out.copy_from_slice(&found.unwrap_or_default());
                    }
                }
            }
        }
    }
    if missing == pixels {
        return Err(broken("it ends before its pixels"));
    }
    let mut picture = Picture::new(height, width, Channels::Rgb, rgb);
    picture.alpha = Some(alpha).filter(|alpha| alpha.iter().any(|&a| a > 0));
    if missing > 0 {
        picture.damaged(format!("{missing} of {pixels} pixels are missing"));
    }
    if beyond {
        picture.damaged("some pixels have colors that its palette does not have");
    }
    if head.calibrated {
        picture.notes.push("its calibrated colors were taken as sRGB".to_owned());
    }
    if let Some(icc) = head.icc.and_then(|range| bytes.get(range)).filter(|icc| icc.len() <= profile::MAX_BYTES) {
        picture.space = Space::Icc(icc.to_vec());
    }
    Ok(picture)
}

/// Run lengths into indices, or into three bytes a pixel, lines from below; returns how many pixels come after a missing end.
fn runs(data: &[u8], bits: usize, (height, width): (usize, usize), out: &mut [u8]) -> usize {
    let size = if bits == 24 { 3 } else { 1 };
    let (mut x, mut y, mut at) = (0, 0, 0);
    let mut put = |x: &mut usize, y: usize, pixel: &[u8]| {
        if *x < width && y < height {
            let to = (y * width + *x) * size;
            out[to..to + size].copy_from_slice(&pixel[..size]);
        }
        *x += 1;
    };
    let nibble = |byte: u8, i: usize| if i % 2 == 0 { byte >> 4 } else { byte & 15 };
    while let (Some(&count), true) = (data.get(at), y < height) {
        let Some(&value) = data.get(at + 1) else { break };
        at += 2;
        match (count, value) {
            (0, 0) => (x, y) = (0, y + 1),
            (0, 1) => return 0,
            (0, 2) => {
                let Some(&[right, up]) = data.get(at..at + 2) else { break };
                (x, y, at) = (x + usize::from(right), y + usize::from(up), at + 2);
            }
            (0, count) => {
                let count = usize::from(count);
                let bytes = (count * bits).div_ceil(8);
                let source = &data[at.min(data.len())..(at + bytes).min(data.len())];
                for i in 0..count.min(source.len() * 8 / bits) {
                    match bits {
                        4 => put(&mut x, y, &[nibble(source[i / 2], i)]),
                        _ => put(&mut x, y, &source[i * size..]),
                    }
                }
                at += bytes.next_multiple_of(2);
            }
            (count, value) => {
                let pixel = if bits == 24 { data.get(at - 1..at + 2).unwrap_or(&[0; 3]) } else { &[value] };
                for i in 0..usize::from(count) {
                    if bits == 4 { put(&mut x, y, &[nibble(value, i)]) } else { put(&mut x, y, pixel) }
                }
                at += size - 1;
            }
        }
    }
    // The last line needs no end.
    let left = (height - y.min(height)) * width;
    left.saturating_sub(x)
}
