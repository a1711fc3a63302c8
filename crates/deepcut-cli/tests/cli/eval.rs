//! `deepcut eval` and `deepcut sweep` on tiny data sets of every layout, built here.

use super::{assert_status, deepcut, folder, picture, stderr};
use serde_json::Value;
use std::path::Path;
use std::process::Output;

/// The object of [`picture`] at 96 × 128.
fn disc() -> image::GrayImage {
    image::GrayImage::from_fn(128, 96, |x, y| {
        let (u, v) = (x as f32 / 128.0 - 0.5, y as f32 / 96.0 - 0.5);
        image::Luma([if u * u + v * v < 0.06 { 255 } else { 0 }])
    })
}

/// The box of that disc: its radius is √0.06 of each side.
const BOX: [u32; 4] = [33, 25, 95, 71];

fn save_picture(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    picture(96, 128).save(path).unwrap();
}

fn save_mask(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    disc().save(path).unwrap();
}

fn save_text(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Pictures and masks named a, b, c.
fn masks(root: &Path) {
    for name in ["a", "b", "c"] {
        save_picture(&root.join(format!("images/{name}.png")));
        save_mask(&root.join(format!("gt/{name}.png")));
    }
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    deepcut(folder).args(arguments).output().unwrap()
}

#[track_caller]
fn json(output: &Output) -> Value {
    assert_status(output, 0);
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn metric(report: &Value, name: &str) -> f64 {
    let value = report["results"][0]["metrics"][name]["value"].as_f64();
    assert!(value.is_some(), "no {name}: {report}");
    value.unwrap()
}

/// Pictures whose masks are known exactly; one has no mask, one mask is of another size.
#[test]
fn a_data_set_is_evaluated_and_its_gaps_are_named() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    ["set/images", "set/gt"].iter().for_each(|name| std::fs::create_dir_all(at(name)).unwrap());
    let truth = disc();
    for name in ["a", "b", "c"] {
        picture(96, 128).save(at(&format!("set/images/{name}.png"))).unwrap();
    }
    truth.save(at("set/gt/a.png")).unwrap();
    let eval =
        |arguments: &[&str]| deepcut(folder.path()).args(["eval", "masks", "--root", "set"]).args(arguments).output().unwrap();
    let output = eval(&["--csv", "values.csv"]);
    assert_status(&output, 1);
    assert!(stderr(&output).contains("b has no mask") && stderr(&output).contains("c has no mask"), "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("| IoU, oracle side |") && text.contains("1 pictures, 0 failed, 2 incomplete"), "{text}");
    let csv = std::fs::read_to_string(at("values.csv")).unwrap();
    assert_eq!(csv.lines().count(), 2);

    std::fs::write(at("list"), "a\n").unwrap();
    let output = eval(&["--list", "list", "--json"]);
    assert_status(&output, 0);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let value = report["results"][0]["metrics"]["IoU"]["value"].as_f64().unwrap();
    assert!(value > 0.5, "a clear disc: {value}");
    assert!(csv.contains(&format!("{value:.6}")), "{csv}");

    truth.save(at("set/gt/b.png")).unwrap();
    image::GrayImage::new(5, 5).save(at("set/gt/c.png")).unwrap();
    let output = eval(&["--csv", "values.csv"]);
    assert_status(&output, 2);
    let output = eval(&["--csv", "values.csv", "--overwrite"]);
    assert_status(&output, 1);
    assert!(stderr(&output).contains("c: its mask set/gt/c.png is 5 × 5, the picture 128 × 96"), "{}", stderr(&output));
    assert_status(&deepcut(folder.path()).args(["eval", "voc2007", "--root", "set"]).output().unwrap(), 2);
}

#[test]
fn boxes_of_voc_and_coco_are_read_where_they_lie() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let [left, top, right, bottom] = BOX;
    let bounds = |(l, t, r, b): (u32, u32, u32, u32)| {
        format!("<bndbox><xmin>{l}</xmin><ymin>{t}</ymin><xmax>{r}</xmax><ymax>{b}</ymax></bndbox>")
    };
    let object = |place| format!("<object><name>disc</name><difficult>1</difficult>{}</object>", bounds(place));
    let annotation = |objects: &str| format!("<annotation>{objects}</annotation>");
    let base = "VOCdevkit/VOC2007";
    for name in ["000001", "000002", "000003"] {
        save_picture(&at(&format!("{base}/JPEGImages/{name}.png")));
    }
    let both = object((1, 1, 5, 5)) + &object((left, top, right, bottom));
    save_text(&at(&format!("{base}/Annotations/000001.xml")), &annotation(&both));
    save_text(&at(&format!("{base}/Annotations/000002.xml")), &annotation(&object((1, 1, 5, 5))));
    save_text(&at(&format!("{base}/Annotations/000003.xml")), "<annotation><object/></annotation>");
    save_text(&at(&format!("{base}/ImageSets/Main/trainval.txt")), "000001\n000002\n");
    let report = json(&run(folder.path(), &["eval", "voc2007", "--root", ".", "--json"]));
    assert_eq!(metric(&report, "CorLoc"), 0.5);
    let output =
        run(folder.path(), &["eval", "voc2007", "--root", ".", "--list", &format!("{base}/ImageSets/Main/trainval.txt")]);
    assert_status(&output, 0);
    save_text(&at("bad"), "000003\n000001\n000009\n");
    let output = run(folder.path(), &["eval", "voc2007", "--root", ".", "--list", "bad"]);
    assert_status(&output, 1);
    assert!(stderr(&output).contains("000003") && stderr(&output).contains("no bndbox"), "{}", stderr(&output));
    assert!(stderr(&output).contains("000009 has no picture"), "{}", stderr(&output));

    for name in ["COCO_1", "COCO_2", "COCO_3"] {
        save_picture(&at(&format!("coco/train2014/{name}.png")));
    }
    let truth = serde_json::json!({
        "images": [{ "id": 1, "file_name": "COCO_1.jpg" }, { "id": 2, "file_name": "COCO_2.jpg" }, { "id": 3, "file_name": "COCO_3.jpg" }],
        "annotations": [
            { "image_id": 1, "bbox": [left, top, right - left, bottom - top], "iscrowd": 0 },
            { "image_id": 2, "bbox": [left, top, right - left, bottom - top], "iscrowd": 1 },
            { "image_id": 3, "bbox": [0, 0, 4, 4], "iscrowd": 0 },
        ],
    });
    save_text(&at("coco/annotations/instances_train2014.json"), &truth.to_string());
    save_text(&at("coco/coco_20k_filenames.txt"), "train2014/COCO_1.jpg\ntrain2014/COCO_3.jpg\n");
    let report = json(&run(folder.path(), &["eval", "coco20k", "--root", "coco", "--json"]));
    assert_eq!((metric(&report, "CorLoc"), report["pictures"].as_u64()), (0.5, Some(2)));
    save_text(&at("list"), "COCO_2\n");
    let output = run(folder.path(), &["eval", "coco20k", "--root", "coco", "--list", "list"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("COCO_2 has no annotation"), "{}", stderr(&output));
}

/// Keypoints at the disc's centre and in a corner of the picture: two parts that object and background tell apart.
#[test]
fn keypoints_of_cub_and_davis_are_labelled() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let base = "CUB_200_2011";
    for name in ["one/x", "one/y", "two/z"] {
        save_picture(&at(&format!("{base}/images/{name}.png")));
        save_mask(&at(&format!("segmentations/{name}.png")));
    }
    save_text(&at(&format!("{base}/images.txt")), "1 one/x.png\n2 one/y.png\n3 two/z.png\n");
    save_text(&at(&format!("{base}/train_test_split.txt")), "1 0\n2 1\n3 0\n");
    let parts = "1 4 64.0 48.0 1\n1 9 2.0 2.0 1\n1 5 0.0 0.0 0\n3 4 70.0 50.0 1\n3 9 125.0 93.0 1\n";
    save_text(&at(&format!("{base}/parts/part_locs.txt")), parts);
    let report = json(&run(folder.path(), &["eval", "cub", "--root", ".", "--json"]));
    assert_eq!(report["pictures"], 2);
    assert!(metric(&report, "IoU") > 0.5);
    assert_eq!((metric(&report, "NMI of keypoints"), metric(&report, "ARI of keypoints")), (1.0, 1.0));
    save_text(&at(&format!("{base}/parts/part_locs.txt")), "1 4 here\n");
    let output = run(folder.path(), &["eval", "cub", "--root", "."]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("part_locs.txt") && stderr(&output).contains("1 4 here"), "{}", stderr(&output));

    for name in ["bear/00000", "bear/00001", "dog/00000"] {
        save_picture(&at(&format!("DAVIS/JPEGImages/480p/{name}.png")));
        save_mask(&at(&format!("DAVIS/Annotations/480p/{name}.png")));
    }
    let scale = 1080.0 / 480.0;
    let joints = serde_json::json!([{
        "image_path": "DAVIS/JPEGImages/Full-Resolution/bear/00001.jpg", "segmentation_path": "",
        "visibility": [true, true, false], "joints": [[48.0 * scale, 64.0 * scale], [2.0 * scale, 2.0 * scale], [0, 0]],
    }]);
    save_text(&at("DAVIS/joints/bear.json"), &joints.to_string());
    let report = json(&run(folder.path(), &["eval", "davis", "--root", "DAVIS", "--json"]));
    // The pictures are alike, but a mean over three of them rounds.
    assert!((metric(&report, "J of dog") - metric(&report, "IoU")).abs() < 1e-12);
    assert_eq!(metric(&report, "NMI of keypoints"), 1.0);
}

/// Two methods on the same pictures, with everything that can be written of it.
#[test]
fn methods_are_compared_and_reported() {
    let folder = folder();
    masks(&folder.path().join("set"));
    let eval = |arguments: &[&str]| run(folder.path(), &[&["eval", "masks", "--root", "set"], arguments].concat());
    let output = eval(&["--compare", "default", "kmeans", "--report", "page", "--csv", "values.csv", "--examples", "2"]);
    assert_status(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("| default | kmeans |") && text.contains("IoU, default less kmeans:"), "{text}");
    let csv = std::fs::read_to_string(folder.path().join("values.csv")).unwrap();
    assert!(csv.starts_with("picture,\"default: IoU\"") && csv.contains("\"kmeans: IoU\"") && csv.lines().count() == 4, "{csv}");
    let page = std::fs::read_to_string(folder.path().join("page/index.html")).unwrap();
    // Two headings of two pictures, each with the truth and two masks; nothing from elsewhere.
    assert_eq!(page.matches("data:image/jpeg;base64,").count(), 2 * 2 * 3);
    assert!(page.contains("Where default beats kmeans most") && !page.contains("http"), "{page}");
    assert_eq!(std::fs::read_to_string(folder.path().join("page/pictures.csv")).unwrap(), csv);
    assert_status(&eval(&["--report", "page"]), 2);
    assert_status(&eval(&["--report", "page", "--overwrite"]), 0);
    let page = std::fs::read_to_string(folder.path().join("page/index.html")).unwrap();
    assert!(["Worst", "Median", "Best"].iter().all(|heading| page.contains(&format!("<h2>{heading}</h2>"))));

    let output = eval(&["--compare", "default", "kmean"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("tokencut"), "{}", stderr(&output));
    let output = eval(&["--method", "lost", "--mode", "parts"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("method is lost"), "{}", stderr(&output));

    let report = json(&eval(&["--seeds", "3", "--json"]));
    let seeds: Vec<_> = report["results"].as_array().unwrap().iter().map(|r| r["options"]["seed"].as_u64()).collect();
    assert_eq!(seeds, [Some(0), Some(1), Some(2)]);
    let text = String::from_utf8(eval(&["--seeds", "2"]).stdout).unwrap();
    assert!(text.contains("standard deviation"), "{text}");
}

/// An evaluation that is stopped goes on; one of other options is not mixed with it; features come from the cache.
#[test]
fn evaluations_go_on_and_features_are_kept() {
    let folder = folder();
    masks(&folder.path().join("set"));
    let eval = |arguments: &[&str]| {
        run(folder.path(), &[&["eval", "masks", "--root", "set", "--cache", "features", "--json"], arguments].concat())
    };
    let features = |report: &Value| report["results"][0]["seconds"]["features"].as_f64().unwrap();
    let whole = json(&eval(&["--resume", "log"]));
    assert!(features(&whole) > 0.0);
    assert_eq!(std::fs::read_dir(folder.path().join("features")).unwrap().count(), 1, "three copies of one picture");

    let log = folder.path().join("log");
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().count(), 4);
    // Stopped in the middle of the second picture's line.
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    std::fs::write(&log, [lines[0], lines[1], &lines[2][..20]].concat()).unwrap();
    let rest = json(&eval(&["--resume", "log"]));
    assert_eq!(rest["results"][0]["metrics"], whole["results"][0]["metrics"]);
    assert_eq!(std::fs::read_to_string(&log).unwrap().lines().count(), 4);

    let output = eval(&["--resume", "log", "--tau", "0.3"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("other options"), "{}", stderr(&output));
    let again = json(&eval(&["--method", "spectral"]));
    assert_eq!(features(&again), 0.0);
    // Of the precisions one is that of the runs before.
    for precision in ["f32", "bf16", "int8"] {
        let report = json(&eval(&["--precision", precision]));
        assert_eq!(report["backbone"]["precision"], precision);
    }
    assert_eq!(std::fs::read_dir(folder.path().join("features")).unwrap().count(), 3, "a file for each precision");
    assert_status(&eval(&["--cache", "features", "--cache-size", "0"]), 2);
    std::fs::write(folder.path().join("file"), "").unwrap();
    let output = run(folder.path(), &["eval", "masks", "--root", "set", "--cache", "file"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("cache folder file"), "{}", stderr(&output));
}

#[test]
fn a_sweep_tries_every_combination() {
    let folder = folder();
    masks(&folder.path().join("set"));
    let sweep = |arguments: &[&str]| run(folder.path(), &[&["sweep", "masks", "--root", "set"], arguments].concat());
    let output = sweep(&["--set", "tau=0.1,null", "--set", "epochs=5,[10,10,10]", "--set", "method=deepcut,pca"]);
    assert_status(&output, 0);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("\n| tau ").count(), 8, "{text}");
    assert!(text.contains("tau null, epochs 5, method pca"), "{text}");
    let report = json(&sweep(&["--set", "resolution=96,128", "--json"]));
    assert_eq!(report["results"].as_array().unwrap().len(), 2);
    let output = sweep(&["--set", "taus=1"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("no such option; there are") && stderr(&output).contains("tau"), "{}", stderr(&output));
}
