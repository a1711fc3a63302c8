//! Every combination of options gives labels or an error of its kind, never a panic: on a tiny picture, through the library alone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use deepcut::backbone::FeatureMap;
use deepcut::segment::stages::{ClusterError, memory};
use deepcut::segment::{cluster, to_pixels};
use deepcut::{Image, Isa, Method, Objective, Options};
use serde_json::{Value, json};
use std::ops::ControlFlow;

const GRID: (usize, usize) = (5, 6);
const DIM: usize = 4;

/// A bright block before a ground of another direction, with irregular values; `colors` as Deep Spectral wants them.
fn features(colors: bool) -> FeatureMap {
    let (grid_height, grid_width) = GRID;
    let cells = grid_height * grid_width;
    let inside = |cell: usize| (1..4).contains(&(cell / grid_width)) && (2..5).contains(&(cell % grid_width));
    let data = (0..cells * DIM).map(|at| {
        let (cell, c) = (at / DIM, at % DIM);
        let base = if inside(cell) == (c < 2) { 1.0 } else { -0.2 };
        base + ((at * 31 % 17) as f32 - 8.0) / 60.0
    });
    let colors = colors.then(|| (0..cells * 3).map(|at| if inside(at / 3) { 0.9 } else { 0.1 }).collect());
    FeatureMap { grid_height, grid_width, dim: DIM, data: data.collect(), colors }
}

fn image() -> Image {
    Image::new(20, 24, (0..20 * 24 * 3).map(|i| (i * 7 % 251) as u8).collect()).unwrap()
}

/// Clusters and brings to pixels, whatever the options say. Whether there were labels.
fn segmented(options: &Options, map: &FeatureMap, image: &Image) -> bool {
    match cluster(Isa::detect(), map, options, &mut |_| ControlFlow::Continue(())) {
        Ok(clustering) => {
            let found = to_pixels(image, &clustering, options, &mut |_| {});
            assert_eq!(found.labels.len(), image.height() * image.width());
            assert!((0.0..=1.0).contains(&found.confidence));
            options.validate().unwrap();
            true
        }
        Err(error) => {
            let invalid = options.validate().is_err();
            assert!(invalid == matches!(error, ClusterError::Options(_)), "{error}");
            assert!(invalid || matches!(error, ClusterError::TooManyClusters { .. }), "{error}");
            false
        }
    }
}

/// The values of each field as JSON has them; all combinations of the first fields, the others in turns.
#[test]
fn every_combination_is_labels_or_an_error() {
    let (maps, image) = ([false, true].map(features), image());
    let kinds = [
        ("method", json!(["deepcut", "kmeans", "spectral", "tokencut", "lost", "deep-spectral", "pca"])),
        ("objective", json!(["normalized-cut", "mincut", "correlation", "modularity"])),
        ("mode", json!(["object", "parts", "scene"])),
        ("n_clusters", json!([null, 2, 3, 32])),
        ("tau", json!([null, 0.2, -1.0, 1.0])),
    ];
    let others = [
        ("refine", json!(["none", "bilateral", "bilateral-published"])),
        ("foreground", json!(["border", "corner"])),
        ("upsampling", json!(["soft", "nearest"])),
        ("largest_component", json!([false, true])),
        ("center_parts", json!([true, false])),
        ("feature_norm", json!([5.0, null, 0.001])),
        ("precision", json!(["f32", "bf16", "int8"])),
        ("log_bin", json!([false, true])),
        ("min_confidence", json!([0.0, 0.5, 1.0])),
        ("dropout", json!([0.0, 0.25])),
        ("seed", json!([0, 1, u64::MAX])),
    ];
    let plain = {
        let mut options = serde_json::to_value(Options::default()).unwrap();
        options["epochs"] = json!([2, 2, 2]);
        options
    };
    let (mut labelled, mut refused, mut at) = (0, 0, 0);
    let values = |value: &Value| value.as_array().unwrap().clone();
    let mut combinations = vec![plain];
    for (field, choices) in &kinds {
        combinations = combinations
            .into_iter()
            .flat_map(|options| values(choices).into_iter().map(move |value| with(&options, field, value)))
            .collect();
    }
    assert_eq!(combinations.len(), 7 * 4 * 3 * 4 * 4);
    for mut options in combinations {
        for (i, (field, choices)) in others.iter().enumerate() {
            let choices = values(choices);
            // Every field at its own pace, so that neighbours differ in several.
            options[*field] = choices[at / (1 + i) % choices.len()].clone();
        }
        at += 1;
        let options: Options = serde_json::from_value(options).unwrap();
        if segmented(&options, &maps[at % 2], &image) { labelled += 1 } else { refused += 1 }
    }
    println!("{labelled} labelled, {refused} refused");
    assert!(labelled > 300 && refused > 100, "{labelled} labelled, {refused} refused");
}

fn with(options: &Value, field: &str, value: Value) -> Value {
    let mut options = options.clone();
    options[field] = value;
    options
}

/// Numbers as nobody should set them.
#[test]
fn absurd_numbers_are_errors_that_name_them() {
    let (map, image) = (features(true), image());
    type Change = fn(&mut Options, f32);
    let fields: [(&str, Change); 7] = [
        ("tau", |o, x| o.tau = Some(x)),
        ("alpha", |o, x| (o.alpha, o.objective) = (x, Objective::Correlation)),
        ("learning_rate", |o, x| o.learning_rate = x),
        ("weight_decay", |o, x| o.weight_decay = x),
        ("dropout", |o, x| o.dropout = x),
        ("feature_norm", |o, x| o.feature_norm = Some(x)),
        ("min_confidence", |o, x| o.min_confidence = x),
    ];
    for (name, change) in fields {
        for x in
            [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, 1e-45, 1e-38, 0.5, 1.0, 1.5, 999.0, 1e6, f32::MAX, f32::MIN]
        {
            let mut options = Options::default();
            options.epochs = [2; 3];
            change(&mut options, x);
            if !segmented(&options, &map, &image) {
                assert_eq!(options.validate().unwrap_err().name, name, "{x}");
            }
        }
    }
    for epochs in [[0, 1, 1], [1, 0, 1], [usize::MAX, 1, 1]] {
        let mut options = Options::default();
        options.epochs = epochs;
        assert!(!segmented(&options, &map, &image));
    }
    for k in [0, 1, 33, usize::MAX] {
        let mut options = Options::default();
        options.n_clusters = Some(k);
        assert!(!segmented(&options, &map, &image));
    }
}

#[test]
fn features_that_do_not_fit_their_grid_are_errors() {
    let good = features(true);
    let broken: [fn(&mut FeatureMap); 7] = [
        |m| m.grid_height = usize::MAX / 2 + 3,
        |m| (m.grid_height, m.grid_width) = (0, 0),
        |m| m.dim = 0,
        |m| m.dim = usize::MAX / 30,
        |m| m.data.truncate(7),
        |m| m.colors.as_mut().map_or((), |colors| colors.truncate(5)),
        |m| m.data[7] = f32::NAN,
    ];
    for method in Method::ALL {
        for (i, change) in broken.iter().enumerate() {
            let mut map = good.clone();
            change(&mut map);
            let mut options = Options::default();
            options.method = method;
            assert!(cluster(Isa::detect(), &map, &options, &mut |_| ControlFlow::Continue(())).is_err(), "{} {i}", method.name());
        }
    }
}

#[test]
fn what_has_no_effect_is_known() {
    let ignored = |change: fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        options.ignored().into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(ignored(|_| {}), ["alpha", "center_parts", "own_draws"]);
    assert!(ignored(|o| o.method = Method::Kmeans).contains(&"tau"));
    assert!(!ignored(|o| o.method = Method::Tokencut).contains(&"tau"));
    assert_eq!(ignored(|o| o.objective = Objective::Correlation), ["tau", "center_parts", "own_draws"]);
    // What is said to have none has none on the labels.
    let (map, image) = (features(true), image());
    let labels = |options: &Options| {
        let clustering = cluster(Isa::detect(), &map, options, &mut |_| ControlFlow::Continue(())).unwrap();
        to_pixels(&image, &clustering, options, &mut |_| {}).labels
    };
    for method in Method::ALL {
        for objective in [Objective::NormalizedCut, Objective::Correlation] {
            let mut options = Options::default();
            (options.method, options.objective, options.epochs) = (method, objective, [5; 3]);
            if options.validate().is_err() {
                continue;
            }
            let mut changed = options.clone();
            for (name, _) in options.ignored() {
                match name {
                    "objective" => changed.objective = Objective::Modularity,
                    "alpha" => changed.alpha = 7.0,
                    "tau" => changed.tau = Some(0.7),
                    "epochs" => changed.epochs = [1, 2, 3],
                    "learning_rate" => changed.learning_rate = 0.5,
                    "weight_decay" => changed.weight_decay = 0.5,
                    "dropout" => changed.dropout = 0.5,
                    "seed" => changed.seed = 9,
                    "center_parts" => changed.center_parts = false,
                    "own_draws" => changed.own_draws = true,
                    other => panic!("`{other}` is not tried"),
                }
            }
            assert_eq!(labels(&options), labels(&changed), "{} {objective:?}", method.name());
        }
    }
}

/// Peak of this process, in bytes; None where the system does not tell or does not forget.
fn peak_of(work: impl FnOnce()) -> Option<u64> {
    let status = |name: &str| -> Option<u64> {
        let text = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    };
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    let before = status("VmRSS:")?;
    work();
    Some(status("VmHWM:")?.saturating_sub(before))
}

/// What a method is said to take is what it takes: not less, nor much more where it is much. Alone in its process: see the test below.
#[test]
#[ignore = "measures the process's own memory: run by `memory_is_known_beforehand`"]
fn memory_is_measured() {
    let (side, dim) = (76, 64);
    let nodes = side * side;
    let data = (0..nodes * dim).map(|i| ((i * 7919 + i / dim * 31) % 997) as f32 / 997.0 - 0.4).collect();
    let colors = Some((0..nodes * 3).map(|i| (i * 7 % 101) as f32 / 101.0).collect());
    let map = FeatureMap { grid_height: side, grid_width: side, dim, data, colors };
    for (method, tau, objective) in Method::ALL
        .map(|method| (method, Some(0.2), Objective::NormalizedCut))
        .into_iter()
        .chain([(Method::Deepcut, None, Objective::Mincut), (Method::Deepcut, None, Objective::Correlation)])
    {
        let mut options = Options::default();
        (options.method, options.tau, options.objective, options.epochs) = (method, tau, objective, [2; 3]);
        let said = memory(Isa::detect(), nodes, dim, &options);
        let peak = peak_of(|| drop(cluster(Isa::detect(), &map, &options, &mut |_| ControlFlow::Continue(())).unwrap()));
        let Some(peak) = peak else {
            println!("skipped: this system does not tell a process's peak of memory");
            return;
        };
        println!("{} {objective:?} {tau:?}: said {:.1} MB, took {:.1} MB", method.name(), said as f64 / 1e6, peak as f64 / 1e6);
        assert!(peak <= said + (8 << 20), "{} {objective:?}: said {said}, took {peak}", method.name());
        assert!(said < 100 << 20 || said <= 2 * peak, "{} {objective:?}: said {said}, took {peak}", method.name());
    }
}

#[test]
fn memory_is_known_beforehand() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["memory_is_measured", "--exact", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let text = [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)].concat();
    println!("{text}");
    assert!(output.status.success(), "{text}");

    // Deep Spectral at 1024 pixels and a stride of 8, in bytes a pair of patches.
    let mut options = Options::default();
    options.method = Method::DeepSpectral;
    let pairs = 16384.0f64.powi(2);
    assert!((memory(Isa::detect(), 16384, 128, &options) as f64 / pairs) < 5.0);
    // No size is too large to be said.
    assert_eq!(memory(Isa::detect(), usize::MAX, 1, &options), u64::MAX);
}
