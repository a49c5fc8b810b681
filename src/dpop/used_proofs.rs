//! The proofs that one record has seen. It takes constant space, never accepts a proof twice, and at worst refuses a
//! proof that arrives out of order.

use base64::Engine;
use serde::{Deserialize, Serialize};

use crate::base64url::BASE64URL;
use crate::dpop::ProofUse;
use crate::id::ProofMark;
use crate::time::Timestamp;
use crate::unknown_members::{Unknown, keep_unknown_members};

/// The latest proofs of a challenge or a session, and the instant up to which every proof counts as used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct UsedProofs {
    #[serde(rename = "f", skip_serializing_if = "Option::is_none", default)]
    floor: Option<Timestamp>,
    #[serde(rename = "r")]
    recent: Recent,
    #[serde(skip)]
    unknown: Unknown,
}

keep_unknown_members!(UsedProofs);

impl UsedProofs {
    pub(crate) fn is_empty(&self) -> bool {
        self.floor.is_none() && self.recent.0.is_empty() && self.unknown.is_empty()
    }

    /// Tells whether a proof was not used yet.
    pub(crate) fn admits(&self, proof: &ProofUse) -> bool {
        let is_stale = self.floor.is_some_and(|floor| floor.has_reached(proof.issued_at));
        !is_stale && !self.recent.0.iter().any(|(mark, _)| *mark == proof.mark)
    }

    /// Records a proof. Without room for it, the oldest proof leaves, and no proof of its second or an earlier one is
    /// accepted any more.
    pub(crate) fn record(&mut self, proof: &ProofUse) {
        self.recent.0.push((proof.mark, proof.issued_at));
        while self.recent.0.len() > MOST_RECENT {
            let Some(oldest) = self.recent.0.iter().map(|(_, issued_at)| *issued_at).min() else { return };
            self.floor = self.floor.max(Some(oldest));
            self.recent.0.retain(|(_, issued_at)| !oldest.has_reached(*issued_at));
        }
    }
}

/// Written as one text, which takes less room than a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Recent(Vec<(ProofMark, Timestamp)>);

impl From<Recent> for String {
    fn from(recent: Recent) -> Self {
        let entry = |(mark, issued_at): &(ProofMark, Timestamp)| {
            let [_, secs @ ..] = issued_at.as_unix_secs().to_be_bytes();
            let mut bytes = [0; ENTRY];
            let (head, tail) = bytes.split_at_mut(ProofMark::LEN);
            head.copy_from_slice(mark.as_bytes());
            tail.copy_from_slice(&secs);
            BASE64URL.encode(bytes)
        };
        recent.0.iter().map(entry).collect()
    }
}

impl TryFrom<String> for Recent {
    type Error = InvalidEntry;

    fn try_from(text: String) -> Result<Self, InvalidEntry> {
        let entry = |chunk: &[u8]| {
            let mut bytes = [0; ENTRY];
            match BASE64URL.decode_slice(chunk, &mut bytes) {
                Ok(ENTRY) => {}
                _ => return Err(InvalidEntry),
            }
            let (mark, secs) = bytes.split_first_chunk::<{ ProofMark::LEN }>().ok_or(InvalidEntry)?;
            let secs = secs.iter().fold(0, |secs, byte| secs << 8 | u64::from(*byte));
            Ok((ProofMark::from_bytes(*mark), Timestamp::from_unix_secs(secs)))
        };
        text.as_bytes().chunks(ENTRY / 3 * 4).map(entry).collect::<Result<_, _>>().map(Self)
    }
}

/// A stored proof can't be read.
#[derive(Debug)]
struct InvalidEntry;

impl core::fmt::Display for InvalidEntry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not a used proof")
    }
}

/// The mark of a proof and seven bytes of seconds.
const ENTRY: usize = ProofMark::LEN + 7;
const MOST_RECENT: usize = 8;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::dpop::name_of_proof;
    use crate::id::KeyThumbprint;

    fn proof(jti: u32, secs: u64) -> ProofUse {
        let key = KeyThumbprint::from_bytes([7; 32]);
        ProofUse::named(key, &name_of_proof(&key, &jti.to_string()), Timestamp::from_unix_secs(secs))
    }

    #[test]
    fn a_proof_is_admitted_once_whatever_comes_between() {
        let mut used = UsedProofs::default();
        assert!(used.is_empty());
        let mut admitted = Vec::new();
        for jti in 0..200 {
            // Out of order by up to four seconds.
            let next = proof(jti, 1000 + u64::from(jti) - u64::from(jti % 5));
            if used.admits(&next) {
                used.record(&next);
                admitted.push(next);
            }
            assert!(admitted.iter().all(|proof| !used.admits(proof)), "{jti}");
            assert!(used.recent.0.len() <= MOST_RECENT);
        }
        assert!(admitted.len() > 150, "{}", admitted.len());
    }

    #[test]
    fn proofs_of_one_second_have_room_and_then_wait_for_the_next_second() {
        let mut used = UsedProofs::default();
        for jti in 0..8 {
            assert!(used.admits(&proof(jti, 50)));
            used.record(&proof(jti, 50));
        }
        used.record(&proof(8, 51));
        assert!(!used.admits(&proof(9, 50)) && used.admits(&proof(9, 51)));
        assert!(!used.admits(&proof(8, 51)));
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let mut used = UsedProofs::default();
        for jti in 0..20 {
            used.record(&proof(jti, 1_800_000_000 + u64::from(jti)));
        }
        let json = serde_json::to_string(&used).unwrap();
        assert!(json.len() < 200, "{json}");
        assert_eq!(serde_json::from_str::<UsedProofs>(&json).unwrap(), used);
        for broken in [r#"{"r":"AAAA"}"#, r#"{"r":"AAAAAAAAAAAAAAAAAAA="}"#, r#"{"r":"é"}"#] {
            assert!(serde_json::from_str::<UsedProofs>(broken).is_err(), "{broken}");
        }
    }
}
