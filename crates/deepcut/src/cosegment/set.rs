//! The foregrounds of a set of images: in memory, and beyond a bound on the disk.

use super::foreground::Foreground;
use crate::backbone::sha256;
use std::collections::BTreeMap;
#[cfg(feature = "batch")]
use std::fs::File;
use std::io;
#[cfg(feature = "batch")]
use std::io::{Read, Seek, SeekFrom, Write};
#[cfg(feature = "batch")]
use std::sync::{Mutex, PoisonError};

/// Bytes of foregrounds that are kept in memory unless another bound is given: some 1,500 images.
#[cfg(feature = "batch")]
const MEMORY: usize = 1 << 28;

/// Where a foreground is kept.
#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    #[cfg(feature = "batch")]
    Disk {
        first: u64,
        length: usize,
    },
}

/// The foregrounds of a set of images, each under a name of the caller's, such as its file's checksum. With the feature `batch`, what is
/// beyond a bound (`with_memory`) goes into an unnamed file in the system's folder for temporary files, so that memory stays flat.
#[derive(Debug, Default)]
pub struct Foregrounds {
    /// By what they hold, so that neither order nor names decide anything; and how many images had the same.
    places: BTreeMap<String, Place>,
    /// What each name holds.
    names: BTreeMap<String, String>,
    /// Bytes to keep in memory, if they are not `MEMORY`.
    #[cfg(feature = "batch")]
    memory: Option<usize>,
    #[cfg(feature = "batch")]
    used: usize,
    #[cfg(feature = "batch")]
    file: Option<Mutex<File>>,
}

impl Foregrounds {
    /// With another bound of memory, in bytes.
    #[cfg(feature = "batch")]
    #[must_use]
    pub fn with_memory(self, bytes: usize) -> Self {
        Self { memory: Some(bytes), ..self }
    }

    /// Number of different images; one that is there twice counts once.
    #[must_use]
    pub fn images(&self) -> usize {
        self.places.len()
    }

    /// Keeps an image's foreground under a name.
    ///
    /// # Errors
    /// If the file for what is beyond the bound cannot be made or written.
    pub fn add(&mut self, name: &str, foreground: &Foreground) -> io::Result<()> {
        let bytes = foreground.to_bytes();
        let holds = sha256(&bytes);
        if !self.places.contains_key(&holds) {
            let place = self.place(bytes)?;
            self.places.insert(holds.clone(), place);
        }
        self.names.insert(name.to_owned(), holds);
        Ok(())
    }

    #[cfg(not(feature = "batch"))]
    fn place(&mut self, bytes: Vec<u8>) -> io::Result<Place> {
        Ok(Place::Memory(bytes))
    }

    #[cfg(feature = "batch")]
    fn place(&mut self, bytes: Vec<u8>) -> io::Result<Place> {
        if self.used + bytes.len() > self.memory.unwrap_or(MEMORY) {
            if self.file.is_none() {
                self.file = Some(Mutex::new(tempfile::tempfile()?));
            }
            if let Some(file) = &self.file {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let first = file.seek(SeekFrom::End(0))?;
                file.write_all(&bytes)?;
                return Ok(Place::Disk { first, length: bytes.len() });
            }
        }
        self.used += bytes.len();
        Ok(Place::Memory(bytes))
    }

    /// The foreground kept under a name.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn get(&self, name: &str) -> io::Result<Option<Foreground>> {
        self.names.get(name).and_then(|holds| self.places.get(holds)).map(|place| self.read(place)).transpose()
    }

    /// Every foreground, in an order that depends on them alone.
    pub(super) fn each(&self) -> impl Iterator<Item = io::Result<Foreground>> {
        self.places.values().map(|place| self.read(place))
    }

    fn read(&self, place: &Place) -> io::Result<Foreground> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the temporary file of the images' features was changed");
        match place {
            Place::Memory(bytes) => Foreground::from_bytes(bytes).ok_or_else(damaged),
            #[cfg(feature = "batch")]
            Place::Disk { first, length } => {
                let mut bytes = vec![0; *length];
                let file = self.file.as_ref().ok_or_else(damaged)?;
                {
                    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                    file.seek(SeekFrom::Start(*first))?;
                    file.read_exact(&mut bytes)?;
                }
                Foreground::from_bytes(&bytes).ok_or_else(damaged)
            }
        }
    }
}
