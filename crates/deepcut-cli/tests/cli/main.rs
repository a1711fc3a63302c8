//! Runs the binary in temporary directories, as a user would.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod annotation;
mod batch;
mod cosegment;
mod dialects;
mod eval;
mod fit;
mod instances;
mod models;
mod objects;
mod options;
mod parity;
mod video;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The program, in `folder`.
fn deepcut(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deepcut"));
    // Rates of the kernels are kept where no other program looks.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    command.current_dir(folder).stdin(Stdio::null()).env_remove("DEEPCUT_ISA").env("XDG_CACHE_HOME", cache);
    command
}

fn segment(folder: &Path, arguments: &[&str]) -> Output {
    deepcut(folder).arg("segment").args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn assert_status(output: &Output, status: i32) {
    assert_eq!(output.status.code(), Some(status), "{}", stderr(output));
    assert!(!stderr(output).contains("panicked"), "{}", stderr(output));
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The project's own example images.
fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/pictures").join(name)
}

/// A small image with a bright object, `[height, width]`.
fn picture(height: u32, width: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = (x as f32 / width as f32 - 0.5, y as f32 / height as f32 - 0.5);
        let grain = (x * 7 + y * 13) as u8 % 19;
        if u * u + v * v < 0.06 { image::Rgb([230 - grain, 150, 30 + grain]) } else { image::Rgb([40 + grain, 90, 60]) }
    })
}

fn save(path: &Path) {
    picture(48, 64).save(path).unwrap();
}

/// Files below `folder`, sorted.
fn tree(folder: &Path) -> Vec<String> {
    let mut found: Vec<String> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(folder).unwrap().display().to_string())
        .collect();
    found.sort();
    found
}

fn json_lines(output: &Output) -> Vec<serde_json::Value> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_example_picture_becomes_a_mask_of_its_object() {
    let dir = folder();
    let output = segment(dir.path(), &[example("duck.jpg").to_str().unwrap(), "--format", "labels,mask,overlay,cutout,json"]);
    assert_status(&output, 0);
    assert_eq!(tree(dir.path()), ["duck.cutout.png", "duck.json", "duck.labels.png", "duck.mask.png", "duck.overlay.png"]);
    let input = image::open(example("duck.jpg")).unwrap();
    let open = |name: &str| image::open(dir.path().join(name)).unwrap();
    for name in ["duck.cutout.png", "duck.labels.png", "duck.mask.png", "duck.overlay.png"] {
        assert_eq!((open(name).height(), open(name).width()), (input.height(), input.width()), "{name}");
    }
    let mask = open("duck.mask.png").into_luma8();
    assert!(mask.pixels().all(|p| p.0 == [0] || p.0 == [255]));
    let area = mask.pixels().filter(|p| p.0 == [255]).count();
    let (height, width) = (mask.height(), mask.width());
    let share = area as f64 / f64::from(height * width);
    assert!((0.05..0.6).contains(&share), "the object covers {share} of the image");
    assert_eq!(mask.get_pixel(2, 2).0, [0]);

    let cutout = open("duck.cutout.png").into_rgba8();
    assert!(cutout.pixels().zip(mask.pixels()).all(|(c, m)| c.0[3] == m.0[0]));

    let text = std::fs::read_to_string(dir.path().join("duck.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["area"], area);
    assert_eq!((&report["height"], &report["width"]), (&height.into(), &width.into()));
    assert_eq!(report["object"], true);
    assert_eq!(report["components"][0]["box"], report["box"]);
    assert_eq!(report["backbone"]["name"], "embedded");
    assert_eq!(report["backbone"]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(report["nodes"], report["grid"][0].as_u64().unwrap() * report["grid"][1].as_u64().unwrap());
    assert!(report["confidence"].as_f64().unwrap() > 0.0 && report["seconds"]["backbone"].as_f64().unwrap() > 0.0);
    assert_eq!(report["options"]["recipe"]["objective"], "normalized-cut");
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_folder_keeps_its_tree_and_shared_stems_their_extensions() {
    let dir = folder();
    let input = dir.path().join("in");
    std::fs::create_dir_all(input.join("sub/deep")).unwrap();
    for name in ["a.png", "A2.JPG", "sub/a.png", "sub/a.jpg", "sub/deep/b.bmp"] {
        save(&input.join(name));
    }
    std::fs::write(input.join("notes.txt"), "not an image").unwrap();
    save(&input.join("old.mask.png"));
    let output = segment(dir.path(), &["in", "-o", "out", "--format", "mask"]);
    assert_status(&output, 0);
    let expected = ["A2.mask.png", "a.mask.png", "sub/a.jpg.mask.png", "sub/a.png.mask.png", "sub/deep/b.mask.png"];
    assert_eq!(tree(&dir.path().join("out")), expected);
    assert!(stderr(&output).contains("5 images, 5 files written, 0 failed"), "{}", stderr(&output));

    // A pattern of our own keeps the folders below its first wildcard.
    let output = segment(dir.path(), &["in/**/a.*", "-o", "globbed", "--format", "mask", "-q"]);
    assert_status(&output, 0);
    assert_eq!(stderr(&output), "");
    assert_eq!(tree(&dir.path().join("globbed")), ["a.mask.png", "sub/a.jpg.mask.png", "sub/a.png.mask.png"]);
}

#[test]
fn one_bad_picture_is_named_and_the_rest_go_on() {
    let dir = folder();
    let input = dir.path().join("in");
    std::fs::create_dir(&input).unwrap();
    save(&input.join("good.png"));
    let whole = std::fs::read(input.join("good.png")).unwrap();
    std::fs::write(input.join("truncated.png"), &whole[..whole.len() / 2]).unwrap();
    let duck = std::fs::read(example("duck.jpg")).unwrap();
    std::fs::write(input.join("half.jpg"), &duck[..duck.len() / 2]).unwrap();
    std::fs::write(input.join("empty.jpg"), b"").unwrap();
    std::fs::write(input.join("text.jpg"), b"<html>not found</html>").unwrap();
    save(&input.join("zlast.png"));
    let output = segment(dir.path(), &["in", "missing.jpg", "-o", "out", "--format", "mask", "--json"]);
    assert_status(&output, 1);
    let text = stderr(&output);
    for part in [
        "truncated.png: damaged: ",
        "half.jpg: damaged: ",
        "empty.jpg: the file is empty",
        "text.jpg: a web page is not read; the download gave a page instead of the image",
        "missing.jpg: cannot read the file",
    ] {
        assert!(text.contains(part), "{part} not in {text}");
    }
    assert_eq!(tree(&dir.path().join("out")), ["good.mask.png", "zlast.mask.png"]);
    let lines = json_lines(&output);
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["error", "picture", "error", "error", "error", "picture", "error", "summary"]);
    assert_eq!(lines[7]["failures"], 5);
    assert!(lines[0]["input"].as_str().unwrap().ends_with("empty.jpg"));
}

#[test]
fn standard_input_goes_to_standard_output() {
    let dir = folder();
    let mut bytes = Vec::new();
    picture(40, 50).write_to(&mut std::io::Cursor::new(&mut bytes), image::ImageFormat::Png).unwrap();
    let pipe = |arguments: &[&str]| {
        let mut command = deepcut(dir.path());
        command.arg("segment").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = pipe(&["-"]);
    assert_status(&output, 0);
    let mask = image::load_from_memory(&output.stdout).unwrap();
    assert_eq!((mask.height(), mask.width()), (40, 50));
    assert!(tree(dir.path()).is_empty());

    let output = pipe(&["-", "--json", "--min-confidence", "1"]);
    assert_status(&output, 0);
    let lines = json_lines(&output);
    assert_eq!((lines[0]["object"].clone(), lines[0]["area"].clone()), (false.into(), 0.into()));
    assert!(tree(dir.path()).is_empty());

    let output = pipe(&["-", "-o", "here.png", "--format", "cutout"]);
    assert_status(&output, 0);
    assert_eq!(tree(dir.path()), ["here.png"]);
}

#[test]
fn results_depend_on_neither_threads_nor_company() {
    let dir = folder();
    let input = dir.path().join("in");
    std::fs::create_dir(&input).unwrap();
    for (i, (height, width)) in [(60, 80), (70, 40), (33, 57)].into_iter().enumerate() {
        picture(height, width).save(input.join(format!("{i}.png"))).unwrap();
    }
    for (out, threads, inputs) in [("one", "1", vec!["in"]), ("five", "5", vec!["in"]), ("alone", "3", vec!["in/2.png"])] {
        let mut arguments = inputs;
        arguments.extend(["-o", out, "--threads", threads, "--mode", "parts", "-k", "3", "--format", "labels"]);
        assert_status(&segment(dir.path(), &arguments), 0);
    }
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    for i in 0..3 {
        assert_eq!(read(&format!("one/{i}.labels.png")), read(&format!("five/{i}.labels.png")));
    }
    assert_eq!(read("one/2.labels.png"), read("alone/2.labels.png"));
}

#[test]
fn every_mode_objective_and_refinement_runs() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    let cases: &[&[&str]] = &[
        &["--profile", "paper"],
        &["--profile", "paper", "--refine", "bilateral"],
        &["--profile", "paper", "--refine", "guided", "--mode", "scene"],
        &["--refine", "none"],
        &["--profile", "paper", "--mode", "parts", "--epochs", "3,4,5"],
        &["--objective", "correlation", "--alpha", "2.5"],
        &["--objective", "modularity", "-k", "3"],
        &["--objective", "mincut", "--tau", "none", "--lr", "0.001", "--epochs", "7"],
        &["--mode", "scene", "-k", "32"],
        &["--refine", "bilateral", "--largest-component", "--resolution", "96"],
        &["--tau", "-0.5", "--seed", "18446744073709551615"],
    ];
    for case in cases {
        let mut arguments = vec!["a.png", "--overwrite", "-q"];
        arguments.extend_from_slice(case);
        assert_status(&segment(dir.path(), &arguments), 0);
    }
}

/// Any depth, colour type and orientation is read as a viewer shows it; specks and flat images have a defined result.
#[test]
fn unusual_pictures_are_read() {
    let dir = folder();
    let input = dir.path().join("in");
    std::fs::create_dir(&input).unwrap();
    let rgb = image::DynamicImage::ImageRgb8(picture(48, 64));
    rgb.to_rgb16().save(input.join("sixteen_bits.png")).unwrap();
    rgb.to_luma8().save(input.join("grey.png")).unwrap();
    rgb.to_luma_alpha16().save(input.join("grey_alpha.png")).unwrap();
    rgb.to_rgba8().save(input.join("alpha.png")).unwrap();
    rgb.to_rgb8().save(input.join("palette.gif")).unwrap();
    std::fs::write(input.join("palette.png"), palette_png()).unwrap();
    std::fs::write(input.join("cmyk.jpg"), include_bytes!("../fixtures/cmyk.jpg")).unwrap();
    std::fs::write(input.join("rotated.jpg"), include_bytes!("../fixtures/rotated.jpg")).unwrap();
    image::RgbImage::from_pixel(1, 1, image::Rgb([9, 9, 9])).save(input.join("speck.png")).unwrap();
    image::RgbImage::from_pixel(90, 70, image::Rgb([9, 200, 9])).save(input.join("flat.png")).unwrap();
    let output = segment(dir.path(), &["in", "-o", "out", "--format", "mask", "--json"]);
    assert_status(&output, 0);
    let lines = json_lines(&output);
    let named = |name: &str| lines.iter().find(|line| line["input"].as_str().unwrap_or("").ends_with(name)).unwrap();
    for name in ["speck.png", "flat.png"] {
        assert_eq!((&named(name)["object"], &named(name)["confidence"]), (&false.into(), &0.0.into()), "{name}");
    }
    // The file holds 64 × 48 pixels and says that a viewer turns it by a quarter.
    assert_eq!((&named("rotated.jpg")["height"], &named("rotated.jpg")["width"]), (&64.into(), &48.into()));
    assert_eq!(named("cmyk.jpg")["object"], true);
    // Sixteen bits and eight bits of the same image have the same result.
    rgb.to_rgb8().save(dir.path().join("plain.png")).unwrap();
    assert_status(&segment(dir.path(), &["plain.png", "--format", "mask", "-o", "out"]), 0);
    let read = |name: &str| image::open(dir.path().join("out").join(name)).unwrap();
    assert_eq!(read("sixteen_bits.mask.png"), read("plain.mask.png"));
}

/// A palette image with a transparent colour.
fn palette_png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 40, 30);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(vec![10, 20, 30, 240, 200, 20]);
    encoder.set_trns(vec![255, 128]);
    let indices: Vec<u8> = (0..1200).map(|at| u8::from((10..25).contains(&(at % 40)) && (8..20).contains(&(at / 40)))).collect();
    encoder.write_header().unwrap().write_image_data(&indices).unwrap();
    bytes
}

#[test]
fn fifty_megapixels_are_segmented_and_absurd_sizes_refused() {
    let dir = folder();
    // Rows repeat, so the file is small and quickly written.
    let (height, width) = (6_200u32, 8_100u32);
    let row: Vec<u8> = (0..width).map(|x| if (2_000..5_000).contains(&x) { 220 } else { (x % 61) as u8 }).collect();
    let dark: Vec<u8> = (0..width).map(|x| (x % 61) as u8).collect();
    let data: Vec<u8> = (0..height).flat_map(|y| if (1_500..4_500).contains(&y) { row.clone() } else { dark.clone() }).collect();
    image::GrayImage::from_raw(width, height, data).unwrap().save(dir.path().join("large.png")).unwrap();
    let output = segment(dir.path(), &["large.png", "--format", "mask", "--json"]);
    assert_status(&output, 0);
    assert_eq!(json_lines(&output)[0]["object"], true);

    // A header that promises more than any machine holds.
    let mut header = std::fs::read(dir.path().join("large.png")).unwrap();
    header[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let crc = crc32(&header[12..29]);
    header[29..33].copy_from_slice(&crc.to_be_bytes());
    std::fs::write(dir.path().join("absurd.png"), header).unwrap();
    let output = segment(dir.path(), &["absurd.png", "--format", "mask"]);
    assert_status(&output, 1);
    assert!(stderr(&output).contains("bytes cannot hold the 65536 × 65536 pixels that its header claims"), "{}", stderr(&output));
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

#[test]
fn folders_that_cannot_be_read_are_named() {
    let dir = folder();
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    save(&dir.path().join("a.png"));
    let output = segment(dir.path(), &["empty", "nothing*.png", "a.png", "--format", "mask"]);
    assert_status(&output, 1);
    let text = stderr(&output);
    assert!(text.contains("empty: the folder holds no images") && text.contains("nothing*.png: no file matches"), "{text}");
    assert!(dir.path().join("a.mask.png").exists());
    #[cfg(unix)]
    {
        // A link that leads to itself cannot be read even by the administrator.
        std::fs::create_dir(dir.path().join("loop")).unwrap();
        std::os::unix::fs::symlink("self", dir.path().join("loop/self")).unwrap();
        let output = segment(dir.path(), &["loop"]);
        assert_status(&output, 1);
        assert!(stderr(&output).contains("loop/self: cannot be read"), "{}", stderr(&output));
    }
}

#[test]
fn wrong_networks_are_refused_by_name() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    let embedded = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deepcut/weights/embedded.safetensors")).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    write("truncated.safetensors", &embedded[..embedded.len() - 1000]);
    write("stub.safetensors", &embedded[..100]);
    write("empty.safetensors", b"");
    write("picture.safetensors", &std::fs::read(dir.path().join("a.png")).unwrap());
    let mut nan = embedded.clone();
    let end = nan.len();
    nan[end - 2..].copy_from_slice(&[0x00, 0x7e]);
    write("nan.safetensors", &nan);
    let change = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = embedded.windows(from.len()).position(|bytes| bytes == from.as_bytes()).unwrap();
        let mut changed = embedded.clone();
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
        changed
    };
    write("renamed.safetensors", &change("\"head.bias\"", "\"head.bims\""));
    write("family.safetensors", &change("deepcut-student", "deepcut-teacher"));
    write("wide.safetensors", &change("[48, 96, 224]", "[48, 96, 225]"));
    write("deep.safetensors", &change("[2, 3, 8]", "[2, 3, 9]"));
    for (name, message) in [
        ("truncated", "truncated"),
        ("stub", "truncated"),
        ("empty", "truncated"),
        ("picture", "truncated"),
        ("nan", "not finite"),
        ("renamed", "tensor `head.bias` is missing (expected shape [128])"),
        ("family", "architecture `deepcut-teacher`"),
        ("wide", "expected [225"),
        ("deep", "tensor `stage3.8.depthwise.weight` is missing"),
        ("absent", "there is no file absent.safetensors and no network of that name"),
    ] {
        let file = format!("{name}.safetensors");
        let output = segment(dir.path(), &["a.png", "--backbone", &file]);
        assert_status(&output, 2);
        let text = stderr(&output);
        assert!(text.contains(&file) && text.contains(message), "{name}: {text}");
    }
    write("good.safetensors", &embedded);
    assert_status(&segment(dir.path(), &["a.png", "--backbone", "good.safetensors"]), 0);
}

#[test]
fn wrong_command_lines_are_refused() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    save(&dir.path().join("b.png"));
    std::fs::create_dir(dir.path().join("x")).unwrap();
    save(&dir.path().join("x/a.png"));
    for (arguments, message) in [
        (vec![], "required"),
        (vec!["a.png", "-k", "1"], "n_clusters is 1; expected 2 to 32"),
        (vec!["a.png", "-k", "33"], "n_clusters is 33"),
        (vec!["a.png", "--resolution", "0"], "resolution is 0"),
        (vec!["a.png", "--epochs", "1,2"], "one number or three"),
        (vec!["a.png", "--epochs", "0"], "epochs is 0"),
        (vec!["a.png", "--tau", "high"], "expected a number or `none`"),
        (vec!["a.png", "--threads", "0"], "threads"),
        (vec!["a.png", "--format", "pdf"], "invalid value"),
        (vec!["a.png", "b.png", "-o", "one.png", "--format", "mask"], "one result of one image"),
        (vec!["a.png", "-o", "mask.json", "--format", "mask"], "does not end as its format does"),
        (vec!["a.png", "x/a.png"], "would write the same files"),
        (vec!["-", "-"], "only once"),
        (vec!["a.png", "-o", "-", "--json", "--format", "mask"], "cannot both go to standard output"),
    ] {
        let output = segment(dir.path(), &arguments);
        assert_status(&output, 2);
        assert!(stderr(&output).contains(message), "{arguments:?}: {}", stderr(&output));
    }
    // More clusters than patches: an error of the image, not of the command line.
    let output = segment(dir.path(), &["a.png", "-k", "32", "--resolution", "16"]);
    assert_status(&output, 1);
    assert!(stderr(&output).contains("a.png: 32 clusters of 4 nodes; ask for fewer clusters or a higher resolution"));
    assert_eq!(tree(dir.path()), ["a.png", "b.png", "x/a.png"]);
}

#[test]
fn outputs_that_cannot_be_written_leave_nothing() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    #[cfg(target_os = "linux")]
    {
        // A limit on the size of files stands in for a full disk: the write fails half-way.
        let program = env!("CARGO_BIN_EXE_deepcut");
        let script = format!("trap '' XFSZ; ulimit -f 1; exec {program} segment a.png -o full --format overlay,labels");
        picture(300, 400).save(dir.path().join("a.png")).unwrap();
        let output = Command::new("bash").args(["-c", &script]).current_dir(dir.path()).output().unwrap();
        assert_status(&output, 1);
        assert!(stderr(&output).contains("is the disk full?"), "{}", stderr(&output));
        assert!(tree(dir.path()).iter().all(|file| !file.contains("overlay") && !file.contains("part")));

        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = deepcut(dir.path()).args(["segment", "a.png", "-o", "-", "--format", "mask"]).stdout(full).output().unwrap();
        assert_status(&output, 1);
        assert!(stderr(&output).contains("cannot write to standard output"), "{}", stderr(&output));
    }
}

#[test]
fn kernels_can_be_forced() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    let run = |isa: &str| deepcut(dir.path()).env("DEEPCUT_ISA", isa).args(["segment", "a.png", "--json"]).output().unwrap();
    let native = run("native");
    assert_status(&native, 0);
    assert_eq!(json_lines(&native)[0]["kernels"], "native");
    let unknown = run("mmx");
    assert_status(&unknown, 2);
    assert!(stderr(&unknown).contains("DEEPCUT_ISA=mmx: this machine has native"), "{}", stderr(&unknown));
}

#[test]
fn completions_and_manual_pages_are_printed() {
    let dir = folder();
    let run = |arguments: &[&str]| deepcut(dir.path()).args(arguments).output().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = run(&["completions", shell]);
        assert_status(&output, 0);
        assert!(String::from_utf8_lossy(&output.stdout).contains("largest-component"), "{shell}");
    }
    let text = |arguments: &[&str]| String::from_utf8(run(arguments).stdout).unwrap();
    assert!(text(&["man"]).contains(".TH"));
    assert!(text(&["man", "segment"]).contains("bilateral"));
    assert_status(&run(&["man", "fly"]), 2);
    assert!(text(&["--version"]).contains(env!("CARGO_PKG_VERSION")));
}
