//! Networks that turn an image into patch features.

pub mod catalogue;
mod config;
pub mod convnet;
#[cfg(feature = "embedded")]
pub mod embedded;
pub(crate) mod facet;
pub mod foreign;
mod linear;
mod logistic;
mod position;
pub mod prior;
mod view;
pub mod vit;
pub(crate) mod weights;

use crate::cpu::{Cpu, Precision};
use crate::features::{FeatureMap, FeatureMapError};
use crate::kernels::is_shape;
pub use config::Config;
pub use facet::{BlockFacet, Facet, Facets, ParseFacetError};
pub use prior::{Prior, PriorError, WithPrior};
use std::fmt;
pub use view::{Framing, RESOLUTIONS, View, ViewError};
pub use weights::{WeightsError, sha256, sha256_of_reader};

/// A resized, normalized image: `[height, width, 3]`, as a network takes it.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    height: usize,
    width: usize,
    data: &'a [f32],
    go_on: Option<&'a dyn Fn() -> bool>,
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("height", &self.height).field("width", &self.width).finish_non_exhaustive()
    }
}

impl<'a> Input<'a> {
    /// Wraps `[height, width, 3]` values.
    ///
    /// # Errors
    /// [`BackboneError::Input`] if `data` does not have this size, or a side is zero.
    pub fn new(height: usize, width: usize, data: &'a [f32]) -> Result<Self, BackboneError> {
        if height == 0 || width == 0 || !is_shape(data.len(), [height, width, 3]) {
            return Err(BackboneError::Input { height, width, got: data.len() });
        }
        Ok(Self { height, width, data, go_on: None })
    }

    /// With a question that a network may ask while it works on the input: whether to go on.
    #[must_use]
    pub fn with_go_on(self, go_on: &'a dyn Fn() -> bool) -> Self {
        Self { go_on: Some(go_on), ..self }
    }

    /// An error if the work was cancelled. Networks that take long ask now and then.
    ///
    /// # Errors
    /// [`BackboneError::Cancelled`].
    pub fn go_on(&self) -> Result<(), BackboneError> {
        if self.go_on.is_none_or(|go_on| go_on()) { Ok(()) } else { Err(BackboneError::Cancelled) }
    }

    /// Rows and columns.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }

    /// The values, `[height, width, 3]`.
    #[must_use]
    pub fn data(&self) -> &'a [f32] {
        self.data
    }
}

/// The input that a network expects.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InputSpec {
    /// Mean of each input channel, as in training.
    pub mean: [f32; 3],
    /// Standard deviation of each input channel, as in training.
    pub std: [f32; 3],
    /// Sides that are multiples of this many pixels are used whole; no side may be smaller.
    pub size_multiple: usize,
    /// Recommended side of a square input, in pixels.
    pub resolution: usize,
}

/// Why a network gives no features.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackboneError {
    /// The number of values does not match the size.
    #[error("{got} values for an input of {height} × {width} pixels; expected three a pixel")]
    Input {
        /// Rows of the input.
        height: usize,
        /// Columns of the input.
        width: usize,
        /// Number of values received.
        got: usize,
    },
    /// The input is smaller than a patch.
    #[error("an input of {height} × {width} pixels is smaller than a patch of {patch}; take a higher resolution")]
    TooSmall {
        /// Rows of the input.
        height: usize,
        /// Columns of the input.
        width: usize,
        /// Side of a patch in pixels.
        patch: usize,
    },
    /// The network's output is not a feature map: a bug, or weights that overflow.
    #[error("the network's output cannot be used")]
    Output(#[from] FeatureMapError),
    /// The device failed: it is lost or out of memory.
    #[error("the device that runs the network failed: {0}")]
    Device(String),
    /// [`Input::go_on`] said so.
    #[error("the work was cancelled")]
    Cancelled,
}

/// Name, checksum and settings of a network: what a report records, and a cache compares.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Identity {
    /// Name of the architecture or of the catalog entry.
    pub name: String,
    /// SHA-256 of the weights' file, in hexadecimal.
    pub sha256: String,
    /// The activations used as features: `output`, or facets as [`Facets`] writes them.
    pub features: String,
    /// Pixels between neighboring patches.
    pub stride: usize,
    /// Precision of the network's products.
    pub precision: Precision,
    /// Family of a vision transformer. None for other networks, like the next two fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<vit::Family>,
    /// Number of attention heads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
    /// ε of the norms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f32>,
    /// Mean of the input's channels.
    pub mean: [f32; 3],
    /// Standard deviation of the input's channels.
    pub std: [f32; 3],
    /// SHA-256 of the file of the [`Prior`] in use. None: what is said of objects, if anything, is the network's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<String>,
    /// Assumptions made while loading, in words, each with the option that overrides it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
    /// Names of the file's tensors that have no part in the features.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
}

/// Builds the network of a safetensors file: one of the embedded network's family if the metadata describe it, else a vision transformer.
///
/// The network runs on `cpu`, whose measured rates decide [`Precision::Auto`].
///
/// # Errors
/// Every variant of [`WeightsError`]; `Unsuited` if `options` are not the default and the network is not a vision transformer.
pub fn from_bytes(name: &str, bytes: &[u8], cpu: &Cpu, options: &vit::VitOptions) -> Result<Box<dyn Backbone>, WeightsError> {
    if !convnet::ConvNet::is_described_by(bytes) {
        return Ok(Box::new(vit::VisionTransformer::from_bytes(name, bytes, cpu, options)?));
    }
    let plain = vit::VitOptions { precision: Precision::Auto, config: Config::default(), for_prior: false, ..options.clone() };
    if plain != vit::VitOptions::default() {
        let what =
            "facet, layer, stride, family, heads and prefix are for vision transformers; this network has one kind of feature";
        return Err(WeightsError::Unsuited(what.into()));
    }
    // Its checksum is known.
    #[cfg(feature = "embedded")]
    if name == "embedded" && std::ptr::eq(bytes, embedded::BYTES) {
        return Ok(Box::new(embedded::load(cpu, options.precision)?));
    }
    Ok(Box::new(convnet::ConvNet::from_bytes(name, bytes, cpu, options.precision)?))
}

/// A network that turns images into patch features, on any device.
///
/// Later steps need no backbone: a [`FeatureMap`] from elsewhere can be given to [`Recipe::cluster`](crate::Recipe::cluster).
pub trait Backbone: Send + Sync {
    /// Name, checksum and settings, the precision among them.
    fn identity(&self) -> &Identity;
    /// The input that the network expects.
    fn input(&self) -> InputSpec;
    /// Computes one feature map for each input, in order. The inputs may differ in size.
    ///
    /// # Errors
    /// [`BackboneError`] if an input is too small or the device fails.
    fn features(&self, inputs: &[Input<'_>]) -> Result<Vec<FeatureMap>, BackboneError>;
}
