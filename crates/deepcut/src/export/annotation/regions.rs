//! What is kept of a segmented image, to write annotation files from without segmenting it again: `OUT/.deepcut/STEM.json`.
//!
//! | member    | meaning                                                                                               |
//! |-----------|-------------------------------------------------------------------------------------------------------|
//! | `type`    | `regions`                                                                                             |
//! | `image`   | the image's file name below the input folder                                                          |
//! | `height`, `width` | of the image as it is shown, in pixels                                                        |
//! | `regions` | by label: what it is, its score, area, box `[x, y, width, height]`, and compressed run lengths by columns |
//! | `files`   | by name: SHA-256 of each annotation file as it was written, so that one changed by a person is known  |
//! | `record`  | what it was made from, as every result has it                                                         |
//!
//! All regions are there but the background of label 0.

use crate::components::BoundingBox;
use crate::export::{ExportError, Record};
use crate::rle::Rle;
use crate::segmentation::{Kind, Segmentation};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Tells this file from others.
pub(crate) const TYPE: &str = "regions";

/// A segmented image without its pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Regions {
    r#type: String,
    /// The image's file name below the input folder, with `/` between folders.
    pub image: String,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// By label.
    pub regions: Vec<Shape>,
    /// The annotation files of this image that were written, by their names as their exporter says them.
    #[serde(default)]
    pub files: BTreeMap<String, Written>,
    /// What it was made from.
    pub record: Record,
}

/// A region and its pixels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// The label.
    pub label: u8,
    /// What it is.
    pub kind: Kind,
    /// The number of the object that a part belongs to, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub part_of: Option<u8>,
    /// How sure it is that it is what `kind` says, in [0, 1].
    pub score: f32,
    /// Pixels.
    pub area: usize,
    /// The smallest rectangle around them: left, top, width, height.
    #[serde(rename = "box")]
    pub bounds: [usize; 4],
    /// Compressed run lengths by columns.
    counts: String,
}

/// An annotation file as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// SHA-256 of its content, in hexadecimal.
    pub sha256: String,
    /// That of the content it replaced, which is there still if the run was stopped in between.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<String>,
    /// A digest of the options it was made with.
    pub made: String,
}

impl Written {
    /// Whether a file of this checksum is one that was written, rather than changed by somebody.
    #[must_use]
    pub fn is(&self, sha256: &str) -> bool {
        self.sha256 == sha256 || self.before.as_deref() == Some(sha256)
    }
}

impl Shape {
    /// The smallest rectangle around the pixels.
    #[must_use]
    pub fn bounding_box(&self) -> BoundingBox {
        let [left, top, width, height] = self.bounds;
        BoundingBox { top, left, height, width }
    }
}

impl Regions {
    /// The regions of a segmentation; `image` is what the image is called.
    #[must_use]
    pub fn new(image: &str, segmentation: &Segmentation, record: Record) -> Self {
        let (height, width) = (segmentation.height(), segmentation.width());
        let labels = segmentation.labels();
        let kept = segmentation.regions().iter().filter(|region| region.label != 0 || region.is_foreground());
        let shapes = kept.map(|region| {
            let BoundingBox { top, left, height: rows, width: columns } = region.bounds;
            let rle = Rle::encode_within(height, width, region.bounds, |at| labels[at] == region.label);
            Shape {
                label: region.label,
                kind: region.kind,
                part_of: region.part_of,
                score: region.score,
                area: region.area,
                bounds: [left, top, columns, rows],
                counts: rle.to_compressed(),
            }
        });
        let regions = shapes.collect();
        Self { r#type: TYPE.into(), image: image.into(), height, width, regions, files: BTreeMap::new(), record }
    }

    /// The regions of a file; None if it is none, or says what cannot be.
    #[must_use]
    pub fn read(file: &[u8]) -> Option<Self> {
        let found: Self = serde_json::from_slice(file).ok()?;
        let is_whole = |shape: &Shape| {
            found.rle(shape).is_some_and(|rle| rle.area() == shape.area && rle.bounds() == Some(shape.bounding_box()))
        };
        let is_size = |side: usize| side > 0 && i32::try_from(side).is_ok();
        if !is_size(found.height) || !is_size(found.width) {
            return None;
        }
        let labels = found.regions.windows(2).all(|pair| pair[0].label < pair[1].label);
        (found.r#type == TYPE && labels && found.regions.iter().all(is_whole)).then_some(found)
    }

    /// The pixels of one of the regions; None if its run lengths are none of this image, which [`Regions::read`] refuses.
    #[must_use]
    pub fn rle(&self, shape: &Shape) -> Option<Rle> {
        Rle::from_compressed(self.height, self.width, shape.counts.as_bytes()).ok()
    }

    /// The file.
    ///
    /// # Errors
    /// [`ExportError::Json`] if the encoder refuses.
    pub fn to_json(&self) -> Result<Vec<u8>, ExportError> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        Ok(text)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::segmentation::Meaning;

    /// A record of an image of this name.
    pub(crate) fn record(input: &str) -> Record {
        let text = String::new;
        Record { input: input.into(), folder: text(), bytes: 1, sha256: text(), settings: BTreeMap::new(), version: text() }
    }

    /// Regions of a picture of digits, label 0 as `.`; all are of one kind, with scores 0.9, 0.8, …
    pub(crate) fn drawn(kind: Kind, rows: &[&str]) -> Regions {
        let digits: String = rows.concat();
        let labels: Vec<u8> = digits.chars().map(|c| c.to_digit(10).unwrap_or(0) as u8).collect();
        let meaning = |label: u8| {
            let part_of = (kind == Kind::Part).then_some(1);
            let kind = if label == 0 { Kind::Background } else { kind };
            Meaning { label, kind, part_of, score: 1.0 - f32::from(label) / 10.0 }
        };
        let meanings: Vec<Meaning> = (0..10).map(meaning).collect();
        let found = Segmentation::new(rows.len(), rows[0].len(), labels, &meanings).unwrap();
        Regions::new("x/a.png", &found, record("a.png"))
    }

    #[test]
    fn regions_come_back_from_their_file_and_broken_ones_do_not() {
        let mut regions = drawn(Kind::Part, &["..11", "2.1.", "22.."]);
        let sum = |sha256: &str, before: Option<&str>| Written {
            sha256: sha256.into(),
            before: before.map(Into::into),
            made: "m".into(),
        };
        regions.files.insert("*.txt".into(), sum("aa", Some("bb")));
        assert_eq!(regions.regions[0].bounds, [2, 0, 2, 2]);
        assert_eq!((regions.regions[1].area, regions.regions[1].part_of), (3, Some(1)));
        let file = regions.to_json().unwrap();
        assert_eq!(Regions::read(&file), Some(regions.clone()));
        let rle = regions.rle(&regions.regions[1]).unwrap();
        assert_eq!(rle.decode(), [0, 0, 0, 0, 255, 0, 0, 0, 255, 255, 0, 0]);
        assert!((0..file.len() - 1).all(|length| Regions::read(&file[..length]).is_none()));
        for (from, to) in [("\"area\":3", "\"area\":2"), ("\"height\":3", "\"height\":4"), ("\"label\":2", "\"label\":1")] {
            let text = String::from_utf8(file.clone()).unwrap().replacen(from, to, 1);
            assert_eq!(Regions::read(text.as_bytes()), None, "{to}");
        }
        // No image has a side of zero, though no run lengths contradict it.
        let none = Regions { regions: Vec::new(), ..regions };
        assert_eq!(Regions::read(&none.to_json().unwrap()), Some(none.clone()));
        assert_eq!(Regions::read(&Regions { height: 0, ..none }.to_json().unwrap()), None);
        assert_eq!((sum("a", None).is("a"), sum("a", Some("b")).is("b"), sum("a", Some("b")).is("c")), (true, true, false));
    }
}
