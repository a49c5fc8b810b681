//! Counts events over a moving window. The count is exact: at most a set number in any stretch as long as the window.

use core::num::NonZeroU32;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// At most `count` events in any stretch of time as long as `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    count: NonZeroU32,
    window: Duration,
}

impl Quota {
    /// Allows `count` events in any `window`, which is counted in whole milliseconds.
    ///
    /// ```
    /// use core::{num::NonZeroU32, time::Duration};
    /// let one_in_thirty_seconds = otp_grant::otp::Quota::new(NonZeroU32::MIN, Duration::from_secs(30));
    /// ```
    pub const fn new(count: NonZeroU32, window: Duration) -> Self {
        Self { count, window }
    }

    /// Returns the length of the window.
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// Returns how many events are allowed in a window.
    pub const fn count(&self) -> NonZeroU32 {
        self.count
    }

    /// Returns the most events that can happen in a stretch of another length.
    pub(crate) fn most_within(&self, stretch: Duration) -> usize {
        let windows = stretch.as_nanos().div_ceil(self.window.as_nanos().max(1));
        self.limit().saturating_mul(usize::try_from(windows).unwrap_or(usize::MAX))
    }

    fn limit(&self) -> usize {
        usize::try_from(self.count.get()).unwrap_or(usize::MAX)
    }
}

/// The instants of past events, oldest first.
///
/// This is a log, not a leaky bucket. A bucket of 25 that refills over 24 hours lets 49 events through in its first 24
/// hours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<u64>", into = "Vec<u64>")]
pub(crate) struct Meter {
    times: Vec<Timestamp>,
}

impl Meter {
    /// Counts one event at `now`, and forgets events that are older than `memory`. `memory` must be the longest window
    /// in use, or [`memory_for_moves`].
    pub(crate) fn record(&mut self, now: Timestamp, memory: Duration) {
        let horizon = now.before(memory);
        self.clamp_to(now);
        self.times.retain(|time| *time > horizon);
        self.times.push(now);
    }

    /// Moves events from the future to `now`. Such events mean that the clock was set back. Nothing is forgotten early,
    /// and no wait is longer than a window.
    pub(crate) fn clamp_to(&mut self, now: Timestamp) {
        for time in &mut self.times {
            *time = (*time).min(now);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// Returns the events, oldest first.
    pub(crate) fn instants(&self) -> impl Iterator<Item = Timestamp> {
        self.times.iter().copied()
    }

    /// Takes back one event of this instant, if there is one.
    pub(crate) fn take_back(&mut self, time: Timestamp) {
        if let Some(position) = self.times.iter().rposition(|known| *known == time) {
            self.times.remove(position);
        }
    }

    /// Moves one event to before the shortest window, so that only the longer quotas still count it. Returns whether it
    /// was moved.
    ///
    /// Nothing is moved if the shortest quota would have been full at the earlier instant. This check needs the events
    /// that [`memory_for_moves`] keeps.
    pub(crate) fn move_out_of_the_shortest(&mut self, time: Timestamp, quotas: &[Quota]) -> bool {
        let Some(shortest) = quotas.iter().min_by_key(|quota| quota.window) else { return false };
        let earlier = time.before(shortest.window);
        let mut moved = self.clone();
        moved.take_back(time);
        if moved.times.len() == self.times.len() || moved.within(shortest, earlier).count() >= shortest.limit() {
            return false;
        }
        let position = moved.times.partition_point(|known| *known <= earlier);
        moved.times.insert(position, earlier);
        *self = moved;
        true
    }

    /// Returns how long to wait until every quota has room for one more event. It is zero if every quota has room now.
    pub(crate) fn wait(&self, quotas: &[Quota], now: Timestamp) -> Duration {
        let waits = quotas.iter().map(|quota| self.wait_for(quota, now));
        waits.max().unwrap_or_default()
    }

    /// Returns how many more events `quota` allows at `now`.
    pub(crate) fn remaining(&self, quota: &Quota, now: Timestamp) -> usize {
        quota.limit().saturating_sub(self.within(quota, now).count())
    }

    /// Returns the instant from which all events are older than `memory`.
    pub(crate) fn forgotten_at(&self, memory: Duration) -> Option<Timestamp> {
        self.times.last().map(|latest| latest.after(memory))
    }

    fn wait_for(&self, quota: &Quota, now: Timestamp) -> Duration {
        let used = self.within(quota, now).count();
        let Some(excess) = used.checked_sub(quota.limit()) else { return Duration::ZERO };
        let leaves = self.within(quota, now).nth(excess).unwrap_or(now).after(quota.window);
        now.until(leaves)
    }

    fn within(&self, quota: &Quota, now: Timestamp) -> impl Iterator<Item = Timestamp> {
        let window = quota.window;
        self.times.iter().map(move |time| (*time).min(now)).filter(move |time| !now.has_reached(time.after(window)))
    }
}

/// Returns how long events matter to `quotas` where events are moved: the longest window, or two of the shortest if
/// that is longer. A move looks at the window before the present one.
pub(crate) fn memory_for_moves(quotas: &[Quota]) -> Duration {
    let windows = || quotas.iter().map(Quota::window);
    let two_of_the_shortest = windows().min().map(|shortest| shortest.saturating_mul(2));
    windows().chain(two_of_the_shortest).max().unwrap_or_default()
}

impl FromIterator<Timestamp> for Meter {
    fn from_iter<I: IntoIterator<Item = Timestamp>>(instants: I) -> Self {
        Self { times: instants.into_iter().collect() }
    }
}

/// Stored as the first instant and the distances between neighbours, which keeps records short.
impl From<Meter> for Vec<u64> {
    fn from(meter: Meter) -> Self {
        let mut previous = 0;
        let distance = |time: Timestamp| {
            let step = time.as_unix_millis().saturating_sub(previous);
            previous = time.as_unix_millis();
            step
        };
        meter.times.into_iter().map(distance).collect()
    }
}

impl From<Vec<u64>> for Meter {
    fn from(distances: Vec<u64>) -> Self {
        let mut sum = 0_u64;
        let time = |step: u64| {
            sum = sum.saturating_add(step);
            Timestamp::from_unix_millis(sum)
        };
        Self { times: distances.into_iter().map(time).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(count: u32, secs: u64) -> Quota {
        Quota::new(NonZeroU32::new(count).unwrap(), Duration::from_secs(secs))
    }

    fn longest(quotas: &[Quota]) -> Duration {
        quotas.iter().map(Quota::window).max().unwrap()
    }

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_unix_secs(1_000_000 + secs)
    }

    #[test]
    fn a_window_moves_with_its_events() {
        let quotas = [quota(2, 60)];
        let mut meter = Meter::default();
        meter.record(at(0), longest(&quotas));
        meter.record(at(40), longest(&quotas));
        assert_eq!(meter.wait(&quotas, at(40)), Duration::from_secs(20));
        assert_eq!(meter.wait(&quotas, at(60)), Duration::ZERO);
        meter.record(at(60), longest(&quotas));
        assert_eq!(meter.wait(&quotas, at(60)), Duration::from_secs(40));
    }

    #[test]
    fn every_quota_has_to_agree() {
        let quotas = [quota(1, 30), quota(3, 1000)];
        let mut meter = Meter::default();
        for secs in [0, 30, 60] {
            assert_eq!(meter.wait(&quotas, at(secs)), Duration::ZERO);
            meter.record(at(secs), longest(&quotas));
        }
        assert_eq!(meter.wait(&quotas, at(61)), Duration::from_secs(939));
        assert_eq!(meter.remaining(&quotas[1], at(999)), 0);
        assert_eq!(meter.remaining(&quotas[1], at(1000)), 1);
    }

    #[test]
    fn a_clock_that_was_set_back_neither_forgets_nor_locks_out() {
        let quotas = [quota(1, 30)];
        let mut meter = Meter::default();
        meter.record(at(10_000), longest(&quotas));
        assert_eq!(meter.wait(&quotas, at(0)), Duration::from_secs(30));
        meter.record(at(0), longest(&quotas));
        assert_eq!(meter.wait(&quotas, at(29)), Duration::from_secs(1));
    }

    #[test]
    fn what_has_left_every_window_is_forgotten() {
        let quotas = [quota(2, 60)];
        let mut meter = Meter::default();
        meter.record(at(0), longest(&quotas));
        meter.record(at(1), longest(&quotas));
        meter.record(at(60), longest(&quotas));
        assert_eq!(meter.times, [at(1), at(60)]);
    }

    #[test]
    fn an_event_that_is_moved_comes_after_those_before_it() {
        let quotas = [quota(1, 30), quota(9, 600)];
        let mut meter = Meter::from_iter([0, 40, 100].map(at));
        assert!(meter.move_out_of_the_shortest(at(100), &quotas));
        assert_eq!(meter.times, [0, 40, 70].map(at));
        assert!(!meter.move_out_of_the_shortest(at(70), &quotas));
        assert_eq!(meter.times, [0, 40, 70].map(at));
    }

    #[test]
    fn what_is_stored_is_what_was_recorded() {
        let quotas = [quota(9, 600)];
        let mut meter = Meter::default();
        for secs in [0, 30, 45] {
            meter.record(at(secs), longest(&quotas));
        }
        let text = serde_json::to_string(&meter).unwrap();
        assert_eq!(text, "[1000000000,30000,15000]");
        assert_eq!(serde_json::from_str::<Meter>(&text).unwrap(), meter);
    }
}
