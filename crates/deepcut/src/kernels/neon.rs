//! NEON, which every 64-bit ARM processor has: 4 lanes, 32 registers.

use super::compiled::compile;
use super::operands::{Depthwise, Left, PANEL, Start, View};
use super::table::Table;
use super::{native, tiles};
use std::arch::aarch64::*;

const LANES: usize = 4;
/// Vectors in a panel.
const VECTORS: usize = PANEL / LANES;

/// See [`super::Kernels::gemm`]: one panel of columns, up to six rows at a time.
///
/// # Safety
/// `left` and `right` hold every element of their shapes, `right` at most 16 columns and as deep as `left`; `out` holds `left.rows` rows of
/// that many columns, `stride` apart; a bias holds that many values.
#[target_feature(enable = "neon")]
unsafe fn strip(left: Left<'_>, right: View<'_, f32>, start: Start<'_>, out: &mut [f32], stride: usize) {
    tiles::in_blocks! { left, right, start, out, stride;
        // Eight rows are two tiles of four, not six and two: a tile of two rows waits for its loads.
        8 => block::<4>,
        6.. => block::<6>,
        4.. => block::<4>,
        2.. => block::<2>,
        _ => block::<1>,
    }
}

/// The first `R` rows. Returns `R`.
///
/// # Safety
/// As [`strip`], with at least `R` rows.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn block<const R: usize>(left: Left<'_>, right: View<'_, f32>, start: Start<'_>, out: &mut [f32], stride: usize) -> usize {
    let tail = right.columns % LANES;
    // SAFETY: the caller's contract, and as many vectors as there are columns for.
    unsafe {
        match right.columns.div_ceil(LANES) {
            1 => vectors::<R, 1>(left, right, start, out, stride, tail),
            2 => vectors::<R, 2>(left, right, start, out, stride, tail),
            3 => vectors::<R, 3>(left, right, start, out, stride, tail),
            _ => vectors::<R, VECTORS>(left, right, start, out, stride, tail),
        }
    }
    R
}

/// `R` rows of `V` vectors, all their sums in registers: `V` loads and `R` broadcasts a step.
///
/// # Safety
/// As [`block`], with `V` vectors of columns, the last of which has `tail` columns, or four if that is 0.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn vectors<const R: usize, const V: usize>(
    left: Left<'_>,
    right: View<'_, f32>,
    start: Start<'_>,
    out: &mut [f32],
    stride: usize,
    tail: usize,
) {
    let load = |from: *const f32| -> [float32x4_t; V] {
        std::array::from_fn(|v| {
            // SAFETY: every caller's pointer begins a row of the block's columns; the last vector reads no more columns than there are.
            unsafe {
                let from = from.add(v * LANES);
                if v + 1 == V && tail > 0 { load_some(from, tail) } else { vld1q_f32(from) }
            }
        })
    };
    let out = out.as_mut_ptr();
    let mut sums = [[vdupq_n_f32(0.0); V]; R];
    for (r, sums) in sums.iter_mut().enumerate() {
        // SAFETY: R rows lie `stride` apart.
        let before = || load(unsafe { out.add(r * stride) });
        *sums = match start {
            Start::Zero => *sums,
            Start::Bias(bias) => load(bias.as_ptr()),
            Start::Residual(bias) => {
                let (b, x) = (load(bias.as_ptr()), before());
                std::array::from_fn(|v| vaddq_f32(b[v], x[v]))
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
                let a = *a.add(r * left.row_stride + k * left.depth_stride);
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = vfmaq_n_f32(*sum, b, a);
                }
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate() {
            // SAFETY: R rows lie `stride` apart; the last vector writes no more columns than there are.
            unsafe {
                let to = out.add(r * stride + v * LANES);
                if v + 1 == V && tail > 0 { store_some(to, tail, *sum) } else { vst1q_f32(to, *sum) }
            }
        }
    }
}

/// Reads the first `count` lanes; the others are zero.
///
/// # Safety
/// `from` begins at least `count` values, and `count` is at most 4.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn load_some(from: *const f32, count: usize) -> float32x4_t {
    let mut lanes = [0.0f32; LANES];
    // SAFETY: `count` values from the caller's into four of our own, which then are one vector.
    unsafe {
        std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count);
        vld1q_f32(lanes.as_ptr())
    }
}

/// Writes the first `count` lanes.
///
/// # Safety
/// `to` begins at least `count` values, and `count` is at most 4.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn store_some(to: *mut f32, count: usize, vector: float32x4_t) {
    let mut lanes = [0.0f32; LANES];
    // SAFETY: one vector is four values, of which `count` go where the caller has room for them.
    unsafe {
        vst1q_f32(lanes.as_mut_ptr(), vector);
        std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, count);
    }
}

/// See [`super::Kernels::depthwise_row`]: whole groups of eight channels, then the others.
///
/// # Safety
/// `input` holds `kernel` rows of `width + kernel - 1` pixels, `out` one row of `width`, `weights` `kernel * kernel` rows and `bias` one row
/// of `channels`.
#[target_feature(enable = "neon")]
unsafe fn depthwise_row(shape: Depthwise<'_>, input: &[f32], out: &mut [f32]) {
    let done = tiles::in_runs! { shape, input, out, 2 * LANES;
        8.. => depthwise_run::<8>,
        2.. => depthwise_run::<2>,
        _ => depthwise_run::<1>,
    };
    native::depthwise_channels(shape, input, out, done);
}

/// `P` pixels from `x`, eight channels from `channel`: each weight is loaded once for the whole run. Returns `P`.
///
/// # Safety
/// As [`depthwise_row`], with `x + P <= width` and `channel + 8 <= channels`.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn depthwise_run<const P: usize>(shape: Depthwise<'_>, input: &[f32], out: &mut [f32], x: usize, channel: usize) -> usize {
    let Depthwise { weights, bias, kernel, channels, width } = shape;
    // SAFETY: eight channels from each pointer that is given below.
    let load = |from: *const f32| unsafe { [vld1q_f32(from), vld1q_f32(from.add(LANES))] };
    // SAFETY: pixel (i, x + j + p) of the input has i < kernel and x + j + p < width + kernel - 1; weight (i, j) and output
    // pixel x + p < width likewise lie inside their slices, and eight channels from `channel` inside a pixel.
    unsafe {
        let mut sums = [load(bias.as_ptr().add(channel)); P];
        for i in 0..kernel {
            let row = input.as_ptr().add((i * (width + kernel - 1) + x) * channels + channel);
            for j in 0..kernel {
                let weight = load(weights.as_ptr().add((i * kernel + j) * channels + channel));
                for (p, sum) in sums.iter_mut().enumerate() {
                    let pixel = load(row.add((j + p) * channels));
                    *sum = [vfmaq_f32(sum[0], weight[0], pixel[0]), vfmaq_f32(sum[1], weight[1], pixel[1])];
                }
            }
        }
        for (p, sum) in sums.iter().enumerate() {
            let to = out.as_mut_ptr().add((x + p) * channels + channel);
            vst1q_f32(to, sum[0]);
            vst1q_f32(to.add(LANES), sum[1]);
        }
    }
    P
}

/// See [`super::Kernels::masked_sums`]: four columns at a time share the expansion of the bits into lane masks.
///
/// # Safety
/// `columns` holds `out.len()` columns of `64 * row.len()` values.
#[target_feature(enable = "neon")]
unsafe fn masked_sums(row: &[u64], columns: &[f32], out: &mut [f32]) {
    tiles::in_groups! { row, columns, out; masked_group }
}

/// # Safety
/// `columns` holds at least `G` columns of `64 * row.len()` values.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn masked_group<const G: usize>(row: &[u64], columns: &[f32], out: &mut [f32]) {
    const LOW: [u32; LANES] = [1, 2, 4, 8];
    const HIGH: [u32; LANES] = [16, 32, 64, 128];
    // SAFETY: four values each.
    let bits = unsafe { [vld1q_u32(LOW.as_ptr()), vld1q_u32(HIGH.as_ptr())] };
    let stride = row.len() * 64;
    let mut sums = [[vdupq_n_f32(0.0); 2]; G];
    for (w, word) in row.iter().enumerate() {
        for (b, byte) in word.to_le_bytes().into_iter().enumerate() {
            let byte = vdupq_n_u32(u32::from(byte));
            let masks = bits.map(|bits| vtstq_u32(byte, bits));
            for (g, sums) in sums.iter_mut().enumerate() {
                for (half, (sum, mask)) in sums.iter_mut().zip(masks).enumerate() {
                    // SAFETY: 64 w + 8 b + 8 <= stride, and g < G columns of that stride exist.
                    let values = unsafe { vld1q_f32(columns.as_ptr().add(g * stride + w * 64 + b * 8 + half * LANES)) };
                    *sum = vaddq_f32(*sum, vreinterpretq_f32_u32(vandq_u32(mask, vreinterpretq_u32_f32(values))));
                }
            }
        }
    }
    for (sum, out) in sums.iter().zip(out) {
        *out = vaddvq_f32(vaddq_f32(sum[0], sum[1]));
    }
}

compile!(true, target_feature(enable = "neon"));

pub(super) static TABLE: Table = Table {
    name: "neon",
    detected: || std::arch::is_aarch64_feature_detected!("neon"),
    strip,
    depthwise_row,
    masked_sums,
    compiled: COMPILED,
    ..native::TABLE
};
