//! The port to the host's clients, auth sources and users.

use core::future::Future;
use std::sync::Arc;

use crate::address::Address;
use crate::client::{AuthSource, Client, User};
use crate::id::{AuthSourceId, ClientId, Subject};

/// Looks up what the host knows.
///
/// Addresses arrive normalised; the directory has to keep its own in the same form, which the server's
/// [`AddressPolicy`](crate::AddressPolicy) produces. An error is answered with 503 and spends at most one guess.
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

    /// The user that an address belongs to. `SELECT subject, status FROM users WHERE phone_number = $1`
    ///
    /// For logins it is asked only after the caller has proved the address, so its timing tells nothing.
    fn user_by_address(&self, address: &Address) -> impl Future<Output = Result<Option<User>, Self::Error>> + Send;

    /// The user of this subject. `SELECT subject, status FROM users WHERE subject = $1`
    fn user_by_subject(&self, subject: &Subject) -> impl Future<Output = Result<Option<User>, Self::Error>> + Send;

    /// Creates the user of an address, or gets them where they exist: two calls for one address, at the same time or
    /// after a failure, give one user.
    /// `INSERT … ON CONFLICT (phone_number) DO UPDATE SET phone_number = excluded.phone_number RETURNING subject, status`
    fn sign_up(&self, address: &Address) -> impl Future<Output = Result<User, Self::Error>> + Send;
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

    fn sign_up(&self, address: &Address) -> impl Future<Output = Result<User, Self::Error>> + Send {
        (**self).sign_up(address)
    }
}
