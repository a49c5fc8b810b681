//! What requests and records take of memory. The counting allocator is that of the whole process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "the helpers of a count that fails have to fail loudly"
)]

mod allocations;
mod store_memory;
