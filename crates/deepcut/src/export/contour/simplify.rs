//! Fewer points, by a tolerance.
//!
//! Points are taken out one after the other, the one that matters least first, like Visvalingam's algorithm, under two conditions:
//!
//! * every point of the traced line that lies between two that are left is at most `tolerance` pixels from the edge between them, as
//!   Douglas and Peucker ask for;
//! * no point that is left, of any ring, lies in the triangle of the point and its two neighbors. Then no edge crosses the new one: rings stay
//!   simple, holes stay inside, and parts stay apart.
//!
//! A ring keeps four points. Sources: Douglas and Peucker (Cartographica 10, 1973); Visvalingam and Whyatt (The Cartographic Journal 30, 1993).
//! Cost: O(n log n) for n points, times the points between neighbors.

use super::{Point, Polygon, Ring, turn};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Fewest points of a ring: a triangle is half of the smallest thing.
const FEWEST: usize = 4;

/// Takes out points of all rings together, so that every point traced stays within `tolerance` pixels of its ring. The polygons stay valid, and do not
/// overlap if they did not before. Zero, and what is no number, takes nothing out. Points that polygons or rings share stay.
pub fn simplify(polygons: &mut [Polygon], tolerance: f64) {
    if tolerance.is_nan() || tolerance <= 0.0 {
        return;
    }
    let mut rings: Vec<&mut Ring> =
        polygons.iter_mut().flat_map(|polygon| std::iter::once(&mut polygon.exterior).chain(&mut polygon.holes)).collect();
    let mut work = Work::new(&rings);
    work.run(tolerance);
    let mut first = 0;
    for ring in &mut rings {
        let mut at = first;
        first += ring.len();
        ring.retain(|_| {
            at += 1;
            work.nodes[at - 1].is_left
        });
    }
}

/// A point of a ring.
struct Node {
    point: Point,
    ring: usize,
    before: usize,
    after: usize,
    is_left: bool,
    /// How often its neighbors changed: what the queue holds of before is out of date.
    version: u32,
}

/// All points of all rings.
struct Work {
    nodes: Vec<Node>,
    /// Points left of each ring, and its range of nodes.
    rings: Vec<(usize, std::ops::Range<usize>)>,
    /// By row, (column, node), sorted.
    rows: BTreeMap<i32, Vec<(i32, usize)>>,
}

impl Work {
    fn new(rings: &[&mut Ring]) -> Self {
        let mut nodes = Vec::new();
        let mut ranges = Vec::with_capacity(rings.len());
        let mut rows: BTreeMap<i32, Vec<(i32, usize)>> = BTreeMap::new();
        for (ring, points) in rings.iter().enumerate() {
            let (first, length) = (nodes.len(), points.len());
            for (i, &point) in points.iter().enumerate() {
                rows.entry(point.y).or_default().push((point.x, nodes.len()));
                let (before, after) = (first + (i + length - 1) % length, first + (i + 1) % length);
                nodes.push(Node { point, ring, before, after, is_left: true, version: 0 });
            }
            ranges.push((length, first..nodes.len()));
        }
        rows.values_mut().for_each(|row| row.sort_unstable());
        Self { nodes, rings: ranges, rows }
    }

    fn run(&mut self, tolerance: f64) {
        // Distances are not negative, so their bits are in their order.
        let mut queue = BinaryHeap::new();
        let entry = |work: &Self, node: usize| {
            let distance = work.distance(node);
            (distance <= tolerance).then(|| Reverse((distance.to_bits(), node, work.nodes[node].version)))
        };
        queue.extend((0..self.nodes.len()).filter_map(|node| entry(self, node)));
        while let Some(Reverse((_, node, version))) = queue.pop() {
            let Node { ring, before, after, is_left, version: current, .. } = self.nodes[node];
            if !is_left || version != current || self.rings[ring].0 <= FEWEST || !self.is_free(node) {
                continue;
            }
            self.nodes[node].is_left = false;
            self.rings[ring].0 -= 1;
            self.nodes[before].after = after;
            self.nodes[after].before = before;
            for neighbor in [before, after] {
                self.nodes[neighbor].version += 1;
                queue.extend(entry(self, neighbor));
            }
        }
    }

    /// The farthest that a point traced would be from the edge between a node's neighbors.
    fn distance(&self, node: usize) -> f64 {
        let Node { ring, before, after, .. } = self.nodes[node];
        let (a, b) = (self.nodes[before].point, self.nodes[after].point);
        let range = &self.rings[ring].1;
        let next = |at: usize| if at + 1 == range.end { range.start } else { at + 1 };
        let (mut farthest, mut at) = (0.0f64, next(before));
        while at != after {
            farthest = farthest.max(squared_distance(self.nodes[at].point, a, b));
            at = next(at);
        }
        farthest.sqrt()
    }

    /// Whether no other point lies in the triangle of a node and its neighbors, nor at a corner of it.
    fn is_free(&self, node: usize) -> bool {
        let Node { point, before, after, .. } = self.nodes[node];
        let (a, b) = (self.nodes[before].point, self.nodes[after].point);
        let corners = [a, point, b];
        let (top, bottom) = (a.y.min(b.y).min(point.y), a.y.max(b.y).max(point.y));
        self.rows.range(top..=bottom).all(|(&y, row)| {
            let (left, right) = extent(&corners, y);
            let start = row.partition_point(|&(x, _)| x < left);
            row[start..].iter().take_while(|&&(x, _)| x <= right).all(|&(x, other)| {
                let is_own = [node, before, after].contains(&other);
                is_own || !self.nodes[other].is_left || !is_in(Point { x, y }, &corners)
            })
        })
    }
}

/// Columns that hold the row `y` of a triangle, and at most one more on each side.
fn extent(corners: &[Point; 3], y: i32) -> (i32, i32) {
    let (mut left, mut right) = (i32::MAX, i32::MIN);
    for (a, b) in [(0, 1), (1, 2), (2, 0)].map(|(a, b)| (corners[a], corners[b])) {
        if (a.y.min(b.y)..=a.y.max(b.y)).contains(&y) {
            let (from, to) = match i64::from(b.y) - i64::from(a.y) {
                0 => (a.x.min(b.x), a.x.max(b.x)),
                rows => {
                    let step = (i64::from(b.x) - i64::from(a.x)) * (i64::from(y) - i64::from(a.y));
                    let x = i64::from(a.x) + step.div_euclid(rows);
                    (x as i32 - 1, x as i32 + 1)
                }
            };
            (left, right) = (left.min(from), right.max(to));
        }
    }
    (left, right)
}

/// Whether a point is inside a triangle or on its edge.
fn is_in(point: Point, [a, b, c]: &[Point; 3]) -> bool {
    let sides = [turn(*a, *b, point), turn(*b, *c, point), turn(*c, *a, point)];
    if turn(*a, *b, *c) == 0 {
        // A line: the triangle is its longest side.
        let within = |lowest: i32, highest: i32, value: i32| (lowest..=highest).contains(&value);
        return sides.iter().all(|side| *side == 0)
            && within(a.x.min(b.x).min(c.x), a.x.max(b.x).max(c.x), point.x)
            && within(a.y.min(b.y).min(c.y), a.y.max(b.y).max(c.y), point.y);
    }
    sides.iter().all(|side| *side >= 0) || sides.iter().all(|side| *side <= 0)
}

/// The squared distance of a point from the edge between two.
fn squared_distance(point: Point, a: Point, b: Point) -> f64 {
    let vector = |from: Point, to: Point| (f64::from(to.x) - f64::from(from.x), f64::from(to.y) - f64::from(from.y));
    let ((ex, ey), (px, py)) = (vector(a, b), vector(a, point));
    let length = ex * ex + ey * ey;
    let share = if length > 0.0 { ((px * ex + py * ey) / length).clamp(0.0, 1.0) } else { 0.0 };
    let (dx, dy) = (px - share * ex, py - share * ey);
    dx * dx + dy * dy
}
