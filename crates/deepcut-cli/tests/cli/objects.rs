//! Several objects, through the command.

use super::{assert_status, deepcut, folder, json_lines, segment, stderr, tree};
use std::path::Path;

/// Three discs on a lawn: two touch, one is at the border.
fn discs(path: &Path) {
    let image = image::RgbImage::from_fn(240, 160, |x, y| {
        let near = |cx: f32, cy: f32, r: f32| (x as f32 - cx).hypot(y as f32 - cy) < r;
        let grain = (x * 7 + y * 13) as u8 % 19;
        let disc = near(60.0, 80.0, 34.0) || near(124.0, 80.0, 34.0) || near(232.0, 40.0, 24.0);
        if disc { image::Rgb([230 - grain, 150, 30 + grain]) } else { image::Rgb([40 + grain, 90, 60]) }
    });
    image.save(path).unwrap();
}

/// Boxes, areas and scores of the objects that are reported.
fn objects(folder: &Path, options: &[&str]) -> Vec<(Vec<u64>, u64, f64)> {
    let output = segment(folder, &[&["discs.png", "--mode", "objects", "--json"], options].concat());
    assert_status(&output, 0);
    let report = &json_lines(&output)[0];
    let labels = report["labels"].as_array().unwrap();
    let objects = labels.iter().filter(|label| label["kind"] == "object");
    let numbers = |label: &serde_json::Value| label["box"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    objects.map(|label| (numbers(label), label["area"].as_u64().unwrap(), label["score"].as_f64().unwrap())).collect()
}

#[test]
fn objects_that_touch_are_told_apart() {
    let dir = folder();
    discs(&dir.path().join("discs.png"));
    let found = objects(dir.path(), &[]);
    let at = |x: u64, y: u64| found.iter().filter(|(b, ..)| b[0] <= x && x < b[0] + b[2] && b[1] <= y && y < b[1] + b[3]).count();
    assert!((2..=3).contains(&found.len()), "{found:?}");
    assert_eq!((at(45, 80), at(140, 80)), (1, 1), "two discs, two boxes: {found:?}");
    assert!(found.windows(2).all(|pair| pair[0].2 >= pair[1].2) && found.iter().all(|(.., score)| (0.0..=1.0).contains(score)));
    // Options choose among them.
    assert_eq!(objects(dir.path(), &["--max-objects", "1"]), found[..1]);
    assert!(objects(dir.path(), &["--drop-border"]).iter().all(|(b, ..)| b[0] > 0 && b[0] + b[2] < 240));
    let least = found.iter().map(|(_, area, _)| *area).max().unwrap();
    let large = objects(dir.path(), &["--min-area", &((least - 1) as f64 / (240.0 * 160.0)).to_string()]);
    assert!(!large.is_empty() && large.iter().all(|(_, area, _)| *area == least), "{large:?}");
    assert_eq!(objects(dir.path(), &["--min-confidence", "1"]), []);
}

#[test]
fn several_objects_are_written_as_labels_and_numbered() {
    let dir = folder();
    discs(&dir.path().join("discs.png"));
    assert_status(&segment(dir.path(), &["discs.png", "-o", "out", "--mode", "objects"]), 0);
    assert_eq!(tree(&dir.path().join("out")), ["discs.labels.png", "discs.overlay.png"]);
    let maskcut = deepcut(dir.path())
        .args(["segment", "discs.png", "-o", "cuts", "--mode", "objects", "--method", "maskcut"])
        .output()
        .unwrap();
    assert_status(&maskcut, 0);
}

#[test]
fn what_does_not_go_with_objects_is_refused_or_told() {
    let dir = folder();
    discs(&dir.path().join("discs.png"));
    for (arguments, told) in [
        (&["--mode", "objects", "-k", "3"][..], "n_clusters is 3; expected unset"),
        (&["--method", "maskcut"], "expected another, or the mode objects"),
        (&["--mode", "objects", "--method", "maskcut", "--tau", "none"], "tau is none; expected at least 0"),
        (&["--mode", "objects", "--objective", "correlation"], "mode is objects; expected another"),
        (&["--mode", "objects", "--largest-component"], "use max_objects"),
        (&["--mode", "objects", "--max-objects", "255"], "expected 1 to 254"),
        (&["--mode", "objects", "--min-area", "0.5", "--max-area", "0.1"], "expected at least min_area"),
        (&["--mode", "objects", "--min-area", "nan"], "min_area is NaN; expected 0 to 1"),
        (&["--max-area", "inf"], "max_area is inf; expected"),
        (&["--min-confidence", "nan"], "min_confidence is NaN; expected 0 to 1"),
        (&["--lr", "inf"], "learning_rate is inf; expected"),
        (&["--tau", "nan"], "tau is NaN; expected"),
        (&["--objective", "correlation", "--alpha", "inf"], "alpha is inf; expected"),
    ] {
        let output = segment(dir.path(), &[&["discs.png", "-o", "out"], arguments].concat());
        assert_status(&output, 2);
        assert!(stderr(&output).contains(told), "{arguments:?}: {}", stderr(&output));
    }
    let output = segment(dir.path(), &["discs.png", "-o", "out", "--fill-holes"]);
    assert_status(&output, 0);
    assert!(stderr(&output).contains("--fill-holes has no effect: it belongs to the mode objects"), "{}", stderr(&output));
}
