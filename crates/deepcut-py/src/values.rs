//! Python's plain values as JSON, and back.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString, PyTuple};
use serde_json::{Map, Number, Value};

/// A value as JSON: None, bool, a number (numpy's too), str, a list, tuple or dict of them.
pub fn to_json(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(value) = value.cast::<PyBool>() {
        return Ok(value.is_true().into());
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.to_cow()?.into());
    }
    if value.cast::<PyList>().is_ok() || value.cast::<PyTuple>().is_ok() {
        return value.try_iter()?.map(|item| to_json(&item?)).collect();
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        return Ok(Value::Object(object(dict)?));
    }
    // numpy's bool has no index.
    if value.get_type().name()?.to_cow()?.starts_with("bool") {
        return Ok(value.is_truthy()?.into());
    }
    if value.hasattr("__index__")? {
        let index = value.call_method0("__index__")?;
        let whole = index.extract::<i64>().map(Number::from).or_else(|_| index.extract::<u64>().map(Number::from));
        return whole.map(Value::Number).map_err(|_| PyValueError::new_err(format!("{index} is too large")));
    }
    if value.hasattr("__float__")? {
        let number = value.call_method0("__float__")?.extract::<f64>()?;
        return Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| PyValueError::new_err(format!("{number} is not finite")));
    }
    Err(PyTypeError::new_err(format!("expected a number, a word or a list, got {}", value.get_type().name()?)))
}

/// A dict as a JSON object. An error names the value.
pub fn object(dict: &Bound<'_, PyDict>) -> PyResult<Map<String, Value>> {
    let entry = |(name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
        let name: String = name.extract()?;
        let value = to_json(&value).map_err(|error| {
            let text = format!("{name}: {}", error.value(dict.py()));
            if error.is_instance_of::<PyValueError>(dict.py()) { PyValueError::new_err(text) } else { PyTypeError::new_err(text) }
        })?;
        Ok((name, value))
    };
    dict.iter().map(entry).collect()
}

/// JSON text as Python's values.
pub fn from_json<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (text,))
}
