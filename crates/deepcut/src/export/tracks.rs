//! Files about a whole video: `tracks.json`, COCO's instances with `video_id` and `track_id`, and CVAT's file of a video.
//!
//! Objects that are followed through a video have ids; a track is all that has one id. Frames are numbered from 0 in the order of the video.
//!
//! * `tracks.json` has a line for each frame, with the objects in it, then a line for each track: see [`json()`].
//! * COCO's file has `videos` and `tracks` beside `images`, as the data sets of video segmentation have them (YouTube-VIS, BDD100K, TAO), but its annotations
//!   are COCO's own, one for each object and frame, so that every reader of COCO takes it.
//! * CVAT's file is `annotations.xml` 1.1 of a task in interpolation mode: `track` elements with a key frame for every frame, and an `outside` one
//!   where the object is gone.
//!
//! Source: CVAT's documentation of its XML format; the format of the COCO data set (Lin et al., arXiv 1405.0312).

use super::annotation::{AnnotationOptions, Object, Regions, Shapes, Sheet};
use super::coco::{List, annotation};
use super::xml::escape;
use super::{ExportError, cvat};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;

/// A frame and the objects in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrameRegions {
    /// Its number, counted from 0.
    pub frame: usize,
    /// Seconds from the first frame.
    pub time: f64,
    /// The scene it belongs to, counted from 1.
    pub scene: usize,
    /// Whether it could not be read, and the regions are those of the frame before.
    pub bridged: bool,
    /// Its regions by label.
    pub regions: Regions,
    /// The id of each label's object or part.
    pub ids: BTreeMap<u8, u32>,
}

/// What is known of a video.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Video {
    /// Its name.
    pub name: String,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Frames a second as a fraction.
    pub rate: [u32; 2],
    /// Frames that were segmented.
    pub frames: usize,
}

/// Visits a frame.
pub type Visit<'a> = dyn FnMut(&FrameRegions) -> Result<(), ExportError> + 'a;

/// The frames of a video that have results.
pub trait TrackedFrames {
    /// What to write, and how.
    fn options(&self) -> &AnnotationOptions;

    /// What made the regions, for people: program, version, and network.
    fn model(&self) -> &str;

    /// The video.
    fn video(&self) -> &Video;

    /// Calls `visit` with every frame, in order.
    ///
    /// # Errors
    /// [`ExportError`] if what was kept of a frame is gone, or what `visit` returns.
    fn each(&self, visit: &mut Visit<'_>) -> Result<(), ExportError>;

    /// Calls `visit` with every frame that a track is in, in order.
    ///
    /// # Errors
    /// As [`TrackedFrames::each`].
    fn each_of(&self, track: u32, visit: &mut Visit<'_>) -> Result<(), ExportError>;
}

/// What is known of a track.
struct Track {
    name: String,
    class: usize,
    kind: Value,
    part_of: Option<u8>,
    scene: usize,
    first: usize,
    last: usize,
    frames: usize,
    score: f64,
}

fn sheet<'a>(frame: &'a FrameRegions, options: &'a AnnotationOptions) -> Result<Sheet<'a>, ExportError> {
    let broken = || ExportError::Regions { path: frame.regions.image.clone().into() };
    Sheet::new(&frame.regions, options, &frame.regions.image, None, None).ok_or_else(broken)
}

fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// All tracks by their ids.
fn tracks(frames: &dyn TrackedFrames) -> Result<BTreeMap<u32, Track>, ExportError> {
    let mut found: BTreeMap<u32, Track> = BTreeMap::new();
    frames.each(&mut |frame| {
        for shape in &frame.regions.regions {
            let Some(&id) = frame.ids.get(&shape.label) else { continue };
            let class = AnnotationOptions::class_of(shape.kind, shape.label);
            let track = found.entry(id).or_insert_with(|| Track {
                name: frames.options().class_name(shape.kind, class),
                class,
                kind: json!(shape.kind),
                part_of: shape.part_of,
                scene: frame.scene,
                first: frame.frame,
                last: frame.frame,
                frames: 0,
                score: 0.0,
            });
            track.last = frame.frame;
            track.frames += 1;
            track.score += f64::from(shape.score);
        }
        Ok(())
    })?;
    Ok(found)
}

/// The names of the classes by their numbers, with those between.
fn classes(tracks: &BTreeMap<u32, Track>) -> Vec<String> {
    let most = tracks.values().map(|track| track.class).max().unwrap_or(1);
    let name = |class| tracks.values().find(|track| track.class == class).map(|track| track.name.clone());
    (1..=most).map(|class| name(class).unwrap_or_else(|| format!("class {class}"))).collect()
}

/// Writes `tracks.json`.
///
/// | member | meaning |
/// |---|---|
/// | `type`, `version`, `model` | `tracks`, this program's version, and what made them |
/// | `video` | `name`, `height`, `width`, `rate` (frames a second as a fraction), `frames` |
/// | `frames` | a line each: `frame` from 0, `name`, `time` in seconds, `scene` from 1, `bridged`, and `objects`: `id`, `label` (its value in label pictures), `box` `[x, y, width, height]`, `area` in pixels, `score` |
/// | `tracks` | a line each: `id`, `name`, `kind`, `scene`, `first` and `last` frame, the number of `frames` it is in, and the mean `score` |
///
/// # Errors
/// [`ExportError`] if it cannot be written.
pub fn json(frames: &dyn TrackedFrames, out: &mut dyn Write) -> Result<(), ExportError> {
    let (video, model, version) = (json!(frames.video()), json!(frames.model()), env!("CARGO_PKG_VERSION"));
    write!(out, "{{\"type\": \"tracks\", \"version\": \"{version}\", \"model\": {model},\n\"video\": {video},\n\"frames\": [")?;
    let mut list = List::new();
    frames.each(&mut |frame| {
        let object = |shape: &super::annotation::Shape| {
            let id = frame.ids.get(&shape.label)?;
            let score = rounded(f64::from(shape.score));
            Some(json!({ "id": id, "label": shape.label, "box": shape.bounds, "area": shape.area, "score": score }))
        };
        let objects: Vec<Value> = frame.regions.regions.iter().filter_map(object).collect();
        let item = json!({
            "frame": frame.frame, "name": frame.regions.image, "time": rounded(frame.time), "scene": frame.scene, "bridged": frame.bridged,
            "objects": objects,
        });
        list.push(out, &item)
    })?;
    write!(out, "\n],\n\"tracks\": [")?;
    let mut list = List::new();
    for (id, track) in tracks(frames)? {
        let score = rounded(track.score / track.frames.max(1) as f64);
        let mut item = json!({
            "id": id, "name": track.name, "kind": track.kind, "scene": track.scene, "first": track.first, "last": track.last,
            "frames": track.frames, "score": score,
        });
        if let Some(part_of) = track.part_of {
            item["part_of"] = json!(part_of);
        }
        list.push(out, &item)?;
    }
    Ok(out.write_all(b"\n]}\n")?)
}

/// Writes COCO's file, with `videos` and `tracks`.
///
/// # Errors
/// [`ExportError`] if it cannot be written.
pub fn coco(frames: &dyn TrackedFrames, out: &mut dyn Write) -> Result<(), ExportError> {
    let (video, options) = (frames.video(), frames.options());
    let info = json!({ "description": frames.model(), "version": env!("CARGO_PKG_VERSION") });
    let [above, below] = video.rate;
    let about = json!({
        "id": 1, "name": video.name, "width": video.width, "height": video.height, "length": video.frames,
        "fps": rounded(f64::from(above) / f64::from(below)),
    });
    write!(out, "{{\"info\": {info},\n\"licenses\": [],\n\"videos\": [{about}],\n\"images\": [")?;
    let mut list = List::new();
    frames.each(&mut |frame| {
        let Regions { image, height, width, .. } = &frame.regions;
        let item = json!({
            "id": frame.frame + 1, "file_name": image, "width": width, "height": height, "video_id": 1, "frame_id": frame.frame,
            "time": rounded(frame.time),
        });
        list.push(out, &item)
    })?;
    write!(out, "\n],\n\"annotations\": [")?;
    let (mut list, mut number) = (List::new(), 0);
    frames.each(&mut |frame| {
        let sheet = sheet(frame, options)?;
        for object in &sheet.objects {
            let Some(id) = frame.ids.get(&object.label) else { continue };
            number += 1;
            let mut item = annotation(&sheet, object, options.coco_masks, frame.frame + 1, number);
            item["video_id"] = json!(1);
            item["track_id"] = json!(id);
            // The name of the same in TAO and YouTube-VIS.
            item["instance_id"] = json!(id);
            list.push(out, &item)?;
        }
        Ok(())
    })?;
    let tracks = tracks(frames)?;
    write!(out, "\n],\n\"tracks\": [")?;
    let mut list = List::new();
    for (id, track) in &tracks {
        list.push(out, &json!({ "id": id, "category_id": track.class, "video_id": 1 }))?;
    }
    let names = (1..).zip(classes(&tracks));
    let categories: Vec<Value> = names.map(|(id, name)| json!({ "id": id, "name": name, "supercategory": "" })).collect();
    Ok(writeln!(out, "\n],\n\"categories\": {}}}", Value::from(categories))?)
}

/// Writes CVAT's file of a video. Shapes are masks; with [`Shapes::Polygon`] polygons, where the object is one piece without a hole: a track has one
/// shape in a frame.
///
/// # Errors
/// [`ExportError`] if it cannot be written.
pub fn cvat(frames: &dyn TrackedFrames, out: &mut dyn Write) -> Result<(), ExportError> {
    let (video, options) = (frames.video(), frames.options());
    let tracks = tracks(frames)?;
    let mut last_frame = 0;
    frames.each(&mut |frame| {
        last_frame = frame.frame;
        Ok(())
    })?;
    writeln!(out, "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>")?;
    writeln!(
        out,
        "      <name>{}</name>\n      <size>{}</size>\n      <mode>interpolation</mode>",
        escape(&video.name),
        last_frame + 1
    )?;
    writeln!(out, "      <overlap>0</overlap>\n      <start_frame>0</start_frame>\n      <stop_frame>{last_frame}</stop_frame>")?;
    writeln!(out, "      <frame_filter></frame_filter>\n      <labels>")?;
    for (number, name) in (1..).zip(classes(&tracks)) {
        write!(out, "{}", cvat::label(number, &name))?;
    }
    let (height, width) = (video.height, video.width);
    writeln!(out, "      </labels>\n      <original_size>\n        <width>{width}</width>\n        <height>{height}</height>")?;
    writeln!(out, "      </original_size>\n    </task>\n  </meta>")?;
    for (id, track) in &tracks {
        writeln!(out, "  <track id=\"{id}\" label=\"{}\" source=\"file\">", escape(&track.name))?;
        // The frame after the last one that it was in, and its shape there.
        let mut shown: Option<(usize, Drawn)> = None;
        frames.each_of(*id, &mut |frame| {
            let sheet = sheet(frame, options)?;
            let Some(object) = sheet.objects.iter().find(|object| frame.ids.get(&object.label) == Some(id)) else {
                return Ok(());
            };
            if let Some((next, drawn)) = shown.take().filter(|(next, _)| *next < frame.frame) {
                drawn.write(out, next, true)?;
            }
            let drawn = Drawn::new(object, options.shapes);
            drawn.write(out, frame.frame, false)?;
            shown = Some((frame.frame + 1, drawn));
            Ok(())
        })?;
        if let Some((next, drawn)) = shown.filter(|(next, _)| *next <= last_frame) {
            drawn.write(out, next, true)?;
        }
        writeln!(out, "  </track>")?;
    }
    Ok(writeln!(out, "</annotations>")?)
}

/// A track's shape in a frame.
struct Drawn {
    element: &'static str,
    geometry: String,
    score: f64,
}

impl Drawn {
    fn new(object: &Object, shapes: Shapes) -> Self {
        let score = object.rounded_score();
        // A track has one shape in a frame.
        let polygon = (!shapes.is_mask(object, Shapes::Mask)).then(|| object.polygons());
        match polygon {
            Some([polygon]) => {
                let geometry = format!("points=\"{}\"", cvat::points(&polygon.exterior));
                Self { element: "polygon", geometry, score }
            }
            _ => Self { element: "mask", geometry: cvat::mask(object), score },
        }
    }

    fn write(&self, out: &mut dyn Write, frame: usize, outside: bool) -> Result<(), ExportError> {
        let Self { element, geometry, score } = self;
        let outside = u8::from(outside);
        writeln!(
            out,
            "    <{element} frame=\"{frame}\" keyframe=\"1\" outside=\"{outside}\" occluded=\"0\" {geometry} z_order=\"0\">\n      \
             <attribute name=\"score\">{score}</attribute>\n    </{element}>"
        )?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::annotation::drawn::drawn;
    use crate::segmentation::Kind;

    /// Rows of digits, and the id of each label.
    type Frame<'a> = (&'a [&'a str], &'a [(u8, u32)]);

    struct Drawn {
        options: AnnotationOptions,
        video: Video,
        frames: Vec<FrameRegions>,
    }

    impl Drawn {
        /// Frames of digits, each of which is the object of an id.
        fn new(kind: Kind, frames: &[Frame]) -> Self {
            let video = Video { name: "a & b".into(), height: 2, width: 4, rate: [30000, 1001], frames: frames.len() };
            let frame = |(frame, (rows, ids)): (usize, &Frame)| FrameRegions {
                frame,
                time: frame as f64 * 1001.0 / 30000.0,
                scene: 1,
                bridged: frame == 1,
                regions: drawn(kind, rows),
                ids: ids.iter().copied().collect(),
            };
            Self { options: AnnotationOptions::default(), video, frames: frames.iter().enumerate().map(frame).collect() }
        }

        fn written(&self, write: fn(&dyn TrackedFrames, &mut dyn Write) -> Result<(), ExportError>) -> String {
            let mut out = Vec::new();
            write(self, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        }
    }

    impl TrackedFrames for Drawn {
        fn options(&self) -> &AnnotationOptions {
            &self.options
        }

        fn model(&self) -> &str {
            "a model"
        }

        fn video(&self) -> &Video {
            &self.video
        }

        fn each(&self, visit: &mut Visit<'_>) -> Result<(), ExportError> {
            self.frames.iter().try_for_each(visit)
        }

        fn each_of(&self, track: u32, visit: &mut Visit<'_>) -> Result<(), ExportError> {
            self.frames.iter().filter(|frame| frame.ids.values().any(|id| *id == track)).try_for_each(visit)
        }
    }

    /// An object goes to the right; another is there in the first frame and in the last.
    fn two() -> Drawn {
        let both: &[(u8, u32)] = &[(1, 1), (2, 7)];
        Drawn::new(Kind::Object, &[(&["1..2", "1..."], both), (&[".1..", ".1.."], &[(1, 1)]), (&["..12", "..1."], both)])
    }

    #[test]
    fn a_line_for_each_frame_and_each_track() {
        let text = two().written(super::json);
        let all: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(all["frames"][1]["objects"], json!([{ "id": 1, "label": 1, "box": [1, 0, 1, 2], "area": 2, "score": 0.9 }]));
        assert_eq!((&all["frames"][1]["bridged"], &all["frames"][1]["time"]), (&json!(true), &json!(0.033367)));
        let expected = json!([
            { "id": 1, "name": "object", "kind": "object", "scene": 1, "first": 0, "last": 2, "frames": 3, "score": 0.9 },
            { "id": 7, "name": "object", "kind": "object", "scene": 1, "first": 0, "last": 2, "frames": 2, "score": 0.8 },
        ]);
        assert_eq!(all["tracks"], expected);
        assert_eq!(all["video"], json!({ "name": "a & b", "height": 2, "width": 4, "rate": [30000, 1001], "frames": 3 }));
    }

    #[test]
    fn annotations_of_coco_have_videos_and_tracks() {
        let all: Value = serde_json::from_str(&two().written(coco)).unwrap();
        let annotations = all["annotations"].as_array().unwrap();
        let ids: Vec<_> = annotations.iter().map(|one| (one["image_id"].as_u64(), one["track_id"].as_u64())).collect();
        assert_eq!(ids, [(1, 1), (1, 7), (2, 1), (3, 1), (3, 7)].map(|(image, track)| (Some(image), Some(track))));
        assert_eq!(all["images"][2]["frame_id"], 2);
        assert_eq!(all["videos"][0]["length"], 3);
        assert_eq!(
            all["tracks"],
            json!([{ "id": 1, "category_id": 1, "video_id": 1 }, { "id": 7, "category_id": 1, "video_id": 1 }])
        );
        assert_eq!(all["categories"], json!([{ "id": 1, "name": "object", "supercategory": "" }]));
    }

    #[test]
    fn tracks_of_cvat_end_where_their_object_is_gone() {
        let mut drawn = two();
        let text = drawn.written(cvat);
        let document = roxmltree::Document::parse(&text).unwrap();
        let shapes = |id: &str| -> Vec<(String, String, String)> {
            let track =
                document.descendants().find(|node| node.has_tag_name("track") && node.attribute("id") == Some(id)).unwrap();
            let text = |node: roxmltree::Node<'_, '_>, name: &str| node.attribute(name).unwrap().to_owned();
            track.children().filter(|n| n.is_element()).map(|n| (text(n, "frame"), text(n, "outside"), text(n, "rle"))).collect()
        };
        let owned = |shapes: &[[&str; 3]]| {
            shapes.iter().map(|[a, b, c]| (a.to_string(), b.to_string(), c.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(shapes("1"), owned(&[["0", "0", "0, 2"], ["1", "0", "0, 2"], ["2", "0", "0, 2"]]));
        assert_eq!(shapes("7"), owned(&[["0", "0", "0, 1"], ["1", "1", "0, 1"], ["2", "0", "0, 1"]]));
        assert!(text.contains("<name>a &amp; b</name>") && text.contains("<stop_frame>2</stop_frame>"));
        drawn.options.shapes = Shapes::Polygon;
        let text = drawn.written(cvat);
        assert!(text.contains(
            "<polygon frame=\"1\" keyframe=\"1\" outside=\"0\" occluded=\"0\" points=\"1,0;2,0;2,2;1,2\" z_order=\"0\">"
        ));
    }

    #[test]
    fn parts_are_tracks_of_their_own_classes() {
        let drawn = Drawn::new(Kind::Part, &[(&["13..", "...."], &[(1, 1), (3, 3)])]);
        let all: Value = serde_json::from_str(&drawn.written(coco)).unwrap();
        let names: Vec<_> = all["categories"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect();
        assert_eq!(names, ["part 1", "class 2", "part 3"]);
        assert_eq!(all["tracks"][1], json!({ "id": 3, "category_id": 3, "video_id": 1 }));
        let empty = Drawn::new(Kind::Object, &[]);
        let all: Value = serde_json::from_str(&empty.written(super::json)).unwrap();
        assert_eq!((&all["frames"], &all["tracks"]), (&json!([]), &json!([])));
    }
}
