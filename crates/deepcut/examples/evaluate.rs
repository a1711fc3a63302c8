//! Mean IoU of the foreground over a folder of pictures and a folder of masks (`NAME.png` for `NAME.jpg`), with seconds per picture and
//! stage: `cargo run --release --example evaluate -- PICTURES MASKS [--paper] [--every N] [--backbone FILE] [--facet FACETS] [--stride N]
//! [--bf16] [KEY=VALUE...]`, where a key is a field of `Options`.
//!
//! ECSSD, for example: `evaluate ECSSD/images ECSSD/ground_truth_mask tau=0.4 resolution=256`.

use deepcut::backbone::vit::{VisionTransformer, VitOptions};
use deepcut::kernels::packed::Precision;
use deepcut::metrics::{iou, oracle_iou};
use deepcut::{Image, Isa, Options, Segmenter};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: evaluate PICTURES MASKS [--paper] [--every N] [--backbone FILE] [--facet FACETS] [--stride N] [--bf16] [KEY=VALUE...]";
    let (pictures, masks) = (arguments.next().ok_or(usage)?, arguments.next().ok_or(usage)?);
    let mut options = serde_json::to_value(Options::default())?;
    let (mut every, mut backbone, mut vit) = (1, None, VitOptions::default());
    while let Some(argument) = arguments.next() {
        match argument.split_once('=') {
            Some((key, value)) => options[key] = serde_json::from_str(value).unwrap_or_else(|_| value.into()),
            None if argument == "--paper" => options = serde_json::to_value(Options::paper())?,
            None if argument == "--every" => every = arguments.next().ok_or(usage)?.parse()?,
            None if argument == "--backbone" => backbone = arguments.next(),
            None if argument == "--facet" => vit.facets = Some(arguments.next().ok_or(usage)?.parse()?),
            None if argument == "--bf16" => {
                vit.precision = Precision::Bf16;
                options["precision"] = "bf16".into();
            }
            None if argument == "--stride" => vit.stride = Some(arguments.next().ok_or(usage)?.parse()?),
            None => return Err(usage.into()),
        }
    }
    let options = serde_json::from_value(options)?;
    let segmenter = match backbone {
        None => Segmenter::load(options)?,
        Some(path) => {
            let network = VisionTransformer::from_bytes(&path, &std::fs::read(&path)?, &vit)?;
            Segmenter::with_backbone(Box::new(network), options, Isa::detect())?
        }
    };

    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&pictures)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    files.sort();
    let (mut chosen, mut oracle, mut count) = (0.0, 0.0, 0);
    let mut by_confidence = Vec::new();
    let mut seconds: BTreeMap<&str, f64> = BTreeMap::new();
    for file in files.iter().step_by(every) {
        let mask = Path::new(&masks).join(file.file_name().ok_or("no name")?).with_extension("png");
        let truth = Image::decode(&std::fs::read(&mask).map_err(|e| format!("{}: {e}", mask.display()))?)?;
        let truth: Vec<bool> = truth.rgb().chunks_exact(3).map(|pixel| pixel[0] > 127).collect();

        let mut clock = (Instant::now(), "decode");
        let mut lap = |next: &'static str| {
            *seconds.entry(clock.1).or_default() += clock.0.elapsed().as_secs_f64();
            clock = (Instant::now(), next);
        };
        let image = Image::decode(&std::fs::read(file)?)?;
        let result = segmenter.segment_observed(&image, &mut |stage| lap(stage.name()))?;
        lap("");
        let found: Vec<bool> = result.mask().iter().map(|&m| m > 0).collect();
        let value = iou(&found, &truth);
        by_confidence.push((result.confidence, value));
        chosen += value;
        oracle += oracle_iou(&found, &truth);
        count += 1;
    }
    let count_float = f64::from(count);
    println!("{count} pictures, mean IoU {:.4} as chosen, {:.4} oracle side", chosen / count_float, oracle / count_float);
    by_confidence.sort_by(|a, b| a.0.total_cmp(&b.0));
    for quarter in by_confidence.chunks(by_confidence.len().div_ceil(4).max(1)) {
        let mean = quarter.iter().map(|(_, value)| value).sum::<f64>() / quarter.len() as f64;
        println!("  confidence {:.3} to {:.3}: mean IoU {mean:.3}", quarter[0].0, quarter[quarter.len() - 1].0);
    }
    let total: f64 = seconds.values().sum();
    for (stage, seconds) in &seconds {
        println!("  {stage:9} {:7.2} ms a picture", 1000.0 * seconds / count_float);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "  {:9} {:7.2} ms a picture, {threads} cores, kernels {}",
        "total",
        1000.0 * total / count_float,
        segmenter.isa().name()
    );
    Ok(())
}
