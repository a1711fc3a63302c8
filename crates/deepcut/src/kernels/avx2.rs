//! AVX2 and FMA: 8 lanes, 16 registers.

use super::packed::PANEL;
use super::{Depthwise, Left, Start, View, elementwise, tiles};
use std::arch::x86_64::*;

const LANES: usize = 8;

/// See [`super::Isa::gemm`]: one panel of columns, up to six rows at a time.
///
/// # Safety
/// The processor has AVX2 and FMA; `left` and `right` hold every element of their shapes, `right` at most 16 columns and as deep as
/// `left`; `out` holds `left.rows` rows of that many columns, `stride` apart; a bias holds that many values.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn strip(left: Left<'_>, right: View<'_, f32>, start: Start<'_>, out: &mut [f32], stride: usize) {
    tiles::in_blocks! { left, right, start, out, stride;
        // Two tiles of four, not six and two: a tile of two rows waits for its loads.
        8 => block::<4>,
        6.. => block::<6>,
        4.. => block::<4>,
        2.. => block::<2>,
        _ => block::<1>,
    }
}

/// The first `R` rows, with 2 `R` sums in registers: two loads and `R` broadcasts a step. Returns `R`.
///
/// # Safety
/// As [`strip`], with at least `R` rows.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn block<const R: usize>(left: Left<'_>, right: View<'_, f32>, start: Start<'_>, out: &mut [f32], stride: usize) -> usize {
    // SAFETY: whole panels are read and written as such; of a narrower one only the lanes of its columns are.
    unsafe {
        if right.columns == PANEL {
            lanes::<R, true>(left, right, start, out, stride, [_mm256_setzero_si256(); 2]);
        } else {
            let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            let columns = right.columns as i32;
            let masks = [0, LANES as i32].map(|first| _mm256_cmpgt_epi32(_mm256_set1_epi32(columns - first), lane));
            lanes::<R, false>(left, right, start, out, stride, masks);
        }
    }
    R
}

/// # Safety
/// As [`block`]; `WHOLE` if there are 16 columns, else `masks` are set for those there are.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn lanes<const R: usize, const WHOLE: bool>(
    left: Left<'_>,
    right: View<'_, f32>,
    start: Start<'_>,
    out: &mut [f32],
    stride: usize,
    masks: [__m256i; 2],
) {
    let load = |from: *const f32| -> [__m256; 2] {
        // SAFETY: every caller's pointer begins a row of the block's columns, and masked lanes are not read.
        unsafe {
            if WHOLE {
                [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(LANES))]
            } else {
                [_mm256_maskload_ps(from, masks[0]), _mm256_maskload_ps(from.wrapping_add(LANES), masks[1])]
            }
        }
    };
    let out = out.as_mut_ptr();
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    for (r, sums) in sums.iter_mut().enumerate() {
        // SAFETY: R rows lie `stride` apart.
        let before = || load(unsafe { out.add(r * stride) });
        *sums = match start {
            Start::Zero => *sums,
            Start::Bias(bias) => load(bias.as_ptr()),
            Start::Residual(bias) => {
                let (b, x) = (load(bias.as_ptr()), before());
                [_mm256_add_ps(b[0], x[0]), _mm256_add_ps(b[1], x[1])]
            }
            Start::Accumulate => before(),
        };
    }
    let (a, b) = (left.data.as_ptr(), right.data.as_ptr());
    for k in 0..left.depth {
        // SAFETY: k < depth and r < R <= rows, so both pointers stay inside what the caller vouches for.
        unsafe {
            let b = load(b.add(k * right.row_stride));
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = _mm256_broadcast_ss(&*a.add(r * left.row_stride + k * left.depth_stride));
                sums[0] = _mm256_fmadd_ps(a, b[0], sums[0]);
                sums[1] = _mm256_fmadd_ps(a, b[1], sums[1]);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        // SAFETY: R rows lie `stride` apart; masked lanes are not written.
        unsafe {
            let to = out.add(r * stride);
            if WHOLE {
                _mm256_storeu_ps(to, sums[0]);
                _mm256_storeu_ps(to.add(LANES), sums[1]);
            } else {
                _mm256_maskstore_ps(to, masks[0], sums[0]);
                _mm256_maskstore_ps(to.wrapping_add(LANES), masks[1], sums[1]);
            }
        }
    }
}

/// Whole groups of eight channels of one output row; returns how many channels that was.
///
/// # Safety
/// The processor has AVX2 and FMA; `input` holds `kernel` rows of `width + kernel - 1` pixels, `out` one row of `width`,
/// `weights` `kernel * kernel` rows and `bias` one row of `channels`.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn depthwise_row(shape: Depthwise<'_>, input: &[f32], out: &mut [f32]) -> usize {
    tiles::in_runs! { shape, input, out, LANES;
        8.. => depthwise_run::<8>,
        2.. => depthwise_run::<2>,
        _ => depthwise_run::<1>,
    }
}

/// `P` pixels from `x`, eight channels from `channel`: each weight is loaded once for the whole run. Returns `P`.
///
/// # Safety
/// As [`depthwise_row`], with `x + P <= width` and `channel + 8 <= channels`.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn depthwise_run<const P: usize>(shape: Depthwise<'_>, input: &[f32], out: &mut [f32], x: usize, channel: usize) -> usize {
    let Depthwise { weights, bias, kernel, channels, width } = shape;
    // SAFETY: pixel (i, x + j + p) of the input has i < kernel and x + j + p < width + kernel - 1; weight (i, j) and output
    // pixel x + p < width likewise lie inside their slices, and eight channels from `channel` inside a pixel.
    unsafe {
        let mut sums = [_mm256_loadu_ps(bias.as_ptr().add(channel)); P];
        for i in 0..kernel {
            let row = input.as_ptr().add((i * (width + kernel - 1) + x) * channels + channel);
            for j in 0..kernel {
                let weight = _mm256_loadu_ps(weights.as_ptr().add((i * kernel + j) * channels + channel));
                for (p, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm256_fmadd_ps(weight, _mm256_loadu_ps(row.add((j + p) * channels)), *sum);
                }
            }
        }
        for (p, sum) in sums.iter().enumerate() {
            _mm256_storeu_ps(out.as_mut_ptr().add((x + p) * channels + channel), *sum);
        }
    }
    P
}

/// See [`super::Isa::masked_sums`]: four columns at a time share the expansion of the bits into lane masks.
///
/// # Safety
/// The processor has AVX2; `columns` holds `out.len()` columns of `64 * row.len()` values.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn masked_sums(row: &[u64], columns: &[f32], out: &mut [f32]) {
    tiles::in_groups! { row, columns, out; masked_group }
}

/// # Safety
/// The processor has AVX2; `columns` holds at least `G` columns of `64 * row.len()` values.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn masked_group<const G: usize>(row: &[u64], columns: &[f32], out: &mut [f32]) {
    let lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    let stride = row.len() * 64;
    let mut sums = [_mm256_setzero_ps(); G];
    for (w, word) in row.iter().enumerate() {
        for (b, byte) in word.to_le_bytes().into_iter().enumerate() {
            let bits = _mm256_and_si256(_mm256_set1_epi32(i32::from(byte)), lane);
            let mask = _mm256_castsi256_ps(_mm256_cmpeq_epi32(bits, lane));
            for (g, sum) in sums.iter_mut().enumerate() {
                // SAFETY: 64 w + 8 b + 8 <= stride, and g < G columns of that stride exist.
                let values = unsafe { _mm256_loadu_ps(columns.as_ptr().add(g * stride + w * 64 + b * LANES)) };
                *sum = _mm256_add_ps(*sum, _mm256_and_ps(mask, values));
            }
        }
    }
    for (sum, out) in sums.iter().zip(out) {
        let mut lanes = [0.0f32; LANES];
        // SAFETY: eight lanes into eight values.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), *sum) };
        *out = lanes.iter().sum();
    }
}

elementwise::instantiate!("avx2,fma");
