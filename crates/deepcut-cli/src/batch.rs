//! What the commands over many images share: from the command line to the library's batches, and from their events to words.

use crate::args::{FileArgs, NetworkArgs, RunArgs};
use crate::reporter::{Describe, Reporter, Status};
use crate::{memory, stop, words};
use anyhow::{Context, anyhow, bail};
use deepcut::batch::{Batch, BatchError, Collected, Destination, Event, Listener, Prepared, Summary, WORKER_THREAD, Workers};
use deepcut::image::Decoder;
use deepcut::memory::Memory;
use std::io::IsTerminal;

/// Where results go, by the command line.
pub fn destination(files: &FileArgs, found: &Collected) -> Destination {
    match &files.output {
        Some(out) if out.as_os_str() == "-" => Destination::Stream,
        Some(out) => Destination::of(out),
        None if found.inputs.len() == 1 && found.inputs[0].path().is_none() && !files.json => Destination::Stream,
        None => Destination::Folder(".".into()),
    }
}

/// A batch that goes where the command line says and stops at a signal. What it writes is yet to be added.
pub fn batch<'a>(files: &FileArgs, run: &RunArgs, network: &NetworkArgs, destination: Destination) -> Batch<'a> {
    let mut decoder = Decoder::default();
    decoder.max_pixels = files.max_pixels.unwrap_or(decoder.max_pixels);
    decoder.keep_damaged = files.keep_damaged;
    // Some is left for what follows.
    decoder.memory = memory::limit(run.max_memory, 0.75).map(Memory::new);
    let batch = Batch::new()
        .destination(destination)
        .overwrite(files.overwrite)
        .checksum(files.checksum)
        .threads(run.threads.map(usize::from))
        .decoder(decoder)
        .cancelled(&is_asked)
        .reader(std::io::stdin())
        .writer(std::io::stdout());
    if network.deterministic { batch.setting("deterministic", true) } else { batch }
}

/// Runs a batch: checks that everything can be written, then lets `prepare` load what is costly, and lets `work` do it.
///
/// # Errors
/// If the command line contradicts itself, nothing can be written, or something cannot be loaded.
pub fn run<D: Describe, T>(
    files: &FileArgs,
    args: &RunArgs,
    batch: &Batch<'_>,
    found: &Collected,
    prepare: impl FnOnce() -> anyhow::Result<T>,
    work: impl FnOnce(Prepared<'_, '_>, &T, &mut Listener<'_, D>) -> Result<Summary, BatchError>,
) -> anyhow::Result<Status> {
    let flagged = |error: BatchError| anyhow!(words::with_flags(&error, error.remedy()));
    let prepared = batch.prepare(found).map_err(flagged)?;
    let task = prepare()?;
    stop::listen().context("cannot listen to signals")?;
    let mut reporter = Reporter::new(args, files.json);
    let summary = work(prepared, &task, &mut |event| match event {
        Event::Late(summary) => {
            // Whoever is in the middle of an image is left there, but nothing is half-written.
            std::process::exit(reporter.finish(summary).into())
        }
        event => reporter.handle(event),
    });
    Ok(reporter.finish(&summary.map_err(flagged)?))
}

/// Extensions of results that are text.
const TEXTS: [&str; 4] = ["geojson", "json", "txt", "xml"];

/// Says no if results may not go to standard output.
///
/// # Errors
/// If lines of JSON go there, or it is a terminal and the result is not text.
pub fn check_stdout(files: &FileArgs, destination: &Destination, suffixes: &[&str]) -> anyhow::Result<()> {
    if let (Destination::Stream, [suffix]) = (destination, suffixes) {
        if files.json {
            bail!("--json and a result cannot both go to standard output; give a file or folder with -o");
        }
        let extension = suffix.rsplit_once('.').map_or(*suffix, |(_, extension)| extension);
        if !TEXTS.contains(&extension) && std::io::stdout().is_terminal() {
            bail!("a {extension} file would go to the terminal; redirect standard output or give a file with -o");
        }
    }
    Ok(())
}

fn is_asked() -> bool {
    stop::asked().is_some()
}

/// Works on `count` images, as many at once as there are threads, and reports their results in order. An error of `report` ends it.
///
/// # Errors
/// What `report` returns, or that the threads cannot be started.
pub fn in_order<R: Send>(
    args: &RunArgs,
    count: usize,
    work: impl Fn(usize) -> anyhow::Result<R> + Sync,
    report: impl FnMut(usize, anyhow::Result<R>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    Workers { threads: args.threads.map(usize::from), cancelled: &is_asked }.in_order(count, work, report)
}

/// From now on a panic of an image's thread prints nothing: it becomes a line of its own. With `RUST_BACKTRACE` it prints as ever.
pub fn quiet_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let wanted = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
        if wanted || std::thread::current().name() != Some(WORKER_THREAD) {
            usual(panic);
        }
    }));
}
