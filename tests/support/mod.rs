//! The harness of the scenarios: a host with its own clock, random bytes, store and counters.
#![allow(dead_code, unreachable_pub, reason = "each scenario file uses its own part of the harness")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a harness that fails has to fail loudly"
)]

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use otp_grant::*;
use serde_json::{Value, json};

pub const PHONE: &str = "13612345678";
pub const EMAIL: &str = "MOCK_USERNAME@example.com";
pub const LOCKED_PHONE: &str = "13600000000";
pub const NOBODY: &str = "13699999999";
pub const ISSUER: &str = "https://sample.portal.example.com";
pub const START: u64 = 1_800_000_000;

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A clock that goes where it is told.
#[derive(Clone)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    pub fn new() -> Self {
        Self(Arc::new(AtomicU64::new(START * 1000)))
    }

    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as u64, SeqCst);
    }

    pub fn set_back(&self, by: Duration) {
        self.0.fetch_sub(by.as_millis() as u64, SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.load(SeqCst))
    }
}

/// Random bytes that are the same in every run.
#[derive(Clone, Default)]
pub struct SeededEntropy(Arc<AtomicU64>);

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyUnavailable> {
        for chunk in buffer.chunks_mut(8) {
            // SplitMix64.
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// What goes wrong at one call of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    FailBefore,
    FailAfter,
    /// Fails, and applies the swap only when the next call arrives.
    ApplyLate,
    /// Applies a swap twice, as a driver that retries would: the second answer is a conflict.
    ApplyTwice,
    /// Fails after it applied, and after somebody else wrote on top of it.
    Overwritten,
    /// Answers only after many other tasks had their turn.
    Slow,
}

#[derive(Debug)]
pub struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken on purpose")
    }
}

impl std::error::Error for Broken {}

/// The in-memory store behind counters, yields and faults.
pub struct TestStore {
    pub inner: MemoryStore,
    pub calls: AtomicUsize,
    /// Yields before and after each call.
    pub yields: AtomicUsize,
    faults: Mutex<HashMap<usize, Fault>>,
    late: Mutex<Option<(RecordKey, Option<Tag>, Record)>>,
    pub down: std::sync::atomic::AtomicBool,
}

impl TestStore {
    pub fn new(clock: ManualClock) -> Self {
        Self {
            inner: MemoryStore::with_clock(clock),
            calls: AtomicUsize::new(0),
            yields: AtomicUsize::new(0),
            faults: Mutex::default(),
            late: Mutex::default(),
            down: false.into(),
        }
    }

    /// Puts a fault on the n-th call from now, the first being 0.
    pub fn fault(&self, call: usize, fault: Fault) {
        self.faults.lock().unwrap().insert(self.calls.load(SeqCst) + call, fault);
    }

    /// Takes back the faults that did not come to pass. A swap that is to be applied late still is.
    pub fn heal(&self) {
        self.faults.lock().unwrap().clear();
    }

    async fn enter(&self) -> Result<Option<Fault>, Broken> {
        let call = self.calls.fetch_add(1, SeqCst);
        if self.down.load(SeqCst) {
            return Err(Broken);
        }
        for _ in 0..self.yields.load(SeqCst) {
            Yield::default().await;
        }
        let late = self.late.lock().unwrap().take();
        if let Some((key, expected, next)) = late {
            let Ok(_) = self.inner.swap(&key, expected, &next).await;
        }
        let fault = self.faults.lock().unwrap().remove(&call);
        match fault {
            Some(Fault::FailBefore) => Err(Broken),
            Some(Fault::Slow) => {
                for _ in 0..1000 {
                    Yield::default().await;
                }
                Ok(None)
            }
            other => Ok(other),
        }
    }

    async fn leave(&self) {
        for _ in 0..self.yields.load(SeqCst) {
            Yield::default().await;
        }
    }
}

impl Store for TestStore {
    type Error = Broken;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, Broken> {
        let fault = self.enter().await?;
        let Ok(record) = self.inner.load(key).await;
        self.leave().await;
        if matches!(fault, Some(Fault::FailAfter | Fault::ApplyLate | Fault::Overwritten)) {
            Err(Broken)
        } else {
            Ok(record)
        }
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, Broken> {
        let fault = self.enter().await?;
        if fault == Some(Fault::ApplyLate) {
            *self.late.lock().unwrap() = Some((*key, expected, next.clone()));
            return Err(Broken);
        }
        let Ok(mut swap) = self.inner.swap(key, expected, next).await;
        if fault == Some(Fault::ApplyTwice) {
            let Ok(second) = self.inner.swap(key, expected, next).await;
            swap = second;
        }
        if fault == Some(Fault::Overwritten) {
            let overwritten = Record { tag: Tag::from_bytes([9; Tag::LEN]), ..next.clone() };
            let Ok(_) = self.inner.swap(key, Some(next.tag), &overwritten).await;
        }
        self.leave().await;
        if matches!(fault, Some(Fault::FailAfter | Fault::Overwritten)) { Err(Broken) } else { Ok(swap) }
    }
}

#[derive(Default)]
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A directory that counts and can be down.
pub struct TestDirectory {
    pub inner: MemoryDirectory,
    pub down: std::sync::atomic::AtomicBool,
    pub calls: Mutex<Vec<&'static str>>,
}

impl TestDirectory {
    fn enter(&self, name: &'static str) -> Result<(), Broken> {
        self.calls.lock().unwrap().push(name);
        if self.down.load(SeqCst) && !matches!(name, "client" | "auth_source") { Err(Broken) } else { Ok(()) }
    }
}

impl Directory for TestDirectory {
    type Error = Broken;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, Broken> {
        self.enter("client")?;
        let client = self.inner.client(id).await.unwrap();
        Ok(client)
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, Broken> {
        self.enter("auth_source")?;
        let source = self.inner.auth_source(id).await.unwrap();
        Ok(source)
    }

    async fn user_by_address(&self, address: &Address) -> Result<Option<User>, Broken> {
        self.enter("user_by_address")?;
        let user = self.inner.user_by_address(address).await.unwrap();
        Ok(user)
    }

    async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, Broken> {
        self.enter("user_by_subject")?;
        let user = self.inner.user_by_subject(subject).await.unwrap();
        Ok(user)
    }

    async fn sign_up(&self, address: &Address) -> Result<User, Broken> {
        self.enter("sign_up")?;
        let user = self.inner.sign_up(address).await.unwrap();
        Ok(user)
    }
}

/// Counts the codes that were compared and the logins.
#[derive(Clone, Default)]
pub struct Counters {
    pub wrong_codes: Arc<AtomicUsize>,
    pub logins: Arc<AtomicUsize>,
    pub faults: Arc<AtomicUsize>,
}

impl Observer for Counters {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::WrongCode { .. } => self.wrong_codes.fetch_add(1, SeqCst),
            Event::LoggedIn { .. } | Event::Verified { .. } => self.logins.fetch_add(1, SeqCst),
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
}

impl Host {
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    pub fn with(settings: Settings) -> Self {
        Self::with_key(settings, SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap())
    }

    pub fn with_key(settings: Settings, key: SigningKey) -> Self {
        let clock = ManualClock::new();
        let store = Arc::new(TestStore::new(clock.clone()));
        let directory =
            Arc::new(TestDirectory { inner: sample_directory(), down: false.into(), calls: Mutex::default() });
        let counters = Counters::default();
        let index = MasterKey::from_bytes(&[1; 32]).unwrap();
        let sealing = MasterKey::from_bytes(&[2; 32]).unwrap();
        let keyring = Keyring::new(&index, &sealing);
        let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring, key)
            .settings(settings)
            .clock(clock.clone())
            .entropy(SeededEntropy::default())
            .observer(counters.clone())
            .build(store.clone(), directory.clone())
            .unwrap();
        Self { clock, counters, server, store, directory }
    }

    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub async fn try_send(&self, body: &Value) -> Result<Sent, Reply> {
        let bytes = body.to_string();
        let delivery = self.server.send_otp(json_request(&bytes, None)).await?;
        let code = delivery.code().expose_secret().to_owned();
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
        read(&self.server.token(json_request(&bytes, None)).await)
    }

    /// How many calls of the store happen meanwhile.
    pub async fn store_calls<T>(&self, work: impl Future<Output = T>) -> (usize, T) {
        let before = self.store.calls.load(SeqCst);
        let result = work.await;
        (self.store.calls.load(SeqCst) - before, result)
    }
}

pub fn sample_directory() -> MemoryDirectory {
    let sms = AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID").unwrap();
    let email = AuthSourceId::new("MOCK_EMAIL_OTP_AUTH_SOURCE_ID").unwrap();
    let lone = AuthSourceId::new("LONE_AUTH_SOURCE_ID").unwrap();
    let client = |client: Client| {
        client
            .with_auth_source(sms.clone())
            .with_auth_source(email.clone())
            .with_scopes(Scope::parse("openid profile offline_access").unwrap(), Scope::openid())
            .unwrap()
    };
    let id = |id| ClientId::new(id).unwrap();
    let addresses = AddressPolicy::default();
    let phone = |text| Address::Phone(addresses.phone_number(text).unwrap());
    let mail = |text| Address::Email(addresses.email(text).unwrap());
    let user = |subject, status| User { subject: Subject::new(subject).unwrap(), status };
    MemoryDirectory::new()
        .with_client(client(Client::confidential(id("TENANT_CLIENT_ID"), ClientSecret::digest("TENANT_CLIENT_SECRET"))))
        .with_client(client(Client::public(id("TENANT_SPA_CLIENT_ID")).that_may_send()))
        .with_client(client(Client::public(id("SILENT_SPA_CLIENT_ID"))))
        .with_client(client(
            Client::confidential(id("NO_GRANT_CLIENT_ID"), ClientSecret::digest("SECRET")).with_grants([]),
        ))
        .with_client(Client::confidential(id("OTHER_CLIENT_ID"), ClientSecret::digest("OTHER_CLIENT_SECRET")))
        .with_auth_source(AuthSource::new(sms.clone(), Channel::Sms))
        .with_auth_source(AuthSource::new(email.clone(), Channel::Email))
        .with_auth_source(AuthSource::new(lone, Channel::Sms))
        .with_user(user("MOCK_USER_ID", UserStatus::Active), [phone(PHONE), mail(EMAIL)])
        .with_user(user("LOCKED_USER_ID", UserStatus::Locked), [phone(LOCKED_PHONE), mail("locked@example.com")])
}

pub fn json_request<'a>(body: &'a str, authorization: Option<&'a str>) -> Request<'a> {
    Request { content_type: Some("application/json"), authorization, body: body.as_bytes() }
}

pub fn read(reply: &Reply) -> (u16, Value) {
    (reply.status(), serde_json::from_slice(reply.body()).unwrap_or(Value::Null))
}

/// The body of a send for a login over SMS.
pub fn sms_send(phone: &str) -> Value {
    json!({
        "client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET",
        "auth_source_id": "MOCK_SMS_OTP_AUTH_SOURCE_ID", "phone_number": phone,
    })
}

/// The body of the SMS grant, as in the contract.
pub fn sms_grant(phone: &str, sent: &Sent) -> Value {
    json!({
        "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/sms",
        "client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET",
        "auth_source_id": "MOCK_SMS_OTP_AUTH_SOURCE_ID", "phone_number": phone,
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
