//! Errors of a configuration: the place, and the reason. They do not repeat values, which can be secrets.

use std::fmt::{self, Display};

/// The configuration can't be used.
#[derive(Debug)]
pub(crate) struct ConfigError {
    place: String,
    what: String,
}

impl ConfigError {
    /// Something is wrong at a place.
    pub(crate) fn new(place: impl Into<String>, what: impl Display) -> Self {
        Self { place: place.into(), what: what.to_string() }
    }

    /// The parser's reason. Its full message would show the line, and with it values.
    pub(super) fn of_toml(name: &str, text: &str, error: &toml::de::Error) -> Self {
        let place = match error.span() {
            Some(span) => {
                let before = text.get(..span.start).unwrap_or(text);
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
                format!("{name}:{line}:{column}")
            }
            None => name.to_owned(),
        };
        Self { place, what: without_values(error.message()) }
    }
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

impl std::error::Error for ConfigError {}

/// Adds the place of a wrong value.
pub(crate) trait At<T> {
    /// Names the place of an error.
    fn at(self, place: impl Into<String>) -> Result<T, ConfigError>;
}

impl<T, E: Display> At<T> for Result<T, E> {
    fn at(self, place: impl Into<String>) -> Result<T, ConfigError> {
        self.map_err(|error| ConfigError::new(place, error))
    }
}

/// Some messages of serde contain the value. What serde expected is at their end.
fn without_values(message: &str) -> String {
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
