//! AVX512-BF16: products of bf16 pairs, two to a lane, summed in f32.

use super::avx512::{begin, end, last_mask};
use super::packed::PANEL;
use super::{Left, Start, View};
use std::arch::x86_64::*;

/// See [`super::Isa::gemm`]: up to two panels of columns, up to eight rows at a time.
///
/// # Safety
/// The processor has AVX-512F and AVX512-BF16; `left` and `right` hold every pair of their shapes, `right` at most 32 columns and as deep as
/// `left`; `out` holds `left.rows` rows of that many columns, `stride` apart; a bias holds that many values.
#[target_feature(enable = "avx512f,avx512bf16")]
pub(super) unsafe fn strip(left: Left<'_, u32>, right: View<'_, u32>, start: Start<'_>, out: &mut [f32], stride: usize) {
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
    let mut row = 0;
    while row < left.rows {
        let left = left.slice(row, left.rows - row);
        let out = &mut out[row * stride..];
        // SAFETY: the caller's contract, for the rows from `row` on, of which there are at least as many as each call takes.
        row += unsafe {
            match left.rows {
                8.. => block::<8, P>(left, right, start, out, stride),
                4.. => block::<4, P>(left, right, start, out, stride),
                2.. => block::<2, P>(left, right, start, out, stride),
                _ => block::<1, P>(left, right, start, out, stride),
            }
        };
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
            // The panels after these come next, for the caller takes a matrix strip by strip; a prefetch may miss the matrix, and reads nothing.
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

/// Rounds `row` to pairs, the last of which has a zero if the length is odd.
///
/// # Safety
/// The processor has AVX-512F and AVX512-BF16; `pairs` holds half as many pairs as `row` has values, rounded up.
#[target_feature(enable = "avx512f,avx512bf16,avx512bw,avx512vl")]
pub(super) unsafe fn round(row: &[f32], pairs: &mut [u32]) {
    let to = pairs.as_mut_ptr();
    for (i, values) in row.chunks(PANEL).enumerate() {
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
