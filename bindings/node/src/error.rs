//! Errors as JavaScript sees them: a code, and a message that may begin with a place.

use napi::bindgen_prelude::Error;
use otp_grant_bindings::{ArgumentError, ConfigError, DocumentError, OperationError};

/// An error that is thrown with this `code`.
pub(crate) type Thrown = Error<&'static str>;

/// A member of the configuration is wrong. The message is the place, a line break and the reason.
pub(crate) fn configuration(error: &ConfigError) -> Thrown {
    Error::new("configuration", format!("{}\n{}", error.place(), error.reason()))
}

/// A member of a client, an auth source or a user is wrong. The message is the place, a line break and the reason.
pub(crate) fn document(error: &DocumentError) -> Thrown {
    Error::new("document", format!("{}\n{}", error.place(), error.reason()))
}

/// An argument of a method is wrong. The message is its name, a line break and the reason.
pub(crate) fn argument(error: &ArgumentError) -> Thrown {
    Error::new("argument", format!("{}\n{}", error.argument(), error.reason()))
}

/// An answer to the conformance suite is wrong.
pub(crate) fn operation(error: &OperationError) -> Thrown {
    Error::new(error.code(), error.to_string())
}

/// The addon was called in an order that its loop does not have.
pub(crate) fn misuse(what: &str) -> Thrown {
    Error::new("misuse", what.to_owned())
}
