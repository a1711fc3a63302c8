//! The command `segment`: read, segment, write, report.

use crate::args::{Format, NetworkArgs, SegmentArgs};
use crate::batch::{self, Done, Job, Status, Task};
use crate::source::Settings;
use crate::{network, stop};
use deepcut::backbone::Identity;
use deepcut::components::BoundingBox;
use deepcut::export::png;
use deepcut::export::record::Record;
use deepcut::{Kind, Options, Precision, Segmentation, Segmenter};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::mem::take;

/// Everything said of a picture, as JSON.
#[derive(Serialize)]
struct Report {
    #[serde(rename = "type")]
    kind: &'static str,
    input: String,
    outputs: Vec<String>,
    height: usize,
    width: usize,
    /// Whether part of the picture's file is missing or wrong, and which.
    damaged: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
    /// What the decoder did that may matter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
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
    /// By which a later run knows what is done.
    record: Record,
}

#[derive(Serialize)]
struct LabelReport {
    label: u8,
    kind: Kind,
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

/// Segments everything the command line names.
pub fn run(args: &SegmentArgs) -> anyhow::Result<Status> {
    let options = args.method.options_set(&args.network, &args.sets)?;
    if !args.run.quiet {
        args.method.warn_of_ignored(&options, &args.sets);
    }
    batch::run(
        &args.files,
        &args.run,
        |destination| args.formats(destination),
        || {
            let segmenter = network::segmenter(&args.network, &args.run, options)?;
            let settings = settings(&segmenter, &args.network);
            Ok(Work { segmenter, settings })
        },
    )
}

/// The network and every option that is not the default. How products are rounded is a machine's choice unless it is asked for, and none of
/// the picture's business: another machine may go on.
pub fn settings(segmenter: &Segmenter, args: &NetworkArgs) -> Settings {
    let object = |value: Value| if let Value::Object(object) = value { object } else { Default::default() };
    let mut usual = Options::default().flat();
    let mut settings: Settings =
        segmenter.options().flat().into_iter().filter(|(name, value)| usual.remove(name).as_ref() != Some(value)).collect();
    let mut network = object(json!(segmenter.backbone().identity()));
    network.remove("precision");
    settings.insert("backbone".into(), network.into());
    settings.remove("precision");
    if args.precision != Precision::Auto {
        settings.insert("precision".into(), args.precision.name().into());
    }
    if args.deterministic {
        settings.insert("deterministic".into(), true.into());
    }
    settings
}

struct Work {
    segmenter: Segmenter,
    settings: Settings,
}

impl Task for Work {
    fn settings(&self) -> Settings {
        self.settings.clone()
    }

    fn run(&self, job: &mut Job<'_>) -> anyhow::Result<Done> {
        let found = self.segmenter.segment_observed(&job.image, &mut |stage| {
            job.watch.begin(stage.name());
            stop::flow()
        })?;
        job.watch.begin("write");
        for target in &job.targets {
            let bytes = match target.format {
                Format::Labels => png::labels(&found)?,
                Format::Mask => png::mask(&found)?,
                Format::Overlay => png::overlay(&job.image, &found)?,
                Format::Cutout => png::cutout(&job.image, &found)?,
                Format::Json | Format::Features => continue,
            };
            job.put(target, &job.record.into_png(bytes))?;
        }
        let report = self.report(job, &found);
        for target in job.targets.iter().filter(|target| target.format == Format::Json) {
            let mut text = serde_json::to_vec_pretty(&report)?;
            text.push(b'\n');
            job.put(target, &text)?;
        }
        let what = if report.object { "object" } else { "no object" };
        let milliseconds = 1000.0 * report.seconds.values().sum::<f64>();
        let told = format!("{what}, confidence {:.2}, {milliseconds:.0} ms", report.confidence);
        Ok(Done { told, json: serde_json::to_vec(&report)? })
    }
}

impl Work {
    fn report(&self, job: &mut Job<'_>, found: &Segmentation) -> Report {
        let components = found.components();
        let regions = found.regions();
        Report {
            kind: "picture",
            input: job.input.name(),
            outputs: take(&mut job.outputs),
            height: found.height(),
            width: found.width(),
            damaged: job.image.damage().is_some(),
            damage: job.image.damage().map(Into::into),
            notes: job.image.notes().to_vec(),
            grid: found.grid().into(),
            nodes: found.grid().0 * found.grid().1,
            object: !components.is_empty(),
            confidence: found.confidence(),
            area: components.iter().map(|c| c.area).sum(),
            bounds: components.first().map(|c| xywh(c.bounds)),
            labels: regions
                .iter()
                .map(|r| LabelReport {
                    label: r.label,
                    kind: r.kind,
                    foreground: r.is_foreground(),
                    area: r.area,
                    bounds: xywh(r.bounds),
                })
                .collect(),
            components: components.iter().map(|c| ComponentReport { area: c.area, bounds: xywh(c.bounds) }).collect(),
            seconds: job.watch.seconds(),
            backbone: self.segmenter.backbone().identity().clone(),
            kernels: self.segmenter.cpu().isa().name(),
            seed: self.segmenter.options().seed,
            options: self.segmenter.options().clone(),
            version: env!("CARGO_PKG_VERSION"),
            record: job.record.clone(),
        }
    }
}
