//! Average precision and average recall of instances, whatever their class, by the protocol of COCO.
//!
//! ```text
//! AP_t = 1/101 Σ_r  max { precision_t(j) : recall_t(j) ≥ r },  r = 0, 0.01, … 1        AP = mean of AP_t over t = 0.50, 0.55, … 0.95
//! AR@m = mean over t of the share of objects that one of an image's m best detections is matched to
//! ```
//!
//! | symbol | meaning                                                                                                      |
//! |--------|--------------------------------------------------------------------------------------------------------------|
//! | t      | IoU that a detection needs with an object to be right                                                       |
//! | j      | detections of all images, best score first; among equal scores in the order of the images, then as given     |
//! | m      | 1, 10 or 100; precision is of the 100 best of each image                                                     |
//!
//! **Matching**, for each image and t: detections, the best first, each take the object of highest IoU ≥ t that none has taken; among equal
//! IoU the later object. A *crowd* stands for many objects: it is taken only where no object is, by any number of detections, the IoU with it
//! is the share of the detection inside it, and neither it nor detections matched to it count.
//!
//! The area range is "all". An image without objects counts: what is found in it is wrong.
//!
//! Source: Lin et al., Microsoft COCO (arXiv 1405.0312). Equal to `COCOeval` of pycocotools with `useCats` 0 on `segm` and `bbox`;
//! `tests/fixtures/generate_instances.py` has its figures. One difference: pycocotools takes an annotation of id 0 for none.
//! Cost of an image: O(detections × objects) overlaps of run lengths.

use super::bootstrap_of;
use crate::components::BoundingBox;
use crate::instances::Instance;
use crate::rle::Rle;
use serde::{Deserialize, Serialize};

/// What [`Ranking::values`] holds, in order.
pub const NAMES: [&str; 6] = ["AP", "AP50", "AP75", "AR@1", "AR@10", "AR@100"];

/// Number of values t.
const STEPS: usize = 10;
/// Detections of an image that recall is measured with.
const MOST: [usize; 3] = [1, 10, 100];
/// Number of recalls r.
const RECALLS: usize = 101;

/// An object of an image's truth.
#[derive(Debug, Clone, PartialEq)]
pub struct TrueObject {
    /// Its pixels.
    pub mask: Rle,
    /// Its box: left, top, width and height, in pixels and their parts.
    pub bounds: [f64; 4],
    /// Whether it stands for many objects that nobody told apart.
    pub is_crowd: bool,
}

impl TrueObject {
    /// An object with the box that its pixels have. None if it has no pixels.
    #[must_use]
    pub fn of_mask(mask: Rle) -> Option<Self> {
        let bounds = sides(mask.bounds()?);
        Some(Self { mask, bounds, is_crowd: false })
    }
}

/// Left, top, width and height.
fn sides(b: BoundingBox) -> [f64; 4] {
    [b.left, b.top, b.width, b.height].map(|side| side as f64)
}

/// A detection, and what it was matched to: bit i is of the i-th t.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Detection {
    score: f64,
    /// Whether it was matched, be it to a crowd.
    matched: u16,
    /// Whether that was a crowd.
    ignored: u16,
}

/// How the detections of one image were matched. [`Ranking`] needs no more of an image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Matches {
    /// Objects that count.
    objects: u32,
    /// The best first.
    detections: Vec<Detection>,
}

impl Matches {
    /// Objects that count: all but crowds.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.objects as usize
    }

    /// Detections that count; those matched to a crowd at IoU 0.5 do not.
    #[must_use]
    pub fn detections(&self) -> usize {
        self.detections.iter().filter(|detection| detection.ignored & 1 == 0).count()
    }

    /// Objects that were found with IoU ≥ 0.5.
    #[must_use]
    pub fn found(&self) -> usize {
        self.detections.iter().filter(|detection| detection.matched & !detection.ignored & 1 == 1).count()
    }

    /// AP of this image alone. Without an object: 1 if nothing was found either, else 0.
    #[must_use]
    pub fn average_precision(&self) -> f64 {
        if self.objects == 0 {
            return f64::from(u8::from(self.detections() == 0));
        }
        Ranking::new([self]).values(&[1])[0]
    }

    /// Whether the numbers are such as are written; those read from a file may not be.
    pub(crate) fn is_whole(&self) -> bool {
        let is_whole = |d: &Detection| d.score.is_finite() && d.matched >> STEPS == 0 && d.ignored & !d.matched == 0;
        self.detections.len() <= MOST[2] && self.detections.iter().all(is_whole)
    }

    /// Matches detections, the best first, to objects. `is_crowd` is of every object, `iou` the overlap of detection and object.
    fn new(scores: &[f64], is_crowd: &[bool], iou: impl Fn(usize, usize) -> f64) -> Self {
        // Objects first, crowds after them.
        let (counted, crowds): (Vec<usize>, Vec<usize>) = (0..is_crowd.len()).partition(|&object| !is_crowd[object]);
        let overlaps: Vec<Vec<f64>> =
            (0..scores.len()).map(|d| (0..is_crowd.len()).map(|object| iou(d, object)).collect()).collect();
        let mut detections: Vec<Detection> = scores.iter().map(|&score| Detection { score, matched: 0, ignored: 0 }).collect();
        for (step, threshold) in thresholds().into_iter().enumerate() {
            let mut taken = vec![false; is_crowd.len()];
            for (detection, overlaps) in detections.iter_mut().zip(&overlaps) {
                let best = |among: &[usize], taken: &[bool]| {
                    let free = among.iter().copied().filter(|&object| !taken[object] && overlaps[object] >= threshold);
                    free.fold(None, |best: Option<usize>, object| match best {
                        Some(best) if overlaps[best] > overlaps[object] => Some(best),
                        _ => Some(object),
                    })
                };
                if let Some(object) = best(&counted, &taken) {
                    taken[object] = true;
                    detection.matched |= 1 << step;
                } else if best(&crowds, &taken).is_some() {
                    detection.matched |= 1 << step;
                    detection.ignored |= 1 << step;
                }
            }
        }
        Self { objects: counted.len() as u32, detections }
    }
}

/// Matches the instances of an image to its truth, by their masks and by their boxes. Instances count in the order of their scores, at most
/// 100; among equal scores in the order given. All masks have the image's size.
#[must_use]
pub fn match_instances(found: &[Instance], truth: &[TrueObject]) -> [Matches; 2] {
    let mut order: Vec<&Instance> = found.iter().collect();
    order.sort_by(|a, b| descending(a.score, b.score));
    order.truncate(MOST[2]);
    let scores: Vec<f64> = order.iter().map(|instance| instance.score).collect();
    let is_crowd: Vec<bool> = truth.iter().map(|object| object.is_crowd).collect();
    let of_truth: Vec<([f64; 4], f64)> =
        truth.iter().map(|object| (object.mask.bounds().map_or([0.0; 4], sides), object.mask.area() as f64)).collect();
    let of_found: Vec<([f64; 4], f64)> =
        order.iter().map(|instance| (instance.mask.bounds().map_or([0.0; 4], sides), instance.mask.area() as f64)).collect();
    let masks = Matches::new(&scores, &is_crowd, |d, object| {
        let ((found_box, found_area), (true_box, true_area)) = (of_found[d], of_truth[object]);
        if common(found_box, true_box) == 0.0 {
            return 0.0;
        }
        let both = order[d].mask.intersection(&truth[object].mask) as f64;
        share(both, found_area, true_area, is_crowd[object])
    });
    let boxes = Matches::new(&scores, &is_crowd, |d, object| {
        let (found, truth) = (of_found[d].0, truth[object].bounds);
        share(common(found, truth), found[2] * found[3], truth[2] * truth[3], is_crowd[object])
    });
    [masks, boxes]
}

/// The area that two boxes share.
fn common(a: [f64; 4], b: [f64; 4]) -> f64 {
    let width = (a[2] + a[0]).min(b[2] + b[0]) - a[0].max(b[0]);
    let height = (a[3] + a[1]).min(b[3] + b[1]) - a[1].max(b[1]);
    if width > 0.0 && height > 0.0 { width * height } else { 0.0 }
}

/// Intersection over union, or over the detection if the object is a crowd.
fn share(both: f64, found: f64, truth: f64, is_crowd: bool) -> f64 {
    if both > 0.0 { both / if is_crowd { found } else { found + truth - both } } else { 0.0 }
}

fn descending(a: f64, b: f64) -> std::cmp::Ordering {
    // Zero has two signs, which are equal here.
    (b + 0.0).total_cmp(&(a + 0.0))
}

/// As numpy divides a range, to the last bit: an IoU of 3/4 is at a threshold.
fn thresholds() -> [f64; STEPS] {
    let step = (0.95 - 0.5) / (STEPS - 1) as f64;
    std::array::from_fn(|i| if i + 1 == STEPS { 0.95 } else { i as f64 * step + 0.5 })
}

/// Detections of many images, the best first.
#[derive(Debug, Clone)]
pub struct Ranking {
    /// Image, and [`Detection::matched`] and [`Detection::ignored`]: small, because every sample of a bootstrap goes through them.
    detections: Vec<(u32, [u16; 2])>,
    objects: Vec<u32>,
    /// For every image, number of the best detections and t: objects found.
    found: Vec<[[u32; STEPS]; MOST.len()]>,
}

impl Ranking {
    /// Of images, in the order that decides among equal scores.
    #[must_use]
    pub fn new<'a>(images: impl IntoIterator<Item = &'a Matches>) -> Self {
        let (mut detections, mut objects, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for (image, matches) in (0..).zip(images) {
            detections.extend(matches.detections.iter().map(|&detection| (image, detection)));
            objects.push(matches.objects);
            found.push(MOST.map(|most| {
                let best = || matches.detections.iter().take(most);
                std::array::from_fn(|t| best().map(|d| u32::from((d.matched & !d.ignored) >> t & 1)).sum())
            }));
        }
        let by_score = |a: &(u32, Detection), b: &(u32, Detection)| descending(a.1.score, b.1.score);
        detections.sort_by(by_score);
        let small = |(image, Detection { matched, ignored, .. })| (image, [matched, ignored]);
        Self { detections: detections.into_iter().map(small).collect(), objects, found }
    }

    /// Number of images.
    #[must_use]
    pub fn images(&self) -> usize {
        self.objects.len()
    }

    /// AP, AP50, AP75, AR@1, AR@10 and AR@100 ([`NAMES`]) of the images, each as often as its weight says. NaN without objects.
    ///
    /// # Panics
    /// If there is not a weight for every image.
    #[must_use]
    pub fn values(&self, weights: &[u32]) -> [f64; 6] {
        assert_eq!(weights.len(), self.images(), "a weight for every image");
        let weighted = |counts: &mut dyn Iterator<Item = u32>| -> f64 {
            weights.iter().zip(counts).map(|(&weight, count)| u64::from(weight) * u64::from(count)).sum::<u64>() as f64
        };
        let objects = weighted(&mut self.objects.iter().copied());
        if objects == 0.0 {
            return [f64::NAN; 6];
        }
        let precision: [f64; STEPS] = self.precisions(weights, objects);
        let recall = |most: usize| {
            let of_step = |t: usize| weighted(&mut self.found.iter().map(|found| found[most][t])) / objects;
            (0..STEPS).map(of_step).sum::<f64>() / STEPS as f64
        };
        let mean = precision.iter().sum::<f64>() / STEPS as f64;
        [mean, precision[0], precision[5], recall(0), recall(1), recall(2)]
    }

    /// AP at every t.
    fn precisions(&self, weights: &[u32], objects: f64) -> [f64; STEPS] {
        let mut curve = Vec::new();
        std::array::from_fn(|t| {
            curve.clear();
            self.curve(weights, t, &mut curve);
            interpolated(&mut curve, objects)
        })
    }

    /// Objects found and precision wherever another is found: a maximum lies nowhere else.
    fn curve(&self, weights: &[u32], t: usize, curve: &mut Vec<(u64, f64)>) {
        let (mut right, mut wrong) = (0u64, 0u64);
        for &(image, [matched, ignored]) in &self.detections {
            let weight = u64::from(weights[image as usize]);
            if weight == 0 || ignored >> t & 1 == 1 {
                continue;
            }
            if matched >> t & 1 == 1 {
                right += weight;
                curve.push((right, right as f64 / (wrong + right) as f64));
            } else {
                wrong += weight;
            }
        }
    }

    /// 95 % intervals of [`Ranking::values`] by the bootstrap over images; None for fewer than two images.
    #[must_use]
    pub fn intervals(&self) -> Option<[[f64; 2]; 6]> {
        bootstrap_of(self.images(), |weights| self.values(weights))
    }

    /// AP less that of another ranking of the same images, and its interval: what the images have in common cancels.
    ///
    /// # Panics
    /// If the rankings are not of as many images.
    #[must_use]
    pub fn difference(&self, other: &Self) -> (f64, Option<[f64; 2]>) {
        let of = |weights: &[u32]| self.values(weights)[0] - other.values(weights)[0];
        (of(&vec![1; self.images()]), bootstrap_of(self.images(), |weights| [of(weights)]).map(|[interval]| interval))
    }
}

/// Mean over recalls of the best precision from there on.
fn interpolated(curve: &mut [(u64, f64)], objects: f64) -> f64 {
    let mut best = 0.0f64;
    for (_, precision) in curve.iter_mut().rev() {
        best = best.max(*precision);
        *precision = best;
    }
    let mut at = 0;
    let mut sum = 0.0;
    for i in 0..RECALLS {
        let wanted = if i + 1 == RECALLS { 1.0 } else { i as f64 * (1.0 / (RECALLS - 1) as f64) };
        while curve.get(at).is_some_and(|(found, _)| (*found as f64 / objects) < wanted) {
            at += 1;
        }
        sum += curve.get(at).map_or(0.0, |(_, precision)| *precision);
    }
    sum / RECALLS as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(objects: u32, detections: &[(f64, u16, u16)]) -> Matches {
        let detection = |&(score, matched, ignored): &(f64, u16, u16)| Detection { score, matched, ignored };
        Matches { objects, detections: detections.iter().map(detection).collect() }
    }

    /// Two objects; the second of three detections is wrong. Precision 1 up to recall ½ (51 of the recalls), then ⅔.
    #[test]
    fn precision_is_interpolated() {
        let all = (1 << STEPS) - 1;
        let image = matches(2, &[(0.9, all, 0), (0.8, 0, 0), (0.7, 1, 0)]);
        let [ap, ap50, ap75, ar1, ar10, ar100] = Ranking::new([&image]).values(&[1]);
        let (half, whole) = (51.0 / 101.0, (51.0 + 50.0 * 2.0 / 3.0) / 101.0);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        close(ap50, whole);
        close(ap75, half);
        close(ap, (whole + 9.0 * half) / 10.0);
        close(ar1, 0.5);
        close(ar10, (1.0 + 9.0 * 0.5) / 10.0);
        assert_eq!(ar10, ar100);
        assert_eq!((image.objects(), image.detections(), image.found()), (2, 3, 2));
    }

    #[test]
    fn crowds_take_what_no_object_takes_and_count_for_nothing() {
        // The first detection lies in the crowd and on the object, the others in the crowd alone.
        let iou = |d: usize, object: usize| [[0.9, 0.6], [0.8, 0.1], [0.7, 0.1]][d][object];
        let found = Matches::new(&[0.9, 0.8, 0.7], &[true, false], iou);
        assert_eq!((found.objects, found.detections(), found.found()), (1, 1, 1));
        // 0.60 is the third of the thresholds.
        let list: Vec<_> = found.detections.iter().map(|d| (d.matched, d.ignored)).collect();
        assert_eq!(list, [(0b1_1111_1111, 0b1_1111_1000), (0b111_1111, 0b111_1111), (0b1_1111, 0b1_1111)]);
        assert!(found.is_whole());
    }

    #[test]
    fn among_equal_overlaps_the_later_object_is_taken() {
        let found = Matches::new(&[0.9, 0.8], &[false, false], |d, object| if (d, object) == (1, 0) { 0.4 } else { 0.5 });
        // Were the first object taken first, the second detection would find the other.
        assert_eq!(found.found(), 1);
    }

    #[test]
    fn images_without_objects_count() {
        let all = (1 << STEPS) - 1;
        let (right, wrong) = (matches(1, &[(0.5, all, 0)]), matches(0, &[(0.9, 0, 0)]));
        let nothing = Matches::default();
        assert_eq!(Ranking::new([&right, &wrong]).values(&[1, 1])[0], 0.5);
        assert_eq!(Ranking::new([&right, &nothing]).values(&[1, 1])[0], Ranking::new([&right]).values(&[1])[0]);
        assert!(Ranking::new([&wrong]).values(&[1])[0].is_nan() && Ranking::new([]).intervals().is_none());
        assert_eq!((wrong.average_precision(), nothing.average_precision()), (0.0, 1.0));
        // What was found in a crowd is not wrong.
        assert_eq!(matches(0, &[(0.9, all, all)]).average_precision(), 1.0);
    }

    #[test]
    fn thresholds_are_numpys() {
        assert_eq!(thresholds()[5], 0.75);
        assert_eq!(thresholds().map(|t| (t * 100.0).round()), [50.0, 55.0, 60.0, 65.0, 70.0, 75.0, 80.0, 85.0, 90.0, 95.0]);
    }

    prop_compose! {
        fn image()(objects in 0..4u32, detections in proptest::collection::vec((0..5u8, 0..1024u16, 0..1024u16), 0..6)) -> Matches {
            let mut list: Vec<_> =
                detections.into_iter().map(|(score, matched, crowd)| (f64::from(score) / 4.0, matched, matched & crowd)).collect();
            list.sort_by(|a, b| descending(a.0, b.0));
            // No more are found than there are.
            for t in 0..STEPS {
                let mut left = objects;
                for (_, matched, ignored) in &mut list {
                    if (*matched & !*ignored) >> t & 1 == 1 {
                        if left == 0 { *matched &= !(1 << t) } else { left -= 1 }
                    }
                }
            }
            matches(objects, &list)
        }
    }

    proptest! {
        /// A weight of two is the image twice; one of zero is no image. Scores are made unlike: among equals the order would differ.
        #[test]
        fn weights_are_copies(mut images in proptest::collection::vec((image(), 0..4u32), 1..6)) {
            for (i, (image, _)) in images.iter_mut().enumerate() {
                image.detections.iter_mut().enumerate().for_each(|(j, d)| d.score -= (i * 10 + j) as f64 * 1e-3);
                image.detections.sort_by(|a, b| descending(a.score, b.score));
            }
            let weights: Vec<u32> = images.iter().map(|(_, weight)| *weight).collect();
            let values = Ranking::new(images.iter().map(|(image, _)| image)).values(&weights);
            let copies: Vec<&Matches> =
                images.iter().flat_map(|(image, weight)| std::iter::repeat_n(image, *weight as usize)).collect();
            let expected = Ranking::new(copies.iter().copied()).values(&vec![1; copies.len()]);
            for (a, b) in values.into_iter().zip(expected) {
                prop_assert!((a - b).abs() < 1e-12 || a.is_nan() && b.is_nan(), "{a} {b}");
                prop_assert!(a.is_nan() || (0.0..=1.0).contains(&a));
            }
        }
    }
}
