//! COCO's instances with their masks: one JSON file, whose images lie beside it or in a folder beside its own.

use super::polygon::Polygons;
use super::{All, Dataset, DatasetError, Folders, Instances, Layout, Sample, Truth, has_extension, several};
use crate::image::Image;
use crate::metrics::average_precision::TrueObject;
use crate::rle::Rle;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(expecting = "an object with images and annotations")]
struct File {
    images: Vec<Picture>,
    annotations: Vec<Annotation>,
}

/// An image of COCO's JSON files.
#[derive(Deserialize)]
pub(super) struct Picture {
    pub id: u64,
    pub file_name: String,
    pub height: Option<usize>,
    pub width: Option<usize>,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    id: u64,
    image_id: u64,
    #[serde(default)]
    category_id: u64,
    segmentation: Option<Shape>,
    /// Left, top, width, height.
    bbox: Option<[f64; 4]>,
    #[serde(default)]
    iscrowd: u8,
}

/// The pixels of an object in one of COCO's three ways.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    /// Or what is wrong with them.
    Polygons(Result<Polygons, String>),
    Runs(Runs),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Runs {
    size: [usize; 2],
    counts: Counts,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "counts are neither a text nor a list of whole numbers")]
enum Counts {
    Compressed(String),
    List(Vec<usize>),
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EitherKind;
        impl<'de> Visitor<'de> for EitherKind {
            type Value = Shape;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a list of polygons, or run lengths with size and counts")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
                let mut polygons: Vec<Vec<f64>> = Vec::new();
                while let Some(polygon) = list.next_element()? {
                    polygons.push(polygon);
                }
                Ok(Shape::Polygons(Polygons::try_from(polygons)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Shape, A::Error> {
                Runs::deserialize(MapAccessDeserializer::new(map)).map(Shape::Runs)
            }
        }
        deserializer.deserialize_any(EitherKind)
    }
}

/// The annotations of one image, whose pixels are made when they are needed.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotations {
    /// The JSON file.
    file: Arc<Path>,
    image_id: u64,
    /// Height and width of the image, if the file says.
    pub(super) size: Option<[usize; 2]>,
    list: Vec<Object>,
}

#[derive(Debug, Clone, PartialEq)]
struct Object {
    id: u64,
    category: u64,
    shape: Option<Shape>,
    bounds: Option<[f64; 4]>,
    is_crowd: bool,
}

impl Annotations {
    /// The number that the file has for the image.
    #[must_use]
    pub fn image_id(&self) -> u64 {
        self.image_id
    }

    /// The objects' pixels, in an image of this size.
    pub(super) fn instances(&self, height: usize, width: usize) -> Result<Instances, DatasetError> {
        let wrong = |problem| DatasetError::Truth { path: self.file.to_path_buf(), problem };
        let pixels = |[height, width]: [usize; 2]| format!("{width} × {height}");
        if let Some(size) = self.size.filter(|size| *size != [height, width]) {
            let (size, of_picture) = (pixels(size), pixels([height, width]));
            return Err(wrong(format!("image {} is said to be {size}, its file is {of_picture}", self.image_id)));
        }
        let object = |object: &Object| {
            let mask = object.mask(height, width).map_err(|problem| wrong(format!("annotation {} {problem}", object.id)))?;
            let bounds = match object.bounds {
                Some([.., width, height]) if width < 0.0 || height < 0.0 => {
                    return Err(wrong(format!("annotation {} has a box of {width} × {height}", object.id)));
                }
                Some(bounds) => bounds,
                None => TrueObject::of_mask(mask.clone()).map_or([0.0; 4], |object| object.bounds),
            };
            Ok(TrueObject { mask, bounds, is_crowd: object.is_crowd })
        };
        Ok(Instances { objects: self.list.iter().map(object).collect::<Result<_, DatasetError>>()?, void: None })
    }
}

impl Object {
    fn mask(&self, height: usize, width: usize) -> Result<Rle, String> {
        let failed = |error: crate::rle::RleError| format!("has run lengths that are no mask: {error}");
        match &self.shape {
            None => Err("has no segmentation".into()),
            Some(Shape::Polygons(Err(problem))) => Err(format!("is wrong: {problem}")),
            Some(Shape::Polygons(Ok(polygons))) if polygons.is_empty() => Err("has no polygon".into()),
            Some(Shape::Polygons(Ok(polygons))) => polygons.mask(height, width).map_err(failed),
            Some(Shape::Runs(Runs { size: [rows, columns], .. })) if [*rows, *columns] != [height, width] => {
                Err(format!("has a mask of {columns} × {rows}, its image is {width} × {height}"))
            }
            Some(Shape::Runs(Runs { counts: Counts::List(counts), .. })) => {
                Rle::new(height, width, counts.clone()).map_err(failed)
            }
            Some(Shape::Runs(Runs { counts: Counts::Compressed(text), .. })) => {
                Rle::from_compressed(height, width, text.as_bytes()).map_err(failed)
            }
        }
    }
}

/// The folder to look through for a root that may be the JSON file itself: its own, or the one above if its own is for annotations.
pub(super) fn folder(root: &Path, layout: Layout) -> PathBuf {
    if layout != Layout::CocoInstances || !root.is_file() {
        return root.into();
    }
    let parent = |path: &Path| match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => ".".into(),
    };
    let own = parent(root);
    if own.file_name().is_some_and(|name| name == "annotations") { parent(&own) } else { own }
}

pub(super) fn find(root: &Path, folders: &Folders) -> Result<All, DatasetError> {
    let path = annotations_file(root, folders)?;
    let source = std::fs::File::open(&path).map_err(|source| DatasetError::Read { path: path.clone(), source })?;
    let wrong = |problem| DatasetError::Truth { path: path.clone(), problem };
    let File { images, annotations } =
        serde_json::from_reader(std::io::BufReader::new(source)).map_err(|error| wrong(error.to_string()))?;
    let mut of_image: HashMap<u64, Vec<Object>> = HashMap::new();
    for Annotation { id, image_id, category_id, segmentation, bbox, iscrowd } in annotations {
        let object = Object { id, category: category_id, shape: segmentation, bounds: bbox, is_crowd: iscrowd != 0 };
        of_image.entry(image_id).or_default().push(object);
    }
    let mut files: HashMap<&OsStr, Vec<&PathBuf>> = HashMap::new();
    for path in folders.values().flatten().filter(|path| Image::is_named_by(path)) {
        files.entry(path.file_name().unwrap_or_default()).or_default().push(path);
    }
    let file: Arc<Path> = path.as_path().into();
    let mut all = All { set: Dataset { found: path.display().to_string(), ..Dataset::default() }, ..All::default() };
    let mut names = BTreeMap::new();
    for Picture { id, file_name, height, width } in images {
        let file_name = file_name.trim().replace('\\', "/");
        let name = Path::new(&file_name).with_extension("").to_string_lossy().into_owned();
        if let Some(other) = names.insert(name.clone(), id) {
            return Err(wrong(format!("images {other} and {id} have the name {name}")));
        }
        if all.ids.insert(id, name.clone()).is_some() {
            return Err(wrong(format!("two images have the id {id}")));
        }
        let mut list = of_image.remove(&id).unwrap_or_default();
        list.sort_by_key(|object| object.category);
        let candidates = Path::new(&file_name).file_name().and_then(|last| files.get(last)).map_or(&[][..], Vec::as_slice);
        match candidates.iter().filter(|path| path.ends_with(&file_name)).collect::<Vec<_>>()[..] {
            [] => all.set.incomplete.push((name, "has no image".into())),
            [image] => all.set.samples.push(Sample {
                name,
                image: image.to_path_buf(),
                truth: Truth::Annotations(Annotations {
                    file: file.clone(),
                    image_id: id,
                    size: height.zip(width).map(|(h, w)| [h, w]),
                    list,
                }),
                sequence: None,
                keypoints: Vec::new(),
            }),
            [one, other, ..] => return Err(DatasetError::Twice { one: one.to_path_buf(), other: other.to_path_buf() }),
        }
    }
    all.set.split = format!("every image of {}", super::stem(&path));
    all.set.truth = "crowds stand for many objects: what is found in them does not count".into();
    let others: usize = of_image.values().map(Vec::len).sum();
    if others > 0 {
        all.set.truth += &format!("; annotations of images that the file does not list: {others}");
    }
    Ok(all)
}

/// The JSON file of a root: itself, or the one file below it whose name begins with `instances` or has `annotations`.
fn annotations_file(root: &Path, folders: &Folders) -> Result<PathBuf, DatasetError> {
    if root.is_file() {
        return Ok(root.into());
    }
    let is_named = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        has_extension(path, "json") && (name.starts_with("instances") || name.contains("annotations"))
    };
    match folders.values().flatten().filter(is_named).collect::<Vec<_>>()[..] {
        [] => Err(DatasetError::NotFound { root: root.into(), expected: "instances_*.json or *annotations*.json" }),
        [path] => Ok(path.clone()),
        ref several_files => Err(several(root, several_files.iter().map(|path| path.as_path()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{DatasetError, Known, find as find_set};
    use serde_json::{Value, json};

    /// A JSON file with these annotations, of images 9 and 4 of 3 × 4 pixels, and their files.
    fn set(annotations: &Value) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let image = |id: u64| json!({ "id": id, "file_name": format!("{id}.png"), "height": 3, "width": 4 });
        let file = json!({ "images": [image(9), image(4)], "annotations": annotations, "categories": [] });
        std::fs::create_dir(folder.path().join("annotations")).unwrap();
        std::fs::create_dir(folder.path().join("val")).unwrap();
        std::fs::write(folder.path().join("annotations/instances_val.json"), file.to_string()).unwrap();
        for name in ["9.png", "4.png"] {
            image::GrayImage::new(4, 3).save(folder.path().join("val").join(name)).unwrap();
        }
        folder
    }

    fn read(folder: &Path, root: &str) -> Vec<(String, Result<Instances, DatasetError>)> {
        let set = find_set(Layout::CocoInstances, &folder.join(root), None).unwrap();
        assert_eq!(set.incomplete, []);
        let instances = |sample: &Sample| match set.read(sample, &std::fs::read(&sample.image).unwrap()) {
            Ok((_, Known::Instances(instances), _)) => Ok(instances),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        };
        set.samples.iter().map(|sample| (sample.name.clone(), instances(sample))).collect()
    }

    #[test]
    fn masks_are_read_in_all_three_ways() {
        // Rows 1 and 2 of columns 1 and 2, thrice.
        let square = [[1, 1, 3, 1, 3, 3, 1, 3]];
        let annotations = json!([
            { "id": 1, "image_id": 4, "category_id": 7, "segmentation": square, "bbox": [1.5, 1, 2, 2], "iscrowd": 0 },
            { "id": 2, "image_id": 4, "category_id": 3, "segmentation": { "size": [3, 4], "counts": [4, 2, 1, 2, 3] }, "iscrowd": 1 },
            { "id": 3, "image_id": 4, "category_id": 7, "segmentation": { "size": [3, 4], "counts": "42102" }, "bbox": [0, 0, 4, 3] },
            { "id": 4, "image_id": 77, "category_id": 7, "segmentation": square },
        ]);
        let folder = set(&annotations);
        for root in ["", "annotations/instances_val.json"] {
            let read = read(folder.path(), root);
            // In the order of their numbers, as pycocotools goes through them.
            assert_eq!(read.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["4", "9"]);
            let [(_, Ok(first)), (_, Ok(second))] = &read[..] else { panic!("{read:?}") };
            assert_eq!(*second, Instances { objects: vec![], void: None });
            let mask = Rle::encode(3, 4, |at| [5, 6, 9, 10].contains(&at));
            assert!(first.objects.iter().all(|object| object.mask == mask), "{first:?}");
            // Those of the lower category come first.
            let rest: Vec<_> = first.objects.iter().map(|object| (object.is_crowd, object.bounds)).collect();
            assert_eq!(rest, [(true, [1.0, 1.0, 2.0, 2.0]), (false, [1.5, 1.0, 2.0, 2.0]), (false, [0.0, 0.0, 4.0, 3.0])]);
        }
    }

    #[test]
    fn what_is_no_mask_is_told_with_its_file_and_number() {
        let fails = |segmentation: Value, words: &str| {
            let folder = set(&json!([{ "id": 12, "image_id": 9, "segmentation": segmentation }]));
            let [(_, Ok(_)), (_, Err(error))] = &read(folder.path(), "")[..] else { panic!("{segmentation} was read") };
            let error = error.to_string();
            assert!(error.contains("instances_val.json: annotation 12 ") && error.contains(words), "{error}");
        };
        fails(Value::Null, "has no segmentation");
        fails(json!([]), "has no polygon");
        fails(json!([[1, 2, 3, 4]]), "a polygon has 4 numbers; expected x and y of at least three corners");
        fails(json!({ "size": [5, 4], "counts": [20] }), "has a mask of 4 × 5, its image is 4 × 3");
        fails(json!({ "size": [3, 4], "counts": [11] }), "are no mask");
        fails(json!({ "size": [3, 4], "counts": "\u{1}" }), "are no mask");
        let square = json!([[1, 1, 3, 1, 3, 3, 1, 3]]);
        let folder = set(&json!([{ "id": 12, "image_id": 9, "segmentation": square, "bbox": [1, 1, -2, 2] }]));
        let [_, (_, Err(error))] = &read(folder.path(), "")[..] else { panic!("it was read") };
        assert!(error.to_string().contains("annotation 12 has a box of -2 × 2"), "{error}");
    }

    #[test]
    fn annotations_of_no_image_are_told() {
        let truth = |image_id: u64| {
            let folder = set(&json!([{ "id": 1, "image_id": image_id, "segmentation": [[1, 1, 3, 1, 3, 3]] }]));
            find_set(Layout::CocoInstances, folder.path(), None).unwrap().truth
        };
        assert!(truth(77).ends_with("; annotations of images that the file does not list: 1"), "{}", truth(77));
        assert!(!truth(9).contains("does not list"));
    }

    #[test]
    fn what_is_no_set_is_refused() {
        let fails = |folder: &Path, words: &str| {
            let error = find_set(Layout::CocoInstances, folder, None).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        };
        let folder = set(&json!([{ "image_id": "x" }]));
        fails(folder.path(), "instances_val.json: invalid type");
        let folder = set(&json!([{ "image_id": 9, "segmentation": "x" }]));
        fails(folder.path(), "expected a list of polygons, or run lengths with size and counts");
        let folder = set(&json!([{ "image_id": 9, "segmentation": { "size": [3, 4], "counts": [-5, 17] } }]));
        fails(folder.path(), "counts are neither a text nor a list of whole numbers");
        std::fs::copy(folder.path().join("annotations/instances_val.json"), folder.path().join("instances_train.json")).unwrap();
        fails(folder.path(), "name one of them");
        let folder = set(&json!([]));
        std::fs::copy(folder.path().join("val/9.png"), folder.path().join("9.png")).unwrap();
        fails(folder.path(), "have one name");
        std::fs::remove_dir_all(folder.path().join("val")).unwrap();
        let set = find_set(Layout::CocoInstances, folder.path(), None).unwrap();
        assert_eq!((set.samples.len(), &*set.incomplete), (1, &[("4".into(), "has no image".into())][..]));
        fails(tempfile::tempdir().unwrap().path(), "found no instances_*.json");
    }
}
