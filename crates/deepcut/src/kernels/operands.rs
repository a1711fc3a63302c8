//! What kernels are given: views of matrices, what a product is added to, and the constants of the other operations.

use super::shape::{extent, volume};

/// Columns of a panel: two AVX2 registers, or one of AVX-512.
pub const PANEL: usize = 16;

/// The left-hand side of a product: a strided view, so that a transpose costs nothing.
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

    /// `[rows, depth]`, each row beginning `row_stride` after the one before: some columns of a wider matrix.
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
    /// A row-major `[rows, depth]` matrix in pairs of bf16, an odd last value paired with zero.
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
        // What has no elements may have any stride.
        Self { data: self.data.get(first.saturating_mul(self.row_stride)..).unwrap_or_default(), rows, ..self }
    }

    /// `depth` columns from `first` on.
    pub(super) fn columns(self, first: usize, depth: usize) -> Self {
        Self { data: self.data.get(first * self.depth_stride..).unwrap_or_default(), depth, ..self }
    }

    /// Whether the data hold every element.
    pub(super) fn is_whole(&self) -> bool {
        extent([self.rows, self.depth], [self.row_stride, self.depth_stride]).is_some_and(|end| end <= self.data.len())
    }
}

/// A left side in either precision; pairs count as one of its depth.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side<'a> {
    Single(Left<'a>),
    Pairs(Left<'a, u32>),
}

/// The right-hand side of a product, `[depth, columns]`: a packed matrix, or a row-major one read in place.
#[derive(Debug, Clone, Copy)]
pub struct Right<'a> {
    pub(super) depth: usize,
    pub(super) panels: Panels<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Panels<'a> {
    /// f32.
    Single(View<'a, f32>),
    /// Pairs of bf16.
    Pairs(View<'a, u32>),
}

/// Rows of some panels.
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

    /// Whether the data hold every element.
    pub(super) fn is_whole(&self) -> bool {
        let panels = self.columns.div_ceil(PANEL);
        // The last panel's columns, less the one that an extent ends with.
        let last = self.columns.saturating_sub(1) % PANEL;
        let end = extent([self.rows, panels], [self.row_stride, self.panel_stride]);
        self.rows == 0 || end.and_then(|end| end.checked_add(last)).is_some_and(|end| end <= self.data.len())
    }
}

impl<'a> Right<'a> {
    /// A row-major `[depth, columns]` matrix. A product with many rows on the left is faster with a packed one.
    #[must_use]
    pub fn row_major(data: &'a [f32], depth: usize, columns: usize) -> Self {
        assert!(volume([depth, columns]).is_some_and(|len| len <= data.len()), "right side is shorter than its shape");
        Self { depth, panels: Panels::Single(View { data, rows: depth, columns, row_stride: columns, panel_stride: PANEL }) }
    }

    /// A `[depth, columns]` matrix in bf16 that [`super::Isa::pair_rows`] wrote.
    #[must_use]
    pub fn paired_rows(pairs: &'a [u32], depth: usize, columns: usize) -> Self {
        let rows = depth.div_ceil(2);
        assert!(volume([rows, columns]).is_some_and(|len| len <= pairs.len()), "right side is shorter than its shape");
        Self { depth, panels: Panels::Pairs(View { data: pairs, rows, columns, row_stride: columns, panel_stride: PANEL }) }
    }

    /// The columns from `first` on, which begins a panel.
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

/// What a product is added to.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// Nothing: `C = A B`.
    Zero,
    /// One value per column: `C = A B + 1 bᵀ`.
    Bias(&'a [f32]),
    /// What the output holds already and one value per column: `C = C + A B + 1 bᵀ`.
    Residual(&'a [f32]),
    /// What the output holds already: `C = C + A B`.
    Accumulate,
}

impl Start<'_> {
    /// The same for the columns from `first` on.
    pub(super) fn at_column(self, first: usize) -> Self {
        match self {
            Self::Bias(bias) => Start::Bias(&bias[first..]),
            Self::Residual(bias) => Start::Residual(&bias[first..]),
            start => start,
        }
    }
}

/// The constants of one step of AdamW: `m ← m + (1 − β₁)(g − m)`, `v ← β₂ v + (1 − β₂) g²`, `p ← decay · p − rate · m / (root · √v + ε)`.
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// Of the two moments.
    pub beta: [f32; 2],
    /// The learning rate, over the first moment's bias correction.
    pub rate: f32,
    /// One over the square root of the second moment's bias correction.
    pub root: f32,
    /// What weight decay leaves of a parameter.
    pub decay: f32,
    /// Keeps the quotient finite.
    pub epsilon: f32,
}

/// What a softmax over blocks of columns remembers of one row; see [`super::Isa::softmax_step`].
#[derive(Debug, Clone, Copy)]
pub struct SoftmaxRow {
    /// The largest score so far.
    pub largest: f32,
    /// `Σ exp(scale · (score − largest))` so far.
    pub sum: f32,
    /// What weighted sums of earlier blocks must be multiplied by, now that `largest` may have grown.
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
    /// `[kernel * kernel, channels]`.
    pub weights: &'a [f32],
    /// `[channels]`.
    pub bias: &'a [f32],
    /// Side of the square kernel.
    pub kernel: usize,
    /// Channels of input and output.
    pub channels: usize,
    /// Pixels of an output row; an input row has `kernel - 1` more.
    pub width: usize,
}
