//! The face of the crate: one route for bytes, and one method per endpoint for typed requests.

mod builder;
mod metadata;
mod routes;

use core::future::Future;

use crate::address::AddressPolicy;
use crate::directory::Directory;
pub use crate::flow::check_access_token::AccessTokenCheckError;
pub use crate::flow::check_keyring::{KeyringCheck, KeyringError};
use crate::flow::core::Core;
pub use crate::flow::send_otp::{Delivery, OtpMessage};
pub use crate::flow::verify_otp::{VerifiedAddress, VerifyError, VerifyRequest};
use crate::flow::{
    check_access_token, check_keyring, introspect, otp_grant, refresh_grant, revoke, send_otp, userinfo, verify_otp,
};
use crate::id::{Issuer, SessionId};
use crate::jwt::jwk::PublicKeySet;
use crate::jwt::verifier::{AccessTokenClaims, AccessTokenError, Audience};
pub use crate::server::builder::{ConfigError, ServerBuilder};
use crate::server::metadata::Metadata;
use crate::server::routes::Routes;
pub use crate::server::routes::{Endpoint, Route};
use crate::store::Store;
use crate::wire::error::{
    DeliveryFailure, IntrospectionError, RevocationError, SendError, TokenError, Unavailable, UserinfoError,
};
use crate::wire::reply::{Introspection, Reply, TokenResponse, UserinfoResponse};
use crate::wire::request::{
    IntrospectionRequest, Request, RevocationRequest, SendRequest, TokenRequest, UserinfoRequest,
};

/// An authorization server without its I/O.
///
/// [`handle`](Self::handle) takes what came in at any endpoint and gives what goes out. The other methods take requests that
/// the host parsed itself. It can be shared between threads; the store is its only state.
///
/// A future that is dropped leaves nothing half done: what was not stored was not said.
pub struct AuthorizationServer<S, D> {
    core: Core<S, D>,
    routes: Routes,
}

impl<S: Store, D: Directory> AuthorizationServer<S, D> {
    pub(crate) fn new(core: Core<S, D>) -> Self {
        Self { routes: Routes::new(&core.issuer, &core.settings.endpoints), core }
    }

    /// Answers a request to any endpoint, wherever [`Settings::endpoints`](crate::settings::Settings::endpoints) says that it is.
    /// The answer is `None` when the path is not that of an endpoint. Paths are those of [`routes`](Self::routes), which the
    /// metadata names as well.
    ///
    /// `deliver` sends a code and turns the delivery into the reply: [`Delivery::accepted`] or [`Delivery::failed`].
    ///
    /// ```
    /// # use otp_grant::*;
    /// # async fn example(server: &AuthorizationServer<MemoryStore, MemoryDirectory>, body: &[u8]) {
    /// let deliver = async |delivery: Delivery| {
    ///     println!("{} for {}", delivery.code().expose_secret(), delivery.address().as_str());
    ///     delivery.accepted()
    /// };
    /// let request = Request::new("POST", "/oauth2/token").header("Content-Type", "application/json").body(body);
    /// let reply = server.handle(request, deliver).await.unwrap_or_else(Reply::not_found);
    /// println!("{}", reply.status());
    /// # }
    /// ```
    pub async fn handle<F>(&self, request: Request<'_>, deliver: impl FnOnce(Delivery) -> F) -> Option<Reply>
    where
        F: Future<Output = Reply>,
    {
        let endpoint = self.routes.find(request.path())?;
        // A `GET` has no body that means anything (RFC 9110 section 9.3.1).
        let request = if request.method() == "POST" { request } else { request.without_body() };
        Some(match (endpoint, request.method()) {
            (Endpoint::OtpSend, "POST") => match self.read_and_send(request).await {
                Ok(delivery) => deliver(delivery).await,
                Err(refused) => refused.into(),
            },
            (Endpoint::Token, "POST") => self.read_and_grant(request).await.unwrap_or_else(Reply::from),
            (Endpoint::Revocation, "POST") => self.read_and_revoke(request).await.unwrap_or_else(Reply::from),
            (Endpoint::Introspection, "POST") => self.read_and_introspect(request).await.unwrap_or_else(Reply::from),
            (Endpoint::Userinfo, "GET" | "HEAD" | "POST") => {
                self.read_and_tell(request).await.unwrap_or_else(Reply::from)
            }
            (Endpoint::Jwks, "GET" | "HEAD") => self.jwks(),
            (Endpoint::Metadata, "GET" | "HEAD") => self.metadata(),
            (Endpoint::OpenidConfiguration, "GET" | "HEAD") => self.openid_configuration(),
            (endpoint, _) => Reply::method_not_allowed(endpoint.allow()),
        })
    }

    /// `POST /otp/send`: creates a challenge. The host delivers the code, and replies with what came of it.
    ///
    /// # Errors
    /// [`SendError`]; [`SendError::TemporarilyUnavailable`] may be retried.
    pub async fn send(&self, request: SendRequest<'_>) -> Result<Delivery, SendError> {
        send_otp::send_otp(&self.core, request).await
    }

    /// Answers for a code that could not be delivered, and lets its address be sent to again at once, instead of after the
    /// shortest quota. The send still counts for the longer quotas, as if it had been made one shortest window earlier: where
    /// deliveries fail, one message more can be tried in a longer window. A second failure in a row waits like any other.
    ///
    /// That is for [`DeliveryFailure::Undeliverable`]; other failures are answered and change nothing. It costs a load and a
    /// swap. Where the store fails, the reply says how long to wait.
    pub async fn delivery_failed(&self, delivery: Delivery, failure: DeliveryFailure) -> Reply {
        send_otp::delivery_failed(&self.core, delivery, failure).await
    }

    /// `POST /oauth2/token`: redeems a code or a refresh token for tokens (RFC 6749 section 3.2).
    ///
    /// A 503 may be retried. What it had stored is taken back, as far as the store allows. A refresh token can be presented
    /// again within its retry window, and later unless the store had stored the refresh although it said otherwise.
    ///
    /// A 400 `invalid_grant` turns into a success only where the directory or the time changes what it follows from:
    ///
    /// - The code of `User not found` works with `auto_signup`, or when there is such a user.
    /// - Code and refresh token of a user who may not log in work when the user may again.
    /// - A code works again when the guesses of an address come back while a code is good.
    ///
    /// # Errors
    /// [`TokenError`]; [`TokenError::TemporarilyUnavailable`] may be retried.
    pub async fn grant(&self, request: TokenRequest<'_>) -> Result<TokenResponse, TokenError> {
        match request {
            TokenRequest::Otp(request) => otp_grant::otp_grant(&self.core, request).await,
            TokenRequest::Refresh(request) => refresh_grant::refresh_grant(&self.core, request).await,
        }
    }

    /// `POST /oauth2/revoke`: a client signs out (RFC 7009). A token that is unknown or dead already is a success.
    ///
    /// An access token dies alone; a refresh token with its session and every token of it. When more than 8 access tokens
    /// of one session are revoked before they expire, those that were issued before or together with the oldest of them also
    /// die. A 503 revoked nothing that is known of.
    ///
    /// # Errors
    /// [`RevocationError`]; [`RevocationError::TemporarilyUnavailable`] may be retried.
    pub async fn revoke(&self, request: RevocationRequest<'_>) -> Result<(), RevocationError> {
        revoke::revoke(&self.core, request).await
    }

    /// Ends a session in the host's name, with every token of it. A session that is unknown or over is a success.
    ///
    /// All sessions of a user end through the directory: [`User::tokens_valid_after`](crate::User::tokens_valid_after).
    ///
    /// # Errors
    /// [`Unavailable`] when the store failed; it may be retried.
    pub async fn revoke_session(&self, session: &SessionId) -> Result<(), Unavailable> {
        revoke::revoke_session(&self.core, *session).await
    }

    /// `POST /oauth2/introspect`: tells a confidential client whether a token is good (RFC 7662).
    ///
    /// A client learns of its own tokens only, unless
    /// [it may learn of every access token](crate::Client::that_may_introspect_every_token).
    ///
    /// # Errors
    /// [`IntrospectionError`]; [`IntrospectionError::TemporarilyUnavailable`] may be retried.
    pub async fn introspect(&self, request: IntrospectionRequest<'_>) -> Result<Introspection, IntrospectionError> {
        introspect::introspect(&self.core, request).await
    }

    /// `GET /userinfo` and `POST /userinfo`: the claims of the user whose access token is presented (OpenID Connect Core
    /// section 5.3), filtered by its scope.
    ///
    /// # Errors
    /// [`UserinfoError`]; [`UserinfoError::TemporarilyUnavailable`] may be retried.
    pub async fn userinfo(&self, request: UserinfoRequest<'_>) -> Result<UserinfoResponse, UserinfoError> {
        userinfo::userinfo(&self.core, request).await
    }

    /// Redeems a code of another usage than login for the proof that its address was verified.
    ///
    /// # Errors
    /// [`VerifyError`]; [`VerifyError::TemporarilyUnavailable`] may be retried.
    pub async fn verify(&self, request: VerifyRequest<'_>) -> Result<VerifiedAddress, VerifyError> {
        verify_otp::verify_otp(&self.core, request).await
    }

    /// Checks an access token of this server offline: signature, type, issuer, audience and time (RFC 8725). It asks neither
    /// store nor directory, and so does not know of revocation: a token that was revoked passes until it expires.
    ///
    /// # Errors
    /// [`AccessTokenError`], for a token that was not issued here, is not meant for this audience, or has expired.
    pub fn verify_access_token(
        &self,
        token: &str,
        audience: Audience<'_>,
    ) -> Result<AccessTokenClaims, AccessTokenError> {
        self.core.verifier.verify(token, audience, self.core.clock.now())
    }

    /// Checks an access token of this server online: what [`verify_access_token`](Self::verify_access_token) checks, and
    /// that neither it nor its session was revoked, and that its user may log in. One call of the store, one of the
    /// directory.
    ///
    /// # Errors
    /// [`AccessTokenCheckError`]; [`AccessTokenCheckError::TemporarilyUnavailable`] may be retried.
    pub async fn check_access_token(
        &self,
        token: &str,
        audience: Audience<'_>,
    ) -> Result<AccessTokenClaims, AccessTokenCheckError> {
        check_access_token::check_access_token(&self.core, token, audience).await
    }

    /// Announces the secrets of this host's [`Keyring`](crate::Keyring) in the store, and compares them with those that other
    /// hosts of the same issuer announced there.
    ///
    /// A host calls it when it starts, before it serves, and again now and then while it runs, such as once a day: what no
    /// host announces any more is forgotten when everything has expired that it can have sealed, after the longest session
    /// ([`SessionValidity::absolute`](crate::session::SessionValidity)). It costs a load, and a swap unless the same secrets were
    /// announced within the last minute. A host that is refused announces nothing. The record names secrets by truncated
    /// MACs, from which nothing can be computed.
    ///
    /// A rotation in the three steps of [`Keyring`](crate::Keyring) agrees on every host. If the last step comes too early,
    /// it is told as [`KeyringCheck::LacksAPeersKey`].
    ///
    /// # Errors
    /// [`KeyringError::OtherIndexSecret`] and [`KeyringError::NoSharedSealingSecret`] when the host should not serve;
    /// [`announce_new_keyring`](Self::announce_new_keyring) is for secrets that were replaced on purpose.
    /// [`KeyringError::Unavailable`] when the store failed, and it may be retried; or when only a later version may
    /// decide on what is stored.
    pub async fn check_keyring(&self) -> Result<KeyringCheck, KeyringError> {
        check_keyring::check_keyring(&self.core).await
    }

    /// Announces the secrets of this host's [`Keyring`](crate::Keyring) as those that count from now on, and forgets what
    /// other hosts announced: a secret has leaked and was dropped at once, or the index secret was replaced.
    ///
    /// The first host that starts with the new secrets calls it, once, in place of [`check_keyring`](Self::check_keyring),
    /// which then agrees on the others that have the new secrets and refuses those that have not. It costs a load and a swap.
    ///
    /// # Errors
    /// [`Unavailable`] when the store failed, and it may be retried; or when only a later version may decide on what is
    /// stored.
    pub async fn announce_new_keyring(&self) -> Result<(), Unavailable> {
        check_keyring::replace_keyring(&self.core).await
    }

    /// The public keys that tokens can be verified with.
    pub fn key_set(&self) -> &PublicKeySet {
        self.core.verifier.keys()
    }

    /// The endpoints that [`handle`](Self::handle) answers, with their paths and URLs.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    /// The issuer.
    pub fn issuer(&self) -> &Issuer {
        &self.core.issuer
    }

    /// How addresses are read. A directory keeps its own in the same form, and what a host parses itself is parsed by it.
    pub fn addresses(&self) -> &AddressPolicy {
        &self.core.settings.addresses
    }
}

/// The endpoints, each from what came in to what goes out.
impl<S: Store, D: Directory> AuthorizationServer<S, D> {
    async fn read_and_send(&self, request: Request<'_>) -> Result<Delivery, SendError> {
        let parsed = SendRequest::parse(&request, &self.core.settings.rules())?;
        self.send(parsed).await
    }

    async fn read_and_grant(&self, request: Request<'_>) -> Result<Reply, TokenError> {
        let parsed = TokenRequest::parse(&request, &self.core.settings.rules())?;
        Ok(self.grant(parsed).await?.into())
    }

    async fn read_and_revoke(&self, request: Request<'_>) -> Result<Reply, RevocationError> {
        let parsed = RevocationRequest::parse(&request, &self.core.settings.rules())?;
        self.revoke(parsed).await?;
        Ok(Reply::done())
    }

    async fn read_and_introspect(&self, request: Request<'_>) -> Result<Reply, IntrospectionError> {
        let parsed = IntrospectionRequest::parse(&request, &self.core.settings.rules())?;
        Ok(self.introspect(parsed).await?.into())
    }

    async fn read_and_tell(&self, request: Request<'_>) -> Result<Reply, UserinfoError> {
        let parsed = UserinfoRequest::parse(&request, &self.core.settings.rules())?;
        Ok(self.userinfo(parsed).await?.into())
    }

    /// The public keys that tokens can be verified with (RFC 7517).
    fn jwks(&self) -> Reply {
        Reply::cacheable(self.key_set().to_json().into_bytes(), self.core.settings.key_set_max_age)
    }

    /// What clients can find out about the server (RFC 8414).
    fn metadata(&self) -> Reply {
        let Core { issuer, settings, .. } = &self.core;
        Reply::document(&Metadata::new(issuer, settings, &self.routes), settings.key_set_max_age)
    }

    /// The same with what OpenID Connect Discovery adds.
    ///
    /// OpenID Connect asks every provider for RS256; the algorithms that are named are those of the keys that are
    /// published.
    fn openid_configuration(&self) -> Reply {
        let Core { issuer, settings, .. } = &self.core;
        Reply::document(&Metadata::openid(issuer, settings, &self.routes, self.key_set()), settings.key_set_max_age)
    }
}

impl<S, D> core::fmt::Debug for AuthorizationServer<S, D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AuthorizationServer").field("issuer", &self.core.issuer).finish_non_exhaustive()
    }
}
