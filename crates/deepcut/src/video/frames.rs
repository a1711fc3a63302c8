//! The frames of a video, wherever they come from, one at a time: memory does not grow with the video.

use super::VideoError;
use super::animation::Animation;
use super::ffmpeg::Decoded;
use super::y4m::{MAGIC, Y4m};
use crate::batch::inputs::is_result;
use crate::image::{Decoder, Image, ImageError};
use std::cmp::Ordering;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Frames a second where nothing says how many.
pub(super) const USUAL_RATE: (u32, u32) = (25, 1);
/// Bytes that tell a format.
const FIRST_BYTES: usize = 32;
/// An animation is in memory: a longer file is none of the web's.
const MOST_BYTES: u64 = 1 << 31;

/// One frame.
#[derive(Debug)]
pub struct Frame {
    /// Its number, counted from 0.
    pub index: usize,
    /// What its results are called: its file's name without the extension, or its number.
    pub name: String,
    /// Its file's name; of a frame that has none, `name` with `.png`.
    pub file_name: String,
    /// Seconds from the first frame.
    pub time: f64,
    /// The image, or why it cannot be read; the frames after it may be whole.
    pub image: Result<Image<'static>, ImageError>,
}

/// The frames of a video in their order.
pub struct Frames {
    source: Source,
    decoder: Decoder,
    rate: (u32, u32),
    rate_is_known: bool,
    next: usize,
    time: f64,
    ended: bool,
}

enum Source {
    Folder { files: std::vec::IntoIter<PathBuf>, names: Names },
    Animation(Box<Animation>),
    Stream(Y4m<Box<dyn Read + Send>>),
    Decoded(Decoded),
}

/// How frames of a folder are called.
#[derive(Clone, Copy, PartialEq)]
enum Names {
    /// By the files' names without their extensions.
    Stems,
    /// By the whole names: some differ in the extension alone.
    Whole,
}

impl Frames {
    /// Opens a folder of images, which come in natural order (`2.jpg` before `10.jpg`); a GIF, WebP or APNG animation; a Y4M file; or any other
    /// file, which the program ffmpeg decodes. Images that are results of this program are no frames.
    ///
    /// # Errors
    /// [`VideoError`] if there is no frame, or it cannot be read.
    pub fn open(path: &Path, decoder: Decoder) -> Result<Self, VideoError> {
        if path.is_dir() {
            return Self::of_folder(path, decoder);
        }
        let mut file = File::open(path).map_err(VideoError::Read)?;
        let first = first_bytes(&mut file)?;
        if first.is_empty() {
            return Err(VideoError::Empty);
        }
        if first.starts_with(MAGIC) || Animation::is(&first) {
            return Self::begun(first, Box::new(file), decoder);
        }
        drop(file);
        let decoded = Decoded::open(path, decoder.max_pixels)?;
        let rate = decoded.rate();
        Ok(Self::new(Source::Decoded(decoded), decoder, rate))
    }

    /// Reads a stream, such as standard input: Y4M, or an animation.
    ///
    /// # Errors
    /// [`VideoError`] if there is no frame, or it is of another kind.
    pub fn read(mut reader: impl Read + Send + 'static, decoder: Decoder) -> Result<Self, VideoError> {
        let first = first_bytes(&mut reader)?;
        match first.is_empty() {
            true => Err(VideoError::Empty),
            false => Self::begun(first, Box::new(reader), decoder),
        }
    }

    fn begun(first: Vec<u8>, rest: Box<dyn Read + Send>, decoder: Decoder) -> Result<Self, VideoError> {
        let is_animation = Animation::is(&first);
        if !is_animation && !first.starts_with(MAGIC) {
            return Err(VideoError::NotY4m);
        }
        let whole = std::io::Cursor::new(first).chain(rest);
        if is_animation {
            let mut bytes = Vec::new();
            let length = whole.take(MOST_BYTES).read_to_end(&mut bytes).map_err(VideoError::Read)?;
            if length as u64 == MOST_BYTES {
                return Err(VideoError::Broken {
                    what: "an animation of more than 2 GB is not read; make a video file of it".into(),
                });
            }
            let animation = Animation::open(bytes, decoder.max_pixels)?;
            return Ok(Self::new(Source::Animation(Box::new(animation)), decoder, None));
        }
        let reader: Box<dyn Read + Send> = Box::new(BufReader::with_capacity(1 << 20, whole));
        let frames = Y4m::new(reader, decoder.max_pixels)?;
        let rate = frames.rate();
        Ok(Self::new(Source::Stream(frames), decoder, rate))
    }

    fn of_folder(path: &Path, decoder: Decoder) -> Result<Self, VideoError> {
        let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(VideoError::Read)?;
        let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        files.retain(|path| Image::is_named_by(path) && !is_hidden(path) && !is_result(path) && !path.is_dir());
        if files.is_empty() {
            return Err(VideoError::EmptyFolder);
        }
        files.sort_by(|a, b| natural(&file_name(a), &file_name(b)));
        let mut stems: Vec<String> = files.iter().map(|path| stem(path)).collect();
        stems.sort_unstable();
        let names = if stems.windows(2).any(|pair| pair[0] == pair[1]) { Names::Whole } else { Names::Stems };
        Ok(Self::new(Source::Folder { files: files.into_iter(), names }, decoder, None))
    }

    /// Frames that are files, in this order, called by their names without the extension.
    #[must_use]
    pub fn of_files(files: Vec<PathBuf>, decoder: Decoder) -> Self {
        Self::new(Source::Folder { files: files.into_iter(), names: Names::Stems }, decoder, None)
    }

    fn new(source: Source, decoder: Decoder, rate: Option<(u32, u32)>) -> Self {
        let rate_is_known = rate.is_some();
        Self { source, decoder, rate: rate.unwrap_or(USUAL_RATE), rate_is_known, next: 0, time: 0.0, ended: false }
    }

    /// With so many frames a second, as a fraction, whatever the source says.
    #[must_use]
    pub fn with_rate(self, rate: Option<(u32, u32)>) -> Self {
        let rate = rate.filter(|rate| rate.0 > 0 && rate.1 > 0);
        Self { rate: rate.unwrap_or(self.rate), rate_is_known: self.rate_is_known || rate.is_some(), ..self }
    }

    /// Frames a second as a fraction: those of the source, or 25 where it does not say. The frames of an animation have times of their own.
    #[must_use]
    pub fn rate(&self) -> (u32, u32) {
        self.rate
    }

    /// How many frames there are, where that is known.
    #[must_use]
    pub fn count(&self) -> Option<usize> {
        match &self.source {
            Source::Folder { files, .. } => Some(self.next + files.len()),
            _ => None,
        }
    }

    /// The next frame; None at the end. A frame of a folder that is no image does not end it; every other error does.
    ///
    /// # Errors
    /// [`VideoError`] if the video breaks off.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, VideoError> {
        if self.ended {
            return Ok(None);
        }
        let frame = self.read_frame();
        self.ended = !matches!(frame, Ok(Some(_)));
        if matches!(frame, Ok(None)) && self.next == 0 {
            return Err(VideoError::Empty);
        }
        frame
    }

    fn read_frame(&mut self) -> Result<Option<Frame>, VideoError> {
        let index = self.next;
        let mut name = format!("{index:06}");
        let mut own_file = None;
        let mut shown = None;
        let image = match &mut self.source {
            Source::Folder { files, names } => {
                let Some(path) = files.next() else { return Ok(None) };
                let file = file_name(&path);
                name = if *names == Names::Stems { stem(&path) } else { file.clone() };
                own_file = Some(file);
                self.decoder.open(&path)
            }
            Source::Animation(animation) => {
                let Some((image, seconds)) = animation.next_frame()? else { return Ok(None) };
                shown = Some(seconds);
                Ok(image)
            }
            Source::Stream(frames) => {
                let Some(image) = frames.next_frame()? else { return Ok(None) };
                Ok(image)
            }
            Source::Decoded(frames) => {
                let Some(image) = frames.next_frame()? else { return Ok(None) };
                Ok(image)
            }
        };
        let (above, below) = self.rate;
        let time = match shown {
            Some(seconds) => {
                let begins = self.time;
                self.time += seconds;
                begins
            }
            None => index as f64 * f64::from(below) / f64::from(above),
        };
        self.next += 1;
        let file_name = own_file.unwrap_or_else(|| format!("{name}.png"));
        Ok(Some(Frame { index, name, file_name, time, image }))
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn first_bytes(reader: &mut impl Read) -> Result<Vec<u8>, VideoError> {
    let mut first = Vec::new();
    reader.take(FIRST_BYTES as u64).read_to_end(&mut first).map_err(VideoError::Read)?;
    Ok(first)
}

/// Names in the order of people: runs of digits by their values, the rest by its letters.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    let digits = |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    while let (Some(one), Some(other)) = (left.chars().next(), right.chars().next()) {
        let order = if one.is_ascii_digit() && other.is_ascii_digit() {
            let (n, m) = (digits(left), digits(right));
            let (own, its) = (left[..n].trim_start_matches('0'), right[..m].trim_start_matches('0'));
            (left, right) = (&left[n..], &right[m..]);
            own.len().cmp(&its.len()).then_with(|| own.cmp(its))
        } else {
            (left, right) = (&left[one.len_utf8()..], &right[other.len_utf8()..]);
            one.cmp(&other)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn ppm(value: u8) -> Vec<u8> {
        [b"P6 1 1 255\n".to_vec(), vec![value; 3]].concat()
    }

    #[test]
    fn names_are_in_the_order_of_people() {
        let mut names = ["b1", "a10.jpg", "a2.jpg", "a002.jpg", "a", "A3", "a2b", "a99999999999999999999999"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["A3", "a", "a002.jpg", "a2.jpg", "a2b", "a10.jpg", "a99999999999999999999999", "b1"]);
    }

    #[test]
    fn a_folder_gives_its_images_and_says_which_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        assert!(matches!(Frames::open(folder.path(), Decoder::default()), Err(VideoError::EmptyFolder)));
        put("10.ppm", &ppm(10));
        put("9.ppm", b"not an image");
        put("2.ppm", &ppm(2));
        put("2.mask.png", &ppm(3));
        put(".0.ppm", &ppm(3));
        put("notes.txt", b"");
        let mut frames = Frames::open(folder.path(), Decoder::default()).unwrap().with_rate(Some((10, 1)));
        assert_eq!(frames.count(), Some(3));
        let mut found = Vec::new();
        while let Some(frame) = frames.next_frame().unwrap() {
            found.push((frame.index, frame.name, frame.file_name, frame.time, frame.image.ok().map(|image| image.rgb()[0])));
        }
        let expected = [(0, "2", "2.ppm", 0.0, Some(2)), (1, "9", "9.ppm", 0.1, None), (2, "10", "10.ppm", 0.2, Some(10))];
        assert_eq!(found, expected.map(|(index, name, file, time, value)| (index, name.into(), file.into(), time, value)));
        put("2.pgm", &ppm(1));
        let mut frames = Frames::open(folder.path(), Decoder::default()).unwrap();
        assert_eq!(frames.next_frame().unwrap().unwrap().name, "2.pgm");
    }

    #[test]
    fn streams_are_known_by_their_first_bytes() {
        let stream = b"YUV4MPEG2 W1 H1 F30000:1001 Cmono\nFRAME\n\x10FRAME\n\x10FRA";
        let mut frames = Frames::read(&stream[..], Decoder::default()).unwrap();
        assert_eq!((frames.rate(), frames.count()), ((30000, 1001), None));
        assert_eq!(frames.next_frame().unwrap().unwrap().name, "000000");
        let second = frames.next_frame().unwrap().unwrap();
        assert_eq!((second.file_name.as_str(), second.time), ("000001.png", 1001.0 / 30000.0));
        assert!(frames.next_frame().is_err());
        assert!(frames.next_frame().unwrap().is_none());
        assert!(matches!(Frames::read(&b""[..], Decoder::default()), Err(VideoError::Empty)));
        assert!(matches!(Frames::read(&b"\0\0\0\x20ftypisom"[..], Decoder::default()), Err(VideoError::NotY4m)));
        let mut empty = Frames::read(&b"YUV4MPEG2 W1 H1\n"[..], Decoder::default()).unwrap();
        assert!(matches!(empty.next_frame(), Err(VideoError::Empty)));
    }
}
