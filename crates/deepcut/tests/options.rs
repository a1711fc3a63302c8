//! Every combination of options gives labels or an error of its kind, never a panic: on a tiny picture, through the library alone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use deepcut::segment::{ClusterError, ForegroundRule};
use deepcut::{Clustering, Cpu, Edges, FeatureMap, Image, Method, Mode, Objective, Options, Recipe, Start};
use serde_json::{Value, json};

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
    let map = FeatureMap::new(grid_height, grid_width, DIM, data.collect()).unwrap();
    if !colors {
        return map;
    }
    map.with_colors((0..cells * 3).map(|at| if inside(at / 3) { 0.9 } else { 0.1 }).collect()).unwrap()
}

fn image() -> Image<'static> {
    Image::new(20, 24, (0..20 * 24 * 3).map(|i| (i * 7 % 251) as u8).collect()).unwrap()
}

fn cluster(map: &FeatureMap, options: &Options) -> Result<Clustering, ClusterError> {
    let maps = std::slice::from_ref(map);
    options.recipe.cluster(&Cpu::default(), maps, Start::Seed(options.seed)).map(|mut found| found.remove(0))
}

/// Clusters and brings to pixels, whatever the options say. Whether there were labels.
fn segmented(options: &Options, map: &FeatureMap, image: &Image) -> bool {
    match cluster(map, options) {
        Ok(clustering) => {
            let found = options.finish.to_pixels(&Cpu::default(), image, &clustering);
            assert_eq!(found.labels().len(), image.height() * image.width());
            assert!((0.0..=1.0).contains(&found.confidence()));
            options.recipe.validate().unwrap();
            options.finish.validate().is_ok()
        }
        Err(error) => {
            let invalid = options.recipe.validate().is_err();
            assert!(invalid == matches!(error, ClusterError::Option(_)), "{error}");
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
        ("refine", json!(["guided", "none", "bilateral", "bilateral-published"])),
        ("foreground", json!(["border", "corner"])),
        ("upsampling", json!(["soft", "nearest"])),
        ("largest_component", json!([false, true])),
        ("single_object", json!([false, false, true])),
        ("center_parts", json!([true, false])),
        ("feature_norm", json!([5.0, null, 0.001])),
        ("precision", json!(["f32", "bf16", "int8"])),
        ("log_bin", json!([false, true])),
        ("min_confidence", json!([0.0, 0.5, 1.0])),
        ("dropout", json!([0.0, 0.25])),
        ("seed", json!([0, 1, u64::MAX])),
    ];
    let plain = Options::default().recipe(Recipe::default().epochs([2; 3]));
    let (mut labelled, mut refused, mut at) = (0, 0, 0);
    let values = |value: &Value| value.as_array().unwrap().clone();
    let mut combinations = vec![plain];
    for (field, choices) in &kinds {
        combinations = combinations
            .into_iter()
            .flat_map(|options| values(choices).into_iter().map(move |value| with(&options, field, &value)))
            .collect();
    }
    assert_eq!(combinations.len(), 7 * 4 * 3 * 4 * 4);
    for mut options in combinations {
        for (i, (field, choices)) in others.iter().enumerate() {
            let choices = values(choices);
            // Every field at its own pace, so that neighbours differ in several.
            options.set(field, &choices[at / (1 + i) % choices.len()]).unwrap();
        }
        at += 1;
        if segmented(&options, &maps[at % 2], &image) { labelled += 1 } else { refused += 1 }
    }
    println!("{labelled} labelled, {refused} refused");
    assert!(labelled > 300 && refused > 100, "{labelled} labelled, {refused} refused");
}

fn with(options: &Options, field: &str, value: &Value) -> Options {
    let mut options = options.clone();
    options.set(field, value).unwrap();
    options
}

/// Numbers as nobody should set them.
#[test]
fn absurd_numbers_are_errors_that_name_them() {
    let (map, image) = (features(true), image());
    type Change = fn(&mut Options, f32);
    let fields: [(&str, Change); 7] = [
        ("tau", |o, x| o.recipe.edges = Edges::Threshold(x)),
        ("alpha", |o, x| o.recipe = Recipe::default().objective(Objective::Correlation).edges(Edges::Correlation { alpha: x })),
        ("learning_rate", |o, x| o.recipe.learning_rate = x),
        ("weight_decay", |o, x| o.recipe.weight_decay = x),
        ("dropout", |o, x| o.recipe.dropout = x),
        ("feature_norm", |o, x| o.recipe.feature_norm = Some(x)),
        ("min_confidence", |o, x| o.finish.min_confidence = x),
    ];
    for (name, change) in fields {
        for x in
            [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, 1e-45, 1e-38, 0.5, 1.0, 1.5, 999.0, 1e6, f32::MAX, f32::MIN]
        {
            let mut options = Options::default();
            change(&mut options, x);
            options.recipe.epochs = [2; 3];
            if !segmented(&options, &map, &image) {
                assert_eq!(options.validate().unwrap_err().name, name, "{x}");
            }
        }
    }
    for epochs in [[0, 1, 1], [1, 0, 1], [usize::MAX, 1, 1]] {
        let mut options = Options::default();
        options.recipe.epochs = epochs;
        assert!(!segmented(&options, &map, &image));
    }
    for k in [0, 1, 33, usize::MAX] {
        let mut options = Options::default();
        options.recipe.n_clusters = Some(k);
        assert!(!segmented(&options, &map, &image));
    }
}

#[test]
fn what_has_no_effect_is_known() {
    let ignored = |recipe: Recipe| recipe.without_effect().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(ignored(Recipe::default()), ["center_parts", "own_draws"]);
    assert!(ignored(Recipe::default().method(Method::Kmeans)).contains(&"edges"));
    assert!(!ignored(Recipe::default().method(Method::Tokencut)).contains(&"edges"));
    assert!(ignored(Recipe::default().mode(Mode::Scene)).is_empty());
    // What is said to have none has none on the labels.
    let (map, image) = (features(true), image());
    let objectness = (0..map.patches()).map(|patch| (patch % 7) as f32 - 3.0).collect();
    let map = map.with_objectness(objectness).unwrap();
    let labels = |options: &Options| {
        let clustering = cluster(&map, options).unwrap();
        options.finish.to_pixels(&Cpu::default(), &image, &clustering).labels().to_vec()
    };
    for method in Method::ALL {
        for objective in [Objective::NormalizedCut, Objective::Correlation] {
            let mode = if method == Method::Maskcut { Mode::Objects } else { Mode::Object };
            let recipe = Recipe::default().method(method).mode(mode).objective(objective).epochs([5; 3]);
            let options = Options::default().recipe(recipe);
            if options.validate().is_err() {
                continue;
            }
            let mut changed = options.clone();
            let recipe = &mut changed.recipe;
            for (name, _) in options.recipe.without_effect() {
                match name {
                    "objective" => recipe.objective = Objective::Modularity,
                    "edges" => recipe.edges = Edges::Threshold(0.7),
                    "epochs" => recipe.epochs = [1, 2, 3],
                    "learning_rate" => recipe.learning_rate = 0.5,
                    "weight_decay" => recipe.weight_decay = 0.5,
                    "dropout" => recipe.dropout = 0.5,
                    "seed" => changed.seed = 9,
                    "center_parts" => recipe.center_parts = false,
                    "own_draws" => recipe.own_draws = true,
                    "foreground" => recipe.foreground = ForegroundRule::Corner,
                    "prior_weight" => recipe.prior_weight = 0.5,
                    "least_peak" => recipe.least_peak = 0.0,
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
    let colors = (0..nodes * 3).map(|i| (i * 7 % 101) as f32 / 101.0).collect();
    let objectness = (0..nodes).map(|i| (i % 7) as f32 - 3.0).collect();
    let map = FeatureMap::new(side, side, dim, data).unwrap().with_colors(colors).unwrap().with_objectness(objectness).unwrap();
    let of_method =
        |method| Recipe::default().method(method).mode(if method == Method::Maskcut { Mode::Objects } else { Mode::Object });
    let recipes = Method::ALL.map(of_method).into_iter();
    let others = [Recipe::paper().dropout(0.0), Recipe::default().objective(Objective::Correlation)];
    for recipe in recipes.chain(others) {
        let options = Options::default().recipe(recipe.epochs([2; 3]));
        let Recipe { method, objective, edges, .. } = options.recipe;
        let said = options.recipe.memory(&Cpu::default(), nodes, dim);
        let peak = peak_of(|| drop(cluster(&map, &options).unwrap()));
        let Some(peak) = peak else {
            println!("skipped: this system does not tell a process's peak of memory");
            return;
        };
        println!("{} {objective:?} {edges:?}: said {:.1} MB, took {:.1} MB", method.name(), said as f64 / 1e6, peak as f64 / 1e6);
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
    let recipe = Recipe::default().method(Method::DeepSpectral);
    let pairs = 16384.0f64.powi(2);
    assert!((recipe.memory(&Cpu::default(), 16384, 128) as f64 / pairs) < 5.0);
    // Every thread has buffers of its own, whoever asks.
    let four = Cpu::builder().threads(4).build().unwrap();
    assert!(recipe.memory(&four, 16384, 128) > recipe.memory(&Cpu::single(), 16384, 128));
    // No size is too large to be said.
    assert_eq!(recipe.memory(&Cpu::default(), usize::MAX, 1), u64::MAX);
}
