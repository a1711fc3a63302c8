//! AVX512-VNNI: products of int8, four to a lane, summed in 32-bit integers.

use super::avx512::{begin, end, lanes, last_mask};
use super::operands::{PANEL, Start};
use super::quantized::{QUAD, QuadColumns, QuadRows, Rounding};
use super::table::Table;
use super::{avx512, tiles};
use std::arch::x86_64::*;

/// See [`super::Kernels::gemm_quantized`]: up to two panels of columns, up to eight rows at a time.
///
/// # Safety
/// The processor has AVX-512F and AVX512-VNNI; `left` and `right` hold every quad of their shapes, `right` at most 32 columns and as deep as
/// `left`; there is a rounding for each row and a scale and a sum for each column; `out` holds `left.rows` rows of that many columns, `stride`
/// apart; a bias holds that many values.
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn strip(left: QuadRows<'_>, right: QuadColumns<'_>, start: Start<'_>, out: &mut [f32], stride: usize) {
    // SAFETY: the caller's contract, and as many panels as there are columns.
    unsafe {
        if right.quads.columns > PANEL {
            rows::<2>(left, right, start, out, stride);
        } else {
            rows::<1>(left, right, start, out, stride);
        }
    }
}

/// # Safety
/// As [`strip`], with columns in exactly `P` panels.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
unsafe fn rows<const P: usize>(left: QuadRows<'_>, right: QuadColumns<'_>, start: Start<'_>, out: &mut [f32], stride: usize) {
    tiles::in_blocks! { left, right, start, out, stride;
        8.. => block::<8, P>,
        6.. => block::<6, P>,
        4.. => block::<4, P>,
        3.. => block::<3, P>,
        2.. => block::<2, P>,
        _ => block::<1, P>,
    }
}

/// The first `R` rows, with `P R` sums in registers. Returns `R`.
///
/// # Safety
/// As [`rows`], with at least `R` rows.
#[target_feature(enable = "avx512f,avx512vnni")]
#[inline]
unsafe fn block<const R: usize, const P: usize>(
    left: QuadRows<'_>,
    right: QuadColumns<'_>,
    start: Start<'_>,
    out: &mut [f32],
    stride: usize,
) -> usize {
    let QuadRows { quads: left, roundings } = left;
    let QuadColumns { quads: right, scales, sums: columns } = right;
    let last = last_mask::<P>(right.columns);
    let mask = |p: usize| if p + 1 == P { last } else { 0xffff };
    let mut sums = [[_mm512_setzero_si512(); P]; R];
    let (a, b) = (left.data.as_ptr(), right.data.as_ptr());
    for k in 0..left.depth {
        // SAFETY: k < depth, r < R <= rows and p < P panels, so both pointers stay inside what the caller vouches for; lanes beyond
        // the columns are not read.
        unsafe {
            let mut row = [_mm512_setzero_si512(); P];
            for (p, row) in row.iter_mut().enumerate() {
                *row = _mm512_maskz_loadu_epi32(mask(p), b.add(k * right.row_stride + p * right.panel_stride).cast());
            }
            // The caller takes the matrix strip by strip, so the next panels come next. A prefetch reads nothing: its address may lie outside.
            for p in 0..P {
                _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(k * right.row_stride + (P + p) * right.panel_stride).cast());
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = _mm512_set1_epi32(*a.add(r * left.row_stride + k) as i32);
                for (sum, b) in sums.iter_mut().zip(row) {
                    *sum = _mm512_dpbusd_epi32(*sum, a, b);
                }
            }
        }
    }
    // SAFETY: the caller's contract is that of `begin`, and there are scales and sums for each column.
    unsafe {
        let mut values = begin::<R, P>(start, out, stride, last);
        for p in 0..P {
            let scale = _mm512_maskz_loadu_ps(mask(p), scales.as_ptr().add(p * PANEL));
            let column = _mm512_maskz_loadu_ps(mask(p), columns.as_ptr().add(p * PANEL));
            for ((values, sums), rounding) in values.iter_mut().zip(&sums).zip(roundings) {
                let least = _mm512_mul_ps(_mm512_set1_ps(rounding.least), column);
                let product = _mm512_fmadd_ps(_mm512_set1_ps(rounding.step), _mm512_cvtepi32_ps(sums[p]), least);
                values[p] = _mm512_fmadd_ps(scale, product, values[p]);
            }
        }
        end(&values, out, stride, last);
    }
    R
}

/// See [`super::Kernels::quantize_row`].
///
/// # Safety
/// The processor has AVX-512F and BW; `quads` holds a quarter as many quads as `row` has values, rounded up.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn quantize_row(row: &[f32], levels: u8, quads: &mut [u32]) -> Rounding {
    let (fours, rest) = row.as_chunks::<{ 4 * PANEL }>();
    let (mut least, mut largest) = ([_mm512_set1_ps(f32::INFINITY); 4], [_mm512_set1_ps(f32::NEG_INFINITY); 4]);
    for four in fours {
        for (i, values) in four.as_chunks::<PANEL>().0.iter().enumerate() {
            // SAFETY: a panel of values.
            let values = unsafe { _mm512_loadu_ps(values.as_ptr()) };
            (least[i], largest[i]) = (_mm512_min_ps(least[i], values), _mm512_max_ps(largest[i], values));
        }
    }
    for (i, values) in rest.chunks(PANEL).enumerate() {
        let mask = lanes(values.len());
        // SAFETY: lanes beyond the values are not read.
        let values = unsafe { _mm512_maskz_loadu_ps(mask, values.as_ptr()) };
        least[i] = _mm512_mask_min_ps(least[i], mask, least[i], values);
        largest[i] = _mm512_mask_max_ps(largest[i], mask, largest[i], values);
    }
    let least = _mm512_min_ps(_mm512_min_ps(least[0], least[1]), _mm512_min_ps(least[2], least[3]));
    let largest = _mm512_max_ps(_mm512_max_ps(largest[0], largest[1]), _mm512_max_ps(largest[2], largest[3]));
    let rounding = Rounding::between(_mm512_reduce_min_ps(least), _mm512_reduce_max_ps(largest), levels);
    let (least, inverse) = (_mm512_set1_ps(rounding.least), _mm512_set1_ps(rounding.inverse()));
    let scaled = |values| _mm512_mul_ps(_mm512_sub_ps(values, least), inverse);
    // Packing works within each quarter of a register: quad 4 q + v holds values of quarter q of register v.
    let in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let (whole, last) = quads.split_at_mut(fours.len() * PANEL);
    for (four, quads) in fours.iter().zip(whole.as_chunks_mut::<PANEL>().0) {
        let mut integers = [_mm512_setzero_si512(); 4];
        for (integers, values) in integers.iter_mut().zip(four.as_chunks::<PANEL>().0) {
            // SAFETY: a panel of values.
            *integers = _mm512_cvtps_epi32(scaled(unsafe { _mm512_loadu_ps(values.as_ptr()) }));
        }
        let halves = [_mm512_packus_epi32(integers[0], integers[1]), _mm512_packus_epi32(integers[2], integers[3])];
        let bytes = _mm512_permutexvar_epi32(in_order, _mm512_packus_epi16(halves[0], halves[1]));
        // SAFETY: a panel of quads.
        unsafe { _mm512_storeu_si512(quads.as_mut_ptr().cast(), bytes) };
    }
    for (values, quads) in rest.chunks(PANEL).zip(last.chunks_mut(PANEL / QUAD)) {
        let mask = lanes(values.len());
        // SAFETY: lanes beyond the values are not read, and only the quads that hold one are written.
        unsafe {
            let integers = _mm512_maskz_cvtps_epu32(mask, scaled(_mm512_maskz_loadu_ps(mask, values.as_ptr())));
            let bytes = _mm512_cvtusepi32_epi8(integers);
            // The product reads quads one by one, and a masked store keeps them waiting.
            if let Ok(quads) = <&mut [u32; PANEL / QUAD]>::try_from(&mut *quads) {
                _mm_storeu_si128(quads.as_mut_ptr().cast(), bytes);
            } else {
                _mm_mask_storeu_epi32(quads.as_mut_ptr().cast(), lanes(quads.len()) as __mmask8, bytes);
            }
        }
    }
    rounding
}

pub(super) static TABLE: Table = Table {
    name: "avx512_vnni",
    detected: || {
        (avx512::TABLE.detected)()
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
    },
    int8: true,
    strip_quads: strip,
    quantize_row,
    ..avx512::TABLE
};
