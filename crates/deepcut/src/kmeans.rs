//! k-means of weighted points: Lloyd's iteration from centers chosen by k-means++, the best of some restarts.
//!
//! ```text
//! min Σₚ wₚ ‖x_p − μ_{l(p)}‖²
//! ```
//!
//! | symbol | code      | shape      | meaning                                                                  |
//! |--------|-----------|------------|--------------------------------------------------------------------------|
//! | x      | `rows`    | [n, d]     | the points, such as features of patches                                  |
//! | w      | `weights` | `[n]`      | one; over many images one over the number of patches of a patch's image  |
//! | μ      | `centers` | [k, d]     | the clusters' centers                                                    |
//!
//! Sources: Lloyd (1982); Arthur and Vassilvitskii, k-means++ (2007). Sums are taken over chunks of fixed size and then in their order, so that
//! threads do not matter. Cost: O(n·d·k) an iteration.

use crate::cpu::Cpu;
use crate::kernels::parallel;
use crate::kernels::{Left, Right, Start};
use crate::random::Random;

/// Largest number of iterations of a restart; patches of one image need about a dozen.
const ITERATIONS: usize = 100;
/// Points that one task works on.
const TASK_POINTS: usize = 1024;

/// Points with weights.
#[derive(Clone, Copy)]
pub(crate) struct Points<'a> {
    /// `[n, dim]`.
    pub rows: &'a [f32],
    pub dim: usize,
    /// `[n]`, positive.
    pub weights: &'a [f64],
}

/// Centers, and how well they fit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fit {
    /// `[k, dim]`.
    pub centers: Vec<f32>,
    /// The nearest center of each point, `[n]`.
    pub labels: Vec<u32>,
    /// Weighted sum of the points' squared distances.
    pub distortion: f64,
}

/// The best of `restarts` runs. With fewer distinct points than k, some centers are equal and the later ones have no point.
///
/// # Panics
/// If there are no points.
pub(crate) fn kmeans(cpu: &Cpu, points: Points<'_>, k: usize, restarts: usize, seed: u64) -> Fit {
    let squares: Vec<f32> = points.rows.chunks_exact(points.dim).map(|row| row.iter().map(|x| x * x).sum()).collect();
    let mut random = Random::new(seed);
    let run = |random: &mut Random| {
        let start = plus_plus(cpu, points, &squares, k, random);
        lloyd(cpu, points, &squares, start)
    };
    let mut best = run(&mut random);
    for _ in 1..restarts {
        let fit = run(&mut random);
        if fit.distortion < best.distortion {
            best = fit;
        }
    }
    best
}

fn lloyd(cpu: &Cpu, points: Points<'_>, squares: &[f32], mut centers: Vec<f32>) -> Fit {
    let (mut labels, mut distortion) = nearest(cpu, points, squares, &centers);
    for _ in 0..ITERATIONS {
        move_to_means(points, &labels, &mut centers);
        let (found, now) = nearest(cpu, points, squares, &centers);
        let is_done = found == labels;
        (labels, distortion) = (found, now);
        if is_done {
            break;
        }
    }
    Fit { centers, labels, distortion }
}

/// Squared distances of every point from every center, `[n, k]`, never below 0.
fn distances(cpu: &Cpu, points: Points<'_>, squares: &[f32], centers: &[f32]) -> Vec<f32> {
    let (n, dim) = (squares.len(), points.dim);
    let k = centers.len() / dim;
    let columns: Vec<f32> = (0..dim * k).map(|at| centers[at % k * dim + at / k]).collect();
    let of_centers: Vec<f32> = centers.chunks_exact(dim).map(|row| row.iter().map(|x| x * x).sum()).collect();
    let mut out = vec![0.0; n * k];
    let tasks = out.chunks_mut(TASK_POINTS * k).zip(points.rows.chunks(TASK_POINTS * dim)).zip(squares.chunks(TASK_POINTS));
    parallel::for_each(tasks, |((out, rows), squares)| {
        cpu.isa.gemm(Left::row_major(rows, squares.len(), dim), Right::row_major(&columns, dim, k), Start::Zero, out);
        for (row, square) in out.chunks_exact_mut(k).zip(squares) {
            row.iter_mut().zip(&of_centers).for_each(|(d, center)| *d = (square + center - 2.0 * *d).max(0.0));
        }
    });
    out
}

/// The nearest center of each point, among equals the first; and the weighted sum of squared distances.
fn nearest(cpu: &Cpu, points: Points<'_>, squares: &[f32], centers: &[f32]) -> (Vec<u32>, f64) {
    let k = centers.len() / points.dim;
    let mut distortion = 0.0;
    let labels = distances(cpu, points, squares, centers)
        .chunks_exact(k)
        .zip(points.weights)
        .map(|(row, weight)| {
            let mut best = 0;
            for (c, distance) in row.iter().enumerate() {
                if *distance < row[best] {
                    best = c;
                }
            }
            distortion += weight * f64::from(row[best]);
            best as u32
        })
        .collect();
    (labels, distortion)
}

/// Draws each center from the points, with probability proportional to weight and squared distance from the nearest center so far.
fn plus_plus(cpu: &Cpu, points: Points<'_>, squares: &[f32], k: usize, random: &mut Random) -> Vec<f32> {
    let (n, dim) = (squares.len(), points.dim);
    let mut share = points.weights.to_vec();
    let mut nearest = vec![f32::INFINITY; n];
    let mut centers = Vec::with_capacity(k * dim);
    for c in 0..k {
        if c > 0 {
            let last = distances(cpu, points, squares, &centers[(c - 1) * dim..]);
            nearest.iter_mut().zip(last).for_each(|(nearest, last)| *nearest = nearest.min(last));
            share.iter_mut().zip(points.weights).zip(&nearest).for_each(|((s, w), d)| *s = w * f64::from(*d));
        }
        let mut left = f64::from(random.uniform()) * share.iter().sum::<f64>();
        let chosen = share.iter().position(|share| {
            left -= share;
            left < 0.0
        });
        let chosen = chosen.unwrap_or(n - 1);
        centers.extend_from_slice(&points.rows[chosen * dim..(chosen + 1) * dim]);
    }
    centers
}

/// Moves each center to the weighted mean of its points; one without points stays.
fn move_to_means(points: Points<'_>, labels: &[u32], centers: &mut [f32]) {
    let dim = points.dim;
    let k = centers.len() / dim;
    // Per task: sums [k, dim], then weights [k].
    let mut partial = vec![vec![0.0f64; k * dim + k]; labels.len().div_ceil(TASK_POINTS)];
    let given = points.rows.chunks(TASK_POINTS * dim).zip(labels.chunks(TASK_POINTS)).zip(points.weights.chunks(TASK_POINTS));
    parallel::for_each(partial.iter_mut().zip(given), |(sums, ((rows, labels), weights))| {
        for ((row, &label), weight) in rows.chunks_exact(dim).zip(labels).zip(weights) {
            let label = label as usize;
            sums[label * dim..(label + 1) * dim].iter_mut().zip(row).for_each(|(sum, x)| *sum += weight * f64::from(*x));
            sums[k * dim + label] += weight;
        }
    });
    let mut total = vec![0.0f64; k * dim + k];
    partial.iter().for_each(|sums| total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum));
    let (sums, weights) = total.split_at(k * dim);
    for ((center, sum), &weight) in centers.chunks_exact_mut(dim).zip(sums.chunks_exact(dim)).zip(weights) {
        if weight > 0.0 {
            center.iter_mut().zip(sum).for_each(|(c, sum)| *c = (sum / weight) as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three far groups in the plane, of 40, 2 and 2 points.
    fn groups() -> (Vec<f32>, Vec<u32>) {
        let at = |group: usize, i: usize| {
            let (x, y) = [(0.0, 0.0), (10.0, 0.0), (10.0, 4.0)][group];
            [x + (i % 7) as f32 * 0.1, y + (i % 5) as f32 * 0.1]
        };
        let members: Vec<usize> = (0..44).map(|i| if i < 40 { 0 } else { 1 + i % 2 }).collect();
        (members.iter().enumerate().flat_map(|(i, &group)| at(group, i)).collect(), members.iter().map(|&g| g as u32).collect())
    }

    #[test]
    fn far_groups_are_found() {
        let (rows, members) = groups();
        let points = Points { rows: &rows, dim: 2, weights: &[1.0; 44] };
        for seed in 0..5 {
            let fit = kmeans(&Cpu::single(), points, 3, 10, seed);
            let names: std::collections::BTreeSet<_> = fit.labels.iter().zip(&members).collect();
            assert_eq!(names.len(), 3, "seed {seed}: {:?}", fit.labels);
        }
    }

    /// With two centers the heavy points have one each, however few they are.
    #[test]
    fn weights_decide_which_groups_share_a_center() {
        let (rows, members) = groups();
        let weights: Vec<f64> = members.iter().map(|&group| if group == 0 { 1e-4 } else { 1.0 }).collect();
        let fit = kmeans(&Cpu::single(), Points { rows: &rows, dim: 2, weights: &weights }, 2, 10, 0);
        assert_ne!(fit.labels[40], fit.labels[41]);
        let even = kmeans(&Cpu::single(), Points { rows: &rows, dim: 2, weights: &[1.0; 44] }, 2, 10, 0);
        assert_eq!(even.labels[40], even.labels[41]);
    }

    #[test]
    fn more_centers_than_points_are_no_error() {
        let fit = kmeans(&Cpu::single(), Points { rows: &[1.0, 2.0, 1.0, 2.0], dim: 2, weights: &[0.5; 2] }, 4, 3, 0);
        assert_eq!((fit.labels, fit.distortion), (vec![0, 0], 0.0));
    }

    #[test]
    fn threads_do_not_matter() {
        let rows: Vec<f32> = (0..5000 * 3).map(|i| ((i * i * 7 + 3 * i) % 101) as f32 / 50.0).collect();
        let weights: Vec<f64> = (0..5000).map(|i| 1.0 / (1 + i % 13) as f64).collect();
        let points = Points { rows: &rows, dim: 3, weights: &weights };
        let one = kmeans(&Cpu::single(), points, 5, 3, 1);
        let cpu = Cpu::builder().threads(3).build().unwrap();
        assert_eq!(cpu.together(|| kmeans(&cpu, points, 5, 3, 1)), one);
    }
}
