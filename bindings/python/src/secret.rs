//! Copies of what the host passed in, which are wiped.

use pyo3::prelude::*;
use pyo3::types::PyString;
use zeroize::Zeroizing;

/// The text of a Python string. The stable ABI of Python 3.9 lends no text, so that a `&str` would be a copy that is
/// not wiped.
pub(crate) struct Text(Zeroizing<String>);

impl Text {
    pub(crate) fn of(text: &Bound<'_, PyString>) -> PyResult<Self> {
        Ok(Self(Zeroizing::new(text.to_cow()?.into_owned())))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'py> FromPyObject<'_, 'py> for Text {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Self::of(&*object.cast::<PyString>()?)
    }
}
