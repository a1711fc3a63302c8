//! A picture's file, and whether a result was made from it as it is now.
//!
//! A picture has changed if its length has; or if its file was touched since the result was written and its time is later than the result's or
//! its checksum is another. With `--checksum` the content alone decides.

use crate::files::parent;
use crate::inputs::Input;
use deepcut::backbone::weights::{hexadecimal, sha256_of_reader};
use deepcut::export::record::Record;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::time::SystemTime;

/// Everything that decides a result beside the picture: the network, and every option that is not the default.
pub type Settings = BTreeMap<String, Value>;

/// A picture's file as it is now.
pub struct Source<'a> {
    pub input: &'a Input,
    data: Option<Metadata>,
    bytes: u64,
    sha256: OnceCell<String>,
}

impl<'a> Source<'a> {
    /// Looks at the file, without reading it.
    pub fn new(input: &'a Input) -> Self {
        let data = input.path.as_deref().and_then(|path| path.metadata().ok());
        Self { input, bytes: data.as_ref().map_or(0, Metadata::len), data, sha256: OnceCell::new() }
    }

    /// What was read from standard input.
    pub fn of_stream<R>(input: &'a Input, read: Hashing<R>) -> Self {
        Self { input, data: None, bytes: read.bytes, sha256: OnceCell::from(read.sum()) }
    }

    /// The checksum of its content.
    fn sha256(&self) -> io::Result<&str> {
        if let Some(sum) = self.sha256.get() {
            return Ok(sum);
        }
        // Opening a named pipe would wait for a writer.
        let (Some(path), true) = (&self.input.path, self.data.as_ref().is_none_or(Metadata::is_file)) else {
            return Err(io::Error::other("it is no file"));
        };
        let sum = sha256_of_reader(File::open(path)?)?;
        Ok(self.sha256.get_or_init(|| sum))
    }

    /// Whether it is another file than it was, or is written to.
    pub fn is_unstable(&self) -> bool {
        let now = self.input.path.as_deref().and_then(|path| path.metadata().ok());
        let state = |data: &Option<Metadata>| data.as_ref().map(|data| (data.len(), data.modified().ok()));
        state(&now) != state(&self.data)
    }

    /// What results made from it now say of it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn record(&self, settings: &Settings) -> io::Result<Record> {
        Ok(Record {
            input: self.input.file_name().to_string_lossy().into(),
            folder: self.folder(),
            bytes: self.bytes,
            sha256: self.sha256()?.into(),
            settings: settings.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
        })
    }

    /// A digest: results may be published, and where they were made is nobody's business.
    fn folder(&self) -> String {
        let folder = self.input.path.as_deref().map(parent).and_then(|folder| folder.canonicalize().ok());
        folder.map(|folder| hexadecimal(&Sha256::digest(folder.as_os_str().as_encoded_bytes())[..8])).unwrap_or_default()
    }

    /// Whether a result was made from another picture than this.
    pub fn is_another(&self, record: &Record) -> io::Result<bool> {
        if record.input != self.input.file_name().to_string_lossy() {
            return Ok(true);
        }
        // A folder that was moved or copied holds the same pictures; all that comes from standard input has one name.
        let may_be = self.input.path.is_none() || record.folder != self.folder();
        Ok(may_be && !self.has_content_of(record)?)
    }

    /// Whether it is not what a result was made from that was written at that time.
    pub fn has_changed(&self, record: &Record, written: SystemTime, checksum: bool) -> io::Result<bool> {
        if let (Some(data), false) = (&self.data, checksum || record.bytes != self.bytes) {
            let modified = data.modified()?;
            if self.touched().unwrap_or(modified) < written {
                return Ok(false);
            }
            // A time to come is a wrong clock's.
            if modified > written && modified <= SystemTime::now() {
                return Ok(true);
            }
        }
        Ok(!self.has_content_of(record)?)
    }

    fn has_content_of(&self, record: &Record) -> io::Result<bool> {
        Ok(record.bytes == self.bytes && record.sha256 == self.sha256()?)
    }

    /// When anything about the file changed last, which nobody can set.
    #[cfg(unix)]
    fn touched(&self) -> Option<SystemTime> {
        use std::os::unix::fs::MetadataExt;
        use std::time::Duration;
        let time = |data: &Metadata| {
            let since = Duration::new(u64::try_from(data.ctime()).ok()?, u32::try_from(data.ctime_nsec()).ok()?);
            SystemTime::UNIX_EPOCH.checked_add(since)
        };
        // A link may lead elsewhere now.
        let link = self.input.path.as_deref()?.symlink_metadata().ok()?;
        Some(time(self.data.as_ref()?)?.max(time(&link)?))
    }

    #[cfg(not(unix))]
    fn touched(&self) -> Option<SystemTime> {
        None
    }
}

/// A reader that computes the checksum of what passes.
pub struct Hashing<R> {
    reader: R,
    hash: Sha256,
    bytes: u64,
}

impl<R> Hashing<R> {
    pub fn new(reader: R) -> Self {
        Self { reader, hash: Sha256::new(), bytes: 0 }
    }

    /// SHA-256 in hexadecimal.
    pub fn sum(self) -> String {
        hexadecimal(&self.hash.finalize())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let given = self.reader.read(buffer)?;
        self.hash.update(&buffer[..given]);
        self.bytes += given as u64;
        Ok(given)
    }
}
