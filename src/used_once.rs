//! The record of a value that is used once, such as the `jti` of a client's assertion.

use serde::{Deserialize, Serialize};

use crate::change::{Attempt, Change, Decision};
use crate::id::Mark;
use crate::time::Timestamp;
use crate::unknown_members::{Unknown, keep_unknown_members};

/// A value that was used. The record key is a MAC of the value. The record itself says only who used the value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct UsedOnce {
    /// The mark of the request that used the value.
    #[serde(rename = "m")]
    mark: Mark,
    /// From this instant on, the value is refused for its age.
    #[serde(rename = "u")]
    until: Timestamp,
    #[serde(skip)]
    unknown: Unknown,
}

keep_unknown_members!(UsedOnce);

impl UsedOnce {
    /// Returns the instant from which the value is refused for its age.
    pub(crate) fn until(&self) -> Timestamp {
        self.until
    }
}

/// Uses a value, unless another request has used it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    /// From this instant on, by the clock of any host, the value is refused for its age.
    pub(crate) until: Timestamp,
    pub(crate) mark: Mark,
}

impl Use {
    /// Returns what is stored of the use.
    pub(crate) fn state(&self) -> UsedOnce {
        UsedOnce { mark: self.mark, until: self.until, unknown: Unknown::default() }
    }
}

impl Change for Use {
    type State = UsedOnce;
    type Verdict = Used;
    type Refusal = AlreadyUsed;

    /// Any record means that the value was used, even if its time is over. Otherwise a clock that was set back would
    /// let the value be used again.
    fn decide(&self, state: Option<UsedOnce>, _: Attempt) -> Result<Decision<UsedOnce, Used>, AlreadyUsed> {
        match state {
            Some(_) => Err(AlreadyUsed),
            None => Ok(Decision::new(self.state(), Used(()))),
        }
    }

    fn found_in(&self, stored: &UsedOnce) -> Option<Used> {
        (stored.mark == self.mark).then_some(Used(()))
    }
}

/// Proof that this request, and no other, has used a value. It exists only once the use is stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Used(());

/// Another request has used the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AlreadyUsed;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const UNTIL: Timestamp = Timestamp::from_unix_secs(1_800_000_000);

    fn used(by: u8) -> Use {
        Use { until: UNTIL, mark: Mark::from_bytes([by; 8]) }
    }

    fn attempt(now: Timestamp) -> Attempt {
        Attempt { now, follows_unknown_outcome: false }
    }

    fn stored(by: u8) -> UsedOnce {
        used(by).decide(None, attempt(UNTIL)).ok().unwrap().into_parts().0
    }

    #[test]
    fn a_value_is_used_once_and_never_again() {
        for now in [Timestamp::default(), UNTIL, UNTIL.after(core::time::Duration::from_secs(1 << 40))] {
            let (state, is_new, _) = used(1).decide(None, attempt(now)).ok().unwrap().into_parts();
            assert!(is_new && state == stored(1) && state.until() == UNTIL);
            for by in [1, 2] {
                assert_eq!(used(by).decide(Some(stored(1)), attempt(now)).err(), Some(AlreadyUsed));
            }
        }
    }

    #[test]
    fn a_request_recognises_its_own_use_and_no_other() {
        assert_eq!(used(1).found_in(&stored(1)), Some(Used(())));
        assert_eq!(used(2).found_in(&stored(1)), None);
    }

    #[test]
    fn the_stored_form_stays_as_it_is() {
        let text = r#"{"m":"AQEBAQEBAQE","u":1800000000000}"#;
        assert_eq!(serde_json::to_string(&stored(1)).unwrap(), text);
        assert_eq!(serde_json::from_str::<UsedOnce>(text).unwrap(), stored(1));
        let later = r#"{"m":"AQEBAQEBAQE","u":1800000000000,"x":[1]}"#;
        assert_eq!(serde_json::to_string(&serde_json::from_str::<UsedOnce>(later).unwrap()).unwrap(), later);
    }
}
