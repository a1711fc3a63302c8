//! Labels of an image's pixels and a table of its regions: the input of exporters.

use crate::components::{BoundingBox, Component, Components, add_run, inside_runs, label_runs};
use std::ops::Range;

/// What a region is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// Not an object.
    Background,
    /// An object.
    Object,
    /// A part of an object.
    Part,
    /// One of several clusters that an image was cut into, without a claim that it is an object.
    Cluster,
}

/// What a label means, before it is known which pixels have it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Meaning {
    /// The label.
    pub label: u8,
    /// What its region is.
    pub kind: Kind,
    /// The number of the object that a part belongs to, counted from 1.
    pub part_of: Option<u8>,
    /// How sure it is that the region is what `kind` says, in [0, 1].
    pub score: f32,
}

/// A label that occurs in an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    /// The label.
    pub label: u8,
    /// What the region is.
    pub kind: Kind,
    /// The number of the object that a part belongs to, counted from 1.
    pub part_of: Option<u8>,
    /// How sure it is that the region is what `kind` says, in [0, 1]: its own for objects that were told apart, else the
    /// confidence of the cut.
    pub score: f32,
    /// Pixels.
    pub area: usize,
    /// The smallest rectangle around them.
    pub bounds: BoundingBox,
}

impl Region {
    /// Whether it is anything but background.
    #[must_use]
    pub fn is_foreground(&self) -> bool {
        self.kind != Kind::Background
    }
}

/// Why labels are no segmentation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentationError {
    /// Not a label for every pixel.
    #[error("{got} labels for an image of {height} × {width} pixels")]
    Shape {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Labels there are.
        got: usize,
    },
    /// Nothing says what a label means, or two entries do.
    #[error("label {label} has {meanings} meanings; expected one for every label that occurs")]
    Meaning {
        /// The label.
        label: u8,
        /// Entries that say what it means.
        meanings: usize,
    },
}

/// Labels of an image's pixels, and the regions they make.
///
/// A label is the same cluster of the same initial network in every image of a run, which is what makes parts agree across images.
///
/// ```
/// use deepcut::{Kind, Meaning, Segmentation};
///
/// #[rustfmt::skip]
/// let labels = vec![
///     0, 1, 1, 0,
///     0, 2, 0, 1,
/// ];
/// let part = |label| Meaning { label, kind: Kind::Part, part_of: Some(1), score: 0.9 };
/// let background = Meaning { label: 0, kind: Kind::Background, part_of: None, score: 0.9 };
/// let found = Segmentation::new(2, 4, labels, &[background, part(1), part(2)])?;
/// assert_eq!(found.regions().len(), 3);
/// assert_eq!(found.region(1).unwrap().area, 3);
/// assert_eq!(found.mask(), [0, 255, 255, 0, 0, 255, 0, 255]);
/// // The part of label 1 is in two pieces; the object, both parts together, too: pixels touch at sides, not at corners.
/// assert_eq!(found.components_of(1).len(), 2);
/// assert_eq!(found.components()[0].area, 3);
/// # Ok::<(), deepcut::segmentation::SegmentationError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Segmentation {
    height: usize,
    width: usize,
    labels: Vec<u8>,
    regions: Vec<Region>,
    confidence: f32,
    grid: (usize, usize),
    main_object: Option<Vec<bool>>,
}

impl Segmentation {
    /// Labels of `[height, width]` pixels, and what they mean.
    ///
    /// # Errors
    /// [`SegmentationError`] if there are not as many labels as pixels, or one that occurs does not have one meaning.
    pub fn new(height: usize, width: usize, labels: Vec<u8>, meanings: &[Meaning]) -> Result<Self, SegmentationError> {
        if height.checked_mul(width) != Some(labels.len()) {
            return Err(SegmentationError::Shape { height, width, got: labels.len() });
        }
        let mut regions = Vec::new();
        for (label, area, bounds) in measure(&labels, width) {
            let of_label: Vec<&Meaning> = meanings.iter().filter(|meaning| meaning.label == label).collect();
            let &[&Meaning { kind, part_of, score, .. }] = &of_label[..] else {
                return Err(SegmentationError::Meaning { label, meanings: of_label.len() });
            };
            regions.push(Region { label, kind, part_of, score, area, bounds });
        }
        Ok(Self { height, width, labels, regions, confidence: 0.0, grid: (0, 0), main_object: None })
    }

    /// An image in which there is nothing to find: all background.
    #[must_use]
    pub fn empty(height: usize, width: usize) -> Self {
        let background = Meaning { label: 0, kind: Kind::Background, part_of: None, score: 0.0 };
        let labels = vec![0; height.saturating_mul(width)];
        let regions = measure(&labels, width).into_iter();
        let Meaning { kind, part_of, score, .. } = background;
        let regions = regions.map(|(label, area, bounds)| Region { label, kind, part_of, score, area, bounds }).collect();
        Self { height, width, labels, regions, confidence: 0.0, grid: (0, 0), main_object: None }
    }

    /// The labels alone. [`Segmentation::new`] and [`Segmentation::with_cut`] make a segmentation of them again.
    #[must_use]
    pub fn into_labels(self) -> Vec<u8> {
        self.labels
    }

    /// With the confidence of the cut, and the rows and columns of patches that it was made on.
    #[must_use]
    pub fn with_cut(self, confidence: f32, grid: (usize, usize)) -> Self {
        Self { confidence, grid, ..self }
    }

    /// With the patches of the main object, `[grid]`, where the cut tells ([`Clustering::main_object`](crate::Clustering::main_object)). Call it after
    /// [`Segmentation::with_cut`]; patches of another grid are not taken.
    #[must_use]
    pub fn with_main_object(self, patches: Option<Vec<bool>>) -> Self {
        let is_of_grid = |patches: &Vec<bool>| !patches.is_empty() && self.grid.0.checked_mul(self.grid.1) == Some(patches.len());
        Self { main_object: patches.filter(is_of_grid), ..self }
    }

    /// The patches of the main object, where the cut tells.
    #[must_use]
    pub fn main_object(&self) -> Option<&[bool]> {
        self.main_object.as_deref()
    }

    /// The box of the main object: of the foreground's largest connected component, or where the cut tells the main object's patches, of the largest
    /// within them. None if there is no foreground.
    ///
    /// ```
    /// use deepcut::{Kind, Meaning, Segmentation};
    ///
    /// let meaning = |label, kind| Meaning { label, kind, part_of: None, score: 1.0 };
    /// let labels = vec![
    ///     0, 1, 1, 1, 1, 0,
    ///     0, 0, 0, 0, 1, 0,
    /// ];
    /// let found = Segmentation::new(2, 6, labels, &[meaning(0, Kind::Background), meaning(1, Kind::Object)])?;
    /// assert_eq!(found.main_box().unwrap().width, 4);
    /// // A grid of 1 × 3 patches; the object goes on in the last, where another begins.
    /// let found = found.with_cut(0.9, (1, 3)).with_main_object(Some(vec![true, true, false]));
    /// assert_eq!(found.main_box().unwrap().width, 3);
    /// # Ok::<(), deepcut::segmentation::SegmentationError>(())
    /// ```
    #[must_use]
    pub fn main_box(&self) -> Option<BoundingBox> {
        let whole = || self.components().first().map(|component| component.bounds);
        let Some(patches) = &self.main_object else { return whole() };
        let table = self.foreground();
        let (rows, columns) = self.grid;
        // Where the main object's patches lie in a row of pixels: column `x` lies in patch `x · columns / width`.
        let first = |patch: usize| (patch * self.width).div_ceil(columns);
        let spans = |row: &[bool]| -> Vec<Range<usize>> {
            let inside = row.iter().enumerate().filter(|(_, is_main)| **is_main);
            inside.map(|(patch, _)| first(patch)..first(patch + 1)).collect()
        };
        let spans: Vec<_> = patches.chunks_exact(columns).map(spans).collect();
        let mut of_row = Vec::new();
        let found = Components::of_rows(self.height, self.width, |y, found| {
            of_row.clear();
            inside_runs(&self.labels[y * self.width..(y + 1) * self.width], |label| table[usize::from(label)], &mut of_row);
            intersect(&of_row, &spans[y * rows / self.height], found);
        });
        found.largest().map(|largest| found.list()[largest].bounds).or_else(whole)
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The label of every pixel, `[height, width]`.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The labels that occur, in order, and what they are.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }

    /// The region of a label, if it occurs.
    #[must_use]
    pub fn region(&self, label: u8) -> Option<&Region> {
        self.regions.iter().find(|region| region.label == label)
    }

    /// How clean the cut between foreground and background is, in [0, 1]; 0 if nothing was cut. See
    /// [`Clustering::confidence`](crate::Clustering::confidence).
    #[must_use]
    pub fn confidence(&self) -> f32 {
        self.confidence
    }

    /// Rows and columns of the grid of patches; zero if nothing was cut.
    #[must_use]
    pub fn grid(&self) -> (usize, usize) {
        self.grid
    }

    /// Whether any pixel is foreground.
    #[must_use]
    pub fn has_object(&self) -> bool {
        self.regions.iter().any(Region::is_foreground)
    }

    /// For every label, whether it is foreground.
    fn foreground(&self) -> [bool; 256] {
        let mut table = [false; 256];
        self.regions.iter().for_each(|region| table[usize::from(region.label)] = region.is_foreground());
        table
    }

    /// The foreground, `[height, width]`: 255 inside, 0 outside.
    #[must_use]
    pub fn mask(&self) -> Vec<u8> {
        let table = self.foreground().map(|inside| if inside { 255 } else { 0 });
        self.labels.iter().map(|&label| table[usize::from(label)]).collect()
    }

    /// Foreground and background exchanged, as one object.
    ///
    /// ```
    /// use deepcut::{Kind, Meaning, Segmentation};
    ///
    /// #[rustfmt::skip]
    /// let labels = vec![
    ///     0, 1, 1,
    ///     0, 2, 0,
    /// ];
    /// let meaning = |label, kind| Meaning { label, kind, part_of: None, score: 1.0 };
    /// let meanings = [meaning(0, Kind::Background), meaning(1, Kind::Cluster), meaning(2, Kind::Cluster)];
    /// let other = Segmentation::new(2, 3, labels, &meanings)?.complement();
    /// #[rustfmt::skip]
    /// assert_eq!(other.labels(), [
    ///     1, 0, 0,
    ///     1, 0, 1,
    /// ]);
    /// assert_eq!(other.regions()[1].kind, Kind::Object);
    /// # Ok::<(), deepcut::segmentation::SegmentationError>(())
    /// ```
    #[must_use]
    pub fn complement(&self) -> Self {
        let table = self.foreground().map(|inside| u8::from(!inside));
        let labels: Vec<u8> = self.labels.iter().map(|&label| table[usize::from(label)]).collect();
        let kinds = [Kind::Background, Kind::Object];
        let regions = measure(&labels, self.width).into_iter().map(|(label, area, bounds)| {
            let kind = kinds[usize::from(label)];
            Region { label, kind, part_of: None, score: self.confidence, area, bounds }
        });
        Self { regions: regions.collect(), labels, main_object: None, ..*self }
    }

    /// The foreground's connected components, largest first; pixels touch at their sides.
    ///
    /// ```
    /// use deepcut::components::BoundingBox;
    /// use deepcut::{Kind, Meaning, Segmentation};
    ///
    /// #[rustfmt::skip]
    /// let labels = vec![
    ///     1, 1, 0, 0, 1,
    ///     0, 1, 0, 1, 1,
    ///     0, 0, 0, 1, 0,
    ///     1, 1, 1, 0, 0,
    /// ];
    /// let meaning = |label, kind| Meaning { label, kind, part_of: None, score: 1.0 };
    /// let found = Segmentation::new(4, 5, labels, &[meaning(0, Kind::Background), meaning(1, Kind::Object)])?;
    /// let components = found.components();
    /// // The last row touches the rest at corners only.
    /// assert_eq!(components.iter().map(|component| component.area).collect::<Vec<_>>(), [4, 3, 3]);
    /// assert_eq!(components[0].bounds, BoundingBox { top: 0, left: 3, height: 3, width: 2 });
    /// # Ok::<(), deepcut::segmentation::SegmentationError>(())
    /// ```
    #[must_use]
    pub fn components(&self) -> Vec<Component> {
        let table = self.foreground();
        self.components_where(|label| table[usize::from(label)])
    }

    /// The connected components of one label, largest first.
    #[must_use]
    pub fn components_of(&self, label: u8) -> Vec<Component> {
        self.components_where(|other| other == label)
    }

    fn components_where(&self, inside: impl Fn(u8) -> bool) -> Vec<Component> {
        let found = Components::of_labels(self.height, self.width, &self.labels, inside);
        let mut list = found.list().to_vec();
        list.sort_by_key(|c| std::cmp::Reverse(c.area));
        list
    }
}

/// What lies in both of two lists of runs, each in order; pieces that touch are one.
fn intersect(some: &[Range<usize>], others: &[Range<usize>], both: &mut Vec<Range<usize>>) {
    let mut others = others.iter().peekable();
    for run in some {
        while let Some(other) = others.peek() {
            let (start, end) = (run.start.max(other.start), run.end.min(other.end));
            if start < end {
                add_run(both, start..end);
            }
            // It may go on in the next run.
            if other.end > run.end {
                break;
            }
            others.next();
        }
    }
}

/// Label, area and bounds of every label that occurs, in order.
fn measure(labels: &[u8], width: usize) -> Vec<(u8, usize, BoundingBox)> {
    // Per label: area, then the first and last row and column.
    let mut seen = [(0usize, usize::MAX, 0usize, usize::MAX, 0usize); 256];
    for (y, row) in labels.chunks_exact(width.max(1)).enumerate() {
        for (run, label) in label_runs(row) {
            let (area, top, bottom, left, right) = &mut seen[usize::from(label)];
            *area += run.len();
            (*top, *bottom) = ((*top).min(y), y);
            (*left, *right) = ((*left).min(run.start), (*right).max(run.end - 1));
        }
    }
    (0..=u8::MAX)
        .zip(seen)
        .filter(|(_, (area, ..))| *area > 0)
        .map(|(label, (area, top, bottom, left, right))| {
            (label, area, BoundingBox { top, left, height: bottom + 1 - top, width: right + 1 - left })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs that begin and end together, within each other, and side by side.
    #[test]
    fn runs_are_cut_to_runs() {
        let cut = |some: &[Range<usize>], others: &[Range<usize>]| {
            let mut both = Vec::new();
            intersect(some, others, &mut both);
            both
        };
        assert_eq!(cut(&[0..4, 6..9, 12..20], &[2..3, 3..7, 8..14, 16..18, 18..30]), [2..4, 6..7, 8..9, 12..14, 16..20]);
        assert_eq!(cut(&[5..6, 20..21], &[0..5, 6..9]), []);
        let runs = [0..5, 7..9];
        assert_eq!((cut(&[], &runs), cut(&runs, &[])), (vec![], vec![]));
    }

    #[test]
    fn regions_and_components_are_measured() {
        #[rustfmt::skip]
        let labels = vec![
            0, 1, 1, 0,
            0, 2, 0, 1,
            5, 0, 0, 1,
        ];
        let meaning = |label, kind| Meaning { label, kind, part_of: None, score: 0.5 };
        let background = [0, 5].map(|label| meaning(label, Kind::Background));
        let clusters = [1, 2, 3].map(|label| meaning(label, Kind::Cluster));
        let meanings = [&background[..], &clusters].concat();
        let found = Segmentation::new(3, 4, labels.clone(), &meanings).unwrap();
        let regions: Vec<_> = found.regions().iter().map(|r| (r.label, r.area, r.bounds.top, r.bounds.width)).collect();
        assert_eq!(regions, [(0, 6, 0, 4), (1, 4, 0, 3), (2, 1, 1, 1), (5, 1, 2, 1)]);
        let areas: Vec<_> = found.components().iter().map(|c| c.area).collect();
        assert_eq!(areas, [3, 2]);
        assert_eq!(found.mask(), [0, 255, 255, 0, 0, 255, 0, 255, 0, 0, 0, 255]);
        let other = found.complement();
        assert_eq!(other.labels(), [1, 0, 0, 1, 1, 0, 1, 0, 1, 1, 1, 0]);
        assert_eq!(
            other.regions().iter().map(|r| (r.kind, r.area)).collect::<Vec<_>>(),
            [(Kind::Background, 5), (Kind::Object, 7)]
        );
        let unknown = Segmentation::new(3, 4, labels.clone(), &meanings[1..]);
        assert_eq!(unknown, Err(SegmentationError::Meaning { label: 0, meanings: 0 }));
        let twice = [&meanings[..], &meanings[..1]].concat();
        assert_eq!(Segmentation::new(3, 4, labels.clone(), &twice), Err(SegmentationError::Meaning { label: 0, meanings: 2 }));
        assert!(matches!(Segmentation::new(3, 5, labels, &meanings), Err(SegmentationError::Shape { got: 12, .. })));
    }

    #[test]
    fn the_main_box_is_within_the_main_objects_patches() {
        #[rustfmt::skip]
        let labels = vec![
            1, 1, 1, 0, 0, 0, 0,
            1, 1, 1, 0, 2, 2, 0,
            0, 0, 0, 0, 0, 2, 0,
            0, 0, 0, 0, 2, 0, 3,
        ];
        let meaning = |(label, kind)| Meaning { label, kind, part_of: None, score: 1.0 };
        let meanings = [(0, Kind::Background), (1, Kind::Part), (2, Kind::Part), (3, Kind::Background)].map(meaning);
        let found = Segmentation::new(4, 7, labels, &meanings).unwrap().with_cut(0.5, (2, 3));
        let bounds = |found: &Segmentation| found.main_box().map(|b| [b.top, b.left, b.height, b.width]);
        let with = |patches: &[bool]| found.clone().with_main_object(Some(patches.to_vec()));
        assert_eq!(bounds(&found), Some([0, 0, 2, 3]), "the largest component");
        // Columns 0 to 2, 3 and 4, 5 and 6: 7 pixels for 3 patches.
        assert_eq!(bounds(&with(&[false, true, true, false, true, true])), Some([1, 4, 2, 2]));
        assert_eq!(bounds(&with(&[false, false, false, true, true, true])), Some([2, 5, 1, 1]), "the first of two pixels");
        // Patches without a pixel of the mask, and patches of another grid, tell nothing.
        assert_eq!(bounds(&with(&[false, false, false, true, false, false])), Some([0, 0, 2, 3]));
        assert_eq!((with(&[true; 4]), with(&[])), (found.clone(), found.clone()));
        assert_eq!(with(&[true; 6]).complement().main_object(), None);
        assert_eq!(bounds(&Segmentation::empty(2, 3).with_cut(0.0, (1, 1)).with_main_object(Some(vec![true]))), None);
        assert_eq!(bounds(&Segmentation::empty(0, 0)), None);
    }

    #[test]
    fn nothing_found_is_all_background() {
        let empty = Segmentation::empty(2, 3);
        assert!(!empty.has_object() && empty.components().is_empty());
        assert_eq!((empty.regions().len(), empty.regions()[0].area, empty.mask()), (1, 6, vec![0; 6]));
        assert_eq!(empty.complement().components()[0].area, 6);
        assert!(Segmentation::empty(0, 0).regions().is_empty());
    }
}
