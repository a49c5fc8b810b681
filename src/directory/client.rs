//! The clients of the host, and the decisions that follow from their configuration.

use std::sync::Arc;

use crate::address::Channel;
use crate::directory::assertion::AssertionKeys;
use crate::directory::auth_method::{AuthMethodMismatch, ClientAuthMethod, Credentials, SecretMethods};
use crate::directory::auth_source::AuthSource;
use crate::dpop::DpopPolicy;
use crate::grant::Grant;
use crate::guard::MessageBudget;
use crate::id::{AuthSourceId, ClientId};
use crate::scope::Scope;
use crate::secret::ClientSecret;
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
    credentials: Credentials,
    may_send: bool,
    may_sign_up: bool,
    may_introspect_every_token: bool,
    requires_code_challenge: bool,
    grants: Vec<Grant>,
    refresh_policy: RefreshPolicy,
    auth_sources: Vec<AuthSourceId>,
    allowed_scope: Scope,
    default_scope: Scope,
    dpop: DpopPolicy,
    message_budget: Option<MessageBudget>,
}

impl Client {
    /// Makes a client that can keep a secret, such as a web application. The client may send codes.
    ///
    /// The client may use both OTP grants and refresh. The allowed scope and the default scope are `openid`.
    pub fn confidential(id: ClientId, secret: ClientSecret) -> Self {
        Self::new(id, Credentials::Secret { secret, accepted: SecretMethods::Either }, true)
    }

    /// Makes a client that can't keep a secret, such as a mobile or single-page application.
    ///
    /// The client may not send codes unless [`Client::with_sending`] allows it. Everything else is as for a
    /// confidential client.
    pub fn public(id: ClientId) -> Self {
        Self::new(id, Credentials::None, false)
    }

    /// Makes a client that signs assertions. Everything else is as for a client with a secret.
    pub(crate) fn with_keys(id: ClientId, keys: Box<dyn AssertionKeys>) -> Self {
        Self::new(id, Credentials::Keys(keys), true)
    }

    /// Accepts only this method of authentication.
    ///
    /// By default, a client with a secret may send it in the header or in the body. The other clients have one method,
    /// [`ClientAuthMethod::PrivateKeyJwt`] or [`ClientAuthMethod::None`], and naming that method changes nothing.
    ///
    /// # Errors
    /// [`AuthMethodMismatch`] when the method needs other credentials than the client has.
    ///
    /// OpenID Connect Core section 3.1.3.1.
    pub fn with_auth_method(mut self, method: ClientAuthMethod) -> Result<Self, AuthMethodMismatch> {
        match (&mut self.credentials, method) {
            (Credentials::Secret { accepted, .. }, ClientAuthMethod::ClientSecretBasic) => {
                *accepted = SecretMethods::Basic;
            }
            (Credentials::Secret { accepted, .. }, ClientAuthMethod::ClientSecretPost) => {
                *accepted = SecretMethods::Post;
            }
            (Credentials::Keys(_), ClientAuthMethod::PrivateKeyJwt) | (Credentials::None, ClientAuthMethod::None) => {}
            _ => return Err(AuthMethodMismatch),
        }
        Ok(self)
    }

    /// Lets a public client send codes.
    ///
    /// An attacker needs no secret to act as this client. The attacker can cause messages to be sent in its name,
    /// within the limits of each address.
    #[must_use]
    pub fn with_sending(mut self) -> Self {
        self.may_send = true;
        self
    }

    /// Associates the client with an auth source.
    #[must_use]
    pub fn with_auth_source(mut self, id: AuthSourceId) -> Self {
        self.auth_sources.push(id);
        self
    }

    /// Replaces the grants that the client may use. Without [`Grant::RefreshToken`] the client gets no refresh token.
    #[must_use]
    pub fn with_grants(mut self, grants: impl IntoIterator<Item = Grant>) -> Self {
        self.grants = grants.into_iter().collect();
        self
    }

    /// Replaces the refresh policy. Defaults to [`RefreshPolicy::Rotate`] with a retry window of 10 seconds.
    ///
    /// # Errors
    /// [`InvalidRefreshPolicy`] when the client is public and the policy is [`RefreshPolicy::Stable`], or when the
    /// retry window is longer than 60 seconds.
    pub fn with_refresh_policy(mut self, policy: RefreshPolicy) -> Result<Self, InvalidRefreshPolicy> {
        self.refresh_policy = policy.for_client(self.is_confidential())?;
        Ok(self)
    }

    /// Lets the client introspect the access tokens of all clients. An API that several clients call needs this.
    /// Without it, a client learns about its own tokens only.
    ///
    /// It has no effect on a public client, because a public client may not introspect at all.
    #[must_use]
    pub fn with_introspection_of_every_token(mut self) -> Self {
        self.may_introspect_every_token = true;
        self
    }

    /// Requires a code challenge of every request for a code. Defaults to challenges that are optional.
    ///
    /// A request without a challenge is answered with 400 `invalid_request`, `code_challenge is missing`, once the
    /// client is authenticated. A code that was sent before is no longer redeemed without a verifier: the answer is
    /// `Unknown or expired otp_token`. A public client that may send codes should have this setting.
    ///
    /// RFC 7636 section 4.4.1.
    #[must_use]
    pub fn with_required_code_challenge(mut self) -> Self {
        self.requires_code_challenge = true;
        self
    }

    /// Keeps the client from signing users up.
    ///
    /// By default, a client signs up an unknown user where the request has `auto_signup` and
    /// [`UserStore::sign_up`](crate::directory::UserStore::sign_up) accepts the address. A client that may not sign up
    /// gets the same answer as without `auto_signup`: `User not found`.
    #[must_use]
    pub fn without_sign_up(mut self) -> Self {
        self.may_sign_up = false;
        self
    }

    /// Replaces the allowed scope and the default scope. A client may request the allowed scope or a part of it. It
    /// gets the default scope where it requests none.
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

    /// Replaces what the client proves with DPoP (RFC 9449). Defaults to [`DpopPolicy::Off`].
    ///
    /// The refresh tokens of a public client are bound to the key of its first proof. A confidential client
    /// authenticates when it refreshes, and can change its key. A client that requires proofs also needs one at the
    /// send endpoint. [`Settings::dpop`](crate::Settings::dpop) must be on; otherwise a client that requires proofs is
    /// refused.
    #[must_use]
    pub fn with_dpop(mut self, policy: DpopPolicy) -> Self {
        self.dpop = policy;
        self
    }

    /// Limits how many messages the client can send. Defaults to no limit but those of each address. It needs
    /// [`Settings::send_guard`](crate::Settings::send_guard) to be on.
    #[must_use]
    pub fn with_message_budget(mut self, budget: MessageBudget) -> Self {
        self.message_budget = Some(budget);
        self
    }

    /// Returns the identifier of the client.
    pub fn id(&self) -> &ClientId {
        &self.id
    }

    /// Tells whether the client has a secret or keys (RFC 6749 section 2.1).
    pub fn is_confidential(&self) -> bool {
        !matches!(self.credentials, Credentials::None)
    }

    /// Returns the only method that the client may use. Returns `None` for a client that may send its secret in the
    /// header or in the body.
    pub fn auth_method(&self) -> Option<ClientAuthMethod> {
        match &self.credentials {
            Credentials::None => Some(ClientAuthMethod::None),
            Credentials::Keys(_) => Some(ClientAuthMethod::PrivateKeyJwt),
            Credentials::Secret { accepted: SecretMethods::Either, .. } => None,
            Credentials::Secret { accepted: SecretMethods::Basic, .. } => Some(ClientAuthMethod::ClientSecretBasic),
            Credentials::Secret { accepted: SecretMethods::Post, .. } => Some(ClientAuthMethod::ClientSecretPost),
        }
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(crate) fn dpop(&self) -> DpopPolicy {
        self.dpop
    }

    pub(crate) fn message_budget(&self) -> Option<&MessageBudget> {
        self.message_budget.as_ref()
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

    pub(crate) fn requires_code_challenge(&self) -> bool {
        self.requires_code_challenge
    }

    pub(crate) fn may_introspect_every_token(&self) -> bool {
        self.may_introspect_every_token
    }

    /// Returns the auth source if this client may use it on this channel. Every cause gives the same error.
    pub(crate) fn associated(
        &self,
        source: Option<Arc<AuthSource>>,
        channel: Channel,
    ) -> Result<Arc<AuthSource>, NotAssociated> {
        source
            .filter(|source| source.channel() == channel && self.auth_sources.contains(source.id()))
            .ok_or(NotAssociated)
    }

    /// Returns the scope that is granted for the requested one.
    pub(crate) fn grant_scope(&self, asked: Option<&Scope>) -> Result<Scope, ScopeNotAllowed> {
        match asked {
            None => Ok(self.default_scope.clone()),
            Some(asked) if asked.is_subset_of(&self.allowed_scope) => Ok(asked.clone()),
            Some(_) => Err(ScopeNotAllowed),
        }
    }

    /// Returns the scope that a refresh is granted: the scope of the session, or a part of it. A scope that was taken
    /// from the client since the login is no longer granted.
    pub(crate) fn narrow_scope(&self, of_session: &Scope, asked: Option<&Scope>) -> Result<Scope, ScopeNotAllowed> {
        match asked {
            None => of_session.intersection(&self.allowed_scope).ok_or(ScopeNotAllowed),
            Some(asked) if asked.is_subset_of(of_session) && asked.is_subset_of(&self.allowed_scope) => {
                Ok(asked.clone())
            }
            Some(_) => Err(ScopeNotAllowed),
        }
    }

    fn new(id: ClientId, credentials: Credentials, may_send: bool) -> Self {
        Self {
            id,
            credentials,
            may_send,
            may_sign_up: true,
            may_introspect_every_token: false,
            requires_code_challenge: false,
            grants: vec![Grant::OtpSms, Grant::OtpEmail, Grant::RefreshToken],
            refresh_policy: RefreshPolicy::default(),
            auth_sources: Vec::new(),
            allowed_scope: Scope::openid(),
            default_scope: Scope::openid(),
            dpop: DpopPolicy::Off,
            message_budget: None,
        }
    }
}

/// The auth source is unknown, belongs to the other channel, or is not associated with the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAssociated;

/// A scope is not allowed for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an error that says all there is by its name")]
pub struct ScopeNotAllowed;

impl core::fmt::Display for ScopeNotAllowed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a scope is not allowed to the client")
    }
}

impl core::error::Error for ScopeNotAllowed {}
