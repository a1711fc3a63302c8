//! From a picture to patch features.

pub mod catalogue;
mod config;
pub mod convnet;
#[cfg(feature = "embedded")]
pub mod embedded;
pub(crate) mod facet;
pub mod foreign;
mod linear;
mod position;
mod view;
pub mod vit;
pub(crate) mod weights;

use crate::cpu::{Cpu, Precision};
use crate::features::{FeatureMap, FeatureMapError};
use crate::kernels::is_shape;
pub use config::Config;
pub use facet::{BlockFacet, Facet, Facets, ParseFacetError};
pub use view::{Framing, RESOLUTIONS, View, ViewError};
pub use weights::{WeightsError, sha256, sha256_of_reader};

/// A resized, normalized image: `[height, width, 3]`, as a network takes it.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    height: usize,
    width: usize,
    data: &'a [f32],
}

impl<'a> Input<'a> {
    /// Wraps `[height, width, 3]` values.
    ///
    /// # Errors
    /// [`BackboneError::Input`] if there are not as many.
    pub fn new(height: usize, width: usize, data: &'a [f32]) -> Result<Self, BackboneError> {
        if height == 0 || width == 0 || !is_shape(data.len(), [height, width, 3]) {
            return Err(BackboneError::Input { height, width, got: data.len() });
        }
        Ok(Self { height, width, data })
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

/// What a network takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InputSpec {
    /// Mean of the input's channels that it was trained with.
    pub mean: [f32; 3],
    /// Their standard deviation.
    pub std: [f32; 3],
    /// Sides that are multiples of this are used to the last pixel; no side may be smaller.
    pub size_multiple: usize,
    /// Side of a square input that suits the network, in pixels.
    pub resolution: usize,
}

/// Why a network gives no features.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackboneError {
    /// The values are not those of the size.
    #[error("{got} values for an input of {height} × {width} pixels; expected three a pixel")]
    Input {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Values there are.
        got: usize,
    },
    /// The input has no room for a patch.
    #[error("an input of {height} × {width} pixels is smaller than a patch of {patch}; take a higher resolution")]
    TooSmall {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Side of a patch.
        patch: usize,
    },
    /// What the network computed are no features: a bug, or weights that overflow.
    #[error("the network's output cannot be used")]
    Output(#[from] FeatureMapError),
    /// A device failed: it is gone, or has no memory left.
    #[error("the device that runs the network failed: {0}")]
    Device(String),
}

/// What to call a network, and how to know it again.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Identity {
    /// Its architecture or catalogue name.
    pub name: String,
    /// SHA-256 of its weights' file, in hexadecimal.
    pub sha256: String,
    /// Which of its activations are the features: `output`, or facets as [`Facets`] writes them.
    pub features: String,
    /// Pixels between neighbouring patches.
    pub stride: usize,
    /// Precision of its products.
    pub precision: Precision,
    /// Which published networks it is one of. None: no vision transformer, as for what follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<vit::Family>,
    /// Attention heads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
    /// ε of its norms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f32>,
    /// Mean of the input's channels.
    pub mean: [f32; 3],
    /// Standard deviation of the input's channels.
    pub std: [f32; 3],
    /// What nobody said and was taken for granted, in words, with the option that says otherwise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumed: Vec<String>,
    /// What of the file has no part in the features.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<String>,
}

/// Builds the network of safetensors bytes: one of the embedded network's family if the file says so in its metadata, else a vision
/// transformer. It will run on `cpu`, whose rates decide what [`Precision::Auto`] is.
///
/// # Errors
/// Every variant of [`WeightsError`]; `Unsuited` if `options` are not the default and the network is no vision transformer.
pub fn from_bytes(name: &str, bytes: &[u8], cpu: &Cpu, options: &vit::VitOptions) -> Result<Box<dyn Backbone>, WeightsError> {
    if !convnet::ConvNet::is_described_by(bytes) {
        return Ok(Box::new(vit::VisionTransformer::from_bytes(name, bytes, cpu, options)?));
    }
    let plain = vit::VitOptions { precision: Precision::Auto, config: Config::default(), ..options.clone() };
    if plain != vit::VitOptions::default() {
        let what =
            "facet, layer, stride, family, heads and prefix are for vision transformers; this network has one kind of feature";
        return Err(WeightsError::Unsuited(what.into()));
    }
    Ok(Box::new(convnet::ConvNet::from_bytes(name, bytes, cpu, options.precision)?))
}

/// A network that turns images into patch features, on whatever device.
///
/// All that follows needs no backbone: whoever has a [`FeatureMap`] from elsewhere goes on with [`Recipe::cluster`](crate::Recipe::cluster).
pub trait Backbone: Send + Sync {
    /// Name, checksum, and which precision it computes in.
    fn identity(&self) -> &Identity;
    /// What it takes.
    fn input(&self) -> InputSpec;
    /// The features of a batch of inputs, which may differ in size; one map for each, in order.
    ///
    /// # Errors
    /// [`BackboneError`]: an input is too small, or the device failed.
    fn features(&self, inputs: &[Input<'_>]) -> Result<Vec<FeatureMap>, BackboneError>;
}
