//! 4-connected components of a mask, by runs and union-find: memory grows with the number of runs, not of pixels.

use std::ops::Range;

/// A rectangle of whole pixels. Bottom and right edges are exclusive: `top + height`, `left + width`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundingBox {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

/// A connected region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    /// Number of cells.
    pub area: usize,
    /// The smallest rectangle that contains the region.
    pub bounds: BoundingBox,
}

/// The runs of equal labels in a row, and their labels.
pub(crate) fn label_runs(row: &[u8]) -> impl Iterator<Item = (Range<usize>, u8)> {
    /// Labels that are compared at once.
    const MANY: usize = 32;
    let mut start = 0;
    std::iter::from_fn(move || {
        let label = *row.get(start)?;
        let mut end = start;
        for chunk in row[start..].chunks(MANY) {
            if chunk.iter().fold(true, |same, other| same & (*other == label)) {
                end += chunk.len();
            } else {
                end += chunk.iter().take_while(|other| **other == label).count();
                break;
            }
        }
        let run = (start..end, label);
        start = end;
        Some(run)
    })
}

/// Adds a run behind those before it; if it touches the last, they are one.
pub(crate) fn add_run(runs: &mut Vec<Range<usize>>, run: Range<usize>) {
    match runs.last_mut() {
        Some(last) if last.end == run.start => last.end = run.end,
        _ => runs.push(run),
    }
}

/// Adds the runs of a row whose labels are inside; those that touch are one.
pub(crate) fn inside_runs(row: &[u8], inside: impl Fn(u8) -> bool, found: &mut Vec<Range<usize>>) {
    label_runs(row).filter(|(_, label)| inside(*label)).for_each(|(run, _)| add_run(found, run));
}

/// Cells `start..end` of one row.
struct Run {
    row: usize,
    start: usize,
    end: usize,
    parent: usize,
}

/// The connected components of a `[height, width]` mask.
pub(crate) struct Components {
    width: usize,
    height: usize,
    runs: Vec<Run>,
    /// For each run, the index of its component.
    component: Vec<usize>,
    list: Vec<Component>,
}

impl Components {
    /// Finds the components of the mask that `inside` gives for each cell's row-major index.
    #[must_use]
    pub fn find(height: usize, width: usize, inside: impl Fn(usize) -> bool) -> Self {
        Self::of_rows(height, width, |row, found| {
            let mut x = 0;
            while x < width {
                if !inside(row * width + x) {
                    x += 1;
                    continue;
                }
                let start = x;
                while x < width && inside(row * width + x) {
                    x += 1;
                }
                found.push(start..x);
            }
        })
    }

    /// Finds the components of the mask that `inside` makes of labels, `[height, width]`. Far faster than [`Components::find`] where labels form regions.
    ///
    /// # Panics
    /// If there is not a label for each cell.
    #[must_use]
    pub fn of_labels(height: usize, width: usize, labels: &[u8], inside: impl Fn(u8) -> bool) -> Self {
        assert_eq!(labels.len(), height * width, "a label for each cell");
        Self::of_rows(height, width, |row, found| inside_runs(&labels[row * width..(row + 1) * width], &inside, found))
    }

    /// Finds the components of runs; `fill` gives those of a row, in order, which do not touch each other.
    pub fn of_rows(height: usize, width: usize, mut fill: impl FnMut(usize, &mut Vec<Range<usize>>)) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        let mut above = 0..0;
        let mut found = Vec::new();
        for row in 0..height {
            let first = runs.len();
            found.clear();
            fill(row, &mut found);
            for Range { start, end } in found.drain(..) {
                let parent = runs.len();
                runs.push(Run { row, start, end, parent });
            }
            let mut touching = above.clone();
            for run in first..runs.len() {
                while touching.start < touching.end && runs[touching.start].end <= runs[run].start {
                    touching.start += 1;
                }
                for other in touching.clone() {
                    if runs[other].start >= runs[run].end {
                        break;
                    }
                    unite(&mut runs, run, other);
                }
            }
            above = first..runs.len();
        }
        let mut list: Vec<Component> = Vec::new();
        let mut component = vec![usize::MAX; runs.len()];
        for run in 0..runs.len() {
            // The root of a component is its first run, so it was numbered before.
            let root = root(&mut runs, run);
            if root == run {
                component[run] = list.len();
                let Run { row, start, .. } = runs[run];
                list.push(Component { area: 0, bounds: BoundingBox { top: row, left: start, height: 0, width: 0 } });
            }
            component[run] = component[root];
            let (Run { row, start, end, .. }, entry) = (&runs[run], &mut list[component[root]]);
            entry.area += end - start;
            let b = &mut entry.bounds;
            let right = (b.left + b.width).max(*end);
            b.left = b.left.min(*start);
            b.width = right - b.left;
            b.height = row + 1 - b.top;
        }
        Self { width, height, runs, component, list }
    }

    /// Every component, in the order of its first cell.
    #[must_use]
    pub fn list(&self) -> &[Component] {
        &self.list
    }

    /// Index of the largest component; among equals, the first. None if the mask is empty.
    #[must_use]
    pub fn largest(&self) -> Option<usize> {
        let area = self.list.iter().map(|c| c.area).max()?;
        self.list.iter().position(|c| c.area == area)
    }

    /// Index of the component that contains a cell. None if the cell is outside the mask.
    #[must_use]
    pub fn of_cell(&self, cell: usize) -> Option<usize> {
        let at = self.runs.partition_point(|run| run.row * self.width + run.end <= cell);
        let run = self.runs.get(at).filter(|run| run.row * self.width + run.start <= cell)?;
        debug_assert!(run.row == cell / self.width);
        self.component.get(at).copied()
    }

    /// Whether component `index` touches the edge of the image.
    fn touches_edge(&self, index: usize) -> bool {
        let b = self.list[index].bounds;
        b.top == 0 || b.left == 0 || b.top + b.height == self.height || b.left + b.width == self.width
    }

    /// Calls `visit` with the index of every cell whose component is `chosen`.
    pub fn for_cells(&self, chosen: impl Fn(usize) -> bool, mut visit: impl FnMut(usize)) {
        self.each_cell(|component, cell| {
            if chosen(component) {
                visit(cell);
            }
        });
    }

    /// Calls `visit` with the component and the index of every cell.
    pub fn each_cell(&self, mut visit: impl FnMut(usize, usize)) {
        for (run, &component) in self.runs.iter().zip(&self.component) {
            (run.start..run.end).for_each(|x| visit(component, run.row * self.width + x));
        }
    }
}

/// Fills the holes of a mask: regions outside it that are not 4-connected to the edge of the image.
pub(crate) fn fill_holes(mask: &mut [bool], height: usize, width: usize) {
    let outside = Components::find(height, width, |at| !mask[at]);
    outside.for_cells(|component| !outside.touches_edge(component), |at| mask[at] = true);
}

/// Keeps only the largest component of a mask; an empty mask stays empty.
pub(crate) fn keep_largest(mask: &mut [bool], height: usize, width: usize) {
    let components = Components::find(height, width, |at| mask[at]);
    let largest = components.largest();
    components.for_cells(|component| Some(component) != largest, |at| mask[at] = false);
}

/// Keeps only the component that contains `cell`; clears the mask if the cell is outside.
pub(crate) fn keep_component(mask: &mut [bool], height: usize, width: usize, cell: usize) {
    let components = Components::find(height, width, |at| mask[at]);
    let wanted = components.of_cell(cell);
    components.for_cells(|component| Some(component) != wanted, |at| mask[at] = false);
}

fn root(runs: &mut [Run], mut run: usize) -> usize {
    while runs[run].parent != run {
        runs[run].parent = runs[runs[run].parent].parent;
        run = runs[run].parent;
    }
    run
}

/// Joins two trees; the earlier root stays root.
fn unite(runs: &mut [Run], a: usize, b: usize) {
    let (a, b) = (root(runs, a), root(runs, b));
    runs[a.max(b)].parent = a.min(b);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(drawing: &[&str]) -> (Vec<bool>, usize, usize) {
        (drawing.iter().flat_map(|row| row.bytes().map(|c| c == b'#')).collect(), drawing.len(), drawing[0].len())
    }

    #[test]
    fn components_have_areas_and_boxes() {
        let (cells, height, width) = mask(&[
            "##..#", //
            ".#.##", "...#.", "#.##.",
        ]);
        let found = Components::find(height, width, |at| cells[at]);
        let expected = [(3, [0, 0, 2, 2]), (6, [0, 2, 4, 3]), (1, [3, 0, 1, 1])];
        let actual: Vec<_> =
            found.list().iter().map(|c| (c.area, [c.bounds.top, c.bounds.left, c.bounds.height, c.bounds.width])).collect();
        assert_eq!(actual, expected);
        assert_eq!(found.largest(), Some(1));
    }

    /// Runs of every length about that of what is compared at once.
    #[test]
    fn labels_have_the_components_of_their_masks() {
        for (height, width) in [(1, 1), (3, 31), (2, 32), (4, 33), (5, 64), (3, 97), (2, 200), (0, 0), (3, 0)] {
            for step in [1, 2, 7, 31, 32, 33, 65] {
                let labels: Vec<u8> = (0..height * width).map(|at| (at / step * 5 % 7) as u8).collect();
                for row in labels.chunks_exact(width.max(1)) {
                    let runs: Vec<_> = label_runs(row).collect();
                    assert!(runs.iter().all(|(run, label)| row[run.clone()].iter().all(|other| other == label)));
                    assert!(runs.windows(2).all(|two| two[0].0.end == two[1].0.start && two[0].1 != two[1].1));
                    assert_eq!((runs[0].0.start, runs[runs.len() - 1].0.end), (0, row.len()));
                }
                let inside = |label: u8| label % 3 == 1 || label == 5;
                let (fast, plain) = (
                    Components::of_labels(height, width, &labels, inside),
                    Components::find(height, width, |at| inside(labels[at])),
                );
                assert_eq!(fast.list(), plain.list(), "{height} × {width}, {step}");
                assert!((0..labels.len()).all(|cell| fast.of_cell(cell) == plain.of_cell(cell)));
            }
        }
    }

    /// Diagonal neighbors do not touch; a comb is joined only by its last row.
    #[test]
    fn connectivity_is_by_sides() {
        let (cells, height, width) = mask(&["#.#", ".#.", "#.#"]);
        assert_eq!(Components::find(height, width, |at| cells[at]).list().len(), 5);
        let (cells, height, width) = mask(&["#.#.#", "#.#.#", "#####"]);
        let comb = Components::find(height, width, |at| cells[at]);
        assert_eq!(comb.list(), [Component { area: 11, bounds: BoundingBox { top: 0, left: 0, height: 3, width: 5 } }]);
    }

    #[test]
    fn holes_are_filled_and_bays_are_not() {
        let (mut cells, height, width) = mask(&[
            "#####", //
            "#.#.#", "###..",
        ]);
        fill_holes(&mut cells, height, width);
        assert_eq!(cells, mask(&["#####", "###.#", "###.."]).0);
    }

    #[test]
    fn the_largest_is_kept_and_nothing_stays_nothing() {
        let (mut cells, height, width) = mask(&["#.##", "#.##", "..#."]);
        keep_largest(&mut cells, height, width);
        assert_eq!(cells, mask(&["..##", "..##", "..#."]).0);
        let mut empty = vec![false; 12];
        keep_largest(&mut empty, 3, 4);
        assert_eq!(empty, [false; 12]);
        assert_eq!(Components::find(0, 0, |_| true).largest(), None);
    }
}
