//! `otp-grant` for C.
//!
//! `abi`, `tokens` and `support` have the functions that C calls, `types` the types that C sees, and `pointers` reads
//! what C points to. These modules but `types` have all code that is unsafe. The rest is safe: `handles` keeps engines
//! and exchanges, `exchange` is one exchange, `fault` has the errors.
//!
//! C holds numbers, not pointers. A number names an entry of a table together with how often that entry has changed. A
//! number that was freed, or whose question was answered, is therefore found out.

mod abi;
#[forbid(unsafe_code)]
mod exchange;
#[forbid(unsafe_code)]
mod fault;
#[forbid(unsafe_code)]
mod handles;
mod pointers;
mod support;
mod tokens;
#[forbid(unsafe_code)]
mod types;

pub use abi::*;
pub use fault::Status;
pub use support::*;
pub use tokens::*;
pub use types::*;
