//! The examples run as their first lines say, and print what a reader is to see.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The profile and the target folder that this test was built with, from where it lies: `TARGET/PROFILE/deps/NAME`.
fn profile_and_target() -> (String, PathBuf) {
    let program = std::env::current_exe().unwrap();
    let folder = program.ancestors().nth(2).unwrap();
    let profile = folder.file_name().unwrap().to_str().unwrap();
    (if profile == "debug" { "dev" } else { profile }.to_owned(), folder.parent().unwrap().to_owned())
}

/// What an example prints.
fn run(name: &str, arguments: &[&str]) -> String {
    let (profile, target) = profile_and_target();
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--offline", "--profile", &profile, "--target-dir"])
        .arg(target)
        .args(["--example", name, "--"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn rgb_becomes_a_mask() {
    let text = run("rgb_to_mask", &[]);
    let (mask, last) = text.split_once("object: ").unwrap();
    // A disk of a quarter of the image.
    let (inside, all) = (mask.matches('#').count(), mask.matches(['#', '.']).count());
    assert!((20..32).contains(&(100 * inside / all)), "{text}");
    assert!(last.contains("box: x 1"), "{text}");
}

#[test]
fn features_are_clustered_five_ways() {
    let text = run("cluster_five_ways", &[]);
    let grids: Vec<&str> = text.split("\n\n").skip(1).collect();
    assert_eq!(grids.len(), 5, "{text}");
    for (grid, label) in grids.iter().zip([" 1 1", " 1 1", " 4 4", " a a", " 2 2"]) {
        assert!(grid.contains(label) && grid.contains(" . ."), "{label} in {grid}");
    }
}

#[test]
fn features_from_elsewhere_are_cut() {
    let text = run("own_features", &[]);
    assert!(text.contains(" . 1 1 1 1 1 1 1 1 1 2 2 2 2 2 2 2 2 2 . ") && text.contains("label 2: Part, 72 patches"), "{text}");
}

#[test]
fn work_is_watched_and_cancelled() {
    let text = run("progress_and_cancel", &[]);
    let steps = ["resize", "backbone", "graph", "train, epoch 0", "train, epoch 4", "upsample", "refine", "done"];
    assert!(steps.iter().all(|step| text.contains(step)), "{text}");
    assert!(text.contains("cancelled before the step "), "{text}");
    assert!(run("progress_and_cancel", &["600000"]).contains("with 600s: done"));
}

#[test]
fn parts_are_the_same_in_three_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let text = run("parts_over_three_pictures", &[folder.path().to_str().unwrap()]);
    for name in ["ducks1", "ducks2", "ducks3"] {
        // The body is the fourth part in each, and the largest.
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        let shares: Vec<usize> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        assert!(shares.len() == 4 && shares[..3].iter().all(|share| *share < shares[3]), "{text}");
        let overlay = deepcut::image::Decoder::default().open(&folder.path().join(name).with_extension("overlay.png")).unwrap();
        assert!(overlay.width() > 100);
    }
}

#[test]
fn a_frame_starts_from_the_frame_before() {
    let text = run("video", &[]);
    let last: Vec<f64> = text.lines().last().unwrap().split_whitespace().map(|word| word.parse().unwrap()).collect();
    let &[frame, trained, cold, warm] = &last[..] else { panic!("{text}") };
    assert!(frame == 7.0 && trained > 0.8 && cold < 0.5 && warm > 0.8, "{text}");
}

#[test]
fn a_folder_is_segmented() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/pictures");
    let input = folder.path().join("pictures");
    std::fs::create_dir(&input).unwrap();
    std::fs::copy(pictures.join("duck.jpg"), input.join("duck.jpg")).unwrap();
    let arguments = [input.to_str().unwrap(), folder.path().to_str().unwrap()];
    assert!(run("folder", &arguments).contains("1 images: 1 done, 0 skipped, 0 failed"));
    assert!(run("folder", &arguments).contains("1 images: 0 done, 1 skipped, 0 failed"));
}

#[test]
fn first_lines_say_how_to_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let opening: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(opening.contains(&format!("--example {name}")) || opening.contains(&format!("`{name} ")), "{name}");
    }
}
