//! One challenge of an address: the source of its code, its expiry, and the guesses that were charged to it.

use core::num::{NonZeroU8, NonZeroU32};
use core::time::Duration;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dpop::ProofUse;
use crate::dpop::used_proofs::UsedProofs;
use crate::guard::message::{CountedMessage, Settlement};
use crate::id::{Binding, ChallengeId, DeviceId, KeyId, Mark, Nonce, SessionId};
use crate::otp::device::NewDevice;
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
    pub(crate) fn new(
        new: &NewChallenge<'_>,
        shared: Option<&Challenge>,
        device: Option<DeviceId>,
        now: Timestamp,
    ) -> Self {
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
            rare: RareMembers { code_alphabet: alphabet, device, ..RareMembers::default() }.boxed(),
        }
    }

    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        self.spent_by.is_none() && !now.has_reached(self.expires_at)
    }

    /// Tells whether its code can still be redeemed.
    pub(crate) fn has_code_in_time(&self, now: Timestamp) -> bool {
        self.is_live(now) && !now.has_reached(self.code_expires_at)
    }

    /// Returns the device whose budget the send was charged to.
    pub(crate) fn device(&self) -> Option<DeviceId> {
        self.rare.as_ref()?.device
    }

    /// Tells whether a new challenge can share the code of this one. Both must have the same binding, the same device
    /// and the same shape of code, this host must know the key, and at least half of the validity of a new code
    /// must be left.
    pub(crate) fn can_share_code(&self, new: &NewChallenge<'_>, device: Option<DeviceId>, now: Timestamp) -> bool {
        self.binding == new.binding
            && self.device() == device
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

    /// Charges a guess that names this challenge, and keeps the device whose budget it was charged to.
    pub(crate) fn charge(&mut self, mark: Mark, device: Option<DeviceId>, now: Timestamp) {
        self.guesses.push(Charged { mark, at: Some(now) });
        if let Some(device) = device {
            self.rare.get_or_insert_default().guesses_of_devices.push((mark, device));
        }
    }

    /// Returns the device whose budget a guess was charged to.
    pub(crate) fn device_of(&self, mark: &Mark) -> Option<DeviceId> {
        device_of(self.rare.as_deref(), mark)
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

    /// Takes one guess back. Returns what it was charged to, if the address still counts the guess.
    pub(crate) fn release(&mut self, mark: &Mark) -> Option<ChargedTo> {
        let device = self.device_of(mark);
        if let Some(rare) = &mut self.rare {
            rare.other_guesses.retain(|charged| charged != mark);
            rare.guesses_of_devices.retain(|(charged, _)| charged != mark);
        }
        let charged_at = self.charged_at(mark);
        self.guesses.retain(|charged| charged.mark != *mark);
        charged_at.map(|at| ChargedTo { device, at })
    }

    /// Forgives the guesses for the address. They still count for the code. Calls `take_back` with what each was
    /// charged to.
    pub(crate) fn forgive(&mut self, mut take_back: impl FnMut(ChargedTo)) {
        for charged in &mut self.guesses {
            if let Some(at) = charged.at.take() {
                take_back(ChargedTo { device: device_of(self.rare.as_deref(), &charged.mark), at });
            }
        }
    }

    /// Returns the session that the challenge was spent for, and when, if the answer can be repeated.
    pub(crate) fn answer(&self) -> Option<(SessionId, Timestamp)> {
        self.rare.as_ref()?.answer
    }

    /// Returns what the spending of the challenge has settled.
    pub(crate) fn settlement(&self) -> Settlement {
        self.rare.as_ref().map_or_else(Settlement::default, |rare| Settlement::of(&self.id, &rare.settled))
    }

    /// Keeps the messages that the spending of the challenge settles.
    pub(crate) fn settle(&mut self, messages: Vec<CountedMessage>) {
        if !messages.is_empty() {
            self.rare.get_or_insert_default().settled = messages;
        }
    }

    /// Spends the challenge, and keeps `answer` if there is one.
    pub(crate) fn spend(&mut self, spender: Mark, answer: Option<(SessionId, Timestamp)>) {
        self.spent_by = Some(spender);
        if answer.is_some() {
            self.rare.get_or_insert_default().answer = answer;
        }
    }

    /// Takes out the messages that the spending of the challenge has settled. It is taken back.
    pub(crate) fn take_settled(&mut self) -> Vec<CountedMessage> {
        self.rare.as_mut().map(|rare| core::mem::take(&mut rare.settled)).unwrap_or_default()
    }

    /// Keeps what the spending of the challenge has changed of the devices.
    pub(crate) fn remember_device(&mut self, new: Option<NewDevice>) {
        if new.is_some() {
            self.rare.get_or_insert_default().new_device = new;
        }
    }

    /// Takes out what the spending of the challenge has changed of the devices. It is taken back.
    pub(crate) fn take_device(&mut self) -> Option<NewDevice> {
        self.rare.as_mut()?.new_device.take()
    }

    /// Takes the spending back. Charges the forgiven guesses again as of `now`, except for the guess with this mark.
    /// Calls `charge` with the device of each.
    pub(crate) fn unspend(&mut self, own: &Mark, now: Timestamp, mut charge: impl FnMut(Option<DeviceId>)) {
        self.spent_by = None;
        if let Some(rare) = &mut self.rare {
            rare.answer = None;
        }
        for charged in self.guesses.iter_mut().filter(|charged| charged.at.is_none() && charged.mark != *own) {
            charged.at = Some(now);
            charge(device_of(self.rare.as_deref(), &charged.mark));
        }
    }

    fn shape(&self, policy: &CodePolicy) -> CodeShape {
        let alphabet = self.rare.as_ref().and_then(|rare| rare.code_alphabet.clone());
        self.code_length.map_or_else(|| policy.shape().clone(), |length| CodeShape { length, alphabet })
    }
}

fn device_of(rare: Option<&RareMembers>, mark: &Mark) -> Option<DeviceId> {
    let mut guesses = rare?.guesses_of_devices.iter();
    guesses.find(|(charged, _)| charged == mark).map(|(_, device)| *device)
}

/// A guess that was charged to a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Charged {
    mark: Mark,
    /// When the guess was charged. `None` once a success has forgiven it, or in a record of an earlier build.
    at: Option<Timestamp>,
}

/// The budget that a guess was charged to, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChargedTo {
    /// The device. `None` for the budget of everybody else.
    pub(crate) device: Option<DeviceId>,
    pub(crate) at: Timestamp,
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
    /// The device whose budget the send was charged to.
    device: Option<DeviceId>,
    /// The guesses that were charged to the budgets of devices.
    guesses_of_devices: Vec<(Mark, DeviceId)>,
    /// The messages of the address that the spending of the challenge has settled.
    settled: Vec<CountedMessage>,
    /// The device that the spending of the challenge has made known.
    new_device: Option<NewDevice>,
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
    #[serde(rename = "v", skip_serializing_if = "Option::is_none", default)]
    device: Option<DeviceId>,
    #[serde(rename = "y", skip_serializing_if = "Vec::is_empty", default)]
    guesses_of_devices: Vec<(Mark, DeviceId)>,
    #[serde(rename = "m", skip_serializing_if = "Vec::is_empty", default)]
    settled: Vec<CountedMessage>,
    #[serde(rename = "w", skip_serializing_if = "Option::is_none", default)]
    new_device: Option<NewDevice>,
    #[serde(skip)]
    unknown: Unknown,
}

keep_unknown_members!(Stored);

impl From<Challenge> for Stored {
    fn from(challenge: Challenge) -> Self {
        let Challenge { id, binding, nonce, code_key, code_length, code_expires_at, expires_at, spent_by, .. } =
            challenge;
        let RareMembers {
            code_alphabet,
            other_guesses,
            answer,
            proofs,
            device,
            guesses_of_devices,
            settled,
            new_device,
            unknown,
        } = challenge.rare.map(|rare| *rare).unwrap_or_default();
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
            device,
            guesses_of_devices,
            settled,
            new_device,
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
        let Stored {
            code_alphabet,
            other_guesses,
            answer,
            proofs,
            device,
            guesses_of_devices,
            settled,
            new_device,
            unknown,
            ..
        } = stored;
        let rare = RareMembers {
            code_alphabet,
            other_guesses,
            answer,
            proofs,
            device,
            guesses_of_devices,
            settled,
            new_device,
            unknown,
        };
        let rare = rare.boxed();
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
    /// The message, where its destinations count it.
    pub(crate) message: Option<CountedMessage>,
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
