//! A file of what was measured so far, one JSON object a line, from which an interrupted evaluation goes on.

use super::Evaluation;
use super::measure::Picture;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Where the lines go, if anywhere.
pub struct Log {
    file: Option<(File, PathBuf)>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    picture: String,
    #[serde(flatten)]
    values: Picture,
}

impl Log {
    /// Nowhere.
    pub fn none() -> Self {
        Self { file: None }
    }

    /// Opens or begins the file of an evaluation, and reads the pictures it has.
    ///
    /// # Errors
    /// If it is of another evaluation, or cannot be read or written.
    pub fn open(path: &Path, evaluation: &Evaluation) -> anyhow::Result<(Self, HashMap<String, Picture>)> {
        let header = header(evaluation);
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        // What an interruption left of a last line is written over.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text[..whole].lines();
        let mut known = HashMap::new();
        if let Some(first) = lines.next() {
            if serde_json::from_str::<Value>(first).ok().as_ref() != Some(&header) {
                bail!("{} was begun with other options, another network or version; name another file", path.display());
            }
            for line in lines {
                let Line { picture, values } =
                    serde_json::from_str(line).with_context(|| format!("{} is damaged; name another file", path.display()))?;
                known.insert(picture, values);
            }
        }
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let mut file = opened.with_context(|| format!("cannot write {}", path.display()))?;
        file.set_len(whole as u64)?;
        file.seek(SeekFrom::End(0))?;
        let mut log = Self { file: Some((file, path.into())) };
        if whole == 0 {
            log.line(&header)?;
        }
        Ok((log, known))
    }

    /// Adds a picture.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn note(&mut self, name: &str, picture: &Picture) -> anyhow::Result<()> {
        self.line(&Line { picture: name.into(), values: picture.clone() })
    }

    fn line(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let Some((file, path)) = &mut self.file else { return Ok(()) };
        let mut text = serde_json::to_vec(value)?;
        text.push(b'\n');
        file.write_all(&text).with_context(|| format!("cannot write {}; is the disk full?", path.display()))
    }
}

/// Everything that decides the values, so that they are never mixed with others.
fn header(evaluation: &Evaluation) -> Value {
    let contenders: Vec<_> = evaluation.contenders.iter().map(|c| json!({ "name": c.name, "options": c.options })).collect();
    json!({
        "type": "evaluation",
        "dataset": evaluation.set.found,
        "backbone": evaluation.segmenter.backbone().identity(),
        "kernels": evaluation.segmenter.isa().name(),
        "contenders": contenders,
        "version": env!("CARGO_PKG_VERSION"),
    })
}
