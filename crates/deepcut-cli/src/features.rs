//! The command `features`: read, compute, write.

use crate::args::FeaturesArgs;
use crate::reporter::{Describe, Status};
use crate::{batch, network};
use deepcut::Segmenter;
use deepcut::batch::{Job, JobError, Settings, Task, collect, settings};
use deepcut::export::{FEATURES_SUFFIX, tensors};
use serde_json::{Value, json};
use std::time::Instant;

/// Writes the features of everything the command line names.
pub fn run(args: &FeaturesArgs) -> anyhow::Result<Status> {
    let options = args.options();
    options.validate()?;
    let found = collect(&args.files.inputs);
    let destination = batch::destination(&args.files, &found);
    batch::check_stdout(&args.files, &destination, &[FEATURES_SUFFIX])?;
    let work = batch::batch(&args.files, &args.run, &args.network, destination).suffixes([FEATURES_SUFFIX]);
    batch::run(
        &args.files,
        &args.run,
        &work,
        &found,
        || Ok(Work { segmenter: network::segmenter(&args.network, &args.run, options)? }),
        |prepared, work, listener| prepared.run(work, listener),
    )
}

struct Work {
    segmenter: Segmenter,
}

/// What is told of an image whose features are written.
pub struct Features {
    grid: [usize; 2],
    dim: usize,
    seconds: f64,
    report: serde_json::Map<String, Value>,
}

impl Describe for Features {
    fn text(&self) -> String {
        format!("{} × {} × {}, {:.0} ms", self.grid[0], self.grid[1], self.dim, 1000.0 * self.seconds)
    }

    fn json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&self.report)
    }
}

impl Task for Work {
    type Done = Features;

    fn settings(&self) -> Settings {
        let mut settings = settings(&self.segmenter);
        // The others come after the features.
        settings.retain(|name, _| ["backbone", "resolution", "framing", "filter", "log_bin"].contains(&&**name));
        settings
    }

    fn run(&self, job: &mut Job<'_>) -> Result<Features, JobError> {
        let image = &job.image;
        let begin = Instant::now();
        let map = self.segmenter.features(image)?;
        let seconds = begin.elapsed().as_secs_f64();
        let options = self.segmenter.options();
        let grid = map.grid().into();
        let mut metadata = vec![
            ("input", json!(job.input.name())),
            ("height", json!(image.height())),
            ("width", json!(image.width())),
            ("damaged", json!(image.damage().is_some())),
            ("grid", json!(grid)),
            ("backbone", json!(self.segmenter.backbone().identity())),
            ("resolution", json!(options.view.resolution)),
            ("framing", json!(options.view.framing)),
            ("filter", json!(options.view.filter)),
            ("log_bin", json!(options.view.log_bin)),
            ("kernels", json!(self.segmenter.cpu().isa().name())),
            ("version", json!(env!("CARGO_PKG_VERSION"))),
        ];
        metadata.extend(image.damage().map(|damage| ("damage", json!(damage))));
        let text = metadata.iter().map(|(key, value)| ((*key).to_owned(), value.to_string()));
        let bytes = tensors::features(&map, text.chain([("record".to_owned(), job.record.to_ascii())]))?;
        for target in &job.targets {
            job.put(target, &bytes)?;
        }
        let mut report: serde_json::Map<_, _> = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        report.extend([
            ("type".to_owned(), json!("picture")),
            ("dim".to_owned(), json!(map.dim())),
            ("outputs".to_owned(), json!(job.outputs)),
            ("seconds".to_owned(), json!({ "features": seconds })),
            ("record".to_owned(), json!(job.record)),
        ]);
        Ok(Features { grid, dim: map.dim(), seconds, report })
    }
}
