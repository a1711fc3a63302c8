//! The extension module `deepcut_vision._deepcut`: the library's values as Python objects, without policy of its own.
//!
//! Whatever takes longer than a millisecond runs [detached](work::detached) from the interpreter, looks at its signals, and turns panics into errors.

mod batch;
mod command;
mod cosegment;
mod engine;
mod errors;
mod found;
mod image;
mod options;
mod values;
mod work;

use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The engine of deepcut_vision. Use that package, not this module: it may change in any version.
#[pymodule(gil_used = false)]
mod _deepcut {
    #[pymodule_export]
    use super::batch::{collected, segment_folder};
    #[pymodule_export]
    use super::command::{command, evaluate, models};
    #[pymodule_export]
    use super::cosegment::{Codebook, ImageSet};
    #[pymodule_export]
    use super::engine::Engine;
    #[pymodule_export]
    use super::errors::{ImageError, WeightsNotFound};
    #[pymodule_export]
    use super::found::Found;
    #[pymodule_export]
    use super::image::Image;
    #[pymodule_export]
    use super::options::Options;

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
