//! A data set's image beside its truth, pixel on pixel.
//!
//! Annotators' tools show some images as they are stored and some turned as their EXIF data say; the toolkits of VOC and COCO read what is
//! stored. The truth's own size tells which, except for a square or a half turn: then it is of the stored pixels.

use super::{Boxes, Dataset, DatasetError, Known, Note, Sample, Truth, labels, mask};
use crate::image::Image;

/// EXIF's number of an image that lies upright in its file.
const UPRIGHT: u8 = 1;

/// The image as its truth was made: as it lies in its file, unless the truth's own size is that of the turned image alone.
fn as_annotated(upright: Image<'static>, size: Option<[usize; 2]>, notes: &mut Vec<Note>) -> Image<'static> {
    let (turn, turned) = (upright.orientation(), [upright.height(), upright.width()]);
    if turn == UPRIGHT {
        return upright;
    }
    let stored = if turn > 4 { [turned[1], turned[0]] } else { turned };
    if size == Some(turned) && turned != stored {
        notes.push(Note::Upright);
        upright
    } else {
        notes.push(Note::Stored);
        upright.into_stored()
    }
}

/// Says no to a truth that does not have its image's size.
fn check_size(what: &str, [height, width]: [usize; 2], image: &Image) -> Result<(), String> {
    if [height, width] == [image.height(), image.width()] {
        return Ok(());
    }
    Err(format!("the {what} is {width} × {height}, the image {} × {}", image.width(), image.height()))
}

impl Dataset {
    /// A sample's image, given the bytes of its file, and its truth, pixel on pixel; with what is worth telling once.
    ///
    /// # Errors
    /// [`DatasetError`] if one of them cannot be read, or their sizes differ.
    pub fn read(&self, sample: &Sample, bytes: &[u8]) -> Result<(Image<'static>, Known, Vec<Note>), DatasetError> {
        let upright = Image::decode(bytes)?;
        let (turned, mut notes) = (upright.orientation(), Vec::new());
        let within = |upright, boxes: &Boxes, notes: &mut Vec<Note>| {
            let image = as_annotated(upright, boxes.size, notes);
            let (boxes, cut) = boxes.within(image.height(), image.width());
            (image, Known::Boxes(boxes), cut)
        };
        let (image, known, cut) = match &sample.truth {
            Truth::Boxes(path) => within(upright, &super::boxes(path)?, &mut notes),
            Truth::BoxList(list) => within(upright, list, &mut notes),
            Truth::Annotations(list) => {
                let image = as_annotated(upright, list.size, &mut notes);
                let instances = list.instances(image.height(), image.width())?;
                (image, Known::Instances(instances), false)
            }
            Truth::Labels(path) => {
                let file = std::fs::read(path).map_err(|source| DatasetError::Read { path: path.clone(), source })?;
                let wrong = |problem| DatasetError::Truth { path: path.clone(), problem };
                let labels = labels::read(&file).map_err(wrong)?;
                let image = as_annotated(upright, Some([labels.height, labels.width]), &mut notes);
                check_size("label picture", [labels.height, labels.width], &image).map_err(wrong)?;
                let void = self.void.as_ref().ok_or_else(|| wrong("the set's label pictures were not judged".into()))?;
                (image, Known::Instances(labels.instances(void)), false)
            }
            Truth::Mask(path) => {
                let wrong = |problem| DatasetError::Truth { path: path.clone(), problem };
                let file = std::fs::read(path).map_err(|source| DatasetError::Read { path: path.clone(), source })?;
                let file = mask::read(&file).map_err(wrong)?;
                if ![UPRIGHT, turned].contains(&file.orientation) {
                    return Err(wrong("the mask carries an EXIF turn that its image does not; store it upright".into()));
                }
                let image = as_annotated(upright, Some([file.height, file.width]), &mut notes);
                check_size("mask", [file.height, file.width], &image).map_err(wrong)?;
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
