//! The entry point of the crate: one method for raw requests, and one method per endpoint for typed requests.

mod builder;
mod metadata;
pub(crate) mod routes;

use core::future::Future;
use std::sync::Arc;

use crate::address::{Address, AddressPolicy};
use crate::directory::Directory;
pub use crate::flow::check_access_token::AccessTokenCheckError;
pub use crate::flow::check_keyring::{KeyringCheck, KeyringError};
use crate::flow::core::{Core, Parts};
pub use crate::flow::delivery::{Delivery, OtpMessage};
pub use crate::flow::verify_otp::{VerifiedAddress, VerifyError, VerifyRequest};
use crate::flow::{
    check_access_token, check_keyring, introspect, otp_grant, refresh_grant, revoke, send_otp, support, userinfo,
    verify_otp,
};
use crate::id::{Issuer, SessionId};
use crate::jwt::jwk::PublicKeySet;
use crate::jwt::verifier::{AccessTokenClaims, AccessTokenError, Audience};
use crate::otp::support::AddressState;
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
    IntrospectionRequest, PresentedAccessToken, Request, RevocationRequest, SendRequest, TokenRequest, UserinfoRequest,
};

/// An authorization server without its I/O.
///
/// [`handle`](Self::handle) answers a raw request to any endpoint. The other methods take requests that the host has
/// parsed itself. A server can be shared between threads. The store is its only state.
///
/// The host may drop a future of the server at any time. An answer is given only after its state is stored. A dropped
/// future therefore leaves a code usable or spent, and releases no token. A guess or a send can stay counted, and a
/// session without tokens can remain until it expires.
pub struct AuthorizationServer<S, D> {
    core: Core<S, D>,
    routes: Arc<Routes>,
}

impl<S: Store, D: Directory> AuthorizationServer<S, D> {
    pub(crate) fn new(core: Core<S, D>, routes: Arc<Routes>) -> Self {
        Self { core, routes }
    }

    /// Returns what all requests share.
    pub(crate) fn shared(&self) -> (&Arc<Parts>, &Arc<Routes>) {
        (&self.core.parts, &self.routes)
    }

    /// Returns the store.
    pub fn store(&self) -> &S {
        &self.core.store
    }

    /// Returns the directory.
    pub fn directory(&self) -> &D {
        &self.core.directory
    }

    /// Answers a request to any endpoint. Returns `None` when the path is not the path of an endpoint.
    ///
    /// The paths follow [`Settings::endpoints`](crate::settings::Settings::endpoints). [`routes`](Self::routes) lists
    /// them, and the metadata also names them.
    ///
    /// `deliver` sends a code and returns the reply: [`Delivery::accepted`] or [`Delivery::failed`].
    ///
    /// ```
    /// # use otp_grant::*;
    /// # async fn example(server: &AuthorizationServer<MemoryStore, MemoryDirectory>, body: &[u8]) {
    /// let deliver = async |delivery: Delivery| {
    ///     if let Some(message) = delivery.message() {
    ///         println!("{} for {}", message.code().expose_secret(), message.address().as_str());
    ///     }
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
        // The body of a `GET` request has no meaning (RFC 9110 section 9.3.1).
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

    /// Creates a challenge (`POST /otp/send`). The host delivers the code, and then replies according to the outcome.
    ///
    /// # Errors
    /// [`SendError`]. [`SendError::TemporarilyUnavailable`] is safe to retry.
    pub async fn send(&self, request: SendRequest<'_>) -> Result<Delivery, SendError> {
        send_otp::send_otp(&self.core, request).await
    }

    /// Answers for a code that could not be delivered, and lets its address be sent to again at once.
    ///
    /// The client need not wait for the shortest quota. The send still counts for the longer quotas, as if it had been
    /// made one shortest window earlier. Where deliveries fail, one message more can therefore be tried within a longer
    /// window. After a second failure in a row, the client must wait as usual.
    ///
    /// This holds for [`DeliveryFailure::Undeliverable`]. Other failures are answered and change nothing. The call
    /// costs a load and a swap. If the store fails, the reply says how long to wait.
    pub async fn delivery_failed(&self, delivery: Delivery, failure: DeliveryFailure) -> Reply {
        send_otp::delivery_failed(&self.core, delivery, failure).await
    }

    /// Redeems a code or a refresh token for tokens (`POST /oauth2/token`).
    ///
    /// A 503 is safe to retry. What the request has stored is taken back, as far as the store allows. The client can
    /// present a refresh token again within its retry window. It can also present it later, unless the store has stored
    /// the refresh but reported a failure.
    ///
    /// A 400 `invalid_grant` turns into a success only where the directory or the time changes:
    ///
    /// - The code of `User not found` works with `auto_signup`, or once the user exists.
    /// - The code or refresh token of a user who may not log in works once the user may log in again.
    /// - A code works again if a guess of the address becomes free while the code is valid.
    ///
    /// # Errors
    /// [`TokenError`]. [`TokenError::TemporarilyUnavailable`] is safe to retry.
    ///
    /// RFC 6749 section 3.2.
    pub async fn grant(&self, request: TokenRequest<'_>) -> Result<TokenResponse, TokenError> {
        match request {
            TokenRequest::Otp(request) => otp_grant::otp_grant(&self.core, request).await,
            TokenRequest::Refresh(request) => refresh_grant::refresh_grant(&self.core, request).await,
        }
    }

    /// Revokes a token, when a client signs out (`POST /oauth2/revoke`). A token that is unknown or already dead is a
    /// success.
    ///
    /// An access token dies alone. A refresh token dies with its session and every token of the session. When more than
    /// 8 access tokens of one session are revoked before they expire, the tokens that were issued before or together
    /// with the oldest of them also die. After a 503, no revocation is known to have taken place.
    ///
    /// # Errors
    /// [`RevocationError`]. [`RevocationError::TemporarilyUnavailable`] is safe to retry.
    ///
    /// RFC 7009.
    pub async fn revoke(&self, request: RevocationRequest<'_>) -> Result<(), RevocationError> {
        revoke::revoke(&self.core, request).await
    }

    /// Ends a session, with every token of it, on behalf of the host. A session that is unknown or over is a success.
    ///
    /// To end all sessions of a user, the directory sets [`User::tokens_valid_after`](crate::User::tokens_valid_after).
    ///
    /// # Errors
    /// [`Unavailable`] when the store failed. The call is safe to retry.
    pub async fn revoke_session(&self, session: &SessionId) -> Result<(), Unavailable> {
        revoke::revoke_session(&self.core, *session).await
    }

    /// Tells a confidential client whether a token is active (`POST /oauth2/introspect`).
    ///
    /// A client learns about its own tokens only.
    /// [`Client::with_introspection_of_every_token`](crate::Client::with_introspection_of_every_token) also lets it
    /// learn about the access tokens of other clients.
    ///
    /// # Errors
    /// [`IntrospectionError`]. [`IntrospectionError::TemporarilyUnavailable`] is safe to retry.
    ///
    /// RFC 7662.
    pub async fn introspect(&self, request: IntrospectionRequest<'_>) -> Result<Introspection, IntrospectionError> {
        introspect::introspect(&self.core, request).await
    }

    /// Returns the claims of the user whose access token is presented (`GET` and `POST /userinfo`). The claims are
    /// filtered by the scope of the token.
    ///
    /// # Errors
    /// [`UserinfoError`]. [`UserinfoError::TemporarilyUnavailable`] is safe to retry.
    ///
    /// OpenID Connect Core section 5.3.
    pub async fn userinfo(&self, request: UserinfoRequest<'_>) -> Result<UserinfoResponse, UserinfoError> {
        userinfo::userinfo(&self.core, request).await
    }

    /// Redeems a code of a usage other than login for the proof that its address was verified.
    ///
    /// # Errors
    /// [`VerifyError`]. [`VerifyError::TemporarilyUnavailable`] is safe to retry.
    pub async fn verify(&self, request: VerifyRequest<'_>) -> Result<VerifiedAddress, VerifyError> {
        verify_otp::verify_otp(&self.core, request).await
    }

    /// Tells what an address has left, for the host's support staff: guesses and sends, live challenges and devices.
    /// The answer has no code and no identifier.
    ///
    /// It costs a load. A record from the future is clamped, which costs a swap.
    ///
    /// # Errors
    /// [`Unavailable`] when the store failed. The call is safe to retry.
    pub async fn explain(&self, address: &Address) -> Result<AddressState, Unavailable> {
        support::explain(&self.core, address).await
    }

    /// Clears the counted guesses and sends of an address and of its devices, on behalf of the host's support staff.
    /// The guesses of each code still count. An address without a record is a success.
    ///
    /// Whoever locked the address can lock it again. A known device is not affected by that: see
    /// [`DevicePolicy`](crate::otp::DevicePolicy). It costs a load and a swap.
    ///
    /// # Errors
    /// [`Unavailable`] when the store failed. The call is safe to retry.
    pub async fn unlock(&self, address: &Address) -> Result<(), Unavailable> {
        support::unlock(&self.core, address).await
    }

    /// Makes an address forget its devices, after a device was lost or stolen. Their tokens count as none from then on.
    /// What the devices have used up still counts. It costs a load and a swap.
    ///
    /// # Errors
    /// [`Unavailable`] when the store failed. The call is safe to retry.
    pub async fn forget_devices(&self, address: &Address) -> Result<(), Unavailable> {
        support::forget_devices(&self.core, address).await
    }

    /// Checks an access token of this server offline: signature, type, issuer, audience and time. A token that is bound
    /// to a key is refused, because the check sees no proof.
    ///
    /// The check calls neither the store nor the directory, and does not know about revocation. A revoked token passes
    /// until it expires.
    ///
    /// # Errors
    /// [`AccessTokenError`] when the token was not issued by this server, is not meant for this audience, or has
    /// expired.
    ///
    /// RFC 8725.
    pub fn verify_access_token(
        &self,
        token: &str,
        audience: Audience<'_>,
    ) -> Result<AccessTokenClaims, AccessTokenError> {
        self.core.verifier.verify(token, audience, self.core.clock.now())
    }

    /// Checks an access token of this server online.
    ///
    /// A [`PresentedAccessToken`] says how the request presents the token. A text alone is a bearer token, and a token
    /// that is bound to a key is then refused. [`Request::access_token`] reads both kinds from a request.
    ///
    /// It checks what [`verify_access_token`](Self::verify_access_token) checks. It also checks that neither the token
    /// nor its session was revoked, and that its user may log in. It costs one call of the store and one call of the
    /// directory.
    ///
    /// For a token with a proof, the directory is also asked for the client, unless the proof has a good nonce. With
    /// [`DpopSupport::Strict`](crate::dpop::DpopSupport::Strict), the check costs one more swap.
    ///
    /// # Errors
    /// [`AccessTokenCheckError`]. [`AccessTokenCheckError::TemporarilyUnavailable`] is safe to retry.
    pub async fn check_access_token<'a>(
        &self,
        token: impl Into<PresentedAccessToken<'a>>,
        audience: Audience<'_>,
    ) -> Result<AccessTokenClaims, AccessTokenCheckError> {
        check_access_token::check_access_token(&self.core, token.into(), audience).await
    }

    /// Announces the secrets of this host's [`Keyring`](crate::Keyring) in the store, and compares them with the
    /// secrets that other hosts of the same issuer announced there.
    ///
    /// A host calls this when it starts, before it serves, and then regularly, such as once a day. The record forgets a
    /// secret once no host has announced it for as long as the longest session
    /// ([`SessionValidity::absolute`](crate::session::SessionValidity)). The codes, otp_tokens and refresh tokens that
    /// it sealed have then expired. A device token can live longer.
    ///
    /// The call costs a load, and a swap unless the same secrets were announced within the last minute. A host that is
    /// refused announces nothing. The record names secrets by truncated MACs, from which nothing can be computed.
    ///
    /// During a rotation in the three steps of [`Keyring`](crate::Keyring), the result is [`KeyringCheck::Agrees`] on
    /// every host. If the last step comes too early, the result is [`KeyringCheck::LacksAPeersKey`].
    ///
    /// # Errors
    /// [`KeyringError::OtherIndexSecret`] and [`KeyringError::NoSharedSealingSecret`] when the host should not serve.
    /// Use [`announce_new_keyring`](Self::announce_new_keyring) for secrets that were replaced on purpose.
    /// [`KeyringError::Unavailable`] when the store failed, or when only a later version may decide on what is stored.
    /// After a failure of the store, the call is safe to retry.
    pub async fn check_keyring(&self) -> Result<KeyringCheck, KeyringError> {
        check_keyring::check_keyring(&self.core).await
    }

    /// Announces the secrets of this host's [`Keyring`](crate::Keyring) as the secrets that count from now on, and
    /// forgets what other hosts announced.
    ///
    /// This is for a secret that has leaked and was dropped at once, or for an index secret that was replaced. The
    /// first host that starts with the new secrets calls it once, in place of [`check_keyring`](Self::check_keyring).
    /// From then on, `check_keyring` accepts the other hosts that have the new secrets, and refuses the hosts that do
    /// not. The call costs a load and a swap.
    ///
    /// # Errors
    /// [`Unavailable`] when the store failed, or when only a later version may decide on what is stored. After a
    /// failure of the store, the call is safe to retry.
    pub async fn announce_new_keyring(&self) -> Result<(), Unavailable> {
        check_keyring::replace_keyring(&self.core).await
    }

    /// Returns the public keys that verify the tokens of this server.
    pub fn key_set(&self) -> &PublicKeySet {
        self.core.verifier.keys()
    }

    /// Returns the endpoints that [`handle`](Self::handle) answers, with their paths and URLs.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    /// Returns the issuer.
    pub fn issuer(&self) -> &Issuer {
        &self.core.issuer
    }

    /// Returns the policy by which addresses are read. A directory must keep its addresses in the same form. A host
    /// that parses addresses itself must parse them with this policy.
    pub fn addresses(&self) -> &AddressPolicy {
        &self.core.settings.addresses
    }
}

/// The endpoints, each from the raw request to the reply.
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

    /// Answers with the public keys that verify the tokens of this server (RFC 7517).
    fn jwks(&self) -> Reply {
        Reply::cacheable(self.key_set().to_json().into_bytes(), self.core.settings.key_set_max_age)
    }

    /// Answers with the metadata (RFC 8414).
    fn metadata(&self) -> Reply {
        let Parts { issuer, settings, .. } = &*self.core.parts;
        Reply::document(&Metadata::new(issuer, settings, &self.routes), settings.key_set_max_age)
    }

    /// Answers with the metadata and the members that OpenID Connect Discovery adds.
    ///
    /// OpenID Connect requires RS256 of every provider. The document names only the algorithms of the published keys.
    fn openid_configuration(&self) -> Reply {
        let Parts { issuer, settings, .. } = &*self.core.parts;
        Reply::document(&Metadata::openid(issuer, settings, &self.routes, self.key_set()), settings.key_set_max_age)
    }
}

impl<S, D> core::fmt::Debug for AuthorizationServer<S, D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AuthorizationServer").field("issuer", &self.core.issuer).finish_non_exhaustive()
    }
}
