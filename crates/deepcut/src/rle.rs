//! Run lengths of a binary mask, as COCO writes them.
//!
//! Pixels are numbered by columns: that of (row, col) is `col · height + row`. The counts are lengths of runs of outside and inside in turn,
//! the first of outside, so it is zero where the first pixel is inside. Other tools number pixels by rows: [`Rle::row_counts`].
//!
//! ```
//! use deepcut::rle::Rle;
//!
//! #[rustfmt::skip]
//! let mask = [
//!     0, 255, 255,
//!     0,   0, 255,
//! ];
//! let rle = Rle::encode(2, 3, |at| mask[at] > 0);
//! // By columns: 0 0 | 1 0 | 1 1.
//! assert_eq!(rle.counts(), [2, 1, 1, 2]);
//! assert_eq!(rle.row_counts(), [1, 2, 2, 1]);
//! assert_eq!(rle.to_compressed(), "2111");
//! assert_eq!(rle.decode(), mask);
//! ```
//!
//! **Compressed**: each count is written in groups of five bits, lowest first, as characters from `0` (48) on; 32 says that another group
//! follows, and 16 of the last group is the sign. From the fourth count on, the difference to the count two before is written.
//!
//! Source: the format of the COCO API's masks (Lin et al., arXiv 1405.0312). Cost: O(pixels of the box) to encode, O(runs) for the rest.

use crate::components::{BoundingBox, add_run};
use std::ops::Range;

/// Columns whose runs are found in one walk over the rows: neighbors in memory are read together.
const BLOCK: usize = 64;
/// Groups of five bits that hold any count.
const MOST_GROUPS: u32 = 13;

/// A binary mask as run lengths by columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rle {
    height: usize,
    width: usize,
    counts: Vec<usize>,
}

/// Why counts are no mask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RleError {
    /// A mask of more pixels than can be counted.
    #[error("a mask of {height} × {width} pixels is too large")]
    Size {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// The counts are of fewer or more pixels.
    #[error("the counts are of {got} pixels, the mask has {height} × {width}")]
    Sum {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Sum of the counts; the largest number if they cannot be added.
        got: usize,
    },
    /// A character that compressed counts do not have.
    #[error("character {at} of the compressed counts is none of theirs (48 to 111)")]
    Character {
        /// Its place, from 0.
        at: usize,
    },
    /// The compressed counts end inside a count.
    #[error("the compressed counts are cut short")]
    Truncated,
    /// A count below zero or beyond all numbers.
    #[error("count {at} of the compressed counts is no length")]
    Count {
        /// Its place, from 0.
        at: usize,
    },
}

impl Rle {
    /// The run lengths of the `[height, width]` mask that `inside` gives for each pixel's row-major index.
    #[must_use]
    pub fn encode(height: usize, width: usize, inside: impl Fn(usize) -> bool) -> Self {
        Self::encode_within(height, width, BoundingBox { top: 0, left: 0, height, width }, inside)
    }

    /// As [`Rle::encode`], with all pixels outside a box taken for outside the mask. The box is cut to the image.
    #[must_use]
    pub fn encode_within(height: usize, width: usize, bounds: BoundingBox, inside: impl Fn(usize) -> bool) -> Self {
        let end = |start: usize, length: usize, limit: usize| start.saturating_add(length).min(limit);
        let (bottom, right) = (end(bounds.top, bounds.height, height), end(bounds.left, bounds.width, width));
        let mut runs = Runs::default();
        let mut columns: Vec<Vec<Range<usize>>> = vec![Vec::new(); BLOCK];
        let mut left = bounds.left;
        while left < right {
            let block = (right - left).min(BLOCK);
            for row in bounds.top..bottom {
                let first = row * width + left;
                for (at, column) in (first..).zip(&mut columns[..block]) {
                    if inside(at) {
                        add_run(column, row..row + 1);
                    }
                }
            }
            for (column, found) in (left..).zip(&mut columns[..block]) {
                found.drain(..).for_each(|run| runs.push(column * height + run.start, run.len()));
            }
            left += block;
        }
        Self { height, width, counts: runs.counts(height * width) }
    }

    /// A mask of these counts.
    ///
    /// # Errors
    /// [`RleError::Sum`] if they are not of as many pixels as the mask has, [`RleError::Size`] if it has too many.
    pub fn new(height: usize, width: usize, counts: Vec<usize>) -> Result<Self, RleError> {
        // Differences of counts are signed.
        let size = height.checked_mul(width).filter(|size| i64::try_from(*size).is_ok());
        let size = size.ok_or(RleError::Size { height, width })?;
        let got = counts.iter().try_fold(0usize, |sum, &count| sum.checked_add(count)).unwrap_or(usize::MAX);
        if got != size {
            return Err(RleError::Sum { height, width, got });
        }
        // One mask has one writing: counts of zero between others join what they part.
        let mut runs = Runs::default();
        let mut at = 0;
        for (i, &count) in counts.iter().enumerate() {
            if i % 2 == 1 {
                runs.push(at, count);
            }
            at += count;
        }
        Ok(Self { height, width, counts: runs.counts(size) })
    }

    /// A mask of counts by rows.
    ///
    /// # Errors
    /// As [`Rle::new`].
    pub fn from_row_counts(height: usize, width: usize, counts: Vec<usize>) -> Result<Self, RleError> {
        // The transposed mask by columns.
        let rows = Self::new(width, height, counts)?;
        let mask = rows.expand();
        Ok(Self::encode(height, width, |at| mask[at]))
    }

    /// A mask of compressed counts.
    ///
    /// # Errors
    /// [`RleError`] if they are none, or not of as many pixels as the mask has.
    pub fn from_compressed(height: usize, width: usize, text: &[u8]) -> Result<Self, RleError> {
        let mut counts: Vec<usize> = Vec::new();
        let mut bytes = text.iter().enumerate().peekable();
        while bytes.peek().is_some() {
            let mut value: i128 = 0;
            let mut groups = 0;
            loop {
                let (at, &byte) = bytes.next().ok_or(RleError::Truncated)?;
                let group = byte.checked_sub(48).filter(|&group| group < 64).ok_or(RleError::Character { at })?;
                if groups == MOST_GROUPS {
                    return Err(RleError::Count { at: counts.len() });
                }
                value |= i128::from(group & 31) << (5 * groups);
                groups += 1;
                if group & 32 == 0 {
                    if group & 16 != 0 {
                        value -= 1 << (5 * groups);
                    }
                    break;
                }
            }
            let at = counts.len();
            if at > 2 {
                value += counts[at - 2] as i128;
            }
            counts.push(usize::try_from(value).map_err(|_| RleError::Count { at })?);
        }
        Self::new(height, width, counts)
    }

    /// The counts, compressed: characters of ASCII, among them the backslash.
    #[must_use]
    pub fn to_compressed(&self) -> String {
        let mut text = String::new();
        for (i, &count) in self.counts.iter().enumerate() {
            // No mask has a count beyond i64.
            let mut rest = count as i64 - if i > 2 { self.counts[i - 2] as i64 } else { 0 };
            loop {
                let group = (rest & 31) as u8;
                rest >>= 5;
                let is_last = rest == if group & 16 == 0 { 0 } else { -1 };
                text.push(char::from(48 + group + if is_last { 0 } else { 32 }));
                if is_last {
                    break;
                }
            }
        }
        text
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

    /// Lengths of the runs by columns, of outside and inside in turn. Their sum is the number of pixels; none but the first is zero.
    #[must_use]
    pub fn counts(&self) -> &[usize] {
        &self.counts
    }

    /// Lengths of the runs by rows, of outside and inside in turn.
    #[must_use]
    pub fn row_counts(&self) -> Vec<usize> {
        self.row_counts_within(BoundingBox { top: 0, left: 0, height: self.height, width: self.width })
    }

    /// As [`Rle::row_counts`], of the mask cut to a box, which is itself cut to the image.
    #[must_use]
    pub fn row_counts_within(&self, bounds: BoundingBox) -> Vec<usize> {
        let mask = self.crop(bounds);
        let mut runs = Runs::default();
        mask.iter().enumerate().filter(|(_, value)| **value > 0).for_each(|(at, _)| runs.push(at, 1));
        runs.counts(mask.len())
    }

    /// The mask, `[height, width]`: 255 inside, 0 outside.
    #[must_use]
    pub fn decode(&self) -> Vec<u8> {
        self.decode_within(0..self.height, 0..self.width)
    }

    /// The mask cut to a box, which is itself cut to the image: 255 inside, 0 outside.
    #[must_use]
    pub fn crop(&self, bounds: BoundingBox) -> Vec<u8> {
        let end = |start: usize, length: usize, limit: usize| start.saturating_add(length).min(limit).max(start);
        let rows = bounds.top..end(bounds.top, bounds.height, self.height);
        self.decode_within(rows, bounds.left..end(bounds.left, bounds.width, self.width))
    }

    /// The pixels of some rows and columns, all of the image: 255 inside, 0 outside.
    fn decode_within(&self, rows: Range<usize>, columns: Range<usize>) -> Vec<u8> {
        let mut mask = vec![0; rows.len() * columns.len()];
        for run in self.pieces() {
            let column = run.start / self.height;
            if !columns.contains(&column) {
                continue;
            }
            let first = run.start % self.height;
            for row in first.max(rows.start)..(first + run.len()).min(rows.end) {
                mask[(row - rows.start) * columns.len() + column - columns.start] = 255;
            }
        }
        mask
    }

    /// The mask in the order of the counts.
    fn expand(&self) -> Vec<bool> {
        let mut mask = vec![false; self.height * self.width];
        self.runs().for_each(|run| mask[run].fill(true));
        mask
    }

    /// The runs inside the mask, as ranges of column-major indices, in order.
    pub fn runs(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut at = 0;
        self.counts.chunks(2).filter_map(move |pair| {
            let (outside, inside) = (pair.first().copied().unwrap_or(0), pair.get(1).copied()?);
            let start = at + outside;
            at = start + inside;
            Some(start..at)
        })
    }

    /// The runs inside the mask, cut at the ends of columns.
    fn pieces(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let height = self.height.max(1);
        self.runs().flat_map(move |run| {
            let columns = run.start / height..=(run.end - 1) / height;
            columns.map(move |column| run.start.max(column * height)..run.end.min((column + 1) * height))
        })
    }

    /// Pixels inside.
    #[must_use]
    pub fn area(&self) -> usize {
        self.counts.iter().skip(1).step_by(2).sum()
    }

    /// The smallest box around the pixels inside; None if there are none.
    #[must_use]
    pub fn bounds(&self) -> Option<BoundingBox> {
        let (mut top, mut bottom, mut left, mut right) = (usize::MAX, 0, usize::MAX, 0);
        for piece in self.pieces() {
            let (column, row) = (piece.start / self.height, piece.start % self.height);
            (left, right) = (left.min(column), right.max(column + 1));
            (top, bottom) = (top.min(row), bottom.max(row + piece.len()));
        }
        (right > 0).then(|| BoundingBox { top, left, height: bottom - top, width: right - left })
    }

    /// Pixels inside both masks; zero if they differ in size.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> usize {
        if (self.height, self.width) != (other.height, other.width) {
            return 0;
        }
        let (mut ours, mut theirs) = (self.runs().peekable(), other.runs().peekable());
        let mut area = 0;
        while let (Some(a), Some(b)) = (ours.peek(), theirs.peek()) {
            area += a.end.min(b.end).saturating_sub(a.start.max(b.start));
            if a.end <= b.end {
                ours.next()
            } else {
                theirs.next()
            };
        }
        area
    }
}

/// Collects runs of pixels inside, in order.
#[derive(Default)]
struct Runs {
    counts: Vec<usize>,
    /// Where the last run ends.
    end: usize,
}

impl Runs {
    fn push(&mut self, start: usize, length: usize) {
        if length == 0 {
            return;
        }
        match self.counts.last_mut() {
            Some(last) if start == self.end => *last += length,
            _ => self.counts.extend([start - self.end, length]),
        }
        self.end = start + length;
    }

    /// The counts of a mask of `size` pixels.
    fn counts(mut self, size: usize) -> Vec<usize> {
        if size > self.end {
            self.counts.push(size - self.end);
        }
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A picture of rows of `#` and `.`.
    fn mask(rows: &[&str]) -> Rle {
        let text = rows.concat().into_bytes();
        Rle::encode(rows.len(), rows[0].len(), |at| text[at] == b'#')
    }

    /// Counts and strings by hand, from the format's description.
    #[test]
    fn counts_run_by_columns() {
        let rle = mask(&[".##.", ".#..", "#.#."]);
        assert_eq!(rle.counts(), [2, 3, 1, 1, 1, 1, 3]);
        assert_eq!(rle.row_counts(), [1, 2, 2, 1, 2, 1, 1, 1, 1]);
        // From the fourth on, differences: 1 - 3, 1 - 1, 1 - 1, 3 - 1; -2 is 30 in five bits, `N`.
        assert_eq!(rle.to_compressed(), "231N002");
        assert_eq!((rle.area(), rle.runs().collect::<Vec<_>>()), (5, vec![2..5, 6..7, 8..9]));
        assert_eq!(rle.bounds(), Some(BoundingBox { top: 0, left: 0, height: 3, width: 3 }));
        assert_eq!(rle.row_counts_within(BoundingBox { top: 1, left: 1, height: 9, width: 2 }), [0, 1, 2, 1]);
        // 40 is 8 and 1 in groups of five bits; 16 needs a second group, for its sign would be read as minus.
        assert_eq!(Rle::encode(8, 7, |at| at % 7 >= 5).to_compressed(), "X1`0");
        assert_eq!(Rle::encode(1, 40, |_| false).to_compressed(), "X1");
        // The first pixel is inside, all are, none is, there is none.
        assert_eq!(mask(&["#.", "#."]).counts(), [0, 2, 2]);
        assert_eq!(mask(&["##", "##"]).counts(), [0, 4]);
        assert_eq!((mask(&["..", ".."]).counts(), mask(&[".."]).bounds()), (&[4][..], None));
        assert!(Rle::encode(0, 3, |_| true).counts().is_empty());
        assert!(Rle::new(0, 3, vec![]).unwrap().decode().is_empty());
    }

    #[test]
    fn what_is_no_mask_is_refused() {
        let sum = |got| RleError::Sum { height: 2, width: 2, got };
        assert_eq!(Rle::new(2, 2, vec![1, 2]), Err(sum(3)));
        assert_eq!(Rle::new(2, 2, vec![1, usize::MAX, 4]), Err(sum(usize::MAX)));
        assert_eq!(Rle::new(usize::MAX, 2, vec![]), Err(RleError::Size { height: usize::MAX, width: 2 }));
        assert_eq!(Rle::new(usize::MAX, 1, vec![usize::MAX]), Err(RleError::Size { height: usize::MAX, width: 1 }));
        assert_eq!(Rle::from_row_counts(2, 2, vec![5]), Err(sum(5)));
        let read = |text: &[u8]| Rle::from_compressed(2, 2, text);
        assert_eq!(read(b"12"), Err(sum(3)));
        assert_eq!(read(b"1!1"), Err(RleError::Character { at: 1 }));
        assert_eq!(read(b"1\xff"), Err(RleError::Character { at: 1 }));
        assert_eq!(read(b"1p"), Err(RleError::Character { at: 1 }));
        assert_eq!(read(b"1X"), Err(RleError::Truncated));
        assert_eq!(read(b"O4"), Err(RleError::Count { at: 0 }));
        assert_eq!(read(b"211N"), Err(RleError::Count { at: 3 }));
        assert_eq!(read(&[b'o'; 40]), Err(RleError::Count { at: 0 }));
        // A count of zero between two of the same side joins them.
        assert_eq!(Rle::new(2, 2, vec![1, 1, 0, 1, 1]).unwrap().counts(), [1, 2, 1]);
        assert_eq!(read(b"121"), Rle::new(2, 2, vec![1, 2, 1, 0, 0]));
    }

    /// Masks of every size up to 70 × 70, from sparse to full.
    fn masks() -> impl Strategy<Value = (usize, usize, Vec<bool>)> {
        (1..=70usize, 1..=70usize, 0.0..=1.0).prop_flat_map(|(height, width, share)| {
            (Just(height), Just(width), prop::collection::vec(prop::bool::weighted(share), height * width))
        })
    }

    proptest! {
        #[test]
        fn a_mask_is_the_same_after_every_writing((height, width, mask) in masks()) {
            let rle = Rle::encode(height, width, |at| mask[at]);
            let decoded = rle.decode();
            prop_assert!(decoded.iter().zip(&mask).all(|(value, inside)| *value == u8::from(*inside) * 255));
            prop_assert_eq!(rle.counts().iter().sum::<usize>(), height * width);
            prop_assert_eq!(&Rle::new(height, width, rle.counts().to_vec()), &Ok(rle.clone()));
            prop_assert_eq!(&Rle::from_compressed(height, width, rle.to_compressed().as_bytes()), &Ok(rle.clone()));
            prop_assert_eq!(&Rle::from_row_counts(height, width, rle.row_counts()), &Ok(rle.clone()));
            prop_assert_eq!(rle.area(), mask.iter().filter(|inside| **inside).count());
            prop_assert_eq!(rle.intersection(&rle), rle.area());
            // The box is all that is needed, and what is outside it is not taken.
            if let Some(bounds) = rle.bounds() {
                prop_assert_eq!(&Rle::encode_within(height, width, bounds, |at| mask[at]), &rle);
                let rows: Vec<bool> = (bounds.top..bounds.top + bounds.height)
                    .flat_map(|row| &mask[row * width + bounds.left..][..bounds.width]).copied().collect();
                let counts = rle.row_counts_within(bounds);
                prop_assert_eq!(Rle::from_row_counts(bounds.height, bounds.width, counts).unwrap().decode(),
                    rows.iter().map(|inside| u8::from(*inside) * 255).collect::<Vec<_>>());
                let smaller = BoundingBox { height: bounds.height - 1, ..bounds };
                let cut = Rle::encode_within(height, width, smaller, |at| mask[at]);
                prop_assert!(cut.area() < rle.area());
                prop_assert_eq!(cut.intersection(&rle), cut.area());
            }
            let other = Rle::encode(height, width, |at| at % 3 == 0);
            let both = (0..mask.len()).filter(|&at| mask[at] && at % 3 == 0).count();
            prop_assert_eq!((rle.intersection(&other), other.intersection(&rle)), (both, both));
        }

        #[test]
        fn any_bytes_are_a_mask_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40), height in 0..9usize, width in 0..9usize) {
            if let Ok(rle) = Rle::from_compressed(height, width, &bytes) {
                prop_assert_eq!(rle.decode().len(), height * width);
            }
        }

        #[test]
        fn any_counts_come_back(counts in prop::collection::vec(1usize..usize::MAX >> 24, 1..9)) {
            let rle = Rle::new(counts.iter().sum(), 1, counts).unwrap();
            prop_assert_eq!(&Rle::from_compressed(rle.height(), 1, rle.to_compressed().as_bytes()), &Ok(rle.clone()));
        }
    }
}
