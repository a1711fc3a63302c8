//! Many pictures: as many at once as there are threads, reported in the order of the inputs; stopped and gone on with at any time.

use crate::args::{FileArgs, Format, RunArgs};
use crate::inputs::{self, Collected, Input, Missing};
use crate::outputs::{Destination, Fault, Hashing, Outputs, Plan, Settings, Source, Target};
use crate::stopwatch::Stopwatch;
use crate::words::{self, count};
use crate::{memory, stop};
use anyhow::{Context, anyhow, bail};
use deepcut::Image;
use deepcut::export::record::Record;
use deepcut::image::Decoder;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
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
    written: &'a Mutex<Vec<String>>,
}

impl Job<'_> {
    /// Writes a result.
    ///
    /// # Errors
    /// As [`Outputs::put`].
    pub fn put(&self, target: &Target, bytes: &[u8]) -> anyhow::Result<()> {
        self.to.put(target, bytes)?;
        if let (Some(path), Ok(mut written)) = (&target.path, self.written.lock()) {
            written.push(path.display().to_string());
        }
        Ok(())
    }
}

/// What was done with a picture.
pub struct Done {
    /// For people, in a few words.
    pub told: String,
    /// For programs, one JSON object.
    pub json: Vec<u8>,
}

/// What became of a picture.
enum Outcome {
    Done { done: Done, notes: Vec<String>, damage: Option<String> },
    Skipped { unrecorded: usize },
    Differs(String),
}

/// What became of a picture, and the files written whatever became of it.
struct Told {
    outcome: anyhow::Result<Outcome>,
    written: Vec<String>,
}

/// The exit status of a run: 0 if everything is there that was asked for, 1 if not, 130 or 143 after a signal.
pub type Status = u8;

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
    let settings = work.settings();
    let mut decoder = Decoder::default();
    decoder.max_pixels = files.max_pixels.unwrap_or(decoder.max_pixels);
    decoder.keep_damaged = files.keep_damaged;
    decoder.memory = memory::budget(files.max_memory);
    let each = |index: usize| {
        let written = Mutex::default();
        let outcome = guarded(|| one(&work, &settings, &decoder, &outputs, &inputs[index], &names[index], &written));
        Ok(Told { outcome, written: written.into_inner().unwrap_or_default() })
    };
    until(args, inputs.len(), each, |event| match event {
        Event::Told(index, result) => {
            let told = result.unwrap_or_else(|error| Told { outcome: Err(error), written: Vec::new() });
            talk.told(&inputs[index], &outputs.paths(&names[index]), told)
        }
        Event::Late => {
            // Whoever is in the middle of a picture is left there, but nothing is half-written.
            let _nothing_is_written = outputs.hold();
            std::process::exit(talk.finish().into());
        }
    })?;
    outputs.sync();
    Ok(talk.finish())
}

/// Reads a picture and does the task, unless its results are there.
fn one<T: Task>(
    work: &T,
    settings: &Settings,
    decoder: &Decoder,
    outputs: &Outputs,
    input: &Input,
    name: &Path,
    written: &Mutex<Vec<String>>,
) -> anyhow::Result<Outcome> {
    let mut watch = Stopwatch::new("decode");
    let (source, read) = match &input.path {
        Some(_) => (Source::new(input), None),
        None => {
            let mut stdin = Hashing::new(std::io::stdin().lock());
            let image = decoder.read(&mut stdin)?;
            (Source::of_stream(input, stdin), Some(image))
        }
    };
    let targets = match outputs.plan(&source, name, settings)? {
        Plan::Make(targets) => targets,
        Plan::Skip { unrecorded } => return Ok(Outcome::Skipped { unrecorded }),
        Plan::Differs(how) => return Ok(Outcome::Differs(how)),
    };
    let image = match (read, &input.path) {
        (Some(image), _) => image,
        (None, Some(path)) => decoder.open(path)?,
        (None, None) => bail!("standard input was read before"),
    };
    watch.begin("checksum");
    let record = source.record(settings).context("cannot read the file")?;
    if source.is_unstable() {
        bail!("the picture changed while it was read; the same command again reads it anew");
    }
    if stop::asked().is_some() {
        return Err(deepcut::Error::Cancelled.into());
    }
    let (notes, damage) = (image.notes().to_vec(), image.damage().map(str::to_owned));
    let mut job = Job { input, image, watch, record, targets, outputs: outputs.paths(name), to: outputs, written };
    match work.run(&mut job) {
        Ok(done) => Ok(Outcome::Done { done, notes, damage }),
        // Another run may have been here since the plan was made.
        Err(error) if has_kind(&error, &[ErrorKind::AlreadyExists]) => match outputs.plan(&source, name, settings)? {
            Plan::Skip { unrecorded } => Ok(Outcome::Skipped { unrecorded }),
            _ => Err(error),
        },
        Err(error) => Err(error),
    }
}

fn is_cancelled(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(deepcut::Error::Cancelled))
}

fn has_kind(error: &anyhow::Error, kinds: &[ErrorKind]) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>()).any(|error| kinds.contains(&error.kind()))
}

/// What [`until`] tells.
enum Event<R> {
    /// What became of a picture; in the order of the pictures.
    Told(usize, anyhow::Result<R>),
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

/// As [`in_order`], until a signal comes or `tell` says `Break`: then no more pictures are begun, and those at hand are still told.
fn until<R: Send>(
    args: &RunArgs,
    count: usize,
    work: impl Fn(usize) -> anyhow::Result<R> + Sync,
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
        let (sender, receiver) = mpsc::sync_channel(workers);
        for pool in &pools {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count || stop::asked().is_some() {
                        return;
                    }
                    let result = pool.install(|| work(index));
                    if sender.send((index, result)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
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

/// A progress bar on standard error, if there is more than one picture and the command line does not forbid it.
pub fn progress_bar(args: &RunArgs, total: usize, template: &str) -> ProgressBar {
    let hidden = args.quiet || args.no_progress || total < 2;
    // `stderr` draws only on a terminal.
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total as u64), target).with_style(style)
}

/// So many pictures in a row whose results cannot be written are enough.
const HOPELESS: usize = 3;

/// Standard output and standard error of a run.
struct Talk<'a> {
    args: &'a RunArgs,
    json: bool,
    outputs: &'a Outputs,
    bar: ProgressBar,
    begin: Instant,
    total: usize,
    /// Pictures of which something was told, whatever it is.
    told_of: usize,
    done: usize,
    skipped: usize,
    /// Results without a record.
    unrecorded: usize,
    /// Pictures with results of other settings; how the first's differ.
    differing: usize,
    difference: Option<(String, String)>,
    failures: usize,
    damaged: usize,
    written: usize,
    /// How often each note was made.
    notes: BTreeMap<String, usize>,
    left_out: BTreeMap<(&'static str, &'static str), usize>,
    /// Failures of the disk since the last success.
    faults: usize,
    /// Why the batch ends early.
    hopeless: Option<String>,
    /// Lines that standard output did not take.
    unsaid: usize,
    stdout: Option<String>,
}

impl<'a> Talk<'a> {
    fn new(
        args: &'a RunArgs,
        files: &FileArgs,
        outputs: &'a Outputs,
        total: usize,
        left_out: BTreeMap<(&'static str, &'static str), usize>,
    ) -> Self {
        Self {
            args,
            json: files.json,
            outputs,
            bar: progress_bar(args, total, "{wide_bar} {pos}/{len} {per_sec} {eta}"),
            begin: Instant::now(),
            total,
            told_of: 0,
            done: 0,
            skipped: 0,
            unrecorded: 0,
            differing: 0,
            difference: None,
            failures: 0,
            damaged: 0,
            written: 0,
            notes: BTreeMap::new(),
            left_out,
            faults: 0,
            hopeless: None,
            unsaid: 0,
            stdout: None,
        }
    }

    /// A line on standard error, above the bar. If standard error is gone there is nowhere to say so.
    fn line(&self, text: &str) {
        self.bar.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{}", words::line(text));
        });
    }

    /// A line on standard output, if programs listen. `Break` if nobody does and nothing else is wanted.
    fn json(&mut self, mut object: Vec<u8>) -> ControlFlow<()> {
        if !self.json {
            return ControlFlow::Continue(());
        }
        if self.stdout.is_none() {
            object.push(b'\n');
            match self.bar.suspend(|| crate::print(&object)) {
                Ok(()) => return ControlFlow::Continue(()),
                Err(error) if has_kind(&error, &[ErrorKind::BrokenPipe]) => {
                    self.stdout = Some("standard output was closed by its reader".into());
                }
                Err(error) => self.stdout = Some(format!("cannot write to standard output: {}", words::chain(&error))),
            }
        }
        self.unsaid += 1;
        if self.outputs.writes() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn told(&mut self, input: &Input, outputs: &[String], Told { outcome, written }: Told) -> ControlFlow<()> {
        let name = input.name();
        self.bar.inc(1);
        self.written += written.len();
        self.told_of += usize::from(!outcome.as_ref().is_err_and(is_cancelled));
        match outcome {
            Ok(Outcome::Done { done: Done { told, json }, notes, damage }) => {
                self.done += 1;
                self.faults = 0;
                if let Some(damage) = damage {
                    self.damaged += 1;
                    if !self.args.quiet {
                        self.line(&format!("deepcut: {name}: warning: damaged: {damage}"));
                    }
                }
                for note in notes {
                    let times = self.notes.entry(note.clone()).or_default();
                    *times += 1;
                    if !self.args.quiet && (*times == 1 || self.args.verbose) {
                        self.line(&format!("deepcut: {name}: note: {note}"));
                    }
                }
                if self.args.verbose {
                    self.line(&format!("{name}: {told}{}", arrow(&written)));
                } else if self.total == 1 && !self.args.quiet && !written.is_empty() {
                    self.line(&format!("{name}{}", arrow(&written)));
                }
                self.json(json)
            }
            Ok(Outcome::Skipped { unrecorded }) => {
                self.skipped += 1;
                self.unrecorded += unrecorded;
                if self.args.verbose || self.total == 1 && !self.args.quiet {
                    self.line(&format!("{name}: done before{}", arrow(outputs)));
                }
                self.json(json!({ "type": "skipped", "input": name, "outputs": outputs }).to_string().into())
            }
            Ok(Outcome::Differs(how)) => {
                self.differing += 1;
                if self.args.verbose {
                    self.line(&format!("{name}: there are results of other settings ({how}){}", arrow(outputs)));
                }
                let json = json!({ "type": "other-settings", "input": name, "outputs": outputs, "difference": how });
                self.difference.get_or_insert((name, how));
                self.json(json.to_string().into())
            }
            // Not a failure: it is left for the next run.
            Err(error) if is_cancelled(&error) => ControlFlow::Continue(()),
            Err(error) => {
                let flow = self.failed(&name, &error, &written);
                if let Some(why) = self.despair(&error) {
                    self.hopeless.get_or_insert(why);
                }
                if self.hopeless.is_some() { ControlFlow::Break(()) } else { flow }
            }
        }
    }

    fn failed(&mut self, name: &str, error: &anyhow::Error, written: &[String]) -> ControlFlow<()> {
        self.failures += 1;
        let message = words::chain(error);
        self.line(&format!("deepcut: {name}: {message}"));
        let mut object = json!({ "type": "error", "input": name, "message": message });
        if !written.is_empty() {
            object["outputs"] = json!(written);
        }
        self.json(object.to_string().into())
    }

    /// Why no other picture's results could be written either, if so.
    fn despair(&mut self, error: &anyhow::Error) -> Option<String> {
        error.downcast_ref::<Fault>()?;
        self.faults += 1;
        if let Some(root) = self.outputs.is_gone() {
            return Some(format!("the output folder {} is gone", root.display()));
        }
        if has_kind(error, &[ErrorKind::StorageFull, ErrorKind::QuotaExceeded, ErrorKind::ReadOnlyFilesystem]) {
            return Some("the disk takes no more".into());
        }
        (self.faults >= HOPELESS).then(|| format!("the results of {HOPELESS} pictures in a row could not be written"))
    }

    /// Says what was done and what was not, and how to go on.
    fn finish(&mut self) -> Status {
        self.bar.finish_and_clear();
        let seconds = self.begin.elapsed().as_secs_f64();
        let undone = self.total - self.told_of;
        let signal = stop::asked().filter(|_| undone > 0);
        if !self.args.quiet {
            self.summary(seconds);
        }
        let go_on = if self.outputs.writes() { "; the same command goes on from here" } else { "" };
        let not_done = format!("{} not done{go_on}", count(undone, "picture"));
        // These are errors, so they are said even if little is.
        if let Some(why) = &self.hopeless {
            self.line(&format!("deepcut: stopped: {why}; {not_done}"));
        } else if let Some(signal) = signal {
            let why = if signal == 130 { "interrupted" } else { "terminated" };
            self.line(&format!("deepcut: {why}: {not_done}"));
        }
        if let Some((name, how)) = &self.difference {
            self.line(&format!(
                "deepcut: {} results of other settings and {} left as they are ({name}: {how}); pass --overwrite to make them anew, or another folder with -o",
                if self.differing == 1 { "1 picture has".into() } else { format!("{} pictures have", self.differing) },
                if self.differing == 1 { "was" } else { "were" },
            ));
        }
        let unsaid = self.unsaid;
        let left_out: Vec<_> = self
            .left_out
            .iter()
            .map(|((what, remedy), files)| json!({ "what": what, "files": files, "remedy": remedy }))
            .collect();
        let mut object = json!({
            "type": "summary", "pictures": self.total, "done": self.done, "skipped": self.skipped, "other_settings": self.differing,
            "failures": self.failures, "not_done": undone, "damaged": self.damaged, "files": self.written, "left_out": left_out,
            "seconds": seconds,
        });
        if let Some(why) = self.hopeless.clone().or(signal.map(|status| format!("signal {}", status - 128))) {
            object["stopped"] = json!(why);
        }
        let _ = self.json(object.to_string().into());
        // A reader that has taken every picture's line may go before the last one.
        if let (Some(why), true) = (&self.stdout, unsaid > 0) {
            let rest = if self.outputs.writes() { "; the files were written all the same" } else { "" };
            self.line(&format!(
                "deepcut: {why}: {} not told{rest}",
                if undone + unsaid == 1 { "1 picture".into() } else { format!("{} pictures", undone + unsaid) }
            ));
        }
        match signal {
            Some(signal) => signal,
            None => u8::from(self.failures > 0 || self.differing > 0 || undone > 0 || unsaid > 0),
        }
    }

    fn summary(&self, seconds: f64) {
        let &Self { total, written, failures, skipped, unrecorded, .. } = self;
        if total > 1 {
            let mut text = format!("{total} pictures, {written} files written, {failures} failed");
            if skipped > 0 {
                text.push_str(&format!(", {skipped} done before"));
            }
            if self.damaged > 0 {
                text.push_str(&format!(", {} damaged", self.damaged));
            }
            if self.done > 0 {
                text.push_str(&format!(", {:.1} pictures/s", self.done as f64 / seconds));
            }
            self.line(&text);
        }
        for (note, &times) in self.notes.iter().filter(|&(_, &times)| times > 1 && !self.args.verbose) {
            self.line(&format!("the same for {}: {note}", count(times - 1, "more picture")));
        }
        if unrecorded > 0 {
            self.line(&format!(
                "{} not written by this program, or changed since, and left as {}; --overwrite makes {} anew",
                if unrecorded == 1 { "1 file was".into() } else { format!("{unrecorded} files were") },
                if unrecorded == 1 { "it is" } else { "they are" },
                if unrecorded == 1 { "it" } else { "them" },
            ));
        }
        if !self.left_out.is_empty() {
            let told: Vec<String> =
                self.left_out.iter().map(|((what, remedy), files)| format!("{files} {what} ({remedy})")).collect();
            self.line(&format!("left out: {}", told.join(", ")));
        }
    }
}

fn arrow(outputs: &[String]) -> String {
    if outputs.is_empty() { String::new() } else { format!(" → {}", outputs.join(", ")) }
}
