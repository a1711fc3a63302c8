//! How many clusters points have, by the elbow of k-means: more clusters are taken until one more explains little.
//!
//! ```text
//! k = the first with E(k) − E(k + 1) < elbow · E(1)       E: the distortion of k-means
//! ```
//!
//! The elbow of Amir et al. (arXiv 2112.05814, `cosegmentation.py`) compares E(k + 1) with E(k) instead; where little is left to explain, that goes on
//! to split noise.

use crate::cpu::Cpu;
use crate::kmeans::{Fit, Points, kmeans};
use crate::progress::{Cancelled, Observer, Step, begin};

/// k-means with as many clusters as the elbow says, from `least` to `most` but not more than there are points.
pub(super) fn kmeans_at_elbow(
    cpu: &Cpu,
    points: Points<'_>,
    [least, most]: [usize; 2],
    elbow: f64,
    restarts: usize,
    seed: u64,
    observe: &mut Observer<'_>,
) -> Result<Fit, Cancelled> {
    let most = most.min(points.weights.len()).max(least);
    let least_gain = elbow * kmeans(cpu, points, 1, 1, seed).distortion;
    let mut best = kmeans(cpu, points, least, restarts, seed);
    for k in least + 1..=most {
        begin(observe, Step::Train { epoch: k })?;
        let next = kmeans(cpu, points, k, restarts, seed);
        if best.distortion - next.distortion <= least_gain {
            break;
        }
        best = next;
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::go_on;

    /// Groups of ten points each, in corners of a cube that are far from each other.
    #[test]
    fn as_many_clusters_as_groups() {
        for groups in 2..=6usize {
            let at = |i: usize| {
                let group = i % groups;
                (0..3).map(move |axis| (group >> axis & 1) as f32 * 10.0 + ((i * 7 + axis * 3) % 11) as f32 * 0.02)
            };
            let rows: Vec<f32> = (0..groups * 10).flat_map(at).collect();
            let points = Points { rows: &rows, dim: 3, weights: &vec![1.0; groups * 10] };
            let fit = kmeans_at_elbow(&Cpu::single(), points, [2, 8], 0.05, 10, 0, &mut go_on).unwrap();
            assert_eq!(fit.centers.len() / 3, groups);
        }
    }

    #[test]
    fn no_more_clusters_than_points() {
        let points = Points { rows: &[0.0, 1.0, 5.0], dim: 1, weights: &[1.0; 3] };
        let fit = kmeans_at_elbow(&Cpu::single(), points, [2, 8], 0.001, 10, 0, &mut go_on).unwrap();
        assert_eq!(fit.centers.len(), 3);
    }
}
