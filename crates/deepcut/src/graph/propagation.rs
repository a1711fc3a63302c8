//! Â X, the linear half of a graph convolution, for every storage of W.
//!
//! ```text
//! Ŵ = max(W, 0), a diagonal of 1 where W's is not positive
//! Â = D̂^-½ Ŵ D̂^-½
//! ```
//!
//! The self loop is added before the degrees are taken, as PyG's `GCNConv` does. A storage computes rows of `Ŵ (D̂^-½ X)`;
//! [`scaled_rows`] multiplies them by `D̂^-½`.

use super::node_features::{NodeFeatures, TASK_ROWS};
use crate::cpu::Cpu;
use crate::kernels::packed::Rows;
use crate::kernels::parallel;
use crate::kernels::{Left, Start};

/// Writes whole rows of W or Ŵ into a block, from the row of this index on.
pub(super) type FillRows<'a> = dyn Fn(usize, &mut [f32]) + Sync + 'a;

/// `Â X` from rows of W, which may be negative: each block is computed twice, first for the degrees of Ŵ.
pub(super) fn propagate_signed(cpu: &Cpu, x: &NodeFeatures, weights: &FillRows<'_>) -> Rows {
    let n = x.nodes();
    let messages = |first: usize, block: &mut [f32]| {
        weights(first, block);
        keep_positive(first, n, block);
    };
    let mut degree = vec![0.0; n];
    parallel::for_each_with(degree.chunks_mut(TASK_ROWS).enumerate(), &mut Vec::new(), |block: &mut Vec<f32>, (task, degree)| {
        block.resize(degree.len() * n, 0.0);
        messages(task * TASK_ROWS, block);
        for (row, degree) in block.chunks_exact(n).zip(degree) {
            *degree = row.iter().map(|&w| f64::from(w)).sum::<f64>() as f32;
        }
    });
    propagate_blocks(cpu, x, &degree, &messages)
}

/// `Â X` from rows of Ŵ and its degrees.
pub(super) fn propagate_blocks(cpu: &Cpu, x: &NodeFeatures, degree: &[f32], messages: &FillRows<'_>) -> Rows {
    let n = x.nodes();
    let root = inverse_roots(degree);
    let right = x.packed_rows(&root);
    scaled_rows(cpu, x, &root, TASK_ROWS, |block: &mut Vec<f32>, first, out| {
        let rows = out.len() / x.dim();
        block.resize(rows * n, 0.0);
        messages(first, block);
        cpu.isa.gemm(Left::row_major(block, rows, n), &right, Start::Zero, out);
    })
}

/// `D̂^-½ Y`, rounded as `x` is; `root` is the diagonal of `D̂^-½`.
///
/// `compute` writes rows of Y, from the row of this index on, and may use a buffer of its thread.
pub(super) fn scaled_rows<B: Default + Send>(
    cpu: &Cpu,
    x: &NodeFeatures,
    root: &[f32],
    task_rows: usize,
    compute: impl Fn(&mut B, usize, &mut [f32]) + Sync,
) -> Rows {
    let dim = x.dim();
    let mut out = Rows::zeros(x.nodes(), dim, x.precision());
    let tasks = out.tasks_mut(task_rows).zip(root.chunks(task_rows)).enumerate();
    parallel::for_each_with(tasks, &mut Vec::new(), |(block, buffer): &mut (Vec<f32>, B), (task, (rows, root))| {
        block.resize(root.len() * dim, 0.0);
        compute(buffer, task * task_rows, block);
        scale_rows(block, dim, root);
        rows.store(cpu.isa, block, dim, 0);
    });
    out
}

/// The diagonal of `D^-½`.
pub(super) fn inverse_roots(degree: &[f32]) -> Vec<f32> {
    degree.iter().map(|d| 1.0 / d.sqrt()).collect()
}

/// Multiplies row r of a `[rows, dim]` matrix by `scales[r]`.
pub(super) fn scale_rows(rows: &mut [f32], dim: usize, scales: &[f32]) {
    rows.chunks_exact_mut(dim).zip(scales).for_each(|(row, scale)| row.iter_mut().for_each(|x| *x *= scale));
}

/// Turns rows of W, `[rows, n]` from the row of index `first` on, into rows of Ŵ.
fn keep_positive(first: usize, n: usize, rows: &mut [f32]) {
    for (r, row) in rows.chunks_exact_mut(n).enumerate() {
        row.iter_mut().for_each(|w| *w = w.max(0.0));
        if row[first + r] <= 0.0 {
            row[first + r] = 1.0;
        }
    }
}
