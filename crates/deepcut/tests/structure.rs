//! Data flows one way: a stage imports only stages before it, and `gnn` and `objective` do not know each other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

/// The stages in order, with what each may import beside `kernels` and itself.
const STAGES: [(&str, &[&str]); 16] = [
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
    ("export", &["image", "backbone", "segment"]),
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

/// The names after `path` in some code, such as `a` and `b` in `super::{a::X, b}` for `super::`.
fn names_after(code: &str, path: &str) -> Vec<String> {
    let name =
        |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || "_*".contains(*c)).collect::<String>();
    let mut names = Vec::new();
    for text in code.split(path).skip(1) {
        let Some(group) = text.strip_prefix('{') else {
            names.push(name(text));
            continue;
        };
        // The first name of every item that the outermost braces hold.
        let mut depth = 0;
        let items = group.split(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == '}' && depth < 0 || c == ',' && depth == 0
        });
        let before_end = items.take_while(|item| !item.trim_start().starts_with(';')).map(name).filter(|name| !name.is_empty());
        names.extend(before_end);
    }
    names
}

/// A file of `kernels/` imports only files above it in the table of `mod.rs`: there is no circle. Nor does it import from `mod.rs`, which stands above all.
#[test]
fn kernels_import_without_circles() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kernels");
    let table = std::fs::read_to_string(folder.join("mod.rs")).unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("//! | ")?.split(" |").next());
    let order: Vec<&str> = rows.map(|cell| cell.trim().trim_matches(['[', ']', '`']).trim_end_matches(".rs")).skip(1).collect();
    let mut files = Vec::new();
    sources(&folder, &mut files);
    let mut checked = 0;
    for file in &files {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        if ["mod", "tests", "absurd_sizes"].contains(&stem) {
            continue;
        }
        let place = order.iter().position(|name| *name == stem);
        let place = place.unwrap_or_else(|| panic!("{stem}.rs is not in the table of kernels/mod.rs"));
        let text = std::fs::read_to_string(file).unwrap();
        let code: Vec<&str> = text.split("#[cfg(test)]\nmod tests {").next().unwrap().lines().collect();
        let code = code.into_iter().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        for name in ["super::", "crate::kernels::"].iter().flat_map(|path| names_after(&code, path)) {
            let allowed = name == stem || order[..place].contains(&name.as_str());
            assert!(allowed, "{stem}.rs imports {name}, which is not above it in the table of kernels/mod.rs");
            checked += usize::from(name != stem);
        }
    }
    assert!(checked > 60, "only {checked} imports found: has the layout changed?");
}
