//! Which way up an image is: EXIF's tag 274 (CIPA DC-008, 4.6.5), or XMP's `tiff:Orientation` where EXIF says nothing.
//!
//! Only the first directory counts: the second describes a thumbnail. The tag is a SHORT, but LONG and BYTE are met. As Pillow's
//! `ImageOps.exif_transpose`, XMP is asked only if EXIF has no orientation at all.

const ORIENTATION: u16 = 274;

/// 1 to 8 of EXIF data, with or without the prefix `Exif\0\0` that belongs to JPEG's segment.
pub(super) fn orientation(exif: &[u8]) -> Option<u8> {
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let big = match tiff.get(..4)? {
        [b'I', b'I', 42, 0] => false,
        [b'M', b'M', 0, 42] => true,
        _ => return None,
    };
    let short = |at: usize| {
        let two = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if big { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
    };
    let long = |at: usize| {
        let four = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
    };
    let directory = long(4)? as usize;
    for entry in (0..usize::from(short(directory)?)).map(|i| directory + 2 + 12 * i) {
        if short(entry)? == ORIENTATION {
            let value = match short(entry + 2)? {
                1 | 6 => u32::from(*tiff.get(entry + 8)?),
                3 | 8 => u32::from(short(entry + 8)?),
                4 | 9 => long(entry + 8)?,
                _ => return None,
            };
            return u8::try_from(value).ok().filter(|value| (1..=8).contains(value));
        }
    }
    None
}

/// 1 to 8 of an XMP packet, as an attribute or an element.
pub(super) fn xmp_orientation(xmp: &[u8]) -> Option<u8> {
    const NAME: &[u8] = b"tiff:Orientation";
    let at = xmp.windows(NAME.len()).position(|w| w == NAME)? + NAME.len();
    let rest = xmp.get(at..xmp.len().min(at + 16))?.trim_ascii_start();
    let value = match rest.first()? {
        b'=' => rest[1..].trim_ascii_start().get(1..)?,
        b'>' => &rest[1..],
        _ => return None,
    };
    value.trim_ascii_start().first().filter(|digit| (b'1'..=b'8').contains(digit)).map(|digit| digit - b'0')
}

/// The XMP packet of a JPEG, which lies before its pixels in a segment of its own.
pub(super) fn xmp_of_jpeg(jpeg: &[u8]) -> Option<&[u8]> {
    let mut at = 2;
    while let Some(&[0xff, marker, high, low]) = jpeg.get(at..at + 4) {
        let length = usize::from(u16::from_be_bytes([high, low]));
        match marker {
            // Any number of fill bytes may come before a marker.
            0xff => at += 1,
            0xda => return None,
            _ => {
                let body = jpeg.get(at + 4..at + 2 + length)?;
                if let (0xe1, Some(packet)) = (marker, body.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0")) {
                    return Some(packet);
                }
                at += 2 + length;
            }
        }
    }
    None
}

/// The first orientation that any of these says, EXIF before XMP.
pub(super) fn first_of(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> u8 {
    exif.and_then(orientation).or_else(|| xmp.and_then(xmp_orientation)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// EXIF with a tag before the orientation, of a type, in a byte order.
    fn exif(big: bool, kind: u16, value: u32) -> Vec<u8> {
        let short = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let long = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let value = match kind {
            1 => [value as u8, 0, 0, 0],
            3 => [short(value as u16), [0; 2]].concat().try_into().unwrap(),
            _ => long(value),
        };
        let mark: &[u8] = if big { b"MM\0*" } else { b"II*\0" };
        let other = [&short(256)[..], &short(3), &long(1), &short(8), &[0, 0]].concat();
        [mark, &long(8), &short(2), &other, &short(274), &short(kind), &long(1), &value, &long(0)].concat()
    }

    #[test]
    fn every_byte_order_and_type_is_read() {
        for value in 1..=8 {
            for (big, kind) in [(false, 3), (true, 3), (false, 4), (true, 4), (false, 1), (true, 1)] {
                let plain = exif(big, kind, value);
                assert_eq!(orientation(&plain), Some(value as u8), "{big} {kind}");
                assert_eq!(orientation(&[b"Exif\0\0", &plain[..]].concat()), Some(value as u8));
                for length in 0..31 {
                    assert_eq!(orientation(&plain[..length]), None);
                }
            }
        }
        assert_eq!(orientation(&exif(false, 3, 9)), None);
        assert_eq!(orientation(&exif(false, 3, 0)), None);
        assert_eq!(orientation(&exif(false, 4, 256 + 6)), None);
    }

    #[test]
    fn xmp_is_asked_where_exif_says_nothing() {
        assert_eq!(xmp_orientation(b"<rdf:Description tiff:Orientation=\"6\" x='1'>"), Some(6));
        assert_eq!(xmp_orientation(b"<tiff:Orientation> 3 </tiff:Orientation>"), Some(3));
        assert_eq!(xmp_orientation(b"tiff:Orientation=\"9\""), None);
        assert_eq!(xmp_orientation(b"tiff:Orientation"), None);
        let (exif, xmp) = (exif(false, 3, 8), b"tiff:Orientation='6'");
        assert_eq!(first_of(Some(&exif), Some(xmp)), 8);
        assert_eq!(first_of(Some(b"junk"), Some(xmp)), 6);
        assert_eq!(first_of(None, None), 1);
    }
}
