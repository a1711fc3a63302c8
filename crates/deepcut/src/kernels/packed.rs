//! The right-hand side of a product, packed once so that a kernel reads it in order.

/// Columns of a panel: two AVX2 registers.
pub const PANEL: usize = 16;

/// A `[depth, columns]` matrix stored as `[⌈columns / 16⌉, depth, 16]`, padded with zeros.
#[derive(Debug, Clone, Default)]
pub struct Packed {
    depth: usize,
    columns: usize,
    data: Vec<f32>,
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
        (self.depth, self.columns) = (depth, columns);
        self.data.clear();
        self.data.resize(columns.div_ceil(PANEL) * PANEL * depth, 0.0);
        if depth > 0 {
            for (p, panel) in self.data.chunks_exact_mut(depth * PANEL).enumerate() {
                let first = p * PANEL;
                let width = PANEL.min(columns - first);
                for (k, row) in panel.chunks_exact_mut(PANEL).enumerate() {
                    let at = k * columns + first;
                    row[..width].copy_from_slice(&matrix[at..at + width]);
                }
            }
        }
    }

    /// Packs the transpose of a row-major `[columns, depth]` matrix: a layer's `[out, in]` weights, or `Fᵀ` from `F`.
    ///
    /// # Panics
    /// If `matrix` does not hold `depth * columns` values.
    #[must_use]
    pub fn from_columns(matrix: &[f32], depth: usize, columns: usize) -> Self {
        assert_eq!(matrix.len(), depth * columns, "matrix to pack");
        let data = vec![0.0; columns.div_ceil(PANEL) * PANEL * depth];
        let mut packed = Self { depth, columns, data };
        if depth > 0 {
            for (j, column) in matrix.chunks_exact(depth).enumerate() {
                let panel = &mut packed.data[j / PANEL * depth * PANEL..];
                for (k, &value) in column.iter().enumerate() {
                    panel[k * PANEL + j % PANEL] = value;
                }
            }
        }
        packed
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
