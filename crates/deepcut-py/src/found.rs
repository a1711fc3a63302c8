//! What was found in an image.

use crate::errors::{self, of};
use crate::image::ImageArgument;
use crate::values::from_json;
use crate::work::detached;
use deepcut::components::BoundingBox;
use deepcut::export::annotation::{AnnotationFormat, AnnotationOptions, Object, Regions, Sheet, files_of_one};

use deepcut::export::{ExportError, Format, Provenance, Record, Report, png};
use deepcut::{Meaning, Mode, Region, Segmentation, Segmenter};
use numpy::{IntoPyArray, PyArray2, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What made a segmentation.
#[derive(Clone)]
pub struct About {
    mode: Mode,
    backbone: Value,
    kernels: &'static str,
    options: Value,
    seed: u64,
}

impl About {
    /// What a pipeline says of itself.
    pub fn new(segmenter: &Segmenter) -> Self {
        let options = segmenter.options();
        Self {
            mode: options.recipe.mode,
            backbone: serde_json::to_value(segmenter.backbone().identity()).unwrap_or_default(),
            kernels: segmenter.cpu().isa().name(),
            options: serde_json::to_value(options).unwrap_or_default(),
            seed: options.seed,
        }
    }

    /// The same with one more option.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.options[name] = value;
        self
    }

    /// What made it, for people.
    fn model(&self) -> String {
        format!("deepcut {} ({})", env!("CARGO_PKG_VERSION"), self.backbone["name"].as_str().unwrap_or("another network"))
    }
}

/// A segmentation: an array of labels, and what they mean.
#[pyclass(frozen, module = "deepcut_vision._deepcut")]
pub struct Found {
    labels: Py<PyArray2<u8>>,
    height: usize,
    width: usize,
    regions: Vec<Region>,
    confidence: f32,
    grid: (usize, usize),
    main_object: Option<Vec<bool>>,
    about: About,
    seconds: Vec<(String, f64)>,
}

impl Found {
    /// Moves the labels into an array.
    pub fn new(py: Python<'_>, found: Segmentation, about: About, seconds: Vec<(String, f64)>) -> PyResult<Self> {
        let (height, width, regions) = (found.height(), found.width(), found.regions().to_vec());
        let (confidence, grid) = (found.confidence(), found.grid());
        let main_object = found.main_object().map(<[bool]>::to_vec);
        let labels = found.into_labels().into_pyarray(py).reshape([height, width])?.unbind();
        Ok(Self { labels, height, width, regions, confidence, grid, main_object, about, seconds })
    }

    /// The segmentation of the labels as they are now: they are the caller's to change.
    fn segmentation(&self, py: Python<'_>) -> PyResult<Segmentation> {
        let labels = self.labels.bind(py).readonly();
        let labels = labels.as_slice()?;
        let meaning = |region: &Region| {
            let Region { label, kind, part_of, score, .. } = *region;
            Meaning { label, kind, part_of, score }
        };
        let meanings: Vec<Meaning> = self.regions.iter().map(meaning).collect();
        detached(py, || {
            let found = Segmentation::new(self.height, self.width, labels.to_vec(), &meanings).map_err(errors::value)?;
            Ok(found.with_cut(self.confidence, self.grid).with_main_object(self.main_object.clone()))
        })
    }

    fn dict<'py>(py: Python<'py>, region: &Region) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("label", region.label)?;
        dict.set_item("kind", kind_name(region.kind))?;
        dict.set_item("part_of", region.part_of)?;
        dict.set_item("score", region.score)?;
        dict.set_item("area", region.area)?;
        let BoundingBox { top, left, height, width } = region.bounds;
        dict.set_item("bounds", (top, left, height, width))?;
        Ok(dict)
    }
}

/// The name of a kind, as in JSON.
fn kind_name(kind: deepcut::Kind) -> String {
    serde_json::to_value(kind).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

#[pymethods]
impl Found {
    /// Rows.
    #[getter]
    fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    #[getter]
    fn width(&self) -> usize {
        self.width
    }

    /// How clean the cut is, in [0, 1].
    #[getter]
    fn confidence(&self) -> f32 {
        self.confidence
    }

    /// Rows and columns of patches.
    #[getter]
    fn grid(&self) -> (usize, usize) {
        self.grid
    }

    /// What was looked for: object, parts, scene or objects.
    #[getter]
    fn mode(&self) -> String {
        serde_json::to_value(self.about.mode).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Whether any pixel is foreground.
    #[getter]
    fn has_object(&self) -> bool {
        self.regions.iter().any(Region::is_foreground)
    }

    /// Seconds by stage.
    #[getter]
    fn seconds(&self) -> BTreeMap<String, f64> {
        self.seconds.iter().cloned().collect()
    }

    /// The label of every pixel, (height, width): always the same array.
    #[getter]
    fn labels(&self, py: Python<'_>) -> Py<PyArray2<u8>> {
        self.labels.clone_ref(py)
    }

    /// Whether each pixel is foreground, (height, width): a new array.
    fn mask<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<bool>>> {
        let mut inside = [false; 256];
        self.regions.iter().for_each(|region| inside[usize::from(region.label)] = region.is_foreground());
        let labels = self.labels.bind(py).readonly();
        let labels = labels.as_slice()?;
        let mask: Vec<bool> = detached(py, || Ok(labels.iter().map(|&label| inside[usize::from(label)]).collect()))?;
        mask.into_pyarray(py).reshape([self.height, self.width])
    }

    /// The box of the main object, (left, top, width, height), or None.
    fn main_box(&self, py: Python<'_>) -> PyResult<Option<(usize, usize, usize, usize)>> {
        let found = self.segmentation(py)?;
        let bounds = detached(py, || Ok(found.main_box()))?;
        Ok(bounds.map(|BoundingBox { top, left, height, width }| (left, top, width, height)))
    }

    /// The labels that occur, in order, and what they are.
    fn regions<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        self.regions.iter().map(|region| Self::dict(py, region)).collect()
    }

    /// The regions of the foreground with their shapes.
    #[pyo3(signature = (*, label = None, labels = Vec::new(), simplify = 0.0, polygons = true))]
    fn objects<'py>(
        &self,
        py: Python<'py>,
        label: Option<String>,
        labels: Vec<String>,
        simplify: f64,
        polygons: bool,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let options = AnnotationArguments { label, labels, simplify, ..AnnotationArguments::default() }.options(&[])?;
        let (found, record) = (self.segmentation(py)?, Record::of_no_file(""));
        type Ring = Vec<[f64; 2]>;
        let shapes = detached(py, || {
            let regions = Regions::new("", &found, record);
            let sheet = Sheet::new(&regions, &options, "", None, None).ok_or_else(|| errors::value("the regions are broken"))?;
            let of = |object: &Object| -> Vec<Vec<Ring>> {
                if !polygons {
                    return Vec::new();
                }
                let ring = |ring: &deepcut::export::contour::Ring| {
                    ring.iter().map(|point| [f64::from(point.x), f64::from(point.y)]).collect()
                };
                object.polygons().iter().map(|polygon| polygon.rings().map(ring).collect()).collect()
            };
            Ok(sheet.objects.iter().map(|object| (object.clone(), of(object))).collect::<Vec<_>>())
        })?;
        let dict = |(object, shapes): (Object, Vec<Vec<Ring>>)| {
            let dict = PyDict::new(py);
            dict.set_item("label", object.label)?;
            dict.set_item("kind", kind_name(object.kind))?;
            dict.set_item("class", object.class)?;
            dict.set_item("name", &object.name)?;
            dict.set_item("part_of", object.part_of)?;
            dict.set_item("score", object.score)?;
            dict.set_item("rounded_score", object.rounded_score())?;
            dict.set_item("area", object.area)?;
            let BoundingBox { top, left, height, width } = object.bounds;
            dict.set_item("bbox", vec![left, top, width, height])?;
            dict.set_item("rle", object.rle.to_compressed())?;
            if polygons {
                let ring = |ring: Ring| {
                    let points = ring.len();
                    ring.into_flattened().into_pyarray(py).reshape([points, 2])
                };
                let shapes: Vec<Vec<_>> =
                    shapes.into_iter().map(|rings| rings.into_iter().map(ring).collect()).collect::<PyResult<_>>()?;
                dict.set_item("polygons", shapes)?;
            }
            Ok(dict)
        };
        shapes.into_iter().map(dict).collect()
    }

    /// A PNG file: mask, labels, overlay or cutout. The last two need the image.
    #[pyo3(signature = (kind, image = None))]
    fn png<'py>(&self, py: Python<'py>, kind: &str, image: Option<ImageArgument<'_>>) -> PyResult<Bound<'py, PyBytes>> {
        let format: Format = errors::word("kind", kind)?;
        let found = self.segmentation(py)?;
        let seen = image.as_ref().map(ImageArgument::seen).transpose()?;
        let image = seen.as_ref().map(|seen| seen.image());
        let numbered = self.about.mode == Mode::Objects;
        let bytes = detached(py, || {
            let needed = || image.ok_or_else(|| PyValueError::new_err(format!("the format {kind} needs the image")));
            match format {
                Format::Mask => png::mask(&found),
                Format::Labels => png::labels(&found),
                Format::Overlay if numbered => png::numbered_overlay(needed()?, &found),
                Format::Overlay => png::overlay(needed()?, &found),
                Format::Cutout => png::cutout(needed()?, &found),
                _ => {
                    return Err(PyValueError::new_err(format!(
                        "{kind} is no PNG file; expected mask, labels, overlay or cutout"
                    )));
                }
            }
            .map_err(export)
        })?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// The files of an annotation format for this image alone, by name.
    #[pyo3(signature = (format, name, *, label = None, labels = Vec::new(), simplify = 0.0, paths = "relative", coco_masks = "auto", shapes = "auto"))]
    #[expect(clippy::too_many_arguments, reason = "Python's are named")]
    fn annotate<'py>(
        &self,
        py: Python<'py>,
        format: &str,
        name: &str,
        label: Option<String>,
        labels: Vec<String>,
        simplify: f64,
        paths: &str,
        coco_masks: &str,
        shapes: &str,
    ) -> PyResult<Bound<'py, PyDict>> {
        let format: AnnotationFormat = errors::word("format", format)?;
        let options = AnnotationArguments { label, labels, simplify, paths, coco_masks, shapes }.options(&[format])?;
        let (found, record, model) = (self.segmentation(py)?, Record::of_no_file(name), self.about.model());
        let files = detached(py, || {
            let regions = Regions::new(name, &found, record);
            let stem = Path::new(name).with_extension("").display().to_string();
            files_of_one(format, &regions, &stem, &options, &model).map_err(export)
        })?;
        let dict = PyDict::new(py);
        for file in files {
            dict.set_item(file.name, PyBytes::new(py, &file.bytes))?;
        }
        Ok(dict)
    }

    /// What the command says of an image as JSON.
    #[pyo3(signature = (name, image = None))]
    fn report<'py>(&self, py: Python<'py>, name: &str, image: Option<ImageArgument<'_>>) -> PyResult<Bound<'py, PyAny>> {
        let (found, about) = (self.segmentation(py)?, self.about.clone());
        let seen = image.as_ref().map(ImageArgument::seen).transpose()?;
        let image = seen.as_ref().map(|seen| seen.image());
        let provenance = Provenance {
            input: name.into(),
            outputs: Vec::new(),
            seconds: self.seconds(),
            backbone: about.backbone,
            kernels: about.kernels,
            options: about.options,
            seed: about.seed,
            record: Record::of_no_file(name),
        };
        let text = detached(py, || {
            // Of the image the report says its size, and what its file was like.
            let blank =
                image.is_none().then(|| deepcut::Image::new(found.height(), found.width(), vec![0; 3 * found.labels().len()]));
            let blank = blank.transpose().map_err(|error| of(error.into()))?;
            let Some(image) = image.or(blank.as_ref()) else { return Err(errors::value("there is no image")) };
            let mut report = serde_json::to_value(Report::new(image, &found, provenance)).map_err(errors::value)?;
            // It was made of no file of this run.
            report.as_object_mut().map(|report| (report.remove("record"), report.remove("outputs")));
            Ok(report.to_string())
        })?;
        from_json(py, &text)
    }

    /// Makes it again from what `__reduce__` keeps.
    #[staticmethod]
    fn restore(labels: Bound<'_, PyArray2<u8>>, state: &str) -> PyResult<Self> {
        let broken = || PyValueError::new_err("this is not the state of a segmentation");
        let state: Value = serde_json::from_str(state).map_err(|_| broken())?;
        let number = |value: &Value| value.as_u64().and_then(|value| usize::try_from(value).ok()).ok_or_else(broken);
        let region = |region: &Value| -> PyResult<Region> {
            let sizes: Vec<usize> =
                region["bounds"].as_array().ok_or_else(broken)?.iter().map(number).collect::<PyResult<_>>()?;
            let [area, top, left, height, width] = sizes[..] else { return Err(broken()) };
            let label = |value: &Value| serde_json::from_value(value.clone()).map_err(|_| broken());
            Ok(Region {
                label: label(&region["label"])?,
                kind: serde_json::from_value(region["kind"].clone()).map_err(|_| broken())?,
                part_of: Some(&region["part_of"]).filter(|part| !part.is_null()).map(label).transpose()?,
                score: region["score"].as_f64().ok_or_else(broken)? as f32,
                area,
                bounds: BoundingBox { top, left, height, width },
            })
        };
        let [height, width] = [number(&state["height"])?, number(&state["width"])?];
        let array = labels.readonly();
        if array.as_array().dim() != (height, width) || array.as_slice().is_err() {
            return Err(broken());
        }
        let kernels = state["kernels"].as_str().and_then(deepcut::Isa::by_name).map_or("another", deepcut::Isa::name);
        Ok(Self {
            labels: labels.clone().unbind(),
            height,
            width,
            regions: state["regions"].as_array().ok_or_else(broken)?.iter().map(region).collect::<PyResult<_>>()?,
            confidence: state["confidence"].as_f64().ok_or_else(broken)? as f32,
            grid: (number(&state["grid"][0])?, number(&state["grid"][1])?),
            main_object: serde_json::from_value(state["main_object"].clone()).map_err(|_| broken())?,
            about: About {
                mode: serde_json::from_value(state["mode"].clone()).map_err(|_| broken())?,
                backbone: state["backbone"].clone(),
                kernels,
                options: state["options"].clone(),
                seed: state["seed"].as_u64().ok_or_else(broken)?,
            },
            seconds: serde_json::from_value(state["seconds"].clone()).map_err(|_| broken())?,
        })
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let region = |region: &Region| {
            let BoundingBox { top, left, height, width } = region.bounds;
            json!({
                "label": region.label, "kind": region.kind, "part_of": region.part_of, "score": region.score,
                "bounds": [region.area, top, left, height, width],
            })
        };
        let state = json!({
            "height": self.height, "width": self.width, "regions": self.regions.iter().map(region).collect::<Vec<_>>(),
            "confidence": self.confidence, "grid": self.grid, "main_object": self.main_object, "mode": self.about.mode, "backbone": self.about.backbone,
            "kernels": self.about.kernels, "options": self.about.options, "seed": self.about.seed, "seconds": self.seconds,
        });
        let arguments = (self.labels.clone_ref(py), state.to_string()).into_pyobject(py)?;
        Ok((py.get_type::<Self>().getattr("restore")?, arguments))
    }
}

/// How annotation files call things and write shapes, as Python says it.
pub struct AnnotationArguments<'a> {
    pub label: Option<String>,
    pub labels: Vec<String>,
    pub simplify: f64,
    pub paths: &'a str,
    pub coco_masks: &'a str,
    pub shapes: &'a str,
}

impl Default for AnnotationArguments<'_> {
    fn default() -> Self {
        Self { label: None, labels: Vec::new(), simplify: 0.0, paths: "relative", coco_masks: "auto", shapes: "auto" }
    }
}

impl AnnotationArguments<'_> {
    /// The options, checked for files of these formats.
    pub fn options(self, formats: &[AnnotationFormat]) -> PyResult<AnnotationOptions> {
        let mut options = AnnotationOptions::default();
        (options.label, options.labels, options.simplify) = (self.label, self.labels, self.simplify);
        options.paths = errors::word("paths", self.paths)?;
        options.coco_masks = errors::word("coco_masks", self.coco_masks)?;
        options.shapes = errors::word("shapes", self.shapes)?;
        options.validate(formats).map_err(|(option, error)| PyValueError::new_err(format!("{option}: {error}")))?;
        Ok(options)
    }
}

fn export(error: ExportError) -> PyErr {
    of(deepcut::Error::Export(error))
}
