//! Files that are there whole or not at all.

use super::FileError;
use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::{NamedTempFile, PersistError};

pub(super) fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().map_or(Path::new("."), or_here)
}

const PREFIX: &str = ".deepcut-";
const SUFFIX: &str = ".part";

/// Removes the files of a folder that a killed run left half-written.
pub fn remove_partial(folder: &Path) {
    list(folder, folder);
}

/// Lists a folder's entries, with paths below `called` instead of `folder`, and removes what a killed run left half-written.
pub(super) fn list(folder: &Path, called: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let text = name.to_string_lossy();
        match text.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX)) {
            Some(random) if random.len() == 6 => remove_left(&entry.path()),
            _ => {
                let path = called.join(name);
                found.push(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path));
            }
        }
    }
    found
}

/// Removes a half-written file that nobody writes any more: writers hold a lock.
fn remove_left(path: &Path) {
    let Ok(file) = File::options().write(true).open(path) else { return };
    let abandoned = match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        // A disk without locks.
        Err(TryLockError::Error(_)) => {
            let age = file.metadata().and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
            age.is_some_and(|age| age > Duration::from_secs(24 * 3600))
        }
    };
    if abandoned {
        // Another run may have been faster.
        let _ = std::fs::remove_file(path);
    }
}

pub(crate) fn make_folder(folder: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(folder).map_err(|source| FileError::MakeFolder { folder: folder.into(), source })
}

/// Writes and removes a small file. True if the disk takes `A` and `a` for one name.
pub(crate) fn try_writing(folder: &Path) -> Result<bool, FileError> {
    let refused = |source| FileError::WriteFolder { folder: folder.into(), source };
    let mut file = begin(folder).map_err(refused)?;
    file.as_file_mut().write_all(&[0; 512]).and_then(|()| file.as_file().sync_data()).map_err(refused)?;
    let other = file.path().file_name().map(OsStr::to_ascii_uppercase).unwrap_or_default();
    Ok(folder.join(other).symlink_metadata().is_ok())
}

/// A new file of a name of its own, locked.
fn begin(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The user's mask applies: results are as readable as any file they make.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    loop {
        // The name of a file that nobody knows helps nobody.
        let file = builder.tempfile_in(folder).map_err(|e| e.raw_os_error().map_or(e, io::Error::from_raw_os_error))?;
        // Another run that looks for left files may have taken it before it was locked.
        if file.as_file().try_lock().is_err_and(|e| matches!(e, TryLockError::WouldBlock)) || !file.path().exists() {
            continue;
        }
        return Ok(file);
    }
}

/// Writes a file beside its place and moves it there once it is on the disk: it is there whole or not at all.
///
/// # Errors
/// [`FileError`] if the folder cannot be made, the disk is full, or the file exists and may not be replaced.
pub fn write(path: &Path, bytes: &[u8], overwrite: bool) -> Result<(), FileError> {
    move_to(write_beside(path, bytes)?, path, overwrite)
}

/// An empty file beside a path, to be moved there once it is whole.
pub(crate) fn create_beside(path: &Path) -> Result<NamedTempFile, FileError> {
    let folder = parent(path);
    make_folder(folder)?;
    begin(folder).map_err(|source| FileError::WriteFolder { folder: folder.into(), source })
}

pub(super) fn write_beside(path: &Path, bytes: &[u8]) -> Result<NamedTempFile, FileError> {
    let mut file = create_beside(path)?;
    file.as_file_mut().write_all(bytes).map_err(|source| FileError::Write { path: path.into(), source })?;
    Ok(file)
}

pub(crate) fn move_to(file: NamedTempFile, path: &Path, overwrite: bool) -> Result<(), FileError> {
    // Else a power failure could leave the name without the content.
    file.as_file().sync_data().map_err(|source| FileError::Write { path: path.into(), source })?;
    let moved = if overwrite {
        file.persist(path).map(drop).map_err(|e| e.error)
    } else {
        move_to_free(file, path, |file, path| file.persist_noclobber(path))
    };
    moved.map_err(|source| FileError::Move { path: path.into(), source })
}

/// Moves a file to a name that must be free. Where the disk can neither link nor move without replacing, an empty file takes the name first.
fn move_to_free(
    file: NamedTempFile,
    path: &Path,
    exclusively: impl FnOnce(NamedTempFile, &Path) -> Result<File, PersistError>,
) -> io::Result<()> {
    let PersistError { error, file } = match exclusively(file, path) {
        Ok(_) => return Ok(()),
        Err(refused) => refused,
    };
    if error.kind() == ErrorKind::AlreadyExists {
        return Err(error);
    }
    File::options().write(true).create_new(true).open(path)?;
    file.persist(path).map(drop).map_err(|e| {
        // Ours, and empty.
        let _ = std::fs::remove_file(path);
        e.error
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn disks_that_can_neither_link_nor_move_without_replacing_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mask.png");
        let refuse = |file: NamedTempFile, _: &Path| Err(PersistError { error: ErrorKind::Unsupported.into(), file });
        let new = |content: &[u8]| {
            let mut file = begin(folder.path()).unwrap();
            file.write_all(content).unwrap();
            file
        };
        move_to_free(new(b"first"), &path, refuse).unwrap();
        let error = move_to_free(new(b"second"), &path, refuse).unwrap_err();
        assert_eq!((error.kind(), std::fs::read(&path).unwrap()), (ErrorKind::AlreadyExists, b"first".to_vec()));
        // Nothing else is left.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
