//! The functions of one instruction set.

use super::compiled::Compiled;
use super::operands::{Depthwise, Left, Start, View};
use super::quantized::{QuadColumns, QuadRows, Rounding};

/// Rows of the largest task of any layer; also the rows that are rounded together.
pub(super) const MAX_ROWS: usize = 112;

/// The functions of one instruction set, and the facts that their callers need.
///
/// # Safety
/// A function may be called only if `detected` returns true, and only with arguments that meet the contract of its field. The only caller is
/// [`super::isa::Kernels`]: it exists only if `detected` returned true, and its methods assert the contracts.
pub(super) struct Table {
    /// The name by which [`super::Kernels::by_name`] finds the set.
    pub name: &'static str,
    /// Whether this processor has the instructions of every function below.
    pub detected: fn() -> bool,
    /// Columns whose sums a kernel keeps in registers.
    pub group: usize,
    /// Rows whose sums a kernel keeps in registers.
    pub row_step: usize,
    /// Most rows of a task: its intermediate results stay in the second-level cache, which is large on processors with AVX-512.
    pub most_rows: usize,
    /// Whether the set has instructions for products of bf16.
    pub bf16: bool,
    /// Whether the set has a kernel of its own for products in int8.
    pub int8: bool,
    /// Largest integer of the left side of a product in int8.
    pub levels: u8,
    /// See [`super::Kernels::gemm`]. Contract: `left` and `right` hold every element of their shapes; `right` is as deep as `left` and has 1 to `group`
    /// columns; `out` holds `left.rows` rows of that many columns, `stride` apart; a bias holds that many values.
    pub strip: unsafe fn(left: Left<'_>, right: View<'_, f32>, start: Start<'_>, out: &mut [f32], stride: usize),
    /// Same as `strip`, for pairs of bf16.
    pub strip_pairs: unsafe fn(left: Left<'_, u32>, right: View<'_, u32>, start: Start<'_>, out: &mut [f32], stride: usize),
    /// Same as `strip`, for quads of int8. Contract: also a rounding for each row, and a scale and a sum for each column.
    pub strip_quads: unsafe fn(left: QuadRows<'_>, right: QuadColumns<'_>, start: Start<'_>, out: &mut [f32], stride: usize),
    /// See [`super::Kernels::round_row`]. Contract: if the values of the row are contiguous, there are `row.depth` of them, and `pairs` has half as many,
    /// rounded up.
    pub round_row: unsafe fn(row: Left<'_>, pairs: &mut [u32]),
    /// See [`super::Kernels::quantize_row`]. Contract: `row` is not empty, and `quads` holds a quarter as many quads as it has values, rounded up.
    pub quantize_row: unsafe fn(row: &[f32], levels: u8, quads: &mut [u32]) -> Rounding,
    /// See [`super::Kernels::depthwise_row`]. Contract: `input` holds `kernel` rows of `width + kernel - 1` pixels, `out` one row of `width`, `weights`
    /// `kernel * kernel` rows and `bias` one row of `channels`; `kernel`, `width` and `channels` are not zero.
    pub depthwise_row: unsafe fn(shape: Depthwise<'_>, input: &[f32], out: &mut [f32]),
    /// See [`super::Kernels::masked_sums`]. Contract: `columns` holds `out.len()` columns of `64 * row.len()` values.
    pub masked_sums: unsafe fn(row: &[u64], columns: &[f32], out: &mut [f32]),
    /// Functions without a contract on their arguments.
    pub compiled: Compiled,
}
