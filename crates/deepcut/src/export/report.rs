//! Everything said of a segmented image, as JSON.

use super::ExportError;
use super::record::Record;
use crate::components::BoundingBox;
use crate::image::Image;
use crate::segmentation::{Kind, Segmentation};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Where a segmentation comes from: what a report says and neither image nor segmentation knows.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The image's path, or what else it is called.
    pub input: String,
    /// Paths of the image's results.
    pub outputs: Vec<String>,
    /// Seconds by stage.
    pub seconds: BTreeMap<String, f64>,
    /// The network's identity.
    pub backbone: Value,
    /// The instruction set.
    pub kernels: &'static str,
    /// The options in use.
    pub options: Value,
    /// The seed in use.
    pub seed: u64,
    /// Lets a later run decide whether this result is up to date.
    pub record: Record,
}

/// Everything said of a segmented image. Boxes are `[x, y, width, height]` in pixels, as in COCO.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// `picture`: tells the object from others in a stream of JSON lines.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The image's path, or what else it is called.
    pub input: String,
    /// Paths of the image's results.
    pub outputs: Vec<String>,
    /// Rows of the image.
    pub height: usize,
    /// Columns of the image.
    pub width: usize,
    /// Whether part of the image's file is missing or wrong.
    pub damaged: bool,
    /// What is missing or wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// What the decoder did that may matter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Rows and columns of the grid of patches.
    pub grid: [usize; 2],
    /// Patches.
    pub nodes: usize,
    /// False if the confidence is below the least asked for, or nothing was found.
    pub object: bool,
    /// Confidence of the segmentation, in [0, 1].
    pub confidence: f32,
    /// The labels that occur, in order.
    pub labels: Vec<LabelReport>,
    /// Pixels of the foreground.
    pub area: usize,
    /// Box of the main object: see [`Segmentation::main_box`].
    #[serde(rename = "box")]
    pub bounds: Option<[usize; 4]>,
    /// The foreground's connected components, largest first.
    pub components: Vec<ComponentReport>,
    /// Seconds by stage.
    pub seconds: BTreeMap<String, f64>,
    /// The network's identity.
    pub backbone: Value,
    /// The instruction set.
    pub kernels: &'static str,
    /// The seed in use.
    pub seed: u64,
    /// The options in use.
    pub options: Value,
    /// Version of this library.
    pub version: &'static str,
    /// Lets a later run decide whether this result is up to date.
    pub record: Record,
}

/// A label of a segmented image.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LabelReport {
    /// The label.
    pub label: u8,
    /// What the region is.
    pub kind: Kind,
    /// The number of the object that a part belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_of: Option<u8>,
    /// How sure it is that the region is what `kind` says, in [0, 1].
    pub score: f32,
    /// Whether it belongs to the foreground.
    pub foreground: bool,
    /// Pixels.
    pub area: usize,
    /// Box around its pixels.
    #[serde(rename = "box")]
    pub bounds: [usize; 4],
}

/// A connected component of the foreground.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ComponentReport {
    /// Pixels.
    pub area: usize,
    /// Box around its pixels.
    #[serde(rename = "box")]
    pub bounds: [usize; 4],
}

impl Report {
    /// The report about an image and its segmentation.
    #[must_use]
    pub fn new(image: &Image, segmentation: &Segmentation, provenance: Provenance) -> Self {
        let Provenance { input, outputs, seconds, backbone, kernels, options, seed, record } = provenance;
        let xywh = |bounds: BoundingBox| [bounds.left, bounds.top, bounds.width, bounds.height];
        let components: Vec<ComponentReport> = segmentation
            .components()
            .iter()
            .map(|component| ComponentReport { area: component.area, bounds: xywh(component.bounds) })
            .collect();
        let labels = segmentation.regions().iter().map(|region| LabelReport {
            label: region.label,
            kind: region.kind,
            part_of: region.part_of,
            score: region.score,
            foreground: region.is_foreground(),
            area: region.area,
            bounds: xywh(region.bounds),
        });
        Self {
            kind: "picture",
            input,
            outputs,
            height: segmentation.height(),
            width: segmentation.width(),
            damaged: image.damage().is_some(),
            damage: image.damage().map(Into::into),
            notes: image.notes().to_vec(),
            grid: segmentation.grid().into(),
            nodes: segmentation.grid().0 * segmentation.grid().1,
            object: !components.is_empty(),
            confidence: segmentation.confidence(),
            labels: labels.collect(),
            area: components.iter().map(|component| component.area).sum(),
            bounds: segmentation.main_box().map(xywh),
            components,
            seconds,
            backbone,
            kernels,
            seed,
            options,
            version: env!("CARGO_PKG_VERSION"),
            record,
        }
    }

    /// A file of the report, indented.
    ///
    /// # Errors
    /// [`ExportError::Json`] if the encoder refuses.
    pub fn to_json(&self) -> Result<Vec<u8>, ExportError> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segmentation::Meaning;
    use serde_json::json;

    /// ```text
    /// 1 1 . .
    /// . . . 3
    /// . 2 2 .
    /// ```
    #[test]
    fn a_report_tells_labels_components_and_where_they_come_from() {
        let image = Image::new(3, 4, vec![9; 36]).unwrap();
        let labels = vec![1, 1, 0, 0, 0, 0, 0, 3, 0, 2, 2, 0];
        let kinds = [Kind::Background, Kind::Part, Kind::Part, Kind::Background];
        let meaning = |(label, kind)| Meaning { label, kind, part_of: (kind == Kind::Part).then_some(1), score: 0.5 };
        let meanings: Vec<Meaning> = (0..).zip(kinds).map(meaning).collect();
        let found = Segmentation::new(3, 4, labels, &meanings).unwrap().with_cut(0.5, (2, 3));
        let record = Record {
            input: "a.png".into(),
            folder: String::new(),
            bytes: 1,
            sha256: "00".into(),
            settings: BTreeMap::new(),
            version: "1".into(),
        };
        let provenance = Provenance {
            input: "in/a.png".into(),
            outputs: vec!["a.json".into()],
            seconds: [("train".to_owned(), 0.5)].into(),
            backbone: json!({ "name": "embedded" }),
            kernels: "native",
            options: json!({ "seed": 7 }),
            seed: 7,
            record: record.clone(),
        };
        let report: serde_json::Value =
            serde_json::from_slice(&Report::new(&image, &found, provenance).to_json().unwrap()).unwrap();
        assert_eq!(report["type"], "picture");
        assert_eq!(
            (&report["height"], &report["width"], &report["grid"], &report["nodes"]),
            (&json!(3), &json!(4), &json!([2, 3]), &json!(6))
        );
        // Label 3 is background; the two components of the foreground are equally large.
        assert_eq!((&report["area"], &report["object"], &report["box"]), (&json!(4), &json!(true), &json!([0, 0, 2, 1])));
        assert_eq!(report["components"], json!([{ "area": 2, "box": [0, 0, 2, 1] }, { "area": 2, "box": [1, 2, 2, 1] }]));
        assert_eq!(
            report["labels"][3],
            json!({ "label": 3, "kind": "background", "score": 0.5, "foreground": false, "area": 1, "box": [3, 1, 1, 1] })
        );
        assert_eq!(
            (&report["seed"], &report["seconds"]["train"], &report["kernels"]),
            (&json!(7), &json!(0.5), &json!("native"))
        );
        assert_eq!((&report["record"], &report["damaged"], &report["notes"]), (&json!(record), &json!(false), &json!(null)));
    }
}
