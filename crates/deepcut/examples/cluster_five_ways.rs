//! Computes features once and clusters them five times: `cargo run --release --example cluster_five_ways [IMAGE]`.

use deepcut::image::Decoder;
use deepcut::{Method, Mode, Objective, Options, Recipe, Segmenter, Start, View};
use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let duck = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/pictures/duck.jpg");
    let image = Decoder::default().open(&std::env::args_os().nth(1).map_or(duck.into(), PathBuf::from))?;
    // A small input, so that the grids fit on a screen.
    let segmenter = Segmenter::load(Options::default().view(View::default().resolution(160)))?;

    let begin = Instant::now();
    let map = segmenter.features(&image)?;
    println!("features of {} patches: {:.1} ms", map.patches(), begin.elapsed().as_secs_f64() * 1e3);

    let recipes = [
        ("object", Recipe::default()),
        ("object as published", Recipe::paper()),
        ("4 parts", Recipe::default().mode(Mode::Parts)),
        ("correlation clustering", Recipe::default().objective(Objective::Correlation)),
        ("k-means, k = 3", Recipe::default().method(Method::Kmeans).n_clusters(3)),
    ];
    let (_, columns) = map.grid();
    for (name, recipe) in recipes {
        let begin = Instant::now();
        let found = recipe.cluster(segmenter.cpu(), std::slice::from_ref(&map), Start::Seed(0))?;
        println!("\n{name}: {:.1} ms, confidence {:.2}", begin.elapsed().as_secs_f64() * 1e3, found[0].confidence());
        for row in found[0].labels().collect::<Vec<u8>>().chunks(columns) {
            // A dot is background; of ten clusters the last is a.
            let sign = |&label: &u8| if label == 0 { '.' } else { char::from_digit(label.into(), 36).unwrap_or('?') };
            println!("  {}", row.iter().flat_map(|label| [' ', sign(label)]).collect::<String>());
        }
    }
    Ok(())
}
