//! The ports to the data of the host: its clients, its auth sources and its users.

pub(crate) mod assertion;
pub(crate) mod auth_method;
pub(crate) mod auth_source;
pub(crate) mod authenticated_client;
pub(crate) mod client;
pub(crate) mod custom_claims;
mod erased;
pub(crate) mod user;

use core::future::{Future, ready};
use std::sync::Arc;

use crate::address::Address;
pub use crate::directory::auth_method::{AuthMethodMismatch, ClientAuthMethod, UnknownAuthMethod};
pub use crate::directory::auth_source::AuthSource;
pub use crate::directory::client::{Client, ScopeNotAllowed};
pub use crate::directory::custom_claims::{CustomClaims, InvalidClaim};
pub use crate::directory::erased::ErasedDirectory;
pub use crate::directory::user::{SignUp, User, UserClaims, UserStatus};
pub use crate::erased::ErasedError;
use crate::id::{AuthSourceId, ClientId, Subject};
use crate::scope::Scope;

/// Looks up everything that the server needs: a [`ClientRegistry`] and a [`UserStore`].
///
/// There are two ports, because hosts often keep clients in a configuration file and users in a database, with
/// different errors. A type that implements both ports is a directory. A pair of a registry and a user store is also a
/// directory:
///
/// ```
/// use std::sync::Arc;
///
/// use otp_grant::{Address, Client, ClientId, Directory, MemoryDirectory, Scope, Subject};
/// use otp_grant::User;
/// use otp_grant::directory::{SignUp, UserClaims, UserStore};
///
/// struct UsersOfTheDatabase;
///
/// impl UserStore for UsersOfTheDatabase {
///     type Error = std::io::Error;
///
///     async fn user_by_address(&self, _address: &Address) -> Result<Option<User>, Self::Error> {
///         Ok(None) // SELECT … FROM users WHERE phone_number = $1
///     }
///
///     async fn user_by_subject(&self, _subject: &Subject) -> Result<Option<User>, Self::Error> {
///         Ok(None) // SELECT … FROM users WHERE subject = $1
///     }
///
///     async fn user_claims(&self, _: &Subject, _: &ClientId, _: &Scope) -> Result<UserClaims, Self::Error> {
///         Ok(UserClaims::new())
///     }
///
///     async fn sign_up(&self, _address: &Address) -> Result<SignUp, Self::Error> {
///         Ok(SignUp::Refused)
///     }
/// }
///
/// fn is_a_directory(_: &impl Directory) {}
///
/// let clients = MemoryDirectory::new().with_client(Client::public(ClientId::new("app")?));
/// is_a_directory(&(clients, Arc::new(UsersOfTheDatabase)));
/// # Ok::<(), otp_grant::id::InvalidId>(())
/// ```
pub trait Directory: ClientRegistry + UserStore {}

impl<D: ClientRegistry + UserStore> Directory for D {}

/// Looks up clients and auth sources.
///
/// The server answers an error with 503. At the token endpoint this happens before a guess is charged.
pub trait ClientRegistry: Send + Sync {
    /// An error of this registry. It reaches the host's [`Observer`](crate::observer::Observer), and never a client.
    type Error: core::error::Error + Send + Sync + 'static;

    /// Returns the client with this identifier. `SELECT … FROM clients WHERE id = $1`
    fn client(&self, id: &ClientId) -> impl Future<Output = Result<Option<Arc<Client>>, Self::Error>> + Send;

    /// Returns the auth source with this identifier. `SELECT … FROM auth_sources WHERE id = $1`
    fn auth_source(
        &self,
        id: &AuthSourceId,
    ) -> impl Future<Output = Result<Option<Arc<AuthSource>>, Self::Error>> + Send;
}

/// Looks up users, and signs them up.
///
/// Addresses arrive normalised. The store must keep its own addresses in the same form, which the server's
/// [`AddressPolicy`](crate::AddressPolicy) produces. The server answers an error with 503, and gives back the guess
/// that the request has charged.
///
/// **Addresses that lead to one user must have one budget.** Guesses are counted per budget. Suppose that a store finds
/// a user by several forms of one address, for example with and without dots. An attacker could then guess anew with
/// each form, and 25 guesses a day would become 25 per form. Such a store must look users up by
/// [`AddressPolicy::budget_of`](crate::AddressPolicy::budget_of), and must pass its rules to
/// [`AddressPolicy::with_budgets`](crate::AddressPolicy::with_budgets). A user who has several addresses, such as a
/// phone number and a mailbox, has a budget for each.
pub trait UserStore: Send + Sync {
    /// An error of this store. It reaches the host's [`Observer`](crate::observer::Observer), and never a client.
    type Error: core::error::Error + Send + Sync + 'static;

    /// Returns the user that an address belongs to.
    ///
    /// `SELECT subject, status, tokens_valid_after FROM users WHERE phone_number = $1`
    ///
    /// For a login, the server calls this only after the caller has proved the address, so its timing tells nothing.
    /// The store must not find one user by forms of one address that have different budgets (see [`UserStore`]).
    fn user_by_address(&self, address: &Address) -> impl Future<Output = Result<Option<User>, Self::Error>> + Send;

    /// Returns the user with this subject.
    ///
    /// `SELECT subject, status, tokens_valid_after FROM users WHERE subject = $1`
    ///
    /// The server calls this at each refresh, introspection and userinfo request, and when the host [checks an access
    /// token](crate::AuthorizationServer::check_access_token). A change of the status or of
    /// [`tokens_valid_after`](User::tokens_valid_after) therefore takes effect at once.
    fn user_by_subject(&self, subject: &Subject) -> impl Future<Output = Result<Option<User>, Self::Error>> + Send;

    /// Returns the claims of a user that a client may see. `SELECT name, email, … FROM users WHERE subject = $1`
    ///
    /// The server filters the standard claims by `scope` afterwards (OpenID Connect Core section 5.4), so the store may
    /// return all standard claims that it has. It must return only those other claims that `client` may see under
    /// `scope`.
    fn user_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> impl Future<Output = Result<UserClaims, Self::Error>> + Send;

    /// Creates the user of an address, or returns the existing user.
    ///
    /// `INSERT … ON CONFLICT (phone_number) DO UPDATE SET phone_number = excluded.phone_number RETURNING subject,
    /// status, tokens_valid_after`
    ///
    /// Two calls for one address must give one user, whether they run at the same time or the second one follows a
    /// failure. The server calls this only where [the client may sign users up](Client::without_sign_up).
    ///
    /// [`SignUp::Refused`] is a decision: the server answers 400 `User not found`, and the guess stays charged. An
    /// error is a failure: the server answers 503.
    fn sign_up(&self, address: &Address) -> impl Future<Output = Result<SignUp, Self::Error>> + Send;

    /// Returns the part of the requested scope that a user is granted. Defaults to all of `requested`.
    ///
    /// With `None` the user is granted nothing, and the server answers `invalid_scope`. The answer can only narrow the
    /// scope: the server ignores tokens of the answer that are not in `requested`.
    ///
    /// The server calls this:
    ///
    /// - at each login, once the user is known and active
    /// - at each refresh
    /// - at each introspection of a refresh token, to say what a refresh would give
    ///
    /// A login that is refused for its scope keeps its guess charged, and its code stays good. A session keeps the
    /// scope that its login was granted. A token that one refresh leaves out can come back with the next refresh. No
    /// refresh gets more than the login.
    ///
    /// **A scope is not a role.** A scope says what a client may do in the name of a user. It does not say what the
    /// user may do: an access token keeps its scope until it expires, even if the user loses rights. An API must check
    /// the rights of the user where they are kept. Use this hook for scopes that are of no use to a user, such as the
    /// scope of a feature that the user has not booked.
    ///
    /// RFC 6749 section 3.3.
    fn granted_scope(
        &self,
        user: &User,
        client: &ClientId,
        requested: Scope,
    ) -> impl Future<Output = Result<Option<Scope>, Self::Error>> + Send {
        let _ = (user, client);
        ready(Ok(Some(requested)))
    }

    /// Returns the claims that the host adds to the access tokens of a user, such as the tenant. Defaults to none.
    ///
    /// The server calls this each time it makes an access token: at each login and refresh, with the granted scope. A
    /// caller who holds the token can read these claims, and so can an attacker who has stolen it. The claims stay as
    /// they are until the token expires. Introspection does not repeat them.
    ///
    /// RFC 9068 section 2.2.
    fn access_token_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> impl Future<Output = Result<CustomClaims, Self::Error>> + Send {
        let _ = (subject, client, scope);
        ready(Ok(CustomClaims::new()))
    }
}

impl<C: ClientRegistry> ClientRegistry for Arc<C> {
    type Error = C::Error;

    fn client(&self, id: &ClientId) -> impl Future<Output = Result<Option<Arc<Client>>, Self::Error>> + Send {
        (**self).client(id)
    }

    fn auth_source(
        &self,
        id: &AuthSourceId,
    ) -> impl Future<Output = Result<Option<Arc<AuthSource>>, Self::Error>> + Send {
        (**self).auth_source(id)
    }
}

impl<U: UserStore> UserStore for Arc<U> {
    type Error = U::Error;

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

    fn sign_up(&self, address: &Address) -> impl Future<Output = Result<SignUp, Self::Error>> + Send {
        (**self).sign_up(address)
    }

    fn granted_scope(
        &self,
        user: &User,
        client: &ClientId,
        requested: Scope,
    ) -> impl Future<Output = Result<Option<Scope>, Self::Error>> + Send {
        (**self).granted_scope(user, client, requested)
    }

    fn access_token_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> impl Future<Output = Result<CustomClaims, Self::Error>> + Send {
        (**self).access_token_claims(subject, client, scope)
    }
}

/// Delegates to the first of the pair.
impl<C: ClientRegistry, U: Send + Sync> ClientRegistry for (C, U) {
    type Error = C::Error;

    fn client(&self, id: &ClientId) -> impl Future<Output = Result<Option<Arc<Client>>, Self::Error>> + Send {
        self.0.client(id)
    }

    fn auth_source(
        &self,
        id: &AuthSourceId,
    ) -> impl Future<Output = Result<Option<Arc<AuthSource>>, Self::Error>> + Send {
        self.0.auth_source(id)
    }
}

/// Delegates to the second of the pair.
impl<C: Send + Sync, U: UserStore> UserStore for (C, U) {
    type Error = U::Error;

    fn user_by_address(&self, address: &Address) -> impl Future<Output = Result<Option<User>, Self::Error>> + Send {
        self.1.user_by_address(address)
    }

    fn user_by_subject(&self, subject: &Subject) -> impl Future<Output = Result<Option<User>, Self::Error>> + Send {
        self.1.user_by_subject(subject)
    }

    fn user_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> impl Future<Output = Result<UserClaims, Self::Error>> + Send {
        self.1.user_claims(subject, client, scope)
    }

    fn sign_up(&self, address: &Address) -> impl Future<Output = Result<SignUp, Self::Error>> + Send {
        self.1.sign_up(address)
    }

    fn granted_scope(
        &self,
        user: &User,
        client: &ClientId,
        requested: Scope,
    ) -> impl Future<Output = Result<Option<Scope>, Self::Error>> + Send {
        self.1.granted_scope(user, client, requested)
    }

    fn access_token_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> impl Future<Output = Result<CustomClaims, Self::Error>> + Send {
        self.1.access_token_claims(subject, client, scope)
    }
}
