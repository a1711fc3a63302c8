//! Products in int8; see [`super::quantized`].

use super::gemm::{TASK_ROWS, check_product};
use super::isa::{Kernels, compiled};
use super::operands::{Left, Start};
use super::quantized::{QUAD, QuadColumns, QuadRows, Quantized, QuantizedColumns, Rounding};
use super::shape::is_shape;
use std::cell::RefCell;

/// Quads of the depth that a product with bits takes at a time: two panels of them stay in the first-level cache.
const BITS_BLOCK: usize = 128;

impl Kernels {
    /// [`Kernels::gemm`] in int8. The rows of `left` must be contiguous; each is rounded.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn gemm_quantized<'a>(self, left: Left<'_>, right: impl Into<QuantizedColumns<'a>>, start: Start<'_>, out: &mut [f32]) {
        let right = right.into();
        assert!(left.depth == right.matrix.depth() && left.depth_stride == 1, "inner dimensions of a product");
        check_product(&left, right.columns(), start, out);
        let depth = right.matrix.depth().div_ceil(QUAD);
        self.for_each_task(right, depth, start, out, |task, rows, quads, roundings| {
            let left = left.slice(task * TASK_ROWS, rows);
            roundings.extend((0..rows).map(|r| {
                let row = &left.data[r * left.row_stride..][..left.depth];
                self.quantize_row(row, &mut quads[r * depth..(r + 1) * depth])
            }));
        });
    }

    /// [`Kernels::bit_product`] in int8: `out[r] = Σ_{j: bit j of row r is set} right[j]`, exact but for the rounding of `right`, `[n, columns]`.
    ///
    /// # Panics
    /// If the shapes disagree.
    pub fn bit_product_quantized(self, bits: &[u64], words: usize, right: &Quantized, out: &mut [f32]) {
        let (n, columns) = (right.depth(), right.columns());
        assert!(n.div_ceil(64) <= words && columns > 0, "words of a product with bits");
        let rows = out.len() / columns;
        assert!(is_shape(out.len(), [rows, columns]) && is_shape(bits.len(), [rows, words]), "rows of a product with bits");
        self.for_each_task(right.into(), BITS_BLOCK, Start::Zero, out, |task, rows, quads, roundings| {
            let bits = bits[task * TASK_ROWS * words..].chunks_exact(words).take(rows);
            bits.zip(quads.chunks_exact_mut(n.div_ceil(QUAD))).for_each(|(row, quads)| compiled!(self.expand_quads(row, quads)));
            roundings.resize(rows, Rounding { step: 1.0, least: 0.0 });
        });
    }

    /// Computes `out` some rows at a time, `block` quads of the depth at a time: all of it, unless every rounding's `least` is 0. `round` writes the rows
    /// of this task's left side, so many, and the rounding of each.
    fn for_each_task(
        self,
        right: QuantizedColumns<'_>,
        block: usize,
        start: Start<'_>,
        out: &mut [f32],
        round: impl Fn(usize, usize, &mut [u32], &mut Vec<Rounding>),
    ) {
        thread_local! {
            static ROUNDED: RefCell<(Vec<u32>, Vec<Rounding>)> = RefCell::default();
        }
        let (n, depth) = (right.columns(), right.matrix.depth().div_ceil(QUAD));
        if out.is_empty() {
            return;
        }
        ROUNDED.with_borrow_mut(|(quads, roundings)| {
            for (task, out) in out.chunks_mut(TASK_ROWS.saturating_mul(n)).enumerate() {
                let rows = out.len() / n;
                quads.resize(rows * depth, 0);
                roundings.clear();
                round(task, rows, quads, roundings);
                let left = Left { data: &quads[..], rows, depth, row_stride: depth, depth_stride: 1 };
                for k in (0..depth.max(1)).step_by(block.max(1)) {
                    let block = block.min(depth - k);
                    let left = QuadRows { quads: left.columns(k, block), roundings };
                    let start = if k == 0 { start } else { Start::Accumulate };
                    for column in (0..n).step_by(self.table().group) {
                        let count = self.table().group.min(n - column);
                        let at = right.first + column;
                        let quads = right.matrix.view().part(k, block, at, count);
                        let right = QuadColumns { quads, scales: &right.matrix.scales[at..], sums: &right.matrix.sums[at..] };
                        self.strip_quads(left, right, start.at_column(column), &mut out[column..], n);
                    }
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
