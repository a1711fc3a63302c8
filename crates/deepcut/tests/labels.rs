//! Labels stay what they are, to the pixel: on the project's own pictures, and on photographs where those are at hand.
//!
//! The portable kernels in f32 give the same labels on every processor, so one sum of each is enough.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use deepcut::backbone::embedded;
use deepcut::{Cpu, Image, Isa, Method, Mode, Objective, Options, Precision, Recipe, Refine, Segmenter};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn options(what: &str) -> Options {
    let default = Recipe::default;
    let (what, refine) = match what.strip_suffix(" guided") {
        Some(what) => (what, Refine::Guided),
        None if what == "tokencut" => (what, Refine::Bilateral),
        None => (what, Refine::None),
    };
    // The version before had no prior.
    let (what, prior_weight) = match what.strip_prefix("prior ") {
        Some(what) => (what, Recipe::default().prior_weight),
        None => (what, 0.0),
    };
    let mut options = match what {
        "object" => Options::default(),
        "parts" => Options::default().recipe(default().mode(Mode::Parts)),
        "objects" => Options::default().recipe(default().mode(Mode::Objects)),
        "scene" => Options::default().recipe(default().mode(Mode::Scene)),
        "paper" => Options::paper(),
        "tokencut" => Options::default().recipe(default().method(Method::Tokencut)),
        "correlation" => Options::default().recipe(default().objective(Objective::Correlation)),
        "five" => Options::default().recipe(default().n_clusters(5).single_object(true)),
        other => panic!("`{other}` is not known"),
    };
    options.finish.refine = refine;
    options.finish.largest_component = what == "five";
    options.view.resolution = Some(160);
    options.recipe.precision = Precision::F32;
    options.recipe.prior_weight = prior_weight;
    options
}

#[test]
fn labels_are_those_of_the_version_before() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let expected = std::fs::read_to_string(root.join("tests/fixtures/labels_expected.tsv")).unwrap();
    let mut cases: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for line in expected.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        cases.entry(fields[0]).or_default().push((fields[1], fields[2]));
    }
    let cpu = Cpu::builder().isa(Isa::portable()).build().unwrap();
    let place = |name: &str| -> PathBuf {
        let own = root.join(format!("../../examples/pictures/{name}.jpg"));
        if own.exists() { own } else { root.join(format!("../../../shared/data/ecssd/images/{name}.jpg")) }
    };
    let (mut compared, mut absent, mut different) = (0, 0, Vec::new());
    for (what, images) in cases {
        let network = embedded::load(&cpu, Precision::F32).unwrap();
        let segmenter = Segmenter::new(Box::new(network), options(what), cpu.clone()).unwrap();
        for (name, sum) in images {
            let Ok(bytes) = std::fs::read(place(name)) else {
                absent += 1;
                continue;
            };
            let found = segmenter.segment(&Image::decode(&bytes).unwrap()).unwrap();
            let actual: String = Sha256::digest(found.labels()).iter().map(|byte| format!("{byte:02x}")).collect();
            compared += 1;
            if actual != sum {
                different.push(format!("{what}\t{name}\t{actual}"));
            }
        }
    }
    if absent > 0 {
        println!("skipped: {absent} photographs are not here");
    }
    assert!(compared >= 39, "only {compared} images compared");
    assert!(different.is_empty(), "{} of {compared} images have other labels:\n{}", different.len(), different.join("\n"));
}
