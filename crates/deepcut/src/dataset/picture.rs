//! A data set's picture beside its truth, pixel on pixel.
//!
//! Annotators' tools show some pictures as they are stored and some turned as their EXIF data say; the toolkits of VOC and COCO read what is
//! stored. The truth's own size tells which, except for a square or a half turn: then it is of the stored pixels.

use super::{Boxes, Dataset, DatasetError, Known, Note, Sample, Truth, mask};
use crate::image::{Image, ImageError};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, RgbImage};
use std::io::Cursor;

pub(super) type Turn = Orientation;

/// How a viewer should turn a file's pixels.
pub(super) fn turn(bytes: &[u8]) -> Turn {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok();
    let decoder = reader.and_then(|reader| reader.into_decoder().ok());
    decoder.and_then(|mut decoder| decoder.orientation().ok()).unwrap_or(Orientation::NoTransforms)
}

/// An upright picture as it is stored.
pub(super) fn turn_back(picture: Image, turn: Turn) -> Result<Image, ImageError> {
    let inverse = match turn {
        Orientation::NoTransforms => return Ok(picture),
        Orientation::Rotate90 => Orientation::Rotate270,
        Orientation::Rotate270 => Orientation::Rotate90,
        own => own,
    };
    let (height, width) = (picture.height(), picture.width());
    let wrong = || ImageError::Shape { height, width, got: picture.rgb().len() };
    let pixels = RgbImage::from_raw(width as u32, height as u32, picture.rgb().to_vec()).ok_or_else(wrong)?;
    let mut pixels = DynamicImage::ImageRgb8(pixels);
    pixels.apply_orientation(inverse);
    let pixels = pixels.into_rgb8();
    Image::new(pixels.height() as usize, pixels.width() as usize, pixels.into_raw())
}

impl Dataset {
    /// A sample's picture, given the bytes of its file, and its truth, pixel on pixel; with what is worth telling once.
    ///
    /// # Errors
    /// [`DatasetError`] if one of them cannot be read, or their sizes differ.
    pub fn read(&self, sample: &Sample, bytes: &[u8]) -> Result<(Image, Known, Vec<Note>), DatasetError> {
        let upright = Image::decode(bytes)?;
        let (turned, mut notes) = (turn(bytes), Vec::new());
        let mut as_annotated = |size: Option<[usize; 2]>| -> Result<Image, DatasetError> {
            if turned == Orientation::NoTransforms {
                return Ok(upright.clone());
            }
            let stored = turn_back(upright.clone(), turned)?;
            let [as_upright, as_stored] = [&upright, &stored].map(|image| size == Some([image.height(), image.width()]));
            notes.push(if as_upright && !as_stored { Note::Upright } else { Note::Stored });
            Ok(if as_upright && !as_stored { upright.clone() } else { stored })
        };
        let mut within = |boxes: &Boxes| {
            let image = as_annotated(boxes.size)?;
            let (boxes, cut) = boxes.within(image.height(), image.width());
            Ok::<_, DatasetError>((image, Known::Boxes(boxes), cut))
        };
        let (image, known, cut) = match &sample.truth {
            Truth::Boxes(path) => within(&super::boxes(path)?)?,
            Truth::BoxList(list) => within(list)?,
            Truth::Mask(path) => {
                let wrong = |problem| DatasetError::Truth { path: path.clone(), problem };
                let file = std::fs::read(path).map_err(|source| DatasetError::Read { path: path.clone(), source })?;
                let file = mask::read(&file).map_err(wrong)?;
                if ![Orientation::NoTransforms, turned].contains(&file.turn) {
                    return Err(wrong("the mask carries an EXIF turn that its picture does not; store it upright".into()));
                }
                let image = as_annotated(Some([file.height, file.width]))?;
                if (file.height, file.width) != (image.height(), image.width()) {
                    let size = |height, width| format!("{width} × {height}");
                    let of_picture = size(image.height(), image.width());
                    return Err(wrong(format!("the mask is {}, the picture {of_picture}", size(file.height, file.width))));
                }
                let rule = self.rule.ok_or_else(|| wrong("the set's masks were not judged".into()))?;
                (image, Known::Mask(file.inside(rule).map_err(|problem| wrong(format!("the mask {problem}")))?), false)
            }
        };
        if cut {
            notes.push(Note::Cut);
        }
        Ok((image, known, notes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_turn_is_taken_back() {
        let stored = RgbImage::from_fn(3, 2, |x, y| image::Rgb([x as u8, y as u8, 0]));
        for exif in 1..=8 {
            let turn = Orientation::from_exif(exif).unwrap();
            let mut upright = DynamicImage::ImageRgb8(stored.clone());
            upright.apply_orientation(turn);
            let upright =
                Image::new(upright.height() as usize, upright.width() as usize, upright.into_rgb8().into_raw()).unwrap();
            let back = turn_back(upright, turn).unwrap();
            assert_eq!((back.height(), back.width(), back.rgb()), (2, 3, &stored.as_raw()[..]), "{exif}");
        }
    }
}
