//! Many images: worked on as many at once as there are threads, reported in the order of the inputs, stopped and gone on with at any time.
//!
//! ```no_run
//! use deepcut::batch::{Batch, Event, Outcome};
//! use deepcut::export::Format;
//! use deepcut::{Options, Segmenter};
//! use std::ops::ControlFlow;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let segmenter = Segmenter::load(Options::default())?;
//! let batch = Batch::new().formats([Format::Mask, Format::Json]).output("masks");
//! let summary = batch.segment(&segmenter, &["photos", "more/*.jpg"], &mut |event| {
//!     if let Event::Image { input, outcome: Outcome::Failed(error), .. } = event {
//!         println!("{}: {error}", input.name());
//!     }
//!     ControlFlow::Continue(())
//! })?;
//! println!("{} of {} images done", summary.done + summary.skipped, summary.images);
//! # Ok(())
//! # }
//! ```
//!
//! Every result is written whole or not at all, and keeps a [`Record`] of what it was made from. So the same call goes on where it was
//! stopped; what happens to results that are there already:
//!
//! | there already                                        | what happens                                                     |
//! |------------------------------------------------------|------------------------------------------------------------------|
//! | every result of the same image and settings          | [`Outcome::Skipped`]                                             |
//! | some of them, or one cut short                       | the others are made                                              |
//! | results of the image as it was before it changed     | all are made anew                                                |
//! | results of other settings                            | [`Outcome::Differs`]: they are left                              |
//! | a result without a record                            | it is left: someone may have corrected it by hand                |
//! | another image's, or no result at all                 | [`Outcome::Failed`], unless overwriting is allowed               |
//! | a file of the whole run, such as a list of all boxes | [`BatchError::Exists`] before it begins, unless it is allowed    |

mod error;
pub mod files;
mod inputs;
mod ordered;
mod outputs;
mod progress;
mod segment;
mod source;
mod stopwatch;
#[cfg(test)]
mod tests;

pub use error::{BatchError, FileError, InputError, JobError, Panicked, Remedy, ThreadsError};
pub use inputs::{Collected, Input, LeftOut, Missing, collect};
pub use ordered::{WORKER_THREAD, Workers};
pub use outputs::{Destination, Target};
pub use progress::{Event, Outcome, Stopped, Summary};
pub use segment::settings;
pub use stopwatch::Stopwatch;

use crate::Segmenter;
use crate::export::record::Record;
use crate::export::{Export, File, Format};
use crate::image::{Decoder, Image};
use ordered::{Step, guarded};
use outputs::{Outputs, Pending, Plan, Wanted};
use progress::{Finished, Progress};
use serde_json::Value;
use source::{Hashing, Source};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Everything that decides a result beside the image: the network, and every option that is not the default.
pub type Settings = BTreeMap<String, Value>;

/// Hears of a batch's [`Event`]s, and ends the batch early with `Break`: images at hand are still finished.
pub type Listener<'a, D> = dyn FnMut(Event<'_, D>) -> ControlFlow<()> + 'a;

/// What to do with each image of a batch. Segmenting is [`Prepared::segment`].
pub trait Task: Sync {
    /// What is told of an image that is done.
    type Done: Send;

    /// What decides its results beside the image.
    fn settings(&self) -> Settings;

    /// Makes an image's results and puts them where the job says.
    ///
    /// # Errors
    /// [`JobError`] if the image fails; the others go on.
    fn run(&self, job: &mut Job<'_>) -> Result<Self::Done, JobError>;

    /// The files of the whole run, once all images are done.
    ///
    /// # Errors
    /// [`JobError`] if they cannot be made.
    fn finish(&self) -> Result<Vec<File>, JobError> {
        Ok(Vec::new())
    }
}

/// Writes a result.
type Put<'a> = dyn Fn(&Target, &[u8]) -> Result<(), JobError> + 'a;

/// One image's share of the work.
pub struct Job<'a> {
    /// Where the image comes from.
    pub input: &'a Input,
    /// The image.
    pub image: Image,
    /// Seconds by stage; so far the image was decoded and its file's checksum computed.
    pub watch: Stopwatch,
    /// What the results are made from; it goes into each.
    pub record: Record,
    /// The results to make.
    pub targets: Vec<Target>,
    /// Paths of all results of the image, those that were there before too.
    pub outputs: Vec<String>,
    /// Whether the batch was cancelled: long work asks now and then, and returns [`JobError::Cancelled`].
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    put: &'a Put<'a>,
}

impl Job<'_> {
    /// The result of this suffix, if it is to be made.
    #[must_use]
    pub fn target(&self, suffix: &str) -> Option<&Target> {
        self.targets.iter().find(|target| target.suffix == suffix)
    }

    /// Writes a result. It takes its place once it is whole on the disk.
    ///
    /// # Errors
    /// [`JobError::File`] or [`JobError::Stream`].
    pub fn put(&self, target: &Target, bytes: &[u8]) -> Result<(), JobError> {
        (self.put)(target, bytes)
    }
}

/// How a batch runs: where results go, which ones, and who may stop it.
pub struct Batch<'a> {
    destination: Destination,
    exporters: Vec<Box<dyn Export + 'a>>,
    /// Files of a task that needs no exporters.
    suffixes: Vec<String>,
    overwrite: bool,
    checksum: bool,
    threads: Option<usize>,
    decoder: Decoder,
    settings: Settings,
    cancelled: &'a (dyn Fn() -> bool + Sync),
    reader: Mutex<Option<Box<dyn Read + Send + 'a>>>,
    writer: Mutex<Option<Box<dyn Write + Send + 'a>>>,
}

impl Default for Batch<'_> {
    fn default() -> Self {
        Self {
            destination: Destination::Folder(".".into()),
            exporters: Vec::new(),
            suffixes: Vec::new(),
            overwrite: false,
            checksum: false,
            threads: None,
            decoder: Decoder::default(),
            settings: Settings::new(),
            cancelled: &|| false,
            reader: Mutex::default(),
            writer: Mutex::default(),
        }
    }
}

impl<'a> Batch<'a> {
    /// A batch that writes nothing, with a thread for each core.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes these formats, each once.
    #[must_use]
    pub fn formats(mut self, formats: impl IntoIterator<Item = Format>) -> Self {
        for format in formats {
            if !self.exporters.iter().any(|exporter| exporter.suffixes() == [format.suffix()]) {
                self.exporters.push(format.exporter());
            }
        }
        self
    }

    /// Writes what an exporter makes.
    #[must_use]
    pub fn exporter(mut self, exporter: impl Export + 'a) -> Self {
        self.exporters.push(Box::new(exporter));
        self
    }

    /// Expects files of these suffixes from a [`Task`].
    #[must_use]
    pub fn suffixes(mut self, suffixes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.suffixes.extend(suffixes.into_iter().map(Into::into));
        self
    }

    /// Where results go: [`Destination::of`] the path. A folder is created if it is missing. Default: the current folder.
    #[must_use]
    pub fn output(self, path: impl Into<PathBuf>) -> Self {
        self.destination(Destination::of(path))
    }

    /// As [`Batch::output`], where a path does not say it.
    #[must_use]
    pub fn destination(self, destination: Destination) -> Self {
        Self { destination, ..self }
    }

    /// Whether results that exist are made anew. Default: false, see [the table](self).
    #[must_use]
    pub fn overwrite(self, overwrite: bool) -> Self {
        Self { overwrite, ..self }
    }

    /// Whether an image's content tells if it changed since its results were made, rather than its size and time. Default: false.
    #[must_use]
    pub fn checksum(self, checksum: bool) -> Self {
        Self { checksum, ..self }
    }

    /// Threads of all work together. Default: one for each core. Results do not depend on it.
    #[must_use]
    pub fn threads(self, threads: impl Into<Option<usize>>) -> Self {
        Self { threads: threads.into(), ..self }
    }

    /// Reads images: limits, damage, memory.
    #[must_use]
    pub fn decoder(self, decoder: Decoder) -> Self {
        Self { decoder, ..self }
    }

    /// Adds to what decides the results beside the image: results of other values are not taken for these.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// Asked often, from any thread: once true, no more images are begun, and those at hand are given up.
    #[must_use]
    pub fn cancelled(self, cancelled: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { cancelled, ..self }
    }

    /// Where the image of the input `-` is read from, such as standard input.
    #[must_use]
    pub fn reader(self, reader: impl Read + Send + 'a) -> Self {
        Self { reader: Mutex::new(Some(Box::new(reader))), ..self }
    }

    /// Where the result for [`Destination::Stream`] goes, such as standard output.
    #[must_use]
    pub fn writer(self, writer: impl Write + Send + 'a) -> Self {
        Self { writer: Mutex::new(Some(Box::new(writer))), ..self }
    }

    /// Segments every image that the inputs name: files, folders, patterns.
    ///
    /// # Errors
    /// As [`Batch::prepare`] and [`Prepared::run`].
    pub fn segment(
        &self,
        segmenter: &Segmenter,
        inputs: &[impl AsRef<Path>],
        listener: &mut Listener<'_, crate::export::Report>,
    ) -> Result<Summary, BatchError> {
        self.prepare(&collect(inputs))?.segment(segmenter, listener)
    }

    /// Checks that everything can be written, before anything costly is begun, and makes the output folder. It is removed again if nothing
    /// comes of the run.
    ///
    /// # Errors
    /// [`BatchError`] if results have no room where they should go, nothing can be written there, or two images have the same names of results.
    pub fn prepare<'p>(&'p self, collected: &'p Collected) -> Result<Prepared<'p, 'a>, BatchError> {
        let inputs = &collected.inputs;
        if inputs.iter().filter(|input| input.path().is_none()).count() > 1 {
            return Err(BatchError::StreamTwice);
        }
        let own = self.exporters.iter().flat_map(|exporter| exporter.suffixes()).map(|suffix| (*suffix).to_owned());
        let wanted = Wanted {
            suffixes: own.chain(self.suffixes.iter().cloned()).collect(),
            run_files: self.exporters.iter().flat_map(|exporter| exporter.run_files()).map(|name| (*name).to_owned()).collect(),
            overwrite: self.overwrite,
            checksum: self.checksum,
        };
        let mut outputs = Outputs::new(self.destination.clone(), wanted, inputs)?;
        let names = if inputs.is_empty() { Vec::new() } else { outputs.prepare(inputs)? };
        Ok(Prepared { batch: self, collected, outputs, names })
    }

    fn put(&self, outputs: &Outputs, target: &Target, bytes: &[u8]) -> Result<Option<Pending>, JobError> {
        let mut stream: Option<MutexGuard<'_, _>> =
            target.path.is_none().then(|| self.writer.lock().unwrap_or_else(PoisonError::into_inner));
        let stream = stream.as_mut().and_then(|guard| guard.as_mut()).map(|writer| &mut **writer as &mut (dyn Write + Send));
        outputs.put(target, bytes, stream)
    }
}

/// A batch whose inputs are known and whose results can be written.
pub struct Prepared<'p, 'a> {
    batch: &'p Batch<'a>,
    collected: &'p Collected,
    outputs: Outputs,
    names: Vec<PathBuf>,
}

/// What was made of an image, and the files that are not yet in their places.
struct Made<D> {
    outcome: Outcome<D>,
    pending: Vec<Pending>,
}

impl Prepared<'_, '_> {
    /// Segments every image and exports it. The listener gets a [`Report`](crate::export::Report) of each.
    ///
    /// # Errors
    /// As [`Prepared::run`].
    pub fn segment(
        self,
        segmenter: &Segmenter,
        listener: &mut Listener<'_, crate::export::Report>,
    ) -> Result<Summary, BatchError> {
        let batch = self.batch;
        self.run(&segment::Segment { segmenter, exporters: &batch.exporters }, listener)
    }

    /// Does a task with every image. An image that fails does not end the batch; a disk that takes no more does, and so does the listener.
    ///
    /// # Errors
    /// [`BatchError::Threads`] if the threads cannot be started.
    pub fn run<T: Task>(self, task: &T, listener: &mut Listener<'_, T::Done>) -> Result<Summary, BatchError> {
        let (inputs, outputs) = (&self.collected.inputs, &self.outputs);
        let mut progress = Progress::new(inputs.len(), self.collected.left_out.clone(), outputs, listener);
        for Missing { name, error } in &self.collected.missing {
            if progress.failed(name, error).is_break() {
                return Ok(progress.finish(false));
            }
        }
        if inputs.is_empty() {
            return Ok(progress.finish(false));
        }
        let mut settings = task.settings();
        settings.extend(self.batch.settings.clone());
        let run = Run { task, settings, prepared: &self };
        let workers = Workers { threads: self.batch.threads, cancelled: self.batch.cancelled };
        workers.until(
            inputs.len(),
            |index| run.make(index),
            |index, made| run.settle(index, made),
            |step| match step {
                Step::Result(index, finished) => progress.image(&inputs[index], &outputs.paths(&self.names[index]), finished),
                Step::Late => progress.late(),
            },
        )?;
        if progress.is_whole() {
            match guarded(|| run.finish()) {
                Ok(written) => progress.run_files(written),
                Err(error) => drop(progress.failed(&outputs.run_names(), &error)),
            }
        }
        outputs.sync();
        Ok(progress.finish((self.batch.cancelled)()))
    }
}

/// What every image of a run needs.
struct Run<'r, 'p, 'a, T> {
    task: &'r T,
    settings: Settings,
    prepared: &'r Prepared<'p, 'a>,
}

impl<T: Task> Run<'_, '_, '_, T> {
    fn make(&self, index: usize) -> Made<T::Done> {
        let pending = Mutex::default();
        let outcome = match guarded(|| self.one(index, &pending)) {
            Ok(outcome) => outcome,
            Err(JobError::Cancelled) => Outcome::Cancelled,
            Err(error) => Outcome::Failed(error),
        };
        Made { outcome, pending: pending.into_inner().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Reads an image and does the task, unless its results are there.
    fn one(&self, index: usize, pending: &Mutex<Vec<Pending>>) -> Result<Outcome<T::Done>, JobError> {
        let Prepared { batch, collected, outputs, names } = self.prepared;
        let (input, name) = (&collected.inputs[index], &names[index]);
        let mut watch = Stopwatch::new("decode");
        let (source, streamed) = match input.path() {
            Some(_) => (Source::new(input), None),
            None => {
                let mut reader = batch.reader.lock().unwrap_or_else(PoisonError::into_inner);
                let reader = reader.as_mut().ok_or(JobError::Read { source: io::Error::other("there is no stream") })?;
                let mut reader = Hashing::new(reader);
                let image = batch.decoder.read(&mut reader)?;
                (Source::of_stream(input, reader), Some(image))
            }
        };
        let targets = match outputs.plan(&source, name, &self.settings)? {
            Plan::Make(targets) => targets,
            Plan::Skip { unrecorded } => return Ok(Outcome::Skipped { unrecorded }),
            Plan::Differs(how) => return Ok(Outcome::Differs { how }),
        };
        let image = streamed.map_or_else(|| source.decode(&batch.decoder), Ok)?;
        watch.begin("checksum");
        let record = source.record(&self.settings).map_err(|source| JobError::Read { source })?;
        if source.is_unstable() {
            return Err(JobError::Changed);
        }
        let cancelled = batch.cancelled;
        if cancelled() {
            return Err(JobError::Cancelled);
        }
        let (notes, damage) = (image.notes().to_vec(), image.damage().map(str::to_owned));
        let paths = outputs.paths(name);
        let put = |target: &Target, bytes: &[u8]| {
            let written = batch.put(outputs, target, bytes)?;
            pending.lock().unwrap_or_else(PoisonError::into_inner).extend(written);
            Ok(())
        };
        let mut job = Job { input, image, watch, record, targets, outputs: paths, cancelled, put: &put };
        Ok(Outcome::Done { done: self.task.run(&mut job)?, notes, damage })
    }

    /// Brings an image's files to their places, those of a failure too: what is done is done.
    fn settle(&self, index: usize, Made { mut outcome, pending }: Made<T::Done>) -> Finished<T::Done> {
        let Prepared { collected, outputs, names, .. } = self.prepared;
        let mut written = Vec::new();
        for pending in pending {
            match outputs.settle(pending) {
                Ok(path) => written.push(path),
                Err(_) if matches!(outcome, Outcome::Failed(_) | Outcome::Cancelled) => {}
                Err(error) => outcome = Outcome::Failed(error.into()),
            }
        }
        // Another run may have been here since the plan was made.
        if matches!(&outcome, Outcome::Failed(error) if error.has_kind(&[ErrorKind::AlreadyExists])) {
            let source = Source::new(&collected.inputs[index]);
            if let Ok(Plan::Skip { unrecorded }) = outputs.plan(&source, &names[index], &self.settings) {
                outcome = Outcome::Skipped { unrecorded };
            }
        }
        Finished { outcome, written }
    }

    /// Writes the files of the whole run, and returns their paths.
    fn finish(&self) -> Result<Vec<String>, JobError> {
        let Prepared { batch, outputs, .. } = self.prepared;
        let mut written = Vec::new();
        for File { name, bytes } in self.task.finish()? {
            if let Some(pending) = batch.put(outputs, &outputs.run_target(&name), &bytes)? {
                written.push(outputs.settle(pending)?);
            }
        }
        Ok(written)
    }
}
