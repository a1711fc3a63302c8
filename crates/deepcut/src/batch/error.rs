//! Why a batch, or one image of it, failed, and what helps.

use crate::export::ExportError;
use crate::image::ImageError;
use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

/// What the user can do about an error, as every message ends with it. A program that has names for these things, such as flags, may say it
/// in its own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// The folder cannot be written.
    WritableFolder,
    /// Something else is in the way of a result.
    OverwriteOrFolder,
    /// Something else is in the way of the one file.
    OverwriteOrName,
    /// A result would replace an input.
    AnotherFolder,
    /// One file cannot take all results.
    FolderOrOneFormat,
    /// The system refused to start threads.
    FewerThreads,
    /// Frames have more pixels than are read.
    MorePixels,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WritableFolder => "give a writable one",
            Self::OverwriteOrFolder => "allow overwriting to replace it, or give another output folder",
            Self::OverwriteOrName => "allow overwriting to replace it, or give another name",
            Self::AnotherFolder => "give another output folder",
            Self::FolderOrOneFormat => "give a folder, or one format",
            Self::FewerThreads => "ask for fewer",
            Self::MorePixels => "raise the limit to read them",
        })
    }
}

/// Why a file could not be written: the disk or the folder is at fault, not the image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The folder is not there and cannot be made.
    #[error("cannot make the folder {}; {}", folder.display(), Remedy::WritableFolder)]
    MakeFolder {
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The folder takes no file.
    #[error("cannot write into the folder {}; {}", folder.display(), Remedy::WritableFolder)]
    WriteFolder {
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The output folder was there and is there no more: a disk may have been unplugged.
    #[error("the output folder {} is gone", folder.display())]
    Gone {
        /// The folder.
        folder: PathBuf,
    },
    /// The content could not be written.
    #[error("cannot write {}; is the disk full?", path.display())]
    Write {
        /// The file's final path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The finished file could not be moved to its place.
    #[error("cannot write {}", path.display())]
    Move {
        /// The file's final path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl FileError {
    /// What helps, if anything is known to.
    #[must_use]
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::MakeFolder { .. } | Self::WriteFolder { .. } => Some(Remedy::WritableFolder),
            Self::Gone { .. } | Self::Write { .. } | Self::Move { .. } => None,
        }
    }
}

/// Why an input names no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// A folder without images.
    #[error("the folder holds no images ({})", crate::image::Image::EXTENSIONS.join(", "))]
    EmptyFolder,
    /// The pattern cannot be parsed.
    #[error("not a glob pattern: {reason}")]
    Pattern {
        /// The parser's words.
        reason: String,
    },
    /// A pattern without a match.
    #[error("no file matches the pattern")]
    NoMatch,
    /// A pattern that matches folders only.
    #[error("the pattern matches folders, but no images; end it with /**/* to take what they hold")]
    OnlyFolders,
    /// A pattern that matches only files that are left out: results, or formats that are not read.
    #[error("no image matches the pattern, only what is left out")]
    OnlyLeftOut,
    /// A folder that cannot be listed.
    #[error("cannot read the folder")]
    Folder {
        /// The system's reason.
        source: io::Error,
    },
    /// A file or link that cannot be looked at.
    #[error("cannot be read")]
    Unreadable {
        /// The system's reason.
        source: io::Error,
    },
}

/// A bug: the work on an image panicked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the program failed on this image{}; please report it with the file", .message.as_ref().map(|text| format!(" ({text})")).unwrap_or_default())]
pub struct Panicked {
    /// The panic's message, if it has one.
    pub message: Option<String>,
}

/// The threads of a batch could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the threads; {}", Remedy::FewerThreads)]
pub struct ThreadsError {
    /// The thread pool's reason.
    source: Box<dyn Error + Send + Sync>,
}

impl ThreadsError {
    pub(super) fn new(source: impl Error + Send + Sync + 'static) -> Self {
        Self { source: Box::new(source) }
    }
}

/// Why a batch did not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The stream is named twice as an input.
    #[error("standard input can be read only once")]
    StreamTwice,
    /// One file or the stream is asked to take several results.
    #[error(
        "one file or standard output takes one result of one image, not {} of {}; {}",
        count(*formats, "format"), count(*images, "image"), Remedy::FolderOrOneFormat
    )]
    OneResult {
        /// Results of each image.
        formats: usize,
        /// Inputs.
        images: usize,
    },
    /// The one file is named as another format.
    #[error(
        "{} does not end as its format does (`.{suffix}`): name it {}; for a folder of that name, end it with /",
        path.display(), name.display()
    )]
    Extension {
        /// The path asked for.
        path: PathBuf,
        /// The format's suffix.
        suffix: String,
        /// The path with the right extension.
        name: PathBuf,
    },
    /// Two exporters write files of one name.
    #[error("two formats write files named {name}; leave one of them out")]
    SameName {
        /// Suffix, or name of a file of the run.
        name: String,
    },
    /// Two images have the same names of results, or in a file about many images.
    #[error("{first} and {second} would write the same files; give their common folder, or run twice with two output folders")]
    SameFiles {
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// A file of the whole run exists.
    #[error("{} exists; {}", path.display(), Remedy::OverwriteOrName)]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file of the whole run is not as a run wrote it.
    #[error("{} was changed, or another program made it; {}", path.display(), Remedy::OverwriteOrFolder)]
    Edited {
        /// The file.
        path: PathBuf,
    },
    /// Two images have one name in a file about many images.
    #[error("{first} and {second} would both be called {name}; tell them apart by their relative or absolute paths")]
    SameImageName {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// What they are called.
        name: String,
    },
    /// A file of the whole run would replace an input.
    #[error("the result would replace {}, one of the images; {}", path.display(), Remedy::AnotherFolder)]
    ReplacesInput {
        /// The input.
        path: PathBuf,
    },
    /// Nothing can be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The threads do not start.
    #[error(transparent)]
    Threads(#[from] ThreadsError),
}

impl BatchError {
    /// What helps, if anything is known to.
    #[must_use]
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::OneResult { .. } => Some(Remedy::FolderOrOneFormat),
            Self::Exists { .. } => Some(Remedy::OverwriteOrName),
            Self::Edited { .. } => Some(Remedy::OverwriteOrFolder),
            Self::ReplacesInput { .. } => Some(Remedy::AnotherFolder),
            Self::File(error) => error.remedy(),
            Self::Threads(_) => Some(Remedy::FewerThreads),
            Self::StreamTwice
            | Self::Extension { .. }
            | Self::SameName { .. }
            | Self::SameFiles { .. }
            | Self::SameImageName { .. } => None,
        }
    }
}

/// Why one image failed; the others go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// The batch was cancelled while it was worked on. No failure: it is left for the next run.
    #[error("the work was cancelled")]
    Cancelled,
    /// An input that names no image.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The image cannot be decoded.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The image cannot be segmented.
    #[error(transparent)]
    Segment(crate::segmenter::Error),
    /// A result cannot be encoded.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A result cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The result does not go into the stream.
    #[error("cannot write to standard output")]
    Stream {
        /// The system's reason.
        source: io::Error,
    },
    /// The image's file cannot be read, or not again.
    #[error("cannot read the file")]
    Read {
        /// The system's reason.
        source: io::Error,
    },
    /// The image's file was written to meanwhile.
    #[error("the image changed while it was read; the same command again reads it anew")]
    Changed,
    /// What lies at a result's place cannot be read.
    #[error("cannot read {}", path.display())]
    ReadResult {
        /// The result's place.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The result's place is that of an input.
    #[error("its result would replace {}, one of the images; {}", path.display(), Remedy::AnotherFolder)]
    ReplacesInput {
        /// The input.
        path: PathBuf,
    },
    /// What lies at a result's place was not made by this library.
    #[error("{} exists and is no result; {}", path.display(), Remedy::OverwriteOrFolder)]
    NoResult {
        /// The result's place.
        path: PathBuf,
    },
    /// The one file exists.
    #[error("{} exists; {}", path.display(), Remedy::OverwriteOrName)]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file of the whole run was changed while the run went on.
    #[error("{} was changed, or another program made it; {}", path.display(), Remedy::OverwriteOrFolder)]
    Edited {
        /// The file.
        path: PathBuf,
    },
    /// What lies at a result's place was made from another image.
    #[error("{} is the result of another image, {input}; {}", path.display(), Remedy::OverwriteOrFolder)]
    OtherImage {
        /// The result's place.
        path: PathBuf,
        /// The other image's file name.
        input: String,
    },
    /// A bug.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// An error of a [`Task`](super::Task) from outside this library.
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
}

impl From<crate::segmenter::Error> for JobError {
    fn from(error: crate::segmenter::Error) -> Self {
        match error {
            crate::segmenter::Error::Cancelled => Self::Cancelled,
            error => Self::Segment(error),
        }
    }
}

impl JobError {
    /// What helps, if anything is known to.
    #[must_use]
    pub fn remedy(&self) -> Option<Remedy> {
        match self {
            Self::File(error) => error.remedy(),
            Self::ReplacesInput { .. } => Some(Remedy::AnotherFolder),
            Self::NoResult { .. } | Self::OtherImage { .. } | Self::Edited { .. } => Some(Remedy::OverwriteOrFolder),
            Self::Exists { .. } => Some(Remedy::OverwriteOrName),
            _ => None,
        }
    }

    /// Whether the error, or a cause of it, is the system's of one of these kinds.
    #[must_use]
    pub(crate) fn has_kind(&self, kinds: &[ErrorKind]) -> bool {
        let mut cause: Option<&(dyn Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(|error| kinds.contains(&error.kind())) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// `1 image`, `2 images`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
