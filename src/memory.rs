//! The embedded store and directory: enough for one process, for tests and for a first login.

mod shard;

use core::convert::Infallible;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::address::Address;
use crate::client::{AuthSource, Client};
use crate::clock::{Clock, SystemClock};
use crate::directory::Directory;
use crate::entropy::{Entropy, EntropyUnavailable, SystemEntropy};
use crate::id::{AuthSourceId, ClientId, RecordKey, Subject, Tag};
use crate::memory::shard::Shard;
use crate::scope::Scope;
use crate::store::{Record, Store, Swap};
use crate::user::{User, UserClaims, UserStatus};

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

/// A directory in the memory of one process.
#[derive(Debug, Default)]
pub struct MemoryDirectory {
    clients: HashMap<ClientId, Arc<Client>>,
    auth_sources: HashMap<AuthSourceId, Arc<AuthSource>>,
    users: Mutex<Users>,
}

impl MemoryDirectory {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a client.
    #[must_use]
    pub fn with_client(mut self, client: Client) -> Self {
        self.clients.insert(client.id().clone(), Arc::new(client));
        self
    }

    /// Adds an auth source.
    #[must_use]
    pub fn with_auth_source(mut self, source: AuthSource) -> Self {
        self.auth_sources.insert(source.id().clone(), Arc::new(source));
        self
    }

    /// Adds a user with their addresses.
    #[must_use]
    pub fn with_user(self, user: User, addresses: impl IntoIterator<Item = Address>) -> Self {
        lock(&self.users).by_address.extend(addresses.into_iter().map(|address| (address, user.subject.clone())));
        self.put_user(user);
        self
    }

    /// Adds a user, or replaces one of the same subject.
    pub fn put_user(&self, user: User) {
        lock(&self.users).by_subject.insert(user.subject.clone(), user);
    }

    /// Deletes a user, with their claims. Their subject is given to nobody else.
    pub fn remove_user(&self, subject: &Subject) {
        let mut users = lock(&self.users);
        users.by_subject.remove(subject);
        users.claims.remove(subject);
        users.by_address.retain(|_, owner| owner != subject);
    }

    /// Says what clients may see of a user, all clients the same.
    pub fn put_claims(&self, subject: Subject, claims: UserClaims) {
        lock(&self.users).claims.insert(subject, claims);
    }
}

impl Directory for MemoryDirectory {
    type Error = EntropyUnavailable;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, EntropyUnavailable> {
        Ok(self.clients.get(id).cloned())
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, EntropyUnavailable> {
        Ok(self.auth_sources.get(id).cloned())
    }

    async fn user_by_address(&self, address: &Address) -> Result<Option<User>, EntropyUnavailable> {
        let users = lock(&self.users);
        Ok(users.by_address.get(address).and_then(|subject| users.by_subject.get(subject)).cloned())
    }

    async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, EntropyUnavailable> {
        Ok(lock(&self.users).by_subject.get(subject).cloned())
    }

    async fn user_claims(
        &self,
        subject: &Subject,
        _client: &ClientId,
        _scope: &Scope,
    ) -> Result<UserClaims, EntropyUnavailable> {
        Ok(lock(&self.users).claims.get(subject).cloned().unwrap_or_default())
    }

    async fn sign_up(&self, address: &Address) -> Result<User, EntropyUnavailable> {
        let mut users = lock(&self.users);
        if let Some(user) = users.by_address.get(address).and_then(|subject| users.by_subject.get(subject)) {
            return Ok(user.clone());
        }
        // Random, so that no subject is ever given to somebody else, not even by the next process.
        let mut bytes = [0; 16];
        SystemEntropy::default().fill(&mut bytes)?;
        let user = User::new(Subject::random(bytes), UserStatus::Active);
        users.by_address.insert(address.clone(), user.subject.clone());
        users.by_subject.insert(user.subject.clone(), user.clone());
        Ok(user)
    }
}

#[derive(Debug, Default)]
struct Users {
    by_address: HashMap<Address, Subject>,
    by_subject: HashMap<Subject, User>,
    claims: HashMap<Subject, UserClaims>,
}

/// A panic while the lock is held can't leave a map half changed, so the lock is used on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SHARDS: usize = 256;
