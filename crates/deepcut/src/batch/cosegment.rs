//! Parts that agree over the images of a batch: the first pass keeps every image's object, the second writes its parts.

use super::segment::{Segment, json, settings};
use super::{Batch, BatchError, Job, JobError, Listener, Prepared, Settings, Summary, Task, collect};
use crate::cosegment::{Codebook, CodebookError, Cosegment, CosegmentError, Foregrounds};
use crate::export::{File, Report};
use crate::segmenter::{Error, Segmenter};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What the first pass found in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gathered {
    /// Patches of its object; 0 if it has none.
    pub patches: usize,
}

/// Cuts the object of each image and keeps it under the checksum of its file.
struct Gather<'a> {
    segmenter: &'a Segmenter,
    set: Mutex<Foregrounds>,
}

impl Task for Gather<'_> {
    type Done = Gathered;

    fn settings(&self) -> Settings {
        settings(self.segmenter)
    }

    fn run(&self, job: &mut Job<'_>) -> Result<Gathered, JobError> {
        let foreground = job.watched(|image, observe| self.segmenter.foreground_observed(image, observe))?;
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        set.add(&job.record.sha256, &foreground).map_err(|error| other(CosegmentError::from(error)))?;
        Ok(Gathered { patches: foreground.patches() })
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> JobError {
    JobError::Other(Box::new(error))
}

/// What the second pass works with.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// How parts are found.
    pub options: &'a Cosegment,
    /// What tells them apart.
    pub codebook: &'a Codebook,
    /// What the first pass kept; an image that is not among them is cut again.
    pub foregrounds: &'a Foregrounds,
}

/// Finds the parts of each image and exports them.
struct Label<'a> {
    segment: Segment<'a>,
    parts: Parts<'a>,
    /// What decides the parts beside the options of the pipeline.
    about: serde_json::Value,
}

impl Task for Label<'_> {
    type Done = Report;

    fn settings(&self) -> Settings {
        let mut settings = settings(self.segment.segmenter);
        settings.insert("cosegment".into(), self.about.clone());
        settings
    }

    fn run(&self, job: &mut Job<'_>) -> Result<Report, JobError> {
        let (segmenter, Parts { options, codebook, foregrounds }) = (self.segment.segmenter, self.parts);
        let known = foregrounds.get(&job.record.sha256).map_err(|error| other(CosegmentError::from(error)))?;
        let foreground = match known {
            Some(foreground) => foreground,
            None => job.watched(|image, observe| segmenter.foreground_observed(image, observe))?,
        };
        let (cpu, asked) = (segmenter.cpu(), segmenter.options());
        let clustering = codebook.parts(cpu, &asked.recipe, &foreground, options.min_part).map_err(other)?;
        let finished = job.watched(|image, observe| asked.finish.to_pixels_observed(cpu, image, &clustering, observe));
        let segmentation = finished.map_err(Error::from)?;
        let mut report = json(asked);
        report["cosegment"] = self.about.clone();
        self.segment.export(job, &segmentation, report)
    }

    fn finish(&self) -> Result<Vec<File>, JobError> {
        self.segment.finish()
    }
}

impl Batch<'_> {
    /// Segments every image that the inputs name into parts that agree over all of them: both passes. Without a codebook one is learned; it is returned
    /// unless the batch was stopped before. Images that fail are reported in the second pass.
    ///
    /// The options of the pipeline should have the mode [`Parts`](crate::Mode::Parts): they say what labels mean.
    ///
    /// # Errors
    /// As [`Batch::prepare`] and [`Prepared::run`]. The inner error says why there is no codebook.
    pub fn cosegment(
        &self,
        segmenter: &Segmenter,
        options: &Cosegment,
        codebook: Option<Codebook>,
        inputs: &[impl AsRef<Path>],
        listener: &mut Listener<'_, Report>,
    ) -> Result<Result<(Summary, Codebook), CosegmentError>, BatchError> {
        let collected = collect(inputs);
        let prepared = self.prepare(&collected)?;
        let mut foregrounds = Foregrounds::default();
        let codebook = match codebook {
            Some(codebook) => codebook,
            None => {
                let first = self.without_results();
                foregrounds = first.prepare(&collected)?.gather(segmenter, &mut |_| ControlFlow::Continue(()))?.1;
                let (cpu, asked) = (segmenter.cpu(), segmenter.options());
                let identity = segmenter.backbone().identity();
                let mut go_on = |_| if (self.cancelled)() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
                match options.learn(cpu, &asked.recipe, &foregrounds, identity, asked.seed, &mut go_on) {
                    Ok(codebook) => codebook,
                    Err(error) => return Ok(Err(error)),
                }
            }
        };
        let parts = Parts { options, codebook: &codebook, foregrounds: &foregrounds };
        let summary = match prepared.parts(segmenter, parts, listener)? {
            Ok(summary) => summary,
            Err(error) => return Ok(Err(error.into())),
        };
        Ok(Ok((summary, codebook)))
    }

    /// The same batch, reading as this one does and writing nothing.
    fn without_results(&self) -> Batch<'_> {
        Batch::new().threads(self.threads).decoder(self.decoder.clone()).cancelled(self.cancelled)
    }
}

impl Prepared<'_, '_> {
    /// The first pass: the object of every image, kept for [`Cosegment::learn`] and [`Prepared::parts`]. The batch should write nothing.
    ///
    /// # Errors
    /// As [`Prepared::run`].
    pub fn gather(
        self,
        segmenter: &Segmenter,
        listener: &mut Listener<'_, Gathered>,
    ) -> Result<(Summary, Foregrounds), BatchError> {
        let gather = Gather { segmenter, set: Mutex::default() };
        let summary = self.run(&gather, listener)?;
        Ok((summary, gather.set.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The second pass: the parts of every image, exported. The listener gets a [`Report`] of each.
    ///
    /// # Errors
    /// As [`Prepared::run`]. The inner error says why the codebook does not fit.
    pub fn parts(
        self,
        segmenter: &Segmenter,
        parts: Parts<'_>,
        listener: &mut Listener<'_, Report>,
    ) -> Result<Result<Summary, CodebookError>, BatchError> {
        let checked = parts.codebook.check(segmenter.backbone().identity());
        let checked = checked.and_then(|()| parts.options.check(parts.codebook));
        let about = match checked.and_then(|()| parts.options.about(parts.codebook)) {
            Ok(about) => about,
            Err(error) => return Ok(Err(error)),
        };
        let segment = Segment { segmenter, exporters: &self.batch.exporters };
        let task = Label { segment, parts, about };
        self.run(&task, listener).map(Ok)
    }
}
