//! From a picture to patch features.

pub mod catalogue;
pub mod config;
pub mod convnet;
pub mod embedded;
pub mod facet;
pub mod foreign;
mod linear;
pub mod position;
pub mod vit;
pub mod weights;

use crate::kernels::Isa;
use crate::kernels::packed::Precision;
pub use weights::WeightsError;

/// Patch features of one picture on a grid, row-major: `[grid_height, grid_width, dim]`.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureMap {
    /// Rows of patches.
    pub grid_height: usize,
    /// Columns of patches.
    pub grid_width: usize,
    /// Length of a feature vector.
    pub dim: usize,
    /// The features, not normalised.
    pub data: Vec<f32>,
    /// Mean colour of every patch, `[grid_height, grid_width, 3]` in [0, 1], if known: one baseline looks at it.
    pub colors: Option<Vec<f32>>,
}

/// A resized, normalised picture: `[height, width, 3]`.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// The values, channels last.
    pub data: &'a [f32],
}

/// What to call a network, and how to know it again.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Identity {
    /// Its architecture or catalogue name.
    pub name: String,
    /// SHA-256 of its weights' file, in hexadecimal.
    pub sha256: String,
    /// Which of its activations are the features: `output`, or facets as [`facet::Facets`] writes them.
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
/// transformer. `isa` are the kernels that it will run on: they say how products are rounded that int8 does not suit.
///
/// # Errors
/// Every variant of [`WeightsError`]; `Unsuited` if `options` are not the default and the network is no vision transformer.
pub fn from_bytes(name: &str, bytes: &[u8], isa: Isa, options: &vit::VitOptions) -> Result<Box<dyn Backbone>, WeightsError> {
    if !convnet::ConvNet::is_described_by(bytes) {
        return Ok(Box::new(vit::VisionTransformer::from_bytes(name, bytes, options)?));
    }
    let plain = vit::VitOptions { precision: Precision::F32, config: config::Config::default(), ..options.clone() };
    if plain != vit::VitOptions::default() {
        let what =
            "facet, layer, stride, family, heads and prefix are for vision transformers; this network has one kind of feature";
        return Err(WeightsError::Unsuited(what.into()));
    }
    Ok(Box::new(convnet::ConvNet::from_bytes(name, bytes, isa, options.precision)?))
}

/// A network that turns a picture into patch features.
pub trait Backbone: Send + Sync {
    /// Name and checksum.
    fn identity(&self) -> &Identity;
    /// Mean and standard deviation of the input channels the network was trained with.
    fn normalization(&self) -> ([f32; 3], [f32; 3]);
    /// Sides that are multiples of this are used to the last pixel; no side may be smaller.
    fn size_multiple(&self) -> usize;
    /// Side of a square input that suits the network, in pixels.
    fn default_resolution(&self) -> usize;
    /// Computes the features of a picture.
    ///
    /// # Panics
    /// If `input.data` does not hold `height * width * 3` values, or a side is smaller than a patch.
    fn features(&self, isa: Isa, input: Input<'_>) -> FeatureMap;
}
