//! Work over independent pieces, shared by a team of threads.
//!
//! [`Threads::together`] calls one function, the leader, with helpers that stay awake until it returns. Within it, [`for_each`] is a step: the
//! leader and every helper take pieces until none is left. Waking a thread costs as long as a short step takes, so helpers wait spinning
//! ([`Idle::Spin`]), or sleep where the processor belongs to others too ([`Idle::Sleep`]).
//!
//! Which thread leads, helps, or works within a step is known to the thread itself, so functions need not pass the team on. A step outside
//! [`Threads::together`], or within another step, is done by its own thread. Nobody waits for a helper that has not come yet: a pool whose
//! threads are busy lends none.

use std::any::Any;
use std::cell::RefCell;
use std::panic::resume_unwind;
#[cfg(feature = "parallel")]
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How a thread waits for the next step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Idle {
    /// Spins, and yields after some microseconds. Fastest if no other program needs the processor.
    #[default]
    Spin,
    /// Sleeps; for use inside other processes. Each step costs about ten microseconds more.
    Sleep,
}

/// The threads that a team is made of.
#[derive(Debug, Clone, Default)]
pub struct Threads {
    source: Source,
    idle: Idle,
}

#[derive(Debug, Clone, Default)]
enum Source {
    /// The calling thread alone.
    Single,
    /// Rayon's pool that the caller runs in, or its global one.
    #[default]
    Current,
    #[cfg(feature = "parallel")]
    Own(Arc<rayon::ThreadPool>),
}

impl Threads {
    /// The calling thread alone.
    #[must_use]
    pub fn single() -> Self {
        Self { source: Source::Single, idle: Idle::Spin }
    }

    /// Rayon's pool that the caller runs in, or its global one.
    #[must_use]
    pub fn current(idle: Idle) -> Self {
        Self { source: Source::Current, idle }
    }

    /// So many threads of their own, the calling one among them.
    ///
    /// # Errors
    /// The system's message if the threads cannot start.
    pub fn new(count: usize, idle: Idle) -> Result<Self, String> {
        if count <= 1 {
            return Ok(Self { source: Source::Single, idle });
        }
        #[cfg(feature = "parallel")]
        {
            let name = |_| "deepcut".to_owned();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count - 1).thread_name(name).build();
            Ok(Self { source: Source::Own(Arc::new(pool.map_err(|error| error.to_string())?)), idle })
        }
        #[cfg(not(feature = "parallel"))]
        Err("the library was built without the feature `parallel`".into())
    }

    /// How many threads work together, the calling one included.
    #[must_use]
    pub fn count(&self) -> usize {
        match &self.source {
            Source::Single => 1,
            Source::Current => pool_size(),
            #[cfg(feature = "parallel")]
            Source::Own(pool) => pool.current_num_threads() + 1,
        }
    }

    /// Calls `lead`, with helpers for the steps in it. Within another call it has that call's helpers.
    pub fn together<R>(&self, lead: impl FnOnce() -> R) -> R {
        if ROLE.with_borrow(|role| !matches!(role, Role::Outside)) {
            return lead();
        }
        let team = Arc::new(Team { idle: self.idle, ..Team::default() });
        let _end = End(&team);
        let _role = Role::Leading(team.clone()).take_on();
        match &self.source {
            Source::Single => {}
            #[cfg(not(feature = "parallel"))]
            Source::Current => {}
            #[cfg(feature = "parallel")]
            Source::Current => {
                let helpers = rayon::current_num_threads() - 1;
                if helpers > 0 {
                    team.expect(helpers);
                    let team = team.clone();
                    // This thread may be outside the pool, all of which would then come: one too many.
                    rayon::spawn_broadcast(move |_| team.help());
                }
            }
            #[cfg(feature = "parallel")]
            Source::Own(pool) => {
                team.expect(pool.current_num_threads());
                let team = team.clone();
                pool.spawn_broadcast(move |_| team.help());
            }
        }
        lead()
    }
}

/// Threads of the pool that the caller runs in.
fn pool_size() -> usize {
    #[cfg(feature = "parallel")]
    return rayon::current_num_threads();
    #[cfg(not(feature = "parallel"))]
    1
}

/// Threads that take part in a step begun here.
#[must_use]
pub fn current_threads() -> usize {
    ROLE.with_borrow(|role| match role {
        Role::Outside | Role::Working => 1,
        Role::Leading(team) => team.helpers.load(Ordering::Relaxed) + 1,
    })
}

/// Calls `work` with every item, in some order; a thread takes the next item when it is done with its last.
pub fn for_each<I: Iterator + Send>(items: I, work: impl Fn(I::Item) + Sync) {
    for_each_with(items, &mut Vec::new(), |(): &mut (), item| work(item));
}

/// The same, each thread with a buffer of its own: one of `buffers`, which outlive the call, so that the next one need not allocate.
pub fn for_each_with<I, B>(items: I, buffers: &mut Vec<B>, work: impl Fn(&mut B, I::Item) + Sync)
where
    I: Iterator + Send,
    B: Default + Send,
{
    let team = ROLE.with_borrow(|role| if let Role::Leading(team) = role { Some(team.clone()) } else { None });
    let Some(team) = team else {
        let mut buffer = buffers.pop().unwrap_or_default();
        items.for_each(|item| work(&mut buffer, item));
        buffers.push(buffer);
        return;
    };
    let _role = Role::Working.take_on();
    let items = Mutex::new(items);
    let spare = Mutex::new(buffers);
    team.run(&|| {
        let mut buffer = lock(&spare).pop().unwrap_or_default();
        loop {
            let item = lock(&items).next();
            let Some(item) = item else { break };
            work(&mut buffer, item);
        }
        lock(&spare).push(buffer);
    });
}

/// Calls both functions, at once if there is a thread to spare.
pub fn join<A: Send, B: Send>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    let (mut first, mut second) = (None, None);
    {
        let tasks: [Box<dyn FnOnce() + Send + '_>; 2] = [Box::new(|| first = Some(a())), Box::new(|| second = Some(b()))];
        for_each(tasks.into_iter(), |task| task());
    }
    // Both were called: a panic would have ended this function.
    match (first, second) {
        (Some(first), Some(second)) => (first, second),
        _ => unreachable!("a task that was not called"),
    }
}

/// What a thread is at the moment.
enum Role {
    Outside,
    /// It may begin steps.
    Leading(Arc<Team>),
    /// Within a step, or waiting for one.
    Working,
}

thread_local! {
    static ROLE: RefCell<Role> = const { RefCell::new(Role::Outside) };
}

impl Role {
    /// Plays this role until the answer is dropped.
    fn take_on(self) -> Before {
        Before(Some(ROLE.replace(self)))
    }
}

/// The role before, taken on again when dropped.
struct Before(Option<Role>);

impl Drop for Before {
    fn drop(&mut self) {
        if let Some(role) = self.0.take() {
            ROLE.set(role);
        }
    }
}

/// Looks at the team's next step this often before it offers the processor to other programs.
const SPINS: usize = 1 << 12;

/// Threads that take part in every step of a longer piece of work.
#[derive(Debug, Default)]
struct Team {
    idle: Idle,
    step: Mutex<Option<Step>>,
    /// Told of every step that begins, and of the end; only where threads sleep.
    begins: Condvar,
    /// Told when the last helper leaves a step; likewise.
    left: Condvar,
    /// Steps begun, so that a helper joins each of them once.
    begun: AtomicUsize,
    /// Helpers at work on the step.
    inside: AtomicUsize,
    /// The panic of a helper, for the leader.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Helpers that may come, and how many of them still can.
    helpers: AtomicUsize,
    #[cfg(feature = "parallel")]
    vacancies: AtomicUsize,
    over: AtomicBool,
}

/// What every thread of the team calls.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "parallel"), expect(dead_code, reason = "there are no helpers to call it"))]
struct Step(*const (dyn Fn() + Sync));

#[allow(unsafe_code)]
// SAFETY: what it points to is `Sync`, and `Team::run` keeps it alive for as long as a thread may call it.
unsafe impl Send for Step {}

/// Sends the helpers home, however the leader ends. Helpers that come later find that it is over.
struct End<'a>(&'a Team);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let _step = lock(&self.0.step);
        self.0.over.store(true, Ordering::Release);
        self.0.begins.notify_all();
    }
}

impl Team {
    #[cfg(feature = "parallel")]
    fn expect(&self, helpers: usize) {
        self.helpers.store(helpers, Ordering::Relaxed);
        self.vacancies.store(helpers, Ordering::Relaxed);
    }

    /// Calls `step` on this thread and on every helper that comes before it returns here.
    fn run(&self, step: &(dyn Fn() + Sync)) {
        /// Waits for the helpers, even if the step panicked here: it must outlive their calls.
        struct Done<'a>(&'a Team);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                let Team { idle, step, left, inside, .. } = self.0;
                let mut step = lock(step);
                *step = None;
                let is_empty = || inside.load(Ordering::Acquire) == 0;
                if *idle == Idle::Sleep {
                    while !is_empty() {
                        step = left.wait(step).unwrap_or_else(PoisonError::into_inner);
                    }
                } else {
                    drop(step);
                    spin_until(is_empty);
                }
            }
        }
        #[allow(unsafe_code)]
        // SAFETY: only the lifetime changes. A helper takes the step, and is counted as inside, under the lock; `Done` takes it away under the
        // lock and then waits until nobody is inside. So nobody calls it after this function.
        let erased = unsafe { std::mem::transmute::<&(dyn Fn() + Sync), &'static (dyn Fn() + Sync)>(step) };
        let done = Done(self);
        {
            let mut place = lock(&self.step);
            *place = Some(Step(erased));
            self.begun.fetch_add(1, Ordering::Release);
        }
        if self.idle == Idle::Sleep {
            self.begins.notify_all();
        }
        step();
        drop(done);
        let panic = lock(&self.panic).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Joins every step until the work is over, if there is a vacancy.
    #[cfg(feature = "parallel")]
    fn help(&self) {
        /// Leaves the step, however it ends.
        struct Leave<'a>(&'a Team);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                let last = self.0.inside.fetch_sub(1, Ordering::Release) == 1;
                if last && self.0.idle == Idle::Sleep {
                    // The leader looks under the lock before it sleeps.
                    drop(lock(&self.0.step));
                    self.0.left.notify_all();
                }
            }
        }
        // A leader that waits for its pool meanwhile must not become its own helper.
        let is_free = ROLE.with_borrow(|role| matches!(role, Role::Outside));
        if !is_free || self.vacancies.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_err() {
            return;
        }
        let _role = Role::Working.take_on();
        let mut joined = 0;
        loop {
            let is_due = || self.begun.load(Ordering::Acquire) != joined || self.over.load(Ordering::Acquire);
            if self.idle == Idle::Sleep {
                let mut step = lock(&self.step);
                while !is_due() {
                    step = self.begins.wait(step).unwrap_or_else(PoisonError::into_inner);
                }
            } else {
                spin_until(is_due);
            }
            if self.over.load(Ordering::Acquire) {
                return;
            }
            let step = {
                let step = lock(&self.step);
                joined = self.begun.load(Ordering::Acquire);
                let Some(step) = *step else { continue };
                self.inside.fetch_add(1, Ordering::Relaxed);
                step
            };
            let _leave = Leave(self);
            let work = || {
                #[allow(unsafe_code)]
                // SAFETY: `run` does not return while this thread is counted as inside.
                unsafe {
                    (*step.0)();
                }
            };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(work)) {
                lock(&self.panic).get_or_insert(panic);
            }
        }
    }
}

fn spin_until(ready: impl Fn() -> bool) {
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

    fn count(values: &mut [usize]) {
        for step in 0..200 {
            for_each(values.chunks_mut(3), |chunk| chunk.iter_mut().for_each(|v| *v += step));
        }
    }

    const SUM: usize = 199 * 200 / 2;

    #[test]
    fn a_team_does_every_item_of_every_step_once() {
        for (threads, idle) in [(1, Idle::Spin), (2, Idle::Spin), (5, Idle::Spin), (2, Idle::Sleep), (5, Idle::Sleep)] {
            let mut values = vec![0; 100];
            pool(threads).install(|| Threads::current(idle).together(|| count(&mut values)));
            assert!(values.iter().all(|v| *v == SUM), "{threads} threads of a pool, {idle:?}");
            let own = Threads::new(threads, idle).unwrap();
            assert_eq!(own.count(), threads);
            let mut values = vec![0; 100];
            own.together(|| {
                assert_eq!(current_threads(), threads);
                count(&mut values);
            });
            assert!(values.iter().all(|v| *v == SUM), "{threads} own threads, {idle:?}");
        }
        let mut values = vec![0; 100];
        // From outside the pool, alone, and with no team yet.
        Threads::current(Idle::Spin).together(|| count(&mut values));
        Threads::single().together(|| count(&mut values));
        // Without a team.
        count(&mut values);
        assert!(values.iter().all(|v| *v == 3 * SUM));
    }

    #[test]
    fn buffers_are_shared_by_no_two_threads_and_kept() {
        for threads in [1, 2, 5] {
            let mut buffers: Vec<Vec<usize>> = Vec::new();
            let mut values = vec![0; 1000];
            Threads::new(threads, Idle::Spin).unwrap().together(|| {
                for _ in 0..3 {
                    for_each_with(values.chunks_mut(7).enumerate(), &mut buffers, |buffer, (task, chunk)| {
                        buffer.push(task);
                        chunk.iter_mut().for_each(|v| *v += 1);
                    });
                }
            });
            assert!(values.iter().all(|v| *v == 3));
            assert!((1..=threads).contains(&buffers.len()));
            assert_eq!(buffers.iter().map(Vec::len).sum::<usize>(), 3 * 1000usize.div_ceil(7));
        }
    }

    /// A step within a step is done by the thread that asks for it, and a team within a team is the outer one.
    #[test]
    fn steps_and_teams_within_others_do_not_wait() {
        let threads = Threads::new(3, Idle::Spin).unwrap();
        let mut outer = vec![vec![0; 50]; 20];
        threads.together(|| for_each(outer.iter_mut(), |values| threads.together(|| count(values))));
        threads.together(|| threads.together(|| count(&mut outer[0])));
        assert!(outer[1..].iter().flatten().all(|v| *v == SUM) && outer[0].iter().all(|v| *v == 2 * SUM));
    }

    /// Every thread of a pool leads a team of its own: nobody may wait for the others.
    #[test]
    fn teams_of_one_pool_do_not_wait_for_each_other() {
        use rayon::prelude::*;
        for idle in [Idle::Spin, Idle::Sleep] {
            let mut images = vec![vec![0; 50]; 20];
            let lead = |values: &mut Vec<usize>| Threads::current(idle).together(|| count(values));
            pool(3).install(|| images.par_iter_mut().for_each(lead));
            assert!(images.iter().flatten().all(|v| *v == SUM));
        }
        // One handle, many callers.
        let own = Threads::new(3, Idle::Sleep).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut values = vec![0; 50];
                    own.together(|| count(&mut values));
                    assert!(values.iter().all(|v| *v == SUM));
                });
            }
        });
    }

    #[test]
    fn a_panic_of_a_team_reaches_its_leader_in_its_step() {
        for idle in [Idle::Spin, Idle::Sleep] {
            let threads = Threads::new(3, idle).unwrap();
            let steps = AtomicUsize::new(0);
            let fails = || {
                threads.together(|| {
                    for step in 0..10 {
                        steps.fetch_add(1, Ordering::Relaxed);
                        for_each(0..100, |i| assert!((step, i) != (4, 57), "the item that fails"));
                    }
                });
            };
            assert!(catch_unwind(AssertUnwindSafe(fails)).is_err());
            assert_eq!(steps.into_inner(), 5);
            // The threads are there again, and so is this one.
            let mut values = vec![0; 9];
            threads.together(|| count(&mut values));
            assert!(values.iter().all(|v| *v == SUM));
        }
    }

    /// Threads that are busy elsewhere lend no help, and nobody waits for them.
    #[test]
    fn nobody_waits_for_busy_threads() {
        use rayon::prelude::*;
        let own = Threads::new(2, Idle::Spin).unwrap();
        let busy = AtomicBool::new(true);
        std::thread::scope(|scope| {
            scope.spawn(|| own.together(|| for_each(0..2, |_| spin_until(|| !busy.load(Ordering::Acquire)))));
            std::thread::sleep(std::time::Duration::from_millis(30));
            let mut values = vec![0; 50];
            own.together(|| count(&mut values));
            assert!(values.iter().all(|v| *v == SUM));
            busy.store(false, Ordering::Release);
        });
        // One lock, which every thread of a pool wants before its team works.
        let lock = Mutex::new(());
        pool(3).install(|| {
            (0..24).into_par_iter().for_each(|_| {
                Threads::current(Idle::Spin).together(|| {
                    let _guard = super::lock(&lock);
                    count(&mut [0; 9]);
                });
            });
        });
    }

    /// A leader that waits for its pool within its work is not taken for its own helper.
    #[test]
    fn a_leader_does_not_help_itself() {
        let other = pool(1);
        let mut values = vec![0; 50];
        pool(2).install(|| {
            Threads::current(Idle::Sleep).together(|| {
                other.install(|| std::thread::sleep(std::time::Duration::from_millis(20)));
                rayon::join(|| (), || std::thread::sleep(std::time::Duration::from_millis(5)));
                count(&mut values);
            });
        });
        assert!(values.iter().all(|v| *v == SUM));
    }

    #[test]
    fn both_functions_are_called() {
        for threads in [1, 3] {
            let both = Threads::new(threads, Idle::Spin).unwrap().together(|| join(|| 1, || "two"));
            assert_eq!(both, (1, "two"));
        }
        assert_eq!(join(|| 3, || 4), (3, 4));
    }
}
