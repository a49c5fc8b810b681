//! The error of a store in Redis, and which refusals pass by themselves.

use redis::{ErrorKind, RedisError};

/// Says why Redis gave no usable answer. It reveals neither what is stored nor under which key.
///
/// After an error, a swap may have been applied, or may not, or may still be applied later. otp-grant loads the record
/// to find out.
#[derive(Debug)]
#[non_exhaustive]
pub enum RedisStoreError {
    /// There is no connection, or it was lost. The store reconnects by itself.
    Connection(RedisError),
    /// There was no answer in time.
    Timeout,
    /// Redis refused the command.
    Refused {
        /// The first word of its answer, for instance `OOM`, `READONLY` or `NOPERM`.
        code: Box<str>,
    },
    /// Fewer replicas than [required](crate::RedisOptions::wait_for_replicas) have acknowledged the swap, or the record
    /// that was loaded, in time. It is stored at the primary, and a failover can lose it.
    NotReplicated,
    /// The stored value is not a record, or is a record of a later version. Another program may write under the prefix.
    NotARecord,
    /// Redis, or a server in its place, gave an answer that the command can't have.
    UnexpectedAnswer,
    /// The caller's fault: the URL is malformed, or requires something that this build or this server doesn't have.
    Configuration(RedisError),
}

impl RedisStoreError {
    /// Tells whether the same request can succeed later without a change of a record or of the configuration.
    ///
    /// ```
    /// assert!(otp_grant_redis::RedisStoreError::Timeout.is_retryable());
    /// assert!(!otp_grant_redis::RedisStoreError::NotARecord.is_retryable());
    /// ```
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connection(_) | Self::Timeout | Self::NotReplicated => true,
            Self::Refused { code } => PASSING.contains(&&**code),
            Self::NotARecord | Self::UnexpectedAnswer | Self::Configuration(_) => false,
        }
    }
}

impl From<RedisError> for RedisStoreError {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Io if error.is_timeout() => Self::Timeout,
            ErrorKind::Io | ErrorKind::ClusterConnectionNotFound => Self::Connection(error),
            ErrorKind::InvalidClientConfig | ErrorKind::Client | ErrorKind::RESP3NotSupported => {
                Self::Configuration(error)
            }
            // The text of such an error quotes what was sent or stored: the answer to an unknown command contains its
            // arguments.
            ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed => {
                Self::Refused { code: code_of(&error).filter(|code| is_code(code)).unwrap_or("ERR").into() }
            }
            _ => Self::UnexpectedAnswer,
        }
    }
}

impl core::fmt::Display for RedisStoreError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Connection(_) => "no connection to Redis",
            Self::Timeout => "Redis did not answer in time",
            Self::Refused { code } if **code == *"ERR" => {
                "Redis refused the command: ERR (a command that it does not know, as before version 6.2 or under another \
                 name, or too many connections)"
            }
            Self::Refused { code } => return write!(f, "Redis refused the command: {code}"),
            Self::NotReplicated => "fewer replicas of Redis than required have acknowledged in time",
            Self::NotARecord => "what is stored in Redis is not a record",
            Self::UnexpectedAnswer => "Redis gave an unexpected answer",
            Self::Configuration(_) => "the connection to Redis is configured wrongly",
        })
    }
}

impl core::error::Error for RedisStoreError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Connection(cause) | Self::Configuration(cause) => Some(cause),
            _ => None,
        }
    }
}

/// Tells whether the answer comes from a server that is no primary, or that may have a successor without knowing it.
pub(crate) fn comes_from_no_primary(error: &RedisError) -> bool {
    code_of(error).is_some_and(|code| NO_PRIMARY.contains(&code))
}

/// Returns the code of a refusal. Redis before version 7 wraps the refusal of a command within a script:
/// `ERR Error running script (…): -READONLY …`.
fn code_of(error: &RedisError) -> Option<&str> {
    let wrapped = || {
        let words = error.detail()?.split(' ').filter_map(|word| word.strip_prefix('-'));
        words.into_iter().find(|word| PASSING.contains(word))
    };
    match error.code() {
        Some("ERR") => wrapped().or(Some("ERR")),
        code => code,
    }
}

fn is_code(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Refusals that pass by themselves: Redis starts, fails over, moves a slot, or has no memory, no disk or no replica.
const PASSING: [&str; 12] = [
    "ASK",
    "BUSY",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "MOVED",
    "NOREPLICAS",
    "OOM",
    "READONLY",
    "TRYAGAIN",
    "UNBLOCKED",
];

/// The codes that come from a server which is no primary, or which may have a successor:
///
/// - A replica answers `READONLY`. It answers `MASTERDOWN` when it has lost its primary, and `LOADING` while it copies
///   it.
/// - A primary answers `UNBLOCKED` to waiting clients when it is demoted.
/// - A cluster node that does not own the slot answers `MOVED` or `CLUSTERDOWN`.
/// - A primary answers `NOREPLICAS` when its replicas may follow another primary.
///
/// `OOM`, `BUSY` and `MISCONF` are not in the list, because they come from a primary.
const NO_PRIMARY: [&str; 7] = ["CLUSTERDOWN", "LOADING", "MASTERDOWN", "MOVED", "NOREPLICAS", "READONLY", "UNBLOCKED"];
