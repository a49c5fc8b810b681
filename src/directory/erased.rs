//! A directory whose type is chosen at run time.

use core::fmt;
use std::sync::Arc;

use crate::address::Address;
use crate::directory::auth_source::AuthSource;
use crate::directory::client::Client;
use crate::directory::custom_claims::CustomClaims;
use crate::directory::user::{SignUp, User, UserClaims};
use crate::directory::{ClientRegistry, Directory, UserStore};
use crate::erased::{Boxed, ErasedError};
use crate::id::{AuthSourceId, ClientId, Subject};
use crate::scope::Scope;

/// Any [`Directory`], for a host that chooses its directory at run time.
///
/// It is cheap to clone. Each call allocates once, for its future, besides what the directory itself allocates.
#[derive(Clone)]
pub struct ErasedDirectory(Arc<dyn DynDirectory>);

impl ErasedDirectory {
    /// Erases the type of a directory.
    pub fn new(directory: impl Directory + 'static) -> Self {
        Self(Arc::new(directory))
    }
}

impl ClientRegistry for ErasedDirectory {
    type Error = ErasedError;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, ErasedError> {
        self.0.client(id).await
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, ErasedError> {
        self.0.auth_source(id).await
    }
}

impl UserStore for ErasedDirectory {
    type Error = ErasedError;

    async fn user_by_address(&self, address: &Address) -> Result<Option<User>, ErasedError> {
        self.0.user_by_address(address).await
    }

    async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, ErasedError> {
        self.0.user_by_subject(subject).await
    }

    async fn user_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> Result<UserClaims, ErasedError> {
        self.0.user_claims(subject, client, scope).await
    }

    async fn sign_up(&self, address: &Address) -> Result<SignUp, ErasedError> {
        self.0.sign_up(address).await
    }

    async fn granted_scope(
        &self,
        user: &User,
        client: &ClientId,
        requested: Scope,
    ) -> Result<Option<Scope>, ErasedError> {
        self.0.granted_scope(user, client, requested).await
    }

    async fn access_token_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> Result<CustomClaims, ErasedError> {
        self.0.access_token_claims(subject, client, scope).await
    }
}

impl fmt::Debug for ErasedDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasedDirectory").finish_non_exhaustive()
    }
}

/// A directory whose futures are boxed.
trait DynDirectory: Send + Sync {
    fn client<'a>(&'a self, id: &'a ClientId) -> Boxed<'a, Option<Arc<Client>>>;
    fn auth_source<'a>(&'a self, id: &'a AuthSourceId) -> Boxed<'a, Option<Arc<AuthSource>>>;
    fn user_by_address<'a>(&'a self, address: &'a Address) -> Boxed<'a, Option<User>>;
    fn user_by_subject<'a>(&'a self, subject: &'a Subject) -> Boxed<'a, Option<User>>;
    fn user_claims<'a>(&'a self, subject: &'a Subject, client: &'a ClientId, scope: &'a Scope)
    -> Boxed<'a, UserClaims>;
    fn sign_up<'a>(&'a self, address: &'a Address) -> Boxed<'a, SignUp>;
    fn granted_scope<'a>(&'a self, user: &'a User, client: &'a ClientId, requested: Scope) -> Boxed<'a, Option<Scope>>;
    fn access_token_claims<'a>(
        &'a self,
        subject: &'a Subject,
        client: &'a ClientId,
        scope: &'a Scope,
    ) -> Boxed<'a, CustomClaims>;
}

impl<D: Directory> DynDirectory for D {
    fn client<'a>(&'a self, id: &'a ClientId) -> Boxed<'a, Option<Arc<Client>>> {
        Box::pin(async move { ClientRegistry::client(self, id).await.map_err(ErasedError::new) })
    }

    fn auth_source<'a>(&'a self, id: &'a AuthSourceId) -> Boxed<'a, Option<Arc<AuthSource>>> {
        Box::pin(async move { ClientRegistry::auth_source(self, id).await.map_err(ErasedError::new) })
    }

    fn user_by_address<'a>(&'a self, address: &'a Address) -> Boxed<'a, Option<User>> {
        Box::pin(async move { UserStore::user_by_address(self, address).await.map_err(ErasedError::new) })
    }

    fn user_by_subject<'a>(&'a self, subject: &'a Subject) -> Boxed<'a, Option<User>> {
        Box::pin(async move { UserStore::user_by_subject(self, subject).await.map_err(ErasedError::new) })
    }

    fn user_claims<'a>(
        &'a self,
        subject: &'a Subject,
        client: &'a ClientId,
        scope: &'a Scope,
    ) -> Boxed<'a, UserClaims> {
        Box::pin(async move { UserStore::user_claims(self, subject, client, scope).await.map_err(ErasedError::new) })
    }

    fn sign_up<'a>(&'a self, address: &'a Address) -> Boxed<'a, SignUp> {
        Box::pin(async move { UserStore::sign_up(self, address).await.map_err(ErasedError::new) })
    }

    fn granted_scope<'a>(&'a self, user: &'a User, client: &'a ClientId, requested: Scope) -> Boxed<'a, Option<Scope>> {
        Box::pin(async move { UserStore::granted_scope(self, user, client, requested).await.map_err(ErasedError::new) })
    }

    fn access_token_claims<'a>(
        &'a self,
        subject: &'a Subject,
        client: &'a ClientId,
        scope: &'a Scope,
    ) -> Boxed<'a, CustomClaims> {
        Box::pin(
            async move { UserStore::access_token_claims(self, subject, client, scope).await.map_err(ErasedError::new) },
        )
    }
}
