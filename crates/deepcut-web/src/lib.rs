//! DeepCut in WebAssembly: what `web/deepcut.js` calls in a worker of its own.
//!
//! Options and reports cross the border as JSON, pixels as bytes.

use deepcut::backbone::{self, vit::VitOptions};
use deepcut::export::annotation::{AnnotationFormat, AnnotationOptions, Regions, Sheet, files_of_one};
use deepcut::export::{File, Format, Page, Provenance, Record, Report};
use deepcut::profile::Profile;
use deepcut::{Cpu, FeatureMap, Image, Options, Precision, Rates, Segmentation, Step};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::ops::ControlFlow;
use wasm_bindgen::prelude::*;

/// An error with all its causes.
fn failed(error: impl Error) -> JsError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    JsError::new(&text)
}

fn object(json: &str) -> Result<Map<String, Value>, JsError> {
    serde_json::from_str(json).map_err(|error| JsError::new(&format!("options are no JSON object: {error}")))
}

/// A network, ready to use.
#[wasm_bindgen]
pub struct Segmenter {
    inner: deepcut::Segmenter,
}

#[wasm_bindgen]
impl Segmenter {
    /// Loads the network of a safetensors file. `precision` is `f32` or `int8`.
    #[wasm_bindgen(constructor)]
    pub fn new(name: &str, weights: &[u8], precision: &str) -> Result<Self, JsError> {
        let known = [Precision::F32, Precision::Int8].into_iter().find(|known| known.name() == precision);
        let known = known.ok_or_else(|| JsError::new(&format!("precision is {precision:?}; expected \"f32\" or \"int8\"")))?;
        // There is no clock to measure rates with; the precision says what to use.
        let cpu = Cpu::builder().threads(1).rates(Rates::default()).build().map_err(failed)?;
        let network = VitOptions { precision: known, ..VitOptions::default() };
        let network = backbone::from_bytes(name, weights, &cpu, &network).map_err(failed)?;
        let mut options = Options::default();
        options.recipe.precision = known;
        Ok(Self { inner: deepcut::Segmenter::new(network, options, cpu).map_err(failed)? })
    }

    /// The network and the instructions in use, as JSON.
    pub fn identity(&self) -> String {
        let instructions = self.inner.cpu().isa().name();
        json!({ "backbone": self.inner.backbone().identity(), "instructions": instructions, "version": env!("CARGO_PKG_VERSION") })
            .to_string()
    }

    /// The features of an image of RGBA pixels, row by row.
    pub fn features(&self, rgba: &[u8], width: usize, height: usize, resolution: Option<usize>) -> Result<Features, JsError> {
        if width.checked_mul(height).and_then(|pixels| pixels.checked_mul(4)) != Some(rgba.len()) {
            return Err(JsError::new(&format!("{} bytes are no image of {width} x {height} RGBA pixels", rgba.len())));
        }
        let colors = rgba.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect();
        let alpha = rgba.as_chunks::<4>().0.iter().map(|pixel| pixel[3]).collect::<Vec<u8>>();
        let alpha = Some(alpha).filter(|alpha| alpha.iter().any(|&alpha| alpha != 255));
        let image = Image::with_alpha(height, width, colors, alpha).map_err(failed)?;
        let mut options = self.inner.options().clone();
        options.view.resolution = resolution.or(options.view.resolution);
        let view = options.view;
        view.validate().map_err(failed)?;
        let map = self.inner.features_with(&image, &view).map_err(failed)?;
        Ok(Features { image, map, resolution })
    }

    /// Cuts an image by its features; `options` are those of the library by name, as JSON. `step` is called with the name of each step as it begins.
    pub fn cluster(&self, features: &Features, options: &str, step: &js_sys::Function) -> Result<Found, JsError> {
        let values = object(options)?;
        let mut options = Options::named(Profile::Default, &values).map_err(failed)?;
        options.view.resolution = features.resolution.or(self.inner.options().view.resolution);
        options.recipe.precision = self.inner.options().recipe.precision;
        let mut last = "";
        let mut observe = |now: Step| {
            if now.name() != last {
                last = now.name();
                let _ = step.call1(&JsValue::NULL, &last.into());
            }
            ControlFlow::Continue(())
        };
        let clustering = self.inner.cluster_observed(&features.map, &options, &mut observe).map_err(failed)?;
        let finished = options.finish.to_pixels_observed(self.inner.cpu(), &features.image, &clustering, &mut observe);
        let segmentation = finished.map_err(failed)?;
        let ignored = ignored(&options, &values);
        let about = json!({
            "backbone": self.inner.backbone().identity(), "kernels": self.inner.cpu().isa().name(), "options": options, "ignored": ignored,
        });
        Ok(Found { segmentation, about, seed: options.seed })
    }
}

/// An image and its features, which can be cut many times.
#[wasm_bindgen]
pub struct Features {
    image: Image<'static>,
    map: FeatureMap,
    resolution: Option<usize>,
}

#[wasm_bindgen]
impl Features {
    /// Rows and columns of patches.
    pub fn grid(&self) -> Vec<usize> {
        let (rows, columns) = self.map.grid();
        vec![rows, columns]
    }
}

/// A segmentation.
#[wasm_bindgen]
pub struct Found {
    segmentation: Segmentation,
    about: Value,
    seed: u64,
}

#[wasm_bindgen]
impl Found {
    /// The label of each pixel, row by row; 0 is background.
    pub fn labels(&self) -> Vec<u8> {
        self.segmentation.labels().to_vec()
    }

    /// What was found, as JSON: confidence, regions with their polygons and run lengths, the main object's box.
    pub fn report(&self, simplify: f64) -> Result<String, JsError> {
        let mut options = AnnotationOptions::default();
        options.simplify = simplify;
        options.validate(&[]).map_err(|(_, error)| failed(error))?;
        let found = &self.segmentation;
        let regions = Regions::new("", found, Record::of_no_file(""));
        let sheet = Sheet::new(&regions, &options, "", None, None).ok_or_else(|| JsError::new("the regions are broken"))?;
        let shapes: Vec<Value> = sheet
            .objects
            .iter()
            .map(|object| {
                let ring = |ring: &deepcut::export::contour::Ring| ring.iter().map(|point| [point.x, point.y]).collect::<Vec<_>>();
                let polygons: Vec<Vec<_>> = object.polygons().iter().map(|polygon| polygon.rings().map(ring).collect()).collect();
                let size = [found.height(), found.width()];
                json!({
                    "label": object.label, "kind": object.kind, "partOf": object.part_of, "name": object.name, "score": object.score,
                    "area": object.area, "box": bounds(object.bounds), "polygons": polygons,
                    "rle": { "size": size, "counts": object.rle.to_compressed() },
                })
            })
            .collect();
        let (rows, columns) = found.grid();
        let report = json!({
            "width": found.width(), "height": found.height(), "confidence": found.confidence(), "grid": [rows, columns],
            "box": found.main_box().map(bounds), "regions": shapes, "ignored": self.about["ignored"],
        });
        Ok(report.to_string())
    }

    /// A file of a format: labels, mask, overlay, cutout or json. `features` are those that were cut.
    pub fn file(&self, format: &str, name: &str, features: &Features) -> Result<Output, JsError> {
        let format: Format = format.parse().map_err(failed)?;
        let provenance = Provenance {
            input: name.into(),
            outputs: Vec::new(),
            seconds: BTreeMap::new(),
            backbone: self.about["backbone"].clone(),
            kernels: self.about["kernels"].as_str().and_then(deepcut::Isa::by_name).map_or("another", deepcut::Isa::name),
            options: self.about["options"].clone(),
            seed: self.seed,
            record: Record::of_no_file(name),
        };
        let report = Report::new(&features.image, &self.segmentation, provenance);
        let page = Page { name, image: &features.image, segmentation: &self.segmentation, report: &report };
        let mut files = format.exporter().image(&page).map_err(failed)?;
        let File { name: suffix, bytes } = files.pop().ok_or_else(|| JsError::new("the format has no file"))?;
        Ok(Output { name: format!("{}.{suffix}", stem(name)), bytes })
    }

    /// The files of an annotation format. `options`, as JSON, may have `label`, `labels`, `simplify`, `cocoMasks` and `shapes`.
    pub fn annotations(&self, format: &str, name: &str, options: &str) -> Result<Vec<Output>, JsError> {
        let format: AnnotationFormat = format.parse().map_err(failed)?;
        let options = annotation_options(&object(options)?, format)?;
        let regions = Regions::new(name, &self.segmentation, Record::of_no_file(name));
        let network = self.about["backbone"]["name"].as_str().unwrap_or("another network");
        let model = format!("deepcut {} ({network})", env!("CARGO_PKG_VERSION"));
        let files = files_of_one(format, &regions, &stem(name), &options, &model).map_err(failed)?;
        Ok(files.into_iter().map(|File { name, bytes }| Output { name, bytes }).collect())
    }
}

/// A file to download.
#[wasm_bindgen]
pub struct Output {
    name: String,
    bytes: Vec<u8>,
}

#[wasm_bindgen]
impl Output {
    /// Its name, with `/` between folders.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Its content.
    #[wasm_bindgen(getter)]
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }
}

fn annotation_options(given: &Map<String, Value>, format: AnnotationFormat) -> Result<AnnotationOptions, JsError> {
    let mut options = AnnotationOptions::default();
    for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        let wrong = || JsError::new(&format!("{name} cannot be {value}"));
        match name.as_str() {
            "label" => options.label = Some(value.as_str().ok_or_else(wrong)?.to_owned()),
            "labels" => {
                let names = value.as_array().ok_or_else(wrong)?.iter().map(|name| name.as_str().map(str::to_owned));
                options.labels = names.collect::<Option<_>>().ok_or_else(wrong)?;
            }
            "simplify" => options.simplify = value.as_f64().ok_or_else(wrong)?,
            "cocoMasks" => options.coco_masks = value.as_str().ok_or_else(wrong)?.parse().map_err(failed)?,
            "shapes" => options.shapes = value.as_str().ok_or_else(wrong)?.parse().map_err(failed)?,
            _ => {
                return Err(JsError::new(&format!(
                    "there is no option {name:?} of files; expected label, labels, simplify, cocoMasks or shapes"
                )));
            }
        }
    }
    options.validate(&[format]).map_err(|(option, error)| JsError::new(&format!("{option}: {error}")))?;
    Ok(options)
}

/// Options that were given and have no effect with the others, and why.
fn ignored(options: &Options, given: &Map<String, Value>) -> Vec<Value> {
    // The edges are spelled by what they are made of, too.
    let spelled = |name: &'static str| if name == "edges" { vec![name, "tau", "alpha"] } else { vec![name] };
    let all = options.without_effect().into_iter().flat_map(|(name, why)| spelled(name).into_iter().map(move |name| (name, why)));
    all.filter(|(name, _)| given.get(*name).is_some_and(|value| !value.is_null()))
        .map(|(name, why)| json!({ "option": name, "why": why }))
        .collect()
}

/// Left, top, width, height.
fn bounds(bounds: deepcut::components::BoundingBox) -> [usize; 4] {
    [bounds.left, bounds.top, bounds.width, bounds.height]
}

fn stem(name: &str) -> String {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem).to_owned()
}

/// The labels' colors in pictures, `[256, 3]`.
#[wasm_bindgen]
pub fn palette() -> Vec<u8> {
    (0..=255).flat_map(deepcut::export::png::color).collect()
}
