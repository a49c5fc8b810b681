//! The promises of a store, and the report of a broken one.

use core::error::Error;

use crate::store::Record;

/// Names a promise of [`Store`](crate::Store), in the words of its documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Promise {
    /// `load` gives the record that is kept under the key, whole.
    LoadedWhole,
    /// `load` gives the record that is kept under this key, and no other's.
    KeysApart,
    /// `swap` puts a record in place only if what is stored carries the tag that was expected.
    ComparesTag,
    /// `swap` puts a record in place only if nothing is stored, when it expects nothing.
    InsertsIfAbsent,
    /// After a `Conflict` nothing was changed.
    ConflictChangesNothing,
    /// `swap` is one atomic step: it compares and writes with nothing in between.
    AtomicSwap,
    /// `swap` is one atomic step: a swap that was answered is done, and is not done once more later.
    AppliedOnce,
    /// `load` sees every `swap` that was answered before it began.
    SeesAnswered,
    /// What was stored stays stored until its `delete_after`.
    StaysStored,
    /// A record may be deleted from its `delete_after` on, and does not have to be. It is there for `load` and `swap`
    /// alike, or for neither.
    DeletedAltogether,
}

impl Promise {
    fn as_str(self) -> &'static str {
        match self {
            Self::LoadedWhole => "`load` gives the record that is kept under the key, whole",
            Self::KeysApart => "`load` gives the record that is kept under this key, and no other's",
            Self::ComparesTag => "`swap` puts a record in place only if what is stored carries the expected tag",
            Self::InsertsIfAbsent => "`swap` that expects nothing puts a record in place only if nothing is stored",
            Self::ConflictChangesNothing => "after a `Conflict` nothing was changed",
            Self::AtomicSwap => "`swap` is one atomic step: it compares and writes with nothing in between",
            Self::AppliedOnce => "`swap` is one atomic step: what was answered is not done once more later",
            Self::SeesAnswered => "`load` sees every `swap` that was answered before it began",
            Self::StaysStored => "what was stored stays stored until its `delete_after`",
            Self::DeletedAltogether => "a record is there for `load` and `swap` alike, or for neither",
        }
    }
}

impl core::fmt::Display for Promise {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Says why a store did not pass: it broke a promise, or one of its calls failed.
///
/// The text says which check failed, what was expected and what was found. It names records by their tags.
#[derive(Debug)]
pub struct Violation {
    check: &'static str,
    kind: Kind,
}

impl Violation {
    /// Returns the promise that was broken. `None` if a call failed, which leaves the promises untested.
    pub fn promise(&self) -> Option<Promise> {
        match self.kind {
            Kind::Broken { promise, .. } => Some(promise),
            Kind::Failed { .. } => None,
        }
    }

    /// Returns the name of the function of this module that found the violation.
    pub fn check(&self) -> &'static str {
        self.check
    }

    pub(super) fn broken(check: &'static str, promise: Promise, expected: String, found: String) -> Self {
        Self { check, kind: Kind::Broken { promise, expected, found } }
    }

    pub(super) fn failed(check: &'static str, call: &'static str, cause: impl Error + Send + Sync + 'static) -> Self {
        Self { check, kind: Kind::Failed { call, cause: Box::new(cause) } }
    }
}

impl core::fmt::Display for Violation {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.kind {
            Kind::Broken { promise, expected, found } => {
                write!(f, "broken promise: {promise} ({}: expected {expected}, found {found})", self.check)
            }
            Kind::Failed { call, .. } => write!(f, "{call} failed ({})", self.check),
        }
    }
}

impl Error for Violation {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::Broken { .. } => None,
            Kind::Failed { cause, .. } => Some(&**cause),
        }
    }
}

#[derive(Debug)]
enum Kind {
    Broken {
        promise: Promise,
        expected: String,
        found: String,
    },
    Failed {
        call: &'static str,
        /// An error of any store.
        cause: Box<dyn Error + Send + Sync>,
    },
}

/// Describes a record or its absence in a few words.
pub(super) fn describe(record: Option<&Record>) -> String {
    match record {
        None => "nothing".to_owned(),
        Some(Record { tag, delete_after, .. }) => {
            format!("the record {tag:?} to be kept until {}", delete_after.as_unix_millis())
        }
    }
}
