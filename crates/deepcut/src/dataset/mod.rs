//! The data sets of the field, found below a folder as they are distributed.
//!
//! | layout              | images                    | truth                                               |
//! |---------------------|-----------------------------|-----------------------------------------------------|
//! | [`Layout::Masks`]   | one folder of images      | a folder of masks of the same stems: ECSSD, DUTS, DUT-OMRON |
//! | [`Layout::Voc`]     | `JPEGImages`                | `Annotations/*.xml`: boxes, the difficult ones too; names in `ImageSets/Main/trainval.txt` |
//! | [`Layout::Davis`]   | `JPEGImages/480p/SEQUENCE`  | `Annotations/480p/SEQUENCE`: masks; whatever is not black is foreground; `joints/SEQUENCE.json` if there; the split val |
//! | [`Layout::Coco20k`] | `train2014`                 | `instances_train2014.json`: boxes but those of crowds; names in `coco_20k_filenames.txt` |
//! | [`Layout::Cub`]     | `images/CLASS` of the test split | `segmentations/CLASS`: masks; `parts/part_locs.txt`: keypoints |
//! | [`Layout::VocInstances`]  | `JPEGImages`          | `SegmentationObject`: label pictures; names in `ImageSets/Segmentation/val.txt` |
//! | [`Layout::CocoInstances`] | beside the JSON file, or in a folder beside its own | `instances_*.json`: polygons and run lengths |
//! | [`Layout::LabelPictures`] | one folder of images | a folder of label pictures of the same stems        |
//!
//! An image whose truth holds no object is left out and counted: no overlap with nothing is right or wrong. Not so where objects are told apart,
//! in the last three: what is found in such an image is wrong.

mod coco;
mod coco_instances;
mod cub;
mod davis;
mod folders;
mod instances;
mod joints;
mod labels;
mod list;
mod mask;
mod picture;
mod polygon;
mod voc;

use crate::components::BoundingBox;
use crate::image::ImageError;
pub use coco_instances::Annotations;
use folders::{DEPTH, Folders, by_stem, has_extension, look, masks, named, pair, pictures, several, stem, text};
pub use instances::{Instances, Void};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How a data set lies on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// Images and masks.
    Masks,
    /// Pascal VOC. The year picks one of several below the root.
    Voc {
        /// 2007 or 2012.
        year: u16,
    },
    /// DAVIS.
    Davis,
    /// Twenty thousand images of COCO 2014, as LOST chose them.
    Coco20k,
    /// CUB-200-2011.
    Cub,
    /// Pascal VOC's objects, told apart. The year picks one of several below the root.
    VocInstances {
        /// 2007 or 2012.
        year: u16,
    },
    /// COCO's objects, told apart. The root may be the JSON file itself.
    CocoInstances,
    /// Images, and pictures of numbers that tell objects apart.
    LabelPictures,
}

/// One image and where its truth is.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Unlike that of any other sample of the set.
    pub name: String,
    /// The image.
    pub image: PathBuf,
    /// Its truth.
    pub truth: Truth,
    /// The sequence it is a frame of.
    pub sequence: Option<String>,
    /// Its visible keypoints.
    pub keypoints: Vec<Keypoint>,
}

/// A place in an image that a person named.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Keypoint {
    /// Which part of the object, the same in every image.
    pub part: usize,
    /// Rows from the top, in pixels.
    pub y: f64,
    /// Columns from the left.
    pub x: f64,
}

/// Where the truth of an image is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Truth {
    /// An image of the image's size; [`Dataset::judge`] says what in it is the object.
    Mask(PathBuf),
    /// A file of boxes.
    Boxes(PathBuf),
    /// Boxes, read already.
    BoxList(Boxes),
    /// A label picture of the image's size.
    Labels(PathBuf),
    /// Objects of a JSON file, read already.
    Annotations(Annotations),
}

/// An image's truth, read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Known {
    /// Whether each pixel is the object's.
    Mask(Vec<bool>),
    /// The objects' boxes.
    Boxes(Vec<BoundingBox>),
    /// The objects, told apart.
    Instances(Instances),
}

impl Known {
    /// Whether there is no object, so that nothing can be found or missed. Not so where objects are told apart: there, whatever is found is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Mask(inside) => !inside.contains(&true),
            Self::Boxes(boxes) => boxes.is_empty(),
            Self::Instances(_) => false,
        }
    }
}

/// What was done to an image or its truth, worth telling once for a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Note {
    /// The file says that viewers should turn it.
    Stored,
    /// So it does, and the truth was made after turning.
    Upright,
    /// Boxes went past the image or had no area.
    Cut,
    /// There is no object in the truth.
    Empty,
}

impl Note {
    /// In words that follow a number of images.
    #[must_use]
    pub fn explain(self) -> &'static str {
        match self {
            Self::Stored => "carry an EXIF turn: their truth is of the pixels as stored, and so they are measured",
            Self::Upright => "carry an EXIF turn, and their truth has the size of the turned image: they are measured turned",
            Self::Cut => {
                "have boxes that begin before the first pixel, end past the last or have no area: they were cut to the image"
            }
            Self::Empty => "have no object in their truth: they are not in these figures",
        }
    }
}

/// The boxes of an image as its annotation has them: they may go past it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Boxes {
    /// Left, top, right and bottom of each: the first pixel inside, and the first behind.
    sides: Vec<[i64; 4]>,
    /// Height and width of the image, if the annotation says.
    size: Option<[usize; 2]>,
}

impl Boxes {
    /// What of them lies within an image, and whether that is less than all.
    #[must_use]
    pub fn within(&self, height: usize, width: usize) -> (Vec<BoundingBox>, bool) {
        let mut cut = false;
        let mut found = Vec::new();
        for sides in &self.sides {
            let inside = |side: i64, most: usize| usize::try_from(side).unwrap_or(0).min(most);
            let [left, top, right, bottom] = sides.map(|side| side.max(0));
            let [left, right] = [left, right].map(|side| inside(side, width));
            let [top, bottom] = [top, bottom].map(|side| inside(side, height));
            cut |= [left, top, right, bottom].map(|side| side as i64) != *sides || right <= left || bottom <= top;
            if right > left && bottom > top {
                found.push(BoundingBox { top, left, height: bottom - top, width: right - left });
            }
        }
        (found, cut)
    }
}

/// A data set that was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dataset {
    /// In the order of their names, or that of the list.
    pub samples: Vec<Sample>,
    /// Images without truth and truths without image: name, and what is missing.
    pub incomplete: Vec<(String, String)>,
    /// The folders that were found, for people.
    pub found: String,
    /// Which of the set's images these are.
    pub split: String,
    /// What of the masks is the object, in words; empty for boxes.
    pub truth: String,
    /// Of label pictures, the values that are void; None if nobody said.
    pub void: Option<Void>,
    rule: Option<mask::Rule>,
    /// Whether the masks' values between black and white are annotators' votes.
    votes: bool,
}

impl Dataset {
    /// Reads every mask to see what in them is the object: a set has one rule, which no single file tells. Says it in [`Dataset::truth`].
    ///
    /// # Errors
    /// [`DatasetError::Truth`] if nothing says which pixels are meant, [`DatasetError::Doubtful`] if nothing says which label is void.
    pub fn judge(&mut self) -> Result<(), DatasetError> {
        self.judge_labels()?;
        let masks: Vec<&PathBuf> = self
            .samples
            .iter()
            .filter_map(|sample| if let Truth::Mask(path) = &sample.truth { Some(path) } else { None })
            .collect();
        if self.rule.is_none() && !masks.is_empty() {
            let (rule, truth) = mask::judge(&masks, self.votes)?;
            (self.rule, self.truth) = (Some(rule), truth);
        }
        Ok(())
    }
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
    #[error("several data sets lie below {}: {candidates}; name one of them", root.display())]
    Ambiguous {
        /// Where.
        root: PathBuf,
        /// The folders.
        candidates: String,
    },
    /// Two images, or two annotations, of one name.
    #[error("{} and {} have one name; keep one of them in this folder", one.display(), other.display())]
    Twice {
        /// One.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// An image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A truth that is not what its format says.
    #[error("{}: {problem}", path.display())]
    Truth {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A label that is void in some sets and an object in others.
    #[error("{} holds the value {value}, which is void in some sets and an object in others; say which values are void", path.display())]
    Doubtful {
        /// The file.
        path: PathBuf,
        /// The label.
        value: u16,
    },
}

/// Finds a data set below `root`. The lines of `list`, in its own syntax, replace the set's own choice of images.
///
/// # Errors
/// [`DatasetError`] if there is none, or more than one, two images share a name, no line of the list names an image, or a folder cannot be
/// read.
pub fn find(layout: Layout, root: &Path, list: Option<&str>) -> Result<Dataset, DatasetError> {
    let mut folders = BTreeMap::new();
    look(&coco_instances::folder(root, layout), DEPTH, &mut folders, &mut BTreeSet::new())?;
    let mut set = pick(layout, list, all(layout, root, &folders)?);
    if layout == Layout::CocoInstances {
        // As pycocotools goes through them: the order decides among equal scores.
        set.samples.sort_by_key(|sample| if let Truth::Annotations(list) = &sample.truth { list.image_id() } else { 0 });
    }
    Ok(set)
}

/// All images of a data set.
fn all(layout: Layout, root: &Path, folders: &Folders) -> Result<All, DatasetError> {
    Ok(match layout {
        Layout::Masks => masks(root, folders, Truth::Mask)?,
        Layout::Voc { year } => voc::find(root, folders, year)?,
        Layout::Davis => davis::find(root, folders)?,
        Layout::Coco20k => coco::find(root, folders)?,
        Layout::Cub => cub::find(root, folders)?,
        Layout::VocInstances { year } => voc::find_instances(root, folders, year)?,
        Layout::CocoInstances => coco_instances::find(root, folders)?,
        Layout::LabelPictures => masks(root, folders, Truth::Labels)?,
    })
}

/// The images that a list names, or the set's own list without one.
fn pick(layout: Layout, list: Option<&str>, All { mut set, ids, own }: All) -> Dataset {
    let Some(text) = list.or(own.as_deref()) else { return set };
    let mut samples: BTreeMap<String, Sample> = set.samples.drain(..).map(|sample| (sample.name.clone(), sample)).collect();
    let mut gaps: BTreeMap<String, String> = set.incomplete.drain(..).collect();
    let picks = list::read(layout, text, &samples.keys().chain(gaps.keys()).cloned().collect(), &ids);
    for (line, names) in picks {
        let Some(names) = names else {
            set.incomplete.push((line, "is in the list but not in the data set".into()));
            continue;
        };
        for name in names {
            match (samples.remove(&name), gaps.remove(&name)) {
                (Some(sample), _) => set.samples.push(sample),
                (None, Some(gap)) => set.incomplete.push((name, gap)),
                // Named before.
                (None, None) => {}
            }
        }
    }
    set
}

/// All images of a data set, and which of them it is usually measured on.
#[derive(Default)]
struct All {
    set: Dataset,
    /// Names by the numbers that the set's lists have.
    ids: BTreeMap<u64, String>,
    /// The set's own list, in its own syntax; all images without one.
    own: Option<String>,
}

/// The boxes of a file that [`Truth::Boxes`] names.
///
/// # Errors
/// [`DatasetError`] if it cannot be read or understood.
pub fn boxes(path: &Path) -> Result<Boxes, DatasetError> {
    voc::boxes(&text(path)?).map_err(|problem| DatasetError::Truth { path: path.into(), problem })
}
