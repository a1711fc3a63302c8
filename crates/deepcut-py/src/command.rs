//! The command `deepcut`, and those of its parts that return values.

use crate::values::from_json;
use crate::work::{beside, detached};
use deepcut_cli::embed;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::ffi::OsString;

/// Runs the command with these arguments, the first of which is its name, and returns its exit status. It prints, and listens to signals, as a
/// program of its own.
#[pyfunction]
pub fn command(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<u8> {
    detached(py, || Ok(deepcut_cli::run(&arguments)))
}

/// Does `deepcut eval` with these arguments, and returns the object of `--json`.
#[pyfunction]
pub fn evaluate<'py>(py: Python<'py>, arguments: Vec<OsString>) -> PyResult<Bound<'py, PyAny>> {
    embed::stop_evaluation(false);
    let work = |_: std::sync::mpsc::Sender<()>| {
        let result =
            embed::evaluate(&arguments).map_err(|error| PyValueError::new_err(embed::without_flags(&embed::chain(&error))));
        Ok(result?.to_string())
    };
    let text = beside(py, work, &|_, ()| Ok(()), &|| embed::stop_evaluation(true));
    embed::stop_evaluation(false);
    from_json(py, &text?)
}

/// The networks that have a name: a dict for each.
#[pyfunction]
pub fn models(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let text = detached(py, || {
        let list = embed::list_networks().map_err(|error| PyValueError::new_err(embed::chain(&error)))?;
        Ok(serde_json::Value::from(list).to_string())
    })?;
    from_json(py, &text)
}
