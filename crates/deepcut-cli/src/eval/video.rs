//! Whole sequences: objects followed from frame to frame, beside every frame for itself.

use super::{Evaluation, contenders, say};
use crate::args::EvalArgs;
use crate::reporter::progress_bar;
use crate::{batch, show};
use anyhow::{Context, bail};
use deepcut::Image;
use deepcut::dataset::{Known, Sample};
use deepcut::image::Decoder;
use deepcut::metrics::iou;
use deepcut::video::{Follow, Frames, Tracking};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

/// One way through a sequence.
#[derive(Default)]
struct Way {
    /// Mean IoU with the truth.
    j: f64,
    /// Mean of 1 − IoU of one mask with the next.
    change: f64,
    /// Tracks that begin.
    tracks: usize,
}

impl Way {
    fn of(masks: &[Vec<bool>], truth: &[Vec<bool>], tracks: usize) -> Self {
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let j = mean(masks.iter().zip(truth).map(|(mask, truth)| iou(mask, truth)).collect());
        let change = mean(masks.windows(2).map(|pair| 1.0 - iou(&pair[0], &pair[1])).collect());
        Self { j, change, tracks }
    }
}

/// Follows objects through every sequence, and prints the table. True if every frame was measured.
pub fn run(args: &EvalArgs) -> anyhow::Result<bool> {
    let evaluation = Evaluation::new(&args.study, contenders(args)?)?;
    let mut sequences: BTreeMap<String, Vec<&Sample>> = BTreeMap::new();
    for sample in &evaluation.set.samples {
        let Some(sequence) = &sample.sequence else { bail!("--video needs a data set of sequences: davis") };
        sequences.entry(sequence.clone()).or_default().push(sample);
    }
    let mut tracking = Tracking::default();
    tracking.inertia = args.inertia.unwrap_or(tracking.inertia);
    let name = if args.bidirectional { "both directions" } else { "tracking" };
    let bar = progress_bar(&args.study.run, evaluation.set.samples.len(), "{wide_bar} {pos}/{len} {eta}");
    let (mut rows, mut seconds, mut frames) = (Vec::new(), 0.0, 0);
    for (sequence, samples) in &sequences {
        let (single, truth) = singly(&evaluation, args, samples)?;
        let options = evaluation.contenders.first().map(|contender| contender.options.clone()).unwrap_or_default();
        let follow = Follow {
            segmenter: &evaluation.segmenter,
            tracking,
            threads: args.study.run.threads.map(usize::from),
            cancelled: &|| false,
        };
        let _ = options;
        let files = || samples.iter().map(|sample| sample.image.clone()).collect();
        let (mut masks, mut tracks, mut failed) = (Vec::new(), 0, None);
        let begin = Instant::now();
        let open = || Ok(Frames::of_files(files(), Decoder::default()));
        let each = |frame: deepcut::video::Followed| {
            failed = failed.take().or(frame.error);
            if let Some(tracked) = frame.tracked {
                tracks = tracks.max(tracked.ids.values().copied().max().unwrap_or_default() as usize);
                masks.push(tracked.segmentation.mask().iter().map(|&value| value > 0).collect::<Vec<bool>>());
            }
            bar.inc(1);
            Ok(())
        };
        if args.bidirectional {
            follow.run_both_ways(open, each)?
        } else {
            follow.run(open()?, each)?
        };
        seconds += begin.elapsed().as_secs_f64();
        if let Some(error) = failed {
            bail!("{sequence}: {error}");
        }
        frames += masks.len();
        rows.push((sequence.clone(), single, Way::of(&masks, &truth, tracks)));
    }
    bar.finish_and_clear();
    let rate = frames as f64 / f64::max(seconds, 1e-9);
    let text = if args.study.json {
        format!("{}\n", as_json(&evaluation, args, name, &rows, rate))
    } else {
        format!(
            "{}\n\n{}\n{frames} frames, {rate:.1} frames a second\n",
            evaluation.setting(&args.study, frames),
            markdown(name, &rows)
        )
    };
    show(text.as_bytes())?;
    Ok(true)
}

/// Every frame for itself, and the truth.
fn singly(evaluation: &Evaluation, args: &EvalArgs, samples: &[&Sample]) -> anyhow::Result<(Way, Vec<Vec<bool>>)> {
    let (mut masks, mut truths) = (Vec::new(), Vec::new());
    batch::in_order(
        &args.study.run,
        samples.len(),
        |index| {
            let sample = samples[index];
            let bytes = std::fs::read(&sample.image).context("cannot read the file")?;
            let (image, truth, _): (Image<'_>, Known, _) = evaluation.set.read(sample, &bytes)?;
            let Known::Mask(truth) = truth else { bail!("{} has no mask", sample.name) };
            let found = evaluation.segmenter.segment(&image)?;
            Ok((found.mask().iter().map(|&value| value > 0).collect::<Vec<bool>>(), truth))
        },
        |index, result| {
            let (mask, truth) = result.inspect_err(|_| say(format_args!("deepcut: {} failed", samples[index].name)))?;
            masks.push(mask);
            truths.push(truth);
            Ok(())
        },
    )?;
    Ok((Way::of(&masks, &truths, 0), truths))
}

/// Means over sequences of J and change, of one way.
fn means(rows: &[(String, Way, Way)], of: impl Fn(&(String, Way, Way)) -> &Way) -> [f64; 2] {
    let mean = |value: &dyn Fn(&Way) -> f64| rows.iter().map(|row| value(of(row))).sum::<f64>() / rows.len().max(1) as f64;
    [mean(&|way| way.j), mean(&|way| way.change)]
}

fn markdown(name: &str, rows: &[(String, Way, Way)]) -> String {
    let mut text = format!(
        "| sequence | J, single frames | J, {name} | change, single frames | change, {name} | tracks |\n|---|---|---|---|---|---|\n"
    );
    for (sequence, single, way) in rows {
        let (j, change) = ([single.j, way.j], [single.change, way.change]);
        // Writing to a text does not fail.
        let _ =
            writeln!(text, "| {sequence} | {:.3} | {:.3} | {:.3} | {:.3} | {} |", j[0], j[1], change[0], change[1], way.tracks);
    }
    let ([single_j, single_change], [j, change]) = (means(rows, |row| &row.1), means(rows, |row| &row.2));
    let _ = writeln!(text, "| mean | {single_j:.3} | {j:.3} | {single_change:.3} | {change:.3} | |");
    text
}

fn as_json(evaluation: &Evaluation, args: &EvalArgs, name: &str, rows: &[(String, Way, Way)], rate: f64) -> Value {
    let way = |way: &Way| json!({ "J": way.j, "change": way.change, "tracks": way.tracks });
    let sequences: serde_json::Map<String, Value> = rows
        .iter()
        .map(|(sequence, single, followed)| (sequence.clone(), json!({ "single": way(single), "video": way(followed) })))
        .collect();
    let ([single_j, single_change], [j, change]) = (means(rows, |row| &row.1), means(rows, |row| &row.2));
    json!({
        "dataset": "davis", "split": evaluation.set.split, "way": name, "sequences": sequences, "frames_a_second": rate,
        "mean": { "single": { "J": single_j, "change": single_change }, "video": { "J": j, "change": change } },
        "options": evaluation.segmenter.options(), "seed": args.study.method.seed,
    })
}
