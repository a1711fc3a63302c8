//! Options that decide how a network is read and an image clustered; files that are no networks; what the program holds.

use super::models::transformer_file;
use super::{assert_status, deepcut, example, folder, json_lines, save, segment, stderr};
use std::path::Path;
use std::process::{Command, Output};

/// A small vision transformer, patches of 16, with a tensor that is no part of it.
fn transformer(dim: usize, depth: usize) -> Vec<u8> {
    transformer_file(dim, depth, 16, 4, &[("decoder_embed.weight".to_owned(), vec![2, dim])])
}

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn heads_are_said_or_read_or_asked_for() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    write(dir.path(), "alone/vit.safetensors", transformer(384, 2));
    write(dir.path(), "timm/model.safetensors", transformer(384, 2));
    write(
        dir.path(),
        "timm/config.json",
        r#"{"architecture": "vit_small_patch16_224", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}"#,
    );
    write(dir.path(), "hf/model.safetensors", transformer(384, 2));
    write(
        dir.path(),
        "hf/config.json",
        r#"{"hidden_act": "gelu", "hidden_size": 384, "num_attention_heads": 12, "num_hidden_layers": 2}"#,
    );
    write(
        dir.path(),
        "hf/preprocessor_config.json",
        r#"{"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1], "rescale_factor": 0.00392156862745098}"#,
    );
    let run = |backbone: &str, more: &[&str]| {
        segment(
            dir.path(),
            &[&["a.png", "-b", backbone, "-r", "64", "--json", "--format", "mask", "-o", "out", "--overwrite"], more].concat(),
        )
    };

    let unsaid = run("alone/vit.safetensors", &[]);
    assert_status(&unsaid, 2);
    assert!(stderr(&unsaid).contains("--heads") && stderr(&unsaid).contains("config.json"), "{}", stderr(&unsaid));
    for (backbone, more, heads) in [
        ("alone/vit.safetensors", &["--heads", "12"][..], 12),
        ("alone", &["--heads", "4"], 4),
        ("timm", &[], 6),
        ("timm/model.safetensors", &["--heads", "3"], 3),
        ("hf", &[], 12),
        ("hf/model.safetensors", &[], 12),
    ] {
        let output = run(backbone, &[more, &["-v"]].concat());
        assert_status(&output, 0);
        assert_eq!(json_lines(&output)[0]["backbone"]["heads"], heads, "{backbone}");
        assert!(stderr(&output).contains(&format!("{heads} heads")), "{}", stderr(&output));
        assert!(stderr(&output).contains("not used: decoder_embed"), "{}", stderr(&output));
    }
    let report = &json_lines(&run("hf", &[]))[0];
    assert_eq!(report["backbone"]["mean"][0].as_f64().map(|v| v as f32), Some(0.1));
    assert!(report["backbone"]["assumed"].to_string().contains("--family"), "{report}");
    // Zero is none, and what does not divide is refused.
    assert_status(&run("alone", &["--heads", "0"]), 2);
    assert!(stderr(&run("alone", &["--heads", "7"])).contains("7 heads do not divide 384"));

    // A config of another network, or of something that is not computed.
    write(dir.path(), "hf/config.json", r#"{"hidden_size": 768, "num_attention_heads": 12}"#);
    assert!(stderr(&run("hf", &[])).contains("another network"));
    write(dir.path(), "hf/config.json", r#"{"hidden_act": "quick_gelu", "num_attention_heads": 12}"#);
    let output = run("hf", &[]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("`quick_gelu`") && stderr(&output).contains("config.json"), "{}", stderr(&output));
    // To be whole a network needs no config.
    let verified = deepcut(dir.path()).args(["models", "verify", "alone", "alone/vit.safetensors", "timm"]).output().unwrap();
    assert_status(&verified, 0);
}

#[test]
fn files_that_are_no_networks_are_named_with_what_to_do() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    write(dir.path(), "net.pth", b"PK\x03\x04\x00\x00archive/data.pkl");
    write(dir.path(), "torch/pytorch_model.bin", b"PK\x03\x04\x00\x00archive/data.pkl");
    write(dir.path(), "net.onnx", b"\x08\x07\x12\x07pytorch");
    write(dir.path(), "net.h5", b"\x89HDF\r\n\x1a\n0000");
    write(dir.path(), "net.gguf", b"GGUF\x03\x00\x00\x00");
    write(dir.path(), "page.safetensors", b"<!DOCTYPE html><html></html>");
    write(dir.path(), "lfs.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4\n");
    write(dir.path(), "model-00001-of-00002.safetensors", transformer(64, 1));
    write(dir.path(), "sharded/model.safetensors.index.json", b"{\"weight_map\": {}}");
    write(dir.path(), "empty/readme.txt", b"nothing");
    write(dir.path(), "two/a.safetensors", transformer(64, 1));
    write(dir.path(), "two/b.safetensors", transformer(64, 1));
    for (backbone, words) in [
        ("net.pth", &["PyTorch", "weights_only=True", "'net.pth' 'net.safetensors'"][..]),
        ("torch", &["PyTorch", "'pytorch_model.bin'"]),
        ("net.onnx", &["ONNX", "exported from"]),
        ("net.h5", &["HDF5", "from_tf"]),
        ("net.gguf", &["GGUF", "model.safetensors"]),
        ("page.safetensors", &["web page"]),
        ("lfs.safetensors", &["git lfs pull"]),
        ("model-00001-of-00002.safetensors", &["several files", "load_file"]),
        ("sharded", &["several files"]),
        ("empty", &["no model.safetensors"]),
        ("two", &["2 safetensors files"]),
    ] {
        let output = segment(dir.path(), &["a.png", "-b", backbone, "-o", "out"]);
        assert_status(&output, 2);
        for word in words {
            assert!(stderr(&output).contains(word), "{backbone}: {}", stderr(&output));
        }
        assert!(!dir.path().join("out").exists(), "{backbone}");
    }
}

/// The command that the program prints makes a file that the program takes.
#[test]
fn the_command_for_a_checkpoint_converts_it() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    write(dir.path(), "plain.safetensors", transformer(64, 1));
    let python = |code: &str| Command::new("python3").current_dir(dir.path()).args(["-c", code]).output();
    // As DINO writes a full checkpoint: two networks, an optimizer, and the command line it was made by.
    let made = python(
        "import argparse, torch; from safetensors.torch import load_file; n = load_file('plain.safetensors'); \
         torch.save({'student': {'module.backbone.' + k: v * 0.5 for k, v in n.items()}, 'teacher': {'backbone.' + k: v for k, v in n.items()}, \
         'optimizer': {'state': {0: {'exp_avg': torch.zeros(3)}}, 'param_groups': [{'lr': 0.1}]}, 'epoch': 3, 'args': argparse.Namespace(lr=1)}, 'full.pth'); \
         torch.save(n, 'old.pt', _use_new_zipfile_serialization=False)",
    );
    if !made.is_ok_and(|output| output.status.success()) {
        println!("skipped: python3 with torch and safetensors is not here");
        return;
    }
    let run = |backbone: &str, more: &[&str]| {
        segment(
            dir.path(),
            &[&["a.png", "-b", backbone, "-r", "64", "--heads", "2", "--format", "mask", "-o", "out"], more].concat(),
        )
    };
    let mask = |backbone: &str, more: &[&str]| {
        let output = segment(
            dir.path(),
            &[&["a.png", "-b", backbone, "-r", "64", "--heads", "2", "--format", "mask", "-o", "m.png", "--overwrite"], more]
                .concat(),
        );
        assert_status(&output, 0);
        image::open(dir.path().join("m.png")).unwrap().into_luma8()
    };
    for name in ["full.pth", "old.pt"] {
        let refused = run(name, &[]);
        assert_status(&refused, 2);
        let said = stderr(&refused);
        let command = said[said.find("python3").unwrap()..].to_owned();
        let shell = Command::new("sh").current_dir(dir.path()).args(["-c", &command]).output().unwrap();
        assert!(shell.status.success(), "{command}\n{}", stderr(&shell));
    }
    assert_eq!(mask("old.safetensors", &[]), mask("plain.safetensors", &[]));
    let both = run("full.safetensors", &[]);
    assert_status(&both, 2);
    assert!(stderr(&both).contains("`teacher.backbone.`") && stderr(&both).contains("--prefix"), "{}", stderr(&both));
    assert_eq!(mask("full.safetensors", &["--prefix", "teacher.backbone."]), mask("plain.safetensors", &[]));
}

#[test]
fn options_without_effect_are_told_once() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    save(&dir.path().join("b.png"));
    let run = |more: &[&str]| {
        segment(dir.path(), &[&["a.png", "b.png", "-o", "out", "--overwrite", "--format", "mask"], more].concat())
    };
    let told = |output: &Output| stderr(output).matches("has no effect").count();
    let output = run(&["--method", "kmeans", "--tau", "0.3", "--lr", "0.1", "--epochs", "5"]);
    assert_status(&output, 0);
    assert_eq!(told(&output), 3, "{}", stderr(&output));
    for flag in ["--tau", "--lr", "--epochs"] {
        assert_eq!(stderr(&output).matches(&format!("{flag} has no effect")).count(), 1, "{}", stderr(&output));
    }
    assert_eq!(told(&run(&["--objective", "mincut", "--alpha", "2"])), 1);
    assert_eq!(told(&run(&["--objective", "correlation", "--tau", "0.3", "--alpha", "2"])), 1);
    assert_eq!(told(&run(&["--method", "kmeans", "--tau", "0.3", "--quiet"])), 0);
    assert_eq!(told(&run(&["--tau", "0.3", "--epochs", "3", "--lr", "0.01"])), 0);
}

#[test]
fn methods_and_objectives_that_do_not_go_together_are_wrong_command_lines() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    for method in ["tokencut", "lost", "pca", "deep-spectral", "kmeans", "spectral"] {
        let output = segment(dir.path(), &["a.png", "--method", method, "--objective", "correlation", "-o", "out"]);
        assert_status(&output, 2);
        assert!(stderr(&output).contains("objective is correlation"), "{}", stderr(&output));
    }
}

#[test]
fn a_method_that_needs_too_much_memory_says_so_before_it_begins() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    let run = |more: &[&str]| segment(dir.path(), &[&["a.png", "-o", "out", "--overwrite", "--format", "mask"], more].concat());
    let output = run(&["--method", "deep-spectral", "-r", "1024", "--max-memory", "500MB"]);
    assert_status(&output, 1);
    for words in ["deep-spectral", "MB", "lower resolution", "--max-memory"] {
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
    assert!(!dir.path().join("out/a.mask.png").exists());
    for memory in ["none", "500MB", "64g"] {
        assert_status(&run(&["--method", "deep-spectral", "-r", "128", "--max-memory", memory]), 0);
    }
    for memory in ["0", "-1", "much", "nan"] {
        assert_status(&run(&[&format!("--max-memory={memory}")]), 2);
    }
}

/// The same labels whatever instructions there are, and the report says by what.
#[test]
fn deterministic_labels_depend_on_no_instruction_set() {
    let dir = folder();
    let labels = |isa: &str| {
        let output = deepcut(dir.path())
            .env("DEEPCUT_ISA", isa)
            .args(["segment", example("duck.jpg").to_str().unwrap(), "--deterministic", "-r", "160", "--mode", "parts", "--json"])
            .args(["--format", "labels", "-o", "out", "--overwrite"])
            .output()
            .unwrap();
        assert_status(&output, 0);
        let report = &json_lines(&output)[0];
        assert_eq!((&report["kernels"], &report["options"]["recipe"]["precision"]), (&"native".into(), &"f32".into()));
        assert_eq!(report["backbone"]["precision"], "f32");
        std::fs::read(dir.path().join("out/duck.labels.png")).unwrap()
    };
    let first = labels("native");
    assert!(["avx2", "avx512", "avx512_bf16", "neon"].into_iter().all(|isa| labels(isa) == first));
    let both = segment(dir.path(), &["x.png", "--deterministic", "--precision", "bf16"]);
    assert_status(&both, 2);
}

/// A constant would be in the program once for every crate that names it.
#[test]
fn the_embedded_network_is_in_the_program_once() {
    let weights = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deepcut/weights/embedded.safetensors")).unwrap();
    let program = std::fs::read(env!("CARGO_BIN_EXE_deepcut")).unwrap();
    for at in [weights.len() / 3, weights.len() - 4096] {
        let (needle, mut found) = (&weights[at..at + 64], 0);
        let mut rest = &program[..];
        while let Some(first) = rest.iter().position(|b| *b == needle[0]) {
            found += usize::from(rest[first..].starts_with(needle));
            rest = &rest[first + 1..];
        }
        assert_eq!(found, 1, "the embedded network's bytes from {at} on");
    }
}
