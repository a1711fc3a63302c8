//! W stored weight by weight, in the features' precision.
//!
//! ```text
//! W = max(F Fᵀ, 0) / max(F Fᵀ)
//! ```
//!
//! Cost: O(n²d) time for half of the matrix, n² weights of memory.

use super::bits::Bits;
use super::error::GraphError;
use super::node_features::{NodeFeatures, TASK_ROWS};
use super::propagation::{inverse_roots, propagate_blocks, propagate_signed, scaled_rows};
use crate::cpu::Cpu;
use crate::kernels::packed::{Float, Rows};
use crate::kernels::parallel;
use crate::kernels::{Left, Right, Start};

/// W as `[n, n]` weights.
#[derive(Debug)]
pub(super) struct Dense {
    nodes: usize,
    weights: Rows,
    /// Whether W is Ŵ too: no weight is negative, and the diagonal is positive.
    is_positive: bool,
}

impl Dense {
    /// The weights of features: the positive inner products, at most one.
    pub fn relu(cpu: &Cpu, features: &NodeFeatures) -> Self {
        let (n, dim) = (features.nodes(), features.dim());
        let largest = features.largest_squared_norm();
        let scale = if largest > 0.0 { 1.0 / largest } else { 0.0 };
        let right = features.packed_columns();
        let mut weights = Rows::zeros(n, n, features.precision());
        let tasks = weights.tasks_mut(TASK_ROWS).enumerate();
        // W is symmetric: a task computes its rows from the block's diagonal on.
        parallel::for_each_with(tasks, &mut Vec::new(), |block: &mut Vec<f32>, (task, rows)| {
            let first = task * TASK_ROWS;
            let count = TASK_ROWS.min(n - first);
            block.resize(count * (n - first), 0.0);
            let left = Left::row_major(&features.data()[first * dim..], count, dim);
            cpu.isa.gemm(left, Right::from(&right).at_column(first), Start::Zero, block);
            block.iter_mut().for_each(|w| *w = w.max(0.0) * scale);
            rows.store(cpu.isa, block, n, first);
        });
        Self::mirrored(n, weights, true)
    }

    /// Given weights, `[nodes, nodes]`.
    ///
    /// # Errors
    /// [`GraphError::Empty`] if there are not `nodes²` weights, [`GraphError::NotFinite`] if one is not finite.
    pub fn from_weights(cpu: &Cpu, nodes: usize, weights: Vec<f32>) -> Result<Self, GraphError> {
        let weights = NodeFeatures::new(nodes, nodes, weights)?.into_data();
        let nonnegative = weights.iter().all(|w| *w >= 0.0);
        Ok(Self::mirrored(nodes, Rows::new(cpu.isa, weights, nodes, Float::F32), nonnegative))
    }

    /// Completes a symmetric matrix from its rows, each read from its block's diagonal on.
    fn mirrored(nodes: usize, mut weights: Rows, nonnegative: bool) -> Self {
        weights.mirror(TASK_ROWS);
        let is_positive = nonnegative && (0..nodes).all(|i| weights.get(i, i) > 0.0);
        Self { nodes, weights, is_positive }
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// Row sums of the weights as they are stored.
    pub fn degree(&self, cpu: &Cpu) -> Vec<f32> {
        let mut degree = vec![0.0; self.nodes];
        self.multiply(cpu, &vec![1.0; self.nodes], 1, &mut degree);
        degree
    }

    /// The edges whose cosine, `W_ij / √(W_ii W_jj)`, exceeds `tau`.
    pub fn thresholded(&self, cpu: &Cpu, tau: f32) -> Bits {
        let (n, words) = (self.nodes, self.nodes.div_ceil(64));
        let bounds: Vec<f32> = (0..n).map(|i| tau * self.weights.get(i, i).max(0.0).sqrt()).collect();
        let mut bits = vec![0u64; n * words];
        let tasks = bits.chunks_mut(TASK_ROWS * words).enumerate();
        parallel::for_each_with(tasks, &mut Vec::new(), |row: &mut Vec<f32>, (task, bits)| {
            row.resize(n, 0.0);
            for (r, bits) in bits.chunks_exact_mut(words).enumerate() {
                let i = task * TASK_ROWS + r;
                self.weights.load(i, row);
                cpu.isa.above(row, row[i].max(0.0).sqrt(), &bounds, bits);
            }
        });
        Bits::new(n, bits)
    }

    /// `out = W S`, both `[n, k]`.
    pub fn multiply(&self, cpu: &Cpu, assignment: &[f32], k: usize, out: &mut [f32]) {
        let columns = self.weights.columns(assignment, k);
        parallel::for_each(out.chunks_mut(TASK_ROWS * k).enumerate(), |(task, out)| {
            for (r, out) in out.chunks_exact_mut(k).enumerate() {
                cpu.isa.row_dots(&self.weights, task * TASK_ROWS + r, &columns, out);
            }
        });
    }

    /// `Â X`; `degree` holds the row sums of W.
    pub fn propagate(&self, cpu: &Cpu, degree: &[f32], x: &NodeFeatures) -> Rows {
        if self.is_positive && self.weights.precision() == x.precision() {
            let root = inverse_roots(degree);
            let right = x.packed_rows(&root);
            return scaled_rows(cpu, x, &root, TASK_ROWS, |(): &mut (), first, out| {
                cpu.isa.gemm_rows(&self.weights, first, &right, Start::Zero, out);
            });
        }
        let weights = |first: usize, block: &mut [f32]| {
            block.chunks_exact_mut(self.nodes).enumerate().for_each(|(r, row)| self.weights.load(first + r, row));
        };
        if self.is_positive { propagate_blocks(cpu, x, degree, &weights) } else { propagate_signed(cpu, x, &weights) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;

    /// Tasks compute half of the weights; all are stored, whether the blocks, the rows and the pairs are whole or not.
    #[test]
    fn weights_are_the_positive_inner_products() {
        for n in [1, 2, 47, 48, 49, 96, 97, 150, 201, 340] {
            let dim = 5;
            let data: Vec<f32> = (0..n * dim).map(|i| ((i * i * 7 + 3 * i) % 23) as f32 - 9.0).collect();
            let features = NodeFeatures::new(n, dim, data).unwrap();
            let largest = features.largest_squared_norm();
            for (cpu, precision) in Isa::available().into_iter().flat_map(|isa| {
                let cpu = Cpu::builder().isa(isa).build().unwrap();
                [(cpu.clone(), Float::F32), (cpu, Float::Bf16)]
            }) {
                // The features are small integers, which bf16 holds: only the stored weight is rounded, to eight bits.
                let tolerance = if precision == Float::F32 { 1e-6 } else { 2f32.powi(-8) };
                let graph = Dense::relu(&cpu, &features.clone().in_precision(precision));
                for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
                    let product: f32 = features.row(i).iter().zip(features.row(j)).map(|(a, b)| a * b).sum();
                    let (expected, weight) = (product.max(0.0) / largest, graph.weights.get(i, j));
                    assert!(
                        (weight - expected).abs() <= tolerance * expected.max(1e-3),
                        "{n} nodes, {i}, {j}: {weight}, not {expected}"
                    );
                }
            }
        }
    }
}
