//! Answers each line on standard input with seconds on standard output, so that `bench/compare.py` can time this library and its peers
//! in turns. `DEEPCUT_ISA` forces an instruction set. `stopwatch WEIGHTS`, then lines of
//!
//! * `backbone PRECISION STRIDE [FILE]`: keys of the last block at 280 × 280; the file takes them as raw f32;
//! * `cut PRECISION EPOCHS STRIDE`: graph, training and mask of the keys of the last `backbone`, as the profile `paper`;
//! * `default PRECISION EPOCHS STRIDE`: the same as the profile `default`;
//! * `whole PRECISION STRIDE`: both of the above as the profile `paper`, from pixels to mask;
//! * `peak PRECISION`: 10⁹ operations of a product that stays in the cache, on every thread; `read`: 10⁹ bytes of memory.

use deepcut::backbone::vit::{VisionTransformer, VitOptions};
use deepcut::backbone::{Backbone, Input};
use deepcut::internals::kernels::packed::{Float, Packed, Rows};
use deepcut::internals::kernels::{self, Kernels};
use deepcut::{Cpu, FeatureMap, Image, Isa, Options, Precision, Start};
use rayon::prelude::*;
use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

/// The program's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIDE: usize = 280;

fn main() -> Result<(), Box<dyn Error>> {
    let weights = std::fs::read(std::env::args().nth(1).ok_or("usage: stopwatch WEIGHTS")?)?;
    let isa = match std::env::var("DEEPCUT_ISA") {
        Ok(name) => Isa::by_name(&name).ok_or_else(|| format!("no instruction set `{name}` here"))?,
        Err(_) => Isa::detect(),
    };
    let cpu = Cpu::builder().isa(isa).build()?;
    // What the script gives the others.
    let data: Vec<f32> = (0..SIDE * SIDE * 3).map(|i| ((i * 7919) % 1001) as f32 / 500.0 - 1.0).collect();
    let image = Image::new(300, 400, (0..300 * 400 * 3).map(|i| (i % 251) as u8).collect())?;
    let mut networks: HashMap<(String, usize), VisionTransformer> = HashMap::new();
    let mut keys: HashMap<usize, FeatureMap> = HashMap::new();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let seconds = match words[..] {
            ["backbone" | "whole", precision, stride, ref file @ ..] => {
                let stride: usize = stride.parse()?;
                let place = (precision.to_owned(), stride);
                let precision = precision_of(precision);
                if !networks.contains_key(&place) {
                    let options = VitOptions { stride: Some(stride), precision, ..VitOptions::default() };
                    networks.insert(place.clone(), VisionTransformer::from_bytes("random", &weights, &cpu, &options)?);
                }
                let begin = Instant::now();
                let maps = networks[&place].features(&[Input::new(SIDE, SIDE, &data)?])?;
                let map = maps.into_iter().next().ok_or("no features")?;
                if words[0] == "whole" {
                    cut(&cpu, &map, &image, Options::paper(), precision)?;
                }
                let seconds = begin.elapsed();
                if let [file] = file {
                    std::fs::write(file, map.data().iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
                }
                keys.insert(stride, map);
                seconds
            }
            [profile @ ("cut" | "default"), precision, epochs, stride] => {
                let mut options = if profile == "cut" { Options::paper() } else { Options::default() };
                options.recipe.epochs = [epochs.parse()?; 3];
                let map = keys.get(&stride.parse()?).ok_or("no keys yet")?;
                let begin = Instant::now();
                cut(&cpu, map, &image, options, precision_of(precision))?;
                begin.elapsed()
            }
            ["peak", precision] => peak(
                Kernels::by_name(isa.name()).ok_or("no kernels")?,
                if precision == "bf16" { Float::Bf16 } else { Float::F32 },
            ),
            ["read"] => read(),
            _ => return Err(format!("cannot read `{line}`").into()),
        };
        println!("{}", seconds.as_secs_f64());
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn cut(cpu: &Cpu, map: &FeatureMap, image: &Image, mut options: Options, precision: Precision) -> Result<(), Box<dyn Error>> {
    options.recipe.precision = precision;
    let found = options.recipe.cluster(cpu, std::slice::from_ref(map), Start::Seed(options.seed))?;
    let found = options.finish.to_pixels(cpu, image, &found[0]);
    assert_eq!(found.labels().len(), image.height() * image.width());
    Ok(())
}

fn precision_of(word: &str) -> Precision {
    match word {
        "int8" => Precision::Int8,
        "bf16" => Precision::Bf16,
        "auto" => Precision::Auto,
        _ => Precision::F32,
    }
}

/// The least of many, since it is a floor that is wanted.
fn least(times: usize, work: impl Fn()) -> Duration {
    let timed = |()| {
        let begin = Instant::now();
        work();
        begin.elapsed()
    };
    std::iter::repeat_n((), times).map(timed).min().unwrap_or_default()
}

/// Every thread multiplies 48 × 256 by 256 × 64 matrices until each has done 10⁹ operations.
fn peak(isa: Kernels, float: Float) -> Duration {
    let (m, k, n) = (48, 256, 64);
    let mut right = Packed::new(float);
    right.fill_from_rows(&vec![0.5; k * n], k, n);
    let left = Rows::new(isa, vec![0.5; m * k], k, float);
    least(5, || {
        rayon::broadcast(|_| {
            let mut out = vec![0.0; m * n];
            for _ in 0..1_000_000_000 / (2 * m * k * n) {
                isa.gemm_rows(&left, 0, &right, kernels::Start::Zero, &mut out);
            }
        });
    })
}

/// All threads together read 10⁹ bytes that no cache holds.
fn read() -> Duration {
    let values = vec![1u64; 125_000_000];
    least(5, || assert_eq!(values.par_chunks(1 << 16).map(|chunk| chunk.iter().sum::<u64>()).sum::<u64>(), values.len() as u64))
}
