//! Arguments of the kernels: views of matrices, the start of a sum, and the constants of other operations.

use super::shape::{extent, volume};

/// Columns of a panel: two AVX2 registers, or one of AVX-512.
pub const PANEL: usize = 16;

/// Left-hand side of a product: a strided view, so that a transpose costs nothing.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a, T = f32> {
    pub(super) data: &'a [T],
    pub(super) rows: usize,
    pub(super) depth: usize,
    pub(super) row_stride: usize,
    pub(super) depth_stride: usize,
}

impl<'a> Left<'a> {
    /// A row-major `[rows, depth]` matrix.
    #[must_use]
    pub fn row_major(data: &'a [f32], rows: usize, depth: usize) -> Self {
        Self::new(data, [rows, depth], [depth, 1])
    }

    /// The transpose of a row-major `[depth, rows]` matrix.
    #[must_use]
    pub fn transposed(data: &'a [f32], rows: usize, depth: usize) -> Self {
        Self::new(data, [rows, depth], [1, rows])
    }

    /// A `[rows, depth]` matrix whose rows begin `row_stride` values apart: some columns of a wider matrix.
    #[must_use]
    pub fn strided(data: &'a [f32], rows: usize, depth: usize, row_stride: usize) -> Self {
        Self::new(data, [rows, depth], [row_stride, 1])
    }

    fn new(data: &'a [f32], [rows, depth]: [usize; 2], [row_stride, depth_stride]: [usize; 2]) -> Self {
        let left = Self { data, rows, depth, row_stride, depth_stride };
        assert!(left.is_whole(), "left side is shorter than its shape");
        left
    }
}

impl<'a> Left<'a, u32> {
    /// A row-major `[rows, depth]` matrix in pairs of bf16; the last pair of an odd row holds one value and zero.
    pub(super) fn pairs(data: &'a [u32], rows: usize, depth: usize) -> Self {
        let pairs = depth.div_ceil(2);
        Self { data, rows, depth: pairs, row_stride: pairs, depth_stride: 1 }
    }
}

impl<T> Left<'_, T> {
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// `rows` rows from `first` on.
    pub(crate) fn slice(self, first: usize, rows: usize) -> Self {
        // A view without elements may have any stride.
        Self { data: self.data.get(first.saturating_mul(self.row_stride)..).unwrap_or_default(), rows, ..self }
    }

    /// `depth` columns from `first` on.
    pub(super) fn columns(self, first: usize, depth: usize) -> Self {
        Self { data: self.data.get(first * self.depth_stride..).unwrap_or_default(), depth, ..self }
    }

    /// Whether the slice holds every element.
    pub(super) fn is_whole(&self) -> bool {
        extent([self.rows, self.depth], [self.row_stride, self.depth_stride]).is_some_and(|end| end <= self.data.len())
    }
}

/// A left side in f32, or in pairs of bf16; its depth is then the number of pairs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side<'a> {
    Single(Left<'a>),
    Pairs(Left<'a, u32>),
}

/// Right-hand side of a product, `[depth, columns]`: a packed matrix, or a row-major one read in place.
#[derive(Debug, Clone, Copy)]
pub struct Right<'a> {
    pub(super) depth: usize,
    pub(super) panels: Panels<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Panels<'a> {
    /// Values in f32.
    Single(View<'a, f32>),
    /// Pairs of bf16.
    Pairs(View<'a, u32>),
}

/// Some rows of some panels of [`PANEL`] columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a, T> {
    pub data: &'a [T],
    pub rows: usize,
    pub columns: usize,
    pub row_stride: usize,
    pub panel_stride: usize,
}

impl<T> View<'_, T> {
    /// Rows `k..k + rows` of the panels that hold columns `column..column + columns`; `column` begins a panel.
    pub fn part(self, k: usize, rows: usize, column: usize, columns: usize) -> Self {
        let from = k * self.row_stride + column / PANEL * self.panel_stride;
        Self { data: self.data.get(from..).unwrap_or_default(), rows, columns, ..self }
    }

    /// Whether the slice holds every element.
    pub(super) fn is_whole(&self) -> bool {
        let panels = self.columns.div_ceil(PANEL);
        // Columns of the last panel, less one: `extent` counts the first.
        let last = self.columns.saturating_sub(1) % PANEL;
        let end = extent([self.rows, panels], [self.row_stride, self.panel_stride]);
        self.rows == 0 || end.and_then(|end| end.checked_add(last)).is_some_and(|end| end <= self.data.len())
    }
}

impl<'a> Right<'a> {
    /// A row-major `[depth, columns]` matrix. With many rows on the left, a packed matrix is faster.
    #[must_use]
    pub fn row_major(data: &'a [f32], depth: usize, columns: usize) -> Self {
        assert!(volume([depth, columns]).is_some_and(|len| len <= data.len()), "right side is shorter than its shape");
        Self { depth, panels: Panels::Single(View { data, rows: depth, columns, row_stride: columns, panel_stride: PANEL }) }
    }

    /// A `[depth, columns]` matrix in bf16, written by [`super::Kernels::pair_rows`].
    #[must_use]
    pub fn paired_rows(pairs: &'a [u32], depth: usize, columns: usize) -> Self {
        let rows = depth.div_ceil(2);
        assert!(volume([rows, columns]).is_some_and(|len| len <= pairs.len()), "right side is shorter than its shape");
        Self { depth, panels: Panels::Pairs(View { data: pairs, rows, columns, row_stride: columns, panel_stride: PANEL }) }
    }

    /// The columns from `first` on; `first` must begin a panel.
    #[must_use]
    pub fn at_column(self, first: usize) -> Self {
        fn rest<T>(view: View<'_, T>, first: usize) -> View<'_, T> {
            assert!(first.is_multiple_of(PANEL) && first <= view.columns, "columns of a matrix");
            let (rows, columns) = (view.rows, view.columns - first);
            view.part(0, rows, first, columns)
        }
        let panels = match self.panels {
            Panels::Single(view) => Panels::Single(rest(view, first)),
            Panels::Pairs(view) => Panels::Pairs(rest(view, first)),
        };
        Self { panels, ..self }
    }

    pub(super) fn columns(self) -> usize {
        match self.panels {
            Panels::Single(view) => view.columns,
            Panels::Pairs(view) => view.columns,
        }
    }
}

/// The value that a product is added to.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// Nothing: `C = A B`.
    Zero,
    /// One value per column: `C = A B + 1 bᵀ`.
    Bias(&'a [f32]),
    /// The output's present values and one value per column: `C = C + A B + 1 bᵀ`.
    Residual(&'a [f32]),
    /// The output's present values: `C = C + A B`.
    Accumulate,
}

impl Start<'_> {
    /// The same start for the columns from `first` on.
    pub(super) fn at_column(self, first: usize) -> Self {
        match self {
            Self::Bias(bias) => Start::Bias(&bias[first..]),
            Self::Residual(bias) => Start::Residual(&bias[first..]),
            start => start,
        }
    }
}

/// Constants of one step of AdamW: `m ← m + (1 − β₁)(g − m)`, `v ← β₂ v + (1 − β₂) g²`, `p ← decay · p − rate · m / (root · √v + ε)`.
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// Decay rates β₁ and β₂ of the two moments.
    pub beta: [f32; 2],
    /// Learning rate divided by the bias correction of the first moment.
    pub rate: f32,
    /// 1 / √(bias correction of the second moment).
    pub root: f32,
    /// Factor of weight decay: 1 − learning rate · decay.
    pub decay: f32,
    /// ε, which keeps the quotient finite.
    pub epsilon: f32,
}

/// State of one row in a softmax over blocks of columns; see [`super::Kernels::softmax_step`].
#[derive(Debug, Clone, Copy)]
pub struct SoftmaxRow {
    /// Largest score so far.
    pub largest: f32,
    /// `Σ exp(scale · (score − largest))` so far.
    pub sum: f32,
    /// Factor for the weighted sums of earlier blocks, now that `largest` may have grown.
    pub shrink: f32,
}

impl Default for SoftmaxRow {
    fn default() -> Self {
        Self { largest: f32::NEG_INFINITY, sum: 0.0, shrink: 0.0 }
    }
}

/// Geometry of a depthwise convolution over a padded `[height, width, channels]` plane.
#[derive(Debug, Clone, Copy)]
pub struct Depthwise<'a> {
    /// Weights, `[kernel * kernel, channels]`.
    pub weights: &'a [f32],
    /// Bias, `[channels]`.
    pub bias: &'a [f32],
    /// Side of the square kernel.
    pub kernel: usize,
    /// Channels of input and output.
    pub channels: usize,
    /// Pixels of an output row; an input row has `kernel - 1` more.
    pub width: usize,
}
