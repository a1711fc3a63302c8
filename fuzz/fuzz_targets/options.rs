//! Any JSON as the options of a tiny picture: labels or an error.
#![no_main]

use deepcut::{Cpu, FeatureMap, Image, Options, Start};
use std::sync::LazyLock;

static PICTURE: LazyLock<(FeatureMap, Image)> = LazyLock::new(|| {
    let (grid_height, grid_width, dim) = (4, 5, 3);
    let data = (0..grid_height * grid_width * dim).map(|i| ((i * 31 % 17) as f32 - 8.0) / 9.0).collect();
    let colors = (0..grid_height * grid_width * 3).map(|i| (i * 7 % 11) as f32 / 11.0).collect();
    let image = Image::new(16, 20, (0..16 * 20 * 3).map(|i| (i * 7 % 251) as u8).collect()).expect("a picture");
    let map = FeatureMap::new(grid_height, grid_width, dim, data).and_then(|map| map.with_colors(colors));
    (map.expect("a map"), image)
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(mut options) = serde_json::from_slice::<Options>(bytes) else { return };
    if options.validate().is_ok() {
        options.recipe.epochs = options.recipe.epochs.map(|epochs| epochs.min(3));
    }
    let _ = options.recipe.without_effect();
    let (map, image) = &*PICTURE;
    if let Ok(found) = options.recipe.cluster(&Cpu::default(), std::slice::from_ref(map), Start::Seed(options.seed)) {
        let found = options.finish.to_pixels(&Cpu::default(), image, &found[0]);
        assert_eq!(found.labels().len(), image.height() * image.width());
    }
});
