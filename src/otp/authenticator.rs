//! The record of one phone number or e-mail address, and every rule that changes it: sends, guesses, redemption and
//! their undoing. The record holds the live challenges, the instants of sends and the instants of charged guesses. NIST
//! SP 800-63B section 3.1.3 calls such an address an out-of-band authenticator.

use core::num::NonZeroU8;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::Choice;

use crate::change::{Attempt, Change, Decision};
use crate::id::{ChallengeId, Mark, Nonce, SessionId};
use crate::otp::challenge::{Challenge, CodeInFlight, NewChallenge, Opened};
use crate::otp::meter::{Meter, Quota, memory_for_moves};
use crate::otp::policy::CodePolicy;
use crate::secret::{Code, PresentedSecret};
use crate::time::Timestamp;
use crate::time::set_back::Reading;
use crate::unknown::{Unknown, keep_unknown_members};

/// The state of one address, in one record.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct Authenticator {
    /// The latest instant at which this record was written. It is the epoch where the record was never written.
    #[serde(rename = "w", serialize_with = "write_instant", deserialize_with = "read_instant", default)]
    written_at: Timestamp,
    #[serde(rename = "c")]
    challenges: Vec<Challenge>,
    #[serde(rename = "s")]
    sends: Meter,
    #[serde(rename = "f")]
    failures: Meter,
    #[serde(skip)]
    unknown: Unknown,
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
    fn at(mut self, now: Timestamp) -> (Self, Timestamp) {
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

    fn written(mut self, now: Timestamp) -> Self {
        self.written_at = now;
        self
    }

    fn challenge(&self, id: &ChallengeId) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.id == *id)
    }

    /// Returns how many guesses were compared with one code, over all challenges that share the code.
    fn guesses_of(&self, nonce: &Nonce) -> usize {
        let sharing = self.challenges.iter().filter(|challenge| challenge.nonce == *nonce);
        sharing.map(Challenge::guesses).fold(0, usize::saturating_add)
    }

    /// Returns a challenge with another code that was sent for the same binding and is still in time.
    fn other_in_time(&self, own: &Challenge, now: Timestamp, limits: &Limits) -> Option<&Challenge> {
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
    /// live.
    fn make_room(&mut self, limits: &Limits, now: Timestamp) -> Result<(), Duration> {
        let most = if limits.sends.is_empty() { MOST_CHALLENGES_WITHOUT_QUOTA } else { MOST_CHALLENGES };
        while self.challenges.len() >= most {
            let spent = self.challenges.iter().position(|challenge| challenge.spent_by.is_some());
            if spent.is_none() && !limits.sends.is_empty() {
                let first = self.challenges.iter().map(|challenge| challenge.expires_at).min();
                return Err(first.map_or(Duration::ZERO, |first| now.until(first)));
            }
            self.challenges.remove(spent.unwrap_or(0));
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

/// How often one address may be sent to and guessed at (NIST SP 800-63B section 3.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) sends: Vec<Quota>,
    pub(crate) guesses_per_challenge: NonZeroU8,
    pub(crate) guesses_per_address: Quota,
}

impl Limits {
    /// Tells whether the live challenges of an address always fit into its record, if each is live for `validity`.
    pub(crate) fn leave_room_for(&self, validity: Duration) -> bool {
        let most = self.sends.iter().map(|quota| quota.most_within(validity)).min();
        most.is_none_or(|most| most <= MOST_CHALLENGES)
    }

    fn of_challenge(&self) -> usize {
        usize::from(self.guesses_per_challenge.get())
    }
}

/// Opens a challenge, unless the address was sent to too often or has no guess left.
///
/// The new challenge shares the latest code of the same binding while at least half of the validity of that code is
/// left. It then also shares the expiry and the guesses of the code. A resend therefore does not kill the code in
/// flight.
pub(crate) struct OpenChallenge<'a> {
    pub(crate) new: NewChallenge<'a>,
    pub(crate) limits: &'a Limits,
}

impl OpenChallenge<'_> {
    fn opened(&self, challenge: &Challenge, state: &Authenticator, now: Timestamp) -> Opened {
        Opened {
            id: challenge.id,
            code: challenge.code(self.new.policy, now),
            code_expires_at: challenge.code_expires_at,
            expires_at: challenge.expires_at,
            resend_after: state.sends.wait(&self.limits.sends, now),
        }
    }
}

impl Change for OpenChallenge<'_> {
    type State = Authenticator;
    type Verdict = Opened;
    type Refusal = NotOpened;

    fn decide(
        &self,
        state: Option<Authenticator>,
        attempt: Attempt,
    ) -> Result<Decision<Authenticator, Opened>, NotOpened> {
        let Self { new, limits } = self;
        let (mut next, now) = state.unwrap_or_default().at(attempt.now);
        let of_sends = next.sends.wait(&limits.sends, now);
        // A code that could not be redeemed is never sent, whichever client asks for it.
        let of_guesses = next.failures.wait(&[limits.guesses_per_address], now);
        if !of_guesses.is_zero() {
            return Err(NotOpened::NoGuessLeft { retry_after: of_guesses.max(of_sends) });
        }
        if !of_sends.is_zero() {
            return Err(NotOpened::Throttled { retry_after: of_sends });
        }
        let shared = next
            .challenges
            .iter()
            .rfind(|old| old.can_share_code(new, now) && next.guesses_of(&old.nonce) < limits.of_challenge());
        let challenge = Challenge::new(new, shared, now);
        next.make_room(limits, now).map_err(|retry_after| NotOpened::Throttled { retry_after })?;
        next.sends.record(now, memory_for_moves(&limits.sends));
        let opened = self.opened(&challenge, &next, now);
        next.challenges.push(challenge);
        Ok(Decision::new(next.written(now), opened))
    }

    fn found_in(&self, stored: &Authenticator) -> Option<Opened> {
        let challenge = stored.challenge(&self.new.id)?;
        Some(self.opened(challenge, stored, stored.written_at))
    }
}

/// Takes back a send whose request failed before its challenge was told to the client.
pub(crate) struct TakeBackSend {
    pub(crate) id: ChallengeId,
    /// How long the challenge was meant to live.
    pub(crate) token_validity: Duration,
}

impl Change for TakeBackSend {
    type State = Authenticator;
    type Verdict = ();
    type Refusal = NothingToDo;

    fn decide(
        &self,
        state: Option<Authenticator>,
        attempt: Attempt,
    ) -> Result<Decision<Authenticator, ()>, NothingToDo> {
        let (mut next, now) = state.ok_or(NothingToDo)?.at(attempt.now);
        let challenge = next.challenge(&self.id).ok_or(NothingToDo)?;
        let sent_at = challenge.expires_at.before(self.token_validity);
        next.sends.take_back(sent_at);
        // A challenge whose code has been compared stays for the count, since others may share the code.
        next.challenges.retain(|challenge| challenge.id != self.id || challenge.guesses() > 0);
        Ok(Decision::new(next.written(now), ()))
    }

    /// An undo leaves no trace in the record. A second attempt finds nothing to do.
    fn found_in(&self, _stored: &Authenticator) -> Option<()> {
        None
    }
}

/// Gives one more send to an address whose message could not be delivered. The failed send still counts for the longer
/// quotas.
pub(crate) struct AllowResend<'a> {
    pub(crate) id: ChallengeId,
    /// How long the challenge was meant to live.
    pub(crate) token_validity: Duration,
    pub(crate) limits: &'a Limits,
}

impl Change for AllowResend<'_> {
    type State = Authenticator;
    /// How long the address must wait for the next send.
    type Verdict = Duration;
    type Refusal = NothingToDo;

    fn decide(
        &self,
        state: Option<Authenticator>,
        attempt: Attempt,
    ) -> Result<Decision<Authenticator, Duration>, NothingToDo> {
        let (mut next, now) = state.ok_or(NothingToDo)?.at(attempt.now);
        let sent_at = next.challenge(&self.id).ok_or(NothingToDo)?.expires_at.before(self.token_validity);
        if !next.sends.move_out_of_the_shortest(sent_at, &self.limits.sends) {
            let retry_after = next.sends.wait(&self.limits.sends, now);
            return Ok(Decision::as_it_is(next, retry_after));
        }
        let retry_after = next.sends.wait(&self.limits.sends, now);
        Ok(Decision::new(next.written(now), retry_after))
    }

    /// A second attempt finds the send already moved, and moves nothing.
    fn found_in(&self, _stored: &Authenticator) -> Option<Duration> {
        None
    }
}

/// Charges one guess to a code and to the address. The verdict can compare one text, once the charge is stored.
///
/// Where two codes of one binding are in time, either code is right, and the guess is charged to both. A text that
/// can't be a code is refused and costs nothing.
pub(crate) struct ReserveGuess<'a> {
    pub(crate) id: ChallengeId,
    /// Identifies this guess. After an unknown outcome, it tells whether the guess was charged.
    pub(crate) mark: Mark,
    pub(crate) presented: &'a PresentedSecret<'a>,
    pub(crate) policy: &'a CodePolicy,
    pub(crate) limits: &'a Limits,
    /// For how long after a success its answer can be repeated.
    pub(crate) repeat_window: Duration,
}

impl ReserveGuess<'_> {
    /// Returns the session whose answer can be repeated, where the challenge is spent. Returns `None` where the
    /// challenge is live.
    fn repeats(&self, challenge: &Challenge, now: Timestamp) -> Result<Option<SessionId>, NotReserved> {
        if challenge.is_live(now) {
            return Ok(None);
        }
        let (session, at) = challenge.answer().ok_or(NotReserved::NoSuchChallenge)?;
        let in_time = !now.has_reached(at.after(self.repeat_window)) && !now.has_reached(challenge.code_expires_at);
        if in_time { Ok(Some(session)) } else { Err(NotReserved::NoSuchChallenge) }
    }

    fn left(&self, state: &Authenticator, challenge: &Challenge, now: Timestamp) -> usize {
        let of_code = self.limits.of_challenge().saturating_sub(state.guesses_of(&challenge.nonce));
        of_code.min(state.failures.remaining(&self.limits.guesses_per_address, now))
    }
}

impl Change for ReserveGuess<'_> {
    type State = Authenticator;
    type Verdict = Reserved;
    type Refusal = NotReserved;

    fn decide(
        &self,
        state: Option<Authenticator>,
        attempt: Attempt,
    ) -> Result<Decision<Authenticator, Reserved>, NotReserved> {
        let (mut next, now) = state.ok_or(NotReserved::NoSuchChallenge)?.at(attempt.now);
        let challenge = next.challenge(&self.id).ok_or(NotReserved::NoSuchChallenge)?;
        let repeats = self.repeats(challenge, now)?;
        let left = self.left(&next, challenge, now);
        let remaining = left.checked_sub(1).ok_or(NotReserved::NoSuchChallenge)?;
        // For a spent challenge, only its own code is right.
        let other = match repeats {
            None => next.other_in_time(challenge, now, self.limits),
            Some(_) => None,
        };
        let own = challenge.code(self.policy, now);
        let (other_id, other) = other.map(|other| (other.id, other.code(self.policy, now))).unzip();
        if !own.could_be(self.presented) && !other.as_ref().is_some_and(|other| other.could_be(self.presented)) {
            return Err(NotReserved::NotACode { attempts_remaining: left });
        }
        for challenge in &mut next.challenges {
            if challenge.id == self.id {
                challenge.charge(self.mark, now);
            } else if Some(challenge.id) == other_id {
                challenge.charge_other(self.mark);
            }
        }
        next.failures.record(now, self.limits.guesses_per_address.window());
        let reserved = Reserved { id: self.id, own, other, repeats, attempts_remaining: remaining };
        Ok(Decision::new(next.written(now), reserved))
    }

    fn found_in(&self, stored: &Authenticator) -> Option<Reserved> {
        let challenge = stored.challenge(&self.id)?;
        let charged_at = challenge.charged_at(&self.mark)?;
        let other = stored.challenges.iter().find(|other| other.was_charged_other(&self.mark));
        Some(Reserved {
            id: self.id,
            own: challenge.code(self.policy, charged_at),
            other: other.map(|other| other.code(self.policy, charged_at)),
            repeats: self.repeats(challenge, charged_at).ok()?,
            attempts_remaining: self.left(stored, challenge, charged_at),
        })
    }
}

/// Gives back the guess of a right code whose request then failed through no fault of the client. If the request had
/// already spent the challenge, the spending is also taken back, since no token was released for it.
pub(crate) struct ReleaseGuess<'a> {
    pub(crate) mark: Mark,
    /// The mark by which the request spends challenges.
    pub(crate) spender: Mark,
    pub(crate) limits: &'a Limits,
}

impl Change for ReleaseGuess<'_> {
    type State = Authenticator;
    type Verdict = ();
    type Refusal = NothingToDo;

    fn decide(
        &self,
        state: Option<Authenticator>,
        attempt: Attempt,
    ) -> Result<Decision<Authenticator, ()>, NothingToDo> {
        let (mut next, now) = state.ok_or(NothingToDo)?.at(attempt.now);
        let mut found = false;
        for challenge in &mut next.challenges {
            if challenge.spent_by == Some(self.spender) {
                // The success did not happen, and so it forgives no other guess.
                for _ in 0..challenge.unspend(&self.mark, now) {
                    next.failures.record(now, self.limits.guesses_per_address.window());
                }
                found = true;
            }
            found |= challenge.was_charged_other(&self.mark) || challenge.charged_at(&self.mark).is_some();
            if let Some(charged_at) = challenge.release(&self.mark) {
                next.failures.take_back(charged_at);
            }
        }
        if found { Ok(Decision::new(next.written(now), ())) } else { Err(NothingToDo) }
    }

    /// An undo leaves no trace in the record. A second attempt finds nothing to do.
    fn found_in(&self, _stored: &Authenticator) -> Option<()> {
        None
    }
}

/// Spends the code that was right: the challenge that the client named, and every challenge that shares the code.
///
/// Only the guesses that named this challenge are forgiven. The guesses of the challenges that share its code can be an
/// attacker's.
pub(crate) struct RedeemChallenge<'a> {
    pub(crate) proven: &'a Proven,
    pub(crate) spender: Mark,
    /// The session that the challenge is spent for, where its answer can be repeated. It is kept only if the code that
    /// was right is that of the named challenge.
    pub(crate) session: Option<SessionId>,
}

impl Change for RedeemChallenge<'_> {
    type State = Authenticator;
    type Verdict = Redeemed;
    type Refusal = NotReserved;

    fn decide(
        &self,
        state: Option<Authenticator>,
        attempt: Attempt,
    ) -> Result<Decision<Authenticator, Redeemed>, NotReserved> {
        let mut next = state.ok_or(NotReserved::NoSuchChallenge)?;
        // The expiry was checked when the guess was reserved. Only another redemption can have come between.
        let now = attempt.now.max(next.written_at);
        let Proven { id, nonce } = self.proven;
        let unspent = |challenge: &&Challenge| challenge.spent_by.is_none();
        let has_code = next.challenges.iter().filter(unspent).any(|challenge| challenge.nonce == *nonce);
        let is_named = next.challenge(id).as_ref().is_some_and(unspent);
        if !has_code || !is_named {
            return Err(NotReserved::NoSuchChallenge);
        }
        for challenge in next.challenges.iter_mut().filter(|challenge| challenge.spent_by.is_none()) {
            if challenge.nonce == *nonce || challenge.id == *id {
                let is_answered = challenge.id == *id && challenge.nonce == *nonce;
                let session = self.session.filter(|_| is_answered);
                challenge.spend(self.spender, session.map(|session| (session, now)));
            }
            if challenge.id == *id {
                challenge.forgive(|charged_at| next.failures.take_back(charged_at));
            }
        }
        Ok(Decision::new(next.written(now), Redeemed(())))
    }

    fn found_in(&self, stored: &Authenticator) -> Option<Redeemed> {
        let spent = stored.challenge(&self.proven.id)?.spent_by == Some(self.spender);
        spent.then_some(Redeemed(()))
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

/// A guess that is charged and stored. Only this value can compare a presented text, and it compares one text.
pub(crate) struct Reserved {
    id: ChallengeId,
    own: CodeInFlight,
    other: Option<CodeInFlight>,
    repeats: Option<SessionId>,
    attempts_remaining: usize,
}

impl Reserved {
    /// Returns the session whose answer must be repeated, if the challenge is spent.
    pub(crate) fn repeats(&self) -> Option<SessionId> {
        self.repeats
    }

    /// Compares the presented text with each code that is right, in constant time. A code that has expired counts as
    /// wrong, and so does a code that can no longer be derived.
    pub(crate) fn compare(
        self,
        derive: impl Fn(&CodeInFlight) -> Option<Code>,
        presented: &PresentedSecret<'_>,
    ) -> Result<Proven, WrongCode> {
        // An expired code is compared all the same, and both results are combined. The timing does not tell a wrong
        // code from an expired one.
        let is_right = |code: &CodeInFlight| {
            let in_time = Choice::from(u8::from(!code.has_expired));
            derive(code).map_or(Choice::from(0), |expected| expected.matches(presented) & in_time)
        };
        let own = is_right(&self.own);
        let other = self.other.as_ref().map(|code| (is_right(code), code.nonce));
        match other {
            _ if own.into() => Ok(Proven { id: self.id, nonce: self.own.nonce }),
            Some((other, nonce)) if other.into() => Ok(Proven { id: self.id, nonce }),
            _ => Err(WrongCode { attempts_remaining: self.attempts_remaining }),
        }
    }
}

/// Proof that a code was right. The code is not spent yet.
pub(crate) struct Proven {
    id: ChallengeId,
    nonce: Nonce,
}

/// Proof that the code was right and is spent. The release of tokens takes it by value.
pub(crate) struct Redeemed(());

/// The code was wrong or had expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WrongCode {
    pub(crate) attempts_remaining: usize,
}

/// Why no guess was charged or no code was spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotReserved {
    /// The challenge is unknown, expired or spent, or no guess is left for its code or for its address.
    NoSuchChallenge,
    /// The presented text can't be a code, and was not compared.
    NotACode { attempts_remaining: usize },
}

/// Why no challenge was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// The address was sent to too often.
    Throttled { retry_after: Duration },
    /// The address has no guess left. A code that is sent now could not be redeemed.
    NoGuessLeft { retry_after: Duration },
}

/// Writes an instant, or null for the epoch.
fn write_instant<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    Some(*at).filter(|at| *at != Timestamp::default()).serialize(serializer)
}

fn read_instant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// There is nothing to undo or to clamp.
pub(crate) struct NothingToDo;

/// The most challenges in the record of one address. Settings that could need more are refused. Where a code policy
/// from the directory needs more, the send is refused.
const MOST_CHALLENGES: usize = 100;

/// The most challenges in the record where sends are not limited. The oldest challenge then makes room.
const MOST_CHALLENGES_WITHOUT_QUOTA: usize = 10;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use core::num::NonZeroU32;

    use super::*;
    use crate::id::{Binding, KeyId};
    use crate::time::CLOCK_TOLERANCE;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_800_000_000);

    fn limits(sends: Vec<Quota>) -> Limits {
        let guesses_per_address = Quota::new(NonZeroU32::MAX, Duration::from_secs(60));
        Limits { sends, guesses_per_challenge: NonZeroU8::MIN, guesses_per_address }
    }

    fn open(from: Authenticator, number: u8, limits: &Limits) -> Result<Authenticator, NotOpened> {
        let policy = CodePolicy::default();
        let new = NewChallenge {
            id: ChallengeId::from_bytes([number; 32]),
            nonce: Nonce::from_bytes([number; 16]),
            code_key: KeyId::from_bytes([0; KeyId::LEN]),
            binding: Binding::from_bytes([number; Binding::LEN]),
            policy: &policy,
            knows_key: &|_| true,
        };
        let attempt = Attempt { now: NOW, follows_unknown_outcome: false };
        OpenChallenge { new, limits }.decide(Some(from), attempt).map(|decision| decision.into_parts().0)
    }

    #[test]
    fn without_quotas_the_newest_challenges_are_kept_and_no_more_than_there_is_room_for() {
        let mut state = Authenticator::default();
        for number in 0..12 {
            state = open(state, number, &limits(Vec::new())).unwrap();
        }
        let is_kept: Vec<bool> =
            (0..13).map(|number| state.challenge(&ChallengeId::from_bytes([number; 32])).is_some()).collect();
        let expected: Vec<bool> = (0..13).map(|number| (2..12).contains(&number)).collect();
        assert_eq!(is_kept, expected);
    }

    #[test]
    fn with_quotas_no_challenge_makes_room_for_another() {
        let limits = limits(vec![Quota::new(NonZeroU32::MAX, Duration::from_secs(60))]);
        let mut state = Authenticator::default();
        for number in 0..100 {
            state = open(state, number, &limits).unwrap();
        }
        let refused = NotOpened::Throttled { retry_after: Duration::from_secs(300) };
        assert_eq!(open(state.clone(), 100, &limits).err(), Some(refused));
        assert_eq!(state.challenges.len(), 100);
    }

    #[test]
    fn a_success_that_is_taken_back_has_forgiven_no_guess() {
        let attempt = Attempt { now: NOW, follows_unknown_outcome: false };
        let (policy, presented) = (CodePolicy::default(), PresentedSecret::new("123456"));
        let limits = Limits { guesses_per_challenge: NonZeroU8::MAX, ..limits(Vec::new()) };
        let (id, nonce) = (ChallengeId::from_bytes([1; 32]), Nonce::from_bytes([1; 16]));
        let [wrong, right, spender] = [2, 3, 4].map(|number| Mark::from_bytes([number; 8]));
        let mut state = open(Authenticator::default(), 1, &limits).unwrap();
        for mark in [wrong, right] {
            let (policy, limits, presented) = (&policy, &limits, &presented);
            let reserve = ReserveGuess { id, mark, presented, policy, limits, repeat_window: Duration::ZERO };
            state = reserve.decide(Some(state), attempt).ok().unwrap().into_parts().0;
        }
        let redeem = RedeemChallenge { proven: &Proven { id, nonce }, spender, session: None };
        let spent = redeem.decide(Some(state), attempt).ok().unwrap().into_parts().0;
        assert_eq!((spent.failures.len(), spent.guesses_of(&nonce)), (0, 2));

        let release = ReleaseGuess { mark: right, spender, limits: &limits };
        let state = release.decide(Some(spent), attempt).ok().unwrap().into_parts().0;
        assert_eq!((state.failures.len(), state.guesses_of(&nonce)), (1, 1));
        assert!(state.challenge(&id).unwrap().is_live(NOW));
    }

    #[test]
    fn a_reading_within_the_tolerance_is_not_from_the_future() {
        let state = open(Authenticator::default(), 1, &limits(Vec::new())).unwrap();
        assert!(!state.is_from_the_future(NOW.before(CLOCK_TOLERANCE)));
        assert!(state.is_from_the_future(NOW.before(CLOCK_TOLERANCE + Duration::from_millis(1))));
    }
}
