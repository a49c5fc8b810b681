//! The port to the host's clients, auth sources and users.

pub(crate) mod auth_source;
pub(crate) mod client;
mod erased;
pub(crate) mod user;

use core::future::Future;
use std::sync::Arc;

use crate::address::Address;
pub use crate::directory::auth_source::AuthSource;
pub use crate::directory::client::{Client, ScopeNotAllowed};
pub use crate::directory::erased::ErasedDirectory;
pub use crate::directory::user::{User, UserClaims, UserStatus};
pub use crate::erased::ErasedError;
use crate::id::{AuthSourceId, ClientId, Subject};
use crate::scope::Scope;

/// Looks up what the host knows.
///
/// Addresses arrive normalised; the directory has to keep its own in the same form, which the server's
/// [`AddressPolicy`](crate::AddressPolicy) produces. An error is answered with 503, and the guess is given back.
///
/// **Addresses that lead to one user must have one budget.** Guesses are counted for each budget. A directory that finds a
/// user by another form of the address than the one it was given, for example without dots, lets an attacker guess anew
/// with each form: 25 guesses a day become as many as there are forms. Such a directory looks users up by
/// [`AddressPolicy::budget_of`](crate::AddressPolicy::budget_of), and its rules go to
/// [`AddressPolicy::with_budgets`](crate::AddressPolicy::with_budgets). A user who has several addresses of their own, such
/// as a telephone and a mailbox, has a budget for each.
pub trait Directory: Send + Sync {
    /// What goes wrong in this directory. It reaches the host's [`Observer`](crate::Observer), never a client.
    type Error: core::error::Error + Send + Sync + 'static;

    /// The client of this identifier. `SELECT … FROM clients WHERE id = $1`
    fn client(&self, id: &ClientId) -> impl Future<Output = Result<Option<Arc<Client>>, Self::Error>> + Send;

    /// The auth source of this identifier. `SELECT … FROM auth_sources WHERE id = $1`
    fn auth_source(
        &self,
        id: &AuthSourceId,
    ) -> impl Future<Output = Result<Option<Arc<AuthSource>>, Self::Error>> + Send;

    /// The user that an address belongs to. `SELECT subject, status, tokens_valid_after FROM users WHERE phone_number = $1`
    ///
    /// For logins it is asked only after the caller has proved the address, so its timing tells nothing. It must not find
    /// one user by addresses of different budgets that are forms of one address (see [`Directory`]).
    fn user_by_address(&self, address: &Address) -> impl Future<Output = Result<Option<User>, Self::Error>> + Send;

    /// The user of this subject. `SELECT subject, status, tokens_valid_after FROM users WHERE subject = $1`
    ///
    /// It is asked at each refresh, introspection and userinfo request: what it says of the status and of
    /// [`tokens_valid_after`](User::tokens_valid_after) takes effect at once.
    fn user_by_subject(&self, subject: &Subject) -> impl Future<Output = Result<Option<User>, Self::Error>> + Send;

    /// What a client may see of a user. `SELECT name, email, … FROM users WHERE subject = $1`
    ///
    /// Standard claims are filtered by `scope` afterwards (OpenID Connect Core section 5.4), so a directory may return
    /// all that it has. Of other claims it returns those that `client` may see under `scope`.
    fn user_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> impl Future<Output = Result<UserClaims, Self::Error>> + Send;

    /// Creates the user of an address, or gets them where they exist: two calls for one address, at the same time or
    /// after a failure, give one user.
    /// `INSERT … ON CONFLICT (phone_number) DO UPDATE SET phone_number = excluded.phone_number RETURNING subject, status, tokens_valid_after`
    ///
    /// `None` refuses: the address may not sign up. The client is told that there is no such user.
    fn sign_up(&self, address: &Address) -> impl Future<Output = Result<Option<User>, Self::Error>> + Send;
}

impl<D: Directory> Directory for Arc<D> {
    type Error = D::Error;

    fn client(&self, id: &ClientId) -> impl Future<Output = Result<Option<Arc<Client>>, Self::Error>> + Send {
        (**self).client(id)
    }

    fn auth_source(
        &self,
        id: &AuthSourceId,
    ) -> impl Future<Output = Result<Option<Arc<AuthSource>>, Self::Error>> + Send {
        (**self).auth_source(id)
    }

    fn user_by_address(&self, address: &Address) -> impl Future<Output = Result<Option<User>, Self::Error>> + Send {
        (**self).user_by_address(address)
    }

    fn user_by_subject(&self, subject: &Subject) -> impl Future<Output = Result<Option<User>, Self::Error>> + Send {
        (**self).user_by_subject(subject)
    }

    fn user_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> impl Future<Output = Result<UserClaims, Self::Error>> + Send {
        (**self).user_claims(subject, client, scope)
    }

    fn sign_up(&self, address: &Address) -> impl Future<Output = Result<Option<User>, Self::Error>> + Send {
        (**self).sign_up(address)
    }
}
