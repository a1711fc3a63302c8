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
use deepcut_cli::embed::{NetworkError, chain, with_flags};
use pyo3::exceptions::{PyMemoryError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::error::Error as StdError;

pyo3::create_exception!(deepcut_vision, WeightsNotFound, PyOSError, "The network is not here, and cannot be downloaded.");
pyo3::create_exception!(deepcut_vision, ImageError, PyOSError, "The file is damaged, or no image in a known format.");

/// An error's text and those of its causes that it does not quote.
pub fn text(error: &(dyn StdError + 'static)) -> String {
    with_flags(error, None)
}

/// An image's error; `name` is its file's, if it has one.
pub fn of_image(error: LibraryImageError, name: Option<&str>) -> PyErr {
    let said = |text: String| name.map_or_else(|| text.clone(), |name| format!("{name}: {text}"));
    match error {
        // With its number, so that Python makes it FileNotFoundError or PermissionError.
        LibraryImageError::Read(error) if error.raw_os_error().is_some() => {
            let strerror = error.to_string();
            let strerror = strerror.split(" (os error").next().unwrap_or_default().to_owned();
            match name {
                Some(name) => PyOSError::new_err((error.raw_os_error(), strerror, name.to_owned())),
                None => PyOSError::new_err((error.raw_os_error(), strerror)),
            }
        }
        error @ LibraryImageError::Memory { .. } => PyMemoryError::new_err(said(text(&error))),
        error @ (LibraryImageError::Shape { .. } | LibraryImageError::Resize { .. }) => PyValueError::new_err(said(text(&error))),
        error => {
            // The command's flag has another name here.
            ImageError::new_err(said(text(&error).replace("--keep-damaged", "keep_damaged=True").replace("--max-pixels", "max_pixels")))
        }
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
        NetworkError::Missing(error) => WeightsNotFound::new_err(in_python(&chain(error))),
        NetworkError::Unusable(error) => PyValueError::new_err(in_python(&chain(error))),
    }
}

/// A sentence of the command's with arguments' names in place of flags: `max_memory` for `--max-memory`.
pub fn in_python(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("--") {
        let (before, flag) = (&rest[..at], &rest[at + 2..]);
        out.push_str(before);
        let end = flag.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(flag.len());
        // Not within a name, as those of the hub's folders.
        let begins = before.chars().next_back().or(out.chars().next_back()).is_none_or(|c| c.is_whitespace() || "(`'\"".contains(c));
        if begins && end > 0 && !flag.starts_with('-') {
            out.push_str(&flag[..end].replace('-', "_"));
        } else {
            out.push_str("--");
            out.push_str(&flag[..end]);
        }
        rest = &flag[end..];
    }
    out + rest
}

/// What an option is refused for.
pub fn value(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
