//! Parts that agree over a set of images: one assignment for the foreground patches of all of them.
//!
//! ```text
//! pass 1   image ──View, Recipe──▶ Foreground          the object's cut and its patches' features
//!          all Foregrounds ──Cosegment──▶ Codebook     what tells parts apart, learned once
//! pass 2   Foreground ──Codebook──▶ Clustering         background 0, parts 1 to k
//! ```
//!
//! | file | what |
//! |---|---|
//! | `foreground.rs` | [`Foreground`]: what is kept of an image between the passes |
//! | `set.rs` | [`Foregrounds`]: those of many images, in flat memory |
//! | `learn.rs` | [`Cosegment::learn`]: from foregrounds to a codebook |
//! | `spectral.rs` | a spectral cut of the union of the images' graphs |
//! | `union.rs` | one graph network over the union of the images' graphs |
//! | `elbow.rs` | how many parts there are |
//! | `codebook.rs` | [`Codebook`]: its file, and the parts that it finds in an image |
//! | `space.rs` | in what space patches are compared |
//! | `islands.rs` | small pieces of a part join their neighbor |
//!
//! In the paper parts agree because every image starts from one initial network; over images that differ they often do not. Here the parts are
//! those of the set. Sources: DeepCut (arXiv 2212.05853) for network and objectives; Amir, Gandelsman, Bagon and Dekel (arXiv 2112.05814) for a
//! joint clustering of all images' descriptors, the elbow, and the vote for what is common.
//!
//! ```
//! use deepcut::cosegment::Cosegment;
//! use deepcut::{Cpu, FeatureMap, Recipe};
//!
//! // Two images of the same thing, of a part in the second dimension and one in the third, on a background in the first.
//! let map = |look: [usize; 12]| {
//!     let values = look.iter().flat_map(|&look| [[1.0, 0.0, 0.0], [0.0, 1.0, 0.4], [0.0, 0.4, 1.0]][look]).collect();
//!     FeatureMap::new(3, 4, 3, values)
//! };
//! let maps = [map([0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0])?, map([0, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0])?];
//! let (codebook, found) = Cosegment::default().n_parts(2).cluster(&Cpu::default(), &Recipe::default(), &maps, 0)?;
//! let labels: Vec<Vec<u8>> = found.iter().map(|found| found.labels().collect()).collect();
//! // The same parts have the same labels.
//! assert_eq!([labels[0][5], labels[0][6]], [labels[1][6], labels[1][5]]);
//! assert_ne!(labels[0][5], labels[0][6]);
//! assert_eq!(codebook.learned().n_parts, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod codebook;
mod elbow;
mod foreground;
mod islands;
mod learn;
mod set;
mod space;
mod spectral;
#[cfg(test)]
mod tests;
mod union;

pub use codebook::{Codebook, CodebookError, Learned, PartsError};
pub use foreground::Foreground;
pub(crate) use foreground::object_recipe;
pub use set::Foregrounds;

use crate::backbone::Identity;
use crate::cpu::Cpu;
use crate::features::FeatureMap;
use crate::gnn::{MAX_CLUSTERS, MIN_CLUSTERS};
use crate::progress::{Cancelled, go_on};
use crate::segment::{ClusterError, Clustering, Recipe};
use crate::setting::{OptionError, builders, check, check_range};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// How the patches of a set are grouped into parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Grouping {
    /// k-means over the patches of all images, every image weighted alike.
    #[default]
    Kmeans,
    /// A spectral cut of the union of the images' graphs.
    Spectral,
    /// The DeepCut network, one for all images, trained on the union of their graphs.
    Network,
    /// The same, after it learned the parts that k-means finds.
    Both,
}

impl Grouping {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Kmeans, Self::Spectral, Self::Network, Self::Both];

    /// `kmeans`, `spectral`, `network` or `both`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kmeans => "kmeans",
            Self::Spectral => "spectral",
            Self::Network => "network",
            Self::Both => "both",
        }
    }
}

impl FromStr for Grouping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|grouping| grouping.name() == text).ok_or_else(|| format!("expected {}", names()))
    }
}

/// How parts are found over a set of images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Cosegment {
    /// How patches are grouped.
    pub method: Grouping,
    /// k, the number of parts, 2 to 32. None: as many as the elbow says, 2 to 10.
    pub n_parts: Option<usize>,
    /// Least share of the images that a segment of the foreground has to appear in, above 0 to 1; what appears in fewer becomes background. None: all
    /// of the foreground stays.
    pub common: Option<f32>,
    /// Pieces of a part below this share of the part's area in their image join a neighbor part, 0 to 1. 0: none does.
    pub min_part: f32,
    /// Runs of k-means, of which the best counts, 1 to 100.
    pub restarts: usize,
}

impl Default for Cosegment {
    /// k-means with ten restarts, four parts, pieces below 3 % of their part joined.
    fn default() -> Self {
        Self { method: Grouping::default(), n_parts: Some(4), common: None, min_part: 0.03, restarts: 10 }
    }
}

impl Cosegment {
    builders! {
        /// Sets how patches are grouped.
        method: Grouping,
        /// Sets the share below which a piece joins its neighbor.
        min_part: f32,
        /// Sets the number of runs of k-means.
        restarts: usize;
        /// Sets the number of parts; None lets the elbow say.
        n_parts?: usize,
        /// Sets the share of images that a segment has to appear in.
        common?: f32,
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`OptionError`], naming the first value out of range.
    pub fn validate(&self) -> Result<(), OptionError> {
        if let Some(k) = self.n_parts {
            check("n_parts", k, (MIN_CLUSTERS..=MAX_CLUSTERS).contains(&k), "2 to 32")?;
        }
        if let Some(share) = self.common {
            check("common", share, share > 0.0 && share <= 1.0, "above 0, at most 1")?;
        }
        check_range("min_part", self.min_part, 0.0, 1.0, "0 to 1")?;
        check("restarts", self.restarts, (1..=100).contains(&self.restarts), "1 to 100")
    }

    /// Checks that a codebook is of this kind: of as many parts, by the same method, with the same choice of common segments.
    ///
    /// # Errors
    /// [`CodebookError`], naming what differs.
    pub fn check(&self, codebook: &Codebook) -> Result<(), CodebookError> {
        let learned = codebook.learned();
        if let Some(asked) = self.n_parts.filter(|asked| *asked != learned.n_parts) {
            return Err(CodebookError::Parts { learned: learned.n_parts, asked });
        }
        if self.method != learned.method {
            return Err(CodebookError::Method { learned: learned.method.name(), asked: self.method.name() });
        }
        if self.common.is_some() != learned.common.is_some() {
            let learned = if learned.common.is_some() { "with" } else { "without" };
            return Err(CodebookError::Common { learned });
        }
        Ok(())
    }

    /// What decided the parts, for reports: these options, the codebook's number of parts, and its checksum.
    ///
    /// # Errors
    /// As [`Codebook::to_bytes`].
    pub fn about(&self, codebook: &Codebook) -> Result<serde_json::Value, CodebookError> {
        let mut about = serde_json::to_value(self).unwrap_or_default();
        about["n_parts"] = codebook.learned().n_parts.into();
        about["codebook"] = codebook.sha256()?.into();
        Ok(about)
    }

    /// The parts of the objects of several images, from their features: both passes in memory. The codebook is for features that name no network.
    ///
    /// # Errors
    /// [`CosegmentError`].
    pub fn cluster(
        &self,
        cpu: &Cpu,
        recipe: &Recipe,
        maps: &[FeatureMap],
        seed: u64,
    ) -> Result<(Codebook, Vec<Clustering>), CosegmentError> {
        let mut set = Foregrounds::default();
        let mut all = Vec::new();
        for (at, map) in maps.iter().enumerate() {
            let foreground = Foreground::new(cpu, recipe, map, seed, &mut go_on)?;
            set.add(&at.to_string(), &foreground)?;
            all.push(foreground);
        }
        let codebook = self.learn(cpu, recipe, &set, &Identity::default(), seed, &mut go_on)?;
        let parts = |foreground| codebook.parts(cpu, recipe, foreground, self.min_part);
        let found = all.iter().map(parts).collect::<Result<_, _>>()?;
        Ok((codebook, found))
    }
}

/// Why a set has no parts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CosegmentError {
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] OptionError),
    /// The cut of an image.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The codebook does not fit.
    #[error(transparent)]
    Codebook(#[from] CodebookError),
    /// There are no images.
    #[error("there is no image to learn parts from")]
    NoImages,
    /// No image has an object.
    #[error("there are no parts to learn: no image of {images} has an object; take other images, or another network")]
    NoForeground {
        /// Images that were looked at.
        images: usize,
    },
    /// More parts than patches.
    #[error("{n_parts} parts of {patches} foreground patches in all images; ask for fewer parts, or a higher resolution")]
    TooManyParts {
        /// k.
        n_parts: usize,
        /// Foreground patches of all images.
        patches: usize,
    },
    /// No segment is in enough images.
    #[error(
        "nothing is common to the images: no segment of their objects is in {least} % of them; ask for a smaller share, or leave the option out"
    )]
    NothingCommon {
        /// The share asked for, in percent.
        least: f32,
    },
    /// The temporary file of the images' features.
    #[error("cannot keep the images' features in the folder for temporary files; is the disk full?")]
    Store(#[from] std::io::Error),
    /// The observer returned `Break`.
    #[error("the work was cancelled")]
    Cancelled,
}

impl From<Cancelled> for CosegmentError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl From<PartsError> for CosegmentError {
    fn from(error: PartsError) -> Self {
        match error {
            PartsError::Codebook(error) => Self::Codebook(error),
            PartsError::Cluster(error) => Self::Cluster(error),
        }
    }
}
