//! Data flows one way: a module imports only modules before it, and `gnn` and `objective` do not know each other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The modules of the library, each before those that may import it.
const ORDER: [&str; 31] = [
    "kernels",
    "random",
    "setting",
    "progress",
    "components",
    "rle",
    "cpu",
    "memory",
    "kmeans",
    "image",
    "features",
    "backbone",
    "graph",
    "gnn",
    "objective",
    "train",
    "baseline",
    "segmentation",
    "segment",
    "cosegment",
    "instances",
    "export",
    "metrics",
    "dataset",
    "record",
    "options",
    "profile",
    "segmenter",
    "fit",
    "batch",
    "video",
];

/// Pairs that do not know each other, although one comes first.
const STRANGERS: [(&str, &str); 7] = [
    ("objective", "gnn"),
    ("graph", "backbone"),
    ("segment", "backbone"),
    ("export", "segment"),
    ("export", "backbone"),
    ("export", "baseline"),
    ("segmentation", "segment"),
];

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| sources(&entry.unwrap().path(), found));
    } else if path.extension().is_some_and(|e| e == "rs") {
        found.push(path.to_owned());
    }
}

/// The code of a file without its tests and comments.
fn code(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Every module there is, in the folder and not only on a list, imports only modules before it.
#[test]
fn modules_import_only_earlier_modules() {
    let mut checked = 0;
    let mut modules = BTreeSet::new();
    for entry in std::fs::read_dir(source_folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name == "lib" {
            continue;
        }
        let mut files = Vec::new();
        sources(&path, &mut files);
        let place = ORDER.iter().position(|module| *module == name);
        let place = place.unwrap_or_else(|| panic!("{name}: where in the order is it?"));
        for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
            for import in code(file).split("crate::").skip(1) {
                let module: String = import.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                // A name of the crate's root is an arrow up.
                let at = ORDER.iter().position(|known| *known == module);
                assert!(at.is_some_and(|at| at <= place), "{}: {name} may not import `{module}`", file.display());
                assert!(!STRANGERS.contains(&(&*name, &*module)), "{}: {name} must not know {module}", file.display());
                checked += 1;
            }
        }
        modules.insert(name);
    }
    assert_eq!(modules, ORDER.iter().map(|module| (*module).to_owned()).collect(), "the list and the folder differ");
    assert!(checked > 60, "only {checked} imports found: has the layout changed?");
}

/// `unsafe` lives in `kernels/` alone.
#[test]
fn unsafe_code_stays_in_the_kernels() {
    let mut files = Vec::new();
    sources(&source_folder(), &mut files);
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
