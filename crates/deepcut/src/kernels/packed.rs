//! The right-hand side of a product, packed once so that a kernel reads it in order.

use std::fmt;

/// Columns of a panel: two AVX2 registers.
pub const PANEL: usize = 16;

/// A `[depth, columns]` matrix stored as `[⌈columns / 16⌉, depth, 16]`, padded with zeros.
#[derive(Clone, Default)]
pub struct Packed {
    depth: usize,
    columns: usize,
    data: Vec<f32>,
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packed[{}, {}]", self.depth, self.columns)
    }
}

impl Packed {
    /// Packs a row-major `[depth, columns]` matrix.
    ///
    /// # Panics
    /// If `matrix` does not hold `depth * columns` values.
    #[must_use]
    pub fn from_rows(matrix: &[f32], depth: usize, columns: usize) -> Self {
        let mut packed = Self::default();
        packed.fill_from_rows(matrix, depth, columns);
        packed
    }

    /// As [`Packed::from_rows`], in the memory of an earlier matrix.
    ///
    /// # Panics
    /// If `matrix` does not hold `depth * columns` values.
    pub fn fill_from_rows(&mut self, matrix: &[f32], depth: usize, columns: usize) {
        assert_eq!(matrix.len(), depth * columns, "matrix to pack");
        self.fill(matrix, [depth, columns], [columns, 1]);
    }

    /// Packs the transpose of a row-major `[columns, depth]` matrix: a layer's `[out, in]` weights, or `Fᵀ` from `F`.
    ///
    /// # Panics
    /// If `matrix` does not hold `depth * columns` values.
    #[must_use]
    pub fn from_columns(matrix: &[f32], depth: usize, columns: usize) -> Self {
        assert_eq!(matrix.len(), depth * columns, "matrix to pack");
        let mut packed = Self::default();
        packed.fill(matrix, [depth, columns], [1, depth]);
        packed
    }

    /// Packs a `[depth, columns]` matrix whose element (k, j) is `values[k * strides[0] + j * strides[1]]`, in the memory of an
    /// earlier one.
    ///
    /// # Panics
    /// If `values` ends before the last element.
    pub fn fill(&mut self, values: &[f32], [depth, columns]: [usize; 2], strides: [usize; 2]) {
        (self.depth, self.columns) = (depth, columns);
        self.data.clear();
        self.data.resize(columns.div_ceil(PANEL) * PANEL * depth, 0.0);
        if depth == 0 {
            return;
        }
        for (p, panel) in self.data.chunks_exact_mut(depth * PANEL).enumerate() {
            let first = p * PANEL;
            let width = PANEL.min(columns - first);
            for (k, row) in panel.chunks_exact_mut(PANEL).enumerate() {
                let from = &values[k * strides[0] + first * strides[1]..];
                if strides[1] == 1 {
                    row[..width].copy_from_slice(&from[..width]);
                } else {
                    row[..width].iter_mut().zip(from.iter().step_by(strides[1])).for_each(|(to, from)| *to = *from);
                }
            }
        }
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

    /// Rows `first..first + depth` of panel `index`, `[depth, 16]`.
    pub(super) fn panel(&self, index: usize, first: usize, depth: usize) -> &[f32] {
        let at = (index * self.depth + first) * PANEL;
        &self.data[at..at + depth * PANEL]
    }
}
