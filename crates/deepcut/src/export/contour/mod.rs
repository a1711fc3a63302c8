//! Polygons of a mask: its pixels' edges, traced.
//!
//! Points are corners of pixels, x to the right and y down: pixel (row, col) covers [col, col + 1] × [row, row + 1], so there is no shift of
//! half a pixel, and a polygon's area is the number of its pixels.
//!
//! | term     | meaning                                                                                                  |
//! |----------|----------------------------------------------------------------------------------------------------------|
//! | ring     | points of a closed line, the first not repeated at the end; no point twice, no three in a row on a line  |
//! | exterior | a ring of positive area, Σ (xᵢ yᵢ₊₁ − xᵢ₊₁ yᵢ) / 2: clockwise on the screen                              |
//! | hole     | a ring of negative area inside the exterior                                                              |
//!
//! Each 4-connected component is a polygon. Where two of its pixels touch at a corner only, the line is cut there into an exterior and a hole,
//! or two holes, that share the point: every ring is simple, and the polygon valid by the rules of OGC Simple Features (ISO 19125-1).
//!
//! ```
//! use deepcut::components::BoundingBox;
//! use deepcut::export::contour::{Point, trace};
//!
//! #[rustfmt::skip]
//! let mask = [
//!     1, 1, 1, 0,
//!     1, 0, 1, 1,
//!     1, 1, 1, 0,
//! ];
//! let polygons = trace(3, 4, BoundingBox { top: 0, left: 0, height: 3, width: 4 }, |at| mask[at] > 0);
//! let points = |ring: &[Point]| ring.iter().map(|point| (point.x, point.y)).collect::<Vec<_>>();
//! assert_eq!(points(&polygons[0].exterior), [(0, 0), (3, 0), (3, 1), (4, 1), (4, 2), (3, 2), (3, 3), (0, 3)]);
//! assert_eq!(points(&polygons[0].holes[0]), [(1, 1), (1, 2), (2, 2), (2, 1)]);
//! ```
//!
//! Cost: O(pixels of the box).

mod bridge;
mod fill;
mod simplify;
#[cfg(test)]
mod tests;

pub use bridge::bridge;
#[cfg(feature = "annotate")]
pub(super) use bridge::walk;
pub use fill::{fill, iou};
pub use simplify::simplify;

use crate::components::{BoundingBox, Components};
use std::collections::HashMap;

/// A corner of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// Columns from the left edge of the image.
    pub x: i32,
    /// Rows from its top edge.
    pub y: i32,
}

/// The points of a closed line; the first is not repeated at the end.
pub type Ring = Vec<Point>;

/// An area with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polygon {
    /// The outer line, of positive area.
    pub exterior: Ring,
    /// The lines around what is cut out, of negative area.
    pub holes: Vec<Ring>,
}

impl Polygon {
    /// The exterior and the holes.
    pub fn rings(&self) -> impl Iterator<Item = &Ring> {
        std::iter::once(&self.exterior).chain(&self.holes)
    }

    /// The area of the exterior without the holes.
    #[must_use]
    pub fn area(&self) -> f64 {
        self.rings().map(|ring| doubled_area(ring)).sum::<i64>() as f64 / 2.0
    }

    /// Moves all points.
    pub fn shift(&mut self, x: i32, y: i32) {
        let points = self.exterior.iter_mut().chain(self.holes.iter_mut().flatten());
        points.for_each(|point| *point = Point { x: point.x + x, y: point.y + y });
    }

    /// The polygon without its holes.
    #[must_use]
    pub fn without_holes(&self) -> Self {
        Self { exterior: self.exterior.clone(), holes: Vec::new() }
    }
}

/// Twice the area of a ring, with its sign.
#[must_use]
pub fn doubled_area(ring: &[Point]) -> i64 {
    let next = ring.iter().cycle().skip(1);
    ring.iter().zip(next).map(|(a, b)| i64::from(a.x) * i64::from(b.y) - i64::from(b.x) * i64::from(a.y)).sum()
}

/// Twice the area of the triangle a, b, c: positive if c is to the right of the way from a to b, on the screen.
fn turn(a: Point, b: Point, c: Point) -> i64 {
    let (ax, ay) = (i64::from(a.x), i64::from(a.y));
    (i64::from(b.x) - ax) * (i64::from(c.y) - ay) - (i64::from(b.y) - ay) * (i64::from(c.x) - ax)
}

/// The polygons of the part inside a box of the `[height, width]` mask that `inside` gives for each pixel's row-major index: largest
/// first, among equals in the order of their first pixels. The box is cut to the image.
///
/// Images have fewer than 2³¹ rows and columns.
#[must_use]
pub fn trace(height: usize, width: usize, bounds: BoundingBox, inside: impl Fn(usize) -> bool) -> Vec<Polygon> {
    let cut = Cut::new(height, width, bounds, inside);
    let parts = Components::find(cut.height, cut.width, |at| cut.mask[at]);
    let mut found: Vec<(usize, Polygon)> = Vec::with_capacity(parts.list().len());
    found.extend(parts.list().iter().map(|part| (part.area, Polygon { exterior: Vec::new(), holes: Vec::new() })));
    let mut seen = vec![false; cut.mask.len()];
    for cell in 0..cut.mask.len() {
        if seen[cell] || !cut.has_edge_above(cell) {
            continue;
        }
        let line = cut.follow(cell, &mut seen);
        let Some((_, polygon)) = parts.of_cell(cell).and_then(|part| found.get_mut(part)) else { continue };
        for ring in simple_rings(line) {
            let is_exterior = doubled_area(&ring) > 0;
            let ring = cut.place(ring);
            if is_exterior { polygon.exterior = ring } else { polygon.holes.push(ring) }
        }
    }
    found.sort_by_key(|(area, _)| std::cmp::Reverse(*area));
    found.into_iter().map(|(_, polygon)| polygon).collect()
}

/// Ways along an edge, each with the pixel inside to its right: where they lead, and the pixels ahead to the right and to the left of the
/// corner that they come to, as offsets (x, y) from it.
const WAYS: [Way; 4] = [
    Way { step: (1, 0), right: (0, 0), left: (0, -1) },
    Way { step: (0, 1), right: (-1, 0), left: (0, 0) },
    Way { step: (-1, 0), right: (-1, -1), left: (-1, 0) },
    Way { step: (0, -1), right: (0, -1), left: (-1, -1) },
];

struct Way {
    step: (i32, i32),
    right: (i32, i32),
    left: (i32, i32),
}

/// The mask inside a box, with a margin of one pixel outside it: nothing there needs a check of the image's edges.
struct Cut {
    height: usize,
    width: usize,
    mask: Vec<bool>,
    /// The image's corner in coordinates of the cut.
    origin: (i32, i32),
}

impl Cut {
    fn new(height: usize, width: usize, bounds: BoundingBox, inside: impl Fn(usize) -> bool) -> Self {
        let (top, left) = (bounds.top.min(height), bounds.left.min(width));
        let (rows, columns) = (bounds.height.min(height - top), bounds.width.min(width - left));
        let mut mask = vec![false; (rows + 2) * (columns + 2)];
        for (row, line) in mask.chunks_exact_mut(columns + 2).skip(1).take(rows).enumerate() {
            let first = (top + row) * width + left;
            line[1..=columns].iter_mut().zip(first..).for_each(|(pixel, at)| *pixel = inside(at));
        }
        let origin = (1 - left as i32, 1 - top as i32);
        Self { height: rows + 2, width: columns + 2, mask, origin }
    }

    fn is_inside(&self, corner: Point, (dx, dy): (i32, i32)) -> bool {
        // A corner of a pixel inside has pixels of the margin on all sides.
        let at = (corner.y + dy) as usize * self.width + (corner.x + dx) as usize;
        self.mask[at]
    }

    /// Whether a pixel is inside and the one above is not.
    fn has_edge_above(&self, cell: usize) -> bool {
        self.mask[cell] && !self.mask[cell - self.width]
    }

    /// The corners of the line around the mask that begins with the edge above a pixel; the edges above other pixels are marked as seen.
    fn follow(&self, cell: usize, seen: &mut [bool]) -> Ring {
        let mut at = Point { x: (cell % self.width) as i32, y: (cell / self.width) as i32 };
        let start = at;
        let (mut way, mut line) = (0, Vec::new());
        loop {
            if way == 0 {
                seen[at.y as usize * self.width + at.x as usize] = true;
            }
            let Way { step, right, left } = &WAYS[way];
            at = Point { x: at.x + step.0, y: at.y + step.1 };
            // Around the pixel at hand first: what touches it at a corner only is not connected with it there.
            let turned = match (self.is_inside(at, *right), self.is_inside(at, *left)) {
                (false, _) => (way + 1) % 4,
                (true, true) => (way + 3) % 4,
                (true, false) => way,
            };
            if turned != way {
                line.push(at);
            }
            way = turned;
            if at == start && way == 0 {
                return line;
            }
        }
    }

    /// A ring in the image's coordinates, from its first point in reading order on.
    fn place(&self, mut ring: Ring) -> Ring {
        let first = ring.iter().enumerate().min_by_key(|(_, point)| (point.y, point.x)).map_or(0, |(at, _)| at);
        ring.rotate_left(first);
        ring.iter_mut().for_each(|point| *point = Point { x: point.x - self.origin.0, y: point.y - self.origin.1 });
        ring
    }
}

/// Cuts a line where it comes to a point again.
fn simple_rings(line: Ring) -> Vec<Ring> {
    let mut rings = Vec::new();
    let mut open: Ring = Vec::new();
    let mut places: HashMap<Point, usize> = HashMap::new();
    for point in line {
        if let Some(&at) = places.get(&point) {
            let ring = open.split_off(at);
            for point in &ring {
                places.remove(point);
            }
            rings.push(ring);
        }
        places.insert(point, open.len());
        open.push(point);
    }
    rings.push(open);
    rings
}
