//! The embedded store and directory. They are enough for one process, for tests and for a first login.

mod directory;
mod shard;

use core::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::{RecordKey, Tag};
pub use crate::memory::directory::MemoryDirectory;
use crate::memory::shard::Shard;
use crate::store::{Record, Store, Swap};
use crate::time::clock::{Clock, SystemClock};

/// A store in the memory of one process. Its records are lost with the process.
///
/// Each insert also deletes a few records that may be deleted, so they do not pile up. No call waits until all records
/// are swept or moved to a larger table.
pub struct MemoryStore {
    shards: Vec<CacheAligned>,
    clock: Arc<dyn Clock>,
}

/// A shard on its own cache lines. Without this, threads that use neighbouring shards would slow each other down.
#[derive(Default)]
#[repr(align(128))]
struct CacheAligned(Mutex<Shard>);

impl MemoryStore {
    /// Makes an empty store with the clock of the operating system.
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// Makes an empty store that decides by this clock which records may be deleted.
    ///
    /// A server with another clock than the system's must share its clock with its store. A store whose clock is ahead
    /// deletes records that the server still needs.
    pub fn with_clock(clock: impl Clock + 'static) -> Self {
        Self { shards: (0..SHARDS).map(|_| CacheAligned::default()).collect(), clock: Arc::new(clock) }
    }

    /// Returns how many records the store keeps.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(&shard.0).len()).sum()
    }

    /// Tells whether the store keeps no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns a copy of all records.
    pub fn records(&self) -> Vec<(RecordKey, Record)> {
        self.shards.iter().flat_map(|shard| lock(&shard.0).records().collect::<Vec<_>>()).collect()
    }

    fn shard(&self, key: &RecordKey) -> Option<MutexGuard<'_, Shard>> {
        let [first, ..] = *key.as_bytes();
        self.shards.get(usize::from(first) % SHARDS).map(|shard| lock(&shard.0))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    type Error = Infallible;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, Infallible> {
        Ok(self.shard(key).and_then(|shard| shard.load(key)))
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, Infallible> {
        let inserted_at = expected.is_none().then(|| self.clock.now());
        let Some(mut shard) = self.shard(key) else { return Ok(Swap::Conflict) };
        let outcome = shard.swap(key, expected, next);
        if let (Swap::Stored, Some(now)) = (&outcome, inserted_at) {
            let deleted = shard.sweep(now);
            // Freeing many records takes time, and no other call has to wait for it.
            drop(shard);
            drop(deleted);
        }
        Ok(outcome)
    }
}

impl core::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MemoryStore").field("len", &self.len()).finish()
    }
}

/// Locks even after a panic. A panic under the lock can't leave a half-changed state that another call would misread.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SHARDS: usize = 256;
