//! The sign of the first principal component, the simplest way to cut features in two.
//!
//! ```text
//! X = F − mean,   X Xᵀ u = σ² u,   label = u > 0
//! ```
//!
//! Cost: O(n·d) for each step of Lanczos' method.

use super::{Problem, lanczos};

/// Whether each node's first principal component is positive.
pub fn positive(problem: &Problem<'_>) -> Vec<bool> {
    let centered = problem.features.centered();
    let (n, dim) = (centered.nodes(), centered.dim());
    let found = lanczos::largest(n, 1, &[], problem.seed, |v, out| {
        let mut along = vec![0.0f64; dim];
        for (row, v) in centered.data().chunks_exact(dim).zip(v) {
            along.iter_mut().zip(row).for_each(|(sum, x)| *sum += v * f64::from(*x));
        }
        for (row, out) in centered.data().chunks_exact(dim).zip(out) {
            *out = row.iter().zip(&along).map(|(x, a)| f64::from(*x) * a).sum();
        }
    });
    found.first().map_or_else(|| vec![false; n], |(_, u)| u.iter().map(|u| *u > 0.0).collect())
}
