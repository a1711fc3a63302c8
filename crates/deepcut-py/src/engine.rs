//! A loaded network and the threads it works with.

use crate::errors::{self, of, of_network};
use crate::found::{About, Found};
use crate::image::ImageArgument;
use crate::options::Options;
use crate::values::from_json;
use crate::work::{Signals, detached};
use deepcut::backbone::{Backbone, BackboneError, Identity, Input, InputSpec};
use deepcut::batch::Stopwatch;
use deepcut::progress::Observer;
use deepcut::{Cpu, Error, FeatureMap, Idle, Refine, Segmenter};
use deepcut_cli::embed::{
    MemoryArg, NetworkArgs, RunArgs, chain, cpu_builder, memory_limit, network, parse_memory, without_flags,
};
use numpy::{IntoPyArray, PyArray2, PyArray3, PyArrayMethods, PyReadonlyArray2, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// How many sets of options an engine keeps ready.
const READY: usize = 8;

/// Features, log-odds of an object, colors, and whether the image is constant.
type Features<'py> = (Bound<'py, PyArray3<f32>>, Option<Bound<'py, PyArray2<f32>>>, Option<Bound<'py, PyArray3<f32>>>, bool);

/// A network, loaded, and its threads. It serves the process that made it, and many threads of it at once.
#[pyclass(frozen, module = "deepcut_vision._deepcut")]
pub struct Engine {
    backbone: Arc<dyn Backbone>,
    cpu: Cpu,
    deterministic: bool,
    memory: Option<u64>,
    process: u32,
    ready: Mutex<Vec<(deepcut::Options, Arc<Segmenter>)>>,
}

/// One network for many segmenters.
struct Shared(Arc<dyn Backbone>);

impl Backbone for Shared {
    fn identity(&self) -> &Identity {
        self.0.identity()
    }

    fn input(&self) -> InputSpec {
        self.0.input()
    }

    fn features(&self, inputs: &[Input<'_>]) -> Result<Vec<FeatureMap>, BackboneError> {
        self.0.features(inputs)
    }
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (backbone = "embedded", *, facet = None, layer = None, stride = None, family = None, heads = None, prefix = None, prior = None,
                        precision = "auto", deterministic = false, offline = false, threads = None, spin = false, max_memory = None,
                        progress = false))]
    #[expect(clippy::too_many_arguments, reason = "Python's are named")]
    fn new(
        py: Python<'_>,
        backbone: &str,
        facet: Option<&str>,
        layer: Option<usize>,
        stride: Option<usize>,
        family: Option<&str>,
        heads: Option<u16>,
        prefix: Option<String>,
        prior: Option<PathBuf>,
        precision: &str,
        deterministic: bool,
        offline: bool,
        threads: Option<usize>,
        spin: bool,
        max_memory: Option<&str>,
        progress: bool,
    ) -> PyResult<Self> {
        let known = deepcut::Precision::ALL.into_iter().find(|known| known.name() == precision);
        let names = deepcut::Precision::ALL.map(deepcut::Precision::name);
        let known = known
            .ok_or_else(|| PyValueError::new_err(format!("precision is {precision:?}; expected one of {}", names.join(", "))))?;
        let arguments = NetworkArgs {
            backbone: backbone.into(),
            facet: facet.map(|facet| errors::word("facet", facet)).transpose()?,
            layer,
            stride,
            family: family.map(|family| errors::word("family", family)).transpose()?,
            heads,
            prefix,
            log_bin: false,
            precision: known,
            deterministic,
            prior,
            offline,
        };
        let memory: Option<MemoryArg> = max_memory.map(parse_memory).transpose().map_err(|expected| {
            PyValueError::new_err(format!("max_memory is {:?}: {expected}", max_memory.unwrap_or_default()))
        })?;
        let run = RunArgs { threads: None, quiet: !progress, verbose: false, no_progress: !progress, max_memory: memory };
        detached(py, move || {
            let failed = |error: anyhow::Error| PyRuntimeError::new_err(without_flags(&chain(&error)));
            let builder = cpu_builder(deterministic).map_err(failed)?.idle(if spin { Idle::Spin } else { Idle::Sleep });
            let cores = || std::thread::available_parallelism().map_or(1, usize::from);
            let cpu = match threads {
                // Those of a batch's own pool.
                Some(0) => builder,
                threads => builder.threads(threads.unwrap_or_else(cores)),
            };
            let cpu = cpu.build().map_err(|error| of(error.into()))?;
            let backbone = Arc::from(network(&arguments, &run, &cpu).map_err(|error| of_network(&error))?);
            let memory = memory_limit(memory, 1.0);
            Ok(Self { backbone, cpu, deterministic, memory, process: std::process::id(), ready: Mutex::default() })
        })
    }

    /// The network: name, checksum, features, stride, precision in use.
    #[getter]
    fn identity<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        from_json(py, &serde_json::to_string(self.backbone.identity()).map_err(errors::value)?)
    }

    /// Threads that work on one image.
    #[getter]
    fn threads(&self) -> usize {
        self.cpu.threads()
    }

    /// The instruction set in use.
    #[getter]
    fn instruction_set(&self) -> &'static str {
        self.cpu.isa().name()
    }

    /// Segments an image.
    fn segment(&self, py: Python<'_>, image: ImageArgument<'_>, options: &Options) -> PyResult<Found> {
        let segmenter = self.segmenter(&options.options)?;
        let seen = image.seen()?;
        let image = seen.image();
        let (found, seconds) = observed(py, |observe| segmenter.segment_observed(image, observe))?;
        Found::new(py, found, About::new(&segmenter), seconds)
    }

    /// Computes the features of an image's patches.
    fn features<'py>(&self, py: Python<'py>, image: ImageArgument<'_>, options: &Options) -> PyResult<Features<'py>> {
        let segmenter = self.segmenter(&options.options)?;
        let seen = image.seen()?;
        let image = seen.image();
        let (map, _) = observed(py, |observe| {
            let view = segmenter.options().needed_view();
            let maps = view.features_observed(segmenter.backbone(), &[image], observe)?;
            maps.into_iter().next().ok_or(Error::Cancelled)
        })?;
        let ((height, width), dim, constant) = (map.grid(), map.dim(), map.is_of_constant_image());
        let (scale, objectness) = match map.fine_objectness() {
            Some((scale, values)) => (scale, Some(values)),
            None => (1, map.objectness()),
        };
        let objectness = objectness.map(|values| values.to_vec().into_pyarray(py).reshape([height * scale, width * scale]));
        let colors = map.colors().map(|values| values.to_vec().into_pyarray(py).reshape([height, width, 3]));
        let features = map.into_data().into_pyarray(py).reshape([height, width, dim])?;
        Ok((features, objectness.transpose()?, colors.transpose()?, constant))
    }

    /// Clusters features, of this network or any other. Labels are those of the image's pixels; without an image, of `size` = (height, width)
    /// pixels; without both, of the patches. Without an image the guided filter is left out.
    #[pyo3(signature = (features, objectness, colors, constant, options, image = None, size = None))]
    #[expect(clippy::too_many_arguments, reason = "a feature map in parts")]
    fn cluster(
        &self,
        py: Python<'_>,
        features: PyReadonlyArray3<'_, f32>,
        objectness: Option<PyReadonlyArray2<'_, f32>>,
        colors: Option<PyReadonlyArray3<'_, f32>>,
        constant: bool,
        options: &Options,
        image: Option<ImageArgument<'_>>,
        size: Option<(usize, usize)>,
    ) -> PyResult<Found> {
        let segmenter = self.segmenter(&options.options)?;
        let &[height, width, dim] = features.shape() else { return Err(PyValueError::new_err("expected (h, w, d) features")) };
        let cells = |array: &PyReadonlyArray2<'_, f32>| -> PyResult<_> {
            let &[rows, columns] = array.shape() else { return Err(PyValueError::new_err("expected (h, w) log-odds")) };
            Ok((rows, columns, array.as_slice()?.to_vec()))
        };
        let (data, objectness, colors) = (
            features.as_slice()?,
            objectness.as_ref().map(cells).transpose()?,
            colors.as_ref().map(PyReadonlyArray3::as_slice).transpose()?,
        );
        let seen = image.as_ref().map(ImageArgument::seen).transpose()?;
        let image = seen.as_ref().map(|seen| seen.image());
        let needs_image = !matches!(options.options.finish.refine, Refine::None | Refine::Guided);
        if image.is_none() && needs_image {
            return Err(PyValueError::new_err("the bilateral solver follows the edges of the image; give the image as well"));
        }
        if size
            .is_some_and(|(height, width)| height.checked_mul(width).is_none_or(|area| area == 0 || area > isize::MAX as usize))
        {
            return Err(PyValueError::new_err("size is (height, width) in pixels, at least 1"));
        }
        let (found, seconds) = observed(py, |observe| {
            let mut map = FeatureMap::new(height, width, dim, data.to_vec())?.with_constant_image(constant);
            if let Some((rows, columns, values)) = objectness {
                let scale = map.scale_of(rows, columns);
                map = if scale == 1 { map.with_objectness(values)? } else { map.with_fine_objectness(scale, values)? };
            }
            if let Some(values) = colors {
                map = map.with_colors(values.to_vec())?;
            }
            let (finish, cpu) = (&segmenter.options().finish, segmenter.cpu());
            let clustering = segmenter.cluster_observed(&map, segmenter.options(), observe)?;
            match image {
                Some(image) => Ok(finish.to_pixels_observed(cpu, image, &clustering, observe)?),
                None => Ok(finish.to_size(cpu, size.unwrap_or((height, width)), &clustering)),
            }
        })?;
        Found::new(py, found, About::new(&segmenter), seconds)
    }
}

impl Engine {
    /// The pipeline with these options. An error in another process than the one that made the engine: its threads are not there.
    pub fn segmenter(&self, options: &deepcut::Options) -> PyResult<Arc<Segmenter>> {
        if std::process::id() != self.process {
            let message = "this engine was made before the process was forked, and its threads stayed behind; make a new one in this process";
            return Err(PyRuntimeError::new_err(message));
        }
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, segmenter)) = ready.iter().find(|(known, _)| known == options) {
            return Ok(segmenter.clone());
        }
        let segmenter = Segmenter::new(Box::new(Shared(self.backbone.clone())), options.clone(), self.cpu.clone()).map_err(of)?;
        let segmenter = Arc::new(segmenter.with_memory(self.memory));
        if ready.len() == READY {
            ready.remove(0);
        }
        ready.push((options.clone(), segmenter.clone()));
        Ok(segmenter)
    }

    /// Whether results are the same on every processor.
    pub fn is_deterministic(&self) -> bool {
        self.deterministic
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            // Threads that are not there cannot be told to end.
            let ready = self.ready.get_mut().unwrap_or_else(PoisonError::into_inner);
            std::mem::forget((self.cpu.clone(), self.backbone.clone(), std::mem::take(ready)));
        }
    }
}

/// Does work that tells of its steps, and returns what it found and the seconds of each stage.
fn observed<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&mut Observer<'_>) -> Result<T, Error> + Send,
) -> PyResult<(T, Vec<(String, f64)>)> {
    detached(py, || {
        let (mut signals, mut watch) = (Signals::new(), Stopwatch::new("resize"));
        let found = work(&mut |step| {
            watch.begin(step.name());
            signals.go_on()
        });
        match found {
            Ok(found) => Ok((found, watch.seconds().into_iter().collect())),
            Err(Error::Cancelled) => Err(signals.raised()),
            Err(error) => Err(of(error)),
        }
    })
}
