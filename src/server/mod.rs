//! The face of the crate: one method an endpoint.

mod builder;
mod metadata;
mod routes;

use core::future::Future;

use crate::address::AddressPolicy;
use crate::directory::Directory;
pub use crate::flow::access_token::CheckError;
use crate::flow::core::Core;
pub use crate::flow::keyring::{KeyringCheck, KeyringError};
pub use crate::flow::send_otp::{Delivery, OtpMessage};
pub use crate::flow::verify_otp::{VerifiedAddress, VerifyError, VerifyOtp};
use crate::flow::{
    access_token, introspect, keyring, otp_grant, refresh_grant, revoke, send_otp, userinfo, verify_otp,
};
use crate::id::{Issuer, SessionId};
use crate::jwt::access_token::{AccessTokenClaims, AccessTokenError, Audience};
use crate::jwt::jwk::PublicKeySet;
pub use crate::server::builder::{ConfigError, ServerBuilder};
use crate::server::metadata::Metadata;
use crate::server::routes::Routes;
pub use crate::server::routes::{Endpoint, Route};
use crate::store::Store;
use crate::wire::error::{DeliveryFailure, SendError, TokenError, TokenQueryError, Unavailable, UserinfoError};
use crate::wire::reply::{Introspection, Reply, TokenResponse, UserinfoResponse};
use crate::wire::request::{Request, SendRequest, TokenQuery, TokenRequest, UserinfoRequest};

/// An authorization server without its I/O.
///
/// One method an endpoint: it takes what came in and gives what goes out. It can be shared between threads; the store
/// is its only state.
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
    /// `path` comes without the query, and with the path of the issuer if it has one. `deliver` sends a code and turns the
    /// delivery into the reply: [`Delivery::accepted`] or [`Delivery::failed`].
    ///
    /// ```
    /// # use otp_grant::*;
    /// # async fn example(server: &AuthorizationServer<MemoryStore, MemoryDirectory>, request: Request<'_>) {
    /// let deliver = async |delivery: Delivery| {
    ///     println!("{} for {}", delivery.code().expose_secret(), delivery.address().as_str());
    ///     delivery.accepted()
    /// };
    /// match server.handle("POST", "/oauth2/token", request, deliver).await {
    ///     Some(reply) => println!("{}", reply.status()),
    ///     None => println!("404"),
    /// }
    /// # }
    /// ```
    pub async fn handle<F>(
        &self,
        method: &str,
        path: &str,
        request: Request<'_>,
        deliver: impl FnOnce(Delivery) -> F,
    ) -> Option<Reply>
    where
        F: Future<Output = Reply>,
    {
        let endpoint = self.routes.find(path)?;
        // A `GET` has no body that means anything (RFC 9110 section 9.3.1).
        let request = if method == "POST" { request } else { Request { content_type: None, body: b"", ..request } };
        Some(match (endpoint, method) {
            (Endpoint::OtpSend, "POST") => match self.send_otp(request).await {
                Ok(delivery) => deliver(delivery).await,
                Err(refusal) => refusal,
            },
            (Endpoint::Token, "POST") => self.token(request).await,
            (Endpoint::Revocation, "POST") => self.revoke(request).await,
            (Endpoint::Introspection, "POST") => self.introspect(request).await,
            (Endpoint::Userinfo, "GET" | "HEAD" | "POST") => self.userinfo(request).await,
            (Endpoint::Jwks, "GET" | "HEAD") => self.jwks(),
            (Endpoint::Metadata, "GET" | "HEAD") => self.metadata(),
            (Endpoint::OpenidConfiguration, "GET" | "HEAD") => self.openid_configuration(),
            (endpoint, _) => Reply::method_not_allowed(endpoint.allow()),
        })
    }

    /// `POST /otp/send`: creates a challenge. The host delivers the code, and replies with what came of it.
    ///
    /// # Errors
    /// The reply that refuses the request. A 503 may be retried.
    pub async fn send_otp(&self, request: Request<'_>) -> Result<Delivery, Reply> {
        let parsed = SendRequest::parse(&request, &self.core.settings.rules)?;
        Ok(send_otp::send_otp(&self.core, parsed).await?)
    }

    /// The same as [`send_otp`](Self::send_otp) for a request that the host parsed itself.
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
    pub async fn token(&self, request: Request<'_>) -> Reply {
        let parsed = match TokenRequest::parse(&request, &self.core.settings.rules) {
            Ok(parsed) => parsed,
            Err(error) => return error.into(),
        };
        match self.grant(parsed).await {
            Ok(response) => response.into(),
            Err(error) => error.into(),
        }
    }

    /// The same as [`token`](Self::token) for a request that the host parsed itself.
    ///
    /// # Errors
    /// [`TokenError`]; [`TokenError::TemporarilyUnavailable`] may be retried.
    pub async fn grant(&self, request: TokenRequest<'_>) -> Result<TokenResponse, TokenError> {
        match request {
            TokenRequest::Otp(request) => otp_grant::otp_grant(&self.core, request).await,
            TokenRequest::Refresh(request) => refresh_grant::refresh_grant(&self.core, request).await,
        }
    }

    /// `POST /oauth2/revoke`: a client signs out (RFC 7009).
    ///
    /// An access token dies alone; a refresh token with its session and every token of it. When more than 8 access tokens
    /// of one session are revoked before they expire, those that were issued before or together with the oldest of them die,
    /// too. A 503 revoked
    /// nothing that is known of, and may be retried; a 200 may be, too.
    pub async fn revoke(&self, request: Request<'_>) -> Reply {
        let parsed = match TokenQuery::parse(&request, &self.core.settings.rules) {
            Ok(parsed) => parsed,
            Err(error) => return error.into(),
        };
        match self.revoke_token(parsed).await {
            Ok(()) => Reply::done(),
            Err(error) => error.into(),
        }
    }

    /// The same as [`revoke`](Self::revoke) for a request that the host parsed itself. A token that is unknown or dead
    /// already is a success.
    ///
    /// # Errors
    /// [`TokenQueryError`]; [`TokenQueryError::TemporarilyUnavailable`] may be retried.
    pub async fn revoke_token(&self, query: TokenQuery<'_>) -> Result<(), TokenQueryError> {
        revoke::revoke(&self.core, query).await
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
    pub async fn introspect(&self, request: Request<'_>) -> Reply {
        let parsed = match TokenQuery::parse(&request, &self.core.settings.rules) {
            Ok(parsed) => parsed,
            Err(error) => return error.into(),
        };
        match self.introspect_token(parsed).await {
            Ok(introspection) => introspection.into(),
            Err(error) => error.into(),
        }
    }

    /// The same as [`introspect`](Self::introspect) for a request that the host parsed itself.
    ///
    /// # Errors
    /// [`TokenQueryError`]; [`TokenQueryError::TemporarilyUnavailable`] may be retried.
    pub async fn introspect_token(&self, query: TokenQuery<'_>) -> Result<Introspection, TokenQueryError> {
        introspect::introspect(&self.core, query).await
    }

    /// `GET /userinfo` and `POST /userinfo`: the claims of the user whose access token is presented (OpenID Connect Core
    /// section 5.3), filtered by its scope.
    ///
    /// The token stands in the header or, for a `POST`, in a form; for a `GET` the host passes on an empty body (RFC 6750
    /// section 2.2).
    pub async fn userinfo(&self, request: Request<'_>) -> Reply {
        let parsed = match UserinfoRequest::parse(&request, &self.core.settings.rules) {
            Ok(parsed) => parsed,
            Err(error) => return UserinfoError::from(error).into(),
        };
        match self.user_claims(parsed).await {
            Ok(response) => response.into(),
            Err(error) => error.into(),
        }
    }

    /// The same as [`userinfo`](Self::userinfo) for a request that the host parsed itself.
    ///
    /// # Errors
    /// [`UserinfoError`]; [`UserinfoError::TemporarilyUnavailable`] may be retried.
    pub async fn user_claims(&self, request: UserinfoRequest<'_>) -> Result<UserinfoResponse, UserinfoError> {
        userinfo::userinfo(&self.core, request).await
    }

    /// Redeems a code of another usage than login for the proof that its address was verified.
    ///
    /// # Errors
    /// [`VerifyError`]; [`VerifyError::TemporarilyUnavailable`] may be retried.
    pub async fn verify_otp(&self, request: VerifyOtp<'_>) -> Result<VerifiedAddress, VerifyError> {
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
    /// [`CheckError`]; [`CheckError::TemporarilyUnavailable`] may be retried.
    pub async fn check_access_token(
        &self,
        token: &str,
        audience: Audience<'_>,
    ) -> Result<AccessTokenClaims, CheckError> {
        access_token::check_access_token(&self.core, token, audience).await
    }

    /// Announces the secrets of this host's [`Keyring`](crate::Keyring) in the store, and compares them with those that other
    /// hosts of the same issuer announced there.
    ///
    /// A host calls it when it starts, before it serves, and again now and then while it runs, such as once a day: what no
    /// host announces any more is forgotten when everything has expired that it can have sealed, after the longest session
    /// ([`SessionValidity::absolute`](crate::SessionValidity)). It costs a load, and a swap unless the same secrets were
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
        keyring::check_keyring(&self.core).await
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
        keyring::replace_keyring(&self.core).await
    }

    /// `GET /oauth2/jwks`: the public keys that tokens can be verified with (RFC 7517).
    pub fn jwks(&self) -> Reply {
        Reply::cacheable(self.key_set().to_json().into_bytes(), self.core.settings.key_set_max_age)
    }

    /// The public keys that tokens can be verified with.
    pub fn key_set(&self) -> &PublicKeySet {
        self.core.verifier.keys()
    }

    /// What clients can find out about the server (RFC 8414), to be served at [`Issuer::metadata_path`].
    pub fn metadata(&self) -> Reply {
        let Core { issuer, settings, .. } = &self.core;
        Reply::document(&Metadata::new(issuer, settings, &self.routes), settings.key_set_max_age)
    }

    /// The same with what OpenID Connect Discovery adds, to be served at [`Issuer::openid_configuration_path`].
    ///
    /// OpenID Connect asks every provider for RS256; the algorithms that are named are those of the keys that are
    /// published.
    pub fn openid_configuration(&self) -> Reply {
        let Core { issuer, settings, .. } = &self.core;
        Reply::document(&Metadata::openid(issuer, settings, &self.routes, self.key_set()), settings.key_set_max_age)
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
        &self.core.settings.rules.addresses
    }
}

impl<S, D> core::fmt::Debug for AuthorizationServer<S, D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AuthorizationServer").field("issuer", &self.core.issuer).finish_non_exhaustive()
    }
}
