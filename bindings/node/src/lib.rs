//! The addon of the npm package `otp-grant`: an engine, and the questions of its exchanges.
//!
//! It has no runtime and no threads, and calls no JavaScript. The loop that answers the questions is TypeScript
//! (`ts/drive.ts`). Every function that can fail throws an `Error` with a `code`, and TypeScript makes an error class
//! of it.

mod conformance;
mod engine;
mod error;
mod exchange;
mod headers;
mod record;
