//! How annotation files call things, and how they write shapes.

use super::{AnnotationFormat, Object};
use crate::segmentation::Kind;
use serde::Serialize;
use std::str::FromStr;

/// What to write into annotation files, and how. None of it needs a new segmentation.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct AnnotationOptions {
    /// The class of objects. Default: the first of `labels`, or `object`.
    pub label: Option<String>,
    /// Names of part 1, part 2, … or cluster 1, cluster 2, … Default: just so.
    pub labels: Vec<String>,
    /// How files name their image.
    pub paths: Paths,
    /// The farthest that a polygon may leave the mask's edge, in pixels. Zero, the default, keeps every corner: polygons are exactly the masks.
    pub simplify: f64,
    /// How COCO files write masks.
    pub coco_masks: CocoMasks,
    /// What files of LabelMe, CVAT and Label Studio have.
    pub shapes: Shapes,
}

/// How annotation files name their image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Paths {
    /// By its path below the input folder.
    #[default]
    Relative,
    /// By its whole path.
    Absolute,
    /// By its file's name alone.
    Name,
}

/// How COCO files write masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CocoMasks {
    /// Polygons, except compressed run lengths where there is a hole: nothing is lost.
    #[default]
    Auto,
    /// Polygons; a hole is joined to the outside by a way there and back.
    Polygon,
    /// Compressed run lengths.
    Rle,
    /// Run lengths as a list, with `iscrowd` 1: some programs read run lengths only so.
    RleList,
}

/// What files of LabelMe, CVAT and Label Studio have, which know polygons and masks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Shapes {
    /// Masks in CVAT and Label Studio; in LabelMe, which does not edit masks, as `Polygon`.
    #[default]
    Auto,
    /// Polygons, except masks where there is a hole: nothing is lost.
    Polygon,
    /// Masks.
    Mask,
}

/// The name of no choice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} is none of {}", .choices.join(", "))]
pub struct UnknownChoice {
    /// The name.
    pub name: String,
    /// Those that there are.
    pub choices: Vec<&'static str>,
}

fn choose<T: Copy>(all: &[T], name_of: fn(T) -> &'static str, name: &str) -> Result<T, UnknownChoice> {
    let found = all.iter().copied().find(|choice| name_of(*choice) == name);
    found.ok_or_else(|| UnknownChoice { name: name.into(), choices: all.iter().map(|choice| name_of(*choice)).collect() })
}

impl Paths {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Relative, Self::Absolute, Self::Name];

    /// Its name, as [`Paths::from_str`] takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Relative => "relative",
            Self::Absolute => "absolute",
            Self::Name => "name",
        }
    }
}

impl FromStr for Paths {
    type Err = UnknownChoice;

    fn from_str(name: &str) -> Result<Self, UnknownChoice> {
        choose(&Self::ALL, Self::name, name)
    }
}

impl CocoMasks {
    /// Every choice.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Polygon, Self::Rle, Self::RleList];

    /// Its name, as [`CocoMasks::from_str`] takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Polygon => "polygon",
            Self::Rle => "rle",
            Self::RleList => "rle-list",
        }
    }
}

impl FromStr for CocoMasks {
    type Err = UnknownChoice;

    fn from_str(name: &str) -> Result<Self, UnknownChoice> {
        choose(&Self::ALL, Self::name, name)
    }
}

impl Shapes {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Polygon, Self::Mask];

    /// Its name, as [`Shapes::from_str`] takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Polygon => "polygon",
            Self::Mask => "mask",
        }
    }

    /// Whether an object becomes a mask in a program that `Auto` means another choice in.
    pub(crate) fn is_mask(self, object: &Object, auto: Self) -> bool {
        let choice = if self == Self::Auto { auto } else { self };
        choice == Self::Mask || object.has_holes()
    }
}

impl FromStr for Shapes {
    type Err = UnknownChoice;

    fn from_str(name: &str) -> Result<Self, UnknownChoice> {
        choose(&Self::ALL, Self::name, name)
    }
}

/// Why annotation files cannot have such a name or number.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnotationError {
    /// It is empty.
    #[error("expected a name")]
    Empty,
    /// It has a line break or another control character.
    #[error("expected a name of one line, not {0:?}")]
    Lines(String),
    /// It would not be read again.
    #[error("VOC's list of classes cannot hold the name {0}, for its colon or its # at the beginning")]
    Voc(String),
    /// Two classes have it.
    #[error("two lines have the name {0}")]
    Twice(String),
    /// The tolerance is out of its range.
    #[error("expected a number from 0 to 1000")]
    Simplify,
}

impl AnnotationOptions {
    /// Checks the name or number of each option for files of these formats.
    ///
    /// # Errors
    /// The option, and what is wrong with it.
    pub fn validate(&self, formats: &[AnnotationFormat]) -> Result<(), (&'static str, AnnotationError)> {
        if let Some(label) = &self.label {
            check(label, formats).map_err(|error| ("label", error))?;
        }
        for (at, label) in self.labels.iter().enumerate() {
            check(label, formats).map_err(|error| ("labels", error))?;
            if self.labels[..at].contains(label) {
                return Err(("labels", AnnotationError::Twice(label.clone())));
            }
        }
        if !(0.0..=1000.0).contains(&self.simplify) {
            return Err(("simplify", AnnotationError::Simplify));
        }
        Ok(())
    }

    /// The number of a region's class, from 1: 1 for an object, the label for a part or a cluster, whichever others there are in an image.
    #[must_use]
    pub fn class_of(kind: Kind, label: u8) -> usize {
        if kind == Kind::Object { 1 } else { usize::from(label) }
    }

    /// The name of the class of this number, from 1.
    #[must_use]
    pub fn class_name(&self, kind: Kind, class: usize) -> String {
        let listed = class.checked_sub(1).and_then(|at| self.labels.get(at)).cloned();
        match kind {
            Kind::Part => listed.unwrap_or_else(|| format!("part {class}")),
            Kind::Cluster => listed.unwrap_or_else(|| format!("cluster {class}")),
            _ => self.label.clone().or(listed).unwrap_or_else(|| "object".into()),
        }
    }
}

/// Checks that files of these formats can hold a name.
fn check(label: &str, formats: &[AnnotationFormat]) -> Result<(), AnnotationError> {
    if label.trim().is_empty() {
        return Err(AnnotationError::Empty);
    }
    if label.chars().any(char::is_control) {
        return Err(AnnotationError::Lines(label.into()));
    }
    if formats.contains(&AnnotationFormat::Voc) && (label.contains(':') || label.starts_with('#')) {
        return Err(AnnotationError::Voc(label.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_numbers_and_names() {
        let plain = AnnotationOptions::default();
        assert_eq!((AnnotationOptions::class_of(Kind::Object, 7), AnnotationOptions::class_of(Kind::Part, 7)), (1, 7));
        let names = |options: &AnnotationOptions| {
            [(Kind::Object, 1), (Kind::Part, 2), (Kind::Cluster, 3)].map(|(kind, class)| options.class_name(kind, class))
        };
        assert_eq!(names(&plain), ["object", "part 2", "cluster 3"]);
        let named = AnnotationOptions { label: Some("horse".into()), ..plain.clone() };
        assert_eq!(names(&named), ["horse", "part 2", "cluster 3"]);
        let listed = AnnotationOptions { labels: vec!["head".into(), "body".into()], ..plain };
        assert_eq!(names(&listed), ["head", "body", "cluster 3"]);
    }

    #[test]
    fn choices_are_found_by_their_names() {
        assert!(Paths::ALL.into_iter().all(|paths| paths.name().parse() == Ok(paths)));
        assert!(Shapes::ALL.into_iter().all(|shapes| shapes.name().parse() == Ok(shapes)));
        assert!(CocoMasks::ALL.into_iter().all(|masks| masks.name().parse() == Ok(masks)));
        assert_eq!("uri".parse::<Paths>().unwrap_err().to_string(), "uri is none of relative, absolute, name");
    }
}
