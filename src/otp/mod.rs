//! One-time codes: the record of an address, the guesses and sends that count against it, and the codes themselves.

pub(crate) mod authenticator;
pub(crate) mod challenge;
pub(crate) mod code;
pub(crate) mod meter;
pub(crate) mod policy;

pub use crate::otp::meter::Quota;
pub use crate::otp::policy::{CodePolicy, InvalidCodePolicy};
