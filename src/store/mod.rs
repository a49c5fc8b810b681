//! The port to persistence.

#[cfg(feature = "conformance")]
pub mod conformance;

use core::future::Future;

use serde::{Deserialize, Serialize};

use crate::id::{RecordKey, Tag};
use crate::otp::authenticator::Authenticator;
use crate::secret::keys_in_use::KeysInUse;
use crate::session::Session;
use crate::time::Timestamp;

/// Keeps records. Two operations, both atomic for one key.
///
/// # What has to hold
///
/// - **`swap` is one atomic step**: it compares and writes with nothing in between. A read followed by a write is not
///   enough; two requests slip between them, and a code is accepted twice. In SQL, with `tag` a column:
///
///   ```sql
///   -- expected = Some(tag)
///   UPDATE records SET tag = $next_tag, value = $value, delete_after = $delete_after WHERE key = $key AND tag = $tag;
///   -- expected = None
///   INSERT INTO records (key, tag, value, delete_after) VALUES (...) ON CONFLICT (key) DO NOTHING;
///   ```
///
///   One row affected is [`Swap::Stored`], none is [`Swap::Conflict`]. The isolation level `READ COMMITTED` is enough.
/// - **`load` sees every `swap` that was answered before it began.** A replica that lags is not enough.
/// - **What was stored stays stored** until its `delete_after`. A cache that evicts forgets how often was guessed.
/// - A record *may* be deleted from its `delete_after` on, by the host's own time, and does not have to be.
///
/// # When it fails
///
/// An error may mean that a swap was applied, or not, or will be. The core finds out with one more `load`. It never
/// assumes either.
pub trait Store: Send + Sync {
    /// What goes wrong in this store. It reaches the host's [`Observer`](crate::Observer), never a client.
    type Error: core::error::Error + Send + Sync + 'static;

    /// The record that is kept under `key`.
    fn load(&self, key: &RecordKey) -> impl Future<Output = Result<Option<Record>, Self::Error>> + Send;

    /// Puts `next` in place only if what is stored now carries the tag `expected`, or if nothing is stored for `None`.
    fn swap(
        &self,
        key: &RecordKey,
        expected: Option<Tag>,
        next: &Record,
    ) -> impl Future<Output = Result<Swap, Self::Error>> + Send;
}

/// How a swap ended.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The record is in place.
    Stored,
    /// Something else was stored than expected. Nothing was changed.
    Conflict,
}

/// What is kept under one key. An adapter looks at no more than `tag` and `delete_after`.
///
/// It serializes with serde, in formats that name the members of structures: JSON, CBOR (`ciborium`) and MessagePack with
/// names (`rmp_serde::to_vec_named`) carry every record. Members without a value are left out, so formats without names
/// don't work: postcard, bincode and compact MessagePack (`rmp_serde::to_vec`) lose track of which member is which, and
/// fail when they read. The conformance suite finds an adapter that loses anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Identifies this write.
    pub tag: Tag,
    /// From this instant on the record may be deleted.
    pub delete_after: Timestamp,
    /// What is kept. No part of it can be replayed: it has no code, no token, no phone number and no e-mail address.
    pub body: RecordBody,
}

/// The three kinds of records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RecordBody {
    /// Of one phone number or e-mail address.
    Authenticator(Authenticator),
    /// Of one login session.
    Session(Session),
    /// Of one issuer: which secrets its hosts work with, by their names.
    KeysInUse(KeysInUse),
}

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
