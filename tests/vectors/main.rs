//! The samples of the standards, byte for byte, through the public interface.
//!
//! The messages of the Wycheproof sets are no tokens, so `src/jwt/jws.rs` runs those sets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "the helpers of a scenario that fails have to fail loudly"
)]

mod basic;
mod jose;
