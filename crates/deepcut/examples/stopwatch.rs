//! Answers each line on standard input with seconds on standard output, so that `bench/compare.py` can time this library and its peers
//! in turns. `stopwatch WEIGHTS`, then lines of
//!
//! * `backbone PRECISION STRIDE [FILE]`: keys of the last block at 280 × 280; the file takes them as raw f32;
//! * `cut EPOCHS STRIDE`: graph, training and mask of the keys of the last `backbone`, as the profile `paper`;
//! * `default EPOCHS STRIDE`: the same as the profile `default`.

use deepcut::backbone::vit::{VisionTransformer, VitOptions};
use deepcut::backbone::{Backbone, Input};
use deepcut::kernels::packed::Precision;
use deepcut::segment::{cluster, to_pixels};
use deepcut::{FeatureMap, Image, Isa, Options};
use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

const SIDE: usize = 280;

fn main() -> Result<(), Box<dyn Error>> {
    let weights = std::fs::read(std::env::args().nth(1).ok_or("usage: stopwatch WEIGHTS")?)?;
    let isa = Isa::detect();
    // What the script gives the others.
    let data: Vec<f32> = (0..SIDE * SIDE * 3).map(|i| ((i * 7919) % 1001) as f32 / 500.0 - 1.0).collect();
    let image = Image::new(300, 400, (0..300 * 400 * 3).map(|i| (i % 251) as u8).collect())?;
    let mut networks: HashMap<(String, usize), VisionTransformer> = HashMap::new();
    let mut keys: HashMap<usize, FeatureMap> = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let seconds = match words[..] {
            ["backbone", precision, stride, ref file @ ..] => {
                let stride: usize = stride.parse()?;
                let place = (precision.to_owned(), stride);
                if !networks.contains_key(&place) {
                    let precision = if precision == "bf16" { Precision::Bf16 } else { Precision::F32 };
                    let options = VitOptions { stride: Some(stride), precision, ..VitOptions::default() };
                    networks.insert(place.clone(), VisionTransformer::from_bytes("random", &weights, &options)?);
                }
                let begin = Instant::now();
                let map = networks[&place].features(isa, Input { height: SIDE, width: SIDE, data: &data });
                let seconds = begin.elapsed();
                if let [file] = file {
                    std::fs::write(file, map.data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
                }
                keys.insert(stride, map);
                seconds
            }
            [profile @ ("cut" | "default"), epochs, stride] => {
                let mut options = if profile == "cut" { Options::paper() } else { Options::default() };
                options.epochs = [epochs.parse()?; 3];
                let map = keys.get(&stride.parse()?).ok_or("no keys yet")?;
                let begin = Instant::now();
                let clustering = cluster(isa, map, &options, &mut |_| {})?;
                let found = to_pixels(&image, &clustering, &options, &mut |_| {});
                let seconds = begin.elapsed();
                assert_eq!(found.labels.len(), 300 * 400);
                seconds
            }
            _ => return Err(format!("cannot read `{line}`").into()),
        };
        println!("{}", seconds.as_secs_f64());
        std::io::stdout().flush()?;
    }
    Ok(())
}
