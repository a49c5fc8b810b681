//! A clock for tests.

use core::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::time::Timestamp;
use crate::time::clock::Clock;

/// A clock that moves only when a test moves it. Clones share the time.
///
/// ```
/// use std::time::Duration;
///
/// use otp_grant::testing::ManualClock;
/// use otp_grant::time::{Clock, Timestamp};
///
/// let clock = ManualClock::new();
/// let of_server = clock.clone();
/// clock.advance(Duration::from_secs(31));
/// assert_eq!(of_server.now(), ManualClock::START.after(Duration::from_secs(31)));
/// clock.set(Timestamp::from_unix_secs(2_000_000_000));
/// assert_eq!(of_server.now().as_unix_secs(), 2_000_000_000);
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// The time of a new clock: 2027-01-15T08:00:00Z.
    pub const START: Timestamp = Timestamp::from_unix_secs(1_800_000_000);

    /// Makes a clock whose time is [`START`](Self::START).
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(Self::START.as_unix_millis())))
    }

    /// Sets the time, to an earlier or a later instant.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_unix_millis(), SeqCst);
    }

    /// Advances the clock.
    pub fn advance(&self, by: Duration) {
        self.change(|now| now.after(by));
    }

    /// Sets the clock back, as an administrator or a time server might.
    pub fn set_back(&self, by: Duration) {
        self.change(|now| now.before(by));
    }

    fn change(&self, change: impl Fn(Timestamp) -> Timestamp) {
        let changed = |now| Some(change(Timestamp::from_unix_millis(now)).as_unix_millis());
        // The update can't fail, since the closure always returns a new time.
        let _ = self.0.fetch_update(SeqCst, SeqCst, changed);
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.load(SeqCst))
    }
}
