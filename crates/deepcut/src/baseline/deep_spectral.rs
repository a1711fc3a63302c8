//! Deep Spectral Methods: the normalised Laplacian of features, and of colours if asked; the smaller side of its second eigenvector is the object.
//!
//! ```text
//! W = max(F̂ F̂ᵀ, 0) / max(F̂ F̂ᵀ) + λ Σ_c KNN_c
//! ```
//!
//! where symbol – meaning: `F̂` – features of length one; λ – [`Problem::color`], 0 unless asked; `KNN_c` – how often two patches are among
//! each other's nearest in colour and place, 20 neighbours with place weighing 2 and 10 with 0.1.
//!
//! Source: Melas-Kyriazi et al. (arXiv 2205.07839); published code `extract.extract_eigs`, whose λ is 0, `extract_utils.knn_affinity`, and
//! `extract_single_region_segmentations` for the side. Colours are of the picture at the grid's size there and here; what differs is in
//! `PARITY.md`. Cost: O(n²·d).

use super::{Appearance, Problem, spectral};
use crate::graph::{Graph, GraphError};
use crate::kernels::Left;
use crate::kernels::Start;
use crate::kernels::packed::Packed;
use crate::kernels::parallel;

/// Neighbours, and what a distance in place weighs against one in colour.
const NEIGHBORS: [(usize, f32); 2] = [(20, 2.0), (10, 0.1)];

/// Which nodes are the object.
///
/// # Errors
/// [`GraphError`] if the affinities are not finite.
pub fn object(problem: &Problem<'_>) -> Result<Vec<bool>, GraphError> {
    let unit = problem.features.normalized(1.0);
    let (n, dim) = (unit.nodes(), unit.dim());
    let mut affinity = vec![0.0; n * n];
    let right = Packed::from_columns(unit.data(), dim, n);
    problem.cpu.isa.gemm_parallel(Left::row_major(unit.data(), n, dim), &right, Start::Zero, &mut affinity);
    let most = affinity.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    parallel::for_each(affinity.chunks_mut(n), |row| row.iter_mut().for_each(|w| *w = w.max(0.0) / most));
    if let Some(appearance) = problem.appearance.filter(|_| problem.color > 0.0) {
        for (count, place) in NEIGHBORS {
            for (i, neighbors) in nearest(appearance, count, place).into_iter().enumerate() {
                for j in neighbors {
                    affinity[i * n + j] += problem.color;
                    affinity[j * n + i] += problem.color;
                }
            }
        }
    }
    let graph = Graph::from_affinity(problem.cpu, n, affinity)?;
    let vectors = spectral::eigenvectors(&graph, 1, problem.seed);
    let mut side: Vec<bool> = vectors.first().map_or_else(|| vec![false; n], |second| second.iter().map(|y| *y > 0.0).collect());
    if 2 * side.iter().filter(|s| **s).count() > n {
        side.iter_mut().for_each(|s| *s = !*s);
    }
    Ok(side)
}

/// The `count` nearest nodes of each, itself among them, by colour and place; the first of equals.
fn nearest(Appearance { colors, grid: (height, width) }: Appearance<'_>, count: usize, place: f32) -> Vec<Vec<usize>> {
    let n = colors.len() / 3;
    let share = |at: usize, size: usize| place * at as f32 / (size.max(2) - 1) as f32;
    let points: Vec<[f32; 5]> = colors
        .chunks_exact(3)
        .enumerate()
        .map(|(i, c)| [c[0], c[1], c[2], share(i / width, height), share(i % width, width)])
        .collect();
    let distance = |a: &[f32; 5], b: &[f32; 5]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let of = |point: &[f32; 5]| {
        let mut all: Vec<(f32, usize)> = points.iter().map(|other| distance(point, other)).zip(0..n).collect();
        let order = |a: &(f32, usize), b: &(f32, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if count < n {
            all.select_nth_unstable_by(count, order);
        }
        // Not into what `all` took: n lists of n would be kept.
        all.iter().take(count).map(|&(_, j)| j).collect()
    };
    let mut found = vec![Vec::new(); n];
    parallel::for_each(found.iter_mut().zip(&points), |(found, point)| *found = of(point));
    found
}
