//! The annotation files known by name, and their exporters.

use super::Annotate;
use crate::export::cvat::Cvat;
use crate::export::label_studio::LabelStudio;
use crate::export::labelme::Labelme;
use crate::export::{coco, geojson, numpy, voc, yolo};
use std::fmt;
use std::str::FromStr;

/// Annotation files known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AnnotationFormat {
    /// COCO: `annotations.json` of the run, and `results.json` with scores.
    Coco,
    /// YOLO: segments in `labels/STEM.txt`, and `data.yaml`.
    Yolo,
    /// Pascal VOC: `Annotations`, `SegmentationObject`, `SegmentationClass` and `ImageSets`.
    Voc,
    /// GeoJSON: a collection of features for each image, as QuPath reads it.
    GeoJson,
    /// Labels, scores and names as arrays for numpy.
    Npz,
    /// Labels as one array for numpy.
    Npy,
    /// LabelMe: a JSON file for each image.
    LabelMe,
    /// X-AnyLabeling: the same, without masks.
    XAnyLabeling,
    /// CVAT for images 1.1: `annotations.xml` of the run.
    Cvat,
    /// Label Studio: `tasks.json` of the run, and `label-studio.xml` to paste.
    LabelStudio,
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
    pub const ALL: [Self; 10] = [
        Self::Coco,
        Self::Yolo,
        Self::Voc,
        Self::LabelMe,
        Self::XAnyLabeling,
        Self::Cvat,
        Self::LabelStudio,
        Self::GeoJson,
        Self::Npz,
        Self::Npy,
    ];

    /// Its name, as [`AnnotationFormat::from_str`] takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Coco => "coco",
            Self::Yolo => "yolo",
            Self::Voc => "voc",
            Self::GeoJson => "geojson",
            Self::Npz => "npz",
            Self::Npy => "npy",
            Self::LabelMe => "labelme",
            Self::XAnyLabeling => "x-anylabeling",
            Self::Cvat => "cvat",
            Self::LabelStudio => "label-studio",
        }
    }

    /// The name of the one file that it writes where there is room for one: of an image, with `*` for the image's name, or else of the run.
    #[must_use]
    pub fn main_file(self) -> String {
        let annotator = self.annotator();
        annotator.image_files().first().or(annotator.run_files().first()).map(|name| (*name).to_owned()).unwrap_or_default()
    }

    /// What writes it.
    #[must_use]
    pub fn annotator(self) -> Box<dyn Annotate> {
        match self {
            Self::Coco => Box::new(coco::Coco),
            Self::Yolo => Box::new(yolo::Yolo),
            Self::Voc => Box::new(voc::Voc),
            Self::GeoJson => Box::new(geojson::GeoJson),
            Self::Npz => Box::new(numpy::Npz),
            Self::Npy => Box::new(numpy::Npy),
            Self::LabelMe => Box::new(Labelme::LabelMe),
            Self::XAnyLabeling => Box::new(Labelme::XAnyLabeling),
            Self::Cvat => Box::new(Cvat),
            Self::LabelStudio => Box::new(LabelStudio),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_found_by_its_name_and_writes_something() {
        for format in AnnotationFormat::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            assert!(!format.main_file().is_empty());
        }
        let unknown = "pdf".parse::<AnnotationFormat>().unwrap_err();
        assert!(unknown.to_string().starts_with("there is no annotation format pdf; they are coco, yolo, voc, labelme, "));
    }
}
