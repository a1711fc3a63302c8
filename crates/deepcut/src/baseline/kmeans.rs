//! k-means: Lloyd's iteration from centers chosen by k-means++.
//!
//! ```text
//! min Σᵢ ‖fᵢ − μ_{l(i)}‖²
//! ```
//!
//! Source: Lloyd (1982); Arthur and Vassilvitskii, k-means++ (2007). Cost: O(n·d·k) an iteration.

use crate::kernels::parallel;
use crate::random::Random;

/// Largest number of iterations; patches of one image need about a dozen.
const ITERATIONS: usize = 100;
/// Points whose nearest centers one task finds.
const TASK_POINTS: usize = 64;

/// The cluster of each point; `points` is `[n, dim]`. With fewer distinct points than clusters, some clusters stay empty.
pub fn kmeans(points: &[f32], dim: usize, k: usize, seed: u64) -> Vec<usize> {
    let mut centers = plus_plus(points, dim, k, seed);
    let mut labels = vec![0; points.len() / dim];
    for _ in 0..ITERATIONS {
        let mut found = vec![0; labels.len()];
        let tasks = found.chunks_mut(TASK_POINTS).zip(points.chunks(TASK_POINTS * dim));
        parallel::for_each(tasks, |(found, points)| {
            found.iter_mut().zip(points.chunks_exact(dim)).for_each(|(found, point)| *found = nearest(point, &centers).0);
        });
        if found == labels && labels.iter().any(|l| *l != 0) {
            break;
        }
        labels = found;
        move_to_means(points, dim, &labels, &mut centers);
    }
    labels
}

/// Draws each center from the points, with probability proportional to the squared distance from the nearest center so far.
fn plus_plus(points: &[f32], dim: usize, k: usize, seed: u64) -> Vec<Vec<f32>> {
    let n = points.len() / dim;
    let point = |i: usize| points[i * dim..(i + 1) * dim].to_vec();
    let mut random = Random::new(seed);
    let mut centers = vec![point((f64::from(random.uniform()) * n as f64) as usize)];
    let mut distances = vec![f64::INFINITY; n];
    while centers.len() < k {
        let last = &centers[centers.len() - 1..];
        distances.iter_mut().zip(points.chunks_exact(dim)).for_each(|(d, point)| *d = d.min(nearest(point, last).1));
        let mut left = f64::from(random.uniform()) * distances.iter().sum::<f64>();
        let chosen = distances.iter().position(|d| {
            left -= d;
            left < 0.0
        });
        centers.push(point(chosen.unwrap_or(n - 1)));
    }
    centers
}

/// The nearest center and its squared distance; among equals, the first.
fn nearest(point: &[f32], centers: &[Vec<f32>]) -> (usize, f64) {
    let mut best = (0, f64::INFINITY);
    for (c, center) in centers.iter().enumerate() {
        let distance = f64::from(point.iter().zip(center).map(|(a, b)| (a - b) * (a - b)).sum::<f32>());
        if distance < best.1 {
            best = (c, distance);
        }
    }
    best
}

/// Moves each center to the mean of its points; an empty cluster's center stays.
fn move_to_means(points: &[f32], dim: usize, labels: &[usize], centers: &mut [Vec<f32>]) {
    let mut sums = vec![vec![0.0f64; dim]; centers.len()];
    let mut counts = vec![0.0f64; centers.len()];
    for (point, &label) in points.chunks_exact(dim).zip(labels) {
        counts[label] += 1.0;
        sums[label].iter_mut().zip(point).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    for ((center, sum), count) in centers.iter_mut().zip(&sums).zip(counts) {
        if count > 0.0 {
            center.iter_mut().zip(sum).for_each(|(c, sum)| *c = (sum / count) as f32);
        }
    }
}
