//! The conformance suite for stores: what it finds wrong with a store, and in which formats a store can keep records.
#![allow(clippy::unwrap_used, clippy::panic, clippy::as_conversions, reason = "a check that fails has to fail loudly")]

mod record_encodings;
mod suite;
