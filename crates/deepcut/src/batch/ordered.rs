//! Work on many items at once, reported in their order, with bounded memory; a panic is the failure of one item.

use super::{Panicked, ThreadsError};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Name of the threads in which a panic is the failure of one item. A program may keep its panic hook quiet there: the message is in
/// [`Panicked`].
pub const WORKER_THREAD: &str = "deepcut-worker";

/// How long a cancelled batch waits for the items at hand before it says so.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many items' files wait for the disk at once: a disk takes many as fast as one.
const SETTLERS: usize = 4;

/// Threads to work with, and a way to stop them.
#[derive(Clone, Copy)]
pub struct Workers<'a> {
    /// Threads of all work together. None: one for each core.
    pub threads: Option<usize>,
    /// Called often, from any thread: once it returns true, no more items are begun.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl Workers<'_> {
    /// Works on `count` items, as many at once as there are threads, and reports their results in order. An error of `report` ends it.
    ///
    /// ```
    /// use deepcut::batch::Workers;
    ///
    /// let workers = Workers { threads: Some(4), cancelled: &|| false };
    /// let mut seen = Vec::new();
    /// let squares = |i| Ok::<_, Box<dyn std::error::Error + Send + Sync>>(i * i);
    /// workers.in_order(5, squares, |i, square| Ok(seen.push((i, square?)))).unwrap();
    /// assert_eq!(seen, [(0, 0), (1, 1), (2, 4), (3, 9), (4, 16)]);
    /// ```
    ///
    /// # Errors
    /// What `report` returns, or [`ThreadsError`].
    pub fn in_order<R: Send, E: From<Panicked> + From<ThreadsError> + Send>(
        &self,
        count: usize,
        work: impl Fn(usize) -> Result<R, E> + Sync,
        mut report: impl FnMut(usize, Result<R, E>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut failed = Ok(());
        self.until(
            count,
            |index| guarded(|| work(index)),
            |_, result| result,
            |step| match step {
                Step::Result(index, result) if failed.is_ok() => {
                    failed = report(index, result);
                    if failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                }
                Step::Result(..) | Step::Late => ControlFlow::Continue(()),
            },
        )?;
        failed
    }

    /// Works on `count` items, as many at once as there are threads, lets other threads `settle` what was made, and reports it in order; until
    /// it is cancelled or `report` says `Break`: then no more items are begun, and those at hand are still reported.
    pub(super) fn until<M: Send, R: Send>(
        &self,
        count: usize,
        make: impl Fn(usize) -> M + Sync,
        settle: impl Fn(usize, M) -> R + Sync,
        mut report: impl FnMut(Step<R>) -> ControlFlow<()>,
    ) -> Result<(), ThreadsError> {
        let threads = self.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        // An image on each thread beats threads inside an image: small images leave threads waiting for one another.
        let workers = threads.min(count).max(1);
        let pool =
            || rayon::ThreadPoolBuilder::new().num_threads(threads / workers).thread_name(|_| WORKER_THREAD.into()).build();
        let pools = (0..workers).map(|_| pool()).collect::<Result<Vec<_>, _>>().map_err(ThreadsError::new)?;
        let cancelled = self.cancelled;
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            // Few results wait, so memory does not grow with the batch.
            let (sender, made) = mpsc::sync_channel(workers);
            for pool in &pools {
                let (sender, next, make) = (sender.clone(), &next, &make);
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= count || cancelled() {
                            return;
                        }
                        let made = pool.install(|| make(index));
                        if sender.send((index, made)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            let made = Arc::new(Mutex::new(made));
            let (sender, receiver) = mpsc::sync_channel(workers);
            for _ in 0..SETTLERS.min(count) {
                let (sender, made, settle) = (sender.clone(), made.clone(), &settle);
                scope.spawn(move || {
                    loop {
                        let next = made.lock().unwrap_or_else(PoisonError::into_inner).recv();
                        let Ok((index, made)) = next else { return };
                        if sender.send((index, settle(index, made))).is_err() {
                            return;
                        }
                    }
                });
            }
            // The workers end with the last settler.
            drop((sender, made));
            let mut waiting = BTreeMap::new();
            let mut due = 0;
            let (mut asked, mut is_late): (Option<Instant>, bool) = (None, false);
            loop {
                match receiver.recv_timeout(Duration::from_millis(50)) {
                    Ok((index, result)) => {
                        waiting.insert(index, result);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                while let Some(result) = waiting.remove(&due) {
                    if report(Step::Result(due, result)).is_break() {
                        next.store(count, Ordering::Relaxed);
                    }
                    due += 1;
                }
                if !is_late && cancelled() && asked.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                    is_late = true;
                    // What is done is reported, though something before it is not.
                    for (index, result) in std::mem::take(&mut waiting) {
                        let _ = report(Step::Result(index, result));
                    }
                    let _ = report(Step::Late);
                }
            }
            for (index, result) in waiting {
                let _ = report(Step::Result(index, result));
            }
        });
        Ok(())
    }
}

/// What [`Workers::until`] reports.
pub(super) enum Step<R> {
    /// What became of an item; in the order of the items.
    Result(usize, R),
    /// It was cancelled a while ago, and items are still being worked on. Reported once.
    Late,
}

/// Turns a panic into an error: a bug in a decoder must not end the batch.
///
/// # Errors
/// What `work` returns, or [`Panicked`].
pub(crate) fn guarded<R, E: From<Panicked>>(work: impl FnOnce() -> Result<R, E>) -> Result<R, E> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        Err(Panicked { message: text.or_else(|| panic.downcast_ref::<String>().cloned()) }.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[derive(Debug, PartialEq)]
    enum Failure {
        Panicked(Panicked),
        Threads,
        Own,
    }

    impl From<Panicked> for Failure {
        fn from(panic: Panicked) -> Self {
            Self::Panicked(panic)
        }
    }

    impl From<ThreadsError> for Failure {
        fn from(_: ThreadsError) -> Self {
            Self::Threads
        }
    }

    #[test]
    fn results_come_in_order_and_a_panic_is_one_failure() {
        for threads in [1, 3, 8] {
            let workers = Workers { threads: Some(threads), cancelled: &|| false };
            let mut seen = Vec::new();
            let work = |i: usize| {
                // The first ones take longest.
                std::thread::sleep(Duration::from_millis(20 / (i as u64 + 1)));
                assert!(i != 5, "number {i}");
                if i == 7 { Err(Failure::Own) } else { Ok(i) }
            };
            let report = |index, result| {
                seen.push((index, result));
                Ok(())
            };
            workers.in_order(12, work, report).unwrap();
            assert_eq!(seen.iter().map(|(index, _)| *index).collect::<Vec<_>>(), (0..12).collect::<Vec<_>>());
            let failed: Vec<_> = seen.into_iter().filter(|(_, result)| result.is_err()).map(|(_, result)| result).collect();
            let panic = Panicked { message: Some("number 5".into()) };
            assert_eq!(panic.to_string(), "the program failed on this image (number 5); please report it with the file");
            assert_eq!(failed, [Err(Failure::Panicked(panic)), Err(Failure::Own)]);
        }
    }

    #[test]
    fn an_error_of_the_report_or_a_cancellation_begins_no_more() {
        let begun = AtomicUsize::new(0);
        let work = |i| {
            begun.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(2));
            Ok::<_, Failure>(i)
        };
        let workers = Workers { threads: Some(2), cancelled: &|| false };
        let report = |index, _| if index == 3 { Err(Failure::Own) } else { Ok(()) };
        assert_eq!(workers.in_order(10_000, work, report), Err(Failure::Own));
        assert!(begun.load(Ordering::SeqCst) < 1_000, "{begun:?}");

        let (stop, mut seen) = (AtomicBool::new(false), 0);
        let cancelled = || stop.load(Ordering::SeqCst);
        let workers = Workers { threads: Some(2), cancelled: &cancelled };
        let report = |index, _| {
            seen += 1;
            stop.store(index >= 3, Ordering::SeqCst);
            Ok(())
        };
        workers.in_order(10_000, work, report).unwrap();
        assert!((4..1_000).contains(&seen), "{seen}");
    }
}
