//! DAVIS: frames of sequences, and the lists of its splits, of 2016 (paths of frames) or 2017 (sequences).

use super::{All, Dataset, DatasetError, Folders, Truth, joints, named, pair, pictures, several, text};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Folders of lists below the set's own, the first that is there counts.
const LISTS: [&str; 3] = ["2016", "480p", "2017"];

pub(super) fn find(root: &Path, folders: &Folders) -> Result<All, DatasetError> {
    let mut set = Dataset {
        rule: Some(super::mask::Rule::NOT_BLACK),
        truth: "what is not black is the object".into(),
        ..Dataset::default()
    };
    let mut bases = BTreeSet::new();
    for (folder, files) in folders {
        let parts: Vec<_> = folder.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        let [.., images, size, sequence] = &parts[..] else { continue };
        if images != "JPEGImages" || size != "480p" {
            continue;
        }
        let Some(base) = folder.ancestors().nth(3) else { continue };
        let masks = folders.get(&base.join("Annotations").join(size).join(sequence));
        let masks = masks.map(|files| pictures(files)).transpose()?.unwrap_or_else(BTreeMap::new);
        pair(&pictures(files)?, &masks, Truth::Mask, Some(sequence), &mut set);
        bases.insert(base);
    }
    let base = match bases.iter().collect::<Vec<_>>()[..] {
        [base] if !set.samples.is_empty() => *base,
        [_, _, ..] => return Err(several(root, bases.into_iter())),
        _ => {
            let expected = "JPEGImages/480p/SEQUENCE and Annotations/480p/SEQUENCE";
            return Err(DatasetError::NotFound { root: root.into(), expected });
        }
    };
    joints::add(folders, &mut set)?;
    set.found = base.display().to_string();
    let list = LISTS.iter().find_map(|year| {
        let files = folders.get(&base.join("ImageSets").join(year))?;
        Some((year, named(files, "val.txt")?))
    });
    let own = list.map(|(_, path)| text(path)).transpose()?;
    set.split = match list {
        Some((year, _)) => format!("val (ImageSets/{year}/val.txt)"),
        None => "every sequence, there being no ImageSets/2016/val.txt".into(),
    };
    Ok(All { set, own, ..All::default() })
}
