//! The access tokens of one session that were revoked one by one, in bounded space.

use serde::{Deserialize, Serialize};

use crate::id::{InvalidId, TokenId, TokenMark};
use crate::unknown_members::{Unknown, keep_unknown_members};

/// Access tokens that were revoked before they expired.
///
/// The latest few tokens are listed. When there are more, the oldest leaves the list. From then on, every token of the
/// session that was issued before it or together with it counts as revoked. A revoked token thus stays revoked, at the
/// price that other tokens die with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct RevokedTokens {
    /// Every token with a lower number is revoked.
    #[serde(rename = "b")]
    below: u64,
    #[serde(rename = "l")]
    listed: Listed,
    #[serde(skip)]
    unknown: Unknown,
}

keep_unknown_members!(RevokedTokens);

impl RevokedTokens {
    pub(crate) fn is_empty(&self) -> bool {
        self.below == 0 && self.listed.0.is_empty() && self.unknown.is_empty()
    }

    pub(crate) fn contains(&self, token: &TokenId) -> bool {
        self.are_revoked_up_to(token.issue()) || self.listed.0.contains(&token.mark())
    }

    /// Tells whether all tokens of this number and of all lower numbers are revoked.
    pub(crate) fn are_revoked_up_to(&self, issue: u32) -> bool {
        u64::from(issue) < self.below
    }

    /// Adds a token. Returns the lowest number that is not wholly revoked.
    pub(crate) fn insert(&mut self, token: &TokenId) -> u32 {
        self.listed.0.push(token.mark());
        while self.listed.0.len() > MOST_LISTED {
            self.fold_oldest();
        }
        u32::try_from(self.below).unwrap_or(u32::MAX)
    }

    /// Forgets all tokens. This is safe only once the session is over.
    pub(crate) fn clear(&mut self) {
        self.below = 0;
        self.listed.0.clear();
    }

    /// Empties the list when every listed token has expired.
    ///
    /// The tokens stay revoked all the same: a clock that is set back does not bring them back.
    pub(crate) fn fold(&mut self) {
        while !self.listed.0.is_empty() {
            self.fold_oldest();
        }
    }

    fn fold_oldest(&mut self) {
        let Some(oldest) = self.listed.0.iter().map(TokenMark::issue).min() else { return };
        // 64 bits, so that the highest number of 32 bits can also leave the list.
        self.below = self.below.max(u64::from(oldest).saturating_add(1));
        self.listed.0.retain(|listed| u64::from(listed.issue()) >= self.below);
    }
}

/// Written as one text, which takes less room than a list of texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Listed(Vec<TokenMark>);

impl From<Listed> for String {
    fn from(listed: Listed) -> Self {
        listed.0.into_iter().map(String::from).collect()
    }
}

impl TryFrom<String> for Listed {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        let marks = text.as_bytes().chunks(TokenMark::LEN / 3 * 4);
        marks
            .map(|mark| TokenMark::try_from(String::from_utf8_lossy(mark).into_owned()))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// This many leave the record of a session under 512 bytes, unless its client, subject and scope have long names.
const MOST_LISTED: usize = 8;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn token(issue: u32, random: u8) -> TokenId {
        TokenId::of(issue, [random; 12])
    }

    #[test]
    fn nothing_is_left_of_a_list_that_was_cleared() {
        let mut revoked = RevokedTokens::default();
        for issue in 0..20 {
            revoked.insert(&token(issue, 1));
        }
        revoked.clear();
        assert_eq!(revoked, RevokedTokens::default());
    }

    #[test]
    fn a_token_alone_is_revoked_while_there_is_room() {
        let mut revoked = RevokedTokens::default();
        for issue in [3, 1, 7, 7, 2, 9, 4, 5] {
            revoked.insert(&token(issue, 1));
        }
        for issue in 0..12 {
            assert_eq!(revoked.contains(&token(issue, 1)), [1, 2, 3, 4, 5, 7, 9].contains(&issue), "{issue}");
            assert!(!revoked.contains(&token(issue, 2)), "{issue}");
        }
    }

    #[test]
    fn what_was_revoked_stays_so_when_there_is_no_room_and_newer_tokens_live() {
        let mut revoked = RevokedTokens::default();
        for issue in (0..2000).step_by(2) {
            revoked.insert(&token(issue, 1));
            assert!(!revoked.contains(&token(issue + 1, 1)));
        }
        assert!((0..2000).step_by(2).all(|issue| revoked.contains(&token(issue, 1))));
        let json = serde_json::to_string(&revoked).unwrap();
        assert!(json.len() < 150, "{json}");
        assert_eq!(serde_json::from_str::<RevokedTokens>(&json).unwrap(), revoked);
    }

    #[test]
    fn many_tokens_of_one_number_fold_into_it() {
        let mut revoked = RevokedTokens::default();
        let lowest: Vec<u32> = (0..9).map(|random| revoked.insert(&token(5, random))).collect();
        assert_eq!(lowest, [0, 0, 0, 0, 0, 0, 0, 0, 6]);
        assert!((0..9).all(|random| revoked.contains(&token(5, random))));
        assert!(!revoked.contains(&token(6, 0)));
    }

    #[test]
    fn tokens_of_the_last_number_fold_too() {
        let mut revoked = RevokedTokens::default();
        for random in 0..9 {
            revoked.insert(&token(u32::MAX, random));
        }
        assert!(revoked.contains(&token(u32::MAX, 9)) && revoked.listed.0.is_empty());
    }

    #[test]
    fn tokens_that_leave_the_list_stay_revoked() {
        let mut revoked = RevokedTokens::default();
        // What is empty is not stored.
        assert!(revoked.is_empty());
        revoked.insert(&token(5, 1));
        assert!(!revoked.is_empty());
        revoked.fold();
        assert!(revoked.listed.0.is_empty() && !revoked.is_empty());
        assert!(revoked.contains(&token(5, 1)) && !revoked.contains(&token(6, 1)));
    }
}
