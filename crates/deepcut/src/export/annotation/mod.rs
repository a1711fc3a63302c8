//! Annotation files: shapes that the tools of annotators open, of each image and of a whole run.
//!
//! They are written from [`Regions`], not from pixels: a run keeps those of every image, streams over them at its end, and another name or
//! tolerance needs no new segmentation.

mod alone;
#[cfg(test)]
pub(crate) mod drawn;
mod format;
mod options;
pub(crate) mod regions;

pub use alone::files_of_one;
pub use format::{AnnotationFormat, UnknownAnnotation};
pub use options::{AnnotationError, AnnotationOptions, CocoMasks, Paths, Shapes, UnknownChoice};
pub use regions::{Regions, Shape, Written};

use super::contour::{self, Polygon};
use super::{ExportError, File};
use crate::components::BoundingBox;
use crate::rle::Rle;
use crate::segmentation::Kind;
use std::cell::{Cell, OnceCell};
use std::io::Write;
use std::path::Path;

/// Makes annotation files.
///
/// Names of files are those below the folder of results. In those of an image, `*` stands for the image's own name without its extension, with its
/// sub-folders: `labels/*.txt` is `labels/x/a.txt` for `x/a.jpg`.
pub trait Annotate: Send + Sync {
    /// Names of the files of each image.
    fn image_files(&self) -> &[&str] {
        &[]
    }

    /// Names of the files of the whole run, the most important one first: it is the one that is written where there is room for one.
    fn run_files(&self) -> &[&str] {
        &[]
    }

    /// Whether a file of an image that a person made or changed stays even if overwriting is allowed.
    fn keeps_edited(&self) -> bool {
        false
    }

    /// Whether programs look for an image's file by the image's name without its extension: of `a.jpg` and `a.png` they find one at most.
    fn is_found_by_stem(&self) -> bool {
        false
    }

    /// The files of one image, each with its name as [`Annotate::image_files`] has it. What it makes depends on the sheet alone.
    ///
    /// # Errors
    /// [`ExportError`] if the image cannot be exported; the other images go on.
    fn image(&self, _sheet: &Sheet<'_>) -> Result<Vec<File>, ExportError> {
        Ok(Vec::new())
    }

    /// Writes one of the files of the whole run. It may go over the images as often as it needs, but keeps none: there may be many.
    ///
    /// # Errors
    /// [`ExportError`] if it cannot be made.
    fn run(&self, _name: &str, _sheets: &dyn Sheets, _out: &mut dyn Write) -> Result<(), ExportError> {
        Ok(())
    }
}

/// The images of a run that have results, in their order.
pub trait Sheets {
    /// What to write, and how.
    fn options(&self) -> &AnnotationOptions;

    /// What made the regions, for people: program, version, and network.
    fn model(&self) -> &str;

    /// Names of the classes, of number 1 and so on: all that occur, and those between. Never empty.
    ///
    /// # Errors
    /// As [`Sheets::each`].
    fn classes(&self) -> Result<Vec<String>, ExportError>;

    /// Calls `visit` with every image.
    ///
    /// # Errors
    /// [`ExportError::Regions`] if what was kept of an image is gone, or what `visit` returns.
    fn each(&self, visit: &mut dyn FnMut(&Sheet<'_>) -> Result<(), ExportError>) -> Result<(), ExportError>;
}

/// Names of the classes that occur in a run, and those between; at least one: [`Sheets::classes`].
///
/// # Errors
/// As [`Sheets::each`].
pub fn class_names(sheets: &dyn Sheets) -> Result<Vec<String>, ExportError> {
    let (mut kind, mut classes) = (Kind::Object, 1);
    sheets.each(&mut |sheet| {
        for object in &sheet.objects {
            (kind, classes) = (object.kind, classes.max(object.class));
        }
        Ok(())
    })?;
    let options = sheets.options();
    // A list of names is of parts or clusters; there is one class of objects.
    let classes = if kind == Kind::Object { 1 } else { classes.max(options.labels.len()) };
    Ok((1..=classes).map(|class| options.class_name(kind, class)).collect())
}

/// A segmented image, as annotation files tell of it.
pub struct Sheet<'a> {
    /// The name of its results: its own without the extension, with `/` between folders.
    pub stem: &'a str,
    /// Its file's name below the input folder, with `/` between folders.
    pub image: &'a str,
    /// Its file, if it has one.
    pub path: Option<&'a Path>,
    /// The folder of results, if they go to one.
    pub folder: Option<&'a Path>,
    /// What to write, and how.
    pub options: &'a AnnotationOptions,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// The regions that are foreground, by label: of several objects the best comes first.
    pub objects: Vec<Object>,
    /// Regions of the background other than that of label 0.
    pub backgrounds: Vec<Object>,
}

/// A region of a [`Sheet`].
#[derive(Debug, Clone)]
pub struct Object {
    /// The label.
    pub label: u8,
    /// What it is.
    pub kind: Kind,
    /// The number of its class, from 1.
    pub class: usize,
    /// The name of its class.
    pub name: String,
    /// The number of the object that a part belongs to, counted from 1.
    pub part_of: Option<u8>,
    /// How sure it is that it is what `kind` says, in [0, 1].
    pub score: f32,
    /// Pixels.
    pub area: usize,
    /// The smallest rectangle around them.
    pub bounds: BoundingBox,
    /// Its pixels.
    pub rle: Rle,
    outline: OnceCell<Outline>,
    /// Share of what a reader finds that is the region, if an exporter knows that it is not all.
    kept: Cell<Option<f64>>,
    tolerance: f64,
}

/// Polygons, and how well they fit.
#[derive(Debug, Clone)]
struct Outline {
    polygons: Vec<Polygon>,
    /// Intersection over union with the mask; None if nothing was simplified.
    iou: Option<f64>,
}

impl Object {
    fn new(regions: &Regions, shape: &Shape, options: &AnnotationOptions) -> Option<Self> {
        let class = AnnotationOptions::class_of(shape.kind, shape.label);
        Some(Self {
            label: shape.label,
            kind: shape.kind,
            class,
            name: options.class_name(shape.kind, class),
            part_of: shape.part_of,
            score: shape.score,
            area: shape.area,
            bounds: shape.bounding_box(),
            rle: regions.rle(shape)?,
            outline: OnceCell::new(),
            kept: Cell::new(None),
            tolerance: options.simplify,
        })
    }

    /// The score with six digits after the point: enough, and short.
    #[must_use]
    pub fn rounded_score(&self) -> f64 {
        (f64::from(self.score) * 1e6).round() / 1e6
    }

    /// Its polygons in the image's coordinates, largest first, simplified as the options say.
    #[must_use]
    pub fn polygons(&self) -> &[Polygon] {
        &self.outline().polygons
    }

    /// Whether the mask has a hole, simplified or not.
    #[must_use]
    pub fn has_holes(&self) -> bool {
        self.polygons().iter().any(|polygon| !polygon.holes.is_empty())
    }

    /// Intersection over union of what was written and the mask, in [0, 1]. None if it is the mask, or nobody asked for polygons.
    #[must_use]
    pub fn iou(&self) -> Option<f64> {
        let simplified = self.outline.get().and_then(|outline| outline.iou);
        match (simplified, self.kept.get()) {
            (None, kept) => kept,
            (simplified, kept) => simplified.map(|iou| iou * kept.unwrap_or(1.0)),
        }
    }

    /// Keeps that readers of a format find so many pixels beside the region's own.
    pub(crate) fn tell_excess(&self, pixels: usize) {
        if pixels > 0 {
            let kept = self.area as f64 / (self.area + pixels) as f64;
            self.kept.set(Some(self.kept.get().unwrap_or(1.0).min(kept)));
        }
    }

    fn outline(&self) -> &Outline {
        self.outline.get_or_init(|| {
            // The box is all that is decoded.
            let BoundingBox { top, left, height, width } = self.bounds;
            let mask = self.rle.crop(self.bounds);
            let inside = |at: usize| mask[at] > 0;
            let whole = BoundingBox { top: 0, left: 0, height, width };
            let mut polygons = contour::trace(height, width, whole, inside);
            contour::simplify(&mut polygons, self.tolerance);
            let iou = (self.tolerance > 0.0).then(|| contour::iou(&polygons, whole, width, inside));
            polygons.iter_mut().for_each(|polygon| polygon.shift(left as i32, top as i32));
            Outline { polygons, iou }
        })
    }
}

impl<'a> Sheet<'a> {
    /// The sheet of an image of this `stem`, `path` and `folder`. None if the regions are broken.
    #[must_use]
    pub fn new(
        regions: &'a Regions,
        options: &'a AnnotationOptions,
        stem: &'a str,
        path: Option<&'a Path>,
        folder: Option<&'a Path>,
    ) -> Option<Self> {
        let object = |shape: &Shape| Object::new(regions, shape, options);
        let all: Vec<Object> = regions.regions.iter().map(object).collect::<Option<_>>()?;
        let (backgrounds, objects) = all.into_iter().partition(|object| object.kind == Kind::Background);
        let Regions { image, height, width, .. } = regions;
        Some(Self { stem, image, path, folder, options, height: *height, width: *width, objects, backgrounds })
    }

    /// The image's name, as [`AnnotationOptions::paths`] asks for it; with `/` between folders.
    #[must_use]
    pub fn image_name(&self) -> String {
        image_name(self.image, self.path, self.options.paths)
    }

    /// The image's file name alone.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.image.rsplit('/').next().unwrap_or(self.image)
    }

    /// Every label that occurs, `[height, width]`; 0 elsewhere.
    #[must_use]
    pub fn labels(&self) -> Vec<u8> {
        let mut labels = vec![0; self.height * self.width];
        for object in self.objects.iter().chain(&self.backgrounds) {
            self.paint(object, object.label, &mut labels);
        }
        labels
    }

    /// Writes a value to the pixels of an object, in a `[height, width]` map.
    pub fn paint(&self, object: &Object, value: u8, map: &mut [u8]) {
        let height = self.height.max(1);
        for at in object.rle.runs().flatten() {
            if let Some(pixel) = map.get_mut(at % height * self.width + at / height) {
                *pixel = value;
            }
        }
    }
}

/// What an image is called in annotation files.
pub(crate) fn image_name(image: &str, path: Option<&Path>, paths: Paths) -> String {
    let whole = || {
        let path = std::path::absolute(path?).ok()?.display().to_string();
        Some(if std::path::MAIN_SEPARATOR == '/' { path } else { path.replace(std::path::MAIN_SEPARATOR, "/") })
    };
    match paths {
        Paths::Relative => image.into(),
        Paths::Absolute => whole().unwrap_or_else(|| image.into()),
        Paths::Name => image.rsplit('/').next().unwrap_or(image).into(),
    }
}
