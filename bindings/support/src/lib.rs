//! What the bindings of `otp-grant` to other languages share.
//!
//! An [`Engine`] is made from one JSON document. It runs an exchange for each request. A [`Step`] is a question for the
//! host, or the end. The host answers with bytes, numbers and JSON documents, and gets the next step. Nothing here
//! blocks, calls back or needs a runtime, apart from the functions that the host adds to an [`EngineBuilder`].

#![forbid(unsafe_code)]

mod answer;
mod api_request;
mod builder;
mod claims;
mod clock_offset;
mod config;
#[cfg(feature = "conformance")]
pub mod conformance;
mod documents;
mod engine;
mod error;
mod event;
mod exchange;
mod explanation;
mod known_documents;
mod pending;
mod refusal;
mod values;
mod verdict;

pub use answer::{AnswerError, FailedDelivery, QuestionKind, StoredRecord};
pub use api_request::{ApiRequest, PresentedToken};
pub use builder::EngineBuilder;
pub use clock_offset::ClockOffset;
pub use documents::{ParsedAuthSource, ParsedClient, UserAnswer};
pub use engine::{Engine, Verification};
pub use error::{ArgumentError, ConfigError, DocumentError};
pub use otp_grant::Reply;
pub use pending::{Done, Pending, Rejected, Step};
pub use refusal::Refusal;
pub use verdict::HostVerdict;

#[cfg(feature = "conformance")]
pub use conformance::{ConformanceRun, Operation, OperationError, StoreRequest};
