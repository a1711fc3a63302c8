//! Label pictures: a PNG of numbers, each the number of an object, as VOC's `SegmentationObject` and many annotators' tools have them.
//!
//! The numbers are the indices of a palette or values of gray, of up to 16 bits, as they lie in the file; what colors they have does not count.
//! Zero is background. Void values stand for pixels that nobody judged.

use super::{Dataset, DatasetError, Instances, Sample, Truth, Void};
use crate::image::decode::Decoder;
use crate::metrics::average_precision::TrueObject;
use crate::rle::Rle;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A label picture, read.
pub(super) struct Labels {
    pub height: usize,
    pub width: usize,
    /// `[height, width]`
    values: Vec<u16>,
    /// The largest number of the file's bits, if these are eight or more.
    largest: Option<u16>,
}

/// Reads a file's bytes.
pub(super) fn read(bytes: &[u8]) -> Result<Labels, String> {
    if !bytes.starts_with(b"\x89PNG") {
        return Err("is no PNG; store labels as PNG, whose numbers stay as they are".into());
    }
    let broken = |error: png::DecodingError| format!("cannot be decoded ({error})");
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(broken)?;
    let (color, depth) = reader.output_color_type();
    if ![png::ColorType::Grayscale, png::ColorType::Indexed].contains(&color) {
        return Err("holds colors, not numbers; store labels as a PNG that is gray or has a palette".into());
    }
    let (height, width) = (reader.info().height as usize, reader.info().width as usize);
    if (height as u64).saturating_mul(width as u64) > Decoder::default().max_pixels {
        return Err(format!("has {width} × {height} pixels, which is too many"));
    }
    let mut packed = vec![0; reader.output_buffer_size().ok_or("is too large")?];
    reader.next_frame(&mut packed).map_err(broken)?;
    let line = reader.output_line_size(reader.info().width).ok_or("is too large")?;
    let mut values = Vec::with_capacity(height * width);
    for row in packed.chunks(line.max(1)).take(height) {
        if depth == png::BitDepth::Sixteen {
            values.extend(row.as_chunks().0.iter().map(|two| u16::from_be_bytes(*two)));
        } else {
            let bits = depth as usize;
            let number =
                |at: usize| row.get(at * bits / 8).map_or(0, |byte| byte >> (8 - bits - at * bits % 8)) & (255 >> (8 - bits));
            values.extend((0..width).map(|at| u16::from(number(at))));
        }
    }
    let largest = match depth {
        png::BitDepth::Eight => Some(255),
        png::BitDepth::Sixteen => Some(u16::MAX),
        _ => None,
    };
    Ok(Labels { height, width, values, largest })
}

impl Labels {
    /// The largest number that the file could have, if it has it: void in some sets, an object in others.
    pub(super) fn doubtful(&self) -> Option<u16> {
        self.largest.filter(|largest| self.values.contains(largest))
    }

    /// The objects, in the order of their numbers, and the void pixels.
    pub(super) fn instances(&self, void: &Void) -> Instances {
        let is_void = |value: u16| void.0.contains(&value);
        // First and last row and column of every number.
        let mut bounds: BTreeMap<u16, [usize; 4]> = BTreeMap::new();
        for (y, row) in self.values.chunks_exact(self.width.max(1)).enumerate() {
            for (x, &value) in row.iter().enumerate().filter(|(_, value)| **value != 0 && !is_void(**value)) {
                let [_, bottom, left, right] = bounds.entry(value).or_insert([y, y, x, x]);
                (*bottom, *left, *right) = (y, (*left).min(x), (*right).max(x));
            }
        }
        let object = |(value, [top, bottom, left, right]): (u16, [usize; 4])| {
            let bounds = crate::components::BoundingBox { top, left, height: bottom + 1 - top, width: right + 1 - left };
            TrueObject::of_mask(Rle::encode_within(self.height, self.width, bounds, |at| self.values[at] == value))
        };
        let has_void = self.values.iter().any(|&value| value != 0 && is_void(value));
        Instances {
            objects: bounds.into_iter().filter_map(object).collect(),
            void: has_void.then(|| self.values.iter().map(|&value| value != 0 && is_void(value)).collect()),
        }
    }
}

impl Dataset {
    /// The largest value of the files is void in some sets and an object in others: without a word about it, a set that has it is refused.
    pub(super) fn judge_labels(&mut self) -> Result<(), DatasetError> {
        use rayon::prelude::*;
        let path = |sample: &'_ Sample| if let Truth::Labels(path) = &sample.truth { Some(path.clone()) } else { None };
        let paths: Vec<PathBuf> = self.samples.iter().filter_map(path).collect();
        if paths.is_empty() {
            return Ok(());
        }
        let doubtful = |path: &PathBuf| read(&std::fs::read(path).ok()?).ok()?.doubtful();
        let first = || paths.par_iter().find_map_first(|path| Some((path.clone(), doubtful(path)?)));
        if let Some((path, value)) = self.void.is_none().then(first).flatten() {
            return Err(DatasetError::Doubtful { path, value });
        }
        let void = self.void.get_or_insert(Void(Vec::new()));
        let list: Vec<String> = void.0.iter().map(u16::to_string).collect();
        let void = if list.is_empty() { "no value is void".into() } else { format!("void is {}", list.join(", ")) };
        self.truth = format!("each value of the label pictures but 0 is an object; {void}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(color: png::ColorType, depth: png::BitDepth, width: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, 2);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == png::ColorType::Indexed {
            // All of one color: only the index counts.
            encoder.set_palette(vec![7; 768 >> (8 - (depth as usize).min(8))]);
        }
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        bytes
    }

    #[test]
    fn numbers_are_read_at_every_depth() {
        use png::BitDepth::{Eight, Four, One, Sixteen, Two};
        use png::ColorType::{Grayscale, Indexed};
        let values = |bytes: &[u8]| read(bytes).map(|labels| labels.values);
        for color in [Grayscale, Indexed] {
            assert_eq!(values(&file(color, One, 3, &[0b1010_0000, 0b0110_0000])), Ok(vec![1, 0, 1, 0, 1, 1]));
            assert_eq!(values(&file(color, Two, 3, &[0b1101_0000, 0b0010_0100])), Ok(vec![3, 1, 0, 0, 2, 1]));
            assert_eq!(values(&file(color, Four, 3, &[0x0f, 0x10, 0x23, 0x40])), Ok(vec![0, 15, 1, 2, 3, 4]));
            assert_eq!(values(&file(color, Eight, 2, &[0, 255, 1, 9])), Ok(vec![0, 255, 1, 9]));
        }
        let deep = file(Grayscale, Sixteen, 2, &[0, 255, 255, 255, 1, 0, 0, 0]);
        assert_eq!(values(&deep), Ok(vec![255, 65535, 256, 0]));
        assert_eq!(read(&deep).unwrap().doubtful(), Some(65535));
        assert_eq!(read(&file(Indexed, Eight, 2, &[0, 255, 1, 9])).unwrap().doubtful(), Some(255));
        assert_eq!(read(&file(Grayscale, Four, 3, &[0xff, 0xf0, 0, 0])).unwrap().doubtful(), None);
    }

    #[test]
    fn what_holds_no_numbers_is_refused() {
        let fails = |bytes: &[u8], words: &str| {
            let error = read(bytes).err().unwrap();
            assert!(error.contains(words), "{error}");
        };
        let rgb = file(png::ColorType::Rgb, png::BitDepth::Eight, 1, &[1, 2, 3, 4, 5, 6]);
        fails(&rgb, "colors, not numbers");
        fails(b"\xff\xd8\xff", "no PNG");
        let whole = file(png::ColorType::Grayscale, png::BitDepth::Eight, 64, &[9; 128]);
        fails(&whole[..whole.len() - 20], "cannot be decoded");
        fails(&whole[..20], "cannot be decoded");
    }

    #[test]
    fn objects_are_numbers_and_void_is_none() {
        let bytes = file(png::ColorType::Grayscale, png::BitDepth::Eight, 4, &[7, 7, 255, 0, 3, 0, 7, 255]);
        let labels = read(&bytes).unwrap();
        let Instances { objects, void } = labels.instances(&Void(vec![255]));
        let bounds: Vec<_> = objects.iter().map(|object| (object.mask.area(), object.bounds)).collect();
        assert_eq!(bounds, [(1, [0.0, 1.0, 1.0, 1.0]), (3, [0.0, 0.0, 3.0, 2.0])]);
        assert_eq!(void.unwrap().iter().map(|&void| u8::from(void)).collect::<Vec<_>>(), [0, 0, 1, 0, 0, 0, 0, 1]);
        let Instances { objects, void } = labels.instances(&Void(vec![]));
        assert_eq!((objects.len(), objects[2].mask.area(), void), (3, 2, None));
        // Background stays background.
        assert_eq!(labels.instances(&Void(vec![0])).void, None);
    }
}
