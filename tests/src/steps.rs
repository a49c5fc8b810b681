//! A store whose calls take effect step by step, and a search that tries every order of the steps.

mod search;
mod store;

pub use search::{Run, Search, Step};
pub use store::{Effect, Mishap, Part, Planned, Polled, Request, SteppedStore};
