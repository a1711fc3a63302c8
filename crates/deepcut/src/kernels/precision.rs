//! Rounding of the factors of products.

/// Rounding of the floating-point factors of a product. Sums are always in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Float {
    /// Factors keep all their bits.
    #[default]
    F32,
    /// Factors keep eight significant bits. Processors with AVX512-BF16 multiply two of them in place of one f32.
    Bf16,
}
