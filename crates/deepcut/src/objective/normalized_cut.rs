//! The normalized cut of Shi and Malik for soft assignments: the exact ratio for every cluster.
//!
//! ```text
//! L(S) = − Σ_k aₖ / vₖ,     aₖ = sₖᵀ W sₖ,   vₖ = sₖᵀ D 1
//! dL/dSᵢₖ = − (2 (W S)ᵢₖ − aₖ/vₖ · Dᵢ) / vₖ
//! ```
//!
//! | symbol | code         | shape  | meaning                       |
//! |--------|--------------|--------|-------------------------------|
//! | W      | –            | [n, n] | affinity, ≥ 0                 |
//! | D      | `degree`     | `[n]`  | row sums of W                 |
//! | S      | `assignment` | [n, k] | each row sums to one          |
//!
//! L is the normalized cut minus k: −k if no edge joins two clusters, −1 if all clusters are equal.
//! Source: Shi and Malik, Normalized Cuts and Image Segmentation (2000). The published code has only its relaxation, `mincut`.
//! Cost: O(n·k) in addition to the product `W S`.

use crate::cpu::Cpu;

/// Returns the value. `gradient` holds `W S` on entry and `dL/dS` on return. A cluster without volume adds nothing.
pub(super) fn evaluate(cpu: &Cpu, degree: &[f32], assignment: &[f32], k: usize, gradient: &mut [f32]) -> f32 {
    let volume = volumes(degree, assignment, k);
    let products: Vec<f32> = assignment.iter().zip(gradient.iter()).map(|(s, ws)| s * ws).collect();
    let association = cpu.isa.column_sums(&products, k);
    let ratio: Vec<f64> = association.iter().zip(&volume).map(|(a, v)| if *v > 0.0 { a / v } else { 0.0 }).collect();
    for (row, d) in gradient.chunks_exact_mut(k).zip(degree) {
        for ((g, ratio), volume) in row.iter_mut().zip(&ratio).zip(&volume) {
            let slope = (ratio * f64::from(*d) - 2.0 * f64::from(*g)) / volume;
            *g = if *volume > 0.0 { slope as f32 } else { 0.0 };
        }
    }
    -ratio.iter().sum::<f64>() as f32
}

/// The volumes `Sᵀ D 1`, `[k]`.
fn volumes(degree: &[f32], assignment: &[f32], k: usize) -> Vec<f64> {
    let mut volume = vec![0.0; k];
    for (row, d) in assignment.chunks_exact(k).zip(degree) {
        volume.iter_mut().zip(row).for_each(|(v, s)| *v += f64::from(*s) * f64::from(*d));
    }
    volume
}
