//! Work over independent pieces: [`for_each`] for one step of them, and [`crew`] for many short steps one after another, between which threads
//! stay awake.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// [`Crew::for_each_with`] of a crew of its own, for one long step.
pub fn for_each<I, B>(items: I, work: impl Fn(&mut B, I::Item) + Sync)
where
    I: Iterator + Send,
    B: Default + Send,
{
    crew(|crew| crew.for_each_with(items, &mut Vec::new(), work));
}

/// Looks at the crew's next step this often before it offers the processor to other programs.
const SPINS: usize = 1 << 12;

/// Threads that take part in every step of a longer piece of work. Waking a thread costs as long as a short step takes: they wait spinning.
#[derive(Debug, Default)]
pub struct Crew {
    step: Mutex<Option<Step>>,
    /// Steps begun, so that a helper joins each of them once.
    begun: AtomicUsize,
    /// Helpers at work on the step.
    inside: AtomicUsize,
    /// Helpers still to be had.
    vacancies: AtomicUsize,
    over: AtomicBool,
}

/// What every thread of the crew calls.
#[derive(Debug, Clone, Copy)]
struct Step(*const (dyn Fn() + Sync));

#[allow(unsafe_code)]
// SAFETY: what it points to is `Sync`, and `Crew::run` keeps it alive for as long as a thread may call it.
unsafe impl Send for Step {}

/// Calls `lead` with a crew made of the current pool's threads that have nothing else to do, as many as they are when a step begins. Within
/// `lead` only the crew may be asked for help: the pool's other ways would wait for threads that wait for it.
pub fn crew<R>(lead: impl FnOnce(&Crew) -> R) -> R {
    /// Sends the helpers home, however `lead` ends.
    struct End<'a>(&'a Crew);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.over.store(true, Ordering::Release);
        }
    }
    let helpers = rayon::current_num_threads() - 1;
    let crew = Crew { vacancies: AtomicUsize::new(helpers), ..Crew::default() };
    if helpers == 0 {
        return lead(&crew);
    }
    rayon::in_place_scope(|scope| {
        let _end = End(&crew);
        // This thread may be outside the pool, all of which would then come: one too many.
        scope.spawn_broadcast(|_, _| {
            if crew.vacancies.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                crew.help();
            }
        });
        lead(&crew)
    })
}

impl Crew {
    /// Nobody but the calling thread.
    #[must_use]
    pub fn alone() -> Self {
        Self::default()
    }

    /// Calls `work` with every item, in some order; a thread takes the next item when it is done with its last.
    pub fn for_each<I: Iterator + Send>(&self, items: I, work: impl Fn(I::Item) + Sync) {
        self.for_each_with(items, &mut Vec::new(), |(): &mut (), item| work(item));
    }

    /// The same, each thread with a buffer of its own: one of `buffers`, which outlive the call, so that the next one need not allocate.
    pub fn for_each_with<I, B>(&self, items: I, buffers: &mut Vec<B>, work: impl Fn(&mut B, I::Item) + Sync)
    where
        I: Iterator + Send,
        B: Default + Send,
    {
        let items = Mutex::new(items);
        let spare = Mutex::new(buffers);
        self.run(&|| {
            let mut buffer = lock(&spare).pop().unwrap_or_default();
            loop {
                let item = lock(&items).next();
                let Some(item) = item else { break };
                work(&mut buffer, item);
            }
            lock(&spare).push(buffer);
        });
    }

    /// Calls `step` on this thread and on every helper that comes before it returns here.
    fn run(&self, step: &(dyn Fn() + Sync)) {
        /// Waits for the helpers, even if the step panicked here: it must outlive their calls.
        struct Done<'a>(&'a Crew);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                *lock(&self.0.step) = None;
                wait_until(|| self.0.inside.load(Ordering::Acquire) == 0);
            }
        }
        #[allow(unsafe_code)]
        // SAFETY: only the lifetime changes. A helper takes the step, and is counted as inside, under the lock; `Done` takes it away under the
        // lock and then waits until nobody is inside. So nobody calls it after this function.
        let erased = unsafe { std::mem::transmute::<&(dyn Fn() + Sync), &'static (dyn Fn() + Sync)>(step) };
        let _done = Done(self);
        *lock(&self.step) = Some(Step(erased));
        self.begun.fetch_add(1, Ordering::Release);
        step();
    }

    /// Joins every step until the work is over.
    fn help(&self) {
        /// Leaves the step, however it ends.
        struct Leave<'a>(&'a AtomicUsize);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Release);
            }
        }
        let mut joined = 0;
        loop {
            wait_until(|| self.begun.load(Ordering::Acquire) != joined || self.over.load(Ordering::Acquire));
            if self.over.load(Ordering::Acquire) {
                return;
            }
            joined = self.begun.load(Ordering::Acquire);
            let step = {
                let step = lock(&self.step);
                let Some(step) = *step else { continue };
                self.inside.fetch_add(1, Ordering::Relaxed);
                step
            };
            let _leave = Leave(&self.inside);
            #[allow(unsafe_code)]
            // SAFETY: `run` does not return while this thread is counted as inside.
            unsafe {
                (*step.0)();
            }
        }
    }
}

fn wait_until(ready: impl Fn() -> bool) {
    let mut looks = 0;
    while !ready() {
        looks += 1;
        if looks < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
    }
}

/// A panic on another thread is on its way to the caller already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
    }

    fn count(crew: &Crew, values: &mut [usize]) {
        for step in 0..200 {
            crew.for_each(values.chunks_mut(3), |chunk| chunk.iter_mut().for_each(|v| *v += step));
        }
    }

    #[test]
    fn a_crew_does_every_item_of_every_step_once() {
        for threads in [1, 2, 5] {
            let mut values = vec![0; 100];
            pool(threads).install(|| crew(|crew| count(crew, &mut values)));
            assert!(values.iter().all(|v| *v == 199 * 200 / 2), "{threads} threads");
        }
        let mut values = vec![0; 100];
        // From outside the pool, and with nobody.
        crew(|crew| count(crew, &mut values));
        count(&Crew::alone(), &mut values);
        assert!(values.iter().all(|v| *v == 2 * (199 * 200 / 2)));
    }

    #[test]
    fn buffers_are_shared_by_no_two_threads_and_kept() {
        for threads in [1, 2, 5] {
            let mut buffers: Vec<Vec<usize>> = Vec::new();
            let mut values = vec![0; 1000];
            pool(threads).install(|| {
                crew(|crew| {
                    for _ in 0..3 {
                        crew.for_each_with(values.chunks_mut(7).enumerate(), &mut buffers, |buffer, (task, chunk)| {
                            buffer.push(task);
                            chunk.iter_mut().for_each(|v| *v += 1);
                        });
                    }
                });
            });
            assert!(values.iter().all(|v| *v == 3));
            assert!((1..=threads).contains(&buffers.len()));
            assert_eq!(buffers.iter().map(Vec::len).sum::<usize>(), 3 * 1000usize.div_ceil(7));
        }
    }

    /// Every thread of a pool leads a crew of its own: nobody may wait for the others.
    #[test]
    fn crews_of_one_pool_do_not_wait_for_each_other() {
        use rayon::prelude::*;
        let mut pictures = vec![vec![0; 50]; 20];
        pool(3).install(|| pictures.par_iter_mut().for_each(|values| crew(|crew| count(crew, values))));
        assert!(pictures.iter().flatten().all(|v| *v == 199 * 200 / 2));
    }

    #[test]
    fn a_panic_of_a_crew_reaches_its_leader() {
        let caught = std::panic::catch_unwind(|| {
            pool(2).install(|| crew(|crew| crew.for_each(0..100, |i| assert!(i != 57, "the item that fails"))));
        });
        assert!(caught.is_err());
    }
}
