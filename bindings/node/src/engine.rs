//! The engine: it begins exchanges, and does what needs no question.

use std::sync::{Arc, Mutex, PoisonError};

use napi_derive::napi;
use otp_grant_bindings as bindings;
use otp_grant_bindings::{ApiRequest, HostVerdict, ParsedAuthSource, ParsedClient, Refusal, Verification};
use zeroize::Zeroizing;

use crate::error::{Thrown, argument, configuration, document};
use crate::exchange::{Exchange, RefusalParts};
use crate::headers::Headers;

/// An authorization server without its store and directory.
#[napi]
pub struct Engine {
    engine: bindings::Engine,
    events: Events,
}

/// Events that JavaScript has not taken yet. An event happens in the middle of an answer. JavaScript takes the events
/// after each answer.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    fn push(&self, event: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event.to_owned());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A code of a usage other than login, and what it was sent for.
#[napi(object)]
pub struct VerificationParts {
    /// The client for which the code was sent.
    pub client: String,
    /// The usage for which the code was sent.
    pub usage: String,
    /// `sms` or `email`.
    pub channel: String,
    /// The phone number or the e-mail address.
    pub address: String,
    /// The otp_token of the send.
    pub otp_token: String,
    /// The code.
    pub otp: String,
    /// The verifier, if the code was asked for with a code challenge.
    pub code_verifier: Option<String>,
    /// The request, if the code was asked for with a proof.
    pub proof: Option<ApiRequestParts>,
    /// The device token of an earlier login to the address.
    pub device_token: Option<String>,
}

/// A request to a route of the host's own.
#[napi(object)]
pub struct ApiRequestParts {
    /// The method.
    pub method: String,
    /// The URL of the route as clients know it.
    pub external_url: String,
    /// All headers: names and values in turns.
    pub headers: Vec<String>,
}

impl ApiRequestParts {
    fn read(self) -> Result<ApiRequest, Thrown> {
        let headers = Headers::read(self.headers)?;
        ApiRequest::new(&self.method, &self.external_url, headers.iter()).map_err(|error| argument(&error))
    }
}

#[napi]
impl Engine {
    /// Reads a configuration, as JSON. Keeps events only if they are taken.
    #[napi(constructor, catch_unwind)]
    pub fn new(configuration_json: String, keeps_events: bool, clock: Option<&Clock>) -> Result<Self, Thrown> {
        let configuration_json = Zeroizing::new(configuration_json);
        let events = Events::default();
        let mut builder = bindings::Engine::builder(&configuration_json).map_err(|error| configuration(&error))?;
        if keeps_events {
            let events = events.clone();
            builder = builder.observer(move |event| events.push(event));
        }
        if let Some(clock) = clock {
            builder = builder.clock_offset(clock.offset.clone());
        }
        let engine = builder.build().map_err(|error| configuration(&error))?;
        Ok(Self { engine, events })
    }

    /// Begins to answer a request. `headers` has names and values in turns. Returns `null` where the path is not that
    /// of an endpoint.
    #[napi(catch_unwind)]
    pub fn begin(
        &self,
        method: String,
        path: String,
        headers: Vec<String>,
        body: &[u8],
        verdict: String,
    ) -> Result<Option<Exchange>, Thrown> {
        let headers = Headers::read(headers)?;
        let verdict = HostVerdict::from_name(&verdict);
        let verdict = verdict.ok_or_else(|| Thrown::new("argument", NO_VERDICT.to_owned()))?;
        let step = self.engine.begin_with_verdict(&method, &path, headers.iter(), body, verdict);
        Ok(step.map(Exchange::new))
    }

    /// Begins to check an access token, also against the store and the directory.
    #[napi(catch_unwind)]
    pub fn check_access_token(
        &self,
        token: String,
        client: Option<String>,
        scope: Option<String>,
    ) -> Result<Exchange, Thrown> {
        let token = Zeroizing::new(token);
        let step = self.engine.check_access_token(token.as_str(), client.as_deref(), scope.as_deref());
        step.map(Exchange::new).map_err(|error| argument(&error))
    }

    /// Begins to check the access token of a request.
    #[napi(catch_unwind)]
    pub fn check_request(
        &self,
        request: ApiRequestParts,
        client: Option<String>,
        scope: Option<String>,
    ) -> Result<Exchange, Thrown> {
        let step = self.engine.check_access_token(request.read()?, client.as_deref(), scope.as_deref());
        step.map(Exchange::new).map_err(|error| argument(&error))
    }

    /// Begins to redeem a code of a usage other than login.
    #[napi(catch_unwind)]
    pub fn verify(&self, parts: VerificationParts) -> Result<Exchange, Thrown> {
        let VerificationParts { client, usage, channel, address, otp_token, otp, code_verifier, proof, device_token } =
            parts;
        let [address, otp_token, otp] = [address, otp_token, otp].map(Zeroizing::new);
        let [code_verifier, device_token] = [code_verifier, device_token].map(|text| text.map(Zeroizing::new));
        let request = Verification {
            client: &client,
            usage: &usage,
            channel: &channel,
            address: &address,
            otp_token: &otp_token,
            otp: &otp,
            code_verifier: code_verifier.as_ref().map(|verifier| verifier.as_str()),
            proof: proof.map(ApiRequestParts::read).transpose()?,
            device_token: device_token.as_ref().map(|token| token.as_str()),
        };
        self.engine.verify(request).map(Exchange::new).map_err(|error| argument(&error))
    }

    /// Begins to tell what an address has left.
    #[napi(catch_unwind)]
    pub fn explain(&self, channel: String, address: String) -> Result<Exchange, Thrown> {
        let address = Zeroizing::new(address);
        self.engine.explain(&channel, &address).map(Exchange::new).map_err(|error| argument(&error))
    }

    /// Begins to clear the counted guesses and sends of an address and of its devices.
    #[napi(catch_unwind)]
    pub fn unlock(&self, channel: String, address: String) -> Result<Exchange, Thrown> {
        let address = Zeroizing::new(address);
        self.engine.unlock(&channel, &address).map(Exchange::new).map_err(|error| argument(&error))
    }

    /// Begins to make an address forget its devices.
    #[napi(catch_unwind)]
    pub fn forget_devices(&self, channel: String, address: String) -> Result<Exchange, Thrown> {
        let address = Zeroizing::new(address);
        self.engine.forget_devices(&channel, &address).map(Exchange::new).map_err(|error| argument(&error))
    }

    /// Begins to end a session.
    #[napi(catch_unwind)]
    pub fn revoke_session(&self, session: String) -> Result<Exchange, Thrown> {
        self.engine.revoke_session(&session).map(Exchange::new).map_err(|error| argument(&error))
    }

    /// Begins to compare the keyring with those of the other hosts on the store.
    #[napi(catch_unwind)]
    pub fn check_keyring(&self) -> Exchange {
        Exchange::new(self.engine.check_keyring())
    }

    /// Begins to announce a keyring that replaces another one.
    #[napi(catch_unwind)]
    pub fn announce_new_keyring(&self) -> Exchange {
        Exchange::new(self.engine.announce_new_keyring())
    }

    /// Checks an access token offline. Returns its claims as JSON, or the refusal.
    #[napi(catch_unwind)]
    pub fn verify_access_token(
        &self,
        token: String,
        client: Option<String>,
        scope: Option<String>,
    ) -> Result<Verdict, Thrown> {
        let token = Zeroizing::new(token);
        let verified = self.engine.verify_access_token(token.as_str(), client.as_deref(), scope.as_deref());
        Ok(Verdict::of(verified.map_err(|error| argument(&error))?))
    }

    /// Checks the access token of a request offline.
    #[napi(catch_unwind)]
    pub fn verify_request(
        &self,
        request: ApiRequestParts,
        client: Option<String>,
        scope: Option<String>,
    ) -> Result<Verdict, Thrown> {
        let verified = self.engine.verify_access_token(request.read()?, client.as_deref(), scope.as_deref());
        Ok(Verdict::of(verified.map_err(|error| argument(&error))?))
    }

    /// The issuer of the tokens.
    #[napi(getter, catch_unwind)]
    pub fn issuer(&self) -> String {
        self.engine.issuer().to_owned()
    }

    /// The endpoints, as JSON.
    #[napi(catch_unwind)]
    pub fn routes(&self) -> String {
        self.engine.routes()
    }

    /// The public keys, as JSON.
    #[napi(catch_unwind)]
    pub fn key_set(&self) -> String {
        self.engine.key_set()
    }

    /// The form in which an address reaches the directory, as JSON.
    #[napi(catch_unwind)]
    pub fn normalise_address(&self, channel: String, address: String) -> Result<String, Thrown> {
        self.engine.normalise_address(&channel, &address).map_err(|error| argument(&error))
    }

    /// The events since the last call, as JSON.
    #[napi(catch_unwind)]
    pub fn take_events(&self) -> Vec<String> {
        self.events.take()
    }
}

/// The outcome of an offline check. One of the two members is there.
#[napi(object)]
pub struct Verdict {
    /// What the token says, as JSON.
    pub document: Option<String>,
    /// Why the token is refused.
    pub refusal: Option<RefusalParts>,
}

impl Verdict {
    fn of(verified: Result<String, Refusal>) -> Self {
        match verified {
            Ok(document) => Self { document: Some(document), refusal: None },
            Err(refusal) => Self { document: None, refusal: Some(RefusalParts::of(&refusal)) },
        }
    }
}

/// A client that was read once.
#[napi]
pub struct PreparedClient {
    pub(crate) client: ParsedClient,
}

#[napi]
impl PreparedClient {
    /// Reads a client, as JSON.
    #[napi(constructor, catch_unwind)]
    pub fn new(client_json: String) -> Result<Self, Thrown> {
        let client_json = Zeroizing::new(client_json);
        Ok(Self { client: ParsedClient::from_json(&client_json).map_err(|error| document(&error))? })
    }
}

/// An auth source that was read once.
#[napi]
pub struct PreparedAuthSource {
    pub(crate) source: ParsedAuthSource,
}

#[napi]
impl PreparedAuthSource {
    /// Reads an auth source, as JSON.
    #[napi(constructor, catch_unwind)]
    pub fn new(source_json: String) -> Result<Self, Thrown> {
        Ok(Self { source: ParsedAuthSource::from_json(&source_json).map_err(|error| document(&error))? })
    }
}

/// A clock for tests: the system's clock, moved.
#[napi]
#[derive(Default)]
pub struct Clock {
    offset: bindings::ClockOffset,
}

#[napi]
impl Clock {
    /// Makes a clock that shows the system's time.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Moves the clock by so many milliseconds.
    #[napi(catch_unwind)]
    pub fn advance(&self, milliseconds: i64) {
        self.offset.advance_ms(milliseconds);
    }

    /// By how many milliseconds the clock was moved.
    #[napi(getter, catch_unwind)]
    pub fn offset(&self) -> i64 {
        self.offset.ms()
    }
}

/// The argument and the reason.
const NO_VERDICT: &str = "verdict\nnone, allow, challenge or refuse is expected";
