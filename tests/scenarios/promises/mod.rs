//! Each promise of README, SECURITY and the public documentation, read by itself and tried with other numbers than
//! those of the samples. `docs/proof.md` lists the promises that other scenario files test.

mod clocks;
mod events;
mod failures;
mod guesses;
mod logins;
mod privacy;
mod refresh;
mod sends;
mod settings;
mod sign_out;
mod tokens;

use std::collections::BTreeSet;
use std::future::Future;
use std::num::{NonZeroU8, NonZeroU32};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey as DalekKey};
use futures::future::join_all;
use otp_grant::directory::{ClientRegistry, SignUp, UserClaims, UserStore};
use otp_grant::entropy::{Entropy, EntropyUnavailable};
use otp_grant::grant::Grant;
use otp_grant::id::SessionId;
use otp_grant::jwt::{Algorithm, Audience, PublicKey, Signer};
use otp_grant::observer::{Event, Observer};
use otp_grant::otp::{CodePolicy, Quota};
use otp_grant::secret::PresentedSecret;
use otp_grant::server::{VerifyError, VerifyRequest};
use otp_grant::session::RefreshPolicy;
use otp_grant::settings::{EMAIL_GRANT_TYPE, SMS_GRANT_TYPE, danger};
use otp_grant::time::Clock;
use otp_grant::time::Timestamp;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const DAY: u64 = 24 * 60 * 60;
const MILLI: Duration = Duration::from_millis(1);
const GONE: &str = "Unknown or expired otp_token";
const WRONG: &str = "Unknown or expired OTP";

fn es256() -> SigningKey {
    SigningKey::from_pem(include_str!("../../keys/es256_pkcs8.pem")).unwrap()
}

fn quota(count: u32, seconds: u64) -> Quota {
    Quota::new(NonZeroU32::new(count).unwrap(), secs(seconds))
}

fn guesses(count: u8) -> NonZeroU8 {
    NonZeroU8::new(count).unwrap()
}

/// Three guesses per code, seven per hour and address, and one send per ten seconds.
fn small() -> Settings {
    settings(|s| {
        s.guesses_per_challenge = guesses(3);
        s.guesses_per_address = quota(7, 3600);
        s.devices = None;
        s.send_quotas = vec![quota(1, 10), quota(90, DAY)];
    })
}

/// The sample directory, with these codes for its login sources.
fn directory(code: &CodePolicy) -> MemoryDirectory {
    let source = |id, channel| AuthSource::new(AuthSourceId::new(id).unwrap(), channel).with_code(code.clone());
    sample_directory()
        .with_auth_source(source("MOCK_SMS_OTP_AUTH_SOURCE_ID", Channel::Sms))
        .with_auth_source(source("MOCK_EMAIL_OTP_AUTH_SOURCE_ID", Channel::Email))
}

/// A host whose login codes are valid for this many seconds.
fn hosted(settings: Settings, validity: u64) -> Host {
    Host::with_directory(settings, es256(), directory(&CodePolicy::new(6, secs(validity)).unwrap()))
}

/// Another process on the same store, directory and clock.
fn beside(host: &Host, settings: Settings) -> Host {
    host.beside(settings, es256(), keyring())
}

/// The events that an observer hears, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Observer for Log {
    fn event(&self, event: &Event<'_>) {
        self.0.lock().unwrap().push(format!("{event:?}"));
    }
}

impl Log {
    /// The names of the events since the last call.
    fn names(&self) -> Vec<String> {
        let name = |event: String| event.split([' ', '{', '(']).next().unwrap_or_default().to_owned();
        self.0.lock().unwrap().drain(..).map(name).collect()
    }

    fn count(&self, name: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|event| event.split(' ').next() == Some(name)).count()
    }
}

/// The same host with an observer that writes down all events.
fn listening(mut host: Host, settings: Settings, key: SigningKey) -> (Host, Log) {
    let log = Log::default();
    host.server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), key)
        .settings(settings)
        .clock(host.clock.clone())
        .entropy(SeededEntropy::default())
        .observer(log.clone())
        .build(host.store.clone(), host.directory.clone())
        .unwrap();
    (host, log)
}

fn email_send(email: &str) -> Value {
    json!({
        "client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET",
        "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID", "email": email,
    })
}

/// The same request by the public client.
fn by_spa(body: &Value) -> Value {
    but(body, json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null }))
}

/// The same send for a usage other than login.
fn purpose(send: &Value, usage: Usage) -> Value {
    but(send, json!({ "usage": usage.as_str(), "auth_source_id": null }))
}

/// The grant that belongs to a send of a login, with this code.
fn grant(send: &Value, sent: &Sent, code: &str) -> Value {
    let grant_type = if send["email"].is_null() { SMS_GRANT_TYPE } else { EMAIL_GRANT_TYPE };
    but(send, json!({ "grant_type": grant_type, "otp_token": sent.otp_token, "otp": code }))
}

/// The outcome of a code.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    In,
    Wrong(u64),
    Gone,
    Unavailable,
    Else(String),
}

/// Presents a code for the purpose for which it was sent.
async fn present(host: &Host, send: &Value, sent: &Sent, code: &str) -> Outcome {
    let Some(usage) = send["usage"].as_str() else {
        let (status, said) = host.token(&grant(send, sent, code)).await;
        return match (status, said["error_description"].as_str().unwrap_or_default()) {
            (200, _) => Outcome::In,
            (400, WRONG) => Outcome::Wrong(said["attempts_remaining"].as_u64().unwrap()),
            (400, GONE) => Outcome::Gone,
            (503, _) => Outcome::Unavailable,
            _ => Outcome::Else(said.to_string()),
        };
    };
    let policy = AddressPolicy::default();
    let address = match (send["phone_number"].as_str(), send["email"].as_str()) {
        (Some(phone), _) => Address::Phone(policy.phone_number(phone).unwrap()),
        (_, email) => Address::Email(policy.email(email.unwrap()).unwrap()),
    };
    let client = ClientId::new(text(send, "client_id")).unwrap();
    let (otp_token, otp) = (PresentedSecret::new(sent.otp_token.as_str()), PresentedSecret::new(code));
    let request = VerifyRequest::new(&client, Usage::from_wire(usage).unwrap(), address, otp_token, otp);
    match host.server.call_verify(request).await {
        Ok(_) => Outcome::In,
        Err(VerifyError::UnknownOtp { attempts_remaining }) => Outcome::Wrong(attempts_remaining.try_into().unwrap()),
        Err(VerifyError::UnknownOtpToken) => Outcome::Gone,
        Err(VerifyError::TemporarilyUnavailable) => Outcome::Unavailable,
        Err(other) => Outcome::Else(format!("{other:?}")),
    }
}

/// Presents a wrong code.
async fn miss(host: &Host, send: &Value, sent: &Sent) -> Outcome {
    // The two characters are in every alphabet here.
    let other = if sent.code.ends_with('2') { '3' } else { '2' };
    present(host, send, sent, &format!("{}{other}", &sent.code[..sent.code.len() - 1])).await
}

/// Presents wrong codes until the server compares none any more.
async fn miss_all(host: &Host, send: &Value, sent: &Sent) {
    for _ in 0..30 {
        if !matches!(miss(host, send, sent).await, Outcome::Wrong(_)) {
            return;
        }
    }
    panic!("more than 30 guesses are compared");
}

fn compared(host: &Host) -> usize {
    host.counters.wrong_codes.load(SeqCst)
}

fn reuses(host: &Host) -> usize {
    host.counters.reuses.load(SeqCst)
}

/// Does work at a host whose clock differs by this many milliseconds.
async fn at<T>(host: &Host, millis: i64, work: impl Future<Output = T>) -> T {
    let difference = Duration::from_millis(millis.unsigned_abs());
    let shift = |ahead: bool| if ahead { host.clock.advance(difference) } else { host.clock.set_back(difference) };
    shift(millis >= 0);
    let done = work.await;
    shift(millis < 0);
    done
}

/// Guesses at an address until it has no guess left. Returns how many guesses were compared.
async fn use_up(host: &Host, send: &Value, pause: u64) -> usize {
    let before = compared(host);
    for _ in 0..60 {
        let Ok(sent) = host.try_send(send).await else { break };
        miss_all(host, send, &sent).await;
        host.advance(secs(pause));
    }
    compared(host) - before
}

fn lasting(idle: u64, absolute: u64) -> Settings {
    settings(|s| s.session_validity = session_validity(secs(idle), secs(absolute)))
}

fn tokens_of(said: &Value) -> (String, String) {
    (text(said, "refresh_token").to_owned(), text(said, "access_token").to_owned())
}

async fn refresh(host: &Host, token: &str) -> (String, String) {
    let (status, said) = host.refresh(token).await;
    assert_eq!(status, 200, "{said}");
    tokens_of(&said)
}

/// A send whose delivery the caller ends.
async fn raw_send(host: &Host, send: &Value) -> Result<Delivery, Reply> {
    let body = send.to_string();
    host.server.post_send(json_request(&body, None)).await
}
