//! Bytes → upright RGB picture → resized, normalised network input.
//!
//! Resizing is the separable convolution that Pillow uses (its filters widen when shrinking), in 8 bits, so that the network
//! sees what the published Python code would have shown it, to within one level.

#[doc(hidden)]
pub mod jpeg;

use fast_image_resize as fir;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use std::ffi::OsStr;
use std::io::Cursor;
use std::path::Path;

/// Pictures of more pixels than this are refused before they are decoded.
pub const MAX_PIXELS: u64 = 1 << 27;

/// Why a picture could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// The bytes are in no format this build reads.
    #[error("not a picture in a format this build reads (JPEG, PNG, WebP, TIFF, BMP, GIF, PNM)")]
    UnknownFormat,
    /// The decoder gave up.
    #[error("cannot decode the picture")]
    Decode(#[source] image::ImageError),
    /// A JPEG that cannot be decoded.
    #[error(transparent)]
    Jpeg(#[from] jpeg::JpegError),
    /// Something of the picture is missing or wrong: the rest would be shown as if it were whole.
    #[error("the picture is damaged: {0}; copy or download it again")]
    Damaged(String),
    /// More than [`MAX_PIXELS`].
    #[error("the picture has {width} × {height} pixels, more than {MAX_PIXELS}; shrink it first")]
    TooLarge {
        /// Rows stated by the header.
        height: u32,
        /// Columns stated by the header.
        width: u32,
    },
    /// The buffer does not hold `height * width * 3` bytes, or a side is zero.
    #[error("{got} bytes do not make a {height} × {width} RGB picture")]
    Shape {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Length of the buffer.
        got: usize,
    },
    /// The resampler refused the sizes.
    #[error("cannot resize the picture to {height} × {width}: {reason}")]
    Resize {
        /// Rows asked for.
        height: usize,
        /// Columns asked for.
        width: usize,
        /// The resampler's words.
        reason: String,
    },
}

/// An upright picture: `[height, width, 3]` bytes, RGB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    height: usize,
    width: usize,
    rgb: Vec<u8>,
}

/// Filter of [`Image::resize`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Filter {
    /// Triangle, as Pillow's `BILINEAR`.
    Bilinear,
    /// Windowed sinc of three lobes, as Pillow's `LANCZOS`.
    Lanczos,
}

impl Image {
    /// Extensions of the files that [`Image::decode`] reads, in lower case.
    pub const EXTENSIONS: [&str; 13] =
        ["jpg", "jpeg", "jpe", "png", "webp", "tif", "tiff", "bmp", "gif", "ppm", "pgm", "pbm", "pnm"];

    /// Whether a file is named as a picture, whatever the case.
    #[must_use]
    pub fn is_named_by(path: &Path) -> bool {
        let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        Self::EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
    }

    /// Wraps `[height, width, 3]` bytes.
    ///
    /// # Errors
    /// [`ImageError::Shape`] if a side is zero or the length is another.
    pub fn new(height: usize, width: usize, rgb: Vec<u8>) -> Result<Self, ImageError> {
        let expected = height.checked_mul(width).and_then(|n| n.checked_mul(3));
        if height == 0 || width == 0 || expected != Some(rgb.len()) {
            return Err(ImageError::Shape { height, width, got: rgb.len() });
        }
        Ok(Self { height, width, rgb })
    }

    /// Decodes a file's bytes: any depth and colour type, turned upright as its EXIF data says, transparency laid over white.
    ///
    /// # Errors
    /// Every variant of [`ImageError`] but the last two.
    pub fn decode(bytes: &[u8]) -> Result<Self, ImageError> {
        if bytes.is_empty() {
            return Err(ImageError::Empty);
        }
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|_| ImageError::UnknownFormat)?;
        match reader.format() {
            None => return Err(ImageError::UnknownFormat),
            Some(ImageFormat::Jpeg) => return Self::decode_jpeg(bytes),
            _ => {}
        }
        let mut decoder = reader.into_decoder().map_err(ImageError::Decode)?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(ImageError::TooLarge { height, width });
        }
        // Room for sixteen bits of four channels, and the decoder's own buffers.
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(MAX_PIXELS * 16);
        decoder.set_limits(limits).map_err(ImageError::Decode)?;
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut picture = DynamicImage::from_decoder(decoder).map_err(ImageError::Decode)?;
        picture.apply_orientation(orientation);
        let picture = over_white(picture);
        Self::new(picture.height() as usize, picture.width() as usize, picture.into_raw())
    }

    fn decode_jpeg(bytes: &[u8]) -> Result<Self, ImageError> {
        let decoded = jpeg::decode(bytes, &jpeg::Limits { max_pixels: MAX_PIXELS })?;
        if let Some(damage) = decoded.damage {
            return Err(ImageError::Damaged(damage));
        }
        let orientation = decoded.exif.as_deref().and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms);
        let (height, width) = (decoded.height as u32, decoded.width as u32);
        let rgb = RgbImage::from_raw(width, height, decoded.into_rgb()).ok_or(jpeg::JpegError::Truncated)?;
        let mut picture = DynamicImage::from(rgb);
        picture.apply_orientation(orientation);
        Self::new(picture.height() as usize, picture.width() as usize, picture.into_bytes())
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

    /// The `[height, width, 3]` bytes.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Whether every pixel has the same colour: such a picture has nothing to cut.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.rgb.chunks_exact(3).all(|pixel| pixel == &self.rgb[..3])
    }

    /// The picture at another size: columns first, then rows, rounded to bytes between them as Pillow does.
    ///
    /// # Errors
    /// [`ImageError::Resize`] if a side is zero or too large for the resampler.
    pub fn resize(&self, height: usize, width: usize, filter: Filter) -> Result<Self, ImageError> {
        self.resample(self.height, width, filter)?.resample(height, width, filter)
    }

    fn resample(&self, height: usize, width: usize, filter: Filter) -> Result<Self, ImageError> {
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
        Self::new(height, width, target.pixels().iter().flat_map(|pixel| pixel.0).collect()).map_err(|e| refuse(&e))
    }

    /// Mean colour of each cell of a grid laid over the picture, `[height, width, 3]` in [0, 1].
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

fn over_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let rgba = picture.into_rgba8();
    let blend = |value: u8, alpha: u8| ((u32::from(value) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 127) / 255) as u8;
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0;
        image::Rgb([blend(r, a), blend(g, a), blend(b, a)])
    })
}

/// The size, `(height, width)`, at which a picture of another size has about `resolution²` pixels and its own aspect ratio.
///
/// Sides are multiples of `multiple`; a strip longer than sixteen to one is squashed to that.
#[must_use]
pub fn size_keeping_aspect(height: usize, width: usize, resolution: usize, multiple: usize) -> (usize, usize) {
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
    fn pictures_are_told_by_their_names() {
        let named = |name| Image::is_named_by(Path::new(name));
        assert!(named("A.JPG") && named("a.b.webp") && !named("notes.txt") && !named("jpg"));
    }

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
        let mut rgba = image::RgbaImage::from_pixel(2, 1, image::Rgba([10, 20, 30, 0]));
        rgba.put_pixel(1, 0, image::Rgba([10, 20, 30, 255]));
        assert_eq!(over_white(rgba.into()).into_raw(), [255, 255, 255, 10, 20, 30]);
    }

    #[test]
    fn shapes_are_checked() {
        assert!(matches!(Image::new(2, 2, vec![0; 11]), Err(ImageError::Shape { got: 11, .. })));
        assert!(matches!(Image::new(0, 2, vec![]), Err(ImageError::Shape { .. })));
        assert!(matches!(Image::decode(&[]), Err(ImageError::Empty)));
        assert!(matches!(Image::decode(b"not a picture"), Err(ImageError::UnknownFormat)));
        assert!(matches!(Image::decode(b"\x89PNG\r\n\x1a\n cut short"), Err(ImageError::Decode(_))));
    }

    #[test]
    fn jpegs_that_were_cut_short_are_errors() {
        let mut jpeg = Vec::new();
        RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8 * 5, y as u8 * 7, 9]))
            .write_to(&mut Cursor::new(&mut jpeg), ImageFormat::Jpeg)
            .unwrap();
        assert!(Image::decode(&jpeg).is_ok());
        // The last two bytes only say that the picture ends.
        for length in 3..jpeg.len() {
            assert_eq!(Image::decode(&jpeg[..length]).is_err(), length < jpeg.len() - 2, "{length} of {} bytes", jpeg.len());
        }
        // Fill bytes, and a thumbnail in a segment before the picture.
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
