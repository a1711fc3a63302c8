//! Classical methods on the same features: patch features in, two or more clusters out, as from the graph network.
//!
//! | method                  | file               | object                              | clusters |
//! |-------------------------|--------------------|-------------------------------------|----------|
//! | k-means                 | `kmeans.rs`        | the rule of the border              | k        |
//! | spectral normalised cut | `spectral.rs`      | the rule of the border              | k        |
//! | TokenCut                | `tokencut.rs`      | the seed's connected component      | 2        |
//! | LOST                    | `lost.rs`          | the seed's connected component      | 2        |
//! | Deep Spectral           | `deep_spectral.rs` | the smaller side                    | 2        |
//! | first principal component | `pca.rs`         | the rule of the border              | 2        |
//!
//! Each chooses the object as its authors do; where they do not, the cluster that the border carries most is the background. Eigenvectors
//! come from `lanczos.rs`.

mod deep_spectral;
mod kmeans;
mod lanczos;
mod lost;
mod pca;
mod spectral;
mod tokencut;

use crate::cpu::Cpu;
use crate::graph::{Graph, GraphError, NodeFeatures};
use crate::train::Assignment;
use std::str::FromStr;

/// How patches are clustered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Method {
    /// The graph network of `gnn`, trained on the picture.
    #[default]
    Deepcut,
    /// k-means of the features.
    Kmeans,
    /// Shi and Malik's normalised cut, relaxed to eigenvectors.
    Spectral,
    /// TokenCut (arXiv 2202.11539).
    Tokencut,
    /// LOST (arXiv 2109.14279).
    Lost,
    /// Deep Spectral Methods (arXiv 2205.07839).
    DeepSpectral,
    /// The sign of the first principal component.
    Pca,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 7] =
        [Self::Deepcut, Self::Kmeans, Self::Spectral, Self::Tokencut, Self::Lost, Self::DeepSpectral, Self::Pca];

    /// Its name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deepcut => "deepcut",
            Self::Kmeans => "kmeans",
            Self::Spectral => "spectral",
            Self::Tokencut => "tokencut",
            Self::Lost => "lost",
            Self::DeepSpectral => "deep-spectral",
            Self::Pca => "pca",
        }
    }

    /// Whether it cuts a graph of the recipe's edges. The others look at the features themselves.
    #[must_use]
    pub(crate) fn needs_edges(self) -> bool {
        matches!(self, Self::Deepcut | Self::Spectral | Self::Tokencut)
    }

    /// Whether it knows no more than an object and a background.
    #[must_use]
    pub(crate) fn cuts_in_two(self) -> bool {
        matches!(self, Self::Tokencut | Self::Lost | Self::DeepSpectral | Self::Pca)
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|method| method.name() == text).ok_or_else(|| format!("expected {}", names()))
    }
}

/// How the nodes of a whole image look, and where they are.
#[derive(Debug, Clone, Copy)]
pub struct Appearance<'a> {
    /// `[nodes, 3]` in [0, 1].
    pub colors: &'a [f32],
    /// Rows and columns of the grid that the nodes fill, row by row.
    pub grid: (usize, usize),
}

/// What a method is given.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// The processor.
    pub cpu: &'a Cpu,
    /// The nodes' features.
    pub features: &'a NodeFeatures,
    /// The nodes' colors and places, where they are a whole image and the colors are known.
    pub appearance: Option<Appearance<'a>>,
    /// λ of Deep Spectral: the weight of colors and places; 0 looks at none.
    pub color: f32,
    /// Their thresholded graph.
    pub graph: &'a Graph,
    /// k; methods that cut in two do not heed it.
    pub n_clusters: usize,
    /// Seed of random choices.
    pub seed: u64,
}

/// What a method found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// All of a node in one cluster.
    pub assignment: Assignment,
    /// The cluster of the background, if the method says.
    pub background: Option<usize>,
    /// The node that the object grew from: what does not touch it on the image's grid is no part of the object.
    pub seed_node: Option<usize>,
}

/// Clusters the nodes by a method other than the graph network; by k-means if asked for that.
///
/// # Errors
/// [`GraphError`] if the features make no graph.
pub fn cluster(method: Method, problem: Problem<'_>) -> Result<Found, GraphError> {
    let Problem { n_clusters: k, .. } = problem;
    let clusters = |assignment| Found { assignment, background: None, seed_node: None };
    let halves = |side: Vec<bool>| clusters(one_hot(side.into_iter().map(usize::from), 2));
    let object = |side: Vec<bool>| Found { background: Some(0), ..halves(side) };
    let grown = |(side, seed): (Vec<bool>, usize)| Found { seed_node: Some(seed), ..object(side) };
    Ok(match method {
        Method::Deepcut | Method::Kmeans => {
            let features = problem.features;
            let labels = kmeans::kmeans(features.data(), features.dim(), k, problem.seed);
            clusters(one_hot(labels.into_iter(), k))
        }
        Method::Spectral => clusters(one_hot(spectral::labels(&problem).into_iter(), k)),
        Method::Tokencut => grown(tokencut::object(&problem)),
        Method::Lost => grown(lost::object(&problem)),
        Method::DeepSpectral => object(deep_spectral::object(&problem)?),
        Method::Pca => halves(pca::side(&problem)),
    })
}

/// Every node in one of `k` clusters.
fn one_hot(labels: impl Iterator<Item = usize>, k: usize) -> Assignment {
    let soft = labels.flat_map(|label| (0..k).map(move |c| if c == label { 1.0 } else { 0.0 })).collect();
    Assignment { n_clusters: k, soft, loss: f32::NAN }
}

#[cfg(test)]
mod tests;
