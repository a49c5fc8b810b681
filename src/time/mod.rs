//! Instants, and the one comparison that decides whether something has expired.

pub(crate) mod clock;
pub(crate) mod set_back;

pub use crate::time::clock::{Clock, SystemClock};
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// An instant in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// Rules receive a `Timestamp`, and never read a clock. Arithmetic saturates, so no input can overflow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Returns the instant that lies `millis` milliseconds after the Unix epoch.
    pub const fn from_unix_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Returns the instant that lies `secs` seconds after the Unix epoch.
    pub const fn from_unix_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Returns the milliseconds since the Unix epoch.
    pub const fn as_unix_millis(self) -> u64 {
        self.0
    }

    /// Returns the whole seconds since the Unix epoch, rounded down: the `NumericDate` of RFC 7519.
    pub const fn as_unix_secs(self) -> u64 {
        self.0 / 1000
    }

    /// Tells whether `deadline` has been reached at this instant.
    ///
    /// Everything in the crate expires by this comparison: exactly at its deadline, and not a millisecond later.
    pub const fn has_reached(self, deadline: Timestamp) -> bool {
        self.0 >= deadline.0
    }

    /// Returns the instant `duration` later.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }

    /// Returns the instant `duration` earlier, or the epoch.
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(duration)))
    }

    /// Returns the last whole second at or before this instant.
    pub const fn whole_second(self) -> Self {
        Self::from_unix_secs(self.as_unix_secs())
    }

    /// Returns the time from this instant until `later`, or zero when `later` has been reached.
    pub const fn until(self, later: Timestamp) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns `duration` in whole seconds, rounded up. A client that waits this long has waited long enough.
pub(crate) fn secs_rounded_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// By how much the clocks of hosts that share a store, or that check each other's tokens, may differ.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_reached_at_its_own_instant() {
        let deadline = Timestamp::from_unix_secs(60);
        assert!(!Timestamp::from_unix_millis(59_999).has_reached(deadline));
        assert!(Timestamp::from_unix_millis(60_000).has_reached(deadline));
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_unix_millis(u64::MAX);
        assert_eq!(end.after(Duration::MAX), end);
        assert_eq!(Timestamp::from_unix_secs(u64::MAX), end);
        assert_eq!(Timestamp::from_unix_secs(1).before(Duration::MAX).as_unix_millis(), 0);
        assert_eq!(end.until(Timestamp::from_unix_secs(0)), Duration::ZERO);
    }

    #[test]
    fn seconds_to_wait_are_rounded_up() {
        assert_eq!(secs_rounded_up(Duration::from_millis(29_001)), 30);
        assert_eq!(secs_rounded_up(Duration::from_secs(29)), 29);
    }
}
