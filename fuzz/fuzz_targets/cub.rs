//! Any texts as the lists of CUB-200-2011.
#![no_main]

#[path = "folder.rs"]
mod folder;

use deepcut::dataset::{Layout, find};
use folder::{folder, write};
use std::path::PathBuf;
use std::sync::LazyLock;

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| folder(&["images/1.A/a.pgm", "images/1.A/b.pgm", "segmentations/1.A/a.png", "segmentations/1.A/b.png"]));

libfuzzer_sys::fuzz_target!(|input: (&str, &str, &str, &str)| {
    let (images, split, parts, list) = input;
    for (name, text) in [("images.txt", images), ("train_test_split.txt", split), ("parts/part_locs.txt", parts)] {
        write(&ROOT.join(name), text.as_bytes());
    }
    for list in [None, Some(list)] {
        let _ = find(Layout::Cub, &ROOT, list);
    }
});
