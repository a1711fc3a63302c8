//! AVX2 and FMA: 8 lanes, 16 registers.

use super::compiled::compile;
use super::operands::{Depthwise, Left, PANEL, Start, View};
use super::table::Table;
use super::{native, tiles};
use std::arch::x86_64::*;

pub(super) const LANES: usize = 8;

/// See [`super::Kernels::gemm`]: one panel of columns, up to six rows at a time.
///
/// # Safety
/// The processor has AVX2 and FMA; `left` and `right` hold every element of their shapes, `right` at most 16 columns and as deep as
/// `left`; `out` holds `left.rows` rows of that many columns, `stride` apart; a bias holds that many values.
#[target_feature(enable = "avx2,fma")]
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

/// The first `R` rows, with 2 `R` sums in registers: two loads and `R` broadcasts a step. Returns `R`.
///
/// # Safety
/// As [`strip`], with at least `R` rows.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn block<const R: usize>(left: Left<'_>, right: View<'_, f32>, start: Start<'_>, out: &mut [f32], stride: usize) -> usize {
    // SAFETY: the caller's contract, and lanes for exactly the columns.
    unsafe {
        if right.columns == PANEL {
            multiply::<R, true>(left, right, start, out, stride, Lanes::whole());
        } else {
            multiply::<R, false>(left, right, start, out, stride, Lanes::first(right.columns));
        }
    }
    R
}

/// # Safety
/// As [`block`], with `lanes` for the columns.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn multiply<const R: usize, const WHOLE: bool>(
    left: Left<'_>,
    right: View<'_, f32>,
    start: Start<'_>,
    out: &mut [f32],
    stride: usize,
    lanes: Lanes<WHOLE>,
) {
    // SAFETY: the caller's contract is that of `begin`.
    let mut sums = unsafe { begin::<R, WHOLE>(start, out, stride, lanes) };
    let (a, b) = (left.data.as_ptr(), right.data.as_ptr());
    for k in 0..left.depth {
        // SAFETY: k < depth and r < R <= rows, so both pointers stay inside what the caller vouches for.
        unsafe {
            if WHOLE {
                // The caller takes the matrix strip by strip, so the next panel comes next. A prefetch reads nothing: its address may lie outside.
                _mm_prefetch::<_MM_HINT_T1>(b.wrapping_add(k * right.row_stride + right.panel_stride).cast());
            }
            let b = lanes.load(b.add(k * right.row_stride));
            for (r, sums) in sums.iter_mut().enumerate() {
                let a = _mm256_broadcast_ss(&*a.add(r * left.row_stride + k * left.depth_stride));
                sums[0] = _mm256_fmadd_ps(a, b[0], sums[0]);
                sums[1] = _mm256_fmadd_ps(a, b[1], sums[1]);
            }
        }
    }
    // SAFETY: the caller's contract is that of `end`.
    unsafe { end(&sums, out, stride, lanes) };
}

/// Columns of one panel in two registers: all 16 if `WHOLE`, else those whose mask is set.
#[derive(Clone, Copy)]
pub(super) struct Lanes<const WHOLE: bool>([__m256i; 2]);

impl Lanes<true> {
    /// All columns.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn whole() -> Self {
        Self([_mm256_set1_epi32(-1); 2])
    }
}

impl Lanes<false> {
    /// The first `columns` columns.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub fn first(columns: usize) -> Self {
        let lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        Self([0, LANES].map(|before| _mm256_cmpgt_epi32(_mm256_set1_epi32(columns as i32 - before as i32), lane)))
    }
}

impl<const WHOLE: bool> Lanes<WHOLE> {
    /// # Safety
    /// The processor has AVX2; the columns' values are there to be read.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub unsafe fn load(self, from: *const f32) -> [__m256; 2] {
        // SAFETY: masked lanes are not read.
        unsafe {
            if WHOLE {
                [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(LANES))]
            } else {
                [_mm256_maskload_ps(from, self.0[0]), _mm256_maskload_ps(from.wrapping_add(LANES), self.0[1])]
            }
        }
    }

    /// # Safety
    /// The processor has AVX2; the columns' values are there to be written.
    #[target_feature(enable = "avx2")]
    #[inline]
    pub unsafe fn store(self, to: *mut f32, values: [__m256; 2]) {
        // SAFETY: masked lanes are not written.
        unsafe {
            if WHOLE {
                _mm256_storeu_ps(to, values[0]);
                _mm256_storeu_ps(to.add(LANES), values[1]);
            } else {
                _mm256_maskstore_ps(to, self.0[0], values[0]);
                _mm256_maskstore_ps(to.wrapping_add(LANES), self.0[1], values[1]);
            }
        }
    }
}

/// Start values of the sums.
///
/// # Safety
/// The processor has AVX2; `out` holds `R` rows, `stride` apart, of the columns of `lanes`; a bias holds as many values.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn begin<const R: usize, const WHOLE: bool>(
    start: Start<'_>,
    out: &[f32],
    stride: usize,
    lanes: Lanes<WHOLE>,
) -> [[__m256; 2]; R] {
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    for (r, sums) in sums.iter_mut().enumerate() {
        // SAFETY: R rows lie `stride` apart.
        let before = || unsafe { lanes.load(out.as_ptr().add(r * stride)) };
        // SAFETY: a bias holds a value for each column.
        let bias = |bias: &[f32]| unsafe { lanes.load(bias.as_ptr()) };
        *sums = match start {
            Start::Zero => *sums,
            Start::Bias(b) => bias(b),
            Start::Residual(b) => {
                let (b, x) = (bias(b), before());
                [_mm256_add_ps(b[0], x[0]), _mm256_add_ps(b[1], x[1])]
            }
            Start::Accumulate => before(),
        };
    }
    sums
}

/// Writes the sums.
///
/// # Safety
/// The processor has AVX2; `out` holds `R` rows, `stride` apart, of the columns of `lanes`.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) unsafe fn end<const R: usize, const WHOLE: bool>(
    sums: &[[__m256; 2]; R],
    out: &mut [f32],
    stride: usize,
    lanes: Lanes<WHOLE>,
) {
    for (r, sums) in sums.iter().enumerate() {
        // SAFETY: R rows lie `stride` apart.
        unsafe { lanes.store(out.as_mut_ptr().add(r * stride), *sums) };
    }
}

/// See [`super::Kernels::depthwise_row`]: whole groups of eight channels, then the others.
///
/// # Safety
/// The processor has AVX2 and FMA; `input` holds `kernel` rows of `width + kernel - 1` pixels, `out` one row of `width`,
/// `weights` `kernel * kernel` rows and `bias` one row of `channels`.
#[target_feature(enable = "avx2,fma")]
unsafe fn depthwise_row(shape: Depthwise<'_>, input: &[f32], out: &mut [f32]) {
    let done = tiles::in_runs! { shape, input, out, LANES;
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

/// See [`super::Kernels::masked_sums`]: four columns at a time share the expansion of the bits into lane masks.
///
/// # Safety
/// The processor has AVX2; `columns` holds `out.len()` columns of `64 * row.len()` values.
#[target_feature(enable = "avx2,fma")]
unsafe fn masked_sums(row: &[u64], columns: &[f32], out: &mut [f32]) {
    tiles::in_groups! { row, columns, out; masked_group }
}

/// # Safety
/// The processor has AVX2; `columns` holds at least `G` columns of `64 * row.len()` values.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn masked_group<const G: usize>(row: &[u64], columns: &[f32], out: &mut [f32]) {
    /// Bits that one register expands.
    const BITS: usize = 32;
    let stride = row.len() * 64;
    // Two sums a column, so that an addition does not wait for the one before.
    let mut sums = [[_mm256_setzero_ps(); 2]; G];
    // Shifts that move bit 8 b + lane to the sign.
    let last = _mm256_setr_epi32(31, 30, 29, 28, 27, 26, 25, 24);
    let shifts = [0, 8, 16, 24].map(|b| _mm256_sub_epi32(last, _mm256_set1_epi32(b)));
    let halves = row.iter().flat_map(|word| [*word as i32, (word >> BITS) as i32]);
    for (at, half) in halves.enumerate() {
        let bits = _mm256_set1_epi32(half);
        for (b, shift) in shifts.into_iter().enumerate() {
            let mask = _mm256_castsi256_ps(_mm256_srai_epi32::<31>(_mm256_sllv_epi32(bits, shift)));
            for (g, sum) in sums.iter_mut().enumerate() {
                // SAFETY: 32 at + 8 b + 8 <= stride, and g < G columns of that stride exist.
                let values = unsafe { _mm256_loadu_ps(columns.as_ptr().add(g * stride + at * BITS + b * LANES)) };
                sum[b % 2] = _mm256_add_ps(sum[b % 2], _mm256_and_ps(mask, values));
            }
        }
    }
    for (sum, out) in sums.iter().zip(out) {
        let mut lanes = [0.0f32; LANES];
        // SAFETY: eight lanes into eight values.
        unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), _mm256_add_ps(sum[0], sum[1])) };
        *out = lanes.iter().sum();
    }
}

compile!(true, target_feature(enable = "avx2,fma"));

pub(super) static TABLE: Table = Table {
    name: "avx2",
    detected: || is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
    row_step: 6,
    strip,
    depthwise_row,
    masked_sums,
    compiled: COMPILED,
    ..native::TABLE
};
