//! PNG files: labels, mask, overlay, cutout.

use super::{ExportError, tags};
use crate::image::Image;
use crate::segmentation::{Kind, Segmentation};
use png::{BitDepth, ColorType, Compression, Encoder};

/// Colors of labels 1, 2, …: Okabe and Ito's seven and Paul Tol's "muted" ones, all told apart by color-blind readers next to one
/// another; labels beyond them begin again.
pub const PALETTE: [[u8; 3]; 16] = [
    [230, 159, 0],
    [86, 180, 233],
    [0, 158, 115],
    [240, 228, 66],
    [0, 114, 178],
    [213, 94, 0],
    [204, 121, 167],
    [51, 34, 136],
    [136, 204, 238],
    [68, 170, 153],
    [17, 119, 51],
    [153, 153, 51],
    [221, 204, 119],
    [204, 102, 119],
    [136, 34, 85],
    [170, 68, 153],
];

/// Share of the label's color in an overlay.
const OVERLAY_OPACITY: f32 = 0.5;

/// The color of a label; black for label 0.
#[must_use]
pub fn color(label: u8) -> [u8; 3] {
    match usize::from(label) {
        0 => [0, 0, 0],
        label => PALETTE[(label - 1) % PALETTE.len()],
    }
}

/// 8-bit palette image whose indices are the labels.
///
/// ```
/// use deepcut::export::png;
/// use deepcut::{Image, Kind, Meaning, Segmentation};
///
/// #[rustfmt::skip]
/// let labels = vec![
///     0, 1, 1,
///     0, 2, 0,
/// ];
/// let meaning = |label, kind| Meaning { label, kind, part_of: None, score: 1.0 };
/// let meanings = [meaning(0, Kind::Background), meaning(1, Kind::Cluster), meaning(2, Kind::Cluster)];
/// let found = Segmentation::new(2, 3, labels.clone(), &meanings)?;
/// // A viewer shows the palette's colors.
/// let shown = Image::decode(&png::labels(&found)?)?;
/// assert_eq!(shown.rgb(), labels.into_iter().flat_map(png::color).collect::<Vec<u8>>());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ExportError::Png`] if the encoder refuses.
pub fn labels(segmentation: &Segmentation) -> Result<Vec<u8>, ExportError> {
    let highest = segmentation.labels().iter().copied().max().unwrap_or(0);
    let palette: Vec<u8> = (0..=highest).flat_map(color).collect();
    encode(segmentation, ColorType::Indexed, Some(palette), segmentation.labels())
}

/// 8-bit gray image: 255 in the foreground, 0 elsewhere.
///
/// # Errors
/// [`ExportError::Png`] if the encoder refuses.
pub fn mask(segmentation: &Segmentation) -> Result<Vec<u8>, ExportError> {
    encode(segmentation, ColorType::Grayscale, None, &segmentation.mask())
}

/// The image with its labels' colors over it and a line where labels meet; with two or more objects, each has its number and score.
///
/// # Errors
/// [`ExportError::Size`] if the sizes differ, [`ExportError::Png`] if the encoder refuses.
pub fn overlay(image: &Image, segmentation: &Segmentation) -> Result<Vec<u8>, ExportError> {
    let objects = segmentation.regions().iter().filter(|region| region.kind == Kind::Object).count();
    painted(image, segmentation, objects > 1)
}

/// As [`overlay`], with number and score of a single object too.
///
/// # Errors
/// As [`overlay`].
pub fn numbered_overlay(image: &Image, segmentation: &Segmentation) -> Result<Vec<u8>, ExportError> {
    painted(image, segmentation, true)
}

fn painted(image: &Image, segmentation: &Segmentation, numbered: bool) -> Result<Vec<u8>, ExportError> {
    encode(segmentation, ColorType::Rgb, None, &painted_rgb(image, segmentation, numbered)?)
}

/// The pixels of [`overlay`], or of [`numbered_overlay`]: `[height, width, 3]` bytes.
pub(crate) fn painted_rgb(image: &Image, segmentation: &Segmentation, numbered: bool) -> Result<Vec<u8>, ExportError> {
    check_size(image, segmentation)?;
    let (height, width) = (segmentation.height(), segmentation.width());
    let labels = segmentation.labels();
    let mut is_object = [false; 256];
    segmentation.regions().iter().for_each(|region| is_object[usize::from(region.label)] = region.kind == Kind::Object);
    // About one pixel in three hundred, so that the line shows at every size.
    let line = (height.max(width) / 300).max(1);
    let mut out = image.rgb().to_vec();
    for (at, pixel) in out.chunks_exact_mut(3).enumerate() {
        let label = labels[at];
        if label == 0 {
            continue;
        }
        let (y, x) = (at / width, at % width);
        let mut around = [
            (y >= line).then(|| at - line * width),
            (x >= line).then(|| at - line),
            (y + line < height).then(|| at + line * width),
            (x + line < width).then(|| at + line),
        ]
        .into_iter()
        .flatten()
        .map(|other| labels[other])
        .filter(|&other| other != label)
        .peekable();
        let opacity = if around.peek().is_some() { 1.0 } else { OVERLAY_OPACITY };
        // Colors begin again, so that two objects may share one: a white line parts objects that touch.
        let parts_objects = is_object[usize::from(label)] && around.any(|other| other < label && is_object[usize::from(other)]);
        let paint = if parts_objects { [255; 3] } else { color(label) };
        for (value, color) in pixel.iter_mut().zip(paint) {
            *value = (f32::from(*value) * (1.0 - opacity) + f32::from(color) * opacity).round() as u8;
        }
    }
    if numbered {
        tags::draw(&mut out, segmentation, color);
    }
    Ok(out)
}

/// The image in its own colors, transparent outside the foreground and where it is so itself.
///
/// # Errors
/// [`ExportError::Size`] if the sizes differ, [`ExportError::Png`] if the encoder refuses.
pub fn cutout(image: &Image, segmentation: &Segmentation) -> Result<Vec<u8>, ExportError> {
    check_size(image, segmentation)?;
    let mut alpha = segmentation.mask();
    if let Some(own) = image.alpha() {
        // The mask is 0 or 255.
        alpha.iter_mut().zip(own).for_each(|(mask, &own)| *mask &= own);
    }
    let out: Vec<u8> = image.colors().chunks_exact(3).zip(alpha).flat_map(|(rgb, a)| [rgb[0], rgb[1], rgb[2], a]).collect();
    encode(segmentation, ColorType::Rgba, None, &out)
}

fn check_size(image: &Image, segmentation: &Segmentation) -> Result<(), ExportError> {
    let (image, segmentation) = ((image.height(), image.width()), (segmentation.height(), segmentation.width()));
    if image == segmentation { Ok(()) } else { Err(ExportError::Size { image, segmentation }) }
}

/// 8-bit palette image of `[height, width]` indices; the palette is red, green and blue of each.
#[cfg(feature = "annotate")]
pub(super) fn indexed(height: usize, width: usize, indices: &[u8], palette: Vec<u8>) -> Result<Vec<u8>, ExportError> {
    encode_pixels((height, width), ColorType::Indexed, Some(palette), indices)
}

/// 8-bit gray image of `[height, width]` values.
#[cfg(feature = "annotate")]
pub(super) fn gray(height: usize, width: usize, values: &[u8]) -> Result<Vec<u8>, ExportError> {
    encode_pixels((height, width), ColorType::Grayscale, None, values)
}

fn encode(segmentation: &Segmentation, color: ColorType, palette: Option<Vec<u8>>, data: &[u8]) -> Result<Vec<u8>, ExportError> {
    encode_pixels((segmentation.height(), segmentation.width()), color, palette, data)
}

fn encode_pixels(
    (height, width): (usize, usize),
    color: ColorType,
    palette: Option<Vec<u8>>,
    data: &[u8],
) -> Result<Vec<u8>, ExportError> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    if let Some(palette) = palette {
        encoder.set_palette(palette);
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(data)?;
    writer.finish()?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segmentation::Meaning;

    /// Size, color type and raw bytes of a PNG file.
    fn raw(bytes: &[u8]) -> (u32, u32, ColorType, Vec<u8>) {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::IDENTITY);
        let mut reader = decoder.read_info().unwrap();
        let mut data = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut data).unwrap();
        data.truncate(info.buffer_size());
        (info.height, info.width, info.color_type, data)
    }

    fn example() -> (Image<'static>, Segmentation) {
        let image = Image::new(2, 3, (0..18).map(|i| i * 10).collect()).unwrap();
        let meaning = |label, kind| Meaning { label, kind, part_of: None, score: 1.0 };
        let kinds = [Kind::Background, Kind::Part, Kind::Part, Kind::Background];
        let meanings: Vec<_> = (0..).zip(kinds).map(|(label, kind)| meaning(label, kind)).collect();
        (image, Segmentation::new(2, 3, vec![0, 1, 2, 0, 3, 0], &meanings).unwrap())
    }

    #[test]
    fn files_hold_what_they_show() {
        let (image, segmentation) = example();
        assert_eq!(raw(&labels(&segmentation).unwrap()), (2, 3, ColorType::Indexed, vec![0, 1, 2, 0, 3, 0]));
        // Label 3 is a second background cluster: two labels are foreground.
        assert_eq!(raw(&mask(&segmentation).unwrap()), (2, 3, ColorType::Grayscale, vec![0, 255, 255, 0, 0, 0]));
        let (.., pixels) = raw(&cutout(&image, &segmentation).unwrap());
        assert_eq!(pixels[..8], [0, 10, 20, 0, 30, 40, 50, 255]);
        let (.., pixels) = raw(&overlay(&image, &segmentation).unwrap());
        // Background stays as it is; every labeled pixel here lies on an edge and is painted.
        assert_eq!(pixels[..9], [[0, 10, 20], color(1), color(2)].concat());
        assert_eq!(pixels[9..12], [90, 100, 110]);
    }

    #[test]
    fn objects_that_touch_are_parted_and_numbered() {
        let image = Image::new(20, 80, vec![100; 4800]).unwrap();
        let labels: Vec<u8> = (0..1600).map(|at| [1, 2, 0, 0][at % 80 / 20]).collect();
        let meaning = |label, kind| Meaning { label, kind, part_of: None, score: 0.5 };
        let find = |kind| {
            let meanings = [meaning(0, Kind::Background), meaning(1, kind), meaning(2, kind)];
            Segmentation::new(20, 80, labels.clone(), &meanings).unwrap()
        };
        let at = |pixels: &[u8], y: usize, x: usize| pixels[(y * 80 + x) * 3..][..3].to_vec();
        let (.., pixels) = raw(&overlay(&image, &find(Kind::Object)).unwrap());
        assert_eq!([19, 20].map(|x| at(&pixels, 10, x)), [color(1).to_vec(), vec![255; 3]]);
        // The tags: above the boxes there is no room, beside each other neither.
        assert_eq!([at(&pixels, 0, 0), at(&pixels, 19, 20)], [color(1).to_vec(), color(2).to_vec()]);
        // Parts are neither objects nor numbered.
        let (.., pixels) = raw(&overlay(&image, &find(Kind::Part)).unwrap());
        assert_eq!([19, 20].map(|x| at(&pixels, 15, x)), [1, 2].map(|label| color(label).to_vec()));
        assert_eq!(pixels, raw(&numbered_overlay(&image, &find(Kind::Part)).unwrap()).3);
    }

    #[test]
    fn one_object_is_numbered_when_asked_for() {
        let image = Image::new(20, 80, vec![100; 4800]).unwrap();
        let meaning = |label, kind| Meaning { label, kind, part_of: None, score: 0.5 };
        let labels = (0..1600).map(|at| u8::from(at % 80 > 40)).collect();
        let one = Segmentation::new(20, 80, labels, &[meaning(0, Kind::Background), meaning(1, Kind::Object)]).unwrap();
        let (.., plain) = raw(&overlay(&image, &one).unwrap());
        let (.., numbered) = raw(&numbered_overlay(&image, &one).unwrap());
        let blend = color(1).map(|value| ((100.0 + f32::from(value)) * 0.5).round() as u8);
        assert!(plain.chunks(3).all(|pixel| pixel == [100; 3] || pixel == color(1) || pixel == blend));
        assert_ne!(plain, numbered);
    }

    #[test]
    fn a_cutout_keeps_the_transparency_and_the_colours_of_its_picture() {
        let (image, segmentation) = example();
        let image = Image::with_alpha(2, 3, image.rgb().to_vec(), Some(vec![9, 128, 0, 7, 255, 255])).unwrap();
        let (.., pixels) = raw(&cutout(&image, &segmentation).unwrap());
        assert_eq!(pixels[..12], [0, 10, 20, 0, 30, 40, 50, 128, 60, 70, 80, 0]);
    }

    #[test]
    fn sizes_must_agree_and_colours_differ() {
        let (_, segmentation) = example();
        let other = Image::new(3, 2, vec![0; 18]).unwrap();
        assert!(matches!(overlay(&other, &segmentation), Err(ExportError::Size { image: (3, 2), segmentation: (2, 3) })));
        for (i, a) in PALETTE.iter().enumerate() {
            assert!(PALETTE[..i].iter().all(|b| a != b));
        }
        assert_eq!(color(17), color(1));
    }
}
