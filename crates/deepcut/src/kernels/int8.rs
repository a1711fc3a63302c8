//! Products in int8; see [`super::quantized`].

use super::gemm::{TASK_ROWS, check_product};
use super::isa::Kernels;
use super::operands::{Left, Start};
use super::quantized::{QUAD, QuadColumns, QuadRows, Quantized, Rounding};
use std::cell::RefCell;

impl Kernels {
    /// [`Kernels::gemm`] in int8. The rows of `left` must be contiguous; each is rounded.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn gemm_quantized(self, left: Left<'_>, right: &Quantized, start: Start<'_>, out: &mut [f32]) {
        thread_local! {
            static ROUNDED: RefCell<(Vec<u32>, Vec<Rounding>)> = RefCell::default();
        }
        let (n, depth) = (right.columns(), right.depth().div_ceil(QUAD));
        assert!(left.depth == right.depth() && left.depth_stride == 1, "inner dimensions of a product");
        check_product(&left, n, start, out);
        if out.is_empty() {
            return;
        }
        ROUNDED.with_borrow_mut(|(quads, roundings)| {
            for (task, out) in out.chunks_mut(TASK_ROWS.saturating_mul(n)).enumerate() {
                let left = left.slice(task * TASK_ROWS, out.len() / n);
                quads.resize(left.rows * depth, 0);
                roundings.clear();
                roundings.extend((0..left.rows).map(|r| {
                    let row = &left.data[r * left.row_stride..][..left.depth];
                    self.quantize_row(row, &mut quads[r * depth..(r + 1) * depth])
                }));
                let quads = Left { data: &quads[..], rows: left.rows, depth, row_stride: depth, depth_stride: 1 };
                let left = QuadRows { quads, roundings };
                for column in (0..n).step_by(self.table().group) {
                    let count = self.table().group.min(n - column);
                    let quads = right.view().part(0, depth, column, count);
                    let right = QuadColumns { quads, scales: &right.scales[column..], sums: &right.sums[column..] };
                    self.strip_quads(left, right, start.at_column(column), &mut out[column..], n);
                }
            }
        });
    }

    /// Rounds a row to quads; values beyond its end are zero.
    pub(super) fn quantize_row(self, row: &[f32], quads: &mut [u32]) -> Rounding {
        assert_eq!(row.len().div_ceil(QUAD), quads.len(), "quads of a row");
        if row.is_empty() {
            return Rounding::default();
        }
        #[allow(unsafe_code)]
        // SAFETY: the set was detected; the assertion is the kernel's contract, as is that the row is not empty.
        unsafe {
            (self.table().quantize_row)(row, self.table().levels, quads)
        }
    }

    /// Same as [`Kernels::strip`], for quads of int8.
    fn strip_quads(self, left: QuadRows<'_>, right: QuadColumns<'_>, start: Start<'_>, out: &mut [f32], stride: usize) {
        if left.rows() == 0 {
            return;
        }
        self.check_strip(left.quads, &right.quads, start, out, stride);
        assert!(left.roundings.len() >= left.rows() && right.scales.len().min(right.sums.len()) >= right.quads.columns);
        #[allow(unsafe_code)]
        // SAFETY: the set was detected; `check_strip` and the assertion are the kernel's contract.
        unsafe {
            (self.table().strip_quads)(left, right, start, out, stride);
        }
    }
}
