//! Any text as a list of DAVIS, and any bytes as a sequence's joints.
#![no_main]

#[path = "folder.rs"]
mod folder;

use deepcut::dataset::{Layout, find};
use folder::{folder, write};
use std::path::PathBuf;
use std::sync::LazyLock;

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| folder(&["JPEGImages/480p/bear/00000.pgm", "Annotations/480p/bear/00000.pgm", "JPEGImages/480p/dog/00000.pgm", "Annotations/480p/dog/00000.pgm"]));

libfuzzer_sys::fuzz_target!(|input: (&str, &str, &[u8])| {
    let (val, list, joints) = input;
    write(&ROOT.join("ImageSets/2016/val.txt"), val.as_bytes());
    write(&ROOT.join("joints/bear.json"), joints);
    for list in [None, Some(list)] {
        let _ = find(Layout::Davis, &ROOT, list);
    }
});
