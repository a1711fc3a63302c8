//! Memory that the clusterings of several pictures share: one waits until those before it have left enough.

use std::sync::{Condvar, Mutex, PoisonError};

/// Bytes that may be taken at a time.
#[derive(Debug)]
pub struct Memory {
    total: u64,
    left: Mutex<u64>,
    returned: Condvar,
}

/// More than there is at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "clustering {nodes} patches by {method} takes {:.1} GB, more than the {:.1} GB there are; take a lower resolution, a larger stride or another method, or allow more (the command's --memory)",
    *needed as f64 / 1e9, *limit as f64 / 1e9
)]
pub struct MemoryError {
    /// Patches of the picture.
    pub nodes: usize,
    /// The method's name.
    pub method: &'static str,
    /// Bytes that clustering may take; see [`crate::segment::stages::memory`].
    pub needed: u64,
    /// Bytes there are.
    pub limit: u64,
}

/// A part of the memory, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share<'a>(&'a Memory, u64);

impl Memory {
    /// So many bytes.
    #[must_use]
    pub fn new(total: u64) -> Self {
        Self { total, left: Mutex::new(total), returned: Condvar::new() }
    }

    /// All of it, in bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Takes some, of which there must be so much in all, as soon as it is left.
    pub(crate) fn take(&self, bytes: u64) -> Share<'_> {
        let bytes = bytes.min(self.total);
        // A panic elsewhere has given back its share.
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = self.returned.wait_while(left, |left| *left < bytes).unwrap_or_else(PoisonError::into_inner);
        *left -= bytes;
        Share(self, bytes)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.0.left.lock().unwrap_or_else(PoisonError::into_inner) += self.1;
        self.0.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn shares_never_sum_to_more_than_there_is() {
        let (memory, taken) = (Memory::new(10), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let (memory, taken) = (&memory, &taken);
                scope.spawn(move || {
                    for round in 0..200 {
                        let bytes = 1 + (thread * 7 + round) % 10;
                        let share = memory.take(bytes);
                        assert!(taken.fetch_add(bytes, Ordering::SeqCst) + bytes <= 10);
                        taken.fetch_sub(bytes, Ordering::SeqCst);
                        drop(share);
                    }
                });
            }
        });
        assert_eq!(*memory.left.lock().unwrap(), 10);
    }
}
