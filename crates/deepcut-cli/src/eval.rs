//! The command `eval`: a data set's pictures against their truth.

use crate::args::{DatasetArg, EvalArgs};
use crate::outputs::{check_free, write};
use crate::{batch, network, print};
use anyhow::{Context, bail};
use deepcut::dataset::{self, Dataset, Layout, Sample, Truth};
use deepcut::metrics::{MaxF, accuracy, bootstrap, box_iou, iou, mean_absolute_error, oracle_iou};
use deepcut::segment::components::BoundingBox;
use deepcut::{Image, Segmenter};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Instant;

/// What was measured of one picture.
struct Measured {
    /// In the order of the table's rows.
    values: Vec<(&'static str, f64)>,
    confidence: f32,
    seconds: f64,
    /// Mask and truth, where the truth is a mask.
    masks: Option<(Vec<u8>, Vec<bool>)>,
}

/// Evaluates what the command line names. True if every picture of the data set was measured.
pub fn run(args: &EvalArgs) -> anyhow::Result<bool> {
    if let Some(path) = &args.csv {
        check_free(path, args.overwrite)?;
    }
    let options = args.method.options(&args.network)?;
    let mut set = find(args)?;
    if let Some(limit) = args.limit {
        set.samples.truncate(limit);
    }
    let segmenter = network::segmenter(&args.network, &args.run, options)?;
    if !args.run.quiet {
        say(format_args!("{} pictures: {}", set.samples.len(), set.found));
    }
    for (name, problem) in &set.incomplete {
        say(format_args!("deepcut: {name} {problem}"));
    }

    let bar = batch::progress_bar(&args.run, set.samples.len(), "{wide_bar} {pos}/{len} {eta} {msg}");
    let mut table = Table::default();
    let mut failures = 0;
    batch::in_order(
        &args.run,
        set.samples.len(),
        |index| measure(&segmenter, &set.samples[index]),
        |index, result| {
            let sample = &set.samples[index];
            match result {
                Ok(measured) => table.add(sample, &measured),
                Err(error) => {
                    failures += 1;
                    bar.suspend(|| say(format_args!("deepcut: {}: {error:#}", sample.name)));
                }
            }
            bar.set_message(table.running());
            bar.inc(1);
            Ok(())
        },
    )?;
    bar.finish_and_clear();
    if table.pictures() == 0 {
        bail!("no picture of the data set could be measured");
    }
    if let Some(path) = &args.csv {
        write(path, table.csv.as_bytes(), args.overwrite)?;
    }
    let missing = set.incomplete.len();
    if args.json {
        let mut text = serde_json::to_vec(&json!({
            "type": "evaluation",
            "dataset": set.found,
            "pictures": table.pictures(),
            "failures": failures,
            "incomplete": missing,
            "metrics": table.summary().into_iter().map(|row| (row.name, json!({ "value": row.value, "interval": row.interval }))).collect::<serde_json::Map<_, _>>(),
            "seconds_a_picture": table.seconds / table.pictures() as f64,
            "backbone": segmenter.backbone().identity(),
            "options": segmenter.options(),
            "kernels": segmenter.isa().name(),
            "version": env!("CARGO_PKG_VERSION"),
        }))?;
        text.push(b'\n');
        print(&text)?;
    } else {
        print(table.to_string(failures, missing).as_bytes())?;
    }
    Ok(failures == 0 && missing == 0)
}

/// A line on standard error. If that is closed there is nowhere to say so.
fn say(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn find(args: &EvalArgs) -> anyhow::Result<Dataset> {
    let layout = match args.dataset {
        DatasetArg::Masks | DatasetArg::Ecssd | DatasetArg::DutsTe | DatasetArg::DutOmron => Layout::Masks,
        DatasetArg::Voc2007 => Layout::Voc { year: 2007 },
        DatasetArg::Voc2012 => Layout::Voc { year: 2012 },
        DatasetArg::Davis => Layout::Davis,
    };
    let names: Option<Vec<String>> = match &args.list {
        None => None,
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the list {}", path.display()))?;
            Some(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(Into::into).collect())
        }
    };
    Ok(dataset::find(layout, &args.root, names.as_deref())?)
}

fn measure(segmenter: &Segmenter, sample: &Sample) -> anyhow::Result<Measured> {
    let read = |path| std::fs::read(path).context("cannot read the file");
    let image = Image::decode(&read(&sample.image)?)?;
    let begin = Instant::now();
    let found = segmenter.segment(&image)?;
    let seconds = begin.elapsed().as_secs_f64();
    let (values, masks) = match &sample.truth {
        Truth::Mask { path, above } => {
            let truth = read(path).and_then(|bytes| Ok(Image::decode(&bytes)?));
            let truth = truth.with_context(|| format!("its mask {}", path.display()))?;
            if (truth.height(), truth.width()) != (image.height(), image.width()) {
                let size = |image: &Image| format!("{} × {}", image.width(), image.height());
                bail!("its mask is {}, the picture {}", size(&truth), size(&image));
            }
            let truth: Vec<bool> = truth.rgb().chunks_exact(3).map(|pixel| pixel.iter().any(|v| v > above)).collect();
            let soft = found.mask();
            let mask: Vec<bool> = soft.iter().map(|&value| value > 0).collect();
            let values = vec![
                ("IoU", iou(&mask, &truth)),
                ("IoU, oracle side", oracle_iou(&mask, &truth)),
                ("accuracy", accuracy(&mask, &truth)),
                ("MAE of the mask", mean_absolute_error(&soft, &truth)),
            ];
            (values, Some((soft, truth)))
        }
        Truth::Boxes(path) => {
            let boxes = dataset::boxes(path)?;
            let hit = |b: Option<BoundingBox>| b.is_some_and(|b| boxes.iter().any(|&truth| box_iou(b, truth) >= 0.5));
            let share = |hit: bool| f64::from(u8::from(hit));
            let (chosen, other) =
                (found.components().first().map(|c| c.bounds), found.complement().components().first().map(|c| c.bounds));
            (vec![("CorLoc", share(hit(chosen))), ("CorLoc, oracle side", share(hit(chosen) || hit(other)))], None)
        }
        _ => bail!("this kind of truth cannot be measured"),
    };
    Ok(Measured { values, confidence: found.confidence, seconds, masks })
}

/// The values of all pictures so far.
#[derive(Default)]
struct Table {
    columns: Vec<(&'static str, Vec<f64>)>,
    sequences: BTreeMap<String, Vec<f64>>,
    max_f: MaxF,
    has_masks: bool,
    seconds: f64,
    csv: String,
}

/// One row of the result.
struct Row {
    name: String,
    value: f64,
    /// 95 %.
    interval: Option<[f64; 2]>,
}

impl Table {
    fn add(&mut self, sample: &Sample, measured: &Measured) {
        if self.columns.is_empty() {
            self.columns = measured.values.iter().map(|(name, _)| (*name, Vec::new())).collect();
            let names = measured.values.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(",");
            self.csv = format!("picture,{names},confidence,seconds\n");
        }
        let mut line = format!("\"{}\"", sample.name.replace('"', "\"\""));
        for ((_, column), (_, value)) in self.columns.iter_mut().zip(&measured.values) {
            column.push(*value);
            let _ = write!(line, ",{value:.6}");
        }
        let _ = writeln!(self.csv, "{line},{:.6},{:.6}", measured.confidence, measured.seconds);
        if let Some((soft, truth)) = &measured.masks {
            self.max_f.add(soft, truth);
            self.has_masks = true;
        }
        if let (Some(sequence), Some((_, value))) = (&sample.sequence, measured.values.first()) {
            self.sequences.entry(sequence.clone()).or_default().push(*value);
        }
        self.seconds += measured.seconds;
    }

    fn pictures(&self) -> usize {
        self.columns.first().map_or(0, |(_, values)| values.len())
    }

    /// The first mean so far.
    fn running(&self) -> String {
        self.columns.first().map_or_else(String::new, |(name, values)| format!("{name} {:.3}", mean(values)))
    }

    fn summary(&self) -> Vec<Row> {
        let row = |name: &str, values: &[f64]| Row { name: name.into(), value: mean(values), interval: bootstrap(values) };
        let mut rows: Vec<Row> = self.columns.iter().map(|(name, values)| row(name, values)).collect();
        if self.has_masks {
            let single = |name: &str, value| Row { name: name.into(), value, interval: None };
            rows.push(single("maxF of the set, mask, β² 0.3", self.max_f.of_the_set()));
            rows.push(single("maxF per picture, mask, β² 0.09", self.max_f.per_picture()));
        }
        if !self.sequences.is_empty() {
            rows.extend(self.sequences.iter().map(|(name, values)| row(&format!("J of {name}"), values)));
            let means: Vec<f64> = self.sequences.values().map(|values| mean(values)).collect();
            rows.push(row("J, mean over sequences", &means));
        }
        rows
    }

    fn to_string(&self, failures: usize, incomplete: usize) -> String {
        let mut text = String::from("| metric | value | 95 % interval |\n|---|---|---|\n");
        for Row { name, value, interval } in self.summary() {
            let interval = interval.map_or_else(String::new, |[low, high]| format!("{low:.4} to {high:.4}"));
            let _ = writeln!(text, "| {name} | {value:.4} | {interval} |");
        }
        let milliseconds = 1000.0 * self.seconds / self.pictures() as f64;
        let _ = writeln!(
            text,
            "\n{} pictures, {failures} failed, {incomplete} incomplete, {milliseconds:.0} ms a picture on its thread",
            self.pictures()
        );
        text
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
