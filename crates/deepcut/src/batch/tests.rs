#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod annotations;

use super::*;
use crate::export::{ExportError, File, Page, png};
use crate::{Image, Kind, Meaning, Options, Segmentation, View};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static SEGMENTER: LazyLock<Segmenter> =
    LazyLock::new(|| Segmenter::load(Options::default().view(View::default().resolution(64))).unwrap());

/// A folder of images: a bright square that is another in each, and one file that is no image.
fn folder(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (i, name) in names.iter().enumerate() {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, square(i)).unwrap();
    }
    folder
}

fn square(i: usize) -> Vec<u8> {
    let labels = (0..48 * 64).map(|at| u8::from((12..30 + i).contains(&(at / 64)) && (20..40).contains(&(at % 64)))).collect();
    let meaning = |label, kind| Meaning { label, kind, part_of: None, score: 1.0 };
    let meanings = [meaning(0, Kind::Background), meaning(1, Kind::Object)];
    png::mask(&Segmentation::new(48, 64, labels, &meanings).unwrap()).unwrap()
}

/// One file for the whole run: each image's name and area.
#[derive(Default)]
struct Areas {
    rows: Mutex<Vec<(String, usize)>>,
}

impl Export for Areas {
    fn run_files(&self) -> &[&str] {
        &["areas.txt"]
    }

    fn image(&self, page: &Page<'_>) -> Result<Vec<File>, ExportError> {
        assert_eq!(page.segmentation.labels().len(), page.image.height() * page.image.width());
        self.rows.lock().unwrap().push((page.name.into(), page.report.area));
        Ok(Vec::new())
    }

    fn finish(&self) -> Result<Vec<File>, ExportError> {
        let mut rows = self.rows.lock().unwrap();
        rows.sort();
        let text: String = rows.iter().map(|(name, area)| format!("{name} {area}\n")).collect();
        Ok(vec![File { name: "areas.txt".into(), bytes: text.into_bytes() }])
    }
}

/// Names of the inputs, and what became of them.
fn outcomes(batch: &Batch<'_>, inputs: &[PathBuf]) -> (Vec<(String, &'static str)>, Summary) {
    let mut seen = Vec::new();
    let summary = batch.segment(&SEGMENTER, inputs, &mut |event| {
        match event {
            Event::Image { input, outcome, .. } => {
                let word = match outcome {
                    Outcome::Done { .. } => "done",
                    Outcome::Annotated { .. } => "annotated",
                    Outcome::Skipped { .. } => "skipped",
                    Outcome::Differs { .. } => "differs",
                    Outcome::Cancelled => "cancelled",
                    Outcome::Failed(_) => "failed",
                };
                seen.push((input.relative_name(), word));
            }
            Event::Failed { name, .. } => seen.push((name.into(), "missing")),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    (seen, summary.unwrap())
}

#[test]
fn one_file_of_the_run_lists_the_images_in_order_whatever_the_threads() {
    let dir = folder(&["in/c.png", "in/a.png", "in/sub/b.png"]);
    std::fs::write(dir.path().join("in/broken.png"), "no image").unwrap();
    let inputs = [dir.path().join("in"), dir.path().join("absent*.png")];
    let mut texts = Vec::new();
    for threads in [1, 4] {
        let out = dir.path().join(format!("out{threads}"));
        let batch = Batch::new().exporter(Areas::default()).formats([Format::Mask]).output(&out).threads(threads);
        let (seen, summary) = outcomes(&batch, &inputs);
        let names: Vec<(&str, &str)> = seen.iter().map(|(name, word)| (name.as_str(), *word)).collect();
        assert!(names[0].0.ends_with("absent*.png"));
        assert_eq!(names[1..], [("a.png", "done"), ("broken.png", "failed"), ("c.png", "done"), ("sub/b.png", "done")]);
        assert_eq!((summary.images, summary.done, summary.failures, summary.not_done, summary.files), (4, 3, 2, 0, 4));
        assert_eq!(summary.run_files, [out.join("areas.txt").display().to_string()]);
        assert!(!summary.is_complete() && summary.stopped.is_none());
        let text = std::fs::read_to_string(out.join("areas.txt")).unwrap();
        let listed: Vec<&str> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(listed, ["a.png", "c.png", "sub/b.png"]);
        texts.push(text);
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 4, "something else is left in the folder");

        // The file is another run's now: nothing is begun, and no result is lost.
        let again = Batch::new().exporter(Areas::default()).formats([Format::Mask]).output(&out);
        let refused = again.segment(&SEGMENTER, &inputs, &mut |_| panic!("it began")).unwrap_err();
        assert!(matches!(&refused, BatchError::Exists { path } if path.ends_with("areas.txt")), "{refused}");
        assert_eq!(refused.remedy(), Some(Remedy::OverwriteOrName));
        // Without it every image is told again, since the file tells of each; the masks are kept.
        std::fs::remove_file(out.join("areas.txt")).unwrap();
        let (_, summary) = outcomes(&again, &inputs[..1]);
        assert_eq!((summary.done, summary.skipped, summary.files), (3, 0, 1));
        assert_eq!(std::fs::read_to_string(out.join("areas.txt")).unwrap(), texts[0]);
    }
    assert_eq!(texts[0], texts[1]);
}

#[test]
fn one_path_takes_one_file_of_the_run() {
    let dir = folder(&["in/a.png", "in/b.png"]);
    let at = |name: &str| dir.path().join(name);
    let inputs = [at("in")];
    struct Table;
    impl Export for Table {
        fn run_files(&self) -> &[&str] {
            &["table.json"]
        }
        fn image(&self, _: &Page<'_>) -> Result<Vec<File>, ExportError> {
            Ok(Vec::new())
        }
        fn finish(&self) -> Result<Vec<File>, ExportError> {
            Ok(vec![File { name: "table.json".into(), bytes: b"{}".to_vec() }])
        }
    }
    let (_, summary) = outcomes(&Batch::new().exporter(Table).output(at("all.json")), &inputs);
    assert_eq!((summary.files, std::fs::read(at("all.json")).unwrap()), (1, b"{}".to_vec()));
    let refuse = |batch: Batch<'_>| batch.prepare(&collect(&inputs)).err().unwrap();
    assert!(matches!(
        refuse(Batch::new().exporter(Table).formats([Format::Mask]).output(at("two.json"))),
        BatchError::OneResult { formats: 2, images: 2 }
    ));
    assert!(matches!(refuse(Batch::new().exporter(Table).output(at("all.png"))), BatchError::Extension { .. }));
    assert!(matches!(refuse(Batch::new().exporter(Table).exporter(Table)), BatchError::SameName { .. }));
    // The stream takes it, too.
    let mut stream = Vec::new();
    let batch = Batch::new().exporter(Table).destination(Destination::Stream).writer(&mut stream);
    assert_eq!(outcomes(&batch, &inputs).1.failures, 0);
    drop(batch);
    assert_eq!(stream, b"{}");
    // An image is told from others by its name there.
    std::fs::create_dir(at("other")).unwrap();
    std::fs::copy(at("in/a.png"), at("other/a.png")).unwrap();
    let batch = Batch::new().exporter(Table).output(at("more.json"));
    let refused = batch.prepare(&collect(&[at("in"), at("other")])).err().unwrap();
    assert!(matches!(refused, BatchError::SameFiles { .. }), "{refused}");
    assert!(batch.prepare(&collect(&[at(".")])).is_ok());
    // No image is replaced, not even if overwriting is allowed.
    std::fs::rename(at("in/a.png"), at("in/areas.txt")).unwrap();
    let batch = Batch::new().exporter(Areas::default()).overwrite(true).output(at("in"));
    let refused = batch.prepare(&collect(&[at("in/*.txt")])).err().unwrap();
    assert!(matches!(refused, BatchError::ReplacesInput { .. }), "{refused}");
}

#[test]
fn an_exporter_that_fails_is_the_failure_of_what_it_exports() {
    let dir = folder(&["a.png", "b.png", "c.png"]);
    struct Moody;
    impl Export for Moody {
        fn suffixes(&self) -> &[&str] {
            &["moody.txt"]
        }
        fn run_files(&self) -> &[&str] {
            &["moods.txt"]
        }
        fn image(&self, page: &Page<'_>) -> Result<Vec<File>, ExportError> {
            assert!(page.name != "b.png", "not this one");
            let name = if page.name == "c.png" { "unheard-of.txt" } else { "moody.txt" };
            Ok(vec![File { name: name.into(), bytes: page.name.into() }])
        }
        fn finish(&self) -> Result<Vec<File>, ExportError> {
            Err(ExportError::Other("no mood".into()))
        }
    }
    let out = dir.path().join("out");
    let batch = Batch::new().exporter(Moody).output(&out);
    let mut errors = Vec::new();
    let summary = batch.segment(&SEGMENTER, &[dir.path()], &mut |event| {
        match event {
            Event::Image { outcome: Outcome::Failed(error), input, .. } => {
                errors.push(format!("{}: {error}", input.relative_name()))
            }
            Event::Failed { name, error } => errors.push(format!("{name}: {error}")),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    let summary = summary.unwrap();
    assert_eq!(
        errors,
        [
            "b.png: the program failed on this image (not this one); please report it with the file",
            "c.png: the exporter made a file unheard-of.txt that it did not announce",
            "moods.txt: no mood",
        ]
    );
    assert_eq!((summary.done, summary.failures, summary.files), (1, 3, 1));
    assert_eq!(std::fs::read(out.join("a.moody.txt")).unwrap(), b"a.png");
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 1);
}

/// Counts images; makes one file of each.
struct Count<'a> {
    begun: AtomicUsize,
    stop: Option<&'a AtomicBool>,
}

impl Task for Count<'_> {
    type Done = usize;

    fn settings(&self) -> Settings {
        [("task".to_owned(), "count".into())].into()
    }

    fn run(&self, job: &mut Job<'_>) -> Result<usize, JobError> {
        let number = self.begun.fetch_add(1, Ordering::SeqCst);
        self.stop.filter(|_| number == 2).inspect(|stop| stop.store(true, Ordering::SeqCst));
        let bytes = job.record.into_png(square(0));
        job.targets.iter().try_for_each(|target| job.put(target, &bytes))?;
        Ok(number)
    }
}

#[test]
fn a_cancelled_batch_goes_on_and_a_listener_can_end_it() {
    let names: Vec<String> = (0..20).map(|i| format!("in/{i:02}.png")).collect();
    let dir = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let (inputs, out) = (collect(&[dir.path().join("in")]), dir.path().join("out"));
    let stop = AtomicBool::new(false);
    let is_stopped = || stop.load(Ordering::SeqCst);
    let count = |stop| Count { begun: AtomicUsize::new(0), stop };
    let batch = Batch::new().suffixes(["count.png"]).output(&out).threads(1).cancelled(&is_stopped);
    let first = batch.prepare(&inputs).unwrap().run(&count(Some(&stop)), &mut |_| ControlFlow::Continue(())).unwrap();
    // The one at hand is finished, and no other begun.
    assert_eq!((first.done, first.not_done, first.failures, first.files), (3, 17, 0, 3));
    assert_eq!((first.stopped.clone(), first.is_complete()), (Some(Stopped::Cancelled), false));
    stop.store(false, Ordering::SeqCst);

    let mut done = 0;
    let second = batch.prepare(&inputs).unwrap().run(&count(None), &mut |event| {
        done += usize::from(matches!(event, Event::Image { outcome: Outcome::Done { .. }, .. }));
        if done == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let second = second.unwrap();
    assert_eq!((second.skipped, second.stopped.clone()), (3, Some(Stopped::Listener)));
    assert!(second.done >= 5 && second.not_done > 0, "{second:?}");

    let third = batch.prepare(&inputs).unwrap().run(&count(None), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((third.done, third.skipped, third.is_complete()), (20 - 3 - second.done, 3 + second.done, true));
    // Other settings of the caller are other results.
    let other = Batch::new().suffixes(["count.png"]).output(&out).setting("tone", "loud");
    let other = other.prepare(&inputs).unwrap().run(&count(None), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((other.differing, other.done), (20, 0));
}

#[test]
fn an_image_comes_from_a_stream() {
    let bytes = square(3);
    let (mut mask, mut report) = (Vec::new(), Vec::new());
    for (format, into) in [(Format::Mask, &mut mask), (Format::Json, &mut report)] {
        let batch = Batch::new().formats([format]).destination(Destination::Stream).reader(&bytes[..]).writer(into);
        let summary = batch.segment(&SEGMENTER, &["-"], &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((summary.done, summary.files), (1, 0));
    }
    assert_eq!(Image::decode(&mask).unwrap().height(), 48);
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!((&report["input"], &report["record"]["bytes"]), (&"standard input".into(), &bytes.len().into()));
    let sum = crate::backbone::weights::sha256(&bytes);
    assert_eq!(report["record"]["sha256"], sum);
    let twice = Batch::new().segment(&SEGMENTER, &["-", "-"], &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(twice, BatchError::StreamTwice));
    let none = outcomes(&Batch::new(), &["-".into()]);
    assert_eq!(none.0, [("stdin".to_owned(), "failed")]);
}

#[test]
fn the_listener_gets_a_report_whose_checksum_is_the_file_s() {
    let dir = folder(&["a.png"]);
    let path = dir.path().join("a.png");
    let mut reports: Vec<Report> = Vec::new();
    let summary = Batch::new().segment(&SEGMENTER, &[&path], &mut |event| {
        if let Event::Image { outcome: Outcome::Done { done, .. }, .. } = event {
            reports.push(done);
        }
        ControlFlow::Continue(())
    });
    assert!(summary.unwrap().is_complete());
    let report = &reports[0];
    assert_eq!(report.record.sha256, crate::backbone::weights::sha256(&std::fs::read(&path).unwrap()));
    assert_eq!((report.height, report.width, report.record.bytes), (48, 64, path.metadata().unwrap().len()));
    for stage in ["decode", "checksum", "resize", "backbone", "write"] {
        assert!(report.seconds.contains_key(stage), "{stage} not in {:?}", report.seconds);
    }
    assert_eq!(report.record.settings["resolution"], 64);
}

/// A box of each image as text, which holds no record.
struct Boxes;

impl Export for Boxes {
    fn suffixes(&self) -> &[&str] {
        &["box.txt"]
    }

    fn image(&self, page: &Page<'_>) -> Result<Vec<File>, ExportError> {
        Ok(vec![File { name: "box.txt".into(), bytes: format!("{:?}\n", page.report.bounds).into_bytes() }])
    }
}

#[test]
fn files_of_other_exporters_are_taken_for_done() {
    let (input, output) = (folder(&["a.png", "b.png"]), tempfile::tempdir().unwrap());
    let batch = || Batch::new().exporter(Boxes).output(output.path());
    let inputs = [input.path().to_owned()];
    assert!(outcomes(&batch(), &inputs).0.iter().all(|(_, outcome)| *outcome == "done"));
    std::fs::write(output.path().join("a.box.txt"), "corrected by hand").unwrap();
    assert!(outcomes(&batch(), &inputs).0.iter().all(|(_, outcome)| *outcome == "skipped"));
    assert_eq!(std::fs::read(output.path().join("a.box.txt")).unwrap(), b"corrected by hand");
    assert!(outcomes(&batch().overwrite(true), &inputs).0.iter().all(|(_, outcome)| *outcome == "done"));
}

/// Every option that differs from the default is part of the settings, and a precision if one was asked for.
#[test]
fn settings_name_every_option_that_differs() {
    let settings = |options: Options| settings(&Segmenter::load(options).unwrap());
    let plain = settings(Options::default());
    let changes = [
        ("single_object", serde_json::json!(true)),
        ("largest_component", serde_json::json!(true)),
        ("precision", serde_json::json!("f32")),
        ("seed", serde_json::json!(3)),
        ("edges", serde_json::json!("relu")),
        ("refine", serde_json::json!("bilateral")),
    ];
    for (name, value) in changes {
        let mut options = Options::default();
        options.set(name, &value).unwrap();
        let mut changed = settings(options);
        assert_eq!(changed.remove(name), Some(value));
        assert_eq!(changed, plain, "{name}");
    }
}
