//! A login on any store, and a PostgreSQL server per test, for the tests of the adapters beside this folder.
#![allow(missing_docs, reason = "it is read by whoever writes a scenario, beside the scenario")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_errors_doc,
    reason = "a harness that fails has to fail loudly"
)]

#[cfg(feature = "postgres")]
pub mod postgres;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use otp_grant::id::{RecordKey, Tag};
use otp_grant::jwt::Algorithm;
use otp_grant::settings::SMS_GRANT_TYPE;
use otp_grant::store::{Record, Swap};
use otp_grant::time::Clock;
use otp_grant::time::{SystemClock, Timestamp};
use otp_grant::*;
use otp_grant_tests::{
    ISSUER, PHONE, Posts as _, but, form, form_request, json_request, keyring, read, sample_directory, sms_send, text,
    wrong,
};
use serde_json::{Value, json};

pub type Server<S> = AuthorizationServer<Counted<S>, MemoryDirectory>;

/// A store behind counters.
pub struct Counted<S> {
    pub inner: S,
    pub loads: AtomicUsize,
    pub swaps: AtomicUsize,
}

impl<S> Counted<S> {
    pub fn new(inner: S) -> Self {
        Self { inner, loads: AtomicUsize::new(0), swaps: AtomicUsize::new(0) }
    }

    /// The loads and swaps since the last call.
    pub fn take_calls(&self) -> (usize, usize) {
        (self.loads.swap(0, SeqCst), self.swaps.swap(0, SeqCst))
    }
}

impl<S: Store> Store for Counted<S> {
    type Error = S::Error;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, S::Error> {
        self.loads.fetch_add(1, SeqCst);
        self.inner.load(key).await
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, S::Error> {
        self.swaps.fetch_add(1, SeqCst);
        self.inner.swap(key, expected, next).await
    }
}

/// One host of the sample world. All hosts that this function makes share their secrets.
pub fn server<S: Store>(store: S) -> AuthorizationServer<S, MemoryDirectory> {
    let signing_key = SigningKey::generate(Algorithm::ES256).unwrap();
    AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), signing_key)
        .build(store, sample_directory())
        .unwrap()
}

/// Requests a code. Returns its otp_token and the code, or the status of the refusal.
pub async fn send<S: Store>(server: &AuthorizationServer<S, MemoryDirectory>) -> Result<(String, String), u16> {
    let body = sms_send(PHONE).to_string();
    let delivery = server.post_send(json_request(&body, None)).await.map_err(|reply| reply.status())?;
    let code = delivery.message().unwrap().code().expose_secret().to_owned();
    Ok((text(&read(&delivery.accepted()).1, "otp_token").to_owned(), code))
}

/// Redeems a code.
pub async fn redeem<S: Store>(
    server: &AuthorizationServer<S, MemoryDirectory>,
    otp_token: &str,
    code: &str,
) -> (u16, Value) {
    let body = but(&sms_send(PHONE), json!({ "grant_type": SMS_GRANT_TYPE, "otp_token": otp_token, "otp": code }));
    read(&server.post_token(json_request(&body.to_string(), None)).await)
}

pub async fn refresh<S: Store>(server: &AuthorizationServer<S, MemoryDirectory>, refresh_token: &str) -> (u16, Value) {
    let body = form(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)], &[]);
    read(&server.post_token(form_request(&body, None)).await)
}

/// A record of a real login, with another tag.
pub fn record(tag: u64, delete_after: u64) -> Record {
    let mut bytes = [0; Tag::LEN];
    bytes[..8].copy_from_slice(&tag.to_le_bytes());
    Record::new(Tag::from_bytes(bytes), Timestamp::from_unix_millis(delete_after), AUTHENTICATOR.body.clone())
}

pub fn key(number: u64) -> RecordKey {
    let mut bytes = [0xff; RecordKey::LEN];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    RecordKey::from_bytes(bytes)
}

pub fn now() -> u64 {
    SystemClock.now().as_unix_millis()
}

/// In an hour. No test takes that long.
pub fn later() -> u64 {
    now() + 3_600_000
}

static AUTHENTICATOR: LazyLock<Record> = LazyLock::new(|| {
    let store = std::sync::Arc::new(MemoryStore::new());
    futures::executor::block_on(send(&server(store.clone()))).unwrap();
    store.records().remove(0).1
});

/// Logs in, and checks the store calls of send, grant and refresh. A second grant with the code is refused.
pub async fn log_in<S: Store>(store: S) {
    let store = std::sync::Arc::new(Counted::new(store));
    let server = server(store.clone());
    let (otp_token, code) = send(&server).await.unwrap();
    assert_eq!(store.take_calls(), (1, 1), "send");
    assert_eq!(redeem(&server, &otp_token, &wrong(&code)).await.0, 400);
    assert_eq!(store.take_calls(), (1, 1), "wrong code");
    let (status, tokens) = redeem(&server, &otp_token, &code).await;
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(store.take_calls(), (1, 3), "right code");
    assert_eq!(redeem(&server, &otp_token, &code).await.0, 400, "a code logs in once");
    store.take_calls();
    assert_eq!(refresh(&server, text(&tokens, "refresh_token")).await.0, 200);
    assert_eq!(store.take_calls(), (1, 1), "refresh");
}

/// Sends fifty requests with the right code to two hosts, each with its own connection.
pub async fn fifty_right_codes<S: Store>(one: S, other: S) {
    let hosts = [server(one), server(other)];
    let (otp_token, code) = send(&hosts[0]).await.unwrap();
    let requests = (0..50).map(|number| redeem(&hosts[number % 2], &otp_token, &code));
    let statuses = futures::future::join_all(requests).await.into_iter().map(|(status, _)| status);
    let statuses = statuses.collect::<Vec<_>>();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
}
