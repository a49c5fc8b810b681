//! The extension module `otp_grant._core`: the engine, an exchange, and the conformance suite.
//!
//! It translates values and nothing else. An exchange is asked for its question and given an answer, both from Python.
//! The interpreter is released while the core works. PyO3 turns a panic into an exception.

mod conformance;
mod engine;
mod exchange;
mod secret;
mod values;

use pyo3::prelude::*;

/// The extension module.
#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::conformance::ConformanceRun;
    #[pymodule_export]
    use crate::engine::Engine;
    #[pymodule_export]
    use crate::exchange::Exchange;
    #[pymodule_export]
    use crate::values::{ParsedAuthSource, ParsedClient, bearer_token, email, not_found, phone_number};
}
