//! Annotation files of a batch: of each image from its regions, and of the whole run from those that were kept.

use super::outputs::{AnnotationFile, Outputs, SIDE, Target, WantedAnnotations};
use super::plan::{Work, digest};
use super::progress::PolygonFit;
use super::run_files::RunFile;
use super::{Collected, FileError, JobError, files};
use crate::backbone::weights::{hexadecimal, sha256};
use crate::export::annotation::{Annotate, AnnotationOptions, Regions, Sheet, Sheets, Written, class_names};
use crate::export::{ExportError, File};
use sha2::{Digest, Sha256};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Writes a result.
type Put<'a> = dyn Fn(&Target, &[u8]) -> Result<(), JobError> + 'a;

/// Makes the annotation files of a batch.
pub(super) struct Annotation<'r, 'a> {
    pub annotators: &'r [Box<dyn Annotate + 'a>],
    pub options: &'r AnnotationOptions,
    pub collected: &'r Collected,
    pub names: &'r [PathBuf],
    pub outputs: &'r Outputs,
    /// By image: how well its polygons fit.
    pub fits: Mutex<BTreeMap<usize, Fit>>,
}

/// How well polygons fit their masks: how many, and the sum and the least of the intersections over unions.
#[derive(Clone, Copy)]
pub(super) struct Fit {
    regions: usize,
    sum: f64,
    worst: f64,
}

impl Annotation<'_, '_> {
    /// Writes an image's annotation files, those that are targets, after the file of its regions: a file that is there and not known from it would
    /// be taken for a person's.
    pub fn image(&self, index: usize, mut regions: Regions, work: &Work, put: &Put<'_>) -> Result<(), JobError> {
        let input = &self.collected.inputs[index];
        let made = digest(self.options, input, &regions.record);
        let target = |name: &str| work.targets.iter().find(|target| target.suffix == name);
        let mut files = Vec::new();
        self.with_sheet(index, &regions, &mut |sheet| {
            for annotator in self.annotators {
                let names = annotator.image_files();
                if !names.iter().any(|name| target(name).is_some()) {
                    continue;
                }
                for file in annotator.image(sheet)? {
                    if !names.contains(&&*file.name) {
                        return Err(ExportError::Unannounced { name: file.name });
                    }
                    files.push(file);
                }
            }
            Ok(())
        })?;
        regions.files.clone_from(&work.known);
        let mut new = Vec::new();
        for File { name, bytes } in files {
            let (Some(target), sha256) = (target(&name), sha256(&bytes)) else { continue };
            let known = work.known.get(&name);
            let before = known.map(|written| written.sha256.clone()).filter(|before| *before != sha256);
            // What is there is known to be ours, and the same already.
            let is_there = target.replace
                && !self.outputs.wanted.overwrite
                && known.is_some_and(|written| written.sha256 == sha256 && written.before.is_none());
            if !is_there {
                new.push((target, bytes));
            }
            regions.files.insert(name, Written { sha256, before, made: made.clone() });
        }
        if let Some(side) = target(SIDE) {
            put(side, &regions.to_json()?)?;
        }
        for (target, bytes) in new {
            put(target, &bytes)?;
        }
        Ok(())
    }

    /// Calls `visit` with the sheet of an image, and keeps how well its polygons fit.
    fn with_sheet(
        &self,
        index: usize,
        regions: &Regions,
        visit: &mut dyn FnMut(&Sheet<'_>) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let path = self.collected.inputs[index].path();
        let stem = slashed(&self.names[index]);
        let sheet = Sheet::new(regions, self.options, &stem, path, self.outputs.folder());
        let sheet = sheet.ok_or_else(|| ExportError::Regions { path: self.names[index].clone() })?;
        visit(&sheet)?;
        let fits: Vec<f64> = sheet.objects.iter().filter_map(|object| object.iou()).collect();
        if !fits.is_empty() {
            let fit = Fit { regions: fits.len(), sum: fits.iter().sum(), worst: fits.iter().copied().fold(1.0, f64::min) };
            self.fits.lock().unwrap_or_else(PoisonError::into_inner).insert(index, fit);
        }
        Ok(())
    }

    /// How well the polygons of all images fit, if any were simplified.
    pub fn fit(&self) -> Option<PolygonFit> {
        let fits = self.fits.lock().unwrap_or_else(PoisonError::into_inner);
        let regions = fits.values().map(|fit| fit.regions).sum();
        let (worst, fit) = fits.iter().min_by(|a, b| a.1.worst.total_cmp(&b.1.worst))?;
        Some(PolygonFit {
            regions,
            mean: fits.values().map(|fit| fit.sum).sum::<f64>() / regions as f64,
            worst: fit.worst,
            worst_image: self.collected.inputs[*worst].name(),
        })
    }

    /// Writes the files of the whole run beside their places, or into `stream`. `ready` has the numbers of the images that are told of.
    pub fn run(
        &self,
        model: &str,
        ready: Vec<usize>,
        mut stream: Option<&mut (dyn Write + Send)>,
    ) -> Result<Vec<RunFile>, JobError> {
        let sheets = SideFiles { annotation: self, model, ready, classes: OnceCell::new() };
        let mut made = Vec::new();
        for annotator in self.annotators {
            for &name in annotator.run_files() {
                if !self.outputs.wanted.annotations.runs.iter().any(|wanted| wanted == name) {
                    continue;
                }
                let Some(path) = self.outputs.run_target(name).path else {
                    let stream = stream.as_deref_mut().ok_or(JobError::Stream { source: io::ErrorKind::BrokenPipe.into() })?;
                    annotator.run(name, &sheets, stream)?;
                    stream.flush().map_err(|source| JobError::Stream { source })?;
                    continue;
                };
                // A disk that was taken away must not be made anew as a folder.
                if let Some(folder) = self.outputs.is_gone() {
                    return Err(FileError::Gone { folder: folder.into() }.into());
                }
                let mut file = files::create_beside(&path)?;
                let sha256 = {
                    let mut out = Summing { out: BufWriter::new(file.as_file_mut()), hash: Sha256::new() };
                    annotator.run(name, &sheets, &mut out)?;
                    out.flush().map_err(|source| FileError::Write { path: path.clone(), source })?;
                    hexadecimal(&out.hash.finalize_reset())
                };
                made.push(RunFile { file, path, sha256 });
            }
        }
        Ok(made)
    }
}

/// A path with `/` between folders.
fn slashed(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// The images of a run, read again from what was kept of each: one at a time is in memory.
struct SideFiles<'s, 'r, 'a> {
    annotation: &'s Annotation<'r, 'a>,
    model: &'s str,
    ready: Vec<usize>,
    classes: OnceCell<Vec<String>>,
}

impl Sheets for SideFiles<'_, '_, '_> {
    fn options(&self) -> &AnnotationOptions {
        self.annotation.options
    }

    fn model(&self) -> &str {
        self.model
    }

    fn classes(&self) -> Result<Vec<String>, ExportError> {
        if let Some(classes) = self.classes.get() {
            return Ok(classes.clone());
        }
        let names = class_names(self)?;
        Ok(self.classes.get_or_init(|| names).clone())
    }

    fn each(&self, visit: &mut dyn FnMut(&Sheet<'_>) -> Result<(), ExportError>) -> Result<(), ExportError> {
        for &index in &self.ready {
            let path = self.annotation.outputs.place(&self.annotation.names[index], SIDE).unwrap_or_default();
            let regions = std::fs::read(&path).ok().and_then(|file| Regions::read(&file));
            let regions = regions.ok_or(ExportError::Regions { path })?;
            self.annotation.with_sheet(index, &regions, visit)?;
        }
        Ok(())
    }
}

/// A writer that computes the checksum of what passes.
struct Summing<W> {
    out: W,
    hash: Sha256,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Which annotation files are wanted, of each image and of the run. Where there is room for one result, it is that of the image, or else the
/// most important one of the run.
pub(super) fn wanted(annotators: &[Box<dyn Annotate + '_>], options: &AnnotationOptions, is_single: bool) -> WantedAnnotations {
    let mut wanted = WantedAnnotations { options: options.clone(), ..Default::default() };
    for annotator in annotators {
        let keeps_edited = annotator.keeps_edited();
        let files = annotator.image_files().iter();
        wanted.files.extend(files.map(|name| AnnotationFile { name: (*name).into(), keeps_edited }));
        let runs = annotator.run_files().iter().map(|name| (*name).to_owned());
        match is_single {
            true if annotator.image_files().is_empty() => wanted.runs.extend(runs.take(1)),
            true => {}
            false => wanted.runs.extend(runs),
        }
    }
    wanted
}
