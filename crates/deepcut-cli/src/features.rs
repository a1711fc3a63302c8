//! The command `features`: read, compute, write.

use crate::args::{FeaturesArgs, Format};
use crate::batch::{self, Done, Task};
use crate::inputs::Input;
use crate::network;
use crate::outputs::{Destination, check_free};
use deepcut::export::tensors;
use deepcut::{Image, Segmenter};
use serde_json::json;
use std::path::Path;
use std::time::Instant;

/// Writes the features of everything the command line names. True if nothing failed.
pub fn run(args: &FeaturesArgs) -> anyhow::Result<bool> {
    let options = args.options();
    options.validate()?;
    batch::run(
        &args.files,
        &args.run,
        |_| vec![Format::Features],
        |_| Ok(Work { segmenter: network::segmenter(&args.network, &args.run, options)?, overwrite: args.files.overwrite }),
    )
}

struct Work {
    segmenter: Segmenter,
    overwrite: bool,
}

impl Task for Work {
    fn run(&self, input: &Input, stem: &Path, destination: &Destination) -> anyhow::Result<Done> {
        let path = destination.path(stem, Format::Features);
        path.as_ref().map_or(Ok(()), |path| check_free(path, self.overwrite))?;
        let image = Image::decode(&input.read()?)?;
        let begin = Instant::now();
        let map = self.segmenter.features(&image)?;
        let seconds = begin.elapsed().as_secs_f64();
        let options = self.segmenter.options();
        let metadata = [
            ("input", json!(input.name())),
            ("height", json!(image.height())),
            ("width", json!(image.width())),
            ("grid", json!([map.grid_height, map.grid_width])),
            ("backbone", json!(self.segmenter.backbone().identity())),
            ("resolution", json!(options.resolution)),
            ("framing", json!(options.framing)),
            ("filter", json!(options.filter)),
            ("log_bin", json!(options.log_bin)),
            ("kernels", json!(self.segmenter.isa().name())),
            ("version", json!(env!("CARGO_PKG_VERSION"))),
        ];
        let bytes = tensors::features(&map, metadata.iter().map(|(key, value)| ((*key).to_owned(), value.to_string())))?;
        destination.put(path.as_deref(), &bytes, self.overwrite)?;
        let outputs: Vec<String> = path.iter().map(|path| path.display().to_string()).collect();
        let told = format!("{} × {} × {}, {:.0} ms", map.grid_height, map.grid_width, map.dim, 1000.0 * seconds);
        let mut report: serde_json::Map<_, _> = metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        report.extend([
            ("type".to_owned(), json!("picture")),
            ("dim".to_owned(), json!(map.dim)),
            ("outputs".to_owned(), json!(outputs)),
            ("seconds".to_owned(), json!({ "features": seconds })),
        ]);
        Ok(Done { outputs, told, json: serde_json::to_vec(&report)? })
    }
}
