//! The whole pipeline, with its network loaded: images in, segmentations out.

use crate::backbone::{self, Backbone, View, ViewError};
use crate::cosegment::{Foreground, object_recipe};
use crate::cpu::{Cpu, Precision};
use crate::features::FeatureMap;
use crate::image::Image;
use crate::memory::{Memory, MemoryError};
use crate::options::Options;
use crate::progress::{Cancelled, Observer, go_on};
use crate::segment::{ClusterError, Clustering, Start};
use crate::segmentation::Segmentation;
use crate::setting::OptionError;
use std::sync::Arc;

/// Anything that can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The image.
    #[error(transparent)]
    Image(#[from] crate::image::ImageError),
    /// The network's weights.
    #[error(transparent)]
    Weights(#[from] backbone::WeightsError),
    /// The network at work.
    #[error(transparent)]
    Backbone(#[from] backbone::BackboneError),
    /// Features from elsewhere.
    #[error(transparent)]
    Features(#[from] crate::features::FeatureMapError),
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The processor's threads.
    #[error(transparent)]
    Cpu(#[from] crate::cpu::CpuError),
    /// More memory than there is.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The clustering.
    #[error(transparent)]
    Cluster(ClusterError),
    /// Writing a result.
    #[error(transparent)]
    Export(#[from] crate::export::ExportError),
    /// The observer returned `Break`.
    #[error("the work was cancelled")]
    Cancelled,
}

impl From<Cancelled> for Error {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl From<ClusterError> for Error {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::Cancelled => Self::Cancelled,
            ClusterError::Option(error) => Self::Option(error),
            error => Self::Cluster(error),
        }
    }
}

impl From<ViewError> for Error {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::Option(error) => Self::Option(error),
            ViewError::Image(error) => Self::Image(error),
            ViewError::Backbone(error) => Self::Backbone(error),
            ViewError::Cancelled(_) => Self::Cancelled,
        }
    }
}

/// The whole pipeline, with its network loaded. It may be shared by threads.
pub struct Segmenter {
    backbone: Box<dyn Backbone>,
    options: Options,
    /// As it was asked for, perhaps [`Precision::Auto`].
    precision: Precision,
    cpu: Cpu,
    memory: Option<Arc<Memory>>,
}

impl Segmenter {
    /// The pipeline with the embedded network, on [`Cpu::default`].
    ///
    /// # Errors
    /// [`Error::Option`] if an option is out of its range.
    #[cfg(feature = "embedded")]
    pub fn load(options: Options) -> Result<Self, Error> {
        let cpu = Cpu::default();
        Self::new(Box::new(backbone::embedded::load(&cpu, Precision::Auto)?), options, cpu)
    }

    /// The pipeline with another network, or on another processor. What the network itself runs on was decided when it was loaded.
    ///
    /// # Errors
    /// [`Error::Option`] if an option is out of its range, or the resolution smaller than a patch of the network.
    pub fn new(backbone: Box<dyn Backbone>, mut options: Options, cpu: Cpu) -> Result<Self, Error> {
        options.validate()?;
        options.view = options.view.for_backbone(&*backbone)?;
        let precision = options.recipe.precision;
        options.recipe.precision = options.recipe.precision_on(&cpu);
        Ok(Self { backbone, options, precision, cpu, memory: None })
    }

    /// Limits the memory of clustering over all threads, in bytes. An image that needs more than the limit is an error; one that needs more
    /// than is free waits. None: no limit.
    #[must_use]
    pub fn with_memory(self, bytes: Option<u64>) -> Self {
        Self { memory: bytes.map(Memory::new), ..self }
    }

    /// The bytes that clustering needs, if there is a limit and they are within it. No process has more than it can address.
    fn needed(&self, patches: usize, dim: usize, options: &Options) -> Result<Option<(&Arc<Memory>, u64)>, MemoryError> {
        let needed = options.recipe.memory(&self.cpu, patches, dim);
        let limit = self.memory.as_ref().map_or(u64::MAX, |memory| memory.budget()).min(isize::MAX as u64);
        if needed > limit {
            return Err(MemoryError { nodes: patches, method: options.recipe.method.name(), needed, limit });
        }
        Ok(self.memory.as_ref().map(|memory| (memory, needed)))
    }

    /// The network.
    #[must_use]
    pub fn backbone(&self) -> &dyn Backbone {
        &*self.backbone
    }

    /// What this pipeline does; resolution and precision are those in use.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The precision that the options asked for. [`Precision::Auto`] leaves it to the machine; [`Segmenter::options`] has the one in use.
    #[must_use]
    pub fn precision_asked(&self) -> Precision {
        self.precision
    }

    /// The processor that clusters.
    #[must_use]
    pub fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    /// From an image to labels of its pixels.
    ///
    /// An image of one color, or nearly, has nothing to cut: its result is all background, with confidence 0.
    ///
    /// # Errors
    /// [`Error::Image`] if it cannot be resized, [`Error::Backbone`] if the network fails, [`Error::Memory`] if clustering needs more memory
    /// than there is, [`Error::Cluster`] if it cannot be clustered.
    pub fn segment(&self, image: &Image) -> Result<Segmentation, Error> {
        self.segment_observed(image, &mut go_on)
    }

    /// As [`Segmenter::segment`]; `observe` is called as each step and each epoch of training begins, and cancels the work with
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
    pub fn segment_observed(&self, image: &Image, observe: &mut Observer<'_>) -> Result<Segmentation, Error> {
        if image.is_constant() {
            return Ok(Segmentation::empty(image.height(), image.width()));
        }
        // Before the costly half, as far as its grid is known; the features are not counted yet.
        let (height, width) = self.options.view.input_size(image, &*self.backbone);
        let stride = self.backbone.identity().stride.max(1);
        self.needed((height / stride) * (width / stride), 1, &self.options)?;
        let map = self.features_observed(image, &self.options.needed_view(), observe)?;
        let clustering = self.cluster_observed(&map, &self.options, observe)?;
        Ok(self.options.finish.to_pixels_observed(&self.cpu, image, &clustering, observe)?)
    }

    /// Computes the features of an image's patches: the slow part.
    ///
    /// # Errors
    /// [`Error::Image`] if the image cannot be resized, [`Error::Backbone`] if the network fails.
    pub fn features(&self, image: &Image) -> Result<FeatureMap, Error> {
        self.features_with(image, &self.options.needed_view())
    }

    /// As [`Segmenter::features`], seen in another way.
    ///
    /// # Errors
    /// As [`Segmenter::features`]; [`Error::Option`] if an option is out of its range.
    pub fn features_with(&self, image: &Image, view: &View) -> Result<FeatureMap, Error> {
        self.features_observed(image, view, &mut go_on)
    }

    pub(crate) fn features_observed(&self, image: &Image, view: &View, observe: &mut Observer<'_>) -> Result<FeatureMap, Error> {
        let maps = view.features_observed(&*self.backbone, &[image], observe)?;
        let none = || backbone::BackboneError::Device("it gave no features for an image".into());
        Ok(maps.into_iter().next().ok_or_else(none)?)
    }

    /// Clusters features; call it again to try other options. The seed is that of `options`.
    ///
    /// # Errors
    /// [`Error::Option`] if an option is out of its range, [`Error::Memory`] if that needs more memory than there is, [`Error::Cluster`] if
    /// the features cannot be clustered.
    pub fn cluster(&self, features: &FeatureMap, options: &Options) -> Result<Clustering, Error> {
        self.cluster_observed(features, options, &mut go_on)
    }

    /// As [`Segmenter::cluster`]; `observe` is called as each step and each epoch of training begins, and cancels the work with `Break`.
    ///
    /// # Errors
    /// As [`Segmenter::cluster`], and [`Error::Cancelled`].
    pub fn cluster_observed(&self, map: &FeatureMap, options: &Options, observe: &mut Observer<'_>) -> Result<Clustering, Error> {
        options.validate()?;
        let _share = self.needed(map.patches(), map.dim(), options)?.map(|(memory, bytes)| memory.acquire(bytes));
        let maps = std::slice::from_ref(map);
        let found = options.recipe.cluster_observed(&self.cpu, maps, Start::Seed(options.seed), observe)?;
        // One map, one clustering.
        found.into_iter().next().ok_or(Error::Cancelled)
    }

    /// The object of an image, whatever the mode of the options is, and its patches' features: an image's share of a set whose parts are to agree
    /// ([`cosegment`](crate::cosegment)).
    ///
    /// # Errors
    /// As [`Segmenter::segment`].
    pub fn foreground(&self, image: &Image) -> Result<Foreground, Error> {
        self.foreground_observed(image, &mut go_on)
    }

    /// As [`Segmenter::foreground`]; `observe` is called as each step and each epoch of training begins, and cancels the work with `Break`.
    ///
    /// # Errors
    /// As [`Segmenter::foreground`], and [`Error::Cancelled`].
    pub fn foreground_observed(&self, image: &Image, observe: &mut Observer<'_>) -> Result<Foreground, Error> {
        let map = self.features_observed(image, &self.options.needed_view(), observe)?;
        self.foreground_of(&map, &self.options, observe)
    }

    /// As [`Segmenter::foreground_observed`], of an image's features and with options of their own.
    ///
    /// # Errors
    /// As [`Segmenter::cluster_observed`].
    pub fn foreground_of(&self, map: &FeatureMap, options: &Options, observe: &mut Observer<'_>) -> Result<Foreground, Error> {
        let options = options.clone().recipe(object_recipe(&options.recipe));
        Ok(Foreground::of_cut(map, self.cluster_observed(map, &options, observe)?))
    }

    /// Brings a clustering to the pixels of its image.
    #[must_use]
    pub fn to_pixels(&self, image: &Image, clustering: &Clustering, options: &Options) -> Segmentation {
        options.finish.to_pixels(&self.cpu, image, clustering)
    }
}
