//! How long sessions live, whether a refresh token rotates, and how long its retry window is.

use core::time::Duration;

/// Says what happens to a refresh token when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefreshPolicy {
    /// A successor supersedes the token. A use of the superseded token outside the retry window ends the session (RFC
    /// 9700 section 4.14.2).
    Rotate {
        /// For how long the superseded token gets the same successor again, counted from its first use. A client can
        /// then go on if its answer was lost, or if its tabs refresh at once. The window ends early when the successor
        /// is used. Defaults to 10 seconds. It can be at most 60 seconds.
        retry_window: Duration,
    },
    /// The token stays the same until the session ends. Only a confidential client can have this policy: a thief of its
    /// token also needs the client's secret. The FAPI 2.0 Security Profile asks for it in section 5.3.2.1.
    Stable,
}

impl RefreshPolicy {
    /// Returns this policy, if a client may have it.
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

/// A refresh policy does not fit this client, or its retry window is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an error that says all there is by its name")]
pub struct InvalidRefreshPolicy;

impl core::fmt::Display for InvalidRefreshPolicy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a public client has to rotate its refresh tokens, and a retry window may have 60 seconds")
    }
}

impl core::error::Error for InvalidRefreshPolicy {}

/// Says how long a session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionValidity {
    /// How long a session lives without a refresh. Defaults to 14 days.
    pub idle: Duration,
    /// How long a session lives in all. Defaults to 30 days.
    pub absolute: Duration,
}

impl SessionValidity {
    /// How long a session lives without a refresh, and in all.
    pub const fn new(idle: Duration, absolute: Duration) -> Self {
        Self { idle, absolute }
    }
}

impl Default for SessionValidity {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self { idle: DAY * 14, absolute: DAY * 30 }
    }
}

/// The longest retry window.
pub(crate) const LONGEST_RETRY_WINDOW: Duration = Duration::from_secs(60);
