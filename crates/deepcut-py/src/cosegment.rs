//! Parts that agree over a set: what is kept of its images, what they teach, and the parts of each.

use crate::engine::Engine;
use crate::errors::{self, of, of_io};
use crate::found::{About, Found};
use crate::image::ImageArgument;
use crate::options::Options;
use crate::values::object;
use crate::work::{Signals, detached};
use deepcut::Error;
use deepcut::batch::files;
use deepcut::cosegment::{Codebook as Learned, Cosegment, CosegmentError, Foregrounds};
use deepcut::progress::Observer;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::Value;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// What tells the parts of a set apart.
#[pyclass(frozen, module = "deepcut_vision._deepcut")]
pub struct Codebook {
    codebook: Learned,
}

#[pymethods]
impl Codebook {
    /// Reads a file; None if there is none.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Option<Self>> {
        let name = path.display().to_string();
        detached(py, || match std::fs::read(&path) {
            Ok(bytes) => {
                let codebook = Learned::from_bytes(&bytes);
                let codebook = codebook.map_err(|error| PyValueError::new_err(format!("{name}: {}", errors::text(&error))))?;
                Ok(Some(Self { codebook }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(of_io(&error, Some(&name))),
        })
    }

    /// Writes a file that is not there yet.
    fn write(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        detached(py, || {
            let bytes = self.codebook.to_bytes().map_err(errors::value)?;
            files::write(&path, &bytes, false).map_err(|error| PyOSError::new_err(errors::text(&error)))
        })
    }
}

/// A set of images: how its parts are found, and what is kept of each image between the two passes.
#[pyclass(frozen, module = "deepcut_vision._deepcut")]
pub struct ImageSet {
    options: Cosegment,
    foregrounds: Mutex<Foregrounds>,
}

#[pymethods]
impl ImageSet {
    /// With options by name, which are checked.
    #[new]
    fn new(values: &Bound<'_, PyDict>) -> PyResult<Self> {
        let mut values = object(values)?;
        if let Some(Value::String(method)) = values.get("method") {
            errors::word::<deepcut::cosegment::Grouping>("method", method)?;
        }
        // What is not given is the library's choice; but no number of parts is one.
        values.retain(|name, value| name == "n_parts" || !value.is_null());
        let options: Cosegment = serde_json::from_value(Value::Object(values)).map_err(errors::value)?;
        options.validate().map_err(errors::value)?;
        Ok(Self { options, foregrounds: Mutex::default() })
    }

    /// Cuts the object of an image and keeps it under a name.
    fn add(&self, py: Python<'_>, name: &str, engine: &Engine, image: ImageArgument<'_>, options: &Options) -> PyResult<()> {
        let segmenter = engine.segmenter(&options.options)?;
        let seen = image.seen()?;
        let image = seen.image();
        watched(py, |observe| {
            let foreground = segmenter.foreground_observed(image, observe)?;
            let mut set = self.foregrounds.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(set.add(name, &foreground).map_err(CosegmentError::from)?)
        })
    }

    /// Learns what tells the parts of its images apart.
    fn learn(&self, py: Python<'_>, engine: &Engine, options: &Options) -> PyResult<Codebook> {
        let segmenter = engine.segmenter(&options.options)?;
        let (identity, asked) = (segmenter.backbone().identity(), segmenter.options());
        watched(py, |observe| {
            let set = self.foregrounds.lock().unwrap_or_else(PoisonError::into_inner);
            let codebook = self.options.learn(segmenter.cpu(), &asked.recipe, &set, identity, asked.seed, observe)?;
            Ok(Codebook { codebook })
        })
    }

    /// Checks that a codebook is of this kind, and of the engine's network.
    fn check(&self, codebook: &Codebook, engine: &Engine, options: &Options) -> PyResult<()> {
        let segmenter = engine.segmenter(&options.options)?;
        let codebook = &codebook.codebook;
        codebook.check(segmenter.backbone().identity()).and_then(|()| self.options.check(codebook)).map_err(errors::value)
    }

    /// The parts of an image: of one that was added, by its name, what is kept is not computed again.
    fn parts(
        &self,
        py: Python<'_>,
        name: &str,
        codebook: &Codebook,
        engine: &Engine,
        image: ImageArgument<'_>,
        options: &Options,
    ) -> PyResult<Found> {
        let segmenter = engine.segmenter(&options.options)?;
        let seen = image.seen()?;
        let image = seen.image();
        let (cpu, asked) = (segmenter.cpu(), segmenter.options());
        let (found, about) = watched(py, |observe| {
            let known = {
                let set = self.foregrounds.lock().unwrap_or_else(PoisonError::into_inner);
                set.get(name).map_err(CosegmentError::from)?
            };
            let foreground = match known {
                Some(foreground) => foreground,
                None => segmenter.foreground_observed(image, observe)?,
            };
            let parts = codebook.codebook.parts(cpu, &asked.recipe, &foreground, self.options.min_part);
            let clustering = parts.map_err(CosegmentError::from)?;
            let found = asked.finish.to_pixels_observed(cpu, image, &clustering, observe).map_err(Error::from)?;
            Ok((found, self.options.about(&codebook.codebook).map_err(CosegmentError::from)?))
        })?;
        Found::new(py, found, About::new(&segmenter).with("cosegment", about), Vec::new())
    }
}

/// Why work on a set failed.
enum Failure {
    Image(Error),
    Set(CosegmentError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Image(error)
    }
}

impl From<CosegmentError> for Failure {
    fn from(error: CosegmentError) -> Self {
        match error {
            CosegmentError::Cluster(error) => Self::Image(error.into()),
            CosegmentError::Option(error) => Self::Image(error.into()),
            CosegmentError::Cancelled => Self::Image(Error::Cancelled),
            error => Self::Set(error),
        }
    }
}

/// Does work that tells of its steps, and ends it at a signal.
fn watched<T: Send>(py: Python<'_>, work: impl FnOnce(&mut Observer<'_>) -> Result<T, Failure> + Send) -> PyResult<T> {
    detached(py, || {
        let mut signals = Signals::new();
        work(&mut |_| signals.go_on()).map_err(|failure| match failure {
            Failure::Image(Error::Cancelled) => signals.raised(),
            Failure::Image(error) => of(error),
            Failure::Set(error @ CosegmentError::Store(_)) => PyOSError::new_err(errors::text(&error)),
            Failure::Set(error) => PyValueError::new_err(errors::text(&error)),
        })
    })
}
