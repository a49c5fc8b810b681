//! Loads the records of the store, each as the state that it keeps.

use crate::directory::Directory;
use crate::flow::core::Core;
use crate::id::{RecordKey, Tag};
use crate::otp::authenticator::{Authenticator, Limits};
use crate::secret::keys_in_use::KeysInUse;
use crate::session::Session;
use crate::store::{Record, RecordBody, Store};
use crate::time::Timestamp;
use crate::wire::error::Unavailable;

/// Loads the state that is kept under `key`.
pub(crate) async fn load<T: State, S: Store, D: Directory>(
    core: &Core<S, D>,
    key: RecordKey,
) -> Result<Loaded<T>, Unavailable> {
    let record = core.store.load(&key).await.map_err(|error| core.store_failed(&error))?;
    let now = core.clock.now();
    let Some(Record { tag, body, .. }) = record else {
        return Ok(Loaded { key, tag: None, state: None, now });
    };
    let state = T::from_body(body).ok_or_else(|| core.faulted(&WrongKind))?;
    Ok(Loaded { key, tag: Some(tag), state: Some(state), now })
}

/// A state, the tag that it was stored with, and when it was loaded.
pub(crate) struct Loaded<T> {
    pub(super) key: RecordKey,
    pub(super) tag: Option<Tag>,
    pub(super) state: Option<T>,
    pub(super) now: Timestamp,
}

impl<T> Loaded<T> {
    /// The state, if there is one. Whether it has expired is for its rules to say.
    pub(crate) fn state(&self) -> Option<&T> {
        self.state.as_ref()
    }

    /// When it was loaded.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }
}

/// A state that has a record of its own.
pub(crate) trait State: Sized {
    fn from_body(body: RecordBody) -> Option<Self>;
    fn into_body(self) -> RecordBody;
    fn delete_after(&self, limits: &Limits) -> Timestamp;
}

impl State for Authenticator {
    fn from_body(body: RecordBody) -> Option<Self> {
        match body {
            RecordBody::Authenticator(state) => Some(state),
            RecordBody::Session(_) | RecordBody::KeysInUse(_) => None,
        }
    }

    fn into_body(self) -> RecordBody {
        RecordBody::Authenticator(self)
    }

    fn delete_after(&self, limits: &Limits) -> Timestamp {
        Authenticator::delete_after(self, limits)
    }
}

impl State for Session {
    fn from_body(body: RecordBody) -> Option<Self> {
        match body {
            RecordBody::Session(state) => Some(state),
            RecordBody::Authenticator(_) | RecordBody::KeysInUse(_) => None,
        }
    }

    fn into_body(self) -> RecordBody {
        RecordBody::Session(self)
    }

    fn delete_after(&self, _limits: &Limits) -> Timestamp {
        // A revoked session is kept for as long: a write of it that arrives late must not bring it back.
        self.expires_at()
    }
}

impl State for KeysInUse {
    fn from_body(body: RecordBody) -> Option<Self> {
        match body {
            RecordBody::KeysInUse(state) => Some(state),
            RecordBody::Authenticator(_) | RecordBody::Session(_) => None,
        }
    }

    fn into_body(self) -> RecordBody {
        RecordBody::KeysInUse(self)
    }

    fn delete_after(&self, _limits: &Limits) -> Timestamp {
        self.forgotten_at()
    }
}

/// A record of another kind lies under the key: two secrets or issuers were mixed up.
#[derive(Debug)]
struct WrongKind;

impl core::fmt::Display for WrongKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a stored record is of the wrong kind")
    }
}

impl core::error::Error for WrongKind {}
