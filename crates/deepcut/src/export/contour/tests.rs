#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use proptest::prelude::*;

/// A picture of rows of `#` and `.`.
fn traced(rows: &[&str]) -> Vec<Polygon> {
    let text = rows.concat().into_bytes();
    whole(rows.len(), rows[0].len(), |at| text[at] == b'#')
}

fn whole(height: usize, width: usize, inside: impl Fn(usize) -> bool) -> Vec<Polygon> {
    trace(height, width, BoundingBox { top: 0, left: 0, height, width }, inside)
}

fn ring(points: &[(i32, i32)]) -> Ring {
    points.iter().map(|&(x, y)| Point { x, y }).collect()
}

fn rings(polygons: &[Polygon]) -> impl Iterator<Item = &[Point]> {
    polygons.iter().flat_map(Polygon::rings).map(Vec::as_slice)
}

/// Edges of a ring.
fn edges(ring: &[Point]) -> Vec<(Point, Point)> {
    ring.iter().zip(ring.iter().cycle().skip(1)).map(|(a, b)| (*a, *b)).collect()
}

/// Whether a point lies on an edge.
fn is_on(point: Point, (a, b): (Point, Point)) -> bool {
    let within = |a: i32, b: i32, value: i32| (a.min(b)..=a.max(b)).contains(&value);
    turn(a, b, point) == 0 && within(a.x, b.x, point.x) && within(a.y, b.y, point.y)
}

/// Whether two edges have a point in common.
fn touch((a, b): (Point, Point), (c, d): (Point, Point)) -> bool {
    let apart = |x: i64, y: i64| x.signum() * y.signum() < 0;
    apart(turn(a, b, c), turn(a, b, d)) && apart(turn(c, d, a), turn(c, d, b))
        || is_on(c, (a, b))
        || is_on(d, (a, b))
        || is_on(a, (c, d))
        || is_on(b, (c, d))
}

/// 1 inside a ring, 0 on it, -1 outside.
fn side(point: Point, ring: &[Point]) -> i32 {
    let mut inside = false;
    for (a, b) in edges(ring) {
        if is_on(point, (a, b)) {
            return 0;
        }
        if (a.y > point.y) != (b.y > point.y) {
            let to_the_right = turn(a, b, point) > 0;
            inside ^= to_the_right == (b.y < a.y);
        }
    }
    if inside { 1 } else { -1 }
}

/// What is wrong with polygons by OGC Simple Features, if anything: found by comparing all pairs of edges, in exact numbers.
fn fault(polygons: &[Polygon]) -> Option<String> {
    // Twice as large, so that midpoints are points.
    let double = |ring: &Ring| -> Ring { ring.iter().map(|p| Point { x: 2 * p.x, y: 2 * p.y }).collect() };
    let polygons: Vec<Vec<Ring>> = polygons.iter().map(|polygon| polygon.rings().map(double).collect()).collect();
    let middle = |(a, b): (Point, Point)| Point { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
    let probes = |ring: &Ring| -> Vec<Point> { edges(ring).into_iter().flat_map(|edge| [edge.0, middle(edge)]).collect() };
    for ring in polygons.iter().flatten() {
        let edges = edges(ring);
        let n = edges.len();
        if n < 4 {
            return Some(format!("{n} points"));
        }
        for (i, edge) in edges.iter().enumerate() {
            for (j, other) in edges.iter().enumerate().skip(i + 1) {
                let bad = match () {
                    () if j == i + 1 => is_on(other.1, *edge) || is_on(edge.0, *other),
                    () if i == 0 && j == n - 1 => is_on(other.0, *edge) || is_on(edge.1, *other),
                    () => touch(*edge, *other),
                };
                if bad {
                    return Some(format!("a ring meets itself: {edge:?}, {other:?}"));
                }
            }
        }
    }
    let all: Vec<&Ring> = polygons.iter().flatten().collect();
    for (i, one) in all.iter().enumerate() {
        for other in &all[i + 1..] {
            for (a, b) in edges(one).into_iter().flat_map(|a| edges(other).into_iter().map(move |b| (a, b))) {
                let shared = [b.0, b.1].contains(&a.0) || [b.0, b.1].contains(&a.1);
                if touch(a, b) && !shared {
                    return Some(format!("rings meet: {a:?}, {b:?}"));
                }
            }
        }
    }
    for (at, polygon) in polygons.iter().enumerate() {
        if doubled_area(&polygon[0]) <= 0 || polygon[1..].iter().any(|hole| doubled_area(hole) >= 0) {
            return Some("a sense is wrong".into());
        }
        for (i, hole) in polygon.iter().enumerate().skip(1) {
            if probes(hole).iter().any(|&point| side(point, &polygon[0]) < 0) {
                return Some("a hole is outside".into());
            }
            if polygon[i + 1..].iter().any(|other| probes(other).iter().any(|&point| side(point, hole) > 0)) {
                return Some("a hole is in a hole".into());
            }
        }
        for other in polygons.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, other)| other) {
            let is_in = |point: Point| side(point, &other[0]) > 0 && other[1..].iter().all(|hole| side(point, hole) < 0);
            if probes(&polygon[0]).into_iter().any(is_in) {
                return Some("a part is in another".into());
            }
        }
    }
    None
}

#[test]
fn a_pixel_a_hole_and_what_touches_at_corners() {
    assert_eq!(traced(&["...", ".#.", "..."]), [Polygon { exterior: ring(&[(1, 1), (2, 1), (2, 2), (1, 2)]), holes: vec![] }]);
    assert!(traced(&["..", ".."]).is_empty() && whole(0, 0, |_| true).is_empty());
    // Two pixels that touch at a corner are two polygons.
    let corner = traced(&["#.", ".#"]);
    assert_eq!((corner.len(), corner[0].area()), (2, 1.0));
    // A part that touches itself at a corner around a hole: exterior and hole share that point.
    let curl = traced(&["##.", "#.#", "###"]);
    assert_eq!(curl[0].exterior, ring(&[(0, 0), (2, 0), (2, 1), (3, 1), (3, 3), (0, 3)]));
    assert_eq!(curl[0].holes, [ring(&[(1, 1), (1, 2), (2, 2), (2, 1)])]);
    // Holes that touch at a corner are two holes, and a part in a hole is a polygon of its own, after the larger one.
    let holes = traced(&["######", "#.####", "##...#", "##.#.#", "##...#", "######"]);
    assert_eq!(holes.iter().map(|polygon| (polygon.area(), polygon.holes.len())).collect::<Vec<_>>(), [(26.0, 2), (1.0, 0)]);
    for polygons in [&corner, &curl, &holes] {
        assert_eq!(fault(polygons), None);
    }
    // The box cuts.
    let cut = trace(2, 3, BoundingBox { top: 1, left: 1, height: 9, width: 1 }, |_| true);
    assert_eq!(cut[0].exterior, ring(&[(1, 1), (2, 1), (2, 2), (1, 2)]));
}

/// The check finds what it is for.
#[test]
fn faults_are_found() {
    let alone = |points: &[(i32, i32)]| fault(&[Polygon { exterior: ring(points), holes: vec![] }]);
    assert_eq!(alone(&[(0, 0), (4, 0), (4, 4), (0, 4)]), None);
    assert!(alone(&[(0, 0), (4, 4), (4, 0), (0, 4)]).unwrap().contains("itself"));
    assert!(alone(&[(0, 0), (4, 0), (4, 4), (2, 0), (0, 4)]).unwrap().contains("itself"));
    assert!(alone(&[(0, 0), (4, 0), (0, 4)]).unwrap().contains("3 points"));
    assert!(alone(&[(0, 0), (0, 4), (4, 4), (4, 0)]).unwrap().contains("sense"));
    let square = |low: i32, high: i32| ring(&[(low, low), (high, low), (high, high), (low, high)]);
    let hole = |low, high| square(low, high).into_iter().rev().collect::<Ring>();
    let fault = |exterior, holes| fault(&[Polygon { exterior, holes }]);
    assert_eq!(fault(square(0, 9), vec![hole(1, 3), hole(3, 5)]), None);
    assert!(fault(square(0, 9), vec![hole(1, 5), hole(3, 7)]).unwrap().contains("rings meet"));
    assert!(fault(square(0, 9), vec![hole(1, 7), hole(3, 5)]).unwrap().contains("in a hole"));
    assert!(fault(square(0, 9), vec![hole(11, 17)]).unwrap().contains("outside"));
    let parts = [square(0, 9), square(2, 4)].map(|exterior| Polygon { exterior, holes: vec![] });
    assert!(super::tests::fault(&parts).unwrap().contains("in another"));
}

#[test]
fn a_staircase_becomes_a_line_and_the_loss_is_known() {
    let (height, width) = (60, 60);
    let inside = |at: usize| (at % width) <= at / width;
    let bounds = BoundingBox { top: 0, left: 0, height, width };
    let exact = whole(height, width, inside);
    assert_eq!((exact[0].exterior.len(), iou(&exact, bounds, width, inside)), (2 * 60 + 1 + 1, 1.0));
    let mut polygons = exact.clone();
    simplify(&mut polygons, 1.0);
    assert!(polygons[0].exterior.len() <= 6, "{polygons:?}");
    assert!(iou(&polygons, bounds, width, inside) > 0.96);
    // A notch of one pixel of a hundred is closed.
    let notched = |at: usize| at != 4;
    let mut square = whole(10, 10, notched);
    assert_eq!(square[0].exterior.len(), 8);
    simplify(&mut square, 1.0);
    assert_eq!(square[0].exterior, ring(&[(0, 0), (10, 0), (10, 10), (0, 10)]));
    assert_eq!(iou(&square, BoundingBox { top: 0, left: 0, height: 10, width: 10 }, 10, notched), 0.99);
    for nothing in [0.0, -1.0, f64::NAN] {
        let mut polygons = exact.clone();
        simplify(&mut polygons, nothing);
        assert_eq!(polygons, exact);
    }
    // All of one and nothing of the other.
    assert_eq!(iou(&exact, bounds, width, |_| false), 0.0);
    assert_eq!(iou(&[], bounds, width, |_| false), 1.0);
}

/// Masks of every size up to 70 × 70, from sparse to full; smoothed ones have parts, holes, and parts in holes.
fn masks() -> impl Strategy<Value = (usize, usize, Vec<bool>)> {
    (1..=70usize, 1..=70usize, 0.0..=1.0, 0..4usize).prop_flat_map(|(height, width, share, smooth)| {
        prop::collection::vec(prop::bool::weighted(share), height * width).prop_map(move |mut mask| {
            for _ in 0..smooth {
                let votes = |at: usize| {
                    let (y, x) = (at / width, at % width);
                    let rows = y.saturating_sub(1)..(y + 2).min(height);
                    let near = rows.flat_map(|y| (x.saturating_sub(1)..(x + 2).min(width)).map(move |x| y * width + x));
                    near.map(|at| if mask[at] { 1 } else { -1 }).sum::<i32>()
                };
                mask = (0..mask.len()).map(|at| votes(at) > 0).collect();
            }
            (height, width, mask)
        })
    })
}

proptest! {
    #[test]
    fn a_mask_comes_back_from_its_rings((height, width, mask) in masks()) {
        let polygons = whole(height, width, |at| mask[at]);
        let expected: Vec<u8> = mask.iter().map(|inside| u8::from(*inside) * 255).collect();
        prop_assert_eq!(&fill(rings(&polygons), height, width), &expected);
        prop_assert_eq!(fault(&polygons), None);
        let area: f64 = polygons.iter().map(Polygon::area).sum();
        prop_assert_eq!(area, mask.iter().filter(|inside| **inside).count() as f64);
        prop_assert_eq!(polygons.len(), Components::find(height, width, |at| mask[at]).list().len());
        prop_assert!(polygons.iter().flat_map(Polygon::rings).flat_map(|ring| edges(ring)).all(|(a, b)| a.x == b.x || a.y == b.y));
        // One line is the same area, by either rule.
        let line = bridge(&polygons);
        prop_assert_eq!(&fill([&line[..]], height, width), &expected);
        prop_assert_eq!(doubled_area(&line) as f64, 2.0 * area);
        // Each polygon alone is its component.
        for polygon in &polygons {
            let alone = fill(polygon.rings().map(Vec::as_slice), height, width);
            prop_assert_eq!(alone.iter().filter(|value| **value > 0).count() as f64, polygon.area());
        }
    }

    #[test]
    fn simplified_rings_are_valid_and_near((height, width, mask) in masks(), tolerance in 0.1..6.0) {
        let exact = whole(height, width, |at| mask[at]);
        let mut polygons = exact.clone();
        simplify(&mut polygons, tolerance);
        prop_assert_eq!(fault(&polygons), None);
        let distance = |point: Point, (a, b): (Point, Point)| {
            let (ex, ey) = (f64::from(b.x - a.x), f64::from(b.y - a.y));
            let (px, py) = (f64::from(point.x - a.x), f64::from(point.y - a.y));
            let share = ((px * ex + py * ey) / (ex * ex + ey * ey)).clamp(0.0, 1.0);
            (px - share * ex).hypot(py - share * ey)
        };
        for (ring, original) in polygons.iter().flat_map(Polygon::rings).zip(exact.iter().flat_map(Polygon::rings)) {
            prop_assert!(ring.iter().all(|point| original.contains(point)));
            for point in original {
                let nearest = edges(ring).into_iter().map(|edge| distance(*point, edge)).fold(f64::MAX, f64::min);
                prop_assert!(nearest <= tolerance + 1e-9, "{:?} is {} away", point, nearest);
            }
        }
        let bounds = BoundingBox { top: 0, left: 0, height, width };
        let filled = fill(rings(&polygons), height, width);
        let both = mask.iter().zip(&filled).filter(|(a, b)| **a && **b > 0).count() as f64;
        let either = mask.iter().zip(&filled).filter(|(a, b)| **a || **b > 0).count() as f64;
        let expected = if either == 0.0 { 1.0 } else { both / either };
        prop_assert_eq!(iou(&polygons, bounds, width, |at| mask[at]), expected);
    }
}
