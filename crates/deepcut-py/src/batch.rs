//! Folders of images: the command's batch.

use crate::engine::Engine;
use crate::errors;
use crate::found::AnnotationArguments;
use crate::image::decoder;
use crate::options::Options;
use crate::values::from_json;
use crate::work::{beside, detached};
use deepcut::batch::{Batch, BatchError, Event, Input, Outcome, Summary, collect};
use deepcut::export::Format;
use deepcut::export::annotation::AnnotationFormat;
use deepcut::memory::Memory;
use deepcut_cli::embed::{memory_limit, with_flags, without_flags};
use pyo3::exceptions::{PyFileExistsError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::{Value, json};
use std::ops::ControlFlow::Continue;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

/// Segments what the inputs name into a folder, and returns what was done. `on_event` is called with a dict for the beginning, each image and
/// each failure, in the order of the inputs.
#[pyfunction]
#[pyo3(signature = (engine, options, inputs, output, *, formats, overwrite = false, checksum = false, threads = None, max_pixels = None,
                    keep_damaged = false, label = None, labels = Vec::new(), simplify = 0.0, paths = "relative", coco_masks = "auto",
                    shapes = "auto", on_event = None))]
#[expect(clippy::too_many_arguments, reason = "Python's are named")]
pub fn segment_folder<'py>(
    py: Python<'py>,
    engine: &Engine,
    options: &Options,
    inputs: Vec<PathBuf>,
    output: PathBuf,
    formats: Vec<String>,
    overwrite: bool,
    checksum: bool,
    threads: Option<usize>,
    max_pixels: Option<u64>,
    keep_damaged: bool,
    label: Option<String>,
    labels: Vec<String>,
    simplify: f64,
    paths: &str,
    coco_masks: &str,
    shapes: &str,
    on_event: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let segmenter = engine.segmenter(&options.options)?;
    let (mut pictures, mut annotations) = (Vec::new(), Vec::new());
    for name in &formats {
        match (name.parse::<Format>(), name.parse::<AnnotationFormat>()) {
            (Ok(format), _) => pictures.push(format),
            (_, Ok(format)) => annotations.push(format),
            _ => {
                let known = Format::ALL.map(Format::name).into_iter().chain(AnnotationFormat::ALL.map(AnnotationFormat::name));
                let known: Vec<&str> = known.collect();
                return Err(PyValueError::new_err(format!("format {name:?} is none of {}", known.join(", "))));
            }
        }
    }
    let annotation = AnnotationArguments { label, labels, simplify, paths, coco_masks, shapes }.options(&annotations)?;
    if threads == Some(0) {
        return Err(PyValueError::new_err("threads is 0; expected at least 1"));
    }
    let stop = AtomicBool::new(false);
    let is_stopped = || stop.load(Ordering::Relaxed);
    let work = |events: Sender<String>| {
        let mut decoder = decoder(max_pixels, keep_damaged);
        // Some is left for what follows.
        decoder.memory = memory_limit(None, 0.75).map(Memory::new);
        let mut batch = Batch::new()
            .formats(pictures)
            .annotations(annotations)
            .annotation_options(annotation)
            .output(&output)
            .overwrite(overwrite)
            .checksum(checksum)
            .threads(threads)
            .decoder(decoder)
            .cancelled(&is_stopped);
        if engine.is_deterministic() {
            batch = batch.setting("deterministic", true);
        }
        let summary = batch.prepare(&collect(&inputs)).and_then(|prepared| {
            prepared.segment(&segmenter, &mut |event| {
                if on_event.is_some()
                    && let Some(event) = of_event(event)
                {
                    // Whoever listens no more has stopped the batch.
                    let _ = events.send(event.to_string());
                }
                Continue(())
            })
        });
        summary.map(|summary| of_summary(&summary).to_string()).map_err(of_batch)
    };
    let hear = |py: Python<'_>, text: String| match &on_event {
        Some(listener) => listener.call1(py, (from_json(py, &text)?,)).map(drop),
        None => Ok(()),
    };
    let text = beside(py, work, &hear, &|| stop.store(true, Ordering::Relaxed))?;
    from_json(py, &text)
}

/// The images that inputs name, in the order of a batch: their paths, and their names in a file about many images. Also what names none, and what was
/// left out.
#[pyfunction(name = "collect")]
pub fn collected<'py>(py: Python<'py>, inputs: Vec<PathBuf>) -> PyResult<Bound<'py, PyDict>> {
    let all = detached(py, || Ok(collect(&inputs)))?;
    let dict = PyDict::new(py);
    let image = |input: &Input| Some((input.path()?.to_owned(), input.relative_name()));
    dict.set_item("images", all.inputs.iter().filter_map(image).collect::<Vec<_>>())?;
    let missing = all.missing.iter().map(|missing| (&missing.name, errors::text(&missing.error)));
    dict.set_item("missing", missing.collect::<Vec<_>>())?;
    let left_out = all.left_out.iter().map(|(kind, count)| (kind.what, kind.remedy, *count));
    dict.set_item("left_out", left_out.collect::<Vec<_>>())?;
    Ok(dict)
}

fn of_event(event: Event<'_>) -> Option<Value> {
    Some(match event {
        Event::Begin { images, .. } => json!({ "type": "begin", "images": images }),
        Event::Failed { name, error } => json!({ "type": "failed", "name": name, "error": errors::text(error) }),
        Event::Image { input, outputs, outcome, .. } => {
            let (name, error, report) = match outcome {
                Outcome::Done { done, .. } => ("done", None, serde_json::to_value(done).ok()),
                Outcome::Annotated { .. } => ("annotated", None, None),
                Outcome::Skipped { .. } => ("skipped", None, None),
                Outcome::Differs { how } => ("differs", Some(format!("it has results of other settings ({how})")), None),
                Outcome::Cancelled => return None,
                Outcome::Failed(error) => ("failed", Some(errors::text(&error)), None),
                _ => ("other", None, None),
            };
            json!({ "type": "image", "input": input.name(), "outputs": outputs, "outcome": name, "error": error, "report": report })
        }
        _ => return None,
    })
}

fn of_summary(summary: &Summary) -> Value {
    let left_out: Vec<Value> = summary
        .left_out
        .iter()
        .map(|(kind, count)| json!({ "what": kind.what, "remedy": kind.remedy, "files": count }))
        .collect();
    json!({
        "images": summary.images,
        "done": summary.done,
        "annotated": summary.annotated,
        "skipped": summary.skipped,
        "differing": summary.differing,
        "failed": summary.failures,
        "not_done": summary.not_done,
        "damaged": summary.damaged,
        "files": summary.files,
        "run_files": summary.run_files,
        "left": summary.left.unrecorded + summary.left.edited,
        "left_out": left_out,
        "stopped": summary.stopped.as_ref().map(ToString::to_string),
        "complete": summary.is_complete(),
    })
}

fn of_batch(error: BatchError) -> PyErr {
    let text = without_flags(&with_flags(&error, error.remedy())).replace("pass overwrite", "pass overwrite=True");
    let text = text.replace("with -o", "as output");
    match error {
        BatchError::Exists { .. } | BatchError::Edited { .. } => PyFileExistsError::new_err(text),
        BatchError::Threads(_) => PyRuntimeError::new_err(text),
        _ => PyOSError::new_err(text),
    }
}
