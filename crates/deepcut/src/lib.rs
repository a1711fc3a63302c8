//! Unsupervised image segmentation: the DeepCut method (Aflalo, Bagon, Kashti and Eldar, arXiv 2212.05853).
//!
//! Patch features of a network become a graph; a tiny graph neural network is trained on each picture with a classical clustering
//! objective as its loss; out come object masks, boxes, and part segmentations that agree across pictures. No labels, no training set.
//!
//! Data flows one way, and each arrow is one file:
//!
//! ```text
//! image → backbone → graph → (objective, gnn) → train → segment → export
//! ```
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
//! assert_eq!(segmentation.labels.len(), height * width);
//! println!("{} pixels of object, confidence {}", segmentation.mask().iter().filter(|&&m| m > 0).count(), segmentation.confidence);
//! # Ok(())
//! # }
//! ```

pub mod backbone;
pub mod baseline;
#[cfg(feature = "batch")]
pub mod batch;
pub mod components;
pub mod dataset;
pub mod export;
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
mod random;
pub mod record;
pub mod segment;
pub mod train;

pub use backbone::{Backbone, FeatureMap};
pub use baseline::Method;
pub use image::Image;
pub use kernels::Isa;
pub use kernels::packed::{Float, Precision};
pub use objective::Objective;
pub use options::{Mode, Options, Refine};
pub use segment::{Clustering, Segmentation, Stage};

use memory::{Memory, MemoryError};
use options::Framing;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Anything that can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The picture.
    #[error(transparent)]
    Image(#[from] image::ImageError),
    /// The network's weights.
    #[error(transparent)]
    Weights(#[from] backbone::WeightsError),
    /// An option out of its range.
    #[error(transparent)]
    Options(#[from] options::OptionsError),
    /// More memory than there is.
    #[error(transparent)]
    Memory(#[from] memory::MemoryError),
    /// The clustering.
    #[error(transparent)]
    Cluster(segment::stages::ClusterError),
    /// Writing a result.
    #[error(transparent)]
    Export(#[from] export::ExportError),
    /// The observer said `Break`.
    #[error("the work was cancelled")]
    Cancelled,
}

impl From<segment::stages::ClusterError> for Error {
    fn from(error: segment::stages::ClusterError) -> Self {
        match error {
            segment::stages::ClusterError::Cancelled => Self::Cancelled,
            error => Self::Cluster(error),
        }
    }
}

/// The whole pipeline, with its network loaded.
pub struct Segmenter {
    backbone: Box<dyn Backbone>,
    options: Options,
    isa: Isa,
    memory: Option<Arc<Memory>>,
}

impl Segmenter {
    /// The pipeline with the embedded network and the fastest kernels of this machine.
    ///
    /// # Errors
    /// [`Error::Options`] if an option is out of its range.
    pub fn load(options: Options) -> Result<Self, Error> {
        Self::with_backbone(Box::new(backbone::embedded::load()?), options, Isa::detect())
    }

    /// The pipeline with another network or other kernels.
    ///
    /// # Errors
    /// [`Error::Options`] if an option is out of its range, or the resolution smaller than a patch of the network.
    pub fn with_backbone(backbone: Box<dyn Backbone>, mut options: Options, isa: Isa) -> Result<Self, Error> {
        options.validate()?;
        let resolution = *options.resolution.get_or_insert(backbone.default_resolution());
        if resolution < backbone.size_multiple() {
            let expected = "at least a patch of the network";
            return Err(options::OptionsError { name: "resolution", value: resolution.to_string(), expected }.into());
        }
        Ok(Self { backbone, options, isa, memory: None })
    }

    /// Lets clustering take so many bytes at a time, over all threads: a picture that needs more than that is an error before it is begun, one that needs
    /// more than is left waits. None, as at first: it takes what it needs.
    #[must_use]
    pub fn with_memory(self, bytes: Option<u64>) -> Self {
        Self { memory: bytes.map(Memory::new), ..self }
    }

    /// The bytes that clustering needs, if there is a limit and they are within it.
    fn needed(&self, nodes: usize, dim: usize, options: &Options) -> Result<Option<(&Arc<Memory>, u64)>, MemoryError> {
        let Some(memory) = &self.memory else { return Ok(None) };
        let needed = segment::stages::memory(self.isa, nodes, dim, options);
        if needed > memory.budget() {
            return Err(MemoryError { nodes, method: options.method.name(), needed, limit: memory.budget() });
        }
        Ok(Some((memory, needed)))
    }

    /// The network.
    #[must_use]
    pub fn backbone(&self) -> &dyn Backbone {
        &*self.backbone
    }

    /// What this pipeline does; the resolution is the one in use.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The kernels it runs on.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// From a picture to labels of its pixels.
    ///
    /// A picture of one colour has nothing to cut: its result is all background, with confidence 0.
    ///
    /// # Errors
    /// [`Error::Image`] if it cannot be resized, [`Error::Memory`] if clustering it needs more memory than there is, [`Error::Cluster`] if it cannot be
    /// clustered.
    pub fn segment(&self, image: &Image) -> Result<Segmentation, Error> {
        self.segment_observed(image, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`Segmenter::segment`]; `observe` is told of each stage as it begins and of every epoch of training, and cancels the work with
    /// `Break`.
    ///
    /// ```
    /// # fn main() -> Result<(), deepcut::Error> {
    /// use std::ops::ControlFlow::{Break, Continue};
    /// use std::time::{Duration, Instant};
    ///
    /// let image = deepcut::Image::new(2, 2, vec![0, 0, 0, 9, 9, 9, 0, 0, 0, 200, 9, 9])?;
    /// let segmenter = deepcut::Segmenter::load(deepcut::Options::default())?;
    /// let late = Instant::now() + Duration::from_secs(60);
    /// let found = segmenter.segment_observed(&image, &mut |_| if Instant::now() < late { Continue(()) } else { Break(()) });
    /// assert!(!matches!(found, Err(deepcut::Error::Cancelled)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Segmenter::segment`], and [`Error::Cancelled`].
    pub fn segment_observed(
        &self,
        image: &Image,
        observe: &mut dyn FnMut(Stage) -> ControlFlow<()>,
    ) -> Result<Segmentation, Error> {
        if image.is_constant() {
            let foreground = self.options.foreground_labels();
            return Ok(Segmentation::empty(image.height(), image.width(), foreground));
        }
        // Before the costly half, as far as its grid is known; the features are not counted yet.
        let (height, width) = self.input_size(image, &self.options);
        let stride = self.backbone.identity().stride.max(1);
        self.needed((height / stride) * (width / stride), 1, &self.options)?;
        let map = self.features_observed(image, &self.options, observe)?;
        let clustering = self.cluster_observed(&map, &self.options, observe)?;
        let mut cancelled = false;
        let found = segment::to_pixels(image, &clustering, &self.options, &mut |stage| cancelled |= observe(stage).is_break());
        if cancelled { Err(Error::Cancelled) } else { Ok(found) }
    }

    /// The costly half: the features of a picture's patches.
    ///
    /// # Errors
    /// [`Error::Image`] if the picture cannot be resized.
    pub fn features(&self, image: &Image) -> Result<FeatureMap, Error> {
        self.features_observed(image, &self.options, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`Segmenter::features`], with the resolution, framing and filter of other options.
    ///
    /// # Errors
    /// [`Error::Options`] if an option is out of its range, [`Error::Image`] if the picture cannot be resized.
    pub fn features_with(&self, image: &Image, options: &Options) -> Result<FeatureMap, Error> {
        options.validate()?;
        self.features_observed(image, options, &mut |_| ControlFlow::Continue(()))
    }

    fn features_observed(
        &self,
        image: &Image,
        options: &Options,
        observe: &mut dyn FnMut(Stage) -> ControlFlow<()>,
    ) -> Result<FeatureMap, Error> {
        let mut begin = |stage| if observe(stage).is_break() { Err(Error::Cancelled) } else { Ok(()) };
        begin(Stage::Resize)?;
        let (height, width) = self.input_size(image, options);
        let (mean, std) = self.backbone.normalization();
        let data = image.resize(height, width, options.filter)?.normalize(mean, std);
        begin(Stage::Backbone)?;
        let map = self.backbone.features(self.isa, backbone::Input { height, width, data: &data });
        let mut map = if options.log_bin { backbone::facet::log_bin(&map) } else { map };
        if options.view().colors {
            map.colors = Some(image.mean_colors(map.grid_height, map.grid_width)?);
        }
        Ok(map)
    }

    /// Rows and columns of the network's input.
    fn input_size(&self, image: &Image, options: &Options) -> (usize, usize) {
        let resolution = options.resolution.unwrap_or(self.backbone.default_resolution());
        match options.framing {
            Framing::Squash => (resolution, resolution),
            Framing::KeepAspect => {
                image::size_keeping_aspect(image.height(), image.width(), resolution, self.backbone.size_multiple())
            }
        }
    }

    /// As [`Segmenter::cluster`]; `observe` is told of each stage as it begins and of every epoch of training, and cancels the work with `Break`.
    ///
    /// # Errors
    /// As [`Segmenter::cluster`], and [`Error::Cancelled`].
    pub fn cluster_observed(
        &self,
        map: &FeatureMap,
        options: &Options,
        observe: &mut dyn FnMut(Stage) -> ControlFlow<()>,
    ) -> Result<Clustering, Error> {
        let nodes = map.grid_height.saturating_mul(map.grid_width);
        let _share = self.needed(nodes, map.dim, options)?.map(|(memory, bytes)| memory.acquire(bytes));
        Ok(segment::cluster(self.isa, map, options, observe)?)
    }

    /// The cheap half: clusters features, as often as there are options to try.
    ///
    /// # Errors
    /// [`Error::Options`] if an option is out of its range, [`Error::Memory`] if that needs more memory than there is, [`Error::Cluster`] if the features
    /// cannot be clustered.
    pub fn cluster(&self, features: &FeatureMap, options: &Options) -> Result<Clustering, Error> {
        options.validate()?;
        self.cluster_observed(features, options, &mut |_| ControlFlow::Continue(()))
    }

    /// Brings a clustering to the pixels of its picture.
    #[must_use]
    pub fn to_pixels(&self, image: &Image, clustering: &Clustering, options: &Options) -> Segmentation {
        segment::to_pixels(image, clustering, options, &mut |_| {})
    }
}
