//! Truth and results of an evaluation of instances, as COCO's tools read them: `COCO("truth.json").loadRes("results.json")`.

use super::{Contender, Evaluation, check_free};
use anyhow::Context;
use deepcut::dataset::{Instances, Sample, Truth};
use deepcut::instances::Instance;
use deepcut::metrics::average_precision::TrueObject;
use deepcut::rle::Rle;
use serde_json::{Value, json};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// One image's entries, without the numbers of image and annotations.
pub struct Entries {
    size: [usize; 2],
    truth: Vec<Value>,
    /// Of every contender.
    found: Vec<Vec<Value>>,
}

impl Entries {
    /// Of the truth alone, so far.
    pub fn new(size: [usize; 2], truth: &Instances) -> Self {
        let object = |TrueObject { mask, bounds, is_crowd }: &TrueObject| json!({ "category_id": 1, "segmentation": segmentation(mask), "bbox": bounds, "area": mask.area(), "iscrowd": u8::from(*is_crowd) });
        Self { size, truth: truth.objects.iter().map(object).collect(), found: Vec::new() }
    }

    /// Adds what the next contender found.
    pub fn add(&mut self, found: &[Instance]) {
        let instance =
            |Instance { mask, score }: &Instance| json!({ "category_id": 1, "segmentation": segmentation(mask), "score": score });
        self.found.push(found.iter().map(instance).collect());
    }
}

fn segmentation(mask: &Rle) -> Value {
    json!({ "size": [mask.height(), mask.width()], "counts": mask.to_compressed() })
}

/// A list in a file that is there whole or not at all.
struct List {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
    count: u64,
}

impl List {
    fn begin(path: PathBuf, start: &str) -> anyhow::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".deepcut-").suffix(".part");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder.tempfile_in(path.parent().unwrap_or(Path::new(".")));
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let mut list = Self { path, file: BufWriter::new(file), count: 0 };
        list.write(start)?;
        Ok(list)
    }

    fn write(&mut self, text: &str) -> anyhow::Result<()> {
        self.file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}; is the disk full?", self.path.display()))
    }

    fn add(&mut self, mut entry: Value, image: u64) -> anyhow::Result<()> {
        self.count += 1;
        entry["image_id"] = image.into();
        entry["id"] = self.count.into();
        let comma = if self.count > 1 { ",\n" } else { "" };
        self.write(&format!("{comma}{entry}"))
    }

    fn finish(mut self, end: &str, overwrite: bool) -> anyhow::Result<()> {
        self.write(end)?;
        let cannot = || format!("cannot write {}", self.path.display());
        let file = self.file.into_inner().map_err(|error| error.into_error()).with_context(cannot)?;
        file.as_file().sync_data().with_context(cannot)?;
        let moved = if overwrite { file.persist(&self.path) } else { file.persist_noclobber(&self.path) };
        moved.map_err(|error| error.error).with_context(cannot)?;
        Ok(())
    }
}

/// The files of a run.
pub struct Results {
    truth: List,
    found: Vec<List>,
    images: Vec<Value>,
    overwrite: bool,
}

/// The names of the files: the truth's, then each contender's.
fn names(contenders: &[Contender]) -> Vec<String> {
    let is_plain = |c: char| c.is_alphanumeric() || "._-".contains(c);
    let result = |contender: &Contender| match contenders {
        [_] => "results.json".into(),
        _ => format!("results-{}.json", contender.name.replace(|c| !is_plain(c), "-")),
    };
    std::iter::once("truth.json".into()).chain(contenders.iter().map(result)).collect()
}

/// Says no before the work is done.
pub fn check(folder: &Path, contenders: &[Contender], overwrite: bool) -> anyhow::Result<()> {
    names(contenders).iter().try_for_each(|name| check_free("--results", &folder.join(name), overwrite))
}

impl Results {
    pub fn begin(folder: &Path, evaluation: &Evaluation, overwrite: bool) -> anyhow::Result<Self> {
        let mut lists = names(&evaluation.contenders).into_iter().map(|name| folder.join(name));
        let truth = List::begin(lists.next().unwrap_or_default(), "{\"annotations\":[\n")?;
        let found = lists.map(|path| List::begin(path, "[\n")).collect::<anyhow::Result<_>>()?;
        Ok(Self { truth, found, images: Vec::new(), overwrite })
    }

    /// Adds the image of this place in the set: its number is the set's own, or counted from 1.
    pub fn add(&mut self, index: usize, sample: &Sample, entries: Entries) -> anyhow::Result<()> {
        let id = if let Truth::Annotations(list) = &sample.truth { list.image_id() } else { index as u64 + 1 };
        let file_name = sample.image.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let [height, width] = entries.size;
        self.images.push(json!({ "id": id, "file_name": file_name, "height": height, "width": width }));
        entries.truth.into_iter().try_for_each(|entry| self.truth.add(entry, id))?;
        for (list, found) in self.found.iter_mut().zip(entries.found) {
            found.into_iter().try_for_each(|entry| list.add(entry, id))?;
        }
        Ok(())
    }

    pub fn finish(self) -> anyhow::Result<()> {
        let Self { truth, found, images, overwrite } = self;
        let categories = json!([{ "id": 1, "name": "object" }]);
        truth.finish(&format!("\n],\n\"images\":{},\n\"categories\":{categories}}}\n", Value::from(images)), overwrite)?;
        found.into_iter().try_for_each(|list| list.finish("\n]\n", overwrite))
    }
}
