//! Deep Spectral Methods: cuts the second eigenvector of the normalized Laplacian at zero. The object is the smaller cluster.
//!
//! ```text
//! W = max(F̂ F̂ᵀ, 0) / max(F̂ F̂ᵀ) + λ Σ_c KNN_c
//! ```
//!
//! where symbol – meaning: `F̂` – features scaled to length one; λ – [`Problem::color`], 0 by default; `KNN_c` – 1 if patch j is among the
//! nearest neighbors of patch i by color and position, plus 1 if i is among those of j. c selects 20 neighbors with a weight of 2 on the
//! position, or 10 with 0.1.
//!
//! Source: Melas-Kyriazi et al. (arXiv 2205.07839); published code `extract.extract_eigs`, whose λ is 0, `extract_utils.knn_affinity`, and
//! `extract_single_region_segmentations` for the choice of the object. Colors are those of the image at the grid's size, as there;
//! `PARITY.md` lists the differences. Cost: O(n²·d).

use super::{Appearance, Problem, spectral};
use crate::graph::{Graph, GraphError};
use crate::kernels::Left;
use crate::kernels::Start;
use crate::kernels::packed::Packed;
use crate::kernels::parallel;

/// Number of neighbors, and weight of a distance in position relative to one in color.
const NEIGHBORS: [(usize, f32); 2] = [(20, 2.0), (10, 0.1)];

/// Whether each node is in the object.
///
/// # Errors
/// [`GraphError`] if the affinities are not finite.
pub fn object(problem: &Problem<'_>) -> Result<Vec<bool>, GraphError> {
    let unit = problem.features.normalized(1.0);
    let (n, dim) = (unit.nodes(), unit.dim());
    let mut affinity = vec![0.0; n * n];
    let right = Packed::from_columns(unit.data(), dim, n);
    problem.cpu.isa.gemm_parallel(Left::row_major(unit.data(), n, dim), &right, Start::Zero, &mut affinity);
    let largest = affinity.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    parallel::for_each(affinity.chunks_mut(n), |row| row.iter_mut().for_each(|w| *w = w.max(0.0) / largest));
    if let Some(appearance) = problem.appearance.filter(|_| problem.color > 0.0) {
        for (count, weight) in NEIGHBORS {
            for (i, neighbors) in nearest(appearance, count, weight).into_iter().enumerate() {
                for j in neighbors {
                    affinity[i * n + j] += problem.color;
                    affinity[j * n + i] += problem.color;
                }
            }
        }
    }
    let graph = Graph::from_affinity(problem.cpu, n, affinity)?;
    let vectors = spectral::eigenvectors(&graph, 1, problem.seed);
    let mut inside: Vec<bool> =
        vectors.first().map_or_else(|| vec![false; n], |second| second.iter().map(|y| *y > 0.0).collect());
    if 2 * inside.iter().filter(|inside| **inside).count() > n {
        inside.iter_mut().for_each(|inside| *inside = !*inside);
    }
    Ok(inside)
}

/// The `count` nearest nodes of each node by color and position, itself included; among equals, the first. `weight` multiplies positions.
fn nearest(Appearance { colors, grid: (height, width) }: Appearance<'_>, count: usize, weight: f32) -> Vec<Vec<usize>> {
    let n = colors.len() / 3;
    let position = |at: usize, size: usize| weight * at as f32 / (size.max(2) - 1) as f32;
    let points: Vec<[f32; 5]> = colors
        .chunks_exact(3)
        .enumerate()
        .map(|(i, c)| [c[0], c[1], c[2], position(i / width, height), position(i % width, width)])
        .collect();
    let distance = |a: &[f32; 5], b: &[f32; 5]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let neighbors = |point: &[f32; 5]| {
        let mut all: Vec<(f32, usize)> = points.iter().map(|other| distance(point, other)).zip(0..n).collect();
        let order = |a: &(f32, usize), b: &(f32, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if count < n {
            all.select_nth_unstable_by(count, order);
        }
        // A new list, as `all` would keep memory for n.
        all.iter().take(count).map(|&(_, j)| j).collect()
    };
    let mut found = vec![Vec::new(); n];
    parallel::for_each(found.iter_mut().zip(&points), |(found, point)| *found = neighbors(point));
    found
}
