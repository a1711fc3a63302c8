//! Operands of products in int8. Weights are rounded once, with a scale for each column; the left side is rounded in every product, with a scale and an
//! offset for each row.
//!
//! ```text
//! w[k, j] ≈ scale[j] q[k, j]        q in −127..=127
//! x[i, k] ≈ least[i] + step[i] u[i, k]    u in 0..=255, in 0..=127 with AVX2
//! Σₖ x[i, k] w[k, j] ≈ scale[j] (step[i] Σₖ u[i, k] q[k, j] + least[i] Σₖ q[k, j])
//! ```
//!
//! The sums of `u q` are exact: instruction sets differ only in the range of `u`, and in the rounding of the last line.

use super::operands::{Left, PANEL, View};
use super::rounding::ROUND;
use super::shape::is_shape;

/// Values in one 32-bit lane: neighbors along the depth.
pub(super) const QUAD: usize = 4;

/// Largest depth of a matrix: the sum of that many products of 8 bits with 7 fits 32 bits.
pub const MAX_DEPTH: usize = (i32::MAX / (255 * 127)) as usize;

/// A `[depth, columns]` matrix of weights in panels of 16 columns, padded with zeros: `[⌈columns / 16⌉, ⌈depth / 4⌉, 16]` quads of
/// int8, the first row of each in the low byte.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quantized {
    depth: usize,
    columns: usize,
    quads: Vec<u32>,
    /// Scale of each column, `[columns]`.
    pub(super) scales: Vec<f32>,
    /// Sum of the integers of each column, `[columns]`.
    pub(super) sums: Vec<f32>,
}

/// Rounding of a row: value = least + step · integer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rounding {
    pub step: f32,
    pub least: f32,
}

impl Rounding {
    /// Rounds values between `least` and `largest` to integers from 0 to `levels`.
    pub fn between(least: f32, largest: f32, levels: u8) -> Self {
        Self { step: (largest - least) / f32::from(levels), least }
    }

    /// 1 / step, which turns `value - least` into an integer; 0 for a row of equal values.
    pub fn inverse(self) -> f32 {
        if self.step > 0.0 { 1.0 / self.step } else { 0.0 }
    }
}

/// The integers of a matrix, and where its columns begin: the right side of a product.
#[derive(Debug, Clone, Copy)]
pub struct QuantizedColumns<'a> {
    pub(super) matrix: &'a Quantized,
    pub(super) first: usize,
}

impl QuantizedColumns<'_> {
    pub(super) fn columns(self) -> usize {
        self.matrix.columns - self.first
    }
}

impl<'a> From<&'a Quantized> for QuantizedColumns<'a> {
    fn from(matrix: &'a Quantized) -> Self {
        Self { matrix, first: 0 }
    }
}

/// Left side of a product in int8: some rows and the rounding of each.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuadRows<'a> {
    pub quads: Left<'a, u32>,
    pub roundings: &'a [Rounding],
}

impl QuadRows<'_> {
    pub fn rows(&self) -> usize {
        self.quads.rows
    }

    /// `rows` rows from `first` on.
    #[cfg(any(target_arch = "x86_64", all(target_arch = "wasm32", target_feature = "simd128")))]
    pub fn slice(self, first: usize, rows: usize) -> Self {
        Self { quads: self.quads.slice(first, rows), roundings: &self.roundings[first..] }
    }
}

/// Right side of a product in int8: some columns, their scales and the sums of their integers.
#[derive(Debug, Clone, Copy)]
pub(super) struct QuadColumns<'a> {
    pub quads: View<'a, u32>,
    pub scales: &'a [f32],
    pub sums: &'a [f32],
}

impl Quantized {
    /// Rounds the transpose of a row-major `[columns, depth]` matrix: a layer's `[out, in]` weights, or `Fᵀ` from `F`.
    ///
    /// # Panics
    /// If `matrix` does not hold `depth * columns` values, or is deeper than [`MAX_DEPTH`].
    #[must_use]
    pub fn from_columns(matrix: &[f32], depth: usize, columns: usize) -> Self {
        assert!(is_shape(matrix.len(), [depth, columns]) && depth <= MAX_DEPTH, "matrix to round");
        let rows = depth.div_ceil(QUAD);
        let mut quads = vec![0u32; columns.div_ceil(PANEL) * rows * PANEL];
        let (mut scales, mut sums) = (vec![0.0; columns], vec![0.0; columns]);
        let mut integers = vec![0i32; rows * QUAD];
        for (j, column) in matrix.chunks_exact(depth.max(1)).enumerate() {
            let scale = largest_magnitude(column) / 127.0;
            let inverse = inverse(scale);
            integers.iter_mut().zip(column).for_each(|(to, w)| *to = integer(w * inverse));
            sums[j] = integers.iter().sum::<i32>() as f32;
            let panel = quads[j / PANEL * rows * PANEL..].iter_mut().skip(j % PANEL).step_by(PANEL);
            for (quad, four) in panel.zip(integers.as_chunks::<QUAD>().0) {
                *quad = u32::from_le_bytes(four.map(|q| q as u8));
            }
            scales[j] = scale;
        }
        Self { depth, columns, quads, scales, sums }
    }

    /// Rounds a row-major `[depth, columns]` matrix.
    ///
    /// # Panics
    /// If `matrix` does not hold `depth * columns` values, or is deeper than [`MAX_DEPTH`].
    #[must_use]
    pub fn from_rows(matrix: &[f32], depth: usize, columns: usize) -> Self {
        assert!(is_shape(matrix.len(), [depth, columns]) && depth <= MAX_DEPTH, "matrix to round");
        let rows = depth.div_ceil(QUAD);
        let mut quads = vec![0u32; columns.div_ceil(PANEL) * rows * PANEL];
        let mut largest = vec![0.0f32; columns];
        for row in matrix.chunks_exact(columns.max(1)) {
            largest.iter_mut().zip(row).for_each(|(largest, w)| *largest = largest.max(w.abs()));
        }
        let scales: Vec<f32> = largest.into_iter().map(|largest| largest / 127.0).collect();
        let inverses: Vec<f32> = scales.iter().map(|&scale| inverse(scale)).collect();
        let mut sums = vec![0i32; columns];
        for (k, row) in matrix.chunks_exact(columns.max(1)).enumerate() {
            let lines = quads[k / QUAD * PANEL..].chunks_mut(rows * PANEL);
            let columns = row.chunks(PANEL).zip(inverses.chunks(PANEL)).zip(sums.chunks_mut(PANEL));
            for (line, ((row, inverses), sums)) in lines.zip(columns) {
                for (((quad, w), inverse), sum) in line.iter_mut().zip(row).zip(inverses).zip(sums) {
                    let q = integer(w * inverse);
                    *quad |= u32::from(q as u8) << (8 * (k % QUAD));
                    *sum += q;
                }
            }
        }
        Self { depth, columns, quads, scales, sums: sums.into_iter().map(|sum| sum as f32).collect() }
    }

    /// The columns from `first` on; `first` must begin a panel.
    ///
    /// # Panics
    /// If it does not, or there are not so many columns.
    #[must_use]
    pub fn at_column(&self, first: usize) -> QuantizedColumns<'_> {
        assert!(first.is_multiple_of(PANEL) && first <= self.columns, "columns of a matrix");
        QuantizedColumns { matrix: self, first }
    }

    /// Rows of the matrix.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the matrix.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn view(&self) -> View<'_, u32> {
        let rows = self.depth.div_ceil(QUAD);
        View { data: &self.quads, rows, columns: self.columns, row_stride: PANEL, panel_stride: rows * PANEL }
    }
}

/// What turns a value into an integer. A subnormal scale has no finite inverse.
fn inverse(scale: f32) -> f32 {
    if scale >= f32::MIN_POSITIVE { 1.0 / scale } else { 0.0 }
}

/// The nearest integer in −127..=127.
#[inline(always)]
fn integer(x: f32) -> i32 {
    ((x.clamp(-127.0, 127.0) + ROUND).to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32)
}

/// `max |x|`, in sixteen lanes.
fn largest_magnitude(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b.abs() > a { b.abs() } else { a };
    let (whole, rest) = values.as_chunks::<PANEL>();
    let mut lanes = [0.0; PANEL];
    for chunk in whole {
        lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane = larger(*lane, *x));
    }
    lanes.iter().chain(rest).fold(0.0, |a, b| larger(a, *b))
}
