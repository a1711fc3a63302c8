//! Stub until measured.
use super::Isa;
use super::packed::Float;
/// Rates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// f32
    pub f32: f64,
    /// bf16
    pub bf16: f64,
    /// int8
    pub int8: f64,
}
impl Rates {
    /// fastest
    #[must_use]
    pub fn fastest_float(&self) -> Float {
        if self.bf16 > 1.1 * self.f32 { Float::Bf16 } else { Float::F32 }
    }
    /// pays
    #[must_use]
    pub fn int8_pays(&self) -> bool {
        self.int8 > 1.1 * self.f32.max(self.bf16)
    }
}
impl Isa {
    /// measure
    #[must_use]
    pub fn measure(self) -> Rates {
        Rates {
            f32: 1.0,
            bf16: if self.fastest_float() == Float::Bf16 { 2.0 } else { 0.0 },
            int8: if self.prefers_int8() { 4.0 } else { 0.0 },
        }
    }
}
