//! Batches: what they take in, where results go, and that they can be stopped and gone on with.

use super::{assert_status, deepcut, example, folder, json_lines, picture, save, segment, stderr, tree};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, SystemTime};

fn bytes(path: impl AsRef<Path>) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// Sets a file's time so many seconds before now.
fn set_age(path: &Path, seconds: u64) {
    let file = std::fs::File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

#[track_caller]
fn assert_says(output: &Output, words: &str) {
    assert!(stderr(output).contains(words), "`{words}` not in {}", stderr(output));
}

/// Another image of the same size, so that an uncompressed file has the same length.
fn save_other(path: &Path) {
    let mut other = picture(48, 64);
    image::imageops::flip_horizontal_in_place(&mut other);
    other.put_pixel(0, 0, image::Rgb([255, 0, 0]));
    other.save(path).unwrap();
}

#[test]
fn the_same_command_goes_on() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("in")).unwrap();
    for name in ["in/a.bmp", "in/b.bmp", "in/c.bmp"] {
        save(&at(name));
    }
    let run = |options: &[&str]| segment(dir.path(), &[&["in", "-o", "out", "--format", "mask,labels"], options].concat());
    let output = run(&[]);
    assert_status(&output, 0);
    assert_says(&output, "3 images, 6 files written, 0 failed");

    // All is there: one line, and status 0.
    let before = bytes(at("out/a.mask.png"));
    let output = run(&["--json"]);
    assert_status(&output, 0);
    assert_eq!(stderr(&output).trim_end(), "3 images, 0 files written, 0 failed, 3 done before");
    let lines = json_lines(&output);
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["skipped", "skipped", "skipped", "summary"]);
    assert_eq!((&lines[3]["skipped"], &lines[3]["done"], &lines[3]["files"]), (&3.into(), &0.into(), &0.into()));
    assert_eq!(lines[0]["outputs"][1], Path::new("out").join("a.labels.png").to_str().unwrap());

    // One result is missing, one was cut short, one is empty: they are made, the others stay.
    std::fs::remove_file(at("out/a.labels.png")).unwrap();
    let whole = bytes(at("out/b.mask.png"));
    std::fs::write(at("out/b.mask.png"), &whole[..whole.len() - 9]).unwrap();
    std::fs::write(at("out/c.mask.png"), b"").unwrap();
    let output = run(&[]);
    assert_status(&output, 0);
    assert_says(&output, "3 images, 3 files written, 0 failed");
    assert_eq!((bytes(at("out/b.mask.png")), bytes(at("out/a.mask.png"))), (whole.clone(), before.clone()));

    // One more format is added to what is there.
    assert_says(&segment(dir.path(), &["in", "-o", "out", "--format", "mask,json"]), "3 files written, 0 failed");
    assert_says(&run(&["--overwrite"]), "3 images, 6 files written, 0 failed");
    // Another number of threads is no other setting.
    assert_says(&run(&["--threads", "1"]), "3 done before");
}

#[test]
fn a_picture_that_changed_is_done_again() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    save(&at("a.bmp"));
    let run = |options: &[&str]| segment(dir.path(), &[&["a.bmp", "--format", "mask"], options].concat());
    assert_status(&run(&[]), 0);
    let first = bytes(at("a.mask.png"));
    assert_says(&run(&[]), "a.bmp: done before → a.mask.png");

    // Its time is later, its content the same: done again, unless content decides.
    std::thread::sleep(Duration::from_millis(20));
    set_age(&at("a.bmp"), 0);
    assert_says(&run(&["--checksum"]), "done before");
    assert_says(&run(&[]), "a.bmp → a.mask.png");
    assert_eq!(bytes(at("a.mask.png")), first);

    // Another image of the same length and an older time, as from a backup.
    save_other(&at("new.bmp"));
    set_age(&at("new.bmp"), 1_000_000);
    std::fs::rename(at("new.bmp"), at("a.bmp")).unwrap();
    let options: &[&str] = if cfg!(unix) { &[] } else { &["--checksum"] };
    assert_says(&run(options), "a.bmp → a.mask.png");
    assert_ne!(bytes(at("a.mask.png")), first);
    assert_says(&run(&["--checksum"]), "done before");

    // A camera whose clock is wrong: the time is to come, and stays so.
    let file = std::fs::File::options().append(true).open(at("a.bmp")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(1_000_000)).unwrap();
    drop(file);
    assert_says(&run(&[]), "done before");

    // Another length.
    picture(40, 64).save(at("a.bmp")).unwrap();
    assert_says(&run(&[]), "a.bmp → a.mask.png");
    assert_eq!(image::open(at("a.mask.png")).unwrap().height(), 40);

    // The folder is moved: the same images.
    std::fs::create_dir(at("moved")).unwrap();
    for name in ["a.bmp", "a.mask.png"] {
        std::fs::rename(at(name), at("moved").join(name)).unwrap();
    }
    let output = deepcut(&at("moved")).args(["segment", "a.bmp", "--format", "mask"]).output().unwrap();
    assert_says(&output, "done before");
}

#[test]
fn results_of_other_settings_or_by_hand_are_left() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("in")).unwrap();
    save(&at("in/a.png"));
    save(&at("in/b.png"));
    let run = |options: &[&str]| segment(dir.path(), &[&["in", "-o", "out", "--format", "mask"], options].concat());
    assert_status(&run(&["--resolution", "96"]), 0);
    let first = bytes(at("out/a.mask.png"));
    let output = run(&["--resolution", "128", "--seed", "3", "--json"]);
    assert_status(&output, 1);
    assert_says(&output, "2 images, 0 files written, 0 failed, 2 done with other settings");
    assert_says(&output, "resolution: 96, now 128; seed: the default, now 3); pass --overwrite to make them anew");
    assert_eq!(json_lines(&output)[0]["type"], "other-settings");
    assert_eq!(bytes(at("out/a.mask.png")), first);
    // Neither is a format added to them that would not fit.
    assert_status(&segment(dir.path(), &["in", "-o", "out", "--format", "mask,labels", "--resolution", "128"]), 1);
    assert_eq!(tree(&at("out")), ["a.mask.png", "b.mask.png"]);
    assert_status(&run(&["--resolution", "128", "--overwrite", "-q"]), 0);

    // An editor saved a corrected mask: it has no record.
    image::open(at("out/a.mask.png")).unwrap().save(at("out/a.mask.png")).unwrap();
    let by_hand = bytes(at("out/a.mask.png"));
    let output = run(&["--resolution", "128"]);
    assert_status(&output, 0);
    assert_says(&output, "left as found: 1 result that another program wrote");
    assert_eq!(bytes(at("out/a.mask.png")), by_hand);

    // Annotations of another program beside the image are no report of ours.
    std::fs::write(at("out/b.json"), r#"{"shapes": []}"#).unwrap();
    let output = segment(dir.path(), &["in/b.png", "-o", "out", "--format", "json", "--resolution", "128"]);
    assert_status(&output, 1);
    assert_says(&output, "b.json exists and is no result; pass --overwrite");
    assert_eq!(bytes(at("out/b.json")), br#"{"shapes": []}"#);
}

#[test]
fn names_stay_when_other_pictures_come_and_go() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("in")).unwrap();
    let run = |inputs: &[&str]| segment(dir.path(), &[inputs, &["-o", "out", "--format", "mask"]].concat());
    save(&at("in/a.bmp"));
    assert_status(&run(&["in"]), 0);
    let first = bytes(at("out/a.mask.png"));
    save_other(&at("in/a.png"));
    save(&at("in/a.bmp.bmp"));
    assert_says(&run(&["in"]), "3 images, 2 files written, 0 failed, 1 done before");
    let all = ["a.bmp.mask.png", "a.mask.png", "a.png.mask.png"];
    assert_eq!((tree(&at("out")), bytes(at("out/a.mask.png"))), (all.map(String::from).to_vec(), first));
    // Alone or together, each is done.
    for inputs in [&["in"][..], &["in/a.png"], &["in/a.bmp.bmp", "in/a.png"], &["in/a.bmp"]] {
        let output = run(inputs);
        assert_status(&output, 0);
        assert_says(&output, "done before");
        assert_eq!(tree(&at("out")), all);
    }

    // With nothing there yet, images that share a stem have whole names, and keep them when they are alone.
    let run = |inputs: &[&str]| segment(dir.path(), &[inputs, &["-o", "new", "--format", "mask"]].concat());
    assert_status(&run(&["in/a.bmp", "in/a.png", "in/a.bmp.bmp"]), 0);
    let all = ["a.bmp.bmp.mask.png", "a.bmp.mask.png", "a.png.mask.png"];
    assert_eq!(tree(&at("new")), all);
    for input in ["in/a.bmp", "in/a.png", "in/a.bmp.bmp"] {
        assert_says(&run(&[input]), "done before");
    }
    assert_eq!(tree(&at("new")), all);

    // An image of the same name from another folder is another image.
    std::fs::create_dir(at("other")).unwrap();
    save_other(&at("other/a.bmp"));
    let output = segment(dir.path(), &["other/a.bmp", "-o", "out", "--format", "mask"]);
    assert_status(&output, 1);
    assert_says(&output, "a.mask.png is the result of another image, a.bmp; pass --overwrite");
}

#[test]
fn a_picture_named_twice_is_done_once() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("sub")).unwrap();
    save(&at("1.png"));
    save(&at("sub/2.png"));
    let output = segment(dir.path(), &["1.png", ".", "./1.png", "sub/../1.png", "*.png", "-o", "out", "--format", "mask"]);
    assert_status(&output, 0);
    assert_says(&output, "2 images, 2 files written");
    assert_eq!(tree(&at("out")), ["1.mask.png", "sub/2.mask.png"]);
    #[cfg(unix)]
    {
        // The folder goes by its own name; a link to an image is an image of its own name.
        std::os::unix::fs::symlink("sub", at("again")).unwrap();
        std::os::unix::fs::symlink("1.png", at("one.png")).unwrap();
        let output = segment(dir.path(), &[".", "again/2.png", "-o", "linked", "--format", "mask", "--json"]);
        assert_status(&output, 0);
        assert_eq!(tree(&at("linked")), ["1.mask.png", "one.mask.png", "sub/2.mask.png"]);
        assert_eq!(json_lines(&output)[3]["left_out"][0]["files"], 2);
    }
}

#[test]
fn folders_and_patterns_walk_alike() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    for sub in ["in/sub", "in/.hidden", "in/photos [1]", "far"] {
        std::fs::create_dir_all(at(sub)).unwrap();
    }
    for name in ["a.JPG", "sub/b.jpg", "sub/c.png", ".hidden/d.jpg", "._a.jpg", ".e.jpg", "photos [1]/f.jpg", "sub/old.mask.png"]
    {
        save(&at("in").join(name));
    }
    save(&at("far/g.jpg"));
    for (name, content) in [("x.heic", "\0\0\0\x18ftypheic\0\0\0\0mif1heic"), ("y.HEIC", "?"), ("z.pdf", "?"), ("notes.txt", "?")]
    {
        std::fs::write(at("in").join(name), content).unwrap();
    }
    let mut all = vec!["a.mask.png", "photos [1]/f.mask.png", "sub/b.mask.png", "sub/c.mask.png"];
    #[cfg(unix)]
    {
        // Circles of links: to itself, to what holds it, and to and fro.
        for (target, link) in [("..", "in/sub/up"), (".", "in/self"), ("../far", "in/far"), ("../in", "far/back")] {
            std::os::unix::fs::symlink(target, at(link)).unwrap();
        }
        all.insert(1, "far/g.mask.png");
    }
    let run = |input: &str, out: &str| segment(dir.path(), &[input, "-o", out, "--format", "mask", "--json"]);
    let output = run("in", "folder");
    assert_status(&output, 0);
    assert_eq!(tree(&at("folder")), all);
    assert_says(&output, "left out: 2 HEIC (convert it first: heif-convert in.heic out.png), 1 PDF");
    assert_says(&output, "1 of this program's results");
    let summary = json_lines(&output).pop().unwrap();
    assert_eq!((&summary["left_out"][0]["what"], &summary["left_out"][0]["files"]), (&"HEIC".into(), &2.into()));
    let output = run("in/**/*", "pattern");
    assert_status(&output, 0);
    assert_eq!(tree(&at("pattern")), all);
    assert_says(&output, "left out: 2 HEIC");
    assert_status(&run("in/**/*.{jpg,png}", "braces"), 0);
    assert_eq!(tree(&at("braces")), all);
    // A choice that names a file is missed if it is not there.
    let output = run("in/sub/{b.jpg,zz.jpg}", "choices");
    assert_status(&output, 1);
    assert_says(&output, "zz.jpg");
    assert_eq!(tree(&at("choices")), ["b.mask.png"]);
    // A folder that looks like a pattern, and hidden files that are named.
    assert_status(&run("in/photos [1]/*.jpg", "brackets"), 0);
    assert_eq!(tree(&at("brackets")), ["f.mask.png"]);
    assert_status(&segment(dir.path(), &["in/._a.jpg", "in/.hidden", "in/.e*", "-o", "named", "--format", "mask"]), 0);
    assert_eq!(tree(&at("named")), ["._a.mask.png", ".e.mask.png", "d.mask.png"]);

    // What a pattern with an extension matches is tried, whatever it is.
    let output = run("in/*.txt", "text");
    assert_status(&output, 1);
    assert_says(&output, "notes.txt: not an image in a format this build reads");
    for (pattern, words) in
        [("in/*.gif", "no file matches the pattern"), ("in/*.heic", "HEIC is not read"), ("in/s*", "it with /**/*")]
    {
        let output = run(pattern, "none");
        assert_status(&output, 1);
        assert_says(&output, words);
    }
    std::fs::create_dir(at("foreign")).unwrap();
    std::fs::write(at("foreign/x.heic"), "?").unwrap();
    let output = run("foreign", "none");
    assert_status(&output, 1);
    assert_says(&output, "foreign: the folder holds no images");
    assert_says(&output, "left out: 1 HEIC (convert it first");
    assert!(!at("none").exists());
}

#[test]
fn one_result_is_one_file() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    save(&at("a.png"));
    save(&at("b.png"));
    let run = |arguments: &[&str]| segment(dir.path(), arguments);
    assert_status(&run(&["a.png", "-o", "mask.png"]), 0);
    assert_status(&run(&["a.png", "-o", "made/a.json"]), 0);
    assert_eq!(tree(dir.path()), ["a.png", "b.png", "made/a.json", "mask.png"]);
    assert_says(&run(&["a.png", "-o", "mask.png"]), "done before");
    for (arguments, status, words) in [
        (&["a.png", "-o", "m.jpg"][..], 2, "m.jpg does not end as its format does (`.mask.png`): name it m.png"),
        (&["a.png", "-o", "m.heic"], 2, "name it m.png"),
        (&["a.png", "b.png", "-o", "m.png"], 2, "one result of one image, not 1 format of 2 images"),
        (&["a.png", "-o", "m.png", "--format", "mask,json"], 2, "not 2 formats of 1 image"),
        (&["b.png", "-o", "mask.png"], 1, "mask.png is the result of another image, a.png"),
        (&["b.png", "-o", "a.png"], 1, "a.png exists; pass --overwrite"),
        // Not even then is an image replaced by its mask.
        (&["b.png", "-o", "b.png", "--overwrite"], 1, "would replace b.png, one of the images"),
    ] {
        let output = run(arguments);
        assert_status(&output, status);
        assert_says(&output, words);
    }
    assert_eq!(tree(dir.path()), ["a.png", "b.png", "made/a.json", "mask.png"]);
    assert_status(&run(&["a.png", "-o", "folder.png/", "--format", "mask"]), 0);
    assert!(at("folder.png/a.mask.png").exists());
}

#[test]
fn what_a_killed_run_left_is_removed() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(at("out")).unwrap();
    save(&at("a.png"));
    for name in [".deepcut-Ab3xyZ.part", ".deepcut-locked.part", ".deepcut-of-the-user.part", "b.part"] {
        std::fs::write(at("out").join(name), "half").unwrap();
    }
    // Another run is writing this one.
    let held = std::fs::File::options().write(true).open(at("out/.deepcut-locked.part")).unwrap();
    held.lock().unwrap();
    assert_status(&segment(dir.path(), &["a.png", "-o", "out", "--format", "mask"]), 0);
    assert_eq!(tree(&at("out")), [".deepcut-locked.part", ".deepcut-of-the-user.part", "a.mask.png", "b.part"]);
}

#[test]
fn what_cannot_be_written_is_found_first() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    save(&at("a.png"));
    std::fs::write(at("file"), "in the way").unwrap();
    // Before the network is looked for.
    for out in ["file", "file/out", "file/out/m.png"] {
        let output = segment(dir.path(), &["a.png", "-o", out, "--format", "mask", "--backbone", "absent.safetensors"]);
        assert_status(&output, 2);
        assert_says(&output, "give a writable one with -o");
    }
    // A run that comes to nothing leaves no folder.
    assert_status(&segment(dir.path(), &["a.png", "-o", "x/y", "--backbone", "absent.safetensors"]), 2);
    assert_status(&segment(dir.path(), &["missing.png", "-o", "x/y"]), 1);
    assert_eq!(tree(dir.path()), ["a.png", "file"]);
    assert!(!at("x").exists());
}

#[test]
fn what_is_in_the_way_of_some_results_does_not_stop_the_others() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    for sub in ["in/a", "in/b", "out"] {
        std::fs::create_dir_all(at(sub)).unwrap();
    }
    for name in ["in/a/1.png", "in/a/2.png", "in/a/3.png", "in/a/4.png", "in/b/5.png"] {
        save(&at(name));
    }
    // A file where a sub-folder would be.
    std::fs::write(at("out/a"), "in the way").unwrap();
    let output = segment(dir.path(), &["in", "-o", "out", "--format", "mask", "-r", "96"]);
    assert_status(&output, 1);
    assert_says(&output, "5 images, 1 file written, 4 failed");
    assert_says(&output, "cannot make the folder");
    assert_eq!(tree(&at("out")), ["a", "b/5.mask.png"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(at("in/a"), std::fs::Permissions::from_mode(0o000)).unwrap();
        if std::fs::read_dir(at("in/a")).is_ok() {
            eprintln!("skipped: the administrator reads every folder");
            return;
        }
        for input in ["in", "in/**/*.png"] {
            let output = segment(dir.path(), &[input, "-o", "new", "--format", "mask", "-r", "96"]);
            std::fs::set_permissions(at("in/a"), std::fs::Permissions::from_mode(0o755)).unwrap();
            assert_status(&output, 1);
            assert_says(&output, "a: cannot read the folder");
            assert_says(&output, "1 failed");
            std::fs::set_permissions(at("in/a"), std::fs::Permissions::from_mode(0o000)).unwrap();
        }
        std::fs::set_permissions(at("in/a"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn another_picture_from_standard_input_is_another_picture() {
    let dir = folder();
    let run = |path: &Path| {
        let file = std::fs::File::open(path).unwrap();
        deepcut(dir.path()).args(["segment", "-", "-o", "out", "--format", "mask", "-r", "96"]).stdin(file).output().unwrap()
    };
    save(&dir.path().join("a.png"));
    save_other(&dir.path().join("b.png"));
    assert_status(&run(&dir.path().join("a.png")), 0);
    assert_says(&run(&dir.path().join("a.png")), "standard input: done before");
    let output = run(&dir.path().join("b.png"));
    assert_status(&output, 1);
    assert_says(&output, "is the result of another image, stdin; pass --overwrite");
}

/// So many images that a busy machine is not through with them before it is this test's turn again.
const MANY: usize = 400;
/// With one thread: an image that is made, four that wait for the disk, and one before and behind each of these. They are begun, so they are
/// reported.
const BEGUN: u64 = 8;

/// A batch of `count` images, begun: its first image is done.
fn begun(dir: &Path, count: usize, options: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    std::fs::create_dir_all(dir.join("in")).unwrap();
    save(&dir.join("in/00.png"));
    for i in 1..count {
        std::fs::copy(dir.join("in/00.png"), dir.join(format!("in/{i:02}.png"))).unwrap();
    }
    let mut command = deepcut(dir);
    command.args(["segment", "in", "-o", "out", "--format", "mask", "--json", "--threads", "1", "-r", "96"]).args(options);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.starts_with(r#"{"type":"picture""#), "{line}");
    (child, stdout)
}

/// The rest of what it says, and its end.
fn ended(mut child: Child, mut stdout: impl Read) -> Output {
    let mut lines = Vec::new();
    stdout.read_to_end(&mut lines).unwrap();
    let mut text = Vec::new();
    child.stderr.take().unwrap().read_to_end(&mut text).unwrap();
    Output { status: child.wait().unwrap(), stdout: lines, stderr: text }
}

#[test]
fn an_output_that_is_gone_stops_the_batch() {
    let dir = folder();
    let (child, stdout) = begun(dir.path(), MANY, &[]);
    std::fs::rename(dir.path().join("out"), dir.path().join("unplugged")).unwrap();
    let output = ended(child, stdout);
    assert_status(&output, 1);
    assert_says(&output, "stopped: the output folder out is gone");
    assert_says(&output, "not done; the same command goes on from here");
    assert!(!dir.path().join("out").exists());
    let summary = json_lines(&output).pop().unwrap();
    assert!(summary["not_done"].as_u64().unwrap() > 0 && summary["failures"].as_u64().unwrap() <= BEGUN, "{summary}");

    #[cfg(target_os = "linux")]
    {
        // A limit on the size of files stands in for a full disk.
        let program = env!("CARGO_BIN_EXE_deepcut");
        picture(300, 400).save(dir.path().join("in/00.png")).unwrap();
        (1..60).for_each(|i| drop(std::fs::copy(dir.path().join("in/00.png"), dir.path().join(format!("in/{i:02}.png")))));
        let script = format!(
            "trap '' XFSZ; ulimit -f 4; exec {program} segment in -o full --format mask,overlay -r 96 --threads 1 --json"
        );
        let output = std::process::Command::new("bash").args(["-c", &script]).current_dir(dir.path()).output().unwrap();
        assert_status(&output, 1);
        assert_says(&output, "stopped: the results of 3 images in a row could not be written");
        let summary = json_lines(&output).pop().unwrap();
        // Others may have been begun by then.
        assert!(summary["failures"].as_u64().unwrap() < 3 + BEGUN && summary["files"] == summary["failures"], "{summary}");
        // The masks, which are small, are there and counted; the next run makes the rest.
        assert_eq!(json_lines(&output)[0]["outputs"][0], "full/00.mask.png");
        let output = segment(dir.path(), &["in/00.png", "-o", "full", "--format", "mask,overlay", "-r", "96", "-v"]);
        assert_status(&output, 0);
        assert_says(&output, "→ full/00.overlay.png");
    }
}

#[test]
#[cfg(unix)]
fn signals_end_a_batch_well() {
    let kill = |child: &Child, signal: &str| {
        let status = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(status.unwrap().success());
    };
    for (signal, status, word) in [("-INT", 130, "interrupted"), ("-TERM", 143, "terminated")] {
        let dir = folder();
        let (child, stdout) = begun(dir.path(), MANY, &[]);
        kill(&child, signal);
        let output = ended(child, stdout);
        assert_status(&output, status);
        let summary = json_lines(&output).pop().unwrap();
        let undone = summary["not_done"].as_u64().unwrap();
        assert_says(&output, &format!("{word}: {undone} images not done; the same command goes on from here"));
        let written = tree(&dir.path().join("out"));
        assert!(
            undone > 0 && written.len() as u64 == MANY as u64 - undone && written.iter().all(|name| name.ends_with(".mask.png"))
        );
        assert_eq!((summary["done"].as_u64().unwrap(), summary["failures"].as_u64().unwrap()), (MANY as u64 - undone, 0));
        // The next run goes on.
        let output = segment(dir.path(), &["in/0*.png", "-o", "out", "--format", "mask", "--json", "-r", "96"]);
        assert_status(&output, 0);
        assert_eq!(json_lines(&output)[0]["type"], "skipped");
    }

    // An image that takes long is left after a while; the second signal does not wait.
    for again in [false, true] {
        let dir = folder();
        let (child, stdout) = begun(dir.path(), 1, &["--quiet"]);
        assert_status(&ended(child, stdout), 0);
        let mut command = deepcut(dir.path());
        // With the slowest kernels the network alone takes longer than a busy machine takes to send two signals.
        command.args(["segment", "in", "-o", "large", "-r", "2048", "--threads", "1", "--verbose", "--deterministic"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Until the network has begun: before it, a signal ends the image at once. It has after a second of the processor's time, which Linux
        // tells in hundredths behind the name in brackets; elsewhere it takes a while.
        let has_begun = || match std::fs::read_to_string(format!("/proc/{}/stat", child.id())) {
            Ok(status) => {
                let user = status.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(11)?.parse::<u64>().ok());
                user.is_some_and(|hundredths| hundredths > 100)
            }
            Err(_) => {
                std::thread::sleep(Duration::from_secs(5));
                true
            }
        };
        while !has_begun() {
            std::thread::sleep(Duration::from_millis(10));
        }
        kill(&child, "-INT");
        if again {
            std::thread::sleep(Duration::from_millis(200));
            kill(&child, "-INT");
        }
        let output = child.wait_with_output().unwrap();
        assert_status(&output, 130);
        assert_eq!(stderr(&output).contains("interrupted: 1 image not done"), !again, "{}", stderr(&output));
        assert_eq!(tree(dir.path()).iter().filter(|name| name.starts_with("large")).count(), 0);
    }
}

#[test]
fn a_reader_that_leaves_early_is_told() {
    let dir = folder();
    std::fs::create_dir(dir.path().join("in")).unwrap();
    for name in ["in/a.png", "in/b.png", "in/c.png"] {
        save(&dir.path().join(name));
    }
    let run = |options: &[&str]| {
        let mut command = deepcut(dir.path());
        command.args(["segment", "in", "--json", "--threads", "1"]).args(options);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        child.wait_with_output().unwrap()
    };
    // Only lines were wanted: the rest need not be computed.
    let output = run(&[]);
    assert_status(&output, 1);
    assert_says(&output, "standard output was closed by its reader: 3 images not told");
    // Files were wanted, too.
    let output = run(&["-o", "out", "--format", "mask"]);
    assert_status(&output, 1);
    assert_says(&output, "3 images not told; files are written all the same");
    assert_eq!(tree(&dir.path().join("out")), ["a.mask.png", "b.mask.png", "c.mask.png"]);
    // Without lines nothing is left unsaid.
    let output = run(&["-o", "out", "--format", "mask", "-q"]);
    assert_status(&output, 1);
    assert_status(&segment(dir.path(), &["in", "-o", "out", "--format", "mask", "-q"]), 0);
}

#[test]
fn odd_names_and_odd_files_are_handled() {
    let dir = folder();
    let at = |name: &str| dir.path().join(name);
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"not \xff UTF-8.png");
        save(&dir.path().join("plain.png"));
        std::fs::rename(at("plain.png"), dir.path().join(name)).unwrap();
        let output = deepcut(dir.path()).args(["segment", ".", "--format", "mask"]).output().unwrap();
        assert_status(&output, 0);
        assert!(dir.path().join(std::ffi::OsStr::from_bytes(b"not \xff UTF-8.mask.png")).exists());
        assert_says(&segment(dir.path(), &[".", "--format", "mask"]), "done before");

        std::fs::write(at("a\x1b[31m\nb.png"), "?").unwrap();
        let output = segment(dir.path(), &[".", "--format", "mask", "--json"]);
        assert_status(&output, 1);
        assert_says(&output, r"a\u{1b}[31m\nb.png: not an image");
        assert!(!stderr(&output).contains('\x1b') && !String::from_utf8_lossy(&output.stdout).contains('\x1b'));

        let output = segment(dir.path(), &["--odd\x1b[31m"]);
        assert_status(&output, 2);
        assert!(stderr(&output).contains("'--odd") && !stderr(&output).contains('\x1b'), "{}", stderr(&output));

        // A named pipe without a writer is an error at once, alone and in a folder, also where it took the place of an image that was done.
        std::fs::create_dir(at("pipes")).unwrap();
        save(&at("pipes/p.png"));
        assert_status(&segment(dir.path(), &["pipes", "-o", "out", "--format", "mask"]), 0);
        std::fs::remove_file(at("pipes/p.png")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("pipes/p.png")).status().unwrap().success());
        for out in ["out", "new"] {
            let output = segment(dir.path(), &["pipes", "-o", out, "--format", "mask", "--checksum"]);
            assert_status(&output, 1);
        }
        assert_says(&segment(dir.path(), &["pipes/p.png", "--json"]), "p.png: a pipe, a socket or a device, not a file");
        assert_says(&segment(dir.path(), &["/dev/zero", "--json"]), "a pipe, a socket or a device, not a file");
    }
    picture(300, 400).save(at("large.png")).unwrap();
    let output = segment(dir.path(), &["large.png", "--json", "--max-pixels", "100000"]);
    assert_status(&output, 1);
    assert_says(&output, "300");
    assert_status(&segment(dir.path(), &["large.png", "--json", "--max-pixels", "120000", "--max-memory", "100MB"]), 0);
    assert_status(&segment(dir.path(), &["large.png", "--json", "--max-memory", "lots"]), 2);
    let output = segment(dir.path(), &["large.png", "--quiet", "--verbose"]);
    assert_status(&output, 2);
    assert_says(&output, "'--quiet' cannot be used with '--verbose'");
}

#[test]
fn a_damaged_picture_is_kept_if_asked() {
    let dir = folder();
    let duck = bytes(example("duck.jpg"));
    std::fs::write(dir.path().join("half.jpg"), &duck[..duck.len() / 2]).unwrap();
    let run = |options: &[&str]| segment(dir.path(), &[&["half.jpg", "-r", "96", "--format", "mask,json"], options].concat());
    let output = run(&[]);
    assert_status(&output, 1);
    assert_says(&output, "half.jpg: damaged: ");
    assert_eq!(tree(dir.path()), ["half.jpg"]);
    let output = run(&["--keep-damaged", "--json"]);
    assert_status(&output, 0);
    assert_says(&output, "half.jpg: warning: damaged: ");
    let lines = json_lines(&output);
    assert_eq!((&lines[0]["damaged"], &lines[1]["damaged"]), (&true.into(), &1.into()));
    assert!(!lines[0]["damage"].as_str().unwrap().is_empty());
    let report: serde_json::Value = serde_json::from_slice(&bytes(dir.path().join("half.json"))).unwrap();
    assert_eq!(report["damaged"], true);
}

#[test]
fn features_go_on_too() {
    let dir = folder();
    save(&dir.path().join("a.png"));
    let run = |options: &[&str]| deepcut(dir.path()).args(["features", "a.png"]).args(options).output().unwrap();
    assert_status(&run(&[]), 0);
    assert_says(&run(&[]), "a.png: done before → a.features.safetensors");
    let output = run(&["-r", "128"]);
    assert_status(&output, 1);
    assert_says(&output, "resolution: 352, now 128");
    let output = run(&["--deterministic"]);
    assert_status(&output, 1);
    assert_says(&output, "deterministic");
    let file = bytes(dir.path().join("a.features.safetensors"));
    std::fs::write(dir.path().join("a.features.safetensors"), &file[..file.len() / 2]).unwrap();
    assert_status(&run(&[]), 0);
    assert_eq!(bytes(dir.path().join("a.features.safetensors")).len(), file.len());
}
