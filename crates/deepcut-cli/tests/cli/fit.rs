//! `deepcut fit`, and `--prior` of the other commands.

use super::{assert_status, deepcut, example, folder, json_lines, picture, segment, stderr, tree};
use safetensors::SafeTensors;
use std::path::Path;
use std::process::Output;

/// A vision transformer of random weights, three blocks of 64 dimensions.
fn network() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deepcut/tests/fixtures/vit_tiny_random.safetensors");
    path.to_str().unwrap().to_owned()
}

fn run(folder: &Path, command: &str, arguments: &[&str]) -> Output {
    deepcut(folder).arg(command).args(arguments).output().unwrap()
}

#[track_caller]
fn assert_says(output: &Output, words: &str) {
    assert!(stderr(output).contains(words), "{}", stderr(output));
}

/// The project's own six pictures, a copy.
fn pictures(folder: &Path) {
    for name in ["duck.jpg", "ducks1.jpg", "ducks2.jpg", "ducks3.jpg", "hare.jpg", "mug.jpg"] {
        std::fs::copy(example(name), folder.join(name)).unwrap();
    }
}

#[test]
fn a_network_learns_objects_from_pictures_and_no_other_takes_what_it_learned() {
    let dir = folder();
    let photos = dir.path().join("photos");
    std::fs::create_dir(&photos).unwrap();
    pictures(&photos);
    let vit = network();
    let with = ["--backbone", &vit, "--heads", "2", "--precision", "f32"];
    let fit = |more: &[&str]| run(dir.path(), "fit", &[&["photos", "-r", "160"], &with[..], more].concat());
    let output = fit(&["-o", "plane.safetensors", "--facet", "token@1", "--json"]);
    assert_status(&output, 0);
    assert_says(
        &output,
        "plane.safetensors: learned from 1536 patches of 6 of 6 images, resolution 160, teacher embedded, deepcut",
    );
    assert_says(&output, "too few images to hold any out");
    let lines = json_lines(&output);
    let prior = lines.iter().find(|line| line["type"] == "prior").unwrap();
    assert_eq!(prior["fitted"]["network"]["features"], "token@1");
    assert!(lines.iter().filter(|line| line["type"] == "picture" && line["used"] == true).count() == 6, "{lines:?}");
    // Whatever the number of threads, and never over a file that is there.
    assert_status(&fit(&["-o", "one.safetensors", "--facet", "token@1", "-j", "1"]), 0);
    let bytes = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    assert_eq!(bytes("plane.safetensors"), bytes("one.safetensors"));
    let again = fit(&["-o", "plane.safetensors"]);
    assert_status(&again, 2);
    assert_says(&again, "plane.safetensors exists; pass --overwrite to replace it, or name another with -o");

    // Facets and resolution are those that it was fitted at.
    let use_it =
        |more: &[&str]| run(dir.path(), "features", &[&["photos/duck.jpg", "--prior", "plane.safetensors"], more].concat());
    let output = use_it(&[&with[..], &["--json"]].concat());
    assert_status(&output, 0);
    let report = &json_lines(&output)[0];
    assert_eq!((&report["backbone"]["features"], &report["resolution"]), (&"token@1".into(), &160.into()));
    assert_eq!(report["backbone"]["prior"], prior["sha256"]);
    let file = bytes("duck.features.safetensors");
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let [features, logits] = ["features", "objectness"].map(|name| {
        let data = tensors.tensor(name).unwrap().data().to_vec();
        data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect::<Vec<f32>>()
    });
    // The plane, by the equation.
    let file = bytes("plane.safetensors");
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let values = |name: &str| {
        let data = tensors.tensor(name).unwrap().data().to_vec();
        data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect::<Vec<f64>>()
    };
    let (weight, mean, bias) = (values("weight"), values("mean"), values("bias")[0]);
    for (row, logit) in features.chunks_exact(weight.len()).zip(&logits) {
        let terms = row.iter().zip(&weight).zip(&mean).map(|((x, w), m)| w * (f64::from(*x) - m));
        assert!((bias + terms.sum::<f64>() - f64::from(*logit)).abs() < 1e-3);
    }
    assert!(logits.iter().any(|logit| *logit > 0.0) && logits.iter().any(|logit| *logit < 0.0));

    // Another network, other features, and files that are no prior.
    let output = use_it(&["-o", "x"]);
    assert_status(&output, 2);
    assert_says(
        &output,
        "deepcut: cannot use the prior plane.safetensors: the prior was fitted for the network vit_tiny_random.safetensors (",
    );
    assert_says(&output, "take that network, or fit a prior for this one");
    let output = use_it(&[&with[..], &["-o", "x", "--facet", "key"]].concat());
    assert_status(&output, 2);
    assert_says(&output, "for the features token@1, not for key@2");
    for (name, words) in [
        (vit.as_str(), "this is no prior; `deepcut fit` makes one"),
        ("none.safetensors", "cannot read the prior none.safetensors"),
    ] {
        let output = run(dir.path(), "features", &["photos/duck.jpg", "-o", "x", "--prior", name]);
        assert_status(&output, 2);
        assert_says(&output, words);
    }
}

#[test]
fn a_batch_does_not_go_on_with_another_prior() {
    let dir = folder();
    pictures(dir.path());
    let fit = |output: &str, inputs: &[&str]| {
        run(dir.path(), "fit", &[inputs, &["-r", "128", "--teacher", "self", "-o", output, "-q"]].concat())
    };
    assert_status(&fit("a.safetensors", &["."]), 0);
    assert_status(&fit("b.safetensors", &["duck.jpg", "mug.jpg"]), 0);
    let cut = |more: &[&str]| segment(dir.path(), &[&["duck.jpg", "--format", "mask,json", "-o", "out"], more].concat());
    assert_status(&cut(&["--prior", "a.safetensors"]), 0);
    assert_says(&cut(&["--prior", "a.safetensors"]), "done before");
    for other in [&[][..], &["--prior", "b.safetensors"]] {
        let output = cut(&[other, &["-r", "128"]].concat());
        assert_status(&output, 1);
        assert_says(&output, "made with other settings");
    }
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.path().join("out/duck.json")).unwrap()).unwrap();
    assert_eq!(
        (report["backbone"]["prior"].as_str().unwrap().len(), &report["options"]["view"]["resolution"]),
        (64, &128.into())
    );
    // A prior of the network itself teaches the next one, but does not teach beside another teacher.
    let more = [".", "--prior", "a.safetensors", "-o", "c.safetensors"];
    let output = run(dir.path(), "fit", &more);
    assert_status(&output, 2);
    assert_says(&output, "--prior is for --teacher self");
    assert_status(&run(dir.path(), "fit", &[&more[..], &["--teacher", "self"]].concat()), 0);
}

#[test]
fn bad_pictures_are_named_and_the_others_taught() {
    let dir = folder();
    std::fs::create_dir(dir.path().join("in")).unwrap();
    for name in ["a.png", "b.png", "c.png"] {
        picture(96, 128).save(dir.path().join("in").join(name)).unwrap();
    }
    std::fs::write(dir.path().join("in/bad.png"), "?").unwrap();
    let fit = |more: &[&str]| {
        run(dir.path(), "fit", &[&["-r", "160", "--teacher", "embedded", "-o", "plane.safetensors"], more].concat())
    };
    let output = fit(&["in"]);
    assert_status(&output, 1);
    assert_says(&output, "in/bad.png: not an image");
    assert_says(&output, "4 images, 1 failed");
    assert_says(&output, "of 3 of 4 images,");
    assert_eq!(tree(dir.path()).len(), 5);

    let output = fit(&["in/[ab].png", "--limit", "1", "--overwrite"]);
    assert_status(&output, 0);
    assert_says(&output, "of 1 of 1 image,");
    assert_status(&fit(&["in", "--limit", "0", "--overwrite"]), 2);
    let output = fit(&["in", "--log-bin", "--overwrite"]);
    assert_status(&output, 2);
    assert_says(&output, "--log-bin cannot be fitted");
}

#[test]
fn without_objects_nothing_is_learned_and_nothing_written() {
    let dir = folder();
    std::fs::create_dir_all(dir.path().join("none")).unwrap();
    let gray = image::RgbImage::from_pixel(64, 48, image::Rgb([90; 3]));
    for name in ["a.png", "b.png"] {
        gray.save(dir.path().join(name)).unwrap();
    }
    let output = run(dir.path(), "fit", &["none", "-o", "plane.safetensors"]);
    assert_status(&output, 1);
    assert_says(&output, "none: the folder holds no images");
    assert_says(&output, "there is no image to learn from");
    let output = run(dir.path(), "fit", &["*.png", "-o", "plane.safetensors"]);
    assert_status(&output, 1);
    assert_says(&output, "deepcut: there is nothing to learn from: in no image of 2 does the teacher find an object");
    assert_eq!(tree(dir.path()), ["a.png", "b.png"]);
    // One picture with an object is enough.
    picture(96, 128).save(dir.path().join("c.png")).unwrap();
    let output = run(dir.path(), "fit", &["*.png", "-o", "plane.safetensors", "-v"]);
    assert_status(&output, 0);
    assert_says(&output, "a.png: not learned from: the object covers 0 % of the image");
    assert_says(&output, "of 1 of 3 images,");
}
