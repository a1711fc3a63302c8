//! Validated options.

use crate::errors;
use crate::values::{from_json, object};
use deepcut::options::SetError;
use deepcut::profile::{NamedError, Profile};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use serde_json::Value;

/// Options of a profile with values by name, validated.
#[pyclass(frozen, eq, module = "deepcut_vision._deepcut")]
#[derive(PartialEq)]
pub struct Options {
    pub options: deepcut::Options,
    profile: String,
    values: String,
}

#[pymethods]
impl Options {
    #[new]
    fn new(profile: &str, values: &Bound<'_, PyDict>) -> PyResult<Self> {
        let known = Profile::by_name(profile);
        let known =
            known.ok_or_else(|| PyValueError::new_err(format!("profile is {profile:?}; expected 'default' or 'paper'")))?;
        let values = object(values)?;
        let options = deepcut::Options::named(known, &values).map_err(|error| match error {
            NamedError::Set(SetError::Unknown { .. }) => PyTypeError::new_err(error.to_string()),
            error => errors::value(error),
        })?;
        Ok(Self { options, profile: profile.into(), values: Value::Object(values).to_string() })
    }

    /// The names of all options.
    #[staticmethod]
    fn names() -> Vec<String> {
        deepcut::Options::default().flat().into_iter().map(|(name, _)| name).collect()
    }

    /// Every option by its name.
    fn flat<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        from_json(py, &Value::Object(self.options.flat()).to_string())
    }

    /// Options that have no effect with the others, and why.
    fn without_effect(&self) -> Vec<(&'static str, &'static str)> {
        self.options.without_effect()
    }

    /// The files that are written for an image if no formats are named.
    fn usual_formats(&self) -> Vec<&'static str> {
        deepcut::batch::usual_formats(&self.options).map(deepcut::export::Format::name).to_vec()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let arguments = (&self.profile, from_json(py, &self.values)?).into_pyobject(py)?;
        Ok((py.get_type::<Self>().into_any(), arguments))
    }
}
