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

/// Rounding of the factors in the products of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Same as [`Float::F32`].
    #[default]
    F32,
    /// Same as [`Float::Bf16`].
    Bf16,
    /// Weights and inputs are 8-bit integers in layers that stay accurate with them (see [`super::quantized`]); all other products use
    /// [`Isa::fastest_float`](super::Isa::fastest_float). A processor with AVX2 multiplies two such integers in place of one f32, with AVX512-VNNI four.
    Int8,
}

impl From<Float> for Precision {
    fn from(float: Float) -> Self {
        match float {
            Float::F32 => Self::F32,
            Float::Bf16 => Self::Bf16,
        }
    }
}
