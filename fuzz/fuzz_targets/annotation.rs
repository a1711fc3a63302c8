//! Any bytes as Pascal VOC's annotation of a picture.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

/// One file a process: the reader takes a path.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| std::env::temp_dir().join(format!("deepcut-fuzz-{}.xml", std::process::id())));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).expect("the folder for temporary files takes one more");
    let _ = deepcut::dataset::boxes(&FILE);
});
