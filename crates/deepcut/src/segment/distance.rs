//! The distance of each cell of a mask to the nearest cell outside.
//!
//! ```text
//! d²(y, x) = min over columns u of (x − u)² + g²(y, u),   g(y, u): rows to the nearest cell outside in column u
//! ```
//!
//! The minimum over u is a lower envelope of parabolas, found in one pass over a row.
//!
//! Source: Felzenszwalb and Huttenlocher, Distance Transforms of Sampled Functions (2012). Cost: O(cells).

/// Euclidean distance, in cells, from the center of each cell inside a `[height, width]` mask to that of the nearest cell outside; 0 outside.
/// Beyond the grid all is outside.
pub(super) fn to_outside(inside: &[bool], width: usize) -> Vec<f32> {
    let height = inside.len().checked_div(width).unwrap_or_default();
    // Rows to the nearest cell outside in the same column, above or below.
    let mut rows = vec![0.0f32; inside.len()];
    for x in 0..width {
        let mut above = 0.0;
        for cell in (0..height).map(|y| y * width + x) {
            above = if inside[cell] { above + 1.0 } else { 0.0 };
            rows[cell] = above;
        }
        let mut below = 0.0;
        for cell in (0..height).rev().map(|y| y * width + x) {
            below = if inside[cell] { below + 1.0 } else { 0.0 };
            rows[cell] = rows[cell].min(below);
        }
    }
    let mut out = vec![0.0; inside.len()];
    // Squares of a row between the two columns outside the grid.
    let mut squares = vec![0.0f32; width + 2];
    let mut envelope = Envelope::default();
    for (row, out) in rows.chunks_exact(width.max(1)).zip(out.chunks_exact_mut(width.max(1))) {
        squares[1..=width].iter_mut().zip(row).for_each(|(square, distance)| *square = distance * distance);
        envelope.fit(&squares);
        out.iter_mut().enumerate().for_each(|(x, out)| *out = envelope.at((x + 1) as f32).sqrt());
    }
    out
}

/// The least of parabolas `(x − u)² + f(u)`; read from left to right.
#[derive(Default)]
struct Envelope {
    /// u and f(u) of each parabola, and the x from which it is the least.
    parabolas: Vec<(f32, f32, f32)>,
    current: usize,
}

impl Envelope {
    fn fit(&mut self, values: &[f32]) {
        self.parabolas.clear();
        self.current = 0;
        for (u, &value) in values.iter().enumerate() {
            let u = u as f32;
            let from = loop {
                let Some(&(v, other, from)) = self.parabolas.last() else { break f32::NEG_INFINITY };
                let crossing = ((value + u * u) - (other + v * v)) / (2.0 * (u - v));
                if crossing > from {
                    break crossing;
                }
                self.parabolas.pop();
            };
            self.parabolas.push((u, value, from));
        }
    }

    fn at(&mut self, x: f32) -> f32 {
        while self.parabolas.get(self.current + 1).is_some_and(|next| next.2 <= x) {
            self.current += 1;
        }
        self.parabolas.get(self.current).map_or(0.0, |&(u, value, _)| (x - u) * (x - u) + value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn distances_are_those_of_a_search() {
        let mut random = Random::new(3);
        for (height, width) in [(1, 1), (1, 7), (6, 1), (5, 9), (17, 12)] {
            for share in [0.2, 0.9, 1.0] {
                let inside: Vec<bool> = (0..height * width).map(|_| random.uniform() < share).collect();
                let found = to_outside(&inside, width);
                for (cell, distance) in found.iter().enumerate() {
                    let (y, x) = ((cell / width) as f32, (cell % width) as f32);
                    let mut expected = (y + 1.0).min(height as f32 - y).min(x + 1.0).min(width as f32 - x);
                    for other in (0..inside.len()).filter(|&other| !inside[other]) {
                        expected = expected.min(((other / width) as f32 - y).hypot((other % width) as f32 - x));
                    }
                    assert!((distance - expected).abs() < 1e-4, "{height} × {width}, cell {cell}: {distance}, not {expected}");
                }
            }
        }
        assert!(to_outside(&[], 0).is_empty());
    }
}
