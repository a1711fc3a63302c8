//! What is kept of an image between the two passes: the cut of its object, and the features of the object's patches.

use crate::cpu::Cpu;
use crate::features::FeatureMap;
use crate::progress::Observer;
use crate::segment::{ClusterError, Clustering, Mode, Recipe, Start};
use half::f16;
use half::slice::HalfFloatSliceExt;

/// The recipe that cuts the object alone.
pub(crate) fn object_recipe(recipe: &Recipe) -> Recipe {
    recipe.clone().mode(Mode::Object).n_clusters(2)
}

/// An image's object, before it has parts: its cut, and its patches' features in half precision.
///
/// Features are scaled to length 1 and rounded, whether the image is kept or used at once: results do not depend on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreground {
    pub(super) cut: Clustering,
    pub(super) dim: usize,
    /// Of the patches that are foreground, `[patches, dim]`.
    features: Vec<f16>,
}

impl Foreground {
    /// Cuts the object out of an image's features, as [`Mode::Object`] does whatever the mode of `recipe` is.
    ///
    /// # Errors
    /// As [`Recipe::cluster`].
    pub fn new(
        cpu: &Cpu,
        recipe: &Recipe,
        map: &FeatureMap,
        seed: u64,
        observe: &mut Observer<'_>,
    ) -> Result<Self, ClusterError> {
        let maps = std::slice::from_ref(map);
        let found = object_recipe(recipe).cluster_observed(cpu, maps, Start::Seed(seed), observe)?;
        // One map, one clustering.
        Ok(Self::of_cut(map, found.into_iter().next().ok_or(ClusterError::Cancelled)?))
    }

    /// From an image's features and the cut of its object.
    pub(crate) fn of_cut(map: &FeatureMap, cut: Clustering) -> Self {
        let (dim, cut) = (map.dim(), cut.without_networks());
        let mut features = Vec::new();
        for (row, _) in map.data().chunks_exact(dim).zip(cut.foreground_patches()).filter(|(_, inside)| *inside) {
            let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
            features.extend(row.iter().map(|x| f16::from_f64(f64::from(*x) * scale)));
        }
        Self { cut, dim, features }
    }

    /// The image's object.
    #[must_use]
    pub fn object(&self) -> &Clustering {
        &self.cut
    }

    /// Number of the object's patches; 0 if there is no object.
    #[must_use]
    pub fn patches(&self) -> usize {
        self.features.len() / self.dim
    }

    /// The places of the object's patches on the grid, in rising order.
    pub(super) fn cells(&self) -> Vec<usize> {
        self.cut.foreground_patches().iter().enumerate().filter_map(|(cell, inside)| inside.then_some(cell)).collect()
    }

    /// The features of the object's patches, `[patches, dim]`, of length 1.
    pub(super) fn rows(&self) -> Vec<f32> {
        self.features.to_f32_vec()
    }

    /// As bytes, to be kept on a disk.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.cut.to_bytes();
        out.extend((self.dim as u64).to_le_bytes());
        out.extend(self.features.iter().flat_map(|x| x.to_le_bytes()));
        out
    }

    /// From what [`Foreground::to_bytes`] wrote. None if the bytes are of nothing such.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (cut, rest) = Clustering::from_bytes(bytes)?;
        let (dim, rest) = rest.split_first_chunk()?;
        let dim = usize::try_from(u64::from_le_bytes(*dim)).ok().filter(|dim| *dim > 0)?;
        let (pairs, left) = rest.as_chunks::<2>();
        let features: Vec<f16> = pairs.iter().map(|pair| f16::from_le_bytes(*pair)).collect();
        let inside = cut.foreground_patches().iter().filter(|inside| **inside).count();
        (left.is_empty() && features.len() == inside * dim).then_some(Self { cut, dim, features })
    }
}
