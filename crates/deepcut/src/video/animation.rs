//! Animations in one file, of which the whole is in memory: GIF, WebP and APNG, frame by frame, as a browser shows them.
//!
//! A frame may cover a part of the canvas and be transparent; what it leaves is what was there before, as its predecessor's disposal says.

use super::VideoError;
use crate::image::decode::gif;
use crate::image::{Format, Image, ImageError};
use image_webp::WebPDecoder;
use std::io::Cursor;
use std::sync::Arc;

/// An animation's bytes, which its decoders share.
type Bytes = Cursor<Arc<[u8]>>;

/// A frame and how many seconds it is shown.
pub(super) type Shown = (Image<'static>, f64);

/// The frames of an animation.
pub(super) enum Animation {
    Gif(Gif),
    WebP(Box<WebP>),
    Apng(Box<Apng>),
}

/// Frames shown for less are shown for this long: browsers take shorter times for mistakes.
const LEAST_SECONDS: f64 = 0.02;
const USUAL_SECONDS: f64 = 0.1;

fn seconds(found: f64) -> f64 {
    if found < LEAST_SECONDS - 1e-9 { USUAL_SECONDS } else { found }
}

fn broken(what: impl ToString) -> VideoError {
    VideoError::Broken { what: what.to_string() }
}

impl Animation {
    /// Whether bytes that begin like this may be an animation.
    pub fn is(first: &[u8]) -> bool {
        matches!(Format::of(first), Some(Format::Gif | Format::WebP | Format::Png))
    }

    /// The animation of these bytes. A still picture is one of one frame.
    pub fn open(bytes: Vec<u8>, max_pixels: u64) -> Result<Self, VideoError> {
        let bytes: Arc<[u8]> = bytes.into();
        match Format::of(&bytes) {
            Some(Format::Gif) => Ok(Self::Gif(Gif::new(bytes, max_pixels)?)),
            Some(Format::WebP) => Ok(Self::WebP(Box::new(WebP::new(bytes, max_pixels)?))),
            Some(Format::Png) => Ok(Self::Apng(Box::new(Apng::new(bytes, max_pixels)?))),
            _ => Err(broken("it is neither GIF, WebP nor APNG")),
        }
    }

    /// The next frame; None at the end.
    pub fn next_frame(&mut self) -> Result<Option<Shown>, VideoError> {
        match self {
            Self::Gif(gif) => gif.next_frame(),
            Self::WebP(webp) => webp.next_frame(),
            Self::Apng(apng) => apng.next_frame(),
        }
    }
}

/// What is seen: `[height, width, 4]` bytes.
struct Canvas {
    height: usize,
    width: usize,
    rgba: Vec<u8>,
}

/// A part of a canvas.
#[derive(Debug, Clone, Copy)]
struct Place {
    top: usize,
    left: usize,
    rows: usize,
    columns: usize,
}

impl Canvas {
    fn new(height: usize, width: usize, max_pixels: u64) -> Result<Self, VideoError> {
        let pixels = (height as u64).saturating_mul(width as u64);
        if pixels == 0 {
            return Err(broken(format!("its header says {width} × {height} pixels")));
        }
        if pixels > max_pixels {
            return Err(VideoError::TooLarge { height, width, max_pixels });
        }
        let bytes = pixels.saturating_mul(4);
        let mut rgba = Vec::new();
        let room = usize::try_from(bytes).ok().and_then(|bytes| rgba.try_reserve_exact(bytes).ok());
        room.ok_or(VideoError::Image(ImageError::Memory { needed: bytes }))?;
        rgba.resize(height * width * 4, 0);
        Ok(Self { height, width, rgba })
    }

    /// The bytes of each row of a place, whose part within the canvas it is.
    fn rows(&self, place: Place) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let width = self.width;
        let columns = place.columns.min(width.saturating_sub(place.left));
        let rows = place.rows.min(self.height.saturating_sub(place.top));
        (place.top..place.top + rows).map(move |y| {
            let start = (y * width + place.left) * 4;
            start..start + columns * 4
        })
    }

    fn clear(&mut self, place: Place) {
        for row in self.rows(place) {
            self.rgba[row].fill(0);
        }
    }

    fn image(&self) -> Result<Image<'static>, VideoError> {
        let pixels = self.rgba.as_chunks::<4>().0;
        let colors = pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
        let alpha = pixels.iter().map(|&[.., a]| a).collect();
        Image::with_alpha(self.height, self.width, colors, Some(alpha)).map_err(VideoError::Image)
    }
}

/// Frames of a GIF.
pub(super) struct Gif {
    bytes: Arc<[u8]>,
    at: usize,
    canvas: Canvas,
    /// What to do before the next frame.
    disposal: Option<(Place, Option<Vec<u8>>)>,
    frames: usize,
    ended: bool,
}

impl Gif {
    fn new(bytes: Arc<[u8]>, max_pixels: u64) -> Result<Self, VideoError> {
        let at = gif::begin(&bytes).map_err(VideoError::Image)?;
        let first = gif::next(&bytes, at).map_err(VideoError::Image)?.ok_or(VideoError::Empty)?;
        let canvas = Canvas::new(first.height, first.width, max_pixels)?;
        Ok(Self { at, canvas, bytes: bytes.clone(), disposal: None, frames: 0, ended: false })
    }

    fn next_frame(&mut self) -> Result<Option<Shown>, VideoError> {
        if self.ended {
            return Ok(None);
        }
        let frame = self.read();
        self.ended = !matches!(frame, Ok(Some(_)));
        frame
    }

    fn read(&mut self) -> Result<Option<Shown>, VideoError> {
        let (bytes, truncated) = (self.bytes.clone(), VideoError::Truncated { frames: self.frames });
        // Some files end without saying so.
        if bytes[self.at..].iter().all(|byte| *byte == 0) {
            return if self.frames == 0 { Err(VideoError::Empty) } else { Ok(None) };
        }
        let frame = match gif::next(&bytes, self.at) {
            Ok(None) => return Ok(None),
            Ok(Some(frame)) if frame.is_plausible() => frame,
            _ => return Err(truncated),
        };
        let (pixels, rest) = frame.pixels().map_err(|_| truncated)?;
        if let Some(damage) = pixels.damage {
            return Err(broken(format!("frame {}: {damage}", self.frames)));
        }
        self.at = bytes.len() - rest;
        match self.disposal.take() {
            Some((_, Some(before))) => self.canvas.rgba = before,
            Some((place, None)) => self.canvas.clear(place),
            None => {}
        }
        let place = Place { top: frame.top, left: frame.left, rows: frame.rows, columns: frame.columns };
        self.disposal = match frame.disposal {
            2 => Some((place, None)),
            3 => Some((place, Some(self.canvas.rgba.clone()))),
            _ => None,
        };
        for (row, line) in self.canvas.rows(place).zip(0..) {
            for (at, pixel) in (line * frame.columns..).zip(self.canvas.rgba[row].as_chunks_mut::<4>().0) {
                if let (true, &[r, g, b]) = (pixels.opaque[at], &pixels.rgb[3 * at..3 * at + 3]) {
                    *pixel = [r, g, b, 255];
                }
            }
        }
        self.frames += 1;
        Ok(Some((self.canvas.image()?, seconds(f64::from(frame.delay) / 100.0))))
    }
}

/// Frames of a WebP; its decoder keeps the canvas.
pub(super) struct WebP {
    decoder: WebPDecoder<Bytes>,
    height: usize,
    width: usize,
    left: u32,
    frames: usize,
    buffer: Vec<u8>,
}

impl WebP {
    fn new(bytes: Arc<[u8]>, max_pixels: u64) -> Result<Self, VideoError> {
        let decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(broken)?;
        let (width, height) = decoder.dimensions();
        let left = if decoder.is_animated() { decoder.num_frames() } else { 1 };
        // For its check of the size.
        let canvas = Canvas::new(height as usize, width as usize, max_pixels)?;
        let size = decoder.output_buffer_size().unwrap_or_default();
        let mut buffer = canvas.rgba;
        buffer.resize(size, 0);
        Ok(Self { decoder, height: height as usize, width: width as usize, left, frames: 0, buffer })
    }

    fn next_frame(&mut self) -> Result<Option<Shown>, VideoError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let found = if self.decoder.is_animated() {
            self.decoder.read_frame(&mut self.buffer)
        } else {
            self.decoder.read_image(&mut self.buffer).map(|()| 0)
        };
        let Ok(milliseconds) = found else {
            self.left = 0;
            return Err(VideoError::Truncated { frames: self.frames });
        };
        self.frames += 1;
        let (colors, alpha) = if self.decoder.has_alpha() {
            let pixels = self.buffer.as_chunks::<4>().0;
            let colors = pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
            (colors, Some(pixels.iter().map(|&[.., a]| a).collect()))
        } else {
            (self.buffer.clone(), None)
        };
        let image = Image::with_alpha(self.height, self.width, colors, alpha).map_err(VideoError::Image)?;
        Ok(Some((image, seconds(f64::from(milliseconds) / 1000.0))))
    }
}

/// Frames of an APNG.
pub(super) struct Apng {
    reader: png::Reader<Bytes>,
    canvas: Canvas,
    buffer: Vec<u8>,
    disposal: Option<(Place, Option<Vec<u8>>)>,
    left: u32,
    /// Whether the file's own image is the first frame's.
    skip_first: bool,
    frames: usize,
}

impl Apng {
    fn new(bytes: Arc<[u8]>, max_pixels: u64) -> Result<Self, VideoError> {
        let mut decoder = png::Decoder::new(Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::normalize_to_color8() | png::Transformations::ALPHA);
        let reader = decoder.read_info().map_err(broken)?;
        let info = reader.info();
        let canvas = Canvas::new(info.height as usize, info.width as usize, max_pixels)?;
        let animated = info.animation_control().map(|control| control.num_frames);
        let skip_first = animated.is_some() && info.frame_control().is_none();
        let size = reader.output_buffer_size().ok_or_else(|| broken("its size cannot be"))?;
        let buffer = vec![0; size];
        Ok(Self { reader, canvas, buffer, disposal: None, left: animated.unwrap_or(1), skip_first, frames: 0 })
    }

    fn next_frame(&mut self) -> Result<Option<Shown>, VideoError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let frame = self.read();
        if frame.is_err() {
            self.left = 0;
        }
        frame.map(Some)
    }

    fn read(&mut self) -> Result<Shown, VideoError> {
        let truncated = |_| VideoError::Truncated { frames: self.frames };
        if std::mem::take(&mut self.skip_first) {
            self.reader.next_frame(&mut self.buffer).map_err(truncated)?;
        }
        let found = self.reader.next_frame(&mut self.buffer).map_err(truncated)?;
        let control = self.reader.info().frame_control().copied();
        let (place, over, dispose, shown) = match control {
            Some(control) => {
                let [top, left, rows, columns] =
                    [control.y_offset, control.x_offset, control.height, control.width].map(|v| v as usize);
                let below = if control.delay_den == 0 { 100 } else { control.delay_den };
                let shown = f64::from(control.delay_num) / f64::from(below);
                (Place { top, left, rows, columns }, control.blend_op == png::BlendOp::Over, control.dispose_op, shown)
            }
            None => {
                let place = Place { top: 0, left: 0, rows: self.canvas.height, columns: self.canvas.width };
                (place, false, png::DisposeOp::None, 0.0)
            }
        };
        match self.disposal.take() {
            Some((_, Some(before))) => self.canvas.rgba = before,
            Some((place, None)) => self.canvas.clear(place),
            None => {}
        }
        self.disposal = match dispose {
            png::DisposeOp::Background => Some((place, None)),
            png::DisposeOp::Previous => Some((place, Some(self.canvas.rgba.clone()))),
            png::DisposeOp::None => None,
        };
        // Gray with alpha, or colors with alpha.
        let channels = found.color_type.samples();
        for (row, line) in self.canvas.rows(place).zip(self.buffer.chunks_exact(found.line_size)) {
            for (pixel, own) in self.canvas.rgba[row].as_chunks_mut::<4>().0.iter_mut().zip(line.chunks_exact(channels)) {
                let own = match *own {
                    [r, g, b, a] => [r, g, b, a],
                    [gray, a] => [gray, gray, gray, a],
                    [r, g, b] => [r, g, b, 255],
                    _ => continue,
                };
                *pixel = if over { blended(own, *pixel) } else { own };
            }
        }
        self.frames += 1;
        Ok((self.canvas.image()?, seconds(shown)))
    }
}

/// A pixel over another, neither of them multiplied by its alpha.
fn blended(above: [u8; 4], below: [u8; 4]) -> [u8; 4] {
    let (a, b) = (u32::from(above[3]), u32::from(below[3]));
    let total = a * 255 + b * (255 - a);
    if total == 0 {
        return [0; 4];
    }
    let mix = |i: usize| ((u32::from(above[i]) * a * 255 + u32::from(below[i]) * b * (255 - a) + total / 2) / total) as u8;
    [mix(0), mix(1), mix(2), ((total + 127) / 255) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> (Vec<Shown>, Option<VideoError>) {
        let mut animation = match Animation::open(bytes.to_vec(), 1 << 20) {
            Ok(animation) => animation,
            Err(error) => return (vec![], Some(error)),
        };
        let mut found = Vec::new();
        loop {
            match animation.next_frame() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => return (found, None),
                Err(error) => {
                    assert!(animation.next_frame().is_ok_and(|frame| frame.is_none()), "it goes on after an error");
                    return (found, Some(error));
                }
            }
        }
    }

    /// Two pixels: red and green; then the second frame paints the left one blue; the third, at the right, is red over what was before.
    fn gif(disposal: u8) -> Vec<u8> {
        let palette = [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9];
        let mut out = [b"GIF89a", &[2, 0, 1, 0, 0x81, 0, 0][..], &palette].concat();
        for (left, indices, disposal) in [(0, &[0, 1][..], 0), (0, &[2], disposal), (1, &[0], 0)] {
            out.extend([0x21, 0xf9, 4, disposal << 2, 50, 0, 0, 0]);
            out.extend([0x2c, left, 0, 0, 0, indices.len() as u8, 0, 1, 0, 0, 2]);
            let packed = weezl::encode::Encoder::new(weezl::BitOrder::Lsb, 2).encode(indices).unwrap();
            out.push(packed.len() as u8);
            out.extend(packed);
            out.push(0);
        }
        out.push(0x3b);
        out
    }

    #[test]
    fn frames_of_a_gif_lie_over_one_another() {
        const R: [u8; 3] = [255, 0, 0];
        const G: [u8; 3] = [0, 255, 0];
        const B: [u8; 3] = [0, 0, 255];
        for (disposal, third) in [(0, [B, R]), (1, [B, R]), (3, [R, R])] {
            let (frames, error) = all(&gif(disposal));
            assert!(error.is_none());
            let colors: Vec<&[u8]> = frames.iter().map(|(image, _)| image.rgb()).collect();
            assert_eq!(colors, [[R, G].concat(), [B, G].concat(), third.concat()]);
            assert!(frames.iter().all(|(_, seconds)| *seconds == 0.5));
        }
        // Nothing is left of the second.
        let (frames, _) = all(&gif(2));
        assert_eq!(frames[2].0.alpha().unwrap(), [0, 255]);
    }

    #[test]
    fn a_gif_that_ends_early_gives_what_is_whole() {
        let whole = gif(0);
        // A file may end after the last pixel of any frame, without the bytes that say so; everywhere else something is missing.
        let ends = (0..whole.len()).map(|length| all(&whole[..length])).filter(|(_, error)| error.is_none());
        let mut frames: Vec<usize> = ends.map(|(frames, _)| frames.len()).collect();
        assert!(frames.len() < 10, "{frames:?}");
        frames.dedup();
        assert_eq!(frames, [1, 2, 3]);
        assert!((1..whole.len()).all(|length| all(&whole[..length]).0.len() <= all(&whole[..length + 1]).0.len()));
    }

    #[test]
    fn frames_of_an_apng_lie_over_one_another() {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 2, 1);
        encoder.set_color(png::ColorType::Rgba);
        encoder.set_animated(2, 0).unwrap();
        encoder.set_frame_delay(1, 4).unwrap();
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[10, 20, 30, 255, 40, 50, 60, 255]).unwrap();
        writer.set_blend_op(png::BlendOp::Over).unwrap();
        writer.write_image_data(&[0, 0, 0, 0, 200, 210, 220, 255]).unwrap();
        writer.finish().unwrap();
        let (frames, error) = all(&file);
        assert!(error.is_none());
        assert_eq!(frames[0].0.rgb(), [10, 20, 30, 40, 50, 60]);
        assert_eq!((frames[1].0.rgb(), frames[1].1), (&[10, 20, 30, 200, 210, 220][..], 0.25));
        assert!(all(&file[..file.len() / 2]).1.is_some());
        // A still picture has one frame.
        let mut still = Vec::new();
        let mut encoder = png::Encoder::new(&mut still, 1, 1);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&[7]).unwrap();
        assert_eq!(all(&still).0[0].0.rgb(), [7, 7, 7]);
    }

    #[test]
    fn half_of_a_pixel_over_another() {
        assert_eq!(blended([100, 0, 0, 255], [0, 50, 0, 255]), [100, 0, 0, 255]);
        assert_eq!(blended([200, 0, 0, 0], [0, 50, 0, 128]), [0, 50, 0, 128]);
        assert_eq!(blended([0; 4], [0; 4]), [0; 4]);
        assert_eq!(blended([100, 0, 0, 128], [0, 0, 0, 255]), [50, 0, 0, 255]);
    }
}
