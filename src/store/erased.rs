//! A store whose type is chosen at run time.

use core::fmt;
use std::sync::Arc;

use crate::erased::{Boxed, ErasedError};
use crate::id::{RecordKey, Tag};
use crate::store::{Record, Store, Swap};

/// Any [`Store`], for a host that reads from its configuration which one it uses.
///
/// It is cheap to clone. Each call allocates once, for its future, beside what the store itself does.
///
/// ```
/// use otp_grant::MemoryStore;
/// use otp_grant::store::ErasedStore;
///
/// let store = match "memory" {
///     "memory" => ErasedStore::new(MemoryStore::new()),
///     // "postgres" => ErasedStore::new(PostgresStore::connect(…).await?),
///     _ => return,
/// };
/// ```
#[derive(Clone)]
pub struct ErasedStore(Arc<dyn DynStore>);

impl ErasedStore {
    /// Erases the type of a store.
    pub fn new(store: impl Store + 'static) -> Self {
        Self(Arc::new(store))
    }
}

impl Store for ErasedStore {
    type Error = ErasedError;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, ErasedError> {
        self.0.load(key).await
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, ErasedError> {
        self.0.swap(key, expected, next).await
    }
}

impl fmt::Debug for ErasedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasedStore").finish_non_exhaustive()
    }
}

/// The store with its futures boxed.
trait DynStore: Send + Sync {
    fn load<'a>(&'a self, key: &'a RecordKey) -> Boxed<'a, Option<Record>>;
    fn swap<'a>(&'a self, key: &'a RecordKey, expected: Option<Tag>, next: &'a Record) -> Boxed<'a, Swap>;
}

impl<S: Store> DynStore for S {
    fn load<'a>(&'a self, key: &'a RecordKey) -> Boxed<'a, Option<Record>> {
        Box::pin(async move { Store::load(self, key).await.map_err(ErasedError::new) })
    }

    fn swap<'a>(&'a self, key: &'a RecordKey, expected: Option<Tag>, next: &'a Record) -> Boxed<'a, Swap> {
        Box::pin(async move { Store::swap(self, key, expected, next).await.map_err(ErasedError::new) })
    }
}
