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
//! Every result is written whole or not at all, and keeps a [`Record`](crate::export::record::Record) of what it was made from. So the same call goes on where it was
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
//!
//! **Annotation files** ([`Batch::annotations`]) hold no record. What they are made from is kept in `.deepcut` in the output folder, a file of
//! [`Regions`](crate::export::annotation::Regions) for each image, with the checksums of the files as they were written:
//!
//! | there already                                                | what happens                                                  |
//! |--------------------------------------------------------------|---------------------------------------------------------------|
//! | regions of the same image and settings, and all files        | [`Outcome::Skipped`]                                          |
//! | the same, and files are missing or have other options        | [`Outcome::Annotated`]: they are made, nothing is segmented   |
//! | a file of an image that a person made or changed             | it is left; replaced if overwriting is allowed, unless it is of those that [keep edited](Annotate::keeps_edited) |
//! | a file of the whole run as a run wrote it                    | it is made anew when all images are done, and then replaced   |
//! | a file of the whole run that a person made or changed        | [`BatchError::Edited`] before it begins, unless it is allowed |
//!
//! Files of the whole run tell of the images of this run, in their order; those that failed are not in them. If results of other settings
//! were left, they are not written.

mod annotate;
mod cosegment;
mod destination;
mod error;
pub mod files;
mod fit;
pub(crate) mod inputs;
pub(crate) mod ordered;
mod outputs;
mod pattern;
mod plan;
mod progress;
mod run;
mod run_files;
mod segment;
mod source;
mod stopwatch;
mod task;
#[cfg(test)]
mod tests;

pub use cosegment::{Gathered, Parts};
pub use destination::Destination;
pub use error::{BatchError, FileError, InputError, JobError, Panicked, Remedy, ThreadsError};
pub use inputs::{Collected, Input, LeftOut, Missing, collect};
pub use ordered::{WORKER_THREAD, Workers};
pub use outputs::Target;
pub use progress::{Event, Left, Outcome, PolygonFit, Stopped, Summary};
pub use run::Prepared;
pub use segment::{settings, usual_formats};
pub use stopwatch::Stopwatch;
pub use task::{Job, Task};

use crate::export::annotation::{Annotate, AnnotationFormat, AnnotationOptions};
use crate::export::{Export, Format, Report};
use crate::image::Decoder;
use crate::segmenter::Segmenter;
use outputs::{Outputs, Wanted};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Everything that decides a result apart from the image: the network, and every option that is not the default.
pub type Settings = BTreeMap<String, Value>;

/// Receives the [`Event`]s of a batch. `Break` ends the batch early; images that were begun are still finished.
pub type Listener<'a, D> = dyn FnMut(Event<'_, D>) -> ControlFlow<()> + 'a;

/// A batch of images: which results are written, where, and how.
pub struct Batch<'a> {
    destination: Destination,
    exporters: Vec<Box<dyn Export + 'a>>,
    annotators: Vec<Box<dyn Annotate + 'a>>,
    annotation: AnnotationOptions,
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
            annotators: Vec::new(),
            annotation: AnnotationOptions::default(),
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

    /// Writes what an exporter makes. One that keeps something from image to image serves one run.
    #[must_use]
    pub fn exporter(mut self, exporter: impl Export + 'a) -> Self {
        self.exporters.push(Box::new(exporter));
        self
    }

    /// Writes these annotation files, each once.
    #[must_use]
    pub fn annotations(mut self, formats: impl IntoIterator<Item = AnnotationFormat>) -> Self {
        let mut seen = Vec::new();
        for format in formats {
            if !seen.contains(&format) {
                self.annotators.push(format.annotator());
                seen.push(format);
            }
        }
        self
    }

    /// Writes annotation files of another kind.
    #[must_use]
    pub fn annotator(mut self, annotator: impl Annotate + 'a) -> Self {
        self.annotators.push(Box::new(annotator));
        self
    }

    /// What annotation files say, and how. They can be changed later: the same batch with other ones segments no image again.
    #[must_use]
    pub fn annotation_options(self, options: AnnotationOptions) -> Self {
        Self { annotation: options, ..self }
    }

    /// Names the files that a custom [`Task`] writes for each image, by what follows the image's name (`mask.png`).
    #[must_use]
    pub fn suffixes(mut self, suffixes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.suffixes.extend(suffixes.into_iter().map(Into::into));
        self
    }

    /// Writes results to this path, as [`Destination::of`] takes it. A folder is created if it is missing. Default: the current folder.
    #[must_use]
    pub fn output(self, path: impl Into<PathBuf>) -> Self {
        self.destination(Destination::of(path))
    }

    /// As [`Batch::output`], also for a stream.
    #[must_use]
    pub fn destination(self, destination: Destination) -> Self {
        Self { destination, ..self }
    }

    /// Whether to replace results that exist. Default: false, see [the table](self).
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

    /// Reads images with this decoder: it says how large they may be, and what happens to damaged ones.
    #[must_use]
    pub fn decoder(self, decoder: Decoder) -> Self {
        Self { decoder, ..self }
    }

    /// Adds to the [`Settings`] that each result keeps: results of another value are results of other settings.
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.settings.insert(name.into(), value.into());
        self
    }

    /// Stops the batch once this returns true: no more images are begun, and those at hand are left for the next run. Called often, from any
    /// thread.
    #[must_use]
    pub fn cancelled(self, cancelled: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { cancelled, ..self }
    }

    /// Reads the image of the input `-` from here, such as standard input.
    #[must_use]
    pub fn reader(self, reader: impl Read + Send + 'a) -> Self {
        Self { reader: Mutex::new(Some(Box::new(reader))), ..self }
    }

    /// Writes the result for [`Destination::Stream`] here, such as standard output.
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
        listener: &mut Listener<'_, Report>,
    ) -> Result<Summary, BatchError> {
        self.prepare(&collect(inputs))?.segment(segmenter, listener)
    }

    /// Checks that results can be written and creates the output folder, before anything costly such as a network is loaded. An output folder that
    /// was created and stays empty is removed again.
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
            annotations: annotate::wanted(&self.annotators, &self.annotation, self.destination.is_single()),
            overwrite: self.overwrite,
            checksum: self.checksum,
        };
        let mut outputs = Outputs::new(self.destination.clone(), wanted, inputs)?;
        let names = if inputs.is_empty() { Vec::new() } else { outputs.prepare(inputs)? };
        Ok(Prepared { batch: self, collected, outputs, names })
    }
}
