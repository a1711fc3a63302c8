//! The pixels of polygons as COCO's tools have them.
//!
//! Corners are rounded to a grid five times as fine as the pixels, and each edge is walked a fine step at a time along its longer axis, the
//! other coordinate rounded. Where the walk goes from fine column 5x + 2 to the next or back, which is in the middle of pixel column x, it parts
//! the rows of that column: those whose middle lies below the upper of the two fine points are on one side. Pixels between the first and the
//! second such place, counting by columns, are inside, those between the third and the fourth, and so on. Pixels of several polygons are united.
//!
//! Learned from the masks that pycocotools makes; `tests/fixtures/generate_instances.py` has some, whose pixels these are, each and every one.

use crate::rle::{Rle, RleError};
use serde::Deserialize;

/// Fine columns of a pixel.
const FINE: f64 = 5.0;
/// No image has a side beyond this; five times as much is an `i32`.
const MAX_COORDINATE: f64 = 1e8;

/// Polygons whose union is an object, on the fine grid.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<Vec<f64>>")]
pub(super) struct Polygons(Vec<Vec<[i32; 2]>>);

impl TryFrom<Vec<Vec<f64>>> for Polygons {
    type Error = String;

    /// Of the corners' x and y in turn.
    fn try_from(lists: Vec<Vec<f64>>) -> Result<Self, String> {
        let fine = |value: f64| (FINE * value + 0.5) as i32;
        let corners = |list: Vec<f64>| {
            if let Some(wrong) = list.iter().find(|value| value.is_nan() || value.abs() > MAX_COORDINATE) {
                return Err(format!("a polygon has the coordinate {wrong:e}"));
            }
            match list.as_chunks::<2>() {
                (corners, []) if corners.len() > 2 => Ok(corners.iter().map(|corner| corner.map(fine)).collect()),
                _ => Err(format!("a polygon has {} numbers; expected x and y of at least three corners", list.len())),
            }
        };
        lists.into_iter().map(corners).collect::<Result<_, _>>().map(Self)
    }
}

impl Polygons {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pixels of an image of this size.
    pub(super) fn mask(&self, height: usize, width: usize) -> Result<Rle, RleError> {
        let size = height.checked_mul(width).ok_or(RleError::Size { height, width })?;
        let mut runs: Vec<[usize; 2]> = self.0.iter().flat_map(|corners| runs(corners, height, width)).collect();
        runs.sort_unstable();
        let (mut counts, mut end) = (Vec::new(), 0);
        for [from, to] in runs {
            let from = from.max(end);
            if to > from {
                counts.extend([from - end, to - from]);
                end = to;
            }
        }
        counts.push(size - end);
        Rle::new(height, width, counts)
    }
}

/// The ranges of pixels of one polygon, counted by columns.
fn runs(corners: &[[i32; 2]], height: usize, width: usize) -> Vec<[usize; 2]> {
    let mut places = Vec::new();
    for (at, &from) in corners.iter().enumerate() {
        let to = corners.get(at + 1).or(corners.first()).copied().unwrap_or(from);
        let edge = Edge::new(from, to);
        let columns = edge.columns(width);
        places.extend(columns.map(|x| x * height + row(edge.upper(5 * x as i64 + 2), height)));
    }
    places.sort_unstable();
    // A polygon is closed: it passes every column forth and back.
    places.as_chunks().0.to_vec()
}

/// The first row whose middle is not above a fine one's.
fn row(fine: i64, height: usize) -> usize {
    (((fine as f64 + 0.5) / FINE - 0.5).clamp(0.0, height as f64)).ceil() as usize
}

/// An edge on the fine grid, from its lower to its higher end along the longer axis.
struct Edge {
    start: [i64; 2],
    end: [i64; 2],
    /// Whether x is the longer axis.
    is_flat: bool,
}

impl Edge {
    fn new(from: [i32; 2], to: [i32; 2]) -> Self {
        let (from, to) = (from.map(i64::from), to.map(i64::from));
        let is_flat = (to[0] - from[0]).abs() >= (to[1] - from[1]).abs();
        let axis = usize::from(!is_flat);
        let (start, end) = if from[axis] > to[axis] { (to, from) } else { (from, to) };
        Self { start, end, is_flat }
    }

    /// The pixel columns of which it passes the middle.
    fn columns(&self, width: usize) -> std::ops::Range<usize> {
        let (low, high) = (self.start[0].min(self.end[0]), self.start[0].max(self.end[0]));
        // From the first with low ≤ 5x + 2 to the last with 5x + 3 ≤ high.
        let column = |fine: i64| usize::try_from(fine.div_euclid(5)).unwrap_or(0).min(width);
        column(low + 2)..column(high + 2)
    }

    /// The other coordinate `step` fine steps from the start along the longer axis.
    fn across(&self, step: i64) -> i64 {
        let (along, other) = if self.is_flat { (0, 1) } else { (1, 0) };
        let slope = (self.end[other] - self.start[other]) as f64 / (self.end[along] - self.start[along]).max(1) as f64;
        (self.start[other] as f64 + slope * step as f64 + 0.5) as i64
    }

    /// The upper fine row of the two points where it goes from a fine column, which it passes, to the next.
    fn upper(&self, column: i64) -> i64 {
        if self.is_flat {
            let step = column - self.start[0];
            return self.across(step).min(self.across(step + 1));
        }
        // The last step before it crosses.
        let is_right = self.end[0] > self.start[0];
        let is_before = |step: i64| if is_right { self.across(step) <= column } else { self.across(step) > column };
        let (mut before, mut behind) = (0, self.end[1] - self.start[1]);
        while behind - before > 1 {
            let middle = i64::midpoint(before, behind);
            if is_before(middle) { before = middle } else { behind = middle }
        }
        self.start[1] + before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[track_caller]
    fn drawn(corners: &[f64], height: usize, width: usize) -> Vec<String> {
        let mask = Polygons::try_from(vec![corners.to_vec()]).unwrap().mask(height, width).unwrap().decode();
        let line = |row: &[u8]| row.iter().map(|value| if *value > 0 { '#' } else { '.' }).collect();
        mask.chunks(width).map(line).collect()
    }

    #[test]
    fn pixels_are_inside_by_their_middles() {
        assert_eq!(drawn(&[1.0, 1.0, 4.0, 1.0, 4.0, 3.0, 1.0, 3.0], 4, 5), [".....", ".###.", ".###.", "....."]);
        assert_eq!(drawn(&[-9.0, -9.0, 99.0, -9.0, 99.0, 99.0, -9.0, 99.0], 2, 3), ["###", "###"]);
        // Nothing is between the places of a line.
        assert_eq!(drawn(&[0.0, 1.0, 3.0, 1.0, 1.0, 1.0], 2, 3), ["...", "..."]);
    }

    #[test]
    fn every_pixel_is_pycocotools() {
        let fixture: Value = serde_json::from_str(include_str!("../../tests/fixtures/polygons_expected.json")).unwrap();
        let cases = fixture["cases"].as_array().unwrap();
        assert!(cases.len() >= 300);
        for case in cases {
            let [height, width] = [0, 1].map(|side| case["size"][side].as_u64().unwrap() as usize);
            let polygons: Polygons = serde_json::from_value(case["polygons"].clone()).unwrap();
            let expected = Rle::from_compressed(height, width, case["counts"].as_str().unwrap().as_bytes()).unwrap();
            assert_eq!(polygons.mask(height, width), Ok(expected), "{case}");
        }
    }

    #[test]
    fn what_is_no_polygon_is_refused() {
        let fails = |list: &[f64], words: &str| {
            let error = Polygons::try_from(vec![list.to_vec()]).unwrap_err();
            assert!(error.contains(words), "{error}");
        };
        fails(&[1.0, 2.0, 3.0, 4.0], "has 4 numbers");
        fails(&[1.0; 7], "has 7 numbers");
        fails(&[], "has 0 numbers");
        fails(&[1.0, 2.0, 3.0, 4.0, f64::INFINITY, 5.0], "coordinate inf");
    }

    proptest! {
        #[test]
        fn no_corners_make_it_panic(corners in proptest::collection::vec(-1e8..1e8f64, 3..8), near in 0..3usize, height in 0..9usize, width in 0..9usize) {
            let scale = [1.0, 1e-4, 1e-7][near];
            let list: Vec<f64> = corners.iter().chain(&corners).map(|value| value * scale).collect();
            let polygons = Polygons::try_from(vec![list]).unwrap();
            prop_assert!(polygons.mask(height, width).unwrap().area() <= height * width);
        }
    }
}
