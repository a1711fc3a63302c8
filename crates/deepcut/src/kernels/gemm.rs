//! Products of matrices in f32 and in pairs of bf16.

use super::isa::{Kernels, compiled};
use super::operands::{Left, Panels, Right, Side, Start, View};
use super::parallel;
use super::rows::{Rows, Values};
use super::shape::{extent, is_shape};
use super::table::MAX_ROWS;
use std::cell::RefCell;

/// Depth of one pass over the right-hand side: its panels stay in the first- and second-level cache.
const DEPTH_BLOCK: usize = 512;
/// Rows of a task of [`Kernels::gemm_parallel`].
pub(super) const TASK_ROWS: usize = 48;

/// Checks output, start and left side of a product with `columns` columns.
pub(super) fn check_product<T>(left: &Left<'_, T>, columns: usize, start: Start<'_>, out: &[f32]) {
    assert!(is_shape(out.len(), [left.rows, columns]), "output of a product");
    assert!(!matches!(start, Start::Bias(bias) | Start::Residual(bias) if bias.len() != columns), "bias of a product");
    assert!(left.is_whole(), "left side of a product");
}

impl Kernels {
    /// `out = start + left · right`, `[rows, n]` row-major. If `right` is in bf16, `left` is rounded to bf16.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn gemm<'a>(self, left: Left<'_>, right: impl Into<Right<'a>>, start: Start<'_>, out: &mut [f32]) {
        let right = right.into();
        let n = right.columns();
        assert_eq!(left.depth, right.depth, "inner dimensions of a product");
        check_product(&left, n, start, out);
        if out.is_empty() {
            return;
        }
        match right.panels {
            Panels::Single(view) => {
                for k in (0..left.depth.max(1)).step_by(DEPTH_BLOCK) {
                    let depth = DEPTH_BLOCK.min(left.depth - k);
                    let start = if k == 0 { start } else { Start::Accumulate };
                    for column in (0..n).step_by(self.table().group) {
                        let columns = self.table().group.min(n - column);
                        let right = view.part(k, depth, column, columns);
                        self.strip(left.columns(k, depth), right, start.at_column(column), &mut out[column..], n);
                    }
                }
            }
            Panels::Pairs(view) => {
                let chunks = out.chunks_mut(MAX_ROWS.saturating_mul(n)).enumerate();
                chunks.for_each(|(task, out)| self.gemm_pairs(left.slice(task * MAX_ROWS, out.len() / n), view, start, out));
            }
        }
    }

    /// The product of up to [`MAX_ROWS`] rows with pairs of bf16.
    fn gemm_pairs(self, left: Left<'_>, right: View<'_, u32>, start: Start<'_>, out: &mut [f32]) {
        const PAIRS: usize = DEPTH_BLOCK / 2;
        thread_local! {
            /// The rounded left side, kept because it is too large to clear each time.
            static ROUNDED: RefCell<Vec<u32>> = RefCell::new(vec![0; MAX_ROWS * PAIRS]);
        }
        ROUNDED.with_borrow_mut(|rounded| self.gemm_rounded::<PAIRS>(left, right, start, rounded, out));
    }

    fn gemm_rounded<const PAIRS: usize>(
        self,
        left: Left<'_>,
        right: View<'_, u32>,
        start: Start<'_>,
        rounded: &mut [u32],
        out: &mut [f32],
    ) {
        for k in (0..right.rows.max(1)).step_by(PAIRS) {
            let pairs = PAIRS.min(right.rows - k);
            let depth = (2 * pairs).min(left.depth - 2 * k);
            for (r, row) in rounded.chunks_exact_mut(PAIRS).enumerate().take(left.rows) {
                self.round_row(left.slice(r, 1).columns(2 * k, depth), &mut row[..pairs]);
            }
            let left = Left { data: &rounded[..], rows: left.rows, depth: pairs, row_stride: PAIRS, depth_stride: 1 };
            self.depth_block(left, right, k, start, out);
        }
    }

    /// Adds the product with `left.depth` rows of `right` from `k` on; the pass with k = 0 begins with `start`.
    fn depth_block(self, left: Left<'_, u32>, right: View<'_, u32>, k: usize, start: Start<'_>, out: &mut [f32]) {
        let n = right.columns;
        let start = if k == 0 { start } else { Start::Accumulate };
        for column in (0..n).step_by(self.table().group) {
            let right = right.part(k, left.depth, column, self.table().group.min(n - column));
            self.strip_pairs(left, right, start.at_column(column), &mut out[column..], n);
        }
    }

    /// [`Kernels::gemm`] with rows `first..first + out.len() / n` of a kept matrix. Both sides have the same precision.
    ///
    /// # Panics
    /// If shapes or precisions disagree.
    pub fn gemm_rows<'a>(self, left: &Rows, first: usize, right: impl Into<Right<'a>>, start: Start<'_>, out: &mut [f32]) {
        let right = right.into();
        let n = right.columns();
        if n == 0 {
            assert!(out.is_empty(), "output of a product");
            return;
        }
        let rows = out.len() / n;
        assert_eq!(left.depth(), right.depth, "inner dimensions of a product");
        let left = match left.values() {
            Values::Single(data) => Side::Single(Left::row_major(&data[first * right.depth..], rows, right.depth)),
            Values::Pairs(data) => Side::Pairs(Left::pairs(&data[first * right.depth.div_ceil(2)..], rows, right.depth)),
        };
        self.gemm_side(left, right, start, out);
    }

    /// [`Kernels::gemm`] with a left side in the precision of the right side.
    #[expect(clippy::panic, reason = "a wrong precision is a broken contract, like a wrong shape")]
    pub(super) fn gemm_side(self, left: Side<'_>, right: Right<'_>, start: Start<'_>, out: &mut [f32]) {
        match (left, right.panels) {
            (Side::Single(left), Panels::Single(_)) => self.gemm(left, right, start, out),
            (Side::Pairs(left), Panels::Pairs(view)) => {
                assert_eq!(left.depth, view.rows, "inner dimensions of a product");
                check_product(&left, view.columns, start, out);
                if out.is_empty() {
                    return;
                }
                for k in (0..left.depth.max(1)).step_by(DEPTH_BLOCK / 2) {
                    self.depth_block(left.columns(k, (DEPTH_BLOCK / 2).min(left.depth - k)), view, k, start, out);
                }
            }
            _ => panic!("precisions of a product"),
        }
    }

    /// [`Kernels::gemm`] over the threads of the current pool.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn gemm_parallel<'a>(self, left: Left<'_>, right: impl Into<Right<'a>>, start: Start<'_>, out: &mut [f32]) {
        let right = right.into();
        let n = right.columns();
        check_product(&left, n, start, out);
        if out.is_empty() {
            return;
        }
        parallel::for_each(out.chunks_mut(TASK_ROWS.saturating_mul(n)).enumerate(), |(task, out)| {
            self.gemm(left.slice(task * TASK_ROWS, out.len() / n), right, start, out);
        });
    }

    /// Product with at most one group of columns; the rows of `out` are `stride` apart.
    fn strip(self, left: Left<'_>, right: View<'_, f32>, start: Start<'_>, out: &mut [f32], stride: usize) {
        if left.rows() == 0 {
            return;
        }
        self.check_strip(left, &right, start, out, stride);
        #[allow(unsafe_code)]
        // SAFETY: the set was detected; `check_strip` is the kernel's contract.
        unsafe {
            (self.table().strip)(left, right, start, out, stride);
        }
    }

    /// Same as [`Kernels::strip`], for pairs of bf16.
    fn strip_pairs(self, left: Left<'_, u32>, right: View<'_, u32>, start: Start<'_>, out: &mut [f32], stride: usize) {
        if left.rows() == 0 {
            return;
        }
        self.check_strip(left, &right, start, out, stride);
        #[allow(unsafe_code)]
        // SAFETY: the set was detected; `check_strip` is the kernel's contract.
        unsafe {
            (self.table().strip_pairs)(left, right, start, out, stride);
        }
    }

    /// Asserts the contract of every strip. Nothing here wraps: a kernel stays inside its slices, whatever its caller computed.
    pub(super) fn check_strip<T: Copy>(
        self,
        left: Left<'_, T>,
        right: &View<'_, T>,
        start: Start<'_>,
        out: &[f32],
        stride: usize,
    ) {
        let columns = right.columns;
        assert!(left.is_whole() && right.is_whole() && left.depth == right.rows && (1..=self.table().group).contains(&columns));
        assert!(extent([left.rows, columns], [stride, 1]).is_some_and(|end| end <= out.len()));
        assert!(!matches!(start, Start::Bias(bias) | Start::Residual(bias) if bias.len() < columns));
    }

    /// `out[c] = Σ_j rows[row, j] · columns[c, j]`, for columns in the order of [`Rows::columns`].
    ///
    /// # Panics
    /// If the shapes disagree.
    pub(crate) fn row_dots(self, rows: &Rows, row: usize, columns: &[f32], out: &mut [f32]) {
        let depth = rows.depth();
        match rows.values() {
            Values::Single(data) => {
                assert!(is_shape(columns.len(), [out.len(), depth]), "columns of a product");
                let row = &data[row * depth..(row + 1) * depth];
                compiled!(self.dots(row, columns, out));
            }
            Values::Pairs(data) => {
                let pairs = depth.div_ceil(2);
                assert!(is_shape(columns.len(), [out.len(), 2, pairs]), "columns of a product");
                let row = &data[row * pairs..(row + 1) * pairs];
                compiled!(self.pair_dots(row, columns, out));
            }
        }
    }
}
