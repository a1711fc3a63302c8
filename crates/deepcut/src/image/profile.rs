//! Colours as an image's profile means them, in sRGB.
//!
//! A profile that is sRGB but for rounding leaves the bytes as they are. One that cannot be read, or belongs to other channels, is
//! ignored with a note. Inks without a profile become light as in Pillow's `convert("RGB")`.

use super::picture::{Channels, Picture, Space, cmyk_to_rgb};
use moxcms::{Chromaticity, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace, Layout, ToneReprCurve, TransformOptions};

/// Profiles longer than this are ignored, and no more than this is inflated.
pub(super) const MAX_BYTES: usize = 8 << 20;
/// A profile that moves no colour by more than so many levels is sRGB: makers round their tables differently.
const SAME: u8 = 3;
/// PNG's `gAMA` of sRGB is 1/2.2; an exponent this close to it means the curve of sRGB.
const SRGB_EXPONENT: std::ops::RangeInclusive<f64> = 2.15..=2.25;

/// `[height, width, 3]` bytes of sRGB; what had to be assumed is added to the image's notes.
pub(super) fn into_srgb(picture: &mut Picture) -> Vec<u8> {
    let data = std::mem::take(&mut picture.data);
    let channels = picture.channels;
    let source = match std::mem::replace(&mut picture.space, Space::Srgb) {
        Space::Srgb => return plain(data, channels),
        space => profile(&space),
    };
    let found = source.and_then(|source| Ok((layout(&source, channels)?, source))).and_then(|(layout, source)| {
        let options = TransformOptions { rendering_intent: source.rendering_intent, ..TransformOptions::default() };
        let transform = source.create_transform_8bit(layout, &ColorProfile::new_srgb(), Layout::Rgb, options);
        Ok((layout, transform.map_err(|e| format!("cannot be applied ({e})"))?))
    });
    let (layout, transform) = match found {
        Ok(found) => found,
        Err(why) => {
            picture.notes.push(format!("its color profile {why} and was ignored"));
            return plain(data, channels);
        }
    };
    let width = if layout == Layout::Gray {
        1
    } else if layout == Layout::Rgba {
        4
    } else {
        3
    };
    // A grey image whose profile is of RGB has three equal channels.
    let data = if width == 3 { plain(data, channels) } else { data };
    if width < 4 && is_srgb(&*transform, width) {
        return plain(data, if width == 3 { Channels::Rgb } else { channels });
    }
    let mut out = Vec::with_capacity(data.len() / width * 3);
    let mut block = vec![0; BLOCK * 3];
    for part in data.chunks(BLOCK * width) {
        let block = &mut block[..part.len() / width * 3];
        if let Err(e) = transform.transform(part, block) {
            picture.notes.push(format!("its color profile cannot be applied ({e}) and was ignored"));
            return plain(data, if width == 3 { Channels::Rgb } else { channels });
        }
        out.extend_from_slice(block);
    }
    out
}

/// Pixels that are transformed at a time.
const BLOCK: usize = 4096;

/// Without a profile.
fn plain(data: Vec<u8>, channels: Channels) -> Vec<u8> {
    match channels {
        Channels::Rgb => data,
        Channels::Grey => data.iter().flat_map(|&v| [v; 3]).collect(),
        Channels::Cmyk => cmyk_to_rgb(&data),
    }
}

fn profile(space: &Space) -> Result<ColorProfile, String> {
    match space {
        Space::Srgb => Ok(ColorProfile::new_srgb()),
        Space::Icc(bytes) if bytes.len() > MAX_BYTES => Err(format!("has more than {} MB", MAX_BYTES >> 20)),
        Space::Icc(bytes) => ColorProfile::new_from_slice(bytes).map_err(|e| format!("cannot be read ({e})")),
        Space::Gamma { exponent, chromaticities } => {
            let mut profile = ColorProfile::new_srgb();
            if !(0.1..=10.0).contains(exponent) || chromaticities.is_some_and(|all| !are_possible(all)) {
                return Err("has values that no device has".to_owned());
            }
            if let Some([white, red, green, blue]) =
                chromaticities.map(|all| all.map(|[x, y]| Chromaticity::new(x as f32, y as f32)))
            {
                profile.update_rgb_colorimetry(white.to_xyyb(), ColorPrimaries { red, green, blue });
            }
            if !SRGB_EXPONENT.contains(exponent) {
                profile.cicp = None;
                let curve = Some(ToneReprCurve::Parametric(vec![*exponent as f32]));
                (profile.red_trc, profile.green_trc, profile.blue_trc) = (curve.clone(), curve.clone(), curve);
            }
            Ok(profile)
        }
        Space::Cicp { primaries, transfer } => {
            let unknown = || format!("has codes that are not known (primaries {primaries}, transfer {transfer})");
            let mut profile = ColorProfile::new_srgb();
            let codes = CicpProfile {
                color_primaries: (*primaries).try_into().map_err(|_| unknown())?,
                transfer_characteristics: (*transfer).try_into().map_err(|_| unknown())?,
                matrix_coefficients: moxcms::MatrixCoefficients::Identity,
                full_range: true,
            };
            // It stays so if the codes name no curve.
            profile.cicp = None;
            profile.update_rgb_colorimetry_from_cicp(codes);
            if profile.cicp.is_none() { Err(unknown()) } else { Ok(profile) }
        }
    }
}

/// Whether three primaries span an area with the white within it.
fn are_possible([white, red, green, blue]: [[f64; 2]; 4]) -> bool {
    let is_finite = |[x, y]: [f64; 2]| (-0.5..=1.5).contains(&x) && (-0.5..=1.5).contains(&y);
    let area = |a: [f64; 2], b: [f64; 2], c: [f64; 2]| (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1]);
    let all = [area(red, green, blue), area(white, red, green), area(white, green, blue), area(white, blue, red)];
    [white, red, green, blue].into_iter().all(|c| is_finite(c) && c[1].abs() > 1e-3)
        && (all.iter().all(|&a| a > 1e-4) || all.iter().all(|&a| a < -1e-4))
}

/// How the profile's channels are those of the image.
fn layout(profile: &ColorProfile, channels: Channels) -> Result<Layout, String> {
    match (profile.color_space, channels) {
        (DataColorSpace::Gray, Channels::Grey) => Ok(Layout::Gray),
        (DataColorSpace::Rgb, Channels::Rgb | Channels::Grey) => Ok(Layout::Rgb),
        (DataColorSpace::Cmyk, Channels::Cmyk) => Ok(Layout::Rgba),
        (space, _) => Err(format!("is of another kind of color ({space:?})")),
    }
}

/// Whether no colour of a lattice moves, but for rounding.
fn is_srgb(transform: &moxcms::Transform8BitExecutor, width: usize) -> bool {
    let steps: Vec<u8> = (0..=15).map(|i| i * 17).collect();
    let source: Vec<u8> = if width == 1 {
        (0..=255).collect()
    } else {
        steps.iter().flat_map(|&r| steps.iter().flat_map(move |&g| (0..=15_u8).flat_map(move |b| [r, g, b * 17]))).collect()
    };
    let mut target = vec![0; source.len() / width * 3];
    let moved = transform.transform(&source, &mut target).is_err()
        || source
            .chunks_exact(width)
            .zip(target.chunks_exact(3))
            .any(|(from, to)| (0..3).any(|c| from[c % width].abs_diff(to[c]) > SAME));
    !moved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(space: Space, data: &[u8]) -> (Vec<u8>, Vec<String>) {
        let mut picture = Picture { space, ..Picture::new(1, data.len() / 3, Channels::Rgb, data.to_vec()) };
        (into_srgb(&mut picture), picture.notes)
    }

    const SRGB: [[f64; 2]; 4] = [[0.3127, 0.3290], [0.64, 0.33], [0.3, 0.6], [0.15, 0.06]];

    #[test]
    fn exponents_and_primaries_of_png() {
        let ramp: Vec<u8> = (0..=255).flat_map(|v| [v, v, v]).collect();
        // As good as sRGB: not a bit changes.
        for chromaticities in [None, Some(SRGB)] {
            assert_eq!(seen(Space::Gamma { exponent: 1.0 / 0.45455, chromaticities }, &ramp), (ramp.clone(), vec![]));
        }
        let (linear, _) = seen(Space::Gamma { exponent: 1.0, chromaticities: None }, &ramp);
        for (v, rgb) in linear.chunks(3).enumerate() {
            let light = v as f64 / 255.0;
            let expected = 255.0 * if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
            assert!(rgb.iter().all(|&c| (f64::from(c) - expected).abs() <= 1.0), "{v}: {rgb:?}, {expected}");
        }
        // Red and blue exchanged.
        let exchanged = Some([SRGB[0], SRGB[3], SRGB[2], SRGB[1]]);
        let (rgb, _) = seen(Space::Gamma { exponent: 2.2, chromaticities: exchanged }, &[200, 100, 30]);
        assert!(rgb.iter().zip([30, 100, 200]).all(|(a, b)| a.abs_diff(b) <= 1), "{rgb:?}");
        // Display P3's red is beyond sRGB's.
        let (rgb, _) = seen(Space::Cicp { primaries: 12, transfer: 13 }, &[200, 100, 30]);
        assert!(rgb[0] > 205 && rgb[1].abs_diff(96) < 6, "{rgb:?}");
    }

    #[test]
    fn what_cannot_be_meant_is_ignored_with_a_note() {
        let flat = Some([[0.3, 0.3]; 4]);
        let nothing = Some([[0.0; 2]; 4]);
        for space in [
            Space::Gamma { exponent: 2.2, chromaticities: flat },
            Space::Gamma { exponent: 2.2, chromaticities: nothing },
            Space::Gamma { exponent: 1e9, chromaticities: None },
            Space::Cicp { primaries: 2, transfer: 2 },
            Space::Icc(b"junk".to_vec()),
            Space::Icc(vec![0; MAX_BYTES + 1]),
        ] {
            let (rgb, notes) = seen(space.clone(), &[200, 100, 30]);
            assert_eq!((rgb, notes.len()), (vec![200, 100, 30], 1), "{space:?}");
            assert!(notes[0].ends_with("and was ignored"), "{notes:?}");
        }
    }
}
