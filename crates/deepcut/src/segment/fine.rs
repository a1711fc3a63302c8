//! The foreground on a grid finer than that of the patches.
//!
//! ```text
//! odds = f + (s − p)
//! ```
//!
//! where f are the network's log-odds of the object on the fine grid, p their means over the cells of a patch, and s the log-odds of the cut's
//! foreground: what the cut changed of a patch is added to all its cells, interpolated bilinearly between the patches' centers. Only a cut that began at p
//! has changed it.

use super::labels::{FineForeground, Group};
use super::prior::MOST_ODDS;
use super::upsample::{interpolate, log_share};
use crate::features::{FeatureMap, patch_of};

/// The foreground on the fine grid of a map, if it has one and the groups are background and foreground. Of patches that were dropped from the
/// foreground all cells are background.
pub(super) fn fine_foreground(map: &FeatureMap, groups: &[Group], dropped: &[bool]) -> Option<FineForeground> {
    let (Some((scale, fine)), Some(prior), [_, foreground]) = (map.fine_objectness(), map.objectness(), groups) else {
        return None;
    };
    let (height, width) = map.grid();
    let odds = |share: f32| log_share(share) - log_share(1.0 - share);
    // A cut's shares say no more than this, so what the network is surer of was not changed.
    let most = -log_share(0.0);
    let bounded = |prior: f32| prior.clamp(-most, most);
    let change: Vec<f32> =
        foreground.probability.iter().zip(prior).map(|(&share, &prior)| odds(share) - bounded(prior)).collect();
    let mut odds = interpolate(&change, (height, width), (height * scale, width * scale));
    for (cell, (odds, fine)) in odds.iter_mut().zip(fine).enumerate() {
        *odds = if dropped[patch_of(cell, width, scale)] { log_share(0.0) } else { *odds + fine.clamp(-MOST_ODDS, MOST_ODDS) };
    }
    Some(FineForeground { scale, odds })
}

#[cfg(test)]
mod tests {
    use super::super::labels::GridLabels;
    use super::super::shares;
    use super::super::upsample::{Upsampling, foreground, upsample};
    use super::*;
    use crate::image::Image;

    fn groups(foreground: &[f32]) -> Vec<Group> {
        vec![Group::of_one(0, foreground.iter().map(|p| 1.0 - p).collect()), Group::of_one(1, foreground.to_vec())]
    }

    fn share(odds: f32) -> f32 {
        1.0 / (1.0 + (-odds).exp())
    }

    /// Two patches of sixteen pixels and four cells each way. The network's log-odds of the patches are −2 and 2; its edge lies a quarter into the first.
    const CELLS: [f32; 8] = [-4.0, -4.0, -4.0, 4.0, 2.0, 2.0, 2.0, 2.0];

    fn map() -> FeatureMap {
        FeatureMap::new(1, 2, 1, vec![0.0, 1.0]).unwrap().with_fine_objectness(4, CELLS.repeat(4)).unwrap()
    }

    fn line(cut: [f32; 2], dropped: [bool; 2]) -> GridLabels {
        let groups = groups(&cut.map(share));
        let fine = fine_foreground(&map(), &groups, &dropped);
        GridLabels { height: 1, width: 2, groups, fine }
    }

    #[track_caller]
    fn assert_odds(grid: &GridLabels, expected: [f32; 8]) {
        let odds = grid.fine().unwrap().odds();
        assert!(odds.iter().zip(expected.repeat(4)).all(|(odds, expected)| (odds - expected).abs() < 1e-4), "{odds:?}");
    }

    /// Where the label changes, in sixteen rows of 32 pixels.
    fn edges(labels: &[u8]) -> Vec<usize> {
        assert!(labels.chunks_exact(32).all(|row| row == &labels[..32]));
        (1..32).filter(|&x| labels[x] != labels[x - 1]).collect()
    }

    #[test]
    fn edges_lie_within_patches() {
        // The cut is of the network's mind.
        let mut grid = line([-2.0, 2.0], [false, false]);
        assert_odds(&grid, CELLS);
        let soft = upsample(&grid, 16, 32, Upsampling::Soft);
        assert_eq!(edges(&soft), [12]);
        assert!(foreground(&grid, 16, 32).iter().zip(soft).all(|(share, label)| (*share > 127) == (label == 1)));
        assert_eq!(edges(&upsample(&grid, 16, 32, Upsampling::Nearest)), [16]);
        // A picture without edges does not move it.
        let image = Image::new(16, 32, vec![90; 16 * 32 * 3]).unwrap();
        assert_eq!(edges(&shares::labels(&image, &grid, Upsampling::Soft)), [12]);
        assert_eq!(edges(&shares::labels(&image, &grid, Upsampling::Nearest)), [16]);
        // Parts are the patches'.
        grid.groups[1].labels = vec![1, 2];
        grid.groups[1].label_probability = vec![0.9, 0.1, 0.1, 0.9];
        assert_eq!(edges(&upsample(&grid, 16, 32, Upsampling::Soft)), [12, 16]);
        assert_eq!(edges(&shares::labels(&image, &grid, Upsampling::Soft)), [12, 16]);
        grid.fine = None;
        assert_eq!(edges(&upsample(&grid, 16, 32, Upsampling::Soft)), [16]);
    }

    /// The cut takes 8 from the second patch: between the patches' centers, from cell to cell, it takes 1, 3, 5 and 7.
    #[test]
    fn the_cut_changes_cells_as_it_changes_patches() {
        let grid = line([-2.0, -6.0], [false, false]);
        assert_odds(&grid, [-4.0, -4.0, -5.0, 1.0, -3.0, -5.0, -6.0, -6.0]);
        let grid = line([-2.0, 2.0], [false, true]);
        let never = -1e6f32.ln();
        assert_odds(&grid, [-4.0, -4.0, -4.0, 4.0, never, never, never, never]);
        assert_eq!(edges(&upsample(&grid, 16, 32, Upsampling::Soft)), [12, 15]);
    }

    /// The network is surer than a share can say: the cut changed nothing, and cells beside it stay.
    #[test]
    fn what_the_network_is_sure_of_is_not_changed() {
        let map = FeatureMap::new(1, 2, 1, vec![0.0, 1.0]).unwrap();
        let map = map.with_fine_objectness(2, vec![25.0, 25.0, 2.0, 2.0, 25.0, 25.0, 2.0, 2.0]).unwrap();
        let fine = |cut: [f32; 2]| fine_foreground(&map, &groups(&cut.map(share)), &[false; 2]).unwrap();
        assert!(fine([25.0, 2.0]).odds().iter().zip([25.0, 25.0, 2.0, 2.0].repeat(2)).all(|(a, b)| (a - b).abs() < 1e-4));
        let extreme =
            FeatureMap::new(1, 2, 1, vec![0.0, 1.0]).unwrap().with_fine_objectness(1, vec![f32::MAX, f32::MIN]).unwrap();
        let found = fine_foreground(&extreme, &groups(&[1.0, 0.0]), &[false; 2]).unwrap();
        assert!(found.odds()[0] > 50.0 && found.odds()[1] < -50.0, "{:?}", found.odds());
    }

    #[test]
    fn only_background_and_foreground_are_finer() {
        let two = groups(&[0.1, 0.9]);
        let plain = FeatureMap::new(1, 2, 1, vec![0.0, 1.0]).unwrap();
        let known = plain.clone().with_objectness(vec![-2.0, 2.0]).unwrap();
        let one = vec![Group::of_one(0, vec![1.0; 2])];
        let three = vec![Group::of_one(0, vec![0.4; 2]), Group::of_one(1, vec![0.3; 2]), Group::of_one(2, vec![0.3; 2])];
        for (map, groups) in [(plain, &two), (known, &two), (map(), &one), (map(), &three)] {
            assert_eq!(fine_foreground(&map, groups, &[false; 2]), None);
        }
    }
}
