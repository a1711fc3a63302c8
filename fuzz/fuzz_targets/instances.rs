//! Any bytes as COCO's instances with their masks.
#![no_main]

#[path = "folder.rs"]
mod folder;

use deepcut::dataset::{Known, Layout, find};
use folder::{folder, write};
use std::path::PathBuf;
use std::sync::LazyLock;

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| folder(&["a.pgm", "b/c.pgm"]));

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    write(&ROOT.join("instances.json"), file);
    let Ok(set) = find(Layout::CocoInstances, &ROOT, None) else { return };
    for sample in &set.samples {
        let picture = std::fs::read(&sample.image).expect("the picture is there");
        let Ok((image, Known::Instances(truth), _)) = set.read(sample, &picture) else { continue };
        let size = (image.height(), image.width());
        assert!(truth.objects.iter().all(|object| (object.mask.height(), object.mask.width()) == size));
    }
});
