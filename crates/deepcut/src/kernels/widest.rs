//! Loops over integers, or over floats without fused multiply-adds, compiled for AVX2 too. Their results do not depend on the instruction set.

/// Work that is compiled more than once: [`Work::run`] and the functions it calls must be `#[inline(always)]`.
pub(crate) trait Work {
    /// Does the work.
    fn run(self);
}

/// Runs a piece of work with AVX2 where the processor has it.
#[inline]
pub(crate) fn widest(work: impl Work) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has these instructions.
        return unsafe { avx2(work) };
    }
    work.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(work: impl Work) {
    work.run();
}
