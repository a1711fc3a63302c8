//! `deepcut eval` and `deepcut sweep` on tiny data sets of every layout, built here.

use super::{assert_status, deepcut, folder, picture, stderr};
use serde_json::Value;
use std::path::Path;
use std::process::Output;

/// The object of [`image`] at 96 × 128.
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

/// Images and masks named a, b, c.
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

/// Images whose masks are known exactly; one has no mask, one mask is of another size.
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
    assert!(text.contains("| IoU, oracle side |") && text.contains("1 images, 0 failed, 2 incomplete"), "{text}");
    // A whole result by itself; of one image there is no interval.
    for word in
        ["masks, every image, 1 images; network ", "profile default, resolution 352, precision ", "above 127 is the object"]
    {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains(" (0."), "{text}");
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
    assert!(stderr(&output).contains("c: set/gt/c.png: the mask is 5 × 5, the image 128 × 96"), "{}", stderr(&output));
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
    assert!(String::from_utf8(output.stdout.clone()).unwrap().contains("voc2007, list bad, 1 images"));
    assert!(stderr(&output).contains("000009 is in the list but not in the data set"), "{}", stderr(&output));

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
    save_text(&at("list"), "1\n");
    let report = json(&run(folder.path(), &["eval", "coco20k", "--root", "coco", "--list", "list", "--json"]));
    assert_eq!((metric(&report, "CorLoc"), report["pictures"].as_u64()), (1.0, Some(1)));
    save_text(&at("list"), "COCO_2\n");
    let output = run(folder.path(), &["eval", "coco20k", "--root", "coco", "--list", "list"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("COCO_2 has no annotation"), "{}", stderr(&output));
}

/// Keypoints at the disc's centre and in a corner of the image: two parts that object and background tell apart.
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
    // The images are alike, but a mean over three of them rounds.
    assert!((metric(&report, "J of dog") - metric(&report, "IoU")).abs() < 1e-12);
    assert_eq!(metric(&report, "NMI of keypoints"), 1.0);
    // Of one frame or one sequence there is no interval, of two there is.
    let metrics = &report["results"][0]["metrics"];
    assert!(metrics["J of dog"]["interval"].is_null() && metrics["J of bear"]["interval"].is_array(), "{metrics}");
    assert!(report["split"].as_str().unwrap().contains("no ImageSets"), "{report}");

    // The split val, of sequences or of frames; a list in its place.
    save_text(&at("DAVIS/ImageSets/2017/val.txt"), "dog\n");
    let split = |arguments: &[&str]| {
        let report = json(&run(folder.path(), &[&["eval", "davis", "--root", "DAVIS", "--json"], arguments].concat()));
        (report["split"].as_str().unwrap().to_owned(), report["pictures"].as_u64().unwrap())
    };
    assert_eq!(split(&[]), ("val (ImageSets/2017/val.txt)".into(), 1));
    let frames = "/JPEGImages/480p/bear/00001.jpg /Annotations/480p/bear/00001.png\n";
    save_text(&at("DAVIS/ImageSets/480p/val.txt"), frames);
    assert_eq!(split(&[]), ("val (ImageSets/480p/val.txt)".into(), 1));
    save_text(&at("mine.txt"), "bear\n");
    assert_eq!(split(&["--list", "mine.txt", "--limit", "1"]), ("list mine.txt, the first 1".into(), 1));
}

/// Whatever the values that a set's masks are stored in, the figures are the same; what has no object is counted, not scored.
#[test]
fn masks_are_read_as_they_are_stored_and_empty_truth_scores_nothing() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let write = |set: &str, inside: u8| {
        masks(&at(set));
        for name in ["a", "b", "c"] {
            let stored = image::GrayImage::from_fn(128, 96, |x, y| image::Luma([disc().get_pixel(x, y).0[0] / 255 * inside]));
            stored.save(at(&format!("{set}/gt/{name}.png"))).unwrap();
        }
        image::GrayImage::new(128, 96).save(at(&format!("{set}/gt/c.png"))).unwrap();
    };
    let eval = |set: &str, arguments: &[&str]| run(folder.path(), &[&["eval", "masks", "--root", set], arguments].concat());
    write("bytes", 255);
    let right = json(&eval("bytes", &["--json"]));
    assert!(metric(&right, "IoU") > 0.5, "{right}");
    assert_eq!((right["pictures"].as_u64(), right["notes"]["empty"].as_u64()), (Some(2), Some(1)));
    for inside in [1, 200] {
        write("other", inside);
        let report = json(&eval("other", &["--json", "--resume", &format!("log{inside}")]));
        assert_eq!(report["results"][0]["metrics"], right["results"][0]["metrics"], "{inside}");
        assert_eq!(report["notes"], right["notes"]);
        // What was noted goes on.
        assert_eq!(json(&eval("other", &["--json", "--resume", &format!("log{inside}")]))["notes"], right["notes"]);
        let output = eval("other", &[]);
        let text = stderr(&output) + std::str::from_utf8(&output.stdout).unwrap();
        let rule = if inside > 127 { "above 127 is the object".into() } else { format!("0 and {inside}: above 0") };
        assert!(text.matches(&rule).count() == 2 && text.contains("c is the first of those that have no object"), "{text}");
        assert!(text.contains("1 images have no object in their truth"), "{text}");
    }
    // A set whose masks are all empty measures nothing.
    write("other", 0);
    let output = eval("other", &[]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("3 have no object"), "{}", stderr(&output));
    // Masks that are not alike are told of, each; labels are refused.
    write("other", 255);
    image::GrayImage::from_pixel(128, 96, image::Luma([1])).save(at("other/gt/b.png")).unwrap();
    let output = eval("other", &[]);
    assert_status(&output, 1);
    assert!(stderr(&output).contains("b: other/gt/b.png: the mask has the values 0 and 1"), "{}", stderr(&output));
    image::GrayImage::from_fn(128, 96, |x, _| image::Luma([(x / 40) as u8])).save(at("other/gt/a.png")).unwrap();
    image::GrayImage::new(128, 96).save(at("other/gt/b.png")).unwrap();
    save_text(&at("list"), "a\nb\n");
    let output = eval("other", &["--list", "list"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("a.png: holds labels"), "{}", stderr(&output));
}

/// What lies in the folders beside images is not taken for one, in whatever order the disk has it.
#[test]
fn a_data_set_is_its_pictures() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    masks(&at("set"));
    for name in
        ["images/a.json", "images/b.xml", "images/._c.png", "images/Thumbs.db", "images/.DS_Store", "gt/a.txt", "gt/c.json"]
    {
        save_text(&at(&format!("set/{name}")), "{}");
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(at("set"), at("set/images/round")).unwrap();
    let eval = || run(folder.path(), &["eval", "masks", "--root", "set", "--json"]);
    let report = json(&eval());
    assert_eq!((report["pictures"].as_u64(), report["incomplete"].as_u64()), (Some(3), Some(0)));
    save_picture(&at("set/images/b.bmp"));
    let output = eval();
    assert_status(&output, 2);
    assert!(
        ["images/b.bmp", "images/b.png", "one name"].iter().all(|word| stderr(&output).contains(word)),
        "{}",
        stderr(&output)
    );
    std::fs::remove_file(at("set/images/b.bmp")).unwrap();
    // Another folder of the same names: which are the images?
    std::fs::rename(at("set/images"), at("set/one")).unwrap();
    ["a", "b", "c"].iter().for_each(|name| save_picture(&at(&format!("set/two/{name}.png"))));
    let output = eval();
    assert_status(&output, 2);
    assert!(stderr(&output).contains("several data sets"), "{}", stderr(&output));
    std::fs::rename(at("set/two"), at("set/imgs")).unwrap();
    assert_eq!(json(&eval())["dataset"], "set/imgs, set/gt");
}

/// A JPEG whose EXIF data turn it: the truth is of the pixels as stored, unless its size says otherwise.
#[test]
fn a_turned_picture_is_measured_as_its_truth_is() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let turned = |path: &Path, orientation: u8| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut jpeg = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95);
        picture(96, 128).write_with_encoder(encoder).unwrap();
        let exif =
            [b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0", &[orientation, 0, 0, 0, 0, 0, 0, 0][..]]
                .concat();
        jpeg.splice(2..2, exif);
        std::fs::write(path, jpeg).unwrap();
    };
    let eval = |set: &str| json(&run(folder.path(), &["eval", "masks", "--root", set, "--json"]));
    turned(&at("set/images/a.jpg"), 1);
    save_mask(&at("set/gt/a.png"));
    let plain = eval("set");
    assert_eq!(plain["notes"], serde_json::json!({}));
    turned(&at("set/images/a.jpg"), 6);
    let stored = eval("set");
    assert_eq!((&stored["notes"]["stored"], &stored["results"][0]["metrics"]), (&1.into(), &plain["results"][0]["metrics"]));
    // The truth was made of the turned image.
    image::imageops::rotate90(&disc()).save(at("set/gt/a.png")).unwrap();
    let upright = eval("set");
    assert_eq!(upright["notes"]["upright"], 1);
    assert!(metric(&upright, "IoU") > 0.5, "{upright}");

    let [left, top, right, bottom] = BOX;
    turned(&at("VOC2007/JPEGImages/a.jpg"), 6);
    let annotation =
        |size: &str, bounds: &str| format!("<annotation>{size}<object><bndbox>{bounds}</bndbox></object></annotation>");
    let bounds = |l: u32, t: u32, r: u32, b: u32| format!("<xmin>{l}</xmin><ymin>{t}</ymin><xmax>{r}</xmax><ymax>{b}</ymax>");
    let size = |width: u32, height: u32| format!("<size><width>{width}</width><height>{height}</height></size>");
    let voc = |text: String| {
        save_text(&at("VOC2007/Annotations/a.xml"), &text);
        json(&run(folder.path(), &["eval", "voc2007", "--root", "VOC2007", "--json"]))
    };
    let report = voc(annotation(&size(128, 96), &bounds(left, top, right, bottom)));
    assert_eq!((metric(&report, "CorLoc"), &report["notes"]["stored"]), (1.0, &1.into()));
    let report = voc(annotation(&size(96, 128), &bounds(top, left, bottom, right)));
    assert_eq!((metric(&report, "CorLoc"), &report["notes"]["upright"]), (1.0, &1.into()));
    // Counted from 0, and past the image: cut, and said.
    save_picture(&at("VOC2007/JPEGImages/a.png"));
    std::fs::remove_file(at("VOC2007/JPEGImages/a.jpg")).unwrap();
    let report =
        voc(annotation("", &(bounds(0, 0, 5, 5) + "</bndbox></object><object><bndbox>" + &bounds(left, top, right, bottom))));
    assert_eq!((metric(&report, "CorLoc"), &report["notes"]), (1.0, &serde_json::json!({ "cut": 1 })));
    save_text(&at("VOC2007/Annotations/a.xml"), &annotation("", &bounds(300, 300, 310, 310)));
    let output = run(folder.path(), &["eval", "voc2007", "--root", "VOC2007"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("cut to the image") && stderr(&output).contains("1 have no object"), "{}", stderr(&output));
}

/// Two methods on the same images, with everything that can be written of it.
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
    // Two headings of two images, each with the truth and two masks; nothing from elsewhere.
    assert_eq!(page.matches("data:image/jpeg;base64,").count(), 2 * 2 * 3);
    assert!(page.contains("Where default beats kmeans most") && !page.contains("http"), "{page}");
    assert_eq!(std::fs::read_to_string(folder.path().join("page/pictures.csv")).unwrap(), csv);
    let output = eval(&["--report", "page"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("--report") && !stderr(&output).contains(" -o"), "{}", stderr(&output));
    let output = eval(&["--csv", "values.csv/x.csv"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("--csv") && !stderr(&output).contains(" -o"), "{}", stderr(&output));
    // What the images beside each other are, and nothing that is wider than a telephone.
    assert!(
        page.contains("Beside each other") && page.matches("class=key").count() == 3 && page.contains("overflow-wrap:anywhere")
    );
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
    assert_eq!(std::fs::read_dir(folder.path().join("features")).unwrap().count(), 1, "three copies of one image");

    let log = folder.path().join("log");
    let text = std::fs::read_to_string(&log).unwrap();
    assert_eq!(text.lines().count(), 4);
    // Stopped in the middle of the second image's line.
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
    assert_eq!(text.matches("\n| method ").count(), 8, "{text}");
    assert!(text.contains("method pca, tau null, epochs 5"), "{text}");
    let report = json(&sweep(&["--set", "resolution=96,128", "--json"]));
    assert_eq!(report["results"].as_array().unwrap().len(), 2);
    let output = sweep(&["--set", "taus=1"]);
    assert_status(&output, 2);
    assert!(
        stderr(&output).contains("there is no option `taus`; the options are") && stderr(&output).contains("tau"),
        "{}",
        stderr(&output)
    );
}
