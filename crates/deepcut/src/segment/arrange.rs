//! From clusters of an image's patches to labels on their grid: which cluster is background, what belongs to the object, which labels parts
//! get.

use super::labels::Group;
use super::polarity::{ForegroundRule, background};
use super::stage::Cut;
use crate::components::{Components, keep_component, keep_largest};
use crate::train::Assignment;

/// The first stage's clusters on the grid.
pub(super) struct Arranged {
    /// The cluster of the background.
    pub background: usize,
    /// Probability of the foreground, `[patches]`.
    pub foreground: Vec<f32>,
    /// Which patches are the object.
    pub inside: Vec<bool>,
    /// Which patches of the foreground are not the object, and become background.
    pub dropped: Vec<bool>,
}

/// Lays the first stage's clusters on the grid, `(height, width)`. Where a method grew the object from a node, what does not touch it is
/// taken from the object's cluster.
///
/// Where a prior joined the cut, components of the foreground without a patch whose log-odds reach the share `least_peak` of the highest are
/// dropped. With `largest`, all components but the largest of those left are.
pub(super) fn arrange(
    cut: &mut Cut,
    (height, width): (usize, usize),
    rule: ForegroundRule,
    least_peak: f32,
    largest: bool,
) -> Arranged {
    let k = cut.assignment.n_clusters;
    let mut labels = cut.assignment.labels();
    if let (Some(seed), Some(back)) = (cut.seed_node, cut.background) {
        let mut object: Vec<bool> = labels.iter().map(|&label| label != back).collect();
        keep_component(&mut object, height, width, seed);
        for ((label, row), inside) in labels.iter_mut().zip(cut.assignment.soft.chunks_exact_mut(k)).zip(object) {
            if *label != back && !inside {
                row.fill(0.0);
                row[back] = 1.0;
                *label = back;
            }
        }
    }
    let back = cut.background.unwrap_or_else(|| background(&labels, height, width, k, rule));
    let foreground = cut.assignment.soft.chunks_exact(k).map(|row| 1.0 - row[back]).collect();
    // A patch is foreground if its cluster is, however its probability is spread over the others.
    let found: Vec<bool> = labels.iter().map(|&label| label != back).collect();
    let mut inside = found.clone();
    if let Some(log_odds) = &cut.log_odds {
        drop_low(&mut inside, (height, width), log_odds, least_peak);
    }
    if largest {
        keep_largest(&mut inside, height, width);
    }
    let dropped = found.iter().zip(&inside).map(|(found, inside)| *found && !inside).collect();
    Arranged { background: back, foreground, inside, dropped }
}

/// Takes components out of a mask whose highest value is below the share `least` of the highest of all.
pub(super) fn drop_low(mask: &mut [bool], (height, width): (usize, usize), values: &[f32], least: f32) {
    let found = Components::find(height, width, |at| mask[at]);
    let mut peaks = vec![f32::NEG_INFINITY; found.list().len()];
    found.each_cell(|component, cell| peaks[component] = peaks[component].max(values[cell]));
    let highest = peaks.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    found.for_cells(|component| peaks[component] < least * highest, |cell| mask[cell] = false);
}

impl Arranged {
    /// Background and foreground. The foreground's probability is moved to the side that was decided, which differs from its own only for
    /// an exact half or where it is spread over several clusters; a dropped patch has none.
    pub fn two_groups(&self) -> [Group; 2] {
        let decided = self.foreground.iter().zip(&self.inside).zip(&self.dropped);
        let foreground: Vec<f32> = decided
            .map(|((probability, inside), dropped)| match (inside, dropped) {
                (_, true) => 0.0,
                (true, _) => probability.max(0.5 + f32::EPSILON),
                (false, _) => probability.min(0.5),
            })
            .collect();
        [Group::of_one(0, foreground.iter().map(|p| 1.0 - p).collect()), Group::of_one(1, foreground)]
    }

    /// A group for every cluster, the background first; the foreground's share of a dropped patch is taken from it.
    pub fn cluster_groups(&self, assignment: &Assignment) -> Vec<Group> {
        let k = assignment.n_clusters;
        let mut groups: Vec<Group> = (0..k)
            .map(|c| {
                let own = assignment.soft.iter().skip(c).step_by(k).zip(&self.dropped);
                let probability = own.map(|(&s, &dropped)| if dropped && c != self.background { 0.0 } else { s }).collect();
                Group::of_one(if c == self.background { 0 } else { c as u8 + 1 }, probability)
            })
            .collect();
        // So that the background wins where a dropped patch has nothing left.
        groups.swap(0, self.background);
        groups
    }

    /// The patches inside the object, or outside.
    pub fn nodes(&self, inside: bool) -> Vec<usize> {
        (0..self.inside.len()).filter(|&node| self.inside[node] == inside).collect()
    }
}

/// Spreads an assignment of some nodes over all of them, `[all nodes, n_clusters]`; zeros elsewhere.
pub(super) fn spread(assignment: &Assignment, nodes: &[usize], all: usize) -> Vec<f32> {
    let k = assignment.n_clusters;
    let mut out = vec![0.0; all * k];
    for (&node, row) in nodes.iter().zip(assignment.soft.chunks_exact(k)) {
        out[node * k..(node + 1) * k].copy_from_slice(row);
    }
    out
}
