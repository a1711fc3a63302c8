//! From patch features to labels: the stages of the method, then pixels.

pub mod bilateral;
pub mod polarity;
pub mod stages;
pub mod upsample;

use crate::components::{BoundingBox, Component, Components, keep_largest};
use crate::image::Image;
use crate::options::{Options, Refine};
use bilateral::{BilateralGrid, CONFIDENCE, LAMBDA, finish_as_published};
pub use stages::{Clustering, cluster};

/// What the pipeline is doing; an observer is told at the beginning of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Resizing and normalising the picture.
    Resize,
    /// Computing the features.
    Backbone,
    /// Building a graph and propagating features over it.
    Graph,
    /// Training the network.
    Train,
    /// From the grid to pixels.
    Upsample,
    /// The bilateral solver.
    Refine,
}

impl Stage {
    /// Its name in reports: `resize`, `backbone`, `graph`, `train`, `upsample` or `refine`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Resize => "resize",
            Self::Backbone => "backbone",
            Self::Graph => "graph",
            Self::Train => "train",
            Self::Upsample => "upsample",
            Self::Refine => "refine",
        }
    }
}

/// Labels that stand or fall together: the background's, or the foreground's.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// How much each cell belongs to the group, `[cells]`; over all groups a cell's masses sum to one.
    pub mass: Vec<f32>,
    /// Its labels.
    pub labels: Vec<u8>,
    /// How much each cell belongs to each label, `[cells, labels]`, zero in cells of other groups; empty for one label.
    pub shares: Vec<f32>,
}

/// Soft labels of a grid of patches.
#[derive(Debug, Clone, PartialEq)]
pub struct GridLabels {
    /// Rows of patches.
    pub height: usize,
    /// Columns of patches.
    pub width: usize,
    /// The groups; a cell's group is the one of largest mass.
    pub groups: Vec<Group>,
}

impl GridLabels {
    /// The label of every cell.
    #[must_use]
    pub fn hard(&self) -> Vec<u8> {
        (0..self.height * self.width)
            .map(|cell| {
                let masses: Vec<f32> = self.groups.iter().map(|g| g.mass[cell]).collect();
                let Group { labels, shares, .. } = &self.groups[crate::train::first_largest(&masses)];
                let k = labels.len();
                if k > 1 { labels[crate::train::first_largest(&shares[cell * k..(cell + 1) * k])] } else { labels[0] }
            })
            .collect()
    }
}

/// A label that occurs in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// The label.
    pub label: u8,
    /// Pixels.
    pub area: usize,
    /// The smallest rectangle around them.
    pub bounds: BoundingBox,
}

/// Labels of a picture's pixels.
///
/// Label 0 is background; labels 1 to `foreground_labels` are the object, its parts, or the clusters of a picture cut in more than
/// two; a higher label is the second background cluster of `Mode::Scene`. A label is the same cluster of the same initial network in
/// every picture, which is what makes parts agree across pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct Segmentation {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `[height, width]`.
    pub labels: Vec<u8>,
    /// The highest label of the foreground.
    pub foreground_labels: u8,
    /// See [`Clustering::confidence`].
    pub confidence: f32,
    /// Rows and columns of the grid of patches.
    pub grid: (usize, usize),
}

impl Segmentation {
    /// The result for a picture with nothing to cut: all background.
    #[must_use]
    pub fn empty(height: usize, width: usize, foreground_labels: u8) -> Self {
        Self { height, width, labels: vec![0; height * width], foreground_labels, confidence: 0.0, grid: (0, 0) }
    }

    /// Whether a label belongs to the foreground.
    #[must_use]
    pub fn is_foreground(&self, label: u8) -> bool {
        (1..=self.foreground_labels).contains(&label)
    }

    /// The foreground, `[height, width]`: 255 inside, 0 outside.
    #[must_use]
    pub fn mask(&self) -> Vec<u8> {
        self.labels.iter().map(|&label| if self.is_foreground(label) { 255 } else { 0 }).collect()
    }

    /// Foreground and background exchanged, as a mask of one label.
    #[must_use]
    pub fn complement(&self) -> Self {
        let labels = self.labels.iter().map(|&label| u8::from(!self.is_foreground(label))).collect();
        Self { labels, foreground_labels: 1, ..self.clone() }
    }

    /// The labels that occur, in order.
    #[must_use]
    pub fn regions(&self) -> Vec<Region> {
        // Per label: area, then the first and last row and column.
        let mut seen = [(0usize, usize::MAX, 0usize, usize::MAX, 0usize); 256];
        for (y, row) in self.labels.chunks_exact(self.width.max(1)).enumerate() {
            for (x, &label) in row.iter().enumerate() {
                let (area, top, bottom, left, right) = &mut seen[usize::from(label)];
                *area += 1;
                (*top, *bottom) = ((*top).min(y), y);
                (*left, *right) = ((*left).min(x), (*right).max(x));
            }
        }
        (0..=u8::MAX)
            .zip(seen)
            .filter(|(_, (area, ..))| *area > 0)
            .map(|(label, (area, top, bottom, left, right))| {
                let bounds = BoundingBox { top, left, height: bottom + 1 - top, width: right + 1 - left };
                Region { label, area, bounds }
            })
            .collect()
    }

    /// The foreground's connected components, largest first.
    #[must_use]
    pub fn components(&self) -> Vec<Component> {
        let found = Components::find(self.height, self.width, |at| self.is_foreground(self.labels[at]));
        let mut list = found.list().to_vec();
        list.sort_by_key(|c| std::cmp::Reverse(c.area));
        list
    }
}

/// Brings the grid's labels to the pixels of `image`, refined and filtered as `options` say.
pub fn to_pixels(image: &Image, clustering: &Clustering, options: &Options, observe: &mut dyn FnMut(Stage)) -> Segmentation {
    let (height, width) = (image.height(), image.width());
    observe(Stage::Upsample);
    let mut out = Segmentation {
        height,
        width,
        labels: upsample::upsample(&clustering.grid, height, width, options.upsampling),
        foreground_labels: clustering.foreground_labels,
        confidence: clustering.confidence,
        grid: (clustering.grid.height, clustering.grid.width),
    };
    let published = options.refine == Refine::BilateralPublished;
    if options.refine != Refine::None {
        observe(Stage::Refine);
        refine(image, &mut out, published);
    }
    if published || options.largest_component {
        let mut mask: Vec<bool> = out.labels.iter().map(|&label| out.is_foreground(label)).collect();
        if published && out.foreground_labels == 1 {
            finish_as_published(&mut mask, height, width);
        } else {
            keep_largest(&mut mask, height, width);
        }
        let foreground = 1..=out.foreground_labels;
        for (label, inside) in out.labels.iter_mut().zip(mask) {
            *label = match (foreground.contains(label), inside) {
                (true, false) => 0,
                (false, true) => 1,
                _ => *label,
            };
        }
    }
    out
}

/// Weight of smoothness unless the published solver is asked for, whose 256 takes more of good masks than it gives.
const LAMBDA_OURS: f64 = 8.0;
/// Pixels so near to another label, in patches, are in doubt then: only there does the grid leave the edge open.
const DOUBT: f64 = 0.5;
/// Their confidence.
const CONFIDENCE_IN_DOUBT: f64 = 0.1;

/// Solves for every label that occurs and gives each pixel the label of the largest solution: with two labels, solution above one half.
fn refine(image: &Image, segmentation: &mut Segmentation, published: bool) {
    let present: Vec<u8> = segmentation.regions().iter().map(|region| region.label).collect();
    let Some((&first, others)) = present.split_first() else { return };
    let grid = BilateralGrid::new(image);
    // The published code trusts every pixel alike.
    let (lambda, doubt) = if published { (LAMBDA, 0.0) } else { (LAMBDA_OURS, DOUBT) };
    let reach = |side: usize, cells: usize| (side as f64 / cells.max(1) as f64 * doubt).round() as usize;
    let (rows, columns) = segmentation.grid;
    let certain = within_label(segmentation, reach(segmentation.height, rows), reach(segmentation.width, columns));
    let solve = |label: u8| {
        let target = |at: usize| if segmentation.labels[at] == label { 1.0 } else { 0.0 };
        grid.solve(lambda, target, |at| if certain[at] { CONFIDENCE } else { CONFIDENCE_IN_DOUBT })
    };
    // The solutions of all labels sum to one, so two labels need one solution.
    let mut best: Vec<f32> = if others.len() == 1 { vec![0.5; segmentation.labels.len()] } else { solve(first) };
    let mut labels = vec![first; best.len()];
    for &label in others {
        for ((value, best), to) in solve(label).into_iter().zip(&mut best).zip(&mut labels) {
            if value > *best {
                (*best, *to) = (value, label);
            }
        }
    }
    segmentation.labels = labels;
}

/// No label: there are fewer.
const MIXED: u8 = u8::MAX;

/// Which pixels have none but their own label within `down` rows and within `across` columns of them.
fn within_label(of: &Segmentation, down: usize, across: usize) -> Vec<bool> {
    let (height, width) = (of.height, of.width);
    let (mut rows, mut both) = (vec![0; of.labels.len()], vec![0; of.labels.len()]);
    for y in 0..height {
        within_run(&of.labels, &mut rows, (0..width).map(|x| y * width + x), across);
    }
    for x in 0..width {
        within_run(&rows, &mut both, (0..height).map(|y| y * width + x), down);
    }
    both.into_iter().map(|label| label != MIXED).collect()
}

/// Copies the values at the places `line`, but for those with another value within `reach` places, which become [`MIXED`].
fn within_run(from: &[u8], to: &mut [u8], line: impl DoubleEndedIterator<Item = usize> + Clone, reach: usize) {
    line.clone().for_each(|at| to[at] = from[at]);
    let mut mark = |line: &mut dyn Iterator<Item = usize>| {
        // The line's ends are no edges.
        let (mut since, mut before) = (reach, None);
        for at in line {
            since = if before.is_some_and(|before| before != from[at]) { 0 } else { since.saturating_add(1) };
            before = Some(from[at]);
            if since < reach {
                to[at] = MIXED;
            }
        }
    };
    mark(&mut line.clone());
    mark(&mut line.rev());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against looking around every pixel.
    #[test]
    fn pixels_within_a_label_are_far_from_others() {
        let (height, width) = (9, 11);
        let labels: Vec<u8> =
            (0..height * width).map(|at| u8::from(at % width > 6) + 2 * u8::from(at / width > 3 && at % 5 > 1)).collect();
        let found = Segmentation { labels, ..Segmentation::empty(height, width, 3) };
        for (down, across) in [(0, 0), (1, 1), (2, 1), (1, 3)] {
            let own = |at: usize| {
                let (y, x) = (at / width, at % width);
                let near = |size: usize, at: usize, reach: usize| at.saturating_sub(reach)..(at + reach + 1).min(size);
                near(height, y, down)
                    .all(|row| near(width, x, across).all(|column| found.labels[row * width + column] == found.labels[at]))
            };
            let expected: Vec<bool> = (0..height * width).map(own).collect();
            assert_eq!(within_label(&found, down, across), expected, "{down} {across}");
        }
    }

    #[test]
    fn regions_and_components_are_measured() {
        #[rustfmt::skip]
        let labels = vec![
            0, 1, 1, 0,
            0, 2, 0, 1,
            5, 0, 0, 1,
        ];
        let found = Segmentation { labels, ..Segmentation::empty(3, 4, 2) };
        let regions: Vec<_> = found.regions().iter().map(|r| (r.label, r.area, r.bounds.top, r.bounds.width)).collect();
        assert_eq!(regions, [(0, 6, 0, 4), (1, 4, 0, 3), (2, 1, 1, 1), (5, 1, 2, 1)]);
        let areas: Vec<_> = found.components().iter().map(|c| c.area).collect();
        assert_eq!(areas, [3, 2]);
        assert_eq!(found.mask(), [0, 255, 255, 0, 0, 255, 0, 255, 0, 0, 0, 255]);
    }
}
