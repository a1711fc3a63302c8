//! Segments a folder of images: `cargo run --release --example folder [INPUT] [OUTPUT]`.
//!
//! Without arguments it segments `examples/pictures` into a temporary folder, which is removed at the end. Run it again with the same
//! arguments, and it goes on where it was stopped: what is done is skipped.

use deepcut::batch::{Batch, Event, Outcome};
use deepcut::export::Format;
use deepcut::{Options, Segmenter};
use std::error::Error;
use std::ops::ControlFlow;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let pictures = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/pictures"));
    let temporary = tempfile::tempdir()?;
    let input = arguments.next().unwrap_or(pictures);
    let output = arguments.next().unwrap_or_else(|| temporary.path().join("masks"));

    let segmenter = Segmenter::load(Options::default())?;
    let batch = Batch::new().formats([Format::Mask, Format::Overlay, Format::Json]).output(output);
    let summary = batch.segment(&segmenter, &[input], &mut |event| {
        if let Event::Image { input, written, outcome, .. } = event {
            match outcome {
                Outcome::Done { done, .. } => {
                    println!(
                        "{}: {} % object → {}",
                        input.name(),
                        100 * done.area / (done.height * done.width),
                        written.join(", ")
                    );
                }
                Outcome::Failed(error) => eprintln!("{}: {error}", input.name()),
                other => println!("{}: {other:?}", input.name()),
            }
        }
        ControlFlow::Continue(())
    })?;
    println!("{} images: {} done, {} skipped, {} failed", summary.images, summary.done, summary.skipped, summary.failures);
    if summary.is_complete() { Ok(()) } else { Err("some images were not segmented".into()) }
}
