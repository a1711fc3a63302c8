//! Rounding of single values: to bf16, two of which share a `u32`, and to integers.

/// 1.5 · 2²³. The low bits of `x + ROUND` are the integer nearest to x, ties to even.
pub(super) const ROUND: f32 = 12_582_912.0;

/// The bf16 nearest to a value, ties to even. NaN becomes some NaN or infinity.
#[inline(always)]
pub(super) fn to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// The two values of a pair of bf16, the low half first.
#[inline(always)]
pub(super) fn halves(pair: u32) -> [f32; 2] {
    [f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000)]
}
