//! Errors of a configuration: the place, and the reason. They do not repeat values, which can be secrets.

use std::fmt::{self, Display};

/// The host can't start, or a command can't be done, with this configuration.
#[derive(Debug)]
pub(crate) struct ConfigError {
    place: String,
    what: String,
    can_pass: bool,
}

impl ConfigError {
    /// Something is wrong at a place.
    pub(crate) fn new(place: impl Into<String>, what: impl Display) -> Self {
        Self { place: place.into(), what: what.to_string(), can_pass: false }
    }

    /// Says that the cause is outside of the configuration, and that a later start can succeed.
    pub(crate) fn that_can_pass(self) -> Self {
        Self { can_pass: true, ..self }
    }

    /// Tells whether a later start can succeed with the same configuration.
    pub(crate) fn can_pass(&self) -> bool {
        self.can_pass
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
        Self { place, what: without_values(error.message()), can_pass: false }
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
