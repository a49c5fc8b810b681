//! How the store uses Redis: the members of `[redis]`.

use std::num::NonZeroU32;
use std::time::Duration;

use otp_grant_redis::RedisOptions;
use serde::Deserialize;

use super::{Config, ConfigError, Span};

/// What is particular to a store in Redis.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Redis {
    /// The replicas that have to acknowledge each write. By default none is waited for.
    pub(crate) wait: Option<Wait>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wait {
    pub(crate) replicas: NonZeroU32,
    #[serde(default = "Wait::default_timeout")]
    pub(crate) timeout: Span,
}

impl Wait {
    fn default_timeout() -> Span {
        Span(Duration::from_millis(500))
    }
}

/// The options for a store that can be in Redis. Adds a warning where it is not.
pub(crate) fn redis_options(config: &Config, is_redis: bool) -> Result<RedisOptions, ConfigError> {
    let options = RedisOptions::default();
    let Some(Wait { replicas, timeout: Span(timeout) }) = config.redis.wait else { return Ok(options) };
    if timeout.is_zero() || timeout > LONGEST_WAIT {
        return Err(ConfigError::new("redis.wait.timeout", "between 1ms and 1500ms: a request waits 2s for Redis"));
    }
    if !is_redis {
        config.warnings.add("redis.wait", "the store is not in Redis, so there are no replicas to wait for");
    }
    Ok(options.wait_for_replicas(replicas.get(), timeout))
}

/// Leaves time for the command itself within the time limit of the store.
const LONGEST_WAIT: Duration = Duration::from_millis(1500);
