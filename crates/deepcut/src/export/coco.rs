//! COCO's files of instances: `annotations.json`, and `results.json` for `loadRes`.
//!
//! * Run lengths are by columns, `[height, width]` in `size`.
//! * Readers unite the rings of `segmentation`, so a second ring would fill a hole instead of cutting it: see [`CocoMasks`].
//! * `area` is the mask's pixels, `bbox` is `[x, y, width, height]`, numbers start with 1 in the order of the images.
//! * Results have no `bbox`: with one, `loadRes` takes the box's area for the object's. It makes the box from the mask.
//!
//! Source: the format of the COCO data set (Lin et al., arXiv 1405.0312).

use super::annotation::{Annotate, CocoMasks, Object, Sheet, Sheets};
use super::contour::{Point, bridge};
use super::{ExportError, contour};
use serde_json::{Value, json};
use std::io::Write;

const ANNOTATIONS: &str = "annotations.json";
const RESULTS: &str = "results.json";

/// Writes COCO's files.
pub(super) struct Coco;

impl Annotate for Coco {
    fn run_files(&self) -> &[&str] {
        &[ANNOTATIONS, RESULTS]
    }

    fn run(&self, name: &str, sheets: &dyn Sheets, out: &mut dyn Write) -> Result<(), ExportError> {
        match name {
            RESULTS => results(sheets, out),
            _ => annotations(sheets, out),
        }
    }
}

/// The members of a list, one in a line, and nothing kept of those written.
pub(super) struct List {
    first: bool,
}

impl List {
    pub fn new() -> Self {
        Self { first: true }
    }

    pub fn push(&mut self, out: &mut dyn Write, item: &Value) -> Result<(), ExportError> {
        out.write_all(if std::mem::take(&mut self.first) { b"\n" } else { b",\n" })?;
        Ok(serde_json::to_writer(out, item)?)
    }
}

fn annotations(sheets: &dyn Sheets, out: &mut dyn Write) -> Result<(), ExportError> {
    let info = json!({ "description": sheets.model(), "version": env!("CARGO_PKG_VERSION") });
    write!(out, "{{\"info\": {info},\n\"licenses\": [],\n\"images\": [")?;
    let (mut list, mut image) = (List::new(), 0);
    sheets.each(&mut |sheet| {
        image += 1;
        let item = json!({ "id": image, "file_name": sheet.image_name(), "width": sheet.width, "height": sheet.height });
        list.push(out, &item)
    })?;
    write!(out, "\n],\n\"annotations\": [")?;
    let (mut list, mut image, mut id) = (List::new(), 0, 0);
    let masks = sheets.options().coco_masks;
    sheets.each(&mut |sheet| {
        image += 1;
        for object in &sheet.objects {
            id += 1;
            list.push(out, &annotation(sheet, object, masks, image, id))?;
        }
        Ok(())
    })?;
    let names = sheets.classes()?;
    let category = |(id, name): (usize, String)| json!({ "id": id, "name": name, "supercategory": "" });
    let categories: Vec<Value> = (1..).zip(names).map(category).collect();
    writeln!(out, "\n],\n\"categories\": {}}}", Value::from(categories))?;
    Ok(())
}

pub(super) fn annotation(sheet: &Sheet<'_>, object: &Object, masks: CocoMasks, image: usize, id: usize) -> Value {
    let bounds = object.bounds;
    let mut item = json!({
        "id": id, "image_id": image, "category_id": object.class, "segmentation": segmentation(object, masks), "area": object.area,
        "bbox": [bounds.left, bounds.top, bounds.width, bounds.height], "iscrowd": u8::from(masks == CocoMasks::RleList),
        "score": object.rounded_score(),
    });
    if let Some(group) = object.part_of {
        item["part_of"] = json!(group);
    }
    debug_assert!(bounds.left + bounds.width <= sheet.width && bounds.top + bounds.height <= sheet.height);
    item
}

fn segmentation(object: &Object, masks: CocoMasks) -> Value {
    let size = [object.rle.height(), object.rle.width()];
    let compressed = || json!({ "size": size, "counts": object.rle.to_compressed() });
    match masks {
        CocoMasks::Rle => compressed(),
        CocoMasks::RleList => json!({ "size": size, "counts": object.rle.counts() }),
        CocoMasks::Auto if object.has_holes() => compressed(),
        // One ring for each part; a hole is joined to its exterior.
        CocoMasks::Auto | CocoMasks::Polygon => {
            let parts = object.polygons().iter();
            parts.map(|polygon| coordinates(&bridge(std::slice::from_ref(polygon)))).collect()
        }
    }
}

/// x, y of all points in one list.
fn coordinates(ring: &contour::Ring) -> Value {
    ring.iter().flat_map(|Point { x, y }| [*x, *y]).collect()
}

fn results(sheets: &dyn Sheets, out: &mut dyn Write) -> Result<(), ExportError> {
    out.write_all(b"[")?;
    let (mut list, mut image) = (List::new(), 0);
    sheets.each(&mut |sheet| {
        image += 1;
        for object in &sheet.objects {
            let size = [object.rle.height(), object.rle.width()];
            let mask = json!({ "size": size, "counts": object.rle.to_compressed() });
            let item =
                json!({ "image_id": image, "category_id": object.class, "segmentation": mask, "score": object.rounded_score() });
            list.push(out, &item)?;
        }
        Ok(())
    })?;
    out.write_all(b"\n]\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::annotation::drawn::{Drawn, drawn};
    use crate::export::annotation::{Paths, Regions};
    use crate::segmentation::Kind;

    fn file(sheets: &Drawn, name: &str) -> Value {
        serde_json::from_str(&sheets.run(&Coco, name)).unwrap()
    }

    /// Two images, the second of which has a part with a hole and one of two pieces.
    fn images() -> [Regions; 2] {
        [drawn(Kind::Object, &["...", ".1."]), drawn(Kind::Object, &["111.", "1.12", "1112", "2..."])]
    }

    #[test]
    fn numbers_areas_and_boxes() {
        let sheets = Drawn::new(images()).label("thing");
        let all = file(&sheets, ANNOTATIONS);
        assert_eq!(all["images"][1], json!({ "id": 2, "file_name": "x/a.png", "height": 4, "width": 4 }));
        assert_eq!(all["categories"], json!([{ "id": 1, "name": "thing", "supercategory": "" }]));
        let annotations = all["annotations"].as_array().unwrap();
        assert_eq!(annotations.len(), 3);
        assert_eq!(
            annotations[0],
            json!({
                "id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 2, 1, 2, 2, 1, 2]], "area": 1,
                "bbox": [1, 1, 1, 1], "iscrowd": 0, "score": 0.9,
            })
        );
        // With a hole: 0, 3, 1, 1, 1, 1, 1, 3, 5 by columns, from the fourth on as differences: -2, 0, 0, 0, 2, 4.
        let mask = &annotations[1]["segmentation"];
        assert_eq!(*mask, json!({ "size": [4, 4], "counts": "031N00024" }));
        assert_eq!((&annotations[1]["area"], &annotations[1]["image_id"]), (&json!(8), &json!(2)));
        // Two pieces are two rings.
        assert_eq!(annotations[2]["segmentation"], json!([[3, 1, 4, 1, 4, 3, 3, 3], [0, 3, 1, 3, 1, 4, 0, 4]]));
        assert_eq!(annotations[2]["bbox"], json!([0, 1, 4, 3]));
        let results = file(&sheets, RESULTS);
        assert_eq!(results.as_array().unwrap().len(), 3);
        assert_eq!(results[1], json!({ "image_id": 2, "category_id": 1, "segmentation": mask, "score": 0.9 }));
        assert_eq!(file(&Drawn::new([]), RESULTS), json!([]));
    }

    #[test]
    fn masks_are_written_as_asked_for() {
        let written = |masks| {
            let mut sheets = Drawn::new(images());
            sheets.options.coco_masks = masks;
            file(&sheets, ANNOTATIONS)["annotations"][1].clone()
        };
        // A ring that enters the hole and comes back.
        let ring = json!([[0, 0, 1, 1, 1, 2, 2, 2, 2, 1, 1, 1, 0, 0, 3, 0, 3, 3, 0, 3]]);
        assert_eq!(written(CocoMasks::Polygon)["segmentation"], ring);
        let list = written(CocoMasks::RleList);
        assert_eq!((&list["segmentation"]["counts"], &list["iscrowd"]), (&json!([0, 3, 1, 1, 1, 1, 1, 3, 5]), &json!(1)));
        let compressed = written(CocoMasks::Rle);
        assert_eq!((&compressed["segmentation"], &compressed["iscrowd"]), (&written(CocoMasks::Auto)["segmentation"], &json!(0)));
    }

    #[test]
    fn images_are_called_as_asked_for() {
        let called = |paths| {
            let mut sheets = Drawn::new(images());
            sheets.options.paths = paths;
            file(&sheets, ANNOTATIONS)["images"][0]["file_name"].as_str().unwrap().to_owned()
        };
        assert_eq!((called(Paths::Relative), called(Paths::Name)), ("x/a.png".into(), "a.png".into()));
        let whole = called(Paths::Absolute);
        assert!(whole.ends_with("/x/a.png") && std::path::Path::new(&whole).is_absolute(), "{whole}");
    }
}
