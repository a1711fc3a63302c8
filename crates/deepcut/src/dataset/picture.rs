//! A data set's picture beside its truth, pixel on pixel.
//!
//! Annotators' tools show some pictures as they are stored and some turned as their EXIF data say; the toolkits of VOC and COCO read what is
//! stored. The truth's own size tells which, except for a square or a half turn: then it is of the stored pixels.

use super::{Boxes, Dataset, DatasetError, Known, Note, Sample, Truth, mask};
use crate::image::Image;

/// EXIF's number of a picture that lies upright in its file.
const UPRIGHT: u8 = 1;

impl Dataset {
    /// A sample's picture, given the bytes of its file, and its truth, pixel on pixel; with what is worth telling once.
    ///
    /// # Errors
    /// [`DatasetError`] if one of them cannot be read, or their sizes differ.
    pub fn read(&self, sample: &Sample, bytes: &[u8]) -> Result<(Image, Known, Vec<Note>), DatasetError> {
        let upright = Image::decode(bytes)?;
        let (turned, mut notes) = (upright.orientation(), Vec::new());
        let mut as_annotated = |size: Option<[usize; 2]>| -> Result<Image, DatasetError> {
            if turned == UPRIGHT {
                return Ok(upright.clone());
            }
            let stored = upright.stored();
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
                if ![UPRIGHT, turned].contains(&file.orientation) {
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
