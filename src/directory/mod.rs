//! The ports to what the host knows: its clients and auth sources, and its users.

pub(crate) mod auth_source;
pub(crate) mod client;
pub(crate) mod custom_claims;
mod erased;
pub(crate) mod user;

use core::future::{Future, ready};
use std::sync::Arc;

use crate::address::Address;
pub use crate::directory::auth_source::AuthSource;
pub use crate::directory::client::{Client, ScopeNotAllowed};
pub use crate::directory::custom_claims::{CustomClaims, InvalidClaim};
pub use crate::directory::erased::ErasedDirectory;
pub use crate::directory::user::{SignUp, User, UserClaims, UserStatus};
pub use crate::erased::ErasedError;
use crate::id::{AuthSourceId, ClientId, Subject};
use crate::scope::Scope;

/// Everything that the server looks up: a [`ClientRegistry`] and a [`UserStore`].
///
/// The two ports are apart because hosts keep the two apart: clients often stand in a configuration file, and users in
/// a database, with errors of their own. A type that implements both is a directory. So is a pair of a registry and a
/// store of users:
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
/// An error is answered with 503. At the token endpoint it happens before a guess is charged.
pub trait ClientRegistry: Send + Sync {
    /// What goes wrong in this registry. It reaches the host's [`Observer`](crate::observer::Observer), never a client.
    type Error: core::error::Error + Send + Sync + 'static;

    /// The client of this identifier. `SELECT … FROM clients WHERE id = $1`
    fn client(&self, id: &ClientId) -> impl Future<Output = Result<Option<Arc<Client>>, Self::Error>> + Send;

    /// The auth source of this identifier. `SELECT … FROM auth_sources WHERE id = $1`
    fn auth_source(
        &self,
        id: &AuthSourceId,
    ) -> impl Future<Output = Result<Option<Arc<AuthSource>>, Self::Error>> + Send;
}

/// Looks up users, and signs them up.
///
/// Addresses arrive normalised; the store has to keep its own in the same form, which the server's
/// [`AddressPolicy`](crate::AddressPolicy) produces. An error is answered with 503, and the guess is given back.
///
/// **Addresses that lead to one user must have one budget.** Guesses are counted for each budget. A store that finds a
/// user by another form of the address than the one it was given, for example without dots, lets an attacker guess anew
/// with each form: 25 guesses a day become as many as there are forms. Such a store looks users up by
/// [`AddressPolicy::budget_of`](crate::AddressPolicy::budget_of), and its rules go to
/// [`AddressPolicy::with_budgets`](crate::AddressPolicy::with_budgets). A user who has several addresses of their own,
/// such as a telephone and a mailbox, has a budget for each.
pub trait UserStore: Send + Sync {
    /// What goes wrong in this store. It reaches the host's [`Observer`](crate::observer::Observer), never a client.
    type Error: core::error::Error + Send + Sync + 'static;

    /// The user that an address belongs to. `SELECT subject, status, tokens_valid_after FROM users WHERE phone_number = $1`
    ///
    /// For logins it is asked only after the caller has proved the address, so its timing tells nothing. It must not find
    /// one user by addresses of different budgets that are forms of one address (see [`UserStore`]).
    fn user_by_address(&self, address: &Address) -> impl Future<Output = Result<Option<User>, Self::Error>> + Send;

    /// The user of this subject. `SELECT subject, status, tokens_valid_after FROM users WHERE subject = $1`
    ///
    /// It is asked at each refresh, introspection and userinfo request: what it says of the status and of
    /// [`tokens_valid_after`](User::tokens_valid_after) takes effect at once.
    fn user_by_subject(&self, subject: &Subject) -> impl Future<Output = Result<Option<User>, Self::Error>> + Send;

    /// What a client may see of a user. `SELECT name, email, … FROM users WHERE subject = $1`
    ///
    /// Standard claims are filtered by `scope` afterwards (OpenID Connect Core section 5.4), so a store may return
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
    /// It is asked only where [the client may sign users up](Client::that_may_not_sign_up). [`SignUp::Refused`] is a
    /// decision, and an error is a failure: a refusal is answered with 400 `User not found` and keeps the guess
    /// charged, and an error with 503.
    fn sign_up(&self, address: &Address) -> impl Future<Output = Result<SignUp, Self::Error>> + Send;

    /// The scope that a user is granted, of the scope that the client may have. `None` grants nothing: the answer is
    /// `invalid_scope`. Defaults to all of `requested`.
    ///
    /// It can only narrow. Tokens in its answer that are not in `requested` are left out. It is asked at each login,
    /// once the user is known and active, at each refresh, and when a refresh token is introspected, which says what a
    /// refresh would give. A login that is refused keeps its guess charged, and its code stays good. A session keeps
    /// the scope that its login was granted: what a later refresh leaves out can come back with the next one, and never
    /// more than at the login.
    ///
    /// **A scope is not a role.** It says what a client may do in the name of a user, and not what the user may do: an
    /// access token keeps its scope until it expires, whatever becomes of the user. An API must check the rights of the
    /// user where it keeps them. This hook is for scopes that are of no use to a user, such as those of a feature that
    /// the user has not booked.
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

    /// The claims of the host's own in the access tokens of a user, such as the tenant. Defaults to none.
    ///
    /// It is asked each time an access token is made: at each login and refresh, with the scope that is granted.
    /// Everybody who gets hold of an access token can read the claims, and they stay as they are until the token
    /// expires. Introspection does not repeat them.
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

/// The first of the pair.
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

/// The second of the pair.
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
