//! Basins of a field on a grid: each peak with everything that is reached from it downhill, as a watershed finds them.
//!
//! Cells are visited from the highest down. A cell without a visited neighbor begins a basin: it is a peak. Others join the highest basin that
//! they touch. One that touches several is a saddle between them: those whose peak stands less than their persistence above it are no peaks of
//! their own, and join the highest.
//!
//! ```text
//! peak − saddle < persistence · (peak − floor)   ⇒   the basins are one
//! ```
//!
//! Source: Edelsbrunner, Letscher and Zomorodian, Topological Persistence and Simplification (2002). Cost: a sort of the cells.

use std::collections::VecDeque;

/// The cells above a floor, in basins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Basins {
    /// The basin of each cell, `[height, width]`; None at or below the floor.
    pub basin: Vec<Option<usize>>,
    /// The cell of each basin's peak, the highest first.
    pub peaks: Vec<usize>,
}

impl Basins {
    /// The basins of finite values, `[height, width]`. Of equal cells the first is the higher.
    pub fn find(values: &[f32], width: usize, floor: f32, persistence: f32) -> Self {
        let mut order: Vec<usize> = (0..values.len()).filter(|&cell| values[cell] > floor).collect();
        order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
        // For each visited cell, a cell of its basin; a peak is its own.
        let mut parent = vec![usize::MAX; values.len()];
        for &cell in &order {
            parent[cell] = cell;
            let mut roots: Vec<usize> = neighbors(cell, width, values.len()).filter(|&n| parent[n] != usize::MAX).collect();
            roots.iter_mut().for_each(|neighbor| *neighbor = root(&mut parent, *neighbor));
            let Some(highest) = roots.iter().copied().reduce(|a, b| if values[b] > values[a] { b } else { a }) else { continue };
            parent[cell] = highest;
            for other in roots {
                if other != highest && values[other] - values[cell] < persistence * (values[other] - floor) {
                    parent[other] = highest;
                }
            }
        }
        let mut basin = vec![None; values.len()];
        let mut peaks = Vec::new();
        // A peak comes before the rest of its basin.
        for &cell in &order {
            let peak = root(&mut parent, cell);
            if peak == cell {
                basin[cell] = Some(peaks.len());
                peaks.push(cell);
            } else {
                basin[cell] = basin[peak];
            }
        }
        Self { basin, peaks }
    }
}

/// The cells beside, above and below a cell.
pub(crate) fn neighbors(cell: usize, width: usize, cells: usize) -> impl Iterator<Item = usize> {
    let x = cell % width;
    let left = (x > 0).then(|| cell - 1);
    let right = (x + 1 < width).then(|| cell + 1);
    let above = cell.checked_sub(width);
    let below = Some(cell + width).filter(|&below| below < cells);
    [left, right, above, below].into_iter().flatten()
}

fn root(parent: &mut [usize], mut cell: usize) -> usize {
    while parent[cell] != cell {
        parent[cell] = parent[parent[cell]];
        cell = parent[cell];
    }
    cell
}

/// For each cell of a grid, the nearest one that has something, by steps along its sides; itself where it has. None if none has.
pub(super) fn nearest_of(has: &[bool], width: usize) -> Vec<Option<usize>> {
    let mut nearest: Vec<Option<usize>> = has.iter().enumerate().map(|(cell, has)| has.then_some(cell)).collect();
    let mut queue: VecDeque<usize> = nearest.iter().flatten().copied().collect();
    while let Some(cell) = queue.pop_front() {
        for next in neighbors(cell, width, has.len()) {
            if nearest[next].is_none() {
                nearest[next] = nearest[cell];
                queue.push_back(next);
            }
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_found_along_the_sides() {
        let has = [true, false, false, false, false, true];
        assert_eq!(nearest_of(&has, 3), [0, 0, 5, 0, 5, 5].map(Some));
        assert_eq!(nearest_of(&[false; 4], 2), [None; 4]);
    }

    /// Two hills of heights 9 and 5 with a saddle of 3, and one of 2 apart.
    #[rustfmt::skip]
    const HILLS: [f32; 21] = [
        1.0, 9.0, 1.0, 1.5, 1.0, 0.0, 0.0,
        1.0, 4.0, 3.0, 5.0, 4.5, 0.0, 2.0,
        1.0, 1.0, 1.0, 2.5, 2.0, 0.0, 0.0,
    ];

    #[test]
    fn hills_join_by_their_persistence() {
        let peaks = |floor, persistence| Basins::find(&HILLS, 7, floor, persistence).peaks;
        // The lower stands 2 above the saddle and 5 above the floor.
        assert_eq!(peaks(0.0, 0.39), [1, 10, 13]);
        assert_eq!(peaks(0.0, 0.41), [1, 13]);
        assert_eq!(peaks(2.0, 0.5), [1, 10]);
        assert!(peaks(9.0, 0.5).is_empty());
    }

    #[test]
    fn cells_belong_to_the_hill_they_lead_up_to() {
        let found = Basins::find(&HILLS, 7, 0.5, 0.1);
        #[rustfmt::skip]
        let expected = [
            0, 0, 0, 1, 1, 9, 9,
            0, 0, 0, 1, 1, 9, 2,
            0, 0, 0, 1, 1, 9, 9,
        ];
        let labels: Vec<usize> = found.basin.iter().map(|basin| basin.unwrap_or(9)).collect();
        assert_eq!(labels, expected);
        assert!(Basins::find(&[], 7, 0.0, 0.5).peaks.is_empty());
    }
}
