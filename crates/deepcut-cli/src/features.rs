//! The command `features`: read, compute, write.

use crate::args::{FeaturesArgs, Format};
use crate::batch::{self, Done, Job, Status, Task};
use crate::network;
use crate::segment::settings;
use crate::source::Settings;
use deepcut::Segmenter;
use deepcut::export::tensors;
use serde_json::json;
use std::time::Instant;

/// Writes the features of everything the command line names.
pub fn run(args: &FeaturesArgs) -> anyhow::Result<Status> {
    let options = args.options();
    options.validate()?;
    batch::run(
        &args.files,
        &args.run,
        |_| vec![Format::Features],
        || {
            let segmenter = network::segmenter(&args.network, &args.run, options)?;
            let mut settings = settings(&segmenter, &args.network);
            // The others come after the features.
            settings.retain(|name, _| {
                ["backbone", "precision", "deterministic", "resolution", "framing", "filter", "log_bin"].contains(&&**name)
            });
            Ok(Work { segmenter, settings })
        },
    )
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
        let image = &job.image;
        let begin = Instant::now();
        let map = self.segmenter.features(image)?;
        let seconds = begin.elapsed().as_secs_f64();
        let options = self.segmenter.options();
        let mut metadata = vec![
            ("input", json!(job.input.name())),
            ("height", json!(image.height())),
            ("width", json!(image.width())),
            ("damaged", json!(image.damage().is_some())),
            ("grid", json!(map.grid())),
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
        let told = format!("{} × {} × {}, {:.0} ms", map.grid().0, map.grid().1, map.dim(), 1000.0 * seconds);
        let mut report: serde_json::Map<_, _> = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        report.extend([
            ("type".to_owned(), json!("picture")),
            ("dim".to_owned(), json!(map.dim())),
            ("outputs".to_owned(), json!(job.outputs)),
            ("seconds".to_owned(), json!({ "features": seconds })),
            ("record".to_owned(), json!(job.record)),
        ]);
        Ok(Done { told, json: serde_json::to_vec(&report)? })
    }
}
