//! Windows and OS/2 bitmaps: every header from 12 to 124 bytes, 1 to 32 bits, bit fields, run lengths of 4, 8 and 24 bits.
//!
//! An alpha channel that is zero everywhere was never filled in: such an image is opaque.

use super::ImageError;
use super::picture::{Channels, Header, Picture, Space, room};

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
    /// Whether the profile lies in another file.
    linked: bool,
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
    let (mut icc, mut calibrated, mut linked) = (None, false, false);
    if size >= 108 {
        let kind = long(14 + 56)?;
        linked = size == 124 && kind == u32::from_be_bytes(*b"LINK");
        calibrated = kind == 0 && (0..9).any(|i| long(14 + 60 + 4 * i).is_ok_and(|v| v != 0));
        if size == 124 && kind == u32::from_be_bytes(*b"MBED") {
            let (at, length) = (long(14 + 112)? as usize, long(14 + 116)? as usize);
            icc = Some(at.saturating_add(14)..at.saturating_add(14).saturating_add(length));
        }
    }
    let (height, width) = (height.unsigned_abs() as usize, width as usize);
    Ok(Head { height, width, top_down, bits, coding, masks, entry, palette, start, icc, calibrated, linked })
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
    let colors: Vec<[u8; 3]> = palette.chunks_exact(head.entry).map(|bgr| [bgr[2], bgr[1], bgr[0]]).collect();
    let color = |index: usize| colors.get(index).copied();
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
    if head.linked {
        picture.notes.push("its color profile is another file and was ignored".to_owned());
    }
    if head.calibrated {
        picture.notes.push("its calibrated colors were taken as sRGB".to_owned());
    }
    if let Some(range) = head.icc {
        // What lies beyond the end is no profile, which is noted later.
        picture.space = Space::icc(bytes.get(range).unwrap_or_default());
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
    let nibble = |byte: u8, i: usize| if i.is_multiple_of(2) { byte >> 4 } else { byte & 15 };
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of so many bytes; `more` follows its first forty, `rest` are palette and pixels.
    fn bmp(size: u32, (height, width): (i32, i32), bits: u16, compression: u32, more: &[u8], rest: &[u8]) -> Vec<u8> {
        let mut out = [b"BM", &[0; 8][..], &0_u32.to_le_bytes(), &size.to_le_bytes()].concat();
        out.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
        out.extend([&[1, 0][..], &bits.to_le_bytes(), &compression.to_le_bytes(), &[0; 20]].concat());
        out.extend(more);
        out.resize(out.len().max(14 + size as usize), 0);
        out.extend(rest);
        out
    }

    /// Black, red, green, blue, and black.
    fn palette(entries: usize) -> Vec<u8> {
        let mut all = vec![0, 0, 0, 0, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0];
        all.resize(entries * 4, 0);
        all
    }

    #[test]
    fn lines_from_above_and_from_below() {
        let pixels = [1, 2, 3, 4, 5, 6, 0, 0, 7, 8, 9, 10, 11, 12, 0, 0];
        let below = decode(&bmp(40, (2, 2), 24, 0, &[], &pixels)).unwrap();
        assert_eq!(below.data, [9, 8, 7, 12, 11, 10, 3, 2, 1, 6, 5, 4]);
        let above = decode(&bmp(40, (-2, 2), 24, 0, &[], &pixels)).unwrap();
        assert_eq!(above.data, [3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10]);
        // A line is missing.
        let cut = decode(&bmp(40, (2, 2), 24, 0, &[], &pixels[..8])).unwrap();
        assert_eq!(cut.damage.unwrap(), "2 of 4 pixels are missing");
    }

    #[test]
    fn alpha_that_is_zero_everywhere_was_never_filled_in() {
        let masks = [0xff_0000_u32, 0xff00, 0xff, 0xff00_0000].map(u32::to_le_bytes).concat();
        let opaque = decode(&bmp(124, (1, 2), 32, 3, &masks, &[1, 2, 3, 0, 4, 5, 6, 0])).unwrap();
        assert_eq!((opaque.alpha, opaque.data), (None, vec![3, 2, 1, 6, 5, 4]));
        let clear = decode(&bmp(124, (1, 2), 32, 3, &masks, &[1, 2, 3, 0, 4, 5, 6, 9])).unwrap();
        assert_eq!(clear.alpha.unwrap(), [0, 9]);
        // Without bit fields the fourth byte means nothing.
        let plain = decode(&bmp(40, (1, 1), 32, 0, &[], &[1, 2, 3, 77])).unwrap();
        assert_eq!((plain.alpha, plain.data), (None, vec![3, 2, 1]));
    }

    #[test]
    fn bit_fields_of_any_width() {
        let masks = [0xf800_u32, 0x7e0, 0x1f].map(u32::to_le_bytes).concat();
        let picture = decode(&bmp(40, (1, 2), 16, 3, &masks, &[0, 0xf8, 0xe0, 0x07])).unwrap();
        assert_eq!(picture.data, [255, 0, 0, 0, 255, 0]);
        let ten = [0x3ff0_0000_u32, 0xf_fc00, 0x3ff].map(u32::to_le_bytes).concat();
        let value = (0x3ff_u32 << 20 | 0x200 << 10).to_le_bytes();
        assert_eq!(decode(&bmp(40, (1, 1), 32, 3, &ten, &value)).unwrap().data, [255, 128, 0]);
        let holes = [0xf80f_u32, 0x7e0, 0x10].map(u32::to_le_bytes).concat();
        assert!(matches!(decode(&bmp(40, (1, 1), 16, 3, &holes, &[0; 4])), Err(ImageError::Unsupported(_))));
    }

    #[test]
    fn run_lengths_with_steps_and_literal_runs() {
        let indices = |bits: u16, compression: u32, runs: &[u8]| {
            let data = [palette(1 << bits), runs.to_vec()].concat();
            let picture = decode(&bmp(40, (2, 4), bits, compression, &[], &data)).unwrap();
            let index = |c: &[u8]| match c {
                [255, ..] => 1,
                [_, 255, _] => 2,
                [.., 255] => 3,
                _ => 0,
            };
            (picture.data.chunks(3).map(index).collect::<Vec<u8>>(), picture.damage)
        };
        // Two of index 1, a new line, three literal indices (padded), the end.
        assert_eq!(indices(8, 1, &[2, 1, 0, 0, 0, 3, 2, 3, 1, 0, 0, 1]), (vec![2, 3, 1, 0, 1, 1, 0, 0], None));
        // One of index 1, a step right and up, one of index 3.
        assert_eq!(indices(8, 1, &[1, 1, 0, 2, 1, 1, 1, 3, 0, 1]), (vec![0, 0, 3, 0, 1, 0, 0, 0], None));
        assert_eq!(indices(4, 2, &[3, 0x12, 0, 0, 0, 3, 0x21, 0x30, 0, 1]), (vec![2, 1, 3, 0, 1, 2, 1, 0], None));
        let (_, damage) = indices(8, 1, &[4, 1, 0, 0, 2, 1]);
        assert_eq!(damage.unwrap(), "2 of 8 pixels are missing");
    }

    #[test]
    fn the_oldest_header_and_what_is_refused() {
        let mut core = [b"BM", &[0; 8][..], &0_u32.to_le_bytes(), &12_u32.to_le_bytes(), &[2, 0, 1, 0, 1, 0, 1, 0]].concat();
        core.extend([0, 0, 0, 30, 20, 10, 0b0100_0000, 0, 0, 0]);
        assert_eq!(decode(&core).unwrap().data, [0, 0, 0, 10, 20, 30]);
        let refused = [(40, 0, 4, "JPEG"), (40, 0, 5, "PNG"), (64, 1, 3, "Huffman"), (40, 32, 11, "CMYK"), (41, 8, 0, "41")];
        for (size, bits, compression, words) in refused {
            let error = decode(&bmp(size, (1, 1), bits, compression, &[], &[0; 64])).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
