//! A store whose calls take effect step by step, and a search that tries every order of the steps.

mod search;

pub use crate::store::{Effect, Mishap, Part, Planned, Polled, Request, SteppedStore};
pub use search::{Run, Search, Step};
