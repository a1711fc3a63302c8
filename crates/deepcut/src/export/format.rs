//! The formats known by name, and their exporters.

use super::{Export, ExportError, File, Page, png};
use std::fmt;
use std::str::FromStr;

/// A format known by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Palette PNG whose indices are the labels; 0 is background.
    Labels,
    /// Gray PNG, 255 in the foreground.
    Mask,
    /// The image under its labels' colors, as PNG.
    Overlay,
    /// The image as PNG, transparent outside the foreground.
    Cutout,
    /// Boxes, areas, confidence and provenance, as JSON: a [`Report`](super::Report).
    Json,
}

/// The name of no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no format {name}; the formats are {}", Format::ALL.map(Format::name).join(", "))]
pub struct UnknownFormat {
    /// The name.
    pub name: String,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Labels, Self::Mask, Self::Overlay, Self::Cutout, Self::Json];

    /// Its name, as [`Format::from_str`] takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Labels => "labels",
            Self::Mask => "mask",
            Self::Overlay => "overlay",
            Self::Cutout => "cutout",
            Self::Json => "json",
        }
    }

    /// What follows the image's name in the name of its file, after a dot.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Labels => "labels.png",
            Self::Mask => "mask.png",
            Self::Overlay => "overlay.png",
            Self::Cutout => "cutout.png",
            Self::Json => "json",
        }
    }

    /// What writes it.
    #[must_use]
    pub fn exporter(self) -> Box<dyn Export> {
        Box::new(FilePerImage {
            suffix: self.suffix(),
            encode: match self {
                Self::Labels => |page| png::labels(page.segmentation),
                Self::Mask => |page| png::mask(page.segmentation),
                Self::Overlay => overlay,
                Self::Cutout => |page| png::cutout(page.image, page.segmentation),
                Self::Json => |page| page.report.to_json(),
            },
        })
    }
}

/// In the mode that finds objects, every one has its number, also where there is but one.
fn overlay(page: &Page<'_>) -> Result<Vec<u8>, ExportError> {
    let finds_objects = page.report.options.pointer("/recipe/mode").is_some_and(|mode| mode == "objects");
    let draw = if finds_objects { png::numbered_overlay } else { png::overlay };
    draw(page.image, page.segmentation)
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| UnknownFormat { name: name.into() })
    }
}

/// One file for each image.
struct FilePerImage {
    suffix: &'static str,
    encode: fn(&Page<'_>) -> Result<Vec<u8>, ExportError>,
}

impl Export for FilePerImage {
    fn suffixes(&self) -> &[&str] {
        std::slice::from_ref(&self.suffix)
    }

    fn image(&self, page: &Page<'_>) -> Result<Vec<File>, ExportError> {
        Ok(vec![File { name: self.suffix.into(), bytes: (self.encode)(page)? }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_found_by_its_name() {
        for format in Format::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            assert_eq!(format.exporter().suffixes(), [format.suffix()]);
        }
        let unknown = "pdf".parse::<Format>().unwrap_err();
        assert_eq!(unknown.to_string(), "there is no format pdf; the formats are labels, mask, overlay, cutout, json");
    }
}
