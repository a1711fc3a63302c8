//! The commands `eval` and `sweep`: a data set's pictures against their truth, once for every contender.

mod log;
mod measure;
mod report;
mod sweep;
mod table;

use crate::args::{DatasetArg, EvalArgs, Profile, StudyArgs};
use crate::cache::Cache;
use crate::outputs::{check_free, write};
use crate::{batch, network, print};
use anyhow::{Context, bail};
use clap::ValueEnum;
use deepcut::dataset::{self, Dataset, Layout};
use deepcut::{Method, Options, Segmenter};
use log::Log;
use measure::{Picture, measure};
use std::io::Write as _;
pub use sweep::run as sweep;
use table::{Table, Tables};

/// Options under a name.
pub struct Contender {
    pub name: String,
    pub options: Options,
}

/// What is evaluated, on what.
pub struct Evaluation {
    pub segmenter: Segmenter,
    pub set: Dataset,
    pub contenders: Vec<Contender>,
    cache: Option<Cache>,
}

/// What came of it.
pub struct Outcome {
    pub tables: Tables,
    pub failures: usize,
}

/// Evaluates what the command line names. True if every picture of the data set was measured.
pub fn run(args: &EvalArgs) -> anyhow::Result<bool> {
    for path in args.csv.iter().chain(args.report.as_ref().map(|folder| folder.join("index.html")).iter()) {
        check_free(path, args.overwrite)?;
    }
    let study = &args.study;
    let evaluation = Evaluation::new(study, contenders(args)?)?;
    let outcome = evaluation.run(study)?;
    if let Some(path) = &args.csv {
        write(path, outcome.tables.csv().as_bytes(), args.overwrite)?;
    }
    if let Some(folder) = &args.report {
        report::write_to(folder, &evaluation, &outcome, args)?;
    }
    evaluation.tell(study, &outcome, |incomplete| outcome.tables.markdown(args.seeds.is_some(), outcome.failures, incomplete))
}

/// One of the command line's options; two of `--compare`; or one for each seed.
fn contenders(args: &EvalArgs) -> anyhow::Result<Vec<Contender>> {
    let StudyArgs { method, network, .. } = &args.study;
    if !args.compare.is_empty() {
        return args.compare.iter().map(|name| named(name, &args.study)).collect();
    }
    let options = method.options(network)?;
    if !args.study.run.quiet {
        method.warn_of_ignored(&options);
    }
    let Some(seeds) = args.seeds else {
        return Ok(vec![Contender { name: options.method.name().into(), options }]);
    };
    let with = |seed: u64| {
        let mut options = options.clone();
        options.seed = seed;
        Contender { name: format!("seed {seed}"), options }
    };
    Ok((0..seeds).map(|i| with(method.seed.wrapping_add(i))).collect())
}

/// The contender that `--compare` names: a profile, or a method.
fn named(name: &str, StudyArgs { method, network, .. }: &StudyArgs) -> anyhow::Result<Contender> {
    // Letter for letter, as everywhere on the command line: the precision's default looks at the same word.
    let (profile, kind) = match (Profile::from_str(name, false), name.parse::<Method>()) {
        (Ok(profile), _) => (profile, method.method),
        (_, Ok(kind)) => (method.profile, kind),
        (_, Err(expected)) => bail!("--compare {name}: {expected}, or a profile: paper, default"),
    };
    Ok(Contender { name: name.into(), options: method.options_as(profile, kind, network)? })
}

impl Evaluation {
    /// Finds the data set and loads the network. Says what was found, and what is incomplete.
    pub fn new(study: &StudyArgs, mut contenders: Vec<Contender>) -> anyhow::Result<Self> {
        let mut set = find(study)?;
        if let Some(limit) = study.limit {
            set.samples.truncate(limit);
        }
        let options = contenders.first().map(|contender| contender.options.clone()).unwrap_or_default();
        let segmenter = network::segmenter(&study.network, &study.run, options)?;
        for contender in &mut contenders {
            contender.options.precision = segmenter.options().precision;
            contender.options.resolution.get_or_insert(segmenter.backbone().default_resolution());
        }
        let cache = study.cache.as_ref().map(|folder| Cache::open(folder, study.cache_size)).transpose()?;
        if !study.run.quiet {
            say(format_args!("{} pictures: {}", set.samples.len(), set.found));
        }
        for (name, problem) in &set.incomplete {
            say(format_args!("deepcut: {name} {problem}"));
        }
        Ok(Self { segmenter, set, contenders, cache })
    }

    /// Measures every picture with every contender.
    pub fn run(&self, study: &StudyArgs) -> anyhow::Result<Outcome> {
        let (mut log, known) = match &study.resume {
            Some(path) => Log::open(path, self)?,
            None => (Log::none(), Default::default()),
        };
        let bar = batch::progress_bar(&study.run, self.set.samples.len(), "{wide_bar} {pos}/{len} {eta} {msg}");
        let mut tables: Tables = self.contenders.iter().map(|contender| Table::new(&contender.name)).collect();
        let mut failures = 0;
        batch::in_order(
            &study.run,
            self.set.samples.len(),
            |index| match known.get(&self.set.samples[index].name) {
                Some(picture) => Ok((picture.clone(), false)),
                None => Ok((measure(self, &self.set.samples[index])?, true)),
            },
            |index, result| {
                let sample = &self.set.samples[index];
                match result {
                    Ok((picture, is_new)) => {
                        if is_new {
                            log.note(&sample.name, &picture)?;
                        }
                        let Picture { features_seconds, results } = picture;
                        for (table, measured) in tables.iter_mut().zip(results) {
                            table.add(sample, features_seconds, measured);
                        }
                    }
                    Err(error) => {
                        failures += 1;
                        bar.suspend(|| say(format_args!("deepcut: {}: {error:#}", sample.name)));
                    }
                }
                bar.set_message(tables.running());
                bar.inc(1);
                Ok(())
            },
        )?;
        bar.finish_and_clear();
        if tables.pictures() == 0 {
            bail!("no picture of the data set could be measured");
        }
        Ok(Outcome { tables, failures })
    }

    /// Prints what came of it: as JSON, or as the text that `markdown` makes, given the number of incomplete pictures. True if every picture of
    /// the data set was measured.
    pub fn tell(&self, study: &StudyArgs, outcome: &Outcome, markdown: impl FnOnce(usize) -> String) -> anyhow::Result<bool> {
        let incomplete = self.set.incomplete.len();
        let text = if study.json {
            let object = outcome.tables.json(&self.segmenter, &self.set, &self.contenders, outcome.failures);
            format!("{object}\n")
        } else {
            markdown(incomplete)
        };
        print(text.as_bytes())?;
        Ok(outcome.failures == 0 && incomplete == 0)
    }
}

/// A line on standard error. If that is closed there is nowhere to say so.
fn say(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn find(args: &StudyArgs) -> anyhow::Result<Dataset> {
    let layout = match args.dataset {
        DatasetArg::Masks | DatasetArg::Ecssd | DatasetArg::DutsTe | DatasetArg::DutOmron => Layout::Masks,
        DatasetArg::Voc2007 => Layout::Voc { year: 2007 },
        DatasetArg::Voc2012 => Layout::Voc { year: 2012 },
        DatasetArg::Davis => Layout::Davis,
        DatasetArg::Coco20k => Layout::Coco20k,
        DatasetArg::Cub => Layout::Cub,
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
