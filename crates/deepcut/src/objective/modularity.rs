//! Modularity with a term against collapse.
//!
//! ```text
//! L(S) = − Tr(Sᵀ B S) / 2m  +  √k/n · ‖Sᵀ1‖ − 1,     B = W − D Dᵀ / 2m,   2m = 1ᵀ D
//! ```
//!
//! | symbol | code         | shape  | meaning                         |
//! |--------|--------------|--------|---------------------------------|
//! | W      | –            | [n, n] | affinity, ≥ 0                   |
//! | D      | `degree`     | `[n]`  | row sums of W, here as a column |
//! | S      | `assignment` | [n, k] | each row sums to one            |
//!
//! Source: Tsitsulin, Palowitch, Perozzi and Müller, Graph Clustering with Graph Neural Networks (DMoN), equation 4.
//! Cost: O(n·k) in addition to the product `W S`.

use super::inner;
use crate::cpu::Cpu;

/// Returns the value. `gradient` holds `W S` on entry and `dL/dS` on return. Without edges the modularity term is zero.
pub(super) fn evaluate(cpu: &Cpu, degree: &[f32], assignment: &[f32], k: usize, gradient: &mut [f32]) -> f32 {
    let nodes = degree.len() as f64;
    let total: f64 = degree.iter().map(|&d| f64::from(d)).sum();
    let scale = if total > 0.0 { 1.0 / total } else { 0.0 };
    let association = inner(assignment, gradient);
    let weighted: Vec<f32> = assignment.chunks_exact(k).zip(degree).flat_map(|(row, d)| row.iter().map(move |s| s * d)).collect();
    // Sᵀ D, [k].
    let volume = cpu.isa.column_sums(&weighted, k);
    let sizes = cpu.isa.column_sums(assignment, k);
    let size_norm = sizes.iter().map(|s| s * s).sum::<f64>().sqrt();
    let collapse = (k as f64).sqrt() / nodes;
    for (row, d) in gradient.chunks_exact_mut(k).zip(degree) {
        for ((g, volume), size) in row.iter_mut().zip(&volume).zip(&sizes) {
            let pull = -2.0 * scale * (f64::from(*g) - f64::from(*d) * volume * scale);
            *g = (pull + collapse * size / size_norm) as f32;
        }
    }
    let expected: f64 = volume.iter().map(|v| v * v).sum::<f64>() * scale;
    (collapse * size_norm - 1.0 - (association - expected) * scale) as f32
}
