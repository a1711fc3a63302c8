//! What a published package holds: the licences, the network and its card, and nothing that makes it too large for the registry.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

/// The registry takes ten megabytes, compressed.
const MOST: u64 = 10_000_000;

#[test]
fn packages_are_whole_and_small() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for package in ["deepcut", "deepcut-cli"] {
        let folder = root.join("crates").join(package);
        if !folder.is_dir() {
            println!("skipped: {package} is not beside this package");
            continue;
        }
        let list = Command::new(env!("CARGO"))
            .args(["package", "--list", "--offline", "--allow-dirty", "-p", package])
            .current_dir(&root)
            .output()
            .unwrap();
        assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
        let list = String::from_utf8(list.stdout).unwrap();
        let files: Vec<&str> = list.lines().collect();
        for name in ["LICENSE-APACHE", "LICENSE-MIT", "MODEL_CARD.md"] {
            assert!(files.contains(&name), "{package} lacks {name}");
            let read = |folder: &Path| std::fs::read_to_string(folder.join(name)).unwrap();
            assert_eq!(read(&folder), read(&root), "{package}: {name}");
        }
        assert!(files.contains(&"README.md") && files.contains(&"Cargo.toml"), "{files:?}");
        assert!(!files.iter().any(|file| file.starts_with("tests/")), "{package}: fixtures in {files:?}");
        // Cargo writes some of the listed files itself.
        let size: u64 = files.iter().filter_map(|file| std::fs::metadata(folder.join(file)).ok()).map(|file| file.len()).sum();
        println!("{package}: {} files, {:.1} MB", files.len(), size as f64 / 1e6);
        assert!(size < MOST, "{package}: {size} bytes");
    }
}
