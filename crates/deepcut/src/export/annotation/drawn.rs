//! Pictures drawn in tests, as exporters of annotation files get them.

use super::regions::tests;
use super::{Annotate, AnnotationOptions, Regions, Sheet, Sheets, class_names};
use crate::export::ExportError;
use std::path::Path;

pub(crate) use tests::drawn;

/// Images of a run: `x/a.png`, whatever the regions call it, and so on.
pub(crate) struct Drawn {
    pub regions: Vec<Regions>,
    pub options: AnnotationOptions,
}

impl Drawn {
    pub fn new(regions: impl Into<Vec<Regions>>) -> Self {
        Self { regions: regions.into(), options: AnnotationOptions::default() }
    }

    pub fn label(mut self, label: &str) -> Self {
        self.options.label = Some(label.into());
        self
    }

    /// Name and content of the files of all images.
    pub fn images_in_bytes(&self, annotator: &dyn Annotate) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let visit = &mut |sheet: &Sheet<'_>| {
            let made = annotator.image(sheet)?;
            assert!(made.iter().all(|file| annotator.image_files().contains(&&*file.name)), "not announced");
            files.extend(made.into_iter().map(|file| (file.name, file.bytes)));
            Ok(())
        };
        self.each(visit).unwrap();
        files
    }

    /// Name and text of the files of all images.
    pub fn images(&self, annotator: &dyn Annotate) -> Vec<(String, String)> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        self.images_in_bytes(annotator).into_iter().map(|(name, bytes)| (name, text(bytes))).collect()
    }

    /// A file of the whole run.
    pub fn run(&self, annotator: &dyn Annotate, name: &str) -> String {
        assert!(annotator.run_files().contains(&name));
        let mut out = Vec::new();
        annotator.run(name, self, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }
}

impl Sheets for Drawn {
    fn options(&self) -> &AnnotationOptions {
        &self.options
    }

    fn model(&self) -> &str {
        "deepcut 1 (a network)"
    }

    fn classes(&self) -> Result<Vec<String>, ExportError> {
        class_names(self)
    }

    fn each(&self, visit: &mut dyn FnMut(&Sheet<'_>) -> Result<(), ExportError>) -> Result<(), ExportError> {
        for regions in &self.regions {
            let stem = Path::new(&regions.image).with_extension("").display().to_string();
            visit(&Sheet::new(regions, &self.options, &stem, Some(Path::new(&regions.image)), None).unwrap())?;
        }
        Ok(())
    }
}
