//! From the samples' meaning to gray, RGB or CMYK.

use super::{Page, Photometric, broken, tag};
use crate::image::ImageError;
use crate::image::decode::picture::Picture;

/// The colors of the palette's indices.
pub(super) fn palette(page: &Page<'_>) -> Result<Vec<[u8; 3]>, ImageError> {
    let map = page.directory.numbers(tag::COLOR_MAP).ok_or_else(|| broken("it has no palette"))?;
    let n = map.len() / 3;
    if n == 0 {
        return Err(broken("it has no palette"));
    }
    // Some writers fill the lower byte only.
    let shift = if map.iter().all(|&v| v < 256) { 0 } else { 8 };
    Ok((0..n).map(|i| [map[i], map[n + i], map[2 * n + i]].map(|v| (v >> shift).min(255) as u8)).collect())
}

/// Colors as the photometric interpretation means them, alpha taken out of them.
pub(super) fn finish(page: &Page<'_>, picture: &mut Picture) -> Result<(), ImageError> {
    match page.photometric {
        Photometric::WhiteIsZero => picture.data.iter_mut().for_each(|v| *v = 255 - *v),
        // JPEG's own decoder has converted, unless it saw one channel at a time.
        Photometric::YCbCr if page.strips.compression != super::Compression::Jpeg || page.strips.planar => {
            ycbcr(page, &mut picture.data)?
        }
        Photometric::CieLab => picture.data.chunks_exact_mut(3).for_each(|p| {
            p.copy_from_slice(&lab_to_rgb(p[0], f64::from(p[1] as i8), f64::from(p[2] as i8)));
        }),
        Photometric::IccLab => picture.data.chunks_exact_mut(3).for_each(|p| {
            p.copy_from_slice(&lab_to_rgb(p[0], f64::from(p[1]) - 128.0, f64::from(p[2]) - 128.0));
        }),
        _ => {}
    }
    if let (Some((_, true)), Some(alpha)) = (page.alpha, &picture.alpha) {
        let n = picture.channels.count();
        for (pixel, &alpha) in picture.data.chunks_exact_mut(n).zip(alpha) {
            let alpha = u32::from(alpha);
            pixel
                .iter_mut()
                .for_each(|v| *v = ((u32::from(*v) * 255 + alpha / 2).checked_div(alpha).unwrap_or(0)).min(255) as u8);
        }
    }
    Ok(())
}

/// TIFF 6.0, section 21: luma and chroma of their own ranges to RGB.
fn ycbcr(page: &Page<'_>, data: &mut [u8]) -> Result<(), ImageError> {
    let floats = |tag, default: &[f64]| match page.directory.floats(tag) {
        Some(found) if found.len() == default.len() && found.iter().all(|v| v.is_finite()) => Ok(found),
        None if !page.directory.has(tag) => Ok(default.to_vec()),
        _ => Err(broken(&format!("its tag {tag} cannot be read"))),
    };
    let coefficients = floats(tag::YCBCR_COEFFICIENTS, &[0.299, 0.587, 0.114])?;
    let range = floats(tag::REFERENCE_BLACK_WHITE, &[0.0, 255.0, 128.0, 255.0, 128.0, 255.0])?;
    let (red, green, blue) = (coefficients[0], coefficients[1], coefficients[2]);
    if green == 0.0 || range[0] == range[1] || range[2] == range[3] || range[4] == range[5] {
        return Err(broken("its YCbCr tags are wrong"));
    }
    let full = |v: u8, i: usize, most: f64| (f64::from(v) - range[2 * i]) * most / (range[2 * i + 1] - range[2 * i]);
    for pixel in data.chunks_exact_mut(3) {
        let (y, cb, cr) = (full(pixel[0], 0, 255.0), full(pixel[1], 1, 127.0), full(pixel[2], 2, 127.0));
        let r = cr * (2.0 - 2.0 * red) + y;
        let b = cb * (2.0 - 2.0 * blue) + y;
        let g = (y - blue * b - red * r) / green;
        pixel.copy_from_slice(&[r, g, b].map(|v| v.round() as u8));
    }
    Ok(())
}

/// CIE 1976 L*a*b* under D50 to sRGB; L of 255 is 100.
fn lab_to_rgb(l: u8, a: f64, b: f64) -> [u8; 3] {
    let fy = (f64::from(l) * 100.0 / 255.0 + 16.0) / 116.0;
    let inverse = |f: f64| if f > 6.0 / 29.0 { f.powi(3) } else { 3.0 * (6.0_f64 / 29.0).powi(2) * (f - 4.0 / 29.0) };
    let (x, y, z) = (0.9642 * inverse(fy + a / 500.0), inverse(fy), 0.8249 * inverse(fy - b / 200.0));
    // XYZ under D50 to linear sRGB, adapted after Bradford.
    let linear = [
        3.133_856_1 * x - 1.616_866_7 * y - 0.490_614_6 * z,
        -0.978_768_4 * x + 1.916_141_5 * y + 0.033_454_0 * z,
        0.071_945_3 * x - 0.228_991_4 * y + 1.405_242_7 * z,
    ];
    linear.map(|v| {
        let curved = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
        (curved * 255.0).round() as u8
    })
}
