//! Logistic regression of shares: the plane through features that tells objects from background.
//!
//! ```text
//! z_i  = (x_i − μ) / σ                                        each feature by its own mean and deviation
//! L    = 1/n Σ_i [ln(1 + exp a_i) − y_i a_i] + λ ‖w‖²,        a_i = w · z_i + b
//! ```
//!
//! | symbol | code           | shape    | meaning                                            |
//! |--------|----------------|----------|----------------------------------------------------|
//! | x      | `rows`         | [n, dim] | features of patches                                |
//! | y      | `shares`       | [n]      | how much of each patch is object, in [0, 1]        |
//! | μ, σ   | `mean`, `scale` | `[dim]` | mean of the features, reciprocal of their deviation |
//! | λ      | `RIDGE`        |          | strength of the ridge; the bias b has none         |
//!
//! L is strictly convex in w, so the answer does not depend on the way to it. The way is L-BFGS (Nocedal 1980) with backtracking: Newton's
//! matrix of a thousand features would cost more than all the steps. Sums are in f64, over parts of fixed size in a fixed order, so that
//! the plane is the same whatever the number of threads.
//!
//! Reference: `Plane` in `training/teacher.py`. Cost: O(n · dim) a step, some dozens of steps.

use crate::cpu::Cpu;
use crate::kernels::parallel;
use std::collections::VecDeque;

/// Strength of the ridge, that of the reference.
const RIDGE: f64 = 1e-2;
/// Added to deviations, so that a feature that never changes counts for nothing.
const LEAST_DEVIATION: f64 = 1e-6;
/// Rows of a part: one task of a thread.
const PART: usize = 512;
/// Steps whose curvature is remembered.
const MEMORY: usize = 10;
/// Most steps.
const MAX_STEPS: usize = 300;
/// The gradient's largest component at which the plane is taken as found.
const TOLERANCE: f64 = 1e-7;

/// A plane: the logit of features x is `bias + weight · (x − mean)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    /// Weights, `[dim]`.
    pub weight: Vec<f64>,
    /// Mean of the features that it was fitted on, `[dim]`.
    pub mean: Vec<f64>,
    /// The logit at the mean.
    pub bias: f64,
}

/// The objective on standardized rows.
struct Loss<'a> {
    rows: &'a [f32],
    shares: &'a [f32],
    dim: usize,
}

/// The plane that fits shares best: see the module's documentation. `rows` is `[n, dim]`, finite, and is overwritten. There is at least one row.
pub fn fit(cpu: &Cpu, rows: &mut [f32], shares: &[f32], dim: usize) -> Plane {
    let (mean, scale) = standardize(rows, dim);
    let loss = Loss { rows, shares, dim };
    // The bias is the last parameter; it begins where all weights are zero at the optimum.
    let share = (shares.iter().map(|y| f64::from(*y)).sum::<f64>() / shares.len() as f64).clamp(1e-6, 1.0 - 1e-6);
    let mut start = vec![0.0; dim + 1];
    start[dim] = (share / (1.0 - share)).ln();
    let found = cpu.together(|| minimize(start, |parameters, gradient| loss.evaluate(parameters, gradient)));
    let weight = found[..dim].iter().zip(&scale).map(|(w, scale)| w * scale).collect();
    Plane { weight, mean, bias: found[dim] }
}

/// Subtracts each column's mean and divides by its deviation. Returns the means and the deviations' reciprocals.
fn standardize(rows: &mut [f32], dim: usize) -> (Vec<f64>, Vec<f64>) {
    let n = (rows.len() / dim) as f64;
    let mut mean = vec![0.0; dim];
    for row in rows.chunks_exact(dim) {
        mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    mean.iter_mut().for_each(|sum| *sum /= n);
    let mut scale = vec![0.0; dim];
    for row in rows.chunks_exact(dim) {
        scale.iter_mut().zip(&mean).zip(row).for_each(|((sum, mean), x)| *sum += (f64::from(*x) - mean).powi(2));
    }
    scale.iter_mut().for_each(|sum| *sum = 1.0 / ((*sum / (n - 1.0).max(1.0)).sqrt() + LEAST_DEVIATION));
    for row in rows.chunks_exact_mut(dim) {
        row.iter_mut().zip(&mean).zip(&scale).for_each(|((x, mean), scale)| *x = ((f64::from(*x) - mean) * scale) as f32);
    }
    (mean, scale)
}

impl Loss<'_> {
    /// The loss; its gradient is written to `gradient`. Both have the weights first, then the bias.
    fn evaluate(&self, parameters: &[f64], gradient: &mut [f64]) -> f64 {
        let Self { dim, .. } = *self;
        let (weight, bias) = (&parameters[..dim], parameters[dim]);
        let parts = self.shares.len().div_ceil(PART);
        // Of each part: its gradient, then its loss.
        let mut sums = vec![0.0; parts * (dim + 2)];
        let tasks = self.rows.chunks(PART * dim).zip(self.shares.chunks(PART)).zip(sums.chunks_exact_mut(dim + 2));
        parallel::for_each(tasks, |((rows, shares), sums)| {
            for (row, share) in rows.chunks_exact(dim).zip(shares) {
                let (logit, share) = (bias + dot(weight, row), f64::from(*share));
                // Neither exponential overflows.
                sums[dim + 1] += logit.max(0.0) - share * logit + (-logit.abs()).exp().ln_1p();
                let excess = 1.0 / (1.0 + (-logit).exp()) - share;
                sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += excess * f64::from(*x));
                sums[dim] += excess;
            }
        });
        let mut total = vec![0.0; dim + 2];
        for sums in sums.chunks_exact(dim + 2) {
            total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }
        let n = self.shares.len() as f64;
        for (gradient, (total, weight)) in gradient.iter_mut().zip(total.iter().zip(weight.iter().chain([&0.0]))) {
            *gradient = total / n + 2.0 * RIDGE * weight;
        }
        total[dim + 1] / n + RIDGE * weight.iter().map(|w| w * w).sum::<f64>()
    }
}

/// A product in eight sums: the compiler may not reorder one.
fn dot(weight: &[f64], row: &[f32]) -> f64 {
    let mut sums = [0.0; 8];
    let (pairs, rest) = (weight.as_chunks::<8>(), row.as_chunks::<8>());
    for (w, x) in pairs.0.iter().zip(rest.0) {
        for i in 0..8 {
            sums[i] += w[i] * f64::from(x[i]);
        }
    }
    pairs.1.iter().zip(rest.1).map(|(w, x)| w * f64::from(*x)).sum::<f64>() + sums.iter().sum::<f64>()
}

/// The minimum of a smooth, strictly convex function, from `x` on. The function returns its value and writes its gradient.
fn minimize(mut x: Vec<f64>, mut function: impl FnMut(&[f64], &mut [f64]) -> f64) -> Vec<f64> {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut gradient = vec![0.0; x.len()];
    let mut value = function(&x, &mut gradient);
    // Differences of places and of gradients, the latest last.
    let mut memory: VecDeque<(Vec<f64>, Vec<f64>)> = VecDeque::new();
    for _ in 0..MAX_STEPS {
        if gradient.iter().all(|g| g.abs() <= TOLERANCE) {
            break;
        }
        let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let mut shares = Vec::with_capacity(memory.len());
        for (s, y) in memory.iter().rev() {
            let share = product(s, &direction) / product(s, y);
            direction.iter_mut().zip(y).for_each(|(d, y)| *d -= share * y);
            shares.push(share);
        }
        // The inverse of the curvature along the last step; at first, a step of length one at most.
        let scale = match memory.back() {
            Some((s, y)) => product(s, y) / product(y, y),
            None => 1.0 / product(&gradient, &gradient).sqrt().max(1.0),
        };
        direction.iter_mut().for_each(|d| *d *= scale);
        for ((s, y), share) in memory.iter().zip(shares.iter().rev()) {
            let correction = share - product(y, &direction) / product(s, y);
            direction.iter_mut().zip(s).for_each(|(d, s)| *d += correction * s);
        }
        let slope = product(&direction, &gradient);
        let (mut step, mut next, mut next_gradient) = (1.0, x.clone(), vec![0.0; x.len()]);
        let next_value = loop {
            next.iter_mut().zip(&x).zip(&direction).for_each(|((next, x), d)| *next = x + step * d);
            let next_value = function(&next, &mut next_gradient);
            if next_value <= value + 1e-4 * step * slope || step < 1e-10 {
                break next_value;
            }
            step *= 0.5;
        };
        // Rounding leaves nothing to gain, or the step overflowed.
        if next_value.partial_cmp(&value) != Some(std::cmp::Ordering::Less) {
            break;
        }
        let s: Vec<f64> = next.iter().zip(&x).map(|(next, x)| next - x).collect();
        let y: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(next, g)| next - g).collect();
        if product(&s, &y) > 0.0 {
            memory.push_back((s, y));
        }
        if memory.len() > MEMORY {
            memory.pop_front();
        }
        (x, gradient, value) = (next, next_gradient, next_value);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    /// Rows around two centers on a line through `dim` dimensions, far from zero, and the shares of the second.
    fn clouds(n: usize, dim: usize) -> (Vec<f32>, Vec<f32>) {
        let mut random = Random::new(7);
        let (mut rows, mut shares) = (Vec::new(), Vec::new());
        for i in 0..n {
            let side = (i % 3 == 0) as u8 as f32;
            rows.extend((0..dim).map(|at| 100.0 + 3.0 * at as f32 + side * (at % 4) as f32 + 4.0 * random.uniform()));
            shares.push(0.1 + 0.8 * side);
        }
        (rows, shares)
    }

    /// The loss of a plane, written once more: as the equation stands, without standardized rows.
    fn loss(plane: &Plane, rows: &[f32], shares: &[f32], deviation: &[f64]) -> f64 {
        let dim = plane.weight.len();
        let cross_entropy = |(row, y): (&[f32], &f32)| {
            let a = plane.bias
                + row.iter().zip(&plane.weight).zip(&plane.mean).map(|((x, w), m)| w * (f64::from(*x) - m)).sum::<f64>();
            let p = 1.0 / (1.0 + (-a).exp());
            -f64::from(*y) * p.ln() - (1.0 - f64::from(*y)) * (1.0 - p).ln()
        };
        let ridge: f64 = plane.weight.iter().zip(deviation).map(|(w, d)| (w * d).powi(2)).sum();
        rows.chunks_exact(dim).zip(shares).map(cross_entropy).sum::<f64>() / shares.len() as f64 + RIDGE * ridge
    }

    /// Four points on a line, symmetric about 2: with w standardized, the optimum solves tanh-like equation `y' = 2 λ w`, found by bisection.
    #[test]
    fn one_feature_is_solved_by_hand() {
        let mut rows = [1.0f32, 1.0, 3.0, 3.0];
        let shares = [0.0f32, 0.0, 1.0, 1.0];
        let plane = fit(&Cpu::single(), &mut rows, &shares, 1);
        // z = ±√(3/4): the sample's deviation is √(4/3). The gradient: −z (1 − p(z w)) + 2 λ w = 0.
        let deviation = (4.0f64 / 3.0).sqrt();
        let z = 1.0 / deviation;
        let (mut low, mut high) = (0.0f64, 100.0f64);
        for _ in 0..200 {
            let w = (low + high) / 2.0;
            let slope = -z / (1.0 + (z * w).exp()) + 2.0 * RIDGE * w;
            if slope < 0.0 { low = w } else { high = w }
        }
        assert!((plane.weight[0] - low / deviation).abs() < 1e-5, "{plane:?} {low}");
        assert!((plane.mean[0] - 2.0).abs() < 1e-12 && plane.bias.abs() < 1e-6);
    }

    #[test]
    fn at_the_optimum_the_loss_is_flat_by_finite_differences() {
        let (n, dim) = (700, 9);
        let (rows, shares) = clouds(n, dim);
        let plane = fit(&Cpu::single(), &mut rows.clone(), &shares, dim);
        let deviation: Vec<f64> = (0..dim)
            .map(|at| {
                let sum: f64 = rows.chunks_exact(dim).map(|row| (f64::from(row[at]) - plane.mean[at]).powi(2)).sum();
                (sum / (n - 1) as f64).sqrt()
            })
            .collect();
        let h = 1e-4;
        let slope = |change: &dyn Fn(&mut Plane, f64)| {
            let at = |h: f64| {
                let mut moved = plane.clone();
                change(&mut moved, h);
                loss(&moved, &rows, &shares, &deviation)
            };
            (at(h) - at(-h)) / (2.0 * h)
        };
        for (at, deviation) in deviation.iter().enumerate() {
            let slope = slope(&|plane, h| plane.weight[at] += h / deviation);
            assert!(slope.abs() < 1e-6, "weight {at}: {slope}");
        }
        assert!(slope(&|plane, h| plane.bias += h).abs() < 1e-6);
        // Elsewhere it is not flat, so the test can fail.
        let away = Plane { bias: plane.bias + 0.1, ..plane.clone() };
        assert!(loss(&away, &rows, &shares, &deviation) > loss(&plane, &rows, &shares, &deviation) + 1e-4);
    }

    #[test]
    fn planes_do_not_depend_on_threads() {
        let (rows, shares) = clouds(2000, 5);
        let plane = |cpu: &Cpu| fit(cpu, &mut rows.clone(), &shares, 5);
        let one = plane(&Cpu::single());
        for threads in [2, 5] {
            assert_eq!(plane(&Cpu::builder().threads(threads).build().unwrap()), one);
        }
    }

    #[test]
    fn a_feature_that_never_changes_and_a_feature_twice_do_no_harm() {
        let (rows, shares) = clouds(300, 4);
        let wide: Vec<f32> = rows.chunks_exact(4).flat_map(|row| [row[3], row[3], 5.0]).collect();
        let plane = fit(&Cpu::single(), &mut wide.clone(), &shares, 3);
        assert!(plane.weight.iter().all(|w| w.is_finite()) && plane.weight[2] == 0.0);
        assert!((plane.weight[0] - plane.weight[1]).abs() < 1e-6 && plane.weight[0] > 0.1, "{plane:?}");
    }
}
