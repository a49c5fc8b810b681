//! One challenge of an address: the source of its code, its expiry, and the guesses that were charged to it.

use core::num::{NonZeroU8, NonZeroU32};
use core::time::Duration;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dpop::ProofUse;
use crate::dpop::used_proofs::UsedProofs;
use crate::id::{Binding, ChallengeId, KeyId, Mark, Nonce, SessionId};
use crate::otp::meter::Meter;
use crate::otp::policy::{CodePolicy, CodeShape};
use crate::secret::PresentedSecret;
use crate::time::Timestamp;
use crate::unknown_members::{Unknown, keep_unknown_members};

/// A challenge and its bookkeeping, as the record of its address keeps them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub(crate) struct Challenge {
    pub(crate) id: ChallengeId,
    pub(crate) binding: Binding,
    pub(crate) nonce: Nonce,
    code_key: KeyId,
    /// How many characters the code has. Records of earlier builds do not contain it.
    code_length: Option<NonZeroU8>,
    pub(crate) code_expires_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// The guesses that named this challenge.
    guesses: Vec<Charged>,
    pub(crate) spent_by: Option<Mark>,
    /// Members that few challenges have.
    rare: Option<Box<RareMembers>>,
}

impl Challenge {
    /// Makes a challenge with the code of another challenge, or with a code of its own.
    pub(crate) fn new(new: &NewChallenge<'_>, shared: Option<&Challenge>, now: Timestamp) -> Self {
        let (nonce, code_key, code_expires_at) = match shared {
            Some(old) => (old.nonce, old.code_key, old.code_expires_at),
            None => (new.nonce, new.code_key, now.after(new.policy.validity())),
        };
        let CodeShape { length, alphabet } = new.policy.shape().clone();
        Self {
            id: new.id,
            binding: new.binding,
            nonce,
            code_key,
            code_length: Some(length),
            code_expires_at,
            expires_at: now.after(new.policy.token_validity()),
            guesses: Vec::new(),
            spent_by: None,
            rare: RareMembers { code_alphabet: alphabet, ..RareMembers::default() }.boxed(),
        }
    }

    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        self.spent_by.is_none() && !now.has_reached(self.expires_at)
    }

    /// Tells whether its code can still be redeemed.
    pub(crate) fn has_code_in_time(&self, now: Timestamp) -> bool {
        self.is_live(now) && !now.has_reached(self.code_expires_at)
    }

    /// Tells whether a new challenge can share the code of this one. Both must have the same binding and the same shape
    /// of code, this host must know the key, and at least half of the code's validity must be left.
    pub(crate) fn can_share_code(&self, new: &NewChallenge<'_>, now: Timestamp) -> bool {
        self.binding == new.binding
            && self.has_code_in_time(now)
            && now.until(self.code_expires_at) >= new.policy.validity() / 2
            && self.shape(new.policy) == *new.policy.shape()
            && (new.knows_key)(&self.code_key)
    }

    /// The code and its shape. The shape comes from `policy` for a record of an earlier build.
    pub(crate) fn code(&self, policy: &CodePolicy, now: Timestamp) -> CodeInFlight {
        CodeInFlight {
            nonce: self.nonce,
            key: self.code_key,
            shape: self.shape(policy),
            has_expired: now.has_reached(self.code_expires_at),
        }
    }

    /// How many guesses were compared with its code because they named this challenge, or another challenge of the same
    /// binding.
    pub(crate) fn guesses(&self) -> usize {
        let others = self.rare.as_ref().map_or(0, |rare| rare.other_guesses.len());
        self.guesses.len().saturating_add(others)
    }

    /// Tells whether a proof has not yet come with a guess that named this challenge.
    pub(crate) fn admits(&self, proof: &ProofUse) -> bool {
        self.rare.as_ref().is_none_or(|rare| rare.proofs.admits(proof))
    }

    /// Records the proof that came with a guess. The proof stays used when the guess is given back.
    pub(crate) fn record_proof(&mut self, proof: &ProofUse) {
        self.rare.get_or_insert_default().proofs.record(proof);
    }

    /// Charges a guess that names this challenge.
    pub(crate) fn charge(&mut self, mark: Mark, now: Timestamp) {
        self.guesses.push(Charged { mark, at: Some(now) });
    }

    /// Charges a guess that names another challenge of the same binding.
    pub(crate) fn charge_other(&mut self, mark: Mark) {
        self.rare.get_or_insert_default().other_guesses.push(mark);
    }

    /// Takes over the guesses of a challenge that is removed before its time. They still count for the code of both.
    pub(crate) fn inherit(&mut self, removed: &Challenge) {
        let others = removed.rare.iter().flat_map(|rare| &rare.other_guesses);
        let marks: Vec<Mark> = removed.guesses.iter().map(|charged| &charged.mark).chain(others).copied().collect();
        if !marks.is_empty() {
            self.rare.get_or_insert_default().other_guesses.extend(marks);
        }
    }

    /// Returns when the guess with this mark was charged, if it named this challenge and is not forgiven.
    pub(crate) fn charged_at(&self, mark: &Mark) -> Option<Timestamp> {
        self.guesses.iter().find(|charged| charged.mark == *mark)?.at
    }

    /// Tells whether a guess with this mark named another challenge and was also charged here.
    pub(crate) fn was_charged_other(&self, mark: &Mark) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.other_guesses.contains(mark))
    }

    /// Takes one guess back. Returns when it was charged, if the address still counts the guess.
    pub(crate) fn release(&mut self, mark: &Mark) -> Option<Timestamp> {
        if let Some(rare) = &mut self.rare {
            rare.other_guesses.retain(|charged| charged != mark);
        }
        let charged_at = self.charged_at(mark);
        self.guesses.retain(|charged| charged.mark != *mark);
        charged_at
    }

    /// Forgives the guesses for the address. They still count for the code. Calls `take_back` with the instant of each.
    pub(crate) fn forgive(&mut self, take_back: impl FnMut(Timestamp)) {
        self.guesses.iter_mut().filter_map(|charged| charged.at.take()).for_each(take_back);
    }

    /// Returns the session that the challenge was spent for, and when, if the answer can be repeated.
    pub(crate) fn answer(&self) -> Option<(SessionId, Timestamp)> {
        self.rare.as_ref()?.answer
    }

    /// Spends the challenge, and keeps `answer` if there is one.
    pub(crate) fn spend(&mut self, spender: Mark, answer: Option<(SessionId, Timestamp)>) {
        self.spent_by = Some(spender);
        if answer.is_some() {
            self.rare.get_or_insert_default().answer = answer;
        }
    }

    /// Takes the spending back. Charges the forgiven guesses again as of `now`, except for the guess with this mark,
    /// and returns how many they are.
    pub(crate) fn unspend(&mut self, own: &Mark, now: Timestamp) -> usize {
        self.spent_by = None;
        if let Some(rare) = &mut self.rare {
            rare.answer = None;
        }
        let forgiven = self.guesses.iter_mut().filter(|charged| charged.at.is_none() && charged.mark != *own);
        forgiven.map(|charged| charged.at = Some(now)).count()
    }

    fn shape(&self, policy: &CodePolicy) -> CodeShape {
        let alphabet = self.rare.as_ref().and_then(|rare| rare.code_alphabet.clone());
        self.code_length.map_or_else(|| policy.shape().clone(), |length| CodeShape { length, alphabet })
    }
}

/// A guess that was charged to a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Charged {
    mark: Mark,
    /// When the guess was charged. `None` once a success has forgiven it, or in a record of an earlier build.
    at: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RareMembers {
    /// `None` for the ten digits.
    code_alphabet: Option<Arc<str>>,
    /// The guesses that named another challenge and were also compared with this code.
    other_guesses: Vec<Mark>,
    /// The session that spent the challenge, and when, if the answer can be repeated.
    answer: Option<(SessionId, Timestamp)>,
    /// The DPoP proofs that came with guesses.
    proofs: UsedProofs,
    unknown: Unknown,
}

impl RareMembers {
    fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// A challenge in its stored form.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Self")]
struct Stored {
    #[serde(rename = "i")]
    id: ChallengeId,
    #[serde(rename = "b")]
    binding: Binding,
    #[serde(rename = "n")]
    nonce: Nonce,
    #[serde(rename = "k")]
    code_key: KeyId,
    #[serde(rename = "p", skip_serializing_if = "Option::is_none", default)]
    code_length: Option<NonZeroU8>,
    #[serde(rename = "a", skip_serializing_if = "Option::is_none", default)]
    code_alphabet: Option<Arc<str>>,
    #[serde(rename = "c")]
    code_expires_at: Timestamp,
    #[serde(rename = "e")]
    expires_at: Timestamp,
    #[serde(rename = "g")]
    guesses: Vec<Mark>,
    /// The instants of the latest guesses.
    #[serde(rename = "h", skip_serializing_if = "Meter::is_empty", default)]
    guessed_at: Meter,
    #[serde(rename = "x", skip_serializing_if = "Vec::is_empty", default)]
    other_guesses: Vec<Mark>,
    #[serde(rename = "s", skip_serializing_if = "Option::is_none", default)]
    spent_by: Option<Mark>,
    #[serde(rename = "r", skip_serializing_if = "Option::is_none", default)]
    answer: Option<(SessionId, Timestamp)>,
    #[serde(rename = "d", skip_serializing_if = "UsedProofs::is_empty", default)]
    proofs: UsedProofs,
    #[serde(skip)]
    unknown: Unknown,
}

keep_unknown_members!(Stored);

impl From<Challenge> for Stored {
    fn from(challenge: Challenge) -> Self {
        let Challenge { id, binding, nonce, code_key, code_length, code_expires_at, expires_at, spent_by, .. } =
            challenge;
        let RareMembers { code_alphabet, other_guesses, answer, proofs, unknown } =
            challenge.rare.map(|rare| *rare).unwrap_or_default();
        let guesses = challenge.guesses.iter().map(|charged| charged.mark).collect();
        let guessed_at = challenge.guesses.iter().filter_map(|charged| charged.at).collect();
        Self {
            id,
            binding,
            nonce,
            code_key,
            code_length,
            code_alphabet,
            code_expires_at,
            expires_at,
            guesses,
            guessed_at,
            other_guesses,
            spent_by,
            answer,
            proofs,
            unknown,
        }
    }
}

impl From<Stored> for Challenge {
    fn from(stored: Stored) -> Self {
        let Stored { id, binding, nonce, code_key, code_length, code_expires_at, expires_at, spent_by, .. } = stored;
        let without_instant = stored.guesses.len().saturating_sub(stored.guessed_at.len());
        let instants = core::iter::repeat_n(None, without_instant).chain(stored.guessed_at.instants().map(Some));
        let charged = |(mark, at)| Charged { mark, at };
        let guesses = stored.guesses.into_iter().zip(instants).map(charged).collect();
        let Stored { code_alphabet, other_guesses, answer, proofs, unknown, .. } = stored;
        let rare = RareMembers { code_alphabet, other_guesses, answer, proofs, unknown }.boxed();
        Self { id, binding, nonce, code_key, code_length, code_expires_at, expires_at, guesses, spent_by, rare }
    }
}

/// The parts of a new challenge.
pub(crate) struct NewChallenge<'a> {
    pub(crate) id: ChallengeId,
    pub(crate) nonce: Nonce,
    pub(crate) code_key: KeyId,
    pub(crate) binding: Binding,
    pub(crate) policy: &'a CodePolicy,
    /// Tells whether this host can derive codes under a key.
    pub(crate) knows_key: &'a (dyn Fn(&KeyId) -> bool + Sync),
}

/// A challenge that is stored, and that can therefore be told to its address.
pub(crate) struct Opened {
    pub(crate) id: ChallengeId,
    pub(crate) code: CodeInFlight,
    pub(crate) code_expires_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) resend_after: Duration,
    /// Counts the messages with this code, from 1.
    pub(crate) attempt: NonZeroU32,
}

/// What a code is derived from, its shape, and whether it has expired.
#[derive(Clone)]
pub(crate) struct CodeInFlight {
    pub(crate) nonce: Nonce,
    pub(crate) key: KeyId,
    pub(crate) shape: CodeShape,
    pub(crate) has_expired: bool,
}

impl CodeInFlight {
    /// Tells whether a text could be this code. Only its length and its characters are looked at.
    pub(crate) fn could_be(&self, presented: &PresentedSecret<'_>) -> bool {
        self.shape.fits(presented.expose_secret())
    }
}
