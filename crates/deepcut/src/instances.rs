//! Instances of a segmentation: a mask and a score for each object, as data sets of instances are measured.
//!
//! | mode                           | an instance is                             | its score                            |
//! |--------------------------------|--------------------------------------------|--------------------------------------|
//! | one that finds several objects | each region of [`Kind::Object`]            | the region's                         |
//! | object, parts, scene           | each 4-connected component of the foreground of at least [`MIN_AREA`] pixels | confidence of the cut × the component's share of the foreground |
//!
//! The second row is the baseline: such a mode claims one object and does not tell several apart.

use crate::components::Components;
use crate::rle::Rle;
use crate::segment::Mode;
use crate::segmentation::{Kind, Segmentation};

/// Pixels that a component of the foreground needs to be an instance.
pub const MIN_AREA: usize = 100;

/// One object that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its pixels.
    pub mask: Rle,
    /// How sure it is that they are an object, in [0, 1].
    pub score: f64,
}

/// The instances of a segmentation that `mode` made, best first; among equal scores the lower label, or the larger component, or the one whose
/// first pixel comes first.
///
/// ```
/// use deepcut::{Kind, Meaning, Mode, Segmentation};
///
/// // Two squares of 144 and 196 pixels, a speck of one.
/// let inside = |y: usize, x: usize| y < 12 && x < 12 || y < 14 && (20..34).contains(&x) || (y, x) == (18, 18);
/// let labels = (0..20 * 40).map(|at| u8::from(inside(at / 40, at % 40))).collect();
/// let meaning = |label, kind| Meaning { label, kind, part_of: None, score: 1.0 };
/// let found = Segmentation::new(20, 40, labels, &[meaning(0, Kind::Background), meaning(1, Kind::Object)])?;
/// let areas: Vec<_> = deepcut::instances::instances(&found, Mode::Object).iter().map(|one| one.mask.area()).collect();
/// assert_eq!(areas, [196, 144]);
/// # Ok::<(), deepcut::segmentation::SegmentationError>(())
/// ```
#[must_use]
pub fn instances(found: &Segmentation, mode: Mode) -> Vec<Instance> {
    let mut list = if matches!(mode, Mode::Object | Mode::Parts | Mode::Scene) { components(found) } else { objects(found) };
    list.sort_by(|a, b| b.score.total_cmp(&a.score));
    list
}

fn objects(found: &Segmentation) -> Vec<Instance> {
    let (height, width, labels) = (found.height(), found.width(), found.labels());
    let objects = found.regions().iter().filter(|region| region.kind == Kind::Object);
    let instance = |region: &crate::segmentation::Region| Instance {
        mask: Rle::encode_within(height, width, region.bounds, |at| labels[at] == region.label),
        score: region.score.into(),
    };
    objects.map(instance).collect()
}

fn components(found: &Segmentation) -> Vec<Instance> {
    let (height, width, foreground) = (found.height(), found.width(), found.mask());
    let all = foreground.iter().filter(|value| **value > 0).count();
    let components = Components::find(height, width, |at| foreground[at] > 0);
    let mut inside = vec![false; foreground.len()];
    let mut list = Vec::new();
    for (index, component) in components.list().iter().enumerate().filter(|(_, component)| component.area >= MIN_AREA) {
        components.for_cells(|other| other == index, |at| inside[at] = true);
        list.push(Instance {
            mask: Rle::encode_within(height, width, component.bounds, |at| inside[at]),
            score: f64::from(found.confidence()) * component.area as f64 / all as f64,
        });
        components.for_cells(|other| other == index, |at| inside[at] = false);
    }
    // Without confidence all scores are zero.
    list.sort_by_key(|one| std::cmp::Reverse(one.mask.area()));
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segmentation::Meaning;

    /// Two squares that touch at a corner, and one below the least area.
    fn squares() -> Segmentation {
        let label = |y: usize, x: usize| match (y, x) {
            (0..20, 0..20) => 1,
            (20..30, 20..30) => 2,
            (0..9, 30..40) => 3,
            _ => 0,
        };
        let labels = (0..40 * 40).map(|at| label(at / 40, at % 40)).collect();
        let meaning = |label, kind, score| Meaning { label, kind, part_of: None, score };
        let objects = [(1, 0.25), (2, 0.75), (3, 0.75)].map(|(label, score)| meaning(label, Kind::Object, score));
        let meanings = [&objects[..], &[meaning(0, Kind::Background, 1.0)]].concat();
        Segmentation::new(40, 40, labels, &meanings).unwrap().with_cut(0.5, (5, 5))
    }

    #[test]
    fn components_share_the_confidence() {
        let found = instances(&squares(), Mode::Object);
        let list: Vec<_> = found.iter().map(|one| (one.mask.area(), one.score)).collect();
        assert_eq!(list, [(400, 0.5 * 400.0 / 590.0), (100, 0.5 * 100.0 / 590.0)]);
        assert_eq!(found[1].mask.bounds().map(|b| (b.top, b.left, b.height, b.width)), Some((20, 20, 10, 10)));
        assert_eq!(instances(&Segmentation::empty(40, 40), Mode::Parts), []);
    }

    #[test]
    fn objects_keep_their_own_scores() {
        let list: Vec<_> = objects(&squares()).iter().map(|one| (one.mask.area(), one.score)).collect();
        assert_eq!(list, [(400, 0.25), (100, 0.75), (90, 0.75)]);
    }
}
