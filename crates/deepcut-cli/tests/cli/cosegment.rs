//! Parts that agree over a set, through the command.

use super::{assert_status, deepcut, folder, json_lines, stderr, tree};
use std::path::Path;
use std::process::Output;

/// A figure with a red head above a yellow body, at `left` on a lawn.
fn figure(path: &Path, left: u32, grain: u32) {
    let image = image::RgbImage::from_fn(200, 160, |x, y| {
        let noise = ((x * 7 + y * 13 + grain) % 19) as u8;
        let near = |cx: f32, cy: f32, r: f32| (x as f32 - cx).hypot(y as f32 - cy) < r;
        if near(left as f32, 50.0, 24.0) {
            image::Rgb([220 - noise, 40, 40])
        } else if near(left as f32, 104.0, 38.0) {
            image::Rgb([230 - noise, 200, 40])
        } else {
            image::Rgb([40 + noise, 90, 60])
        }
    });
    image.save(path).unwrap();
}

fn set(dir: &Path) {
    std::fs::create_dir(dir.join("set")).unwrap();
    for (i, left) in [60, 100, 140].into_iter().enumerate() {
        figure(&dir.join(format!("set/{i}.png")), left, 31 * i as u32);
    }
}

fn cosegment(dir: &Path, arguments: &[&str]) -> Output {
    deepcut(dir).arg("cosegment").args(arguments).output().unwrap()
}

fn labels(path: &Path) -> Vec<u8> {
    let decoder = png::Decoder::new(std::io::BufReader::new(std::fs::File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut out = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut out).unwrap();
    out
}

#[test]
fn parts_agree_and_a_codebook_repeats_them() {
    let dir = folder();
    set(dir.path());
    let output = cosegment(dir.path(), &["set", "-o", "out", "-k", "2", "--codebook", "figures.safetensors", "--json"]);
    assert_status(&output, 0);
    let lines = json_lines(&output);
    assert_eq!(lines.len(), 4, "three images and a summary");
    assert_eq!(lines[0]["options"]["cosegment"]["n_parts"], 2);
    assert!(stderr(&output).contains("figures.safetensors: 2 parts, learned from"), "{}", stderr(&output));
    assert_eq!(
        tree(&dir.path().join("out")),
        ["0.labels.png", "0.overlay.png", "1.labels.png", "1.overlay.png", "2.labels.png", "2.overlay.png"]
    );
    let written = |out: &str| [0, 1, 2].map(|i| labels(&dir.path().join(format!("{out}/{i}.labels.png"))));
    let found = written("out");
    let at = |i: usize, y: usize, x: usize| found[i][y * 200 + x];
    let (head, body) = (at(0, 46, 60), at(0, 110, 60));
    assert!(head > 0 && body > 0 && head != body, "{head} {body}");
    assert_eq!([at(1, 46, 100), at(2, 46, 140)], [head; 2]);
    assert_eq!([at(1, 110, 100), at(2, 110, 140)], [body; 2]);
    // The same again by the codebook alone, and on other threads.
    let output = cosegment(dir.path(), &["set", "-o", "again", "-k", "2", "--codebook", "figures.safetensors", "-j", "1"]);
    assert_status(&output, 0);
    assert_eq!(written("again"), found);
    // Learned again without a file it is the same.
    assert_status(&cosegment(dir.path(), &["set", "-o", "anew", "-k", "2", "-j", "3"]), 0);
    assert_eq!(written("anew"), found);
    // What is done is not done again.
    let output = cosegment(dir.path(), &["set", "-o", "out", "-k", "2", "--codebook", "figures.safetensors"]);
    assert_status(&output, 0);
    assert!(stderr(&output).contains("3 done before"), "{}", stderr(&output));
}

#[test]
fn a_bad_image_is_told_and_the_rest_is_done() {
    let dir = folder();
    set(dir.path());
    std::fs::write(dir.path().join("set/bad.png"), b"no image").unwrap();
    let output = cosegment(dir.path(), &["set", "-o", "out", "-k", "2", "--format", "labels"]);
    assert_status(&output, 1);
    assert_eq!(stderr(&output).matches("bad.png").count(), 1, "{}", stderr(&output));
    assert_eq!(tree(&dir.path().join("out")), ["0.labels.png", "1.labels.png", "2.labels.png"]);
}

#[test]
fn what_cannot_be_done_is_said() {
    let dir = folder();
    set(dir.path());
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    let output = cosegment(dir.path(), &["empty", "-o", "out"]);
    assert_status(&output, 1);
    assert!(stderr(&output).contains("the folder holds no images"), "{}", stderr(&output));
    image::RgbImage::from_pixel(64, 64, image::Rgb([9, 9, 9])).save(dir.path().join("empty/plain.png")).unwrap();
    let output = cosegment(dir.path(), &["empty", "-o", "out"]);
    assert_status(&output, 1);
    assert!(stderr(&output).contains("no image of 1 has an object"), "{}", stderr(&output));

    let refused = |arguments: &[&str], told: &str| {
        let output = cosegment(dir.path(), &[&["set", "-o", "out"], arguments].concat());
        assert_status(&output, 2);
        assert!(stderr(&output).contains(told), "{arguments:?}: {}", stderr(&output));
    };
    refused(&["-k", "1"], "expected a number from 2 to 32, or auto");
    refused(&["--common=2"], "common is 2; expected above 0, at most 1");
    refused(&["--min-part", "nan"], "min_part is NaN; expected 0 to 1");
    refused(&["--set", "mode=object"], "use -k or --method");
    refused(&["-"], "standard input cannot be read twice");
    let help = cosegment(dir.path(), &["--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("glob patterns") && !help.contains("standard input"), "{help}");
    std::fs::write(dir.path().join("text"), "no codebook").unwrap();
    refused(&["--codebook", "text"], "cannot use the codebook text");
    assert_status(&cosegment(dir.path(), &["set", "-o", "two", "-k", "2", "--codebook", "two.safetensors"]), 0);
    refused(&["--codebook", "two.safetensors"], "the codebook has 2 parts, not 4");
    refused(&["-k", "2", "--method", "both", "--codebook", "two.safetensors"], "by the method kmeans, not both");
    let bytes = std::fs::read(dir.path().join("two.safetensors")).unwrap();
    std::fs::write(dir.path().join("short.safetensors"), &bytes[..bytes.len() - 9]).unwrap();
    refused(&["-k", "2", "--codebook", "short.safetensors"], "it may be truncated");
    assert!(!dir.path().join("out").exists(), "an output folder that stays empty is removed");
}

/// The number of parts is found, and only what is common stays: both runs end, and say what they did.
#[test]
fn options_of_sets_are_taken() {
    let dir = folder();
    set(dir.path());
    let output = cosegment(dir.path(), &["set", "-o", "out", "-k", "auto", "--common", "--json"]);
    assert_status(&output, 0);
    let about = &json_lines(&output)[0]["options"]["cosegment"];
    assert!((2..=10).contains(&about["n_parts"].as_u64().unwrap()), "{about}");
    assert_eq!(about["common"], 0.5);
    for method in ["spectral", "network", "both"] {
        let out = format!("{method}-out");
        assert_status(&cosegment(dir.path(), &["set", "-o", &out, "-k", "2", "--method", method, "--format", "json"]), 0);
    }
}
