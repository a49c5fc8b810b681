//! The guess budget: a guess is reserved before a code is compared, given back where the host failed, and forgiven with
//! a login.

use core::time::Duration;

use subtle::Choice;

use crate::change::{Attempt, Change, Decision};
use crate::dpop::ProofUse;
use crate::guard::message::Settlement;
use crate::id::{ChallengeId, DeviceId, Mark, Nonce, SessionId};
use crate::otp::authenticator::{Authenticator, NothingToDo};
use crate::otp::challenge::{Challenge, CodeInFlight};
use crate::otp::limits::Limits;
use crate::otp::policy::CodePolicy;
use crate::otp::test_identity::FixedCode;
use crate::secret::{Code, PresentedSecret};
use crate::time::Timestamp;

/// Charges one guess to a code and to the address. The verdict can compare one text, once the charge is stored.
///
/// Where two codes of one binding are in time, either code is right, and the guess is charged to both. A text that
/// can't be a code is refused and costs nothing.
pub(crate) struct ReserveGuess<'a> {
    pub(crate) id: ChallengeId,
    /// Identifies this guess. After an unknown outcome, it tells whether the guess was charged.
    pub(crate) mark: Mark,
    pub(crate) presented: &'a PresentedSecret<'a>,
    /// The device whose token came with the guess.
    pub(crate) device: Option<DeviceId>,
    pub(crate) policy: &'a CodePolicy,
    pub(crate) limits: &'a Limits,
    /// For how long after a success its answer can be repeated.
    pub(crate) repeat_window: Duration,
    /// The proof that comes with the guess. It does not serve as the mark of the guess. Otherwise each of two requests
    /// with one proof would take the charge of the other one for its own.
    pub(crate) proof: Option<&'a ProofUse>,
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

    fn left(&self, state: &Authenticator, challenge: &Challenge, device: Option<DeviceId>, now: Timestamp) -> usize {
        let of_code = self.limits.of_challenge().saturating_sub(state.guesses_of(&challenge.nonce));
        let failures = state.failures_of(device);
        of_code.min(failures.map_or(0, |failures| failures.remaining(self.limits.guesses_of(device), now)))
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
        if self.proof.is_some_and(|proof| !challenge.admits(proof)) {
            return Err(NotReserved::ReplayedProof);
        }
        let repeats = self.repeats(challenge, now)?;
        let device = next.usable(self.device, self.limits, now);
        let left = self.left(&next, challenge, device, now);
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
                challenge.charge(self.mark, device, now);
                if let Some(proof) = self.proof {
                    challenge.record_proof(proof);
                }
            } else if Some(challenge.id) == other_id {
                challenge.charge_other(self.mark);
            }
        }
        next.split().1.charge(device, now, self.limits);
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
            attempts_remaining: self.left(stored, challenge, challenge.device_of(&self.mark), charged_at),
        })
    }
}

/// Gives back the guess of a right code whose request then failed through no fault of the client. If the request had
/// already spent the challenge, the spending is also taken back, since no token was released for it. Where its answer
/// was repeated ([`RepeatAnswer`]), the spending is no longer its own, and stays.
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
        let mut state = state.ok_or(NothingToDo)?;
        if state.is_from_the_future(attempt.now) {
            return Err(NothingToDo);
        }
        // A device is remembered for a success only. It leaves also where the challenge has ended by now. The device
        // that it replaced must be back before the guesses of this device are charged again.
        let own = |challenge: &&mut Challenge| challenge.spent_by == Some(self.spender);
        let new_device = state.challenges.iter_mut().filter(own).find_map(Challenge::take_device);
        if let Some(device) = &new_device {
            state.devices.take_back(device);
        }
        let (mut next, now) = state.at(attempt.now);
        let (mut found, mut unsettled) = (new_device.is_some(), Vec::new());
        let (challenges, mut budgets) = next.split();
        for challenge in challenges {
            if challenge.spent_by == Some(self.spender) {
                // The success did not happen, and so it forgives no other guess.
                challenge.unspend(&self.mark, now, |device| budgets.charge(device, now, self.limits));
                unsettled.extend(challenge.take_settled());
                found = true;
            }
            found |= challenge.was_charged_other(&self.mark) || challenge.charged_at(&self.mark).is_some();
            if let Some(charged) = challenge.release(&self.mark) {
                budgets.take_back(charged);
            }
        }
        if !unsettled.is_empty() {
            next.messages.add(unsettled);
        }
        if found { Ok(Decision::new(next.written(now), ())) } else { Err(NothingToDo) }
    }

    /// An undo leaves no trace in the record. A second attempt finds nothing to do.
    fn found_in(&self, _stored: &Authenticator) -> Option<()> {
        None
    }
}

/// Takes over the spending of a challenge whose answer is repeated, and gives the guess of the repetition back.
///
/// The request that has spent the challenge may not know that this is stored, and may still take it back. It then finds
/// another spender. So either its tokens are repeated, or the code logs in again.
pub(crate) struct RepeatAnswer {
    pub(crate) id: ChallengeId,
    /// The session that the challenge was spent for.
    pub(crate) session: SessionId,
    /// The mark of the guess. It is the new spender. No request takes back what carries the mark of a guess.
    pub(crate) mark: Mark,
}

impl Change for RepeatAnswer {
    type State = Authenticator;
    type Verdict = Repeated;
    type Refusal = NotReserved;

    fn decide(
        &self,
        state: Option<Authenticator>,
        attempt: Attempt,
    ) -> Result<Decision<Authenticator, Repeated>, NotReserved> {
        let mut next = state.ok_or(NotReserved::NoSuchChallenge)?;
        // The time was checked when the guess was reserved.
        let now = attempt.now.max(next.written_at);
        let named = next.challenge(&self.id).ok_or(NotReserved::NoSuchChallenge)?;
        let is_spent_for_it = named.answer().is_some_and(|(session, _)| session == self.session);
        let spender = named.spent_by.filter(|_| is_spent_for_it).ok_or(NotReserved::NoSuchChallenge)?;
        let (challenges, mut budgets) = next.split();
        for challenge in challenges {
            if challenge.spent_by == Some(spender) {
                challenge.spent_by = Some(self.mark);
            }
            if let Some(charged) = challenge.release(&self.mark) {
                budgets.take_back(charged);
            }
        }
        Ok(Decision::new(next.written(now), Repeated(())))
    }

    fn found_in(&self, stored: &Authenticator) -> Option<Repeated> {
        stored.challenge(&self.id).filter(|known| known.spent_by == Some(self.mark)).map(|_| Repeated(()))
    }
}

/// Proof that the answer of a session may be given again: its challenge stays spent. The release of tokens takes it by
/// value.
pub(crate) struct Repeated(());

/// Spends the code that was right: the challenge that the client named, and every challenge that shares the code.
///
/// The messages of the address are settled with it, each once.
///
/// Only the guesses that named this challenge are forgiven. The guesses of the challenges that share its code can be an
/// attacker's.
pub(crate) struct RedeemChallenge<'a> {
    pub(crate) proven: &'a Proven,
    pub(crate) spender: Mark,
    /// The session that the challenge is spent for, where its answer can be repeated. It is kept only if the code that
    /// was right is that of the named challenge.
    pub(crate) session: Option<SessionId>,
    /// The device whose token came with the code. A success renews it.
    pub(crate) device: Option<DeviceId>,
    /// The device to remember, where none came with the code.
    pub(crate) new_device: Option<DeviceId>,
    pub(crate) limits: &'a Limits,
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
        let mut settled = next.take_settled(id, now);
        let (challenges, mut budgets) = next.split();
        for challenge in challenges.iter_mut().filter(|challenge| challenge.spent_by.is_none()) {
            if challenge.nonce == *nonce || challenge.id == *id {
                let is_answered = challenge.id == *id && challenge.nonce == *nonce;
                let session = self.session.filter(|_| is_answered);
                challenge.spend(self.spender, session.map(|session| (session, now)));
            }
            if challenge.id == *id {
                challenge.settle(core::mem::take(&mut settled));
                challenge.forgive(|charged| budgets.take_back(charged));
            }
        }
        if let Some(policy) = &self.limits.devices {
            let known = next.known_device(self.device, None, self.limits, now);
            if let Some(device) = known.or(self.new_device) {
                let new = next.keep_device(device, now.after(policy.validity));
                if let Some(challenge) = next.challenges.iter_mut().find(|challenge| challenge.id == *id) {
                    challenge.remember_device(new);
                }
            }
        }
        let device = next.known_device(self.device, self.new_device, self.limits, now);
        let settlement = next.challenge(id).map(Challenge::settlement).unwrap_or_default();
        Ok(Decision::new(next.written(now), Redeemed { device, settlement }))
    }

    fn found_in(&self, stored: &Authenticator) -> Option<Redeemed> {
        // A repetition of the answer may have taken the spending over.
        let is_own = |known: &&Challenge| {
            let session = known.answer().map(|(session, _)| session);
            known.spent_by == Some(self.spender) || session.is_some() && session == self.session
        };
        let challenge = stored.challenge(&self.proven.id).filter(is_own)?;
        let device = stored.known_device(self.device, self.new_device, self.limits, stored.written_at);
        Some(Redeemed { device, settlement: challenge.settlement() })
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

    /// Compares the presented text with each code that is right, in constant time. A fixed code takes the place of
    /// each. A code that has expired counts as wrong, and so does a code that can no longer be derived.
    pub(crate) fn compare(
        self,
        derive: impl Fn(&CodeInFlight) -> Option<Code>,
        presented: &PresentedSecret<'_>,
        fixed: Option<FixedCode>,
    ) -> Result<Proven, WrongCode> {
        // An expired code is compared all the same, and both results are combined. The timing does not tell a wrong
        // code from an expired one.
        let is_right = |code: &CodeInFlight| {
            let in_time = Choice::from(u8::from(!code.has_expired));
            let is_sent = derive(code).map_or(Choice::from(0), |expected| expected.matches(presented));
            fixed.map_or(is_sent, |fixed| fixed.instead_of(is_sent)) & in_time
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
    pub(super) id: ChallengeId,
    pub(super) nonce: Nonce,
}

/// Proof that the code was right and is spent. The release of tokens takes it by value.
pub(crate) struct Redeemed {
    /// The device that the record knows the client by.
    device: Option<DeviceId>,
    settlement: Settlement,
}

impl Redeemed {
    /// Returns the device that the client can be remembered by.
    pub(crate) fn device(&self) -> Option<DeviceId> {
        self.device
    }

    /// Takes out the messages that this success has settled. They are credited once.
    pub(crate) fn take_settlement(&mut self) -> Settlement {
        core::mem::take(&mut self.settlement)
    }
}

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
    /// The proof that came with the guess was used before.
    ReplayedProof,
}
