//! Checks claims of the sources and the documents about themselves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "the helpers of a check that fails have to fail loudly"
)]

mod files;
mod layers;
mod messages;
mod quotes;
mod requirements;
mod tables;
mod width;
