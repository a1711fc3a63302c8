//! A folder of this process that holds a data set, of which the targets write some files anew for each input.

use std::path::{Path, PathBuf};

/// A folder below that of temporary files, with a picture of 4 × 3 under each of these names.
pub fn folder(pictures: &[&str]) -> PathBuf {
    let root = std::env::temp_dir().join(format!("deepcut-fuzz-{}", std::process::id()));
    let mut picture = b"P5 4 3 255 ".to_vec();
    picture.extend([0, 255, 255, 0, 0, 255, 255, 0, 0, 0, 0, 0]);
    pictures.iter().for_each(|name| write(&root.join(name), &picture));
    root
}

/// Writes a file and what folders it needs.
pub fn write(path: &Path, bytes: &[u8]) {
    let folder = path.parent().expect("a file lies in a folder");
    std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, bytes)).expect("the folder for temporary files takes one more");
}
