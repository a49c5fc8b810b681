//! Uses a value once: an assertion of a client is good for one request.

use crate::directory::Directory;
use crate::flow::commit::{Refused, Turn};
use crate::flow::record::Loaded;
use crate::id::{Mark, RecordKey};
use crate::store::Store;
use crate::time::Timestamp;
use crate::used_once::{AlreadyUsed, Use, Used};
use crate::wire::error::Unavailable;

/// Uses the value whose record has this key ([`Keyring::used_once_key`](crate::Keyring::used_once_key)).
///
/// `until` is the first instant at which every host refuses the value for its age, by its own clock. The record is kept
/// for the clock tolerance longer, because the clock by which it is deleted can be ahead of the clock of a host.
///
/// This costs one swap, which expects that nothing is stored. Of any number of parallel requests, the store answers
/// `Stored` to one. On a conflict or an error, the record is loaded: its mark tells whether this request has written
/// it.
///
/// Call this only for a value that was verified. Otherwise an attacker could use up a value of another client.
pub(crate) async fn use_once<S: Store, D: Directory>(
    turn: &mut Turn<'_, S, D>,
    key: RecordKey,
    until: Timestamp,
) -> Result<Used, UsedOnceRefused> {
    let mark = Mark::from_bytes(turn.random()?);
    let nothing = Loaded { key, tag: None, state: None, now: turn.core.clock.now() };
    match turn.commit(nothing, &Use { until, mark }).await {
        // A slow store can have deleted the record of an earlier use before it stored this one.
        Ok((used, _)) if !turn.core.clock.now().has_reached(until) => Ok(used),
        Ok(_) => Err(UsedOnceRefused::Used),
        Err(Refused::ByRule(AlreadyUsed)) => Err(UsedOnceRefused::Used),
        Err(Refused::Unavailable) => Err(UsedOnceRefused::Unavailable),
    }
}

/// Why a value may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UsedOnceRefused {
    /// Another request has used it, or its time is over.
    Used,
    /// The store failed. The value can be used up.
    Unavailable,
}

impl From<Unavailable> for UsedOnceRefused {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}
