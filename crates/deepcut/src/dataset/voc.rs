//! Pascal VOC's folders and its annotations: one XML file an image, and label pictures of some.

use super::{All, Boxes, Dataset, DatasetError, Folders, Sample, Truth, Void, by_stem, has_extension, pictures, several};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// No image has a side beyond this.
const MAX_COORDINATE: f64 = 1e9;
/// The label of pixels that nobody judged: rims of objects, and what is hard to tell.
const VOID: u16 = 255;

/// Boxes.
pub(super) fn find(root: &Path, folders: &Folders, year: u16) -> Result<All, DatasetError> {
    let base =
        base(root, folders, year, "Annotations", "folder with Annotations and JPEGImages (of this year, if there are several)")?;
    let annotations = by_stem(&folders[&base.join("Annotations")], |path| has_extension(path, "xml"))?;
    samples(base, folders, &annotations, &["Main/trainval.txt"], Truth::Boxes)
}

/// Label pictures, in which the objects are told apart.
pub(super) fn find_instances(root: &Path, folders: &Folders, year: u16) -> Result<All, DatasetError> {
    let expected = "folder with SegmentationObject and JPEGImages (of this year, if there are several)";
    let base = base(root, folders, year, "SegmentationObject", expected)?;
    let labels = pictures(&folders[&base.join("SegmentationObject")])?;
    let mut all = samples(base, folders, &labels, &["Segmentation/val.txt", "Segmentation/trainval.txt"], Truth::Labels)?;
    all.set.void = Some(Void(vec![VOID]));
    Ok(all)
}

/// The folder that holds images and truth.
fn base<'a>(root: &Path, folders: &'a Folders, year: u16, truth: &str, expected: &'static str) -> Result<&'a Path, DatasetError> {
    let mut bases: Vec<_> = folders
        .keys()
        .filter(|folder| folder.ends_with(truth))
        .filter_map(|folder| folder.parent())
        .filter(|base| folders.contains_key(&base.join("JPEGImages")))
        .collect();
    if bases.len() > 1 {
        let year = year.to_string();
        bases.retain(|base| base.file_name().is_some_and(|name| name.to_string_lossy().contains(&year)));
    }
    match bases[..] {
        [] => Err(DatasetError::NotFound { root: root.into(), expected }),
        [base] => Ok(base),
        _ => Err(several(root, bases.into_iter())),
    }
}

/// Images and truths of one name; the first of the lists that is there picks among them.
fn samples(
    base: &Path,
    folders: &Folders,
    truths: &BTreeMap<String, &PathBuf>,
    lists: &[&str],
    truth: fn(PathBuf) -> Truth,
) -> Result<All, DatasetError> {
    let pictures = pictures(&folders[&base.join("JPEGImages")])?;
    let lists = lists.iter().map(|list| Path::new("ImageSets").join(list)).collect::<Vec<_>>();
    let (own, split) = match lists.iter().find(|list| base.join(list).is_file()) {
        Some(list) => (super::text(&base.join(list))?, format!("{} ({})", super::stem(list), list.display())),
        None => {
            let every: String = truths.keys().map(|name| format!("{name}\n")).collect();
            let wanted = lists.iter().map(|list| list.display().to_string()).collect::<Vec<_>>().join(" or ");
            (every, format!("every annotation, there being no {wanted}"))
        }
    };
    let mut set = Dataset { found: base.display().to_string(), split, ..Dataset::default() };
    let names: BTreeSet<&String> = truths.keys().chain(pictures.keys()).collect();
    for name in names {
        match (pictures.get(name), truths.get(name)) {
            (Some(image), Some(path)) => {
                let (image, truth) = ((*image).clone(), truth((*path).clone()));
                set.samples.push(Sample { name: name.clone(), image, truth, sequence: None, keypoints: Vec::new() });
            }
            (None, _) => set.incomplete.push((name.clone(), "has no image".into())),
            (_, None) => set.incomplete.push((name.clone(), "has no annotation".into())),
        }
    }
    Ok(All { set, own: Some(own), ..All::default() })
}

/// The boxes of all objects of an annotation; VOC counts pixels from 1, and a box's last row and column are inside. Some tools count from 0:
/// their boxes begin before the first pixel.
pub(super) fn boxes(text: &str) -> Result<Boxes, String> {
    let document = roxmltree::Document::parse(text).map_err(|error| format!("no XML: {error}"))?;
    let root = document.root_element();
    let number = |node: roxmltree::Node<'_, '_>, name: &str| {
        let text = node.children().find(|node| node.has_tag_name(name)).and_then(|node| node.text());
        text.and_then(|text| text.trim().parse::<f64>().ok()).filter(|value| value.abs() < MAX_COORDINATE)
    };
    let mut sides = Vec::new();
    for object in root.children().filter(|node| node.has_tag_name("object")) {
        let place = object.children().find(|node| node.has_tag_name("bndbox")).ok_or("an object has no bndbox")?;
        let side = |name: &str| {
            number(place, name).map(|value| value.round() as i64).ok_or_else(|| format!("a bndbox has no usable {name}"))
        };
        let [left, top, right, bottom] = [side("xmin")?, side("ymin")?, side("xmax")?, side("ymax")?];
        if right < left || bottom < top {
            return Err("a bndbox ends before it begins".into());
        }
        sides.push([left - 1, top - 1, right, bottom]);
    }
    let size = root.children().find(|node| node.has_tag_name("size")).and_then(|size| {
        let side = |name| number(size, name).filter(|side| *side >= 1.0).map(|side| side as usize);
        Some([side("height")?, side("width")?])
    });
    Ok(Boxes { sides, size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::BoundingBox;
    use proptest::prelude::*;

    #[test]
    fn boxes_count_from_zero() {
        let one = |bounds: &str| format!("<annotation><object><bndbox>{bounds}</bndbox></object><object/></annotation>");
        let whole = "<annotation><object><part><bndbox/></part><bndbox><xmax>4</xmax><xmin>1</xmin><ymin>2.0</ymin><ymax>2</ymax></bndbox></object></annotation>";
        let first = BoundingBox { top: 1, left: 0, height: 1, width: 4 };
        assert_eq!(boxes(whole).unwrap().within(9, 9), (vec![first], false));
        assert_eq!(boxes("<annotation/>"), Ok(Boxes::default()));
        let sized = "<annotation><size><width>5</width><height>3</height></size></annotation>";
        assert_eq!(boxes(sized).unwrap().size, Some([3, 5]));
        // Counted from 0, past the image, in fractions, and far outside it.
        let sides =
            |l: f64, t: f64, r: f64, b: f64| one(&format!("<xmin>{l}</xmin><ymin>{t}</ymin><xmax>{r}</xmax><ymax>{b}</ymax>"));
        let within = |text: &str| boxes(&text.replace("<object/>", "")).unwrap().within(6, 8);
        assert_eq!(within(&sides(0.0, 0.0, 4.0, 2.0)), (vec![BoundingBox { top: 0, left: 0, height: 2, width: 4 }], true));
        assert_eq!(within(&sides(5.4, 2.6, 9.0, 7.0)), (vec![BoundingBox { top: 2, left: 4, height: 4, width: 4 }], true));
        assert_eq!(within(&sides(8.0, 6.0, 8.0, 6.0)), (vec![BoundingBox { top: 5, left: 7, height: 1, width: 1 }], false));
        assert_eq!(within(&sides(90.0, 1.0, 99.0, 6.0)), (vec![], true));
        assert!(boxes(&sides(1.0, 1.0, f64::NAN, 6.0)).is_err() && boxes(&sides(1.0, 1.0, 1e300, 6.0)).is_err());
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
