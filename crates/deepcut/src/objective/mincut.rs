//! The paper's normalized-cut loss: a relaxed cut, and a term that keeps the clusters orthogonal and equal in size.
//!
//! ```text
//! L(S) = − Tr(Sᵀ W S) / Tr(Sᵀ D S)  +  ‖ G/‖G‖_F − I/√k ‖_F,     G = Sᵀ S
//! ```
//!
//! | symbol | code         | shape  | meaning              |
//! |--------|--------------|--------|----------------------|
//! | W      | –            | [n, n] | affinity, ≥ 0        |
//! | D      | `degree`     | `[n]`  | row sums of W        |
//! | S      | `assignment` | [n, k] | each row sums to one |
//!
//! Source: Bianchi, Grattarola and Alippi (arXiv 1907.00481), equation 9; DeepCut (arXiv 2212.05853);
//! reference code `gnn_pool.GNNpool.loss`. Cost: O(n·k²) in addition to the product `W S`.

use super::inner;

/// Returns the value. `gradient` holds `W S` on entry and `dL/dS` on return. Without edges the cut term is zero.
pub(super) fn evaluate(degree: &[f32], assignment: &[f32], k: usize, gradient: &mut [f32]) -> f32 {
    // Cut term −a/v: its gradient is (a/v · 2 D S − 2 W S) / v.
    let association = inner(assignment, gradient);
    let volume: f64 = assignment
        .chunks_exact(k)
        .zip(degree)
        .map(|(row, &d)| f64::from(d) * row.iter().map(|&s| f64::from(s) * f64::from(s)).sum::<f64>())
        .sum();
    let (cut, scale) = if volume > 0.0 { (association / volume, 2.0 / volume) } else { (0.0, 0.0) };

    // Balance term ‖U‖, U = G/‖G‖ − I/√k: its gradient is 2 S (U/‖G‖ − G ⟨U, G⟩/‖G‖³) / ‖U‖.
    let gram = gram(assignment, k);
    let gram_norm = norm(&gram);
    let diagonal = 1.0 / (k as f64).sqrt();
    let unit: Vec<f64> =
        gram.iter().enumerate().map(|(at, g)| g / gram_norm - if at / k == at % k { diagonal } else { 0.0 }).collect();
    let balance = norm(&unit);
    let along: f64 = unit.iter().zip(&gram).map(|(u, g)| u * g).sum::<f64>() / gram_norm.powi(3);
    let gram_gradient: Vec<f64> = unit
        .iter()
        .zip(&gram)
        .map(|(u, g)| if balance > f64::EPSILON { 2.0 * (u / gram_norm - g * along) / balance } else { 0.0 })
        .collect();

    for ((row, s), d) in gradient.chunks_exact_mut(k).zip(assignment.chunks_exact(k)).zip(degree) {
        for (c, g) in row.iter_mut().enumerate() {
            let pull = (cut * f64::from(*d) * f64::from(s[c]) - f64::from(*g)) * scale;
            let spread: f64 = s.iter().enumerate().map(|(j, s)| f64::from(*s) * gram_gradient[j * k + c]).sum();
            *g = (pull + spread) as f32;
        }
    }
    (balance - cut) as f32
}

/// `SᵀS`, `[k, k]`.
fn gram(assignment: &[f32], k: usize) -> Vec<f64> {
    let mut gram = vec![0.0; k * k];
    for row in assignment.chunks_exact(k) {
        for (line, a) in gram.chunks_exact_mut(k).zip(row) {
            line.iter_mut().zip(row).for_each(|(g, b)| *g += f64::from(*a) * f64::from(*b));
        }
    }
    gram
}

fn norm(matrix: &[f64]) -> f64 {
    matrix.iter().map(|x| x * x).sum::<f64>().sqrt()
}
