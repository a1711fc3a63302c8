//! Strips and tiles that are JPEG streams (TIFF's technical note 2): tables apart, colours as the TIFF says.

use super::{Page, Photometric, broken};
use crate::image::ImageError;

/// A stream of its own: the tables, and a marker that says whether its colours are YCbCr.
fn stream(page: &Page<'_>, raw: &[u8], samples: usize) -> Result<Vec<u8>, ImageError> {
    let body = raw.strip_prefix(&[0xff, 0xd8]).ok_or_else(|| broken("a strip of it is no JPEG"))?;
    let tables = match &page.strips.jpeg_tables {
        Some(tables) => {
            let tables = tables.strip_prefix(&[0xff, 0xd8]).ok_or_else(|| broken("its JPEG tables are wrong"))?;
            let end = tables.windows(2).rposition(|two| two == [0xff, 0xd9]).unwrap_or(tables.len());
            &tables[..end]
        }
        None => &[],
    };
    let mut out = vec![0xff, 0xd8];
    if samples >= 3 {
        let transform = u8::from(page.photometric == Photometric::YCbCr);
        out.extend_from_slice(b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0");
        out.push(transform);
    }
    out.extend_from_slice(tables);
    out.extend_from_slice(body);
    Ok(out)
}

/// Decodes a stream into rows of `samples` bytes a pixel; returns how many bytes were found.
pub(super) fn unpack(
    page: &Page<'_>,
    raw: &[u8],
    (rows, columns): (usize, usize),
    samples: usize,
    out: &mut [u8],
) -> Result<usize, ImageError> {
    let stream = stream(page, raw, samples)?;
    let decoded = crate::image::decoder::jpeg_samples(&stream, (rows, columns), samples)?;
    let n = decoded.len().min(out.len());
    out[..n].copy_from_slice(&decoded[..n]);
    Ok(n)
}
