//! The command `video`.

use super::{assert_status, deepcut, folder, json_lines, stderr, tree};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A frame with a bright object that is a step further to the right in each.
fn frame(number: u32, height: u32, width: u32) -> image::RgbImage {
    let left = 0.3 + 0.03 * number as f32;
    image::RgbImage::from_fn(width, height, |x, y| {
        let (u, v) = (x as f32 / width as f32 - left, y as f32 / height as f32 - 0.5);
        let grain = (x * 7 + y * 13) as u8 % 19;
        if u * u + v * v < 0.05 { image::Rgb([230 - grain, 150, 30 + grain]) } else { image::Rgb([40 + grain, 90, 60]) }
    })
}

fn save_frames(folder: &Path, count: u32) {
    std::fs::create_dir_all(folder).unwrap();
    for number in 0..count {
        frame(number, 96, 128).save(folder.join(format!("{}.png", number + 8))).unwrap();
    }
}

/// The same frames as a Y4M stream.
fn y4m(count: u32) -> Vec<u8> {
    let mut stream = b"YUV4MPEG2 W128 H96 F30000:1001 Ip A1:1 C444 XCOLORRANGE=FULL\n".to_vec();
    for number in 0..count {
        stream.extend(b"FRAME\n");
        let planes: Vec<[u8; 3]> = frame(number, 96, 128)
            .pixels()
            .map(|p| {
                let [r, g, b] = p.0.map(f32::from);
                let y = 0.299 * r + 0.587 * g + 0.114 * b;
                [y, (b - y) * 0.564 + 128.0, (r - y) * 0.713 + 128.0].map(|value| value.round() as u8)
            })
            .collect();
        (0..3).for_each(|plane| stream.extend(planes.iter().map(|pixel| pixel[plane])));
    }
    stream
}

fn video(folder: &Path, arguments: &[&str]) -> Output {
    deepcut(folder).arg("video").args(arguments).output().unwrap()
}

fn video_of(folder: &Path, stream: &[u8], arguments: &[&str]) -> Output {
    let mut child = deepcut(folder)
        .arg("video")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may have seen enough.
    let _ = stdin.write_all(stream);
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_folder_of_frames_becomes_masks_and_tracks() {
    let dir = folder();
    save_frames(&dir.path().join("in"), 4);
    let output = video(dir.path(), &["in", "-o", "out", "--format", "mask,overlay,tracks,coco,cvat", "--rate", "10", "--json"]);
    assert_status(&output, 0);
    let out = dir.path().join("out");
    let mut expected: Vec<String> =
        ["10", "11", "8", "9"].iter().flat_map(|n| [format!("{n}.mask.png"), format!("{n}.overlay.png")]).collect();
    expected.extend(["annotations.json", "annotations.xml", "tracks.json"].map(Into::into));
    assert_eq!(tree(&out), expected);
    let areas: Vec<usize> = ["8", "9", "10", "11"]
        .map(|n| image::open(out.join(format!("{n}.mask.png"))).unwrap().into_luma8().pixels().filter(|p| p.0 == [255]).count())
        .into();

    let tracks = json(&out.join("tracks.json"));
    let frames = tracks["frames"].as_array().unwrap();
    assert_eq!(
        frames.iter().map(|frame| frame["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["8.png", "9.png", "10.png", "11.png"]
    );
    assert_eq!(frames.iter().map(|frame| frame["time"].as_f64().unwrap()).collect::<Vec<_>>(), [0.0, 0.1, 0.2, 0.3]);
    let of_frames: Vec<usize> = frames.iter().map(|frame| frame["objects"][0]["area"].as_u64().unwrap() as usize).collect();
    assert_eq!(of_frames, areas);
    let lefts: Vec<u64> = frames.iter().map(|frame| frame["objects"][0]["box"][0].as_u64().unwrap()).collect();
    assert!(lefts.is_sorted() && lefts[0] < lefts[3], "{lefts:?}");
    assert_eq!(tracks["tracks"].as_array().unwrap().len(), 1);
    assert_eq!((&tracks["tracks"][0]["first"], &tracks["tracks"][0]["last"]), (&0.into(), &3.into()));
    assert_eq!(tracks["video"]["rate"], serde_json::json!([10000, 1000]));

    let coco = json(&out.join("annotations.json"));
    let annotations = coco["annotations"].as_array().unwrap();
    assert!(annotations.iter().all(|one| one["track_id"] == 1 && one["video_id"] == 1 && one["category_id"] == 1));
    assert_eq!(annotations.iter().map(|one| one["area"].as_u64().unwrap() as usize).collect::<Vec<_>>(), areas);
    assert_eq!((&coco["videos"][0]["length"], &coco["images"][2]["frame_id"]), (&4.into(), &2.into()));

    let xml = std::fs::read_to_string(out.join("annotations.xml")).unwrap();
    assert_eq!((xml.matches("<track ").count(), xml.matches("<mask frame=").count()), (1, 4));
    assert!(xml.contains("<mode>interpolation</mode>") && !xml.contains("outside=\"1\""));

    let lines = json_lines(&output);
    assert_eq!((lines.len(), &lines[4]["frames"], &lines[4]["tracks"]), (5, &4.into(), &1.into()));
    // A second run replaces nothing, unless it is told to; the results are no frames.
    let again = video(dir.path(), &["in", "-o", "out"]);
    assert_status(&again, 2);
    let told = "exists; pass --overwrite to replace it, or another folder with -o";
    assert!(stderr(&again).contains(told), "{}", stderr(&again));
    assert_status(&video(dir.path(), &["in", "-o", "out", "--overwrite"]), 0);
    assert_eq!(json(&out.join("tracks.json"))["frames"].as_array().unwrap().len(), 4);
}

#[test]
fn results_do_not_depend_on_threads_and_both_directions_work() {
    let dir = folder();
    save_frames(&dir.path().join("in"), 3);
    let modes = [&["--mode", "object"][..], &["--mode", "parts", "-k", "3"], &["--mode", "objects"], &["--bidirectional"]];
    for (number, mode) in modes.into_iter().enumerate() {
        let read = |threads: &str| {
            let out = format!("out{number}-{threads}");
            assert_status(&video(dir.path(), &[&["in", "-o", &out, "-j", threads, "-q"], mode].concat()), 0);
            let out = dir.path().join(out);
            tree(&out).into_iter().map(|name| std::fs::read(out.join(name)).unwrap()).collect::<Vec<_>>()
        };
        let one = read("1");
        assert_eq!(one.len(), 4);
        assert!(one == read("4"), "{mode:?}");
    }
}

#[test]
fn a_frame_that_fails_is_bridged_and_told() {
    let dir = folder();
    save_frames(&dir.path().join("in"), 5);
    std::fs::write(dir.path().join("in/10.png"), b"not an image").unwrap();
    frame(3, 48, 64).save(dir.path().join("in/11.png")).unwrap();
    let output = video(dir.path(), &["in", "-o", "out"]);
    assert_status(&output, 1);
    let told = stderr(&output);
    assert!(told.contains("frame 2 (10.png)") && told.contains("the mask of the frame before takes its place"), "{told}");
    assert!(told.contains("frame 3 (11.png) is 64 × 48 pixels; frames of another size"), "{told}");
    let read = |name: &str| image::open(dir.path().join("out").join(name)).unwrap().into_luma8();
    assert_eq!(read("10.mask.png"), read("9.mask.png"));
    assert_eq!(read("11.mask.png").dimensions(), (128, 96));
    let tracks = json(&dir.path().join("out/tracks.json"));
    let bridged: Vec<bool> =
        tracks["frames"].as_array().unwrap().iter().map(|frame| frame["bridged"].as_bool().unwrap()).collect();
    assert_eq!(bridged, [false, false, true, false, false]);
    assert_eq!(tracks["tracks"].as_array().unwrap().len(), 1);
}

#[test]
fn a_stream_that_breaks_off_leaves_what_was_done() {
    let dir = folder();
    let stream = y4m(3);
    let whole = video_of(dir.path(), &stream, &["-", "-o", "whole"]);
    assert_status(&whole, 0);
    assert_eq!(tree(&dir.path().join("whole")), ["000000.mask.png", "000001.mask.png", "000002.mask.png", "tracks.json"]);
    assert_eq!(json(&dir.path().join("whole/tracks.json"))["video"]["rate"], serde_json::json!([30000, 1001]));
    let cut = video_of(dir.path(), &stream[..stream.len() - 5], &["-", "-o", "cut"]);
    assert_status(&cut, 1);
    assert!(stderr(&cut).contains("it ends in the middle of frame 2; the 2 frames before are whole"), "{}", stderr(&cut));
    assert_eq!(tree(&dir.path().join("cut")), ["000000.mask.png", "000001.mask.png", "tracks.json"]);
    assert_eq!(json(&dir.path().join("cut/tracks.json"))["video"]["frames"], 2);
}

#[test]
fn what_is_no_video_is_refused_in_a_sentence() {
    let dir = folder();
    let refused = |output: Output, why: &str| {
        assert_status(&output, 2);
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    };
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    refused(video(dir.path(), &["empty", "-o", "out"]), "there is no image in the folder");
    refused(video(dir.path(), &["missing.mp4", "-o", "out"]), "cannot read the video");
    std::fs::write(dir.path().join("nothing.mp4"), b"").unwrap();
    refused(video(dir.path(), &["nothing.mp4", "-o", "out"]), "there is no frame in it");
    std::fs::write(dir.path().join("film.mp4"), b"\0\0\0\x20ftypisom").unwrap();
    let none = deepcut(dir.path()).env("PATH", dir.path()).args(["video", "film.mp4", "-o", "out"]).output().unwrap();
    refused(none, "needs the program ffmpeg, which was not found");
    refused(video_of(dir.path(), b"", &["-", "-o", "out"]), "there is no frame in it");
    refused(
        video_of(dir.path(), b"YUV4MPEG2 W9999999 H9999999 F25:1\n", &["-", "-o", "out"]),
        "raise the limit with --max-pixels",
    );
    refused(video_of(dir.path(), b"YUV4MPEG2 W8 H8 F25:1\n", &["-", "-o", "out"]), "there is no frame in it");
    refused(video_of(dir.path(), &y4m(1), &["-", "-o", "out", "--bidirectional"]), "save it to a file first");
    refused(video(dir.path(), &["empty", "-o", "out", "--inertia", "1"]), "inertia");
}

#[test]
fn one_frame_is_a_video_and_an_animation_too() {
    let dir = folder();
    save_frames(&dir.path().join("in"), 1);
    assert_status(&video(dir.path(), &["in", "-o", "one"]), 0);
    assert_eq!(tree(&dir.path().join("one")), ["8.mask.png", "tracks.json"]);
    let mut file = std::fs::File::create(dir.path().join("a.gif")).unwrap();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut file);
    for number in 0..3 {
        let picture = image::DynamicImage::from(frame(number, 96, 128)).into_rgba8();
        let delay = image::Delay::from_numer_denom_ms(200, 1);
        encoder.encode_frame(image::Frame::from_parts(picture, 0, 0, delay)).unwrap();
    }
    drop(encoder);
    drop(file);
    assert_status(&video(dir.path(), &["a.gif", "-o", "gif"]), 0);
    let times: Vec<f64> = json(&dir.path().join("gif/tracks.json"))["frames"]
        .as_array()
        .unwrap()
        .iter()
        .map(|frame| frame["time"].as_f64().unwrap())
        .collect();
    assert_eq!(times, [0.0, 0.2, 0.4]);
}

/// Whether ffmpeg is there; says so if not.
fn has_ffmpeg() -> bool {
    let found = Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        println!("skipped: ffmpeg is not installed");
    }
    found
}

#[test]
fn ffmpeg_decodes_and_encodes() {
    if !has_ffmpeg() {
        return;
    }
    let dir = folder();
    std::fs::write(dir.path().join("a.y4m"), y4m(4)).unwrap();
    let output = video(dir.path(), &["a.y4m", "-o", "out", "--overlay", "seen.mkv"]);
    assert_status(&output, 0);
    assert_eq!(tree(dir.path()).iter().filter(|name| name.contains("deepcut")).count(), 0);
    // What it encoded, it decodes.
    let output = video(dir.path(), &["seen.mkv", "-o", "again"]);
    assert_status(&output, 0);
    let tracks = json(&dir.path().join("again/tracks.json"));
    assert_eq!(
        (&tracks["video"]["frames"], &tracks["video"]["height"], &tracks["video"]["width"]),
        (&4.into(), &96.into(), &128.into())
    );
    // An extension that it does not know.
    let output = video(dir.path(), &["a.y4m", "-o", "third", "--overlay", "seen.nothing"]);
    assert_status(&output, 1);
    assert!(stderr(&output).contains("ffmpeg cannot encode it"), "{}", stderr(&output));
    std::fs::write(dir.path().join("film.mp4"), b"\0\0\0\x20ftypisom").unwrap();
    let output = video(dir.path(), &["film.mp4", "-o", "fourth"]);
    assert_status(&output, 2);
    assert!(stderr(&output).contains("ffmpeg cannot decode it"), "{}", stderr(&output));
}
