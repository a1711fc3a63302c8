//! The annotation files known by name, and their exporters.

use super::Annotate;
use crate::export::coco;
use std::fmt;
use std::str::FromStr;

/// Annotation files known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnnotationFormat {
    /// COCO: `annotations.json` of the run, and `results.json` with scores.
    Coco,
}

/// The name of no annotation format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no annotation format {name}; they are {}", AnnotationFormat::ALL.map(AnnotationFormat::name).join(", "))]
pub struct UnknownAnnotation {
    /// The name.
    pub name: String,
}

impl AnnotationFormat {
    /// Every format.
    pub const ALL: [Self; 1] = [Self::Coco];

    /// Its name, as [`AnnotationFormat::from_str`] takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Coco => "coco",
        }
    }

    /// The name of the one file that it writes where there is room for one; with `*` for the image's name if it is a file of an image.
    #[must_use]
    pub fn main_file(self) -> &'static str {
        match self {
            Self::Coco => "annotations.json",
        }
    }

    /// What writes it.
    #[must_use]
    pub fn annotator(self) -> Box<dyn Annotate> {
        match self {
            Self::Coco => Box::new(coco::Coco),
        }
    }
}

impl fmt::Display for AnnotationFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for AnnotationFormat {
    type Err = UnknownAnnotation;

    fn from_str(name: &str) -> Result<Self, UnknownAnnotation> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| UnknownAnnotation { name: name.into() })
    }
}
