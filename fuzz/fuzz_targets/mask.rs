//! Any bytes as the mask of a picture.
#![no_main]

#[path = "folder.rs"]
mod folder;

use deepcut::dataset::{Layout, find};
use folder::{folder, write};
use std::path::PathBuf;
use std::sync::LazyLock;

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| folder(&["images/a.pgm"]));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    write(&ROOT.join("masks/a.png"), bytes);
    let mut set = find(Layout::Masks, &ROOT, None).expect("a picture and a mask");
    let _ = set.judge();
    let picture = std::fs::read(&set.samples[0].image).expect("the picture is there");
    let _ = set.read(&set.samples[0], &picture);
});
