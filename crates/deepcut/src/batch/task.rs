//! What is done with each image.

use super::{Input, JobError, Settings, Stopwatch, Target};
use crate::export::File;
use crate::export::annotation::Regions;
use crate::export::record::Record;
use crate::image::Image;
use crate::progress::Observer;
use std::ops::ControlFlow;

/// What to do with each image of a batch. Segmenting is [`Batch::segment`](super::Batch::segment).
pub trait Task: Sync {
    /// What [`Task::run`] returns for an image; the listener gets it in [`Outcome::Done`](super::Outcome::Done).
    type Done: Send;

    /// Everything that decides the results beside the image.
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

/// Writes the annotation files of an image's regions.
type Annotation<'a> = dyn Fn(Regions) -> Result<(), JobError> + 'a;

/// Writes a result.
type Put<'a> = dyn Fn(&Target, &[u8]) -> Result<(), JobError> + 'a;

/// One image's share of the work.
pub struct Job<'a> {
    /// Where the image comes from.
    pub input: &'a Input,
    /// The image.
    pub image: Image<'static>,
    /// Seconds by stage; so far the image was decoded and its file's checksum computed.
    pub watch: Stopwatch,
    /// What the results are made from; it goes into each.
    pub record: Record,
    /// The results to make.
    pub targets: Vec<Target>,
    /// Paths of all results of the image, those that were there before too.
    pub outputs: Vec<String>,
    /// Whether the batch was cancelled. Long work calls it now and then, and returns [`JobError::Cancelled`] if so.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
    pub(super) put: &'a Put<'a>,
    /// None if no annotation files are wanted of it.
    pub(super) annotation: Option<&'a Annotation<'a>>,
}

impl Job<'_> {
    /// Does work on the image; its observer keeps the steps' time and cancels them with the batch.
    pub(super) fn watched<R>(&mut self, work: impl FnOnce(&Image<'static>, &mut Observer<'_>) -> R) -> R {
        let (watch, cancelled) = (&mut self.watch, self.cancelled);
        work(&self.image, &mut |step| {
            watch.begin(step.name());
            if cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    }

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
