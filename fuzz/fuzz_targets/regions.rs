//! Any bytes as the file of an image's regions: if they are regions, every format writes them.
#![no_main]

use deepcut::export::annotation::{AnnotationFormat, AnnotationOptions, Regions, Sheet};
use std::path::Path;

/// Exporters take memory for every pixel.
const MOST_PIXELS: usize = 1 << 16;

libfuzzer_sys::fuzz_target!(|input: (u8, &[u8])| {
    let (tenths, file) = input;
    let Some(regions) = Regions::read(file) else { return };
    if regions.height.saturating_mul(regions.width) > MOST_PIXELS || regions.height.max(regions.width) > MOST_PIXELS {
        return;
    }
    let mut options = AnnotationOptions::default();
    options.simplify = f64::from(tenths) / 10.0;
    let sheet = Sheet::new(&regions, &options, "a", Some(Path::new("/a.png")), Some(Path::new("/out"))).expect("they were read");
    for format in AnnotationFormat::ALL {
        let annotator = format.annotator();
        let files = annotator.image(&sheet).expect("regions can be written");
        assert_eq!(files.len(), annotator.image_files().len());
    }
    assert_eq!(regions.to_json().ok().as_deref().and_then(Regions::read), Some(regions));
});
