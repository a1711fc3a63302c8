//! AVX2: products of int8, added in pairs to 16 bits, then summed in 32 bits. The left side has seven bits here, so that the pairs fit.

use super::avx2::{LANES, Lanes, begin, end};
use super::operands::{PANEL, Start};
use super::quantized::{QUAD, QuadColumns, QuadRows, Rounding};
use super::table::Table;
use super::{avx2, native, tiles};
use std::arch::x86_64::*;

/// Largest integer of the left side: a pair is at most `2 · 127 · 127`, less than 2¹⁵.
const LEVELS: u8 = 127;

/// See [`super::Kernels::gemm_quantized`]: one panel of columns, up to four rows at a time.
///
/// # Safety
/// The processor has AVX2 and FMA; `left` and `right` hold every quad of their shapes, `right` at most 16 columns and as deep as `left`; there is
/// a rounding for each row and a scale and a sum for each column; `out` holds `left.rows` rows of that many columns, `stride` apart; a bias holds
/// that many values.
#[target_feature(enable = "avx2,fma")]
unsafe fn strip(left: QuadRows<'_>, right: QuadColumns<'_>, start: Start<'_>, out: &mut [f32], stride: usize) {
    tiles::in_blocks! { left, right, start, out, stride;
        4.. => block::<4>,
        2.. => block::<2>,
        _ => block::<1>,
    }
}

/// The first `R` rows, with 2 `R` sums in registers. Returns `R`.
///
/// # Safety
/// As [`strip`], with at least `R` rows.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn block<const R: usize>(
    left: QuadRows<'_>,
    right: QuadColumns<'_>,
    start: Start<'_>,
    out: &mut [f32],
    stride: usize,
) -> usize {
    // SAFETY: the caller's contract, and lanes for exactly the columns.
    unsafe {
        if right.quads.columns == PANEL {
            multiply::<R, true>(left, right, start, out, stride, Lanes::whole());
        } else {
            multiply::<R, false>(left, right, start, out, stride, Lanes::first(right.quads.columns));
        }
    }
    R
}

/// # Safety
/// As [`block`], with `lanes` for the columns.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn multiply<const R: usize, const WHOLE: bool>(
    left: QuadRows<'_>,
    right: QuadColumns<'_>,
    start: Start<'_>,
    out: &mut [f32],
    stride: usize,
    lanes: Lanes<WHOLE>,
) {
    let QuadRows { quads: left, roundings } = left;
    let QuadColumns { quads: right, scales, sums: columns } = right;
    let one = _mm256_set1_epi16(1);
    let mut sums = [[_mm256_setzero_si256(); 2]; R];
    let (a, b) = (left.data.as_ptr(), right.data.as_ptr());
    for k in 0..left.depth {
        // SAFETY: k < depth and r < R <= rows, so both pointers stay inside what the caller vouches for.
        unsafe {
            let b = lanes.load(b.add(k * right.row_stride).cast()).map(|b| _mm256_castps_si256(b));
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = _mm256_set1_epi32(*a.add(r * left.row_stride + k) as i32);
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), one));
                }
            }
        }
    }
    // SAFETY: the caller's contract is that of `begin` and `end`, and there are scales and sums for each column.
    unsafe {
        let mut values = begin::<R, WHOLE>(start, out, stride, lanes);
        let (scale, column) = (lanes.load(scales.as_ptr()), lanes.load(columns.as_ptr()));
        for ((values, sums), rounding) in values.iter_mut().zip(&sums).zip(roundings) {
            for p in 0..2 {
                let least = _mm256_mul_ps(_mm256_set1_ps(rounding.least), column[p]);
                let product = _mm256_fmadd_ps(_mm256_set1_ps(rounding.step), _mm256_cvtepi32_ps(sums[p]), least);
                values[p] = _mm256_fmadd_ps(scale[p], product, values[p]);
            }
        }
        end(&values, out, stride, lanes);
    }
}

/// See [`super::Kernels::quantize_row`].
///
/// # Safety
/// The processor has AVX2; `quads` holds a quarter as many quads as `row` has values, rounded up.
#[target_feature(enable = "avx2")]
unsafe fn quantize_row(row: &[f32], levels: u8, quads: &mut [u32]) -> Rounding {
    let (eights, rest) = row.as_chunks::<LANES>();
    let mut ends = [_mm256_set1_ps(f32::INFINITY), _mm256_set1_ps(f32::NEG_INFINITY)];
    for eight in eights {
        // SAFETY: eight values are read.
        let values = unsafe { _mm256_loadu_ps(eight.as_ptr()) };
        ends = [_mm256_min_ps(values, ends[0]), _mm256_max_ps(values, ends[1])];
    }
    let [least, largest] = ends.map(|lanes| {
        let mut values = [0.0f32; LANES];
        // SAFETY: eight values are written.
        unsafe { _mm256_storeu_ps(values.as_mut_ptr(), lanes) };
        values
    });
    let least = least.iter().chain(rest).fold(f32::INFINITY, |m, x| m.min(*x));
    let largest = largest.iter().chain(rest).fold(f32::NEG_INFINITY, |m, x| m.max(*x));
    let rounding = Rounding::between(least, largest, levels);

    let (offset, inverse) = (_mm256_set1_ps(least), _mm256_set1_ps(rounding.inverse()));
    let integers = |eight: *const f32| {
        // SAFETY: every caller's pointer begins eight values.
        let values = unsafe { _mm256_loadu_ps(eight) };
        _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_sub_ps(values, offset), inverse))
    };
    let (whole, rest) = row.as_chunks::<{ 4 * LANES }>();
    for (values, quads) in whole.iter().zip(quads.chunks_exact_mut(LANES)) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| integers(values[i * LANES..].as_ptr()));
        let bytes = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
        // Packing interleaves the halves of registers: these quads belong at 0, 2, 4, 6, 1, 3, 5, 7.
        let bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        // SAFETY: eight quads are written.
        unsafe { _mm256_storeu_si256(quads.as_mut_ptr().cast(), bytes) };
    }
    native::round_quads(rest, rounding, &mut quads[whole.len() * 4 * LANES / QUAD..]);
    rounding
}

/// The set `avx2`: [`avx2::TABLE`] with products in int8, whose instructions come with AVX2.
pub(super) static TABLE: Table = Table { int8: true, levels: LEVELS, strip_quads: strip, quantize_row, ..avx2::TABLE };
