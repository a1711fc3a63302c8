//! Data flows one way: a stage imports only stages before it, and `gnn` and `objective` do not know each other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

/// The stages in order, with what each may import beside `kernels` and itself.
const STAGES: [(&str, &[&str]); 17] = [
    ("kernels", &[]),
    ("random", &[]),
    ("components", &[]),
    ("memory", &[]),
    ("image", &["memory"]),
    ("backbone", &["image"]),
    ("graph", &["image", "backbone"]),
    ("gnn", &["graph", "random"]),
    ("objective", &["graph"]),
    ("train", &["graph", "gnn", "objective"]),
    ("baseline", &["graph", "train", "components", "random"]),
    ("segment", &["image", "backbone", "graph", "gnn", "objective", "train", "baseline", "components", "options"]),
    ("export", &["image", "backbone", "segment", "components", "options"]),
    // The pipeline as a whole, and what goes in and out of it.
    ("batch", &["image", "backbone", "segment", "options", "export", "Segmenter", "Error", "Image"]),
    ("metrics", &["components", "random"]),
    ("dataset", &["image", "components"]),
    ("record", &["dataset", "metrics"]),
];

fn sources(path: &Path, found: &mut Vec<std::path::PathBuf>) {
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| sources(&entry.unwrap().path(), found));
    } else if path.extension().is_some_and(|e| e == "rs") {
        found.push(path.to_owned());
    }
}

#[test]
fn stages_import_only_earlier_stages() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut checked = 0;
    for (stage, allowed) in STAGES {
        let mut files = Vec::new();
        let folder = root.join(stage);
        sources(&if folder.is_dir() { folder } else { root.join(format!("{stage}.rs")) }, &mut files);
        assert!(!files.is_empty(), "{stage} has no file");
        for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
            let text = std::fs::read_to_string(file).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                for import in line.split("crate::").skip(1) {
                    let module: String = import.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    let known = [stage, "kernels"].contains(&module.as_str()) || allowed.contains(&module.as_str());
                    assert!(known, "{}: {stage} may not import {module}", file.display());
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 20, "only {checked} imports found: has the layout changed?");
}

/// `unsafe` lives in `kernels/` alone.
#[test]
fn unsafe_code_stays_in_the_kernels() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    for file in files.iter().filter(|file| !file.components().any(|c| c.as_os_str() == "kernels")) {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(!text.contains("unsafe {") && !text.contains("unsafe fn"), "{}", file.display());
    }
}
