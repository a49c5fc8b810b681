//! Sends and resends: the throttle of an address, the sharing of a code in flight, and sends that are taken back.

use core::time::Duration;

use crate::change::{Attempt, Change, Decision};
use crate::id::ChallengeId;
use crate::otp::authenticator::{Authenticator, NothingToDo};
use crate::otp::challenge::{Challenge, NewChallenge, Opened};
use crate::otp::limits::Limits;
use crate::otp::meter::memory_for_moves;
use crate::time::Timestamp;

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
            attempt: state.messages_until(challenge),
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
        next.sends.record(now, memory_for_moves(&limits.sends));
        let opened = self.opened(&challenge, &next, now);
        next.challenges.push(challenge);
        next.make_room(limits, now).map_err(|retry_after| NotOpened::Throttled { retry_after })?;
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

/// Why no challenge was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// The address was sent to too often.
    Throttled { retry_after: Duration },
    /// The address has no guess left. A code that is sent now could not be redeemed.
    NoGuessLeft { retry_after: Duration },
}
