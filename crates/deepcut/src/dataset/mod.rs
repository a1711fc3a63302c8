//! The data sets of the field, found below a folder as they are distributed.
//!
//! | layout              | pictures                    | truth                                               |
//! |---------------------|-----------------------------|-----------------------------------------------------|
//! | [`Layout::Masks`]   | one folder of pictures      | a folder of masks of the same stems; above 127 is foreground: ECSSD, DUTS, DUT-OMRON |
//! | [`Layout::Voc`]     | `JPEGImages`                | `Annotations/*.xml`: boxes, the difficult ones too; names in `ImageSets/Main/trainval.txt` |
//! | [`Layout::Davis`]   | `JPEGImages/480p/SEQUENCE`  | `Annotations/480p/SEQUENCE`: masks; whatever is not black is foreground; `joints/SEQUENCE.json` if there |
//! | [`Layout::Coco20k`] | `train2014`                 | `instances_train2014.json`: boxes but those of crowds; names in `coco_20k_filenames.txt` |
//! | [`Layout::Cub`]     | `images/CLASS` of the test split | `segmentations/CLASS`: masks; `parts/part_locs.txt`: keypoints |

mod coco;
mod cub;
mod joints;
mod voc;

use crate::components::BoundingBox;
use crate::image::Image;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Folders this deep below the root are looked at.
const DEPTH: usize = 6;
/// Parts of the names of folders that hold masks.
const MASK_NAMES: [&str; 4] = ["mask", "gt", "ground", "annot"];

/// How a data set lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// Pictures and masks.
    Masks,
    /// Pascal VOC. The year picks one of several below the root.
    Voc {
        /// 2007 or 2012.
        year: u16,
    },
    /// DAVIS.
    Davis,
    /// Twenty thousand pictures of COCO 2014, as LOST chose them.
    Coco20k,
    /// CUB-200-2011.
    Cub,
}

/// One picture and where its truth is.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Unlike that of any other sample of the set.
    pub name: String,
    /// The picture.
    pub image: PathBuf,
    /// Its truth.
    pub truth: Truth,
    /// The sequence it is a frame of.
    pub sequence: Option<String>,
    /// Its visible keypoints.
    pub keypoints: Vec<Keypoint>,
}

/// A place in a picture that a person named.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Keypoint {
    /// Which part of the object, the same in every picture.
    pub part: usize,
    /// Rows from the top, in pixels.
    pub y: f64,
    /// Columns from the left.
    pub x: f64,
}

/// Where the truth of a picture is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Truth {
    /// An image of the picture's size whose values above this are foreground.
    Mask {
        /// The file.
        path: PathBuf,
        /// 127, or 0.
        above: u8,
    },
    /// A file of boxes.
    Boxes(PathBuf),
    /// Boxes, read already.
    BoxList(Vec<BoundingBox>),
}

/// A data set that was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dataset {
    /// In the order of their names, or that of the list.
    pub samples: Vec<Sample>,
    /// Pictures without truth and truths without picture: name, and what is missing.
    pub incomplete: Vec<(String, String)>,
    /// The folders and list that were found, for people.
    pub found: String,
}

/// Why there is no data set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// A file or folder that cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing of this layout below the root.
    #[error("found no {expected} below {}", root.display())]
    NotFound {
        /// Where.
        root: PathBuf,
        /// What was looked for.
        expected: &'static str,
    },
    /// More than one.
    #[error("several data sets lie below {}: {candidates}; name the folder of one", root.display())]
    Ambiguous {
        /// Where.
        root: PathBuf,
        /// The folders.
        candidates: String,
    },
    /// A truth that is not what its format says.
    #[error("{}: {problem}", path.display())]
    Truth {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// Finds a data set below `root`. `names`, in their order, replace its own list: stems, or `SEQUENCE/STEM`.
///
/// # Errors
/// [`DatasetError`] if there is none, or more than one, or a folder cannot be read.
pub fn find(layout: Layout, root: &Path, names: Option<&[String]>) -> Result<Dataset, DatasetError> {
    let mut folders = BTreeMap::new();
    list(root, DEPTH, &mut folders)?;
    let mut set = match layout {
        Layout::Masks => masks(root, &folders)?,
        Layout::Voc { year } => voc::find(root, &folders, year, names)?,
        Layout::Davis => davis(root, &folders)?,
        Layout::Coco20k => coco::find(root, &folders, names)?,
        Layout::Cub => cub::find(root, &folders)?,
    };
    if let Some(names) = names {
        let mut samples: BTreeMap<String, Sample> = set.samples.drain(..).map(|s| (s.name.clone(), s)).collect();
        let wanted: BTreeSet<&String> = names.iter().collect();
        set.incomplete.retain(|(name, _)| wanted.contains(name));
        for name in names {
            match samples.remove(name) {
                Some(sample) => set.samples.push(sample),
                None if set.incomplete.iter().any(|(other, _)| other == name) => {}
                None => set.incomplete.push((name.clone(), "is in the list but not in the data set".into())),
            }
        }
    }
    Ok(set)
}

/// The boxes of a file that [`Truth::Boxes`] names.
///
/// # Errors
/// [`DatasetError`] if it cannot be read or understood.
pub fn boxes(path: &Path) -> Result<Vec<BoundingBox>, DatasetError> {
    voc::boxes(&text(path)?).map_err(|problem| DatasetError::Truth { path: path.into(), problem })
}

/// The text of a file.
fn text(path: &Path) -> Result<String, DatasetError> {
    std::fs::read_to_string(path).map_err(|source| DatasetError::Read { path: path.into(), source })
}

/// The files of every folder, by stem.
type Folders = BTreeMap<PathBuf, BTreeMap<String, PathBuf>>;

fn list(folder: &Path, depth: usize, folders: &mut Folders) -> Result<(), DatasetError> {
    let failed = |source| DatasetError::Read { path: folder.into(), source };
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && depth > 0 && !hidden {
            list(&path, depth - 1, folders)?;
        } else if path.is_file() && !hidden {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            files.insert(stem, path);
        }
    }
    folders.insert(folder.into(), files);
    Ok(())
}

fn holds_masks(folder: &Path) -> bool {
    let name = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    MASK_NAMES.iter().any(|part| name.contains(part))
}

fn masks(root: &Path, folders: &Folders) -> Result<Dataset, DatasetError> {
    let shared = |a: &BTreeMap<String, PathBuf>, b: &BTreeMap<String, PathBuf>| {
        a.iter()
            .filter(|(stem, path)| Image::is_named_by(path) && b.get(*stem).is_some_and(|path| Image::is_named_by(path)))
            .count()
    };
    let pairs: Vec<_> = folders
        .iter()
        .filter(|(folder, _)| holds_masks(folder))
        .filter_map(|(folder, truths)| {
            let others = folders.iter().filter(|(other, _)| !holds_masks(other));
            let best = others.max_by_key(|(_, files)| shared(files, truths))?;
            (shared(best.1, truths) > 0).then_some((best, (folder, truths)))
        })
        .collect();
    match pairs[..] {
        [] => Err(DatasetError::NotFound {
            root: root.into(),
            expected: "folder of pictures beside a folder of masks of the same names (its own name says mask, gt, ground or annot)",
        }),
        [((images, pictures), (truths, masks))] => {
            let mut set = Dataset { found: format!("{}, {}", images.display(), truths.display()), ..Dataset::default() };
            pair(pictures, masks, 127, None, &mut set);
            Ok(set)
        }
        _ => {
            let candidates: Vec<_> = pairs.iter().map(|(_, (folder, _))| folder.display().to_string()).collect();
            Err(DatasetError::Ambiguous { root: root.into(), candidates: candidates.join(", ") })
        }
    }
}

/// Joins pictures and masks of one stem.
fn pair(
    pictures: &BTreeMap<String, PathBuf>,
    masks: &BTreeMap<String, PathBuf>,
    above: u8,
    sequence: Option<&str>,
    set: &mut Dataset,
) {
    let stems: BTreeSet<&String> =
        pictures.iter().chain(masks).filter(|(_, path)| Image::is_named_by(path)).map(|(stem, _)| stem).collect();
    for stem in stems {
        let name = sequence.map_or_else(|| stem.clone(), |sequence| format!("{sequence}/{stem}"));
        match (pictures.get(stem), masks.get(stem)) {
            (Some(image), Some(mask)) => set.samples.push(Sample {
                name,
                image: image.clone(),
                truth: Truth::Mask { path: mask.clone(), above },
                sequence: sequence.map(Into::into),
                keypoints: Vec::new(),
            }),
            (None, _) => set.incomplete.push((name, "has a mask but no picture".into())),
            (_, None) => set.incomplete.push((name, "has no mask".into())),
        }
    }
}

fn davis(root: &Path, folders: &Folders) -> Result<Dataset, DatasetError> {
    let mut set = Dataset::default();
    for (folder, pictures) in folders {
        let parts: Vec<_> = folder.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        let [.., images, size, sequence] = &parts[..] else { continue };
        if images != "JPEGImages" || size != "480p" {
            continue;
        }
        let Some(base) = folder.ancestors().nth(3) else { continue };
        let masks = folders.get(&base.join("Annotations").join(size).join(sequence));
        pair(pictures, masks.unwrap_or(&BTreeMap::new()), 0, Some(sequence), &mut set);
        set.found = base.display().to_string();
    }
    joints::add(folders, &mut set)?;
    if set.samples.is_empty() {
        let expected = "JPEGImages/480p/SEQUENCE and Annotations/480p/SEQUENCE";
        return Err(DatasetError::NotFound { root: root.into(), expected });
    }
    Ok(set)
}
