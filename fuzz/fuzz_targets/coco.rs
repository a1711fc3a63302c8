//! Any bytes as COCO's instances, and any text as a list of pictures.
#![no_main]

#[path = "folder.rs"]
mod folder;

use deepcut::dataset::{Layout, find};
use folder::{folder, write};
use std::path::PathBuf;
use std::sync::LazyLock;

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| folder(&["train2014/COCO_1.pgm", "train2014/2.pgm"]));

libfuzzer_sys::fuzz_target!(|input: (&[u8], &str)| {
    let (instances, list) = input;
    write(&ROOT.join("instances_train2014.json"), instances);
    for list in [None, Some(list)] {
        let Ok(set) = find(Layout::Coco20k, &ROOT, list) else { continue };
        for sample in &set.samples {
            let picture = std::fs::read(&sample.image).expect("the picture is there");
            let _ = set.read(sample, &picture);
        }
    }
});
