//! Kinds of values in the file: durations, secrets, and where a secret is found.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use zeroize::Zeroizing;

use super::{Config, ConfigError};

/// A duration: a number and one of `ms`, `s`, `m`, `h`, `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    pub(crate) const fn of_secs<const SECS: u64>() -> Self {
        Self(Duration::from_secs(SECS))
    }

    fn parse(text: &str) -> Option<Self> {
        let unit_at = text.find(|character: char| !character.is_ascii_digit())?;
        let (number, unit) = text.split_at(unit_at);
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            "d" => 24 * 60 * 60 * 1000,
            _ => return None,
        };
        Some(Self(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(millis)?)))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| D::Error::custom("a duration is written as \"30s\", \"5m\", \"24h\" or \"14d\""))
    }
}

/// A text that is not shown. It is wiped when dropped.
pub(crate) struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over a text.
    pub(crate) fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Reveals the text.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Where a text that can be secret is found: `"in the file"`, `{ env = "NAME" }` or `{ file = "PATH" }`.
#[derive(Debug)]
pub(crate) enum Source {
    Here(Secret),
    Env(String),
    File(PathBuf),
}

impl Source {
    /// A text that is known already.
    pub(crate) fn here(text: impl Into<String>) -> Self {
        Self::Here(Secret::new(text.into()))
    }

    /// The store in memory.
    pub(super) fn memory() -> Self {
        Self::here("memory")
    }

    /// Fetches the text, without surrounding white space. `place` is its name in the file.
    pub(crate) fn read(&self, place: &str, config: &Config) -> Result<Secret, ConfigError> {
        let text = match self {
            Self::Here(secret) => return Ok(Secret::new(secret.expose().trim().to_owned())),
            Self::Env(name) => std::env::var(name).map(Zeroizing::new).map_err(|error| match error {
                std::env::VarError::NotPresent => {
                    ConfigError::new(place, format_args!("the environment variable {name} is not set"))
                }
                std::env::VarError::NotUnicode(_) => {
                    ConfigError::new(place, format_args!("the environment variable {name} is not text"))
                }
            })?,
            Self::File(path) => {
                let path = config.folder.join(path);
                let failed = |error| ConfigError::new(place, format_args!("{}: {error}", path.display()));
                let mut file = File::open(&path).map_err(failed)?;
                config.warnings.add_permissions(place, &path, &file, true);
                let mut text = Zeroizing::new(String::new());
                file.read_to_string(&mut text).map_err(failed)?;
                text
            }
        };
        Ok(Secret::new(text.trim().to_owned()))
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SourceVisitor)
    }
}

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = Source;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, { env = \"NAME\" } or { file = \"PATH\" }")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Source, E> {
        Ok(Source::here(text))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Source, E> {
        Ok(Source::here(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Source, A::Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Elsewhere {
            env: Option<String>,
            file: Option<PathBuf>,
        }
        match Elsewhere::deserialize(MapAccessDeserializer::new(map))? {
            Elsewhere { env: Some(name), file: None } => Ok(Source::Env(name)),
            Elsewhere { env: None, file: Some(path) } => Ok(Source::File(path)),
            _ => Err(A::Error::custom("one place is expected, { env = \"NAME\" } or { file = \"PATH\" }")),
        }
    }
}
