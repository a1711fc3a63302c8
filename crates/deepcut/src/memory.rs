//! A budget of bytes that threads share, so that a large image waits for memory instead of failing.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

/// A budget of bytes shared by threads.
///
/// Requests are granted in order of arrival. A request larger than the whole budget is granted when nothing else is reserved. A thread
/// that already holds a reservation never waits, because it might wait for itself: its request is granted at once.
#[derive(Debug)]
pub struct Memory {
    budget: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    held: u64,
    holders: Vec<ThreadId>,
    /// Tickets of the waiting threads, oldest first.
    queue: VecDeque<u64>,
    next: u64,
}

impl Memory {
    /// Makes a budget of `budget` bytes.
    #[must_use]
    pub fn new(budget: u64) -> Arc<Self> {
        Arc::new(Self { budget, state: Mutex::default(), changed: Condvar::new() })
    }

    /// The whole budget in bytes.
    #[must_use]
    pub fn budget(&self) -> u64 {
        self.budget
    }

    /// Bytes reserved at present.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.state().held
    }

    /// Waits until `bytes` are free and reserves them until the reservation is dropped.
    #[must_use]
    pub fn acquire(self: &Arc<Self>, bytes: u64) -> Reservation {
        let holder = std::thread::current().id();
        let mut state = self.state();
        if !state.holders.contains(&holder) {
            let ticket = state.next;
            state.next += 1;
            state.queue.push_back(ticket);
            while state.queue.front() != Some(&ticket) || (state.held > 0 && state.held.saturating_add(bytes) > self.budget) {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.queue.pop_front();
            // The next in the queue may fit as well.
            self.changed.notify_all();
        }
        state.held = state.held.saturating_add(bytes);
        state.holders.push(holder);
        Reservation { memory: self.clone(), bytes, holder }
    }

    // Nothing that holds the lock can panic half-way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reserved bytes of a [`Memory`]; dropping it frees them.
#[derive(Debug)]
pub struct Reservation {
    memory: Arc<Memory>,
    bytes: u64,
    holder: ThreadId,
}

impl Reservation {
    /// Frees all but `bytes`.
    pub fn shrink(&mut self, bytes: u64) {
        let freed = self.bytes.saturating_sub(bytes);
        self.bytes -= freed;
        self.memory.state().held -= freed;
        self.memory.changed.notify_all();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.memory.state();
        state.held = state.held.saturating_sub(self.bytes);
        if let Some(at) = state.holders.iter().position(|&holder| holder == self.holder) {
            state.holders.swap_remove(at);
        }
        drop(state);
        self.memory.changed.notify_all();
    }
}

/// A clustering needs more memory than the whole budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "clustering {nodes} patches by {method} takes {:.0} MB, more than the {:.0} MB there are; take a lower resolution, a larger stride or another method, or allow more (--max-memory)",
    (*needed as f64 / 1e6).ceil(), (*limit as f64 / 1e6).floor()
)]
pub struct MemoryError {
    /// Number of patches.
    pub nodes: usize,
    /// The method's name.
    pub method: &'static str,
    /// Bytes that clustering needs; see [`Recipe::memory`](crate::Recipe::memory).
    pub needed: u64,
    /// Bytes available.
    pub limit: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn threads_stay_within_the_budget_and_none_starves() {
        let memory = Memory::new(100);
        let (now, peak) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for i in 0..16_u64 {
                let (memory, now, peak) = (&memory, &now, &peak);
                scope.spawn(move || {
                    for round in 0..50 {
                        let bytes = 1 + (i * 37 + round * 11) % 100;
                        let mut room = memory.acquire(bytes);
                        peak.fetch_max(now.fetch_add(bytes, Ordering::SeqCst) + bytes, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(bytes, Ordering::SeqCst);
                        room.shrink(0);
                    }
                });
            }
        });
        assert!(peak.into_inner() <= 100);
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn more_than_everything_is_granted_alone_and_a_holder_never_waits() {
        let memory = Memory::new(10);
        let all = memory.acquire(1000);
        // The same thread: waiting would be for ever.
        let more = memory.acquire(5);
        assert_eq!(memory.held(), 1005);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| memory.acquire(10).bytes);
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert!(!other.is_finished());
            drop((all, more));
            assert_eq!(other.join().unwrap(), 10);
        });
        assert_eq!(memory.held(), 0);
    }
}
