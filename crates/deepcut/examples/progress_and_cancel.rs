//! Watch the work and cancel it: `cargo run --release --example progress_and_cancel [MILLISECONDS]`.
//!
//! An observer is told of every step as it begins. Here it prints the steps of one image; then it cancels the same work at a deadline, after
//! 1 ms unless you say otherwise.

use deepcut::image::Decoder;
use deepcut::{Options, Refine, Segmenter, Step};
use std::error::Error;
use std::ops::ControlFlow::{Break, Continue};
use std::path::Path;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let limit = Duration::from_millis(std::env::args().nth(1).map_or(Ok(1), |word| word.parse())?);
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/pictures/hare.jpg");
    let image = Decoder::default().open(&picture)?;
    let mut options = Options::default();
    options.finish.refine = Refine::Bilateral;
    let segmenter = Segmenter::load(options)?;

    let begin = Instant::now();
    let found = segmenter.segment_observed(&image, &mut |step| {
        let milliseconds = begin.elapsed().as_secs_f64() * 1e3;
        match step {
            Step::Train { epoch } => println!("{milliseconds:7.2} ms  train, epoch {epoch}"),
            step => println!("{milliseconds:7.2} ms  {}", step.name()),
        }
        Continue(())
    })?;
    println!("{:7.2} ms  done, confidence {:.2}", begin.elapsed().as_secs_f64() * 1e3, found.confidence());

    let begin = Instant::now();
    let mut last = None;
    let cancelled = segmenter.segment_observed(&image, &mut |step| {
        last = Some(step);
        if begin.elapsed() < limit { Continue(()) } else { Break(()) }
    });
    match (cancelled, last) {
        (Err(deepcut::Error::Cancelled), Some(step)) => println!("\nwith {limit:?}: cancelled before the step {}", step.name()),
        (result, _) => println!("\nwith {limit:?}: done, confidence {:.2}", result?.confidence()),
    }
    Ok(())
}
