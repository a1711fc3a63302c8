//! WebAssembly with 128-bit vectors: 4 lanes; with relaxed instructions (fused multiply-adds, dot products of bytes) if they are compiled for.
//!
//! A module with an instruction that the engine does not know is refused whole, so there is nothing to detect at run time: whoever loads the module
//! chooses between two builds.

use super::operands::{Depthwise, Left, PANEL, Start, View};
use super::quantized::{QUAD, QuadColumns, QuadRows, Rounding};
use super::table::Table;
use super::{native, tiles};
use std::arch::wasm32::*;

const LANES: usize = 4;
/// Vectors in a panel.
const VECTORS: usize = PANEL / LANES;
const RELAXED: bool = cfg!(target_feature = "relaxed-simd");
/// Largest integer of the left side: the relaxed dot product takes seven bits.
const LEVELS: u8 = if RELAXED { 127 } else { u8::MAX };

/// `sum + a b`, with one rounding or two.
#[inline(always)]
fn multiply_add(a: v128, b: v128, sum: v128) -> v128 {
    #[cfg(target_feature = "relaxed-simd")]
    return f32x4_relaxed_madd(a, b, sum);
    #[cfg(not(target_feature = "relaxed-simd"))]
    f32x4_add(sum, f32x4_mul(a, b))
}

/// See [`super::Kernels::gemm`]: one panel of columns, up to two rows at a time.
///
/// # Safety
/// `left` and `right` hold every element of their shapes, `right` at most 16 columns and as deep as `left`; `out` holds `left.rows` rows of that many
/// columns, `stride` apart; a bias holds that many values.
unsafe fn strip(left: Left<'_>, right: View<'_, f32>, start: Start<'_>, out: &mut [f32], stride: usize) {
    tiles::in_blocks! { left, right, start, out, stride;
        2.. => block::<2>,
        _ => block::<1>,
    }
}

/// The first `R` rows. Returns `R`.
///
/// # Safety
/// As [`strip`], with at least `R` rows.
#[inline(always)]
unsafe fn block<const R: usize>(left: Left<'_>, right: View<'_, f32>, start: Start<'_>, out: &mut [f32], stride: usize) -> usize {
    // SAFETY: the caller's contract, and as many vectors as there are columns for.
    unsafe {
        match right.columns.div_ceil(LANES) {
            1 => vectors::<R, 1>(left, right, start, out, stride),
            2 => vectors::<R, 2>(left, right, start, out, stride),
            3 => vectors::<R, 3>(left, right, start, out, stride),
            _ => vectors::<R, VECTORS>(left, right, start, out, stride),
        }
    }
    R
}

/// `R` rows of `V` vectors, all their sums in registers: `V` loads and `R` broadcasts a step.
///
/// # Safety
/// As [`block`], with `V` vectors of columns.
#[inline(always)]
unsafe fn vectors<const R: usize, const V: usize>(
    left: Left<'_>,
    right: View<'_, f32>,
    start: Start<'_>,
    out: &mut [f32],
    stride: usize,
) {
    let tail = right.columns % LANES;
    // SAFETY: the caller's contract is that of `begin`, `products` and `end`.
    unsafe {
        let mut sums = begin::<R, V>(start, out, stride, tail);
        if tail == 0 {
            products::<R, V, false>(left, right, &mut sums);
        } else {
            products::<R, V, true>(left, right, &mut sums);
        }
        end(&sums, out, stride, tail);
    }
}

/// # Safety
/// As [`vectors`]; the last vector is not whole if `SOME`.
#[inline(always)]
unsafe fn products<const R: usize, const V: usize, const SOME: bool>(
    left: Left<'_>,
    right: View<'_, f32>,
    sums: &mut [[v128; V]; R],
) {
    let tail = if SOME { right.columns % LANES } else { 0 };
    let (a, b) = (left.data.as_ptr(), right.data.as_ptr());
    for k in 0..left.depth {
        // SAFETY: k < depth and r < R <= rows, so both pointers stay inside what the caller vouches for.
        unsafe {
            let row = b.add(k * right.row_stride);
            let b: [v128; V] = std::array::from_fn(|v| load(row.add(v * LANES), if v + 1 == V { tail } else { 0 }));
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = v128_load32_splat(a.add(r * left.row_stride + k * left.depth_stride).cast());
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = multiply_add(a, b, *sum);
                }
            }
        }
    }
}

/// Start values of the sums. The last vector has `tail` columns, or four if that is 0.
///
/// # Safety
/// `out` holds `R` rows, `stride` apart, of the columns; a bias holds as many values.
#[inline(always)]
unsafe fn begin<const R: usize, const V: usize>(start: Start<'_>, out: &[f32], stride: usize, tail: usize) -> [[v128; V]; R] {
    let row = |from: *const f32| -> [v128; V] {
        // SAFETY: every caller's pointer begins a row of the columns.
        std::array::from_fn(|v| unsafe { load(from.add(v * LANES), if v + 1 == V { tail } else { 0 }) })
    };
    std::array::from_fn(|r| {
        // SAFETY: R rows lie `stride` apart.
        let before = || row(unsafe { out.as_ptr().add(r * stride) });
        match start {
            Start::Zero => [f32x4_splat(0.0); V],
            Start::Bias(bias) => row(bias.as_ptr()),
            Start::Residual(bias) => {
                let (b, x) = (row(bias.as_ptr()), before());
                std::array::from_fn(|v| f32x4_add(b[v], x[v]))
            }
            Start::Accumulate => before(),
        }
    })
}

/// Writes the sums.
///
/// # Safety
/// `out` holds `R` rows, `stride` apart, of the columns: `V` vectors, the last of which has `tail`, or four if that is 0.
#[inline(always)]
unsafe fn end<const R: usize, const V: usize>(sums: &[[v128; V]; R], out: &mut [f32], stride: usize, tail: usize) {
    for (r, sums) in sums.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate() {
            // SAFETY: R rows lie `stride` apart; the last vector writes no more columns than there are.
            unsafe { store(out.as_mut_ptr().add(r * stride + v * LANES), if v + 1 == V { tail } else { 0 }, *sum) };
        }
    }
}

/// Reads the first `count` lanes, or all if that is 0; the others are zero.
///
/// # Safety
/// `from` begins as many values.
#[inline(always)]
unsafe fn load(from: *const f32, count: usize) -> v128 {
    // SAFETY: each branch reads `count` values.
    unsafe {
        match count {
            0 => v128_load(from.cast()),
            1 => v128_load32_zero(from.cast()),
            2 => v128_load64_zero(from.cast()),
            _ => v128_load32_lane::<2>(v128_load64_zero(from.cast()), from.add(2).cast()),
        }
    }
}

/// Writes the first `count` lanes, or all if that is 0.
///
/// # Safety
/// `to` begins as many values.
#[inline(always)]
unsafe fn store(to: *mut f32, count: usize, vector: v128) {
    // SAFETY: each branch writes `count` values.
    unsafe {
        match count {
            0 => v128_store(to.cast(), vector),
            1 => v128_store32_lane::<0>(vector, to.cast()),
            2 => v128_store64_lane::<0>(vector, to.cast()),
            _ => {
                v128_store64_lane::<0>(vector, to.cast());
                v128_store32_lane::<2>(vector, to.add(2).cast());
            }
        }
    }
}

/// See [`super::Kernels::gemm_quantized`]: one panel of columns, up to two rows at a time.
///
/// # Safety
/// `left` and `right` hold every quad of their shapes, `right` at most 16 columns and as deep as `left`; there is a rounding for each row and a scale
/// and a sum for each column; `out` holds `left.rows` rows of that many columns, `stride` apart; a bias holds that many values.
unsafe fn strip_quads(left: QuadRows<'_>, right: QuadColumns<'_>, start: Start<'_>, out: &mut [f32], stride: usize) {
    tiles::in_blocks! { left, right, start, out, stride;
        2.. => block_quads::<2>,
        _ => block_quads::<1>,
    }
}

/// The first `R` rows. Returns `R`.
///
/// # Safety
/// As [`strip_quads`], with at least `R` rows.
#[inline(always)]
unsafe fn block_quads<const R: usize>(
    left: QuadRows<'_>,
    right: QuadColumns<'_>,
    start: Start<'_>,
    out: &mut [f32],
    stride: usize,
) -> usize {
    /// Vectors that are summed in one pass: without a dot product of bytes, the sums of a vector take two registers.
    const PASS: usize = if RELAXED { VECTORS } else { 2 };
    let columns = right.quads.columns;
    for first in (0..columns).step_by(PASS * LANES) {
        // SAFETY: the caller's contract, for the columns from `first` on, and as many vectors as there are columns for.
        unsafe {
            match (columns - first).div_ceil(LANES).min(PASS) {
                1 => vectors_quads::<R, 1>(left, right, first, start, out, stride),
                2 => vectors_quads::<R, 2>(left, right, first, start, out, stride),
                3 => vectors_quads::<R, 3>(left, right, first, start, out, stride),
                _ => vectors_quads::<R, VECTORS>(left, right, first, start, out, stride),
            }
        }
    }
    R
}

/// # Safety
/// As [`block_quads`], with `V` vectors of columns from `first` on.
#[inline(always)]
unsafe fn vectors_quads<const R: usize, const V: usize>(
    left: QuadRows<'_>,
    right: QuadColumns<'_>,
    first: usize,
    start: Start<'_>,
    out: &mut [f32],
    stride: usize,
) {
    let QuadRows { quads: left, roundings } = left;
    let QuadColumns { quads: right, scales, sums: columns } = right;
    let columns_here = (right.columns - first).min(V * LANES);
    let tail = columns_here % LANES;
    let last = |v: usize| if v + 1 == V { tail } else { 0 };
    let mut sums = [[Dots::zero(); V]; R];
    let (a, b) = (left.data.as_ptr(), right.data.as_ptr());
    for k in 0..left.depth {
        // SAFETY: k < depth and r < R <= rows, so both pointers stay inside what the caller vouches for.
        unsafe {
            let row = b.add(k * right.row_stride + first).cast::<f32>();
            let b: [Weights; V] = std::array::from_fn(|v| Weights::of(load(row.add(v * LANES), last(v))));
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = Bytes::splat(*a.add(r * left.row_stride + k));
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = sum.add(a, b);
                }
            }
        }
    }
    // SAFETY: the caller's contract is that of `begin` and `end`, and there are scales and sums for each column.
    unsafe {
        let out = &mut out[first..];
        let mut values = begin::<R, V>(start.at_column(first), out, stride, tail);
        for ((values, sums), rounding) in values.iter_mut().zip(&sums).zip(roundings) {
            for v in 0..V {
                let at = first + v * LANES;
                let (scale, column) = (load(scales.as_ptr().add(at), last(v)), load(columns.as_ptr().add(at), last(v)));
                let least = f32x4_mul(f32x4_splat(rounding.least), column);
                let product = f32x4_add(f32x4_mul(f32x4_splat(rounding.step), f32x4_convert_i32x4(sums[v].total())), least);
                values[v] = f32x4_add(values[v], f32x4_mul(scale, product));
            }
        }
        end(&values, out, stride, tail);
    }
}

/// A quad of the left side, in each place that a product needs it.
#[derive(Clone, Copy)]
struct Bytes(v128);

/// Quads of four columns.
#[derive(Clone, Copy)]
struct Weights {
    #[cfg(target_feature = "relaxed-simd")]
    quads: v128,
    /// The first two columns and the last two, widened to 16 bits.
    #[cfg(not(target_feature = "relaxed-simd"))]
    wide: [v128; 2],
}

/// Sums of products, for four columns.
#[derive(Clone, Copy)]
struct Dots {
    #[cfg(target_feature = "relaxed-simd")]
    sums: v128,
    /// Two sums for each column.
    #[cfg(not(target_feature = "relaxed-simd"))]
    sums: [v128; 2],
}

#[cfg(target_feature = "relaxed-simd")]
impl Bytes {
    #[inline(always)]
    fn splat(quad: u32) -> Self {
        Self(u32x4_splat(quad))
    }
}

#[cfg(target_feature = "relaxed-simd")]
impl Weights {
    #[inline(always)]
    fn of(quads: v128) -> Self {
        Self { quads }
    }
}

#[cfg(target_feature = "relaxed-simd")]
impl Dots {
    #[inline(always)]
    fn zero() -> Self {
        Self { sums: i32x4_splat(0) }
    }

    #[inline(always)]
    fn add(self, left: Bytes, right: Weights) -> Self {
        Self { sums: i32x4_relaxed_dot_i8x16_i7x16_add(right.quads, left.0, self.sums) }
    }

    #[inline(always)]
    fn total(self) -> v128 {
        self.sums
    }
}

#[cfg(not(target_feature = "relaxed-simd"))]
impl Bytes {
    #[inline(always)]
    fn splat(quad: u32) -> Self {
        Self(u16x8_extend_low_u8x16(u32x4_splat(quad)))
    }
}

#[cfg(not(target_feature = "relaxed-simd"))]
impl Weights {
    #[inline(always)]
    fn of(quads: v128) -> Self {
        Self { wide: [i16x8_extend_low_i8x16(quads), i16x8_extend_high_i8x16(quads)] }
    }
}

#[cfg(not(target_feature = "relaxed-simd"))]
impl Dots {
    #[inline(always)]
    fn zero() -> Self {
        Self { sums: [i32x4_splat(0); 2] }
    }

    #[inline(always)]
    fn add(self, left: Bytes, right: Weights) -> Self {
        Self { sums: std::array::from_fn(|i| i32x4_add(self.sums[i], i32x4_dot_i16x8(left.0, right.wide[i]))) }
    }

    #[inline(always)]
    fn total(self) -> v128 {
        let [a, b] = self.sums;
        i32x4_add(i32x4_shuffle::<0, 2, 4, 6>(a, b), i32x4_shuffle::<1, 3, 5, 7>(a, b))
    }
}

/// See [`super::Kernels::quantize_row`].
///
/// # Safety
/// `quads` holds a quarter as many quads as `row` has values, rounded up.
unsafe fn quantize_row(row: &[f32], levels: u8, quads: &mut [u32]) -> Rounding {
    let (fours, rest) = row.as_chunks::<LANES>();
    let mut ends = [f32x4_splat(f32::INFINITY), f32x4_splat(f32::NEG_INFINITY)];
    for four in fours {
        let values = f32x4(four[0], four[1], four[2], four[3]);
        ends = [f32x4_pmin(ends[0], values), f32x4_pmax(ends[1], values)];
    }
    let lanes = |v: v128| {
        [f32x4_extract_lane::<0>(v), f32x4_extract_lane::<1>(v), f32x4_extract_lane::<2>(v), f32x4_extract_lane::<3>(v)]
    };
    let least = lanes(ends[0]).iter().chain(rest).fold(f32::INFINITY, |m, x| m.min(*x));
    let largest = lanes(ends[1]).iter().chain(rest).fold(f32::NEG_INFINITY, |m, x| m.max(*x));
    let rounding = Rounding::between(least, largest, levels);
    let (offset, inverse) = (f32x4_splat(least), f32x4_splat(rounding.inverse()));
    let integers = |four: &[f32; LANES]| {
        let values = f32x4(four[0], four[1], four[2], four[3]);
        i32x4_trunc_sat_f32x4(f32x4_nearest(f32x4_mul(f32x4_sub(values, offset), inverse)))
    };
    let (whole, rest) = row.as_chunks::<{ 4 * LANES }>();
    for (values, quads) in whole.iter().zip(quads.chunks_exact_mut(LANES)) {
        let fours = values.as_chunks().0;
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| integers(&fours[i]));
        let bytes = u8x16_narrow_i16x8(i16x8_narrow_i32x4(a, b), i16x8_narrow_i32x4(c, d));
        // SAFETY: four quads are written.
        unsafe { v128_store(quads.as_mut_ptr().cast(), bytes) };
    }
    native::round_quads(rest, rounding, &mut quads[whole.len() * 4 * LANES / QUAD..]);
    rounding
}

/// See [`super::Kernels::depthwise_row`]: whole groups of four channels, then the others.
///
/// # Safety
/// `input` holds `kernel` rows of `width + kernel - 1` pixels, `out` one row of `width`, `weights` `kernel * kernel` rows and `bias` one row of
/// `channels`.
unsafe fn depthwise_row(shape: Depthwise<'_>, input: &[f32], out: &mut [f32]) {
    let done = tiles::in_runs! { shape, input, out, LANES;
        8.. => depthwise_run::<8>,
        2.. => depthwise_run::<2>,
        _ => depthwise_run::<1>,
    };
    native::depthwise_channels(shape, input, out, done);
}

/// `P` pixels from `x`, four channels from `channel`: each weight is loaded once for the whole run. Returns `P`.
///
/// # Safety
/// As [`depthwise_row`], with `x + P <= width` and `channel + 4 <= channels`.
#[inline(always)]
unsafe fn depthwise_run<const P: usize>(shape: Depthwise<'_>, input: &[f32], out: &mut [f32], x: usize, channel: usize) -> usize {
    let Depthwise { weights, bias, kernel, channels, width } = shape;
    // SAFETY: pixel (i, x + j + p) of the input has i < kernel and x + j + p < width + kernel - 1; weight (i, j) and output
    // pixel x + p < width likewise lie inside their slices, and four channels from `channel` inside a pixel.
    unsafe {
        let mut sums = [v128_load(bias.as_ptr().add(channel).cast()); P];
        for i in 0..kernel {
            let row = input.as_ptr().add((i * (width + kernel - 1) + x) * channels + channel);
            for j in 0..kernel {
                let weight = v128_load(weights.as_ptr().add((i * kernel + j) * channels + channel).cast());
                for (p, sum) in sums.iter_mut().enumerate() {
                    *sum = multiply_add(weight, v128_load(row.add((j + p) * channels).cast()), *sum);
                }
            }
        }
        for (p, sum) in sums.iter().enumerate() {
            v128_store(out.as_mut_ptr().add((x + p) * channels + channel).cast(), *sum);
        }
    }
    P
}

/// See [`super::Kernels::masked_sums`]: four columns at a time share the expansion of the bits into lane masks.
///
/// # Safety
/// `columns` holds `out.len()` columns of `64 * row.len()` values.
unsafe fn masked_sums(row: &[u64], columns: &[f32], out: &mut [f32]) {
    tiles::in_groups! { row, columns, out; masked_group }
}

/// # Safety
/// `columns` holds at least `G` columns of `64 * row.len()` values.
#[inline(always)]
unsafe fn masked_group<const G: usize>(row: &[u64], columns: &[f32], out: &mut [f32]) {
    let bits = [u32x4(1, 2, 4, 8), u32x4(16, 32, 64, 128)];
    let stride = row.len() * 64;
    let mut sums = [[f32x4_splat(0.0); 2]; G];
    for (w, word) in row.iter().enumerate() {
        for (b, byte) in word.to_le_bytes().into_iter().enumerate() {
            let byte = u32x4_splat(u32::from(byte));
            let masks = bits.map(|bits| i32x4_eq(v128_and(byte, bits), bits));
            for (g, sums) in sums.iter_mut().enumerate() {
                for (half, (sum, mask)) in sums.iter_mut().zip(masks).enumerate() {
                    // SAFETY: 64 w + 8 b + 8 <= stride, and g < G columns of that stride exist.
                    let values = unsafe { v128_load(columns.as_ptr().add(g * stride + w * 64 + b * 8 + half * LANES).cast()) };
                    *sum = f32x4_add(*sum, v128_and(mask, values));
                }
            }
        }
    }
    for (sum, out) in sums.iter().zip(out) {
        let sum = f32x4_add(sum[0], sum[1]);
        let [a, b, c, d] = [
            f32x4_extract_lane::<0>(sum),
            f32x4_extract_lane::<1>(sum),
            f32x4_extract_lane::<2>(sum),
            f32x4_extract_lane::<3>(sum),
        ];
        *out = (a + b) + (c + d);
    }
}

/// Functions without an intrinsic are those of `native.rs`: the whole module is compiled with vectors.
pub(super) static TABLE: Table = Table {
    name: if RELAXED { "relaxed_simd" } else { "simd128" },
    detected: || true,
    row_step: 6,
    int8: true,
    levels: LEVELS,
    strip,
    strip_quads,
    quantize_row,
    depthwise_row,
    masked_sums,
    ..native::TABLE
};
