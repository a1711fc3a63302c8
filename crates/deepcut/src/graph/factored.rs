//! W stored as the features it is made of.
//!
//! ```text
//! W   = F Fᵀ − c · 1 1ᵀ,  c = max(F Fᵀ) / α
//! W S = F (Fᵀ S) − c · 1 (1ᵀ S)
//! ```
//!
//! Cost: O(ndk) time for a product, nd values of memory.

use super::node_features::{NodeFeatures, TASK_ROWS};
use super::propagation::propagate_signed;
use crate::cpu::Cpu;
use crate::kernels::packed::{Packed, Rows};
use crate::kernels::parallel;
use crate::kernels::{Left, Start};

/// W as F and c.
#[derive(Debug)]
pub(super) struct Factored {
    features: NodeFeatures,
    /// The constant c.
    offset: f32,
}

impl Factored {
    /// The signed weights of features.
    pub fn correlation(features: &NodeFeatures, alpha: f32) -> Self {
        Self { features: features.clone(), offset: features.largest_squared_norm() / alpha }
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.features.nodes()
    }

    /// Row sums of W.
    pub fn degree(&self, cpu: &Cpu) -> Vec<f32> {
        let mut degree = vec![0.0; self.nodes()];
        self.multiply(cpu, &vec![1.0; self.nodes()], 1, &mut degree);
        degree
    }

    /// `out = W S`, both `[n, k]`.
    pub fn multiply(&self, cpu: &Cpu, assignment: &[f32], k: usize, out: &mut [f32]) {
        let (n, d, features) = (self.nodes(), self.features.dim(), self.features.data());
        let mut projected = vec![0.0; d * k];
        let right = Packed::from_rows(assignment, n, k);
        parallel::for_each(projected.chunks_mut(TASK_ROWS * k).enumerate(), |(task, out)| {
            let columns = Left::transposed(features, d, n).slice(task * TASK_ROWS, out.len() / k);
            cpu.isa.gemm(columns, &right, Start::Zero, out);
        });
        let bias: Vec<f32> = cpu.isa.column_sums(assignment, k).iter().map(|t| -(*t as f32) * self.offset).collect();
        let right = Packed::from_rows(&projected, d, k);
        parallel::for_each(out.chunks_mut(TASK_ROWS * k).enumerate(), |(task, out)| {
            let rows = Left::row_major(&features[task * TASK_ROWS * d..], out.len() / k, d);
            cpu.isa.gemm(rows, &right, Start::Bias(&bias), out);
        });
    }

    /// `Â X`. Blocks of W are computed and dropped.
    pub fn propagate(&self, cpu: &Cpu, x: &NodeFeatures) -> Rows {
        let (n, d) = (self.nodes(), self.features.dim());
        let right = self.features.packed_columns();
        let bias = vec![-self.offset; n];
        propagate_signed(cpu, x, &|first: usize, block: &mut [f32]| {
            let left = Left::row_major(&self.features.data()[first * d..], block.len() / n, d);
            cpu.isa.gemm(left, &right, Start::Bias(&bias), block);
        })
    }
}
