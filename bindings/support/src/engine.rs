//! The engine: a server without its store and directory, which is made from one JSON document.

use std::fmt;
use std::sync::Arc;

use otp_grant::exchange;
use otp_grant::grant::CustomUsage;
use otp_grant::id::SessionId;
use otp_grant::jwt::{AccessTokenClaims, AccessTokenError, AccessTokenVerifier, Audience};
use otp_grant::secret::PresentedSecret;
use otp_grant::server::{AccessTokenCheckError, Endpoint, KeyringCheck, Route, VerifyRequest};
use otp_grant::time::Clock;
use otp_grant::wire::PresentedAccessToken;
use otp_grant::{Address, AuthorizationServer, Channel, ClientId, Request, Scope, Usage};
use serde_json::{Value, json};

use crate::api_request::{ApiRequest, PresentedToken};
use crate::builder::EngineBuilder;
use crate::claims::with_scope;
use crate::clock_offset::ClockOffset;
use crate::error::{ArgumentError, ConfigError};
use crate::exchange::Shared;
use crate::explanation::explanation;
use crate::pending::{Pending, Step};
use crate::refusal::Refusal;
use crate::values::ChannelName;
use crate::verdict::HostVerdict;

/// A server without its store and its directory. It is cheap to clone, and is shared between threads.
#[derive(Clone)]
pub struct Engine {
    engine: exchange::Engine,
    /// Checks tokens together with their proofs, by the clock of the engine.
    verifier: Arc<AccessTokenVerifier>,
    clock: ClockOffset,
    shared: Arc<Shared>,
}

impl Engine {
    /// Makes an engine from its configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names the member that is wrong.
    pub fn from_json(config: &str) -> Result<Self, ConfigError> {
        Self::builder(config)?.build()
    }

    /// Reads a configuration. Functions of the host can be added before the engine is built.
    ///
    /// # Errors
    /// [`ConfigError`] names the member that is wrong.
    pub fn builder(config: &str) -> Result<EngineBuilder, ConfigError> {
        EngineBuilder::from_json(config)
    }

    /// Begins to answer a request about which the host knows nothing. Returns `None` when the path is not the path of
    /// an endpoint.
    ///
    /// `path` has no query. Header names are in any case, and a header that is repeated is given repeatedly. Everything
    /// is copied.
    pub fn begin<'h>(
        &self,
        method: &str,
        path: &str,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        body: &[u8],
    ) -> Option<Step> {
        self.begin_with_verdict(method, path, headers, body, HostVerdict::None)
    }

    /// Begins to answer a request with the host's verdict about it, as [`begin`](Self::begin) does without one.
    pub fn begin_with_verdict<'h>(
        &self,
        method: &str,
        path: &str,
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        body: &[u8],
        verdict: HostVerdict,
    ) -> Option<Step> {
        // The lifetimes of the parts of a request are the same.
        let headers: Vec<(&str, &[u8])> = headers.into_iter().collect();
        let request = Request::new(method, path).headers(headers).body(body).with_verdict(verdict.into());
        let step = self.engine.begin(&request)?;
        Some(Pending::begin(step, Arc::clone(&self.shared)))
    }

    /// Checks an access token offline, as `AuthorizationServer::verify_access_token` and
    /// `AccessTokenVerifier::verify_with_proof` do. `client` accepts only tokens of this client, and `needed_scope`
    /// refuses tokens that lack a part of it. A text alone is a bearer token.
    ///
    /// The check knows neither whether a proof was used before nor whether its nonce is good.
    ///
    /// The document has `subject`, `client`, `scope`, `token_id`, `session`, `issued_at`, `expires_at`, `auth_time` if
    /// the token has it, `key` if it is bound to one, `amr` and `custom`. Instants are milliseconds since 1970. A key
    /// is named by its thumbprint (RFC 7638).
    ///
    /// # Errors
    /// [`ArgumentError`] if `client` or `needed_scope` can't be one. The [`Refusal`] within is `no_token`,
    /// `invalid_token`, `not_an_access_token`, `wrong_issuer`, `wrong_audience`, `expired`, `key_bound`,
    /// `not_key_bound`, `invalid_dpop_proof` or `insufficient_scope`.
    pub fn verify_access_token<'t>(
        &self,
        token: impl Into<PresentedToken<'t>>,
        client: Option<&str>,
        needed_scope: Option<&str>,
    ) -> Result<Result<String, Refusal>, ArgumentError> {
        let (client, needed) = (client_argument(client)?, scope_argument(needed_scope)?);
        let claims = self.verified(&token.into(), audience(client.as_ref()));
        Ok(claims.and_then(|claims| with_scope(&claims, needed.as_ref())))
    }

    /// Checks an access token online, as `AuthorizationServer::check_access_token` does. The document is that of
    /// [`verify_access_token`](Self::verify_access_token).
    ///
    /// # Errors
    /// [`ArgumentError`] if `client` or `needed_scope` can't be one. The exchange can end with the refusals of
    /// [`verify_access_token`](Self::verify_access_token), `revoked`, `use_dpop_nonce` and `temporarily_unavailable`.
    pub fn check_access_token<'t>(
        &self,
        token: impl Into<PresentedToken<'t>>,
        client: Option<&str>,
        needed_scope: Option<&str>,
    ) -> Result<Step, ArgumentError> {
        let (client, needed) = (client_argument(client)?, scope_argument(needed_scope)?);
        let token = token.into().into_owned();
        Ok(self.perform(|server| async move {
            let claims = server.check_access_token(token.presented()?, audience(client.as_ref())).await?;
            with_scope(&claims, needed.as_ref())
        }))
    }

    /// Redeems a code of a usage other than login, as `AuthorizationServer::verify` does. The host has authenticated
    /// the client.
    ///
    /// The document has `channel`, `address`, `usage` and `verified_at`.
    ///
    /// The engine does not look up the client. A host whose client requires code challenges refuses a request without a
    /// `code_verifier` itself.
    ///
    /// # Errors
    /// [`ArgumentError`] if a part can't be what it should be. The exchange can end with `unknown_otp_token`,
    /// `mismatched_otp_token`, `unknown_otp`, `invalid_dpop_proof` or `temporarily_unavailable`.
    pub fn verify(&self, request: Verification<'_>) -> Result<Step, ArgumentError> {
        let client = ClientId::new(request.client).map_err(|error| ArgumentError::new("client", error))?;
        let usage = match Usage::from_wire(request.usage) {
            Some(usage) => usage,
            None => {
                let usage = CustomUsage::new(request.usage).map_err(|error| ArgumentError::new("usage", error))?;
                Usage::Custom(usage)
            }
        };
        let address = self.address(request.channel, request.address)?;
        let otp_token = PresentedSecret::new(request.otp_token.to_owned());
        let otp = PresentedSecret::new(request.otp.to_owned());
        let code_verifier = request.code_verifier.map(|verifier| PresentedSecret::new(verifier.to_owned()));
        let device_token = request.device_token.map(|token| PresentedSecret::new(token.to_owned()));
        let presenting = request.proof;
        Ok(self.perform(|server| async move {
            let mut request = VerifyRequest::new(&client, usage, address, otp_token, otp);
            request.code_verifier = code_verifier;
            request.device_token = device_token;
            request.proof = presenting.as_ref().map(ApiRequest::proof);
            let verified = server.verify(request).await?;
            let document = json!({
                "channel": ChannelName::of(verified.address().channel()),
                "address": verified.address().as_str(),
                "usage": verified.usage().as_str(),
                "verified_at": verified.verified_at().as_unix_millis(),
            });
            Ok(document.to_string())
        }))
    }

    /// Ends a session, as `AuthorizationServer::revoke_session` does. The document is empty.
    ///
    /// # Errors
    /// [`ArgumentError`] if the text is not the identifier of a session. The exchange can end with
    /// `temporarily_unavailable`.
    pub fn revoke_session(&self, session: &str) -> Result<Step, ArgumentError> {
        let session = SessionId::try_from(session.to_owned()).map_err(|error| ArgumentError::new("session", error))?;
        Ok(self.perform(|server| async move {
            server.revoke_session(&session).await?;
            Ok(NOTHING.to_owned())
        }))
    }

    /// Tells what an address has left, for the host's support staff, as `AuthorizationServer::explain` does.
    ///
    /// The document has `is_locked`, `guesses`, `sends`, `challenges` and `devices`. A budget has `left`, which is
    /// `null` where there is no limit, and `available_at`, which is `null` where one is possible now. A challenge has
    /// `code_expires_at`, `expires_at` and `guesses_left`. A device has `known_until`, `guesses` and `sends`. Instants
    /// are milliseconds since 1970. There is no code and no identifier in it.
    ///
    /// # Errors
    /// [`ArgumentError`] if there is no such address. The exchange can end with `temporarily_unavailable`.
    pub fn explain(&self, channel: &str, address: &str) -> Result<Step, ArgumentError> {
        let address = self.address(channel, address)?;
        Ok(self.perform(|server| async move { Ok(explanation(&server.explain(&address).await?)) }))
    }

    /// Clears the counted guesses and sends of an address and of its devices, as `AuthorizationServer::unlock` does.
    /// The document is empty.
    ///
    /// # Errors
    /// [`ArgumentError`] if there is no such address. The exchange can end with `temporarily_unavailable`.
    pub fn unlock(&self, channel: &str, address: &str) -> Result<Step, ArgumentError> {
        let address = self.address(channel, address)?;
        Ok(self.perform(|server| async move {
            server.unlock(&address).await?;
            Ok(NOTHING.to_owned())
        }))
    }

    /// Makes an address forget its devices, as `AuthorizationServer::forget_devices` does. The document is empty.
    ///
    /// # Errors
    /// [`ArgumentError`] if there is no such address. The exchange can end with `temporarily_unavailable`.
    pub fn forget_devices(&self, channel: &str, address: &str) -> Result<Step, ArgumentError> {
        let address = self.address(channel, address)?;
        Ok(self.perform(|server| async move {
            server.forget_devices(&address).await?;
            Ok(NOTHING.to_owned())
        }))
    }

    /// Compares the keys with those of the other hosts on the store, as `AuthorizationServer::check_keyring` does. The
    /// document has `keyring`: `agrees` or `lacks_a_peers_key`. The exchange can end with `other_index_secret`,
    /// `no_shared_sealing_secret` or `temporarily_unavailable`.
    pub fn check_keyring(&self) -> Step {
        self.perform(|server| async move {
            let outcome = match server.check_keyring().await? {
                KeyringCheck::Agrees => "agrees",
                _ => "lacks_a_peers_key",
            };
            Ok(json!({ "keyring": outcome }).to_string())
        })
    }

    /// Announces new keys, as `AuthorizationServer::announce_new_keyring` does. The document is empty. The exchange can
    /// end with `temporarily_unavailable`.
    pub fn announce_new_keyring(&self) -> Step {
        self.perform(|server| async move {
            server.announce_new_keyring().await?;
            Ok(NOTHING.to_owned())
        })
    }

    /// Returns the issuer.
    pub fn issuer(&self) -> &str {
        self.engine.issuer().as_str()
    }

    /// Returns the endpoints as a JSON array of `endpoint`, `path`, `url` and `methods`.
    pub fn routes(&self) -> String {
        Value::Array(self.engine.routes().map(route).collect()).to_string()
    }

    /// Returns the public keys that verify the tokens of this engine, as JSON (RFC 7517).
    pub fn key_set(&self) -> String {
        self.engine.key_set().to_json()
    }

    /// Reads an address. Returns `channel`, `address` and `budget` as a JSON object. The directory is asked for this
    /// form of an address. Addresses that have one budget share guesses and sends.
    ///
    /// # Errors
    /// [`ArgumentError`] if the channel is not `sms` or `email`, or the text is not an address of it.
    pub fn normalise_address(&self, channel: &str, text: &str) -> Result<String, ArgumentError> {
        let address = self.address(channel, text)?;
        let budget = self.engine.addresses().budget_of(&address);
        let channel = ChannelName::of(address.channel());
        Ok(json!({ "channel": channel, "address": address.as_str(), "budget": budget }).to_string())
    }

    pub(crate) fn new(
        engine: exchange::Engine,
        verifier: AccessTokenVerifier,
        clock: ClockOffset,
        shared: Shared,
    ) -> Self {
        Self { engine, verifier: Arc::new(verifier), clock, shared: Arc::new(shared) }
    }

    fn verified(&self, token: &PresentedToken<'_>, audience: Audience<'_>) -> Result<AccessTokenClaims, Refusal> {
        let request = match token {
            PresentedToken::Alone(token) => return Ok(self.engine.verify_access_token(token, audience)?),
            PresentedToken::Request(request) => request,
        };
        match request.token()? {
            PresentedAccessToken::Bearer(token) => Ok(self.engine.verify_access_token(token, audience)?),
            PresentedAccessToken::Dpop(token, proof) => {
                let claims = self.verifier.verify_with_proof(token, &proof, audience, self.clock.now());
                claims.map_err(|error| AccessTokenCheckError::RefusedWithProof(error).into())
            }
            // A later way to present a token.
            _ => Err(AccessTokenError::NotAnAccessToken.into()),
        }
    }

    fn perform<F>(&self, work: impl FnOnce(AuthorizationServer<exchange::Asking, exchange::Asking>) -> F) -> Step
    where
        F: Future<Output = Result<String, Refusal>> + Send + 'static,
    {
        Pending::begin(self.engine.perform(work), Arc::clone(&self.shared))
    }

    fn address(&self, channel: &str, text: &str) -> Result<Address, ArgumentError> {
        let policy = self.engine.addresses();
        let wrong = |error: &dyn fmt::Display| ArgumentError::new("address", error);
        match ChannelName::parse(channel) {
            Some(Channel::Sms) => policy.phone_number(text).map(Address::Phone).map_err(|error| wrong(&error)),
            Some(Channel::Email) => policy.email(text).map(Address::Email).map_err(|error| wrong(&error)),
            None => Err(ArgumentError::new("channel", "sms or email is expected")),
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("issuer", &self.issuer()).finish_non_exhaustive()
    }
}

/// A code of a usage other than login, to be redeemed.
#[derive(Clone)]
#[expect(clippy::exhaustive_structs, reason = "a binding fills it in, and has to learn of another member")]
pub struct Verification<'a> {
    /// The client that requested the code.
    pub client: &'a str,
    /// What the code was requested for.
    pub usage: &'a str,
    /// `sms` or `email`.
    pub channel: &'a str,
    /// The address, in any spelling.
    pub address: &'a str,
    /// The otp_token that came with the code.
    pub otp_token: &'a str,
    /// The code.
    pub otp: &'a str,
    /// The verifier of the code challenge that came with the request for the code.
    pub code_verifier: Option<&'a str>,
    /// The request, with the proof of the key that the code was requested with. Where proofs are switched off, it is
    /// ignored. The nonce of the proof is not looked at.
    pub proof: Option<ApiRequest>,
    /// The device token of an earlier login to this address. One that is not good counts as none.
    pub device_token: Option<&'a str>,
}

/// Shows neither the code nor the address.
impl fmt::Debug for Verification<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verification").field("client", &self.client).field("usage", &self.usage).finish_non_exhaustive()
    }
}

fn client_argument(client: Option<&str>) -> Result<Option<ClientId>, ArgumentError> {
    client.map(ClientId::new).transpose().map_err(|error| ArgumentError::new("client", error))
}

fn scope_argument(scope: Option<&str>) -> Result<Option<Scope>, ArgumentError> {
    scope.map(Scope::parse).transpose().map_err(|error| ArgumentError::new("needed_scope", error))
}

fn audience(client: Option<&ClientId>) -> Audience<'_> {
    client.map_or(Audience::EveryClient, Audience::Client)
}

fn route(route: &Route) -> Value {
    let methods: Vec<&str> = route.endpoint().allow().split(", ").collect();
    json!({ "endpoint": endpoint(route.endpoint()), "path": route.path(), "url": route.url(), "methods": methods })
}

fn endpoint(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::OtpSend => "otp_send",
        Endpoint::Token => "token",
        Endpoint::Revocation => "revocation",
        Endpoint::Introspection => "introspection",
        Endpoint::Userinfo => "userinfo",
        Endpoint::Jwks => "jwks",
        Endpoint::Metadata => "metadata",
        Endpoint::OpenidConfiguration => "openid_configuration",
        _ => "other",
    }
}

const NOTHING: &str = "{}";
