//! Any JSON as the options of a tiny picture: labels or an error.
#![no_main]

use deepcut::backbone::FeatureMap;
use deepcut::segment::{cluster, to_pixels};
use deepcut::{Image, Isa, Options};
use std::ops::ControlFlow;
use std::sync::LazyLock;

static PICTURE: LazyLock<(FeatureMap, Image)> = LazyLock::new(|| {
    let (grid_height, grid_width, dim) = (4, 5, 3);
    let data = (0..grid_height * grid_width * dim).map(|i| ((i * 31 % 17) as f32 - 8.0) / 9.0).collect();
    let colors = Some((0..grid_height * grid_width * 3).map(|i| (i * 7 % 11) as f32 / 11.0).collect());
    let image = Image::new(16, 20, (0..16 * 20 * 3).map(|i| (i * 7 % 251) as u8).collect()).expect("a picture");
    (FeatureMap { grid_height, grid_width, dim, data, colors }, image)
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(mut options) = serde_json::from_slice::<Options>(bytes) else { return };
    if options.validate().is_ok() {
        options.epochs = options.epochs.map(|epochs| epochs.min(3));
    }
    let _ = options.ignored();
    let (map, image) = &*PICTURE;
    if let Ok(clustering) = cluster(Isa::detect(), map, &options, &mut |_| ControlFlow::Continue(())) {
        let found = to_pixels(image, &clustering, &options, &mut |_| {});
        assert_eq!(found.labels.len(), image.height() * image.width());
    }
});
