//! Loops over integers, which are the same on any instruction set, compiled for the widest vectors too.

/// Work to be compiled more than once: its [`Work::run`] and what that calls must be `#[inline(always)]`.
pub(crate) trait Work {
    /// Does it.
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
