//! Many pictures: as many at once as there are threads, reported in the order of the inputs; stopped and gone on with at any time.

use crate::args::{FileArgs, Format, RunArgs};
use crate::inputs::{self, Collected, Input, Missing};
use crate::outputs::{Destination, Outputs, Pending, Plan, Target};
use crate::source::{Hashing, Settings, Source};
use crate::stopwatch::Stopwatch;
use crate::talk::has_kind;
pub use crate::talk::{Done, Status, progress_bar};
use crate::talk::{Outcome, Talk, Told};
use crate::{memory, stop};
use anyhow::{Context, anyhow, bail};
use deepcut::Image;
use deepcut::export::record::Record;
use deepcut::image::Decoder;
use deepcut::memory::Memory;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What to do with each picture.
pub trait Task: Sync {
    /// What decides its results beside the picture.
    fn settings(&self) -> Settings;

    /// Makes the results of a picture and puts them where the job says.
    fn run(&self, job: &mut Job<'_>) -> anyhow::Result<Done>;
}

/// One picture's share of the work.
pub struct Job<'a> {
    pub input: &'a Input,
    pub image: Image,
    /// Ends with "decode".
    pub watch: Stopwatch,
    /// What the results are made from.
    pub record: Record,
    /// The results to make.
    pub targets: Vec<Target>,
    /// All results of the picture, those that were there before too.
    pub outputs: Vec<String>,
    to: &'a Outputs,
    pending: &'a Mutex<Vec<Pending>>,
}

impl Job<'_> {
    /// Writes a result.
    ///
    /// # Errors
    /// As [`Outputs::put`].
    pub fn put(&self, target: &Target, bytes: &[u8]) -> anyhow::Result<()> {
        let pending = self.to.put(target, bytes)?;
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).extend(pending);
        Ok(())
    }
}

/// Does the task that `prepare` makes for every picture that `files` name.
///
/// # Errors
/// If the command line contradicts itself, nothing can be written, or the task cannot be made.
pub fn run<T: Task>(
    files: &FileArgs,
    args: &RunArgs,
    formats: impl Fn(&Destination) -> Vec<Format>,
    prepare: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<Status> {
    let Collected { inputs, missing, left_out } = inputs::collect(&files.inputs);
    if inputs.iter().filter(|input| input.path.is_none()).count() > 1 {
        bail!("standard input can be read only once");
    }
    let mut outputs = Outputs::new(files, formats, &inputs)?;
    let names = if inputs.is_empty() { Vec::new() } else { outputs.prepare(&inputs)? };
    let work = prepare()?;
    let mut talk = Talk::new(args, files, &outputs, inputs.len(), left_out);
    for Missing { name, error } in &missing {
        if talk.failed(name, error, &[]).is_break() {
            return Ok(talk.finish());
        }
    }
    if inputs.is_empty() {
        return Ok(talk.finish());
    }
    stop::listen().context("cannot listen to signals")?;
    let mut decoder = Decoder::default();
    decoder.max_pixels = files.max_pixels.unwrap_or(decoder.max_pixels);
    decoder.keep_damaged = files.keep_damaged;
    // Some is left for what follows.
    decoder.memory = memory::limit(args.max_memory, 0.75).map(Memory::new);
    let batch = Batch { settings: work.settings(), work, decoder, outputs: &outputs, inputs: &inputs, names };
    let count = inputs.len();
    until(
        args,
        count,
        |index| batch.make(index),
        |index, made| batch.settle(index, made),
        |event| match event {
            Event::Told(index, told) => talk.told(&inputs[index], &outputs.paths(&batch.names[index]), told),
            Event::Late => {
                // Whoever is in the middle of a picture is left there, but nothing is half-written.
                let _nothing_is_written = outputs.hold();
                std::process::exit(talk.finish().into());
            }
        },
    )?;
    outputs.sync();
    Ok(talk.finish())
}

/// What every picture of a run needs.
struct Batch<'a, T> {
    work: T,
    settings: Settings,
    decoder: Decoder,
    outputs: &'a Outputs,
    inputs: &'a [Input],
    names: Vec<PathBuf>,
}

/// What was made of a picture, and the files that are not yet in their places.
struct Made {
    outcome: anyhow::Result<Outcome>,
    pending: Vec<Pending>,
}

impl<T: Task> Batch<'_, T> {
    fn make(&self, index: usize) -> Made {
        let pending = Mutex::default();
        let outcome = guarded(|| self.one(&self.inputs[index], &self.names[index], &pending));
        Made { outcome, pending: pending.into_inner().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Reads a picture and does the task, unless its results are there.
    fn one(&self, input: &Input, name: &Path, pending: &Mutex<Vec<Pending>>) -> anyhow::Result<Outcome> {
        let mut watch = Stopwatch::new("decode");
        let (source, read) = match &input.path {
            Some(_) => (Source::new(input), None),
            None => {
                let mut stdin = Hashing::new(std::io::stdin().lock());
                let image = self.decoder.read(&mut stdin)?;
                (Source::of_stream(input, stdin), Some(image))
            }
        };
        let targets = match self.outputs.plan(&source, name, &self.settings)? {
            Plan::Make(targets) => targets,
            Plan::Skip { unrecorded } => return Ok(Outcome::Skipped { unrecorded }),
            Plan::Differs(how) => return Ok(Outcome::Differs(how)),
        };
        let image = match (read, &input.path) {
            (Some(image), _) => image,
            (None, Some(path)) => self.decoder.open(path)?,
            (None, None) => bail!("standard input was read before"),
        };
        watch.begin("checksum");
        let record = source.record(&self.settings).context("cannot read the file")?;
        if source.is_unstable() {
            bail!("the picture changed while it was read; the same command again reads it anew");
        }
        if stop::asked().is_some() {
            return Err(deepcut::Error::Cancelled.into());
        }
        let (notes, damage) = (image.notes().to_vec(), image.damage().map(str::to_owned));
        let outputs = self.outputs.paths(name);
        let mut job = Job { input, image, watch, record, targets, outputs, to: self.outputs, pending };
        Ok(Outcome::Done { done: self.work.run(&mut job)?, notes, damage })
    }

    /// Brings a picture's files to their places, those of a failure too: what is done is done.
    fn settle(&self, index: usize, Made { mut outcome, pending }: Made) -> Told {
        let mut written = Vec::new();
        for pending in pending {
            match self.outputs.settle(pending) {
                Ok(path) => written.push(path),
                Err(error) if outcome.is_ok() => outcome = Err(error),
                Err(_) => {}
            }
        }
        // Another run may have been here since the plan was made.
        if outcome.as_ref().is_err_and(|error| has_kind(error, &[ErrorKind::AlreadyExists])) {
            let source = Source::new(&self.inputs[index]);
            if let Ok(Plan::Skip { unrecorded }) = self.outputs.plan(&source, &self.names[index], &self.settings) {
                outcome = Ok(Outcome::Skipped { unrecorded });
            }
        }
        Told { outcome, written }
    }
}

/// What [`until`] tells.
enum Event<R> {
    /// What became of a picture; in the order of the pictures.
    Told(usize, R),
    /// A signal came a while ago, and pictures are still being worked on.
    Late,
}

/// How long a signal waits for the pictures at hand.
const PATIENCE: Duration = Duration::from_secs(3);

/// Works on `count` pictures, as many at once as there are threads, and tells their results in order. An error of `tell` ends it.
///
/// # Errors
/// What `tell` returns, or that the threads cannot be started.
pub fn in_order<R: Send>(
    args: &RunArgs,
    count: usize,
    work: impl Fn(usize) -> anyhow::Result<R> + Sync,
    mut tell: impl FnMut(usize, anyhow::Result<R>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut failed = Ok(());
    until(
        args,
        count,
        |index| guarded(|| work(index)),
        |_, result| result,
        |event| match event {
            Event::Told(index, result) if failed.is_ok() => {
                failed = tell(index, result);
                if failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            }
            Event::Told(..) | Event::Late => ControlFlow::Continue(()),
        },
    )?;
    failed
}

/// How many pictures' files wait for the disk at once: a disk takes many as fast as one.
const SETTLERS: usize = 4;

/// Works on `count` pictures, as many at once as there are threads, lets other threads `settle` what was made, and tells it in order; until a
/// signal comes or `tell` says `Break`: then no more pictures are begun, and those at hand are still told.
fn until<M: Send, R: Send>(
    args: &RunArgs,
    count: usize,
    make: impl Fn(usize) -> M + Sync,
    settle: impl Fn(usize, M) -> R + Sync,
    mut tell: impl FnMut(Event<R>) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    let threads = match args.threads {
        Some(threads) => usize::from(threads),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    // A picture on each thread beats threads inside a picture: small pictures leave threads waiting for one another.
    let workers = threads.min(count).max(1);
    let pools = (0..workers)
        .map(|_| rayon::ThreadPoolBuilder::new().num_threads(threads / workers).thread_name(|_| WORKER.into()).build())
        .collect::<Result<Vec<_>, _>>()
        .context("cannot start the threads; ask for fewer with --threads")?;
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        // Few results wait, so memory does not grow with the batch.
        let (sender, made) = mpsc::sync_channel(workers);
        for pool in &pools {
            let (sender, next, make) = (sender.clone(), &next, &make);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count || stop::asked().is_some() {
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
        let mut asked: Option<Instant> = None;
        loop {
            match receiver.recv_timeout(Duration::from_millis(50)) {
                Ok((index, result)) => {
                    waiting.insert(index, result);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while let Some(result) = waiting.remove(&due) {
                if tell(Event::Told(due, result)).is_break() {
                    next.store(count, Ordering::Relaxed);
                }
                due += 1;
            }
            if stop::asked().is_some() && asked.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                // What is done is told, though something before it is not.
                for (index, result) in std::mem::take(&mut waiting) {
                    let _ = tell(Event::Told(index, result));
                }
                let _ = tell(Event::Late);
            }
        }
        for (index, result) in waiting {
            let _ = tell(Event::Told(index, result));
        }
    });
    Ok(())
}

/// Name of the threads in which a panic is a picture's failure.
const WORKER: &str = "picture";

/// A bug in a decoder must not end the batch.
fn guarded<R>(work: impl FnOnce() -> anyhow::Result<R>) -> anyhow::Result<R> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let text = text.map(|text| format!(" ({text})")).unwrap_or_default();
        Err(anyhow!("the program failed on this picture{text}; please report it with the file"))
    })
}

/// From now on a panic of a picture's thread prints nothing: it becomes a line of its own. With `RUST_BACKTRACE` it prints as ever.
pub fn quiet_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let wanted = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
        if wanted || std::thread::current().name() != Some(WORKER) {
            usual(panic);
        }
    }));
}
