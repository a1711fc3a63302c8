//! Features that no network made: `cargo run --release --example own_features`.
//!
//! Whatever describes a patch by numbers can be cut: another network's output, spectra of a sensor, statistics of a texture.

use deepcut::{Cpu, FeatureMap, Mode, Recipe, Start};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    // A leaf on soil, seen in five bands; the left half of the leaf is dry.
    let (soil, green, dry) = ([0.3, 0.4, 0.5, 0.5, 0.1], [0.1, 0.7, 0.1, 0.9, 0.8], [0.4, 0.6, 0.3, 0.8, 0.5]);
    let (height, width) = (14, 24);
    let mut data = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (down, across) = ((y as f32 - 6.5) / 5.0, (x as f32 - 11.5) / 9.0);
            let bands = match (down * down + across * across < 1.0, across < 0.0) {
                (false, _) => soil,
                (true, true) => dry,
                (true, false) => green,
            };
            // No two patches are quite alike.
            data.extend((0..5).map(|band| bands[band] + ((y * 31 + x * 17 + band * 7) % 11) as f32 / 200.0));
        }
    }

    // Patches are compared by the angle between their features, so take off what all have in common.
    for band in 0..5 {
        let mean = data.iter().skip(band).step_by(5).sum::<f32>() / (height * width) as f32;
        data.iter_mut().skip(band).step_by(5).for_each(|value| *value -= mean);
    }

    let map = FeatureMap::new(height, width, 5, data)?;
    let recipe = Recipe::default().mode(Mode::Parts).n_clusters(2);
    let found = recipe.cluster(&Cpu::default(), &[map], Start::Seed(0))?;

    for row in found[0].labels().collect::<Vec<u8>>().chunks(width) {
        println!("{}", row.iter().map(|&label| [" .", " 1", " 2"][usize::from(label)]).collect::<String>());
    }
    for meaning in found[0].meanings() {
        let patches = found[0].labels().filter(|&label| label == meaning.label).count();
        println!("label {}: {:?}, {patches} patches", meaning.label, meaning.kind);
    }
    println!("confidence {:.2}", found[0].confidence());
    Ok(())
}
