//! Clustering objectives: functions of a graph and a soft assignment, with their gradients.
//!
//! | objective              | file                   | number of clusters |
//! |------------------------|------------------------|--------------------|
//! | [`mincut`]             | `mincut.rs`            | k                  |
//! | [`normalized_cut`]     | `normalized_cut.rs`    | k                  |
//! | [`correlation`]        | `correlation.rs`       | at most k          |
//! | [`modularity`]         | `modularity.rs`        | at most k          |
//!
//! Sums over nodes are kept in f64, so that a value does not depend on how many nodes there are.

pub mod correlation;
pub mod mincut;
pub mod modularity;
pub mod normalized_cut;

use crate::graph::Graph;

/// What the network is trained to minimise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Objective {
    /// The paper's normalised-cut loss: relaxed cut and orthogonality.
    Mincut,
    /// The normalised cut itself, as a ratio a cluster.
    NormalizedCut,
    /// Correlation clustering: needs no number of clusters.
    Correlation,
    /// Modularity with a collapse term (DMoN).
    Modularity,
}

impl Objective {
    /// The objective's value at `assignment` (`[n, k]`); its gradient is written to `gradient` (`[n, k]`).
    ///
    /// # Panics
    /// If a length is not `n * k`.
    pub(crate) fn evaluate(self, graph: &Graph, assignment: &[f32], k: usize, gradient: &mut [f32]) -> f32 {
        // W S, needed by all four, is turned into the gradient in place.
        graph.multiply(assignment, k, gradient);
        match self {
            Self::Mincut => mincut::evaluate(graph.degree(), assignment, k, gradient),
            Self::NormalizedCut => normalized_cut::evaluate(graph.cpu(), graph.degree(), assignment, k, gradient),
            Self::Correlation => correlation::evaluate(assignment, gradient),
            Self::Modularity => modularity::evaluate(graph.cpu(), graph.degree(), assignment, k, gradient),
        }
    }
}

/// `Tr(Aᵀ B)` of two matrices of one shape.
fn inner(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

#[cfg(test)]
mod tests;
