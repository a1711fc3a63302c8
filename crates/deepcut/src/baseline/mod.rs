//! Classical clustering methods, which take the same patch features as the graph network and give the same result: clusters.
//!
//! | method                  | file               | choice of the object                | clusters |
//! |-------------------------|--------------------|-------------------------------------|----------|
//! | k-means                 | [`kmeans`](crate::kmeans) | the border vote                     | k        |
//! | spectral normalized cut | `spectral.rs`      | the border vote                     | k        |
//! | TokenCut                | `tokencut.rs`      | the seed's connected component      | 2        |
//! | LOST                    | `lost.rs`          | the seed's connected component      | 2        |
//! | Deep Spectral           | `deep_spectral.rs` | the smaller side                    | 2        |
//! | first principal component | `pca.rs`         | the border vote                     | 2        |
//! | MaskCut                 | `maskcut.rs`       | the seed's connected component      | several objects |
//!
//! Each method chooses the object as its authors do. If they do not choose, the border votes: the cluster with most of the image's border
//! is the background. `lanczos.rs` computes eigenvectors.

mod deep_spectral;
mod lanczos;
mod lost;
pub(crate) mod maskcut;
mod pca;
pub(crate) mod spectral;
mod tokencut;

use crate::cpu::Cpu;
use crate::graph::{Graph, GraphError, NodeFeatures};
use crate::kmeans::{Points, kmeans};
use crate::train::Assignment;
use std::str::FromStr;

/// How patches are clustered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Method {
    /// The graph network of `gnn`, trained on the image.
    #[default]
    Deepcut,
    /// k-means of the features.
    Kmeans,
    /// Shi and Malik's normalized cut, relaxed to eigenvectors.
    Spectral,
    /// TokenCut (arXiv 2202.11539).
    Tokencut,
    /// LOST (arXiv 2109.14279).
    Lost,
    /// Deep Spectral Methods (arXiv 2205.07839).
    DeepSpectral,
    /// The sign of the first principal component.
    Pca,
    /// MaskCut (arXiv 2301.11320): several objects, by TokenCut on what is left over.
    Maskcut,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 8] =
        [Self::Deepcut, Self::Kmeans, Self::Spectral, Self::Tokencut, Self::Lost, Self::DeepSpectral, Self::Pca, Self::Maskcut];

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
            Self::Maskcut => "maskcut",
        }
    }

    /// Whether the method cuts the graph that the recipe's edges define. The other methods use the features themselves.
    #[must_use]
    pub(crate) fn needs_edges(self) -> bool {
        matches!(self, Self::Deepcut | Self::Spectral | Self::Tokencut | Self::Maskcut)
    }

    /// Whether the method cuts the graph of a threshold only.
    #[must_use]
    pub(crate) fn needs_threshold(self) -> bool {
        matches!(self, Self::Tokencut | Self::Maskcut)
    }

    /// Whether the method always gives two clusters.
    #[must_use]
    pub(crate) fn cuts_in_two(self) -> bool {
        matches!(self, Self::Tokencut | Self::Lost | Self::DeepSpectral | Self::Pca | Self::Maskcut)
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|method| method.name() == text).ok_or_else(|| format!("expected {}", names()))
    }
}

/// Colors and positions of a whole image's nodes.
#[derive(Debug, Clone, Copy)]
pub struct Appearance<'a> {
    /// Mean color of each node, `[nodes, 3]` in [0, 1].
    pub colors: &'a [f32],
    /// Rows and columns of the nodes' grid; nodes are in row-major order.
    pub grid: (usize, usize),
}

/// The input of a method.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// The processor to run on.
    pub cpu: &'a Cpu,
    /// The nodes' features.
    pub features: &'a NodeFeatures,
    /// Colors and positions. None if the nodes are not a whole image, or their colors are unknown.
    pub appearance: Option<Appearance<'a>>,
    /// Weight λ of colors and positions in Deep Spectral; 0 ignores them.
    pub color: f32,
    /// The nodes' thresholded graph.
    pub graph: &'a Graph,
    /// Number of clusters, k; methods that cut in two ignore it.
    pub n_clusters: usize,
    /// Seed of random choices.
    pub seed: u64,
}

/// The result of a method.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The cluster of each node, with probability 1.
    pub assignment: Assignment,
    /// The cluster of the background, if the method chooses it.
    pub background: Option<usize>,
    /// The node that the object grew from, if the method grows it. The object is this node's connected component on the image's grid.
    pub seed_node: Option<usize>,
}

/// Clusters the nodes by a classical method; [`Method::Deepcut`] is replaced by k-means.
///
/// # Errors
/// [`GraphError`] if the method's affinities are not finite.
pub fn cluster(method: Method, problem: Problem<'_>) -> Result<Found, GraphError> {
    let Problem { n_clusters: k, .. } = problem;
    let clusters = |assignment| Found { assignment, background: None, seed_node: None };
    let halves = |positive: Vec<bool>| clusters(one_hot(positive.into_iter().map(usize::from), 2));
    let object = |inside: Vec<bool>| Found { background: Some(0), ..halves(inside) };
    let grown = |(inside, seed): (Vec<bool>, usize)| Found { seed_node: Some(seed), ..object(inside) };
    Ok(match method {
        Method::Deepcut | Method::Kmeans => {
            let features = problem.features;
            clusters(one_hot(kmeans_labels(problem.cpu, features.data(), features.dim(), k, problem.seed), k))
        }
        Method::Spectral => clusters(one_hot(spectral::labels(&problem).into_iter(), k)),
        // MaskCut's first cut.
        Method::Tokencut | Method::Maskcut => grown(tokencut::object(&problem)),
        Method::Lost => grown(lost::object(&problem)),
        Method::DeepSpectral => object(deep_spectral::object(&problem)?),
        Method::Pca => halves(pca::positive(&problem)),
    })
}

/// The cluster of each node by k-means, every node weighted alike; `rows` are `[nodes, dim]`. With fewer distinct rows than clusters, some clusters stay empty.
fn kmeans_labels(cpu: &Cpu, rows: &[f32], dim: usize, k: usize, seed: u64) -> impl Iterator<Item = usize> {
    let points = Points { rows, dim, weights: &vec![1.0; rows.len() / dim] };
    kmeans(cpu, points, k, 1, seed).labels.into_iter().map(|label| label as usize)
}

/// The assignment of each node to its label's cluster, among `k`.
fn one_hot(labels: impl Iterator<Item = usize>, k: usize) -> Assignment {
    let soft = labels.flat_map(|label| (0..k).map(move |c| if c == label { 1.0 } else { 0.0 })).collect();
    Assignment { n_clusters: k, soft, loss: f32::NAN }
}

#[cfg(test)]
mod tests;
