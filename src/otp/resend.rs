//! Sends and resends: the throttle of an address, the sharing of a code in flight, and sends that are taken back.

use core::time::Duration;

use crate::change::{Attempt, Change, Decision};
use crate::guard::message::CountedMessage;
use crate::id::{ChallengeId, DeviceId, MessageMark};
use crate::otp::authenticator::{Authenticator, NothingToDo};
use crate::otp::challenge::{Challenge, NewChallenge, Opened};
use crate::otp::limits::Limits;
use crate::otp::meter::memory_for_moves;
use crate::time::Timestamp;

/// Opens a challenge, unless the address was sent to too often or has no guess left.
///
/// The new challenge shares the latest code of the same binding while at least half of the validity of a code is left
/// ([`Challenge::can_share_code`] has all conditions), and while the code has a guess left. It then also shares the
/// expiry and the guesses of the code. A resend therefore does not kill the code in flight.
pub(crate) struct OpenChallenge<'a> {
    pub(crate) new: NewChallenge<'a>,
    /// The device whose token came with the request.
    pub(crate) device: Option<DeviceId>,
    pub(crate) limits: &'a Limits,
    /// Whether destinations count the message. The record then remembers it for the success that settles it.
    pub(crate) is_counted: bool,
}

impl OpenChallenge<'_> {
    fn opened(&self, challenge: &Challenge, state: &Authenticator, now: Timestamp) -> Opened {
        Opened {
            id: challenge.id,
            code: challenge.code(self.new.policy, now),
            code_expires_at: challenge.code_expires_at,
            expires_at: challenge.expires_at,
            resend_after: wait_of(state, challenge.device(), self.limits, now),
            attempt: state.messages_until(challenge),
            message: self.is_counted.then(|| self.message(challenge)),
        }
    }
}

impl OpenChallenge<'_> {
    /// The message of a challenge. It follows from the challenge alone. A login can have settled it already.
    fn message(&self, challenge: &Challenge) -> CountedMessage {
        let sent_at = challenge.expires_at.before(self.new.policy.token_validity());
        CountedMessage::new(&challenge.id, sent_at, challenge.code_expires_at)
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
        let Self { new, limits, is_counted, .. } = self;
        let (mut next, now) = state.unwrap_or_default().at(attempt.now);
        let device = next.usable(self.device, limits, now);
        let of_sends = wait_of(&next, device, limits, now);
        // A code that could not be redeemed is never sent, whichever client asks for it.
        let of_guesses = match device {
            // A device that has no guess left counts as none.
            Some(_) => Duration::ZERO,
            None => next.failures.wait(&[limits.guesses_per_address], now),
        };
        if !of_guesses.is_zero() {
            return Err(NotOpened::NoGuessLeft { retry_after: of_guesses.max(of_sends) });
        }
        if !of_sends.is_zero() {
            return Err(NotOpened::Throttled { retry_after: of_sends });
        }
        let shared = next
            .challenges
            .iter()
            .rfind(|old| old.can_share_code(new, device, now) && next.guesses_of(&old.nonce) < limits.of_challenge());
        let challenge = Challenge::new(new, shared, device, now);
        if let Some(sends) = next.sends_of_mut(device) {
            sends.record(now, memory_for_moves(limits.sends_of(device)));
        }
        if *is_counted {
            next.count(self.message(&challenge));
        }
        let opened = self.opened(&challenge, &next, now);
        next.challenges.push(challenge);
        next.make_room(device, limits, now).map_err(|retry_after| NotOpened::Throttled { retry_after })?;
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
        let (device, sent_at) = (challenge.device(), challenge.expires_at.before(self.token_validity));
        if let Some(sends) = next.sends_of_mut(device) {
            sends.take_back(sent_at);
        }
        // A challenge whose code has been compared stays for the count, since others may share the code.
        next.challenges.retain(|challenge| challenge.id != self.id || challenge.guesses() > 0);
        next.messages.retain(|message| message.mark != MessageMark::of(&self.id));
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
        let challenge = next.challenge(&self.id).ok_or(NothingToDo)?;
        let (device, sent_at) = (challenge.device(), challenge.expires_at.before(self.token_validity));
        let quotas = self.limits.sends_of(device);
        let sends = next.sends_of_mut(device).ok_or(NothingToDo)?;
        let is_moved = sends.move_out_of_the_shortest(sent_at, quotas);
        let retry_after = sends.wait(quotas, now);
        if !is_moved {
            return Ok(Decision::as_it_is(next, retry_after));
        }
        Ok(Decision::new(next.written(now), retry_after))
    }

    /// A second attempt finds the send already moved, and moves nothing.
    fn found_in(&self, _stored: &Authenticator) -> Option<Duration> {
        None
    }
}

/// Returns how long to wait for the next send with a device, or without one.
fn wait_of(state: &Authenticator, device: Option<DeviceId>, limits: &Limits, now: Timestamp) -> Duration {
    state.sends_of(device).map_or(Duration::ZERO, |sends| sends.wait(limits.sends_of(device), now))
}

/// Why no challenge was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// The address was sent to too often.
    Throttled { retry_after: Duration },
    /// The address has no guess left. A code that is sent now could not be redeemed.
    NoGuessLeft { retry_after: Duration },
}
