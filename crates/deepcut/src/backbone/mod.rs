//! From a picture to patch features.

pub mod convnet;
pub mod embedded;
pub mod weights;

use crate::kernels::Isa;
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
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Identity {
    /// Its architecture or catalogue name.
    pub name: String,
    /// SHA-256 of its weights' file, in hexadecimal.
    pub sha256: String,
}

/// A network that turns a picture into patch features.
pub trait Backbone: Send + Sync {
    /// Name and checksum.
    fn identity(&self) -> &Identity;
    /// Mean and standard deviation of the input channels the network was trained with.
    fn normalization(&self) -> ([f32; 3], [f32; 3]);
    /// Sides that are multiples of this need no padding.
    fn size_multiple(&self) -> usize;
    /// Pixels between neighbouring patches.
    fn stride(&self) -> usize;
    /// Computes the features of a picture of any size; the grid has `⌈side / stride⌉` rows and columns.
    ///
    /// # Panics
    /// If `input.data` does not hold `height * width * 3` values.
    fn features(&self, isa: Isa, input: Input<'_>) -> FeatureMap;
}
