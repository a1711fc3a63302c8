//! The processor: which instructions, how many threads, and which precision is fastest. Made once, cheap to clone, passed to everything that
//! computes.

use crate::kernels::Kernels;
use crate::kernels::packed::Float;
use crate::kernels::parallel::Threads;
use std::fmt;
use std::sync::{Arc, OnceLock};

pub use crate::kernels::parallel::Idle;
pub use crate::kernels::rates::Rates;

/// How the factors of large products are rounded; sums are in f32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Precision {
    /// The fastest that keeps the masks, by the rates measured on this processor: int8 for the embedded network and for graphs with a threshold, else
    /// bf16 or f32.
    #[default]
    Auto,
    /// Factors stay in f32; nothing is rounded.
    F32,
    /// Factors are rounded to bf16: eight significant bits.
    Bf16,
    /// Layers that stay accurate, cosines that are compared and sums over the edges of a graph with a threshold are rounded to 8-bit integers; all
    /// other products use the faster of f32 and bf16.
    Int8,
}

impl Precision {
    /// Every precision.
    pub const ALL: [Self; 4] = [Self::Auto, Self::F32, Self::Bf16, Self::Int8];

    /// `auto`, `f32`, `bf16` or `int8`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

impl From<Float> for Precision {
    fn from(float: Float) -> Self {
        match float {
            Float::F32 => Self::F32,
            Float::Bf16 => Self::Bf16,
        }
    }
}

/// An instruction set that this machine has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Isa(Kernels);

impl Isa {
    /// The fastest set of this machine.
    #[must_use]
    pub fn detect() -> Self {
        Self(Kernels::detect())
    }

    /// Every set of this machine, slowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        Kernels::available().into_iter().map(Self).collect()
    }

    /// The set that runs on every machine, with the same results to the last bit: it has its own order of sums and no fused multiply-adds.
    #[must_use]
    pub fn portable() -> Self {
        Self(Kernels::portable())
    }

    /// The set of this name, if this machine has it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Kernels::by_name(name).map(Self)
    }

    /// Measures the products of this set on the calling thread, in a few milliseconds, and says whether the rates are confirmed. On a machine
    /// that is very busy they may not be; then they should not be kept for later.
    #[must_use]
    pub fn measure(self) -> (Rates, bool) {
        self.0.measure()
    }

    /// Name of the set: `native`, `avx2`, `avx512`, `avx512_vnni`, `avx512_bf16`, `neon`, `simd128` or `relaxed_simd`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name()
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Isa({})", self.name())
    }
}

/// Why there is no such [`Cpu`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CpuError {
    /// The threads do not start.
    #[error("cannot start {threads} threads: {reason}; ask for fewer")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// What the system says.
        reason: String,
    },
}

/// Instruction set, threads, and measured rates. Clones share threads and rates.
///
/// ```
/// use deepcut::{Cpu, Idle, Isa};
///
/// // All threads of this process' pool, the widest instructions: for a program of its own.
/// let cpu = Cpu::default();
/// // Four threads of its own that sleep between steps: inside another program, as a server or a notebook.
/// let polite = Cpu::builder().threads(4).idle(Idle::Sleep).build()?;
/// // The same results on every processor: one set of instructions that all have.
/// let portable = Cpu::builder().isa(Isa::portable()).build()?;
/// assert_eq!((polite.threads(), portable.isa().name()), (4, "native"));
/// # Ok::<(), deepcut::CpuError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cpu {
    pub(crate) isa: Kernels,
    threads: Threads,
    rates: Arc<OnceLock<Rates>>,
}

impl Default for Cpu {
    /// The widest instructions of this machine; the threads of Rayon's pool that the caller runs in.
    fn default() -> Self {
        let isa = Kernels::detect();
        Self { isa, threads: Threads::default(), rates: measured_by_process(isa) }
    }
}

/// Rates of an instruction set are measured once a process.
fn measured_by_process(isa: Kernels) -> Arc<OnceLock<Rates>> {
    static KNOWN: OnceLock<Vec<(Kernels, Arc<OnceLock<Rates>>)>> = OnceLock::new();
    let known = KNOWN.get_or_init(|| Kernels::available().into_iter().map(|isa| (isa, Arc::default())).collect());
    known.iter().find(|(other, _)| *other == isa).map(|(_, rates)| rates.clone()).unwrap_or_default()
}

impl Cpu {
    /// One thread, and the widest instructions of this machine.
    #[must_use]
    pub fn single() -> Self {
        Self { threads: Threads::single(), ..Self::default() }
    }

    /// Starts a builder for a processor with other instructions, threads or rates.
    #[must_use]
    pub fn builder() -> CpuBuilder {
        CpuBuilder::default()
    }

    /// The instruction set.
    #[must_use]
    pub fn isa(&self) -> Isa {
        Isa(self.isa)
    }

    /// Threads that work together on one image.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads.count()
    }

    /// What the kernels do on this processor. They are measured at the first call in a process, which takes a few milliseconds.
    #[must_use]
    pub fn rates(&self) -> Rates {
        if let Some(rates) = self.rates.get() {
            return *rates;
        }
        let (rates, confirmed) = self.isa.measure();
        // On a busy machine the next call may do better.
        if confirmed { *self.rates.get_or_init(|| rates) } else { rates }
    }

    /// The rounding of floating-point products in a precision: for [`Precision::Auto`] and [`Precision::Int8`] the faster.
    #[must_use]
    pub(crate) fn float(&self, precision: Precision) -> Float {
        match precision {
            Precision::F32 => Float::F32,
            Precision::Bf16 => Float::Bf16,
            Precision::Auto | Precision::Int8 => self.rates().fastest_float(),
        }
    }

    /// Whether products that hardly depend on the rounding of one value are in int8.
    #[must_use]
    pub(crate) fn takes_int8(&self, precision: Precision) -> bool {
        match precision {
            Precision::F32 | Precision::Bf16 => false,
            Precision::Auto => self.rates().int8_pays(),
            Precision::Int8 => self.isa.has_int8(),
        }
    }

    /// The precision of a network, never [`Precision::Auto`]; `int8` says whether integers keep what the network is for.
    #[must_use]
    pub fn network_precision(&self, precision: Precision, int8: bool) -> Precision {
        match precision {
            Precision::Auto if int8 && self.takes_int8(precision) => Precision::Int8,
            Precision::Auto => self.float(precision).into(),
            precision => precision,
        }
    }

    /// Calls `lead`, keeping this processor's threads awake for what it computes.
    pub(crate) fn together<R>(&self, lead: impl FnOnce() -> R) -> R {
        self.threads.together(lead)
    }
}

/// See [`Cpu::builder`].
#[derive(Debug, Clone, Default)]
pub struct CpuBuilder {
    isa: Option<Isa>,
    threads: Option<usize>,
    idle: Idle,
    rates: Option<Rates>,
}

impl CpuBuilder {
    /// Another instruction set than the widest of this machine.
    #[must_use]
    pub fn isa(self, isa: Isa) -> Self {
        Self { isa: Some(isa), ..self }
    }

    /// Uses `threads` threads of its own, the calling thread included; at least one. Default: the Rayon pool that the caller runs in.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        Self { threads: Some(threads.max(1)), ..self }
    }

    /// How threads wait for the next step of the work. [`Idle::Sleep`] is for use inside other processes.
    #[must_use]
    pub fn idle(self, idle: Idle) -> Self {
        Self { idle, ..self }
    }

    /// Rates measured earlier on the same processor, so that a process need not measure again.
    #[must_use]
    pub fn rates(self, rates: Rates) -> Self {
        Self { rates: Some(rates), ..self }
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// [`CpuError::Threads`] if the system does not start them, or the library was built without the feature `parallel`.
    pub fn build(self) -> Result<Cpu, CpuError> {
        let isa = self.isa.map_or_else(Kernels::detect, |isa| isa.0);
        let threads = match self.threads {
            None => Threads::current(self.idle),
            Some(count) => Threads::new(count, self.idle).map_err(|reason| CpuError::Threads { threads: count, reason })?,
        };
        let rates = match self.rates {
            Some(rates) => Arc::new(OnceLock::from(rates)),
            None => measured_by_process(isa),
        };
        Ok(Cpu { isa, threads, rates })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Measured on an Intel Xeon with AVX512-BF16 and no AMX, and on an AMD of Zen 4: what is there is not what is fast.
    #[test]
    fn precision_follows_the_rates() {
        let with = |f32, bf16, int8| Cpu::builder().rates(Rates { f32, bf16, int8 }).build().unwrap();
        let intel = with(100.0, 80.0, 250.0);
        assert_eq!(intel.network_precision(Precision::Auto, false), Precision::F32);
        assert_eq!(intel.network_precision(Precision::Auto, true), Precision::Int8);
        assert_eq!((intel.float(Precision::Auto), intel.float(Precision::Bf16)), (Float::F32, Float::Bf16));
        assert_eq!(intel.network_precision(Precision::Bf16, true), Precision::Bf16);
        let amd = with(100.0, 200.0, 210.0);
        assert_eq!(amd.network_precision(Precision::Auto, false), Precision::Bf16);
        assert_eq!(amd.float(Precision::Int8), Float::Bf16);
        let plain = with(100.0, 0.0, 0.0);
        assert_eq!(plain.network_precision(Precision::Auto, true), Precision::F32);
    }

    #[test]
    fn rates_are_measured_once_and_shared() {
        let (a, b) = (Cpu::default(), Cpu::single());
        assert_eq!(a.rates(), b.rates());
        assert_eq!(a.clone().rates(), Cpu::builder().build().unwrap().rates());
        assert_eq!((b.threads(), Cpu::builder().threads(0).build().unwrap().threads()), (1, 1));
    }
}
