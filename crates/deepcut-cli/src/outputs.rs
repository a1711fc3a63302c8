//! Where results go, what is there already, and writing them whole or not at all.
//!
//! A result keeps a [`Record`] of what it was made from, so the same command goes on where it was stopped:
//!
//! | there already                                        | what happens                                      |
//! |------------------------------------------------------|---------------------------------------------------|
//! | every result of the same picture and settings        | the picture is skipped                            |
//! | some of them, or one cut short                       | the others are made                               |
//! | results of the picture as it was before it changed   | all are made anew                                 |
//! | results of other settings                            | they are left, and the exit status says so        |
//! | a result without a record                            | it is left: someone may have corrected it by hand |
//! | another picture's, or no result at all               | an error                                          |

use crate::args::{FileArgs, Format};
pub use crate::files::write;
use crate::files::{Fault, list, make_folder, move_to, or_here, parent, try_writing, write_beside};
use crate::inputs::{self, Input, Key};
use crate::source::{Settings, Source};
use crate::words::count;
use anyhow::{Context, anyhow, bail};
use deepcut::export::record::{self, Found};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock, RwLockWriteGuard};
use std::time::SystemTime;
use tempfile::NamedTempFile;

/// Where the results of a run go.
#[derive(Debug)]
pub enum Destination {
    /// A folder, with a file for each picture and format.
    Folder(PathBuf),
    /// One file.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

impl Destination {
    /// Decides from the command line.
    fn new(args: &FileArgs, inputs: &[Input]) -> Self {
        let from_stdin = matches!(inputs, [Input { path: None, .. }]);
        match &args.output {
            Some(out) if out.as_os_str() == "-" => Self::Stdout,
            Some(out) if !out.is_dir() && is_file_name(out) => Self::File(out.clone()),
            Some(out) => Self::Folder(out.clone()),
            None if from_stdin && !args.json => Self::Stdout,
            None => Self::Folder(PathBuf::from(".")),
        }
    }

    /// Whether there is room for one result only.
    pub fn is_single(&self) -> bool {
        matches!(self, Self::Stdout | Self::File(_))
    }

    /// The extension of the one file.
    pub fn extension(&self) -> Option<String> {
        match self {
            Self::File(file) => Some(file.extension()?.to_string_lossy().to_lowercase()),
            _ => None,
        }
    }

    /// The path of a result; None is standard output.
    fn path(&self, stem: &Path, format: Format) -> Option<PathBuf> {
        match self {
            Self::Folder(folder) => {
                let mut name = folder.join(stem).into_os_string();
                name.push(".");
                name.push(format.suffix());
                // Not `./a.png`.
                let name = PathBuf::from(name);
                Some(name.strip_prefix(".").map(Path::to_owned).unwrap_or(name))
            }
            Self::File(file) => Some(file.clone()),
            Self::Stdout => None,
        }
    }

    /// The folder that is there as long as anything can be written.
    fn root(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(or_here(folder)),
            Self::File(file) => Some(parent(file)),
            Self::Stdout => None,
        }
    }
}

/// Whether a path is meant as a file: it ends as a result does, or as a picture.
fn is_file_name(path: &Path) -> bool {
    let ends_in_separator = path.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
    let is_ours = |e: &OsStr| Format::ALL.iter().any(|format| e.eq_ignore_ascii_case(format.extension()));
    let is_picture = || deepcut::Image::is_named_by(path) || deepcut::image::foreign(path).is_some();
    !ends_in_separator && path.extension().is_some_and(|e| is_ours(e) || is_picture())
}

/// As the decoder says it.
const CANNOT_READ: &str = "cannot read the file";

/// A result to write.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    pub format: Format,
    /// None is standard output.
    pub path: Option<PathBuf>,
    replace: bool,
}

/// A result that is written, but not yet in its place.
pub struct Pending {
    file: NamedTempFile,
    path: PathBuf,
    replace: bool,
}

/// What to do with a picture.
#[derive(Debug)]
pub enum Plan {
    /// Make these.
    Make(Vec<Target>),
    /// Everything is there.
    Skip {
        /// How many have no record.
        unrecorded: usize,
    },
    /// Results of other settings are there; how they differ.
    Differs(String),
}

/// The results of a run.
pub struct Outputs {
    destination: Destination,
    formats: Vec<Format>,
    overwrite: bool,
    checksum: bool,
    /// What is read is never written.
    read: HashSet<Key>,
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
    /// Decides from the command line where results go; `formats` are those for a destination. Nothing is written.
    ///
    /// # Errors
    /// If a file or standard output is asked to take more than one result, or a result of another format than its name says.
    pub fn new(args: &FileArgs, formats: impl Fn(&Destination) -> Vec<Format>, inputs: &[Input]) -> anyhow::Result<Self> {
        let destination = Destination::new(args, inputs);
        let formats = formats(&destination);
        let single = matches!(inputs, [] | [_]) && formats.len() == 1;
        match &destination {
            Destination::Folder(_) => {}
            _ if !single => bail!(
                "one file or standard output takes one result of one picture, not {} of {}; give a folder with -o, or one --format",
                count(formats.len(), "format"),
                count(inputs.len(), "picture")
            ),
            Destination::Stdout if args.json => {
                bail!("--json and a result cannot both go to standard output; give a file or folder with -o")
            }
            Destination::Stdout if formats[0] != Format::Json && io::stdout().is_terminal() => {
                bail!(
                    "a {} file would go to the terminal; redirect standard output or give a file with -o",
                    formats[0].extension()
                )
            }
            Destination::File(out) if !out.extension().is_some_and(|e| e.eq_ignore_ascii_case(formats[0].extension())) => {
                let name = out.with_extension(formats[0].extension());
                bail!(
                    "{} does not end as its format does (`.{}`): name it {}; for a folder of that name, end it with /",
                    out.display(),
                    formats[0].suffix(),
                    name.display()
                )
            }
            _ => {}
        }
        Ok(Self {
            destination,
            formats,
            overwrite: args.overwrite,
            checksum: args.checksum,
            read: inputs.iter().filter_map(|input| inputs::key(input.path.as_deref()?)).collect(),
            writing: RwLock::new(()),
            touched: Mutex::default(),
            ignores_case: false,
            made: None,
        })
    }

    /// Whether results are written, rather than only told.
    pub fn writes(&self) -> bool {
        !self.formats.is_empty()
    }

    /// Makes the output folder, tries to write there, removes what a killed run left, and gives every picture the name of its results.
    ///
    /// # Errors
    /// If nothing can be written there, or two pictures would write the same files.
    pub fn prepare(&mut self, inputs: &[Input]) -> anyhow::Result<Vec<PathBuf>> {
        let stems = |whole| inputs.iter().map(move |input| stem(input, whole)).collect::<Vec<_>>();
        let (Some(root), true) = (self.destination.root().map(Path::to_owned), self.writes()) else {
            return Ok(stems(false));
        };
        if !root.exists() {
            self.made =
                root.ancestors().filter(|folder| !folder.as_os_str().is_empty() && !folder.exists()).last().map(Into::into);
            make_folder(&root)?;
        }
        self.ignores_case = try_writing(&root)?;
        let folders: HashSet<PathBuf> = match &self.destination {
            Destination::Folder(folder) => inputs.iter().map(|input| folder.join(&input.folder)).collect(),
            _ => [root].into(),
        };
        let there: HashSet<PathBuf> = folders.iter().flat_map(|folder| list(or_here(folder), folder)).collect();
        match self.destination {
            Destination::Folder(_) => self.names(inputs, &there),
            _ => Ok(stems(false)),
        }
    }

    /// The stem of each picture's results, with its folder: the picture's own, unless another picture of this run or on the disk has it; then its
    /// whole name. What has results keeps their name.
    fn names(&self, inputs: &[Input], there: &HashSet<PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
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
                bail!(
                    "{} and {} would write the same files; give their common folder, or run twice with two output folders",
                    inputs[a].name(),
                    inputs[b].name()
                );
            };
            (names[at], whole[at]) = (stem(&inputs[at], true), true);
        }
    }

    /// The picture whose results have this stem; None if there are none, an inner None if they do not say.
    fn owner(&self, stem: &Path, there: impl Fn(&Path) -> bool) -> Option<Option<String>> {
        let mut owner = None;
        for path in Format::ALL.iter().filter_map(|&format| self.destination.path(stem, format)) {
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

    /// The paths of a picture's results.
    pub fn paths(&self, name: &Path) -> Vec<String> {
        let paths = self.formats.iter().filter_map(|&format| self.destination.path(name, format));
        paths.map(|path| path.display().to_string()).collect()
    }

    /// What to do with a picture whose results are called `name`.
    ///
    /// # Errors
    /// If what is there is no result, or another picture's.
    pub fn plan(&self, source: &Source<'_>, name: &Path, settings: &Settings) -> anyhow::Result<Plan> {
        let mut targets = Vec::new();
        let mut records = Vec::new();
        let (mut unrecorded, mut missing) = (0, 0);
        for &format in &self.formats {
            let path = self.destination.path(name, format);
            let Some(place) = &path else {
                targets.push((Target { format, path, replace: false }, true));
                missing += 1;
                continue;
            };
            let found = look(place).with_context(|| format!("cannot read {}", place.display()))?;
            if found.is_some() && inputs::key(place).is_some_and(|key| self.read.contains(&key)) {
                bail!("its result would replace {}, one of the pictures; give another folder with -o", place.display());
            }
            let (replace, wanted) = match found {
                None => (false, true),
                Some(_) if self.overwrite => (true, true),
                Some((Found::Other, _)) => {
                    bail!(
                        "{} exists and is no result; pass --overwrite to replace it, or another folder with -o",
                        place.display()
                    )
                }
                Some((Found::Whole(None), _)) if self.destination.is_single() => {
                    bail!("{} exists; pass --overwrite to replace it, or another name with -o", place.display())
                }
                Some((Found::Partial, _)) => (true, true),
                Some((Found::Whole(None), _)) => {
                    unrecorded += 1;
                    continue;
                }
                Some((Found::Whole(Some(record)), written)) => {
                    if source.is_another(&record).context(CANNOT_READ)? {
                        bail!(
                            "{} is the result of another picture, {}; pass --overwrite to replace it, or another folder with -o",
                            place.display(),
                            record.input
                        );
                    }
                    records.push((record, written));
                    (true, false)
                }
            };
            missing += usize::from(wanted);
            targets.push((Target { format, path, replace }, wanted));
        }
        for (record, written) in &records {
            if source.has_changed(record, *written, self.checksum).context(CANNOT_READ)? {
                return Ok(Plan::Make(targets.into_iter().map(|(target, _)| target).collect()));
            }
        }
        if let Some(difference) = records.iter().find_map(|(record, _)| difference(&record.settings, settings)) {
            return Ok(Plan::Differs(difference));
        }
        // Without files to write the picture is told.
        if missing == 0 && self.writes() {
            return Ok(Plan::Skip { unrecorded });
        }
        Ok(Plan::Make(targets.into_iter().filter_map(|(target, wanted)| wanted.then_some(target)).collect()))
    }

    /// Writes a result to standard output, or beside its place: [`Outputs::settle`] moves it there.
    ///
    /// # Errors
    /// If it cannot be written; a [`Fault`] says that the disk is why.
    pub fn put(&self, target: &Target, bytes: &[u8]) -> anyhow::Result<Option<Pending>> {
        let Some(path) = &target.path else {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush()).context("cannot write to standard output")?;
            return Ok(None);
        };
        let _writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
        // A disk that was taken away must not be made anew as a folder.
        if let Some(root) = self.is_gone() {
            return Err(anyhow!(Fault(format!("the output folder {} is gone", root.display()))));
        }
        Ok(Some(Pending { file: write_beside(path, bytes)?, path: path.clone(), replace: target.replace }))
    }

    /// Waits until a result is on the disk and moves it to its place, which it returns. The waiting is why it is apart from [`Outputs::put`].
    ///
    /// # Errors
    /// As [`Outputs::put`], or if its place was taken meanwhile.
    pub fn settle(&self, Pending { file, path, replace }: Pending) -> anyhow::Result<String> {
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

/// The stem of a picture's results, with its folder; the whole file name if another picture has the same stem.
fn stem(input: &Input, whole: bool) -> PathBuf {
    let name = Path::new(input.file_name());
    input.folder.join(if whole { Some(name.as_os_str()) } else { name.file_stem() }.unwrap_or(name.as_os_str()))
}

/// What lies at a path and when it was written; None if nothing.
fn look(path: &Path) -> io::Result<Option<(Found, SystemTime)>> {
    let data = match path.metadata() {
        Ok(data) => data,
        // A link that leads nowhere is there, too.
        Err(_) if path.symlink_metadata().is_ok() => return Ok(Some((Found::Other, SystemTime::UNIX_EPOCH))),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(e),
    };
    let found = if data.is_file() { record::examine(&mut File::open(path)?)? } else { Found::Other };
    Ok(Some((found, data.modified()?)))
}

/// How settings differ, in words.
fn difference(before: &Settings, now: &Settings) -> Option<String> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn input(folder: &str, path: &str) -> Input {
        Input { path: Some(path.into()), folder: folder.into() }
    }

    /// The names of pictures whose results go to an empty folder.
    fn names(inputs: &[Input], ignores_case: bool) -> anyhow::Result<Vec<PathBuf>> {
        let outputs = Outputs {
            destination: Destination::Folder("nowhere".into()),
            formats: vec![Format::Mask],
            overwrite: false,
            checksum: false,
            read: HashSet::new(),
            writing: RwLock::new(()),
            touched: Mutex::default(),
            ignores_case,
            made: None,
        };
        outputs.names(inputs, &HashSet::new())
    }

    #[test]
    fn shared_stems_keep_the_whole_name() {
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
    fn what_ends_as_a_file_is_a_file() {
        for name in ["m.png", "x/M.JPG", "m.json", "m.heic", "m.safetensors", "m.jfif"] {
            assert!(is_file_name(Path::new(name)), "{name}");
        }
        for name in ["out", "out.v2", "m.png/", "png", ".png", "out/"] {
            assert!(!is_file_name(Path::new(name)), "{name}");
        }
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
