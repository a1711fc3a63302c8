//! The command `cosegment`: the objects of all images, what tells their parts apart, then the parts of each.

use crate::args::CosegmentArgs;
use crate::eval::check_free;
use crate::reporter::{Status, progress_bar};
use crate::{batch, network, stop, words};
use anyhow::{Context, anyhow, bail};
use deepcut::Segmenter;
use deepcut::batch::{Batch, BatchError, Collected, Destination, Event, Outcome, Parts, Summary, collect, files};
use deepcut::cosegment::{Codebook, Cosegment, Foregrounds};
use indicatif::ProgressBar;
use std::ops::ControlFlow;
use std::path::Path;

/// Segments everything the command line names into parts that agree.
pub fn run(args: &CosegmentArgs) -> anyhow::Result<Status> {
    let (options, parts) = (args.options()?, args.parts()?);
    let found = collect(&args.files.inputs);
    if found.inputs.iter().any(|input| input.path().is_none()) {
        bail!("standard input cannot be read twice, and parts are found over a set; give files or folders");
    }
    let known = args.codebook.as_deref().map(read).transpose()?.flatten();
    if let (None, Some(path)) = (&known, &args.codebook) {
        check_free("--codebook", path, false)?;
    }
    let destination = batch::destination(&args.files, &found);
    let (formats, annotations) = (args.formats(&options, &destination), args.annotations(&destination));
    if !args.run.quiet {
        let ignored = args.annotation.ignored(&annotations, &options);
        ignored.iter().for_each(|warning| words::say(&format!("deepcut: {warning}")));
    }
    let main_files: Vec<String> = annotations.iter().map(|format| format.main_file()).collect();
    let suffixes = formats.iter().map(|format| -> &str { format.suffix() }).chain(main_files.iter().map(String::as_str));
    batch::check_stdout(&args.files, &destination, &suffixes.collect::<Vec<_>>())?;
    let work = batch::batch(&args.files, &args.run, &args.network, destination)
        .formats(formats)
        .annotation_options(args.annotation.options(&annotations)?)
        .annotations(annotations);
    // Reads as the second pass does, and writes nothing.
    let first = batch::batch(&args.files, &args.run, &args.network, Destination::Folder(".".into()));
    let mut failure = None;
    let status = batch::run(
        &args.files,
        &args.run,
        &work,
        &found,
        || {
            let segmenter = network::segmenter(&args.network, &args.run, options)?;
            if let (Some(codebook), Some(path)) = (&known, &args.codebook) {
                let checked = codebook.check(segmenter.backbone().identity()).and_then(|()| parts.check(codebook));
                checked.with_context(|| format!("cannot use {}", path.display()))?;
            }
            Ok(segmenter)
        },
        |prepared, segmenter, listener| {
            if found.inputs.is_empty() {
                return prepared.segment(segmenter, listener);
            }
            let (foregrounds, codebook) = match &known {
                Some(codebook) => (Foregrounds::default(), codebook.clone()),
                None => match learn(args, &parts, segmenter, &first, &found)? {
                    Learned::Codebook(both) => *both,
                    Learned::Nothing(summary, error) => {
                        failure = error;
                        return Ok(*summary);
                    }
                },
            };
            let with = Parts { options: &parts, codebook: &codebook, foregrounds: &foregrounds };
            match prepared.parts(segmenter, with, listener)? {
                Ok(summary) => Ok(summary),
                Err(error) => {
                    failure = Some(error.into());
                    Ok(Summary::default())
                }
            }
        },
    )?;
    match failure {
        Some(error) => {
            words::say(&format!("deepcut: {}", words::chain(&error)));
            Ok(stop::asked().unwrap_or(status.max(1)))
        }
        None => Ok(status),
    }
}

/// The codebook of a file, if there is one.
fn read(path: &Path) -> anyhow::Result<Option<Codebook>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read the codebook {}", path.display())),
    };
    let codebook = Codebook::from_bytes(&bytes);
    codebook.map(Some).with_context(|| format!("cannot use the codebook {}; take another file for a new one", path.display()))
}

/// What came of the first pass.
enum Learned {
    Codebook(Box<(Foregrounds, Codebook)>),
    /// The images were not all looked at, or there is nothing to learn from them.
    Nothing(Box<Summary>, Option<anyhow::Error>),
}

/// The first pass, and the codebook that it teaches; written if the command line names a file. Images that fail are left to the second pass, which tells of
/// them, unless there is none.
fn learn(
    args: &CosegmentArgs,
    parts: &Cosegment,
    segmenter: &Segmenter,
    first: &Batch<'_>,
    found: &Collected,
) -> Result<Learned, BatchError> {
    let mut bar = ProgressBar::hidden();
    let mut failed = Vec::new();
    let (summary, foregrounds) = first.prepare(found)?.gather(segmenter, &mut |event| {
        match event {
            Event::Begin { images, .. } => {
                bar = progress_bar(&args.run, images, "objects {wide_bar} {pos}/{len} {per_sec} {eta}")
            }
            Event::Image { input, outcome, .. } => {
                bar.inc(1);
                if let Outcome::Failed(error) = outcome {
                    failed.push(format!("deepcut: {}: {}", input.name(), words::with_flags(&error, error.remedy())));
                }
            }
            // Nothing is written yet.
            Event::Late(_) => std::process::exit(stop::asked().unwrap_or(130).into()),
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    bar.finish_and_clear();
    if summary.not_done > 0 {
        return Ok(Learned::Nothing(Box::new(summary), None));
    }
    let mut go_on = |_| if stop::asked().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let (identity, options) = (segmenter.backbone().identity(), segmenter.options());
    let learned = parts.learn(segmenter.cpu(), &options.recipe, &foregrounds, identity, options.seed, &mut go_on);
    let written = learned.map_err(anyhow::Error::from).and_then(|codebook| {
        if let Some(path) = &args.codebook {
            files::write(path, &codebook.to_bytes()?, false).map_err(|error| anyhow!(error))?;
            if !args.run.quiet {
                let learned = codebook.learned();
                let images = words::count(learned.images, "image");
                words::say(&format!(
                    "{}: {} parts, learned from {} patches of {images}",
                    path.display(),
                    learned.n_parts,
                    learned.patches
                ));
            }
        }
        Ok(codebook)
    });
    Ok(match written {
        Ok(codebook) => Learned::Codebook(Box::new((foregrounds, codebook))),
        Err(error) => {
            failed.iter().for_each(|line| words::say(line));
            Learned::Nothing(Box::new(summary), Some(error))
        }
    })
}
