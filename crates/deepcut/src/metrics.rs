//! How well a mask agrees with the truth.

/// Intersection over union of two masks of one size; 1 if both are empty.
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

/// The larger of a mask's and its complement's [`iou`] with the truth: what a perfect choice of side would reach.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn oracle_iou(mask: &[bool], truth: &[bool]) -> f64 {
    let complement: Vec<bool> = mask.iter().map(|m| !m).collect();
    iou(mask, truth).max(iou(&complement, truth))
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

    proptest! {
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
