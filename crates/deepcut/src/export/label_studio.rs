//! Label Studio's tasks with predictions, `tasks.json`, and the labeling configuration to paste, `label-studio.xml`.
//!
//! * A brush mask is exact: see [`brush`](super::brush). A polygon has points in percent of the image; as it has no holes, a region with one is a
//!   brush mask always.
//! * Names of the tags are `image`, `brush` and `polygon`, as in the configuration.
//! * `image` is the address at which Label Studio serves local files, `/data/local-files/?d=PATH`: PATH is below the folder that is its
//!   document root.
//! * `score` is that of each region; that of a prediction is their mean, or 0 if nothing was found.
//!
//! Source: Label Studio's documentation of predictions and tags.

use super::annotation::{Annotate, Object, Shapes, Sheet, Sheets};
use super::contour::Ring;
use super::xml::escape;
use super::{ExportError, brush, png};
use serde_json::{Value, json};
use std::io::Write;

const TASKS: &str = "tasks.json";
const CONFIGURATION: &str = "label-studio.xml";
/// Where Label Studio serves local files.
const LOCAL_FILES: &str = "/data/local-files/?d=";

/// Writes Label Studio's files.
pub(super) struct LabelStudio;

impl Annotate for LabelStudio {
    fn run_files(&self) -> &[&str] {
        &[TASKS, CONFIGURATION]
    }

    fn run(&self, name: &str, sheets: &dyn Sheets, out: &mut dyn Write) -> Result<(), ExportError> {
        if name == CONFIGURATION {
            return Ok(out.write_all(configuration(&sheets.classes()?).as_bytes())?);
        }
        out.write_all(b"[")?;
        let mut separator = "\n";
        sheets.each(&mut |sheet| {
            out.write_all(separator.as_bytes())?;
            separator = ",\n";
            Ok(serde_json::to_writer(&mut *out, &task(sheet, sheets.model())?)?)
        })?;
        Ok(out.write_all(b"\n]\n")?)
    }
}

/// The tags that predictions name.
fn configuration(classes: &[String]) -> String {
    let label = |(number, name): (usize, &String)| {
        let [red, green, blue] = png::color((number % png::PALETTE.len()) as u8 + 1);
        format!("    <Label value=\"{}\" background=\"#{red:02x}{green:02x}{blue:02x}\"/>\n", escape(name))
    };
    let labels: String = classes.iter().enumerate().map(label).collect();
    let tag = |tag: &str, name: &str| format!("  <{tag} name=\"{name}\" toName=\"image\">\n{labels}  </{tag}>\n");
    let (brush, polygon) = (tag("BrushLabels", "brush"), tag("PolygonLabels", "polygon"));
    format!("<View>\n  <Image name=\"image\" value=\"$image\" zoom=\"true\" zoomControl=\"true\"/>\n{brush}{polygon}</View>\n")
}

fn task(sheet: &Sheet<'_>, model: &str) -> Result<Value, ExportError> {
    let mut regions = Vec::new();
    for object in &sheet.objects {
        if sheet.options.shapes.is_mask(object, Shapes::Mask) {
            regions.push(painted(sheet, object)?);
        } else {
            let polygons = object.polygons().iter().enumerate();
            regions.extend(polygons.map(|(piece, polygon)| drawn(sheet, object, piece, &polygon.exterior)));
        }
    }
    let scores = sheet.objects.iter().map(Object::rounded_score).sum::<f64>();
    let score = scores / sheet.objects.len().max(1) as f64;
    let image = format!("{LOCAL_FILES}{}", percent_encoded(sheet.image_name().trim_start_matches('/')));
    Ok(json!({ "data": { "image": image }, "predictions": [{ "model_version": model, "score": score, "result": regions }] }))
}

fn painted(sheet: &Sheet<'_>, object: &Object) -> Result<Value, ExportError> {
    let rle = brush::encode(&object.rle).ok_or(ExportError::TooLarge { height: sheet.height, width: sheet.width })?;
    let value = json!({ "format": "rle", "rle": rle, "brushlabels": [object.name] });
    Ok(region(sheet, object, "brush", 0, value))
}

fn drawn(sheet: &Sheet<'_>, object: &Object, piece: usize, ring: &Ring) -> Value {
    let percent = |at: i32, whole: usize| f64::from(at) / whole as f64 * 100.0;
    let points: Vec<[f64; 2]> =
        ring.iter().map(|point| [percent(point.x, sheet.width), percent(point.y, sheet.height)]).collect();
    region(sheet, object, "polygon", piece, json!({ "points": points, "closed": true, "polygonlabels": [object.name] }))
}

fn region(sheet: &Sheet<'_>, object: &Object, tag: &str, piece: usize, value: Value) -> Value {
    json!({
        "id": format!("{tag}-{}-{piece}", object.label), "type": format!("{tag}labels"), "from_name": tag, "to_name": "image",
        "original_width": sheet.width, "original_height": sheet.height, "image_rotation": 0, "score": object.rounded_score(), "value": value,
    })
}

/// A path for an address: all bytes but those that stand for themselves as `%` and two digits.
///
/// Source: RFC 3986, 2.1 and 2.3.
fn percent_encoded(path: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    path.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::annotation::AnnotationOptions;
    use crate::export::annotation::drawn::{Drawn, drawn as regions};
    use crate::segmentation::Kind;

    fn written(rows: &[&str], shapes: Shapes) -> Value {
        let options = AnnotationOptions { shapes, label: Some("duck".into()), ..AnnotationOptions::default() };
        let regions = regions(Kind::Object, rows);
        task(&Sheet::new(&regions, &options, "x/a", None, None).unwrap(), "deepcut 1").unwrap()
    }

    #[test]
    fn brushes_by_hand() {
        let task = written(&["1.22", "1..2"], Shapes::Auto);
        assert_eq!(task["data"]["image"], json!("/data/local-files/?d=x/a.png"));
        let prediction = &task["predictions"][0];
        assert_eq!(prediction["model_version"], json!("deepcut 1"));
        assert!((prediction["score"].as_f64().unwrap() - 0.85).abs() < 1e-6);
        let region = &prediction["result"][1];
        assert_eq!(
            (&region["type"], &region["from_name"], &region["to_name"]),
            (&json!("brushlabels"), &json!("brush"), &json!("image"))
        );
        assert_eq!((&region["original_width"], &region["original_height"]), (&json!(4), &json!(2)));
        assert_eq!((&region["value"]["brushlabels"], &region["value"]["format"]), (&json!(["duck"]), &json!("rle")));
        let bytes: Vec<u8> = serde_json::from_value(region["value"]["rle"].clone()).unwrap();
        let values = brush::tests::decode(&bytes);
        assert_eq!(values.chunks(4).map(|pixel| pixel[0]).collect::<Vec<_>>(), [0, 0, 255, 255, 0, 0, 0, 255]);
    }

    #[test]
    fn polygons_are_in_percent() {
        let task = written(&["..1.", "....", "1...", "1..."], Shapes::Polygon);
        let regions = task["predictions"][0]["result"].as_array().unwrap();
        let points: Vec<_> = regions.iter().map(|region| region["value"]["points"].clone()).collect();
        assert_eq!(points[0], json!([[0.0, 50.0], [25.0, 50.0], [25.0, 100.0], [0.0, 100.0]]));
        assert_eq!(points[1], json!([[50.0, 0.0], [75.0, 0.0], [75.0, 25.0], [50.0, 25.0]]));
        assert_eq!((&regions[0]["id"], &regions[1]["id"]), (&json!("polygon-1-0"), &json!("polygon-1-1")));
        assert_eq!(regions[0]["value"]["polygonlabels"], json!(["duck"]));
        let empty = &written(&["..."], Shapes::Auto)["predictions"][0];
        assert_eq!((&empty["result"], &empty["score"]), (&json!([]), &json!(0.0)));
    }

    #[test]
    fn a_run_is_a_list_of_tasks() {
        let run = Drawn::new([regions(Kind::Part, &["12"]), regions(Kind::Part, &["."])]);
        let tasks: Value = serde_json::from_str(&run.run(&LabelStudio, TASKS)).unwrap();
        let found: Vec<_> =
            tasks.as_array().unwrap().iter().map(|task| task["predictions"][0]["result"].as_array().unwrap().len()).collect();
        assert_eq!((found, &tasks[0]["predictions"][0]["model_version"]), (vec![2, 0], &json!("deepcut 1 (a network)")));
        let configuration = run.run(&LabelStudio, CONFIGURATION);
        let document = roxmltree::Document::parse(&configuration).unwrap();
        let labels: Vec<_> = document.descendants().filter_map(|node| node.attribute("value")).collect();
        assert_eq!(labels, ["$image", "part 1", "part 2", "part 1", "part 2"]);
        assert_eq!(Drawn::new([]).run(&LabelStudio, TASKS), "[\n]\n");
    }

    #[test]
    fn names_are_escaped() {
        let text = configuration(&["a & <b>".into(), "größe".into()]);
        let document = "<Label value=\"a &amp; &lt;b&gt;\" background=\"#e69f00\"/>";
        assert_eq!((text.matches(document).count(), text.matches("value=\"größe\"").count()), (2, 2));
        assert_eq!(percent_encoded("x y/ö&#?.png"), "x%20y/%C3%B6%26%23%3F.png");
    }
}
