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
use std::time::Instant;

/// One way through a sequence.
#[derive(Default)]
struct Way {
    /// Mean IoU with the truth.
    j: f64,
    /// Mean of 1 − IoU of one mask with the next.
    change: f64,
    /// Mean difference of J from one frame to the next.
    jitter: f64,
    /// Tracks that begin.
    tracks: usize,
}

impl Way {
    fn of(masks: &[Vec<bool>], truth: &[Vec<bool>], tracks: usize) -> Self {
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let of_frames: Vec<f64> = masks.iter().zip(truth).map(|(mask, truth)| iou(mask, truth)).collect();
        let jitter = mean(of_frames.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect());
        let j = mean(of_frames);
        let change = mean(masks.windows(2).map(|pair| 1.0 - iou(&pair[0], &pair[1])).collect());
        Self { j, change, jitter, tracks }
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
    tracking.recut = args.recut.unwrap_or(tracking.recut);
    let name = if args.bidirectional { "both directions" } else { "tracking" };
    let bar = progress_bar(&args.study.run, evaluation.set.samples.len(), "{wide_bar} {pos}/{len} {eta}");
    let (mut rows, mut seconds, mut frames) = (Vec::new(), 0.0, 0);
    for (sequence, samples) in &sequences {
        let (single, truth) = singly(&evaluation, args, samples)?;
        let follow = Follow {
            segmenter: &evaluation.segmenter,
            tracking,
            threads: args.study.run.threads.map(usize::from),
            cancelled: &|| false,
        };
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
        // The object itself moves: no mask that is right changes less.
        let truth_change = Way::of(&truth, &truth, 0).change;
        rows.push(Row { sequence: sequence.clone(), single, way: Way::of(&masks, &truth, tracks), truth_change });
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

/// What came of a sequence.
struct Row {
    sequence: String,
    single: Way,
    way: Way,
    /// Mean of 1 − IoU of one true mask with the next.
    truth_change: f64,
}

/// J, change and jitter of single frames and of the followed ones, and the truth's change.
fn numbers(row: &Row) -> [f64; 7] {
    let Row { single, way, truth_change, .. } = row;
    [single.j, way.j, single.change, way.change, *truth_change, single.jitter, way.jitter]
}

/// The means of [`numbers`] over sequences.
fn means(rows: &[Row]) -> [f64; 7] {
    let mut sums = [0.0; 7];
    rows.iter().for_each(|row| sums.iter_mut().zip(numbers(row)).for_each(|(sum, number)| *sum += number));
    sums.map(|sum| sum / rows.len().max(1) as f64)
}

fn markdown(name: &str, rows: &[Row]) -> String {
    let mut text = format!(
        "| sequence | J, single frames | J, {name} | change, single frames | change, {name} | change, truth | jitter of J, single frames | jitter of J, {name} | tracks |\n\
         |---|---|---|---|---|---|---|---|---|\n"
    );
    let line = |name: &str, numbers: [f64; 7], tracks: String| {
        let numbers: Vec<String> = numbers.iter().map(|number| format!("{number:.3}")).collect();
        format!("| {name} | {} | {tracks} |\n", numbers.join(" | "))
    };
    rows.iter().for_each(|row| text += &line(&row.sequence, numbers(row), row.way.tracks.to_string()));
    text + &line("mean", means(rows), String::new())
}

fn as_json(evaluation: &Evaluation, args: &EvalArgs, name: &str, rows: &[Row], rate: f64) -> Value {
    let object = |[single_j, j, single_change, change, truth_change, single_jitter, jitter]: [f64; 7]| {
        json!({
            "single": { "J": single_j, "change": single_change, "jitter": single_jitter },
            "video": { "J": j, "change": change, "jitter": jitter },
            "truth": { "change": truth_change },
        })
    };
    let sequence = |row: &Row| {
        let mut value = object(numbers(row));
        value["tracks"] = json!(row.way.tracks);
        (row.sequence.clone(), value)
    };
    let sequences: serde_json::Map<String, Value> = rows.iter().map(sequence).collect();
    json!({
        "dataset": "davis", "split": evaluation.set.split, "way": name, "sequences": sequences, "frames_a_second": rate, "mean": object(means(rows)),
        "options": evaluation.segmenter.options(), "seed": args.study.method.seed,
    })
}
