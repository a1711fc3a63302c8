//! Images: pixels of an array, which stay where they are, or what a file held.

use crate::errors::of_image;
use crate::work::detached;
use deepcut::image::Decoder;
use numpy::ndarray::Axis;
use numpy::{IntoPyArray, PyArray3, PyArrayMethods, PyReadonlyArray3, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::path::{Path, PathBuf};

/// A decoded image, or an array's with alpha.
#[pyclass(frozen, module = "deepcut_vision._deepcut")]
pub struct Image {
    pub image: deepcut::Image<'static>,
}

/// A decoder with these limits.
pub fn decoder(max_pixels: Option<u64>, keep_damaged: bool) -> Decoder {
    let mut decoder = Decoder::default();
    decoder.max_pixels = max_pixels.unwrap_or(decoder.max_pixels);
    decoder.keep_damaged = keep_damaged;
    decoder
}

#[pymethods]
impl Image {
    /// Reads a file.
    #[staticmethod]
    #[pyo3(signature = (path, *, max_pixels = None, keep_damaged = false))]
    fn open(py: Python<'_>, path: PathBuf, max_pixels: Option<u64>, keep_damaged: bool) -> PyResult<Self> {
        let name = path.display().to_string();
        let read = |path: &Path| decoder(max_pixels, keep_damaged).open(path);
        detached(py, || Ok(Self { image: read(&path).map_err(|error| of_image(error, Some(&name)))? }))
    }

    /// Decodes a file's bytes.
    #[staticmethod]
    #[pyo3(signature = (data, *, max_pixels = None, keep_damaged = false))]
    fn decode(py: Python<'_>, data: &[u8], max_pixels: Option<u64>, keep_damaged: bool) -> PyResult<Self> {
        let image = || decoder(max_pixels, keep_damaged).decode(data).map_err(|error| of_image(error, None));
        detached(py, || Ok(Self { image: image()? }))
    }

    /// Takes an array of colors and alpha, (height, width, 4).
    #[staticmethod]
    fn from_rgba(py: Python<'_>, rgba: PyReadonlyArray3<'_, u8>) -> PyResult<Self> {
        let &[height, width, channels] = rgba.shape() else { return Err(PyValueError::new_err("expected three axes")) };
        if channels != 4 {
            return Err(PyValueError::new_err(format!(
                "expected (height, width, 4) values, got ({height}, {width}, {channels})"
            )));
        }
        let values = rgba.as_array();
        let (colors, alpha) = (values.slice_axis(Axis(2), (..3).into()), values.index_axis(Axis(2), 3));
        detached(py, || {
            let (colors, alpha) = (colors.iter().copied().collect(), alpha.iter().copied().collect());
            let image = deepcut::Image::with_alpha(height, width, colors, Some(alpha));
            Ok(Self { image: image.map_err(|error| of_image(error, None))? })
        })
    }

    /// Rows.
    #[getter]
    fn height(&self) -> usize {
        self.image.height()
    }

    /// Columns.
    #[getter]
    fn width(&self) -> usize {
        self.image.width()
    }

    /// What was assumed where the file does not say it.
    #[getter]
    fn notes(&self) -> Vec<String> {
        self.image.notes().to_vec()
    }

    /// What is missing or wrong in a damaged file.
    #[getter]
    fn damage(&self) -> Option<String> {
        self.image.damage().map(str::to_owned)
    }

    /// The colors that a network sees, (height, width, 3): a new array.
    fn rgb<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let values = detached(py, || Ok(self.image.rgb().to_vec()))?;
        values.into_pyarray(py).reshape([self.image.height(), self.image.width(), 3])
    }

    /// The image's own colors and its opacity, (height, width, 4): a new array.
    fn rgba<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let image = &self.image;
        let values: Vec<u8> = detached(py, || {
            let opaque = || vec![255; image.height() * image.width()];
            let alpha = image.alpha().map_or_else(opaque, <[u8]>::to_vec);
            Ok(image
                .colors()
                .chunks_exact(3)
                .zip(alpha)
                .flat_map(|(color, alpha)| [color[0], color[1], color[2], alpha])
                .collect())
        })?;
        values.into_pyarray(py).reshape([image.height(), image.width(), 4])
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        Ok((py.get_type::<Self>().getattr("from_rgba")?, (self.rgba(py)?,).into_pyobject(py)?))
    }
}

/// What a call takes as its image.
#[derive(FromPyObject)]
pub enum ImageArgument<'py> {
    /// Read from a file.
    Decoded(Bound<'py, Image>),
    /// Pixels, (height, width, 3), contiguous: they are not copied.
    Pixels(PyReadonlyArray3<'py, u8>),
}

/// An image for as long as a call takes.
pub enum Seen<'a> {
    /// That of an [`Image`].
    Kept(&'a deepcut::Image<'a>),
    /// An array's.
    Borrowed(deepcut::Image<'a>),
}

impl<'a> Seen<'a> {
    /// The image.
    pub fn image(&self) -> &deepcut::Image<'a> {
        match self {
            Self::Kept(image) => image,
            Self::Borrowed(image) => image,
        }
    }
}

impl ImageArgument<'_> {
    /// The image, without a copy.
    pub fn seen(&self) -> PyResult<Seen<'_>> {
        match self {
            Self::Decoded(image) => Ok(Seen::Kept(&image.get().image)),
            Self::Pixels(pixels) => {
                let [height, width, channels] = pixels.shape() else { return Err(PyValueError::new_err("expected three axes")) };
                if *channels != 3 {
                    let message = format!("expected (height, width, 3) values, got ({height}, {width}, {channels})");
                    return Err(PyValueError::new_err(message));
                }
                let image = deepcut::Image::borrowed(*height, *width, pixels.as_slice()?);
                Ok(Seen::Borrowed(image.map_err(|error| of_image(error, None))?))
            }
        }
    }
}
