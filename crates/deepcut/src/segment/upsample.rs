//! From labels on the patch grid to labels on pixels.

use super::labels::{FineForeground, GridLabels};
use crate::kernels::parallel;
use crate::kernels::widest::{Work, widest};
use crate::train::argmax;
use std::borrow::Cow;

/// How a grid becomes an image.
///
/// ```
/// use deepcut::segment::Upsampling;
/// use deepcut::{Cpu, FeatureMap, Finish, Image, Recipe, Refine, Start};
///
/// // Two rows of two patches, each of which is a block of 2 × 3 pixels.
/// let map = FeatureMap::new(2, 2, 2, vec![0.0, 1.0, /**/ 0.0, 1.0, /**/ 0.0, 1.0, /**/ 1.0, 0.0])?;
/// let image = Image::new(4, 6, (0..4 * 6 * 3).map(|at| at * 3).collect())?;
/// let cpu = Cpu::default();
/// let found = Recipe::default().cluster(&cpu, &[map], Start::Seed(0))?;
/// #[rustfmt::skip]
/// let finish = Finish::default().upsampling(Upsampling::Nearest).refine(Refine::None);
/// assert_eq!(finish.to_pixels(&cpu, &image, &found[0]).labels(), [
///     0, 0, 0, 0, 0, 0,
///     0, 0, 0, 0, 0, 0,
///     0, 0, 0, 1, 1, 1,
///     0, 0, 0, 1, 1, 1,
/// ]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Upsampling {
    /// The label of the cell a pixel lies in, by OpenCV's `INTER_NEAREST`, pixel for pixel: the published code.
    Nearest,
    /// The logarithm of the soft assignment interpolated bilinearly about cell centers, then the largest.
    ///
    /// Most cells are nearly all of one cluster, so that shares themselves would put every edge half-way between two cells; their logarithms
    /// still tell a cell that is just of a cluster from one deep within.
    Soft,
}

/// Shares below this are taken as this: training leaves them no meaning.
const LEAST_SHARE: f32 = 1e-6;

pub(super) fn log_share(share: f32) -> f32 {
    share.max(LEAST_SHARE).ln()
}

/// Labels of a `[height, width]` image.
#[must_use]
pub(crate) fn upsample(grid: &GridLabels, height: usize, width: usize, how: Upsampling) -> Vec<u8> {
    let mut out = vec![0; height * width];
    if height == 0 || width == 0 {
        return out;
    }
    match how {
        Upsampling::Nearest => {
            let labels = grid.hard();
            let columns: Vec<usize> = (0..width).map(|x| nearest(x, width, grid.width)).collect();
            parallel::for_each(out.chunks_mut(width).enumerate(), |(y, row)| {
                let line = &labels[nearest(y, height, grid.height) * grid.width..];
                row.iter_mut().zip(&columns).for_each(|(out, &x)| *out = line[x]);
            });
        }
        Upsampling::Soft => soft(grid, height, width, &mut out),
    }
    out
}

/// How much each pixel of a `[height, width]` image belongs to the foreground, 0 to 255: the log-odds of its cells interpolated bilinearly.
/// The first group is the background.
#[must_use]
pub fn foreground(grid: &GridLabels, height: usize, width: usize) -> Vec<u8> {
    let mut out = vec![0; height * width];
    if !grid.groups.is_empty() {
        let odds = odds(grid, (height, width), Upsampling::Soft);
        odds.each_pixel(&mut out, |out, odds| *out = (255.0 / (1.0 + (-odds).exp())).round() as u8);
    }
    out
}

/// The log-odds of the foreground, which is what the first group leaves, at the pixels of a `(height, width)` image: on the fine grid where there is
/// one.
pub(super) fn odds(grid: &GridLabels, size: (usize, usize), how: Upsampling) -> Field<'_> {
    match (&grid.fine, how) {
        (Some(FineForeground { scale, odds }), Upsampling::Soft) => {
            Field::new(odds.into(), (grid.height * scale, grid.width * scale), size, how)
        }
        _ => {
            let odds = |&back: &f32| log_share(1.0 - back) - log_share(back);
            let odds: Vec<f32> = grid.groups.first().iter().flat_map(|group| group.probability.iter().map(odds)).collect();
            Field::new(odds.into(), (grid.height, grid.width), size, how)
        }
    }
}

/// Values of a grid, at the pixels of an image.
pub(super) struct Field<'a> {
    values: Cow<'a, [f32]>,
    /// Columns of the grid.
    cells: usize,
    rows: Vec<Place>,
    columns: Vec<Place>,
}

impl<'a> Field<'a> {
    /// Values of a `(rows, columns)` grid for a `(height, width)` image.
    pub fn new(values: Cow<'a, [f32]>, cells: (usize, usize), size: (usize, usize), how: Upsampling) -> Self {
        let (rows, columns) = (places(size.0, cells.0, how), places(size.1, cells.1, how));
        Self { values, cells: cells.1, rows, columns }
    }

    /// The values of a row of pixels.
    #[inline(always)]
    pub fn row(&self, y: usize) -> impl Iterator<Item = f32> {
        let (top, bottom, down) = self.rows[y];
        let [above, below] = [top, bottom].map(|line| &self.values[line * self.cells..][..self.cells]);
        self.columns.iter().map(move |&(left, right, across)| {
            let [a, b] = [left, right].map(|x| above[x] + (below[x] - above[x]) * down);
            a + (b - a) * across
        })
    }

    /// Calls `put` for every pixel of `out`, `[height, width]`, with its value. `put` is compiled for the widest instructions, with those
    /// functions that are `#[inline(always)]`.
    pub fn each_pixel<T: Send>(&self, out: &mut [T], put: impl Fn(&mut T, f32) + Sync) {
        let width = self.columns.len();
        if width > 0 {
            let tasks = out.chunks_mut(TASK_LINES * width).enumerate();
            parallel::for_each_with(tasks, &mut Vec::new(), |values: &mut Vec<f32>, (task, out)| {
                widest(Lines { field: self, first: task * TASK_LINES, out, put: &put, values });
            });
        }
    }
}

/// Rows of pixels that a task computes.
pub(super) const TASK_LINES: usize = 16;

/// Some rows of pixels, and room for the values of one.
struct Lines<'a, T, P> {
    field: &'a Field<'a>,
    first: usize,
    out: &'a mut [T],
    put: &'a P,
    values: &'a mut Vec<f32>,
}

impl<T, P: Fn(&mut T, f32)> Work for Lines<'_, T, P> {
    #[inline(always)]
    fn run(self) {
        let Self { field, first, out, put, values } = self;
        for (y, out) in out.chunks_exact_mut(field.columns.len()).enumerate() {
            // Reading cells is one pixel at a time, what follows many.
            values.clear();
            values.extend(field.row(first + y));
            out.iter_mut().zip(&*values).for_each(|(out, &value)| put(out, value));
        }
    }
}

fn soft(grid: &GridLabels, height: usize, width: usize, out: &mut [u8]) {
    // One channel a group, then the shares of the groups that have more than one label.
    let groups = grid.groups.len();
    let mut channels = groups;
    // First of a group's shares; a group of one label has none.
    let mut first_share = Vec::with_capacity(groups);
    for group in &grid.groups {
        first_share.push(channels);
        channels += if group.labels.len() > 1 { group.labels.len() } else { 0 };
    }
    let cells = grid.height * grid.width;
    let mut values = vec![0.0f32; cells * channels];
    for (cell, out) in values.chunks_exact_mut(channels).enumerate() {
        for (g, (group, &first)) in grid.groups.iter().zip(&first_share).enumerate() {
            out[g] = log_share(group.probability[cell]);
            let k = group.labels.len();
            if k > 1 {
                out[first..first + k].copy_from_slice(&group.label_probability[cell * k..(cell + 1) * k]);
            }
        }
    }
    let columns: Vec<_> = (0..width).map(|x| position(x, width, grid.width)).collect();
    let fine = grid.fine.as_ref().map(|_| odds(grid, (height, width), Upsampling::Soft));
    let line = grid.width * channels;
    parallel::for_each_with(
        out.chunks_mut(width).enumerate(),
        &mut Vec::new(),
        |(blend, pixel): &mut (Vec<f32>, Vec<f32>), (y, row)| {
            blend.resize(line, 0.0);
            pixel.resize(channels, 0.0);
            let (top, bottom, down) = position(y, height, grid.height);
            let lines = values[top * line..][..line].iter().zip(&values[bottom * line..][..line]);
            blend.iter_mut().zip(lines).for_each(|(out, (a, b))| *out = a + (b - a) * down);
            let mut fine = fine.as_ref().map(|odds| odds.row(y));
            for (out, &(left, right, across)) in row.iter_mut().zip(&columns) {
                let ends = blend[left * channels..][..channels].iter().zip(&blend[right * channels..][..channels]);
                pixel.iter_mut().zip(ends).for_each(|(out, (a, b))| *out = a + (b - a) * across);
                let of_two = fine.as_mut().and_then(|odds| odds.next()).map(|odds| usize::from(odds > 0.0));
                let chosen = of_two.unwrap_or_else(|| argmax(&pixel[..groups]));
                let labels = &grid.groups[chosen].labels;
                let within = if labels.len() > 1 { argmax(&pixel[first_share[chosen]..][..labels.len()]) } else { 0 };
                *out = labels[within];
            }
        },
    );
}

/// Values of a grid at the centers of the cells of a finer one, bilinearly.
pub(super) fn interpolate(values: &[f32], from: (usize, usize), to: (usize, usize)) -> Vec<f32> {
    let field = Field::new(values.into(), from, to, Upsampling::Soft);
    (0..to.0).flat_map(|y| field.row(y)).collect()
}

/// The cell of pixel `at` as OpenCV computes it: a product with the rounded inverse of the scale, which can fall short of the cell whose first
/// pixel this is.
fn nearest(at: usize, size: usize, cells: usize) -> usize {
    let step = 1.0 / (size as f64 / cells as f64);
    ((at as f64 * step) as usize).min(cells - 1)
}

/// Two cells in a line, and the weight of the second.
pub(super) type Place = (usize, usize, f32);

/// The cells that each of `size` pixels in a line takes its value from.
pub(super) fn places(size: usize, cells: usize, how: Upsampling) -> Vec<Place> {
    let place = |at| match how {
        Upsampling::Nearest => (nearest(at, size, cells), nearest(at, size, cells), 0.0),
        Upsampling::Soft => position(at, size, cells),
    };
    (0..size).map(place).collect()
}

/// The two cells between whose centers pixel `at` lies, and the weight of the second.
fn position(at: usize, size: usize, cells: usize) -> Place {
    let exact = ((at as f64 + 0.5) * cells as f64 / size as f64 - 0.5).clamp(0.0, (cells - 1) as f64);
    let first = exact as usize;
    (first, (first + 1).min(cells - 1), (exact - first as f64) as f32)
}

#[cfg(test)]
mod tests {
    use super::super::labels::Group;
    use super::*;

    fn two_groups(height: usize, width: usize, foreground: &[f32]) -> GridLabels {
        let background = Group::of_one(0, foreground.iter().map(|f| 1.0 - f).collect());
        let foreground = Group::of_one(1, foreground.to_vec());
        GridLabels { height, width, groups: vec![background, foreground], fine: None }
    }

    #[test]
    fn nearest_repeats_cells() {
        let grid = two_groups(1, 2, &[0.0, 1.0]);
        assert_eq!(upsample(&grid, 2, 5, Upsampling::Nearest), [0, 0, 0, 1, 1, 0, 0, 0, 1, 1]);
    }

    /// OpenCV's cell of every pixel, for seven grids and all sizes from 100 to 1300: the file lists the pixels where it is not the exact one but
    /// the one before.
    #[test]
    fn nearest_is_that_of_opencv() {
        let expected = include_str!("../../tests/fixtures/nearest_expected.txt");
        let rows = expected.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let mut numbers = line.split(' ').map(|number| number.parse::<usize>().unwrap());
            ((numbers.next().unwrap(), numbers.next().unwrap()), numbers.collect::<Vec<usize>>())
        });
        let before: std::collections::HashMap<_, _> = rows.collect();
        assert_eq!(before.len(), 539);
        for (cells, size) in
            [20, 24, 28, 32, 35, 40, 69].into_iter().flat_map(|cells| (100..=1300).map(move |size| (cells, size)))
        {
            let listed = before.get(&(cells, size)).map_or(&[][..], |list| list);
            for at in 0..size {
                let cell = at * cells / size - usize::from(listed.contains(&at));
                assert_eq!(nearest(at, size, cells), cell, "pixel {at} of {size}, {cells} cells");
            }
        }
        // Rows and columns alike.
        let listed = &before[&(69, 141)];
        let ramp: Vec<f32> = (0..69).map(|cell| f32::from(u8::from(cell % 2 == 1))).collect();
        let line = upsample(&two_groups(1, 69, &ramp), 1, 141, Upsampling::Nearest);
        assert_eq!(line, upsample(&two_groups(69, 1, &ramp), 141, 1, Upsampling::Nearest));
        for (at, &label) in line.iter().enumerate() {
            assert_eq!(usize::from(label), (at * 69 / 141 - usize::from(listed.contains(&at))) % 2);
        }
    }

    /// Between a cell of log-odds -3 and one of 1 the foreground begins at three quarters of the way.
    #[test]
    fn soft_interpolates_before_it_decides() {
        let grid = two_groups(1, 2, &[1.0 / (1.0 + 3f32.exp()), 1.0 / (1.0 + (-1f32).exp())]);
        assert_eq!(upsample(&grid, 1, 16, Upsampling::Soft), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
        assert_eq!(upsample(&grid, 1, 2, Upsampling::Soft), upsample(&grid, 1, 2, Upsampling::Nearest));
        assert_eq!(upsample(&grid, 3, 1, Upsampling::Soft), [0, 0, 0]);
    }

    /// Odds of 1:4, 1:2, 2:1 and 4:1, and where they are even the label changes.
    #[test]
    fn foreground_is_what_the_background_leaves() {
        let grid = two_groups(1, 2, &[0.2, 0.8]);
        assert_eq!(foreground(&grid, 1, 4), [51, 85, 170, 204]);
        let labels = upsample(&grid, 2, 30, Upsampling::Soft);
        assert!(foreground(&grid, 2, 30).iter().zip(labels).all(|(soft, label)| (*soft > 127) == (label == 1)));
    }

    /// Parts are chosen within the foreground, whatever their own size: 0.6 of foreground split in two is still foreground.
    #[test]
    fn parts_do_not_compete_with_the_background() {
        let mut grid = two_groups(1, 2, &[0.6, 0.6]);
        grid.groups[1].labels = vec![1, 2];
        grid.groups[1].label_probability = vec![0.9, 0.1, 0.2, 0.8];
        assert_eq!(upsample(&grid, 1, 4, Upsampling::Soft), [1, 1, 2, 2]);
        assert_eq!(upsample(&grid, 1, 4, Upsampling::Nearest), [1, 1, 2, 2]);
    }
}
