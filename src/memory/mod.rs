//! The embedded store and directory: enough for one process, for tests and for a first login.

mod directory;
mod shard;

use core::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::id::{RecordKey, Tag};
pub use crate::memory::directory::MemoryDirectory;
use crate::memory::shard::Shard;
use crate::store::{Record, Store, Swap};
use crate::time::clock::{Clock, SystemClock};

/// A store in the memory of one process. What it keeps is lost with the process.
///
/// Each insert also looks for a few records that may be deleted, so that nothing piles up. No call waits until all of them
/// are swept, or moved to a larger table.
pub struct MemoryStore {
    shards: Vec<Apart>,
    clock: Arc<dyn Clock>,
}

/// A shard on cache lines of its own: else two threads at neighbouring ones would wait for one another.
#[derive(Default)]
#[repr(align(128))]
struct Apart(Mutex<Shard>);

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::with_clock(SystemClock)
    }

    /// An empty store that finds out by this clock what may be deleted. A server with another clock than the system's
    /// has to share it with its store: one that is ahead deletes what the server still needs.
    pub fn with_clock(clock: impl Clock + 'static) -> Self {
        Self { shards: (0..SHARDS).map(|_| Apart::default()).collect(), clock: Arc::new(clock) }
    }

    /// How many records are kept.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(&shard.0).len()).sum()
    }

    /// Tells whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of everything that is kept.
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
            // Many may be freed, and nobody else has to wait for that.
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

/// A panic while the lock is held can't leave anything half changed that another call would take for something else, so the
/// lock is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SHARDS: usize = 256;
