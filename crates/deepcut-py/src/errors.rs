//! Errors of the library as exceptions.
//!
//! | exception         | for                                                    |
//! |-------------------|--------------------------------------------------------|
//! | `ValueError`      | an option, features or a network that cannot be used   |
//! | `OSError`         | a file that cannot be read or written                  |
//! | `ImageError`      | a file that is damaged or no image; an `OSError`       |
//! | `WeightsNotFound` | a network that is not here; an `OSError`               |
//! | `MemoryError`     | an image or a graph that does not fit                  |
//! | `RuntimeError`    | the rest                                               |

use deepcut::Error;
use deepcut::image::ImageError as LibraryImageError;
use deepcut_cli::embed::{NetworkError, chain, with_flags, without_flags};
use pyo3::exceptions::{PyMemoryError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::error::Error as StdError;

pyo3::create_exception!(deepcut_vision, WeightsNotFound, PyOSError, "The network is not here, and cannot be downloaded.");
pyo3::create_exception!(deepcut_vision, ImageError, PyOSError, "The file is damaged, or no image in a known format.");

/// An error's text and those of its causes that it does not quote.
pub fn text(error: &(dyn StdError + 'static)) -> String {
    without_flags(&with_flags(error, None))
}

/// An image's error; `name` is its file's, if it has one.
pub fn of_image(error: LibraryImageError, name: Option<&str>) -> PyErr {
    let said = |text: String| name.map_or_else(|| text.clone(), |name| format!("{name}: {text}"));
    match error {
        LibraryImageError::Read(error) if error.raw_os_error().is_some() => of_io(&error, name),
        error @ LibraryImageError::Memory { .. } => PyMemoryError::new_err(said(text(&error))),
        error @ (LibraryImageError::Shape { .. } | LibraryImageError::Resize { .. }) => PyValueError::new_err(said(text(&error))),
        error => ImageError::new_err(said(text(&error))),
    }
}

/// The system's error about a file: with its number, so that Python makes it FileNotFoundError or PermissionError.
pub fn of_io(error: &std::io::Error, name: Option<&str>) -> PyErr {
    let strerror = error.to_string();
    let strerror = strerror.split(" (os error").next().unwrap_or_default().to_owned();
    match name {
        Some(name) => PyOSError::new_err((error.raw_os_error(), strerror, name.to_owned())),
        None => PyOSError::new_err((error.raw_os_error(), strerror)),
    }
}

/// Any error of the pipeline.
pub fn of(error: Error) -> PyErr {
    match error {
        Error::Image(error) => of_image(error, None),
        Error::Memory(error) => PyMemoryError::new_err(text(&error)),
        Error::Option(_) | Error::Weights(_) | Error::Features(_) | Error::Cluster(_) => PyValueError::new_err(text(&error)),
        Error::Backbone(deepcut::backbone::BackboneError::TooSmall { .. }) => PyValueError::new_err(text(&error)),
        error => PyRuntimeError::new_err(text(&error)),
    }
}

/// A network's error.
pub fn of_network(error: &NetworkError) -> PyErr {
    match error {
        NetworkError::Missing(error) => WeightsNotFound::new_err(without_flags(&chain(error))),
        NetworkError::Unusable(error) => {
            let text = without_flags(&chain(error));
            let is_of_a_file = error.chain().any(|cause| cause.is::<std::io::Error>());
            if is_of_a_file { PyOSError::new_err(text) } else { PyValueError::new_err(text) }
        }
    }
}

/// What an option is refused for.
pub fn value(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// A word of a fixed list, such as a format: what it is refused for names the argument.
pub fn word<T: std::str::FromStr<Err: std::fmt::Display>>(argument: &str, value: &str) -> PyResult<T> {
    value.parse().map_err(|error| PyValueError::new_err(format!("{argument}: {error}")))
}
