//! Metrics of agreement between results and the ground truth, by the protocols of the field.
//!
//! | metric      | compares                       | protocol                                                                    |
//! |-------------|--------------------------------|-----------------------------------------------------------------------------|
//! | mean IoU    | masks                          | [`iou`] of each image's foreground at its own size, averaged                |
//! | accuracy    | masks                          | [`accuracy`] of each image, averaged                                        |
//! | MAE         | soft masks                     | [`mean_absolute_error`] of each image, averaged                             |
//! | maxF        | soft masks                     | [`MaxF`], two forms that are not comparable                                 |
//! | CorLoc      | one box an image               | share of the images whose box has  [`box_iou`] ≥ 0.5 with any true box     |
//! | NMI, ARI    | labels of one set of points    | [`normalized_mutual_information`], [`adjusted_rand_index`]                  |
//! | AP, AR      | instances                      | [`average_precision`], of masks and of boxes                                |
//!
//! For the keypoints of parts, NMI and ARI are computed over all points of a data set together (Choudhury et al., arXiv 2111.06349).
//!
//! [`bootstrap`] gives the confidence interval of a mean over images, [`bootstrap_of`] that of any other value of a set.

pub mod average_precision;
mod bootstrap;

use crate::components::BoundingBox;
pub use bootstrap::{bootstrap, bootstrap_of};
use std::collections::{BTreeMap, BTreeSet};

/// Intersection over union of two masks of the same size; 1 if both are empty.
///
/// ```
/// #[rustfmt::skip]
/// let found = [
///     1, 1, 0,
///     1, 1, 0,
/// ].map(|pixel| pixel == 1);
/// #[rustfmt::skip]
/// let truth = [
///     0, 1, 1,
///     0, 1, 1,
/// ].map(|pixel| pixel == 1);
/// // Two pixels are in both, six in either.
/// assert_eq!(deepcut::metrics::iou(&found, &truth), 2.0 / 6.0);
/// ```
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn iou(a: &[bool], b: &[bool]) -> f64 {
    assert_eq!(a.len(), b.len(), "masks of different sizes");
    let both = a.iter().zip(b).filter(|(a, b)| **a && **b).count();
    let either = a.iter().zip(b).filter(|(a, b)| **a || **b).count();
    if either == 0 { 1.0 } else { both as f64 / either as f64 }
}

/// The [`iou`] of a mask or of its complement with the truth, whichever is larger: the result of a perfect choice of foreground.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn oracle_iou(mask: &[bool], truth: &[bool]) -> f64 {
    let complement: Vec<bool> = mask.iter().map(|m| !m).collect();
    iou(mask, truth).max(iou(&complement, truth))
}

/// Share of the pixels on which two masks agree.
///
/// # Panics
/// If the lengths differ or are zero.
#[must_use]
pub fn accuracy(a: &[bool], b: &[bool]) -> f64 {
    assert!(a.len() == b.len() && !a.is_empty(), "masks of different sizes");
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / a.len() as f64
}

/// Mean absolute difference between a soft mask and the truth. The mask's values 0 to 255 stand for probabilities 0 to 1.
///
/// # Panics
/// If the lengths differ or are zero.
#[must_use]
pub fn mean_absolute_error(soft: &[u8], truth: &[bool]) -> f64 {
    assert!(soft.len() == truth.len() && !soft.is_empty(), "masks of different sizes");
    let error = |(&soft, &truth): (&u8, &bool)| u64::from(if truth { 255 - soft } else { soft });
    soft.iter().zip(truth).map(error).sum::<u64>() as f64 / (255.0 * soft.len() as f64)
}

/// Histogram of a soft mask's values, 0 to 255, outside and inside the truth. [`MaxF`] needs no more of an image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Histogram {
    outside: Vec<u32>,
    inside: Vec<u32>,
}

impl Histogram {
    /// Counts the pixels of one image.
    ///
    /// # Panics
    /// If the lengths differ.
    #[must_use]
    pub fn new(soft: &[u8], truth: &[bool]) -> Self {
        assert_eq!(soft.len(), truth.len(), "masks of different sizes");
        let (mut outside, mut inside) = (vec![0; 256], vec![0; 256]);
        for (&soft, &truth) in soft.iter().zip(truth) {
            let counts = if truth { &mut inside } else { &mut outside };
            counts[usize::from(soft)] += 1;
        }
        Self { outside, inside }
    }

    /// Whether it has a count for every value; one read from a file may not.
    pub(crate) fn is_whole(&self) -> bool {
        self.outside.len() == 256 && self.inside.len() == 256
    }
}

/// The largest F-measure over 256 thresholds of soft masks, `F = (1 + β²) P R / (β² P + R)`.
///
/// Papers use one name for two forms: [`MaxF::whole_set`] and [`MaxF::per_image`].
///
/// ```
/// use deepcut::metrics::{Histogram, MaxF};
///
/// let mut max_f = MaxF::default();
/// max_f.add(&Histogram::new(&[0, 100, 50, 255], &[false, false, true, true]));
/// // Above 100, the last pixel alone is found: precision 1, recall 1/2. No other threshold is as good.
/// assert!((max_f.whole_set() - 1.3 * 0.5 / (0.3 + 0.5)).abs() < 1e-9);
/// assert!((max_f.per_image() - 1.09 * 0.5 / (0.09 + 0.5)).abs() < 1e-9);
/// ```
#[derive(Debug, Clone)]
pub struct MaxF {
    images: usize,
    precision: [f64; 256],
    recall: [f64; 256],
    per_image: f64,
}

impl Default for MaxF {
    fn default() -> Self {
        Self { images: 0, precision: [0.0; 256], recall: [0.0; 256], per_image: 0.0 }
    }
}

impl MaxF {
    /// Adds one image. Pixels at or above a threshold are foreground; an empty foreground has precision 1. An image whose truth is empty is
    /// skipped, because its recall is undefined.
    pub fn add(&mut self, counts: &Histogram) {
        let positives = counts.inside.iter().fold(0u32, |sum, n| sum.saturating_add(*n));
        if positives == 0 {
            return;
        }
        let share = |part: u32, whole: u32| if whole == 0 { 1.0 } else { f64::from(part) / f64::from(whole) };
        let (mut found, mut right, mut best) = (0u32, 0u32, 0.0f64);
        for (threshold, (wrong, hits)) in counts.outside.iter().zip(&counts.inside).enumerate().take(256).rev() {
            found = found.saturating_add(*wrong).saturating_add(*hits);
            right = right.saturating_add(*hits);
            let (precision, recall) = (share(right, found), share(right, positives));
            self.precision[threshold] += precision;
            self.recall[threshold] += recall;
            best = best.max(f_measure(precision, recall, 0.3 * 0.3));
        }
        self.per_image += best;
        self.images += 1;
    }

    /// F with β² = 0.3 at the best threshold for the whole set: precision and recall are averaged over the images first, as in the saliency
    /// literature and TokenCut (arXiv 2202.11539). NaN without images.
    #[must_use]
    pub fn whole_set(&self) -> f64 {
        let n = self.images as f64;
        let values = self.precision.iter().zip(&self.recall).map(|(p, r)| f_measure(p / n, r / n, 0.3));
        values.fold(f64::NAN, f64::max)
    }

    /// Mean over the images of F with β² = 0.09 at each image's best threshold, as in the published code of FOUND (arXiv 2212.07834), which
    /// squares 0.3 once more. NaN without images.
    #[must_use]
    pub fn per_image(&self) -> f64 {
        self.per_image / self.images as f64
    }
}

fn f_measure(precision: f64, recall: f64, beta_squared: f64) -> f64 {
    let denominator = beta_squared * precision + recall;
    if denominator == 0.0 { 0.0 } else { (1.0 + beta_squared) * precision * recall / denominator }
}

/// Intersection over union of two boxes; 0 if both are empty.
///
/// ```
/// use deepcut::components::BoundingBox;
/// use deepcut::metrics::box_iou;
///
/// let square = |left| BoundingBox { top: 0, left, height: 2, width: 2 };
/// // Two cells are in both, six in either.
/// assert_eq!(box_iou(square(0), square(1)), 2.0 / 6.0);
/// assert_eq!(box_iou(square(0), square(2)), 0.0);
/// ```
#[must_use]
pub fn box_iou(a: BoundingBox, b: BoundingBox) -> f64 {
    let overlap = |a: usize, a_length: usize, b: usize, b_length: usize| {
        a.saturating_add(a_length).min(b.saturating_add(b_length)).saturating_sub(a.max(b)) as f64
    };
    let both = overlap(a.left, a.width, b.left, b.width) * overlap(a.top, a.height, b.top, b.height);
    let area = |of: BoundingBox| of.width as f64 * of.height as f64;
    let either = area(a) + area(b) - both;
    if either == 0.0 { 0.0 } else { both / either }
}

/// The number of points with label i in `a` and label j in `b`, and the number with each label.
fn contingency(a: &[usize], b: &[usize]) -> (Vec<Vec<f64>>, [Vec<f64>; 2]) {
    assert_eq!(a.len(), b.len(), "labels of different sets");
    // Labels may be any numbers: their ranks are the indices.
    let order = |of: &[usize]| -> BTreeMap<usize, usize> {
        let labels: BTreeSet<usize> = of.iter().copied().collect();
        labels.into_iter().zip(0..).collect()
    };
    let (of_a, of_b) = (order(a), order(b));
    let mut table = vec![vec![0.0; of_b.len()]; of_a.len()];
    a.iter().zip(b).for_each(|(a, b)| table[of_a[a]][of_b[b]] += 1.0);
    let rows: Vec<f64> = table.iter().map(|row| row.iter().sum()).collect();
    let columns = (0..of_b.len()).map(|j| table.iter().map(|row| row[j]).sum()).collect();
    (table, [rows, columns])
}

/// Mutual information of two labelings divided by the mean of their entropies, in [0, 1]; 1 if each has a single label.
///
/// ```
/// use deepcut::metrics::normalized_mutual_information;
///
/// // The same groups under other names; then groups that say nothing of each other.
/// assert!((normalized_mutual_information(&[0, 0, 1, 1], &[7, 7, 3, 3]) - 1.0).abs() < 1e-12);
/// assert!(normalized_mutual_information(&[0, 0, 1, 1], &[0, 1, 0, 1]).abs() < 1e-12);
/// ```
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn normalized_mutual_information(a: &[usize], b: &[usize]) -> f64 {
    let (table, counts) = contingency(a, b);
    let n = a.len() as f64;
    let information = |count: f64| if count > 0.0 { -count / n * (count / n).ln() } else { 0.0 };
    let entropy = |counts: &[f64]| counts.iter().map(|&c| information(c)).sum::<f64>();
    let [ha, hb] = counts.each_ref().map(|counts| entropy(counts));
    if ha + hb == 0.0 {
        return 1.0;
    }
    let joint: f64 = table.iter().map(|row| entropy(row)).sum();
    (2.0 * (ha + hb - joint) / (ha + hb)).clamp(0.0, 1.0)
}

/// Share of the pairs of points on which two labelings agree, corrected for chance (Hubert and Arabie 1985): 1 if the labelings are equal,
/// about 0 if they are independent.
///
/// ```
/// use deepcut::metrics::adjusted_rand_index;
///
/// assert_eq!(adjusted_rand_index(&[0, 0, 1, 1], &[7, 7, 3, 3]), 1.0);
/// // No pair is together in both, though chance would bring 2 · 2 / 6 of the six: (0 − 2/3) / (2 − 2/3).
/// assert!((adjusted_rand_index(&[0, 0, 1, 1], &[0, 1, 0, 1]) + 0.5).abs() < 1e-12);
/// ```
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn adjusted_rand_index(a: &[usize], b: &[usize]) -> f64 {
    let (table, counts) = contingency(a, b);
    let pairs = |count: f64| count * (count - 1.0) / 2.0;
    let together = |counts: &[f64]| counts.iter().map(|&c| pairs(c)).sum::<f64>();
    let both: f64 = table.iter().map(|row| together(row)).sum();
    let [in_a, in_b] = counts.each_ref().map(|counts| together(counts));
    let all = pairs(a.len() as f64);
    let (expected, largest) = (if all > 0.0 { in_a * in_b / all } else { 0.0 }, (in_a + in_b) / 2.0);
    if largest == expected { 1.0 } else { (both - expected) / (largest - expected) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        let (t, f) = (true, false);
        assert_eq!(iou(&[t, t, f, f], &[f, t, t, f]), 1.0 / 3.0);
        assert_eq!(iou(&[f, f], &[f, f]), 1.0);
        assert_eq!(oracle_iou(&[t, f, f], &[f, t, t]), 1.0);
    }

    /// As scikit-learn 1.x computed them: `normalized_mutual_info_score`, `adjusted_rand_score`.
    #[test]
    fn agreement_of_labels_is_scikit_learns() {
        let a: Vec<usize> = (0..60).map(|i| (i * i * 7 + 3 * i) % 5).collect();
        let b: Vec<usize> = (0..60).map(|i| (i * 3 + i / 7) % 4).collect();
        let c: Vec<usize> = a.iter().enumerate().map(|(i, a)| if i % 4 == 0 { (a + 1) % 5 } else { *a }).collect();
        for (other, nmi, ari) in [(&b, 0.008934157072, -0.030616782062), (&c, 0.678303417411, 0.540406663205), (&a, 1.0, 1.0)] {
            assert!((normalized_mutual_information(&a, other) - nmi).abs() < 1e-11);
            assert!((adjusted_rand_index(&a, other) - ari).abs() < 1e-11);
        }
        assert_eq!(normalized_mutual_information(&[0, usize::MAX], &[7, 1]), 1.0);
        assert_eq!((normalized_mutual_information(&[0, 0], &[1, 1]), adjusted_rand_index(&[0, 0], &[1, 1])), (1.0, 1.0));
    }

    #[test]
    fn boxes_count_pixels() {
        let a = BoundingBox { left: 0, top: 0, width: 10, height: 10 };
        assert_eq!(box_iou(a, a), 1.0);
        assert_eq!(box_iou(a, BoundingBox { left: 5, ..a }), 50.0 / 150.0);
        assert_eq!(box_iou(a, BoundingBox { left: 10, ..a }), 0.0);
        assert_eq!(box_iou(a, BoundingBox { top: 2, left: 3, width: 4, height: 5 }), 20.0 / 100.0);
    }

    /// By hand: of four pixels two are true, scored 255 and 100; the others score 150 and 0.
    #[test]
    fn f_is_the_best_over_thresholds() {
        let (soft, truth) = ([255, 100, 150, 0], [true, true, false, false]);
        let mut f = MaxF::default();
        f.add(&Histogram::new(&soft, &truth));
        let at = |precision, recall, b| f_measure(precision, recall, b);
        // Above 150: P 1, R ½. Down to 101: P ½, R ½. Down to 1: P ⅔, R 1.
        assert_eq!(f.whole_set(), at(1.0, 0.5, 0.3).max(at(2.0 / 3.0, 1.0, 0.3)));
        assert_eq!(f.per_image(), at(1.0, 0.5, 0.09));
        // Another image whose best threshold differs: the set's one threshold cannot suit both.
        f.add(&Histogram::new(&[10, 5, 0, 0], &truth));
        assert_eq!(f.per_image(), f64::midpoint(at(1.0, 0.5, 0.09), 1.0));
        assert!(f.whole_set() < f64::midpoint(at(1.0, 0.5, 0.3), 1.0));
        assert!(MaxF::default().whole_set().is_nan());
        // An empty truth is neither found nor missed.
        let before = (f.whole_set(), f.per_image());
        f.add(&Histogram::new(&soft, &[false; 4]));
        assert_eq!((f.whole_set(), f.per_image()), before);
    }

    #[test]
    fn errors_and_accuracies_are_shares() {
        let truth = [true, false, true, false];
        assert_eq!(accuracy(&[true; 4], &truth), 0.5);
        assert_eq!(mean_absolute_error(&[255, 0, 0, 51], &truth), (1.0 + 0.2) / 4.0);
    }

    proptest! {
        /// Agreement does not depend on the labels' names or order, and is at most 1.
        #[test]
        fn label_names_do_not_matter(pairs in proptest::collection::vec((0..4usize, 0..3usize), 2..60)) {
            let (a, b): (Vec<usize>, Vec<usize>) = pairs.iter().copied().unzip();
            let renamed: Vec<usize> = a.iter().map(|a| 3 - a).collect();
            for metric in [normalized_mutual_information, adjusted_rand_index] {
                prop_assert!((metric(&a, &b) - metric(&renamed, &b)).abs() < 1e-9);
                prop_assert!((metric(&a, &b) - metric(&b, &a)).abs() < 1e-9);
                prop_assert!(metric(&a, &b) <= 1.0 + 1e-12);
                prop_assert!((metric(&a, &renamed) - 1.0).abs() < 1e-9);
            }
        }


        /// Symmetric, within [0, 1], 1 only for equals; the Dice coefficient is 2 IoU / (1 + IoU).
        #[test]
        fn identities(pairs in proptest::collection::vec(any::<(bool, bool)>(), 1..200)) {
            let (a, b): (Vec<bool>, Vec<bool>) = pairs.into_iter().unzip();
            let value = iou(&a, &b);
            prop_assert_eq!(value, iou(&b, &a));
            prop_assert!((0.0..=1.0).contains(&value));
            prop_assert_eq!(value == 1.0, a == b);
            let count = |m: &[bool]| m.iter().filter(|x| **x).count() as f64;
            let both = a.iter().zip(&b).filter(|(a, b)| **a && **b).count() as f64;
            if count(&a) + count(&b) > 0.0 {
                let dice = 2.0 * both / (count(&a) + count(&b));
                prop_assert!((dice - 2.0 * value / (1.0 + value)).abs() < 1e-12);
            }
            prop_assert!(oracle_iou(&a, &b) >= value);
        }
    }
}
