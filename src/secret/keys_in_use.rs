//! The record of the secrets that hosts work with. A host with other secrets is noticed when it starts.

use core::convert::Infallible;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::change::{Attempt, Change, Decision};
use crate::id::KeyId;
use crate::time::Timestamp;
use crate::unknown_members::{Unknown, keep_unknown_members};

/// The names of the secrets that hosts have announced, in one record per issuer. A name is a MAC, from which no secret
/// can be computed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct KeysInUse {
    /// The index secret, which is the same for all hosts.
    #[serde(rename = "i")]
    index: KeyId,
    /// The sealing secrets under which hosts seal.
    #[serde(rename = "s")]
    sealing: Vec<Announced>,
    /// The sealing secrets that hosts accept. They include those under which hosts seal.
    #[serde(rename = "a")]
    accepted: Vec<Announced>,
    #[serde(skip)]
    unknown: Unknown,
}

keep_unknown_members!(KeysInUse);

/// A secret, and when it is forgotten unless a host announces it again.
type Announced = (KeyId, Timestamp);

impl KeysInUse {
    /// When the last of the secrets is forgotten.
    pub(crate) fn forgotten_at(&self) -> Timestamp {
        self.accepted.iter().map(|(_, until)| *until).max().unwrap_or_default()
    }

    /// Drops the secrets that are forgotten by `now`.
    fn at(mut self, now: Timestamp) -> Self {
        for list in [&mut self.sealing, &mut self.accepted] {
            list.retain(|(_, until)| !now.has_reached(*until));
        }
        self
    }
}

/// Announces the secrets of a host, and compares them with the secrets that other hosts announced.
pub(crate) struct AnnounceKeys {
    pub(crate) index: KeyId,
    /// The secret under which this host seals.
    pub(crate) sealing: KeyId,
    /// All secrets that this host accepts, including `sealing`.
    pub(crate) accepted: Vec<KeyId>,
    /// For how long a secret is kept that no host announces any more.
    pub(crate) keep_for: Duration,
}

impl AnnounceKeys {
    /// Adds the secrets of this host, which are kept until an instant.
    fn added_to(&self, mut known: KeysInUse, until: Timestamp) -> KeysInUse {
        announce(&mut known.sealing, self.sealing, until);
        for id in &self.accepted {
            announce(&mut known.accepted, *id, until);
        }
        known
    }

    /// The secrets of this host alone, and what this version does not know of those before.
    pub(crate) fn in_place_of(&self, before: Option<KeysInUse>, until: Timestamp) -> KeysInUse {
        let unknown = before.map(|before| before.unknown).unwrap_or_default();
        self.added_to(KeysInUse { index: self.index, sealing: Vec::new(), accepted: Vec::new(), unknown }, until)
    }

    /// Tells whether the record already keeps the secrets of this host until an instant.
    fn is_in(&self, known: &KeysInUse, until: Timestamp) -> bool {
        self.added_to(known.clone(), until) == *known
    }
}

impl Change for AnnounceKeys {
    type State = KeysInUse;
    type Verdict = PeerKeys;
    type Refusal = KeysDiffer;

    fn decide(&self, state: Option<KeysInUse>, attempt: Attempt) -> Result<Decision<KeysInUse, PeerKeys>, KeysDiffer> {
        let until = attempt.now.after(self.keep_for);
        let known = match state.map(|state| state.at(attempt.now)) {
            Some(known) if !known.accepted.is_empty() => known,
            forgotten => return Ok(Decision::new(self.in_place_of(forgotten, until), PeerKeys::Accepted)),
        };
        let is_accepted = |(id, _): &Announced| self.accepted.contains(id);
        if known.index != self.index {
            return Err(KeysDiffer::Index);
        }
        if !known.accepted.iter().any(is_accepted) {
            return Err(KeysDiffer::Sealing);
        }
        let verdict = if known.sealing.iter().all(is_accepted) { PeerKeys::Accepted } else { PeerKeys::Lacking };
        if self.is_in(&known, until.before(ANNOUNCED_AGAIN)) {
            return Ok(Decision::as_it_is(known, verdict));
        }
        Ok(Decision::new(self.added_to(known, until), verdict))
    }

    /// A second attempt announces the same secrets.
    fn found_in(&self, _stored: &KeysInUse) -> Option<PeerKeys> {
        None
    }
}

/// Announces the secrets of a host, and forgets the secrets that other hosts announced.
pub(crate) struct ReplaceKeys(pub(crate) AnnounceKeys);

impl Change for ReplaceKeys {
    type State = KeysInUse;
    type Verdict = ();
    type Refusal = Infallible;

    fn decide(&self, state: Option<KeysInUse>, attempt: Attempt) -> Result<Decision<KeysInUse, ()>, Infallible> {
        let Self(announced) = self;
        Ok(Decision::new(announced.in_place_of(state, attempt.now.after(announced.keep_for)), ()))
    }

    /// A second attempt announces the same secrets.
    fn found_in(&self, _stored: &KeysInUse) -> Option<()> {
        None
    }
}

/// Whether a host can read what the other hosts seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerKeys {
    /// The host accepts every secret that they seal under.
    Accepted,
    /// The host lacks at least one of these secrets.
    Lacking,
}

/// Why the secrets of a host can't be used beside those of the other hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeysDiffer {
    /// The host has another index secret.
    Index,
    /// No sealing secret is accepted both by this host and by another host.
    Sealing,
}

/// Keeps a secret until an instant, or longer where another host announced it for longer.
fn announce(list: &mut Vec<Announced>, id: KeyId, until: Timestamp) {
    match list.iter_mut().find(|(known, _)| *known == id) {
        Some((_, known)) => *known = until.max(*known),
        None => list.push((id, until)),
    }
}

/// A host does not repeat an announcement that is younger than this. Hosts that start together write once.
const ANNOUNCED_AGAIN: Duration = Duration::from_secs(60);
