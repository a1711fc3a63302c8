//! 4-connected components of a mask, by runs and union-find: memory grows with the number of runs, not of pixels.

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
        let mut runs: Vec<Run> = Vec::new();
        let mut above = 0..0;
        for row in 0..height {
            let first = runs.len();
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
                let parent = runs.len();
                runs.push(Run { row, start, end: x, parent });
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
