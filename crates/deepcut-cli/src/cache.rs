//! A folder of features, so that many methods on one data set compute them once.
//!
//! A file is named after everything its features depend on: the image's pixels, the network and what of it is used, how the image is
//! resized, the kernels and this program's version. It is written whole or not at all, so that a run can be stopped at any time.

use anyhow::{Context, bail};
use deepcut::backbone::weights::hexadecimal;
use deepcut::batch::files::{remove_partial, write};
use deepcut::export::tensors;
use deepcut::{FeatureMap, Image, Segmenter, View};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

const SUFFIX: &str = "features.safetensors";

/// The folder.
pub struct Cache {
    folder: PathBuf,
    most_bytes: u64,
    /// Bytes in it, about: other programs may write there too.
    bytes: Mutex<u64>,
}

impl Cache {
    /// Opens or makes the folder; `gigabytes` is its size at most.
    ///
    /// # Errors
    /// If it cannot be made or read, or the size is none.
    pub fn open(folder: &Path, gigabytes: f64) -> anyhow::Result<Self> {
        if !(gigabytes > 0.0 && gigabytes <= 1e6) {
            bail!("--cache-size is {gigabytes}; expected a number of GB above 0");
        }
        let cannot = || format!("cannot use the cache folder {}; name another with --cache", folder.display());
        std::fs::create_dir_all(folder).with_context(cannot)?;
        // What a killed run left half-written counts nowhere, and goes.
        remove_partial(folder);
        let cache = Self { folder: folder.into(), most_bytes: (gigabytes * 1e9) as u64, bytes: Mutex::new(0) };
        let bytes = cache.files().with_context(cannot)?.iter().map(|(_, _, size)| size).sum();
        Ok(Self { bytes: Mutex::new(bytes), ..cache })
    }

    /// What the features of an image are kept under.
    pub fn key(&self, segmenter: &Segmenter, view: &View, picture: &Image) -> String {
        let depends = json!({
            "backbone": segmenter.backbone().identity(),
            "kernels": segmenter.cpu().isa().name(),
            "view": view,
            "size": [picture.height(), picture.width()],
            "version": env!("CARGO_PKG_VERSION"),
        });
        let mut hash = Sha256::new();
        hash.update(depends.to_string());
        hash.update(picture.rgb());
        hexadecimal(&hash.finalize())
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{key}.{SUFFIX}"))
    }

    /// The features kept under a key. A damaged file is as good as none.
    pub fn get(&self, key: &str) -> Option<FeatureMap> {
        let path = self.path(key);
        let map = tensors::read_features(&std::fs::read(&path).ok()?).ok()?;
        // The oldest go first: this one was just used. A folder that cannot be written serves all the same.
        let _ = std::fs::File::options().append(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(map)
    }

    /// Keeps features; those used longest ago make room.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn put(&self, key: &str, map: &FeatureMap) -> anyhow::Result<()> {
        let bytes = tensors::features(map, std::iter::empty())?;
        write(&self.path(key), &bytes, true).context("cannot keep features in the cache")?;
        let mut held = self.bytes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *held += bytes.len() as u64;
        if *held > self.most_bytes {
            let mut files = self.files()?;
            files.sort_by_key(|(_, used, _)| *used);
            *held = files.iter().map(|(_, _, size)| size).sum();
            // A tenth more than needed, so that not every new file looks through the folder.
            for (path, _, size) in files {
                if *held <= self.most_bytes / 10 * 9 {
                    break;
                }
                if std::fs::remove_file(path).is_ok() {
                    *held -= size;
                }
            }
        }
        Ok(())
    }

    /// Path, last use and size of every file.
    fn files(&self) -> std::io::Result<Vec<(PathBuf, SystemTime, u64)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            // Another run may have removed it since.
            if let (true, Ok(data)) = (entry.file_name().to_string_lossy().ends_with(SUFFIX), entry.metadata()) {
                found.push((entry.path(), data.modified()?, data.len()));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn map(value: f32) -> FeatureMap {
        FeatureMap::new(10, 10, 8, vec![value; 800]).unwrap().with_colors(vec![0.5; 300]).unwrap()
    }

    #[test]
    fn the_folder_keeps_what_was_used_last() {
        let folder = tempfile::tempdir().unwrap();
        // About three files of 4.5 kB.
        let cache = Cache::open(folder.path(), 14e-6).unwrap();
        for (second, key) in ["a", "b", "c"].into_iter().enumerate() {
            cache.put(key, &map(second as f32)).unwrap();
            let file = std::fs::File::options().append(true).open(cache.path(key)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second as u64)).unwrap();
        }
        assert_eq!(cache.get("a"), Some(map(0.0)));
        cache.put("d", &map(3.0)).unwrap();
        assert_eq!([cache.get("a"), cache.get("b"), cache.get("d")], [Some(map(0.0)), None, Some(map(3.0))]);
        assert!(cache.files().unwrap().iter().map(|f| f.2).sum::<u64>() <= 14_000);

        std::fs::write(cache.path("a"), b"no tensors").unwrap();
        assert_eq!(cache.get("a"), None);
        assert!(Cache::open(folder.path(), 0.0).is_err());
        assert!(Cache::open(&cache.path("a"), 1.0).is_err());
    }
}
