//! Confidence intervals by the percentile bootstrap over images: means, and values of a whole set.

use crate::random::Random;

/// Samples of a bootstrap.
const DRAWS: usize = 2000;

/// The 95 % confidence interval of a mean by the percentile bootstrap: 2000 samples, drawn with replacement and as large as `values`.
///
/// The samples are the same in every run. None for fewer than two values, which say nothing about their spread.
#[must_use]
pub fn bootstrap(values: &[f64]) -> Option<[f64; 2]> {
    let n = values.len();
    if n < 2 {
        return None;
    }
    let mut random = Random::new(0);
    let mut draw = || values[(random.next() % n as u64) as usize];
    let mut means: Vec<f64> = (0..DRAWS).map(|_| (0..n).map(|_| draw()).sum::<f64>() / n as f64).collect();
    means.sort_by(f64::total_cmp);
    Some([means[DRAWS / 40], means[DRAWS - 1 - DRAWS / 40]])
}

/// 95 % confidence intervals of values that are not means over images, by the percentile bootstrap: 2000 samples, drawn with replacement and as
/// large as the set. `values` computes them of a sample, given how often each image is in it; samples for which a value is NaN do not count.
///
/// The samples are the same in every run, whatever the number of threads. None for fewer than two images, or if a value is NaN for every sample.
///
/// ```
/// use deepcut::metrics::bootstrap_of;
///
/// // The share of images whose number is even, as of a mean.
/// let share = |weights: &[u32]| {
///     let even: u32 = weights.iter().step_by(2).sum();
///     [f64::from(even) / f64::from(weights.iter().sum::<u32>())]
/// };
/// let [[low, high]] = bootstrap_of(400, share).unwrap();
/// assert!((0.5 - low - 0.049).abs() < 0.01 && (high - 0.5 - 0.049).abs() < 0.01);
/// ```
#[must_use]
pub fn bootstrap_of<const N: usize>(images: usize, values: impl Fn(&[u32]) -> [f64; N] + Sync) -> Option<[[f64; 2]; N]> {
    use rayon::prelude::*;
    if images < 2 {
        return None;
    }
    // Each sample has its own numbers, so that any thread may draw it.
    let mut seeds = Random::new(0);
    let seeds: Vec<u64> = (0..DRAWS).map(|_| seeds.next()).collect();
    let sample = |weights: &mut Vec<u32>, seed: u64| {
        let mut random = Random::new(seed);
        weights.fill(0);
        (0..images).for_each(|_| weights[(random.next() % images as u64) as usize] += 1);
        values(weights)
    };
    let drawn: Vec<[f64; N]> = seeds.into_par_iter().map_init(|| vec![0; images], sample).collect();
    let mut intervals = [[0.0; 2]; N];
    for (at, interval) in intervals.iter_mut().enumerate() {
        let mut values: Vec<f64> = drawn.iter().map(|values| values[at]).filter(|value| !value.is_nan()).collect();
        values.sort_by(f64::total_cmp);
        let tail = values.len() / 40;
        *interval = [*values.get(tail)?, *values.get(values.len() - 1 - tail)?];
    }
    Some(intervals)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mean of n fair coins has a standard deviation of 1 / (2 √n).
    #[test]
    fn the_interval_is_as_wide_as_the_draws_vary() {
        let coins: Vec<f64> = (0..400).map(|i| f64::from(i % 2)).collect();
        let [low, high] = bootstrap(&coins).unwrap();
        let expected = 1.96 / (2.0 * 20.0);
        assert!((high - 0.5 - expected).abs() < 0.01 && (0.5 - low - expected).abs() < 0.01, "{low} to {high}");
        assert_eq!(bootstrap(&[0.25; 2]), Some([0.25, 0.25]));
        assert_eq!((bootstrap(&[0.25]), bootstrap(&[])), (None, None));
    }

    /// Of a mean both say the same, but for the draws.
    #[test]
    fn weights_draw_as_values_do() {
        let values: Vec<f64> = (0..300).map(|i| f64::from(i * i % 17)).collect();
        let mean = |weights: &[u32]| {
            let sum: f64 = weights.iter().zip(&values).map(|(&weight, value)| f64::from(weight) * value).sum();
            [sum / f64::from(weights.iter().sum::<u32>()), 1.0, f64::NAN]
        };
        assert_eq!(bootstrap_of(values.len(), mean), None, "a value is NaN in every sample");
        let [ours, constant] = bootstrap_of(values.len(), |weights| [mean(weights)[0], mean(weights)[1]]).unwrap();
        let theirs = bootstrap(&values).unwrap();
        assert!(ours.into_iter().zip(theirs).all(|(a, b)| (a - b).abs() < 0.1), "{ours:?} {theirs:?}");
        assert_eq!(constant, [1.0; 2]);
        assert_eq!(bootstrap_of(1, |_| [1.0]), None);
    }
}
