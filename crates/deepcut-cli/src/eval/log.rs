//! A file of what was measured so far, one JSON object a line, from which an interrupted evaluation goes on.

use super::Evaluation;
use anyhow::Context;
use deepcut::record::{self, Picture};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Where the lines go, if anywhere.
pub struct Log {
    file: Option<(File, PathBuf)>,
}

impl Log {
    /// Nowhere.
    pub fn none() -> Self {
        Self { file: None }
    }

    /// Opens or begins the file of an evaluation, and reads the images it has.
    ///
    /// # Errors
    /// If it is of another evaluation, or cannot be read or written.
    pub fn open(path: &Path, evaluation: &Evaluation) -> anyhow::Result<(Self, HashMap<String, Picture>)> {
        let header = header(evaluation);
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let known = record::read(&bytes, &header, evaluation.contenders.len()).with_context(|| path.display().to_string())?;
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let mut file = opened.with_context(|| format!("cannot write {}; name another file with --resume", path.display()))?;
        // What an interruption left of a last line is written over.
        file.set_len(known.whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        let mut log = Self { file: Some((file, path.into())) };
        if known.whole == 0 {
            log.write(&format!("{header}\n"))?;
        }
        Ok((log, known.pictures))
    }

    /// Adds an image.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn note(&mut self, name: &str, picture: &Picture) -> anyhow::Result<()> {
        self.write(&record::line(name, picture)?)
    }

    fn write(&mut self, line: &str) -> anyhow::Result<()> {
        let Some((file, path)) = &mut self.file else { return Ok(()) };
        file.write_all(line.as_bytes()).with_context(|| format!("cannot write {}; is the disk full?", path.display()))
    }
}

/// Everything that decides the values, so that they are never mixed with others.
fn header(evaluation: &Evaluation) -> Value {
    let contenders: Vec<_> = evaluation.contenders.iter().map(|c| json!({ "name": c.name, "options": c.options })).collect();
    json!({
        "type": "evaluation",
        "dataset": evaluation.set.found,
        "truth": evaluation.set.truth,
        "instances": evaluation.tells_apart(),
        "backbone": evaluation.segmenter.backbone().identity(),
        "kernels": evaluation.segmenter.cpu().isa().name(),
        "contenders": contenders,
        "version": env!("CARGO_PKG_VERSION"),
    })
}
