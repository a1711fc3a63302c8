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
    let rings: Vec<&Ring> = polygons.iter().flat_map(Polygon::rings).filter(|ring| !ring.is_empty()).collect();
    if rings.is_empty() {
        return Ring::new();
    }
    let joints = joints(&rings);
    // Where a ring is left for others: (ring, point) to (ring, point).
    let mut leaving: HashMap<Place, Vec<Place>> = HashMap::new();
    joints.iter().for_each(|&(from, to)| leaving.entry(from).or_default().push(to));
    let mut line = Ring::new();
    // Rings that are under way: the ring, the point it was entered at, how many points of it are done, and where it was entered from.
    let mut open: Vec<(usize, usize, usize, Option<Point>)> = vec![(0, 0, 0, None)];
    while let Some((ring, entry, done, from)) = open.pop() {
        let points = rings[ring];
        let at = (entry + done) % points.len();
        if done == points.len() {
            // A ring that was entered is closed before it is left.
            line.extend(from.iter().flat_map(|from| [points[at], *from]));
            continue;
        }
        line.push(points[at]);
        open.push((ring, entry, done + 1, from));
        let others = leaving.remove(&(ring, at)).unwrap_or_default();
        // The nearest is visited first.
        open.extend(others.into_iter().rev().map(|(other, entry)| (other, entry, 0, Some(points[at]))));
    }
    // Rings that share a point are joined there.
    line.dedup();
    line
}

/// A ring and a point of it, by their numbers.
type Place = (usize, usize);

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
