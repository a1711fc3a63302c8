//! Average precision of instances against the figures of pycocotools; `fixtures/generate_instances.py` made the images and asked for them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use deepcut::instances::Instance;
use deepcut::metrics::average_precision::{Matches, NAMES, Ranking, TrueObject, match_instances};
use deepcut::rle::Rle;
use serde_json::Value;

fn mask(of: &Value) -> Rle {
    let [height, width] = [0, 1].map(|side| of["segmentation"]["size"][side].as_u64().unwrap() as usize);
    Rle::from_compressed(height, width, of["segmentation"]["counts"].as_str().unwrap().as_bytes()).unwrap()
}

/// Those of an image, in the order of the file.
fn of_image<'a>(list: &'a Value, id: &'a Value) -> impl Iterator<Item = &'a Value> {
    list.as_array().unwrap().iter().filter(move |entry| entry["image_id"] == *id)
}

fn matches(case: &Value, id: &Value) -> [Matches; 2] {
    let found: Vec<Instance> = of_image(&case["results"], id)
        .map(|found| Instance { mask: mask(found), score: found["score"].as_f64().unwrap() })
        .collect();
    // pycocotools has the objects of one category after those of another.
    let mut annotations: Vec<&Value> = of_image(&case["truth"]["annotations"], id).collect();
    annotations.sort_by_key(|annotation| annotation["category_id"].as_u64());
    let object = |annotation: &&Value| TrueObject {
        mask: mask(annotation),
        bounds: [0, 1, 2, 3].map(|side| annotation["bbox"][side].as_f64().unwrap()),
        is_crowd: annotation["iscrowd"] == 1,
    };
    match_instances(&found, &annotations.iter().map(object).collect::<Vec<_>>())
}

#[test]
fn figures_are_those_of_pycocotools() {
    let fixture: Value = serde_json::from_str(include_str!("fixtures/instances_expected.json")).unwrap();
    let mut largest = 0.0f64;
    for case in fixture["cases"].as_array().unwrap() {
        let mut ids: Vec<&Value> = case["truth"]["images"].as_array().unwrap().iter().map(|image| &image["id"]).collect();
        ids.sort_by_key(|id| id.as_u64());
        let all: Vec<[Matches; 2]> = ids.into_iter().map(|id| matches(case, id)).collect();
        for (at, kind) in ["segm", "bbox"].into_iter().enumerate() {
            let ranking = Ranking::new(all.iter().map(|both| &both[at]));
            let values = ranking.values(&vec![1; all.len()]);
            for ((value, name), expected) in values.into_iter().zip(NAMES).zip(case["expected"][kind].as_array().unwrap()) {
                let difference = (value - expected.as_f64().unwrap()).abs();
                assert!(difference < 1e-6, "{}: {kind} {name} {value}, pycocotools {expected}", case["name"]);
                largest = largest.max(difference);
            }
            let intervals = ranking.intervals();
            assert_eq!(intervals.is_some(), all.len() > 1);
            for ([low, high], value) in intervals.into_iter().flatten().zip(values) {
                assert!(0.0 <= low && low <= value && value <= high && high <= 1.0, "{low} {value} {high}");
            }
        }
    }
    // Measured: 4e-17 to 2e-16, the last bits of sums.
    assert!(largest < 1e-12, "{largest}");
}
