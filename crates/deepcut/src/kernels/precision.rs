//! How the factors of products are rounded.

/// How a product's floating-point factors are rounded; sums are in f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Float {
    /// Not at all.
    #[default]
    F32,
    /// To eight significant bits, of which processors with AVX512-BF16 multiply twice as many.
    Bf16,
}

/// How the factors of a network's products are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As [`Float::F32`].
    #[default]
    F32,
    /// As [`Float::Bf16`].
    Bf16,
    /// Layers that keep their accuracy so: weights and what they are multiplied with to integers of eight bits, of which processors with AVX2 multiply
    /// twice as many, with AVX512-VNNI four times; see [`super::quantized`]. All other products: as is fastest, [`Isa::fastest_float`](super::Isa::fastest_float).
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
