//! One challenge of an address: the code that answers it, and the guesses that were charged to it.

use core::num::NonZeroU8;
use core::time::Duration;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{Binding, ChallengeId, KeyId, Mark, Nonce, SessionId};
use crate::otp::meter::Meter;
use crate::otp::policy::{CodePolicy, CodeShape};
use crate::secret::PresentedSecret;
use crate::time::Timestamp;
use crate::unknown::{Unknown, keep_unknown_members};

/// A challenge and its bookkeeping, as it is kept in the record of its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub(crate) struct Challenge {
    pub(crate) id: ChallengeId,
    pub(crate) binding: Binding,
    pub(crate) nonce: Nonce,
    code_key: KeyId,
    /// How many characters the code has. Records of the first version do not say.
    code_length: Option<NonZeroU8>,
    pub(crate) code_expires_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// The guesses that named this challenge.
    guesses: Vec<Charged>,
    pub(crate) spent_by: Option<Mark>,
    /// What few challenges have.
    seldom: Option<Box<Seldom>>,
}

impl Challenge {
    /// A challenge with the code of another one, or with a code of its own.
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
            seldom: Seldom { code_alphabet: alphabet, ..Seldom::default() }.boxed(),
        }
    }

    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        self.spent_by.is_none() && !now.has_reached(self.expires_at)
    }

    /// Tells whether its code can still be redeemed.
    pub(crate) fn has_code_in_time(&self, now: Timestamp) -> bool {
        self.is_live(now) && !now.has_reached(self.code_expires_at)
    }

    /// Tells whether a new challenge can share this one's code: it was made for the same asker in the same shape, by a
    /// key that is still known, and at least half of its time is left.
    pub(crate) fn can_share_code(&self, new: &NewChallenge<'_>, now: Timestamp) -> bool {
        self.binding == new.binding
            && self.has_code_in_time(now)
            && now.until(self.code_expires_at) >= new.policy.validity() / 2
            && self.shape(new.policy) == *new.policy.shape()
            && (new.knows_key)(&self.code_key)
    }

    /// The code and its shape. `policy` speaks for a record of the first version.
    pub(crate) fn code(&self, policy: &CodePolicy, now: Timestamp) -> CodeInFlight {
        CodeInFlight {
            nonce: self.nonce,
            key: self.code_key,
            shape: self.shape(policy),
            has_expired: now.has_reached(self.code_expires_at),
        }
    }

    /// How many guesses were compared with its code through this challenge or, from others, on its account.
    pub(crate) fn guesses(&self) -> usize {
        let others = self.seldom.as_ref().map_or(0, |seldom| seldom.other_guesses.len());
        self.guesses.len().saturating_add(others)
    }

    /// Charges a guess that names this challenge.
    pub(crate) fn charge(&mut self, mark: Mark, now: Timestamp) {
        self.guesses.push(Charged { mark, at: Some(now) });
    }

    /// Charges a guess that names another challenge of the same asker.
    pub(crate) fn charge_other(&mut self, mark: Mark) {
        self.seldom.get_or_insert_default().other_guesses.push(mark);
    }

    /// Tells when the guess with this mark was charged, if it named this challenge and has not been forgiven.
    pub(crate) fn charged_at(&self, mark: &Mark) -> Option<Timestamp> {
        self.guesses.iter().find(|charged| charged.mark == *mark)?.at
    }

    /// Tells whether a guess with this mark was charged here although it named another challenge.
    pub(crate) fn was_charged_other(&self, mark: &Mark) -> bool {
        self.seldom.as_ref().is_some_and(|seldom| seldom.other_guesses.contains(mark))
    }

    /// Takes one guess back. Returns when it was charged, if the address still counts it.
    pub(crate) fn release(&mut self, mark: &Mark) -> Option<Timestamp> {
        if let Some(seldom) = &mut self.seldom {
            seldom.other_guesses.retain(|charged| charged != mark);
        }
        let charged_at = self.charged_at(mark);
        self.guesses.retain(|charged| charged.mark != *mark);
        charged_at
    }

    /// Forgives its guesses, each of which still counts for its code. Calls `take_back` with when they were charged.
    pub(crate) fn forgive(&mut self, take_back: impl FnMut(Timestamp)) {
        self.guesses.iter_mut().filter_map(|charged| charged.at.take()).for_each(take_back);
    }

    /// The session that it was spent for and when, where that is kept.
    pub(crate) fn answer(&self) -> Option<(SessionId, Timestamp)> {
        self.seldom.as_ref()?.answer
    }

    /// Spends it, and keeps what for if there is something to keep.
    pub(crate) fn spend(&mut self, spender: Mark, answer: Option<(SessionId, Timestamp)>) {
        self.spent_by = Some(spender);
        if answer.is_some() {
            self.seldom.get_or_insert_default().answer = answer;
        }
    }

    /// Makes it as good as before it was spent. The guesses that were forgiven, but for the one with this mark, are charged
    /// again as of `now`; returns how many.
    pub(crate) fn unspend(&mut self, own: &Mark, now: Timestamp) -> usize {
        self.spent_by = None;
        if let Some(seldom) = &mut self.seldom {
            seldom.answer = None;
        }
        let forgiven = self.guesses.iter_mut().filter(|charged| charged.at.is_none() && charged.mark != *own);
        forgiven.map(|charged| charged.at = Some(now)).count()
    }

    fn shape(&self, policy: &CodePolicy) -> CodeShape {
        let alphabet = self.seldom.as_ref().and_then(|seldom| seldom.code_alphabet.clone());
        self.code_length.map_or_else(|| policy.shape().clone(), |length| CodeShape { length, alphabet })
    }
}

/// A guess that was charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Charged {
    mark: Mark,
    /// When; not any more after a success has forgiven it, and unknown of the first version.
    at: Option<Timestamp>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seldom {
    /// Unless it is the ten digits.
    code_alphabet: Option<Arc<str>>,
    /// The guesses that named another challenge, and were compared with this one's code as well.
    other_guesses: Vec<Mark>,
    /// The session that spent the challenge and when, where an answer can be repeated.
    answer: Option<(SessionId, Timestamp)>,
    unknown: Unknown,
}

impl Seldom {
    fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

/// A challenge as it is written.
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
    /// Of the latest guesses, the instants.
    #[serde(rename = "h", skip_serializing_if = "Meter::is_empty", default)]
    guessed_at: Meter,
    #[serde(rename = "x", skip_serializing_if = "Vec::is_empty", default)]
    other_guesses: Vec<Mark>,
    #[serde(rename = "s", skip_serializing_if = "Option::is_none", default)]
    spent_by: Option<Mark>,
    #[serde(rename = "r", skip_serializing_if = "Option::is_none", default)]
    answer: Option<(SessionId, Timestamp)>,
    #[serde(skip)]
    unknown: Unknown,
}

keep_unknown_members!(Stored);

impl From<Challenge> for Stored {
    fn from(challenge: Challenge) -> Self {
        let Challenge { id, binding, nonce, code_key, code_length, code_expires_at, expires_at, spent_by, .. } =
            challenge;
        let Seldom { code_alphabet, other_guesses, answer, unknown } =
            challenge.seldom.map(|seldom| *seldom).unwrap_or_default();
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
        let Stored { code_alphabet, other_guesses, answer, unknown, .. } = stored;
        let seldom = Seldom { code_alphabet, other_guesses, answer, unknown }.boxed();
        Self { id, binding, nonce, code_key, code_length, code_expires_at, expires_at, guesses, spent_by, seldom }
    }
}

/// What a new challenge is made of.
pub(crate) struct NewChallenge<'a> {
    pub(crate) id: ChallengeId,
    pub(crate) nonce: Nonce,
    pub(crate) code_key: KeyId,
    pub(crate) binding: Binding,
    pub(crate) policy: &'a CodePolicy,
    /// Tells whether this host can derive codes under a key.
    pub(crate) knows_key: &'a (dyn Fn(&KeyId) -> bool + Sync),
}

/// A challenge that is stored, and so may be told to its address.
pub(crate) struct Opened {
    pub(crate) id: ChallengeId,
    pub(crate) code: CodeInFlight,
    pub(crate) code_expires_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) resend_after: Duration,
}

/// What a code is derived from, and how it is spelled.
#[derive(Clone)]
pub(crate) struct CodeInFlight {
    pub(crate) nonce: Nonce,
    pub(crate) key: KeyId,
    pub(crate) shape: CodeShape,
    pub(crate) has_expired: bool,
}

impl CodeInFlight {
    /// Tells whether a text could be this code, by its length and its characters alone.
    pub(crate) fn could_be(&self, presented: &PresentedSecret<'_>) -> bool {
        self.shape.fits(presented.expose_secret())
    }
}
