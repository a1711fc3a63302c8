//! Strips and tiles that are JPEG streams (TIFF's technical note 2): tables apart, colours as the TIFF says.

use super::{Page, Photometric, broken, unsupported};
use crate::image::{ImageError, jpeg};

/// A stream of its own, with its tables.
fn stream(page: &Page<'_>, raw: &[u8]) -> Result<Vec<u8>, ImageError> {
    let body = raw.strip_prefix(&[0xff, 0xd8]).ok_or_else(|| broken("a strip of it is no JPEG"))?;
    let tables = match &page.strips.jpeg_tables {
        Some(tables) => {
            let tables = tables.strip_prefix(&[0xff, 0xd8]).ok_or_else(|| broken("its JPEG tables are wrong"))?;
            let end = tables.windows(2).rposition(|two| two == [0xff, 0xd9]).unwrap_or(tables.len());
            &tables[..end]
        }
        None => &[],
    };
    Ok([&[0xff, 0xd8], tables, body].concat())
}

/// Decodes a stream into rows of `samples` bytes a pixel; returns how many bytes were found.
pub(super) fn unpack(
    page: &Page<'_>,
    raw: &[u8],
    (rows, columns): (usize, usize),
    samples: usize,
    out: &mut [u8],
) -> Result<usize, ImageError> {
    let color = match (samples, page.photometric) {
        (1, _) => jpeg::ColorSpace::Grey,
        (3, Photometric::YCbCr) => jpeg::ColorSpace::YCbCr,
        (3, _) => jpeg::ColorSpace::Rgb,
        (_, Photometric::YCbCr) => return Err(unsupported("of YCbCr with alpha packed as JPEG")),
        _ => jpeg::ColorSpace::Cmyk,
    };
    let stream = stream(page, raw)?;
    let header = jpeg::header(&stream)?;
    // A strip's last rows may be more than the image has.
    if header.width != columns || header.height > rows.next_multiple_of(32) || header.components.count() != samples {
        return Err(broken("a strip of it has another size or other channels than its header says"));
    }
    let found = jpeg::decode_as(&stream, &jpeg::Limits { max_pixels: u64::MAX }, Some(color))?;
    if found.damage.is_some() && found.height < rows {
        return Ok(0);
    }
    let n = found.data.len().min(out.len());
    out[..n].copy_from_slice(&found.data[..n]);
    // What is damaged counts as missing.
    Ok(if found.damage.is_some() { n.saturating_sub(1) } else { n })
}
