//! Annotation files: what the options say, what is told, and that nothing is segmented twice.

use super::{assert_status, deepcut, folder, json_lines, picture, save, segment, stderr, tree};
use serde_json::Value;
use std::path::Path;

fn json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A folder `in` of three images.
fn images() -> tempfile::TempDir {
    let dir = folder();
    std::fs::create_dir_all(dir.path().join("in/x")).unwrap();
    save(&dir.path().join("in/a.png"));
    save(&dir.path().join("in/x/a.png"));
    picture(64, 40).save(dir.path().join("in/b.png")).unwrap();
    dir
}

#[test]
fn a_data_set_is_written_and_written_again_with_other_words() {
    let dir = images();
    let at = |name: &str| dir.path().join(name);
    let run = |options: &[&str]| segment(dir.path(), &[&["in", "-o", "set", "--format", "coco,yolo,npy"], options].concat());
    let output = run(&["--label", "thing"]);
    assert_status(&output, 0);
    assert!(stderr(&output).contains("3 images, 9 files written, 0 failed"), "{}", stderr(&output));
    let names = |path: &str| Path::new("set").join(path).display().to_string();
    assert!(stderr(&output).contains(&format!("all images → {}, ", names("annotations.json"))), "{}", stderr(&output));
    let all = json(at("set/annotations.json"));
    assert_eq!(all["categories"][0]["name"], "thing");
    let images: Vec<&Value> = all["images"].as_array().unwrap().iter().map(|image| &image["file_name"]).collect();
    assert_eq!(images, ["a.png", "b.png", "x/a.png"]);
    assert_eq!((&all["images"][1]["height"], &all["images"][1]["width"]), (&64.into(), &40.into()));
    let first = &all["annotations"][0];
    let pixels = std::fs::read(at("set/a.npy")).unwrap()[128..].iter().filter(|label| **label > 0).count();
    assert_eq!((&first["area"], &first["category_id"], pixels > 100), (&pixels.into(), &1.into(), true));
    assert!(std::fs::read_to_string(at("set/labels/x/a.txt")).unwrap().starts_with("0 0."));

    // Another tolerance and class: nothing is segmented, and the loss is told.
    let output = run(&["--label", "other", "--simplify", "1.5", "-v", "--json"]);
    assert_status(&output, 0);
    let lines = json_lines(&output);
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["annotated", "annotated", "annotated", "summary"]);
    assert_eq!((&lines[3]["annotated"], &lines[3]["done"], &lines[3]["polygons"]["regions"]), (&3.into(), &0.into(), &3.into()));
    assert!(stderr(&output).contains("3 images, 5 files written, 0 failed, 3 segmented before"), "{}", stderr(&output));
    let told = stderr(&output);
    let loss = told.lines().find(|line| line.starts_with("polygons of 3 regions: intersection over union with their masks 0.9"));
    assert!(loss.is_some_and(|line| line.contains(" at worst (in")), "{told}");
    let simpler = json(at("set/annotations.json"));
    let points = |all: &Value| all["annotations"][0]["segmentation"][0].as_array().unwrap().len();
    assert!(points(&simpler) < points(&all) / 2 && simpler["categories"][0]["name"] == "other");
    // The mask's own area and box stay.
    assert_eq!((&simpler["annotations"][0]["area"], &simpler["annotations"][0]["bbox"]), (&first["area"], &first["bbox"]));

    // The first words again make the first bytes again.
    let before = tree(&at("set"));
    assert_status(&run(&["--label", "thing"]), 0);
    assert_eq!((json(at("set/annotations.json")), tree(&at("set"))), (all, before));
}

#[test]
fn files_that_a_person_changed_are_not_replaced() {
    let dir = images();
    let at = |name: &str| dir.path().join(name);
    let run = |options: &[&str]| segment(dir.path(), &[&["in", "-o", "set", "--format", "coco,geojson"], options].concat());
    assert_status(&run(&[]), 0);
    std::fs::write(at("set/b.geojson"), "{}").unwrap();
    let output = run(&["--label", "x"]);
    assert_status(&output, 0);
    assert!(stderr(&output).contains("left as found: 1 result that another program wrote or changed"), "{}", stderr(&output));
    assert_eq!(std::fs::read(at("set/b.geojson")).unwrap(), b"{}");
    assert_eq!(json(at("set/a.geojson"))["features"][0]["properties"]["classification"]["name"], "x");

    std::fs::write(at("set/annotations.json"), "{}").unwrap();
    let output = run(&[]);
    assert_status(&output, 2);
    let file = Path::new("set").join("annotations.json");
    let words = "was changed, or another program made it; pass --overwrite to replace it, or another folder with -o";
    assert!(stderr(&output).contains(&format!("{} {words}", file.display())), "{}", stderr(&output));
    assert_eq!(std::fs::read(at("set/annotations.json")).unwrap(), b"{}");
    assert_status(&run(&["--overwrite"]), 0);
    assert_eq!(json(at("set/annotations.json"))["images"].as_array().unwrap().len(), 3);
    assert_eq!(json(at("set/b.geojson"))["type"], "FeatureCollection");
}

#[test]
fn a_file_that_nothing_replaces_is_not_told_to_be_overwritten() {
    let dir = images();
    std::fs::create_dir(dir.path().join("set")).unwrap();
    std::fs::write(dir.path().join("set/b.json"), "{}").unwrap();
    for options in [&[][..], &["--label", "x"], &["--overwrite"]] {
        let output = segment(dir.path(), &[&["in", "-o", "set", "--format", "coco,labelme", "--json"], options].concat());
        assert_status(&output, 0);
        let told = stderr(&output);
        assert!(told.contains("left as found: 1 annotation file that somebody wrote or changed"), "{told}");
        assert!(!told.contains("pass --overwrite"), "{told}");
        assert_eq!(json_lines(&output).pop().unwrap()["left"], serde_json::json!({ "unrecorded": 0, "edited": 1 }));
        assert_eq!(std::fs::read(dir.path().join("set/b.json")).unwrap(), b"{}");
    }
}

#[test]
fn parts_have_names_of_a_file() {
    let dir = images();
    std::fs::write(dir.path().join("names.txt"), "head\n\n  body \n").unwrap();
    let run = |options: &[&str]| segment(dir.path(), &[&["in/a.png", "--mode", "parts", "--format", "coco"], options].concat());
    assert_status(&run(&["-o", "set", "--labels", "names.txt"]), 0);
    let all = json(dir.path().join("set/annotations.json"));
    let names: Vec<&Value> = all["categories"].as_array().unwrap().iter().map(|category| &category["name"]).collect();
    assert_eq!(names[..2], ["head", "body"]);
    assert!(names[2..].iter().enumerate().all(|(at, name)| **name == *format!("part {}", at + 3)), "{names:?}");
    assert!(all["annotations"].as_array().unwrap().iter().all(|annotation| annotation["part_of"] == 1));
    std::fs::write(dir.path().join("none.txt"), "\n").unwrap();
    let output = run(&["-o", "set", "--labels", "none.txt"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("expected a name on each line"), "{}", stderr(&output));
}

#[test]
fn one_file_and_standard_output_take_one_result() {
    let dir = images();
    // The name says the format.
    assert_status(&segment(dir.path(), &["in/a.png", "-o", "a.geojson"]), 0);
    assert_eq!(json(dir.path().join("a.geojson"))["type"], "FeatureCollection");
    assert_status(&segment(dir.path(), &["in", "-o", "all.json", "--format", "coco"]), 0);
    assert_eq!(json(dir.path().join("all.json"))["images"].as_array().unwrap().len(), 3);
    let output = deepcut(dir.path()).args(["segment", "in/b.png", "-o", "-", "--format", "yolo"]).output().unwrap();
    assert_status(&output, 0);
    assert!(output.stdout.starts_with(b"0 0."));
    let mut there: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    there.sort();
    assert_eq!(there, ["a.geojson", "all.json", "in"]);
    let output = segment(dir.path(), &["in", "-o", "all.json", "--format", "coco,yolo"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("takes one result of one image"), "{}", stderr(&output));
}

#[test]
fn options_are_checked() {
    let dir = images();
    let fails = |options: &[&str], words: &str| {
        let output = segment(dir.path(), &[&["in/a.png", "-o", "set", "--format", "coco"], options].concat());
        assert_status(&output, 2);
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    };
    fails(&["--simplify", "-1"], "--simplify");
    fails(&["--simplify", "nan"], "expected a number from 0 to 1000");
    fails(&["--paths", "uri"], "relative, absolute, name");
    fails(&["--coco-masks", "png"], "auto, polygon, rle, rle-list");
    fails(&["--labels", "absent.txt"], "absent.txt");
    fails(&["--label", " "], "--label: expected a name");
    fails(&["--label", "a\nb"], "--label: expected a name of one line");
    std::fs::write(dir.path().join("twice.txt"), "a\nb\na\n").unwrap();
    fails(&["--labels", "twice.txt"], "--labels twice.txt: two lines have the name a");
    fails(&["--label", "a:b", "--format", "voc"], "cannot hold the name a:b");
    // Names that are the same without their folders.
    let output = segment(dir.path(), &["in", "-o", "set", "--format", "coco", "--paths", "name"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("would both be called a.png"), "{}", stderr(&output));
    // Nothing to have an effect on.
    let output = segment(dir.path(), &["in/a.png", "-o", "set", "--format", "mask", "--label", "x"]);
    assert_status(&output, 0);
    assert!(stderr(&output).contains("--label has no effect: no annotation files are written"), "{}", stderr(&output));
    let told = |options: &[&str], words: &str| {
        let output = segment(dir.path(), &[&["in/a.png", "-o", "told", "--overwrite"], options].concat());
        assert_status(&output, 0);
        assert!(stderr(&output).contains(&format!("{words}\n")), "{}", stderr(&output));
    };
    std::fs::write(dir.path().join("names.txt"), "a:b\n").unwrap();
    told(
        &["-f", "coco", "-m", "parts", "--label", "x"],
        "--label has no effect: it names objects; --labels names parts and clusters",
    );
    told(&["-f", "coco", "--label", "x", "--labels", "names.txt"], "--labels has no effect: --label names the objects");
    told(&["-f", "yolo", "--coco-masks", "rle"], "--coco-masks has no effect: no file of these formats depends on it");
    told(&["-f", "coco", "--shapes", "mask"], "--shapes has no effect: no file of these formats depends on it");
    let output =
        segment(dir.path(), &["in", "-o", "silent", "-f", "coco", "--label", "a:b", "--paths", "absolute", "--simplify", "1"]);
    assert!(!stderr(&output).contains("no effect"), "{}", stderr(&output));
}
