//! The normalized cut of Shi and Malik, relaxed to real vectors: generalized eigenvectors of the graph.
//!
//! ```text
//! (D − W) y = λ D y,   y = D^-½ v,   D^-½ W D^-½ v = (1 − λ) v
//! ```
//!
//! The smallest λ is 0, with the constant eigenvector; the second eigenvector is cut in two at its mean. For k clusters, k-means clusters the
//! nodes by their values in the next k − 1 eigenvectors.
//!
//! Source: Shi and Malik, Normalized Cuts and Image Segmentation (2000). Cost: a product with W for each step of Lanczos' method.

use super::lanczos::{dot, largest};
use super::{Problem, kmeans_labels};
use crate::graph::Graph;

/// The cluster of each node.
pub fn labels(problem: &Problem<'_>) -> Vec<usize> {
    let vectors = eigenvectors(problem.graph, problem.n_clusters - 1, problem.seed);
    if let [second] = &vectors[..] {
        return above_mean(second).into_iter().map(usize::from).collect();
    }
    let n = problem.graph.nodes();
    // Whitened, so that every eigenvector has the same weight in k-means.
    let points: Vec<f32> = (0..n).flat_map(|i| vectors.iter().map(move |v| (v[i] * (n as f64).sqrt()) as f32)).collect();
    if vectors.is_empty() {
        return vec![0; n];
    }
    kmeans_labels(problem.cpu, &points, vectors.len(), problem.n_clusters, problem.seed).collect()
}

/// Whether each value exceeds the mean.
pub fn above_mean(values: &[f64]) -> Vec<bool> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|v| *v > mean).collect()
}

/// Generalized eigenvectors y of the `count` smallest eigenvalues after the first; fewer if the graph has fewer nodes.
pub fn eigenvectors(graph: &Graph, count: usize, seed: u64) -> Vec<Vec<f64>> {
    eigenvectors_by(graph, count, count, seed)
}

/// As [`eigenvectors`], one after the other, each orthogonal to those before: of an eigenvalue that several vectors share all are found, as in a graph
/// of several pieces. Every node needs an edge, if only to itself.
pub(crate) fn eigenvectors_singly(graph: &Graph, count: usize, seed: u64) -> Vec<Vec<f64>> {
    eigenvectors_by(graph, count, 1, seed)
}

/// `step` eigenvectors at a time.
fn eigenvectors_by(graph: &Graph, count: usize, step: usize, seed: u64) -> Vec<Vec<f64>> {
    let n = graph.nodes();
    let root: Vec<f64> = graph.degree().iter().map(|&d| f64::from(d).max(f64::MIN_POSITIVE).sqrt()).collect();
    let length = dot(&root, &root).sqrt();
    let mut known = vec![root.iter().map(|r| r / length).collect::<Vec<f64>>()];
    graph.cpu().together(|| {
        let (mut input, mut output) = (vec![0.0f32; n], vec![0.0f32; n]);
        while known.len() <= count {
            // Each search begins elsewhere: a vector's share of an eigenspace shows one of its directions only.
            let seed = seed.wrapping_add(known.len() as u64 - 1);
            let found = largest(n, step.min(count + 1 - known.len()), &known, seed, |v, out| {
                input.iter_mut().zip(v).zip(&root).for_each(|((to, v), r)| *to = (v / r) as f32);
                graph.multiply(&input, 1, &mut output);
                out.iter_mut().zip(&output).zip(&root).for_each(|((to, w), r)| *to = f64::from(*w) / r);
            });
            if found.is_empty() {
                break;
            }
            known.extend(found.into_iter().map(|(_, v)| v));
        }
    });
    known.drain(..1);
    known.into_iter().map(|v| v.iter().zip(&root).map(|(v, r)| v / r).collect()).collect()
}
