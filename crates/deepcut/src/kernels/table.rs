//! The functions of one instruction set.

use super::compiled::Compiled;
use super::operands::{Depthwise, Left, Start, View};
use super::quantized::{QuadColumns, QuadRows, Rounding};

/// Rows of the largest task of any layer, and as many as are rounded at a time.
pub(super) const MOST_ROWS: usize = 112;

/// The functions of one instruction set, and what their callers must know about them.
///
/// # Safety
/// Every function may be called only where `detected` returns true, and only with slices that hold what its field's documentation says. The one
/// caller is [`super::isa::Isa`], which exists only where `detected` returned true, and whose methods assert the rest.
pub(super) struct Table {
    /// The name by which [`super::Isa::by_name`] finds the set.
    pub name: &'static str,
    /// Whether this processor has the instructions of every function below.
    pub detected: fn() -> bool,
    /// Columns whose sums a kernel keeps in registers at a time.
    pub group: usize,
    /// Rows that a kernel keeps in registers.
    pub row_step: usize,
    /// Rows of a task whose intermediate results are to stay in the second-level cache; processors with AVX-512 have a large one.
    pub most_rows: usize,
    /// Whether the processor multiplies bf16 itself.
    pub bf16: bool,
    /// Whether products in int8 are faster than those in f32.
    pub int8: bool,
    /// Largest integer that a row is rounded to for a product in int8.
    pub levels: u8,
    /// See [`super::Isa::gemm`]. `left` and `right` hold every element of their shapes, `right` at most `group` columns and as deep as `left`; `out`
    /// holds `left.rows` rows of that many columns, `stride` apart; a bias holds that many values.
    pub strip: unsafe fn(left: Left<'_>, right: View<'_, f32>, start: Start<'_>, out: &mut [f32], stride: usize),
    /// As `strip`, for pairs of bf16.
    pub strip_pairs: unsafe fn(left: Left<'_, u32>, right: View<'_, u32>, start: Start<'_>, out: &mut [f32], stride: usize),
    /// As `strip`, for quads of int8; there is a rounding for each row, and a scale and a sum for each column.
    pub strip_quads: unsafe fn(left: QuadRows<'_>, right: QuadColumns<'_>, start: Start<'_>, out: &mut [f32], stride: usize),
    /// Rounds one row to pairs of bf16, an odd last value paired with zero. If its values are neighbours, it holds `row.depth` of them, and `pairs` has
    /// half as many, rounded up.
    pub round_row: unsafe fn(row: Left<'_>, pairs: &mut [u32]),
    /// See [`super::Isa::quantize_row`]. `row` is not empty; `quads` holds a quarter as many quads as it has values, rounded up.
    pub quantize_row: unsafe fn(row: &[f32], levels: u8, quads: &mut [u32]) -> Rounding,
    /// See [`super::Isa::depthwise_row`]. `input` holds `kernel` rows of `width + kernel - 1` pixels, `out` one row of `width`, `weights`
    /// `kernel * kernel` rows and `bias` one row of `channels`; none of them is zero.
    pub depthwise_row: unsafe fn(shape: Depthwise<'_>, input: &[f32], out: &mut [f32]),
    /// See [`super::Isa::masked_sums`]. `columns` holds `out.len()` columns of `64 * row.len()` values.
    pub masked_sums: unsafe fn(row: &[u64], columns: &[f32], out: &mut [f32]),
    /// Functions that rely on nothing but the instructions.
    pub compiled: Compiled,
}
