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

pub mod backbone;
pub mod baseline;
#[cfg(feature = "batch")]
pub mod batch;
pub mod components;
pub mod cpu;
pub mod dataset;
pub mod export;
pub mod features;
pub mod gnn;
pub mod graph;
pub mod image;
// For this project's own programs and tests: what is in it may change without notice.
#[doc(hidden)]
pub mod kernels;
pub mod memory;
pub mod metrics;
pub mod objective;
pub mod options;
pub mod progress;
mod random;
pub mod record;
pub mod segment;
pub mod segmentation;
mod segmenter;
pub mod setting;
pub mod train;

pub use backbone::{Backbone, Framing, View};
pub use baseline::Method;
pub use cpu::{Cpu, CpuError, Idle, Precision};
pub use features::FeatureMap;
pub use image::Image;
pub use kernels::Isa;
pub use kernels::packed::Float;
pub use objective::Objective;
pub use options::Options;
pub use progress::Step;
pub use segment::{Clustering, Edges, Finish, Mode, Recipe, Refine, Start};
pub use segmentation::{Kind, Meaning, Region, Segmentation};
pub use segmenter::{Error, Segmenter};

/// Compiles and runs the code of `docs/library.md`, which is in the repository and not in the package.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/library.md")]
mod library_document {}
