//! `otp-grant` for C.
//!
//! `abi` has the functions and types that C sees, and all code that is unsafe. What they do is safe code: `handles` keeps
//! engines and exchanges, `exchange` is one exchange, `fault` has the errors.
//!
//! C holds numbers, not pointers. A number names an entry of a table together with how often that entry has changed. A
//! number that was freed, or whose question was answered, is therefore found out.

mod abi;
mod exchange;
mod fault;
mod handles;

pub use abi::*;
