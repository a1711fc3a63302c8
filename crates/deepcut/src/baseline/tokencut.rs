//! TokenCut: the second eigenvector of the thresholded graph, cut at its mean; the object is the connected component of the patch where its
//! magnitude is largest.
//!
//! Source: Wang et al. (arXiv 2202.11539), algorithm 1; published code `object_discovery.ncut` and `detect_box`. Its threshold is τ = 0.2,
//! its edges below it weigh 10⁻⁵, as in [`crate::graph`].

use super::{Problem, spectral};

/// Which nodes are on the object's side, and the node that the object grows from.
pub fn object(problem: &Problem<'_>) -> (Vec<bool>, usize) {
    let n = problem.graph.nodes();
    let vectors = spectral::eigenvectors(problem.graph, 1, problem.seed);
    let Some(second) = vectors.first() else { return (vec![false; n], 0) };
    let mut seed = 0;
    for (i, y) in second.iter().enumerate() {
        if y.abs() > second[seed].abs() {
            seed = i;
        }
    }
    let mut side = spectral::above_mean(second);
    if !side[seed] {
        side.iter_mut().for_each(|s| *s = !*s);
    }
    (side, seed)
}
