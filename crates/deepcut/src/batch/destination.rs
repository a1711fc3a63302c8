//! Where results go: a folder, a file, or a stream.

use super::files::{or_here, parent};
use crate::export::{FEATURES_SUFFIX, Format};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Where the results of a run go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A folder, with a file for each image and format.
    Folder(PathBuf),
    /// One file.
    File(PathBuf),
    /// A stream, such as standard output: see [`Batch::writer`](super::Batch::writer).
    Stream,
}

impl Destination {
    /// A file if the path ends as a result or an image does and is no folder, else a folder.
    #[must_use]
    pub fn of(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        if !path.is_dir() && is_file_name(&path) { Self::File(path) } else { Self::Folder(path) }
    }

    /// Whether there is room for one result only.
    #[must_use]
    pub fn is_single(&self) -> bool {
        matches!(self, Self::Stream | Self::File(_))
    }

    /// The extension of the one file.
    #[must_use]
    pub fn extension(&self) -> Option<String> {
        match self {
            Self::File(file) => Some(file.extension()?.to_string_lossy().to_lowercase()),
            _ => None,
        }
    }

    /// The path of an image's result; None is the stream. A name with `*` has the stem there; any other follows it after a dot.
    pub(super) fn path(&self, stem: &Path, name: &str) -> Option<PathBuf> {
        self.run_path(&result_name(stem, name))
    }

    /// The path of a file of the whole run.
    pub(super) fn run_path(&self, name: &Path) -> Option<PathBuf> {
        match self {
            Self::Folder(folder) => {
                // Not `./a.png`.
                let path = folder.join(name);
                Some(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path))
            }
            Self::File(file) => Some(file.clone()),
            Self::Stream => None,
        }
    }

    /// The folder that is there as long as anything can be written.
    pub(super) fn root(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(or_here(folder)),
            Self::File(file) => Some(parent(file)),
            Self::Stream => None,
        }
    }
}

/// The name of an image's result below the output folder.
pub(super) fn result_name(stem: &Path, name: &str) -> PathBuf {
    let (before, after) = name.split_once('*').unwrap_or(("", name));
    let mut path = OsString::from(before);
    path.push(stem);
    path.push(if name.contains('*') { "" } else { "." });
    path.push(after);
    path.into()
}

/// The last part of a suffix.
pub(super) fn extension(suffix: &str) -> &str {
    suffix.rsplit_once('.').map_or(suffix, |(_, extension)| extension)
}

/// How annotation files end that can be the only result.
const ANNOTATION_EXTENSIONS: [&str; 4] = ["geojson", "npy", "npz", "xml"];

/// Whether a path is meant as a file: it ends as a result does, or as an image.
fn is_file_name(path: &Path) -> bool {
    let ends_in_separator = path.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
    let mut ours = Format::ALL.iter().map(|format| format.suffix()).chain([FEATURES_SUFFIX]).chain(ANNOTATION_EXTENSIONS);
    let is_image = || crate::image::Image::is_named_by(path) || crate::image::foreign(path).is_some();
    let is_file = |e: &OsStr| ours.any(|suffix| e.eq_ignore_ascii_case(extension(suffix))) || is_image();
    !ends_in_separator && path.extension().is_some_and(is_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_stem_in_their_place() {
        let name = |name| result_name(Path::new("x/a.b"), name);
        assert_eq!(name("mask.png"), Path::new("x/a.b.mask.png"));
        assert_eq!(name("labels/*.txt"), Path::new("labels/x/a.b.txt"));
        assert_eq!(name("*.json"), Path::new("x/a.b.json"));
    }

    #[test]
    fn what_ends_as_a_file_is_a_file() {
        for name in ["m.png", "x/M.JPG", "m.json", "m.heic", "m.safetensors", "m.jfif", "m.geojson", "m.npz"] {
            assert!(is_file_name(Path::new(name)), "{name}");
        }
        for name in ["out", "out.v2", "m.png/", "png", ".png", "out/"] {
            assert!(!is_file_name(Path::new(name)), "{name}");
        }
    }
}
