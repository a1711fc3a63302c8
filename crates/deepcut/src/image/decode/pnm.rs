//! Netpbm: PBM, PGM and PPM as text or bytes (P1 to P6), and PAM (P7), of any greatest value up to 65,535.

use super::picture::{Channels, Header, Picture, room};
use super::{ImageError, depth};

/// A file that was cut short to less than this share of its pixels is refused before anything is reserved.
const SLACK: u64 = 64;

#[derive(Debug, Clone, Copy)]
struct Head {
    height: usize,
    width: usize,
    samples: usize,
    alpha: bool,
    most: u32,
    text: bool,
    /// One bit a pixel, 1 is black.
    bits: bool,
    /// Where the pixels begin.
    start: usize,
}

fn broken(what: &str) -> ImageError {
    ImageError::Broken(what.to_owned())
}

/// Words between blanks; `#` begins a comment.
struct Words<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Words<'_> {
    fn blank(&mut self) {
        while let Some(&b) = self.bytes.get(self.at) {
            match b {
                b'#' => self.at += self.bytes[self.at..].iter().take_while(|&&b| b != b'\n' && b != b'\r').count(),
                b if b.is_ascii_whitespace() || b == 0x0b => self.at += 1,
                _ => break,
            }
        }
    }

    fn number(&mut self) -> Option<u32> {
        self.blank();
        let rest = self.bytes.get(self.at..)?;
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let value = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        self.at += digits;
        Some(value)
    }
}

fn head(bytes: &[u8]) -> Result<Head, ImageError> {
    let kind = *bytes.get(1).ok_or_else(|| broken("it ends before its header"))?;
    if kind == b'7' {
        return pam(bytes);
    }
    let mut words = Words { bytes, at: 2 };
    let mut number = || words.number().ok_or_else(|| broken("its header is wrong"));
    let (width, height) = (number()? as usize, number()? as usize);
    let bits = matches!(kind, b'1' | b'4');
    let most = if bits { 1 } else { number()? };
    if !(1..=65_535).contains(&most) {
        return Err(broken("its greatest value is not between 1 and 65535"));
    }
    // A single blank ends the header of bytes.
    let start = words.at + 1;
    let samples = if matches!(kind, b'3' | b'6') { 3 } else { 1 };
    Ok(Head { height, width, samples, alpha: false, most, text: kind < b'4', bits, start })
}

fn pam(bytes: &[u8]) -> Result<Head, ImageError> {
    let (mut height, mut width, mut depth, mut most, mut kind) = (None, None, None, None, String::new());
    let mut at = 2;
    loop {
        let line = bytes.get(at..).unwrap_or_default();
        let end = line.iter().take(4096).position(|&b| b == b'\n').ok_or_else(|| broken("its header has no end"))?;
        let line = String::from_utf8_lossy(&line[..end]);
        at += end + 1;
        let (name, value) = line.trim().split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((line.trim(), ""));
        let value = value.trim();
        match name {
            "ENDHDR" => break,
            "HEIGHT" => height = value.parse().ok(),
            "WIDTH" => width = value.parse().ok(),
            "DEPTH" => depth = value.parse().ok(),
            "MAXVAL" => most = value.parse().ok().filter(|most| (1..=65_535).contains(most)),
            // Further lines of it are joined by a blank.
            "TUPLTYPE" => kind = format!("{kind} {value}").trim().to_owned(),
            _ => {}
        }
    }
    let (Some(height), Some(width), Some(depth), Some(most)) = (height, width, depth, most) else {
        return Err(broken("its header is wrong"));
    };
    let (samples, alpha) = match (&*kind, depth) {
        ("BLACKANDWHITE" | "GRAYSCALE", 1) => (1, false),
        ("BLACKANDWHITE_ALPHA" | "GRAYSCALE_ALPHA", 2) => (1, true),
        ("RGB", 3) => (3, false),
        ("RGB_ALPHA", 4) => (3, true),
        ("CMYK", 4) => (4, false),
        ("CMYK_ALPHA", 5) => (4, true),
        // Without a name, as Netpbm's own programs take it.
        ("", 1) => (1, false),
        ("", 3) => (3, false),
        _ => {
            let text = format!(
                "a PAM of the kind {kind:?} with {depth} channels; choose its colors first: pamchannel in.pam 0 1 2 > out.pam"
            );
            return Err(ImageError::Unsupported(text));
        }
    };
    Ok(Head { height, width, samples, alpha, most, text: false, bits: false, start: at })
}

impl Head {
    /// Bytes of a row, not of text.
    fn row_bytes(&self) -> usize {
        if self.bits { self.width.div_ceil(8) } else { self.row_samples().saturating_mul(if self.most > 255 { 2 } else { 1 }) }
    }

    fn row_samples(&self) -> usize {
        self.width.saturating_mul(self.samples + usize::from(self.alpha))
    }
}

pub(super) fn header(bytes: &[u8]) -> Result<Header, ImageError> {
    let head = head(bytes)?;
    let per_byte = if head.bits { 8 } else { 1 };
    Ok(Header { height: head.height, width: head.width, bytes_per_pixel: 15, pixels_per_byte: per_byte * SLACK })
}

pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let head = head(bytes)?;
    let Head { height, width, samples, alpha, most, .. } = head;
    let n = height * head.row_samples();
    let mut values = room(n)?;
    let data = bytes.get(head.start..).unwrap_or_default();
    // Writers of 16 bits state 65,535 whatever the camera had.
    let unused = (!head.text && most == 65_535)
        .then(|| data.chunks_exact(2).take(n).map(|two| u16::from_be_bytes([two[0], two[1]])).max().and_then(depth::unused_bits))
        .flatten();
    let full = unused.as_ref().map_or(most, |(full, _)| u32::from(*full));
    let scale = |value: u32| ((value * 255 + full / 2) / full) as u8;
    let mut beyond = false;
    if head.text {
        let mut words = Words { bytes, at: head.start };
        while values.len() < n {
            let value = if head.bits {
                // Digits need no blanks between them.
                words.blank();
                words.at += 1;
                match bytes.get(words.at - 1) {
                    Some(b'0') => Some(1),
                    Some(b'1') => Some(0),
                    _ => None,
                }
            } else {
                words.number()
            };
            let Some(value) = value else { break };
            beyond |= value > most;
            values.push(scale(value.min(most)));
        }
    } else {
        for row in data.chunks(head.row_bytes().max(1)).take(height) {
            if head.bits {
                values.extend((0..width.min(row.len() * 8)).map(|x| if row[x / 8] >> (7 - x % 8) & 1 == 1 { 0 } else { 255 }));
            } else if most == 255 {
                values.extend_from_slice(row);
            } else if most < 256 {
                beyond |= row.iter().any(|&v| u32::from(v) > most);
                values.extend(row.iter().map(|&v| scale(u32::from(v).min(most))));
            } else {
                let wide = || row.chunks_exact(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]])));
                beyond |= wide().any(|v| v > most);
                values.extend(wide().map(|v| scale(v.min(most))));
            }
        }
    }
    let found = values.len();
    if found == 0 {
        return Err(broken("it has no pixels"));
    }
    values.resize(n, 0);
    let channels = match samples {
        1 => Channels::Gray,
        3 => Channels::Rgb,
        _ => Channels::Cmyk,
    };
    let mut picture =
        if alpha { Picture::with_alpha(height, width, channels, &values) } else { Picture::new(height, width, channels, values) };
    picture.notes.extend(unused.map(|(_, note)| note));
    if found < n {
        picture.damaged(format!("{} of {n} values are missing", n - found));
    }
    if beyond {
        picture.damaged(format!("some values are beyond {most}, the greatest that its header allows"));
    }
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(bytes: &[u8]) -> Vec<u8> {
        let picture = decode(bytes).unwrap();
        assert_eq!(picture.damage, None);
        picture.data
    }

    #[test]
    fn text_and_bytes_of_every_greatest_value() {
        // Digits of bits need no blanks; 1 is black.
        assert_eq!(data(b"P1\n# c\n3 2\n010 1\n01"), [255, 0, 255, 0, 255, 0]);
        assert_eq!(data(b"P4 3 2\n\x40\xa0"), [255, 0, 255, 0, 255, 0]);
        assert_eq!(data(b"P2 2 1 3 0 # c\n3"), [0, 255]);
        assert_eq!(data(b"P5 3 1 7\n\x00\x07\x03"), [0, 255, 109]);
        assert_eq!(data(b"P3 1 1 65535 0 65535 32768"), [0, 255, 128]);
        assert_eq!(data(b"P6 1 1 1023\n\x00\x00\x03\xff\x02\x00"), [0, 255, 128]);
        // Twelve bits that a writer calls sixteen.
        let picture = decode(b"P5 2 1 65535\n\x00\x00\x0f\xff").unwrap();
        assert_eq!((picture.data, picture.notes.len()), (vec![0, 255], 1));
    }

    #[test]
    fn any_kind_of_tuple() {
        let pam = |depth: usize, kind: &str, most: u32, values: &[u8]| {
            let head = format!("P7\n# c\nWIDTH 1\nHEIGHT 1\nDEPTH {depth}\nMAXVAL {most}\nTUPLTYPE {kind}\nENDHDR\n");
            decode(&[head.as_bytes(), values].concat())
        };
        assert_eq!(pam(1, "BLACKANDWHITE", 1, &[1]).unwrap().data, [255]);
        let grey = pam(2, "GRAYSCALE_ALPHA", 255, &[7, 9]).unwrap();
        assert_eq!((grey.data, grey.alpha), (vec![7], Some(vec![9])));
        let color = pam(4, "RGB_ALPHA", 65_535, &[0, 0, 255, 255, 128, 0, 255, 255]).unwrap();
        assert_eq!((color.data, color.alpha), (vec![0, 255, 128], Some(vec![255])));
        assert_eq!(pam(4, "CMYK", 255, &[1, 2, 3, 4]).unwrap().channels, Channels::Cmyk);
        assert!(matches!(pam(3, "GRAYSCALE", 255, &[1, 2, 3]), Err(ImageError::Unsupported(_))));
        assert!(matches!(pam(1, "GRAYSCALE", 70_000, &[1, 2, 3]), Err(ImageError::Broken(_))));
    }

    #[test]
    fn what_is_missing_or_too_great_is_damage() {
        assert_eq!(decode(b"P5 2 2 255\n\x01\x02\x03").unwrap().damage.unwrap(), "1 of 4 values are missing");
        assert!(decode(b"P2 2 1 9 1 x").unwrap().damage.is_some());
        assert!(decode(b"P1 2 1 02").unwrap().damage.is_some());
        assert!(decode(b"P5 1 1 9\n\x0a").unwrap().damage.unwrap().contains("beyond 9"));
        for bytes in [&b"P5 1 1 0\n\x01"[..], b"P5 1 1 65536\n\x01\x01", b"P5 1", b"P6 1 1 255\n", b"P7\nWIDTH 1\n", b"P"] {
            assert!(matches!(decode(bytes), Err(ImageError::Broken(_))), "{bytes:?}");
        }
    }
}
