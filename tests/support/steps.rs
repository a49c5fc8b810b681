//! A store that goes step by step, and a search that tries every order of the steps.

mod search;
mod store;

#[allow(unused_imports, reason = "each scenario file uses its own part of the harness")]
pub use search::{Run, Search, Step};
#[allow(unused_imports, reason = "as above")]
pub use store::{Effect, Mishap, Part, Planned, Polled, Request, SteppedStore};
