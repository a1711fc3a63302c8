//! What is there already, what is to be made, and writing it whole or not at all. The table is in [`super`].

use super::destination::{Destination, extension, result_name};
use super::files::{list, make_folder, move_to, or_here, parent, try_writing, write_beside};
use super::inputs::{self, Input, Key};
use super::{BatchError, FileError, JobError, Settings};
use crate::export::annotation::{AnnotationOptions, image_name};
use crate::export::examine::{Found, examine};
use crate::export::{FEATURES_SUFFIX, Format};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockWriteGuard};
use std::time::SystemTime;
use tempfile::{NamedTempFile, TempDir};

/// A result to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What follows the image's name, such as `mask.png`.
    pub suffix: String,
    /// None is the stream.
    pub path: Option<PathBuf>,
    pub(super) replace: bool,
}

/// A result that is written, but not yet in its place.
pub struct Pending {
    pub(super) file: NamedTempFile,
    pub(super) path: PathBuf,
    pub(super) replace: bool,
}

/// Which results are made, and how.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Suffixes of the files of each image.
    pub suffixes: Vec<String>,
    /// Names of the files of the whole run that exporters make.
    pub run_files: Vec<String>,
    /// Annotation files.
    pub annotations: WantedAnnotations,
    pub overwrite: bool,
    pub checksum: bool,
}

/// Which annotation files are made.
#[derive(Debug, Clone, Default)]
pub struct WantedAnnotations {
    /// Files of each image.
    pub files: Vec<AnnotationFile>,
    /// Names of the files of the whole run.
    pub runs: Vec<String>,
    pub options: AnnotationOptions,
}

/// An annotation file of each image.
#[derive(Debug, Clone)]
pub struct AnnotationFile {
    /// Its name, with `*` for the image's.
    pub name: String,
    /// Whether one that a person made or changed stays even if overwriting is allowed.
    pub keeps_edited: bool,
}

impl WantedAnnotations {
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.runs.is_empty()
    }
}

impl Wanted {
    /// Names of the files of each image.
    fn image_files(&self) -> impl Iterator<Item = &str> {
        self.suffixes.iter().map(String::as_str).chain(self.annotations.files.iter().map(|file| &*file.name))
    }

    /// Names of the files of the whole run.
    fn all_run_files(&self) -> impl Iterator<Item = &str> {
        self.run_files.iter().chain(&self.annotations.runs).map(String::as_str)
    }
}

/// The file of an image's regions, with `*` for its name: what annotation files are made from.
pub const SIDE: &str = ".deepcut/*.json";
/// The folder that it is in.
pub const SIDE_FOLDER: &str = ".deepcut";

/// The results of a run.
pub struct Outputs {
    destination: Destination,
    pub(super) wanted: Wanted,
    /// What is read is never written.
    pub(super) read: HashSet<Key>,
    /// Where regions are kept if the results go to no folder.
    temporary: Option<TempDir>,
    /// Held to read by those who write.
    writing: RwLock<()>,
    /// Folders that were written to.
    touched: Mutex<HashSet<PathBuf>>,
    /// Whether `A` and `a` are one file there.
    ignores_case: bool,
    /// Made by this run, to be removed if it comes to nothing.
    made: Option<PathBuf>,
}

impl Outputs {
    /// Checks that the destination has room for what is wanted. Nothing is written.
    ///
    /// # Errors
    /// [`BatchError`] if a file or the stream is asked to take more than one result, or a result of another format than its name says.
    pub fn new(destination: Destination, wanted: Wanted, inputs: &[Input]) -> Result<Self, BatchError> {
        // `json` and `*.json` are one name.
        let whole = |name: &str| result_name(Path::new("*"), name).display().to_string();
        let all = wanted.image_files().map(whole).chain(wanted.all_run_files().map(str::to_owned));
        let mut names = HashSet::new();
        if let Some(name) = all.into_iter().find(|name| !names.insert(name.clone())) {
            return Err(BatchError::SameName { name: name.trim_start_matches("*.").to_owned() });
        }
        let mut temporary = None;
        if destination.is_single() {
            let (suffixes, names): (Vec<&str>, Vec<&str>) = (wanted.image_files().collect(), wanted.all_run_files().collect());
            let suffix = match (&suffixes[..], &names[..]) {
                ([suffix], []) if inputs.len() <= 1 => *suffix,
                ([], [name]) => *name,
                (suffixes, names) => {
                    return Err(BatchError::OneResult { formats: suffixes.len() + names.len(), images: inputs.len() });
                }
            };
            if let Destination::File(path) = &destination
                && !path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension(suffix)))
            {
                let name = path.with_extension(extension(suffix));
                return Err(BatchError::Extension { path: path.clone(), suffix: suffix.trim_start_matches("*.").into(), name });
            }
            if !wanted.annotations.is_empty() {
                let failed = |source| FileError::MakeFolder { folder: std::env::temp_dir(), source };
                temporary = Some(TempDir::new().map_err(failed)?);
            }
        }
        Ok(Self {
            temporary,
            destination,
            wanted,
            read: inputs.iter().filter_map(|input| input.key().cloned()).collect(),
            writing: RwLock::new(()),
            touched: Mutex::default(),
            ignores_case: false,
            made: None,
        })
    }

    /// Whether results are written, rather than only reported.
    pub fn writes(&self) -> bool {
        self.wanted.image_files().next().is_some() || self.wanted.all_run_files().next().is_some()
    }

    /// Whether there is room for one result only.
    pub(super) fn is_single(&self) -> bool {
        self.destination.is_single()
    }

    /// The folder of the results, if they go to one.
    pub fn folder(&self) -> Option<&Path> {
        if let Destination::Folder(folder) = &self.destination { Some(folder) } else { None }
    }

    /// The path of an image's result; None is the stream.
    pub fn place(&self, stem: &Path, name: &str) -> Option<PathBuf> {
        match &self.temporary {
            Some(folder) if name == SIDE => Some(folder.path().join(result_name(stem, SIDE))),
            _ => self.destination.path(stem, name),
        }
    }

    /// Makes the output folder, tries to write there, removes what a killed run left, and gives every image the name of its results.
    ///
    /// # Errors
    /// [`BatchError`] if nothing can be written there, two images would write the same files, or a file of the whole run is there.
    pub fn prepare(&mut self, inputs: &[Input]) -> Result<Vec<PathBuf>, BatchError> {
        let stems = |whole| inputs.iter().map(move |input| stem(input, whole)).collect::<Vec<_>>();
        self.check_image_names(inputs)?;
        let (Some(root), true) = (self.destination.root().map(Path::to_owned), self.writes()) else {
            return Ok(stems(false));
        };
        if !root.exists() {
            self.made =
                root.ancestors().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()).last().map(Into::into);
            make_folder(&root)?;
        }
        self.ignores_case = try_writing(&root)?;
        for path in self.wanted.run_files.iter().filter_map(|name| self.destination.run_path(Path::new(name))) {
            if inputs::key(&path).is_some_and(|key| self.read.contains(&key)) {
                return Err(BatchError::ReplacesInput { path });
            }
            if !self.wanted.overwrite && path.symlink_metadata().is_ok() {
                return Err(BatchError::Exists { path });
            }
        }
        let sums = self.run_sums();
        for path in self.wanted.annotations.runs.iter().filter_map(|name| self.destination.run_path(Path::new(name))) {
            if inputs::key(&path).is_some_and(|key| self.read.contains(&key)) {
                return Err(BatchError::ReplacesInput { path });
            }
            if self.is_edited(&sums, &path) {
                return Err(if self.is_single() { BatchError::Exists { path } } else { BatchError::Edited { path } });
            }
        }
        let folders: HashSet<PathBuf> = match &self.destination {
            Destination::Folder(folder) => {
                // A name may begin with folders of its own: `labels/*.txt`.
                let own = |name: &str| name.split_once('*').and_then(|(before, _)| Some(before.rsplit_once('/')?.0.to_owned()));
                let prefixes: BTreeSet<String> =
                    self.wanted.image_files().chain([SIDE]).filter_map(own).chain([String::new()]).collect();
                let below: Vec<PathBuf> = prefixes.iter().map(|prefix| folder.join(prefix)).collect();
                inputs.iter().flat_map(|input| below.iter().map(|folder| folder.join(input.folder()))).collect()
            }
            _ => [root].into(),
        };
        let there: HashSet<PathBuf> = folders.iter().flat_map(|folder| list(or_here(folder), folder)).collect();
        match self.destination {
            Destination::Folder(_) => self.names(inputs, &there),
            _ => Ok(stems(false)),
        }
    }

    /// Checks that in a file about many images each has its own name.
    fn check_image_names(&self, inputs: &[Input]) -> Result<(), BatchError> {
        let Wanted { run_files, annotations, .. } = &self.wanted;
        if run_files.is_empty() && annotations.runs.is_empty() {
            return Ok(());
        }
        let (mut seen, mut called) = (HashMap::new(), HashMap::new());
        for input in inputs {
            let relative = input.relative_name();
            let name = image_name(&relative, input.path(), annotations.options.paths);
            if let Some(first) = seen.insert(relative, input) {
                return Err(BatchError::SameFiles { first: first.name(), second: input.name() });
            }
            if !annotations.runs.is_empty()
                && let Some(first) = called.insert(name.clone(), input)
            {
                return Err(BatchError::SameImageName { first: first.name(), second: input.name(), name });
            }
        }
        Ok(())
    }

    /// The stem of each image's results, with its folder: the image's own, unless another image of this run or on the disk has it; then its
    /// whole name. What has results keeps their name.
    fn names(&self, inputs: &[Input], there: &HashSet<PathBuf>) -> Result<Vec<PathBuf>, BatchError> {
        let key = |path: &Path| match self.ignores_case {
            true => path.as_os_str().to_ascii_lowercase(),
            false => path.as_os_str().to_owned(),
        };
        let there: HashSet<OsString> = there.iter().map(|path| key(path)).collect();
        let mut shared: HashMap<OsString, usize> = HashMap::new();
        inputs.iter().for_each(|input| *shared.entry(key(&stem(input, false))).or_default() += 1);
        let mut names = Vec::with_capacity(inputs.len());
        let mut whole = Vec::with_capacity(inputs.len());
        for input in inputs {
            let own = input.file_name().to_string_lossy();
            let owner = |whole| self.owner(&stem(input, whole), |path| there.contains(&key(path)));
            let plain = owner(false);
            let is_whole = match &plain {
                Some(Some(name)) if *name == own => false,
                _ if shared[&key(&stem(input, false))] > 1 || matches!(plain, Some(Some(_))) => true,
                _ => matches!(owner(true), Some(Some(name)) if name == own),
            };
            names.push(stem(input, is_whole));
            whole.push(is_whole);
        }
        // `a.jpg.jpg` beside `a.jpg` and `a.png`, whose whole name is the other's stem.
        loop {
            let mut owners: HashMap<OsString, usize> = HashMap::new();
            let mut clash = None;
            for (at, name) in names.iter().enumerate() {
                if let Some(other) = owners.insert(key(name), at) {
                    clash = Some((other, at));
                    break;
                }
            }
            let Some((a, b)) = clash else { return Ok(names) };
            let Some(at) = [b, a].into_iter().find(|&at| !whole[at]) else {
                return Err(BatchError::SameFiles { first: inputs[a].name(), second: inputs[b].name() });
            };
            (names[at], whole[at]) = (stem(&inputs[at], true), true);
        }
    }

    /// The image whose results have this stem; None if there are none, an inner None if they do not say.
    fn owner(&self, stem: &Path, there: impl Fn(&Path) -> bool) -> Option<Option<String>> {
        let mut owner = None;
        let wanted = self.wanted.suffixes.iter().map(String::as_str);
        let others = own_suffixes().filter(|own| !self.wanted.suffixes.iter().any(|wanted| wanted.as_str() == *own));
        for path in wanted.chain(others).chain([SIDE]).filter_map(|suffix| self.destination.path(stem, suffix)) {
            if !there(&path) {
                continue;
            }
            match look(&path) {
                Ok(Some((Found::Whole(Some(record)), _))) => return Some(Some(record.input)),
                Ok(Some((Found::Whole(None), _))) => owner = Some(None),
                _ => {}
            }
        }
        owner
    }

    /// The paths of an image's results.
    pub fn paths(&self, name: &Path) -> Vec<String> {
        let paths = self.wanted.image_files().filter_map(|suffix| self.destination.path(name, suffix));
        paths.map(|path| path.display().to_string()).collect()
    }

    /// The file of the whole run of this name.
    pub fn run_target(&self, name: &str) -> Target {
        Target { suffix: name.into(), path: self.destination.run_path(Path::new(name)), replace: self.wanted.overwrite }
    }

    /// What to call the files of the whole run.
    pub fn run_names(&self) -> String {
        self.wanted.all_run_files().collect::<Vec<_>>().join(", ")
    }

    /// Writes a result to the stream, or beside its place: [`Outputs::settle`] moves it there.
    ///
    /// # Errors
    /// [`JobError::Stream`], or [`JobError::File`] if the disk is why it cannot be written.
    pub fn put(
        &self,
        target: &Target,
        bytes: &[u8],
        stream: Option<&mut (dyn Write + Send)>,
    ) -> Result<Option<Pending>, JobError> {
        let Some(path) = &target.path else {
            let stream = stream.ok_or(ErrorKind::BrokenPipe.into());
            let written = stream.and_then(|stream| stream.write_all(bytes).and_then(|()| stream.flush()));
            return written.map(|()| None).map_err(|source| JobError::Stream { source });
        };
        let _writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
        // A disk that was taken away must not be made anew as a folder.
        if let Some(root) = self.is_gone() {
            return Err(FileError::Gone { folder: root.into() }.into());
        }
        Ok(Some(Pending { file: write_beside(path, bytes)?, path: path.clone(), replace: target.replace }))
    }

    /// Waits until a result is on the disk and moves it to its place, which it returns. The waiting is why it is apart from [`Outputs::put`].
    ///
    /// # Errors
    /// As [`Outputs::put`], or if its place was taken meanwhile.
    pub fn settle(&self, Pending { file, path, replace }: Pending) -> Result<String, FileError> {
        let _writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
        move_to(file, &path, replace)?;
        self.touched.lock().unwrap_or_else(PoisonError::into_inner).insert(parent(&path).into());
        Ok(path.display().to_string())
    }

    /// The output folder, if it is no longer there.
    pub fn is_gone(&self) -> Option<&Path> {
        self.destination.root().filter(|root| self.writes() && !root.is_dir())
    }

    /// Whether the output folder takes anything at all.
    pub fn takes_files(&self) -> bool {
        self.destination.root().is_none_or(|root| try_writing(root).is_ok())
    }

    /// Waits until nothing is being written, and lets nothing be written any more as long as the answer lives.
    pub fn hold(&self) -> RwLockWriteGuard<'_, ()> {
        self.writing.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that the names of the results outlive a power failure.
    pub fn sync(&self) {
        #[cfg(unix)]
        for folder in self.touched.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            // The files themselves are on the disk; some file systems cannot do this.
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        // Only empty folders can be removed so.
        let mut folder = self.destination.root().filter(|_| self.made.is_some());
        while let Some(empty) = folder.filter(|folder| std::fs::remove_dir(folder).is_ok()) {
            folder = empty.parent().filter(|_| Some(empty) != self.made.as_deref());
        }
    }
}

/// The stem of an image's results, with its folder; the whole file name if another image has the same stem.
fn stem(input: &Input, whole: bool) -> PathBuf {
    let name = Path::new(input.file_name());
    input.folder().join(if whole { Some(name.as_os_str()) } else { name.file_stem() }.unwrap_or(name.as_os_str()))
}

/// What lies at a path and when it was written; None if nothing.
pub(super) fn look(path: &Path) -> io::Result<Option<(Found, SystemTime)>> {
    let data = match path.metadata() {
        Ok(data) => data,
        // A link that leads nowhere is there, too.
        Err(_) if path.symlink_metadata().is_ok() => return Ok(Some((Found::Other, SystemTime::UNIX_EPOCH))),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(e),
    };
    let found = if data.is_file() { examine(&mut File::open(path)?)? } else { Found::Other };
    Ok(Some((found, data.modified()?)))
}

/// How settings differ, in words.
pub(super) fn difference(before: &Settings, now: &Settings) -> Option<String> {
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let value = |settings: &Settings, name: &str| match settings.get(name) {
        None => "the default".to_owned(),
        Some(Value::String(text)) => text.clone(),
        // A network goes by its name.
        Some(Value::Object(object)) => {
            object.get("name").map_or_else(|| "another".into(), |name| name.to_string().replace('"', ""))
        }
        Some(value) => value.to_string(),
    };
    let differing = names.into_iter().filter(|&name| before.get(name) != now.get(name));
    let told: Vec<String> = differing.map(|name| format!("{name}: {}, now {}", value(before, name), value(now, name))).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// The suffixes of this library's own results.
fn own_suffixes<'a>() -> impl Iterator<Item = &'a str> {
    Format::ALL.iter().map(|format| format.suffix()).chain([FEATURES_SUFFIX])
}

/// Whether results of this suffix hold a record of what they were made from.
pub(super) fn keeps_record(suffix: &str) -> bool {
    own_suffixes().any(|own| own == suffix)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    /// The names of images whose results go to an empty folder.
    fn names(inputs: &[Input], ignores_case: bool) -> Result<Vec<PathBuf>, BatchError> {
        let wanted = Wanted { suffixes: vec!["mask.png".into()], ..Wanted::default() };
        let mut outputs = Outputs::new(Destination::Folder("nowhere".into()), wanted, &[]).unwrap();
        outputs.ignores_case = ignores_case;
        outputs.names(inputs, &HashSet::new())
    }

    #[test]
    fn shared_stems_keep_the_whole_name() {
        let input = |folder: &str, path: &str| Input::file(path, folder);
        let inputs = [input("", "a.jpg"), input("", "a.png"), input("", "b.jpg"), input("x", "x/a.jpg"), input("", "a.jpg.jpg")];
        let expected: Vec<PathBuf> = ["a.jpg", "a.png", "b", "x/a", "a.jpg.jpg"].map(PathBuf::from).into();
        assert_eq!(names(&inputs, false).unwrap(), expected);
        let twice = [input("", "x/a.jpg"), input("", "y/a.jpg")];
        assert!(names(&twice, false).unwrap_err().to_string().contains("would write the same files"));
        // Two files here may be one there.
        let cases = [input("", "a.jpg"), input("", "A.png")];
        assert_eq!(names(&cases, false).unwrap(), ["a", "A"].map(PathBuf::from));
        assert_eq!(names(&cases, true).unwrap(), ["a.jpg", "A.png"].map(PathBuf::from));
        assert!(names(&[input("", "a.jpg"), input("", "A.jpg")], true).is_err());
    }

    #[test]
    fn settings_that_differ_are_named() {
        let settings = |text: &str| serde_json::from_str::<Settings>(text).unwrap();
        let before = settings(r#"{"backbone": {"name": "embedded", "sha256": "1"}, "resolution": 352, "seed": 7}"#);
        let now = settings(r#"{"backbone": {"name": "dino-vits8", "sha256": "2"}, "resolution": 352, "mode": "parts"}"#);
        let told = "backbone: embedded, now dino-vits8; mode: the default, now parts; seed: 7, now the default";
        assert_eq!((difference(&before, &now).as_deref(), difference(&now, &now)), (Some(told), None));
    }
}
