//! COCO's instances, one JSON file for all pictures, and LOST's list of twenty thousand.

use super::{Dataset, DatasetError, Folders, Sample, Truth};
use crate::components::BoundingBox;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// What of the file is read; the polygons are skipped.
#[derive(Deserialize)]
struct Instances {
    images: Vec<Picture>,
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Picture {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    /// Left, top, width, height.
    bbox: [f64; 4],
    #[serde(default)]
    iscrowd: u8,
}

pub(super) fn find(root: &Path, folders: &Folders, names: Option<&[String]>) -> Result<Dataset, DatasetError> {
    let file = |wanted: &dyn Fn(&str) -> bool| folders.values().flatten().find(|(stem, _)| wanted(stem)).map(|(_, path)| path);
    let Some(path) = file(&|stem| stem == "instances_train2014") else {
        return Err(DatasetError::NotFound { root: root.into(), expected: "instances_train2014.json" });
    };
    let list = file(&|stem| stem.starts_with("coco_20k"));
    let source = std::fs::File::open(path).map_err(|source| DatasetError::Read { path: path.clone(), source })?;
    let truths = boxes(std::io::BufReader::new(source))
        .map_err(|error| DatasetError::Truth { path: path.clone(), problem: error.to_string() })?;
    let pictures = folders.iter().filter(|(folder, _)| folder.file_name().is_some_and(|name| name == "train2014"));
    let pictures: BTreeMap<&String, &std::path::PathBuf> = pictures.flat_map(|(_, files)| files).collect();
    let (wanted, listed): (Vec<String>, String) = match (names, list) {
        (Some(names), _) => (names.to_vec(), "the list given".into()),
        (None, Some(list)) => (super::text(list)?.lines().filter_map(stem).collect(), list.display().to_string()),
        (None, None) => {
            let there = pictures.keys().filter(|stem| truths.contains_key(**stem));
            (there.map(|stem| (*stem).clone()).collect(), "every picture, there being no coco_20k_filenames.txt".into())
        }
    };
    let mut set = Dataset { found: format!("{}, {listed}", path.display()), ..Dataset::default() };
    for name in wanted {
        match (pictures.get(&name), truths.get(&name)) {
            (Some(image), Some(boxes)) => set.samples.push(Sample {
                name,
                image: (*image).clone(),
                truth: Truth::BoxList(boxes.clone()),
                sequence: None,
                keypoints: Vec::new(),
            }),
            (None, _) => set.incomplete.push((name, "has no picture in train2014".into())),
            (_, None) => set.incomplete.push((name, "has no annotation".into())),
        }
    }
    Ok(set)
}

/// The stem of the file that a line names, whatever its folder.
fn stem(line: &str) -> Option<String> {
    let stem = Path::new(line.trim()).file_stem()?;
    Some(stem.to_string_lossy().into_owned())
}

/// The boxes of every picture that has any, by its stem; crowds do not count, as in LOST.
fn boxes(source: impl Read) -> Result<BTreeMap<String, Vec<BoundingBox>>, serde_json::Error> {
    let Instances { images, annotations } = serde_json::from_reader(source)?;
    let names: BTreeMap<u64, String> = images.into_iter().filter_map(|p| Some((p.id, stem(&p.file_name)?))).collect();
    let mut found: BTreeMap<String, Vec<BoundingBox>> = BTreeMap::new();
    for Annotation { image_id, bbox: [left, top, width, height], iscrowd } in annotations {
        if let (0, Some(name)) = (iscrowd, names.get(&image_id)) {
            // As a float becomes an integer, a value out of range becomes the nearest in it.
            let [left, top, right, bottom] = [left, top, left + width, top + height].map(|side| side.round() as usize);
            let (height, width) = (bottom.saturating_sub(top), right.saturating_sub(left));
            found.entry(name.clone()).or_default().push(BoundingBox { top, left, height, width });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crowds_do_not_count() {
        let text = r#"{"info": {}, "images": [{"id": 7, "file_name": "COCO_7.jpg", "height": 4}, {"id": 8, "file_name": "x/b.jpg"}],
            "annotations": [{"image_id": 7, "bbox": [1.2, 2.6, 3, 4], "iscrowd": 0, "segmentation": [[1, 2]]},
                            {"image_id": 7, "bbox": [0, 0, 9, 9], "iscrowd": 1}, {"image_id": 8, "bbox": [0, 0, 1, 1]}]}"#;
        let found = boxes(text.as_bytes()).unwrap();
        assert_eq!(found["COCO_7"], [BoundingBox { top: 3, left: 1, height: 4, width: 3 }]);
        assert_eq!(found["b"].len(), 1);
        assert!(boxes(&b"{}"[..]).is_err());
    }
}
