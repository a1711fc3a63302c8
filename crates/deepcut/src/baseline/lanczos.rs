//! Eigenvectors of the largest eigenvalues of a symmetric operator, by Lanczos' method: it needs only products with vectors.
//!
//! ```text
//! A Q = Q T + β qᵀ-remainder,   T tridiagonal,   T s = θ s   ⇒   A (Q s) ≈ θ (Q s),  residual |β s_last|
//! ```
//!
//! Source: Lanczos (1950), with full reorthogonalization (Golub and Van Loan, Matrix Computations, 10.3). Cost: one product for
//! each step, and O(n · steps²).

use crate::random::Random;

/// Largest number of steps.
const STEPS: usize = 160;
/// Number of steps between checks of the residuals.
const CHECK_INTERVAL: usize = 10;
/// Largest accepted residual relative to the eigenvalue; products in f32 are not more exact.
const TOLERANCE: f64 = 1e-6;

/// Up to `count` eigenvalues and unit eigenvectors, largest first, orthogonal to the unit vectors `known`.
///
/// Vectors have `n` values. `apply` multiplies its first argument by the operator and writes the product into its second.
pub fn largest(
    n: usize,
    count: usize,
    known: &[Vec<f64>],
    seed: u64,
    mut apply: impl FnMut(&[f64], &mut [f64]),
) -> Vec<(f64, Vec<f64>)> {
    let steps = STEPS.min(n.saturating_sub(known.len()));
    let mut random = Random::new(seed);
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let (mut diagonal, mut off_diagonal) = (Vec::new(), Vec::new());
    let mut next = vec![0.0; n];
    while basis.len() < steps {
        let mut length = orthogonalize(&mut next, known, &basis);
        if length < 1e-10 {
            // The space of products is exhausted: begin another at random, not connected to the last.
            next.iter_mut().for_each(|x| *x = f64::from(random.uniform()) - 0.5);
            length = orthogonalize(&mut next, known, &basis);
            if length < 1e-10 {
                break;
            }
            off_diagonal.push(0.0);
        } else {
            off_diagonal.push(length);
        }
        let unit: Vec<f64> = next.iter().map(|x| x / length).collect();
        apply(&unit, &mut next);
        diagonal.push(dot(&unit, &next));
        basis.push(unit);
        let m = basis.len();
        if m.is_multiple_of(CHECK_INTERVAL) && m < steps && m > count {
            let remainder = {
                let mut rest = next.clone();
                orthogonalize(&mut rest, known, &basis)
            };
            let (values, vectors) = tridiagonal(&diagonal, &off_diagonal);
            let order = descending(&values);
            let done = |&at: &usize| remainder * vectors[at][m - 1].abs() <= TOLERANCE * values[at].abs();
            if order.iter().take(count).all(done) {
                break;
            }
        }
    }
    let (values, vectors) = tridiagonal(&diagonal, &off_diagonal);
    descending(&values)
        .into_iter()
        .take(count)
        .map(|at| {
            let mut vector = vec![0.0; n];
            for (weight, q) in vectors[at].iter().zip(&basis) {
                vector.iter_mut().zip(q).for_each(|(v, q)| *v += weight * q);
            }
            (values[at], vector)
        })
        .collect()
}

/// Makes `vector` orthogonal to the unit vectors and returns its length. Two passes, because the first leaves rounding errors.
fn orthogonalize(vector: &mut [f64], known: &[Vec<f64>], basis: &[Vec<f64>]) -> f64 {
    for _ in 0..2 {
        for other in known.iter().chain(basis) {
            let along = dot(vector, other);
            vector.iter_mut().zip(other).for_each(|(v, o)| *v -= along * o);
        }
    }
    dot(vector, vector).sqrt()
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Indices of the values, largest first.
fn descending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order
}

/// Eigenvalues and eigenvectors of a tridiagonal matrix; `off_diagonal[i]` joins rows i − 1 and i, and the first value is not used.
fn tridiagonal(diagonal: &[f64], off_diagonal: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let m = diagonal.len();
    let mut matrix = vec![vec![0.0; m]; m];
    for i in 0..m {
        matrix[i][i] = diagonal[i];
        if i > 0 {
            matrix[i][i - 1] = off_diagonal[i];
            matrix[i - 1][i] = off_diagonal[i];
        }
    }
    jacobi(matrix)
}

/// Eigenvalues and unit eigenvectors of a symmetric matrix, unordered, by Jacobi's rotations (Golub and Van Loan, 8.5), until the
/// off-diagonal values vanish.
pub(super) fn jacobi(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    const SWEEPS: usize = 40;
    let n = a.len();
    // Row i is the eigenvector that row i of `a` converges to.
    let mut vectors: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let size: f64 = a.iter().flatten().map(|x| x * x).sum::<f64>().sqrt();
    for _ in 0..SWEEPS {
        let off_diagonal: f64 =
            (0..n).flat_map(|i| (0..i).map(move |j| (i, j))).map(|(i, j)| a[i][j] * a[i][j]).sum::<f64>().sqrt();
        if off_diagonal <= 1e-14 * size {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q].abs() > 1e-16 * size {
                    rotate(&mut a, &mut vectors, p, q);
                }
            }
        }
    }
    ((0..n).map(|i| a[i][i]).collect(), vectors)
}

/// Rotates rows and columns p and q so that their common element becomes zero.
fn rotate(a: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    let tau = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let t = tau.signum() / (tau.abs() + (1.0 + tau * tau).sqrt());
    let c = 1.0 / (1.0 + t * t).sqrt();
    let s = t * c;
    for row in a.iter_mut() {
        (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
    }
    for rows in [a, vectors] {
        let (upper, lower) = rows.split_at_mut(q);
        for (x, y) in upper[p].iter_mut().zip(&mut lower[0]) {
            (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
        }
    }
}
