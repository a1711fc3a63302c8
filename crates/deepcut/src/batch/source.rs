//! An image's file, and whether a result was made from it as it is now.
//!
//! An image has changed if its length has; or if its file was touched since the result was written and its time is later than the result's or
//! its checksum is another. If checksums are asked for, the content alone decides.

use super::Settings;
use super::files::parent;
use super::inputs::Input;
use crate::backbone::weights::{hexadecimal, sha256, sha256_of_reader};
use crate::export::record::Record;
use crate::image::{Decoder, Image, ImageError, foreign};
use sha2::{Digest, Sha256};
use std::cell::OnceCell;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::time::SystemTime;

/// Longer files are read twice, for pixels and checksum, rather than kept in memory; the decoder refuses some of them by their length.
const ONCE_BYTES: u64 = 1 << 26;

/// An image's file as it is now.
pub struct Source<'a> {
    pub input: &'a Input,
    data: Option<Metadata>,
    bytes: u64,
    sha256: OnceCell<String>,
}

impl<'a> Source<'a> {
    /// Looks at the file, without reading it.
    pub fn new(input: &'a Input) -> Self {
        let data = input.path().and_then(|path| path.metadata().ok());
        Self { input, bytes: data.as_ref().map_or(0, Metadata::len), data, sha256: OnceCell::new() }
    }

    /// What was read from the stream.
    pub fn of_stream<R>(input: &'a Input, read: Hashing<R>) -> Self {
        Self { input, data: None, bytes: read.bytes, sha256: OnceCell::from(read.sum()) }
    }

    /// Decodes the file. One of moderate length is read once, for pixels and checksum.
    ///
    /// # Errors
    /// As [`Decoder::open`].
    pub fn decode(&self, decoder: &Decoder) -> Result<Image<'static>, ImageError> {
        let Some(path) = self.input.path() else { return Err(ImageError::Read(io::Error::other("the stream was read before"))) };
        let is_moderate = self.data.as_ref().is_some_and(|data| data.is_file() && data.len() <= ONCE_BYTES);
        // What is named as a format that is not read gets the decoder's words for it.
        if !is_moderate || foreign(path).is_some() {
            return decoder.open(path);
        }
        let mut bytes = Vec::with_capacity(self.bytes as usize);
        File::open(path).and_then(|file| file.take(ONCE_BYTES + 1).read_to_end(&mut bytes)).map_err(ImageError::Read)?;
        let image = decoder.decode(&bytes)?;
        if bytes.len() as u64 == self.bytes {
            self.sha256.get_or_init(|| sha256(&bytes));
        }
        Ok(image)
    }

    /// The checksum of its content.
    fn sha256(&self) -> io::Result<&str> {
        if let Some(sum) = self.sha256.get() {
            return Ok(sum);
        }
        // Opening a named pipe would wait for a writer.
        let (Some(path), true) = (self.input.path(), self.data.as_ref().is_none_or(Metadata::is_file)) else {
            return Err(io::Error::other("it is no file"));
        };
        let sum = sha256_of_reader(File::open(path)?)?;
        Ok(self.sha256.get_or_init(|| sum))
    }

    /// Whether it is another file than it was, or is written to.
    pub fn is_unstable(&self) -> bool {
        let now = self.input.path().and_then(|path| path.metadata().ok());
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
        let folder = self.input.path().map(parent).and_then(|folder| folder.canonicalize().ok());
        folder.map(|folder| hexadecimal(&Sha256::digest(folder.as_os_str().as_encoded_bytes())[..8])).unwrap_or_default()
    }

    /// Whether a result was made from another image than this.
    pub fn is_another(&self, record: &Record) -> io::Result<bool> {
        if record.input != self.input.file_name().to_string_lossy() {
            return Ok(true);
        }
        // A folder that was moved or copied holds the same images; all that comes from standard input has one name.
        let may_be = self.input.path().is_none() || record.folder != self.folder();
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
        let link = self.input.path()?.symlink_metadata().ok()?;
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
