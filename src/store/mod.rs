//! The port to persistence, and the format in which records are stored.

#[cfg(feature = "conformance")]
pub mod conformance;
mod erased;

use core::fmt;
use core::future::Future;
use core::num::NonZeroU32;

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, VariantAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

pub use crate::erased::ErasedError;
use crate::guard::destination::Destination;
use crate::id::{RecordKey, Tag};
use crate::otp::authenticator::Authenticator;
use crate::secret::keys_in_use::KeysInUse;
use crate::session::{Session, SessionFormat};
pub use crate::store::erased::ErasedStore;
use crate::time::Timestamp;
use crate::unknown_members::Value;
use crate::used_once::UsedOnce;

/// Keeps records. It has two operations, and both are atomic for one key.
///
/// # What a store must guarantee
///
/// - **`swap` is one atomic step**: it compares and writes with nothing in between. A read followed by a write is not
///   enough: two requests slip between them, and a code is accepted twice. In SQL, with `tag` a column:
///
///   ```sql
///   -- expected = Some(tag)
///   UPDATE records SET tag = $next_tag, value = $value, delete_after = $delete_after WHERE key = $key AND tag = $tag;
///   -- expected = None
///   INSERT INTO records (key, tag, value, delete_after) VALUES (...) ON CONFLICT (key) DO NOTHING;
///   ```
///
///   One affected row is [`Swap::Stored`], and none is [`Swap::Conflict`]. The isolation level `READ COMMITTED` is
///   enough.
/// - **`load` sees every `swap` that was answered before it began.** A replica that lags is not enough.
/// - **What was stored stays stored** until its `delete_after`. A cache that evicts records forgets how many guesses
///   were made.
/// - A record *may* be deleted from its `delete_after` on, by the host's own time. It does not have to be deleted.
///
/// # When it fails
///
/// After an error, a swap may have been applied, or may not, or may still be applied later. The core loads the record
/// once more to find out. It never assumes either outcome.
pub trait Store: Send + Sync {
    /// The error of this store. It reaches the host's [`Observer`](crate::observer::Observer), never a client.
    type Error: core::error::Error + Send + Sync + 'static;

    /// Loads the record that is kept under `key`.
    fn load(&self, key: &RecordKey) -> impl Future<Output = Result<Option<Record>, Self::Error>> + Send;

    /// Puts `next` in place only if the stored record has the tag `expected`. For `None`, it does so only if nothing is
    /// stored.
    fn swap(
        &self,
        key: &RecordKey,
        expected: Option<Tag>,
        next: &Record,
    ) -> impl Future<Output = Result<Swap, Self::Error>> + Send;
}

/// The outcome of a swap.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a store makes it, and a compare-and-swap has no third outcome")]
pub enum Swap {
    /// The record is in place.
    Stored,
    /// The stored record is not the expected one. Nothing was changed.
    Conflict,
}

/// A record, which is kept under one key. An adapter needs only `tag` and `delete_after`.
///
/// It serializes with serde, in the formats that can carry its [`RecordBody`]. The conformance suite finds an adapter
/// that loses anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// Identifies this write.
    pub tag: Tag,
    /// The instant from which the record may be deleted.
    pub delete_after: Timestamp,
    /// The content. No part of it can be replayed: it has no code, no token, no phone number and no e-mail address.
    pub body: RecordBody,
}

impl Record {
    /// Puts together what an adapter has read.
    pub fn new(tag: Tag, delete_after: Timestamp, body: RecordBody) -> Self {
        Self { tag, delete_after, body }
    }
}

/// The content of a record: the state of one phone number or e-mail address, of one login session, of the secrets
/// that the hosts of one issuer work with, of a value that is used once, or of a destination of messages. An adapter
/// stores it unchanged.
///
/// # Formats
///
/// A body serializes with serde in formats that name the members of structures and can read a value of any type: JSON,
/// CBOR (`ciborium`) and MessagePack with names (`rmp_serde::to_vec_named`). [`to_bytes`](Self::to_bytes) and
/// [`from_bytes`](Self::from_bytes) are JSON.
///
/// Formats without names do not work: postcard, bincode and compact MessagePack (`rmp_serde::to_vec`). Members without
/// a value are left out, and members of later versions are kept. Such a format then loses track of which member is
/// which, and fails to read.
///
/// A store that allows several formats must not translate one into another by its own rules. A document database may
/// reorder members, but must not drop, rename or round them. Integers have up to 64 bits.
///
/// # Versions
///
/// A body says which version may decide on it. Members that this version does not know are kept, and are written back
/// with every change. If a later version has stored a body on which only later versions may decide, the request is
/// answered with 503. The [`Observer`](crate::observer::Observer) is told why, and the body stays unchanged.
/// `UPGRADING.md` has the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordBody(pub(crate) Body);

impl RecordBody {
    /// Writes the body as JSON.
    ///
    /// ```
    /// # fn test(body: &otp_grant::store::RecordBody) -> Result<(), otp_grant::store::InvalidRecord> {
    /// let bytes = body.to_bytes()?;
    /// assert_eq!(otp_grant::store::RecordBody::from_bytes(&bytes)?, *body);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`InvalidRecord`] where a later version's body can't be written as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, InvalidRecord> {
        serde_json::to_vec(self).map_err(|_| InvalidRecord(()))
    }

    /// Reads what [`to_bytes`](Self::to_bytes) of this version, an earlier version or a later version has written.
    ///
    /// # Errors
    /// [`InvalidRecord`] where the bytes are not a body.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidRecord> {
        serde_json::from_slice(bytes).map_err(|_| InvalidRecord(()))
    }

    /// Returns the kind of the body: `authenticator` (one phone number or e-mail address), `session`, `keys_in_use`,
    /// `used` (a value that is used once), `destination` (what the send guard counts of messages), or a kind of a later
    /// version.
    pub fn kind(&self) -> &str {
        match &self.0 {
            Body::Authenticator(_) => AUTHENTICATOR,
            Body::Session(_) => SESSION,
            Body::KeysInUse(_) => KEYS_IN_USE,
            Body::UsedOnce(_) => USED_ONCE,
            Body::Destination(_) => DESTINATION,
            Body::Later(later) => later.kind.split_once(FORMAT_SEPARATOR).map_or(&*later.kind, |(kind, _)| kind),
        }
    }
}

impl Serialize for RecordBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Body::Authenticator(state) => serializer.serialize_newtype_variant(NAME, 0, AUTHENTICATOR, state),
            Body::Session(state) => match state.format() {
                SessionFormat::First => serializer.serialize_newtype_variant(NAME, 1, SESSION, state),
                SessionFormat::WithKey => serializer.serialize_newtype_variant(NAME, 4, SESSION_2, state),
                SessionFormat::OfTestIdentity => serializer.serialize_newtype_variant(NAME, 5, SESSION_3, state),
            },
            Body::KeysInUse(state) => serializer.serialize_newtype_variant(NAME, 2, KEYS_IN_USE, state),
            Body::UsedOnce(state) => serializer.serialize_newtype_variant(NAME, 3, USED_ONCE, state),
            Body::Destination(state) => serializer.serialize_newtype_variant(NAME, 6, DESTINATION, state),
            Body::Later(later) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(&later.kind, &later.content)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for RecordBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum(NAME, &KINDS, AnyKind)
    }
}

/// The kinds of records.
///
/// The kind contains the format that a body needs (`session.2`). The format is then read before any member whose
/// meaning it may have changed, in whatever order a store keeps members. Format 1 is not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// The state of one phone number or e-mail address.
    Authenticator(Authenticator),
    /// The state of one login session.
    Session(Session),
    /// The names of the secrets that the hosts of one issuer work with.
    KeysInUse(KeysInUse),
    /// A value that was used.
    UsedOnce(UsedOnce),
    /// What is counted of the messages to a destination.
    Destination(Destination),
    /// A body that only a later version may decide on.
    Later(Box<Later>),
}

/// A body on which this version may not decide, unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Later {
    kind: String,
    content: Value,
}

impl Later {
    /// Returns the lowest format that may decide on the body, if this version knows its kind.
    pub(crate) fn format(&self) -> Option<NonZeroU32> {
        let (kind, format) = self.kind.split_once(FORMAT_SEPARATOR)?;
        KINDS.contains(&kind).then(|| format.parse().ok()).flatten()
    }
}

struct AnyKind;

impl<'de> Visitor<'de> for AnyKind {
    type Value = RecordBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of a record")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<RecordBody, A::Error> {
        let (kind, content) = data.variant_seed(KindName)?;
        Ok(RecordBody(match kind {
            Kind::Authenticator => Body::Authenticator(content.newtype_variant()?),
            Kind::Session => Body::Session(content.newtype_variant()?),
            Kind::KeysInUse => Body::KeysInUse(content.newtype_variant()?),
            Kind::UsedOnce => Body::UsedOnce(content.newtype_variant()?),
            Kind::Destination => Body::Destination(content.newtype_variant()?),
            Kind::Later(kind) => Body::Later(Box::new(Later { kind, content: content.newtype_variant()? })),
        }))
    }
}

enum Kind {
    Authenticator,
    Session,
    KeysInUse,
    UsedOnce,
    Destination,
    Later(String),
}

struct KindName;

impl<'de> DeserializeSeed<'de> for KindName {
    type Value = Kind;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KindName {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a kind of records")
    }

    fn visit_str<E>(self, kind: &str) -> Result<Kind, E> {
        Ok(match kind {
            AUTHENTICATOR => Kind::Authenticator,
            SESSION | SESSION_2 | SESSION_3 => Kind::Session,
            KEYS_IN_USE => Kind::KeysInUse,
            USED_ONCE => Kind::UsedOnce,
            DESTINATION => Kind::Destination,
            later => Kind::Later(later.to_owned()),
        })
    }
}

/// The bytes are not the body of a record, or a body can't be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRecord(());

impl fmt::Display for InvalidRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the body of a record")
    }
}

impl core::error::Error for InvalidRecord {}

const NAME: &str = "RecordBody";
const AUTHENTICATOR: &str = "authenticator";
const SESSION: &str = "session";
const KEYS_IN_USE: &str = "keys_in_use";
const USED_ONCE: &str = "used";
const DESTINATION: &str = "destination";
/// A session whose client has proved a key.
const SESSION_2: &str = "session.2";
/// A session that began by a test identity.
const SESSION_3: &str = "session.3";
const KINDS: [&str; 7] = [AUTHENTICATOR, SESSION, KEYS_IN_USE, USED_ONCE, SESSION_2, SESSION_3, DESTINATION];
const FORMAT_SEPARATOR: char = '.';

impl<S: Store> Store for &S {
    type Error = S::Error;

    fn load(&self, key: &RecordKey) -> impl Future<Output = Result<Option<Record>, Self::Error>> + Send {
        (**self).load(key)
    }

    fn swap(
        &self,
        key: &RecordKey,
        expected: Option<Tag>,
        next: &Record,
    ) -> impl Future<Output = Result<Swap, Self::Error>> + Send {
        (**self).swap(key, expected, next)
    }
}

impl<S: Store> Store for std::sync::Arc<S> {
    type Error = S::Error;

    fn load(&self, key: &RecordKey) -> impl Future<Output = Result<Option<Record>, Self::Error>> + Send {
        (**self).load(key)
    }

    fn swap(
        &self,
        key: &RecordKey,
        expected: Option<Tag>,
        next: &Record,
    ) -> impl Future<Output = Result<Swap, Self::Error>> + Send {
        (**self).swap(key, expected, next)
    }
}
