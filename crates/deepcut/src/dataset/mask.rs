//! Masks in the ways that people store them, and one rule for all of a set.
//!
//! What a file's values mean is not in the file: one set's 1 is the object, another's a faint edge. So the rule is judged by all masks of a
//! set together, and a file that does not go with the others is refused.
//!
//! | values of the set                               | the object is                       |
//! |-------------------------------------------------|-------------------------------------|
//! | up to more than 127                             | above 127, as the protocols of ECSSD, DUTS and DUT-OMRON say |
//! | 0 and one other, at most 127                    | above 0                             |
//! | black and one colour                            | what is not black                   |
//! | transparent and opaque parts                    | alpha above 127                     |
//! | labels: several colours, or several small or large areas between | refused: nothing says which is meant |
//!
//! A value is the largest of a pixel's channels. Sixteen bits are brought to eight unless none of them is above 255.

use super::DatasetError;
use crate::image::{Stored, stored_values};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Values closer than this to black or to the brightest are as good as these.
const NEAR: u8 = 16;
/// Channels of a lossy file may differ by this in what was grey.
const NOISE: u8 = 48;
/// From this share of a mask on a value between is an area; or from this share of what is not black, if it is not a few pixels.
const AREA: (f64, f64) = (0.02, 0.15);
/// From this share of the coloured pixels on a colour counts.
const PATCH: f64 = 0.05;
const FEW: usize = 32;

/// What of a set's masks is the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    alpha: bool,
    above: u8,
    /// Whether a mask may be faint all over.
    votes: bool,
}

impl Rule {
    /// Whatever is not black.
    pub(super) const NOT_BLACK: Self = Self { alpha: false, above: 0, votes: false };
}

/// A mask's file, read.
pub(super) struct File {
    pub height: usize,
    pub width: usize,
    pub orientation: u8,
    /// The largest channel of each pixel.
    values: Vec<u8>,
    /// If the format says that a pixel might be transparent.
    alpha: Option<Vec<u8>>,
    /// If any pixel is not grey.
    rgb: Option<Vec<[u8; 3]>>,
    lossy: bool,
}

/// Whether a pixel is not grey.
fn is_colored(pixel: &[u8; 3], lossy: bool) -> bool {
    let [least, most] = [pixel.iter().min(), pixel.iter().max()].map(|v| v.copied().unwrap_or(0));
    most - least > if lossy { NOISE } else { 0 }
}

/// What decides about the rule.
struct Summary {
    values: BTreeSet<u8>,
    alpha: BTreeSet<u8>,
    has_alpha: bool,
    /// Colours that are not grey and cover a patch.
    colors: BTreeSet<[u8; 3]>,
    /// Of all colours that cover a patch together: which channels are bright beside the brightest.
    hues: BTreeSet<[bool; 3]>,
    has_color: bool,
    /// White beside colours.
    has_white: bool,
    /// Values that cover an area.
    areas: BTreeSet<u8>,
    /// Black and white under what is opaque.
    is_mask_too: bool,
    /// Whether most of the image's border is bright.
    bright_border: bool,
}

/// Reads a mask's bytes.
pub(super) fn read(bytes: &[u8]) -> Result<File, String> {
    let Stored { height, width, orientation, rgb, alpha } = stored_values(bytes).map_err(|error| error.to_string())?;
    let lossy = bytes.starts_with(b"\xff\xd8") || bytes.get(8..12) == Some(b"WEBP");
    Ok(File::new([height, width], orientation, rgb, alpha, lossy))
}

impl File {
    fn new([height, width]: [usize; 2], orientation: u8, rgb: Vec<[u8; 3]>, alpha: Option<Vec<u8>>, lossy: bool) -> Self {
        let values = rgb.iter().map(|p| p[0].max(p[1]).max(p[2])).collect();
        let has_color = rgb.iter().any(|pixel| is_colored(pixel, lossy));
        Self { height, width, orientation, values, alpha, rgb: has_color.then_some(rgb), lossy }
    }

    fn summary(&self) -> Summary {
        let count = self.values.len() as f64;
        let mut histogram = [0usize; 256];
        self.values.iter().for_each(|&v| histogram[usize::from(v)] += 1);
        let (mut colors, mut hues) = (BTreeSet::new(), BTreeSet::new());
        let mut white = 0;
        if let Some(rgb) = &self.rgb {
            let (mut counts, mut by_hue) = (BTreeMap::new(), BTreeMap::new());
            for pixel in rgb {
                let most = pixel[0].max(pixel[1]).max(pixel[2]);
                if is_colored(pixel, self.lossy) {
                    *counts.entry(*pixel).or_insert(0) += 1;
                    *by_hue.entry(pixel.map(|v| v > most / 2)).or_insert(0) += 1;
                } else {
                    white += usize::from(most > 127);
                }
            }
            let colored: usize = counts.values().sum();
            let is_patch = |n: usize| n as f64 >= PATCH * colored as f64;
            colors.extend(counts.into_iter().filter(|(_, n)| is_patch(*n)).map(|(color, _)| color));
            hues.extend(by_hue.into_iter().filter(|(_, n)| is_patch(*n)).map(|(hue, _)| hue));
        }
        let filled = (self.values.len() - histogram[0]) as f64;
        let is_area = |n: usize| n as f64 >= AREA.0 * count || n >= FEW && n as f64 >= AREA.1 * filled;
        let brightest = histogram.iter().rposition(|n| *n > 0).unwrap_or(0);
        let bright = |i: usize| usize::from(self.values[i]) * 2 > brightest;
        let (h, w) = (self.height, self.width);
        let border = (0..w).flat_map(|x| [x, (h - 1) * w + x]).chain((0..h).flat_map(|y| [y * w, y * w + w - 1]));
        let (all, lit) = border.fold((0, 0), |(all, lit), i| (all + 1, lit + usize::from(bright(i))));
        let is_mask_too = self.alpha.as_ref().is_some_and(|alpha| {
            let opaque = || self.values.iter().zip(alpha).filter(|(_, a)| **a > 127).map(|(v, _)| *v);
            let (n, black, white) =
                opaque().fold((0, 0, 0), |(n, b, w), v| (n + 1, b + usize::from(v < 16), w + usize::from(v > 239)));
            self.rgb.is_none() && black * 100 >= n && white * 100 >= n && (black + white) * 100 >= n * 98 && n > 0
        });
        let colors_empty = colors.is_empty();
        Summary {
            values: (0..=255u8).filter(|v| histogram[usize::from(*v)] > 0).collect(),
            alpha: self.alpha.iter().flatten().copied().collect(),
            has_alpha: self.alpha.is_some(),
            colors,
            hues,
            has_color: self.rgb.is_some(),
            has_white: !colors_empty && white as f64 >= AREA.0 * count,
            areas: (0..=255u8).filter(|v| is_area(histogram[usize::from(*v)])).collect(),
            is_mask_too,
            bright_border: brightest > 0 && lit * 4 >= all * 3,
        }
    }

    /// Whether each pixel is the object's.
    pub(super) fn inside(&self, rule: Rule) -> Result<Vec<bool>, String> {
        let values = match (&self.alpha, rule.alpha) {
            (Some(alpha), true) => alpha,
            (None, true) => return Err("has no transparency, which is the mask in the others; store the masks alike".into()),
            (_, false) => &self.values,
        };
        let brightest = values.iter().copied().max().unwrap_or(0);
        let is_binary = || values.iter().all(|v| *v == 0 || *v == brightest);
        if (1..=rule.above).contains(&brightest) && !self.lossy && is_binary() && (brightest == 1 || !rule.votes) {
            return Err(format!(
                "has the values 0 and {brightest}, the set's others reach above {}; store the masks alike",
                rule.above
            ));
        }
        Ok(values.iter().map(|v| *v > rule.above).collect())
    }
}

/// The rule for a set's masks, and what to say of it. Where annotators' `votes` are what lies between black and white, areas of it are right.
pub(super) fn judge(paths: &[&PathBuf], votes: bool) -> Result<(Rule, String), DatasetError> {
    use rayon::prelude::*;
    // One that cannot be read is told of when its image's turn comes.
    let summary = |path: &Path| Some(read(&std::fs::read(path).ok()?).ok()?.summary());
    let summaries: Vec<(&Path, Summary)> = paths.par_iter().filter_map(|path| Some((path.as_path(), summary(path)?))).collect();
    decide(&summaries, votes).map_err(|(path, problem)| DatasetError::Truth { path: path.into(), problem })
}

fn decide<'a>(masks: &[(&'a Path, Summary)], votes: bool) -> Result<(Rule, String), (&'a Path, String)> {
    const REMEDY: &str = "store each mask as 0 and 255, the object being 255";
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let first = |is: &dyn Fn(&Summary) -> bool| masks.iter().find(|(_, summary)| is(summary)).map(|(path, _)| *path);
    if let Some(varying) = first(&|s| s.alpha.len() > 1) {
        if let Some(path) = first(&|s| s.alpha.len() > 1 && s.is_mask_too) {
            return Err((path, format!("holds a mask in its colours and another in its transparency; {REMEDY}")));
        }
        if masks.iter().all(|(_, s)| s.alpha.last().is_none_or(|alpha| *alpha <= 127)) {
            return Err((varying, format!("is nowhere more opaque than not, as all others: what is the mask? {REMEDY}")));
        }
        if let Some(path) = first(&|s| !s.has_alpha && s.values.len() > 1) {
            let problem = format!("has no transparency, but {} has: which of the two is the mask? {REMEDY}", name(varying));
            return Err((path, problem));
        }
        return Ok((
            Rule { alpha: true, above: 127, votes },
            "the masks are in the files' transparency: opaque is the object".into(),
        ));
    }
    let union = |of: &dyn Fn(&Summary) -> Vec<u8>| masks.iter().flat_map(|(_, s)| of(s)).collect::<BTreeSet<u8>>();
    let values = union(&|s| s.values.iter().copied().collect());
    let brightest = values.last().copied().unwrap_or(0);
    let has_area = |s: &Summary| s.areas.iter().any(|v| *v >= NEAR && *v <= brightest.saturating_sub(NEAR));
    if let Some(path) = first(&|s| s.has_color) {
        let colors: BTreeSet<[u8; 3]> = masks.iter().flat_map(|(_, s)| s.colors.iter().copied()).collect();
        let hues: BTreeSet<[bool; 3]> = masks.iter().flat_map(|(_, s)| s.hues.iter().copied()).collect();
        if values.len() == 2 && values.contains(&0) && colors.len() == 1 {
            return Ok((Rule::NOT_BLACK, "the masks are black and one colour: what is not black is the object".into()));
        }
        if hues.len() > 1 || masks.iter().any(|(_, s)| s.has_white || has_area(s) && !s.colors.is_empty()) {
            return Err((path, format!("holds labels of several colours: which is the object? {REMEDY}")));
        }
    }
    if brightest == 0 {
        return Ok((Rule { alpha: false, above: 127, votes }, "every mask is empty".into()));
    }
    if brightest <= 127 {
        if values.iter().all(|v| *v == 0 || *v == brightest) {
            return Ok((Rule::NOT_BLACK, format!("the masks are 0 and {brightest}: above 0 is the object")));
        }
        let list: Vec<String> = values.iter().take(6).map(u8::to_string).collect();
        let path = first(&|s| s.values.iter().any(|v| *v != 0 && *v != brightest)).unwrap_or(Path::new(""));
        let more = if values.len() > 6 { ", …" } else { "" };
        return Err((path, format!("holds labels, the set's being {}{more}: which is the object? {REMEDY}", list.join(", "))));
    }
    let mut told = format!("the masks' values reach {brightest}: above 127 is the object");
    let filled = masks.iter().filter(|(_, s)| s.values.last() != Some(&0)).count();
    if let Some(path) = first(&has_area).filter(|_| !votes && values.len() > 2) {
        let areas = masks.iter().filter(|(_, s)| has_area(s)).count();
        if areas * 10 >= filled {
            return Err((path, format!("has areas between black and white: labels, or what is void? {REMEDY}")));
        }
        told += &format!("; {areas} have areas between black and white, as {}", name(path));
    }
    if masks.iter().filter(|(_, s)| s.bright_border).count() * 10 >= filled * 9 {
        told += "; nearly all are bright along the border: if black is the object in them, invert them first";
    }
    Ok((Rule { alpha: false, above: 127, votes }, told))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, GrayAlphaImage, GrayImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, RgbImage, Rgba, RgbaImage};
    use std::io::Cursor;

    fn png(picture: impl Into<DynamicImage>) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    /// Rows 2 and 3 of six, columns 2 to 6 of ten.
    fn is_object(x: u32, y: u32) -> bool {
        (2..4).contains(&y) && (2..7).contains(&x)
    }

    fn grey(inside: u8, outside: u8) -> Vec<u8> {
        png(GrayImage::from_fn(10, 6, |x, y| Luma([if is_object(x, y) { inside } else { outside }])))
    }

    fn judged(files: &[Vec<u8>]) -> Result<(Rule, String), String> {
        let read: Vec<File> = files.iter().map(|bytes| read(bytes).unwrap()).collect();
        let summaries: Vec<_> = read.iter().map(|file| (Path::new("x.png"), file.summary())).collect();
        decide(&summaries, false).map_err(|(_, problem)| problem)
    }

    /// Whether a set's every file is read as the object.
    #[track_caller]
    fn is_read(files: &[Vec<u8>], words: &str) {
        let (rule, told) = judged(files).unwrap();
        assert!(told.contains(words), "{told}");
        let expected: Vec<bool> = (0..60).map(|i| is_object(i % 10, i / 10)).collect();
        for bytes in files {
            let inside = read(bytes).unwrap().inside(rule).unwrap();
            assert!(inside == expected || !inside.contains(&true), "{told}: {inside:?}");
        }
        assert!(files.iter().any(|bytes| read(bytes).unwrap().inside(rule).unwrap() == expected), "{told}");
    }

    #[test]
    fn masks_are_read_in_every_way_they_are_stored() {
        let deep = |inside: u16| {
            png(ImageBuffer::<Luma<u16>, Vec<u16>>::from_fn(10, 6, |x, y| Luma([if is_object(x, y) { inside } else { 0 }])))
        };
        let empty = grey(0, 0);
        is_read(&[grey(255, 0), empty.clone()], "above 127");
        is_read(&[grey(200, 0)], "above 127");
        is_read(&[grey(230, 3), empty.clone()], "above 127");
        is_read(&[grey(1, 0), empty.clone()], "0 and 1: above 0");
        is_read(&[grey(100, 0)], "0 and 100: above 0");
        is_read(&[deep(65535)], "above 127");
        is_read(&[deep(255)], "above 127");
        is_read(&[deep(1)], "0 and 1: above 0");
        is_read(&[deep(1000)], "above 0");
        let color = |color: [u8; 3]| png(RgbImage::from_fn(10, 6, |x, y| Rgb(if is_object(x, y) { color } else { [0; 3] })));
        is_read(&[color([255; 3])], "above 127");
        is_read(&[color([1; 3])], "0 and 1");
        is_read(&[color([0, 64, 0]), empty.clone()], "one colour");
        is_read(&[color([255, 0, 0])], "one colour");
        let alpha = |inside: [u8; 4], outside: [u8; 4]| {
            png(RgbaImage::from_fn(10, 6, |x, y| Rgba(if is_object(x, y) { inside } else { outside })))
        };
        is_read(&[alpha([255; 4], [0, 0, 0, 255])], "above 127");
        is_read(&[alpha([255; 4], [255, 255, 255, 0])], "transparency");
        is_read(&[alpha([0, 0, 0, 255], [0; 4]), alpha([0; 4], [0; 4])], "transparency");
        is_read(&[alpha([90, 80, 70, 255], [0; 4])], "transparency");
        let grey_alpha = GrayAlphaImage::from_fn(10, 6, |x, y| LumaA(if is_object(x, y) { [255, 255] } else { [0, 0] }));
        is_read(&[png(grey_alpha)], "transparency");
        // One bit a pixel, and a palette of two.
        for (kind, palette) in [(png::ColorType::Grayscale, None), (png::ColorType::Indexed, Some([0, 0, 0, 0, 200, 0]))] {
            let mut bytes = Vec::new();
            let mut encoder = png::Encoder::new(&mut bytes, 10, 6);
            encoder.set_color(kind);
            encoder.set_depth(png::BitDepth::One);
            palette.into_iter().for_each(|palette| encoder.set_palette(palette.to_vec()));
            let row = |y: u32| (0..10).fold(0u16, |bits, x| bits << 1 | u16::from(is_object(x, y))) << 6;
            let packed: Vec<u8> = (0..6).flat_map(|y| row(y).to_be_bytes()).collect();
            encoder.write_header().unwrap().write_image_data(&packed).unwrap();
            is_read(&[bytes], if palette.is_some() { "one colour" } else { "above 127" });
        }
        // Soft edges, and JPEG's noise.
        let soft = GrayImage::from_fn(100, 60, |x, y| {
            let inside = is_object(x / 10, y / 10);
            Luma([if inside {
                255 - (x % 7) as u8
            } else if x % 50 == 0 {
                (x + 3 * y) as u8 % 120
            } else {
                (y % 5) as u8
            }])
        });
        let mut jpeg = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 60).encode_image(&soft).unwrap();
        let mut webp = Cursor::new(Vec::new());
        soft.write_to(&mut webp, ImageFormat::WebP).unwrap();
        for bytes in [png(soft), jpeg, webp.into_inner()] {
            let (rule, told) = judged(std::slice::from_ref(&bytes)).unwrap();
            let inside = read(&bytes).unwrap().inside(rule).unwrap();
            let wrong = (0..6000u32).filter(|i| inside[*i as usize] != is_object(i % 100 / 10, i / 1000)).count();
            assert!(told.contains("above 127") && wrong < 60, "{told}: {wrong} pixels wrong");
        }
    }

    #[test]
    fn what_says_not_which_is_the_object_is_refused() {
        let fails = |files: &[Vec<u8>], words: &str| {
            let problem = judged(files).unwrap_err();
            assert!(problem.contains(words), "{problem}");
        };
        let bands = |values: &'static [u8]| png(GrayImage::from_fn(10, 6, |x, _| Luma([values[x as usize % values.len()]])));
        fails(&[bands(&[0, 1, 2])], "labels, the set's being 0, 1, 2");
        fails(&[bands(&[1, 2])], "labels");
        fails(&[bands(&[0, 128, 255])], "areas between");
        fails(&[grey(1, 0), grey(2, 0)], "labels, the set's being 0, 1, 2");
        let colors = |colors: [[u8; 3]; 3]| png(RgbImage::from_fn(10, 6, |x, _| Rgb(colors[x as usize % 3])));
        fails(&[colors([[0; 3], [128, 0, 0], [224, 224, 192]])], "several colours");
        fails(&[colors([[0; 3], [255, 0, 0], [0, 255, 0]])], "several colours");
        fails(&[colors([[0; 3], [192, 128, 128], [224, 224, 192]])], "several colours");
        fails(&[colors([[255; 3], [255, 0, 0], [255, 0, 0]])], "several colours");
        fails(&[colors([[0; 3], [64, 0, 0], [128, 0, 0]])], "several colours");
        // A few pixels of another label.
        fails(
            &[png(RgbImage::from_fn(100, 100, |x, y| {
                Rgb(if (x, y) == (9, 9) { [0, 128, 0] } else { [if x == 3 && y < 9 { 128 } else { 0 }, 0, 0] })
            }))],
            "several colours",
        );
        let half = |x: u32| if x < 5 { 255 } else { 0 };
        fails(
            &[png(GrayAlphaImage::from_fn(10, 6, |x, y| LumaA([half(x), if y < 5 { 255 } else { 0 }])))],
            "another in its transparency",
        );
        let alpha = png(GrayAlphaImage::from_fn(10, 6, |x, _| LumaA([0, half(x)])));
        fails(&[alpha, grey(255, 0)], "which of the two");
        fails(&[png(GrayAlphaImage::from_fn(10, 6, |x, _| LumaA([0, (x > 4).into()])))], "what is the mask");
        // Votes of few annotators are faint, and no other way of storing.
        let votes = Rule { alpha: false, above: 127, votes: true };
        assert_eq!(read(&grey(51, 0)).unwrap().inside(votes), Ok(vec![false; 60]));
        assert!(read(&grey(1, 0)).unwrap().inside(votes).is_err());
        // One file that does not go with the others, whichever of them is more.
        let set = [grey(255, 0), grey(1, 0), grey(1, 0)];
        let (rule, _) = judged(&set).unwrap();
        assert!(read(&set[0]).unwrap().inside(rule).is_ok());
        assert!(read(&set[1]).unwrap().inside(rule).unwrap_err().contains("values 0 and 1"));
        assert!(judged(&[grey(0, 255)]).unwrap().1.contains("invert them first"));
        // A GIF whose screen has no row, found by fuzzing: as browsers do, its frame is taken for the screen.
        let mut flat =
            b"GIF87a\x04\0\0\0\x81\0\0\0\0\0\x80\0\0\0\0\0\0\0\0,\xfd\0\0\0\x04\0\x03\0\0\x08\x0c\0\x01\x04\x08\0@ \xc1\x82"
                .to_vec();
        flat.extend(b"\x05\x03\x02\0;");
        assert!(read(&flat).is_ok_and(|file| file.height > 0 && file.values.len() == file.height * file.width));
        assert!(read(b"no mask").is_err() && read(&grey(255, 0)[..40]).is_err());
    }
}
