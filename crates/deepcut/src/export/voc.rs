//! Pascal VOC's folders: `Annotations`, `SegmentationObject`, `SegmentationClass`, `ImageSets`, and datumaro's `labelmap.txt`.
//!
//! * Boxes are of pixels counted from 1, with the last one in them.
//! * Pictures of segmentation have VOC's palette: the bits of an index, three at a time from the lowest on, are the highest bits of red, green
//!   and blue. 0 is background; 255, VOC's void, does not occur.
//! * `SegmentationObject` numbers the regions of an image from 1 in the order of its XML file, `SegmentationClass` has their classes' numbers.
//!
//! Source: the development kit of the PASCAL VOC Challenge (Everingham et al., International Journal of Computer Vision 88, 2010).

use super::annotation::{Annotate, Object, Sheet, Sheets};
use super::xml::escape;
use super::{ExportError, File, png};
use std::fmt::Write as _;
use std::io::Write;

const XML: &str = "Annotations/*.xml";
const OBJECTS: &str = "SegmentationObject/*.png";
const CLASSES: &str = "SegmentationClass/*.png";
const LABELMAP: &str = "labelmap.txt";
/// The value of pixels of no class.
const VOID: u8 = 255;

/// Writes VOC's files.
pub(super) struct Voc;

impl Annotate for Voc {
    fn image_files(&self) -> &[&str] {
        &[XML, OBJECTS, CLASSES]
    }

    fn is_found_by_stem(&self) -> bool {
        true
    }

    fn run_files(&self) -> &[&str] {
        &["ImageSets/Main/trainval.txt", "ImageSets/Segmentation/trainval.txt", LABELMAP]
    }

    fn image(&self, sheet: &Sheet<'_>) -> Result<Vec<File>, ExportError> {
        let mut maps = [vec![0; sheet.height * sheet.width], vec![0; sheet.height * sheet.width]];
        for (number, object) in (1..VOID).zip(&sheet.objects) {
            sheet.paint(object, number, &mut maps[0]);
            sheet.paint(object, object.class.min(usize::from(VOID - 1)) as u8, &mut maps[1]);
        }
        let palette: Vec<u8> = (0..=VOID).flat_map(color).collect();
        let picture = |map: &[u8]| png::indexed(sheet.height, sheet.width, map, palette.clone());
        Ok(vec![
            File { name: XML.into(), bytes: xml(sheet).into_bytes() },
            File { name: OBJECTS.into(), bytes: picture(&maps[0])? },
            File { name: CLASSES.into(), bytes: picture(&maps[1])? },
        ])
    }

    fn run(&self, name: &str, sheets: &dyn Sheets, out: &mut dyn Write) -> Result<(), ExportError> {
        if name != LABELMAP {
            return sheets.each(&mut |sheet| Ok(writeln!(out, "{}", sheet.stem)?));
        }
        writeln!(out, "# label:color_rgb:parts:actions\nbackground:0,0,0::")?;
        for (class, name) in (1..=VOID - 1).zip(sheets.classes()?) {
            let [red, green, blue] = color(class);
            writeln!(out, "{name}:{red},{green},{blue}::")?;
        }
        Ok(())
    }
}

/// The color of an index in VOC's palette.
fn color(index: u8) -> [u8; 3] {
    let index = u32::from(index);
    [0, 1, 2].map(|channel| (0..3).map(|level| ((index >> (3 * level + channel) & 1) << (7 - level)) as u8).sum())
}

fn xml(sheet: &Sheet<'_>) -> String {
    let folder = sheet.image.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut text = String::from("<annotation>\n");
    // Writing to text does not fail.
    let _ = write!(
        text,
        "\t<folder>{}</folder>\n\t<filename>{}</filename>\n\t<source>\n\t\t<database>deepcut</database>\n\t</source>\n\
         \t<size>\n\t\t<width>{}</width>\n\t\t<height>{}</height>\n\t\t<depth>3</depth>\n\t</size>\n\t<segmented>{}</segmented>\n",
        escape(folder),
        escape(&sheet.image_name()),
        sheet.width,
        sheet.height,
        u8::from(!sheet.objects.is_empty()),
    );
    sheet.objects.iter().for_each(|object| element(&mut text, sheet, object));
    text.push_str("</annotation>\n");
    text
}

fn element(text: &mut String, sheet: &Sheet<'_>, object: &Object) {
    let b = object.bounds;
    let (right, bottom) = (b.left + b.width, b.top + b.height);
    let is_cut = b.left == 0 || b.top == 0 || right == sheet.width || bottom == sheet.height;
    let _ = write!(
        text,
        "\t<object>\n\t\t<name>{}</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>{}</truncated>\n\t\t<difficult>0</difficult>\n\
         \t\t<bndbox>\n\t\t\t<xmin>{}</xmin>\n\t\t\t<ymin>{}</ymin>\n\t\t\t<xmax>{right}</xmax>\n\t\t\t<ymax>{bottom}</ymax>\n\t\t</bndbox>\n\
         \t\t<attributes>\n\t\t\t<attribute>\n\t\t\t\t<name>score</name>\n\t\t\t\t<value>{}</value>\n\t\t\t</attribute>\n\t\t</attributes>\n\
         \t</object>\n",
        escape(&object.name),
        u8::from(is_cut),
        b.left + 1,
        b.top + 1,
        object.rounded_score(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::annotation::drawn::{Drawn, drawn};
    use crate::image::Image;
    use crate::segmentation::Kind;

    /// The first colors of the development kit's map, and those of 21 and 254.
    #[test]
    fn the_palette_is_voc_s() {
        let first = [
            [0, 0, 0],
            [128, 0, 0],
            [0, 128, 0],
            [128, 128, 0],
            [0, 0, 128],
            [128, 0, 128],
            [0, 128, 128],
            [128, 128, 128],
            [64, 0, 0],
        ];
        assert_eq!((0..9).map(color).collect::<Vec<_>>(), first);
        assert_eq!((color(20), color(255), color(254)), ([0, 64, 128], [224, 224, 192], [96, 224, 192]));
    }

    #[test]
    fn boxes_count_from_one_and_pictures_have_numbers_and_classes() {
        let mut regions = drawn(Kind::Object, &["..1..", ".11.2", "....."]);
        regions.image = "x/a&b.png".into();
        let sheets = Drawn::new([regions]).label("R<D");
        let files = sheets.images_in_bytes(&Voc);
        let text = String::from_utf8(files[0].1.clone()).unwrap();
        assert!(text.contains("<folder>x</folder>") && text.contains("<filename>x/a&amp;b.png</filename>"), "{text}");
        assert!(text.contains("<width>5</width>\n\t\t<height>3</height>"), "{text}");
        let first = text.split("<object>").nth(1).unwrap().replace(['\t', '\n'], "");
        let expected = "<name>R&lt;D</name><pose>Unspecified</pose><truncated>1</truncated><difficult>0</difficult>\
            <bndbox><xmin>2</xmin><ymin>1</ymin><xmax>3</xmax><ymax>2</ymax></bndbox>";
        assert!(first.starts_with(expected) && first.contains("<value>0.9</value>"), "{first}");
        roxmltree::Document::parse(&text).unwrap();
        let shown =
            |file: &[u8]| Image::decode(file).unwrap().rgb().chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect::<Vec<_>>();
        let rows = |map: [u8; 15]| map.map(color).to_vec();
        assert_eq!(shown(&files[1].1), rows([0, 0, 1, 0, 0, 0, 1, 1, 0, 2, 0, 0, 0, 0, 0]));
        assert_eq!(shown(&files[2].1), rows([0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0]));
        assert_eq!(sheets.run(&Voc, "ImageSets/Segmentation/trainval.txt"), "x/a&b\n");
        assert_eq!(sheets.run(&Voc, LABELMAP), "# label:color_rgb:parts:actions\nbackground:0,0,0::\nR<D:128,0,0::\n");
    }
}
