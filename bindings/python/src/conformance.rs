//! The conformance suite of stores, for a store that is written in Python.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use otp_grant_bindings::{OperationError, StoreRequest, StoredRecord};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::values::PortAnswerError;

/// A run of the suite. It hands out operations, and takes their answers in any order.
#[pyclass(frozen, module = "otp_grant._core")]
pub(crate) struct ConformanceRun(Mutex<otp_grant_bindings::ConformanceRun>);

/// Id, instance, name and arguments.
type OperationParts<'py> = (u64, u32, &'static str, Bound<'py, PyTuple>);

impl ConformanceRun {
    fn lock(&self) -> MutexGuard<'_, otp_grant_bindings::ConformanceRun> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl ConformanceRun {
    #[new]
    #[pyo3(signature = (deletes_within=None))]
    fn new(deletes_within: Option<f64>) -> PyResult<Self> {
        let wrong = |_| PyValueError::new_err("deletes_within is no number of seconds");
        let deletes_within = deletes_within.map(Duration::try_from_secs_f64).transpose().map_err(wrong)?;
        Ok(Self(Mutex::new(otp_grant_bindings::ConformanceRun::new(deletes_within))))
    }

    /// Advances the suite, and returns what began: id, instance, name and arguments.
    fn operations<'py>(&self, py: Python<'py>) -> PyResult<Vec<OperationParts<'py>>> {
        let operations = py.detach(|| self.lock().operations());
        let operation = |operation: otp_grant_bindings::Operation| {
            let (name, arguments) = match operation.request {
                StoreRequest::Open => ("open", PyTuple::empty(py)),
                StoreRequest::Load { key } => ("load", (PyBytes::new(py, &key),).into_pyobject(py)?),
                StoreRequest::Swap { key, expected, tag, delete_after_ms, body } => {
                    let expected = expected.map(|expected| PyBytes::new(py, &expected));
                    let (key, tag, body) = (PyBytes::new(py, &key), PyBytes::new(py, &tag), PyBytes::new(py, &body));
                    ("swap", (key, expected, tag, delete_after_ms, body).into_pyobject(py)?)
                }
            };
            Ok((operation.id, operation.instance, name, arguments))
        };
        operations.into_iter().map(operation).collect()
    }

    fn cancelled(&self) -> Vec<u64> {
        self.lock().cancelled()
    }

    fn answer_opened(&self, id: u64) -> PyResult<()> {
        self.lock().answer_opened(id).map_err(wrong)
    }

    fn answer_record(&self, id: u64, record: Option<(Bound<'_, PyBytes>, u64, Bound<'_, PyBytes>)>) -> PyResult<()> {
        let record = record.as_ref().map(|(tag, delete_after_ms, body)| StoredRecord {
            tag: tag.as_bytes(),
            delete_after_ms: *delete_after_ms,
            body: body.as_bytes(),
        });
        self.lock().answer_record(id, record).map_err(wrong)
    }

    fn answer_swap(&self, id: u64, stored: bool) -> PyResult<()> {
        self.lock().answer_swap(id, stored).map_err(wrong)
    }

    fn fail(&self, id: u64, message: &str) -> PyResult<()> {
        self.lock().fail(id, message).map_err(wrong)
    }

    /// `None` while the suite runs.
    fn report(&self) -> Option<String> {
        self.lock().report()
    }
}

fn wrong(error: OperationError) -> PyErr {
    PortAnswerError::new_err(error.to_string())
}
