//! What the network says of objects, as a prior of the cut.
//!
//! ```text
//! l ← (1 − α) l + α · Σⱼ wᵢⱼ lⱼ / Σⱼ wᵢⱼ      twice; j the ten nearest patches by cosine, w = cos⁴, α = ½
//! S = sigmoid(l + network)                     the network's output layer begins at zero
//! L = normalized cut(S) + weight · cross-entropy(S, sigmoid(l))
//! ```
//!
//! | symbol | code       | shape  | meaning                                   |
//! |--------|------------|--------|-------------------------------------------|
//! | l      | `log_odds` | `[n]`  | log-odds that a patch belongs to an object |
//!
//! Patches that look alike get a like prior; then training moves it as far as the graph's edges ask for and the cross-entropy allows. Which
//! side is the object needs no vote: the prior says. `docs/method.md` has what was tried besides.

use crate::graph::Neighbors;
use crate::train::Assignment;

/// Patches that a patch's prior is averaged over.
pub(super) const NEIGHBORS: usize = 10;
/// α: share of the neighbors' mean.
const SHARE: f32 = 0.5;
/// How often it is averaged.
const ROUNDS: usize = 2;
/// Log-odds beyond this say no more; sums and means of them stay finite.
pub(super) const MOST_ODDS: f32 = 80.0;

/// The cluster of the background where a prior says which side is the object; the other is 1.
pub(super) const BACKGROUND: usize = 0;

/// Log-odds of an object, `[nodes]`, averaged over patches that look alike.
pub(super) fn propagated(neighbors: &Neighbors, log_odds: &[f32]) -> Vec<f32> {
    let bounded = log_odds.iter().map(|l| l.clamp(-MOST_ODDS, MOST_ODDS)).collect();
    (0..ROUNDS).fold(bounded, |log_odds: Vec<f32>, _| neighbors.average(&log_odds, SHARE))
}

/// The logits of background and object, `[nodes, 2]`, that have these log-odds.
pub(super) fn logits(log_odds: &[f32]) -> Vec<f32> {
    log_odds.iter().flat_map(|&l| [0.0, l]).collect()
}

/// The log-odds of the object in an assignment of two clusters, `[nodes]`.
pub(super) fn log_odds(assignment: &Assignment) -> Vec<f32> {
    let odds = |row: &[f32]| match row {
        &[background, object] => object.max(f32::MIN_POSITIVE).ln() - background.max(f32::MIN_POSITIVE).ln(),
        _ => 0.0,
    };
    assignment.soft.chunks_exact(2).map(odds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Cpu;
    use crate::graph::NodeFeatures;

    /// Two pairs of patches, each alike, with nothing in common.
    #[test]
    fn patches_that_look_alike_come_together() {
        let features = NodeFeatures::new(4, 2, vec![1.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 3.0]).unwrap();
        let neighbors = Neighbors::nearest(&Cpu::single(), &features, NEIGHBORS);
        // Each is the mean of both after one round, and stays.
        assert_eq!(propagated(&neighbors, &[4.0, -1.0, 2.0, -5.0]), [3.0, -3.0, 3.0, -3.0]);
        let far = propagated(&neighbors, &[f32::MAX, f32::MIN, f32::MAX, f32::MAX]);
        assert_eq!(far, [MOST_ODDS, 0.0, MOST_ODDS, 0.0]);
        let one = NodeFeatures::new(1, 2, vec![1.0, 0.0]).unwrap();
        assert_eq!(propagated(&Neighbors::nearest(&Cpu::single(), &one, NEIGHBORS), &[2.0]), [2.0]);
    }

    #[test]
    fn log_odds_are_read_back() {
        let given = [-MOST_ODDS, -20.0, 0.0, 0.5, 30.0, MOST_ODDS];
        let mut soft = logits(&given);
        Cpu::single().isa.softmax(&mut soft, 2);
        let found = log_odds(&Assignment { n_clusters: 2, soft, loss: 0.0 });
        for (found, given) in found.iter().zip(given) {
            assert!((found - given).abs() < 1e-3, "{found}, not {given}");
        }
        let sure = log_odds(&Assignment { n_clusters: 2, soft: vec![1.0, 0.0, 0.0, 1.0], loss: 0.0 });
        assert!(sure[0] < -MOST_ODDS && sure[1] > MOST_ODDS && sure.iter().all(|l| l.is_finite()), "{sure:?}");
    }
}
