//! From the command line's inputs to a list of pictures.

use crate::args::Format;
use anyhow::{Context, anyhow};
use deepcut::Image;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// A picture to segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where it is; None is standard input.
    pub path: Option<PathBuf>,
    /// The sub-folder of the output folder that its results go to.
    pub folder: PathBuf,
}

impl Input {
    /// Its bytes.
    ///
    /// # Errors
    /// If the file or standard input cannot be read.
    pub fn read(&self) -> anyhow::Result<Vec<u8>> {
        match &self.path {
            Some(path) => std::fs::read(path).context("cannot read the file"),
            None => {
                let mut bytes = Vec::new();
                std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read")?;
                Ok(bytes)
            }
        }
    }

    /// What to call it in messages.
    pub fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| "standard input".into(), |path| path.display().to_string())
    }
}

/// An input that names no picture, and why.
pub struct Missing {
    pub name: String,
    pub error: anyhow::Error,
}

/// Expands folders and globs; an input that cannot be read does not hide the others.
pub fn collect(arguments: &[PathBuf]) -> (Vec<Input>, Vec<Missing>) {
    let (mut inputs, mut missing) = (Vec::new(), Vec::new());
    for argument in arguments {
        let text = argument.to_string_lossy();
        if text == "-" {
            inputs.push(Input { path: None, folder: PathBuf::new() });
        } else if argument.is_dir() {
            folder(argument, &mut inputs, &mut missing);
        } else if argument.exists() || !text.contains(['*', '?', '[']) {
            inputs.push(Input { path: Some(argument.clone()), folder: PathBuf::new() });
        } else {
            pattern(&text, &mut inputs, &mut missing);
        }
    }
    (inputs, missing)
}

fn folder(root: &Path, inputs: &mut Vec<Input>, missing: &mut Vec<Missing>) {
    let (before, failed) = (inputs.len(), missing.len());
    for entry in WalkDir::new(root).follow_links(true).sort_by_file_name() {
        match entry {
            Err(error) => {
                let name = error.path().unwrap_or(root).display().to_string();
                missing.push(Missing { name, error: anyhow!(error).context("cannot be read") });
            }
            Ok(entry) if entry.file_type().is_file() && Image::is_named_by(entry.path()) && !is_result(entry.path()) => {
                let folder = entry.path().parent().and_then(|parent| parent.strip_prefix(root).ok());
                inputs.push(Input { folder: folder.map(Path::to_owned).unwrap_or_default(), path: Some(entry.into_path()) });
            }
            Ok(_) => {}
        }
    }
    if inputs.len() == before && missing.len() == failed {
        let error = anyhow!("the folder holds no pictures ({})", Image::EXTENSIONS.join(", "));
        missing.push(Missing { name: root.display().to_string(), error });
    }
}

fn pattern(text: &str, inputs: &mut Vec<Input>, missing: &mut Vec<Missing>) {
    // Results keep the folders below the first one with a wildcard.
    let root: PathBuf =
        Path::new(text).components().take_while(|c| !c.as_os_str().to_string_lossy().contains(['*', '?', '['])).collect();
    let mut add = |error| missing.push(Missing { name: text.into(), error });
    let before = inputs.len();
    match glob::glob(text).context("not a glob pattern") {
        Err(error) => add(error),
        Ok(paths) => {
            for path in paths {
                match path {
                    Err(error) => add(anyhow!(error)),
                    Ok(path) if path.is_dir() || is_result(&path) => {}
                    Ok(path) => {
                        let folder = path.parent().and_then(|parent| parent.strip_prefix(&root).ok());
                        inputs.push(Input { folder: folder.map(Path::to_owned).unwrap_or_default(), path: Some(path) });
                    }
                }
            }
            if inputs.len() == before {
                add(anyhow!("no file matches the pattern"));
            }
        }
    }
}

/// Whether a file is named as one of our own results, so that a second run over a folder does not segment the first one's.
fn is_result(path: &Path) -> bool {
    let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
    Format::ALL.iter().any(|format| name.ends_with(&format!(".{}", format.suffix())) && *format != Format::Json)
}

/// The stem of each input's results, with its folder: the whole file name where two inputs of a folder share a stem.
///
/// # Errors
/// If two inputs would still write the same files.
pub fn stems(inputs: &[Input]) -> anyhow::Result<Vec<PathBuf>> {
    use std::collections::HashMap;
    let name = |input: &Input, whole: bool| {
        let path = input.path.as_deref().unwrap_or(Path::new("stdin"));
        let name = if whole { path.file_name() } else { path.file_stem() };
        input.folder.join(name.unwrap_or(OsStr::new("picture")))
    };
    let mut shared: HashMap<PathBuf, usize> = HashMap::new();
    inputs.iter().for_each(|input| *shared.entry(name(input, false)).or_default() += 1);
    let stems: Vec<PathBuf> = inputs.iter().map(|input| name(input, shared[&name(input, false)] > 1)).collect();
    let mut owner: HashMap<&Path, &Input> = HashMap::new();
    for (stem, input) in stems.iter().zip(inputs) {
        if let Some(other) = owner.insert(stem, input) {
            let (a, b) = (other.name(), input.name());
            anyhow::bail!(
                "{a} and {b} would write the same files; give their common folder, or run twice with two output folders"
            );
        }
    }
    Ok(stems)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(folder: &str, path: &str) -> Input {
        Input { path: Some(path.into()), folder: folder.into() }
    }

    #[test]
    fn shared_stems_keep_the_whole_name() {
        let inputs = [input("", "a.jpg"), input("", "a.png"), input("", "b.jpg"), input("x", "x/a.jpg")];
        let expected: Vec<PathBuf> = ["a.jpg", "a.png", "b", "x/a"].map(PathBuf::from).into();
        assert_eq!(stems(&inputs).unwrap(), expected);
        let twice = [input("", "x/a.jpg"), input("", "y/a.jpg")];
        assert!(stems(&twice).unwrap_err().to_string().contains("would write the same files"));
    }

    #[test]
    fn results_are_not_inputs() {
        assert!(is_result(Path::new("x/cat.mask.png")) && is_result(Path::new("cat.jpg.overlay.png")));
        assert!(!is_result(Path::new("mask.png")) && !is_result(Path::new("cat.png")));
    }
}
