//! GIF89a and GIF87a: the first frame, where it lies on the logical screen; what it does not cover is transparent.
//!
//! Blocks are read here and LZW is unpacked by `weezl`. A frame that reaches beyond the screen makes it larger, as in browsers.

use super::ImageError;
use super::picture::{Channels, Header, Picture, room};
use weezl::BitOrder;
use weezl::decode::Decoder;

/// A code of twelve bits stands for at most 4,096 pixels.
const PIXELS_PER_BYTE: u64 = 2731;

struct Frame<'a> {
    /// Of the whole image.
    height: usize,
    width: usize,
    /// Of the frame in it.
    top: usize,
    left: usize,
    rows: usize,
    columns: usize,
    interlaced: bool,
    palette: &'a [u8],
    transparent: Option<u8>,
    /// From the size of the first code on.
    data: &'a [u8],
}

fn broken(what: &str) -> ImageError {
    ImageError::Broken(what.to_owned())
}

fn frame(bytes: &[u8]) -> Result<Frame<'_>, ImageError> {
    let cut = || broken("it ends before its first frame");
    let screen = bytes.get(6..13).ok_or_else(cut)?;
    let short = |b: &[u8], i: usize| usize::from(u16::from_le_bytes([b[i], b[i + 1]]));
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut at = 13;
    let mut palette = bytes.get(at..at + table(screen[4])).ok_or_else(cut)?;
    at += palette.len();
    let mut transparent = None;
    loop {
        match *bytes.get(at).ok_or_else(cut)? {
            0x21 => {
                let label = *bytes.get(at + 1).ok_or_else(cut)?;
                at += 2;
                if let (0xf9, Some(&[_, flags, _, _, index])) = (label, bytes.get(at..at + 5)) {
                    transparent = (flags & 1 == 1).then_some(index);
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
                return Ok(Frame { height, width, top, left, rows, columns, interlaced, palette, transparent, data });
            }
            0x3b => return Err(broken("it has no frame")),
            // Bytes between blocks are met in files that every program shows.
            0 => at += 1,
            _ => return Err(broken("it has a block that GIF does not know")),
        }
    }
}

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let frame = frame(bytes)?;
    Ok(Header { height: frame.height, width: frame.width, bytes_per_pixel: 15, pixels_per_byte: PIXELS_PER_BYTE })
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let frame = frame(bytes)?;
    let n = frame.rows * frame.columns;
    let mut indices = room(n)?;
    indices.resize(n, 0);
    let (found, rest) = unpack(frame.data, &mut indices)?;
    if n > 0 && found == 0 {
        return Err(broken("none of its pixels can be decoded"));
    }

    let pixels = frame.height * frame.width;
    let (mut data, mut alpha) = (room(pixels * 3)?, room(pixels)?);
    data.resize(pixels * 3, 0);
    alpha.resize(pixels, 0);
    let order: Vec<usize> = if frame.interlaced {
        [(0, 8), (4, 8), (2, 4), (1, 2)].into_iter().flat_map(|(from, step)| (from..frame.rows).step_by(step)).collect()
    } else {
        (0..frame.rows).collect()
    };
    let mut beyond = false;
    for (row, y) in indices[..found].chunks(frame.columns.max(1)).zip(order) {
        let start = (frame.top + y) * frame.width + frame.left;
        for (at, &index) in (start..).zip(row) {
            let color = 3 * usize::from(index);
            match frame.palette.get(color..color + 3) {
                _ if frame.transparent == Some(index) => {}
                Some(color) => {
                    data[3 * at..3 * at + 3].copy_from_slice(color);
                    alpha[at] = 255;
                }
                None => {
                    beyond = true;
                    alpha[at] = 255;
                }
            }
        }
    }
    let mut picture = Picture { alpha: Some(alpha), ..Picture::new(frame.height, frame.width, Channels::Rgb, data) };
    if found < n {
        picture.damaged(format!("{} of {n} pixels are missing", n - found));
    }
    if beyond {
        picture.damaged("some pixels have colors that its palette does not have");
    }
    if is_followed(rest) {
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

    /// An image of two colours: its screen, blocks before the frame, the frame's place, flags and indices.
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
        // Around the frame and where it has the transparent colour nothing is seen.
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
