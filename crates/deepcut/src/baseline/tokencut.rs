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
    let side = vectors.first().and_then(|second| Some((second, largest_magnitude(second, |_| true)?)));
    side.map_or_else(|| (vec![false; n], 0), |(second, seed)| (side_of(second, seed), seed))
}

/// The node with the largest magnitude among some, the first of equals.
pub(super) fn largest_magnitude(vector: &[f64], among: impl Fn(usize) -> bool) -> Option<usize> {
    let nodes = (0..vector.len()).filter(|&node| among(node));
    nodes.reduce(|best, node| if vector[node].abs() > vector[best].abs() { node } else { best })
}

/// The side of the vector's mean that a node is on.
pub(super) fn side_of(vector: &[f64], node: usize) -> Vec<bool> {
    let above = spectral::above_mean(vector);
    let side = above[node];
    above.into_iter().map(|above| above == side).collect()
}
