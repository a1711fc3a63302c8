//! A spectral cut of the union of the images' graphs, and its extension to patches that were not in it.
//!
//! ```text
//! W_ij = wᵢ wⱼ max(xᵢᵀ xⱼ, 0)                          landmarks i and j, of all images
//! (D − W) y = λ D y                                    the normalized cut of Shi and Malik, relaxed
//! z(x) = Σⱼ wⱼ max(xᵀ xⱼ, 0) yⱼ / Σⱼ wⱼ max(xᵀ xⱼ, 0)  the coordinates of any patch: those of the landmarks, averaged over the edges to them
//! ```
//!
//! | symbol | code          | shape  | meaning                                                                    |
//! |--------|---------------|--------|----------------------------------------------------------------------------|
//! | x      | `rows`        | [n, d] | points of the set's space (`space.rs`), of length 1                        |
//! | w x    | `landmarks`   | [m, d] | those of the graph's nodes, times their weight: each image weighs alike    |
//! | y      | `coordinates` | [m, e] | the first e eigenvectors after the constant one                            |
//!
//! A landmark's own average is (1 − λ) y: eigenvectors that hardly cut anything weigh most, as in a diffusion map, and how many are taken matters little.
//! k-means finds the parts among the landmarks' averages. Sources: Shi and Malik, Normalized Cuts and Image Segmentation (2000); Bengio et al.,
//! Out-of-Sample Extensions for LLE, Isomap, MDS, Eigenmaps, and Spectral Clustering (2003); Coifman and Lafon, Diffusion maps (2006). Cost: m² weights while it
//! learns, O(n·m·d) for an image.

use crate::baseline::spectral::eigenvectors_singly;
use crate::cpu::Cpu;
use crate::graph::{Graph, GraphError, NodeFeatures};
use crate::kernels::{Left, Right, Start, parallel};
use crate::kmeans::{Fit, Points, kmeans};
use crate::random::Random;

/// Most nodes of the graph: 16 MiB of weights. A codebook's file has their features.
pub(super) const MAX_LANDMARKS: usize = 2048;
/// Eigenvectors beyond those that k parts need.
const MORE_VECTORS: usize = 2;
/// Rows that one task places.
const TASK_ROWS: usize = 64;

/// Where a patch lies in the union's graph, by its edges to some of the nodes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Embedding {
    /// `[m, dim]`.
    pub landmarks: Vec<f32>,
    /// `[m, e]`.
    pub coordinates: Vec<f32>,
}

impl Embedding {
    /// Number of landmarks, m.
    pub fn len(&self, dim: usize) -> usize {
        self.landmarks.len() / dim
    }

    /// Number of coordinates, e.
    pub fn width(&self, dim: usize) -> usize {
        self.coordinates.len() / self.len(dim)
    }

    /// The coordinates of rows, `[n, dim]` to `[n, e]`. A row without an edge is in the middle: zeros.
    pub fn place(&self, cpu: &Cpu, rows: &[f32], dim: usize) -> Vec<f32> {
        let (m, e) = (self.len(dim), self.width(dim));
        let columns: Vec<f32> = (0..dim * m).map(|at| self.landmarks[at % m * dim + at / m]).collect();
        let mut out = vec![0.0; rows.len() / dim * e];
        let tasks = out.chunks_mut(TASK_ROWS * e).zip(rows.chunks(TASK_ROWS * dim));
        parallel::for_each_with(tasks, &mut Vec::new(), |edges: &mut Vec<f32>, (out, rows)| {
            let count = rows.len() / dim;
            edges.resize(count * m, 0.0);
            cpu.isa.gemm(Left::row_major(rows, count, dim), Right::row_major(&columns, dim, m), Start::Zero, edges);
            edges.iter_mut().for_each(|edge| *edge = edge.max(0.0));
            cpu.isa.gemm(Left::row_major(edges, count, m), Right::row_major(&self.coordinates, m, e), Start::Zero, out);
            for (row, edges) in out.chunks_exact_mut(e).zip(edges.chunks_exact(m)) {
                let degree: f32 = edges.iter().sum();
                row.iter_mut().for_each(|x| if degree > 0.0 { *x /= degree } else { *x = 0.0 });
            }
        });
        out
    }
}

/// The parts that a spectral cut finds.
#[derive(Debug, PartialEq)]
pub(super) struct Cut {
    /// What places other points.
    pub embedding: Embedding,
    /// The landmarks' places, `[m, e]`.
    pub placed: Vec<f32>,
    /// Their weights, `[m]`.
    pub weights: Vec<f64>,
    /// Their parts; centers are `[k, e]`.
    pub fit: Fit,
}

/// Finds k parts of points.
///
/// # Errors
/// [`GraphError`] if a point is not finite.
pub(super) fn spectral_cut(cpu: &Cpu, points: Points<'_>, k: usize, restarts: usize, seed: u64) -> Result<Cut, GraphError> {
    let dim = points.dim;
    let (landmarks, weights) = draw(points, seed);
    let m = weights.len();
    let graph = Graph::relu(cpu, &NodeFeatures::new(m, dim, landmarks.clone())?);
    let vectors = eigenvectors_singly(&graph, k - 1 + MORE_VECTORS, seed);
    // A graph of one node has no cut.
    let e = vectors.len().max(1);
    let mut coordinates = vec![0.0f32; m * e];
    for (c, vector) in vectors.iter().enumerate() {
        let scale = 1.0 / mean_square(vector.iter().copied(), &weights).sqrt();
        coordinates.chunks_exact_mut(e).zip(vector).for_each(|(row, y)| row[c] = (y * scale) as f32);
    }
    let mut embedding = Embedding { landmarks, coordinates };
    // Rows as they are placed later, so that both are the same.
    let rows = unweighted(&embedding.landmarks, &weights, dim);
    let mut placed = embedding.place(cpu, &rows, dim);
    // As far apart as points of length 1.
    let spread: f64 = (0..e).map(|c| mean_square(placed.chunks_exact(e).map(|row| f64::from(row[c])), &weights)).sum();
    let scale = if spread > 0.0 { (1.0 / spread.sqrt()) as f32 } else { 1.0 };
    embedding.coordinates.iter_mut().chain(&mut placed).for_each(|x| *x *= scale);
    let fit = kmeans(cpu, Points { rows: &placed, dim: e, weights: &weights }, k, restarts, seed);
    Ok(Cut { embedding, placed, weights, fit })
}

/// The weighted mean of squares.
fn mean_square(values: impl Iterator<Item = f64>, weights: &[f64]) -> f64 {
    let sum: f64 = values.zip(weights).map(|(x, weight)| weight * x * x).sum();
    sum / weights.iter().sum::<f64>()
}

fn unweighted(landmarks: &[f32], weights: &[f64], dim: usize) -> Vec<f32> {
    let rows = landmarks.chunks_exact(dim).zip(weights);
    rows.flat_map(|(row, weight)| row.iter().map(move |x| (f64::from(*x) / weight) as f32)).collect()
}

/// The graph's nodes, times their weight, and the weights. All points that are not zero if they are few; else one drawn from each of equal shares of the points' weight, so that images
/// weigh alike.
fn draw(points: Points<'_>, seed: u64) -> (Vec<f32>, Vec<f64>) {
    let rows = || points.rows.chunks_exact(points.dim);
    // A point without a direction has no edge.
    let own = rows().zip(points.weights).map(|(row, weight)| if row.iter().any(|x| *x != 0.0) { *weight } else { 0.0 });
    let mut weights: Vec<f64> = own.collect();
    if weights.iter().filter(|weight| **weight > 0.0).count() > MAX_LANDMARKS {
        let share = weights.iter().sum::<f64>() / MAX_LANDMARKS as f64;
        let mut random = Random::new(seed);
        let (mut next, mut place, mut passed) = (f64::from(random.uniform()), 0.0, 0.0);
        for weight in &mut weights {
            passed += *weight;
            *weight = 0.0;
            while place + next < passed / share && place < MAX_LANDMARKS as f64 {
                *weight += 1.0;
                place += 1.0;
                next = f64::from(random.uniform());
            }
        }
    }
    let largest = weights.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        return (vec![0.0; points.dim], vec![1.0]);
    }
    let mut landmarks = Vec::new();
    for (row, weight) in rows().zip(&mut weights).filter(|(_, weight)| **weight > 0.0) {
        *weight /= largest;
        landmarks.extend(row.iter().map(|x| (f64::from(*x) * *weight) as f32));
    }
    weights.retain(|weight| *weight > 0.0);
    (landmarks, weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rings of a plane's directions: points of `groups` clusters of directions, the first with ten times as many as the others.
    fn points(groups: &[usize]) -> (Vec<f32>, Vec<u32>) {
        let mut random = Random::new(4);
        let (mut rows, mut members) = (Vec::new(), Vec::new());
        for (group, count) in groups.iter().enumerate() {
            for _ in 0..*count {
                let mut row = [0.0f32; 4];
                row[group] = 1.0;
                row.iter_mut().for_each(|x| *x += 0.2 * (random.uniform() - 0.5));
                let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
                rows.extend(row.map(|x| x / length));
                members.push(group as u32);
            }
        }
        (rows, members)
    }

    fn cut(rows: &[f32], k: usize) -> Cut {
        let weights = vec![1.0; rows.len() / 4];
        spectral_cut(&Cpu::single(), Points { rows, dim: 4, weights: &weights }, k, 5, 0).unwrap()
    }

    #[track_caller]
    fn assert_same_groups(labels: &[u32], members: &[u32], groups: usize) {
        let pairs: std::collections::BTreeSet<_> = labels.iter().zip(members).collect();
        assert_eq!(pairs.len(), groups, "{labels:?}");
    }

    /// By hand: two pairs of points without an edge between them. y is constant on each, of mean 0, and every point's coordinate is its pair's.
    #[test]
    fn pieces_of_a_graph_are_the_parts() {
        let s = 0.5f32.sqrt();
        let rows = [[1.0, 0.0, 0.0, 0.0], [s, s, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, s, s]].concat();
        let Cut { embedding, fit, weights, .. } = cut(&rows, 2);
        assert_eq!(weights, [1.0; 4]);
        let placed = embedding.place(&Cpu::single(), &rows, 4);
        let e = embedding.width(4);
        let first: Vec<f32> = placed.chunks_exact(e).map(|row| row[0]).collect();
        assert!((first[0] - first[1]).abs() < 1e-5 && (first[2] - first[3]).abs() < 1e-5, "{first:?}");
        assert!((first[0] + first[2]).abs() < 1e-5 && first[0].abs() > 0.5, "{first:?}");
        assert_same_groups(&fit.labels, &[0, 0, 1, 1], 2);
        // A point with edges to one pair is there; one with equal edges to both is in the middle; one with none, too.
        let others = [[0.6, 0.8, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0]].concat();
        let found: Vec<f32> = embedding.place(&Cpu::single(), &others, 4).chunks_exact(e).map(|row| row[0]).collect();
        assert!((found[0] - first[0]).abs() < 1e-5 && found[1].abs() < 1e-5 && found[2] == 0.0, "{found:?}");
    }

    /// Equal groups without edges between them share the eigenvalue 0.
    #[test]
    fn equal_pieces_are_all_found() {
        let rows: Vec<f32> = (0..40).flat_map(|i| [0, 1, 2, 3].map(|d| f32::from(u8::from(d == i % 4)))).collect();
        let members: Vec<u32> = (0..40).map(|i| i % 4).collect();
        assert_same_groups(&cut(&rows, 4).fit.labels, &members, 4);
    }

    #[test]
    fn groups_of_unlike_size_are_found() {
        let (rows, members) = points(&[300, 30, 30]);
        assert_same_groups(&cut(&rows, 3).fit.labels, &members, 3);
    }

    /// Of more points than the graph has nodes a share is drawn by weight, and the others are placed as those.
    #[test]
    fn many_points_are_told_apart_by_few() {
        let (rows, members) = points(&[3000, 2000, 1000]);
        let weights: Vec<f64> = members.iter().map(|&group| [1.0, 1.5, 3.0][group as usize]).collect();
        let points = Points { rows: &rows, dim: 4, weights: &weights };
        let Cut { embedding, fit, weights: drawn, .. } = spectral_cut(&Cpu::single(), points, 3, 5, 1).unwrap();
        assert!(embedding.len(4) <= MAX_LANDMARKS && embedding.len(4) == drawn.len());
        let placed = embedding.place(&Cpu::single(), &rows, 4);
        let e = embedding.width(4);
        let nearest = |row: &[f32]| {
            let distance = |center: &[f32]| row.iter().zip(center).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
            let distances: Vec<f32> = fit.centers.chunks_exact(e).map(distance).collect();
            (0..3).min_by(|&a, &b| distances[a].total_cmp(&distances[b])).unwrap() as u32
        };
        assert_same_groups(&placed.chunks_exact(e).map(nearest).collect::<Vec<_>>(), &members, 3);
        // Each group has a third of the weight, and of the landmarks'.
        let largest = |row: &[f32]| (0..4).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
        let mut share = [0.0; 4];
        embedding.landmarks.chunks_exact(4).zip(&drawn).for_each(|(row, weight)| share[largest(row)] += weight);
        let total: f64 = drawn.iter().sum();
        assert!(share[..3].iter().all(|share| (share / total - 1.0 / 3.0).abs() < 0.01), "{share:?} of {total}");
    }

    #[test]
    fn nothing_to_cut_is_no_error() {
        for rows in [vec![0.0; 12], vec![0.0, 1.0, 0.0, 0.0], [[0.0, 1.0, 0.0, 0.0]; 3].concat()] {
            let Cut { embedding, fit, .. } = cut(&rows, 2);
            let placed = embedding.place(&Cpu::single(), &rows, 4);
            assert!(placed.iter().chain(&fit.centers).all(|x| x.is_finite()));
        }
    }

    #[test]
    fn threads_do_not_matter() {
        let (rows, _) = points(&[900, 700, 900]);
        let weights: Vec<f64> = (0..2500).map(|i| 1.0 / (1 + i % 7) as f64).collect();
        let points = Points { rows: &rows, dim: 4, weights: &weights };
        let one = spectral_cut(&Cpu::single(), points, 3, 3, 0).unwrap();
        let cpu = Cpu::builder().threads(3).build().unwrap();
        assert_eq!(cpu.together(|| spectral_cut(&cpu, points, 3, 3, 0)).unwrap(), one);
    }
}
