//! Objects told apart within the foreground: as many as there are.
//!
//! ```text
//! z  = ¾ · network's objectness + ¼ · log-odds of the cut      in every patch; the cut alone where the network says nothing
//! H  = z − background;   a peak's basin is foreground where H > ½ · H(peak), or z is clearly above 0; the cut alone: where z > 0
//! E  = distance to the background;   an object is a basin of E
//! ```
//!
//! A faint object has a low peak: half its height finds its outline where one threshold for the whole image would not. Objects that touch have
//! a waist between them, which the distance to the background sees: basins are joined unless they stand clear of the saddle (`basins.rs`). An
//! object's score is the mean probability of its cells.
//!
//! This cut has no prior, which would count the objectness twice: with it AP on that list falls from 0.155 to 0.150, whatever the weights.
//!
//! The constants were chosen on the development list of VOC 2007; `docs/method.md` has the candidates and what they are worth.

use super::basins::{Basins, nearest_of};
use super::distance::to_outside;
use super::labels::Group;
use super::upsample::interpolate;
use crate::baseline::maskcut::CutObject;

/// Most objects of an image: labels are bytes, and one is the background's.
pub(super) const MAX_OBJECTS: usize = 254;
/// Weight of the cut beside the network's objectness.
const CUT_WEIGHT: f32 = 0.25;
/// Log-odds of the cut beyond this say no more: training makes them as large as it has epochs.
const MOST_ODDS: f32 = 6.0;
/// Log-odds of background: the level that peaks are measured from.
const BACKGROUND: f32 = -5.5;
/// A lower peak is no object.
const LEAST_PEAK: f32 = -2.0;
/// Share of a peak's height where its object ends.
const HALF: f32 = 0.5;
/// Log-odds that are foreground, however high the peak is.
const SURE: f32 = 0.3;
/// Persistence of a peak among the odds, and of a basin among the distances.
const PEAK_PERSISTENCE: f32 = 0.2;
const WAIST_PERSISTENCE: f32 = 0.3;
/// Cells along a patch's side where shapes are measured.
const FINE: usize = 4;
/// Least area of an object in patches.
const LEAST_PATCHES: f32 = 0.5;

/// Objects on a grid of patches.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Objects {
    /// Probability that a patch belongs to any object, `[patches]`.
    pub foreground: Vec<f32>,
    /// The background, then the objects, numbered from 1, if there are any.
    pub groups: Vec<Group>,
    /// Score of each object, the best first.
    pub scores: Vec<f32>,
}

/// Log-odds of a grid's patches.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    /// z: that a patch belongs to an object.
    odds: Vec<f32>,
    /// The same less the level where the object of its peak ends: above 0 is foreground.
    above: Vec<f32>,
}

impl Field {
    /// The field of a cut's foreground, `[patches]`, and what the network says.
    pub fn new(foreground: &[f32], objectness: Option<&[f32]>, width: usize) -> Self {
        // Both ends are finite, and a probability of exactly 0 or 1 is beyond them.
        let odds = foreground.iter().map(|p| (p / (1.0 - p)).ln().clamp(-MOST_ODDS, MOST_ODDS));
        let Some(objectness) = objectness else {
            // Training drives a cut's odds apart: a low peak among them is no faint object.
            let odds: Vec<f32> = odds.collect();
            return Self { above: odds.clone(), odds };
        };
        Self::of_odds(odds.zip(objectness).map(|(odds, other)| CUT_WEIGHT * odds + (1.0 - CUT_WEIGHT) * other).collect(), width)
    }

    fn of_odds(odds: Vec<f32>, width: usize) -> Self {
        Self { above: above_half(&odds, width), odds }
    }
}

fn probability(odds: f32) -> f32 {
    1.0 / (1.0 + (-odds).exp())
}

impl Objects {
    /// The objects of log-odds on a `(height, width)` grid.
    pub fn of_field(Field { odds, above }: &Field, (height, width): (usize, usize)) -> Self {
        let (fine_height, fine_width) = (height * FINE, width * FINE);
        let fine = |values: &[f32]| interpolate(values, (height, width), (fine_height, fine_width));
        let inside: Vec<bool> = fine(above).iter().map(|odds| *odds > 0.0).collect();
        let found = Basins::find(&to_outside(&inside, fine_width), fine_width, 0.0, WAIST_PERSISTENCE);
        let (mut area, mut sum) = (vec![0.0f32; found.peaks.len()], vec![0.0f32; found.peaks.len()]);
        for (basin, odds) in found.basin.iter().zip(fine(odds)) {
            if let Some(basin) = *basin {
                area[basin] += 1.0;
                sum[basin] += probability(odds);
            }
        }
        let score = |basin: usize| sum[basin] / area[basin];
        let mut order: Vec<usize> = (0..area.len()).filter(|&b| area[b] >= LEAST_PATCHES * (FINE * FINE) as f32).collect();
        order.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
        order.truncate(MAX_OBJECTS);
        let n = order.len();
        let mut rank = vec![None; area.len()];
        order.iter().enumerate().for_each(|(at, &basin)| rank[basin] = Some(at));
        // Shares of each patch's cells, and how much of its foreground was dropped.
        let mut membership = vec![0.0f32; height * width * n];
        let mut dropped = vec![false; height * width];
        for (cell, basin) in found.basin.iter().enumerate() {
            let patch = cell / fine_width / FINE * width + cell % fine_width / FINE;
            match basin.map(|basin| rank[basin]) {
                Some(Some(object)) => membership[patch * n + object] += 1.0 / (FINE * FINE) as f32,
                Some(None) => dropped[patch] = true,
                None => {}
            }
        }
        let foreground = above.iter().enumerate().map(|(patch, &odds)| {
            let is_empty = membership[patch * n..(patch + 1) * n].iter().all(|share| *share == 0.0);
            if is_empty && dropped[patch] { 0.0 } else { probability(odds) }
        });
        let foreground: Vec<f32> = foreground.collect();
        spread(&mut membership, n, width);
        Self::new(foreground, membership, order.into_iter().map(score).collect())
    }

    /// The objects of cuts, the best first.
    pub fn of_cuts(cuts: &[CutObject], patches: usize) -> Self {
        let mut order: Vec<&CutObject> = cuts.iter().collect();
        order.sort_by(|a, b| b.score.total_cmp(&a.score));
        let one_hot = |patch: usize| order.iter().map(move |cut| if cut.inside[patch] { 1.0 } else { 0.0 });
        let membership: Vec<f32> = (0..patches).flat_map(one_hot).collect();
        let foreground = (0..patches).map(|patch| one_hot(patch).sum::<f32>()).collect();
        Self::new(foreground, membership, order.iter().map(|cut| cut.score).collect())
    }

    fn new(foreground: Vec<f32>, membership: Vec<f32>, scores: Vec<f32>) -> Self {
        let background = Group::of_one(0, foreground.iter().map(|p| 1.0 - p).collect());
        let groups = match scores.len() {
            0 => vec![Group::of_one(0, vec![1.0; foreground.len()])],
            1 => vec![background, Group::of_one(1, foreground.clone())],
            n => {
                let labels = (1..=u8::MAX).take(n).collect();
                vec![background, Group { probability: foreground.clone(), labels, label_probability: membership }]
            }
        };
        Self { foreground, groups, scores }
    }
}

/// Log-odds less the level where the object of each patch's peak ends: above 0 is foreground.
fn above_half(odds: &[f32], width: usize) -> Vec<f32> {
    let Basins { basin, peaks } = Basins::find(odds, width, BACKGROUND, PEAK_PERSISTENCE);
    let ends = |&peak: &usize| {
        let height = odds[peak] - BACKGROUND;
        if odds[peak] < LEAST_PEAK { f32::INFINITY } else { (BACKGROUND + HALF * height).min(SURE) }
    };
    let ends: Vec<f32> = peaks.iter().map(ends).collect();
    let shifted = odds.iter().zip(&basin).map(|(odds, basin)| odds - basin.map_or(0.0, |basin| ends[basin]));
    shifted.map(|odds| odds.max(-MOST_ODDS)).collect()
}

/// Gives every patch without an object that of the nearest patch with one, `[patches, n]`: pixels between patches look at both.
pub(super) fn spread(membership: &mut [f32], n: usize, width: usize) {
    if n == 0 {
        return;
    }
    let has: Vec<bool> = membership.chunks_exact(n).map(|shares| shares.iter().any(|share| *share > 0.0)).collect();
    for (patch, from) in nearest_of(&has, width).into_iter().enumerate() {
        if let Some(from) = from {
            membership.copy_within(from * n..(from + 1) * n, patch * n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::GridLabels;

    const GRID: (usize, usize) = (9, 16);

    /// Log-odds of discs: rows, columns, radius and log-odds of each; −5 outside.
    fn discs(discs: &[(f32, f32, f32, f32)]) -> Vec<f32> {
        let odds = |cell: usize| {
            let (y, x) = ((cell / GRID.1) as f32, (cell % GRID.1) as f32);
            discs.iter().map(|&(cy, cx, r, odds)| if (y - cy).hypot(x - cx) <= r { odds } else { -5.0 }).fold(-5.0, f32::max)
        };
        (0..GRID.0 * GRID.1).map(odds).collect()
    }

    fn field(odds: Vec<f32>) -> Field {
        Field::of_odds(odds, GRID.1)
    }

    fn labels(found: &Objects) -> Vec<u8> {
        GridLabels { height: GRID.0, width: GRID.1, groups: found.groups.clone(), fine: None }.hard()
    }

    #[test]
    fn discs_that_touch_are_two_and_an_ellipse_is_one() {
        let two = Objects::of_field(&field(discs(&[(4.0, 4.0, 3.2, 3.0), (4.0, 11.0, 3.2, 4.0)])), GRID);
        assert_eq!(two.scores.len(), 2);
        assert!(two.scores[0] > two.scores[1] && two.scores[1] > 0.5, "{:?}", two.scores);
        let labels = labels(&two);
        // The surer one is the first.
        assert_eq!([labels[4 * GRID.1 + 4], labels[4 * GRID.1 + 11], labels[0]], [2, 1, 0]);
        let ellipse: Vec<f32> = (0..GRID.0 * GRID.1)
            .map(|cell| {
                let (y, x) = ((cell / GRID.1) as f32 - 4.0, (cell % GRID.1) as f32 - 7.5);
                if (y / 3.0).hypot(x / 6.5) <= 1.0 { 3.0 } else { -5.0 }
            })
            .collect();
        assert_eq!(Objects::of_field(&field(ellipse), GRID).scores.len(), 1);
    }

    #[test]
    fn a_faint_object_is_found_and_has_the_lower_score() {
        let found = Objects::of_field(&field(discs(&[(4.0, 3.0, 2.5, 5.0), (4.0, 12.0, 2.5, -1.0)])), GRID);
        let labels = labels(&found);
        assert_eq!([labels[4 * GRID.1 + 3], labels[4 * GRID.1 + 12], labels[4 * GRID.1 + 8]], [1, 2, 0]);
        assert!(found.scores[0] > 0.9 && (0.05..0.5).contains(&found.scores[1]), "{:?}", found.scores);
        // Fainter still it is background.
        let found = Objects::of_field(&field(discs(&[(4.0, 3.0, 2.5, 5.0), (4.0, 12.0, 2.5, -2.5)])), GRID);
        assert_eq!(found.scores.len(), 1);
    }

    #[test]
    fn nothing_and_everything_are_defined() {
        let none = Objects::of_field(&field(discs(&[])), GRID);
        assert!(none.scores.is_empty() && labels(&none).iter().all(|label| *label == 0));
        let all = Objects::of_field(&field(vec![4.0; GRID.0 * GRID.1]), GRID);
        assert!(all.scores.len() == 1 && labels(&all).iter().all(|label| *label == 1));
        assert_eq!(Objects::of_field(&Field::of_odds(vec![9.0], 1), (1, 1)).scores.len(), 1);
        // More specks than there are labels.
        let specks: Vec<f32> = (0..60 * 60).map(|cell| if cell % 2 == 0 && cell / 60 % 2 == 0 { 5.0 } else { -5.0 }).collect();
        let found = Objects::of_field(&Field::of_odds(specks, 60), (60, 60));
        assert_eq!(found.scores.len(), MAX_OBJECTS);
        let hard = GridLabels { height: 60, width: 60, groups: found.groups, fine: None }.hard();
        assert_eq!(hard.iter().filter(|label| **label > 0).count(), MAX_OBJECTS, "the others are background");
    }

    #[test]
    fn cuts_come_best_first() {
        let cut = |inside: [bool; 3], score| CutObject { inside: inside.to_vec(), score };
        let found = Objects::of_cuts(&[cut([true, false, false], 0.2), cut([false, false, true], 0.6)], 3);
        assert_eq!(found.scores, [0.6, 0.2]);
        assert_eq!(GridLabels { height: 1, width: 3, groups: found.groups, fine: None }.hard(), [2, 0, 1]);
        assert!(Objects::of_cuts(&[], 3).scores.is_empty());
    }

    #[test]
    fn the_cut_alone_decides_where_the_network_says_nothing() {
        let alone = Field::new(&[0.0, 0.5, 1.0], None, 3);
        assert_eq!((&alone.odds[..], &alone.above), (&[-MOST_ODDS, 0.0, MOST_ODDS][..], &alone.odds));
        let both = Field::new(&[0.5, 0.0], Some(&[2.0, -4.0]), 2);
        assert_eq!(both.odds, [1.5, -4.5]);
        // The peak of 1.5 ends half-way down to the background at −5.5.
        assert_eq!(both.above, [1.5 + 2.0, -4.5 + 2.0]);
    }
}
