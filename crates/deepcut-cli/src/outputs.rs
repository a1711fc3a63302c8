//! Where results go, and writing them whole or not at all.

use crate::args::{FileArgs, Format};
use crate::inputs::Input;
use anyhow::{Context, bail};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Where the results of a run go.
pub enum Destination {
    /// A folder, with a file for each picture and format.
    Folder(PathBuf),
    /// One file.
    File(PathBuf),
    /// Standard output.
    Stdout,
}

impl Destination {
    /// Decides from the command line; `formats` are those of a folder's results, or those of a single file's or standard output's.
    ///
    /// # Errors
    /// If a file or standard output is asked to take more than one result.
    pub fn new(args: &FileArgs, formats: impl Fn(bool) -> Vec<Format>, inputs: &[Input]) -> anyhow::Result<Self> {
        let from_stdin = matches!(inputs, [Input { path: None, .. }]);
        let destination = match &args.output {
            Some(out) if out.as_os_str() == "-" => Self::Stdout,
            Some(out) if !out.is_dir() && is_file_name(out) => Self::File(out.clone()),
            Some(out) => Self::Folder(out.clone()),
            None if from_stdin && !args.json => Self::Stdout,
            None => Self::Folder(PathBuf::from(".")),
        };
        let formats = formats(destination.is_single());
        let single = matches!(inputs, [_]) && formats.len() == 1;
        match &destination {
            Self::Folder(_) => {}
            _ if !single => bail!(
                "one file or standard output takes one result of one picture, not {} formats of {} pictures; give a folder with -o, or one --format",
                formats.len(),
                inputs.len()
            ),
            Self::Stdout if args.json => {
                bail!("--json and a result cannot both go to standard output; give a file or folder with -o")
            }
            Self::Stdout if formats[0] != Format::Json && std::io::stdout().is_terminal() => {
                bail!(
                    "a {} file would go to the terminal; redirect standard output or give a file with -o",
                    formats[0].extension()
                )
            }
            Self::File(out) if !out.extension().is_some_and(|e| e.eq_ignore_ascii_case(formats[0].extension())) => {
                bail!("{} does not end as its format does (`.{}`)", out.display(), formats[0].suffix())
            }
            _ => {}
        }
        Ok(destination)
    }

    /// Whether there is room for one result only.
    pub fn is_single(&self) -> bool {
        matches!(self, Self::Stdout | Self::File(_))
    }

    /// Writes a result where [`Destination::path`] says.
    ///
    /// # Errors
    /// As [`write`], or if standard output is closed.
    pub fn put(&self, path: Option<&Path>, bytes: &[u8], overwrite: bool) -> anyhow::Result<()> {
        if let Some(path) = path {
            return write(path, bytes, overwrite);
        }
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).context("cannot write to standard output")
    }

    /// The path of a result; None is standard output.
    pub fn path(&self, stem: &Path, format: Format) -> Option<PathBuf> {
        match self {
            Self::Folder(folder) => {
                let mut name = folder.join(stem).into_os_string();
                name.push(".");
                name.push(format.suffix());
                Some(name.into())
            }
            Self::File(file) => Some(file.clone()),
            Self::Stdout => None,
        }
    }
}

fn is_file_name(path: &Path) -> bool {
    path.extension().is_some_and(|e| Format::ALL.iter().any(|format| e.eq_ignore_ascii_case(format.extension())))
}

/// Says no before the work is done, if a result exists and may not be replaced.
///
/// # Errors
/// If `path` exists.
pub fn check_free(path: &Path, overwrite: bool) -> anyhow::Result<()> {
    if !overwrite && path.symlink_metadata().is_ok() {
        bail!("{} exists; pass --overwrite to replace it, or another folder with -o", path.display());
    }
    Ok(())
}

/// Writes a file beside its place and moves it there: it is there whole or not at all.
///
/// # Errors
/// If the folder cannot be made, the disk is full, or the file exists and may not be replaced.
pub fn write(path: &Path, bytes: &[u8], overwrite: bool) -> anyhow::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}; give a writable one with -o", folder.display()))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".deepcut-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The user's mask applies: results are as readable as any file they make.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder
        .tempfile_in(folder)
        .with_context(|| format!("cannot write into the folder {}; give a writable one with -o", folder.display()))?;
    let full = || format!("cannot write {}; is the disk full?", path.display());
    file.write_all(bytes).and_then(|()| file.flush()).with_context(full)?;
    let moved = if overwrite { file.persist(path) } else { file.persist_noclobber(path) };
    moved.map_err(|e| e.error).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
