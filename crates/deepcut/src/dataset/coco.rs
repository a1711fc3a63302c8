//! COCO's instances, one JSON file for all images, and LOST's list of twenty thousand.

use super::coco_instances::Picture;
use super::{All, Boxes, Dataset, DatasetError, Folders, Sample, Truth, pictures, stem};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What of the file is read; the polygons are skipped.
#[derive(Deserialize)]
struct Instances {
    images: Vec<Picture>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    /// Left, top, width, height.
    bbox: [f64; 4],
    #[serde(default)]
    iscrowd: u8,
}

pub(super) fn find(root: &Path, folders: &Folders) -> Result<All, DatasetError> {
    let file = |wanted: &dyn Fn(&str) -> bool| {
        let name = |path: &&PathBuf| path.file_name().is_some_and(|name| wanted(&name.to_string_lossy()));
        folders.values().flatten().find(name)
    };
    let Some(path) = file(&|name| name == "instances_train2014.json") else {
        return Err(DatasetError::NotFound { root: root.into(), expected: "instances_train2014.json" });
    };
    let list = file(&|name| name.starts_with("coco_20k") && name.ends_with(".txt"));
    let source = std::fs::File::open(path).map_err(|source| DatasetError::Read { path: path.clone(), source })?;
    let (mut truths, ids) = boxes(std::io::BufReader::new(source))
        .map_err(|error| DatasetError::Truth { path: path.clone(), problem: error.to_string() })?;
    let mut found = BTreeMap::new();
    for (_, files) in folders.iter().filter(|(folder, _)| folder.file_name().is_some_and(|name| name == "train2014")) {
        for (name, path) in pictures(files)? {
            if let Some(other) = found.insert(name, path) {
                return Err(DatasetError::Twice { one: other.clone(), other: path.clone() });
            }
        }
    }
    let mut set = Dataset { found: path.display().to_string(), ..Dataset::default() };
    for (name, image) in &found {
        match truths.remove(name) {
            Some(boxes) => set.samples.push(Sample {
                name: name.clone(),
                image: (*image).clone(),
                truth: Truth::BoxList(boxes),
                sequence: None,
                keypoints: Vec::new(),
            }),
            // Those with crowds alone are not part of the set, unless a list names them.
            None if list.is_some() => set.incomplete.push((name.clone(), "has no annotation".into())),
            None => {}
        }
    }
    if list.is_some() {
        set.incomplete.extend(truths.into_keys().map(|name| (name, "has no image in train2014".into())));
    }
    set.split = match list {
        Some(list) => format!("LOST's list {}", stem(list)),
        None => "every image, there being no coco_20k_filenames.txt".into(),
    };
    Ok(All { set, ids, own: list.map(|list| super::text(list)).transpose()? })
}

/// The boxes of every image that has any, by its stem, and the stems by number; crowds do not count, as in LOST.
fn boxes(source: impl Read) -> serde_json::Result<(BTreeMap<String, Boxes>, BTreeMap<u64, String>)> {
    let Instances { images, annotations } = serde_json::from_reader(source)?;
    let mut sizes = BTreeMap::new();
    let mut names = BTreeMap::new();
    for Picture { id, file_name, height, width } in images {
        sizes.insert(id, height.zip(width).map(|(height, width)| [height, width]));
        names.insert(id, stem(Path::new(file_name.trim())));
    }
    let mut found: BTreeMap<String, Boxes> = BTreeMap::new();
    for Annotation { image_id, bbox: [left, top, width, height], iscrowd } in annotations {
        if let (0, Some(name)) = (iscrowd, names.get(&image_id)) {
            // As a float becomes an integer, a value out of range becomes the nearest in it.
            let sides = [left, top, left + width, top + height].map(|side| side.round() as i64);
            let boxes = found.entry(name.clone()).or_default();
            boxes.sides.push(sides);
            boxes.size = sizes.get(&image_id).copied().flatten();
        }
    }
    Ok((found, names))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::BoundingBox;

    #[test]
    fn crowds_do_not_count() {
        let text = r#"{"info": {}, "images": [{"id": 7, "file_name": "COCO_7.jpg", "height": 4, "date": 1}, {"id": 8, "file_name": "x/b.jpg"}],
            "annotations": [{"image_id": 7, "bbox": [1.2, 2.6, 3, 4], "iscrowd": 0, "segmentation": [[1, 2]]},
                            {"image_id": 7, "bbox": [0, 0, 9, 9], "iscrowd": 1}, {"image_id": 8, "bbox": [0, 0, 1, 1]}]}"#;
        let (found, ids) = boxes(text.as_bytes()).unwrap();
        let (within, cut) = found["COCO_7"].within(9, 9);
        assert_eq!((within, cut), (vec![BoundingBox { top: 3, left: 1, height: 4, width: 3 }], false));
        assert_eq!((found["b"].sides.len(), &*ids[&8]), (1, "b"));
        assert!(boxes(&b"{}"[..]).is_err());
    }
}
