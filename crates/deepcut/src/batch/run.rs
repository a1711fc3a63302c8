//! A run of a batch: each image read, worked on, written and reported.

use super::annotate::Annotation;
use super::ordered::{Step, Workers, guarded};
use super::outputs::{Outputs, Pending, SIDE, Target};
use super::plan::Plan;
use super::progress::{Finished, Outcome, Progress, Summary};
use super::segment::Segment;
use super::source::{Hashing, Source};
use super::{Batch, BatchError, Collected, Input, Job, JobError, Listener, Missing, Settings, Stopwatch, Task};
use crate::export::annotation::Regions;
use crate::export::{File, Report};
use crate::segmenter::Segmenter;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A batch whose inputs are known and whose results can be written.
pub struct Prepared<'p, 'a> {
    pub(super) batch: &'p Batch<'a>,
    pub(super) collected: &'p Collected,
    pub(super) outputs: Outputs,
    /// What the results of each image are called.
    pub(super) names: Vec<PathBuf>,
}

/// What was made of an image, and the files that are not yet in their places.
struct Made<D> {
    outcome: Outcome<D>,
    pending: Vec<Pending>,
}

impl Prepared<'_, '_> {
    /// Segments every image and exports it. The listener gets a [`Report`] of each.
    ///
    /// # Errors
    /// As [`Prepared::run`].
    pub fn segment(self, segmenter: &Segmenter, listener: &mut Listener<'_, Report>) -> Result<Summary, BatchError> {
        let batch = self.batch;
        self.run(&Segment { segmenter, exporters: &batch.exporters }, listener)
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
        let annotation = Annotation {
            annotators: &self.batch.annotators,
            options: &self.batch.annotation,
            collected: self.collected,
            names: &self.names,
            outputs,
            fits: Mutex::default(),
        };
        let run = Run { task, settings, prepared: &self, annotation, ready: Mutex::default() };
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
            let files = guarded(|| run.finish()).and_then(|written| {
                progress.run_files(written);
                if progress.has_differing() { Ok(Vec::new()) } else { guarded(|| run.annotations()) }
            });
            match files {
                Ok(written) => progress.run_files(written),
                Err(error) => drop(progress.failed(&outputs.run_names(), &error)),
            }
        }
        progress.polygons(run.annotation.fit());
        progress.unpaired(self.unpaired());
        outputs.sync();
        Ok(progress.finish((self.batch.cancelled)()))
    }

    /// How many images have annotation files that programs do not find by the images' names.
    fn unpaired(&self) -> usize {
        if self.outputs.folder().is_none() || !self.batch.annotators.iter().any(|annotator| annotator.is_found_by_stem()) {
            return 0;
        }
        let own = |input: &Input| input.folder().join(Path::new(input.file_name()).file_stem().unwrap_or_default());
        self.collected.inputs.iter().zip(&self.names).filter(|(input, name)| own(input) != **name).count()
    }

    fn put(&self, target: &Target, bytes: &[u8]) -> Result<Option<Pending>, JobError> {
        match target.path {
            Some(_) => self.outputs.put(target, bytes, None),
            None => self.with_stream(|stream| self.outputs.put(target, bytes, stream)),
        }
    }

    /// Calls `work` with the stream that results go to, if there is one.
    fn with_stream<R>(&self, work: impl FnOnce(Option<&mut (dyn Write + Send)>) -> R) -> R {
        let mut stream = self.batch.writer.lock().unwrap_or_else(PoisonError::into_inner);
        work(stream.as_mut().map(|writer| &mut **writer as &mut (dyn Write + Send)))
    }
}

/// What every image of a run needs.
struct Run<'r, 'p, 'a, T> {
    task: &'r T,
    settings: Settings,
    prepared: &'r Prepared<'p, 'a>,
    annotation: Annotation<'r, 'a>,
    /// The images that have all their results.
    ready: Mutex<BTreeSet<usize>>,
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
        let put = |target: &Target, bytes: &[u8]| {
            let written = self.prepared.put(target, bytes)?;
            pending.lock().unwrap_or_else(PoisonError::into_inner).extend(written);
            Ok(())
        };
        let work = match outputs.plan(&source, name, &self.settings)? {
            Plan::Make(work) => work,
            Plan::Annotate(regions, work) => {
                self.annotation.image(index, *regions, &work, &put)?;
                return Ok(Outcome::Annotated { left: work.left });
            }
            Plan::Skip { left } => return Ok(Outcome::Skipped { left }),
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
        let annotate = |regions: Regions| self.annotation.image(index, regions, &work, &put);
        let annotation: Option<&dyn Fn(Regions) -> Result<(), JobError>> =
            if work.targets.iter().any(|target| target.suffix == SIDE) { Some(&annotate) } else { None };
        let targets = work.targets.clone();
        let mut job = Job { input, image, watch, record, targets, outputs: paths, cancelled, put: &put, annotation };
        Ok(Outcome::Done { done: self.task.run(&mut job)?, notes, damage, left: work.left })
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
            if let Ok(Plan::Skip { left }) = outputs.plan(&source, &names[index], &self.settings) {
                outcome = Outcome::Skipped { left };
            }
        }
        if matches!(outcome, Outcome::Done { .. } | Outcome::Annotated { .. } | Outcome::Skipped { .. }) {
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).insert(index);
        }
        // What annotation files are made from is no result.
        let side = outputs.place(&names[index], SIDE).map(|path| path.display().to_string());
        written.retain(|path| Some(path) != side.as_ref());
        Finished { outcome, written }
    }

    /// Writes the annotation files of the whole run, and returns the paths of those that are new.
    fn annotations(&self) -> Result<Vec<String>, JobError> {
        let ready = std::mem::take(&mut *self.ready.lock().unwrap_or_else(PoisonError::into_inner));
        let network = self.settings.get("backbone").and_then(|network| network["name"].as_str());
        let model = format!("deepcut {} ({})", env!("CARGO_PKG_VERSION"), network.unwrap_or("another network"));
        let ready = ready.into_iter().collect();
        let files = self.prepared.with_stream(|stream| self.annotation.run(&model, ready, stream))?;
        self.prepared.outputs.settle_run(files)
    }

    /// Writes the files of the whole run, and returns their paths.
    fn finish(&self) -> Result<Vec<String>, JobError> {
        let outputs = &self.prepared.outputs;
        let mut written = Vec::new();
        for File { name, bytes } in self.task.finish()? {
            if let Some(pending) = self.prepared.put(&outputs.run_target(&name), &bytes)? {
                written.push(outputs.settle(pending)?);
            }
        }
        Ok(written)
    }
}
