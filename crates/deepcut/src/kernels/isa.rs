//! Handle on the kernels of one instruction set. `rowwise.rs`, `bits.rs`, `gemm.rs`, `int8.rs` and `rates.rs` add its methods.

use super::native;
use super::table::Table;
use std::fmt;

#[cfg(target_arch = "aarch64")]
use super::neon;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
use super::simd128;
#[cfg(target_arch = "x86_64")]
use super::{avx2_int8, avx512, avx512_bf16, avx512_vnni};

/// Every set, slowest first.
static SETS: &[&Table] = &[
    &native::TABLE,
    #[cfg(target_arch = "x86_64")]
    &avx2_int8::TABLE,
    #[cfg(target_arch = "x86_64")]
    &avx512::TABLE,
    #[cfg(target_arch = "x86_64")]
    &avx512_vnni::TABLE,
    #[cfg(target_arch = "x86_64")]
    &avx512_bf16::TABLE,
    #[cfg(target_arch = "aarch64")]
    &neon::TABLE,
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    &simd128::TABLE,
];

/// A set of kernels that this machine can run.
///
/// A `Kernels` exists only for a set that the processor has. That makes its methods safe.
#[derive(Clone, Copy)]
pub struct Kernels(&'static Table);

impl Kernels {
    /// The fastest set of this machine.
    #[must_use]
    pub fn detect() -> Self {
        Self::available().pop().unwrap_or(Self::portable())
    }

    /// Every set of this machine, slowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        SETS.iter().filter(|table| (table.detected)()).map(|table| Self(table)).collect()
    }

    /// The set that runs on every machine, with the same results to the last bit: it has its own order of sums and no fused multiply-adds.
    #[must_use]
    pub fn portable() -> Self {
        Self(&native::TABLE)
    }

    /// The set of this name, if this machine has it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::available().into_iter().find(|isa| isa.name() == name)
    }

    /// Whether the set has a kernel of its own for products in int8; the plain one is far slower than f32.
    #[must_use]
    pub fn has_int8(self) -> bool {
        self.0.int8
    }

    /// Name of the set: `native`, `avx2`, `avx512`, `avx512_vnni`, `avx512_bf16`, `neon`, `simd128` or `relaxed_simd`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// Functions of the set. The processor has their instructions, since the table's `detected` returned true when this handle was made; the caller
    /// asserts the contract on the arguments.
    pub(super) fn table(self) -> &'static Table {
        self.0
    }
}

impl PartialEq for Kernels {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Kernels {}

impl fmt::Debug for Kernels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernels({})", self.name())
    }
}

/// Calls a function of [`super::compiled::Compiled`].
macro_rules! compiled {
    ($isa:ident.$name:ident($($argument:expr),*)) => {{
        #[allow(unsafe_code)]
        // SAFETY: a `Kernels` exists only for a set that was detected, and these functions have no other contract.
        unsafe {
            ($isa.table().compiled.$name)($($argument),*);
        }
    }};
}
pub(super) use compiled;
