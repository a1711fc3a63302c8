//! AVX512-BF16: products of bf16, two to a lane, summed in f32.

use super::avx512::{begin, end, lanes, last_mask};
use super::compiled::Compiled;
use super::operands::{Left, PANEL, SoftmaxRow, Start, View};
use super::table::Table;
use super::{avx512_vnni, native, tiles};
use std::arch::x86_64::*;

/// See [`super::Kernels::gemm`]: up to two panels of columns, up to eight rows at a time.
///
/// # Safety
/// The processor has AVX-512F and AVX512-BF16; `left` and `right` hold every pair of their shapes, `right` at most 32 columns and as deep as
/// `left`; `out` holds `left.rows` rows of that many columns, `stride` apart; a bias holds that many values.
#[target_feature(enable = "avx512f,avx512bf16")]
unsafe fn strip(left: Left<'_, u32>, right: View<'_, u32>, start: Start<'_>, out: &mut [f32], stride: usize) {
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
#[target_feature(enable = "avx512f,avx512bf16")]
#[inline]
unsafe fn rows<const P: usize>(left: Left<'_, u32>, right: View<'_, u32>, start: Start<'_>, out: &mut [f32], stride: usize) {
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
#[target_feature(enable = "avx512f,avx512bf16")]
#[inline]
unsafe fn block<const R: usize, const P: usize>(
    left: Left<'_, u32>,
    right: View<'_, u32>,
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
            let mut row = [_mm512_setzero_si512(); P];
            for (p, row) in row.iter_mut().enumerate() {
                let mask = if p + 1 == P { last } else { 0xffff };
                *row = _mm512_maskz_loadu_epi32(mask, b.add(k * right.row_stride + p * right.panel_stride).cast());
            }
            // The caller takes the matrix strip by strip, so the next panels come next. A prefetch reads nothing: its address may lie outside.
            for p in 0..P {
                _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(k * right.row_stride + (P + p) * right.panel_stride).cast());
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = _mm512_set1_epi32(*a.add(r * left.row_stride + k * left.depth_stride) as i32);
                for (sum, b) in sums.iter_mut().zip(row) {
                    *sum = _mm512_dpbf16_ps(*sum, pairs(a), pairs(b));
                }
            }
        }
    }
    // SAFETY: the caller's contract is that of `end`.
    unsafe { end(&sums, out, stride, last) };
    R
}

/// The same bits as pairs of bf16.
fn pairs(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes of which any value is valid.
    unsafe { std::mem::transmute(bits) }
}

/// `2ˣ` for finite x up to 0; 0 if that is too small for f32: `2ⁿ · p(r)`, `x = n + r`. The relative error of the cubic p is 7.5e-5, small against the
/// rounding to bf16 that follows.
#[target_feature(enable = "avx512f")]
#[inline]
fn exp2(x: __m512) -> __m512 {
    let n = _mm512_roundscale_ps::<_MM_FROUND_TO_NEAREST_INT>(x);
    let r = _mm512_sub_ps(x, n);
    let mut p = _mm512_set1_ps(0.055_171_68);
    for c in [0.242_611_17, 0.693_260_97, 0.999_928_06] {
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
    }
    _mm512_scalef_ps(p, n)
}

/// See [`super::Kernels::softmax_step_pairs`]. All maxima come first: the exponentials of a row need not wait for its own.
#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl")]
fn softmax_step_pairs(scores: &mut [f32], scale: f32, state: &mut [SoftmaxRow], shares: &mut [u32]) {
    let width = scores.len() / state.len().max(1);
    if width == 0 {
        return;
    }
    let scale = scale * std::f32::consts::LOG2_E;
    for (row, state) in scores.chunks_exact(width).zip(&mut *state) {
        let before = state.largest;
        state.largest = before.max(largest(row));
        // Before the first block this is 2^−∞, but `exp2` takes finite values only.
        state.shrink = _mm512_cvtss_f32(exp2(_mm512_set1_ps(((before - state.largest) * scale).max(-1000.0))));
    }
    for ((row, state), shares) in scores.chunks_exact(width).zip(state).zip(shares.chunks_exact_mut(width.div_ceil(2))) {
        let line = [_mm512_set1_ps(scale), _mm512_set1_ps(-state.largest * scale)];
        let mut sums = [_mm512_setzero_ps(); 2];
        let (whole, rest) = row.as_chunks::<{ 2 * PANEL }>();
        for (values, pairs) in whole.iter().zip(shares.chunks_mut(PANEL)) {
            // SAFETY: a chunk has 32 values.
            unsafe { powers(values, [0xffff; 2], line, &mut sums, pairs) };
        }
        if !rest.is_empty() {
            let masks = [0, PANEL].map(|first| lanes(rest.len().saturating_sub(first)));
            // SAFETY: the masks select the values that are there.
            unsafe { powers(rest, masks, line, &mut sums, &mut shares[whole.len() * PANEL..]) };
        }
        state.sum = state.sum.mul_add(state.shrink, _mm512_reduce_add_ps(_mm512_add_ps(sums[0], sums[1])));
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn largest(row: &[f32]) -> f32 {
    let none = _mm512_set1_ps(f32::NEG_INFINITY);
    let mut largest = [none; 2];
    let (whole, rest) = row.as_chunks::<PANEL>();
    for (i, values) in whole.iter().enumerate() {
        // SAFETY: a chunk has 16 values.
        let values = unsafe { _mm512_loadu_ps(values.as_ptr()) };
        largest[i % 2] = _mm512_max_ps(values, largest[i % 2]);
    }
    // SAFETY: lanes beyond the values are not read.
    let rest = unsafe { _mm512_mask_loadu_ps(none, lanes(rest.len()), rest.as_ptr()) };
    _mm512_reduce_max_ps(_mm512_max_ps(_mm512_max_ps(largest[0], largest[1]), rest))
}

/// Up to 32 values `x` become `2^(line[0] x + line[1])`, which are added to `sums` and written in pairs.
///
/// # Safety
/// The processor has AVX-512F and AVX512-BF16; `masks` have a bit for each of the values, those of 16 and more in the second.
#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl")]
#[inline]
unsafe fn powers(values: &[f32], masks: [__mmask16; 2], line: [__m512; 2], sums: &mut [__m512; 2], pairs: &mut [u32]) {
    let mut halves = [_mm512_setzero_ps(); 2];
    for (h, (half, sum)) in halves.iter_mut().zip(sums).enumerate() {
        // SAFETY: lanes beyond the values are not read.
        let values = unsafe { _mm512_maskz_loadu_ps(masks[h], values.as_ptr().wrapping_add(h * PANEL)) };
        *half = _mm512_maskz_mov_ps(masks[h], exp2(_mm512_fmadd_ps(values, line[0], line[1])));
        *sum = _mm512_add_ps(*sum, *half);
    }
    // SAFETY: both are 64 bytes of which any value is valid; no pair beyond the slice is written.
    unsafe {
        let bits: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(halves[1], halves[0]));
        _mm512_mask_storeu_epi32(pairs.as_mut_ptr().cast(), lanes(pairs.len()), bits);
    }
}

/// Rounds a row to pairs; if the depth is odd, the last pair ends with zero.
///
/// # Safety
/// The processor has AVX-512F and AVX512-BF16. If the values of the row are contiguous, there are `row.depth` of them, and `pairs`
/// has half as many, rounded up.
#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl")]
unsafe fn round_row(row: Left<'_>, pairs: &mut [u32]) {
    if row.depth_stride != 1 {
        return native::round_row(row, pairs);
    }
    let to = pairs.as_mut_ptr();
    for (i, values) in row.data[..row.depth].chunks(PANEL).enumerate() {
        let mask: __mmask16 = 0xffff >> (PANEL - values.len());
        // SAFETY: lanes beyond the values are read as zero; of the eight pairs only those that hold a value are written.
        unsafe {
            let rounded: __m256bh = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, values.as_ptr()));
            let bits: __m256i = std::mem::transmute(rounded);
            let lanes: __mmask8 = 0xff >> (8 - values.len().div_ceil(2));
            _mm256_mask_storeu_epi32(to.add(i * 8).cast(), lanes, bits);
        }
    }
}

pub(super) static TABLE: Table = Table {
    name: "avx512_bf16",
    detected: || (avx512_vnni::TABLE.detected)() && is_x86_feature_detected!("avx512bf16"),
    bf16: true,
    strip_pairs: strip,
    round_row,
    compiled: Compiled { softmax_step_pairs, ..avx512_vnni::TABLE.compiled },
    ..avx512_vnni::TABLE
};
