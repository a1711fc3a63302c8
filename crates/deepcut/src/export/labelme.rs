//! Files of LabelMe and X-AnyLabeling: a JSON file for each image.
//!
//! | value       | LabelMe (5, 6 and later)                              | X-AnyLabeling                           |
//! |-------------|-------------------------------------------------------|-----------------------------------------|
//! | shape       | polygon; a mask where there is a hole                 | polygon; a hole is filled               |
//! | pieces      | a shape each, joined by `group_id`                    | the same                                |
//! | `group_id`  | the object of a part; the label of what is in pieces  | the same                                |
//! | `score`     | kept, not shown                                       | shown                                   |
//!
//! * Points are corners of pixels; a mask's two points are its first and last pixel, both inclusive, and its PNG holds 0 and 1.
//! * The size is that of the image as it is shown, after EXIF: LabelMe refuses another.
//! * `imageData` is null; `imagePath` leads from the file to the image, unless [`Paths`] asks for something else.
//!
//! Source: the formats as these programs read them.

use super::annotation::{Annotate, Object, Paths, Shapes, Sheet};
use super::contour::{Point, Ring};
use super::{ExportError, File, png};
use crate::segmentation::Kind;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use std::path::{Component, Path, PathBuf};

const NAME: &str = "*.json";
/// The version that a file says it is of: the first with masks. Later ones read it.
const LABELME: &str = "5.5.0";
const X_ANYLABELING: &str = "4.0.0";

/// Which of the two programs reads the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Labelme {
    /// LabelMe.
    LabelMe,
    /// X-AnyLabeling.
    XAnyLabeling,
}

/// A file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Annotations<'a> {
    version: &'static str,
    flags: Flags,
    #[serde(skip_serializing_if = "Option::is_none")]
    checked: Option<bool>,
    shapes: Vec<Shape<'a>>,
    image_path: String,
    image_data: Option<String>,
    image_height: usize,
    image_width: usize,
}

/// An object without members.
#[derive(Serialize)]
struct Flags {}

#[derive(Serialize)]
struct Shape<'a> {
    label: &'a str,
    score: f64,
    points: Vec<[i32; 2]>,
    group_id: Option<u8>,
    description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    difficult: Option<bool>,
    shape_type: &'static str,
    flags: Flags,
    mask: Option<String>,
}

impl Annotate for Labelme {
    fn image_files(&self) -> &[&str] {
        &[NAME]
    }

    fn is_found_by_stem(&self) -> bool {
        true
    }

    fn keeps_edited(&self) -> bool {
        true
    }

    fn image(&self, sheet: &Sheet<'_>) -> Result<Vec<File>, ExportError> {
        let mut shapes = Vec::new();
        for object in &sheet.objects {
            if *self == Self::LabelMe && sheet.options.shapes.is_mask(object, Shapes::Polygon) {
                shapes.push(self.mask(object)?);
            } else {
                shapes.extend(object.polygons().iter().map(|polygon| self.polygon(object, &polygon.exterior)));
            }
        }
        let is_x = *self == Self::XAnyLabeling;
        let file = Annotations {
            version: if is_x { X_ANYLABELING } else { LABELME },
            flags: Flags {},
            checked: is_x.then_some(false),
            shapes,
            image_path: image_path(sheet),
            image_data: None,
            image_height: sheet.height,
            image_width: sheet.width,
        };
        let mut bytes = serde_json::to_vec_pretty(&file)?;
        bytes.push(b'\n');
        Ok(vec![File { name: NAME.into(), bytes }])
    }
}

impl Labelme {
    fn polygon<'a>(self, object: &'a Object, ring: &Ring) -> Shape<'a> {
        let points = ring.iter().map(|Point { x, y }| [*x, *y]).collect();
        self.shape(object, "polygon", points, None)
    }

    fn mask(self, object: &Object) -> Result<Shape<'_>, ExportError> {
        let bounds = object.bounds;
        let (bottom, right) = (bounds.top + bounds.height - 1, bounds.left + bounds.width - 1);
        let points = [[bounds.left, bounds.top], [right, bottom]].map(|point| point.map(|at| at as i32)).to_vec();
        let pixels: Vec<u8> = object.rle.crop(bounds).into_iter().map(|value| u8::from(value > 0)).collect();
        let mask = STANDARD.encode(png::gray(bounds.height, bounds.width, &pixels)?);
        Ok(self.shape(object, "mask", points, Some(mask)))
    }

    fn shape<'a>(self, object: &'a Object, shape_type: &'static str, points: Vec<[i32; 2]>, mask: Option<String>) -> Shape<'a> {
        let group_id = match object.part_of {
            Some(whole) if object.kind == Kind::Part => Some(whole),
            _ => (shape_type == "polygon" && object.polygons().len() > 1).then_some(object.label),
        };
        let difficult = (self == Self::XAnyLabeling).then_some(false);
        let (label, score) = (object.name.as_str(), object.rounded_score());
        Shape { label, score, points, group_id, description: "", difficult, shape_type, flags: Flags {}, mask }
    }
}

/// What leads to the image: from the file's folder, as these programs take it, if both have one.
fn image_path(sheet: &Sheet<'_>) -> String {
    let way = || {
        let image = std::path::absolute(sheet.path?).ok()?;
        let file = std::path::absolute(sheet.folder?.join(sheet.stem)).ok()?;
        way(file.parent()?, &image)
    };
    match sheet.options.paths {
        Paths::Relative => way().unwrap_or_else(|| sheet.image_name()),
        Paths::Absolute | Paths::Name => sheet.image_name(),
    }
}

/// The way from a folder to a file, both absolute, with `/` between folders; None if they are on two drives, or have no name in Unicode.
fn way(folder: &Path, file: &Path) -> Option<String> {
    let clean = |path: &Path| {
        let mut clean = PathBuf::new();
        for part in path.components() {
            if part == Component::ParentDir {
                clean.pop();
            } else {
                clean.push(part);
            }
        }
        clean
    };
    let (folder, file) = (clean(folder), clean(file));
    let (folder, file): (Vec<_>, Vec<_>) = (folder.components().collect(), file.components().collect());
    let shared = folder.iter().zip(&file).take_while(|(a, b)| a == b).count();
    if shared == 0 {
        return None;
    }
    let up = folder.iter().skip(shared).map(|_| Some(".."));
    let down = file.iter().skip(shared).map(|part| part.as_os_str().to_str());
    Some(up.chain(down).collect::<Option<Vec<_>>>()?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Image;
    use crate::export::annotation::AnnotationOptions;
    use crate::export::annotation::drawn::drawn;
    use serde_json::{Value, json};

    fn written(dialect: Labelme, kind: Kind, rows: &[&str], options: &AnnotationOptions) -> Value {
        let regions = drawn(kind, rows);
        let (path, folder) = (Path::new("/photos/x/a.png"), Path::new("/out"));
        let sheet = Sheet::new(&regions, options, "x/a", Some(path), Some(folder)).unwrap();
        let files = dialect.image(&sheet).unwrap();
        assert_eq!((files.len(), files[0].name.as_str()), (1, "*.json"));
        serde_json::from_slice(&files[0].bytes).unwrap()
    }

    #[test]
    fn polygons_by_hand() {
        let options = AnnotationOptions { label: Some("Ente & Co".into()), ..AnnotationOptions::default() };
        let file = written(Labelme::LabelMe, Kind::Object, &["11.2", "11..", "...2"], &options);
        assert_eq!((&file["version"], &file["imagePath"]), (&json!("5.5.0"), &json!("../../photos/x/a.png")));
        assert_eq!((&file["imageData"], &file["imageHeight"], &file["imageWidth"]), (&json!(null), &json!(3), &json!(4)));
        let shapes = file["shapes"].as_array().unwrap();
        assert_eq!(shapes[0]["points"], json!([[0, 0], [2, 0], [2, 2], [0, 2]]));
        assert_eq!((&shapes[0]["label"], &shapes[0]["shape_type"]), (&json!("Ente & Co"), &json!("polygon")));
        // The second is in two pieces, each of one pixel and still a polygon; they have its number.
        let groups: Vec<_> = shapes.iter().map(|shape| shape["group_id"].clone()).collect();
        assert_eq!(groups, [json!(null), json!(2), json!(2)]);
        assert_eq!(shapes[2]["points"], json!([[3, 2], [4, 2], [4, 3], [3, 3]]));
    }

    #[test]
    fn a_hole_is_a_mask_or_filled() {
        let ring = ["...11", ".111.", ".1.1.", ".111."];
        let options = AnnotationOptions::default();
        let file = written(Labelme::LabelMe, Kind::Part, &ring, &options);
        let shape = &file["shapes"][0];
        assert_eq!((&shape["shape_type"], &shape["points"]), (&json!("mask"), &json!([[1, 0], [4, 3]])));
        assert_eq!((&shape["label"], &shape["group_id"]), (&json!("part 1"), &json!(1)));
        let png = STANDARD.decode(shape["mask"].as_str().unwrap()).unwrap();
        let image = Image::decode(&png).unwrap();
        assert_eq!((image.height(), image.width()), (4, 4));
        #[rustfmt::skip]
        let expected = [
            0, 0, 1, 1,
            1, 1, 1, 0,
            1, 0, 1, 0,
            1, 1, 1, 0,
        ];
        assert_eq!(image.rgb().chunks(3).map(|rgb| rgb[0]).collect::<Vec<_>>(), expected);

        let file = written(Labelme::XAnyLabeling, Kind::Part, &ring, &options);
        let shape = &file["shapes"][0];
        assert_eq!((&shape["shape_type"], &shape["mask"], &shape["difficult"]), (&json!("polygon"), &json!(null), &json!(false)));
        let points: Vec<(u64, u64)> = shape["points"]
            .as_array()
            .unwrap()
            .iter()
            .map(|point| (point[0].as_u64().unwrap(), point[1].as_u64().unwrap()))
            .collect();
        assert_eq!(points, [(3, 0), (5, 0), (5, 1), (4, 1), (4, 4), (1, 4), (1, 1), (3, 1)]);
        assert_eq!(file["checked"], json!(false));
    }

    #[test]
    fn shapes_are_chosen_and_paths_too() {
        let mut options = AnnotationOptions { shapes: Shapes::Mask, paths: Paths::Name, ..AnnotationOptions::default() };
        let file = written(Labelme::LabelMe, Kind::Object, &["1"], &options);
        assert_eq!((&file["shapes"][0]["shape_type"], &file["imagePath"]), (&json!("mask"), &json!("a.png")));
        assert_eq!(file["shapes"][0]["points"], json!([[0, 0], [0, 0]]));
        options = AnnotationOptions { shapes: Shapes::Polygon, paths: Paths::Absolute, ..options };
        let file = written(Labelme::LabelMe, Kind::Object, &["111", "1.2", "111"], &options);
        assert_eq!((&file["shapes"][1]["shape_type"], &file["imagePath"]), (&json!("polygon"), &json!("/photos/x/a.png")));
        let empty = written(Labelme::XAnyLabeling, Kind::Object, &["..."], &options);
        assert_eq!(empty["shapes"], json!([]));
    }

    #[test]
    fn the_way_to_the_image_is_found() {
        let from = |folder: &str, file: &str| way(Path::new(folder), Path::new(file));
        assert_eq!(from("/a/b", "/a/b/c.png").as_deref(), Some("c.png"));
        assert_eq!(from("/a/out/x", "/a/photos/x/c d.png").as_deref(), Some("../../photos/x/c d.png"));
        assert_eq!(from("/a/../a/./b", "/a/c.png").as_deref(), Some("../c.png"));
    }
}
