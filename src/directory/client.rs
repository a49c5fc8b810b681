//! What the host says of its clients, and the decisions that follow from it.

use std::sync::Arc;

use crate::address::Channel;
use crate::directory::auth_source::AuthSource;
use crate::grant::Grant;
use crate::id::{AuthSourceId, ClientId};
use crate::scope::Scope;
use crate::secret::{ClientSecret, PresentedSecret};
use crate::session::policy::{InvalidRefreshPolicy, RefreshPolicy};

/// A client: an application that logs its users in (RFC 6749 section 2).
///
/// ```
/// use otp_grant::{AuthSourceId, Client, ClientId, ClientSecret};
///
/// let web = Client::confidential(ClientId::new("web")?, ClientSecret::digest("a long random value"))
///     .with_auth_source(AuthSourceId::new("sms")?);
/// # Ok::<(), otp_grant::id::InvalidId>(())
/// ```
#[derive(Debug)]
pub struct Client {
    id: ClientId,
    /// `None` for a public client.
    secret: Option<ClientSecret>,
    may_send: bool,
    may_sign_up: bool,
    may_introspect_every_token: bool,
    grants: Vec<Grant>,
    refresh_policy: RefreshPolicy,
    auth_sources: Vec<AuthSourceId>,
    allowed_scope: Scope,
    default_scope: Scope,
}

impl Client {
    /// A client that can keep a secret, such as a web application. It may send codes.
    ///
    /// Both OTP grants and refresh are allowed. The allowed scope and the default scope are `openid`.
    pub fn confidential(id: ClientId, secret: ClientSecret) -> Self {
        Self::new(id, Some(secret), true)
    }

    /// A client that can't keep a secret, such as a mobile or single-page application.
    ///
    /// It may not send codes unless [`Client::that_may_send`] says so. The rest is as for a confidential client.
    pub fn public(id: ClientId) -> Self {
        Self::new(id, None, false)
    }

    /// Lets a public client ask for codes to be sent. Anybody can then cause messages to be sent in its name, within
    /// the limits of each address.
    #[must_use]
    pub fn that_may_send(mut self) -> Self {
        self.may_send = true;
        self
    }

    /// Associates the client with an auth source.
    #[must_use]
    pub fn with_auth_source(mut self, id: AuthSourceId) -> Self {
        self.auth_sources.push(id);
        self
    }

    /// Replaces the grants that the client may use. Without [`Grant::RefreshToken`] it gets no refresh token.
    #[must_use]
    pub fn with_grants(mut self, grants: impl IntoIterator<Item = Grant>) -> Self {
        self.grants = grants.into_iter().collect();
        self
    }

    /// Replaces the refresh policy. Defaults to [`RefreshPolicy::Rotate`] with a retry window of 10 seconds.
    ///
    /// # Errors
    /// [`InvalidRefreshPolicy`] when the client is public and the policy is [`RefreshPolicy::Stable`], or when the retry
    /// window is longer than 60 seconds.
    pub fn with_refresh_policy(mut self, policy: RefreshPolicy) -> Result<Self, InvalidRefreshPolicy> {
        self.refresh_policy = policy.for_client(self.is_confidential())?;
        Ok(self)
    }

    /// Lets the client introspect the access tokens of all clients: an API that is called by several. Without it a client
    /// learns of its own tokens only. It has no effect on a public client, which may not introspect at all.
    #[must_use]
    pub fn that_may_introspect_every_token(mut self) -> Self {
        self.may_introspect_every_token = true;
        self
    }

    /// Keeps the client from signing users up. Without it a client signs up a user who is unknown when the request has
    /// `auto_signup`, as far as [`UserStore::sign_up`](crate::directory::UserStore::sign_up) accepts the address.
    ///
    /// A client that may not is answered as if the request had no `auto_signup`: with `User not found`.
    #[must_use]
    pub fn that_may_not_sign_up(mut self) -> Self {
        self.may_sign_up = false;
        self
    }

    /// Replaces the scopes: those the client may ask for, and those it gets when it asks for none.
    ///
    /// # Errors
    /// [`ScopeNotAllowed`] when the default has a scope that is not allowed.
    pub fn with_scopes(mut self, allowed: Scope, default: Scope) -> Result<Self, ScopeNotAllowed> {
        if !default.is_subset_of(&allowed) {
            return Err(ScopeNotAllowed);
        }
        self.allowed_scope = allowed;
        self.default_scope = default;
        Ok(self)
    }

    /// The client's identifier.
    pub fn id(&self) -> &ClientId {
        &self.id
    }

    /// Tells whether the client has a secret (RFC 6749 section 2.1).
    pub fn is_confidential(&self) -> bool {
        self.secret.is_some()
    }

    pub(crate) fn may_send(&self) -> bool {
        self.may_send
    }

    pub(crate) fn may_sign_up(&self) -> bool {
        self.may_sign_up
    }

    pub(crate) fn may_use(&self, grant: Grant) -> bool {
        self.grants.contains(&grant)
    }

    pub(crate) fn refresh_policy(&self) -> RefreshPolicy {
        self.refresh_policy
    }

    pub(crate) fn may_introspect_every_token(&self) -> bool {
        self.may_introspect_every_token
    }

    /// The auth source, if it may be used by this client on this channel. One error for every cause.
    pub(crate) fn associated(
        &self,
        source: Option<Arc<AuthSource>>,
        channel: Channel,
    ) -> Result<Arc<AuthSource>, NotAssociated> {
        source
            .filter(|source| source.channel() == channel && self.auth_sources.contains(source.id()))
            .ok_or(NotAssociated)
    }

    /// The scope that is granted for what was asked.
    pub(crate) fn grant_scope(&self, asked: Option<&Scope>) -> Result<Scope, ScopeNotAllowed> {
        match asked {
            None => Ok(self.default_scope.clone()),
            Some(asked) if asked.is_subset_of(&self.allowed_scope) => Ok(asked.clone()),
            Some(_) => Err(ScopeNotAllowed),
        }
    }

    /// The scope that a refresh is granted: what the session has, or less. What has been taken from the client since is
    /// not granted any more.
    pub(crate) fn narrow_scope(&self, of_session: &Scope, asked: Option<&Scope>) -> Result<Scope, ScopeNotAllowed> {
        match asked {
            None => of_session.intersection(&self.allowed_scope).ok_or(ScopeNotAllowed),
            Some(asked) if asked.is_subset_of(of_session) && asked.is_subset_of(&self.allowed_scope) => {
                Ok(asked.clone())
            }
            Some(_) => Err(ScopeNotAllowed),
        }
    }

    fn new(id: ClientId, secret: Option<ClientSecret>, may_send: bool) -> Self {
        Self {
            id,
            secret,
            may_send,
            may_sign_up: true,
            may_introspect_every_token: false,
            grants: vec![Grant::OtpSms, Grant::OtpEmail, Grant::RefreshToken],
            refresh_policy: RefreshPolicy::default(),
            auth_sources: Vec::new(),
            allowed_scope: Scope::openid(),
            default_scope: Scope::openid(),
        }
    }
}

/// A client that has proved who it is, or is public.
pub(crate) struct AuthenticatedClient(Arc<Client>);

impl AuthenticatedClient {
    /// Checks what a caller presented against what the directory knows (RFC 6749 section 2.3).
    pub(crate) fn authenticate(
        known: Option<Arc<Client>>,
        presented: Option<&PresentedSecret<'_>>,
    ) -> Result<Self, NotAuthenticated> {
        // A secret is digested in any case, so that an unknown client takes as long as a wrong secret.
        let stand_in = ClientSecret::from_sha256([0; 32]);
        let expected = known.as_ref().and_then(|client| client.secret.as_ref());
        let matches = presented.map(|presented| expected.unwrap_or(&stand_in).matches(presented));
        match (known, matches) {
            (Some(client), Some(true)) if client.is_confidential() => Ok(Self(client)),
            (Some(client), None) if !client.is_confidential() => Ok(Self(client)),
            _ => Err(NotAuthenticated),
        }
    }
}

impl core::ops::Deref for AuthenticatedClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}

/// The client is unknown, or its secret is wrong, missing or not expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAuthenticated;

/// The auth source is unknown, of the other channel, or not associated with the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAssociated;

/// A scope is not allowed to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an error that says all there is by its name")]
pub struct ScopeNotAllowed;

impl core::fmt::Display for ScopeNotAllowed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a scope is not allowed to the client")
    }
}

impl core::error::Error for ScopeNotAllowed {}
