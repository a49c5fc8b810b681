//! What the comparisons share: measuring contenders in turns, and signing one ID token.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark that fails has to fail loudly"
)]

pub mod beside;
pub mod signing;
