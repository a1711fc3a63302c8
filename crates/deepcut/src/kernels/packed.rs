//! Right-hand side of a product, packed so that a kernel reads it in order.

pub use super::precision::Float;
pub use super::rows::Rows;

use super::operands::{PANEL, Panels, Right, View};
use super::parallel;
use super::rounding::to_bf16;
use super::shape::{extent, is_shape, volume};
use std::fmt;

/// A `[depth, columns]` matrix in panels of 16 columns, padded with zeros: `[⌈columns / 16⌉, depth, 16]` in f32, or
/// `[⌈columns / 16⌉, ⌈depth / 2⌉, 16]` pairs of bf16, the first row of each pair in the low half.
#[derive(Clone, Default)]
pub struct Packed {
    precision: Float,
    depth: usize,
    columns: usize,
    single: Vec<f32>,
    pairs: Vec<u32>,
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed[{}, {}] {:?}", self.depth, self.columns, self.precision)
    }
}

impl Packed {
    /// An empty matrix, to be filled.
    #[must_use]
    pub fn new(precision: Float) -> Self {
        Self { precision, ..Self::default() }
    }

    /// Packs a row-major `[depth, columns]` matrix in f32.
    ///
    /// # Panics
    /// If `matrix` does not hold `depth * columns` values.
    #[must_use]
    pub fn from_rows(matrix: &[f32], depth: usize, columns: usize) -> Self {
        let mut packed = Self::default();
        packed.fill_from_rows(matrix, depth, columns);
        packed
    }

    /// Same as [`Packed::from_rows`], but keeps the memory and the precision.
    ///
    /// # Panics
    /// If `matrix` does not hold `depth * columns` values.
    pub fn fill_from_rows(&mut self, matrix: &[f32], depth: usize, columns: usize) {
        assert!(is_shape(matrix.len(), [depth, columns]), "matrix to pack");
        self.fill(matrix, [depth, columns], [columns, 1]);
    }

    /// Packs the transpose of a row-major `[columns, depth]` matrix: a layer's `[out, in]` weights, or `Fᵀ` from `F`.
    ///
    /// # Panics
    /// If `matrix` does not hold `depth * columns` values.
    #[must_use]
    pub fn from_columns(matrix: &[f32], depth: usize, columns: usize) -> Self {
        let mut packed = Self::default();
        packed.fill_from_columns(matrix, depth, columns);
        packed
    }

    /// Same as [`Packed::from_columns`], but keeps the memory and the precision.
    ///
    /// # Panics
    /// If `matrix` does not hold `depth * columns` values.
    pub fn fill_from_columns(&mut self, matrix: &[f32], depth: usize, columns: usize) {
        assert!(is_shape(matrix.len(), [depth, columns]), "matrix to pack");
        self.fill(matrix, [depth, columns], [1, depth]);
    }

    /// Same as [`Packed::fill_from_rows`], with row k multiplied by `scales[k]`.
    ///
    /// # Panics
    /// If `matrix` does not hold `scales.len() * columns` values.
    pub fn fill_from_scaled_rows(&mut self, matrix: &[f32], scales: &[f32], columns: usize) {
        assert!(is_shape(matrix.len(), [scales.len(), columns]), "matrix to pack");
        self.fill_by([scales.len(), columns], |k, column, out| {
            let row = &matrix[k * columns + column..];
            out.iter_mut().zip(row).for_each(|(to, from)| *to = from * scales[k]);
        });
    }

    /// Packs a `[depth, columns]` matrix whose element (k, j) is `values[k * strides[0] + j * strides[1]]`; keeps the memory and the precision.
    ///
    /// # Panics
    /// If `values` ends before the last element.
    pub fn fill(&mut self, values: &[f32], shape: [usize; 2], strides: [usize; 2]) {
        assert!(extent(shape, strides).is_some_and(|end| end <= values.len()), "matrix to pack");
        self.fill_by(shape, |k, column, out| {
            let from = &values[k * strides[0] + column * strides[1]..];
            if strides[1] == 1 {
                out.copy_from_slice(&from[..out.len()]);
            } else {
                out.iter_mut().zip(from.iter().step_by(strides[1])).for_each(|(to, from)| *to = *from);
            }
        });
    }

    /// Packs a matrix; `read` writes the values of a row from a column on.
    fn fill_by(&mut self, [depth, columns]: [usize; 2], read: impl Fn(usize, usize, &mut [f32]) + Sync) {
        // The matrix is empty until it is whole: if `read` panics, no shape is left without its values.
        (self.depth, self.columns) = (0, 0);
        let panels = columns.div_ceil(PANEL);
        let rows = if self.precision == Float::F32 { depth } else { depth.div_ceil(2) };
        let len = volume([panels, rows, PANEL]);
        assert!(len.is_some(), "a matrix too large to pack");
        let len = len.unwrap_or_default();
        match self.precision {
            Float::F32 => {
                self.single.clear();
                self.single.resize(len, 0.0);
                for_each_panel(&mut self.single, depth * PANEL, |p, panel| {
                    let columns = PANEL.min(columns - p * PANEL);
                    for (k, row) in panel.chunks_exact_mut(PANEL).enumerate() {
                        read(k, p * PANEL, &mut row[..columns]);
                    }
                });
            }
            Float::Bf16 => {
                self.pairs.clear();
                self.pairs.resize(len, 0);
                for_each_panel(&mut self.pairs, rows * PANEL, |p, panel| {
                    let columns = PANEL.min(columns - p * PANEL);
                    for (pair, pairs) in panel.chunks_exact_mut(PANEL).enumerate() {
                        let mut rows = [[0.0f32; PANEL]; 2];
                        for (row, k) in rows.iter_mut().zip(2 * pair..depth) {
                            read(k, p * PANEL, &mut row[..columns]);
                        }
                        for ((pair, low), high) in pairs.iter_mut().zip(rows[0]).zip(rows[1]) {
                            *pair = u32::from(to_bf16(low)) | u32::from(to_bf16(high)) << 16;
                        }
                    }
                });
            }
        }
        (self.depth, self.columns) = (depth, columns);
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

    /// Rounding of the values.
    #[must_use]
    pub fn precision(&self) -> Float {
        self.precision
    }
}

/// Calls `fill` with every panel and its index, on several threads if there is much to do.
fn for_each_panel<T: Send>(data: &mut [T], panel: usize, fill: impl Fn(usize, &mut [T]) + Sync) {
    /// Fewer values are packed before another thread wakes up.
    const LARGE: usize = 1 << 16;
    if data.is_empty() {
        return;
    }
    if data.len() < LARGE {
        data.chunks_exact_mut(panel).enumerate().for_each(|(p, panel)| fill(p, panel));
    } else {
        parallel::for_each(data.chunks_exact_mut(panel).enumerate(), |(p, panel)| fill(p, panel));
    }
}

impl<'a> From<&'a Packed> for Right<'a> {
    fn from(packed: &'a Packed) -> Self {
        let (depth, columns) = (packed.depth(), packed.columns());
        // A matrix without columns has no panels, and any number of rows.
        let view = |rows: usize| (rows, columns, PANEL, rows.saturating_mul(PANEL));
        let panels = match packed.precision() {
            Float::F32 => {
                let (rows, columns, row_stride, panel_stride) = view(depth);
                Panels::Single(View { data: &packed.single, rows, columns, row_stride, panel_stride })
            }
            Float::Bf16 => {
                let (rows, columns, row_stride, panel_stride) = view(depth.div_ceil(2));
                Panels::Pairs(View { data: &packed.pairs, rows, columns, row_stride, panel_stride })
            }
        };
        Self { depth, panels }
    }
}
