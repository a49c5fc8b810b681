//! The record of one phone number or e-mail address: its live challenges, the instants of its sends and the instants of
//! its charged guesses. NIST SP 800-63B section 3.1.3 calls such an address an out-of-band authenticator. The rules
//! that change the record are in `resend.rs` and `guess_budget.rs`.

use core::num::NonZeroU32;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::change::{Attempt, Change, Decision};
use crate::id::{ChallengeId, Nonce};
use crate::otp::challenge::Challenge;
use crate::otp::limits::{Limits, MOST_CHALLENGES, MOST_CHALLENGES_WITHOUT_QUOTA};
use crate::otp::meter::{Meter, memory_for_moves};
use crate::time::Timestamp;
use crate::time::set_back::Reading;
use crate::unknown_members::{Unknown, keep_unknown_members};

/// The state of one address, in one record.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct Authenticator {
    /// The latest instant at which this record was written. It is the epoch where the record was never written.
    #[serde(rename = "w", serialize_with = "write_instant", deserialize_with = "read_instant", default)]
    pub(super) written_at: Timestamp,
    #[serde(rename = "c")]
    pub(super) challenges: Vec<Challenge>,
    #[serde(rename = "s")]
    pub(super) sends: Meter,
    #[serde(rename = "f")]
    pub(super) failures: Meter,
    #[serde(skip)]
    pub(super) unknown: Unknown,
}

keep_unknown_members!(Authenticator);

impl Authenticator {
    /// The instant from which this record means the same as an absent record.
    pub(crate) fn delete_after(&self, limits: &Limits) -> Timestamp {
        let challenges = self.challenges.iter().map(|challenge| challenge.expires_at);
        let meters = [
            self.sends.forgotten_at(memory_for_moves(&limits.sends)),
            self.failures.forgotten_at(limits.guesses_per_address.window()),
        ];
        challenges.chain(meters.into_iter().flatten()).max().unwrap_or(self.written_at)
    }

    /// Tells whether the clock was set back since this record was written.
    ///
    /// The clocks of hosts differ by a little. A record within [`CLOCK_TOLERANCE`](crate::time::CLOCK_TOLERANCE) of the
    /// reading is not from the future.
    pub(crate) fn is_from_the_future(&self, now: Timestamp) -> bool {
        matches!(self.reading(now), Reading::SetBack(_))
    }

    /// Returns this record as a decision at `now` must see it, and the instant to decide at.
    pub(super) fn at(mut self, now: Timestamp) -> (Self, Timestamp) {
        match self.reading(now) {
            Reading::At(now) => {
                self.challenges.retain(|challenge| !now.has_reached(challenge.expires_at));
                (self, now)
            }
            Reading::SetBack(_) => {
                self.challenges.clear();
                (self, now)
            }
        }
    }

    fn reading(&self, now: Timestamp) -> Reading {
        Reading::new(now, self.written_at)
    }

    pub(super) fn written(mut self, now: Timestamp) -> Self {
        self.written_at = now;
        self
    }

    pub(super) fn challenge(&self, id: &ChallengeId) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.id == *id)
    }

    /// Returns how many guesses were compared with one code, over all challenges that share the code.
    pub(super) fn guesses_of(&self, nonce: &Nonce) -> usize {
        let sharing = self.challenges.iter().filter(|challenge| challenge.nonce == *nonce);
        sharing.map(Challenge::guesses).fold(0, usize::saturating_add)
    }

    /// Counts the messages with the code of a challenge, up to the message of this challenge. Each challenge is a
    /// message.
    pub(super) fn messages_until(&self, last: &Challenge) -> NonZeroU32 {
        let before = self.challenges.iter().take_while(|challenge| challenge.id != last.id);
        let sharing = before.filter(|challenge| challenge.nonce == last.nonce).count();
        NonZeroU32::MIN.saturating_add(u32::try_from(sharing).unwrap_or(u32::MAX))
    }

    /// Returns a challenge with another code that was sent for the same binding and is still in time.
    pub(super) fn other_in_time(&self, own: &Challenge, now: Timestamp, limits: &Limits) -> Option<&Challenge> {
        self.challenges.iter().rfind(|other| {
            other.binding == own.binding
                && other.nonce != own.nonce
                && other.has_code_in_time(now)
                && self.guesses_of(&other.nonce) < limits.of_challenge()
        })
    }

    /// Keeps the number of challenges bounded.
    ///
    /// A spent challenge is removed first. If there is none and sends are limited, nothing is removed, and the error
    /// says when the first challenge expires. If sends are not limited, the oldest challenge is removed, even if it is
    /// live. Its guesses then go to another challenge with the same code.
    pub(super) fn make_room(&mut self, limits: &Limits, now: Timestamp) -> Result<(), Duration> {
        let most = if limits.sends.is_empty() { MOST_CHALLENGES_WITHOUT_QUOTA } else { MOST_CHALLENGES };
        while self.challenges.len() > most {
            let spent = self.challenges.iter().position(|challenge| challenge.spent_by.is_some());
            if spent.is_none() && !limits.sends.is_empty() {
                let first = self.challenges.iter().map(|challenge| challenge.expires_at).min();
                return Err(first.map_or(Duration::ZERO, |first| now.until(first)));
            }
            let removed = self.challenges.remove(spent.unwrap_or(0));
            if let Some(heir) = self.challenges.iter_mut().find(|challenge| challenge.nonce == removed.nonce) {
                heir.inherit(&removed);
            }
        }
        Ok(())
    }
}

impl Clone for Authenticator {
    fn clone(&self) -> Self {
        let Self { written_at, challenges, sends, failures, unknown } = self;
        Self {
            written_at: *written_at,
            challenges: challenges.clone(),
            sends: sends.clone(),
            failures: failures.clone(),
            unknown: unknown.clone(),
        }
    }

    /// Reuses the room of the old challenges where their number stays the same. A store that overwrites a record then
    /// allocates nothing for them.
    fn clone_from(&mut self, source: &Self) {
        if self.challenges.len() != source.challenges.len() {
            *self = source.clone();
            return;
        }
        let Self { written_at, challenges, sends, failures, unknown } = source;
        self.written_at = *written_at;
        self.challenges.clone_from_slice(challenges);
        self.sends.clone_from(sends);
        self.failures.clone_from(failures);
        self.unknown.clone_from(unknown);
    }
}

/// Makes a record from the future a record of now. Its challenges end, because their age is unknown and they must not
/// live longer. Its sends and guesses count as of now.
pub(crate) struct ClampToNow;

impl Change for ClampToNow {
    type State = Authenticator;
    type Verdict = ();
    type Refusal = NothingToDo;

    fn decide(
        &self,
        state: Option<Authenticator>,
        attempt: Attempt,
    ) -> Result<Decision<Authenticator, ()>, NothingToDo> {
        let now = attempt.now;
        let mut next = state.filter(|state| state.is_from_the_future(now)).ok_or(NothingToDo)?;
        next.challenges.clear();
        next.sends.clamp_to(now);
        next.failures.clamp_to(now);
        Ok(Decision::new(next.written(now), ()))
    }

    /// A second attempt finds nothing to do.
    fn found_in(&self, _stored: &Authenticator) -> Option<()> {
        None
    }
}

/// There is nothing to undo or to clamp.
pub(crate) struct NothingToDo;

/// Writes an instant, or null for the epoch.
fn write_instant<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    Some(*at).filter(|at| *at != Timestamp::default()).serialize(serializer)
}

fn read_instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
