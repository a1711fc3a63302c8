//! The command `segment`: read, segment, write, report.

use crate::args::SegmentArgs;
use crate::reporter::{Describe, Status};
use crate::{batch, network};
use deepcut::batch::collect;
use deepcut::export::Report;

/// Segments everything the command line names.
pub fn run(args: &SegmentArgs) -> anyhow::Result<Status> {
    let options = args.method.options_set(&args.network, &args.sets)?;
    let found = collect(&args.files.inputs);
    let destination = batch::destination(&args.files, &found);
    if !args.run.quiet {
        args.warn_of_ignored(&options, &destination);
    }
    let formats = args.formats(&options, &destination);
    let annotations = args.annotations(&destination);
    let main_files: Vec<String> = annotations.iter().map(|format| format.main_file()).collect();
    let suffixes = formats.iter().map(|format| -> &str { format.suffix() }).chain(main_files.iter().map(String::as_str));
    let suffixes: Vec<&str> = suffixes.collect();
    let annotation = args.annotation.options(&annotations)?;
    batch::check_stdout(&args.files, &destination, &suffixes)?;
    let work = batch::batch(&args.files, &args.run, &args.network, destination)
        .formats(formats)
        .annotations(annotations)
        .annotation_options(annotation);
    batch::run(
        &args.files,
        &args.run,
        &work,
        &found,
        || network::segmenter(&args.network, &args.run, options),
        |prepared, segmenter, listener| prepared.segment(segmenter, listener),
    )
}

impl Describe for Report {
    fn text(&self) -> String {
        let what = if self.object { "object" } else { "no object" };
        let milliseconds = 1000.0 * self.seconds.values().sum::<f64>();
        format!("{what}, confidence {:.2}, {milliseconds:.0} ms", self.confidence)
    }

    fn json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}
