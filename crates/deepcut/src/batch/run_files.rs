//! Annotation files of the whole run: moved into place all at once, and told from those that a person changed by their checksums.

use super::JobError;
use super::files::write;
use super::outputs::{Outputs, Pending};
use super::plan::checksum;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Checksums of the files, below the output folder. No image's regions are called so: their files end in `.json`.
pub(super) const RUN_SUMS: &str = ".deepcut/run-files";

/// A file of the whole run that is written, but not yet in its place.
pub struct RunFile {
    pub file: NamedTempFile,
    pub path: PathBuf,
    pub sha256: String,
}

/// Checksums of the annotation files of the whole run, by their names: of the last run, and of what it replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunSums {
    path: PathBuf,
    files: BTreeMap<String, Vec<String>>,
}

impl RunSums {
    /// Those of a file; none if it is not there or broken.
    pub fn open(path: PathBuf) -> Self {
        let files = std::fs::read(&path).ok().and_then(|file| serde_json::from_slice(&file).ok()).unwrap_or_default();
        Self { path, files }
    }

    /// The name of a file below the folder of results.
    fn name(&self, path: &Path) -> String {
        let root = self.path.parent().and_then(Path::parent);
        root.and_then(|root| path.strip_prefix(root).ok()).unwrap_or(path).display().to_string()
    }

    fn has(&self, path: &Path, sha256: &str) -> bool {
        self.files.get(&self.name(path)).is_some_and(|sums| sums.iter().any(|sum| sum == sha256))
    }

    /// A file that will have a checksum, and what is there now.
    fn add(&mut self, path: &Path, sha256: &str, there: Option<&str>) {
        let sums = [Some(sha256), there.filter(|there| *there != sha256)];
        self.files.insert(self.name(path), sums.into_iter().flatten().map(str::to_owned).collect());
    }

    fn to_json(&self) -> Vec<u8> {
        // Only text is in it, so this does not fail.
        serde_json::to_vec(&self.files).unwrap_or_default()
    }
}

impl Outputs {
    /// Checksums of the annotation files of the whole run, as the last run wrote them; none if there is room for one file.
    pub(super) fn run_sums(&self) -> RunSums {
        let folder = self.folder().map(|folder| folder.join(RUN_SUMS));
        folder.map(RunSums::open).unwrap_or_default()
    }

    /// Whether something lies at the place of an annotation file of the whole run that no run wrote, and may not be replaced.
    pub(super) fn is_edited(&self, sums: &RunSums, path: &Path) -> bool {
        let sum = || checksum(&path.to_owned()).ok().flatten();
        // What cannot be read is not ours either.
        !self.wanted.overwrite && path.symlink_metadata().is_ok() && !sum().is_some_and(|sum| sums.has(path, &sum))
    }

    /// Moves the annotation files of the whole run to their places, all that are not there as they are, and returns their paths.
    ///
    /// # Errors
    /// [`JobError`] if one that is there was changed by somebody, or the disk is at fault.
    pub fn settle_run(&self, files: Vec<RunFile>) -> Result<Vec<String>, JobError> {
        // Another run may have written them meanwhile.
        let before = self.run_sums();
        let mut sums = before.clone();
        let mut new = Vec::new();
        for file in files {
            if self.is_edited(&before, &file.path) {
                let RunFile { path, .. } = file;
                return Err(if self.is_single() { JobError::Exists { path } } else { JobError::Edited { path } });
            }
            let there = checksum(&file.path).map_err(|source| JobError::ReadResult { path: file.path.clone(), source })?;
            sums.add(&file.path, &file.sha256, there.as_deref());
            if there.as_ref() != Some(&file.sha256) {
                new.push(file);
            }
        }
        // Before the files: one that is there and not known would be taken for a person's.
        if !self.is_single() && sums != before {
            write(&sums.path, &sums.to_json(), true)?;
        }
        let settle = |file: RunFile| self.settle(Pending { file: file.file, path: file.path, replace: true });
        Ok(new.into_iter().map(settle).collect::<Result<_, _>>()?)
    }
}
