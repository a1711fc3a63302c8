//! Looking through folders, and the layout that is folders alone: images, and a file of the same name for each.

use super::{All, Dataset, DatasetError, Sample, Truth};
use crate::image::Image;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Folders this deep below the root are looked at.
pub(super) const DEPTH: usize = 6;
/// Parts of the names of folders that hold masks.
const MASK_NAMES: [&str; 4] = ["mask", "gt", "ground", "annot"];
/// Parts of the names of folders that hold images, where another has as many files of the masks' names.
const PICTURE_NAMES: [&str; 5] = ["image", "img", "picture", "photo", "rgb"];

/// The text of a file.
pub(super) fn text(path: &Path) -> Result<String, DatasetError> {
    std::fs::read_to_string(path).map_err(|source| DatasetError::Read { path: path.into(), source })
}

/// The files of every folder, in the order of their names.
pub(super) type Folders = BTreeMap<PathBuf, Vec<PathBuf>>;

/// Looks through a folder and those below it, each once however many links lead there.
pub(super) fn look(folder: &Path, depth: usize, folders: &mut Folders, seen: &mut BTreeSet<PathBuf>) -> Result<(), DatasetError> {
    let failed = |source| DatasetError::Read { path: folder.into(), source };
    if !seen.insert(folder.canonicalize().map_err(failed)?) {
        return Ok(());
    }
    let mut paths = std::fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()).map_err(failed))
        .collect::<Result<Vec<_>, _>>()?;
    // Hidden files are nobody's images: some systems put one beside each.
    paths.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')));
    paths.sort();
    for path in paths.iter().filter(|path| depth > 0 && path.is_dir()) {
        look(path, depth - 1, folders, seen)?;
    }
    paths.retain(|path| path.is_file());
    folders.insert(folder.into(), paths);
    Ok(())
}

/// The file of this name in a folder.
pub(super) fn named<'a>(files: &'a [PathBuf], name: &str) -> Option<&'a PathBuf> {
    files.iter().find(|path| path.file_name().is_some_and(|own| own == name))
}

pub(super) fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Of a folder's files those that `wanted` takes, by stem.
pub(super) fn by_stem(files: &[PathBuf], wanted: impl Fn(&Path) -> bool) -> Result<BTreeMap<String, &PathBuf>, DatasetError> {
    let mut found = BTreeMap::new();
    for path in files.iter().filter(|path| wanted(path)) {
        if let Some(other) = found.insert(stem(path), path) {
            return Err(DatasetError::Twice { one: other.clone(), other: path.clone() });
        }
    }
    Ok(found)
}

/// Of a folder's files the images, by stem.
pub(super) fn pictures(files: &[PathBuf]) -> Result<BTreeMap<String, &PathBuf>, DatasetError> {
    by_stem(files, Image::is_named_by)
}

pub(super) fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
}

fn says(folder: &Path, parts: &[&str]) -> bool {
    let name = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    parts.iter().any(|part| name.contains(part))
}

pub(super) fn several<'a>(root: &Path, folders: impl Iterator<Item = &'a Path>) -> DatasetError {
    let candidates = folders.map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
    DatasetError::Ambiguous { root: root.into(), candidates }
}

/// Images and files of the same names beside them, which are of one kind of truth.
pub(super) fn masks(root: &Path, folders: &Folders, truth: fn(PathBuf) -> Truth) -> Result<All, DatasetError> {
    let stems: BTreeMap<&PathBuf, BTreeSet<String>> = folders
        .iter()
        .map(|(folder, files)| (folder, files.iter().filter(|p| Image::is_named_by(p)).map(|p| stem(p)).collect()))
        .collect();
    let mut pairs: Vec<(&PathBuf, &PathBuf)> = Vec::new();
    for (folder, truths) in stems.iter().filter(|(folder, _)| says(folder, &MASK_NAMES)) {
        let others = stems.iter().filter(|(other, _)| !says(other, &MASK_NAMES));
        let shared: Vec<_> = others.map(|(other, files)| (files.intersection(truths).count(), *other)).collect();
        let most = shared.iter().map(|(count, _)| *count).max().unwrap_or(0);
        let mut best: Vec<&PathBuf> =
            shared.iter().filter(|(count, _)| *count == most && most > 0).map(|(_, other)| *other).collect();
        if best.len() > 1 && best.iter().filter(|folder| says(folder, &PICTURE_NAMES)).count() == 1 {
            best.retain(|folder| says(folder, &PICTURE_NAMES));
        }
        pairs.extend(best.into_iter().map(|images| (images, *folder)));
    }
    match pairs[..] {
        [] => Err(DatasetError::NotFound {
            root: root.into(),
            expected: "folder of images beside a folder of masks of the same names (its own name says mask, gt, ground or annot)",
        }),
        [(images, truths)] => {
            let found = format!("{}, {}", images.display(), truths.display());
            let mut set = Dataset { found, split: "every image".into(), ..Dataset::default() };
            pair(&pictures(&folders[images])?, &pictures(&folders[truths])?, truth, None, &mut set);
            Ok(All { set, ..All::default() })
        }
        _ => Err(several(root, pairs.iter().flat_map(|(images, truths)| [images.as_path(), truths.as_path()]))),
    }
}

/// Joins images and masks of one stem.
pub(super) fn pair(
    pictures: &BTreeMap<String, &PathBuf>,
    masks: &BTreeMap<String, &PathBuf>,
    truth: fn(PathBuf) -> Truth,
    sequence: Option<&str>,
    set: &mut Dataset,
) {
    let stems: BTreeSet<&String> = pictures.keys().chain(masks.keys()).collect();
    for stem in stems {
        let name = sequence.map_or_else(|| stem.clone(), |sequence| format!("{sequence}/{stem}"));
        match (pictures.get(stem), masks.get(stem)) {
            (Some(image), Some(mask)) => set.samples.push(Sample {
                name,
                image: (*image).clone(),
                truth: truth((*mask).clone()),
                sequence: sequence.map(Into::into),
                keypoints: Vec::new(),
            }),
            (None, _) => set.incomplete.push((name, "has a mask but no image".into())),
            (_, None) => set.incomplete.push((name, "has no mask".into())),
        }
    }
}
