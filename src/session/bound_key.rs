//! The key that a session is bound to, and the proofs of that key that were used (RFC 9449 sections 5 and 11.1).

use serde::{Deserialize, Serialize};

use crate::dpop::used_proofs::UsedProofs;
use crate::dpop::{KeyThumbprint, ProofUse};
use crate::unknown_members::{Unknown, keep_unknown_members};

/// What the client of a session has proved with DPoP. A session without a proof has none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct ProvenKey {
    /// The key that refresh tokens need. A confidential client authenticates with each refresh, and so its refresh
    /// tokens need no key.
    #[serde(rename = "b", skip_serializing_if = "Option::is_none", default)]
    bound: Option<BoundKey>,
    #[serde(rename = "p", skip_serializing_if = "UsedProofs::is_empty", default)]
    used: UsedProofs,
    #[serde(skip)]
    unknown: Unknown,
}

keep_unknown_members!(ProvenKey);

/// A key, and the first generation of refresh tokens that needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BoundKey {
    #[serde(rename = "k")]
    pub(super) key: KeyThumbprint,
    #[serde(rename = "g")]
    pub(super) from: u32,
}

impl ProvenKey {
    /// Begins with the proof of a login. The proof of a public client also binds its refresh tokens.
    pub(super) fn of_login(proof: &PresentedKey) -> Box<Self> {
        let mut proven = Self::default();
        proven.record(proof, 0);
        Box::new(proven)
    }

    /// Records a proof. Binds the refresh tokens from `generation` on, unless they are bound already.
    pub(super) fn record(&mut self, proof: &PresentedKey, generation: u32) {
        self.used.record(&proof.proof);
        if proof.binds_refresh_tokens && self.bound.is_none() {
            self.bound = Some(BoundKey { key: proof.proof.key, from: generation });
        }
    }

    /// Returns the key that refresh tokens need.
    pub(super) fn bound(&self) -> Option<BoundKey> {
        self.bound
    }

    pub(super) fn admits(&self, proof: &ProofUse) -> bool {
        self.used.admits(proof)
    }
}

/// A proof that a client presents for its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PresentedKey {
    pub(crate) proof: ProofUse,
    /// Whether the refresh tokens of the client are bound to the key. Those of a public client are, unless its tokens
    /// are not bound to keys any more.
    pub(crate) binds_refresh_tokens: bool,
}
