//! The face of the crate: one method an endpoint.

use std::sync::Arc;

use crate::access_token::{AccessTokenClaims, AccessTokenError, AccessTokenVerifier};
use crate::address::AddressPolicy;
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::directory::Directory;
use crate::entropy::{Entropy, SystemEntropy};
use crate::error::{SendError, TokenError};
use crate::flow::Core;
use crate::flow::send_otp::Delivery;
use crate::flow::verify_otp::{VerifiedAddress, VerifyError, VerifyOtp};
use crate::id::Issuer;
use crate::jwk::{KeyError, PublicKeySet};
use crate::keyring::Keyring;
use crate::observer::{NoObserver, Observer};
use crate::reply::{Reply, TokenResponse};
use crate::request::{Request, SendRequest, TokenRequest};
use crate::signing_key::SigningKey;
use crate::store::Store;

/// An authorization server without its I/O.
///
/// One method an endpoint: it takes what came in and gives what goes out. It can be shared between threads; the store
/// is its only state.
///
/// A future that is dropped leaves nothing half done: what was not stored was not said.
pub struct AuthorizationServer<S, D> {
    core: Core<S, D>,
    verifier: AccessTokenVerifier,
}

impl AuthorizationServer<(), ()> {
    /// Begins to set up a server for an issuer, with its secrets and its signing key.
    pub fn builder(issuer: Issuer, keyring: Keyring, signing_key: SigningKey) -> ServerBuilder {
        ServerBuilder {
            issuer,
            keyring,
            signing_key,
            settings: Settings::default(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::default()),
            observer: Arc::new(NoObserver),
        }
    }
}

impl<S: Store, D: Directory> AuthorizationServer<S, D> {
    /// `POST /otp/send`: creates a challenge. The host delivers the code, and replies with what came of it.
    ///
    /// # Errors
    /// The reply that refuses the request. A 503 may be retried.
    pub async fn send_otp(&self, request: Request<'_>) -> Result<Delivery, Reply> {
        let parsed = SendRequest::parse(&request, &self.core.settings.rules)?;
        Ok(self.core.send_otp(parsed).await?)
    }

    /// The same as [`send_otp`](Self::send_otp) for a request that the host parsed itself.
    ///
    /// # Errors
    /// [`SendError`]; [`SendError::TemporarilyUnavailable`] may be retried.
    pub async fn send(&self, request: SendRequest<'_>) -> Result<Delivery, SendError> {
        self.core.send_otp(request).await
    }

    /// `POST /oauth2/token`: redeems a code for tokens (RFC 6749 section 3.2).
    ///
    /// A 503 may be retried: it spent at most one guess. A 400 `invalid_grant` never turns into a success, except that
    /// the code of `User not found` works again with `auto_signup`.
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
            TokenRequest::Otp(request) => self.core.otp_grant(request).await,
        }
    }

    /// Redeems a code of another usage than login for the proof that its address was verified.
    ///
    /// # Errors
    /// [`VerifyError`]; [`VerifyError::TemporarilyUnavailable`] may be retried.
    pub async fn verify_otp(&self, request: VerifyOtp<'_>) -> Result<VerifiedAddress, VerifyError> {
        self.core.verify_otp(request).await
    }

    /// Checks an access token of this server: signature, type, issuer, audience and time (RFC 8725).
    ///
    /// # Errors
    /// [`AccessTokenError`], for a token that was not issued here or has expired.
    pub fn verify_access_token(&self, token: &str) -> Result<AccessTokenClaims, AccessTokenError> {
        self.verifier.verify(token, self.core.clock.now())
    }

    /// `GET /oauth2/jwks`: the public keys that tokens can be verified with (RFC 7517).
    pub fn jwks(&self) -> Reply {
        Reply::cacheable(self.key_set().to_json().into_bytes())
    }

    /// The public keys that tokens can be verified with.
    pub fn key_set(&self) -> &PublicKeySet {
        self.verifier.keys()
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

/// Sets up an [`AuthorizationServer`].
#[must_use]
pub struct ServerBuilder {
    issuer: Issuer,
    keyring: Keyring,
    signing_key: SigningKey,
    settings: Settings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    observer: Arc<dyn Observer>,
}

impl ServerBuilder {
    /// Replaces the settings.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Replaces the clock. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Replaces the source of random bytes. Defaults to [`SystemEntropy`].
    pub fn entropy(mut self, entropy: impl Entropy + 'static) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Replaces the observer. Defaults to none.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Puts the server together.
    ///
    /// # Errors
    /// [`ConfigError`] when settings contradict one another.
    pub fn build<S: Store, D: Directory>(
        self,
        store: S,
        directory: D,
    ) -> Result<AuthorizationServer<S, D>, ConfigError> {
        let Self { issuer, keyring, signing_key, settings, clock, entropy, observer } = self;
        let second = core::time::Duration::from_secs(1);
        let validity = &settings.token_validity;
        let sessions = &settings.session_validity;
        if [validity.access_token, validity.id_token, sessions.idle].iter().any(|validity| *validity < second) {
            return Err(ConfigError::ValidityTooShort);
        }
        if sessions.absolute < sessions.idle {
            return Err(ConfigError::SessionValidity);
        }
        if !settings.quotas_are_sound() {
            return Err(ConfigError::Quota);
        }
        if !settings.grant_types_are_distinct() {
            return Err(ConfigError::GrantType);
        }
        let keys = PublicKeySet::new([signing_key.public_key().clone()]).map_err(ConfigError::Keys)?;
        let verifier = AccessTokenVerifier::new(issuer.clone(), keys, settings.access_token_profile.clone());
        let limits = settings.limits.clone();
        let core = Core { issuer, settings, limits, keyring, signing_key, store, directory, clock, entropy, observer };
        Ok(AuthorizationServer { core, verifier })
    }
}

impl core::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ServerBuilder").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// The configuration is wrong: the caller's fault, found before any request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A token or a session would live for less than a second.
    ValidityTooShort,
    /// Sessions would end in all before they end without a refresh.
    SessionValidity,
    /// A quota has no window or allows more than 1,000 events, all of which an address's record would have to keep.
    Quota,
    /// A `grant_type` is empty or was given twice.
    GrantType,
    /// The public keys do not make a set.
    Keys(KeyError),
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::ValidityTooShort => "a token or session has to live for at least a second",
            Self::SessionValidity => "the absolute validity of a session has to cover the idle one",
            Self::Quota => "a quota needs a window, and may allow at most 1000 events in it",
            Self::GrantType => "a grant_type is empty or was given twice",
            Self::Keys(_) => "the public keys do not make a set",
        })
    }
}

impl core::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Keys(cause) => Some(cause),
            _ => None,
        }
    }
}
