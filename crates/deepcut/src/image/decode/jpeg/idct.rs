//! Inverse DCT of 8 × 8 blocks in integers: Loeffler, Ligtenberg and Moschytz (ICASSP 1989), eleven multiplications a row.
//!
//! The same steps, constants of 13 bits and roundings as libjpeg-turbo's accurate integer method (`islow`) in its vector form: sums of
//! inputs wrap in 16 bits, products are added in 32, results saturate. So the samples are the same, byte for byte, for any coefficients.

use crate::kernels::widest::{Work, widest};

/// Bits of the constants' fractions.
const FRACTION: u32 = 13;
/// Bits by which the first pass leaves its results larger.
const PASS1: u32 = 2;

/// One number of each row, or of each column.
type Lanes = [i16; 8];

/// Coefficients of a block, or their quantization steps, in natural order.
pub(super) type Block = [i16; 64];

/// Samples of a block whose coefficients are all zero.
pub(super) const GREY: u8 = 128;

/// Dequantizes and transforms a block, into eight rows of a plane that begin `stride` bytes after each other.
pub(super) fn inverse(coefficients: &Block, steps: &Block, plane: &mut [u8], stride: usize) {
    widest(Inverse { coefficients, steps, plane, stride });
}

struct Inverse<'a> {
    coefficients: &'a Block,
    steps: &'a Block,
    plane: &'a mut [u8],
    stride: usize,
}

impl Work for Inverse<'_> {
    #[inline(always)]
    fn run(self) {
        let mut rows = [[0; 8]; 8];
        for ((value, &coefficient), &step) in rows.as_flattened_mut().iter_mut().zip(self.coefficients).zip(self.steps) {
            *value = coefficient.wrapping_mul(step);
        }
        let columns = if self.coefficients[8..].iter().fold(0, |any, c| any | c) == 0 {
            // Without vertical frequencies all rows are alike.
            transpose(&[rows[0].map(|c| c << PASS1); 8])
        } else {
            transpose(&pass::<{ FRACTION - PASS1 }>(&rows))
        };
        let samples = transpose(&pass::<{ FRACTION + PASS1 + 3 }>(&columns));
        for (row, samples) in self.plane.chunks_mut(self.stride).zip(&samples) {
            for (out, sample) in row.iter_mut().zip(samples) {
                *out = to_byte(*sample);
            }
        }
    }
}

/// [`inverse`] of a block that has a mean alone: `dc` is its quantized DC coefficient.
pub(super) fn inverse_flat(dc: i16, step: i16, plane: &mut [u8], stride: usize) {
    let scaled = i32::from(dc.wrapping_mul(step) << PASS1);
    let sample = to_byte(((scaled + (1 << (PASS1 + 2))) >> (PASS1 + 3)) as i16);
    for row in plane.chunks_mut(stride).take(8) {
        if let Some(row) = row.first_chunk_mut::<8>() {
            *row = [sample; 8];
        }
    }
}

#[inline(always)]
fn to_byte(sample: i16) -> u8 {
    sample.clamp(-128, 127) as u8 ^ 0x80
}

/// Rows become columns: three times, halves of the sixty-four numbers are interleaved.
#[inline(always)]
fn transpose(m: &[Lanes; 8]) -> [Lanes; 8] {
    let interleave = |m: &[Lanes; 8]| -> [Lanes; 8] {
        std::array::from_fn(|r| {
            let (a, b, half) = (&m[r / 2], &m[r / 2 + 4], r % 2 * 4);
            [a[half], b[half], a[half + 1], b[half + 1], a[half + 2], b[half + 2], a[half + 3], b[half + 3]]
        })
    };
    interleave(&interleave(&interleave(m)))
}

/// One-dimensional transforms of eight vectors at once, each result divided by 2^`SHIFT`.
#[inline(always)]
fn pass<const SHIFT: u32>(x: &[Lanes; 8]) -> [Lanes; 8] {
    /// A constant's 13 bits.
    const fn fix(c: f64) -> i32 {
        (c * (1 << FRACTION) as f64 + 0.5) as i32
    }
    const F_0_298: i32 = fix(0.298_631_336);
    const F_0_390: i32 = fix(0.390_180_644);
    const F_0_541: i32 = fix(0.541_196_100);
    const F_0_765: i32 = fix(0.765_366_865);
    const F_0_899: i32 = fix(0.899_976_223);
    const F_1_175: i32 = fix(1.175_875_602);
    const F_1_501: i32 = fix(1.501_321_110);
    const F_1_847: i32 = fix(1.847_759_065);
    const F_1_961: i32 = fix(1.961_570_560);
    const F_2_053: i32 = fix(2.053_119_869);
    const F_2_562: i32 = fix(2.562_915_447);
    const F_3_072: i32 = fix(3.072_711_026);
    let mut out = [[0; 8]; 8];
    for i in 0..8 {
        // Two products: what one vector instruction does to pairs.
        let dot = |a: i16, b: i16, ca: i32, cb: i32| (i32::from(a) * ca).wrapping_add(i32::from(b) * cb);
        // Even part.
        let even = [i32::from(x[0][i].wrapping_add(x[4][i])) << FRACTION, i32::from(x[0][i].wrapping_sub(x[4][i])) << FRACTION];
        let turned = [dot(x[2][i], x[6][i], F_0_541 + F_0_765, F_0_541), dot(x[2][i], x[6][i], F_0_541, F_0_541 - F_1_847)];
        let even = [
            even[0].wrapping_add(turned[0]),
            even[1].wrapping_add(turned[1]),
            even[1].wrapping_sub(turned[1]),
            even[0].wrapping_sub(turned[0]),
        ];
        // Odd part.
        let (z3, z4) = (x[7][i].wrapping_add(x[3][i]), x[5][i].wrapping_add(x[1][i]));
        let (w3, w4) = (dot(z3, z4, F_1_175 - F_1_961, F_1_175), dot(z3, z4, F_1_175, F_1_175 - F_0_390));
        let odd = [
            dot(x[7][i], x[1][i], -F_0_899, F_1_501 - F_0_899).wrapping_add(w4),
            dot(x[5][i], x[3][i], -F_2_562, F_3_072 - F_2_562).wrapping_add(w3),
            dot(x[5][i], x[3][i], F_2_053 - F_2_562, -F_2_562).wrapping_add(w4),
            dot(x[7][i], x[1][i], F_0_298 - F_0_899, -F_0_899).wrapping_add(w3),
        ];
        let descale = |sum: i32| {
            let rounded = sum.wrapping_add(1 << (SHIFT - 1)) >> SHIFT;
            rounded.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
        };
        for k in 0..4 {
            out[k][i] = descale(even[k].wrapping_add(odd[k]));
            out[7 - k][i] = descale(even[k].wrapping_sub(odd[k]));
        }
    }
    out
}
