//! YOLO's segments: `labels/STEM.txt`, a line for each region, and `data.yaml`.
//!
//! * A line is the class, from 0, and x, y of each point in shares of the image's width and height, in [0, 1].
//! * A region is one ring: parts and holes are joined by ways there and back, which enclose nothing, so filling the ring gives the region.
//! * Readers multiply, cut off the decimals, and let OpenCV's `fillPoly` fill the ring and draw its line. So each point is a twentieth of a pixel
//!   inside the region: with its decimals cut off it is the region's last pixel there, not the one beyond. Such a reader finds the very region,
//!   and the pixels on the ways from part to part, which [`Object::iou`] counts.
//! * A text is empty where nothing was found: YOLO learns from it that the image is all background.
//! * Ultralytics looks for `labels/a.txt` beside `images/a.jpg`: put the images at `images`. It resolves a link to their folder first, and then finds
//!   no labels.

use super::annotation::{Annotate, Object, Sheet, Sheets};
use super::contour::{Point, Polygon, Ring, walk};
use super::{ExportError, File};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::Write;

const LABELS: &str = "labels/*.txt";

/// Writes YOLO's files.
pub(super) struct Yolo;

impl Annotate for Yolo {
    fn image_files(&self) -> &[&str] {
        &[LABELS]
    }

    fn is_found_by_stem(&self) -> bool {
        true
    }

    fn run_files(&self) -> &[&str] {
        &["data.yaml"]
    }

    fn image(&self, sheet: &Sheet<'_>) -> Result<Vec<File>, ExportError> {
        let lines: String = sheet.objects.iter().map(|object| line(object, sheet.height, sheet.width)).collect();
        Ok(vec![File { name: LABELS.into(), bytes: lines.into_bytes() }])
    }

    fn run(&self, _: &str, sheets: &dyn Sheets, out: &mut dyn Write) -> Result<(), ExportError> {
        writeln!(out, "# Put the images into a folder `images` beside this file; a link to their folder does not work.")?;
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
    let rings: Vec<&Ring> = object.polygons().iter().flat_map(Polygon::rings).collect();
    let mut drawn = HashSet::new();
    let mut last: Option<(usize, Point)> = None;
    for (ring, at) in walk(&rings) {
        let (Point { x, y }, (dx, dy)) = (rings[ring][at], inward(rings[ring], at));
        // Writing to text does not fail.
        let _ = write!(line, " {} {}", share(x, dx, width), share(y, dy, height));
        let pixel = Point { x: x - i32::from(dx < 0), y: y - i32::from(dy < 0) };
        if let Some((_, from)) = last.filter(|(before, _)| *before != ring) {
            drawn.extend(pixels_between(from, pixel));
        }
        last = Some((ring, pixel));
    }
    if !drawn.is_empty() {
        let mask = object.rle.crop(object.bounds);
        let (top, left) = (object.bounds.top as i32, object.bounds.left as i32);
        let is_inside = |pixel: &Point| {
            let at = (pixel.y - top).max(0) as usize * object.bounds.width + (pixel.x - left).max(0) as usize;
            mask.get(at).is_some_and(|value| *value > 0)
        };
        object.tell_excess(drawn.iter().filter(|pixel| !is_inside(pixel)).count());
    }
    line.push('\n');
    line
}

/// The pixels of a line, one in each row or column, whichever it crosses more of.
fn pixels_between(from: Point, to: Point) -> impl Iterator<Item = Point> {
    let (dx, dy) = (f64::from(to.x) - f64::from(from.x), f64::from(to.y) - f64::from(from.y));
    let steps = dx.abs().max(dy.abs()).max(1.0);
    let at = move |start: i32, way: f64, step: i32| (f64::from(start) + way * f64::from(step) / steps).round() as i32;
    (0..=steps as i32).map(move |step| Point { x: at(from.x, dx, step), y: at(from.y, dy, step) })
}

/// The signs of the way from a point of a ring into the region, which is to the right of the ring.
fn inward(ring: &Ring, at: usize) -> (i32, i32) {
    let (before, here, after) = (ring[(at + ring.len() - 1) % ring.len()], ring[at], ring[(at + 1) % ring.len()]);
    let normal = |a: Point, b: Point| {
        let (x, y) = (f64::from(a.y) - f64::from(b.y), f64::from(b.x) - f64::from(a.x));
        let length = x.hypot(y);
        (x / length, y / length)
    };
    let ((ax, ay), (bx, by)) = (normal(before, here), normal(here, after));
    let sign = |sum: f64| {
        if sum > 1e-9 {
            1
        } else if sum < -1e-9 {
            -1
        } else {
            0
        }
    };
    (sign(ax + bx), sign(ay + by))
}

/// A share of a side with seven decimals: of a corner, or a twentieth of a pixel before or after it.
fn share(corner: i32, sign: i32, side: usize) -> String {
    let (twentieths, side) = (i128::from(corner) * 20 + i128::from(sign), 20 * side.max(1) as i128);
    let share = (twentieths.clamp(0, side) * 10_000_000 + side / 2) / side;
    let text = format!("{}.{:07}", share / 10_000_000, share % 10_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
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
        // A twentieth of a pixel inside: 1/80 of the width, 1/40 of the height.
        let lines =
            ["0 0.0125 0.025 0.4875 0.025 0.4875 0.975 0.0125 0.975", "1 0.7625 0.525 0.9875 0.525 0.9875 0.975 0.7625 0.975"];
        assert_eq!(files[0].1.lines().collect::<Vec<_>>(), lines);
        assert_eq!(files[1].1, "");
        let text = sheets.run(&Yolo, "data.yaml");
        assert!(text.ends_with("names:\n  0: \"part 1\"\n  1: \"part 2\"\n"), "{text}");
    }

    /// Numbers of a line after the class, as pixels.
    fn pixels(line: &str, height: f64, width: f64) -> Vec<(f64, f64)> {
        let numbers: Vec<f64> = line.split(' ').skip(1).map(|number| number.parse().unwrap()).collect();
        assert!(numbers.iter().all(|share| (0.0..=1.0).contains(share)), "{line}");
        numbers.chunks_exact(2).map(|pair| (pair[0] * width, pair[1] * height)).collect()
    }

    /// The hole does not fill and the parts stay parts when the one ring is read back: rounded it is the corners.
    #[test]
    fn holes_and_parts_come_back_from_one_ring() {
        let rows = ["111....", "1.1..11", "111..11", "......."];
        let sheets = Drawn::new([drawn(Kind::Object, &rows)]);
        let text = &sheets.images(&Yolo)[0].1;
        assert_eq!(text.lines().count(), 1);
        let corner = |(x, y): (f64, f64)| Point { x: x.round() as i32, y: y.round() as i32 };
        let ring: Vec<Point> = pixels(text.trim(), 4.0, 7.0).into_iter().map(corner).collect();
        let filled = crate::export::contour::fill([&ring[..]], 4, 7);
        let expected: Vec<u8> = rows.concat().bytes().map(|c| if c == b'1' { 255 } else { 0 }).collect();
        assert_eq!(filled, expected);
    }

    /// From the last pixel of the square, (2, 2), to the first of the other part, (5, 1): two pixels lie between.
    #[test]
    fn the_way_between_parts_is_told() {
        let sheets = Drawn::new([drawn(Kind::Object, &["111....", "1.1..11", "111..11", "......."])]);
        let mut told = Vec::new();
        let visit = &mut |sheet: &Sheet<'_>| {
            Yolo.image(sheet)?;
            told.extend(sheet.objects.iter().map(Object::iou));
            Ok(())
        };
        sheets.each(visit).unwrap();
        assert_eq!(told, [Some(12.0 / 14.0)]);
        let alone = Drawn::new([drawn(Kind::Object, &["111", "1.1", "111"])]);
        alone.each(&mut |sheet| Yolo.image(sheet).map(|_| assert_eq!(sheet.objects[0].iou(), None))).unwrap();
    }

    /// With its decimals cut off every point is a pixel of the region, in any of the floats that readers take.
    #[test]
    fn points_without_decimals_are_pixels_of_the_region() {
        let rows = ["111....", "1.1..1.", "111..11", "..1...."];
        let regions = drawn(Kind::Object, &rows);
        for line in Drawn::new([regions]).images(&Yolo)[0].1.lines() {
            for (x, y) in pixels(line, 4.0, 7.0) {
                assert_eq!(rows[y as usize].as_bytes()[x as usize], b'1', "{x} {y}");
                assert_eq!(((x as f32) as usize, (y as f32) as usize), (x as usize, y as usize));
            }
        }
        for side in [3usize, 333, 500, 4999, 20_000] {
            for corner in 0..=side as i32 {
                let read = |sign| share(corner, sign, side).parse::<f32>().unwrap() * side as f32;
                assert!(corner == side as i32 || read(1) as i32 == corner, "{corner} of {side}");
                assert!(corner == 0 || read(-1) as i32 == corner - 1, "{corner} of {side}");
                assert!((read(0) - corner as f32).abs() < 0.01);
            }
        }
        assert_eq!(
            (share(0, 0, 7), share(7, 0, 7), share(0, -1, 7), share(7, 1, 7)),
            ("0".into(), "1".into(), "0".into(), "1".into())
        );
    }
}
