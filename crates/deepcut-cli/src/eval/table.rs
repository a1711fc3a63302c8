//! The values of all images, and what is printed of them.

use super::Contender;
use deepcut::Segmenter;
use deepcut::dataset::{Dataset, Note, Sample};
use deepcut::metrics::average_precision::{self, Matches, Ranking};
use deepcut::metrics::{MaxF, adjusted_rand_index, bootstrap, normalized_mutual_information};
use deepcut::record::Measured;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One contender's values.
pub struct Table {
    pub name: String,
    pub columns: Vec<(Cow<'static, str>, Vec<f64>)>,
    pub confidence: Vec<f32>,
    pictures: Vec<String>,
    /// Of every image, from its features on.
    seconds: Vec<f64>,
    /// Of all images, by stage.
    stages: BTreeMap<String, f64>,
    features_seconds: f64,
    sequences: BTreeMap<String, Vec<f64>>,
    max_f: MaxF,
    has_masks: bool,
    /// Of every image, by masks and by boxes; empty unless objects are told apart.
    matches: Vec<[Matches; 2]>,
    /// The rows of these, which take seconds for many images.
    precision: OnceCell<Vec<Row>>,
    points: Vec<(usize, usize)>,
}

/// One row of the result.
#[derive(Clone)]
pub struct Row {
    pub name: String,
    pub value: f64,
    /// 95 %.
    pub interval: Option<[f64; 2]>,
}

impl Table {
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            columns: Vec::new(),
            confidence: Vec::new(),
            pictures: Vec::new(),
            seconds: Vec::new(),
            stages: BTreeMap::new(),
            features_seconds: 0.0,
            sequences: BTreeMap::new(),
            max_f: MaxF::default(),
            has_masks: false,
            matches: Vec::new(),
            precision: OnceCell::new(),
            points: Vec::new(),
        }
    }

    pub fn add(&mut self, sample: &Sample, features_seconds: f64, measured: Measured) {
        if self.columns.is_empty() {
            self.columns = measured.values.iter().map(|(name, _)| (name.clone(), Vec::new())).collect();
        }
        if let (Some(sequence), Some((_, value))) = (&sample.sequence, measured.values.first()) {
            self.sequences.entry(sequence.clone()).or_default().push(*value);
        }
        for ((_, column), (_, value)) in self.columns.iter_mut().zip(&measured.values) {
            column.push(*value);
        }
        if let Some(histogram) = &measured.histogram {
            self.max_f.add(histogram);
            self.has_masks = true;
        }
        self.pictures.push(sample.name.clone());
        self.confidence.push(measured.confidence);
        self.seconds.push(measured.seconds.values().sum());
        measured.seconds.into_iter().for_each(|(stage, seconds)| *self.stages.entry(stage).or_default() += seconds);
        self.features_seconds += features_seconds;
        self.matches.extend(measured.matches);
        self.precision.take();
        self.points.extend(measured.points);
    }

    /// Detections of all images by masks or by boxes; None unless objects are told apart.
    fn ranking(&self, at: usize) -> Option<Ranking> {
        (!self.matches.is_empty()).then(|| Ranking::new(self.matches.iter().map(|both| &both[at])))
    }

    /// The value that tables are sorted by: the first row's.
    pub fn value(&self) -> f64 {
        self.ranking(0).map_or_else(|| mean(self.main().1), |ranking| ranking.values(&vec![1; ranking.images()])[0])
    }

    /// The metric that the table is about, of every image.
    pub fn main(&self) -> (&str, &[f64]) {
        self.columns.first().map_or(("", &[]), |(name, values)| (name, values))
    }

    pub fn rows(&self) -> Vec<Row> {
        if let (Some(masks), Some(boxes)) = (self.ranking(0), self.ranking(1)) {
            return [(masks, "masks"), (boxes, "boxes")]
                .into_iter()
                .flat_map(|(ranking, what)| precision(&ranking, what))
                .collect();
        }
        let row = |name: &str, values: &[f64]| Row { name: name.into(), value: mean(values), interval: bootstrap(values) };
        let single = |name: &str, value| Row { name: name.into(), value, interval: None };
        let mut rows: Vec<Row> = self.columns.iter().map(|(name, values)| row(name, values)).collect();
        if self.has_masks {
            rows.push(single("maxF of the set, β² 0.3", self.max_f.whole_set()));
            rows.push(single("maxF per image, β² 0.09", self.max_f.per_image()));
        }
        if !self.sequences.is_empty() {
            rows.extend(self.sequences.iter().map(|(name, values)| row(&format!("J of {name}"), values)));
            let means: Vec<f64> = self.sequences.values().map(|values| mean(values)).collect();
            rows.push(row("J, mean over sequences", &means));
        }
        let on_object: Vec<(usize, usize)> = self.points.iter().copied().filter(|(_, label)| *label > 0).collect();
        for (what, points) in [("keypoints", &self.points), ("keypoints on the object", &on_object)] {
            let (parts, labels): (Vec<usize>, Vec<usize>) = points.iter().copied().unzip();
            if !points.is_empty() {
                rows.push(single(&format!("NMI of {what}"), normalized_mutual_information(&parts, &labels)));
                rows.push(single(&format!("ARI of {what}"), adjusted_rand_index(&parts, &labels)));
            }
        }
        rows
    }

    /// Milliseconds an image takes, by stage.
    fn stages(&self) -> BTreeMap<&str, f64> {
        let a_picture = |seconds: f64| 1000.0 * seconds / self.pictures.len() as f64;
        let stages = self.stages.iter().map(|(stage, seconds)| (stage.as_str(), a_picture(*seconds)));
        stages.chain([("features", a_picture(self.features_seconds))]).collect()
    }

    /// Means of the main metric by quarters of confidence, the least confident first.
    fn by_confidence(&self) -> Vec<f64> {
        let mut order: Vec<usize> = (0..self.confidence.len()).collect();
        order.sort_by(|&a, &b| self.confidence[a].total_cmp(&self.confidence[b]));
        let values = self.main().1;
        let quarter = |at: &[usize]| mean(&at.iter().map(|&i| values[i]).collect::<Vec<_>>());
        order.chunks(order.len().div_ceil(4).max(1)).map(quarter).collect()
    }

    /// Milliseconds an image takes from its features on.
    pub fn milliseconds(&self) -> f64 {
        1000.0 * mean(&self.seconds)
    }
}

/// A row for each of the protocol's figures.
fn precision(ranking: &Ranking, what: &str) -> Vec<Row> {
    let values = ranking.values(&vec![1; ranking.images()]);
    let intervals = ranking.intervals();
    let row = |at: usize| Row {
        name: format!("{} of {what}", average_precision::NAMES[at]),
        value: values[at],
        interval: intervals.map(|intervals| intervals[at]),
    };
    (0..values.len()).map(row).collect()
}

/// The tables of all contenders, of the same images.
pub struct Tables(Vec<Table>);

impl FromIterator<Table> for Tables {
    fn from_iter<I: IntoIterator<Item = Table>>(tables: I) -> Self {
        Self(tables.into_iter().collect())
    }
}

impl Tables {
    pub fn iter(&self) -> std::slice::Iter<'_, Table> {
        self.0.iter()
    }

    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Table> {
        self.0.iter_mut()
    }

    pub fn pictures(&self) -> usize {
        self.0.first().map_or(0, |table| table.pictures.len())
    }

    /// Names of the images, in order.
    pub fn names(&self) -> &[String] {
        self.0.first().map_or(&[], |table| &table.pictures)
    }

    /// The first mean so far of each.
    pub fn running(&self) -> String {
        let means: Vec<String> = self.0.iter().take(4).map(|table| format!("{:.3}", mean(table.main().1))).collect();
        self.0.first().map_or_else(String::new, |table| format!("{} {}", table.main().0, means.join(" ")))
    }

    /// Of two contenders, the mean difference of their values of every image: what the same images have in common cancels.
    pub fn difference(&self) -> Option<Row> {
        let [a, b] = &self.0[..] else { return None };
        if let (Some(ours), Some(theirs)) = (a.ranking(0), b.ranking(0)) {
            let (value, interval) = ours.difference(&theirs);
            return Some(Row { name: format!("AP of masks, {} less {}", a.name, b.name), value, interval });
        }
        let values: Vec<f64> = a.main().1.iter().zip(b.main().1).map(|(a, b)| a - b).collect();
        let name = format!("{}, {} less {}", a.main().0, a.name, b.name);
        Some(Row { name, value: mean(&values), interval: bootstrap(&values) })
    }

    pub fn csv(&self) -> String {
        let mut text = String::from("picture");
        for table in &self.0 {
            let prefix = if self.0.len() > 1 { format!("{}: ", table.name) } else { String::new() };
            let names = table.columns.iter().map(|(name, _)| name.as_ref()).chain(["confidence", "seconds"]);
            names.for_each(|name| {
                let _ = write!(text, ",\"{prefix}{name}\"");
            });
        }
        for (i, name) in self.names().iter().enumerate() {
            let _ = write!(text, "\n\"{}\"", name.replace('"', "\"\""));
            for table in &self.0 {
                table.columns.iter().for_each(|(_, values)| {
                    let _ = write!(text, ",{:.6}", values[i]);
                });
                let _ = write!(text, ",{:.6},{:.6}", table.confidence[i], table.seconds[i]);
            }
        }
        text.push('\n');
        text
    }

    pub fn json(
        &self,
        segmenter: &Segmenter,
        set: &Dataset,
        contenders: &[Contender],
        failures: usize,
        notes: &BTreeMap<Note, usize>,
    ) -> Value {
        let metrics = |rows: Vec<Row>| -> Map<String, Value> {
            rows.into_iter().map(|row| (row.name, json!({ "value": row.value, "interval": row.interval }))).collect()
        };
        let results = self.0.iter().zip(contenders).map(|(table, contender)| {
            let seconds: BTreeMap<&str, f64> = table.stages().into_iter().map(|(stage, ms)| (stage, ms / 1000.0)).collect();
            let quarters = table.by_confidence();
            json!({ "name": table.name, "metrics": metrics(table.rows()), "by_confidence": quarters, "seconds": seconds, "options": contender.options })
        });
        json!({
            "type": "evaluation",
            "dataset": set.found,
            "split": set.split,
            "truth": set.truth,
            "notes": notes,
            "pictures": self.pictures(),
            "failures": failures,
            "incomplete": set.incomplete.len(),
            "results": results.collect::<Vec<_>>(),
            "difference": self.difference().map(|row| json!({ "value": row.value, "interval": row.interval })),
            "backbone": segmenter.backbone().identity(),
            "kernels": segmenter.cpu().isa().name(),
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    /// The table for people; of `seeds`, the mean and deviation over the contenders.
    pub fn markdown(&self, seeds: bool) -> String {
        let rows: Vec<Vec<Row>> = self.0.iter().map(Table::rows).collect();
        let mut text = String::new();
        let cell = |row: &Row| match row.interval {
            Some([low, high]) => format!("{:.4} ({low:.4} to {high:.4})", row.value),
            None => format!("{:.4}", row.value),
        };
        if seeds {
            let _ = writeln!(text, "| metric | mean over {} seeds | standard deviation |\n|---|---|---|", self.0.len());
            for (at, row) in rows[0].iter().enumerate() {
                let values: Vec<f64> = rows.iter().map(|rows| rows[at].value).collect();
                let _ = writeln!(text, "| {} | {:.4} | {:.4} |", row.name, mean(&values), deviation(&values));
            }
        } else {
            let names: Vec<&str> = self.0.iter().map(|table| table.name.as_str()).collect();
            let _ = writeln!(text, "| metric (95 % interval) | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
            for (at, row) in rows[0].iter().enumerate() {
                let cells: Vec<String> = rows.iter().map(|rows| cell(&rows[at])).collect();
                let _ = writeln!(text, "| {} | {} |", row.name, cells.join(" | "));
            }
            let cut: Vec<String> = self.0.iter().map(|table| format!("{:.1}", table.milliseconds())).collect();
            let _ = writeln!(text, "| ms an image, features to mask | {} |", cut.join(" | "));
        }
        if let Some(row) = self.difference().filter(|_| !seeds) {
            let _ = writeln!(text, "\n{}: {}", row.name, cell(&row));
        }
        if let [table] = &self.0[..] {
            let quarters: Vec<String> = table.by_confidence().iter().map(|value| format!("{value:.3}")).collect();
            let _ = writeln!(text, "\n{} by quarters of confidence: {}", table.main().0, quarters.join(", "));
            let stages: Vec<String> = table.stages().iter().map(|(stage, ms)| format!("{stage} {ms:.1}")).collect();
            let _ = writeln!(text, "ms an image on its thread: {}", stages.join(", "));
        }
        text
    }
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of a sample: over one less than its size.
fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() as f64 - 1.0)).sqrt()
}
