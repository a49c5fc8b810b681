//! How long sessions live, and what happens to their refresh tokens.

use core::time::Duration;

/// What happens to a refresh token when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefreshPolicy {
    /// It is superseded by a successor, and whoever uses it later ends the session (RFC 9700 section 4.14.2).
    Rotate {
        /// For how long the superseded token gets the same successor again, counted from its first use, so that a client
        /// whose answer was lost, or whose tabs refresh at once, can go on. It ends early when the successor is used.
        retry_window: Duration,
    },
    /// It stays the same until the session ends. For confidential clients, whose secret a thief needs as well; the FAPI
    /// 2.0 Security Profile asks for it in section 5.3.2.1.
    Stable,
}

impl RefreshPolicy {
    /// This policy, if a client may have it.
    pub(crate) fn for_client(self, is_confidential: bool) -> Result<Self, InvalidRefreshPolicy> {
        let fits = match self {
            Self::Rotate { retry_window } => retry_window <= LONGEST_RETRY_WINDOW,
            Self::Stable => is_confidential,
        };
        if fits { Ok(self) } else { Err(InvalidRefreshPolicy) }
    }
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self::Rotate { retry_window: Duration::from_secs(10) }
    }
}

/// A refresh policy is not one for this client, or its retry window is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRefreshPolicy;

impl core::fmt::Display for InvalidRefreshPolicy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a public client has to rotate its refresh tokens, and a retry window may have 60 seconds")
    }
}

impl core::error::Error for InvalidRefreshPolicy {}

/// How long a session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionValidity {
    /// Without a refresh. Defaults to 14 days.
    pub idle: Duration,
    /// In all. Defaults to 30 days.
    pub absolute: Duration,
}

impl Default for SessionValidity {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self { idle: DAY * 14, absolute: DAY * 30 }
    }
}

/// The longest time in which a superseded refresh token gets its successor again.
pub(crate) const LONGEST_RETRY_WINDOW: Duration = Duration::from_secs(60);
