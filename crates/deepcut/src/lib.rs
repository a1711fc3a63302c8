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
pub mod components;
pub mod dataset;
pub mod export;
pub mod gnn;
pub mod graph;
pub mod image;
pub mod kernels;
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
pub use objective::Objective;
pub use options::{Mode, Options, Refine};
pub use segment::{Clustering, Segmentation, Stage};

use options::Framing;

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
    /// The clustering.
    #[error(transparent)]
    Cluster(#[from] segment::stages::ClusterError),
    /// Writing a result.
    #[error(transparent)]
    Export(#[from] export::ExportError),
}

/// The whole pipeline, with its network loaded.
pub struct Segmenter {
    backbone: Box<dyn Backbone>,
    options: Options,
    isa: Isa,
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
        Ok(Self { backbone, options, isa })
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
    /// [`Error::Image`] if it cannot be resized, [`Error::Cluster`] if it cannot be clustered.
    pub fn segment(&self, image: &Image) -> Result<Segmentation, Error> {
        self.segment_observed(image, &mut |_| {})
    }

    /// As [`Segmenter::segment`]; `observe` is told of each stage as it begins.
    ///
    /// # Errors
    /// As [`Segmenter::segment`].
    pub fn segment_observed(&self, image: &Image, observe: &mut dyn FnMut(Stage)) -> Result<Segmentation, Error> {
        if image.is_constant() {
            let foreground = self.options.foreground_labels();
            return Ok(Segmentation::empty(image.height(), image.width(), foreground));
        }
        let map = self.features_observed(image, &self.options, observe)?;
        let clustering = segment::cluster(self.isa, &map, &self.options, observe)?;
        Ok(segment::to_pixels(image, &clustering, &self.options, observe))
    }

    /// The costly half: the features of a picture's patches.
    ///
    /// # Errors
    /// [`Error::Image`] if the picture cannot be resized.
    pub fn features(&self, image: &Image) -> Result<FeatureMap, Error> {
        self.features_observed(image, &self.options, &mut |_| {})
    }

    /// As [`Segmenter::features`], with the resolution, framing and filter of other options.
    ///
    /// # Errors
    /// [`Error::Options`] if an option is out of its range, [`Error::Image`] if the picture cannot be resized.
    pub fn features_with(&self, image: &Image, options: &Options) -> Result<FeatureMap, Error> {
        options.validate()?;
        self.features_observed(image, options, &mut |_| {})
    }

    fn features_observed(&self, image: &Image, options: &Options, observe: &mut dyn FnMut(Stage)) -> Result<FeatureMap, Error> {
        observe(Stage::Resize);
        let resolution = options.resolution.unwrap_or(self.backbone.default_resolution());
        let (height, width) = match options.framing {
            Framing::Squash => (resolution, resolution),
            Framing::KeepAspect => {
                image::size_keeping_aspect(image.height(), image.width(), resolution, self.backbone.size_multiple())
            }
        };
        let (mean, std) = self.backbone.normalization();
        let data = image.resize(height, width, options.filter)?.normalize(mean, std);
        observe(Stage::Backbone);
        let map = self.backbone.features(self.isa, backbone::Input { height, width, data: &data });
        let mut map = if options.log_bin { backbone::facet::log_bin(&map) } else { map };
        if options.view().colors {
            map.colors = Some(image.mean_colors(map.grid_height, map.grid_width)?);
        }
        Ok(map)
    }

    /// The cheap half: clusters features, as often as there are options to try.
    ///
    /// # Errors
    /// [`Error::Options`] if an option is out of its range, [`Error::Cluster`] if the features cannot be clustered.
    pub fn cluster(&self, features: &FeatureMap, options: &Options) -> Result<Clustering, Error> {
        options.validate()?;
        Ok(segment::cluster(self.isa, features, options, &mut |_| {})?)
    }

    /// Brings a clustering to the pixels of its picture.
    #[must_use]
    pub fn to_pixels(&self, image: &Image, clustering: &Clustering, options: &Options) -> Segmentation {
        segment::to_pixels(image, clustering, options, &mut |_| {})
    }
}
