//! Work apart from the interpreter.

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError};
use pyo3::prelude::*;
use std::any::Any;
use std::ops::ControlFlow::{self, Break, Continue};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How often signals are looked at: each look asks other Python threads for the interpreter.
const LOOK: Duration = Duration::from_millis(50);

/// Does `work` without holding the interpreter. A panic is a `RuntimeError`.
pub fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> PyResult<T> + Send) -> PyResult<T> {
    py.detach(|| guarded(work))
}

fn guarded<T>(work: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(&*panic)))
}

fn panicked(panic: &(dyn Any + Send)) -> PyErr {
    let what = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    PyRuntimeError::new_err(format!("internal error, please report it: {}", what.unwrap_or("a panic without a message")))
}

/// Looks for signals now and then, such as Ctrl-C, while the interpreter is detached.
pub struct Signals {
    last: Instant,
    raised: Option<PyErr>,
}

impl Signals {
    /// Begins to look.
    pub fn new() -> Self {
        Self { last: Instant::now(), raised: None }
    }

    /// Whether to go on. Called often.
    pub fn go_on(&mut self) -> ControlFlow<()> {
        if self.last.elapsed() >= LOOK {
            self.last = Instant::now();
            self.raised = Python::attach(|py| py.check_signals()).err();
        }
        if self.raised.is_some() { Break(()) } else { Continue(()) }
    }

    /// What a signal's handler raised.
    pub fn raised(self) -> PyErr {
        self.raised.unwrap_or_else(|| PyKeyboardInterrupt::new_err(()))
    }
}

/// Lets another thread do `work`, which sends messages; `hear` gets them here, with the interpreter. An error of `hear` or of a signal's handler
/// calls `stop`, and is returned when the work has ended.
pub fn beside<M: Send, T: Send>(
    py: Python<'_>,
    work: impl FnOnce(Sender<M>) -> PyResult<T> + Send,
    hear: &(dyn Fn(Python<'_>, M) -> PyResult<()> + Sync),
    stop: &(dyn Fn() + Sync),
) -> PyResult<T> {
    detached(py, || {
        let (sender, receiver) = channel();
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| guarded(|| work(sender)));
            let heard = listen(&receiver, hear, stop);
            let worked = worker.join().unwrap_or_else(|panic| Err(panicked(&*panic)));
            heard.and(worked)
        })
    })
}

fn listen<M>(receiver: &Receiver<M>, hear: &dyn Fn(Python<'_>, M) -> PyResult<()>, stop: &dyn Fn()) -> PyResult<()> {
    let mut result = Ok(());
    loop {
        let heard = match receiver.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Disconnected) => return result,
            // The work ends as soon as it can.
            _ if result.is_err() => continue,
            Ok(message) => Python::attach(|py| hear(py, message).and_then(|()| py.check_signals())),
            Err(RecvTimeoutError::Timeout) => Python::attach(|py| py.check_signals()),
        };
        if heard.is_err() {
            stop();
            result = heard;
        }
    }
}
