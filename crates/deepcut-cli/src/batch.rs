//! Many pictures: as many at once as there are threads, reported in the order of the inputs.

use crate::args::{FileArgs, Format, RunArgs};
use crate::inputs::{self, Input, Missing};
use crate::outputs::Destination;
use anyhow::{Context, anyhow, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

/// What to do with each picture.
pub trait Task: Sync {
    /// Does it; `stem` names the picture's results, which go to `destination`.
    fn run(&self, input: &Input, stem: &Path, destination: &Destination) -> anyhow::Result<Done>;
}

/// What was done with a picture.
pub struct Done {
    /// The files written.
    pub outputs: Vec<String>,
    /// For people, in a few words.
    pub told: String,
    /// For programs, one JSON object.
    pub json: Vec<u8>,
}

/// Does the task that `prepare` makes for every picture that `files` name. True if nothing failed. Both closures are told whether there is
/// room for one result only.
///
/// # Errors
/// If the command line contradicts itself, the task cannot be made, or standard output is closed.
pub fn run<T: Task>(
    files: &FileArgs,
    args: &RunArgs,
    formats: impl Fn(bool) -> Vec<Format>,
    prepare: impl FnOnce(bool) -> anyhow::Result<T>,
) -> anyhow::Result<bool> {
    let (inputs, missing) = inputs::collect(&files.inputs);
    if inputs.iter().filter(|input| input.path.is_none()).count() > 1 {
        bail!("standard input can be read only once");
    }
    let stems = inputs::stems(&inputs)?;
    let destination = Destination::new(files, formats, &inputs)?;
    let work = prepare(destination.is_single())?;
    let mut talk = Talk::new(args, files.json, inputs.len());
    for Missing { name, error } in &missing {
        talk.failed(name, error)?;
    }
    if inputs.is_empty() {
        talk.finish()?;
        return Ok(talk.failures == 0);
    }

    in_order(
        args,
        inputs.len(),
        |index| work.run(&inputs[index], &stems[index], &destination),
        |index, result| {
            let name = inputs[index].name();
            match result {
                Ok(done) => talk.done(&name, done)?,
                Err(error) if crate::is_broken_pipe(&error) => return Err(error),
                Err(error) => talk.failed(&name, &error)?,
            }
            talk.bar.inc(1);
            Ok(())
        },
    )?;
    talk.finish()?;
    Ok(talk.failures == 0)
}

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
    let threads = match args.threads {
        Some(threads) => usize::from(threads),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    // A picture on each thread beats threads inside a picture: small pictures leave threads waiting for one another.
    let workers = threads.min(count).max(1);
    let pools = (0..workers)
        .map(|_| rayon::ThreadPoolBuilder::new().num_threads(threads / workers).build())
        .collect::<Result<Vec<_>, _>>()
        .context("cannot start the threads; ask for fewer with --threads")?;
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        // Few results wait, so memory does not grow with the batch.
        let (sender, receiver) = mpsc::sync_channel(workers);
        for pool in &pools {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return;
                    }
                    let result = pool.install(|| guarded(|| work(index)));
                    if sender.send((index, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut due = 0;
        for (index, result) in &receiver {
            waiting.insert(index, result);
            while let Some(result) = waiting.remove(&due) {
                if let Err(error) = tell(due, result) {
                    // Nobody listens: let the workers end.
                    next.store(count, Ordering::Relaxed);
                    drop(receiver);
                    return Err(error);
                }
                due += 1;
            }
        }
        Ok(())
    })
}

/// A bug in a decoder must not end the batch.
fn guarded<R>(work: impl FnOnce() -> anyhow::Result<R>) -> anyhow::Result<R> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(anyhow!("the program failed on this picture; please report it with the file")))
}

/// A progress bar on standard error, if there is more than one picture and the command line does not forbid it.
pub fn progress_bar(args: &RunArgs, total: usize, template: &str) -> ProgressBar {
    let hidden = args.quiet || args.no_progress || total < 2;
    // `stderr` draws only on a terminal.
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total as u64), target).with_style(style)
}

/// Standard output and standard error of a run.
struct Talk<'a> {
    args: &'a RunArgs,
    json: bool,
    bar: ProgressBar,
    begin: Instant,
    total: usize,
    failures: usize,
    written: usize,
}

impl<'a> Talk<'a> {
    fn new(args: &'a RunArgs, json: bool, total: usize) -> Self {
        let bar = progress_bar(args, total, "{wide_bar} {pos}/{len} {per_sec} {eta}");
        Self { args, json, bar, begin: Instant::now(), total, failures: 0, written: 0 }
    }

    /// A line on standard error, above the bar. If standard error is gone there is nowhere to say so.
    fn line(&self, text: &str) {
        self.bar.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{text}");
        });
    }

    /// A line on standard output, if programs listen.
    fn json(&self, mut object: Vec<u8>) -> anyhow::Result<()> {
        if self.json {
            object.push(b'\n');
            self.bar.suspend(|| crate::print(&object)).context("cannot write to standard output")?;
        }
        Ok(())
    }

    fn done(&mut self, name: &str, done: Done) -> anyhow::Result<()> {
        let Done { outputs, told, json } = done;
        self.written += outputs.len();
        if self.args.verbose {
            self.line(&format!("{name}: {told}{}", arrow(&outputs)));
        } else if self.total == 1 && !self.args.quiet && !outputs.is_empty() {
            self.line(&format!("{name}{}", arrow(&outputs)));
        }
        self.json(json)
    }

    fn failed(&mut self, name: &str, error: &anyhow::Error) -> anyhow::Result<()> {
        self.failures += 1;
        self.line(&format!("deepcut: {name}: {error:#}"));
        self.json(json!({ "type": "error", "input": name, "message": format!("{error:#}") }).to_string().into())
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        let seconds = self.begin.elapsed().as_secs_f64();
        if self.total > 1 && !self.args.quiet {
            let Self { total, written, failures, .. } = *self;
            let rate = total as f64 / seconds;
            self.line(&format!("{total} pictures, {written} files written, {failures} failed, {rate:.1} pictures/s"));
        }
        let Self { total, written, failures, .. } = *self;
        self.json(
            json!({ "type": "summary", "pictures": total, "files": written, "failures": failures, "seconds": seconds })
                .to_string()
                .into(),
        )
    }
}

fn arrow(outputs: &[String]) -> String {
    if outputs.is_empty() { String::new() } else { format!(" → {}", outputs.join(", ")) }
}
