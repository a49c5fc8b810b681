//! Errors of configurations, documents and arguments: the place, and the reason. They repeat no values.

use std::fmt::{self, Display};

use serde::de::DeserializeOwned;

/// Declares an error that names a place in a JSON document.
macro_rules! error_at_a_place {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// The text is the place and the reason. It repeats no value, which can be a secret.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            place: String,
            reason: String,
        }

        impl $name {
            /// Returns the place in the document, such as `quotas.sends[0].per`. It is empty for the document as a
            /// whole.
            pub fn place(&self) -> &str {
                &self.place
            }

            /// Returns what is wrong there.
            pub fn reason(&self) -> &str {
                &self.reason
            }
        }

        impl Misplaced for $name {
            fn new(place: impl Into<String>, reason: impl Display) -> Self {
                Self { place: place.into(), reason: reason.to_string() }
            }
        }

        impl Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match &*self.place {
                    "" => f.write_str(&self.reason),
                    place => write!(f, "{place}: {}", self.reason),
                }
            }
        }

        impl std::error::Error for $name {}
    };
}

error_at_a_place! {
    /// A configuration can't be used.
    ConfigError
}

error_at_a_place! {
    /// A document about a client, an auth source or a user can't be used.
    DocumentError
}

/// An argument of a call can't be used. The caller is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentError {
    argument: &'static str,
    reason: String,
}

impl ArgumentError {
    pub(crate) fn new(argument: &'static str, reason: impl Display) -> Self {
        Self { argument, reason: reason.to_string() }
    }

    /// Returns the name of the argument.
    pub fn argument(&self) -> &'static str {
        self.argument
    }

    /// Returns what is wrong with the argument.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.argument, self.reason)
    }
}

impl std::error::Error for ArgumentError {}

/// An error that has a place.
pub(crate) trait Misplaced: Sized {
    fn new(place: impl Into<String>, reason: impl Display) -> Self;
}

/// Adds the place of a wrong value.
pub(crate) trait At<T> {
    /// Names the place of an error.
    fn at<E: Misplaced>(self, place: impl Into<String>) -> Result<T, E>;
}

impl<T, R: Display> At<T> for Result<T, R> {
    fn at<E: Misplaced>(self, place: impl Into<String>) -> Result<T, E> {
        self.map_err(|reason| E::new(place, reason))
    }
}

/// Reads a JSON text. An error names the member, and repeats no value.
pub(crate) fn read_json<T: DeserializeOwned, E: Misplaced>(text: &str) -> Result<T, E> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        // A text that is not JSON has no members.
        let is_json = !error.inner().is_syntax() && !error.inner().is_eof();
        let path = error.path().to_string();
        let place = if is_json && path != "." { path } else { String::new() };
        E::new(place, without_values(error.inner()))
    })?;
    deserializer.end().map_err(|error| E::new("", without_values(&error)))?;
    Ok(value)
}

/// Some messages of serde contain the value. What serde expected is at their end.
fn without_values(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let position = format!(" at line {line} column {column}");
    let message = text.strip_suffix(&position).unwrap_or(&text);
    if error.is_syntax() || error.is_eof() {
        return format!("not JSON{position}: {message}");
    }
    let (kind, names_the_value) = match message {
        _ if message.starts_with("invalid type") => ("wrong kind of value", true),
        _ if message.starts_with("invalid value") => ("wrong value", true),
        _ if message.starts_with("invalid length") => ("wrong length", true),
        _ if message.starts_with("unknown variant") => ("unknown name", true),
        _ => ("", false),
    };
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if names_the_value => format!("{kind}, expected {expected}"),
        _ if names_the_value => kind.to_owned(),
        _ => message.to_owned(),
    }
}
