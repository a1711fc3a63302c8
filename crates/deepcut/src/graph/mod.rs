//! The affinity graph: one node a patch, one weight for each pair of nodes.
//!
//! ```text
//! relu         W = max(F Fᵀ, 0) / max(F Fᵀ)
//! threshold    W = 1 where cos(fᵢ, fⱼ) > τ, else 10⁻⁵
//! correlation  W = F Fᵀ − c · 1 1ᵀ,  c = max(F Fᵀ) / α
//! ```
//!
//! | symbol | code           | shape  | meaning                                   |
//! |--------|----------------|--------|-------------------------------------------|
//! | F      | `NodeFeatures` | [n, d] | patch features                            |
//! | W      | `Affinity`     | [n, n] | symmetric                                 |
//! | D      | `degree`       | `[n]`  | row sums of W                             |
//! | Â      | `propagate`    | [n, n] | `D̂^-½ Ŵ D̂^-½`, Ŵ the positive part of W |
//!
//! Each graph has its own storage and file, which constructs W, multiplies it with an assignment and propagates features over it:
//!
//! | file             | graph                       | memory                                  |
//! |------------------|-----------------------------|-----------------------------------------|
//! | `dense.rs`       | `relu`, and weights given   | n² weights in the features' precision   |
//! | `bits.rs`        | `threshold`                 | n² bits                                 |
//! | `factored.rs`    | `correlation`               | F alone                                 |
//!
//! `neighbors.rs` finds each node's nearest: a graph that no method cuts, over which values are averaged.
//!
//! Sources: DeepCut (arXiv 2212.05853), `util.create_adj`, for `relu` and `correlation`; TokenCut (arXiv 2202.11539) for `threshold`.
//! `max(F Fᵀ)` is the largest squared norm of a row: no inner product exceeds the larger of its two vectors' squared norms.

mod bits;
mod dense;
mod error;
mod factored;
mod neighbors;
mod node_features;
mod propagation;

use crate::cpu::Cpu;
use crate::kernels::is_shape;
use crate::kernels::packed::Rows;
use bits::Bits;
use dense::Dense;
pub use error::GraphError;
use factored::Factored;
pub use neighbors::Neighbors;
pub use node_features::NodeFeatures;

/// W in the storage that suits it.
#[derive(Debug)]
enum Affinity {
    Dense(Dense),
    Bits(Bits),
    Factored(Factored),
}

/// A symmetric affinity matrix with the products that clustering needs.
#[derive(Debug)]
pub struct Graph {
    cpu: Cpu,
    nodes: usize,
    affinity: Affinity,
    degree: Vec<f32>,
}

impl Graph {
    /// `W = max(F Fᵀ, 0) / max(F Fᵀ)`, the graph of the paper's normalized cut.
    #[must_use]
    pub fn relu(cpu: &Cpu, features: &NodeFeatures) -> Self {
        cpu.together(|| Self::new(cpu, Affinity::Dense(Dense::relu(cpu, features))))
    }

    /// A graph with the given weights: `[nodes, nodes]`, symmetric and finite.
    ///
    /// # Errors
    /// [`GraphError::Empty`] if there are not `nodes²` weights, [`GraphError::NotFinite`] if one is not finite.
    pub fn from_affinity(cpu: &Cpu, nodes: usize, affinity: Vec<f32>) -> Result<Self, GraphError> {
        Ok(Self::new(cpu, Affinity::Dense(Dense::from_weights(cpu, nodes, affinity)?)))
    }

    /// `W = 1` where the cosine exceeds `tau`, else 10⁻⁵.
    #[must_use]
    pub fn threshold(cpu: &Cpu, features: &NodeFeatures, tau: f32) -> Self {
        cpu.together(|| Self::new(cpu, Affinity::Bits(Bits::threshold(cpu, features, tau))))
    }

    /// [`Graph::threshold`] and [`Neighbors::nearest`] at once: both look at the same cosines.
    #[must_use]
    pub fn threshold_and_nearest(cpu: &Cpu, features: &NodeFeatures, tau: f32, count: usize) -> (Self, Neighbors) {
        cpu.together(|| {
            let (bits, neighbors) = Bits::threshold_and_nearest(cpu, features, tau, count);
            (Self::new(cpu, Affinity::Bits(bits)), neighbors)
        })
    }

    /// `W = F Fᵀ − max(F Fᵀ) / alpha`, the signed graph of correlation clustering. A larger `alpha` gives fewer clusters.
    #[must_use]
    pub fn correlation(cpu: &Cpu, features: &NodeFeatures, alpha: f32) -> Self {
        cpu.together(|| Self::new(cpu, Affinity::Factored(Factored::correlation(features, alpha))))
    }

    /// Keeps the edges whose cosine, `W_ij / √(W_ii W_jj)`, exceeds `tau`, which is at least 0.
    ///
    /// [`Graph::relu`] followed by this gives the graph that [`Graph::threshold`] makes of the same features. None if this graph does
    /// not store its weights: one of [`Graph::threshold`] or [`Graph::correlation`].
    #[must_use]
    pub fn thresholded(&self, tau: f32) -> Option<Self> {
        let Affinity::Dense(dense) = &self.affinity else { return None };
        Some(Self::new(&self.cpu, Affinity::Bits(dense.thresholded(&self.cpu, tau))))
    }

    fn new(cpu: &Cpu, affinity: Affinity) -> Self {
        let (nodes, degree) = match &affinity {
            Affinity::Dense(dense) => (dense.nodes(), dense.degree(cpu)),
            Affinity::Bits(bits) => (bits.nodes(), bits.degree()),
            Affinity::Factored(factored) => (factored.nodes(), factored.degree(cpu)),
        };
        Self { cpu: cpu.clone(), nodes, affinity, degree }
    }

    /// Number of nodes, n.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Whether its weights are those of a threshold: 1 or 10⁻⁵.
    #[must_use]
    pub fn is_thresholded(&self) -> bool {
        matches!(self.affinity, Affinity::Bits(_))
    }

    /// The processor that its products run on.
    #[must_use]
    pub fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    /// Row sums of W, `[n]`.
    #[must_use]
    pub fn degree(&self) -> &[f32] {
        &self.degree
    }

    /// `out = W S` for an assignment with `k` columns, both `[n, k]`.
    ///
    /// # Panics
    /// If a length is not `n * k`.
    pub fn multiply(&self, assignment: &[f32], k: usize, out: &mut [f32]) {
        assert!(is_shape(out.len(), [self.nodes, k]) && assignment.len() == out.len(), "an assignment of another graph");
        if out.is_empty() {
            return;
        }
        match &self.affinity {
            Affinity::Dense(dense) => dense.multiply(&self.cpu, assignment, k, out),
            Affinity::Bits(bits) => bits.multiply(&self.cpu, assignment, k, out),
            Affinity::Factored(factored) => factored.multiply(&self.cpu, assignment, k, out),
        }
    }

    /// `Z = Â X` for node features `x`, both `[n, dim]`: the linear half of the graph convolution, in the precision of `x`.
    ///
    /// Only positive weights carry messages. A node whose weight to itself is not positive gets a self loop of weight 1 before the
    /// degrees are taken, as PyG's `GCNConv` does.
    ///
    /// # Panics
    /// If `x` has another number of nodes.
    #[must_use]
    pub fn propagate(&self, x: &NodeFeatures) -> Rows {
        assert_eq!(x.nodes(), self.nodes, "features of another graph");
        match &self.affinity {
            Affinity::Dense(dense) => dense.propagate(&self.cpu, &self.degree, x),
            Affinity::Bits(bits) => bits.propagate(&self.cpu, &self.degree, x),
            Affinity::Factored(factored) => factored.propagate(&self.cpu, x),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::packed::Float;

    /// Every kind of graph, in every precision, against the definition.
    #[test]
    fn features_are_averaged_over_the_positive_weights() {
        for n in [1, 2, 47, 49, 64, 150, 257] {
            let dim = 5;
            let data: Vec<f32> = (0..n * dim).map(|i| ((i * i * 7 + 3 * i) % 23) as f32 - 9.0).collect();
            for (cpu, precision, int8) in crate::Isa::available().into_iter().flat_map(|isa| {
                let cpu = Cpu::builder().isa(isa).build().unwrap();
                [
                    (cpu.clone(), Float::F32, false),
                    (cpu.clone(), Float::Bf16, false),
                    (cpu.clone(), Float::F32, true),
                    (cpu, Float::Bf16, true),
                ]
            }) {
                let cpu = &cpu;
                let features = NodeFeatures::new(n, dim, data.clone()).unwrap().in_precision(precision).with_int8(int8);
                let graphs =
                    [Graph::relu(cpu, &features), Graph::threshold(cpu, &features, 0.2), Graph::correlation(cpu, &features, 3.0)];
                for graph in graphs {
                    let identity: Vec<f32> = (0..n * n).map(|at| if at / n == at % n { 1.0 } else { 0.0 }).collect();
                    let mut weights = vec![0.0; n * n];
                    graph.multiply(&identity, n, &mut weights);
                    let weight = |i: usize, j: usize| match f64::from(weights[i * n + j]) {
                        w if i == j && w <= 0.0 => 1.0,
                        w => w.max(0.0),
                    };
                    let degree: Vec<f64> = (0..n).map(|i| (0..n).map(|j| weight(i, j)).sum()).collect();
                    for (at, z) in graph.propagate(&features).to_vec().into_iter().enumerate() {
                        let (i, c) = (at / dim, at % dim);
                        let terms = (0..n).map(|j| weight(i, j) / (degree[i] * degree[j]).sqrt() * f64::from(data[j * dim + c]));
                        let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), x| (sum + x, size + x.abs()));
                        // In bf16 the weights, the features and the result are rounded, each by up to 2⁻⁸ of it.
                        let tolerance = if precision == Float::F32 { 1e-5 } else { 3.0 * 2f64.powi(-8) + 1e-4 };
                        // In int8 each neighbor's share of the sum is off by half a step, of which the column's largest has 127.
                        let share = |j: usize| f64::from(data[j * dim + c]).abs() / (degree[i] * degree[j]).sqrt();
                        let half = (0..n).map(share).fold(0.0, f64::max) / 254.0;
                        let neighbors = (0..n).filter(|&j| weight(i, j) > 0.5).count() as f64;
                        let steps = if int8 { 1.01 * half * neighbors } else { 0.0 };
                        assert!(
                            (f64::from(z) - sum).abs() <= tolerance * size + steps,
                            "{} {precision:?} {int8}, {n} nodes, {i}: {z}, not {sum}",
                            cpu.isa.name()
                        );
                    }
                }
            }
        }
    }

    /// Only a graph that stores its weights can be thresholded.
    #[test]
    fn weights_are_thresholded_once() {
        let features = NodeFeatures::new(3, 2, vec![1.0, 0.0, 0.8, 0.6, 0.0, 1.0]).unwrap();
        let cpu = &Cpu::default();
        let thresholded = Graph::relu(cpu, &features).thresholded(0.7).unwrap();
        assert!(thresholded.is_thresholded() && thresholded.thresholded(0.7).is_none());
        assert_eq!(thresholded.degree(), Graph::threshold(cpu, &features, 0.7).degree());
        assert!(Graph::correlation(cpu, &features, 3.0).thresholded(0.7).is_none());
    }
}
