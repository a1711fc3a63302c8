//! Segmenting the images of a batch: the one place where the pipeline meets exporters and reports.

use super::{Job, JobError, Settings, Task};
use crate::cpu::Precision;
use crate::export::annotation::Regions;
use crate::export::{Export, ExportError, File, Format, Page, Provenance, Report};
use crate::options::Options;
use crate::segment::Mode;
use crate::segmentation::Segmentation;
use crate::segmenter::Segmenter;
use serde::Serialize;
use serde_json::Value;

/// Segments images and exports them.
pub(super) struct Segment<'a> {
    pub segmenter: &'a Segmenter,
    pub exporters: &'a [Box<dyn Export + 'a>],
}

/// What decides the results of a segmenter apart from the image: its network, and every option that is not the default. The precision
/// is part of it only if one was asked for: the machine's own choice lets another machine go on where this one stopped.
#[must_use]
pub fn settings(segmenter: &Segmenter) -> Settings {
    let mut usual = Options::default().flat();
    let mut settings: Settings =
        segmenter.options().flat().into_iter().filter(|(name, value)| usual.remove(name).as_ref() != Some(value)).collect();
    let mut network = json(segmenter.backbone().identity());
    network.as_object_mut().map(|network| network.remove("precision"));
    settings.insert("backbone".into(), network);
    settings.remove("precision");
    if segmenter.precision_asked() != Precision::Auto {
        settings.insert("precision".into(), segmenter.precision_asked().name().into());
    }
    settings
}

/// The formats to write for an image where nobody names any: the mask of one object, or the labels of several regions; and the overlay.
#[must_use]
pub fn usual_formats(options: &Options) -> [Format; 2] {
    let several = options.recipe.mode == Mode::Objects || options.recipe.meanings(0.0).len() > 2;
    [if several { Format::Labels } else { Format::Mask }, Format::Overlay]
}

/// The value as JSON; of what is serialized here nothing can fail.
pub(super) fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// The file, if it is one of those that the exporter announced.
fn announced(file: File, names: &[&str]) -> Result<File, ExportError> {
    if names.contains(&&*file.name) { Ok(file) } else { Err(ExportError::Unannounced { name: file.name }) }
}

impl Task for Segment<'_> {
    type Done = Report;

    fn settings(&self) -> Settings {
        settings(self.segmenter)
    }

    fn run(&self, job: &mut Job<'_>) -> Result<Report, JobError> {
        let segmentation = job.watched(|image, observe| self.segmenter.segment_observed(image, observe))?;
        self.export(job, &segmentation, json(self.segmenter.options()))
    }

    fn finish(&self) -> Result<Vec<File>, JobError> {
        let mut files = Vec::new();
        for exporter in self.exporters.iter().filter(|exporter| !exporter.run_files().is_empty()) {
            for file in exporter.finish()? {
                files.push(announced(file, exporter.run_files())?);
            }
        }
        Ok(files)
    }
}

impl Segment<'_> {
    /// Writes what the exporters make of an image's segmentation, and reports it; `options` go into the report.
    pub fn export(&self, job: &mut Job<'_>, segmentation: &Segmentation, options: Value) -> Result<Report, JobError> {
        job.watch.begin("write");
        let provenance = Provenance {
            input: job.input.name(),
            outputs: std::mem::take(&mut job.outputs),
            seconds: Default::default(),
            backbone: json(self.segmenter.backbone().identity()),
            kernels: self.segmenter.cpu().isa().name(),
            options,
            seed: self.segmenter.options().seed,
            record: job.record.clone(),
        };
        let mut report = Report::new(&job.image, segmentation, provenance);
        let name = job.input.relative_name();
        for exporter in self.exporters {
            let is_wanted = exporter.suffixes().iter().any(|suffix| job.target(suffix).is_some());
            if !is_wanted && exporter.run_files().is_empty() {
                continue;
            }
            report.seconds = job.watch.seconds();
            let page = Page { name: &name, image: &job.image, segmentation, report: &report };
            for file in exporter.image(&page)? {
                let File { name, bytes } = announced(file, exporter.suffixes())?;
                if let Some(target) = job.target(&name) {
                    job.put(target, &job.record.into_png(bytes))?;
                }
            }
        }
        if let Some(annotate) = job.annotation {
            annotate(Regions::new(&name, segmentation, job.record.clone()))?;
        }
        report.seconds = job.watch.seconds();
        Ok(report)
    }
}
