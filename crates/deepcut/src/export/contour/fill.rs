//! From rings back to pixels, to measure what a simplification or a bridge costs.

use super::{Point, Polygon};
use crate::components::BoundingBox;

/// Calls `paint` with a row and a range of columns for the pixels whose centers are inside the rings: where a line from the left crosses
/// them an odd number of times. Rings may come in any sense and order.
fn spans<'a>(rings: impl IntoIterator<Item = &'a [Point]>, mut paint: impl FnMut(i32, std::ops::Range<i32>)) {
    // (row, crossing), of every row's center with every edge.
    let mut crossings: Vec<(i32, f64)> = Vec::new();
    for ring in rings {
        for (a, b) in ring.iter().zip(ring.iter().cycle().skip(1)) {
            let (upper, lower) = if a.y < b.y { (a, b) } else { (b, a) };
            let slope = f64::from(lower.x - upper.x) / f64::from(lower.y - upper.y);
            let at = |row: i32| (row, f64::from(upper.x) + (f64::from(row - upper.y) + 0.5) * slope);
            crossings.extend((upper.y..lower.y).map(at));
        }
    }
    crossings.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    for pair in crossings.chunks_exact(2) {
        // The first center at or beyond a crossing.
        let [start, end] = [pair[0], pair[1]].map(|(_, x)| (x - 0.5).ceil() as i32);
        if start < end {
            paint(pair[0].0, start..end);
        }
    }
}

/// The pixels of a `[height, width]` image whose centers are inside the rings: 255 inside, 0 outside. What a line from the left crosses an
/// odd number of times is inside, so rings may come in any sense and order.
///
/// ```
/// use deepcut::export::contour::{Point, fill};
///
/// let triangle = [(0, 0), (4, 0), (0, 4)].map(|(x, y)| Point { x, y });
/// #[rustfmt::skip]
/// assert_eq!(fill([&triangle[..]], 3, 4), [
///     255, 255, 255, 0,
///     255, 255, 0,   0,
///     255, 0,   0,   0,
/// ]);
/// ```
#[must_use]
pub fn fill<'a>(rings: impl IntoIterator<Item = &'a [Point]>, height: usize, width: usize) -> Vec<u8> {
    let mut mask = vec![0; height * width];
    spans(rings, |row, columns| {
        let Some(row) = usize::try_from(row).ok().filter(|row| *row < height) else { return };
        let [start, end] = [columns.start, columns.end].map(|x| (x.max(0) as usize).min(width));
        mask[row * width + start..row * width + end].fill(255);
    });
    mask
}

/// Intersection over union of the pixels inside polygons and of a mask's inside a box, in [0, 1]; 1 if both are empty. The polygons lie inside the
/// box; `inside` gives the mask by row-major indices of an image of `width` columns.
#[must_use]
pub fn iou(polygons: &[Polygon], bounds: BoundingBox, width: usize, inside: impl Fn(usize) -> bool) -> f64 {
    let BoundingBox { top, left, height, width: columns } = bounds;
    let in_box = (top..top + height).flat_map(|row| row * width + left..row * width + left + columns);
    let mask = in_box.filter(|&at| inside(at)).count();
    let (mut filled, mut both) = (0, 0);
    let rings = polygons.iter().flat_map(Polygon::rings).map(Vec::as_slice);
    spans(rings, |row, columns| {
        filled += columns.len();
        let first = row.max(0) as usize * width;
        both += columns.filter(|&x| inside(first + x.max(0) as usize)).count();
    });
    let union = mask + filled - both;
    if union == 0 { 1.0 } else { both as f64 / union as f64 }
}
