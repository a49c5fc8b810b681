//! The conformance suite of a store that is written in JavaScript.

use std::time::Duration;

use napi::{Env, JsString};
use napi_derive::napi;
use otp_grant_bindings::{ConformanceRun, StoreRequest, StoredRecord};

use crate::error::{Thrown, operation};
use crate::exchange::bytes;
use crate::record::{as_number, decode, encode};

/// One run of the suite.
#[napi]
pub struct Conformance {
    run: ConformanceRun,
}

/// An operation that the suite wants done.
#[napi(object)]
pub struct Operation<'env> {
    /// Names the operation in the answer.
    pub id: i64,
    /// The number of the store that does it.
    pub instance: u32,
    /// `open`, `load` or `swap`.
    pub kind: String,
    /// Load and swap: the key.
    pub key: Option<JsString<'env>>,
    /// Swap: the tag that the stored record must have.
    pub expected: Option<JsString<'env>>,
    /// Swap: the tag of the record.
    pub tag: Option<JsString<'env>>,
    /// Swap: the instant from which the record may be deleted.
    pub delete_after: Option<i64>,
    /// Swap: the value.
    pub value: Option<JsString<'env>>,
}

#[napi]
impl Conformance {
    /// Begins a run for a store that deletes records within so many milliseconds. Defaults to 2 seconds.
    #[napi(constructor, catch_unwind)]
    pub fn new(deletes_within: Option<u32>) -> Self {
        let deletes_within = deletes_within.map(|millis| Duration::from_millis(millis.into()));
        Self { run: ConformanceRun::new(deletes_within) }
    }

    /// Goes on, and returns the operations that began.
    #[napi(catch_unwind)]
    pub fn operations<'env>(&mut self, env: &'env Env) -> Result<Vec<Operation<'env>>, Thrown> {
        let operations = self.run.operations();
        operations.into_iter().map(|operation| in_javascript(env, operation)).collect()
    }

    /// A store was opened.
    #[napi(catch_unwind)]
    pub fn answer_opened(&mut self, id: i64) -> Result<(), Thrown> {
        self.run.answer_opened(number(id)).map_err(|error| operation(&error))
    }

    /// A value was loaded.
    #[napi(catch_unwind)]
    pub fn answer_record(&mut self, id: i64, value: Option<&[u8]>) -> Result<(), Thrown> {
        let answered = match value.map(decode) {
            None => self.run.answer_record(number(id), None),
            Some(None) => self.run.fail(number(id), "what is stored is not a record"),
            Some(Some(record)) => {
                let body = record.body;
                let stored = StoredRecord { tag: &record.tag, delete_after_ms: record.delete_after_ms, body };
                self.run.answer_record(number(id), Some(stored))
            }
        };
        answered.map_err(|error| operation(&error))
    }

    /// A swap was answered.
    #[napi(catch_unwind)]
    pub fn answer_swap(&mut self, id: i64, stored: bool) -> Result<(), Thrown> {
        self.run.answer_swap(number(id), stored).map_err(|error| operation(&error))
    }

    /// An operation failed.
    #[napi(catch_unwind)]
    pub fn fail(&mut self, id: i64, message: String) -> Result<(), Thrown> {
        self.run.fail(number(id), &message).map_err(|error| operation(&error))
    }

    /// The report, as JSON. `null` while the suite runs.
    #[napi(catch_unwind)]
    pub fn report(&self) -> Option<String> {
        self.run.report()
    }
}

fn in_javascript<'env>(env: &'env Env, operation: otp_grant_bindings::Operation) -> Result<Operation<'env>, Thrown> {
    let mut parts = Operation {
        id: i64::try_from(operation.id).unwrap_or(i64::MAX),
        instance: operation.instance,
        kind: "open".to_owned(),
        key: None,
        expected: None,
        tag: None,
        delete_after: None,
        value: None,
    };
    match operation.request {
        StoreRequest::Open => {}
        StoreRequest::Load { key } => {
            parts.kind = "load".to_owned();
            parts.key = Some(bytes(env, Some(&key))?);
        }
        StoreRequest::Swap { key, expected, tag, delete_after_ms, body } => {
            parts.kind = "swap".to_owned();
            parts.key = Some(bytes(env, Some(&key))?);
            parts.expected = expected.map(|expected| bytes(env, Some(&expected))).transpose()?;
            parts.tag = Some(bytes(env, Some(&tag))?);
            parts.delete_after = Some(as_number(delete_after_ms));
            parts.value = Some(bytes(env, Some(&encode(&tag, delete_after_ms, &body)))?);
        }
    }
    Ok(parts)
}

fn number(id: i64) -> u64 {
    u64::try_from(id).unwrap_or(u64::MAX)
}
