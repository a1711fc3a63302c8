//! GeoJSON of an image, as QuPath reads it: a collection of features, each one polygon.
//!
//! * Coordinates are pixels, x to the right and y down; a ring ends with its first point. Exteriors have positive area in these numbers, holes
//!   negative, as RFC 7946 asks for.
//! * QuPath refuses rings that cross themselves; ours do not. A region of several parts is several features with one `label`.
//!
//! Sources: RFC 7946; QuPath's `objectType` and `classification`.

use super::annotation::{Annotate, Object, Sheet};
use super::contour::{Point, Polygon, Ring};
use super::{ExportError, File, png};
use serde_json::{Value, json};

const NAME: &str = "*.geojson";

/// Writes a collection of features for each image.
pub(super) struct GeoJson;

impl Annotate for GeoJson {
    fn image_files(&self) -> &[&str] {
        &[NAME]
    }

    fn image(&self, sheet: &Sheet<'_>) -> Result<Vec<File>, ExportError> {
        let mut text = Vec::from(*b"{\"type\": \"FeatureCollection\", \"features\": [");
        let features = sheet.objects.iter().flat_map(|object| object.polygons().iter().map(move |polygon| (object, polygon)));
        for (at, (object, polygon)) in features.enumerate() {
            text.extend_from_slice(if at == 0 { b"\n" } else { b",\n" });
            serde_json::to_writer(&mut text, &feature(object, polygon))?;
        }
        text.extend_from_slice(b"\n]}\n");
        Ok(vec![File { name: NAME.into(), bytes: text }])
    }
}

fn feature(object: &Object, polygon: &Polygon) -> Value {
    let closed = |ring: &Ring| -> Value { ring.iter().chain(ring.first()).map(|Point { x, y }| json!([x, y])).collect() };
    let rings: Vec<Value> = polygon.rings().map(closed).collect();
    let color = png::color(object.class.min(255) as u8);
    let mut properties = json!({
        "objectType": "annotation", "classification": { "name": object.name, "color": color }, "label": object.label,
        "measurements": { "score": object.rounded_score() },
    });
    if let Some(group) = object.part_of {
        properties["part_of"] = json!(group);
    }
    json!({ "type": "Feature", "geometry": { "type": "Polygon", "coordinates": rings }, "properties": properties })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::annotation::drawn::{Drawn, drawn};
    use crate::segmentation::Kind;

    #[test]
    fn a_feature_is_one_polygon_with_its_holes() {
        let sheets = Drawn::new([drawn(Kind::Part, &["111.1", "1.1..", "111.2"]), drawn(Kind::Part, &["."])]);
        let files = sheets.images(&GeoJson);
        let all: Value = serde_json::from_str(&files[0].1).unwrap();
        assert_eq!(all["type"], "FeatureCollection");
        let features = all["features"].as_array().unwrap();
        let labels: Vec<&Value> = features.iter().map(|feature| &feature["properties"]["label"]).collect();
        assert_eq!(labels, [1, 1, 2]);
        assert_eq!(
            features[0]["geometry"],
            json!({ "type": "Polygon", "coordinates": [
            [[0, 0], [3, 0], [3, 3], [0, 3], [0, 0]], [[1, 1], [1, 2], [2, 2], [2, 1], [1, 1]],
        ] })
        );
        assert_eq!(features[1]["geometry"]["coordinates"], json!([[[4, 0], [5, 0], [5, 1], [4, 1], [4, 0]]]));
        assert_eq!(
            features[2]["properties"],
            json!({
                "objectType": "annotation", "classification": { "name": "part 2", "color": [86, 180, 233] }, "label": 2,
                "measurements": { "score": 0.8 }, "part_of": 1,
            })
        );
        let none: Value = serde_json::from_str(&files[1].1).unwrap();
        assert_eq!(none["features"], json!([]));
    }
}
