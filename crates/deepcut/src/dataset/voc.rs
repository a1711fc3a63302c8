//! Pascal VOC's folders and its annotations, one XML file a picture.

use super::{Dataset, DatasetError, Folders, Sample, Truth};
use crate::components::BoundingBox;
use std::path::Path;

pub(super) fn find(root: &Path, folders: &Folders, year: u16, names: Option<&[String]>) -> Result<Dataset, DatasetError> {
    let mut bases: Vec<_> = folders
        .keys()
        .filter(|folder| folder.ends_with("Annotations"))
        .filter_map(|folder| folder.parent())
        .filter(|base| folders.contains_key(&base.join("JPEGImages")))
        .collect();
    if bases.len() > 1 {
        let year = year.to_string();
        bases.retain(|base| base.file_name().is_some_and(|name| name.to_string_lossy().contains(&year)));
    }
    let base = match bases[..] {
        [] => {
            let expected = "folder with Annotations and JPEGImages (of this year, if there are several)";
            return Err(DatasetError::NotFound { root: root.into(), expected });
        }
        [base] => base,
        _ => {
            let candidates = bases.iter().map(|base| base.display().to_string()).collect::<Vec<_>>().join(", ");
            return Err(DatasetError::Ambiguous { root: root.into(), candidates });
        }
    };
    let (annotations, pictures) = (&folders[&base.join("Annotations")], &folders[&base.join("JPEGImages")]);
    let list = base.join("ImageSets").join("Main").join("trainval.txt");
    let (names, listed) = match names {
        Some(names) => (names.to_vec(), "the list given".to_owned()),
        None if list.is_file() => {
            let text = super::text(&list)?;
            (text.lines().filter_map(|line| line.split_whitespace().next()).map(Into::into).collect(), list.display().to_string())
        }
        None => (annotations.keys().cloned().collect(), "every annotation, there being no ImageSets/Main/trainval.txt".into()),
    };
    let mut set = Dataset { found: format!("{}, {listed}", base.display()), ..Dataset::default() };
    for name in names {
        match (pictures.get(&name), annotations.get(&name)) {
            (Some(image), Some(truth)) => {
                let truth = Truth::Boxes(truth.clone());
                set.samples.push(Sample { name, image: image.clone(), truth, sequence: None, keypoints: Vec::new() });
            }
            (None, _) => set.incomplete.push((name, "has no picture".into())),
            (_, None) => set.incomplete.push((name, "has no annotation".into())),
        }
    }
    Ok(set)
}

/// The boxes of all objects of an annotation; VOC counts pixels from 1, and a box's last row and column are inside.
pub(super) fn boxes(text: &str) -> Result<Vec<BoundingBox>, String> {
    let document = roxmltree::Document::parse(text).map_err(|error| format!("no XML: {error}"))?;
    let objects = document.root_element().children().filter(|node| node.has_tag_name("object"));
    objects
        .map(|object| {
            let place = object.children().find(|node| node.has_tag_name("bndbox")).ok_or("an object has no bndbox")?;
            let side = |name: &str| {
                let text = place.children().find(|node| node.has_tag_name(name)).and_then(|node| node.text());
                let value = text.and_then(|text| text.trim().parse::<f64>().ok()).filter(|value| (1.0..1e6).contains(value));
                value.map(|value| value.round() as usize).ok_or_else(|| format!("a bndbox has no usable {name}"))
            };
            let [left, top, right, bottom] = [side("xmin")?, side("ymin")?, side("xmax")?, side("ymax")?];
            if right < left || bottom < top {
                return Err("a bndbox ends before it begins".into());
            }
            Ok(BoundingBox { top: top - 1, left: left - 1, height: bottom - top + 1, width: right - left + 1 })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn boxes_count_from_zero() {
        let one = |bounds: &str| format!("<annotation><object><bndbox>{bounds}</bndbox></object><object/></annotation>");
        let whole = "<annotation><object><part><bndbox/></part><bndbox><xmax>4</xmax><xmin>1</xmin><ymin>2.0</ymin><ymax>2</ymax></bndbox></object></annotation>";
        assert_eq!(boxes(whole), Ok(vec![BoundingBox { top: 1, left: 0, height: 1, width: 4 }]));
        assert_eq!(boxes("<annotation/>"), Ok(vec![]));
        assert!(boxes(&one("<xmin>3</xmin>")).unwrap_err().contains("ymin"));
        assert!(boxes(&one("<xmin>3</xmin><ymin>1</ymin><xmax>2</xmax><ymax>1</ymax>")).unwrap_err().contains("ends before"));
        assert!(boxes("<annotation><object/></annotation>").is_err() && boxes("").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(<(annotation|object|bndbox|xmin|ymax)>|</(annotation|object|bndbox|xmin)>|-?[0-9.e]{0,5}){0,20}") {
            let _ = boxes(&text);
        }
    }
}
