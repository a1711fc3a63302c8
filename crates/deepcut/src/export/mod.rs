//! From a segmentation to files' bytes.
//!
//! An [`Export`] makes files of each image, of the whole run, or both. [`Format`] names the exporters that there are.

#[cfg(feature = "annotate")]
pub mod annotation;
#[cfg(feature = "annotate")]
mod brush;
#[cfg(feature = "annotate")]
mod coco;
pub mod contour;
#[cfg(feature = "annotate")]
mod cvat;
#[cfg(feature = "batch")]
pub(crate) mod examine;
mod format;
#[cfg(feature = "annotate")]
mod geojson;
#[cfg(feature = "annotate")]
mod label_studio;
#[cfg(feature = "annotate")]
mod labelme;
#[cfg(feature = "annotate")]
mod numpy;
pub mod png;
pub(crate) mod record;
mod report;
mod tags;
pub mod tensors;
#[cfg(feature = "batch")]
pub mod tracks;
#[cfg(feature = "annotate")]
mod voc;
#[cfg(feature = "annotate")]
mod xml;
#[cfg(feature = "annotate")]
mod yolo;

pub use format::{Format, UnknownFormat};
pub use record::Record;
pub use report::{ComponentReport, LabelReport, Provenance, Report};
pub use tensors::SUFFIX as FEATURES_SUFFIX;

use crate::image::Image;
use crate::segmentation::Segmentation;

/// A segmented image, as exporters get it.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The image's file name below the folder of results, with `/` between folders: unique in a run.
    pub name: &'a str,
    /// The image.
    pub image: &'a Image<'a>,
    /// Its segmentation, of the same size.
    pub segmentation: &'a Segmentation,
    /// What else is known: boxes, components, and where the segmentation comes from.
    pub report: &'a Report,
}

/// A file's name and content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What follows the image's name, after a dot (`mask.png`); the whole name if the file is about the whole run (`annotations.json`).
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Makes files of segmented images.
///
/// Several threads export images at once and in any order. An exporter of one file for the whole run therefore keeps what it needs behind a
/// lock, and sorts it by the images' names in [`Export::finish`], so that the same images make the same bytes.
///
/// ```
/// use deepcut::export::{Export, ExportError, File, Page};
/// use std::collections::BTreeMap;
/// use std::sync::{Mutex, PoisonError};
///
/// /// A table of areas, a row for each image.
/// #[derive(Default)]
/// struct Areas(Mutex<BTreeMap<String, usize>>);
///
/// impl Export for Areas {
///     fn run_files(&self) -> &[&str] {
///         &["areas.csv"]
///     }
///
///     fn image(&self, page: &Page<'_>) -> Result<Vec<File>, ExportError> {
///         self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(page.name.to_owned(), page.report.area);
///         Ok(Vec::new())
///     }
///
///     fn finish(&self) -> Result<Vec<File>, ExportError> {
///         let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
///         let text: String = rows.iter().map(|(name, area)| format!("{name},{area}\n")).collect();
///         Ok(vec![File { name: "areas.csv".into(), bytes: text.into_bytes() }])
///     }
/// }
/// ```
pub trait Export: Send + Sync {
    /// The [`File::name`]s that [`Export::image`] makes for every image, known before: a run skips images that have all of them.
    fn suffixes(&self) -> &[&str] {
        &[]
    }

    /// The [`File::name`]s that [`Export::finish`] makes. If there are any, no image of a run is skipped: the file tells of each.
    fn run_files(&self) -> &[&str] {
        &[]
    }

    /// The files of one image.
    ///
    /// # Errors
    /// [`ExportError`] if the image cannot be exported; the other images go on.
    fn image(&self, page: &Page<'_>) -> Result<Vec<File>, ExportError>;

    /// The files of the whole run, once all images are done. Images that failed are not in them.
    ///
    /// # Errors
    /// [`ExportError`] if they cannot be made.
    fn finish(&self) -> Result<Vec<File>, ExportError> {
        Ok(Vec::new())
    }
}

/// Why a result could not be encoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The PNG encoder refused.
    #[error("cannot encode the PNG file")]
    Png(#[from] ::png::EncodingError),
    /// The values are not those of the shape.
    #[error("cannot encode the safetensors file")]
    Tensors(#[from] safetensors::SafeTensorError),
    /// A file's values are no features.
    #[error("the file holds no features")]
    Features(#[from] crate::features::FeatureMapError),
    /// The JSON encoder refused.
    #[error("cannot encode the JSON file")]
    Json(#[from] serde_json::Error),
    /// A format cannot count as many pixels.
    #[error("an image of {height} × {width} pixels is too large for this format")]
    TooLarge {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// What was kept of an image to write annotation files from is not there, or no longer whole.
    #[error("{} is gone or broken; run the same command again", path.display())]
    Regions {
        /// Where it was.
        path: std::path::PathBuf,
    },
    /// A file of the whole run could not be written.
    #[error("cannot write")]
    Write(#[from] std::io::Error),
    /// An exporter made a file that it did not announce in [`Export::suffixes`] or [`Export::run_files`].
    #[error("the exporter made a file {name} that it did not announce")]
    Unannounced {
        /// The file's name.
        name: String,
    },
    /// An exporter outside this library failed.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
    /// Image and segmentation differ in size.
    #[error("a segmentation of {segmentation:?} pixels cannot be laid over an image of {image:?}")]
    Size {
        /// Height and width of the image.
        image: (usize, usize),
        /// Height and width of the segmentation.
        segmentation: (usize, usize),
    },
}
