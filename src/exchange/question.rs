//! The questions of an exchange, and their answers.

use core::fmt;
use std::sync::Arc;

use crate::address::Address;
use crate::directory::{AuthSource, Client, CustomClaims, SignUp, User, UserClaims};
use crate::id::{AuthSourceId, ClientId, RecordKey, Subject, Tag};
use crate::scope::Scope;
use crate::server::Delivery;
use crate::store::{Record, Swap};
use crate::wire::error::DeliveryFailure;
use crate::wire::reply::Reply;

/// A compare-and-swap of one record, as in [`Store::swap`](crate::Store::swap).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SwapQuestion {
    /// The key of the record.
    pub key: RecordKey,
    /// The tag that the stored record must have, or `None` if nothing may be stored there.
    pub expected: Option<Tag>,
    /// The record to put in place.
    pub next: Box<Record>,
}

/// Asks for claims of a user, as in [`UserStore::user_claims`](crate::directory::UserStore::user_claims) and
/// [`UserStore::access_token_claims`](crate::directory::UserStore::access_token_claims).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClaimsQuestion {
    /// The user.
    pub subject: Subject,
    /// The client that gets the claims.
    pub client: ClientId,
    /// The granted scope.
    pub scope: Scope,
}

/// Asks which part of a requested scope a user is granted, as in
/// [`UserStore::granted_scope`](crate::directory::UserStore::granted_scope).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ScopeQuestion {
    /// The user.
    pub user: User,
    /// The client.
    pub client: ClientId,
    /// The scope that the client requests.
    pub requested: Scope,
}

/// What an [external key](crate::SigningKey::external) has to sign. [`Signer`](crate::jwt::Signer) says which form the
/// signature has.
#[derive(Clone)]
#[non_exhaustive]
pub struct SigningQuestion {
    /// The header and the claims of a token, ready to be signed. With a signature, it would be that token.
    pub message: Vec<u8>,
}

/// Hides the claims, which are personal data.
impl fmt::Debug for SigningQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningQuestion").finish_non_exhaustive()
    }
}

/// A question that waits for its answer. It is moved at each step, so what is large is boxed.
pub(crate) enum Question {
    Load(RecordKey),
    Swap(SwapQuestion),
    Client(ClientId),
    AuthSource(AuthSourceId),
    UserByAddress(Address),
    UserBySubject(Subject),
    UserClaims(ClaimsQuestion),
    SignUp(Address),
    GrantedScope(ScopeQuestion),
    AccessTokenClaims(ClaimsQuestion),
    Sign(SigningQuestion),
    Deliver(Box<Delivery>),
}

/// The answer to a question, under the same name. What is large is boxed here as well.
pub(crate) enum Answer {
    Load(Option<Box<Record>>),
    Swap(Swap),
    Client(Option<Arc<Client>>),
    AuthSource(Option<Arc<AuthSource>>),
    UserByAddress(Option<User>),
    UserBySubject(Option<User>),
    UserClaims(UserClaims),
    SignUp(SignUp),
    GrantedScope(Option<Scope>),
    AccessTokenClaims(CustomClaims),
    Sign(Vec<u8>),
    Deliver(Delivered),
}

/// What became of a delivery.
pub(crate) enum Delivered {
    /// The host has made the reply itself.
    Replied(Reply),
    Failed(Box<Delivery>, DeliveryFailure),
}
