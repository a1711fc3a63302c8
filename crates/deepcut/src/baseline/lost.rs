//! LOST: grows the object from the seed, the patch that is similar to the fewest others.
//!
//! ```text
//! degree(i) = #{ j ≠ i : fᵢ · fⱼ > 0 }      seed = argmin degree
//! similar   = the 100 patches of least degree with f_s · f_seed > 0
//! object    = { j : fⱼ · Σ_similar f_s > 0 },  the seed's connected component
//! ```
//!
//! Source: Siméoni et al. (arXiv 2109.14279), section 3; published code `object_discovery.lost`. The method needs inner products of both
//! signs, which DINO's keys have.

use super::Problem;
use crate::kernels::packed::Packed;
use crate::kernels::{Left, Start, parallel};

/// Number of patches of least degree, among which those similar to the seed are chosen.
const CANDIDATES: usize = 100;
/// Rows of inner products that one task computes.
const TASK_ROWS: usize = 48;

/// Whether each node is similar to the object, and the node that the object grows from.
pub fn object(problem: &Problem<'_>) -> (Vec<bool>, usize) {
    let features = problem.features;
    let (n, dim) = (features.nodes(), features.dim());
    let mut degree = vec![0usize; n];
    let right = Packed::from_columns(features.data(), dim, n);
    let tasks = degree.chunks_mut(TASK_ROWS).enumerate();
    parallel::for_each_with(tasks, &mut Vec::new(), |block: &mut Vec<f32>, (task, degree)| {
        block.resize(degree.len() * n, 0.0);
        let left = Left::row_major(&features.data()[task * TASK_ROWS * dim..], degree.len(), dim);
        problem.cpu.isa.gemm(left, &right, Start::Zero, block);
        for (r, (degree, row)) in degree.iter_mut().zip(block.chunks_exact(n)).enumerate() {
            let i = task * TASK_ROWS + r;
            *degree = row.iter().enumerate().filter(|(j, w)| *j != i && **w > 0.0).count();
        }
    });
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&i| degree[i]);
    let Some(&seed) = order.first() else { return (vec![], 0) };

    let row = |i: usize| &features.data()[i * dim..(i + 1) * dim];
    let inner = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let mut sum = vec![0.0f32; dim];
    for &similar in order.iter().take(CANDIDATES).filter(|&&i| inner(row(seed), row(i)) > 0.0) {
        sum.iter_mut().zip(row(similar)).for_each(|(sum, x)| *sum += x);
    }
    let inside = (0..n).map(|i| inner(row(i), &sum) > 0.0).collect();
    (inside, seed)
}
