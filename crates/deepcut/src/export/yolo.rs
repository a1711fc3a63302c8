//! YOLO's segments: `labels/STEM.txt`, a line for each region, and `data.yaml`.
//!
//! * A line is the class, from 0, and x, y of each point in shares of the image's width and height, in [0, 1].
//! * A region is one ring: parts and holes are joined by ways there and back, which enclose nothing, so filling the ring gives the region. A
//!   reader that draws the ring's line too, such as OpenCV's `fillPoly`, adds the pixels on those ways and at the edge.
//! * Coordinates are rounded up: a reader that multiplies and cuts off the decimals finds the very corner.
//! * A text is empty where nothing was found: YOLO learns from it that the image is all background.
//! * Ultralytics looks for `labels/a.txt` beside `images/a.jpg`: put the images, or a link to their folder, at `images`.

use super::annotation::{Annotate, Object, Sheet, Sheets};
use super::contour::{Point, bridge};
use super::{ExportError, File};
use std::fmt::Write as _;
use std::io::Write;

const LABELS: &str = "labels/*.txt";

/// Writes YOLO's files.
pub(super) struct Yolo;

impl Annotate for Yolo {
    fn image_files(&self) -> &[&str] {
        &[LABELS]
    }

    fn run_files(&self) -> &[&str] {
        &["data.yaml"]
    }

    fn image(&self, sheet: &Sheet<'_>) -> Result<Vec<File>, ExportError> {
        let lines: String = sheet.objects.iter().map(|object| line(object, sheet.height, sheet.width)).collect();
        Ok(vec![File { name: LABELS.into(), bytes: lines.into_bytes() }])
    }

    fn run(&self, _: &str, sheets: &dyn Sheets, out: &mut dyn Write) -> Result<(), ExportError> {
        writeln!(out, "# Put the images, or a link to their folder, at `images` beside this file.")?;
        writeln!(out, "train: images\nval: images\nnames:")?;
        for (class, name) in sheets.classes()?.iter().enumerate() {
            // JSON's text is YAML's.
            writeln!(out, "  {class}: {}", serde_json::to_string(name)?)?;
        }
        Ok(())
    }
}

fn line(object: &Object, height: usize, width: usize) -> String {
    let mut line = (object.class - 1).to_string();
    for Point { x, y } in bridge(object.polygons()) {
        // Writing to text does not fail.
        let _ = write!(line, " {} {}", share(x, width), share(y, height));
    }
    line.push('\n');
    line
}

/// A share of a side with six decimals, rounded up.
fn share(corner: i32, side: usize) -> String {
    let (corner, side) = (u128::from(corner.max(0).unsigned_abs()), side.max(1) as u128);
    let millionths = (corner * 1_000_000).div_ceil(side);
    if millionths % 1_000_000 == 0 {
        return (millionths / 1_000_000).to_string();
    }
    format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000).trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::annotation::drawn::{Drawn, drawn};
    use crate::segmentation::Kind;

    #[test]
    fn a_line_is_one_ring_in_shares_of_the_image() {
        let sheets = Drawn::new([drawn(Kind::Part, &["11..", "11.2"]), drawn(Kind::Part, &["...."])]);
        let files = sheets.images(&Yolo);
        assert_eq!(files[0].0, LABELS);
        assert_eq!(files[0].1, "0 0 0 0.5 0 0.5 1 0 1\n1 0.75 0.5 1 0.5 1 1 0.75 1\n");
        assert_eq!(files[1].1, "");
        let text = sheets.run(&Yolo, "data.yaml");
        assert!(text.ends_with("names:\n  0: \"part 1\"\n  1: \"part 2\"\n"), "{text}");
    }

    /// The hole does not fill and the parts stay parts when the one ring is read back.
    #[test]
    fn holes_and_parts_come_back_from_one_ring() {
        let rows = ["111....", "1.1..11", "111..11", "......."];
        let sheets = Drawn::new([drawn(Kind::Object, &rows)]);
        let text = &sheets.images(&Yolo)[0].1;
        assert_eq!(text.lines().count(), 1);
        let numbers: Vec<f64> = text.split_whitespace().skip(1).map(|number| number.parse().unwrap()).collect();
        assert!(numbers.iter().all(|share| (0.0..=1.0).contains(share)));
        let corner = |pair: &[f64]| Point { x: (pair[0] * 7.0) as i32, y: (pair[1] * 4.0) as i32 };
        let ring: Vec<Point> = numbers.chunks_exact(2).map(corner).collect();
        let filled = crate::export::contour::fill([&ring[..]], 4, 7);
        let expected: Vec<u8> = rows.concat().bytes().map(|c| if c == b'1' { 255 } else { 0 }).collect();
        assert_eq!(filled, expected);
    }

    #[test]
    fn shares_are_rounded_up_and_cut_off_to_the_corner() {
        assert_eq!(
            (share(0, 7), share(7, 7), share(1, 3), share(2, 3)),
            ("0".into(), "1".into(), "0.333334".into(), "0.666667".into())
        );
        for side in [3usize, 333, 500, 4999] {
            for corner in 0..=side as i32 {
                let value: f32 = share(corner, side).parse().unwrap();
                assert!(value <= 1.0 && (value * side as f32 + 1e-3) as i32 == corner, "{corner} of {side}");
            }
        }
    }
}
