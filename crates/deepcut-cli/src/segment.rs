//! The command `segment`: read, segment, write, report.

use crate::args::{Format, SegmentArgs};
use crate::batch::{self, Done, Task};
use crate::inputs::Input;
use crate::network;
use crate::outputs::{Destination, check_free};
use crate::stopwatch::Stopwatch;
use deepcut::backbone::Identity;
use deepcut::components::BoundingBox;
use deepcut::export::png;
use deepcut::{Image, Options, Segmentation, Segmenter};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Everything said of a picture, as JSON.
#[derive(Serialize)]
struct Report {
    #[serde(rename = "type")]
    kind: &'static str,
    input: String,
    outputs: Vec<String>,
    height: usize,
    width: usize,
    /// Rows and columns of the patch grid.
    grid: [usize; 2],
    nodes: usize,
    /// False if the confidence is below the least asked for, or nothing was found.
    object: bool,
    confidence: f32,
    labels: Vec<LabelReport>,
    /// Pixels of the foreground.
    area: usize,
    /// Of the largest component of the foreground, `[x, y, width, height]` in pixels.
    #[serde(rename = "box")]
    bounds: Option<[usize; 4]>,
    /// The foreground's connected components, largest first.
    components: Vec<ComponentReport>,
    seconds: BTreeMap<String, f64>,
    backbone: Identity,
    kernels: &'static str,
    seed: u64,
    options: Options,
    version: &'static str,
}

#[derive(Serialize)]
struct LabelReport {
    label: u8,
    foreground: bool,
    area: usize,
    #[serde(rename = "box")]
    bounds: [usize; 4],
}

#[derive(Serialize)]
struct ComponentReport {
    area: usize,
    #[serde(rename = "box")]
    bounds: [usize; 4],
}

/// `[x, y, width, height]`, as COCO.
fn xywh(bounds: BoundingBox) -> [usize; 4] {
    [bounds.left, bounds.top, bounds.width, bounds.height]
}

/// Segments everything the command line names. True if nothing failed.
pub fn run(args: &SegmentArgs) -> anyhow::Result<bool> {
    let options = args.method.options(&args.network)?;
    if !args.run.quiet {
        args.method.warn_of_ignored(&options);
    }
    batch::run(
        &args.files,
        &args.run,
        |single| args.formats(single),
        |single| {
            let segmenter = network::segmenter(&args.network, &args.run, options)?;
            Ok(Work { segmenter, formats: args.formats(single), overwrite: args.files.overwrite })
        },
    )
}

struct Work {
    segmenter: Segmenter,
    formats: Vec<Format>,
    overwrite: bool,
}

impl Task for Work {
    fn run(&self, input: &Input, stem: &Path, destination: &Destination) -> anyhow::Result<Done> {
        let targets: Vec<_> = self.formats.iter().map(|&format| (format, destination.path(stem, format))).collect();
        for (_, path) in &targets {
            path.as_ref().map_or(Ok(()), |path| check_free(path, self.overwrite))?;
        }
        let mut watch = Stopwatch::new("read");
        let bytes = input.read()?;
        watch.begin("decode");
        let image = Image::decode(&bytes)?;
        let found = self.segmenter.segment_observed(&image, &mut |stage| watch.begin(stage.name()))?;
        watch.begin("write");
        let encode = |format| -> anyhow::Result<Option<Vec<u8>>> {
            Ok(Some(match format {
                Format::Labels => png::labels(&found)?,
                Format::Mask => png::mask(&found)?,
                Format::Overlay => png::overlay(&image, &found)?,
                Format::Cutout => png::cutout(&image, &found)?,
                Format::Json | Format::Features => return Ok(None),
            }))
        };
        let outputs: Vec<String> = targets.iter().filter_map(|(_, path)| Some(path.as_ref()?.display().to_string())).collect();
        for (format, path) in &targets {
            if let Some(bytes) = encode(*format)? {
                destination.put(path.as_deref(), &bytes, self.overwrite)?;
            }
        }
        let report = self.report(input, outputs.clone(), &found, watch.seconds());
        for (_, path) in targets.iter().filter(|(format, _)| *format == Format::Json) {
            let mut text = serde_json::to_vec_pretty(&report)?;
            text.push(b'\n');
            destination.put(path.as_deref(), &text, self.overwrite)?;
        }
        let what = if report.object { "object" } else { "no object" };
        let milliseconds = 1000.0 * report.seconds.values().sum::<f64>();
        let told = format!("{what}, confidence {:.2}, {milliseconds:.0} ms", report.confidence);
        Ok(Done { outputs, told, json: serde_json::to_vec(&report)? })
    }
}

impl Work {
    fn report(&self, input: &Input, outputs: Vec<String>, found: &Segmentation, seconds: BTreeMap<String, f64>) -> Report {
        let components = found.components();
        let regions = found.regions();
        Report {
            kind: "picture",
            input: input.name(),
            outputs,
            height: found.height,
            width: found.width,
            grid: [found.grid.0, found.grid.1],
            nodes: found.grid.0 * found.grid.1,
            object: !components.is_empty(),
            confidence: found.confidence,
            area: components.iter().map(|c| c.area).sum(),
            bounds: components.first().map(|c| xywh(c.bounds)),
            labels: regions
                .iter()
                .map(|r| LabelReport {
                    label: r.label,
                    foreground: found.is_foreground(r.label),
                    area: r.area,
                    bounds: xywh(r.bounds),
                })
                .collect(),
            components: components.iter().map(|c| ComponentReport { area: c.area, bounds: xywh(c.bounds) }).collect(),
            seconds,
            backbone: self.segmenter.backbone().identity().clone(),
            kernels: self.segmenter.isa().name(),
            seed: self.segmenter.options().seed,
            options: self.segmenter.options().clone(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}
