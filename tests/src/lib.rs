//! The harness of the scenarios: a host with its own clock, random bytes, store and counters.
#![allow(missing_docs, reason = "it is read by whoever writes a scenario, beside the scenario")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::missing_errors_doc,
    reason = "a harness that fails has to fail loudly"
)]

mod call;
mod face;
mod polled;
mod post;
mod prover;
mod replies;
pub mod steps;
mod store;

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use otp_grant::directory::{ClientRegistry, SignUp, UserClaims, UserStore};
use otp_grant::dpop::DpopPolicy;
use otp_grant::jwt::{Algorithm, SigningKeys, TokenValidity};
use otp_grant::observer::{Event, Observer};
use otp_grant::session::{RefreshPolicy, SessionValidity};
use otp_grant::settings::SMS_GRANT_TYPE;
pub use otp_grant::testing::{ManualClock, SeededEntropy};
use otp_grant::*;
use serde_json::{Value, json};

use crate::store::Yield;
pub use crate::store::{Mishap, TestStore};
pub use call::{Calls, RouteProof};
pub use face::{Asked, Driven, Face, Faces};
pub use polled::{drop_after, waits};
pub use post::{Post, Posts, form_request, json_request};
pub use prover::Prover;

pub const PHONE: &str = "13612345678";
pub const EMAIL: &str = "MOCK_USERNAME@example.com";
pub const LOCKED_PHONE: &str = "13600000000";
pub const NOBODY: &str = "13699999999";
pub const ISSUER: &str = "https://sample.portal.example.com";
pub const START: u64 = 1_800_000_000;
/// The confidential client that users log in with, and a public one that may send.
pub const CLIENT: &str = "TENANT_CLIENT_ID";
pub const CLIENT_SECRET: &str = "TENANT_CLIENT_SECRET";
pub const PUBLIC_CLIENT: &str = "TENANT_SPA_CLIENT_ID";
/// Public clients that may send, and that must prove a key.
pub const DPOP_CLIENT: &str = "DPOP_CLIENT_ID";
pub const NONCE_CLIENT: &str = "NONCE_CLIENT_ID";
pub const SMS_SOURCE: &str = "MOCK_SMS_OTP_AUTH_SOURCE_ID";
/// Signs for the sample host, with ES256.
pub const KEY: &str = include_str!("../keys/es256_pkcs8.pem");

/// A key of each kind that signs for no sample host. They are in a file, so that each run gives the same bytes.
pub fn other_key(algorithm: Algorithm) -> SigningKey {
    let pem = match algorithm {
        Algorithm::ES256 => include_str!("../keys/es256_other_pkcs8.pem"),
        Algorithm::EdDSA => include_str!("../keys/ed25519_pkcs8.pem"),
        other => panic!("no file has a key for {other:?}"),
    };
    SigningKey::from_pem(pem).unwrap()
}

/// The key that signs for the sample host.
pub fn signing_key() -> SigningKey {
    SigningKey::from_pem(KEY).unwrap()
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// The default settings with changes.
pub fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    with(Settings::default(), change)
}

/// Settings, or a part of them, with changes.
pub fn with<T>(mut settings: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut settings);
    settings
}

pub fn session_validity(idle: Duration, absolute: Duration) -> SessionValidity {
    with(SessionValidity::default(), |validity| (validity.idle, validity.absolute) = (idle, absolute))
}

pub fn token_validity(access_token: Duration, id_token: Duration) -> TokenValidity {
    with(TokenValidity::default(), |validity| (validity.access_token, validity.id_token) = (access_token, id_token))
}

#[derive(Debug, PartialEq, Eq)]
pub struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken on purpose")
    }
}

impl std::error::Error for Broken {}

/// A directory that counts and can be down.
pub struct TestDirectory {
    pub inner: MemoryDirectory,
    pub down: std::sync::atomic::AtomicBool,
    /// Whether it keeps everybody waiting who asks for a user.
    pub stalled: std::sync::atomic::AtomicBool,
    pub calls: Mutex<Vec<&'static str>>,
}

impl TestDirectory {
    async fn enter(&self, name: &'static str) -> Result<(), Broken> {
        self.calls.lock().unwrap().push(name);
        while self.stalled.load(SeqCst) && name.starts_with("user_") {
            Yield::default().await;
        }
        if self.down.load(SeqCst) && !matches!(name, "client" | "auth_source") { Err(Broken) } else { Ok(()) }
    }
}

impl ClientRegistry for TestDirectory {
    type Error = Broken;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, Broken> {
        self.enter("client").await?;
        let client = self.inner.client(id).await.unwrap();
        Ok(client)
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, Broken> {
        self.enter("auth_source").await?;
        let source = self.inner.auth_source(id).await.unwrap();
        Ok(source)
    }
}

impl UserStore for TestDirectory {
    type Error = Broken;

    async fn user_by_address(&self, address: &Address) -> Result<Option<User>, Broken> {
        self.enter("user_by_address").await?;
        let user = self.inner.user_by_address(address).await.unwrap();
        Ok(user)
    }

    async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, Broken> {
        self.enter("user_by_subject").await?;
        let user = self.inner.user_by_subject(subject).await.unwrap();
        Ok(user)
    }

    async fn user_claims(&self, subject: &Subject, client: &ClientId, scope: &Scope) -> Result<UserClaims, Broken> {
        self.enter("user_claims").await?;
        let claims = self.inner.user_claims(subject, client, scope).await.unwrap();
        Ok(claims)
    }

    async fn sign_up(&self, address: &Address) -> Result<SignUp, Broken> {
        self.enter("sign_up").await?;
        let outcome = self.inner.sign_up(address).await.unwrap();
        Ok(outcome)
    }
}

/// Counts what the observer is told, and keeps it.
#[derive(Clone, Default)]
pub struct Counters {
    pub wrong_codes: Arc<AtomicUsize>,
    pub logins: Arc<AtomicUsize>,
    pub refreshes: Arc<AtomicUsize>,
    pub reuses: Arc<AtomicUsize>,
    pub revocations: Arc<AtomicUsize>,
    pub faults: Arc<AtomicUsize>,
    /// What it was told, as text.
    pub told: Arc<Mutex<Vec<String>>>,
}

impl Observer for Counters {
    fn event(&self, event: &Event<'_>) {
        self.told.lock().unwrap().push(format!("{event:?}"));
        match event {
            Event::WrongCode { .. } => self.wrong_codes.fetch_add(1, SeqCst),
            Event::LoggedIn { .. } | Event::Verified { .. } => self.logins.fetch_add(1, SeqCst),
            Event::Refreshed { .. } => self.refreshes.fetch_add(1, SeqCst),
            Event::ReuseDetected { has_ended: true, .. } => self.reuses.fetch_add(1, SeqCst),
            Event::SessionRevoked { .. } | Event::AccessTokenRevoked { .. } => self.revocations.fetch_add(1, SeqCst),
            Event::Faulted { .. } => self.faults.fetch_add(1, SeqCst),
            _ => 0,
        };
    }
}

/// A code that arrived, and what came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub otp_token: String,
    pub code: String,
    pub reply: Value,
}

/// A host of the crate with the contract's sample names.
pub struct Host {
    pub clock: ManualClock,
    pub counters: Counters,
    pub server: AuthorizationServer<Arc<TestStore>, Arc<TestDirectory>>,
    pub store: Arc<TestStore>,
    pub directory: Arc<TestDirectory>,
    pub entropy: SeededEntropy,
}

impl Host {
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        Self::with_key(settings, signing_key())
    }

    pub fn with_key(settings: Settings, keys: impl Into<SigningKeys>) -> Self {
        Self::with_directory(settings, keys, sample_directory())
    }

    pub fn with_directory(settings: Settings, keys: impl Into<SigningKeys>, inner: MemoryDirectory) -> Self {
        let clock = ManualClock::new();
        let store = Arc::new(TestStore::new(clock.clone()));
        let directory =
            Arc::new(TestDirectory { inner, down: false.into(), stalled: false.into(), calls: Mutex::default() });
        let (counters, entropy) = (Counters::default(), SeededEntropy::default());
        Self::assemble(settings, keys.into(), keyring(), clock, counters, store, directory, entropy)
    }

    /// Another process on the same store, directory and clock.
    pub fn beside(&self, settings: Settings, keys: impl Into<SigningKeys>, keyring: Keyring) -> Self {
        let Self { clock, counters, store, directory, entropy, .. } = self;
        let (clock, counters, entropy) = (clock.clone(), counters.clone(), entropy.clone());
        Self::assemble(settings, keys.into(), keyring, clock, counters, store.clone(), directory.clone(), entropy)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of a host, named at both places that put one together")]
    fn assemble(
        settings: Settings,
        keys: SigningKeys,
        keyring: Keyring,
        clock: ManualClock,
        counters: Counters,
        store: Arc<TestStore>,
        directory: Arc<TestDirectory>,
        entropy: SeededEntropy,
    ) -> Self {
        let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring, keys)
            .settings(settings)
            .clock(clock.clone())
            .entropy(entropy.clone())
            .observer(counters.clone())
            .build(store.clone(), directory.clone())
            .unwrap();
        Self { clock, counters, server, store, directory, entropy }
    }

    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub async fn try_send(&self, body: &Value) -> Result<Sent, Reply> {
        let bytes = body.to_string();
        let delivery = self.server.post_send(json_request(&bytes, None)).await?;
        let code = delivery.message().unwrap().code().expose_secret().to_owned();
        let reply: Value = serde_json::from_slice(delivery.accepted().body()).unwrap();
        Ok(Sent { otp_token: reply["otp_token"].as_str().unwrap().to_owned(), code, reply })
    }

    pub async fn send(&self, body: &Value) -> Sent {
        self.try_send(body).await.map_err(|reply| read(&reply)).unwrap()
    }

    pub async fn refused_send(&self, body: &Value) -> (u16, Value) {
        match self.try_send(body).await {
            Ok(_) => panic!("the send was accepted"),
            Err(reply) => read(&reply),
        }
    }

    pub async fn token(&self, body: &Value) -> (u16, Value) {
        let bytes = body.to_string();
        read(&self.server.post_token(json_request(&bytes, None)).await)
    }

    /// Logs `PHONE` in as `TENANT_CLIENT_ID`, with some members of the grant replaced; waits until a code can be sent.
    pub async fn log_in(&self, changes: Value) -> Value {
        self.log_in_by(&sms_send(PHONE), changes).await
    }

    /// Logs in by the address and client of a send.
    pub async fn log_in_by(&self, send: &Value, changes: Value) -> Value {
        let sent = match self.try_send(send).await {
            Ok(sent) => sent,
            Err(_) => {
                self.advance(secs(30));
                self.send(send).await
            }
        };
        let grant = but(send, json!({ "grant_type": SMS_GRANT_TYPE, "otp_token": sent.otp_token, "otp": sent.code }));
        let (status, tokens) = self.token(&but(&grant, changes)).await;
        assert_eq!(status, 200, "{tokens}");
        tokens
    }

    /// Refreshes as `TENANT_CLIENT_ID`.
    pub async fn refresh(&self, refresh_token: &str) -> (u16, Value) {
        self.refresh_with(refresh_token, &[]).await
    }

    /// Refreshes as `TENANT_CLIENT_ID`, with some parameters replaced or added; an empty one is left out.
    pub async fn refresh_with(&self, refresh_token: &str, changes: &[(&str, &str)]) -> (u16, Value) {
        let body = form(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)], changes);
        read(&self.server.post_token(form_request(&body, None)).await)
    }

    /// Revokes as `TENANT_CLIENT_ID`, with some parameters replaced.
    pub async fn revoke(&self, token: &str, changes: &[(&str, &str)]) -> Reply {
        self.server.post_revoke(form_request(&form(&[("token", token)], changes), None)).await
    }

    /// Introspects as `TENANT_CLIENT_ID`, with some parameters replaced.
    pub async fn introspect(&self, token: &str, changes: &[(&str, &str)]) -> Reply {
        self.server.post_introspect(form_request(&form(&[("token", token)], changes), None)).await
    }

    /// Whether the introspection endpoint says that a token of `TENANT_CLIENT_ID` is good.
    pub async fn is_active(&self, token: &str) -> bool {
        read(&self.introspect(token, &[]).await).1["active"].as_bool().unwrap()
    }

    pub async fn userinfo(&self, access_token: &str) -> Reply {
        let authorization = format!("Bearer {access_token}");
        self.server.post_userinfo(Post { content_type: None, authorization: Some(&authorization), body: b"" }).await
    }

    /// How many calls of the store happen meanwhile.
    pub async fn store_calls<T>(&self, work: impl Future<Output = T>) -> (usize, T) {
        let before = self.store.calls.load(SeqCst);
        let result = work.await;
        (self.store.calls.load(SeqCst) - before, result)
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

pub fn sample_directory() -> MemoryDirectory {
    let sms = AuthSourceId::new(SMS_SOURCE).unwrap();
    let email = AuthSourceId::new("MOCK_EMAIL_OTP_AUTH_SOURCE_ID").unwrap();
    let lone = AuthSourceId::new("LONE_AUTH_SOURCE_ID").unwrap();
    let client = |client: Client| {
        client
            .with_auth_source(sms.clone())
            .with_auth_source(email.clone())
            .with_scopes(Scope::parse("openid profile email offline_access").unwrap(), Scope::openid())
            .unwrap()
    };
    let id = |id: &str| ClientId::new(id).unwrap();
    let addresses = AddressPolicy::default();
    let phone = |text| Address::Phone(addresses.phone_number(text).unwrap());
    let mail = |text| Address::Email(addresses.email(text).unwrap());
    let claims = UserClaims::new()
        .with("name", "Mock User")
        .with("email", EMAIL)
        .with("email_verified", true)
        .with("phone_number", "+8613612345678")
        .with("tier", "gold");
    let window = |seconds| RefreshPolicy::Rotate { retry_window: secs(seconds) };
    let confidential =
        |name: &str| client(Client::confidential(id(name), ClientSecret::digest(&format!("{name}_SECRET"))));
    let user = |subject, status| User::new(Subject::new(subject).unwrap(), status);
    let directory = MemoryDirectory::new()
        .with_client(confidential("STABLE_CLIENT_ID").with_refresh_policy(RefreshPolicy::Stable).unwrap())
        .with_client(confidential("SIXTY_SECONDS_CLIENT_ID").with_refresh_policy(window(60)).unwrap())
        .with_client(confidential("API_CLIENT_ID").with_introspection_of_every_token())
        .with_client(client(Client::confidential(id(CLIENT), ClientSecret::digest(CLIENT_SECRET))))
        .with_client(client(Client::public(id(PUBLIC_CLIENT)).with_sending()))
        .with_client(client(Client::public(id("SILENT_SPA_CLIENT_ID"))))
        .with_client(
            client(Client::public(id("DPOP_ACCEPTED_CLIENT_ID")).with_sending()).with_dpop(DpopPolicy::Accepted),
        )
        .with_client(client(Client::public(id(DPOP_CLIENT)).with_sending()).with_dpop(DpopPolicy::Required))
        .with_client(client(Client::public(id(NONCE_CLIENT)).with_sending()).with_dpop(DpopPolicy::RequiredWithNonce))
        .with_client(confidential("DPOP_WEB_CLIENT_ID").with_dpop(DpopPolicy::Required))
        .with_client(client(
            Client::confidential(id("NO_GRANT_CLIENT_ID"), ClientSecret::digest("SECRET")).with_grants([]),
        ))
        .with_client(Client::confidential(id("OTHER_CLIENT_ID"), ClientSecret::digest("OTHER_CLIENT_SECRET")))
        .with_auth_source(AuthSource::new(sms.clone(), Channel::Sms))
        .with_auth_source(AuthSource::new(email.clone(), Channel::Email))
        .with_auth_source(AuthSource::new(lone, Channel::Sms))
        .with_user(user("MOCK_USER_ID", UserStatus::Active), [phone(PHONE), mail(EMAIL)])
        .with_user(user("LOCKED_USER_ID", UserStatus::Locked), [phone(LOCKED_PHONE), mail("locked@example.com")]);
    directory.put_claims(Subject::new("MOCK_USER_ID").unwrap(), claims);
    directory
}

/// The secrets of the sample host.
pub fn keyring() -> Keyring {
    Keyring::new(&MasterKey::from_bytes(&[1; 32]).unwrap(), &MasterKey::from_bytes(&[2; 32]).unwrap())
}

/// A member of an answer.
#[track_caller]
pub fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}"))
}

/// What a JWT says, unverified.
pub fn payload(jwt: &str) -> Value {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

/// A form of `TENANT_CLIENT_ID` with these parameters, of which some are replaced; an empty value leaves one out.
pub fn form(parameters: &[(&str, &str)], changes: &[(&str, &str)]) -> String {
    let mut all = vec![("client_id", CLIENT), ("client_secret", CLIENT_SECRET)];
    all.extend(parameters);
    for (name, value) in changes {
        all.retain(|(known, _)| known != name);
        all.push((*name, *value));
    }
    all.retain(|(_, value)| !value.is_empty());
    form_urlencoded::Serializer::new(String::new()).extend_pairs(all).finish()
}

pub fn read(reply: &Reply) -> (u16, Value) {
    (reply.status(), serde_json::from_slice(reply.body()).unwrap_or(Value::Null))
}

/// The body of a send for a login over SMS.
pub fn sms_send(phone: &str) -> Value {
    json!({
        "client_id": CLIENT, "client_secret": CLIENT_SECRET,
        "auth_source_id": SMS_SOURCE, "phone_number": phone,
    })
}

/// The body of the SMS grant, as in the contract.
pub fn sms_grant(phone: &str, sent: &Sent) -> Value {
    json!({
        "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/sms",
        "client_id": CLIENT, "client_secret": CLIENT_SECRET,
        "auth_source_id": SMS_SOURCE, "phone_number": phone,
        "otp_token": sent.otp_token, "otp": sent.code,
    })
}

/// The same body with some members replaced; `null` removes one.
pub fn but(body: &Value, changes: Value) -> Value {
    let mut body = body.clone();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(body.as_object_mut().unwrap().remove(name)),
            value => body[name] = value.clone(),
        }
    }
    body
}

/// A code of the same length that is not the right one.
pub fn wrong(code: &str) -> String {
    let last = code.as_bytes()[code.len() - 1];
    format!("{}{}", &code[..code.len() - 1], char::from(if last == b'9' { b'0' } else { last + 1 }))
}

pub fn error(status: u16, error: &str, description: &str) -> (u16, Value) {
    match description {
        "" => (status, json!({ "error": error })),
        description => (status, json!({ "error": error, "error_description": description })),
    }
}

/// The headers that every reply carries, and these.
#[track_caller]
pub fn assert_headers(reply: &Reply, extra: &[(&str, &str)]) {
    let mut expected =
        vec![("Cache-Control", "no-store"), ("Pragma", "no-cache"), ("Content-Type", "application/json;charset=UTF-8")];
    expected.extend(extra);
    expected.sort_unstable();
    let mut headers: Vec<_> = reply.headers().collect();
    headers.sort_unstable();
    assert_eq!(headers, expected);
}

/// A whole reply, byte for byte.
#[track_caller]
pub fn assert_reply(reply: &Reply, status: u16, body: &str, extra_headers: &[(&str, &str)]) {
    assert_headers(reply, extra_headers);
    assert_eq!((reply.status(), std::str::from_utf8(reply.body()).unwrap()), (status, body));
}
