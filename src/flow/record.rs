//! Loads a record from the store as the typed state that it holds. A record that this version may not decide on is left
//! as it is.

use core::num::NonZeroU32;

use crate::directory::Directory;
use crate::flow::core::Core;
use crate::guard::destination::Destination;
use crate::id::{RecordKey, Tag};
use crate::otp::authenticator::Authenticator;
use crate::otp::limits::Limits;
use crate::secret::keys_in_use::KeysInUse;
use crate::session::Session;
use crate::store::{Body, Record, RecordBody, Store};
use crate::time::Timestamp;
use crate::used_once::UsedOnce;
use crate::wire::error::Unavailable;

/// Loads the state under `key`.
pub(crate) async fn load<T: State, S: Store, D: Directory>(
    core: &Core<S, D>,
    key: RecordKey,
) -> Result<Loaded<T>, Unavailable> {
    let record = core.store.load(&key).await.map_err(|error| core.store_failed(&error))?;
    let now = core.clock.now();
    let Some(Record { tag, body, .. }) = record else {
        return Ok(Loaded { key, tag: None, state: None, now });
    };
    let state = T::from_body(body).map_err(|undecidable| core.faulted(&undecidable))?;
    Ok(Loaded { key, tag: Some(tag), state: Some(state), now })
}

/// A state, the tag with which it was stored, and when it was loaded.
pub(crate) struct Loaded<T> {
    pub(super) key: RecordKey,
    pub(super) tag: Option<Tag>,
    pub(super) state: Option<T>,
    pub(super) now: Timestamp,
}

impl<T> Loaded<T> {
    /// Returns the state, if there is one. The rules of the state say whether it has expired.
    pub(crate) fn state(&self) -> Option<&T> {
        self.state.as_ref()
    }

    /// Returns when the state was loaded.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }
}

/// A state that has its own record.
pub(crate) trait State: Sized {
    /// Reads the state in a body, unless this version may not decide on it.
    fn from_body(body: RecordBody) -> Result<Self, Undecidable>;
    fn into_body(self) -> RecordBody;
    fn delete_after(&self, limits: &Limits) -> Timestamp;
}

impl State for Authenticator {
    fn from_body(body: RecordBody) -> Result<Self, Undecidable> {
        match body.0 {
            Body::Authenticator(state) => Ok(state),
            other => Err(Undecidable::of(&other)),
        }
    }

    fn into_body(self) -> RecordBody {
        RecordBody(Body::Authenticator(self))
    }

    fn delete_after(&self, limits: &Limits) -> Timestamp {
        Authenticator::delete_after(self, limits)
    }
}

impl State for Session {
    fn from_body(body: RecordBody) -> Result<Self, Undecidable> {
        match body.0 {
            Body::Session(state) => Ok(state),
            other => Err(Undecidable::of(&other)),
        }
    }

    fn into_body(self) -> RecordBody {
        RecordBody(Body::Session(self))
    }

    fn delete_after(&self, _limits: &Limits) -> Timestamp {
        // A revoked session is kept for the same time. Otherwise a write that arrives late could bring it back.
        self.expires_at()
    }
}

impl State for KeysInUse {
    fn from_body(body: RecordBody) -> Result<Self, Undecidable> {
        match body.0 {
            Body::KeysInUse(state) => Ok(state),
            other => Err(Undecidable::of(&other)),
        }
    }

    fn into_body(self) -> RecordBody {
        RecordBody(Body::KeysInUse(self))
    }

    fn delete_after(&self, _limits: &Limits) -> Timestamp {
        self.forgotten_at()
    }
}

impl State for UsedOnce {
    fn from_body(body: RecordBody) -> Result<Self, Undecidable> {
        match body.0 {
            Body::UsedOnce(state) => Ok(state),
            other => Err(Undecidable::of(&other)),
        }
    }

    fn into_body(self) -> RecordBody {
        RecordBody(Body::UsedOnce(self))
    }

    fn delete_after(&self, _limits: &Limits) -> Timestamp {
        self.until()
    }
}

impl State for Destination {
    fn from_body(body: RecordBody) -> Result<Self, Undecidable> {
        match body.0 {
            Body::Destination(state) => Ok(state),
            other => Err(Undecidable::of(&other)),
        }
    }

    fn into_body(self) -> RecordBody {
        RecordBody(Body::Destination(self))
    }

    fn delete_after(&self, _limits: &Limits) -> Timestamp {
        Destination::delete_after(self)
    }
}

/// Why nothing is decided on a stored record. The record stays as it is.
#[derive(Debug)]
pub(crate) enum Undecidable {
    /// The key has a record of another kind. Two secrets or two issuers were mixed up.
    WrongKind,
    /// A later version wrote the record.
    Later { format: NonZeroU32 },
    /// A later version wrote the record, and that version has more kinds of records.
    UnknownKind,
}

impl Undecidable {
    fn of(body: &Body) -> Self {
        match body {
            Body::Later(later) => later.format().map_or(Self::UnknownKind, |format| Self::Later { format }),
            Body::Authenticator(_)
            | Body::Session(_)
            | Body::KeysInUse(_)
            | Body::UsedOnce(_)
            | Body::Destination(_) => Self::WrongKind,
        }
    }
}

impl core::fmt::Display for Undecidable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::WrongKind => f.write_str("a stored record is of the wrong kind"),
            Self::Later { format } => {
                write!(f, "a stored record has format {format}, which is later than this version decides on")
            }
            Self::UnknownKind => f.write_str("a stored record is of a kind that this version does not know"),
        }
    }
}

impl core::error::Error for Undecidable {}
