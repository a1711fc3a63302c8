//! `deepcut eval --task instances` on made-up sets whose truth is what the program finds: figures are known.

use super::{assert_status, deepcut, folder, picture, segment, stderr};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Output;

const NAMES: [&str; 12] = [
    "AP of masks",
    "AP50 of masks",
    "AP75 of masks",
    "AR@1 of masks",
    "AR@10 of masks",
    "AR@100 of masks",
    "AP of boxes",
    "AP50 of boxes",
    "AP75 of boxes",
    "AR@1 of boxes",
    "AR@10 of boxes",
    "AR@100 of boxes",
];

fn eval(folder: &Path, arguments: &[&str]) -> Output {
    deepcut(folder).arg("eval").args(arguments).output().unwrap()
}

#[track_caller]
fn metrics(output: &Output) -> Vec<f64> {
    assert_status(output, 0);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    NAMES.iter().map(|name| report["results"][0]["metrics"][name]["value"].as_f64().unwrap_or(f64::NAN)).collect()
}

fn make(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
}

/// The mask that the program finds in the made-up image.
fn found(folder: &Path) -> image::GrayImage {
    picture(96, 128).save(folder.join("one.png")).unwrap();
    assert_status(&segment(folder, &["one.png", "--format", "mask", "-o", "one.mask.png"]), 0);
    let mask = image::open(folder.join("one.mask.png")).unwrap().into_luma8();
    std::fs::remove_file(folder.join("one.png")).unwrap();
    std::fs::remove_file(folder.join("one.mask.png")).unwrap();
    mask
}

/// A label picture with a palette, as VOC's.
fn save_labels(path: &Path, label: impl Fn(u32, u32) -> u8) {
    make(path);
    let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), 128, 96);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette((0..768).map(|at| (at * 7 % 256) as u8).collect::<Vec<u8>>());
    let labels: Vec<u8> = (0..96 * 128).map(|at| label(at % 128, at / 128)).collect();
    encoder.write_header().unwrap().write_image_data(&labels).unwrap();
}

/// One object, found exactly but for void pixels; then two, of which one is found; then one with nothing found of it.
#[test]
fn objects_of_voc_are_measured_without_void_pixels() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let mask = found(folder.path());
    let inside = |x: u32, y: u32| mask.get_pixel(x, y).0[0] > 0;
    for name in ["a", "b", "c"] {
        make(&at(&format!("VOC2007/JPEGImages/{name}")));
        picture(96, 128).save(at(&format!("VOC2007/JPEGImages/{name}.png"))).unwrap();
    }
    // The left of the object is void, and so is a stripe in which nothing lies: numbers of the truth need not begin at 1.
    save_labels(&at("VOC2007/SegmentationObject/a.png"), |x, y| match (x, inside(x, y)) {
        (0..60, true) | (120.., _) => 255,
        (_, inside) => 3 * u8::from(inside),
    });
    save_labels(&at("VOC2007/SegmentationObject/b.png"), |x, y| if inside(x, y) { 1 } else { 2 * u8::from(y < 3 && x < 20) });
    make(&at("VOC2007/ImageSets/Segmentation/val.txt"));
    std::fs::write(at("VOC2007/ImageSets/Segmentation/val.txt"), "a\nb\n").unwrap();
    let voc = |arguments: &[&str]| {
        eval(folder.path(), &[&["voc2007", "--root", ".", "--task", "instances", "--cache", "features"], arguments].concat())
    };
    let values = metrics(&voc(&["--json", "--results", "out"]));
    // Three objects, two found with nothing wrong: precision 1 up to recall 2/3, the first 67 of the recalls.
    let expected = [67.0 / 101.0, 67.0 / 101.0, 67.0 / 101.0, 2.0 / 3.0, 2.0 / 3.0, 2.0 / 3.0].repeat(2);
    assert!(values.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{values:?}");
    let text = String::from_utf8(voc(&["--csv", "values.csv"]).stdout).unwrap();
    for words in ["voc2007, val (ImageSets/Segmentation/val.txt), 2 images", "| AP of masks | 0.6634 (", "void is 255"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let csv = std::fs::read_to_string(at("values.csv")).unwrap();
    assert!(csv.starts_with("picture,\"AP of an image\",\"objects\",\"objects found at IoU 0.5\",\"instances\""), "{csv}");
    assert!(csv.contains("\"a\",1.000000,1.000000,1.000000,1.000000,") && csv.contains("\"b\",0.504950,2.000000,1.0"), "{csv}");

    // What was written has no void pixel, neither in the truth nor in what was found, and they are one.
    let read = |name: &str| serde_json::from_slice::<Value>(&std::fs::read(at(name)).unwrap()).unwrap();
    let (truth, results) = (read("out/truth.json"), read("out/results.json"));
    assert_eq!((truth["images"][1]["id"].as_u64(), truth["images"][1]["file_name"].as_str()), (Some(2), Some("b.png")));
    assert_eq!(truth["annotations"].as_array().unwrap().iter().map(|a| &a["id"]).collect::<Vec<_>>(), [1, 2, 3]);
    let place = |list: &Value, at: usize| (list[at]["image_id"].clone(), list[at]["segmentation"].clone());
    assert_eq!((place(&results, 0), place(&results, 1)), (place(&truth["annotations"], 0), place(&truth["annotations"], 1)));
    assert!(results.as_array().unwrap().len() == 2 && results[0]["score"].as_f64().unwrap() > 0.0, "{results}");
    let output = voc(&["--results", "out"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("truth.json exists") && stderr(&output).contains("--results"), "{}", stderr(&output));
    assert_status(&voc(&["--results", "out", "--overwrite"]), 0);

    // Of an image that is void all over nothing is found, and nothing wrong.
    save_labels(&at("VOC2007/SegmentationObject/c.png"), |_, _| 255);
    std::fs::write(at("list"), "a\nc\n").unwrap();
    assert_eq!(metrics(&voc(&["--json", "--list", "list"])), [1.0; 12]);
    // The same pixels as background are wrong, but not before those of a: their scores are equal.
    save_labels(&at("VOC2007/SegmentationObject/c.png"), |_, _| 0);
    std::fs::write(at("list"), "c\na\n").unwrap();
    let values = metrics(&voc(&["--json", "--list", "list"]));
    assert!((values[0] - 0.5).abs() < 1e-12 && values[4] == 1.0, "{values:?}");
    // A damaged file is named.
    let whole = std::fs::read(at("VOC2007/SegmentationObject/c.png")).unwrap();
    std::fs::write(at("VOC2007/SegmentationObject/c.png"), &whole[..whole.len() / 2]).unwrap();
    let output = voc(&["--list", "list"]);
    assert_status(&output, 1);
    assert!(stderr(&output).contains("SegmentationObject/c.png: cannot be decoded"), "{}", stderr(&output));
}

/// COCO's file in all three ways of writing a mask, crowds, lists, logs, sweeps and comparisons.
#[test]
fn instances_of_coco_are_measured() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let mask = found(folder.path());
    let counts = |inside: &dyn Fn(u32, u32) -> bool| {
        let mut counts = vec![0];
        (0..96 * 128).for_each(|at| {
            if inside(at / 96, at % 96) != (counts.len() % 2 == 0) {
                counts.push(0);
            }
            *counts.last_mut().unwrap() += 1;
        });
        json!({ "size": [96, 128], "counts": counts })
    };
    let object = || counts(&|x, y| mask.get_pixel(x, y).0[0] > 0);
    let image = |id: u64| json!({ "id": id, "file_name": format!("val/{id}.png"), "height": 96, "width": 128 });
    let corner = json!([[0, 0, 9, 0, 9, 9, 0, 9]]);
    let write = |annotations: Value| {
        let file =
            json!({ "images": [image(30), image(7)], "annotations": annotations, "categories": [{ "id": 1, "name": "x" }] });
        make(&at("coco/annotations/instances_val2017.json"));
        std::fs::write(at("coco/annotations/instances_val2017.json"), file.to_string()).unwrap();
    };
    for id in [7, 30] {
        make(&at(&format!("coco/val/{id}.png")));
        picture(96, 128).save(at(&format!("coco/val/{id}.png"))).unwrap();
    }
    let coco = |command: &str, arguments: &[&str]| {
        let root = if arguments.contains(&"--resume") { "coco/annotations/instances_val2017.json" } else { "coco" };
        let known = [command, "coco", "--root", root, "--cache", "features"];
        deepcut(folder.path()).args([&known[..], arguments].concat()).output().unwrap()
    };
    // In one image the object is found, the other's is a crowd: what is found in it does not count.
    write(json!([
        { "id": 1, "image_id": 7, "category_id": 1, "segmentation": object(), "iscrowd": 0 },
        { "id": 2, "image_id": 30, "category_id": 1, "segmentation": object(), "iscrowd": 1 },
    ]));
    assert_eq!(metrics(&coco("eval", &["--json"])), [1.0; 12]);
    // Not a crowd: an object of another place, which is not found.
    write(json!([
        { "id": 1, "image_id": 7, "category_id": 1, "segmentation": object(), "bbox": [0, 0, 1, 1], "iscrowd": 0 },
        { "id": 2, "image_id": 30, "category_id": 1, "segmentation": corner, "iscrowd": 0 },
    ]));
    let values = metrics(&coco("eval", &["--json", "--resume", "log"]));
    // (The JSON file itself is named where a log is kept.) Of equal scores that of the lower number is first: precision 1 up to recall ½.
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
    [(0, 51.0 / 101.0), (5, 0.5), (6, 0.0), (11, 0.0)].into_iter().for_each(|(at, expected)| close(values[at], expected));
    // It goes on from the log, also from half of it.
    let log = std::fs::read_to_string(at("log")).unwrap();
    assert!(log.lines().count() == 3 && log.contains("\"matches\":["), "{log}");
    let lines: Vec<&str> = log.split_inclusive('\n').collect();
    std::fs::write(at("log"), [lines[0], lines[1]].concat()).unwrap();
    let again = metrics(&coco("eval", &["--json", "--resume", "log"]));
    assert_eq!(again, values);
    std::fs::write(at("list"), "val/7.jpg\n").unwrap();
    assert_eq!(metrics(&coco("eval", &["--json", "--list", "list"]))[0], 1.0);

    let output = coco("eval", &["--compare", "default", "kmeans", "--report", "page", "--results", "out"]);
    assert_status(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("| AP of masks | 0.5050 (") && text.contains("AP of masks, default less kmeans: "), "{text}");
    assert!(["truth", "results-default", "results-kmeans"].iter().all(|name| at(&format!("out/{name}.json")).is_file()));
    let text = String::from_utf8(coco("sweep", &["--set", "tau=0.1,0.99"]).stdout).unwrap();
    assert!(text.contains("| options | AP of masks | AP50 of masks |"), "{text}");

    write(json!([{ "id": 5, "image_id": 7, "segmentation": [[1, 2, 3, 4]], "iscrowd": 0 }]));
    let output = coco("eval", &[]);
    assert_status(&output, 1);
    assert!(
        stderr(&output).contains("instances_val2017.json: annotation 5 is wrong: a polygon has 4 numbers"),
        "{}",
        stderr(&output)
    );
}

/// Label pictures in a folder: what is void is asked, not guessed.
#[test]
fn label_pictures_say_what_is_void() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let mask = found(folder.path());
    make(&at("set/images/a.png"));
    make(&at("set/masks/a.png"));
    picture(96, 128).save(at("set/images/a.png")).unwrap();
    let deep = |inside: u16, void: u16| {
        let label = |x: u32, y: u32| {
            if mask.get_pixel(x, y).0[0] == 0 {
                0
            } else if x < 60 {
                void
            } else {
                inside
            }
        };
        let labels = image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_fn(128, 96, |x, y| image::Luma([label(x, y)]));
        labels.save(at("set/masks/a.png")).unwrap();
    };
    let masks =
        |arguments: &[&str]| eval(folder.path(), &[&["masks", "--root", "set", "--task", "instances"], arguments].concat());
    deep(300, 300);
    assert_eq!(metrics(&masks(&["--json"])), [1.0; 12]);
    deep(300, 65535);
    let output = masks(&[]);
    assert_status(&output, 2);
    let words = ["masks/a.png holds the value 65535", "--void 65535, or --void none"];
    assert!(words.iter().all(|words| stderr(&output).contains(words)), "{}", stderr(&output));
    assert_eq!(metrics(&masks(&["--json", "--void", "65535"])), [1.0; 12]);
    assert!(metrics(&masks(&["--json", "--void", "none"]))[5] < 1.0);
    deep(300, 9);
    assert_eq!(metrics(&masks(&["--json", "--void", "7,9"])), [1.0; 12]);
    let fails = |output: &Output, words: &str| {
        assert_status(output, 2);
        assert!(stderr(output).contains(words), "{}", stderr(output));
    };
    fails(&masks(&["--void", "x"]), "`x` is no value from 0 to 65535");
    picture(96, 128).save(at("set/masks/a.png")).unwrap();
    fails(&masks(&[]), "masks/a.png: holds colors, not numbers");
    fails(&eval(folder.path(), &["ecssd", "--root", "set", "--task", "instances"]), "--task instances is for voc2007");
    fails(&eval(folder.path(), &["masks", "--root", "set", "--void", "3"]), "--void is for label pictures");
    fails(&eval(folder.path(), &["masks", "--root", "set", "--results", "x"]), "--results needs --task instances");
    fails(&eval(folder.path(), &["coco", "--root", "set", "--task", "foreground"]), "coco20k has boxes");
}
