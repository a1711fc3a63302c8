//! One image as a whole run.

use super::{AnnotationFormat, AnnotationOptions, Regions, Sheet, Sheets, class_names};
use crate::export::{ExportError, File};

/// The files of a format for one image alone, those of a run among them, each with its whole name.
///
/// `stem` is the image's name without its extension; `model` says what made the regions, for people.
///
/// # Errors
/// [`ExportError`] if the regions are broken, or too large for the format.
pub fn files_of_one(
    format: AnnotationFormat,
    regions: &Regions,
    stem: &str,
    options: &AnnotationOptions,
    model: &str,
) -> Result<Vec<File>, ExportError> {
    let (annotator, alone) = (format.annotator(), Alone { regions, stem, options, model });
    let of_image = annotator.image(&alone.sheet()?)?.into_iter();
    let mut files: Vec<File> = of_image.map(|file| File { name: file.name.replace('*', stem), ..file }).collect();
    for name in annotator.run_files() {
        let mut bytes = Vec::new();
        annotator.run(name, &alone, &mut bytes)?;
        files.push(File { name: (*name).to_owned(), bytes });
    }
    Ok(files)
}

struct Alone<'a> {
    regions: &'a Regions,
    stem: &'a str,
    options: &'a AnnotationOptions,
    model: &'a str,
}

impl Alone<'_> {
    fn sheet(&self) -> Result<Sheet<'_>, ExportError> {
        let sheet = Sheet::new(self.regions, self.options, self.stem, None, None);
        sheet.ok_or_else(|| ExportError::Regions { path: self.regions.image.clone().into() })
    }
}

impl Sheets for Alone<'_> {
    fn options(&self) -> &AnnotationOptions {
        self.options
    }

    fn model(&self) -> &str {
        self.model
    }

    fn classes(&self) -> Result<Vec<String>, ExportError> {
        class_names(self)
    }

    fn each(&self, visit: &mut dyn FnMut(&Sheet<'_>) -> Result<(), ExportError>) -> Result<(), ExportError> {
        visit(&self.sheet()?)
    }
}
