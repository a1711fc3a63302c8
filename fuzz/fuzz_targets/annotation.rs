//! Any bytes as Pascal VOC's annotation of a picture, and any text as a list of pictures.
#![no_main]

#[path = "folder.rs"]
mod folder;

use deepcut::dataset::{Layout, find};
use folder::{folder, write};
use std::path::PathBuf;
use std::sync::LazyLock;

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| folder(&["JPEGImages/a.pgm"]));

libfuzzer_sys::fuzz_target!(|input: (&[u8], &str)| {
    let (annotation, list) = input;
    write(&ROOT.join("Annotations/a.xml"), annotation);
    write(&ROOT.join("ImageSets/Main/trainval.txt"), list.as_bytes());
    let _ = deepcut::dataset::boxes(&ROOT.join("Annotations/a.xml")).map(|boxes| boxes.within(3, 4));
    let _ = find(Layout::Voc { year: 2007 }, &ROOT, None);
});
