//! Parts with the same labels in several images: `cargo run --release --example parts_over_three_pictures [FOLDER]`.
//!
//! Writes an overlay of each picture to the folder, or to a temporary one that is removed at the end.

use deepcut::backbone::embedded;
use deepcut::export::png;
use deepcut::image::{Decoder, Image};
use deepcut::{Cpu, Finish, Mode, Precision, Recipe, Start, View};
use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let temporary = tempfile::tempdir()?;
    let folder = std::env::args_os().nth(1).map_or(temporary.path().to_owned(), PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/pictures");
    let names = ["ducks1", "ducks2", "ducks3"];
    let read = |name: &str| Decoder::default().open(&pictures.join(name).with_extension("jpg"));
    let images = names.iter().map(|name| read(name)).collect::<Result<Vec<Image>, _>>()?;

    let cpu = Cpu::default();
    let network = embedded::load(&cpu, Precision::Auto)?;
    let maps = View::default().features(&network, &images.iter().collect::<Vec<_>>())?;
    // Training begins with the same network for every image: so its outputs mean the same in all of them.
    let recipe = Recipe::default().mode(Mode::Parts).n_clusters(4);
    let found = recipe.cluster(&cpu, &maps, Start::Seed(0))?;

    println!("share of each part in the object\n\n            1     2     3     4");
    for ((name, image), clustering) in names.iter().zip(&images).zip(&found) {
        let segmentation = Finish::default().to_pixels(&cpu, image, clustering);
        let area = |label| segmentation.region(label).map_or(0, |region| region.area);
        let object: usize = (1..=4).map(area).sum();
        let shares = (1..=4).map(|label| format!("{:4} %", 100 * area(label) / object.max(1)));
        println!("{name:8}{}", shares.collect::<String>());
        std::fs::write(folder.join(name).with_extension("overlay.png"), png::overlay(image, &segmentation)?)?;
    }
    println!("\noverlays: {}", folder.display());
    Ok(())
}
