//! TokenCut: cuts the second eigenvector of the thresholded graph at its mean. The object is the connected component of the patch with the
//! largest magnitude.
//!
//! Source: Wang et al. (arXiv 2202.11539), algorithm 1; published code `object_discovery.ncut` and `detect_box`. Its threshold is τ = 0.2;
//! edges below it have weight 10⁻⁵, as in [`crate::graph`].

use super::{Problem, spectral};

/// Whether each node is in the object's cluster, and the node that the object grows from.
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
    let mut inside = spectral::above_mean(second);
    if !inside[seed] {
        inside.iter_mut().for_each(|inside| *inside = !*inside);
    }
    (inside, seed)
}
