//! Birds of CUB-200-2011: lists of numbered pictures, splits and keypoints; masks are distributed apart.

use super::{Dataset, DatasetError, Folders, Keypoint, Sample, Truth};
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn find(root: &Path, folders: &Folders) -> Result<Dataset, DatasetError> {
    let not_found = |expected| DatasetError::NotFound { root: root.into(), expected };
    let lists = folders.iter().find(|(_, files)| files.contains_key("images") && files.contains_key("train_test_split"));
    let (base, files) = lists.ok_or_else(|| not_found("folder with images.txt and train_test_split.txt"))?;
    let masks = folders.keys().find(|folder| folder.ends_with("segmentations"));
    let masks = masks.ok_or_else(|| not_found("folder `segmentations`, which is distributed apart from the pictures"))?;
    let locations = folders.iter().find(|(folder, files)| folder.starts_with(base) && files.contains_key("part_locs"));

    let test = columns::<1>(&files["train_test_split"])?;
    let mut keypoints: BTreeMap<String, Vec<Keypoint>> = BTreeMap::new();
    if let Some((_, files)) = locations {
        let path = &files["part_locs"];
        for (id, [part, x, y, visible]) in columns::<4>(path)? {
            let number = |text: &str| {
                let problem = || format!("`{text}` is not a number");
                text.parse::<f64>().map_err(|_| DatasetError::Truth { path: path.clone(), problem: problem() })
            };
            if visible == "1" {
                let keypoint = Keypoint { part: number(&part)? as usize, y: number(&y)?, x: number(&x)? };
                keypoints.entry(id).or_default().push(keypoint);
            }
        }
    }
    let is_test: BTreeMap<&String, bool> = test.iter().map(|(id, [training])| (id, training == "0")).collect();
    let mut set = Dataset { found: format!("{}, test split", base.display()), ..Dataset::default() };
    for (id, [path]) in columns::<1>(&files["images"])? {
        if is_test.get(&id) != Some(&true) {
            continue;
        }
        let (image, mask) = (base.join("images").join(&path), masks.join(Path::new(&path).with_extension("png")));
        let name = Path::new(&path).with_extension("").to_string_lossy().into_owned();
        match (image.is_file(), mask.is_file()) {
            (true, true) => set.samples.push(Sample {
                name,
                image,
                truth: Truth::Mask { path: mask, above: 127 },
                sequence: None,
                keypoints: keypoints.remove(&id).unwrap_or_default(),
            }),
            (false, _) => set.incomplete.push((name, "has no picture".into())),
            (_, false) => set.incomplete.push((name, "has no mask in segmentations".into())),
        }
    }
    Ok(set)
}

/// The lines of a list: a number, then `N` words.
fn columns<const N: usize>(path: &Path) -> Result<Vec<(String, [String; N])>, DatasetError> {
    super::text(path)?
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let mut words = line.split_whitespace().map(str::to_owned);
            let id = words.next().unwrap_or_default();
            let rest: Vec<String> = words.collect();
            let wrong = |_| DatasetError::Truth { path: path.into(), problem: format!("`{line}` is not a number and {N} words") };
            Ok((id, rest.try_into().map_err(wrong)?))
        })
        .collect()
}
