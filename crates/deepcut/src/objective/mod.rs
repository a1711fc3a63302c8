//! Clustering objectives: functions of a graph and a soft assignment, with their gradients.
//!
//! | objective              | file                   | number of clusters |
//! |------------------------|------------------------|--------------------|
//! | [`mincut`]             | `mincut.rs`            | k                  |
//! | [`normalized_cut`]     | `normalized_cut.rs`    | k                  |
//! | [`correlation`]        | `correlation.rs`       | at most k          |
//! | [`modularity`]         | `modularity.rs`        | at most k          |
//!
//! [`cross_entropy`] is added to one of them where a prior says what the assignment should be near.
//!
//! Sums over nodes are computed in f64, so that their rounding does not grow with the number of nodes.

pub mod correlation;
pub(crate) mod cross_entropy;
pub mod mincut;
pub mod modularity;
pub mod normalized_cut;

use crate::graph::Graph;

/// Objective that training minimizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Objective {
    /// The paper's normalized-cut loss: a relaxed cut and an orthogonality term.
    Mincut,
    /// The exact normalized cut: the sum of one ratio for each cluster.
    NormalizedCut,
    /// Correlation clustering, which finds the number of clusters.
    Correlation,
    /// Modularity with a term against collapse (DMoN).
    Modularity,
}

impl Objective {
    /// Returns the objective's value at `assignment` and writes its gradient to `gradient`, both `[n, k]`.
    ///
    /// # Panics
    /// If a length is not `n * k`.
    pub(crate) fn evaluate(self, graph: &Graph, assignment: &[f32], k: usize, gradient: &mut [f32]) -> f32 {
        // All four need W S, and turn it into the gradient in place.
        graph.multiply(assignment, k, gradient);
        match self {
            Self::Mincut => mincut::evaluate(graph.degree(), assignment, k, gradient),
            Self::NormalizedCut => normalized_cut::evaluate(graph.cpu(), graph.degree(), assignment, k, gradient),
            Self::Correlation => correlation::evaluate(assignment, gradient),
            Self::Modularity => modularity::evaluate(graph.cpu(), graph.degree(), assignment, k, gradient),
        }
    }
}

/// How cleanly a soft foreground, `[n]`, is cut from the rest of a graph, in [0, 1]: one minus their normalized cut, `Σ sᵀWs / sᵀD1 − 1` over the
/// two, and 0 where that is below 0.
pub(crate) fn cleanness(graph: &Graph, foreground: &[f32]) -> f32 {
    let both: Vec<f32> = foreground.iter().flat_map(|&f| [f, 1.0 - f]).collect();
    let mut gradient = vec![0.0; both.len()];
    (-Objective::NormalizedCut.evaluate(graph, &both, 2, &mut gradient) - 1.0).clamp(0.0, 1.0)
}

/// `Tr(Aᵀ B)` for two matrices of the same shape.
fn inner(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

#[cfg(test)]
mod tests;
