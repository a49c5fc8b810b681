//! The state machine of one phone number or e-mail address: its live challenges, how often it was sent to, and how
//! often its codes were guessed at (an out-of-band authenticator, NIST SP 800-63B section 3.1.3).

use core::num::NonZeroU8;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use subtle::Choice;

use crate::decision::Decision;
use crate::id::{Binding, ChallengeId, KeyId, Mark, Nonce};
use crate::meter::{Meter, Quota};
use crate::secret::{Code, PresentedSecret};
use crate::time::{CLOCK_TOLERANCE, Timestamp};

/// Everything that is known about one address, in one record.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authenticator {
    /// The latest instant at which this record was written.
    #[serde(rename = "w")]
    written_at: Option<Timestamp>,
    #[serde(rename = "c")]
    challenges: Vec<Challenge>,
    #[serde(rename = "s")]
    sends: Meter,
    #[serde(rename = "f")]
    failures: Meter,
}

impl Authenticator {
    /// Opens a challenge, unless the address was sent to too often.
    ///
    /// While at least half of the validity of a live code with the same binding is left, the new challenge shares that
    /// code and its expiry, so that a resend does not kill the code in flight; its guesses are counted on their own.
    pub(crate) fn open(
        self,
        new: &NewChallenge,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Decision<Self, Opened>, Throttled> {
        let (mut next, now) = self.at(now);
        let retry_after = next.sends.wait(&limits.sends, now);
        if !retry_after.is_zero() {
            return Err(Throttled { retry_after });
        }
        next.sends.record(now, &limits.sends);

        let challenge = next.challenge_for(new, now);
        let opened = Opened {
            id: challenge.id,
            nonce: challenge.nonce,
            code_key: challenge.code_key,
            code_expires_at: challenge.code_expires_at,
            expires_at: challenge.expires_at,
            resend_after: next.sends.wait(&limits.sends, now),
        };
        next.make_room();
        next.challenges.push(challenge);
        Ok(Decision::new(next.written(now), opened))
    }

    /// Charges one guess to a challenge and to the address. What it yields, once stored, can compare one code.
    ///
    /// `mark` identifies this guess, so that after an unknown outcome the flow finds out whether it was charged.
    pub(crate) fn reserve(
        self,
        id: &ChallengeId,
        mark: Mark,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Decision<Self, Reserved>, Gone> {
        let (mut next, now) = self.at(now);
        let of_address = next.failures.remaining(&limits.guesses_per_address, now);
        let challenge = next.live(id, now)?;
        let of_challenge = usize::from(limits.guesses_per_challenge.get()).saturating_sub(challenge.guesses.len());
        let remaining = of_challenge.min(of_address).checked_sub(1).ok_or(Gone)?;

        challenge.guesses.push(mark);
        let reserved = Reserved {
            id: challenge.id,
            nonce: challenge.nonce,
            code_key: challenge.code_key,
            code_has_expired: now.has_reached(challenge.code_expires_at),
            attempts_remaining: remaining,
        };
        next.failures.record(now, &[limits.guesses_per_address]);
        Ok(Decision::new(next.written(now), reserved))
    }

    /// Spends a challenge whose code was right. Every challenge that shares the code ends with it, and the guesses that
    /// were charged to the address are forgiven.
    pub(crate) fn redeem(
        mut self,
        proven: &Proven,
        spender: Mark,
        now: Timestamp,
    ) -> Result<Decision<Self, Redeemed>, Gone> {
        // Whether it is in time was decided when the guess was reserved. Only another redemption can have come between.
        let now = self.written_at.map_or(now, |written| now.max(written));
        let mut unspent = self.challenges.iter_mut().filter(|challenge| challenge.spent_by.is_none());
        let challenge = unspent.find(|challenge| challenge.id == proven.id).ok_or(Gone)?;
        challenge.spent_by = Some(spender);
        let (id, nonce) = (challenge.id, challenge.nonce);
        self.challenges.retain(|other| other.id == id || other.nonce != nonce);
        self.failures.clear();
        Ok(Decision::new(self.written(now), Redeemed(())))
    }

    /// Tells whether a challenge of this id was opened here.
    pub(crate) fn has_opened(&self, id: &ChallengeId) -> bool {
        self.challenges.iter().any(|challenge| challenge.id == *id)
    }

    /// Tells whether the guess with this mark was charged to the challenge.
    pub(crate) fn has_reserved(&self, id: &ChallengeId, mark: &Mark) -> bool {
        self.challenges.iter().any(|challenge| challenge.id == *id && challenge.guesses.contains(mark))
    }

    /// Tells whether the challenge was spent by the request with this mark.
    pub(crate) fn was_spent_by(&self, id: &ChallengeId, spender: &Mark) -> bool {
        self.challenges.iter().any(|challenge| challenge.id == *id && challenge.spent_by.as_ref() == Some(spender))
    }

    /// The instant from which this record says nothing that an absent one would not say.
    pub(crate) fn delete_after(&self, limits: &Limits) -> Timestamp {
        let challenges = self.challenges.iter().map(|challenge| challenge.expires_at);
        let meters =
            [self.sends.forgotten_at(&limits.sends), self.failures.forgotten_at(&[limits.guesses_per_address])];
        let written = self.written_at.unwrap_or(Timestamp::from_unix_secs(0));
        challenges.chain(meters.into_iter().flatten()).max().unwrap_or(written)
    }

    /// Tells whether the clock was set back since this record was written.
    ///
    /// Hosts' clocks differ by a little, so a reading within [`CLOCK_TOLERANCE`] is not from the future.
    pub(crate) fn is_from_the_future(&self, now: Timestamp) -> bool {
        self.written_at.is_some_and(|written| now.until(written) > CLOCK_TOLERANCE)
    }

    /// This record as of now, if it is from the future. How long its challenges have lived can't be known, and so they
    /// end instead of living longer; sends and guesses count as of now.
    pub(crate) fn put_right(mut self, now: Timestamp) -> Option<Decision<Self, ()>> {
        if !self.is_from_the_future(now) {
            return None;
        }
        self.challenges.clear();
        self.sends.put_right(now);
        self.failures.put_right(now);
        Some(Decision::new(self.written(now), ()))
    }

    /// This record as a decision at `now` has to see it, and the instant to decide at: of the clocks of two hosts, the
    /// later reading.
    fn at(mut self, now: Timestamp) -> (Self, Timestamp) {
        if self.is_from_the_future(now) {
            self.challenges.clear();
            return (self, now);
        }
        let now = self.written_at.map_or(now, |written| now.max(written));
        self.challenges.retain(|challenge| !now.has_reached(challenge.expires_at));
        (self, now)
    }

    fn written(mut self, now: Timestamp) -> Self {
        self.written_at = Some(now);
        self
    }

    fn live(&mut self, id: &ChallengeId, now: Timestamp) -> Result<&mut Challenge, Gone> {
        let mut challenges = self.challenges.iter_mut();
        let challenge = challenges.find(|challenge| challenge.id == *id).ok_or(Gone)?;
        if challenge.is_live(now) { Ok(challenge) } else { Err(Gone) }
    }

    fn challenge_for(&self, new: &NewChallenge, now: Timestamp) -> Challenge {
        let reusable = |old: &&Challenge| {
            let enough_left = now.until(old.code_expires_at) >= new.code_validity / 2;
            old.binding == new.binding && old.is_live(now) && !now.has_reached(old.code_expires_at) && enough_left
        };
        let (nonce, code_key, code_expires_at) = match self.challenges.iter().rfind(reusable) {
            Some(old) => (old.nonce, old.code_key, old.code_expires_at),
            None => (new.nonce, new.code_key, now.after(new.code_validity)),
        };
        Challenge {
            id: new.id,
            binding: new.binding,
            nonce,
            code_key,
            code_expires_at,
            expires_at: now.after(new.token_validity),
            guesses: Vec::new(),
            spent_by: None,
        }
    }

    /// Keeps the number of challenges bounded: spent ones leave first, then the oldest.
    fn make_room(&mut self) {
        while self.challenges.len() >= MAX_CHALLENGES {
            let spent = self.challenges.iter().position(|challenge| challenge.spent_by.is_some());
            self.challenges.remove(spent.unwrap_or(0));
        }
    }
}

impl Clone for Authenticator {
    fn clone(&self) -> Self {
        let Self { written_at, challenges, sends, failures } = self;
        Self {
            written_at: *written_at,
            challenges: challenges.clone(),
            sends: sends.clone(),
            failures: failures.clone(),
        }
    }

    /// As many challenges as before take the room of those, so that a store that writes over a record need not ask for more.
    fn clone_from(&mut self, source: &Self) {
        if self.challenges.len() != source.challenges.len() {
            *self = source.clone();
            return;
        }
        let Self { written_at, challenges, sends, failures } = source;
        self.written_at = *written_at;
        self.challenges.clone_from_slice(challenges);
        self.sends.clone_from(sends);
        self.failures.clone_from(failures);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Challenge {
    #[serde(rename = "i")]
    id: ChallengeId,
    #[serde(rename = "b")]
    binding: Binding,
    #[serde(rename = "n")]
    nonce: Nonce,
    #[serde(rename = "k")]
    code_key: KeyId,
    #[serde(rename = "c")]
    code_expires_at: Timestamp,
    #[serde(rename = "e")]
    expires_at: Timestamp,
    #[serde(rename = "g")]
    guesses: Vec<Mark>,
    #[serde(rename = "s", skip_serializing_if = "Option::is_none", default)]
    spent_by: Option<Mark>,
}

impl Challenge {
    fn is_live(&self, now: Timestamp) -> bool {
        self.spent_by.is_none() && !now.has_reached(self.expires_at)
    }
}

/// How often one address may be sent to and guessed at (NIST SP 800-63B section 3.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) sends: Vec<Quota>,
    pub(crate) guesses_per_challenge: NonZeroU8,
    pub(crate) guesses_per_address: Quota,
}

/// What a new challenge is made of.
pub(crate) struct NewChallenge {
    pub(crate) id: ChallengeId,
    pub(crate) nonce: Nonce,
    pub(crate) code_key: KeyId,
    pub(crate) binding: Binding,
    pub(crate) code_validity: Duration,
    pub(crate) token_validity: Duration,
}

/// A challenge that is stored, and so may be told to its address.
pub(crate) struct Opened {
    pub(crate) id: ChallengeId,
    pub(crate) nonce: Nonce,
    pub(crate) code_key: KeyId,
    pub(crate) code_expires_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) resend_after: Duration,
}

/// A guess that has been charged: the only value that can compare a code, and only one.
pub(crate) struct Reserved {
    id: ChallengeId,
    nonce: Nonce,
    code_key: KeyId,
    code_has_expired: bool,
    attempts_remaining: usize,
}

impl Reserved {
    /// What the code is derived from.
    pub(crate) fn code_source(&self) -> (&KeyId, &Nonce) {
        (&self.code_key, &self.nonce)
    }

    /// Compares the presented code, in constant time. A code that has expired is as good as a wrong one.
    pub(crate) fn compare(self, expected: &Code, presented: &PresentedSecret<'_>) -> Result<Proven, WrongCode> {
        // Compared in any case, and decided by both at once, so that the timing does not tell a wrong code from an expired one.
        let in_time = Choice::from(u8::from(!self.code_has_expired));
        if (expected.matches(presented) & in_time).into() {
            Ok(Proven { id: self.id })
        } else {
            Err(WrongCode { attempts_remaining: self.attempts_remaining })
        }
    }
}

/// The code was right; the challenge is not spent yet.
pub(crate) struct Proven {
    id: ChallengeId,
}

/// The code was right and its challenge is spent: what the release of tokens takes by value.
pub(crate) struct Redeemed(());

/// The code was wrong or had expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongCode {
    pub(crate) attempts_remaining: usize,
}

/// The challenge is unknown, expired or spent, or no guess is left for it or for its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// The address was sent to too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Throttled {
    pub(crate) retry_after: Duration,
}

/// With the default quotas an address can't have more live challenges than this.
const MAX_CHALLENGES: usize = 10;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use core::num::NonZeroU32;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_800_000_000);

    fn opened(from: Authenticator, number: u8) -> Authenticator {
        let new = NewChallenge {
            id: ChallengeId::from_bytes([number; 32]),
            nonce: Nonce::from_bytes([number; 16]),
            code_key: KeyId::from_bytes([0; KeyId::LEN]),
            binding: Binding::from_bytes([number; Binding::LEN]),
            code_validity: Duration::from_secs(60),
            token_validity: Duration::from_secs(300),
        };
        let quota = Quota::new(NonZeroU32::MAX, Duration::from_secs(60));
        let limits = Limits { sends: vec![quota], guesses_per_challenge: NonZeroU8::MIN, guesses_per_address: quota };
        from.open(&new, &limits, NOW).ok().unwrap().into_parts().0
    }

    #[test]
    fn the_newest_challenges_are_kept_and_no_more_than_there_is_room_for() {
        let mut state = Authenticator::default();
        for number in 0..12 {
            state = opened(state, number);
        }
        let is_kept: Vec<bool> =
            (0..13).map(|number| state.has_opened(&ChallengeId::from_bytes([number; 32]))).collect();
        let expected: Vec<bool> = (0..13).map(|number| (2..12).contains(&number)).collect();
        assert_eq!(is_kept, expected);
    }

    #[test]
    fn a_reading_within_the_tolerance_is_not_from_the_future() {
        let state = opened(Authenticator::default(), 1);
        assert!(!state.is_from_the_future(NOW.before(CLOCK_TOLERANCE)));
        assert!(state.is_from_the_future(NOW.before(CLOCK_TOLERANCE + Duration::from_millis(1))));
    }
}
