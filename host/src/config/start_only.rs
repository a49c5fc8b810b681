//! The settings that a reload can't change: the process is built on them.

use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::{Config, ConfigError, Source};

/// Those settings, as digests: some are secrets.
#[derive(Debug)]
pub(crate) struct StartOnly(Vec<(&'static str, Option<Vec<u8>>)>);

impl StartOnly {
    /// Reads the settings.
    pub(crate) fn of(config: &Config) -> Result<Self, ConfigError> {
        let of = |text: &str| Some(digest(&SHA256, text.as_bytes()).as_ref().to_vec());
        let of_source = |place, source: Option<&Source>| match source {
            Some(source) => source.read(place, config).map(|text| of(&compact(text.expose()))),
            None => Ok(None),
        };
        Ok(Self(vec![
            ("issuer", of(&config.issuer)),
            ("listen", of(&config.listen.to_string())),
            ("store", of_source("store", Some(&config.store))?),
            ("users.table", of_source("users.table", config.users.table.as_ref())?),
            ("keys.index", of_source("keys.index", config.keys.as_ref().map(|keys| &keys.index))?),
            ("delivery.queue.length", of(&config.delivery.queue.length.to_string())),
            ("redis.wait", config.redis.wait.and_then(|wait| of(&format!("{wait:?}")))),
            ("metrics.listen", config.metrics.listen.and_then(|listen| of(&listen.to_string()))),
            ("limits.connections", of(&config.limits.connections.to_string())),
        ]))
    }

    /// Compares the settings with those of another configuration.
    ///
    /// # Errors
    /// When a setting differs. It is named.
    pub(crate) fn compare(&self, other: &Self) -> Result<(), ConfigError> {
        match self.0.iter().zip(&other.0).find(|(own, other)| own.1 != other.1) {
            Some(((place, _), _)) => Err(ConfigError::new(*place, "a reload can't change it; restart the host")),
            None => Ok(()),
        }
    }
}

/// A text without what can differ between two spellings of one key.
fn compact(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.chars().filter(|letter| !letter.is_whitespace() && *letter != '=').collect())
}
