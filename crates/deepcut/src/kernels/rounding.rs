//! Single values rounded: to bf16, two of which make a pair, and to integers.

/// 1.5 · 2²³: adding it leaves the nearest integer, of two the even one, in the low bits of the sum.
pub(super) const ROUND: f32 = 12_582_912.0;

/// The nearest bf16, ties to even, of a value that is not NaN; NaN gives some NaN or infinity.
#[inline(always)]
pub(super) fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// The two values of a pair of bf16, that of the low half first.
#[inline(always)]
pub(super) fn halves(pair: u32) -> [f32; 2] {
    [f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000)]
}
