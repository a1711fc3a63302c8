//! CVAT's file of a task of images, `annotations.xml` 1.1.
//!
//! * A `mask` has run lengths by rows over its tight box, the first of outside.
//! * A `polygon` has corners of pixels. It has no holes, so a region with one is a mask always; pieces are joined by `group_id`.
//! * Images have numbers from 1 and are found by their names; every label is declared, with a `score` as its attribute.
//!
//! Source: CVAT's documentation of its XML format, and its importer.

use super::annotation::{Annotate, Object, Shapes, Sheet, Sheets};
use super::contour::Ring;
use super::xml::escape;
use super::{ExportError, png};
use std::fmt::Write as _;
use std::io::Write;

/// Writes CVAT's file.
pub(super) struct Cvat;

impl Annotate for Cvat {
    fn run_files(&self) -> &[&str] {
        &["annotations.xml"]
    }

    fn run(&self, _name: &str, sheets: &dyn Sheets, out: &mut dyn Write) -> Result<(), ExportError> {
        let mut size = 0;
        sheets.each(&mut |_| {
            size += 1;
            Ok(())
        })?;
        writeln!(
            out,
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n    <task>"
        )?;
        writeln!(out, "      <name>{}</name>\n      <size>{size}</size>\n      <mode>annotation</mode>", escape(sheets.model()))?;
        writeln!(out, "      <labels>")?;
        for (number, name) in (1..).zip(sheets.classes()?) {
            write!(out, "{}", label(number, &name))?;
        }
        writeln!(out, "      </labels>\n    </task>\n  </meta>")?;
        let mut id = 0;
        sheets.each(&mut |sheet| {
            id += 1;
            Ok(out.write_all(image(id, sheet).as_bytes())?)
        })?;
        Ok(writeln!(out, "</annotations>")?)
    }
}

pub(super) fn label(number: usize, name: &str) -> String {
    let [red, green, blue] = png::color((number - 1) as u8 % png::PALETTE.len() as u8 + 1);
    let attribute = [
        "<name>score</name>",
        "<mutable>False</mutable>",
        "<input_type>text</input_type>",
        "<default_value></default_value>",
        "<values></values>",
    ];
    format!(
        "        <label>\n          <name>{}</name>\n          <color>#{red:02x}{green:02x}{blue:02x}</color>\n          <type>any</type>\n          \
         <attributes>\n            <attribute>{}</attribute>\n          </attributes>\n        </label>\n",
        escape(name),
        attribute.concat()
    )
}

fn image(id: usize, sheet: &Sheet<'_>) -> String {
    let (name, width, height) = (escape(&sheet.image_name()), sheet.width, sheet.height);
    let mut text = format!("  <image id=\"{id}\" name=\"{name}\" width=\"{width}\" height=\"{height}\">\n");
    for object in &sheet.objects {
        if sheet.options.shapes.is_mask(object, Shapes::Mask) {
            shape(&mut text, object, "mask", &mask(object));
        } else {
            for polygon in object.polygons() {
                shape(&mut text, object, "polygon", &format!("points=\"{}\"", points(&polygon.exterior)));
            }
        }
    }
    text.push_str("  </image>\n");
    text
}

fn shape(text: &mut String, object: &Object, element: &str, geometry: &str) {
    let group = object.part_of.or_else(|| (element == "polygon" && object.polygons().len() > 1).then_some(object.label));
    let group = group.map(|group| format!(" group_id=\"{group}\"")).unwrap_or_default();
    let name = escape(&object.name);
    // Writing to a text does not fail.
    let _ = writeln!(
        text,
        "    <{element} label=\"{name}\" source=\"file\" occluded=\"0\" {geometry} z_order=\"0\"{group}>\n      \
         <attribute name=\"score\">{}</attribute>\n    </{element}>",
        object.rounded_score()
    );
}

pub(super) fn mask(object: &Object) -> String {
    let bounds = object.bounds;
    let counts: Vec<String> = object.rle.row_counts_within(bounds).iter().map(ToString::to_string).collect();
    let (left, top, width, height) = (bounds.left, bounds.top, bounds.width, bounds.height);
    format!("rle=\"{}\" left=\"{left}\" top=\"{top}\" width=\"{width}\" height=\"{height}\"", counts.join(", "))
}

pub(super) fn points(ring: &Ring) -> String {
    let points: Vec<String> = ring.iter().map(|point| format!("{},{}", point.x, point.y)).collect();
    points.join(";")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::annotation::AnnotationOptions;
    use crate::export::annotation::drawn::{Drawn, drawn};
    use crate::segmentation::Kind;

    fn written(kind: Kind, rows: &[&str], options: &AnnotationOptions) -> String {
        let regions = drawn(kind, rows);
        image(7, &Sheet::new(&regions, options, "x/a", None, None).unwrap())
    }

    #[test]
    fn masks_by_hand() {
        let options = AnnotationOptions { label: Some("duck & \"drake\"".into()), ..AnnotationOptions::default() };
        let text = written(Kind::Object, &["....", "..11", ".111", ".1.1"], &options);
        // Rows of the box: 0 1 1 | 1 1 1 | 1 0 1.
        let expected = "  <image id=\"7\" name=\"x/a.png\" width=\"4\" height=\"4\">\n    \
            <mask label=\"duck &amp; &quot;drake&quot;\" source=\"file\" occluded=\"0\" rle=\"1, 6, 1, 1\" left=\"1\" top=\"1\" width=\"3\" height=\"3\" \
            z_order=\"0\">\n      <attribute name=\"score\">0.9</attribute>\n    </mask>\n  </image>\n";
        assert_eq!(text, expected);
        // The first run is of outside, and so of none.
        assert!(written(Kind::Object, &["1."], &options).contains("rle=\"0, 1\" left=\"0\" top=\"0\" width=\"1\" height=\"1\""));
        assert_eq!(written(Kind::Object, &[".."], &options).lines().count(), 2);
    }

    #[test]
    fn polygons_by_hand() {
        let options = AnnotationOptions { shapes: Shapes::Polygon, ..AnnotationOptions::default() };
        let text = written(Kind::Object, &["11.2", "...2", "1..."], &options);
        let lines: Vec<&str> = text.lines().filter(|line| line.contains("<polygon")).collect();
        assert!(lines[0].contains("points=\"0,0;2,0;2,1;0,1\" z_order=\"0\" group_id=\"1\""));
        assert!(lines[1].contains("points=\"0,2;1,2;1,3;0,3\" z_order=\"0\" group_id=\"1\""));
        assert!(lines[2].contains("label=\"object\"") && lines[2].ends_with("points=\"3,0;4,0;4,2;3,2\" z_order=\"0\">"));
        let ring = written(Kind::Object, &["111", "1.1", "111"], &options);
        assert!(ring.contains("<mask") && !ring.contains("<polygon"));
        let part = written(Kind::Part, &["1"], &options);
        assert!(part.contains("label=\"part 1\"") && part.contains("group_id=\"1\""));
    }

    #[test]
    fn a_file_is_xml_whatever_the_names() {
        let mut images = [drawn(Kind::Object, &["1.2"]), drawn(Kind::Object, &["..."])];
        images[0].image = "x & <y>/größe \"1\".png".into();
        let text = Drawn::new(images).label("a<b & c").run(&Cvat, "annotations.xml");
        let document = roxmltree::Document::parse(&text).unwrap();
        let named = |tag: &'static str| document.descendants().filter(move |node| node.has_tag_name(tag));
        let names: Vec<_> = named("image").map(|image| (image.attribute("id"), image.attribute("name"))).collect();
        assert_eq!(names, [(Some("1"), Some("x & <y>/größe \"1\".png")), (Some("2"), Some("x/a.png"))]);
        assert_eq!(named("size").next().unwrap().text(), Some("2"));
        assert_eq!(named("label").next().unwrap().first_element_child().unwrap().text(), Some("a<b & c"));
        assert_eq!(named("mask").map(|mask| mask.attribute("label")).collect::<Vec<_>>(), [Some("a<b & c"); 2]);
    }

    #[test]
    fn labels_are_declared() {
        let text = label(1, "a<b");
        assert!(text.contains("<name>a&lt;b</name>") && text.contains("<color>#e69f00</color>"));
        assert!(label(300, "c").contains("<name>c</name>"));
    }
}
