//! The embedded directory: clients, auth sources, and users with their addresses, in the memory of one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::address::Address;
use crate::directory::{AuthSource, Client, ClientRegistry, SignUp, User, UserClaims, UserStatus, UserStore};
use crate::entropy::{Entropy, EntropyUnavailable, SystemEntropy};
use crate::id::{AuthSourceId, ClientId, Subject};
use crate::memory::lock;
use crate::scope::Scope;

/// A directory in the memory of one process. It is a registry of clients and a store of users; a host can use it as one
/// of the two.
#[derive(Debug, Default)]
pub struct MemoryDirectory {
    clients: HashMap<ClientId, Arc<Client>>,
    auth_sources: HashMap<AuthSourceId, Arc<AuthSource>>,
    users: Mutex<Users>,
}

impl MemoryDirectory {
    /// Makes an empty directory.
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
        let mut users = lock(&self.users);
        let slot = users.put(user);
        users.by_address.extend(addresses.into_iter().map(|address| (address, slot)));
        drop(users);
        self
    }

    /// Adds a user, or replaces the user with the same subject.
    pub fn put_user(&self, user: User) {
        lock(&self.users).put(user);
    }

    /// Deletes a user and their claims. Their subject is never given to another user.
    pub fn remove_user(&self, subject: &Subject) {
        lock(&self.users).remove(subject);
    }

    /// Sets the claims of a user. All clients see the same claims.
    pub fn put_claims(&self, subject: Subject, claims: UserClaims) {
        lock(&self.users).claims.insert(subject, claims);
    }
}

impl ClientRegistry for MemoryDirectory {
    type Error = EntropyUnavailable;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, EntropyUnavailable> {
        Ok(self.clients.get(id).cloned())
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, EntropyUnavailable> {
        Ok(self.auth_sources.get(id).cloned())
    }
}

impl UserStore for MemoryDirectory {
    type Error = EntropyUnavailable;

    async fn user_by_address(&self, address: &Address) -> Result<Option<User>, EntropyUnavailable> {
        Ok(lock(&self.users).of_address(address).cloned())
    }

    async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, EntropyUnavailable> {
        Ok(lock(&self.users).of_subject(subject).cloned())
    }

    async fn user_claims(
        &self,
        subject: &Subject,
        _client: &ClientId,
        _scope: &Scope,
    ) -> Result<UserClaims, EntropyUnavailable> {
        Ok(lock(&self.users).claims.get(subject).cloned().unwrap_or_default())
    }

    async fn sign_up(&self, address: &Address) -> Result<SignUp, EntropyUnavailable> {
        let mut users = lock(&self.users);
        if let Some(user) = users.of_address(address) {
            return Ok(SignUp::Accepted(user.clone()));
        }
        // Random, so that no subject is ever given to another user, not even by the next process.
        let mut bytes = [0; 16];
        SystemEntropy::default().fill(&mut bytes)?;
        let user = User::new(Subject::random(bytes), UserStatus::Active);
        let slot = users.put(user.clone());
        users.by_address.insert(address.clone(), slot);
        Ok(SignUp::Accepted(user))
    }
}

/// Users in slots. An address leads to its user with one table lookup.
#[derive(Debug, Default)]
struct Users {
    slots: Vec<Option<User>>,
    vacant: Vec<usize>,
    by_address: HashMap<Address, usize>,
    by_subject: HashMap<Subject, usize>,
    claims: HashMap<Subject, UserClaims>,
}

impl Users {
    fn of_address(&self, address: &Address) -> Option<&User> {
        self.at(*self.by_address.get(address)?)
    }

    fn of_subject(&self, subject: &Subject) -> Option<&User> {
        self.at(*self.by_subject.get(subject)?)
    }

    fn at(&self, slot: usize) -> Option<&User> {
        self.slots.get(slot)?.as_ref()
    }

    /// Replaces the user with the same subject, or puts a new user into a free slot.
    fn put(&mut self, user: User) -> usize {
        let slot = match self.by_subject.get(&user.subject) {
            Some(slot) => *slot,
            None => {
                let slot = self.vacant.pop().unwrap_or(self.slots.len());
                self.by_subject.insert(user.subject.clone(), slot);
                slot
            }
        };
        match self.slots.get_mut(slot) {
            Some(occupant) => *occupant = Some(user),
            None => self.slots.push(Some(user)),
        }
        slot
    }

    /// A slot becomes vacant only when nothing refers to it any more.
    fn remove(&mut self, subject: &Subject) {
        self.claims.remove(subject);
        let Some(slot) = self.by_subject.remove(subject) else { return };
        self.by_address.retain(|_, other| *other != slot);
        if let Some(occupant) = self.slots.get_mut(slot) {
            *occupant = None;
            self.vacant.push(slot);
        }
    }
}
