//! What to do with an image, by what is there already. The table is in [`super`].

use super::inputs::{self, Input};
use super::outputs::{Outputs, SIDE, Target, difference, keeps_record, look};
use super::source::Source;
use super::{JobError, Left, Settings};
use crate::backbone::weights::{sha256, sha256_of_reader};
use crate::export::annotation::{AnnotationOptions, Regions, Written, image_name};
use crate::export::examine::Found;
use crate::export::record::Record;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What to do with an image.
#[derive(Debug)]
pub enum Plan {
    /// Make these.
    Make(Work),
    /// Make annotation files of these regions.
    Annotate(Box<Regions>, Work),
    /// Everything is there.
    Skip {
        /// Those that no run made.
        left: Left,
    },
    /// Results of other settings are there; how they differ.
    Differs(String),
}

/// Results to make of an image.
#[derive(Debug, Default)]
pub struct Work {
    /// The results. If annotation files are among them, so is the file of the image's regions.
    pub targets: Vec<Target>,
    /// What is known of the image's annotation files that are there and ours.
    pub known: BTreeMap<String, Written>,
    /// Results that are there and left, though no run made them so.
    pub left: Left,
}

/// Results that are there, and those to make.
#[derive(Default)]
struct State {
    targets: Vec<(Target, bool)>,
    records: Vec<(Record, SystemTime)>,
    left: Left,
    missing: usize,
    /// Annotation files to make.
    annotations: usize,
}

/// A digest of what decides an image's annotation files: its regions, by what they were made from, its name and the options.
pub(super) fn digest(options: &AnnotationOptions, input: &Input, record: &Record) -> String {
    // Only text and numbers are in it, so this does not fail.
    let text = serde_json::to_string(options).unwrap_or_default();
    let name = image_name(&input.relative_name(), input.path(), options.paths);
    sha256(format!("{text}\n{name}\n{}", record.to_ascii()).as_bytes())
}

impl Outputs {
    /// What to do with an image whose results are called `name`.
    ///
    /// # Errors
    /// [`JobError`] if what is there is no result, or another image's.
    pub fn plan(&self, source: &Source<'_>, name: &Path, settings: &Settings) -> Result<Plan, JobError> {
        let read = |source| JobError::Read { source };
        let mut state = State::default();
        self.look_at_results(source, name, &mut state)?;
        let regions = self.look_at_annotations(source, name, &mut state)?;
        let State { mut targets, records, left, missing, annotations } = state;
        let known = regions.as_ref().map(|regions| regions.files.clone()).unwrap_or_default();
        let wants_regions = !self.wanted.annotations.runs.is_empty() || annotations > 0;
        let side = |targets: &mut Vec<(Target, bool)>, wanted: bool| {
            let path = self.place(name, SIDE);
            targets.push((Target { suffix: SIDE.into(), path, replace: true }, wanted));
        };
        for (record, written) in &records {
            if source.has_changed(record, *written, self.wanted.checksum).map_err(read)? {
                if !self.wanted.annotations.is_empty() {
                    side(&mut targets, true);
                }
                let targets = targets.into_iter().map(|(target, _)| target).collect();
                return Ok(Plan::Make(Work { targets, known, left }));
            }
        }
        if let Some(difference) = records.iter().find_map(|(record, _)| difference(&record.settings, settings)) {
            return Ok(Plan::Differs(difference));
        }
        let usable = regions.filter(|_| !self.wanted.overwrite);
        side(&mut targets, wants_regions && (usable.is_none() || annotations > 0));
        // Without files to write the image is reported; a file that an exporter makes of the whole run needs every image.
        let needs_pixels = missing > 0
            || !self.wanted.run_files.is_empty()
            || wants_regions && usable.is_none()
            || self.wanted.suffixes.is_empty() && self.wanted.annotations.is_empty();
        let targets = targets.into_iter().filter_map(|(target, wanted)| wanted.then_some(target)).collect();
        let work = Work { targets, known, left };
        match usable {
            _ if needs_pixels => Ok(Plan::Make(work)),
            Some(regions) if annotations > 0 => Ok(Plan::Annotate(Box::new(regions), work)),
            _ => Ok(Plan::Skip { left }),
        }
    }

    /// The results that keep a record, or are another exporter's.
    fn look_at_results(&self, source: &Source<'_>, name: &Path, state: &mut State) -> Result<(), JobError> {
        for suffix in &self.wanted.suffixes {
            let target = |path, replace| Target { suffix: suffix.clone(), path, replace };
            let Some(place) = self.place(name, suffix) else {
                state.targets.push((target(None, false), true));
                state.missing += 1;
                continue;
            };
            let found = match look(&place) {
                Ok(found) => found,
                Err(source) => return Err(JobError::ReadResult { path: place, source }),
            };
            if found.is_some() {
                self.check_is_no_input(&place)?;
            }
            // Other exporters' files keep no record: what lies there may be one of them.
            let found = match found {
                Some((Found::Other, written)) if !keeps_record(suffix) => Some((Found::Whole(None), written)),
                found => found,
            };
            let (replace, wanted) = match found {
                None => (false, true),
                Some(_) if self.wanted.overwrite => (true, true),
                Some((Found::Other, _)) => return Err(JobError::NoResult { path: place }),
                Some((Found::Whole(None), _)) if self.is_single() => return Err(JobError::Exists { path: place }),
                Some((Found::Partial, _)) => (true, true),
                Some((Found::Whole(None), _)) => {
                    state.left.unrecorded += 1;
                    continue;
                }
                Some((Found::Whole(Some(record)), written)) => {
                    check_is_of(source, &record, &place)?;
                    state.records.push((record, written));
                    (true, false)
                }
            };
            state.missing += usize::from(wanted);
            state.targets.push((target(Some(place), replace), wanted));
        }
        Ok(())
    }

    /// The annotation files, and the regions that they were made from.
    fn look_at_annotations(&self, source: &Source<'_>, name: &Path, state: &mut State) -> Result<Option<Regions>, JobError> {
        let wanted = &self.wanted.annotations;
        if wanted.is_empty() {
            return Ok(None);
        }
        let regions = self.regions(source, name, state)?;
        let made = regions.as_ref().map(|regions| digest(&wanted.options, source.input, &regions.record)).unwrap_or_default();
        for file in &wanted.files {
            let target = |path, replace| Target { suffix: file.name.clone(), path, replace };
            let Some(place) = self.place(name, &file.name) else {
                state.targets.push((target(None, false), true));
                state.annotations += 1;
                continue;
            };
            let sum = checksum(&place).map_err(|source| JobError::ReadResult { path: place.clone(), source })?;
            let written = regions.as_ref().and_then(|regions| regions.files.get(&file.name));
            let (replace, is_wanted) = match sum {
                None => (false, true),
                Some(sum) => {
                    self.check_is_no_input(&place)?;
                    match written.filter(|written| written.is(&sum)) {
                        Some(written) => (true, self.wanted.overwrite || written.sha256 != sum || written.made != made),
                        None if self.wanted.overwrite && !file.keeps_edited => (true, true),
                        None if self.is_single() => return Err(JobError::Exists { path: place }),
                        // A person made or changed it.
                        None => {
                            let left = &mut state.left;
                            *if file.keeps_edited { &mut left.edited } else { &mut left.unrecorded } += 1;
                            continue;
                        }
                    }
                }
            };
            state.annotations += usize::from(is_wanted);
            state.targets.push((target(Some(place), replace), is_wanted));
        }
        Ok(regions)
    }

    /// The regions that are kept of an image, if they are whole.
    fn regions(&self, source: &Source<'_>, name: &Path, state: &mut State) -> Result<Option<Regions>, JobError> {
        let Some(place) = self.place(name, SIDE) else { return Ok(None) };
        let failed = |source| JobError::ReadResult { path: place.clone(), source };
        let (file, written) = match std::fs::read(&place).and_then(|file| Ok((file, place.metadata()?.modified()?))) {
            Ok(found) => found,
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        let Some(regions) = Regions::read(&file) else { return Ok(None) };
        if !self.wanted.overwrite {
            check_is_of(source, &regions.record, &place)?;
            state.records.push((regions.record.clone(), written));
        }
        Ok(Some(regions))
    }

    fn check_is_no_input(&self, place: &Path) -> Result<(), JobError> {
        let is_input = inputs::key(place).is_some_and(|key| self.read.contains(&key));
        if is_input { Err(JobError::ReplacesInput { path: place.into() }) } else { Ok(()) }
    }
}

fn check_is_of(source: &Source<'_>, record: &Record, place: &Path) -> Result<(), JobError> {
    match source.is_another(record) {
        Ok(false) => Ok(()),
        Ok(true) => Err(JobError::OtherImage { path: place.into(), input: record.input.clone() }),
        Err(source) => Err(JobError::Read { source }),
    }
}

/// The checksum of what lies at a path; None if nothing does. What is no file has one of its own.
pub(super) fn checksum(path: &PathBuf) -> io::Result<Option<String>> {
    match path.metadata() {
        Ok(data) if data.is_file() => File::open(path).and_then(sha256_of_reader).map(Some),
        Ok(_) => Ok(Some("no file".into())),
        Err(_) if path.symlink_metadata().is_ok() => Ok(Some("a link that leads nowhere".into())),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e),
    }
}
