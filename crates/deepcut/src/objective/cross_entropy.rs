//! Cross-entropy of a soft assignment with a soft target, to be added to an objective: it keeps the assignment near the target.
//!
//! ```text
//! L(S) = − w/n · Σᵢₖ tᵢₖ ln sᵢₖ
//! dL/dSᵢₖ = − w/n · tᵢₖ / sᵢₖ
//! ```
//!
//! | symbol | code         | shape  | meaning               |
//! |--------|--------------|--------|-----------------------|
//! | S      | `assignment` | [n, k] | each row sums to one  |
//! | t      | `target`     | [n, k] | each row sums to one  |
//! | w      | `weight`     |        | ≥ 0                   |
//!
//! Cost: O(n·k).

/// Smaller probabilities count as this, so that value and gradient are finite.
const LEAST: f32 = 1e-30;

/// Returns the value, and adds its gradient to `gradient`; all of `k` columns.
///
/// # Panics
/// If the lengths differ.
pub(crate) fn add(assignment: &[f32], target: &[f32], k: usize, weight: f32, gradient: &mut [f32]) -> f32 {
    assert!(assignment.len() == target.len() && target.len() == gradient.len(), "a target for another assignment");
    let share = weight * k as f32 / assignment.len() as f32;
    let mut sum = 0.0f64;
    for ((s, t), g) in assignment.iter().zip(target).zip(gradient) {
        let s = s.max(LEAST);
        sum -= f64::from(t * s.ln());
        *g -= share * t / s;
    }
    (f64::from(share) * sum) as f32
}
