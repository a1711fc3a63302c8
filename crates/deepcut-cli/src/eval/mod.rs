//! The commands `eval` and `sweep`: a data set's images against their truth, once for every contender.

mod log;
mod measure;
mod report;
mod results;
mod sweep;
mod table;
mod video;

use crate::args::{DatasetArg, EvalArgs, Profile, StudyArgs, TaskArg};
use crate::cache::Cache;
use crate::reporter::progress_bar;
use crate::{batch, network, show, words};
use anyhow::{Context, anyhow, bail};
use clap::ValueEnum;
use deepcut::batch::files::write;
use deepcut::cosegment::{Codebook, Cosegment, Foregrounds, Grouping};
use deepcut::dataset::{self, Dataset, DatasetError, Layout, Note, Truth};
use deepcut::record::Picture;
use deepcut::{Method, Mode, Options, Segmenter};
use log::Log;
use measure::measure;
use results::Results;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
pub use sweep::run as sweep;
use table::{Table, Tables};

/// Options under a name, and the profile that they began with.
pub struct Contender {
    pub name: String,
    pub profile: Profile,
    pub options: Options,
}

/// What is evaluated, on what.
pub struct Evaluation {
    pub segmenter: Segmenter,
    pub set: Dataset,
    pub contenders: Vec<Contender>,
    cache: Option<Cache>,
    /// How parts are found over the set, and what tells them apart, for each contender; empty if every image is cut by itself.
    codebooks: Vec<(Cosegment, Codebook)>,
}

/// What came of it.
pub struct Outcome {
    pub tables: Tables,
    pub failures: usize,
    /// Notes on images, and how many images each is about.
    pub notes: BTreeMap<Note, usize>,
}

impl Outcome {
    /// What was done to images and truth, a line each.
    pub fn remarks(&self, evaluation: &Evaluation) -> Vec<String> {
        let truth = Some(evaluation.set.truth.clone()).filter(|truth| !truth.is_empty());
        let notes = self.notes.iter().map(|(note, count)| format!("{count} images {}", note.explain()));
        truth.into_iter().chain(notes).collect()
    }
}

/// Says no before the work is done, if what an option names exists and may not be replaced, or cannot be written.
pub fn check_free(option: &str, path: &Path, overwrite: bool) -> anyhow::Result<()> {
    if !overwrite && path.symlink_metadata().is_ok() {
        bail!("{} exists; pass --overwrite to replace it, or name another with {option}", path.display());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let tried = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    tried.with_context(|| format!("cannot write into {}; name another with {option}", folder.display()))?;
    Ok(())
}

/// Evaluates what the command line names, and prints it. True if every image of the data set was measured.
pub fn run(args: &EvalArgs) -> anyhow::Result<bool> {
    if args.video {
        return video::run(args);
    }
    let (evaluation, outcome) = evaluate(args)?;
    evaluation.print(&args.study, &outcome, || outcome.tables.markdown(args.seeds.is_some()))
}

/// As [`run`]; returns the JSON object.
pub fn json(args: &EvalArgs) -> anyhow::Result<Value> {
    let (evaluation, outcome) = evaluate(args)?;
    Ok(evaluation.json(&outcome))
}

fn evaluate(args: &EvalArgs) -> anyhow::Result<(Evaluation, Outcome)> {
    if let Some(path) = &args.csv {
        check_free("--csv", path, args.overwrite)?;
    }
    for name in ["index.html", "pictures.csv"] {
        args.report.as_ref().map_or(Ok(()), |folder| check_free("--report", &folder.join(name), args.overwrite))?;
    }
    let study = &args.study;
    let contenders = contenders(args)?;
    if let Some(folder) = &args.results {
        if layout(study)?.1 != TaskArg::Instances {
            bail!("--results needs --task instances");
        }
        results::check(folder, &contenders, args.overwrite)?;
    }
    let mut evaluation = Evaluation::new(study, contenders)?;
    if let Some(method) = args.cosegment {
        evaluation.cosegment(study, method)?;
    }
    let results = args.results.as_ref().map(|folder| Results::begin(folder, &evaluation, args.overwrite)).transpose()?;
    let outcome = evaluation.run(study, results)?;
    if let Some(path) = &args.csv {
        write(path, outcome.tables.csv().as_bytes(), args.overwrite)?;
    }
    if let Some(folder) = &args.report {
        report::write_to(folder, &evaluation, &outcome, args)?;
    }
    Ok((evaluation, outcome))
}

/// One of the command line's options; two of `--compare`; or one for each seed.
fn contenders(args: &EvalArgs) -> anyhow::Result<Vec<Contender>> {
    let StudyArgs { method, network, .. } = &args.study;
    if args.cosegment.is_some() {
        return cosegmenters(args);
    }
    if !args.compare.is_empty() {
        return args.compare.iter().map(|name| named(name, &args.study)).collect();
    }
    let options = method.options_set(network, &args.sets)?;
    if !args.study.run.quiet {
        method.warn_of_ignored(network, &options, &args.sets);
    }
    let Some(seeds) = args.seeds else {
        return Ok(vec![Contender { name: options.recipe.method.name().into(), profile: method.profile, options }]);
    };
    Ok(of_seeds(args, seeds, &options))
}

/// A contender for each of some seeds.
fn of_seeds(args: &EvalArgs, seeds: u64, options: &Options) -> Vec<Contender> {
    let method = &args.study.method;
    let with = |seed: u64| {
        let mut options = options.clone();
        options.seed = seed;
        Contender { name: format!("seed {seed}"), profile: method.profile, options }
    };
    (0..seeds).map(|i| with(method.seed.wrapping_add(i))).collect()
}

/// The contenders that find parts over the set: they have parts, whatever `--mode` says.
fn cosegmenters(args: &EvalArgs) -> anyhow::Result<Vec<Contender>> {
    let StudyArgs { method, network, .. } = &args.study;
    let mut options = method.options_set(network, &args.sets)?;
    options.recipe.mode = Mode::Parts;
    options.validate()?;
    Ok(match args.seeds {
        Some(seeds) => of_seeds(args, seeds, &options),
        None => vec![Contender { name: "cosegment".into(), profile: method.profile, options }],
    })
}

/// The contender that `--compare` names: a profile, or a method.
fn named(name: &str, StudyArgs { method, network, run, .. }: &StudyArgs) -> anyhow::Result<Contender> {
    // Letter for letter, as everywhere on the command line: the precision's default looks at the same word.
    let (profile, kind) = match (Profile::from_str(name, false), name.parse::<Method>()) {
        (Ok(profile), _) => (profile, method.method),
        (_, Ok(kind)) => (method.profile, kind),
        (_, Err(expected)) => bail!("--compare {name}: {expected}, or a profile: paper, default"),
    };
    let options = method.options_as(profile, kind, network)?;
    if !run.quiet {
        method.warn_of_ignored(network, &options, &[]);
    }
    Ok(Contender { name: name.into(), profile, options })
}

impl Evaluation {
    /// Whether the truth tells objects apart.
    fn tells_apart(&self) -> bool {
        self.set.samples.iter().any(|sample| matches!(sample.truth, Truth::Labels(_) | Truth::Annotations(_)))
    }

    /// Finds the data set and loads the network. Says what was found, and what is incomplete.
    pub fn new(study: &StudyArgs, mut contenders: Vec<Contender>) -> anyhow::Result<Self> {
        let mut set = find(study)?;
        if let Some(limit) = study.limit.filter(|limit| *limit < set.samples.len()) {
            set.samples.truncate(limit);
            set.split += &format!(", the first {limit}");
        }
        set.judge().map_err(|error| match error {
            DatasetError::Doubtful { value, .. } => anyhow!("{error}: --void {value}, or --void none"),
            error => error.into(),
        })?;
        let options = contenders.first().map(|contender| contender.options.clone()).unwrap_or_default();
        let segmenter = network::segmenter(&study.network, &study.run, options)?;
        for contender in &mut contenders {
            contender.options.view = contender.options.view.for_backbone(segmenter.backbone())?;
            contender.options.recipe.precision = segmenter.options().recipe.precision;
        }
        let cache = study.cache.as_ref().map(|folder| Cache::open(folder, study.cache_size)).transpose()?;
        if !study.run.quiet {
            say(format_args!("{} images, {}: {}", set.samples.len(), set.split, set.found));
            if !set.truth.is_empty() {
                say(format_args!("{}", set.truth));
            }
        }
        const MAX_MESSAGES: usize = 20;
        for (name, problem) in set.incomplete.iter().take(MAX_MESSAGES) {
            say(format_args!("deepcut: {name} {problem}"));
        }
        if set.incomplete.len() > MAX_MESSAGES {
            say(format_args!("deepcut: and so {} more", set.incomplete.len() - MAX_MESSAGES));
        }
        Ok(Self { segmenter, set, contenders, cache, codebooks: Vec::new() })
    }

    /// Learns what tells the parts of the set apart, for each contender. Images that fail are told of when they are measured.
    fn cosegment(&mut self, study: &StudyArgs, method: Grouping) -> anyhow::Result<()> {
        for contender in &self.contenders {
            let options = &contender.options;
            let cosegment =
                Cosegment::default().method(method).n_parts(options.recipe.n_clusters.or(Cosegment::default().n_parts));
            let mut set = Foregrounds::default();
            batch::in_order(
                &study.run,
                self.set.samples.len(),
                |index| measure::foreground(self, &self.set.samples[index], options),
                |index, foreground| {
                    if let Ok(foreground) = foreground {
                        set.add(&self.set.samples[index].name, &foreground)?;
                    }
                    Ok(())
                },
            )?;
            let (cpu, identity) = (self.segmenter.cpu(), self.segmenter.backbone().identity());
            let mut go_on = |_| ControlFlow::Continue(());
            let codebook = cosegment.learn(cpu, &options.recipe, &set, identity, options.seed, &mut go_on)?;
            self.codebooks.push((cosegment, codebook));
        }
        Ok(())
    }

    /// Measures every image with every contender, and writes what is found where objects are told apart.
    pub fn run(&self, study: &StudyArgs, mut results: Option<Results>) -> anyhow::Result<Outcome> {
        let (mut log, known) = match &study.resume {
            Some(path) => Log::open(path, self)?,
            None => (Log::none(), Default::default()),
        };
        let is_written = results.is_some();
        let bar = progress_bar(&study.run, self.set.samples.len(), "{wide_bar} {pos}/{len} {eta} {msg}");
        let mut tables: Tables = self.contenders.iter().map(|contender| Table::new(&contender.name)).collect();
        let (mut failures, mut notes) = (0, BTreeMap::new());
        batch::in_order(
            &study.run,
            self.set.samples.len(),
            |index| match known.get(&self.set.samples[index].name) {
                Some(picture) => Ok((picture.clone(), None, false)),
                None => {
                    let (picture, entries) = measure(self, &self.set.samples[index], is_written)?;
                    Ok((picture, entries, true))
                }
            },
            |index, result| {
                let sample = &self.set.samples[index];
                match result {
                    Ok((picture, entries, is_new)) => {
                        if is_new {
                            log.note(&sample.name, &picture)?;
                        }
                        if let (Some(results), Some(entries)) = (&mut results, entries) {
                            results.add(index, sample, entries)?;
                        }
                        let Picture { features_seconds, results, notes: image_notes } = picture;
                        for note in image_notes {
                            let count: &mut usize = notes.entry(note).or_default();
                            *count += 1;
                            if *count == 1 && !study.run.quiet {
                                bar.suspend(|| {
                                    say(format_args!("deepcut: {} is the first of those that {}", sample.name, note.explain()))
                                });
                            }
                        }
                        for (table, measured) in tables.iter_mut().zip(results) {
                            table.add(sample, features_seconds, measured);
                        }
                    }
                    Err(error) => {
                        failures += 1;
                        bar.suspend(|| say(format_args!("deepcut: {}: {}", sample.name, words::chain(&error))));
                    }
                }
                bar.set_message(tables.running());
                bar.inc(1);
                Ok(())
            },
        )?;
        bar.finish_and_clear();
        results.map_or(Ok(()), Results::finish)?;
        if tables.pictures() == 0 {
            let empty =
                notes.get(&Note::Empty).map_or_else(String::new, |count| format!("; {count} have no object in their truth"));
            bail!("no image of the data set could be measured{empty}");
        }
        Ok(Outcome { tables, failures, notes })
    }

    /// What was measured, in a line: data set, split, images, network, profile, resolution and precision.
    pub fn setting(&self, study: &StudyArgs, images: usize) -> String {
        let values = |of: &dyn Fn(&Contender) -> String| {
            self.contenders.iter().map(of).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
        };
        let word = |value: serde_json::Result<String>| value.unwrap_or_default().trim_matches('"').to_owned();
        let (name, identity) = (study.dataset.to_possible_value(), self.segmenter.backbone().identity());
        format!(
            "{}, {}, {images} images; network {} ({:.8}), features {}; profile {}, resolution {}, precision {}, kernels {}; deepcut {}",
            name.as_ref().map_or("", |name| name.get_name()),
            self.set.split,
            identity.name,
            identity.sha256,
            identity.features,
            values(&|contender| contender.profile.to_possible_value().map_or_else(String::new, |name| name.get_name().into())),
            values(&|contender| contender.options.view.resolution.map_or_else(String::new, |side| side.to_string())),
            word(serde_json::to_string(&identity.precision)),
            self.segmenter.cpu().isa().name(),
            env!("CARGO_PKG_VERSION"),
        )
    }

    fn json(&self, outcome: &Outcome) -> Value {
        outcome.tables.json(&self.segmenter, &self.set, &self.contenders, outcome.failures, &outcome.notes)
    }

    /// Prints what came of it: as JSON, or as a line of its setting, the text that `markdown` makes, and what else is to be known. True if every
    /// image of the data set was measured.
    pub fn print(&self, study: &StudyArgs, outcome: &Outcome, markdown: impl FnOnce() -> String) -> anyhow::Result<bool> {
        let (incomplete, failures, images) = (self.set.incomplete.len(), outcome.failures, outcome.tables.pictures());
        let text = if study.json {
            format!("{}\n", self.json(outcome))
        } else {
            let remarks: String = outcome.remarks(self).iter().map(|line| format!("{line}\n")).collect();
            let setting = self.setting(study, images);
            format!("{setting}\n\n{}\n{images} images, {failures} failed, {incomplete} incomplete\n{remarks}", markdown())
        };
        show(text.as_bytes())?;
        Ok(failures == 0 && incomplete == 0)
    }
}

fn say(text: std::fmt::Arguments<'_>) {
    words::say(&text.to_string());
}

/// The data set's layout for what is measured.
fn layout(args: &StudyArgs) -> anyhow::Result<(Layout, TaskArg)> {
    use DatasetArg::{Coco, Coco20k, Cub, Davis, DutOmron, DutsTe, Ecssd, Masks, Voc2007, Voc2012};
    let usual = if matches!(args.dataset, Coco) { TaskArg::Instances } else { TaskArg::Foreground };
    let task = args.task.unwrap_or(usual);
    let layout = match (args.dataset, task) {
        (Masks | Ecssd | DutsTe | DutOmron, TaskArg::Foreground) => Layout::Masks,
        (Masks, TaskArg::Instances) => Layout::LabelPictures,
        (Voc2007, TaskArg::Foreground) => Layout::Voc { year: 2007 },
        (Voc2012, TaskArg::Foreground) => Layout::Voc { year: 2012 },
        (Voc2007, TaskArg::Instances) => Layout::VocInstances { year: 2007 },
        (Voc2012, TaskArg::Instances) => Layout::VocInstances { year: 2012 },
        (Davis, TaskArg::Foreground) => Layout::Davis,
        (Coco20k, TaskArg::Foreground) => Layout::Coco20k,
        (Coco, TaskArg::Instances) => Layout::CocoInstances,
        (Coco, TaskArg::Foreground) => bail!("coco is measured with --task instances; coco20k has boxes for the foreground"),
        (Cub, TaskArg::Foreground) => Layout::Cub,
        (Ecssd | DutsTe | DutOmron | Davis | Coco20k | Cub, TaskArg::Instances) => {
            bail!("--task instances is for voc2007, voc2012, coco and masks (a folder of label pictures)")
        }
    };
    if args.void.is_some() && layout != Layout::LabelPictures {
        bail!("--void is for label pictures: masks with --task instances");
    }
    Ok((layout, task))
}

fn find(args: &StudyArgs) -> anyhow::Result<Dataset> {
    let layout = layout(args)?.0;
    let list = args.list.as_ref().map(|path| {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the list {}", path.display()))?;
        Ok::<_, anyhow::Error>((path, text))
    });
    let list = list.transpose()?;
    let mut set = dataset::find(layout, &args.root, list.as_ref().map(|(_, text)| text.as_str()))?;
    if let Some((path, _)) = list {
        set.split = format!("list {}", path.file_name().unwrap_or_default().to_string_lossy());
    }
    set.void = args.void.clone().or(set.void);
    Ok(set)
}
