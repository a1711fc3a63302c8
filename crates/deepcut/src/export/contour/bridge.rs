//! One line around several rings, for formats that have neither holes nor parts.

use super::{Point, Polygon, Ring};
use std::collections::HashMap;

/// One closed line through all rings: each is joined to the others at the two points that are nearest, by a way there and the same way back,
/// which encloses nothing. Filled by either rule, even-odd or nonzero, it is what the polygons are. It is no valid ring: points and edges come
/// twice. Without a hole and with one polygon it is the exterior itself.
///
/// Cost: O(n²) for n points.
///
/// ```
/// use deepcut::export::contour::{Point, Polygon, bridge};
///
/// let ring = |points: &[(i32, i32)]| points.iter().map(|&(x, y)| Point { x, y }).collect::<Vec<_>>();
/// let square = Polygon { exterior: ring(&[(0, 0), (9, 0), (9, 9), (0, 9)]), holes: vec![ring(&[(1, 1), (1, 2), (2, 2), (2, 1)])] };
/// assert_eq!(bridge(&[square]), ring(&[(0, 0), (1, 1), (1, 2), (2, 2), (2, 1), (1, 1), (0, 0), (9, 0), (9, 9), (0, 9)]));
/// ```
#[must_use]
pub fn bridge(polygons: &[Polygon]) -> Ring {
    let rings: Vec<&Ring> = polygons.iter().flat_map(Polygon::rings).collect();
    let mut line: Ring = walk(&rings).into_iter().map(|(ring, at)| rings[ring][at]).collect();
    // Rings that share a point are joined there.
    line.dedup();
    line
}

/// The way of [`bridge`] through all rings, none of which is empty.
pub(in crate::export) fn walk(rings: &[&Ring]) -> Vec<Place> {
    if rings.is_empty() {
        return Vec::new();
    }
    // Where a ring is left for others.
    let mut leaving: HashMap<Place, Vec<Place>> = HashMap::new();
    joints(rings).into_iter().for_each(|(from, to)| leaving.entry(from).or_default().push(to));
    let mut line = Vec::new();
    // Rings that are under way: the ring, the point it was entered at, how many points of it are done, and where it was entered from.
    let mut open: Vec<(usize, usize, usize, Option<Place>)> = vec![(0, 0, 0, None)];
    while let Some((ring, entry, done, from)) = open.pop() {
        let at = (entry + done) % rings[ring].len();
        if done == rings[ring].len() {
            // A ring that was entered is closed before it is left.
            line.extend(from.iter().flat_map(|from| [(ring, at), *from]));
            continue;
        }
        line.push((ring, at));
        open.push((ring, entry, done + 1, from));
        let others = leaving.remove(&(ring, at)).unwrap_or_default();
        // The nearest is visited first.
        open.extend(others.into_iter().rev().map(|(other, entry)| (other, entry, 0, Some((ring, at)))));
    }
    line
}

/// A ring and a point of it, by their numbers.
pub(in crate::export) type Place = (usize, usize);

/// A ring that is not yet joined, and where it is nearest to those that are.
struct Apart {
    ring: usize,
    distance: i64,
    from: Place,
    own: usize,
}

/// Places that are joined: every ring but the first with one that is joined before, where they are nearest.
fn joints(rings: &[&Ring]) -> Vec<(Place, Place)> {
    let mut joints = Vec::with_capacity(rings.len());
    let apart = |ring| Apart { ring, distance: i64::MAX, from: (0, 0), own: 0 };
    let mut left: Vec<Apart> = (1..rings.len()).map(apart).collect();
    let mut last = 0;
    while !left.is_empty() {
        for apart in &mut left {
            for (own, a) in rings[apart.ring].iter().enumerate() {
                for (at, b) in rings[last].iter().enumerate() {
                    let distance = squared_distance(*a, *b);
                    if distance < apart.distance {
                        (apart.distance, apart.from, apart.own) = (distance, (last, at), own);
                    }
                }
            }
        }
        let next = left.iter().enumerate().min_by_key(|(_, apart)| (apart.distance, apart.ring)).map_or(0, |(at, _)| at);
        let Apart { ring, from, own, .. } = left.swap_remove(next);
        joints.push((from, (ring, own)));
        last = ring;
    }
    joints
}

fn squared_distance(a: Point, b: Point) -> i64 {
    let (x, y) = (i64::from(a.x) - i64::from(b.x), i64::from(a.y) - i64::from(b.y));
    x * x + y * y
}
