//! What `--profile paper` and the baselines take over from published code.

use super::{assert_status, deepcut, folder, json_lines, picture, save, segment, stderr};
use serde_json::Value;
use std::path::Path;

/// The single JSON object that a command prints.
#[track_caller]
fn report(folder: &Path, arguments: &[&str]) -> Value {
    let output = deepcut(folder).args(arguments).output().unwrap();
    assert_status(&output, 0);
    json_lines(&output).swap_remove(0)
}

/// Precision of the network, and of the graph and the training, in every result.
fn precisions(report: &Value) -> (String, Vec<String>) {
    let word = |value: &Value| value["precision"].as_str().unwrap().to_owned();
    let results =
        report["results"].as_array().map(|results| results.iter().map(|result| word(&result["options"]["recipe"])).collect());
    let options = || report.get("options").map(|options| word(&options["recipe"])).into_iter().collect();
    (word(&report["backbone"]), results.unwrap_or_else(options))
}

#[test]
fn the_paper_profile_is_in_f32_unless_asked() {
    let dir = folder();
    for name in ["images", "masks"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    save(&dir.path().join("images/a.png"));
    let size = image::open(dir.path().join("images/a.png")).unwrap();
    let mask = image::GrayImage::from_fn(size.width(), size.height(), |x, _| image::Luma([if x > 9 { 255 } else { 0 }]));
    mask.save(dir.path().join("masks/a.png")).unwrap();
    let of = |arguments: &[&str], extra: &[&str]| precisions(&report(dir.path(), &[arguments, extra].concat()));
    let segment = ["segment", "images/a.png", "--json"];
    let features = ["features", "images/a.png", "--json", "--overwrite"];
    let eval = ["eval", "masks", "--root", ".", "--json"];
    let sweep = ["sweep", "masks", "--root", ".", "--json", "--set", "tau=0.1,0.2"];
    for command in [&segment[..], &features, &eval, &sweep] {
        let auto = of(command, &[]);
        let paper = of(command, &["--profile", "paper"]);
        assert_eq!(paper.0, "f32", "{command:?}");
        assert!(paper.1.iter().all(|precision| precision == "f32"), "{command:?}: {paper:?}");
        assert_eq!(of(command, &["--profile", "paper", "--precision", "auto"]), auto, "asked for: {command:?}");
        assert_eq!(of(command, &["--profile", "paper", "--precision", "bf16"]).0, "bf16", "asked for: {command:?}");
        assert_eq!(of(command, &["--profile", "default"]), auto, "{command:?}");
    }
    // Profiles are compared on one network, as the paper has it.
    for pair in [["paper", "default"], ["default", "paper"]] {
        let both = of(&eval, &["--compare", pair[0], pair[1]]);
        assert_eq!(both, ("f32".into(), vec!["f32".into(); 2]), "{pair:?}");
    }
    let output = deepcut(dir.path()).args(eval).args(["--compare", "default", "PAPER"]).output().unwrap();
    assert!(!output.status.success() && stderr(&output).contains("a profile: paper, default"), "{}", stderr(&output));
    let methods = ["--compare", "deepcut", "kmeans"];
    assert_eq!(of(&eval, &methods).0, of(&eval, &[]).0);
    // One network a run: what sweeps cannot change is not taken for changed.
    let output = deepcut(dir.path()).args(["sweep", "masks", "--root", ".", "--set", "precision=f32,bf16"]).output().unwrap();
    assert!(!output.status.success() && stderr(&output).contains("--precision"), "{}", stderr(&output));
}

#[test]
fn deep_spectral_looks_at_colors_only_if_asked() {
    let dir = folder();
    picture(96, 128).save(dir.path().join("a.png")).unwrap();
    let method = ["segment", "a.png", "--json", "--method", "deep-spectral"];
    let color = |extra: &[&str]| report(dir.path(), &[&method, extra].concat())["options"]["recipe"]["color"].as_f64().unwrap();
    assert_eq!(color(&[]), 0.0);
    assert_eq!(color(&["--profile", "paper"]), 0.0);
    assert_eq!(color(&["--colour", "10"]), 10.0);
    assert_eq!(color(&["--color", "2.5"]), 2.5);
    let labels = |out: &str, extra: &[&str]| {
        let arguments = [&["a.png", "--method", "deep-spectral", "--format", "labels", "-o", out], extra].concat();
        assert_status(&segment(dir.path(), &arguments), 0);
        std::fs::read(dir.path().join(out).join("a.labels.png")).unwrap()
    };
    let plain = labels("plain", &[]);
    assert_eq!(labels("zero", &["--color", "0"]), plain);
    assert_ne!(labels("ten", &["--color", "10"]), plain);
    assert_eq!(labels("dix", &["--colour", "10"]), labels("zehn", &["--color", "10"]));
    for (arguments, word) in [
        (&["--color", "10"][..], "deep-spectral"),
        (&["--colour", "10", "--method", "tokencut"], "deep-spectral"),
        (&["--color", "1001", "--method", "deep-spectral"], "0 to 1000"),
        (&["--color=-1", "--method", "deep-spectral"], "0 to 1000"),
        (&["--color", "nan", "--method", "deep-spectral"], "0 to 1000"),
        (&["--color", "red", "--method", "deep-spectral"], "red"),
    ] {
        let output = segment(dir.path(), &[&["a.png", "-o", "no"], arguments].concat());
        assert_status(&output, 2);
        assert!(stderr(&output).contains(word), "{arguments:?}: {}", stderr(&output));
    }
    assert!(!dir.path().join("no").exists());
}

/// Before there are parts there are an object and a background, with correlation clustering too: the object is that of two clusters.
#[test]
fn parts_by_correlation_are_of_an_object_found_with_two_clusters() {
    let dir = folder();
    picture(96, 128).save(dir.path().join("a.png")).unwrap();
    for profile in ["paper", "default"] {
        let mask = |out: &str, extra: &[&str]| {
            let common =
                ["a.png", "--objective", "correlation", "--profile", profile, "--format", "mask", "--overwrite", "-o", out];
            assert_status(&segment(dir.path(), &[&common, extra].concat()), 0);
            image::open(dir.path().join(out).join("a.mask.png")).unwrap().into_luma8()
        };
        let object = mask("object", &["-k", "2"]);
        for mode in ["parts", "scene"] {
            assert_eq!(mask("whole", &["--mode", mode]), object, "{profile}, {mode}");
            assert_eq!(mask("five", &["--mode", mode, "-k", "5"]), object, "{profile}, {mode} -k 5");
        }
    }
}

#[test]
fn the_list_of_networks_says_which_of_dino_s_two_it_has() {
    let dir = folder();
    let list = |extra: &[&str]| {
        let output = deepcut(dir.path()).env("HF_HOME", dir.path()).args(["models", "list"]).args(extra).output().unwrap();
        assert_status(&output, 0);
        output
    };
    assert!(String::from_utf8(list(&[]).stdout).unwrap().contains("dino-*: the teacher"));
    let entries = json_lines(&list(&["--json"]));
    let note = |name: &str| entries.iter().find(|entry| entry["name"] == name).unwrap()["note"].as_str().unwrap_or("").to_owned();
    assert!(note("dino-vits8").contains("teacher") && note("dino-vitb16").contains("student"));
    assert_eq!(note("dinov2-vits14"), "");
}
