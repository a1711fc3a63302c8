//! AVX-512F: 16 lanes, 32 registers.

use super::compiled::compile;
use super::operands::{Depthwise, Left, PANEL, Start, View};
use super::table::{MAX_ROWS, Table};
use super::{avx2, native, tiles};
use std::arch::x86_64::*;

/// See [`super::Kernels::gemm`]: up to two panels of columns, up to eight rows at a time.
///
/// # Safety
/// The processor has AVX-512F; `left` and `right` hold every element of their shapes, `right` at most 32 columns and as deep as
/// `left`; `out` holds `left.rows` rows of that many columns, `stride` apart; a bias holds that many values.
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn strip(left: Left<'_>, right: View<'_, f32>, start: Start<'_>, out: &mut [f32], stride: usize) {
    // SAFETY: the caller's contract, and as many panels as there are columns.
    unsafe {
        if right.columns > PANEL {
            rows::<2>(left, right, start, out, stride);
        } else {
            rows::<1>(left, right, start, out, stride);
        }
    }
}

/// # Safety
/// As [`strip`], with columns in exactly `P` panels.
#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
unsafe fn rows<const P: usize>(left: Left<'_>, right: View<'_, f32>, start: Start<'_>, out: &mut [f32], stride: usize) {
    tiles::in_blocks! { left, right, start, out, stride;
        8.. => block::<8, P>,
        4.. => block::<4, P>,
        2.. => block::<2, P>,
        _ => block::<1, P>,
    }
}

/// The first `R` rows, with `P R` sums in registers: `P` loads a step, and broadcasts that are operands of the products. Returns `R`.
///
/// # Safety
/// As [`rows`], with at least `R` rows.
#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
unsafe fn block<const R: usize, const P: usize>(
    left: Left<'_>,
    right: View<'_, f32>,
    start: Start<'_>,
    out: &mut [f32],
    stride: usize,
) -> usize {
    let last = last_mask::<P>(right.columns);
    // SAFETY: the caller's contract is that of `begin`.
    let mut sums = unsafe { begin::<R, P>(start, out, stride, last) };
    let (a, b) = (left.data.as_ptr(), right.data.as_ptr());
    for k in 0..left.depth {
        // SAFETY: k < depth, r < R <= rows and p < P panels, so both pointers stay inside what the caller vouches for; lanes beyond
        // the columns are not read.
        unsafe {
            let mut row = [_mm512_setzero_ps(); P];
            for (p, row) in row.iter_mut().enumerate() {
                *row = _mm512_maskz_loadu_ps(
                    if p + 1 == P { last } else { 0xffff },
                    b.add(k * right.row_stride + p * right.panel_stride),
                );
            }
            // The caller takes the matrix strip by strip, so the next panels come next. A prefetch reads nothing: its address may lie outside.
            for p in 0..P {
                _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(k * right.row_stride + (P + p) * right.panel_stride).cast());
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = _mm512_set1_ps(*a.add(r * left.row_stride + k * left.depth_stride));
                for (sum, b) in sums.iter_mut().zip(row) {
                    *sum = _mm512_fmadd_ps(a, b, *sum);
                }
            }
        }
    }
    // SAFETY: the caller's contract is that of `end`.
    unsafe { end(&sums, out, stride, last) };
    R
}

/// The first `count` lanes, or all of them.
pub(super) fn lanes(count: usize) -> __mmask16 {
    if count < PANEL { (1 << count) - 1 } else { 0xffff }
}

/// Lanes of the last of `P` panels that are columns.
pub(super) fn last_mask<const P: usize>(columns: usize) -> __mmask16 {
    0xffff >> (P * PANEL - columns)
}

/// Start values of the sums.
///
/// # Safety
/// The processor has AVX-512F; `out` holds `R` rows, `stride` apart, of `P` panels of which `last` are the lanes of the last one; a bias
/// holds as many values.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) unsafe fn begin<const R: usize, const P: usize>(
    start: Start<'_>,
    out: &[f32],
    stride: usize,
    last: __mmask16,
) -> [[__m512; P]; R] {
    let mut sums = [[_mm512_setzero_ps(); P]; R];
    for (r, sums) in sums.iter_mut().enumerate() {
        for (p, sum) in sums.iter_mut().enumerate() {
            let mask = if p + 1 == P { last } else { 0xffff };
            // SAFETY: R rows lie `stride` apart; lanes beyond the columns are not read.
            let before = || unsafe { _mm512_maskz_loadu_ps(mask, out.as_ptr().add(r * stride + p * PANEL)) };
            // SAFETY: a bias holds a value for each column.
            let bias = |bias: &[f32]| unsafe { _mm512_maskz_loadu_ps(mask, bias.as_ptr().add(p * PANEL)) };
            *sum = match start {
                Start::Zero => *sum,
                Start::Bias(b) => bias(b),
                Start::Residual(b) => _mm512_add_ps(bias(b), before()),
                Start::Accumulate => before(),
            };
        }
    }
    sums
}

/// Writes the sums.
///
/// # Safety
/// As [`begin`].
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) unsafe fn end<const R: usize, const P: usize>(
    sums: &[[__m512; P]; R],
    out: &mut [f32],
    stride: usize,
    last: __mmask16,
) {
    for (r, sums) in sums.iter().enumerate() {
        for (p, sum) in sums.iter().enumerate() {
            let mask = if p + 1 == P { last } else { 0xffff };
            // SAFETY: R rows lie `stride` apart; lanes beyond the columns are not written.
            unsafe { _mm512_mask_storeu_ps(out.as_mut_ptr().add(r * stride + p * PANEL), mask, *sum) };
        }
    }
}

/// See [`super::Kernels::depthwise_row`]: whole groups of sixteen channels, then the others.
///
/// # Safety
/// The processor has AVX-512F; `input` holds `kernel` rows of `width + kernel - 1` pixels, `out` one row of `width`, `weights`
/// `kernel * kernel` rows and `bias` one row of `channels`.
#[target_feature(enable = "avx512f")]
unsafe fn depthwise_row(shape: Depthwise<'_>, input: &[f32], out: &mut [f32]) {
    let done = tiles::in_runs! { shape, input, out, PANEL;
        12.. => depthwise_run::<12>,
        8.. => depthwise_run::<8>,
        4.. => depthwise_run::<4>,
        2.. => depthwise_run::<2>,
        _ => depthwise_run::<1>,
    };
    native::depthwise_channels(shape, input, out, done);
}

/// `P` pixels from `x`, sixteen channels from `channel`: each weight is loaded once for the whole run. Returns `P`.
///
/// # Safety
/// As [`depthwise_row`], with `x + P <= width` and `channel + 16 <= channels`.
#[target_feature(enable = "avx512f")]
#[inline]
unsafe fn depthwise_run<const P: usize>(shape: Depthwise<'_>, input: &[f32], out: &mut [f32], x: usize, channel: usize) -> usize {
    let Depthwise { weights, bias, kernel, channels, width } = shape;
    // SAFETY: pixel (i, x + j + p) of the input has i < kernel and x + j + p < width + kernel - 1; weight (i, j) and output
    // pixel x + p < width likewise lie inside their slices, and sixteen channels from `channel` inside a pixel.
    unsafe {
        let mut sums = [_mm512_loadu_ps(bias.as_ptr().add(channel)); P];
        for i in 0..kernel {
            let row = input.as_ptr().add((i * (width + kernel - 1) + x) * channels + channel);
            for j in 0..kernel {
                let weight = _mm512_loadu_ps(weights.as_ptr().add((i * kernel + j) * channels + channel));
                for (p, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm512_fmadd_ps(weight, _mm512_loadu_ps(row.add((j + p) * channels)), *sum);
                }
            }
        }
        for (p, sum) in sums.iter().enumerate() {
            _mm512_storeu_ps(out.as_mut_ptr().add((x + p) * channels + channel), *sum);
        }
    }
    P
}

/// See [`super::Kernels::masked_sums`]: the bits are the lanes' masks; four columns at a time share them.
///
/// # Safety
/// The processor has AVX-512F; `columns` holds `out.len()` columns of `64 * row.len()` values.
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn masked_sums(row: &[u64], columns: &[f32], out: &mut [f32]) {
    tiles::in_groups! { row, columns, out; masked_group }
}

/// # Safety
/// The processor has AVX-512F; `columns` holds at least `G` columns of `64 * row.len()` values.
#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
unsafe fn masked_group<const G: usize>(row: &[u64], columns: &[f32], out: &mut [f32]) {
    let stride = row.len() * 64;
    // Four sums a column, so that an addition does not wait for the one before.
    let mut sums = [[_mm512_setzero_ps(); 4]; G];
    for (w, word) in row.iter().enumerate() {
        for part in 0..4 {
            let mask = (word >> (part * 16)) as __mmask16;
            for (g, sums) in sums.iter_mut().enumerate() {
                // SAFETY: 64 w + 16 part + 16 <= stride, and g < G columns of that stride exist.
                let values = unsafe { _mm512_loadu_ps(columns.as_ptr().add(g * stride + w * 64 + part * 16)) };
                sums[part] = _mm512_mask_add_ps(sums[part], mask, sums[part], values);
            }
        }
    }
    for (sums, out) in sums.iter().zip(out) {
        *out = _mm512_reduce_add_ps(_mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3])));
    }
}

compile!(true, target_feature(enable = "avx512f,avx2,fma"));

pub(super) static TABLE: Table = Table {
    name: "avx512",
    detected: || (avx2::TABLE.detected)() && is_x86_feature_detected!("avx512f"),
    group: 2 * PANEL,
    most_rows: MAX_ROWS,
    strip,
    depthwise_row,
    masked_sums,
    compiled: COMPILED,
    ..native::TABLE
};
