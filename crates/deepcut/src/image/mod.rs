//! Bytes → upright RGB image → resized, normalized network input.
//!
//! `decode/` reads image files (feature `decode`).
//!
//! Resizing is the separable convolution that Pillow uses (its filters widen when shrinking), in 8 bits, so that the network
//! sees what the published Python code would have shown it, to within one level.

#[cfg(feature = "decode")]
pub(crate) mod decode;
mod error;

#[cfg(feature = "decode")]
pub use decode::{Decoder, Foreign, Format, foreign};
pub use error::ImageError;

use fast_image_resize as fir;
use std::borrow::Cow;

/// An upright image: `[height, width, 3]` bytes, sRGB. It owns them, or [borrows](Image::borrowed) those of a caller.
///
/// Where an image is transparent, a network must see something: [`Image::rgb`] is the image laid over white, or over black if most of
/// what is visible is itself nearly white. The image's own colors and alpha are kept in [`Image::colors`] and [`Image::alpha`].
#[derive(Debug, Clone)]
pub struct Image<'a> {
    height: usize,
    width: usize,
    rgb: Cow<'a, [u8]>,
    /// Own colors and alpha of an image that is not opaque.
    own: Option<(Cow<'a, [u8]>, Vec<u8>)>,
    damage: Option<String>,
    notes: Vec<String>,
    orientation: u8,
    /// The share of the memory budget, given back with the last copy.
    #[cfg(feature = "decode")]
    room: Option<std::sync::Arc<crate::memory::Reservation>>,
}

impl PartialEq for Image<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.height, self.width, &self.rgb, &self.own) == (other.height, other.width, &other.rgb, &other.own)
    }
}

impl Eq for Image<'_> {}

/// Filter of [`Image::resize`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Filter {
    /// Triangle, as Pillow's `BILINEAR`.
    Bilinear,
    /// Windowed sinc of three lobes, as Pillow's `LANCZOS`.
    Lanczos,
}

impl<'a> Image<'a> {
    /// Wraps `[height, width, 3]` bytes.
    ///
    /// # Errors
    /// [`ImageError::Shape`] if a side is zero or the length is another.
    pub fn new(height: usize, width: usize, rgb: Vec<u8>) -> Result<Self, ImageError> {
        Self::of(height, width, rgb.into())
    }

    /// As [`Image::new`], of bytes that stay the caller's.
    ///
    /// ```
    /// let screen = vec![0; 2 * 3 * 3];
    /// let image = deepcut::Image::borrowed(2, 3, &screen)?;
    /// assert_eq!(image.rgb().as_ptr(), screen.as_ptr());
    /// # Ok::<(), deepcut::image::ImageError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Image::new`].
    pub fn borrowed(height: usize, width: usize, rgb: &'a [u8]) -> Result<Self, ImageError> {
        Self::of(height, width, rgb.into())
    }

    fn of(height: usize, width: usize, rgb: Cow<'a, [u8]>) -> Result<Self, ImageError> {
        let expected = height.checked_mul(width).and_then(|n| n.checked_mul(3));
        if height == 0 || width == 0 || expected != Some(rgb.len()) {
            return Err(ImageError::Shape { height, width, got: rgb.len() });
        }
        Ok(Self {
            height,
            width,
            rgb,
            own: None,
            damage: None,
            notes: Vec::new(),
            orientation: 1,
            #[cfg(feature = "decode")]
            room: None,
        })
    }

    /// As [`Image::new`] of an image's own colors, with `[height, width]` bytes of alpha; 255 is opaque.
    ///
    /// # Errors
    /// [`ImageError::Shape`] if a side is zero or a length is another.
    pub fn with_alpha(height: usize, width: usize, colors: Vec<u8>, alpha: Option<Vec<u8>>) -> Result<Self, ImageError> {
        let mut image = Self::new(height, width, colors)?;
        let Some(alpha) = alpha else { return Ok(image) };
        if alpha.len() != height * width {
            return Err(ImageError::Shape { height, width, got: alpha.len() });
        }
        if alpha.iter().any(|&a| a < 255) {
            let seen = over(ground(&image.rgb, &alpha), &image.rgb, &alpha);
            image.own = Some((std::mem::replace(&mut image.rgb, seen.into()), alpha));
        }
        Ok(image)
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The `[height, width, 3]` bytes that a network sees.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// The image's own colors, `[height, width, 3]`: [`Image::rgb`], but for an image with [`Image::alpha`].
    #[must_use]
    pub fn colors(&self) -> &[u8] {
        self.own.as_ref().map_or(&self.rgb, |(colors, _)| colors)
    }

    /// The image's own opacity, `[height, width]`, 255 is opaque; none if all of it is.
    #[must_use]
    pub fn alpha(&self) -> Option<&[u8]> {
        self.own.as_ref().map(|(_, alpha)| &**alpha)
    }

    /// What is missing or wrong in an image that was read with [`Decoder::keep_damaged`].
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// What was assumed where the file does not say it, or not legibly: for the user to read.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// EXIF's number of how the image lay in its file, 1 to 8, before it was turned upright; 1 is upright.
    #[must_use]
    pub fn orientation(&self) -> u8 {
        self.orientation
    }

    /// Whether the image has one color, or nearly: such an image has nothing to cut.
    ///
    /// Nearly: in each channel all pixels lie within 16 levels of 255, and the means of blocks of 8 × 8 pixels within 3. So the noise of a
    /// sensor or of JPEG is no object, but a faint object is.
    ///
    /// ```
    /// use deepcut::Image;
    ///
    /// let image = |value: fn(usize, usize) -> u8| {
    ///     Image::new(32, 32, (0..32 * 32).flat_map(|at| [value(at / 32, at % 32); 3]).collect())
    /// };
    /// // Grain of 9 levels; a square that is 6 levels brighter.
    /// assert!(image(|y, x| 100 + ((y * 7 + x * 5) % 10) as u8)?.is_constant());
    /// assert!(!image(|y, x| if y < 16 && x < 16 { 106 } else { 100 })?.is_constant());
    /// # Ok::<(), deepcut::image::ImageError>(())
    /// ```
    #[must_use]
    pub fn is_constant(&self) -> bool {
        let Some((mut least, mut most)) = self.rgb.first_chunk::<3>().map(|first| (*first, *first)) else { return true };
        // A real image ends this after a few rows.
        for row in self.rgb.chunks(3 * self.width) {
            for pixel in row.chunks_exact(3) {
                for ((least, most), &value) in least.iter_mut().zip(&mut most).zip(pixel) {
                    (*least, *most) = ((*least).min(value), (*most).max(value));
                }
            }
            if least.iter().zip(&most).any(|(least, most)| most - least > NOISE_RANGE) {
                return false;
            }
        }
        let (mut least, mut most) = ([f32::MAX; 3], [f32::MIN; 3]);
        // A small image has smaller blocks, and the last block ends with the image.
        let size = |side: usize| NOISE_BLOCK.min(side.div_ceil(2));
        let starts = |side: usize| (0..side - size(side)).step_by(size(side)).chain([side - size(side)]);
        let (height, width) = (size(self.height), size(self.width));
        for (top, left) in starts(self.height).flat_map(|top| starts(self.width).map(move |left| (top, left))) {
            let mut sums = [0u32; 3];
            for y in top..top + height {
                let from = 3 * (y * self.width + left);
                for pixel in self.rgb[from..from + 3 * width].chunks_exact(3) {
                    sums.iter_mut().zip(pixel).for_each(|(sum, &value)| *sum += u32::from(value));
                }
            }
            for ((least, most), sum) in least.iter_mut().zip(&mut most).zip(sums) {
                let mean = sum as f32 / (height * width) as f32;
                (*least, *most) = (least.min(mean), most.max(mean));
            }
        }
        least.iter().zip(&most).all(|(least, most)| most - least <= NOISE_MEANS)
    }

    /// The image at another size: columns first, then rows, rounded to bytes between them as Pillow does.
    ///
    /// ```
    /// use deepcut::{Image, image::Filter};
    ///
    /// let gray = |height, width, values: &[u8]| Image::new(height, width, values.iter().flat_map(|&value| [value; 3]).collect());
    /// #[rustfmt::skip]
    /// let image = gray(2, 2, &[
    ///     0, 100,
    ///     100, 200,
    /// ])?;
    /// assert_eq!(image.resize(1, 1, Filter::Bilinear)?, gray(1, 1, &[100])?);
    /// assert_eq!(gray(1, 2, &[0, 200])?.resize(1, 4, Filter::Bilinear)?, gray(1, 4, &[0, 50, 150, 200])?);
    /// # Ok::<(), deepcut::image::ImageError>(())
    /// ```
    ///
    /// # Errors
    /// [`ImageError::Resize`] if a side is zero or too large for the resampler.
    pub fn resize(&self, height: usize, width: usize, filter: Filter) -> Result<Image<'static>, ImageError> {
        self.resample(self.height, width, filter)?.resample(height, width, filter)
    }

    fn resample(&self, height: usize, width: usize, filter: Filter) -> Result<Image<'static>, ImageError> {
        let refuse = |reason: &dyn std::fmt::Display| ImageError::Resize { height, width, reason: reason.to_string() };
        let side = |n: usize| u32::try_from(n).map_err(|e| refuse(&e));
        // Typed images: the untyped ones would compile the resampler for every pixel type there is.
        let source =
            fir::images::TypedImageRef::<fir::pixels::U8x3>::from_buffer(side(self.width)?, side(self.height)?, &self.rgb)
                .map_err(|e| refuse(&e))?;
        let mut target = fir::images::TypedImage::<fir::pixels::U8x3>::new(side(width)?, side(height)?);
        let filter = match filter {
            Filter::Bilinear => fir::FilterType::Bilinear,
            Filter::Lanczos => fir::FilterType::Lanczos3,
        };
        let options = fir::ResizeOptions::new().resize_alg(fir::ResizeAlg::Convolution(filter)).use_alpha(false);
        fir::Resizer::new().resize_typed(&source, &mut target, &options).map_err(|e| refuse(&e))?;
        let mut rgb = vec![0; 3 * target.pixels().len()];
        rgb.as_chunks_mut::<3>().0.iter_mut().zip(target.pixels()).for_each(|(out, pixel)| *out = pixel.0);
        Image::new(height, width, rgb).map_err(|e| refuse(&e))
    }

    /// Mean color of each cell of a grid laid over the image, `[height, width, 3]` in [0, 1].
    ///
    /// ```
    /// let image = deepcut::Image::new(1, 2, vec![255, 0, 0, /**/ 255, 102, 204])?;
    /// assert_eq!(image.mean_colors(1, 1)?, [1.0, 51.0 / 255.0, 102.0 / 255.0]);
    /// # Ok::<(), deepcut::image::ImageError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Image::resize`].
    pub fn mean_colors(&self, height: usize, width: usize) -> Result<Vec<f32>, ImageError> {
        Ok(self.resize(height, width, Filter::Bilinear)?.rgb.iter().map(|&value| f32::from(value) / 255.0).collect())
    }

    /// The network's input, `[height, width, 3]`: `(value / 255 − mean) / std`.
    #[must_use]
    pub fn normalize(&self, mean: [f32; 3], std: [f32; 3]) -> Vec<f32> {
        let table: [[f32; 256]; 3] =
            std::array::from_fn(|c| std::array::from_fn(|value| (value as f32 / 255.0 - mean[c]) / std[c]));
        let mut out = Vec::with_capacity(self.rgb.len());
        for pixel in self.rgb.chunks_exact(3) {
            out.extend(pixel.iter().zip(&table).map(|(&value, table)| table[usize::from(value)]));
        }
        out
    }
}

/// Levels between which all pixels of a nearly constant image lie, in each channel.
const NOISE_RANGE: u8 = 16;
/// Levels between which the means of its blocks lie.
const NOISE_MEANS: f32 = 3.0;
/// Side of such a block, in pixels.
const NOISE_BLOCK: usize = 8;

/// White, or black if most of what is visible is nearly white and enough is transparent for the ground to matter.
fn ground(colors: &[u8], alpha: &[u8]) -> u8 {
    let weights = || alpha.iter().map(|&a| u64::from(a));
    let (visible, all) = (weights().sum::<u64>(), 255 * alpha.len() as u64);
    let near_white: u64 =
        colors.chunks_exact(3).zip(weights()).filter(|(color, _)| color.iter().all(|&c| c >= NEAR_WHITE)).map(|(_, a)| a).sum();
    if near_white * 2 > visible && (all - visible) * LEAST_TRANSPARENT >= all { 0 } else { 255 }
}

/// Every channel of a color that white ground would swallow is at least this.
const NEAR_WHITE: u8 = 224;
/// The ground matters if one part in so many of the image is transparent; rounded corners are less.
const LEAST_TRANSPARENT: u64 = 20;

fn over(ground: u8, colors: &[u8], alpha: &[u8]) -> Vec<u8> {
    let mut seen = vec![0; colors.len()];
    for ((color, out), &alpha) in colors.chunks_exact(3).zip(seen.chunks_exact_mut(3)).zip(alpha) {
        let behind = u32::from(ground) * (255 - u32::from(alpha)) + 127;
        out.iter_mut().zip(color).for_each(|(out, &c)| *out = ((u32::from(c) * u32::from(alpha) + behind) / 255) as u8);
    }
    seen
}

/// The size, `(height, width)`, at which an image of another size has about `resolution²` pixels and its own aspect ratio.
///
/// Sides are multiples of `multiple`; a strip longer than sixteen to one is squashed to that.
#[must_use]
pub(crate) fn size_keeping_aspect(height: usize, width: usize, resolution: usize, multiple: usize) -> (usize, usize) {
    let scale = resolution as f64 / ((height as f64) * (width as f64)).sqrt();
    let side = |n: usize| {
        let exact = (n as f64 * scale).clamp(resolution as f64 / 4.0, resolution as f64 * 4.0);
        ((exact / multiple as f64).round() as usize).max(1) * multiple
    };
    (side(height), side(width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_keep_aspect_and_area() {
        assert_eq!(size_keeping_aspect(300, 400, 224, 16), (192, 256));
        assert_eq!(size_keeping_aspect(400, 300, 224, 16), (256, 192));
        assert_eq!(size_keeping_aspect(7, 7, 192, 16), (192, 192));
        assert_eq!(size_keeping_aspect(1, 100_000, 192, 16), (48, 768));
        assert_eq!(size_keeping_aspect(5, 5, 1, 16), (16, 16));
    }

    #[test]
    fn transparency_is_laid_over_white() {
        let image = Image::with_alpha(1, 2, vec![10, 20, 30, 10, 20, 30], Some(vec![0, 255])).unwrap();
        assert_eq!(image.rgb(), [255, 255, 255, 10, 20, 30]);
        assert_eq!((image.colors(), image.alpha()), (&[10, 20, 30, 10, 20, 30][..], Some(&[0, 255][..])));
        // What is white itself is laid over black.
        let image = Image::with_alpha(1, 2, vec![250; 6], Some(vec![0, 255])).unwrap();
        assert_eq!(image.rgb(), [0, 0, 0, 250, 250, 250]);
        // Opaque all over: nothing to keep.
        let image = Image::with_alpha(1, 1, vec![250; 3], Some(vec![255])).unwrap();
        assert_eq!((image.rgb(), image.alpha()), (&[250; 3][..], None));
    }

    #[test]
    fn noise_is_nothing_to_cut_and_a_faint_object_is() {
        let image = |value: &dyn Fn(usize, usize) -> u8| {
            let (height, width) = (40, 61);
            Image::new(height, width, (0..height * width).flat_map(|at| [value(at / width, at % width), 7, 200]).collect())
                .unwrap()
        };
        let noise = |y: usize, x: usize, range: usize| ((y * 7919 + x * 104_729 + y * x * 31) % range) as u8;
        assert!(image(&|_, _| 9).is_constant());
        assert!(image(&|y, x| 100 + noise(y, x, 3)).is_constant() && image(&|y, x| 100 + noise(y, x, 9)).is_constant());
        assert!(Image::new(1, 1, vec![3; 3]).unwrap().is_constant());
        let faint = |y: usize, x: usize| u8::from((8..24).contains(&y) && (16..40).contains(&x)) * 6;
        assert!(!image(&|y, x| 100 + faint(y, x)).is_constant());
        assert!(!image(&|y, x| 100 + faint(y, x) + noise(y, x, 3)).is_constant());
        // Small images, and objects at the edge.
        let halves = |side: usize| {
            let rgb = (0..side * side).flat_map(|at| [if at % side < side / 2 { 90 } else { 104 }; 3]).collect();
            Image::new(side, side, rgb).unwrap()
        };
        assert!([2, 3, 7, 15, 16, 40].into_iter().all(|side| !halves(side).is_constant()));
        assert!(!image(&|_, x| if x >= 58 { 110 } else { 100 }).is_constant());
        // One pixel is enough, if it stands out.
        assert!(!image(&|y, x| if (y, x) == (20, 20) { 255 } else { 0 }).is_constant());
        assert!(image(&|y, x| if (y, x) == (20, 20) { 3 } else { 0 }).is_constant());
    }

    #[test]
    fn shapes_are_checked() {
        assert!(matches!(Image::new(2, 2, vec![0; 11]), Err(ImageError::Shape { got: 11, .. })));
        assert!(matches!(Image::new(0, 2, vec![]), Err(ImageError::Shape { .. })));
        assert!(matches!(Image::decode(&[]), Err(ImageError::Empty)));
        assert!(matches!(Image::decode(b"not an image"), Err(ImageError::UnknownFormat)));
        assert!(matches!(Image::decode(b"\x89PNG\r\n\x1a\n cut short"), Err(ImageError::Broken(_))));
    }

    #[test]
    fn jpegs_that_were_cut_short_are_errors() {
        let mut jpeg = Vec::new();
        image::RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 5, y as u8 * 7, 9]))
            .write_to(&mut std::io::Cursor::new(&mut jpeg), image::ImageFormat::Jpeg)
            .unwrap();
        assert!(Image::decode(&jpeg).is_ok());
        // The last two bytes only say that the image ends.
        for length in 3..jpeg.len() {
            assert_eq!(Image::decode(&jpeg[..length]).is_err(), length < jpeg.len() - 2, "{length} of {} bytes", jpeg.len());
        }
        // Fill bytes, and a thumbnail in a segment before the image.
        let thumbnail = [&[0xff, 0xe1, 0, 6, 0xff, 0xd8, 0xff, 0xd9], &jpeg[2..]].concat();
        assert!(Image::decode(&[&[0xff, 0xd8, 0xff, 0xff][..], &thumbnail].concat()).is_ok());
        assert!(Image::decode(&[&[0xff, 0xd8][..], &thumbnail[..thumbnail.len() - 3]].concat()).is_err());
        // Some cameras write something after the end.
        assert!(Image::decode(&[&jpeg[..], b"after"].concat()).is_ok());
    }

    #[test]
    fn resizing_to_nothing_is_an_error() {
        let image = Image::new(1, 1, vec![9; 3]).unwrap();
        assert_eq!(image.resize(3, 2, Filter::Lanczos).unwrap().rgb(), [9; 18]);
        assert!(matches!(image.resize(0, 5, Filter::Lanczos), Err(ImageError::Resize { .. })));
    }
}
