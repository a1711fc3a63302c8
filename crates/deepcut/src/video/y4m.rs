//! YUV4MPEG2, uncompressed video in a stream: what `ffmpeg -f yuv4mpegpipe -` and most tools write and read.
//!
//! ```text
//! YUV4MPEG2 W640 H480 F30000:1001 Ip A1:1 C420jpeg\n
//! FRAME\n  Y plane, Cb plane, Cr plane
//! FRAME\n  …
//! ```
//!
//! * Color spaces: 4:2:0, 4:2:2, 4:4:4, 4:1:1, 4:4:0, with or without alpha, and gray, of 8 to 16 bits; deep samples have two bytes, the low one first.
//! * Colors are BT.601's, in limited range unless the header says `XCOLORRANGE=FULL`; chroma is repeated, not interpolated.
//! * Memory for a frame grows with the bytes that come, so a header that lies costs nothing.
//!
//! Source: mjpegtools' manual page yuv4mpeg(5), and ffmpeg's writer for what it adds (`XCOLORRANGE`, deep color spaces).

use super::VideoError;
use crate::image::Image;
use std::io::Read;

/// What every stream begins with.
pub(super) const MAGIC: &[u8] = b"YUV4MPEG2";
/// No header line is longer.
const MAX_LINE: usize = 4096;

/// How the samples of a frame lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    /// Pixels for a chroma sample, down and across; None: gray.
    chroma: Option<(usize, usize)>,
    alpha: bool,
    /// Bits of a sample, 8 to 16.
    bits: u32,
}

impl Layout {
    /// The layout of a `C` parameter.
    fn of(name: &str) -> Option<Self> {
        let (base, bits) = match name {
            "420jpeg" | "420mpeg2" | "420paldv" | "420" => ("420", 8),
            "444alpha" => return Some(Self { chroma: Some((1, 1)), alpha: true, bits: 8 }),
            "mono" | "422" | "444" | "411" | "440" => (name, 8),
            _ => {
                let deep = name.strip_prefix("mono").map(|bits| ("mono", bits));
                let (base, bits) = deep.or_else(|| name.split_once('p'))?;
                (base, bits.parse().ok().filter(|bits| (9..=16).contains(bits))?)
            }
        };
        let chroma = match base {
            "420" => Some((2, 2)),
            "422" => Some((1, 2)),
            "444" => Some((1, 1)),
            "411" => Some((1, 4)),
            "440" => Some((2, 1)),
            "mono" => None,
            _ => return None,
        };
        Some(Self { chroma, alpha: false, bits })
    }

    fn sample_bytes(self) -> u64 {
        if self.bits > 8 { 2 } else { 1 }
    }

    /// Samples of a chroma plane.
    fn chroma_size(self, height: usize, width: usize) -> Option<(usize, usize)> {
        self.chroma.map(|(down, across)| (height.div_ceil(down), width.div_ceil(across)))
    }

    /// Bytes of a frame; the sides are below 2³².
    fn bytes(self, height: usize, width: usize) -> u64 {
        let plane = |(height, width): (usize, usize)| (height as u64).saturating_mul(width as u64);
        let luma = plane((height, width));
        let chroma = self.chroma_size(height, width).map_or(0, plane);
        let alpha = if self.alpha { luma } else { 0 };
        luma.saturating_add(chroma.saturating_mul(2)).saturating_add(alpha).saturating_mul(self.sample_bytes())
    }
}

/// Frames of a stream.
#[derive(Debug)]
pub struct Y4m<R> {
    reader: R,
    height: usize,
    width: usize,
    rate: Option<(u32, u32)>,
    layout: Layout,
    full_range: bool,
    frames: usize,
    buffer: Vec<u8>,
    ended: bool,
}

impl<R: Read> Y4m<R> {
    /// Reads the header. Frames of more than `max_pixels` pixels are refused.
    ///
    /// ```
    /// use deepcut::video::Y4m;
    ///
    /// // Two frames of one gray pixel.
    /// let stream = b"YUV4MPEG2 W1 H1 F25:1 Cmono\nFRAME\n\x10FRAME\n\xeb";
    /// let mut frames = Y4m::new(&stream[..], 1 << 20)?;
    /// assert_eq!((frames.height(), frames.width(), frames.rate()), (1, 1, Some((25, 1))));
    /// assert_eq!(frames.next_frame()?.unwrap().rgb(), [0, 0, 0]);
    /// assert_eq!(frames.next_frame()?.unwrap().rgb(), [255, 255, 255]);
    /// assert_eq!(frames.next_frame()?, None);
    /// # Ok::<(), deepcut::video::VideoError>(())
    /// ```
    ///
    /// # Errors
    /// [`VideoError`] if the stream is no YUV4MPEG2, has a color space that is not known, or sides that cannot be.
    pub fn new(mut reader: R, max_pixels: u64) -> Result<Self, VideoError> {
        let line = line(&mut reader)?.ok_or(VideoError::Empty)?;
        let text = String::from_utf8_lossy(&line);
        let mut words = text.split(' ');
        if words.next().map(str::as_bytes) != Some(MAGIC) {
            return Err(VideoError::NotY4m);
        }
        let broken = |what: String| VideoError::Broken { what };
        let (mut height, mut width, mut rate) = (None, None, None);
        let (mut layout, mut full_range) = (Layout { chroma: Some((2, 2)), alpha: false, bits: 8 }, false);
        for word in words.filter(|word| !word.is_empty()) {
            let mut letters = word.chars();
            let (letter, value) = (letters.next().unwrap_or_default(), letters.as_str());
            match letter {
                'W' => width = value.parse::<u32>().ok(),
                'H' => height = value.parse::<u32>().ok(),
                'F' => rate = ratio(value),
                'C' => layout = Layout::of(value).ok_or_else(|| broken(format!("the color space {value:?} is not known")))?,
                'X' if value == "COLORRANGE=FULL" => full_range = true,
                // Interlacing, the pixels' aspect and comments.
                _ => {}
            }
        }
        let side = |side: Option<u32>, name| {
            side.filter(|&side| side > 0).map(|side| side as usize).ok_or_else(|| broken(format!("its header gives no {name}")))
        };
        let (height, width) = (side(height, "height")?, side(width, "width")?);
        let pixels = (height as u64).saturating_mul(width as u64);
        if pixels > max_pixels {
            return Err(VideoError::TooLarge { height, width, max_pixels });
        }
        Ok(Self { reader, height, width, rate, layout, full_range, frames: 0, buffer: Vec::new(), ended: false })
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

    /// Frames a second as a fraction; None if the header does not say, or says what cannot be.
    #[must_use]
    pub fn rate(&self) -> Option<(u32, u32)> {
        self.rate
    }

    /// The next frame; None at the end. After an error the stream has ended.
    ///
    /// # Errors
    /// [`VideoError`] if the stream ends in the middle of a frame, or something else than a frame follows.
    pub fn next_frame(&mut self) -> Result<Option<Image<'static>>, VideoError> {
        if self.ended {
            return Ok(None);
        }
        let frame = self.read_frame();
        self.ended = !matches!(frame, Ok(Some(_)));
        frame
    }

    fn read_frame(&mut self) -> Result<Option<Image<'static>>, VideoError> {
        let frames = self.frames;
        let Some(line) = line(&mut self.reader)? else { return Ok(None) };
        if line != b"FRAME" && !line.starts_with(b"FRAME ") {
            return Err(VideoError::Broken { what: format!("after {frames} frames something follows that is no frame") });
        }
        let expected = self.layout.bytes(self.height, self.width);
        self.buffer.clear();
        let found = Read::by_ref(&mut self.reader).take(expected).read_to_end(&mut self.buffer).map_err(VideoError::Read)?;
        if (found as u64) < expected {
            return Err(VideoError::Truncated { frames });
        }
        self.frames += 1;
        let (rgb, alpha) = self.convert();
        Ok(Some(Image::with_alpha(self.height, self.width, rgb, alpha).map_err(VideoError::Image)?))
    }

    /// Colors and alpha of the frame in the buffer, which is whole.
    fn convert(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let Self { height, width, layout, .. } = *self;
        let bytes = layout.sample_bytes() as usize;
        let (luma, rest) = self.buffer.split_at(height * width * bytes);
        let mut rgb = vec![0; height * width * 3];
        let shift = layout.bits - 8;
        // Samples of 8 bits: what the ones below them say cannot be seen by the network.
        let sample = |plane: &[u8], at: usize| match bytes {
            1 => i32::from(plane[at]),
            _ => i32::from(u16::from_le_bytes([plane[2 * at], plane[2 * at + 1]]) >> shift).min(255),
        };
        let table = Table::new(self.full_range);
        let Some(((down, across), (rows, columns))) = layout.chroma.zip(layout.chroma_size(height, width)) else {
            for (at, pixel) in rgb.chunks_exact_mut(3).enumerate() {
                pixel.fill(table.clamped(table.luma(sample(luma, at))));
            }
            return (rgb, None);
        };
        let (blue, rest) = rest.split_at(rows * columns * bytes);
        let (red, alpha) = rest.split_at(rows * columns * bytes);
        for (y, row) in rgb.chunks_exact_mut(width * 3).enumerate() {
            let chroma = y / down * columns;
            for (x, pixel) in row.chunks_exact_mut(3).enumerate() {
                let luma = table.luma(sample(luma, y * width + x));
                let at = chroma + x / across;
                let (blue, red) = (sample(blue, at) - 128, sample(red, at) - 128);
                let [r, g, b] = table.chroma(blue, red);
                pixel.copy_from_slice(&[table.clamped(luma + r), table.clamped(luma + g), table.clamped(luma + b)]);
            }
        }
        let alpha = layout.alpha.then(|| alpha[..height * width].to_vec());
        (rgb, alpha)
    }
}

/// BT.601 in sixteen bits after the point.
struct Table {
    /// Black, and the factor of luma.
    luma: (i32, i32),
    /// Cr → R; Cb, Cr → G; Cb → B.
    chroma: [i32; 4],
}

impl Table {
    fn new(full_range: bool) -> Self {
        // 1.402, 0.344136, 0.714136 and 1.772; in limited range 255/224 times that, and luma 255/219.
        if full_range {
            Self { luma: (0, 65536), chroma: [91881, 22554, 46802, 116_130] }
        } else {
            Self { luma: (16, 76309), chroma: [104_597, 25675, 53279, 132_201] }
        }
    }

    fn luma(&self, sample: i32) -> i32 {
        (sample - self.luma.0) * self.luma.1
    }

    fn chroma(&self, blue: i32, red: i32) -> [i32; 3] {
        let [r, gb, gr, b] = self.chroma;
        [r * red, -gb * blue - gr * red, b * blue]
    }

    fn clamped(&self, value: i32) -> u8 {
        ((value + 32768) >> 16).clamp(0, 255) as u8
    }
}

/// A fraction above 0, such as `30000:1001`.
fn ratio(text: &str) -> Option<(u32, u32)> {
    let (above, below) = text.split_once(':')?;
    let (above, below) = (above.parse().ok()?, below.parse().ok()?);
    (above > 0 && below > 0).then_some((above, below))
}

/// The bytes up to the next line end; None at the stream's end.
fn line(reader: &mut impl Read) -> Result<Option<Vec<u8>>, VideoError> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    loop {
        match reader.read(&mut byte) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => return Err(VideoError::Broken { what: "it ends in the middle of a line".into() }),
            Ok(_) if byte[0] == b'\n' => return Ok(Some(line)),
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(VideoError::Read(error)),
        }
        if line.len() > MAX_LINE {
            return Err(VideoError::Broken { what: "a line of its header has no end".into() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(stream: &[u8]) -> Result<Y4m<&[u8]>, VideoError> {
        Y4m::new(stream, 1 << 24)
    }

    #[test]
    fn planes_become_colors() {
        // Black, white, and saturated red, green and blue of BT.601 in limited range.
        let stream = b"YUV4MPEG2 W5 H1 F25:1 C444\nFRAME\n\x10\xeb\x51\x91\x29\x80\x80\x5a\x36\xf0\x80\x80\xf0\x22\x6e";
        let image = open(stream).unwrap().next_frame().unwrap().unwrap();
        let expected = [[0, 0, 0], [255, 255, 255], [254, 0, 0], [0, 255, 1], [0, 0, 255]];
        for (found, expected) in image.rgb().chunks(3).zip(expected) {
            assert!(found.iter().zip(expected).all(|(&a, b)| i32::from(a).abs_diff(b) <= 1), "{found:?}, not {expected:?}");
        }
        let full = b"YUV4MPEG2 W2 H1 F25:1 C444 XCOLORRANGE=FULL\nFRAME\n\x00\xff\x80\x80\x80\x80";
        assert_eq!(open(full).unwrap().next_frame().unwrap().unwrap().rgb(), [0, 0, 0, 255, 255, 255]);
    }

    #[test]
    fn every_color_space_has_its_size() {
        // 3 × 5 pixels; chroma is rounded up.
        let cases = [
            ("420jpeg", 15 + 2 * 6),
            ("422", 15 + 2 * 9),
            ("444", 45),
            ("411", 15 + 2 * 6),
            ("440", 15 + 2 * 10),
            ("mono", 15),
            ("444alpha", 60),
            ("420p10", 2 * (15 + 2 * 6)),
            ("mono12", 30),
            ("444p16", 90),
        ];
        for (space, bytes) in cases {
            let mut stream = format!("YUV4MPEG2 H3 W5 F1:1 C{space} Xhello\nFRAME Ip\n").into_bytes();
            stream.extend(vec![128; bytes]);
            stream.extend(b"FRAME\n");
            let mut frames = open(&stream).unwrap();
            let image = frames.next_frame().unwrap().unwrap();
            assert_eq!((image.height(), image.width()), (3, 5), "{space}");
            assert_eq!(image.alpha().is_some(), space == "444alpha");
            assert!(matches!(frames.next_frame(), Err(VideoError::Truncated { frames: 1 })), "{space}");
            assert!(matches!(frames.next_frame(), Ok(None)));
        }
        assert_eq!(Layout::of("420p8"), None);
        assert_eq!(Layout::of("999p10"), None);
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let refused = |header: &str| open(format!("{header}\nFRAME\n").as_bytes()).unwrap_err().to_string();
        assert!(matches!(open(b""), Err(VideoError::Empty)));
        assert!(matches!(open(b"RIFF\n"), Err(VideoError::NotY4m)));
        assert!(refused("YUV4MPEG2 W0 H4").contains("no width"));
        assert!(refused("YUV4MPEG2 W4").contains("no height"));
        assert!(refused("YUV4MPEG2 W4 H-4").contains("no height"));
        assert!(refused("YUV4MPEG2 W4 H4 C420p99").contains("color space"));
        assert!(matches!(open(b"YUV4MPEG2 W4294967295 H4294967295\n"), Err(VideoError::TooLarge { .. })));
        assert!(open(&[MAGIC, &[b' '; 2 * MAX_LINE]].concat()).is_err());
        // Within the limit, but not there: nothing is set aside for it.
        let mut frames = Y4m::new(&b"YUV4MPEG2 W60000 H60000\nFRAME\nabc"[..], u64::MAX).unwrap();
        assert!(matches!(frames.next_frame(), Err(VideoError::Truncated { frames: 0 })));
        for (rate, expected) in [("F30000:1001", Some((30000, 1001))), ("F0:0", None), ("F25", None), ("Fx:y", None)] {
            assert_eq!(open(format!("YUV4MPEG2 W1 H1 {rate}\n").as_bytes()).unwrap().rate(), expected);
        }
    }
}
