//! Birds of CUB-200-2011: lists of numbered images, splits and keypoints; masks are distributed apart.

use super::{All, Dataset, DatasetError, Folders, Keypoint, Sample, Truth, named};
use std::collections::BTreeMap;
use std::path::Path;

/// Parts are numbered from 1; the set has fifteen.
const MOST_PARTS: usize = 1000;

pub(super) fn find(root: &Path, folders: &Folders) -> Result<All, DatasetError> {
    let not_found = |expected| DatasetError::NotFound { root: root.into(), expected };
    let lists =
        folders.iter().find_map(|(base, files)| Some((base, named(files, "images.txt")?, named(files, "train_test_split.txt")?)));
    let (base, images, split) = lists.ok_or_else(|| not_found("folder with images.txt and train_test_split.txt"))?;
    let masks = folders.keys().find(|folder| folder.ends_with("segmentations"));
    let masks = masks.ok_or_else(|| not_found("folder `segmentations`, which is distributed apart from the images"))?;
    let locations =
        folders.iter().filter(|(folder, _)| folder.starts_with(base)).find_map(|(_, files)| named(files, "part_locs.txt"));

    let mut keypoints: BTreeMap<u64, Vec<Keypoint>> = BTreeMap::new();
    if let Some(path) = locations {
        for (id, [part, x, y, visible]) in columns::<4>(path)? {
            let wrong = |text: &str| {
                let problem = format!("{id} {part} {x} {y} {visible}: `{text}` is not a number of a keypoint");
                DatasetError::Truth { path: path.clone(), problem }
            };
            let number = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| wrong(text));
            if visible == "1" {
                let (y, x) = (number(&y)?, number(&x)?);
                let part = part.parse().ok().filter(|part| *part <= MOST_PARTS).ok_or_else(|| wrong(&part))?;
                keypoints.entry(id).or_default().push(Keypoint { part, y, x });
            }
        }
    }
    let mut all = All {
        set: Dataset { found: base.display().to_string(), split: "test split".into(), votes: true, ..Dataset::default() },
        own: Some(super::text(split)?),
        ..All::default()
    };
    // Read for its errors: a list is forgiving.
    columns::<1>(split)?;
    for (id, [path]) in columns::<1>(images)? {
        let (image, mask) = (base.join("images").join(&path), masks.join(Path::new(&path).with_extension("png")));
        let name = Path::new(&path).with_extension("").to_string_lossy().into_owned();
        all.ids.insert(id, name.clone());
        match (image.is_file(), mask.is_file()) {
            (true, true) => all.set.samples.push(Sample {
                name,
                image,
                truth: Truth::Mask(mask),
                sequence: None,
                keypoints: keypoints.remove(&id).unwrap_or_default(),
            }),
            (false, _) => all.set.incomplete.push((name, "has no image".into())),
            (_, false) => all.set.incomplete.push((name, "has no mask in segmentations".into())),
        }
    }
    Ok(all)
}

/// The lines of a list: a number, then `N` words.
fn columns<const N: usize>(path: &Path) -> Result<Vec<(u64, [String; N])>, DatasetError> {
    super::text(path)?
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let wrong = || DatasetError::Truth { path: path.into(), problem: format!("`{line}` is not a number and {N} words") };
            let mut words = line.split_whitespace().map(str::to_owned);
            let id = words.next().and_then(|word| word.parse().ok()).ok_or_else(wrong)?;
            Ok((id, words.collect::<Vec<_>>().try_into().map_err(|_| wrong())?))
        })
        .collect()
}
