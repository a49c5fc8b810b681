//! A clock that a test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use otp_grant::time::{Clock, SystemClock, Timestamp};

/// By how much the clock of an engine differs from that of the system. It is for tests. Clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct ClockOffset(Arc<AtomicI64>);

impl ClockOffset {
    /// Makes an offset of zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock by milliseconds, backwards if they are negative.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Returns the offset in milliseconds.
    pub fn ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Clock for ClockOffset {
    fn now(&self) -> Timestamp {
        let now = SystemClock.now().as_unix_millis();
        Timestamp::from_unix_millis(now.saturating_add_signed(self.ms()))
    }
}
