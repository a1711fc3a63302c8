//! From paths, folders and patterns to a list of images.
//!
//! A folder is walked as the pattern `FOLDER/**/*`. Of what a pattern matches, the images by name are taken; every file if the pattern
//! ends in an extension (`*.dat`), in any case (`*.jpg` takes `A.JPG`). Hidden files and folders are passed over unless the pattern names
//! their dot, so `._*`, which macOS leaves on foreign disks, is too. Links are followed; a folder is walked once, however many links lead to
//! it, and by its own name rather than a link's. A file that is named itself is always taken.

use super::outputs::SIDE_FOLDER;
use super::pattern::{Glob, Part, WILDCARDS, braces, next};
use super::{InputError, JobError};
use crate::export::{FEATURES_SUFFIX, Format};
use crate::image::{Foreign, Image, foreign};
use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};

/// An image to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    path: Option<PathBuf>,
    folder: PathBuf,
    key: Option<Key>,
}

impl Input {
    /// An image of the stream, such as standard input: see [`Batch::reader`](super::Batch::reader).
    #[must_use]
    pub fn stream() -> Self {
        Self { path: None, folder: PathBuf::new(), key: None }
    }

    /// An image's file. Its results go to this sub-folder of the output folder.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { key: key(&path), path: Some(path), folder: folder.into() }
    }

    /// The image's file; None is the stream.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The sub-folder of the output folder that its results go to.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What to call it in messages.
    #[must_use]
    pub fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| "standard input".into(), |path| path.display().to_string())
    }

    /// Its file's name.
    #[must_use]
    pub fn file_name(&self) -> &OsStr {
        self.path.as_deref().map_or(Some(OsStr::new("stdin")), Path::file_name).unwrap_or(OsStr::new("picture"))
    }

    /// Its file's name below the output folder, with `/` between folders: what it is called in a file about many images.
    #[must_use]
    pub fn relative_name(&self) -> String {
        let path = self.folder.join(self.file_name());
        path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
    }

    pub(super) fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }
}

/// An input that names no image, and why.
#[derive(Debug)]
pub struct Missing {
    /// The path or pattern.
    pub name: String,
    /// Why.
    pub error: JobError,
}

/// Files in folders that look like images but are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// What they are, such as `HEIC`.
    pub what: &'static str,
    /// What to do about them.
    pub remedy: &'static str,
}

/// What inputs name.
#[derive(Debug, Default)]
pub struct Collected {
    /// The images in order, each once.
    pub inputs: Vec<Input>,
    /// Inputs that name no image.
    pub missing: Vec<Missing>,
    /// How many files of each kind were left out.
    pub left_out: BTreeMap<LeftOut, usize>,
}

/// Tells a file from others, by whatever way it is named. Links of a name of their own are images of their own.
pub(super) type Key = (u64, u64, OsString);

/// The key of what lies there.
#[cfg(unix)]
pub(super) fn key(path: &Path) -> Option<Key> {
    use std::os::unix::fs::MetadataExt;
    let found = path.symlink_metadata().ok()?;
    Some((found.dev(), found.ino(), path.file_name()?.to_ascii_lowercase()))
}

/// The key of what lies there.
#[cfg(not(unix))]
pub(super) fn key(path: &Path) -> Option<Key> {
    Some((0, 0, path.canonicalize().ok()?.into_os_string().to_ascii_lowercase()))
}

/// Tells a folder from others, whatever links lead to it.
fn folder_key(path: &Path) -> std::io::Result<Key> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let found = path.metadata()?;
        Ok((found.dev(), found.ino(), OsString::new()))
    }
    #[cfg(not(unix))]
    Ok((0, 0, path.canonicalize()?.into_os_string()))
}

/// Expands folders and patterns; `-` is the stream. An input that cannot be read does not hide the others. An image named twice is taken once.
#[must_use]
pub fn collect(arguments: &[impl AsRef<Path>]) -> Collected {
    let mut all = Collected::default();
    for argument in arguments {
        let argument = argument.as_ref();
        let text = argument.to_string_lossy();
        if text == "-" {
            all.inputs.push(Input::stream());
        } else if argument.is_dir() {
            let parts = [Part::Folders, Part::Name { stem: Glob::all(), extension: None }];
            let found = all.walk(argument, &parts, false);
            if found.is_some_and(|found| found.is_nothing()) {
                all.missing.push(Missing { name: argument.display().to_string(), error: InputError::EmptyFolder.into() });
            }
        } else if argument.symlink_metadata().is_ok() || !text.contains(WILDCARDS) {
            all.inputs.push(Input::file(argument, ""));
        } else if let Err(error) = all.pattern(&text) {
            all.missing.push(Missing { name: text.into(), error: error.into() });
        }
    }
    let mut seen = HashSet::new();
    all.inputs.retain(|input| input.key.clone().is_none_or(|key| seen.insert(key)));
    all
}

/// What a walk found.
#[derive(Default)]
struct Found {
    inputs: usize,
    left_out: usize,
    missing: usize,
    folders: usize,
}

impl Found {
    fn is_nothing(&self) -> bool {
        self.inputs == 0 && self.missing == 0
    }
}

impl Collected {
    fn pattern(&mut self, text: &str) -> Result<(), InputError> {
        let (mut total, mut folders, mut left_out) = (0, 0, 0);
        for text in braces(text) {
            let literal = PathBuf::from(&text);
            // Without a wildcard it names a file, which is there or missing, as in a shell.
            if literal.is_file() || !text.contains(['*', '?', '[', '{']) && !literal.is_dir() {
                self.inputs.push(Input::file(literal, ""));
                total += 1;
                continue;
            }
            // Results keep the folders below the first one with a wildcard. A folder may be called by what looks like one.
            let components: Vec<Component<'_>> = literal.components().collect();
            let mut root = PathBuf::new();
            let mut at = 0;
            while at + 1 < components.len() && root.join(components[at]).exists() {
                root.push(components[at]);
                at += 1;
            }
            let rest = &components[at..];
            let part = |(i, part): (usize, &Component<'_>)| Part::new(&part.as_os_str().to_string_lossy(), i + 1 == rest.len());
            let mut parts: Vec<Part> = rest.iter().enumerate().map(part).collect::<Result<_, _>>()?;
            if matches!(parts.last(), Some(Part::Folders)) {
                parts.push(Part::Name { stem: Glob::all(), extension: None });
            }
            let every = matches!(parts.last(), Some(Part::Name { extension: Some(e), .. }) if !e.text.contains(WILDCARDS));
            if let Some(found) = self.walk(&root, &parts, every) {
                total += found.inputs + found.missing;
                folders += found.folders;
                left_out += found.left_out;
            }
        }
        match (total, left_out, folders) {
            (0, 0, 0) => Err(InputError::NoMatch),
            (0, 0, _) => Err(InputError::OnlyFolders),
            (0, ..) => Err(InputError::OnlyLeftOut),
            _ => Ok(()),
        }
    }

    /// Takes the files below `root` that the parts lead to: `every` one, or the images by name. None if the root is not there.
    fn walk(&mut self, root: &Path, parts: &[Part], every: bool) -> Option<Found> {
        let mut found = Found::default();
        let mut taken = Vec::new();
        let mut seen = HashSet::new();
        // What links lead to comes after all that is there without them.
        let mut folders = vec![(root.to_owned(), vec![0])];
        let mut links = std::collections::VecDeque::new();
        if !root.as_os_str().is_empty() && !root.exists() {
            return None;
        }
        while let Some((folder, states)) = folders.pop().or_else(|| links.pop_front()) {
            let here = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
            let mut fail = |path: &Path, error: InputError| {
                self.missing.push(Missing { name: path.display().to_string(), error: error.into() });
                found.missing += 1;
            };
            match folder_key(here).map(|key| seen.insert((key, states.clone()))) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(source) => {
                    fail(here, InputError::Folder { source });
                    continue;
                }
            }
            let entries: Result<Vec<_>, _> = std::fs::read_dir(here).and_then(Iterator::collect);
            let mut entries = match entries {
                Ok(entries) => entries,
                Err(source) => {
                    fail(here, InputError::Folder { source });
                    continue;
                }
            };
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
            for entry in entries {
                let name = entry.file_name();
                let (deeper, is_last) = next(parts, &states, &name.to_string_lossy());
                if deeper.is_empty() && !is_last {
                    continue;
                }
                let path = folder.join(&name);
                let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                match path.metadata() {
                    Err(source) => fail(&path, InputError::Unreadable { source }),
                    Ok(data) if data.is_dir() => {
                        found.folders += usize::from(is_last);
                        match (deeper.is_empty(), is_link) {
                            (true, _) => {}
                            (false, true) => links.push_back((path, deeper)),
                            (false, false) => folders.push((path, deeper)),
                        }
                    }
                    Ok(_) if !is_last => {}
                    Ok(_) if is_result(&path) => {
                        *self.left_out.entry(OWN_RESULTS).or_default() += 1;
                        found.left_out += 1;
                    }
                    Ok(_) if every || Image::is_named_by(&path) => taken.push(path),
                    Ok(_) => {
                        if let Some(Foreign { name, remedy }) = foreign(&path) {
                            *self.left_out.entry(LeftOut { what: name, remedy }).or_default() += 1;
                            found.left_out += 1;
                        }
                    }
                }
            }
        }
        taken.sort();
        found.inputs = taken.len();
        self.inputs.extend(taken.into_iter().map(|path| {
            let folder = path.parent().and_then(|parent| parent.strip_prefix(root).ok()).map(Path::to_owned).unwrap_or_default();
            Input::file(path, folder)
        }));
        Some(found)
    }
}

const OWN_RESULTS: LeftOut = LeftOut { what: "of this program's results", remedy: "name them to segment them" };

/// Folders of pictures that are annotations.
const PICTURE_FOLDERS: [&str; 2] = ["SegmentationClass", "SegmentationObject"];

/// Whether a file is named as one of our own results, so that a second run over a folder does not segment the first one's.
pub(crate) fn is_result(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_ascii_lowercase();
    let name = name.to_string_lossy();
    let suffixes = Format::ALL.iter().filter(|format| **format != Format::Json).map(|format| format.suffix());
    let ends = |suffix: &str| name.strip_suffix(suffix).is_some_and(|stem| stem.ends_with('.'));
    suffixes.chain([FEATURES_SUFFIX]).any(ends) || is_annotation_picture(path)
}

/// Whether a file is in a folder for pictures of annotations that one of our runs wrote: such a run leaves a folder beside it.
fn is_annotation_picture(path: &Path) -> bool {
    let is_theirs = |folder: &&Path| folder.file_name().is_some_and(|name| PICTURE_FOLDERS.iter().any(|own| name == *own));
    let ours = path.ancestors().skip(1).filter(is_theirs).filter_map(Path::parent);
    ours.into_iter().any(|root| root.join(SIDE_FOLDER).is_dir())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn results_are_not_inputs() {
        assert!(is_result(Path::new("x/cat.mask.png")) && is_result(Path::new("cat.jpg.OVERLAY.png")));
        assert!(!is_result(Path::new("mask.png")) && !is_result(Path::new("cat.png")));
        let folder = tempfile::tempdir().unwrap();
        let picture = folder.path().join("SegmentationClass/x/cat.png");
        assert!(!is_result(&picture));
        std::fs::create_dir(folder.path().join(SIDE_FOLDER)).unwrap();
        assert!(is_result(&picture) && !is_result(&folder.path().join("x/cat.png")));
    }
}
