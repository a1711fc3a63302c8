//! Bicubic interpolation of positional embeddings to grids that the network was not trained on, as each family does it.
//!
//! | family | sampling of a `g₀ × g₀` table at `g` points | kernel |
//! |---|---|---|
//! | DINO; DINOv2 without registers | `src = (i + ½) · g₀ / (g + 0.1) − ½` | a = −0.75 |
//! | DINOv2 with registers | `src = (i + ½) · g₀ / g − ½` | antialiased: a = −0.5, widened when shrinking |
//! | supervised | `src = (i + ½) · g₀ / g − ½` | a = −0.75 |
//!
//! The published code added 0.1 against rounding, because PyTorch derived the size from a scale. It is part of the features now.
//! Sources: DINO (arXiv 2104.14294) `vision_transformer.py::interpolate_pos_encoding`, DINOv2 (arXiv 2304.07193), and PyTorch's
//! `interpolate(mode="bicubic", align_corners=False)` with and without `antialias`.

/// How a family interpolates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interpolation {
    /// Added to the number of patches before the scale is taken.
    pub offset: f64,
    /// Whether the kernel is widened when the grid shrinks.
    pub antialias: bool,
}

/// The inputs of one output position: the index of the first, and a weight for each.
struct Taps {
    first: usize,
    weights: Vec<f32>,
}

impl Interpolation {
    /// Interpolates a `[side, side, dim]` table to `[height, width, dim]`. The table is unchanged at its own size.
    #[must_use]
    pub fn apply(self, table: &[f32], side: usize, dim: usize, (height, width): (usize, usize)) -> Vec<f32> {
        if (height, width) == (side, side) {
            return table.to_vec();
        }
        let across = self.taps(side, width);
        let mut columns = Vec::with_capacity(side * width * dim);
        for row in table.chunks_exact(side * dim) {
            across.iter().for_each(|taps| taps.read(row, dim, &mut columns));
        }
        let mut out = Vec::with_capacity(height * width * dim);
        for taps in self.taps(side, height) {
            taps.read(&columns, width * dim, &mut out);
        }
        out
    }

    fn taps(self, side: usize, out: usize) -> Vec<Taps> {
        let scale = side as f64 / (out as f64 + self.offset);
        (0..out).map(|i| if self.antialias { antialiased(i, scale, side) } else { bicubic(i, scale, side) }).collect()
    }
}

impl Taps {
    /// Appends the weighted sum of rows of `width` values.
    fn read(&self, rows: &[f32], width: usize, out: &mut Vec<f32>) {
        let start = out.len();
        out.resize(start + width, 0.0);
        for (row, weight) in rows[self.first * width..].chunks_exact(width).zip(&self.weights) {
            out[start..].iter_mut().zip(row).for_each(|(out, x)| *out += weight * x);
        }
    }
}

/// Keys' cubic convolution kernel.
fn cubic(x: f64, a: f64) -> f64 {
    match x.abs() {
        x if x < 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        x if x < 2.0 => a * (((x - 5.0) * x + 8.0) * x - 4.0),
        _ => 0.0,
    }
}

/// Four inputs around the position; the edge is repeated.
fn bicubic(i: usize, scale: f64, side: usize) -> Taps {
    let position = (i as f64 + 0.5) * scale - 0.5;
    let inputs = (position.floor() as i64 - 1)..=(position.floor() as i64 + 2);
    let clamped = |at: i64| at.clamp(0, side as i64 - 1) as usize;
    let first = clamped(*inputs.start());
    let mut weights = vec![0.0; clamped(*inputs.end()) - first + 1];
    for at in inputs {
        weights[clamped(at) - first] += cubic(position - at as f64, -0.75) as f32;
    }
    Taps { first, weights }
}

/// All inputs under a kernel as wide as an output cell; inputs beyond the edge are left out.
fn antialiased(i: usize, scale: f64, side: usize) -> Taps {
    let center = (i as f64 + 0.5) * scale;
    let stretch = scale.max(1.0);
    let first = ((center - 2.0 * stretch + 0.5) as i64).max(0) as usize;
    let end = ((center + 2.0 * stretch + 0.5) as usize).min(side);
    let weights: Vec<f64> = (first..end).map(|at| cubic((at as f64 - center + 0.5) / stretch, -0.5)).collect();
    let total: f64 = weights.iter().sum();
    Taps { first, weights: weights.iter().map(|w| (w / total) as f32).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Interpolation; 3] = [
        Interpolation { offset: 0.0, antialias: false },
        Interpolation { offset: 0.1, antialias: false },
        Interpolation { offset: 0.0, antialias: true },
    ];

    /// By symmetry the value in the middle of a 2 × 2 table is the mean of the four.
    #[test]
    fn constants_stay_and_the_middle_is_the_mean() {
        for how in ALL {
            for (height, width) in [(1, 1), (2, 5), (7, 3), (4, 4)] {
                let out = how.apply(&[2.5; 9], 3, 1, (height, width));
                assert_eq!(out.len(), height * width);
                assert!(out.iter().all(|x| (x - 2.5).abs() < 1e-5), "{how:?}: {out:?}");
            }
            let table = [0.0, 1.0, 2.0, 4.0];
            assert_eq!(how.apply(&table, 2, 1, (2, 2)), table);
            if how.offset == 0.0 {
                assert!((how.apply(&table, 2, 1, (3, 3))[4] - 1.75).abs() < 1e-6);
            }
        }
    }

    /// Rows and columns are interpolated alike, and channels separately.
    #[test]
    fn transposing_commutes_with_interpolating() {
        let table: Vec<f32> = (0..32).map(|i| ((i * i * 7) % 13) as f32).collect();
        let turned: Vec<f32> = (0..32).map(|i| table[(i / 2 % 4 * 4 + i / 8) * 2 + i % 2]).collect();
        for how in ALL {
            let (out, other) = (how.apply(&table, 4, 2, (6, 3)), how.apply(&turned, 4, 2, (3, 6)));
            for y in 0..6 {
                for x in 0..3 {
                    for c in 0..2 {
                        assert!((out[(y * 3 + x) * 2 + c] - other[(x * 6 + y) * 2 + c]).abs() < 1e-5);
                    }
                }
            }
        }
    }

    /// Hand computation: two inputs at four points, position 0 is −0.25: weights of inputs −1 and 0 fall on the first.
    #[test]
    fn edges_repeat() {
        let out = ALL[0].apply(&[0.0, 1.0, 0.0, 1.0], 2, 1, (2, 4));
        // Inputs −2, −1, 0 are 0; input 1 is 1, at distance 1.25: a(((x − 5)x + 8)x − 4) = −0.75 · 0.140625.
        assert!((out[0] + 0.105_468_75).abs() < 1e-6, "{out:?}");
    }
}
