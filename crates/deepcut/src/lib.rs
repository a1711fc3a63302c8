//! Unsupervised image segmentation: the DeepCut method (Aflalo, Bagon, Kashti and Eldar, arXiv 2212.05853).
//!
//! Patch features of a network become a graph; a tiny graph neural network is trained on each image with a classical clustering
//! objective as its loss; out come object masks, boxes, and part segmentations that agree across images. No labels, no training set.
//!
//! Data flows one way, through four values; each is the whole input of the next step, so any step can be done by somebody else:
//!
//! ```text
//! Image ──View──▶ FeatureMap ──Recipe, Start──▶ Clustering ──Finish──▶ Segmentation ──Export──▶ files
//!        Backbone               Cpu                          Cpu
//! ```
//!
//! [`Segmenter`] does all of it with one set of [`Options`].
//!
//! ```
//! use deepcut::{Image, Options, Segmenter};
//!
//! # fn main() -> Result<(), deepcut::Error> {
//! // A bright disk before a dark, uneven ground.
//! let (height, width) = (96, 128);
//! let mut rgb = Vec::new();
//! for y in 0..height {
//!     for x in 0..width {
//!         let inside = (y as i32 - 48).pow(2) + (x as i32 - 60).pow(2) < 28 * 28;
//!         rgb.extend(if inside { [230, 160, 40] } else { [30, 60 + (x % 7) as u8, 50 + (y % 5) as u8] });
//!     }
//! }
//! let image = Image::new(height, width, rgb)?;
//! let segmenter = Segmenter::load(Options::default())?;
//! let segmentation = segmenter.segment(&image)?;
//! assert_eq!(segmentation.labels().len(), height * width);
//! println!("{} pixels of object, confidence {}", segmentation.mask().iter().filter(|&&m| m > 0).count(), segmentation.confidence());
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | feature     | default | adds                                                                                       |
//! |-------------|---------|--------------------------------------------------------------------------------------------|
//! | `embedded`  | yes     | the embedded network, 6 MB: [`Segmenter::load`], [`backbone::embedded`]                    |
//! | `decode`    | yes     | reading JPEG, PNG, WebP, TIFF, GIF, BMP and PNM: [`Image::decode`], [`image::Decoder`]     |
//! | `parallel`  | yes     | several threads work on one image                                                          |
//! | `batch`     | yes     | folders of images: [`batch`]; needs `decode` and `parallel`                                |
//! | `datasets`  | no      | evaluation: `dataset`, `metrics` and `record`; needs `decode` and `parallel`               |
//! | `internals` | no      | the inner parts, for this project's own tests and benches: they may change in any version  |
//!
//! Without any of them, [`Image::new`] takes pixels, [`backbone::from_bytes`] loads a network, and everything after that is there, the
//! export of PNG files included. That also compiles for WebAssembly.

pub mod backbone;
mod baseline;
#[cfg(feature = "batch")]
pub mod batch;
pub mod components;
pub mod cosegment;
pub mod cpu;
#[cfg(feature = "datasets")]
pub mod dataset;
pub mod export;
pub mod features;
pub mod fit;
mod gnn;
mod graph;
pub mod image;
pub mod instances;
mod kernels;
mod kmeans;
pub mod memory;
#[cfg(feature = "datasets")]
pub mod metrics;
mod objective;
pub mod options;
pub mod profile;
pub mod progress;
mod random;
#[cfg(feature = "datasets")]
pub mod record;
pub mod rle;
pub mod segment;
pub mod segmentation;
mod segmenter;
mod setting;
mod train;
#[cfg(feature = "batch")]
pub mod video;

pub use backbone::{Backbone, Framing, View};
pub use baseline::Method;
pub use cpu::{Cpu, CpuError, Idle, Isa, Precision, Rates};
pub use features::FeatureMap;
pub use image::Image;
pub use objective::Objective;
pub use options::Options;
pub use progress::Step;
pub use segment::{Clustering, Edges, Finish, Mode, Recipe, Refine, Start};
pub use segmentation::{Kind, Meaning, Region, Segmentation};
pub use segmenter::{Error, Segmenter};

/// The inner parts, for this project's own tests, benches and fuzz targets. Not for users: they may change in any version.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub mod bilateral {
        pub use crate::segment::bilateral::*;
    }
    pub mod facet {
        pub use crate::backbone::facet::*;
    }
    pub mod gnn {
        pub use crate::gnn::*;
    }
    pub mod graph {
        pub use crate::graph::*;
    }
    #[cfg(feature = "decode")]
    pub mod jpeg {
        pub use crate::image::decode::jpeg::*;
    }
    pub mod kernels {
        pub use crate::kernels::*;
    }
    pub mod train {
        pub use crate::train::*;
    }

    /// Value of an objective; its gradient is written to `gradient`.
    ///
    /// # Panics
    /// If a length is not `n * k`.
    pub fn evaluate(
        objective: crate::Objective,
        graph: &graph::Graph,
        assignment: &[f32],
        k: usize,
        gradient: &mut [f32],
    ) -> f32 {
        objective.evaluate(graph, assignment, k, gradient)
    }
}

/// Compiles and runs the code of `docs/library.md`, which is in the repository and not in the package.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/library.md")]
mod library_document {}
