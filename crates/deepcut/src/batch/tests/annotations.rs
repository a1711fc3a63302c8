//! Annotation files: made, kept, gone on with, and left where a person changed them.

use super::super::run_files::RUN_SUMS;
use super::*;
use crate::export::annotation::{Annotate, AnnotationFormat, AnnotationOptions, Paths, Sheet, Sheets};

fn coco<'a>(out: &Path) -> Batch<'a> {
    Batch::new().annotations([AnnotationFormat::Coco]).output(out)
}

fn labeled(label: &str) -> AnnotationOptions {
    AnnotationOptions { label: Some(label.into()), ..AnnotationOptions::default() }
}

/// What became of the images, in a word each.
fn words(batch: &Batch<'_>, inputs: &[PathBuf]) -> (Vec<&'static str>, Summary) {
    let (seen, summary) = outcomes(batch, inputs);
    (seen.into_iter().map(|(_, word)| word).collect(), summary)
}

fn json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn files_of_the_run_are_the_same_however_it_went() {
    let dir = folder(&["in/c.png", "in/a.png", "in/sub/b.png"]);
    let inputs = [dir.path().join("in")];
    let out = dir.path().join("out");
    let at = |name: &str| out.join(name);
    let (seen, summary) = words(&coco(&out).threads(4), &inputs);
    assert_eq!((seen, summary.files, summary.run_files.len()), (vec!["done"; 3], 2, 2));
    let first = std::fs::read(at("annotations.json")).unwrap();
    let all = json(at("annotations.json"));
    let names: Vec<&Value> = all["images"].as_array().unwrap().iter().map(|image| &image["file_name"]).collect();
    assert_eq!(names, ["a.png", "c.png", "sub/b.png"]);
    assert!(at(".deepcut/sub/b.json").is_file());

    // All is there: nothing is written.
    let (seen, summary) = words(&coco(&out).threads(1), &inputs);
    assert_eq!((seen, summary.files, summary.is_complete()), (vec!["skipped"; 3], 0, true));
    // What is gone or broken is made again.
    std::fs::remove_file(at(".deepcut/a.json")).unwrap();
    let side = std::fs::read(at(".deepcut/c.json")).unwrap();
    std::fs::write(at(".deepcut/c.json"), &side[..side.len() / 2]).unwrap();
    std::fs::remove_file(at("results.json")).unwrap();
    let (seen, summary) = words(&coco(&out), &inputs);
    assert_eq!((seen, summary.files), (vec!["done", "done", "skipped"], 1));
    assert_eq!(std::fs::read(at("annotations.json")).unwrap(), first);

    // Another name segments nothing, and changes one file.
    let (seen, summary) = words(&coco(&out).annotation_options(labeled("thing")), &inputs);
    assert_eq!((seen, summary.run_files), (vec!["skipped"; 3], vec![at("annotations.json").display().to_string()]));
    assert_eq!(json(at("annotations.json"))["categories"][0]["name"], "thing");

    // One thread and a folder of its own: the same bytes.
    let other = dir.path().join("other");
    assert!(words(&coco(&other).threads(1), &inputs).1.is_complete());
    assert_eq!(std::fs::read(other.join("annotations.json")).unwrap(), first);
    // An image more, and one less.
    std::fs::write(dir.path().join("in/d.png"), square(7)).unwrap();
    std::fs::remove_file(dir.path().join("in/a.png")).unwrap();
    let (seen, _) = words(&coco(&other), &inputs);
    assert_eq!(seen, ["skipped", "done", "skipped"]);
    assert_eq!(json(other.join("annotations.json"))["images"].as_array().unwrap().len(), 3);
}

#[test]
fn a_file_of_the_run_that_a_person_changed_is_refused() {
    let dir = folder(&["in/a.png"]);
    let (inputs, out) = ([dir.path().join("in")], dir.path().join("out"));
    assert!(words(&coco(&out), &inputs).1.is_complete());
    let file = out.join("annotations.json");
    let ours = std::fs::read(&file).unwrap();
    std::fs::write(&file, [&ours[..], b" "].concat()).unwrap();
    let refused = coco(&out).segment(&SEGMENTER, &inputs, &mut |_| panic!("it began")).unwrap_err();
    assert!(matches!(&refused, BatchError::Edited { path } if *path == file), "{refused}");
    assert_eq!(refused.remedy(), Some(Remedy::OverwriteOrFolder));
    assert!(words(&coco(&out).overwrite(true), &inputs).1.is_complete());
    assert_eq!(std::fs::read(&file).unwrap(), ours);

    // The power failed between checksums and files: both the old and the new content are ours.
    let (_, summary) = words(&coco(&out).annotation_options(labeled("x")), &inputs);
    assert!(summary.is_complete());
    std::fs::write(&file, &ours).unwrap();
    assert!(words(&coco(&out), &inputs).1.is_complete());
    // Another program's file in a folder of ours.
    std::fs::remove_file(out.join(RUN_SUMS)).unwrap();
    assert!(matches!(coco(&out).prepare(&collect(&inputs)), Err(BatchError::Edited { .. })));
}

/// Two runs at once into one folder: what the other wrote is no person's.
#[test]
fn a_file_of_the_run_that_another_run_wrote_meanwhile_is_replaced() {
    let dir = folder(&["in/a.png"]);
    let (inputs, out) = ([dir.path().join("in")], dir.path().join("out"));
    let (first, found) = (coco(&out), collect(&inputs));
    let prepared = first.prepare(&found).unwrap();
    assert!(words(&coco(&out).annotation_options(labeled("x")), &inputs).1.is_complete());
    let summary = prepared.segment(&SEGMENTER, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(summary.is_complete());
    assert_eq!(json(out.join("annotations.json"))["categories"][0]["name"], "object");
    assert!(words(&coco(&out), &inputs).1.is_complete());
}

#[test]
fn images_that_share_a_name_are_told_where_programs_go_by_it() {
    let dir = folder(&["in/a.png", "in/b.png"]);
    std::fs::copy(dir.path().join("in/a.png"), dir.path().join("in/a.jpg")).unwrap();
    let inputs = [dir.path().join("in")];
    let unpaired = |format, out| {
        let batch = Batch::new().annotations([format]).output(dir.path().join(out));
        words(&batch, &inputs).1.unpaired
    };
    assert_eq!((unpaired(AnnotationFormat::Yolo, "yolo"), unpaired(AnnotationFormat::Coco, "coco")), (2, 0));
    assert!(dir.path().join("yolo/labels/a.jpg.txt").exists() && dir.path().join("yolo/labels/b.txt").exists());
}

#[test]
fn a_stopped_run_goes_on_and_other_settings_leave_its_files() {
    let names: Vec<String> = (0..8).map(|i| format!("in/{i}.png")).collect();
    let dir = folder(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let (inputs, out) = ([dir.path().join("in")], dir.path().join("out"));
    let mut seen = 0;
    let stopped = coco(&out).threads(1).segment(&SEGMENTER, &inputs, &mut |event| {
        seen += usize::from(matches!(event, Event::Image { .. }));
        if seen >= 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let stopped = stopped.unwrap();
    assert!(stopped.not_done > 0 && stopped.run_files.is_empty() && !out.join("annotations.json").exists());
    let (_, summary) = words(&coco(&out), &inputs);
    assert_eq!((summary.skipped, summary.done, summary.files), (stopped.done, 8 - stopped.done, 2));
    let whole = std::fs::read(out.join("annotations.json")).unwrap();
    let fresh = dir.path().join("fresh");
    words(&coco(&fresh), &inputs);
    assert_eq!(std::fs::read(fresh.join("annotations.json")).unwrap(), whole);

    // Results of other settings are left, and so is the file that tells of them.
    std::fs::write(dir.path().join("in/new.png"), square(9)).unwrap();
    let (seen, summary) = words(&coco(&out).setting("tone", "loud"), &inputs);
    assert_eq!((seen.iter().filter(|word| **word == "differs").count(), summary.run_files.len()), (8, 0));
    assert_eq!(std::fs::read(out.join("annotations.json")).unwrap(), whole);
}

/// Notes of each image, in a folder of their own.
struct Notes {
    keeps_edited: bool,
    made: AtomicUsize,
}

impl Notes {
    fn new(keeps_edited: bool) -> Self {
        Self { keeps_edited, made: AtomicUsize::new(0) }
    }
}

impl Annotate for &Notes {
    fn image_files(&self) -> &[&str] {
        &["notes/*.txt"]
    }

    fn keeps_edited(&self) -> bool {
        self.keeps_edited
    }

    fn image(&self, sheet: &Sheet<'_>) -> Result<Vec<File>, ExportError> {
        self.made.fetch_add(1, Ordering::SeqCst);
        let text = format!("{} {}", sheet.image_name(), sheet.options.label.as_deref().unwrap_or("-"));
        Ok(vec![File { name: "notes/*.txt".into(), bytes: text.into_bytes() }])
    }
}

#[test]
fn a_file_of_an_image_that_a_person_changed_is_left() {
    for keeps_edited in [false, true] {
        let dir = folder(&["in/a.png", "in/sub/b.png", "in/c.png"]);
        let (inputs, out) = ([dir.path().join("in")], dir.path().join("out"));
        let notes = Notes::new(keeps_edited);
        let batch = || Batch::new().annotator(&notes).output(&out);
        let note = |name: &str| std::fs::read_to_string(out.join("notes").join(name)).unwrap();
        // One that a person wrote before is left, and the image is not even segmented.
        std::fs::create_dir_all(out.join("notes")).unwrap();
        std::fs::write(out.join("notes/c.txt"), "by hand").unwrap();
        let (seen, summary) = words(&batch(), &inputs);
        assert_eq!((seen, summary.files), (vec!["done", "skipped", "done"], 2));
        // Overwriting helps with those of one kind only.
        let left = |summary: &Summary| (summary.left.unrecorded, summary.left.edited);
        let one_left = if keeps_edited { (0, 1) } else { (1, 0) };
        assert_eq!(left(&summary), one_left);
        assert_eq!((note("a.txt"), note("sub/b.txt"), note("c.txt")), ("a.png -".into(), "sub/b.png -".into(), "by hand".into()));
        assert_eq!(words(&batch(), &inputs).0, ["skipped"; 3]);

        // Another label: those of ours are made anew from the regions that are there.
        std::fs::write(out.join("notes/sub/b.txt"), "corrected").unwrap();
        let (seen, summary) = words(&batch().annotation_options(labeled("x")), &inputs);
        assert_eq!((seen, summary.files, summary.annotated), (vec!["annotated", "skipped", "skipped"], 1, 1));
        assert_eq!((note("a.txt"), note("sub/b.txt")), ("a.png x".into(), "corrected".into()));
        assert_eq!(words(&batch().annotation_options(labeled("x")), &inputs).0, ["skipped"; 3]);
        // One that is missing is made, an image that changed is segmented.
        std::fs::remove_file(out.join("notes/a.txt")).unwrap();
        assert_eq!(words(&batch(), &inputs).0, ["annotated", "skipped", "skipped"]);
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(3);
        std::fs::write(dir.path().join("in/a.png"), square(12)).unwrap();
        std::fs::File::options().append(true).open(dir.path().join("in/a.png")).unwrap().set_modified(later).unwrap();
        assert_eq!(words(&batch(), &inputs).0, ["done", "skipped", "skipped"]);

        // While the image changes nobody asks for notes; they are of the image as it was, and are made anew when somebody does.
        let made = notes.made.load(Ordering::SeqCst);
        std::fs::write(dir.path().join("in/a.png"), square(14)).unwrap();
        assert_eq!(words(&coco(&out), &inputs).0[0], "done");
        assert_eq!(words(&batch(), &inputs).0, ["annotated", "skipped", "skipped"]);
        assert_eq!(notes.made.load(Ordering::SeqCst), made + 1);

        // Overwriting replaces what a person changed, but for formats that are made to be changed.
        let (seen, _) = words(&batch().overwrite(true), &inputs);
        let (corrected, by_hand) = if keeps_edited { ("corrected", "by hand") } else { ("sub/b.png -", "c.png -") };
        assert_eq!((note("sub/b.txt"), note("c.txt")), (corrected.into(), by_hand.into()));
        assert_eq!(seen[0], "done");

        // It is told of an image that is segmented for another file, too.
        std::fs::write(out.join("notes/a.txt"), "by hand").unwrap();
        std::fs::remove_dir_all(out.join(".deepcut")).unwrap();
        std::fs::remove_file(out.join("notes/sub/b.txt")).unwrap();
        std::fs::remove_file(out.join("notes/c.txt")).unwrap();
        let (seen, summary) = words(&batch().formats([Format::Mask]), &inputs);
        assert_eq!((seen, left(&summary)), (vec!["done"; 3], one_left));
        assert_eq!(note("a.txt"), "by hand");
    }
}

/// Where there is room for one file, it is the most important one; what it is made from is not left behind.
#[test]
fn one_path_and_the_stream_take_one_file() {
    let dir = folder(&["in/a.png", "in/b.png"]);
    let at = |name: &str| dir.path().join(name);
    let (_, summary) = words(&coco(&at("all.json")), &[at("in")]);
    assert!(summary.is_complete());
    assert_eq!(json(at("all.json"))["images"].as_array().unwrap().len(), 2);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "something else is left");
    assert!(matches!(coco(&at("all.json")).prepare(&collect(&[at("in")])), Err(BatchError::Exists { .. })));
    assert!(words(&coco(&at("all.json")).overwrite(true), &[at("in")]).1.is_complete());

    let mut stream = Vec::new();
    let batch = Batch::new().annotations([AnnotationFormat::GeoJson]).destination(Destination::Stream).writer(&mut stream);
    assert!(words(&batch, &[at("in/a.png")]).1.is_complete());
    drop(batch);
    let found: Value = serde_json::from_slice(&stream).unwrap();
    assert_eq!(found["type"], "FeatureCollection");

    let refuse = |batch: Batch<'_>| batch.prepare(&collect(&[at("in")])).err().unwrap();
    let geojson = || Batch::new().annotations([AnnotationFormat::GeoJson]);
    assert!(matches!(refuse(geojson().output(at("a.geojson"))), BatchError::OneResult { formats: 1, images: 2 }));
    assert!(matches!(refuse(coco(&at("all.png"))), BatchError::Extension { .. }));
    let voc = Batch::new().annotations([AnnotationFormat::Voc]);
    assert!(matches!(refuse(voc.output(at("a.xml"))), BatchError::OneResult { .. }));
}

/// Needs every file that a run makes for the whole of it, and counts how many images are in memory.
#[derive(Default)]
struct Stream {
    images: Mutex<Vec<String>>,
}

impl Annotate for &Stream {
    fn run_files(&self) -> &[&str] {
        &["lists/all.txt"]
    }

    fn run(&self, _: &str, sheets: &dyn Sheets, out: &mut dyn Write) -> Result<(), ExportError> {
        sheets.each(&mut |sheet| {
            self.images.lock().unwrap().push(sheet.stem.into());
            Ok(writeln!(out, "{}", sheet.stem)?)
        })?;
        Err(ExportError::Other("the second pass fails".into()))
    }
}

#[test]
fn a_file_of_the_run_that_fails_leaves_nothing() {
    let dir = folder(&["in/a.png", "in/b.png"]);
    let out = dir.path().join("out");
    let stream = Stream::default();
    let (seen, summary) = words(&Batch::new().annotator(&stream).output(&out), &[dir.path().join("in")]);
    assert_eq!((seen, summary.failures), (vec!["done", "done", "missing"], 1));
    assert_eq!(*stream.images.lock().unwrap(), ["a", "b"]);
    assert_eq!(std::fs::read_dir(out.join("lists")).unwrap().count(), 0);
}

#[test]
fn names_of_images_in_a_file_of_the_run_are_told_apart() {
    let dir = folder(&["in/x/a.png", "in/y/a.png"]);
    let (inputs, out) = ([dir.path().join("in")], dir.path().join("out"));
    let named = |paths| coco(&out).annotation_options(AnnotationOptions { paths, ..AnnotationOptions::default() });
    assert!(
        matches!(named(Paths::Name).prepare(&collect(&inputs)), Err(BatchError::SameImageName { name, .. }) if name == "a.png")
    );
    assert!(words(&named(Paths::Absolute), &inputs).1.is_complete());
    let name = json(out.join("annotations.json"))["images"][0]["file_name"].as_str().unwrap().to_owned();
    assert!(Path::new(&name).is_absolute() && name.ends_with("in/x/a.png"), "{name}");
    // Two formats of one name, however they say it.
    let both = Batch::new().formats([Format::Json]).annotator(&Beside).output(&out);
    assert!(matches!(both.prepare(&collect(&inputs)), Err(BatchError::SameName { name }) if name == "json"));
}

struct Beside;

impl Annotate for &Beside {
    fn image_files(&self) -> &[&str] {
        &["*.json"]
    }
}

/// A bright disk before a dark, uneven ground.
fn disk(radius: i32) -> Vec<u8> {
    let mut file = b"P6 128 96 255\n".to_vec();
    for (y, x) in (0..96).flat_map(|y| (0..128).map(move |x| (y, x))) {
        let is_inside = (y - 48i32).pow(2) + (x - 60i32).pow(2) < radius * radius;
        file.extend(if is_inside { [230, 160, 40] } else { [30, 60 + (x % 7) as u8, 50 + (y % 5) as u8] });
    }
    file
}

#[test]
fn polygons_that_are_simplified_are_measured() {
    let dir = folder(&[]);
    std::fs::create_dir(dir.path().join("in")).unwrap();
    std::fs::write(dir.path().join("in/a.ppm"), disk(28)).unwrap();
    std::fs::write(dir.path().join("in/b.ppm"), disk(24)).unwrap();
    let (inputs, out) = ([dir.path().join("in")], dir.path().join("out"));
    let segmenter = Segmenter::load(Options::default()).unwrap();
    let run = |batch: Batch<'_>| batch.segment(&segmenter, &inputs, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(run(coco(&out)).polygons, None);
    let options = AnnotationOptions { simplify: 3.0, ..AnnotationOptions::default() };
    let fit = run(coco(&out).annotation_options(options)).polygons.unwrap();
    assert_eq!(fit.regions, 2);
    assert!(fit.worst <= fit.mean && fit.mean <= 1.0 && fit.worst > 0.5, "{fit:?}");
    assert!(fit.worst_image.ends_with(".ppm"));
}
