//! AVX2 and FMA: 8 lanes, 16 registers.

use super::packed::PANEL;
use super::{Depthwise, Left, SoftmaxRow, TILE_ROWS, Tile, elementwise};
use std::arch::x86_64::*;

const LANES: usize = 8;

/// `tile += left · panel` for up to six rows of one panel: 12 accumulators, two loads and up to six broadcasts a step.
///
/// # Safety
/// The processor has AVX2 and FMA; `left.data` holds every element that `left`'s shape and strides name, and `panel` holds
/// `left.depth * 16` values.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn tile(left: Left<'_>, panel: &[f32], tile: &mut Tile) {
    // SAFETY: the caller's contract is `rows`' contract.
    unsafe {
        match left.rows {
            1 => rows::<1>(left, panel, tile),
            2 => rows::<2>(left, panel, tile),
            3 => rows::<3>(left, panel, tile),
            4 => rows::<4>(left, panel, tile),
            5 => rows::<5>(left, panel, tile),
            _ => rows::<TILE_ROWS>(left, panel, tile),
        }
    }
}

/// # Safety
/// As [`tile`], with `R <= left.rows`.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn rows<const R: usize>(left: Left<'_>, panel: &[f32], tile: &mut Tile) {
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    for (sums, tile) in sums.iter_mut().zip(tile.iter()) {
        // SAFETY: a tile row holds 16 values.
        unsafe {
            sums[0] = _mm256_loadu_ps(tile.as_ptr());
            sums[1] = _mm256_loadu_ps(tile.as_ptr().add(LANES));
        }
    }
    let a = left.data.as_ptr();
    let b = panel.as_ptr();
    for k in 0..left.depth {
        // SAFETY: k < depth and r < rows, so both pointers stay inside what the caller vouches for.
        unsafe {
            let b0 = _mm256_loadu_ps(b.add(k * PANEL));
            let b1 = _mm256_loadu_ps(b.add(k * PANEL + LANES));
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = _mm256_broadcast_ss(&*a.add(r * left.row_stride + k * left.depth_stride));
                sums[0] = _mm256_fmadd_ps(a, b0, sums[0]);
                sums[1] = _mm256_fmadd_ps(a, b1, sums[1]);
            }
        }
    }
    for (sums, tile) in sums.iter().zip(tile.iter_mut()) {
        // SAFETY: a tile row holds 16 values.
        unsafe {
            _mm256_storeu_ps(tile.as_mut_ptr(), sums[0]);
            _mm256_storeu_ps(tile.as_mut_ptr().add(LANES), sums[1]);
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
    const RUN: usize = 8;
    let whole = shape.channels / LANES * LANES;
    for channel in (0..whole).step_by(LANES) {
        let mut x = 0;
        // SAFETY: channel + 8 <= channels, and every run ends at or before `width`.
        unsafe {
            while x + RUN <= shape.width {
                depthwise_run::<RUN>(shape, input, out, x, channel);
                x += RUN;
            }
            while x + 2 <= shape.width {
                depthwise_run::<2>(shape, input, out, x, channel);
                x += 2;
            }
            if x < shape.width {
                depthwise_run::<1>(shape, input, out, x, channel);
            }
        }
    }
    whole
}

/// `P` pixels from `x`, eight channels from `channel`: each weight is loaded once for the whole run.
///
/// # Safety
/// As [`depthwise_row`], with `x + P <= width` and `channel + 8 <= channels`.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn depthwise_run<const P: usize>(shape: Depthwise<'_>, input: &[f32], out: &mut [f32], x: usize, channel: usize) {
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
}

/// See [`super::Isa::masked_sums`]: four columns at a time share the expansion of the bits into lane masks.
///
/// # Safety
/// The processor has AVX2; `columns` holds `out.len()` columns of `64 * row.len()` values.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn masked_sums(row: &[u64], columns: &[f32], out: &mut [f32]) {
    let stride = row.len() * 64;
    for (group, out) in out.chunks_mut(4).enumerate() {
        let columns = &columns[group * 4 * stride..];
        // SAFETY: `columns` now begins at this group's first column and holds `out.len()` of them.
        unsafe {
            match out.len() {
                1 => masked_group::<1>(row, columns, out),
                2 => masked_group::<2>(row, columns, out),
                3 => masked_group::<3>(row, columns, out),
                _ => masked_group::<4>(row, columns, out),
            }
        }
    }
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

/// See [`super::Isa::gelu`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn gelu(values: &mut [f32]) {
    elementwise::gelu::<true>(values);
}

/// See [`super::Isa::elu`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn elu(values: &mut [f32]) {
    elementwise::elu::<true>(values);
}

/// See [`super::Isa::softmax`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn softmax(values: &mut [f32], width: usize) {
    elementwise::softmax::<true>(values, width);
}

/// See [`super::Isa::layer_norm`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn layer_norm(rows: &[f32], weight: &[f32], bias: &[f32], epsilon: f32, out: &mut [f32]) {
    elementwise::layer_norm(rows, weight, bias, epsilon, out);
}

/// See [`super::Isa::softmax_step`].
#[target_feature(enable = "avx2,fma")]
pub(super) fn softmax_step(scores: &mut [f32], scale: f32, state: &mut [SoftmaxRow]) {
    elementwise::softmax_step::<true>(scores, scale, state);
}
