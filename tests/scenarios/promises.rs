//! Each promise of README, SECURITY and the public documentation, read by itself and tried with other numbers than
//! those of the samples. `docs/proof.md` lists the promises that other scenario files test.

use std::collections::BTreeSet;
use std::future::Future;
use std::num::{NonZeroU8, NonZeroU32};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
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
    SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap()
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

fn waits<T>(request: &mut Pin<Box<impl Future<Output = T>>>) -> bool {
    request.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// Polls a future this many times and drops it. Returns its answer if it finished.
fn drop_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return Some(done);
        }
    }
    None
}

// README 1: a guess is charged before it is compared.

/// README 1: "Each code has five guesses, over all messages that carry it."
#[tokio::test]
async fn the_messages_of_one_code_share_its_guesses() {
    for limit in [1, 2, 3, 5, 9] {
        let settings = || {
            with(small(), |s| {
                s.guesses_per_challenge = guesses(limit);
                s.guesses_per_address = quota(25, DAY);
            })
        };
        let sends = [by_spa(&email_send(EMAIL)), sms_send(NOBODY), purpose(&sms_send(PHONE), Usage::ResetPassword)];
        for send in sends {
            let host = hosted(settings(), 240);
            let mut messages = Vec::new();
            for _ in 0..3 {
                messages.push(host.send(&send).await);
                host.advance(secs(10));
            }
            assert!(messages.iter().all(|sent| sent.code == messages[0].code));
            for guess in 0..usize::from(limit) {
                let left = u64::from(limit) - 1 - u64::try_from(guess).unwrap();
                assert_eq!(miss(&host, &send, &messages[guess % 3]).await, Outcome::Wrong(left), "{send}");
            }
            for sent in &messages {
                assert_eq!(present(&host, &send, sent, &sent.code).await, Outcome::Gone, "{limit} {send}");
            }
            assert_eq!(compared(&host), usize::from(limit));
        }
    }
}

/// README 1: "Each address has 25 guesses per 24 hours, over all resends, clients and usages."
#[tokio::test]
async fn the_guesses_of_an_address_are_those_of_all_its_clients_and_purposes() {
    for (email, guesses_of_address) in [(false, 7), (true, 7), (false, 10)] {
        let host = hosted(with(small(), |s| s.guesses_per_address = quota(guesses_of_address, 3600)), 240);
        let send = if email { email_send("somebody@example.org") } else { sms_send(NOBODY) };
        let roster = [
            send.clone(),
            by_spa(&send),
            purpose(&send, Usage::Signup),
            by_spa(&purpose(&send, Usage::ResetPassword)),
            purpose(&send, Usage::UpdateUserinfo),
        ];
        for send in roster.iter().cycle().take(15) {
            if let Ok(sent) = host.try_send(send).await {
                miss_all(&host, send, &sent).await;
            }
            host.advance(secs(10));
        }
        assert_eq!(compared(&host), usize::try_from(guesses_of_address).unwrap());
        // The first guesses were charged at the beginning. They are free an hour later.
        host.advance(secs(3600 - 150) - MILLI);
        host.refused_send(&send).await;
        host.advance(MILLI);
        let sent = host.send(&send).await;
        assert!(matches!(miss(&host, &send, &sent).await, Outcome::Wrong(_)));
    }
}

/// README 1: "Parallel requests get no more comparisons than these budgets."
#[tokio::test]
async fn requests_at_once_on_all_codes_of_an_address_compare_no_more_than_it_has_guesses() {
    for yields in 1..4 {
        let host = hosted(small(), 240);
        let other = beside(&host, small());
        let sends = [sms_send(PHONE), by_spa(&sms_send(PHONE)), purpose(&sms_send(PHONE), Usage::Signup)];
        let mut sent = Vec::new();
        for send in &sends {
            sent.push(host.send(send).await);
            host.advance(secs(10));
        }
        host.store.yields.store(yields, SeqCst);
        let hosts = [&host, &other];
        let guesses = (0..120).map(|number| miss(hosts[number % 2], &sends[number % 3], &sent[number % 3]));
        let outcomes = join_all(guesses).await;
        assert_eq!(compared(&host), 7, "{yields}");
        assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Wrong(_))).count(), 7);
    }
}

/// README 1: "A login gives back the guesses of the address that were made with the login's own otp_token, and no
/// others."
#[tokio::test]
async fn a_login_gives_back_what_was_guessed_with_its_own_otp_token_alone() {
    let send = email_send(EMAIL);
    let mut left_and_right = Vec::new();
    // Two wrong guesses with the first token, and one with the second.
    for redeem_first in [true, false] {
        for (token_of_first, forgiven) in [(true, 2), (false, 1)] {
            let host = hosted(with(small(), |s| s.guesses_per_challenge = guesses(5)), 100);
            let first = host.send(&send).await;
            assert_eq!(miss(&host, &send, &first).await, Outcome::Wrong(4));
            assert_eq!(miss(&host, &send, &first).await, Outcome::Wrong(3));
            host.advance(secs(51));
            let second = host.send(&send).await;
            assert_ne!(first.code, second.code);
            assert!(matches!(miss(&host, &send, &second).await, Outcome::Wrong(_)));
            let code = if redeem_first { &first.code } else { &second.code };
            let token = if token_of_first { &first } else { &second };
            assert_eq!(present(&host, &send, token, code).await, Outcome::In);
            host.advance(secs(120));
            let left = use_up(&host, &by_spa(&send), 10).await;
            left_and_right.push((left, 7 - 3 + forgiven));
        }
    }
    // The first code with either token, then the second code with either token.
    assert!(left_and_right.iter().all(|(left, right)| left == right), "left, right: {left_and_right:?}");
    // Also not those of another client, or for another purpose.
    let host = hosted(small(), 240);
    let others = [by_spa(&send), purpose(&send, Usage::UpdateUserinfo)];
    for other in &others {
        let sent = host.send(other).await;
        miss(&host, other, &sent).await;
        miss(&host, other, &sent).await;
        host.advance(secs(10));
    }
    let own = host.send(&send).await;
    miss(&host, &send, &own).await;
    assert_eq!(present(&host, &send, &own, &own.code).await, Outcome::In);
    host.advance(secs(10));
    assert_eq!(use_up(&host, &send, 10).await, 3);
}

/// README 1: "A text that can't be a code costs nothing."
#[tokio::test]
async fn a_text_of_another_alphabet_or_length_is_charged_to_nobody() {
    let code = CodePolicy::new(8, secs(90)).unwrap().with_alphabet("ABCDEFGHJKLMNPQRSTUVWXYZ23456789").unwrap();
    let settings = || {
        with(small(), |s| {
            s.guesses_per_challenge = guesses(1);
            s.code = code.clone();
        })
    };
    for send in [sms_send(PHONE), by_spa(&email_send(EMAIL)), purpose(&sms_send(PHONE), Usage::Signup)] {
        let host = Host::with_directory(settings(), es256(), directory(&code));
        let sent = host.send(&send).await;
        for text in ["ABCDEFGI", "ABCDEFG0", "abcdefgh", "ABCDEFG", "ABCDEFGHJ", "123456", "ABCDEFG\u{c4}"] {
            let (calls, outcome) = host.store_calls(present(&host, &send, &sent, text)).await;
            assert_eq!(outcome, Outcome::Wrong(1), "{text}");
            assert!(calls <= 1, "{text}");
        }
        assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::In);
        host.advance(secs(10));
        assert_eq!(use_up(&host, &send, 10).await, 7);
    }
}

/// README 1: "An address that has used its 25 guesses receives no code until a guess is free again." SECURITY: "the
/// host pays for no message that could not be used, and `LockedOut` tells the host"
#[tokio::test]
async fn an_address_without_guesses_is_sent_to_at_the_instant_it_has_one_again() {
    for send in [by_spa(&email_send(EMAIL)), purpose(&sms_send(NOBODY), Usage::Signup)] {
        let (host, log) = listening(hosted(small(), 240), small(), es256());
        let mut at = 0;
        for _ in 0..3 {
            let sent = host.send(&send).await;
            miss_all(&host, &send, &sent).await;
            host.advance(secs(13));
            at += 13;
        }
        assert_eq!(log.count("WrongCode"), 7);
        log.names();
        let reply = host.try_send(&send).await.unwrap_err();
        assert_eq!(reply.header("Retry-After"), Some((3600 - at).to_string().as_str()));
        assert_eq!(log.names(), ["LockedOut"]);
        host.advance(secs(3600 - at) - MILLI);
        host.refused_send(&send).await;
        host.advance(MILLI);
        let sent = host.send(&send).await;
        assert_eq!(log.names(), ["LockedOut", "Sent"]);
        // Three guesses of the first code are free.
        assert_eq!(miss(&host, &send, &sent).await, Outcome::Wrong(2));
    }
}

// README 2: a code logs in once.

/// README 2: "Of fifty parallel requests with the right code, one gets tokens and the others are refused."
#[tokio::test]
async fn fifty_requests_by_all_messages_of_a_code_and_at_two_hosts_log_in_once() {
    for yields in 0..5 {
        for send in [by_spa(&email_send(EMAIL)), purpose(&sms_send(PHONE), Usage::ResetPassword)] {
            let host = hosted(Settings::default(), 60);
            let other = beside(&host, Settings::default());
            let first = host.send(&send).await;
            host.advance(secs(30));
            let second = host.send(&send).await;
            assert_eq!(first.code, second.code);
            host.store.yields.store(yields, SeqCst);
            let (hosts, sent) = ([&host, &other], [&first, &second]);
            let requests = (0..50).map(|number| {
                let sent = sent[number / 2 % 2];
                present(hosts[number % 2], &send, sent, &sent.code)
            });
            let outcomes = join_all(requests).await;
            assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::In).count(), 1, "{outcomes:?}");
            assert_eq!(host.counters.logins.load(SeqCst), 1);
        }
    }
}

/// `Settings::repeat_answer_within`: "For how long a right code is answered again, where the answer was lost."
/// "Its tokens are of the *same* session."
#[tokio::test]
async fn a_repeated_answer_is_of_the_same_session_until_the_instant_its_window_ends() {
    for window in [1, 17, 60] {
        for (late, send) in [(false, sms_send(PHONE)), (true, by_spa(&email_send(EMAIL)))] {
            let settings = settings(|s| s.repeat_answer_within = secs(window));
            let (host, log) = listening(hosted(settings.clone(), 120), settings, es256());
            let sent = host.send(&send).await;
            let body = grant(&send, &sent, &sent.code);
            let (status, first) = host.token(&body).await;
            assert_eq!(status, 200);
            host.advance(secs(window) - MILLI);
            if late {
                host.advance(MILLI);
                assert_eq!(host.token(&body).await, error(400, "invalid_grant", GONE));
                continue;
            }
            let (status, again) = host.token(&body).await;
            assert_eq!(status, 200, "{again}");
            let session = |said: &Value| payload(text(said, "access_token"))["sid"].clone();
            assert_eq!(session(&first), session(&again));
            assert_eq!((log.count("LoggedIn"), log.count("LoginRepeated")), (1, 1));
            // The client can use both answers.
            for said in [&first, &again] {
                assert!(
                    host.is_active(text(said, "access_token")).await
                        && host.is_active(text(said, "refresh_token")).await
                );
            }
        }
    }
}

/// `Settings::repeat_answer_within`: "The answer goes to the same client, for the same otp_token and code."
#[tokio::test]
async fn an_answer_is_not_repeated_for_another_otp_token_code_or_client() {
    let settings = || settings(|s| s.repeat_answer_within = secs(40));
    let host = hosted(settings(), 120);
    let send = sms_send(PHONE);
    let first = host.send(&send).await;
    host.advance(secs(30));
    let second = host.send(&send).await;
    assert_eq!(present(&host, &send, &first, &first.code).await, Outcome::In);
    assert_ne!(miss(&host, &send, &first).await, Outcome::In);
    assert_ne!(present(&host, &by_spa(&send), &first, &first.code).await, Outcome::In);
    assert_eq!(present(&host, &send, &first, &first.code).await, Outcome::In);
    // Another message with the same code has another otp_token.
    assert_ne!(present(&host, &send, &second, &second.code).await, Outcome::In);
}

/// `Settings::repeat_answer_within`: "It is repeated only while no refresh has used the session and nothing of the
/// session was revoked."
#[tokio::test]
async fn an_answer_is_not_repeated_once_its_session_was_refreshed_or_signed_out() {
    for use_of_session in ["refresh", "sign-out", "host", "everywhere", "access token", "locked"] {
        let host = hosted(settings(|s| s.repeat_answer_within = secs(40)), 120);
        let send = sms_send(PHONE);
        let sent = host.send(&send).await;
        let body = grant(&send, &sent, &sent.code);
        let (_, said) = host.token(&body).await;
        host.advance(secs(6));
        let (token, access) = tokens_of(&said);
        let user = User::new(Subject::new("MOCK_USER_ID").unwrap(), UserStatus::Active);
        match use_of_session {
            "refresh" => drop(refresh(&host, &token).await),
            "sign-out" => assert_eq!(host.revoke(&token, &[]).await.status(), 200),
            "host" => {
                let sid = payload(&access)["sid"].as_str().unwrap().to_owned();
                host.server.call_revoke_session(&SessionId::try_from(sid).unwrap()).await.unwrap();
            }
            "everywhere" => {
                host.directory.inner.put_user(user.with_tokens_valid_after(host.clock.now()));
            }
            "access token" => assert_eq!(host.revoke(&access, &[]).await.status(), 200),
            _ => host.directory.inner.put_user(User::new(user.subject, UserStatus::Locked)),
        }
        let (status, said) = host.token(&body).await;
        assert_eq!(status, 400, "{use_of_session}: {said}");
        assert_eq!(host.counters.logins.load(SeqCst), 1);
    }
}

/// `Settings::repeat_answer_within`: "It is repeated only while no refresh has used the session and nothing of the
/// session was revoked."
#[tokio::test]
async fn an_answer_is_repeated_though_its_access_token_was_used() {
    let host = hosted(settings(|s| s.repeat_answer_within = secs(40)), 120);
    let send = sms_send(PHONE);
    let sent = host.send(&send).await;
    let body = grant(&send, &sent, &sent.code);
    let (_, said) = host.token(&body).await;
    assert_eq!(host.userinfo(text(&said, "access_token")).await.status(), 200);
    assert_eq!(host.token(&body).await.0, 200);
}

/// `Settings::repeat_answer_within`: "Each repetition is charged as a guess before its code is compared. If the code
/// was right, the guess is given back"
#[tokio::test]
async fn repetitions_are_charged_like_guesses_and_given_back() {
    let host = hosted(with(small(), |s| s.repeat_answer_within = secs(50)), 120);
    let send = sms_send(PHONE);
    let sent = host.send(&send).await;
    for _ in 0..20 {
        assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::In);
    }
    assert_eq!(host.store.inner.len(), 2, "one address, one session");
    // At most three wrong texts are compared, however many come. The right one then comes after the last guess.
    host.store.yields.store(2, SeqCst);
    join_all((0..30).map(|_| miss(&host, &send, &sent))).await;
    assert!(compared(&host) <= 3, "{}", compared(&host));
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::Gone);
}

/// README 2: "Of fifty parallel requests with the right code, one gets tokens and the others are refused. A host can
/// allow the answer to be repeated […]. A repeated answer has tokens of the same session."
#[tokio::test]
async fn fifty_requests_whose_answers_may_be_repeated_begin_one_session() {
    for yields in 0..4 {
        let host = hosted(settings(|s| s.repeat_answer_within = secs(9)), 120);
        let send = by_spa(&sms_send(PHONE));
        let sent = host.send(&send).await;
        let body = grant(&send, &sent, &sent.code);
        host.store.yields.store(yields, SeqCst);
        let answers = join_all((0..50).map(|_| host.token(&body))).await;
        let granted = answers.iter().filter(|(status, _)| *status == 200);
        let sessions: BTreeSet<String> =
            granted.map(|(_, said)| payload(text(said, "access_token"))["sid"].to_string()).collect();
        assert_eq!(sessions.len(), 1);
        assert_eq!(host.counters.logins.load(SeqCst), 1);
    }
}

/// `Settings::repeat_answer_within`: "At most 60 seconds. Defaults to zero, which is never"
#[tokio::test]
async fn an_answer_is_repeated_for_a_minute_at_most_and_never_by_default() {
    for (window, builds) in [(secs(60), true), (secs(60) + MILLI, false)] {
        let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), es256())
            .settings(settings(|s| s.repeat_answer_within = window))
            .build(MemoryStore::new(), sample_directory());
        assert_eq!(server.is_ok(), builds, "{window:?}");
    }
    let host = Host::new();
    let send = sms_send(PHONE);
    let sent = host.send(&send).await;
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::In);
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::Gone);
}

// README 3: a failure costs at most one guess, one send or one code.

/// README 3: "A crash, a store that fails or a client that hangs up leaves a code usable or spent."
#[tokio::test]
async fn a_verification_or_a_repeated_login_that_is_dropped_leaves_the_code_usable_or_spent() {
    for (send, window) in
        [(purpose(&sms_send(PHONE), Usage::Signup), 0), (by_spa(&email_send(EMAIL)), 0), (sms_send(PHONE), 20)]
    {
        for polls in 1..60 {
            let host = hosted(settings(|s| s.repeat_answer_within = secs(window)), 100);
            let sent = host.send(&send).await;
            host.store.yields.store(1, SeqCst);
            let answer = drop_after(polls, present(&host, &send, &sent, &sent.code));
            host.store.yields.store(0, SeqCst);
            let again = present(&host, &send, &sent, &sent.code).await;
            if answer.is_some() {
                assert_eq!((answer, again == Outcome::In), (Some(Outcome::In), window > 0));
                break;
            }
            assert!(matches!(again, Outcome::In | Outcome::Gone), "{send} {polls}: {again:?}");
            assert!(again == Outcome::In || window == 0, "the answer could be repeated: {polls}");
            assert!(host.counters.logins.load(SeqCst) <= 1);
        }
    }
}

/// README 3: "A 503 takes back the request's guess, its send and the code that it spent."
#[tokio::test]
async fn a_503_of_two_failures_in_a_row_costs_no_guess_and_no_code() {
    let sends = [by_spa(&email_send(EMAIL)), purpose(&sms_send(PHONE), Usage::UpdateUserinfo), sms_send(PHONE)];
    for (send, is_right) in sends.iter().flat_map(|send| [(send, true), (send, false)]) {
        for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late] {
            for call in 0..5 {
                let host = hosted(small(), 240);
                let sent = host.send(send).await;
                host.store.fault(call, fault);
                host.store.fault(call + 1, Mishap::FailBefore);
                let code = if is_right { sent.code.clone() } else { wrong(&sent.code) };
                let outcome = present(&host, send, &sent, &code).await;
                host.store.heal();
                if outcome != Outcome::Unavailable {
                    continue;
                }
                assert_eq!(host.counters.logins.load(SeqCst), 0);
                assert_eq!(miss(&host, send, &sent).await, Outcome::Wrong(2), "{send} {is_right} {fault:?} {call}");
                assert_eq!(
                    present(&host, send, &sent, &sent.code).await,
                    Outcome::In,
                    "{send} {is_right} {fault:?} {call}"
                );
                host.advance(secs(250));
                assert_eq!(use_up(&host, send, 10).await, 7, "{send} {is_right} {fault:?} {call}");
            }
        }
    }
}

/// README 3: "A 503 takes back […] its send"
#[tokio::test]
async fn a_send_that_is_answered_with_503_uses_up_no_quota_and_kills_no_code() {
    for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late] {
        for send in [by_spa(&email_send(EMAIL)), purpose(&sms_send(NOBODY), Usage::Signup)] {
            let settings = with(small(), |s| s.send_quotas = vec![quota(1, 10), quota(3, 3600)]);
            let host = hosted(settings, 240);
            let first = host.send(&send).await;
            host.advance(secs(10));
            for _ in 0..5 {
                host.store.fault(1, fault);
                host.store.fault(2, Mishap::FailBefore);
                assert_eq!(host.try_send(&send).await.unwrap_err().status(), 503);
                host.store.heal();
            }
            let second = host.send(&send).await;
            assert_eq!(first.code, second.code, "{fault:?}");
            host.advance(secs(10));
            host.send(&send).await;
            host.advance(secs(10));
            host.refused_send(&send).await;
            let signs_up = Sent { ..first.clone() };
            assert_eq!(miss(&host, &send, &signs_up).await, Outcome::Wrong(2));
        }
    }
}

/// README 3: "If the store fails again during that, one guess, one send or one code is lost."
#[tokio::test]
async fn a_longer_outage_in_one_request_costs_one_guess_or_one_code() {
    for send in [by_spa(&email_send(EMAIL)), purpose(&sms_send(PHONE), Usage::Signup)] {
        for is_right in [true, false] {
            for (first, last) in (0..6).flat_map(|first| (2..8).map(move |length| (first, first + length))) {
                for fault in [Mishap::FailBefore, Mishap::FailAfter] {
                    let host = hosted(small(), 240);
                    let sent = host.send(&send).await;
                    (first..last).for_each(|call| host.store.fault(call, fault));
                    let code = if is_right { sent.code.clone() } else { wrong(&sent.code) };
                    let outcome = present(&host, &send, &sent, &code).await;
                    host.store.heal();
                    if outcome != Outcome::Unavailable {
                        continue;
                    }
                    let about = format!("{send} {is_right} {fault:?} {first}..{last}");
                    match miss(&host, &send, &sent).await {
                        Outcome::Wrong(left) => assert!(left >= 1, "{about}: {left}"),
                        other => assert!(is_right && other == Outcome::Gone, "{about}: {other:?}"),
                    }
                    host.advance(secs(250));
                    let left = use_up(&host, &send, 10).await;
                    assert!(left >= 5, "{about}: {left}");
                }
            }
        }
    }
}

/// A signer that fails on demand, and counts its calls.
#[derive(Clone)]
struct Elsewhere {
    key: DalekKey,
    fails: Arc<AtomicBool>,
    signed: Arc<AtomicUsize>,
}

impl Signer for Elsewhere {
    type Error = Broken;

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Broken> {
        self.signed.fetch_add(1, SeqCst);
        if self.fails.load(SeqCst) { Err(Broken) } else { Ok(self.key.sign(message).to_vec()) }
    }
}

fn elsewhere() -> (SigningKey, Elsewhere) {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    let key = DalekKey::from_bytes(&[7; 32]);
    let x = BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x }).to_string();
    let signer = Elsewhere { key, fails: Arc::default(), signed: Arc::default() };
    let public = PublicKey::from_jwk(jwk.as_bytes()).unwrap();
    (pollster::block_on(SigningKey::of_signer(signer.clone(), public)).unwrap(), signer)
}

/// README 3: "A 503 takes back the request's guess", whichever part of the host failed.
#[tokio::test]
async fn a_signer_or_a_sign_up_that_fails_costs_nothing_however_often() {
    let (key, signer) = elsewhere();
    let host = Host::with_directory(small(), key, directory(&CodePolicy::new(6, secs(240)).unwrap()));
    let send = by_spa(&sms_send(NOBODY));
    let sent = host.send(&send).await;
    let body = but(&grant(&send, &sent, &sent.code), json!({ "auto_signup": true }));
    for is_down in [true, false] {
        host.directory.down.store(is_down, SeqCst);
        signer.fails.store(!is_down, SeqCst);
        for _ in 0..10 {
            assert_eq!(host.token(&body).await.0, 503);
        }
    }
    signer.fails.store(false, SeqCst);
    assert_eq!(miss(&host, &send, &sent).await, Outcome::Wrong(2));
    assert_eq!(host.token(&body).await.0, 200);
}

/// SECURITY, flooder: "two signatures only after a code was right"
#[tokio::test]
async fn nothing_is_signed_before_a_code_was_right() {
    let (key, signer) = elsewhere();
    let host = Host::with_directory(small(), key, directory(&CodePolicy::new(6, secs(240)).unwrap()));
    signer.signed.store(0, SeqCst);
    let send = email_send(EMAIL);
    let sent = host.send(&send).await;
    miss(&host, &send, &sent).await;
    host.token(&but(&grant(&send, &sent, &sent.code), json!({ "scope": "admin" }))).await;
    host.refresh("garbage").await;
    assert_eq!(signer.signed.load(SeqCst), 0);
    let (_, said) = host.token(&grant(&send, &sent, &sent.code)).await;
    assert_eq!(signer.signed.load(SeqCst), 2);
    present(&host, &send, &sent, &sent.code).await;
    assert_eq!(host.revoke(text(&said, "refresh_token"), &[]).await.status(), 200);
    host.refresh(text(&said, "refresh_token")).await;
    assert_eq!(signer.signed.load(SeqCst), 2);
}

// README 4 and 5: a stolen database, a forged token.

/// README 4: "It has no codes, no tokens, no phone numbers and no e-mail addresses."
#[tokio::test]
async fn a_dump_tells_no_code_of_ten_letters_and_none_of_the_tokens() {
    let code = CodePolicy::new(10, secs(240)).unwrap().with_alphabet("ABCDEFGHJKLMNPQRSTUVWXYZ23456789").unwrap();
    let settings = with(small(), |s| {
        s.code = code.clone();
        s.repeat_answer_within = secs(30);
    });
    let host = Host::with_directory(settings, es256(), directory(&code));
    let sends =
        [by_spa(&email_send("Ada.Lovelace+notes@example.org")), purpose(&sms_send("+491701234567"), Usage::Signup)];
    let mut secrets: Vec<String> =
        ["ada.lovelace", "notes", "example.org", "1701234567", "MOCK_USERNAME"].map(str::to_owned).into();
    for send in &sends {
        let sent = host.send(send).await;
        secrets.extend([sent.code.clone(), sent.otp_token.clone()]);
        miss(&host, send, &sent).await;
    }
    let send = email_send(EMAIL);
    let sent = host.send(&send).await;
    let (_, said) = host.token(&grant(&send, &sent, &sent.code)).await;
    let (token, _) = tokens_of(&said);
    let (_, again) = host.refresh(&token).await;
    for said in [&said, &again] {
        for name in ["access_token", "refresh_token", "id_token"] {
            secrets.extend(text(said, name).split('.').map(str::to_owned));
        }
    }
    let dump = serde_json::to_string(&host.store.inner.records()).unwrap().to_lowercase();
    for secret in secrets {
        let head = secret.to_lowercase();
        assert!(!dump.contains(&head[..head.len().min(24)]), "{secret}");
    }
}

/// README 5: "A token that this server did not make is refused before the store is asked."
#[tokio::test]
async fn tokens_of_a_server_with_other_secrets_and_another_key_cost_no_call_of_the_store() {
    let host = hosted(Settings::default(), 240);
    let other = Keyring::new(&MasterKey::from_bytes(&[3; 32]).unwrap(), &MasterKey::from_bytes(&[4; 40]).unwrap());
    let foreign = host.beside(Settings::default(), other_key(Algorithm::EdDSA), other);
    let send = by_spa(&sms_send(PHONE));
    let sent = foreign.send(&send).await;
    let said = foreign.log_in_by(&email_send(EMAIL), json!({ "grant_type": EMAIL_GRANT_TYPE })).await;
    let (token, access) = tokens_of(&said);
    for usage in [None, Some(Usage::Signup)] {
        let send = usage.map_or(send.clone(), |usage| purpose(&send, usage));
        assert_eq!(host.store_calls(present(&host, &send, &sent, &sent.code)).await, (0, Outcome::Gone));
    }
    assert_eq!(host.store_calls(host.refresh(&token)).await.0, 0);
    for token in [&token, &access] {
        assert_eq!(host.store_calls(host.is_active(token)).await, (0, false));
        assert_eq!(host.store_calls(async { host.revoke(token, &[]).await.status() }).await.0, 0);
        assert_eq!(host.store_calls(async { host.userinfo(token).await.status() }).await, (0, 401));
        let check = host.store_calls(host.server.call_check_access_token(token, Audience::EveryClient)).await;
        assert!(check.0 == 0 && check.1.is_err());
    }
    assert!(foreign.is_active(&token).await);
}

// README 6: a send ends no code that was sent before.

/// README 6: "A send ends no code that was sent before, whether it is a resend or a send for another client."
#[tokio::test]
async fn a_code_is_good_to_its_last_millisecond_however_many_are_sent_after_it() {
    let sends = [
        sms_send(PHONE),
        by_spa(&sms_send(PHONE)),
        purpose(&sms_send(PHONE), Usage::Signup),
        purpose(&by_spa(&sms_send(PHONE)), Usage::ResetPassword),
    ];
    for (validity, pause) in [(240, 10), (600, 10), (1200, 10)] {
        for own in [0, 1] {
            let host = hosted(small(), validity);
            let first = host.send(&sends[own]).await;
            let mut accepted = 0;
            for number in 1..validity / pause {
                host.advance(secs(pause));
                let index = usize::try_from(number).unwrap() % 4;
                accepted += usize::from(host.try_send(&sends[index]).await.is_ok());
            }
            assert!(accepted >= 20);
            host.advance(secs(pause) - MILLI);
            assert_eq!(present(&host, &sends[own], &first, &first.code).await, Outcome::In, "{validity}");
        }
    }
}

/// `Settings::send_quotas`: "Where the otp_tokens of an auth source live longer, an address could still have more live
/// challenges. A send then waits until the first of them expires."
#[tokio::test]
async fn a_send_beyond_the_room_of_a_record_waits_until_the_first_challenge_expires() {
    let settings = settings(|s| s.send_quotas = vec![quota(1, 3)]);
    let host = hosted(settings, 3600);
    let sends = [sms_send(NOBODY), by_spa(&sms_send(NOBODY))];
    let mut all = Vec::new();
    let mut waits = None;
    for number in 0..150_usize {
        match host.try_send(&sends[number % 2]).await {
            Ok(sent) => all.push((number % 2, sent)),
            Err(reply) => {
                waits = Some(reply.header("Retry-After").unwrap().parse::<u64>().unwrap());
                break;
            }
        }
        host.advance(secs(3));
    }
    assert_eq!(all.len(), 100);
    let waits = waits.unwrap();
    assert_eq!(waits, 3600 - 300);
    for (client, sent) in &all[..2] {
        assert!(matches!(miss(&host, &sends[*client], sent).await, Outcome::Wrong(_)));
    }
    host.advance(secs(waits) - MILLI);
    host.refused_send(&sends[0]).await;
    host.advance(MILLI);
    host.send(&sends[0]).await;
}

/// README 6: "a resend to the same client" sends "the same code" "while the code has half of its validity and a guess
/// left", and "later" "a new code".
#[tokio::test]
async fn a_code_is_sent_again_to_its_client_until_half_of_its_time_is_over() {
    for (validity, usage) in [(45, None), (600, None), (60, Some(Usage::Signup)), (60, Some(Usage::ResetPassword))] {
        for email in [false, true] {
            let send = if email { by_spa(&email_send(EMAIL)) } else { by_spa(&sms_send(PHONE)) };
            let other = if email { email_send(EMAIL) } else { sms_send(PHONE) };
            let send = usage.map_or(send.clone(), |usage| purpose(&send, usage));
            for (late, is_same) in [(Duration::ZERO, true), (MILLI, false)] {
                let host = hosted(small(), validity);
                let first = host.send(&send).await;
                host.advance(secs(10));
                // Another client has a code of its own.
                let others = host.send(&other).await;
                assert_ne!(others.code, first.code);
                host.advance(Duration::from_millis(validity * 500) - secs(10) + late);
                let second = host.send(&send).await;
                assert_eq!(first.code == second.code, is_same, "{validity} {usage:?} {email} {late:?}");
                // Either code, with either token, as long as both codes are in time.
                host.advance(Duration::from_millis(validity * 500) - late - MILLI);
                let mixed = Sent { code: first.code.clone(), ..second.clone() };
                assert_eq!(
                    present(&host, &send, &mixed, &mixed.code).await,
                    Outcome::In,
                    "{validity} {usage:?} {email}"
                );
            }
            // A code with one guess left is still sent. A code without guesses is not.
            for misses in [2, 3] {
                let host = hosted(small(), validity);
                let first = host.send(&send).await;
                for _ in 0..misses {
                    miss(&host, &send, &first).await;
                }
                host.advance(secs(10));
                let second = host.send(&send).await;
                assert_eq!(first.code == second.code, misses == 2);
                assert_eq!(present(&host, &send, &second, &second.code).await, Outcome::In);
            }
        }
    }
}

/// README 6: "After a new code was sent, the old code also stays valid until it expires, is redeemed or runs out of
/// guesses. Either otp_token can be presented with either code."
#[tokio::test]
async fn of_three_messages_with_two_codes_each_token_takes_each_code() {
    for (token, code_of) in (0..3).flat_map(|token| [(token, 0), (token, 2)]) {
        for send in [by_spa(&email_send(EMAIL)), sms_send(PHONE)] {
            let host = hosted(small(), 600);
            let mut sent = vec![host.send(&send).await];
            host.advance(secs(300));
            sent.push(host.send(&send).await);
            host.advance(secs(299));
            sent.push(host.send(&send).await);
            assert!(sent[0].code == sent[1].code && sent[0].code != sent[2].code);
            // Each guess is compared with both codes, and charged to both.
            assert_eq!(miss(&host, &send, &sent[token]).await, Outcome::Wrong(2));
            assert_eq!(
                present(&host, &send, &sent[token], &sent[code_of].code).await,
                Outcome::In,
                "{token} {code_of}"
            );
        }
    }
}

// README 7: a refresh can be repeated. The use of a superseded token is noticed.

/// README 7: "Parallel refreshes with one token get one successor." SECURITY: "With a window of zero […] one request
/// gets tokens, by any clock."
#[tokio::test]
async fn refreshes_at_once_get_one_successor_at_two_hosts_and_one_answer_without_a_window() {
    for window in [0, 7, 60] {
        for yields in 1..5 {
            let policy = RefreshPolicy::Rotate { retry_window: secs(window) };
            let sms = AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID").unwrap();
            let client = Client::public(ClientId::new("TENANT_SPA_CLIENT_ID").unwrap()).with_sending();
            let client = client.with_auth_source(sms).with_refresh_policy(policy).unwrap();
            let host = Host::with_directory(Settings::default(), es256(), sample_directory().with_client(client));
            let other = beside(&host, Settings::default());
            let token = tokens_of(&host.log_in_by(&by_spa(&sms_send(PHONE)), json!({})).await).0;
            let spa = [("client_id", "TENANT_SPA_CLIENT_ID"), ("client_secret", "")];
            host.store.yields.store(yields, SeqCst);
            let hosts = [&host, &other];
            let answers = join_all((0..40).map(|number| hosts[number % 2].refresh_with(&token, &spa))).await;
            let granted: Vec<&Value> =
                answers.iter().filter(|answer| answer.0 == 200).map(|answer| &answer.1).collect();
            let successors: BTreeSet<&str> = granted.iter().map(|said| text(said, "refresh_token")).collect();
            assert_eq!(successors.len(), 1, "{window} {yields}");
            assert!(granted.len() == if window == 0 { 1 } else { 40 }, "{window} {yields}: {}", granted.len());
            // All requests ran at once: none of them came late.
            assert_eq!(reuses(&host), 0, "{window} {yields}");
            let newest = *successors.first().unwrap();
            assert_eq!(host.refresh_with(newest, &spa).await.0, 200, "{window} {yields}");
        }
    }
}

/// README 7: "Until the session's absolute end": "any other superseded token, however old": "The session ends. The host
/// is told".
#[tokio::test]
async fn a_superseded_token_of_any_age_ends_the_session_until_its_absolute_end() {
    // Idle for half an hour, two hours in all.
    let settings = || lasting(1800, 7200);
    for (presented, at) in [(0, 1_860), (0, 3_500), (1, 5_000), (2, 7_199), (0, 7_199)] {
        let (host, log) = listening(hosted(settings(), 180), settings(), es256());
        let said = host.log_in(json!({})).await;
        let mut tokens = vec![tokens_of(&said).0];
        let mut now = 0;
        let mut access = String::new();
        while now < at - 30 {
            let step = (at - 30 - now).min(1_740);
            host.advance(secs(step));
            now += step;
            let (next, newest) = refresh(&host, tokens.last().unwrap()).await;
            tokens.push(next);
            access = newest;
        }
        if tokens.len() <= presented + 1 {
            continue;
        }
        host.advance(secs(30) - MILLI);
        log.names();
        assert_eq!(host.refresh(&tokens[presented]).await.0, 400, "{presented} {at}");
        assert_eq!(log.names(), ["ReuseDetected"], "{presented} {at}");
        assert_eq!(host.refresh(tokens.last().unwrap()).await.0, 400);
        assert!(!host.is_active(&access).await);
    }
}

/// README 7: "Until the session's absolute end": "any other superseded token, however old": "The host is told".
/// Settings: "14 days without a refresh, and 30 days in all"
#[tokio::test]
async fn a_superseded_token_is_reported_although_its_session_has_idled_away() {
    let host = hosted(lasting(1800, 7200), 180);
    let first = tokens_of(&host.log_in(json!({})).await).0;
    host.advance(secs(600));
    refresh(&host, &first).await;
    host.advance(secs(1801));
    assert_eq!(host.refresh(&first).await.0, 400);
    assert_eq!(reuses(&host), 1);
}

/// README 7: "a token that was good when the request arrived, and that other requests overtook while it ran": "The
/// request is refused. The session goes on."
#[tokio::test]
async fn a_refresh_that_two_others_overtake_is_refused_and_ends_nothing() {
    for overtaken_by in [2, 3, 5] {
        for pause in [0, 11] {
            let host = Host::new();
            let token = tokens_of(&host.log_in(json!({})).await).0;
            host.directory.stalled.store(true, SeqCst);
            let mut slow = Box::pin(host.refresh(&token));
            assert!(waits(&mut slow));
            host.directory.stalled.store(false, SeqCst);
            let mut newest = token.clone();
            for _ in 0..overtaken_by {
                newest = refresh(&host, &newest).await.0;
                host.advance(secs(pause));
            }
            assert_eq!(slow.await.0, 400, "{overtaken_by} {pause}");
            assert_eq!(reuses(&host), 0, "{overtaken_by} {pause}");
            refresh(&host, &newest).await;
        }
    }
}

/// README 3: "A 503 does not take back a refresh. The client can repeat the refresh within the retry window."
#[tokio::test]
async fn a_refresh_that_got_a_503_can_be_repeated_in_the_window_of_its_client() {
    for (client, in_time, late) in
        [("SIXTY_SECONDS_CLIENT_ID", 59_999, Some(60_000)), ("STABLE_CLIENT_ID", 13 * DAY * 1000, None)]
    {
        let secret = format!("{client}_SECRET");
        let changes = [("client_id", client), ("client_secret", secret.as_str())];
        for (later, status) in [(in_time, 200), (late.unwrap_or(0), if late.is_some() { 400 } else { 200 })] {
            let host = Host::new();
            let send = but(&sms_send(PHONE), json!({ "client_id": client, "client_secret": secret }));
            let token = tokens_of(&host.log_in_by(&send, json!({})).await).0;
            host.store.fault(1, Mishap::FailAfter);
            host.store.fault(2, Mishap::FailBefore);
            assert_eq!(host.refresh_with(&token, &changes).await.0, 503);
            host.store.heal();
            host.advance(Duration::from_millis(later));
            assert_eq!(host.refresh_with(&token, &changes).await.0, status, "{client} {later}");
        }
    }
}

/// SECURITY, another client: "refused, told nothing, and nothing is revoked"; thief of a refresh token: "another
/// client can't use it, and a confidential one needs its secret"
#[tokio::test]
async fn a_superseded_token_in_the_hands_of_another_client_ends_nothing() {
    let host = Host::new();
    let first = tokens_of(&host.log_in(json!({})).await).0;
    let second = refresh(&host, &first).await.0;
    host.advance(secs(3600));
    for others in [
        [("client_id", "OTHER_CLIENT_ID"), ("client_secret", "OTHER_CLIENT_SECRET")],
        [("client_id", "TENANT_SPA_CLIENT_ID"), ("client_secret", "")],
        [("client_id", "TENANT_CLIENT_ID"), ("client_secret", "guess")],
        [("client_id", "TENANT_CLIENT_ID"), ("client_secret", "")],
    ] {
        for token in [&first, &second] {
            assert!((400..402).contains(&host.refresh_with(token, &others).await.0));
            assert_eq!(host.revoke(token, &others).await.status(), 401);
            let (_, said) = read(&host.introspect(token, &others).await);
            assert_ne!(said["active"], json!(true));
        }
    }
    assert_eq!(reuses(&host), 0);
    refresh(&host, &second).await;
}

// README 8: a sign-out is immediate.

/// README 8: "After a sign-out was answered, every refresh and userinfo request of that session is refused at every
/// host, and introspection calls its tokens inactive. A refresh token of any age signs its session out, until the
/// session ends." README 9: "The clocks of hosts can differ by 5 seconds."
#[tokio::test]
async fn a_sign_out_near_the_end_of_a_session_holds_at_hosts_whose_clocks_differ() {
    let mut wrong = Vec::new();
    for (idle, absolute, end) in [(1800, 7200, 1800 + 60), (3000, 3000, 3000)] {
        for generation in 0..3 {
            for offset in [-9_000_i64, -5_001, -4_000, -1, 0, 1, 3_000, 4_999] {
                for (there, here) in
                    [(0, 0), (5_000, 0), (0, 5_000), (-5_000, 0), (0, -5_000), (2_500, -2_500), (-2_500, 2_500)]
                {
                    let host = hosted(lasting(idle, absolute), 180);
                    let mut tokens = vec![tokens_of(&host.log_in(json!({})).await).0];
                    for _ in 0..2 {
                        host.advance(secs(30));
                        tokens.push(refresh(&host, tokens.last().unwrap()).await.0);
                    }
                    host.advance(Duration::from_millis(u64::try_from((end - 60) * 1000 + offset).unwrap()));
                    let reply = at(&host, there, host.revoke(&tokens[generation], &[])).await;
                    assert_eq!(reply.status(), 200);
                    let active = at(&host, here, host.is_active(&tokens[2])).await;
                    let (status, said) = at(&host, here, host.refresh(&tokens[2])).await;
                    let userinfo = match said["access_token"].as_str() {
                        Some(access) => at(&host, here, host.userinfo(access)).await.status(),
                        None => 401,
                    };
                    if active || status == 200 || userinfo == 200 {
                        wrong.push((idle, generation, offset, there, here, active, status));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them: {:?}", wrong.len(), &wrong[..wrong.len().min(8)]);
}

/// README 8: "After a sign-out was answered, every […] request of that session is refused at every host", by the host's
/// own word and for one access token
#[tokio::test]
async fn a_revocation_by_the_host_or_of_an_access_token_holds_at_hosts_whose_clocks_differ() {
    let mut wrong = Vec::new();
    for offset in [-6_000_i64, -4_999, -1, 0, 1, 2_000, 4_999] {
        for (there, here) in [(0, 0), (5_000, 0), (0, -5_000), (2_500, -2_500), (-2_500, 2_500), (4_000, -1_000)] {
            for by_host in [true, false] {
                let host = hosted(lasting(600, 7200), 180);
                let (token, access) = tokens_of(&host.log_in(json!({})).await);
                let end = if by_host { 600_000 } else { 300_000 };
                host.advance(Duration::from_millis(u64::try_from(end + offset).unwrap()));
                if by_host {
                    let sid = SessionId::try_from(payload(&access)["sid"].as_str().unwrap().to_owned()).unwrap();
                    at(&host, there, host.server.call_revoke_session(&sid)).await.unwrap();
                    let (status, _) = at(&host, here, host.refresh(&token)).await;
                    if status == 200 {
                        wrong.push((by_host, offset, there, here));
                    }
                } else {
                    assert_eq!(at(&host, there, host.revoke(&access, &[])).await.status(), 200);
                    let active = at(&host, here, host.is_active(&access)).await;
                    let userinfo = at(&host, here, host.userinfo(&access)).await.status();
                    if active || userinfo == 200 {
                        wrong.push((by_host, offset, there, here));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them: {:?}", wrong.len(), &wrong[..wrong.len().min(8)]);
}

/// `User::tokens_valid_after`: "Sessions that began before this instant are over, with all their tokens. To sign
/// a user out everywhere, set it to the current time." README 9: "The clocks of hosts can differ by 5 seconds."
#[tokio::test]
async fn signing_out_everywhere_ends_logins_at_hosts_whose_clocks_are_ahead_of_the_directorys() {
    for ahead in [-5_000_i64, 0, 4_000, 5_000] {
        for whole_seconds in [false, true] {
            let host = Host::new();
            let said = at(&host, ahead, host.log_in(json!({}))).await;
            let (token, access) = tokens_of(&said);
            host.advance(Duration::from_millis(900));
            let now = host.clock.now();
            let now = if whole_seconds { Timestamp::from_unix_secs(now.as_unix_millis() / 1000) } else { now };
            let user = User::new(Subject::new("MOCK_USER_ID").unwrap(), UserStatus::Active);
            host.directory.inner.put_user(user.with_tokens_valid_after(now));
            assert!(!host.is_active(&access).await, "{ahead} {whole_seconds}");
            assert_eq!(host.userinfo(&access).await.status(), 401);
            assert_eq!(host.refresh(&token).await.0, 400);
        }
    }
}

// README 9: all decisions take the time from your clock.

/// README 9: "The clocks of hosts can differ by 5 seconds." "The later of the record's time and the clock's
/// time counts. A period can be off by as much."
#[tokio::test]
async fn a_window_differs_by_as_much_as_the_clocks_of_two_hosts() {
    for (begins, asks) in [(0, 0), (5_000, 0), (0, 5_000), (-5_000, 0), (0, -5_000), (-2_000, 2_500), (2_500, -2_000)] {
        // The retry window of a client that has 60 seconds.
        let client = "SIXTY_SECONDS_CLIENT_ID";
        let secret = format!("{client}_SECRET");
        let changes = [("client_id", client), ("client_secret", secret.as_str())];
        let send = but(&sms_send(PHONE), json!({ "client_id": client, "client_secret": secret }));
        for (later, status) in [(54_999, 200), (65_000, 400)] {
            let host = hosted(small(), 100);
            let token = tokens_of(&host.log_in_by(&send, json!({})).await).0;
            host.advance(secs(30));
            assert_eq!(at(&host, begins, host.refresh_with(&token, &changes)).await.0, 200);
            host.advance(Duration::from_millis(later));
            assert_eq!(at(&host, asks, host.refresh_with(&token, &changes)).await.0, status, "{begins} {asks} {later}");
        }
        // The time of a code, and the pause between two sends.
        for (later, outcome) in [(94_999, Outcome::In), (105_000, Outcome::Wrong(2))] {
            let host = hosted(small(), 100);
            let sent = at(&host, begins, host.send(&send)).await;
            host.advance(Duration::from_millis(later));
            assert_eq!(
                at(&host, asks, present(&host, &send, &sent, &sent.code)).await,
                outcome,
                "{begins} {asks} {later}"
            );
        }
        for (later, is_sent) in [(4_999, false), (15_000, true)] {
            let host = hosted(small(), 100);
            at(&host, begins, host.send(&send)).await;
            host.advance(Duration::from_millis(later));
            assert_eq!(at(&host, asks, host.try_send(&send)).await.is_ok(), is_sent, "{begins} {asks} {later}");
        }
    }
}

/// README 9: "A clock that is set back gives no address more guesses or sends"
#[tokio::test]
async fn whatever_a_clock_is_set_back_by_gives_no_guess_and_no_send() {
    for back in [6, 61, 3_599, 3_601, DAY - 1, DAY + 1, 40 * DAY] {
        let send = by_spa(&email_send(EMAIL));
        // Guesses.
        let host = hosted(small(), 240);
        host.advance(secs(41 * DAY));
        assert_eq!(use_up(&host, &send, 10).await, 7);
        for _ in 0..5 {
            host.clock.set_back(secs(back));
            host.advance(secs(11));
            if let Ok(sent) = host.try_send(&send).await {
                miss(&host, &send, &sent).await;
            }
            assert_eq!(compared(&host), 7, "{back}");
        }
        // Sends, of which there are four in an hour.
        let host = hosted(with(small(), |s| s.send_quotas = vec![quota(1, 10), quota(4, 3600)]), 240);
        host.advance(secs(41 * DAY));
        for _ in 0..4 {
            host.send(&send).await;
            host.advance(secs(10));
        }
        for _ in 0..5 {
            host.clock.set_back(secs(back));
            host.advance(secs(11));
            assert!(host.try_send(&send).await.is_err(), "{back}");
        }
    }
}

/// README 9: "An address that is used before the clock catches up loses its codes."
#[tokio::test]
async fn a_code_ends_when_its_address_is_used_by_anybody_while_the_clock_is_behind() {
    for (back, is_good) in [(5_000, true), (5_001, false), (3_600_000, false)] {
        let host = hosted(small(), 600);
        host.advance(secs(10 * DAY));
        let send = email_send(EMAIL);
        let sent = host.send(&send).await;
        host.advance(secs(20));
        let others = host.send(&by_spa(&send)).await;
        host.clock.set_back(Duration::from_millis(back));
        // Another client uses the address.
        miss(&host, &by_spa(&send), &others).await;
        host.advance(Duration::from_millis(back));
        let outcome = present(&host, &send, &sent, &sent.code).await;
        assert_eq!(outcome == Outcome::In, is_good, "{back}: {outcome:?}");
    }
}

/// README 9: "records that are not used": "They don't change"; "tokens that had expired": "They are valid again".
#[tokio::test]
async fn what_is_not_used_while_the_clock_is_behind_goes_on() {
    let host = hosted(small(), 600);
    host.advance(secs(10 * DAY));
    let send = sms_send(PHONE);
    let first = tokens_of(&host.log_in(json!({})).await).0;
    host.advance(secs(30));
    let sent = host.send(&send).await;
    let (second, access) = refresh(&host, &first).await;
    host.clock.set_back(secs(3600));
    host.advance(secs(3600 + 9));
    assert_eq!(refresh(&host, &first).await.0, second);
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::In);
    host.advance(secs(300));
    assert!(!host.is_active(&access).await);
    host.clock.set_back(secs(200));
    assert!(host.is_active(&access).await);
    assert!(host.server.verify_access_token(&access, Audience::EveryClient).is_ok());
}

// README 10: silence before proof.

/// README 10: "replies and calls of store and directory do not depend on whether the user exists. Other clients can't
/// tell whether the user has just logged in."
#[tokio::test]
async fn a_send_and_guesses_do_not_tell_whether_the_owner_has_just_logged_in() {
    // To another client than the owner's.
    for own in [sms_send(PHONE), email_send(EMAIL)] {
        let mut traces = Vec::new();
        for logs_in in [false, true] {
            let host = hosted(small(), 240);
            let sent = host.send(&own).await;
            if logs_in {
                assert_eq!(present(&host, &own, &sent, &sent.code).await, Outcome::In);
            }
            host.advance(secs(40));
            host.directory.calls.lock().unwrap().clear();
            let send = by_spa(&own);
            let (calls, attack) = host.store_calls(host.send(&send)).await;
            let mut trace = vec![format!("{calls} {}", but(&attack.reply, json!({ "otp_token": null })))];
            for _ in 0..4 {
                trace.push(format!("{:?}", host.store_calls(miss(&host, &send, &attack)).await));
            }
            host.advance(secs(10));
            let (calls, again) = host.store_calls(host.send(&send)).await;
            trace.push(format!("{calls} {}", but(&again.reply, json!({ "otp_token": null }))));
            trace.push(format!("{:?}", host.directory.calls.lock().unwrap()));
            traces.push(trace);
        }
        assert_eq!(traces[0], traces[1], "{own}");
    }
}

/// README 10: "do not depend on whether the user exists", for every usage and channel
#[tokio::test]
async fn no_purpose_or_channel_tells_whether_there_is_a_user() {
    for usage in [None, Some(Usage::Signup), Some(Usage::UpdateUserinfo), Some(Usage::ResetPassword)] {
        for addresses in [[sms_send(PHONE), sms_send(NOBODY)], [email_send(EMAIL), email_send("nobody@example.com")]] {
            let traces = addresses.map(|send| {
                let send = usage.map_or(send.clone(), |usage| purpose(&send, usage));
                pollster::block_on(async {
                    let host = hosted(small(), 240);
                    let (calls, sent) = host.store_calls(host.send(&send)).await;
                    let mut trace = format!("{calls} {}", but(&sent.reply, json!({ "otp_token": null })));
                    for _ in 0..5 {
                        trace += &format!("{:?}", host.store_calls(miss(&host, &send, &sent)).await);
                    }
                    trace += &format!("{:?}", host.refused_send(&send).await);
                    trace + &format!("{:?}", host.directory.calls.lock().unwrap())
                })
            });
            assert_eq!(traces[0], traces[1], "{usage:?}");
        }
    }
}

/// README 10: "Errors never echo what was sent."
#[tokio::test]
async fn no_member_of_any_request_comes_back_in_an_error() {
    let host = hosted(small(), 240);
    let marker = "Marker7Xy";
    let send = sms_send(PHONE);
    let sent = host.send(&send).await;
    let grant =
        but(&grant(&send, &sent, &sent.code), json!({ "scope": "openid", "auto_signup": false, "otp": "000000" }));
    let mut replies = Vec::new();
    for body in [&send, &grant, &but(&send, json!({ "usage": "login" }))] {
        for name in body.as_object().unwrap().keys() {
            for value in [json!(marker), json!([marker]), json!({ marker: marker })] {
                let bytes = but(body, json!({ name.as_str(): value, marker: marker })).to_string();
                replies.push(host.server.post_token(json_request(&bytes, None)).await);
                if let Err(reply) = host.server.post_send(json_request(&bytes, None)).await {
                    replies.push(reply);
                }
            }
        }
    }
    for name in ["client_id", "client_secret", "token", "token_type_hint", "refresh_token", "scope", "grant_type"] {
        let body = form(&[("token", "x"), ("grant_type", "refresh_token"), ("refresh_token", "x")], &[(name, marker)]);
        let request = form_request(&body, None);
        replies.extend([host.server.post_token(request).await, host.server.post_revoke(request).await]);
        replies.extend([host.server.post_introspect(request).await, host.server.post_userinfo(request).await]);
        let authorization = format!("Basic {marker}");
        replies.push(host.server.post_token(form_request(&body, Some(&authorization))).await);
        let authorization = format!("Bearer {marker}");
        replies.push(host.server.post_userinfo(form_request("", Some(&authorization))).await);
    }
    for reply in replies {
        let whole = format!("{:?} {}", reply.headers().collect::<Vec<_>>(), String::from_utf8_lossy(reply.body()));
        assert!(!whole.contains(marker), "{whole}");
    }
}

// The documentation of `AuthorizationServer`.

async fn raw_send(host: &Host, send: &Value) -> Result<Delivery, Reply> {
    let body = send.to_string();
    host.server.post_send(json_request(&body, None)).await
}

/// `delivery_failed`: "lets its address be sent to again at once." "The send still counts for the longer quotas" "After
/// a second failure in a row, the client must wait as usual." "The call costs a load and a swap."
#[tokio::test]
async fn an_address_whose_message_failed_is_sent_to_again_at_once_and_once() {
    let failure = DeliveryFailure::Undeliverable;
    for send in [by_spa(&email_send(EMAIL)), purpose(&sms_send(NOBODY), Usage::Signup)] {
        let host = hosted(with(small(), |s| s.send_quotas = vec![quota(1, 20), quota(3, 3600)]), 240);
        let first = raw_send(&host, &send).await.unwrap();
        let (calls, reply) = host.store_calls(host.server.call_delivery_failed(first, failure)).await;
        assert_eq!((calls, reply.status(), reply.header("Retry-After")), (2, 503, None));
        let second = raw_send(&host, &send).await.unwrap();
        let reply = host.server.call_delivery_failed(second, failure).await;
        assert_eq!((reply.status(), reply.header("Retry-After")), (503, Some("20")));
        assert!(raw_send(&host, &send).await.is_err());
        host.advance(secs(20));
        // The third in an hour is the last.
        drop(raw_send(&host, &send).await.unwrap().accepted());
        host.advance(secs(20));
        let reply = raw_send(&host, &send).await.unwrap_err();
        assert_eq!(reply.header("Retry-After"), Some("3540"));
    }
}

/// `delivery_failed`: "If the store fails, the reply says how long to wait."
#[tokio::test]
async fn a_delivery_that_failed_while_the_store_is_down_says_how_long_to_wait() {
    let host = hosted(with(small(), |s| s.send_quotas = vec![quota(1, 20)]), 240);
    let delivery = raw_send(&host, &sms_send(PHONE)).await.unwrap();
    host.store.down.store(true, SeqCst);
    let reply = host.server.call_delivery_failed(delivery, DeliveryFailure::Undeliverable).await;
    host.store.down.store(false, SeqCst);
    assert_eq!((reply.status(), reply.header("Retry-After")), (503, Some("20")));
    host.advance(secs(20) - MILLI);
    assert!(raw_send(&host, &sms_send(PHONE)).await.is_err());
    host.advance(MILLI);
    assert!(raw_send(&host, &sms_send(PHONE)).await.is_ok());
}

/// `grant`: a 400 `invalid_grant` turns into a success where "a guess of the address becomes free while the code is
/// valid".
#[tokio::test]
async fn a_code_that_was_refused_for_want_of_guesses_works_when_there_are_some() {
    let host = hosted(
        with(small(), |s| {
            s.guesses_per_challenge = guesses(9);
            s.guesses_per_address = quota(2, 60);
        }),
        280,
    );
    let send = sms_send(PHONE);
    let sent = host.send(&send).await;
    for _ in 0..2 {
        assert!(matches!(miss(&host, &send, &sent).await, Outcome::Wrong(_)));
    }
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::Gone);
    host.advance(secs(61));
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::In);
}

/// `grant`: "A 400 `invalid_grant` turns into a success only where the directory or the time changes": "The code of
/// `User not found` works with `auto_signup`, or once the user exists." "The code or refresh token of a user who may
/// not log in works once the user may log in again."
#[tokio::test]
async fn a_refresh_token_of_a_user_who_was_not_found_works_when_they_are() {
    let host = Host::new();
    let token = tokens_of(&host.log_in(json!({})).await).0;
    let user = User::new(Subject::new("MOCK_USER_ID").unwrap(), UserStatus::Active);
    host.directory.inner.remove_user(&user.subject);
    assert_eq!(host.refresh(&token).await.1["error"], "invalid_grant");
    host.directory.inner.put_user(user);
    assert_eq!(host.refresh(&token).await.0, 200);
}

/// `grant`: the same where a user's `tokens_valid_after` is taken back.
#[tokio::test]
async fn a_refresh_token_that_was_refused_after_signing_out_everywhere_works_when_the_directory_takes_that_back() {
    let host = Host::new();
    let token = tokens_of(&host.log_in(json!({})).await).0;
    let user = User::new(Subject::new("MOCK_USER_ID").unwrap(), UserStatus::Active);
    host.directory.inner.put_user(user.clone().with_tokens_valid_after(host.clock.now()));
    let refused = host.refresh(&token).await;
    assert_eq!((refused.0, &refused.1["error"]), (400, &json!("invalid_grant")));
    assert_ne!(refused.1["error_description"], "Abnormal user status");
    host.directory.inner.put_user(user);
    assert_eq!(host.refresh(&token).await.0, 200);
}

/// `revoke`: "When more than 8 access tokens of one session are revoked before they expire, the tokens that were issued
/// before or together with the oldest of them also die."
#[tokio::test]
async fn with_the_ninth_access_token_those_that_are_as_old_as_the_oldest_die() {
    let host = Host::new();
    let (client, secret) = ("STABLE_CLIENT_ID", "STABLE_CLIENT_ID_SECRET");
    let changes = [("client_id", client), ("client_secret", secret)];
    let send = but(&sms_send(PHONE), json!({ "client_id": client, "client_secret": secret }));
    let (token, first) = tokens_of(&host.log_in_by(&send, json!({})).await);
    let mut access = vec![first];
    for _ in 0..12 {
        host.advance(secs(2));
        access.push(tokens_of(&host.refresh_with(&token, &changes).await.1).1);
    }
    let alive = async || {
        let mut alive = Vec::new();
        for (number, token) in access.iter().enumerate() {
            if host.userinfo(token).await.status() == 200 {
                alive.push(number);
            }
        }
        alive
    };
    for token in &access[3..11] {
        assert_eq!(host.revoke(token, &changes).await.status(), 200);
    }
    assert_eq!(alive().await, [0, 1, 2, 11, 12]);
    assert_eq!(host.revoke(&access[11], &changes).await.status(), 200);
    assert_eq!(alive().await, [12]);
}

/// `revoke`: "After a 503, no revocation is known to have taken place." "`TemporarilyUnavailable` is safe to retry." A
/// request that was answered with 200 can also be repeated.
#[tokio::test]
async fn a_revocation_is_done_when_it_says_so_and_may_be_retried() {
    for call in 0..3 {
        for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late, Mishap::Twice, Mishap::Overwritten] {
            for second in [false, true] {
                let host = Host::new();
                let (token, access) = tokens_of(&host.log_in(json!({})).await);
                for revoked in [&access, &token] {
                    host.store.fault(call, fault);
                    if second {
                        host.store.fault(call + 1, Mishap::FailBefore);
                    }
                    let status = host.revoke(revoked, &[]).await.status();
                    host.store.heal();
                    assert!(status == 200 || status == 503);
                    if status == 200 {
                        assert!(!host.is_active(revoked).await, "{call} {fault:?} {second}");
                    }
                    assert_eq!(host.revoke(revoked, &[]).await.status(), 200);
                    assert!(!host.is_active(revoked).await);
                }
            }
        }
    }
}

/// `revoke_session`: "A session that is unknown or over is a success." `introspect`: "A client learns about its
/// own tokens only." and `Client`: "It has no effect on a public client"
#[tokio::test]
async fn a_client_learns_of_its_own_tokens_only() {
    let id = ClientId::new("PUBLIC_API").unwrap();
    let inner = sample_directory().with_client(Client::public(id).with_introspection_of_every_token());
    let host = Host::with_directory(Settings::default(), es256(), inner);
    let (token, access) = tokens_of(&host.log_in(json!({})).await);
    let api = [("client_id", "API_CLIENT_ID"), ("client_secret", "API_CLIENT_ID_SECRET")];
    let other = [("client_id", "OTHER_CLIENT_ID"), ("client_secret", "OTHER_CLIENT_SECRET")];
    let public = [("client_id", "PUBLIC_API"), ("client_secret", "")];
    let says = async |token: &str, client: &[(&str, &str)]| read(&host.introspect(token, client).await);
    assert_eq!(says(&access, &api).await.1["active"], true);
    assert_eq!(says(&token, &api).await.1, json!({ "active": false }));
    assert_eq!(says(&access, &other).await.1, json!({ "active": false }));
    assert_eq!(says(&access, &public).await.0, 401);
    let sid = SessionId::try_from(payload(&access)["sid"].as_str().unwrap().to_owned()).unwrap();
    for _ in 0..2 {
        host.server.call_revoke_session(&sid).await.unwrap();
        assert!(!host.is_active(&token).await);
    }
    let unknown = Host::new();
    unknown.server.call_revoke_session(&sid).await.unwrap();
}

/// SECURITY, send-pumper: "one in 30 seconds, 50 in 24 hours, over clients, usages and the spellings of a number or a
/// mailbox"; `delivery_failed`: "The send still counts for the longer quotas"
#[tokio::test]
async fn an_address_is_sent_to_as_often_as_its_quotas_say_and_once_more_where_deliveries_fail() {
    for fails in [0, 1, 2, 3] {
        // Once in 20 minutes, three times in an hour. Where deliveries fail, each one, every second one or every third
        // one fails.
        let host = hosted(settings(|s| s.send_quotas = vec![quota(1, 1200), quota(3, 3600)]), 240);
        let policy = AddressPolicy::default().with_country_code("49").unwrap();
        let spelled = settings(|s| {
            s.addresses = policy;
            s.send_quotas = vec![quota(1, 1200), quota(3, 3600)];
        });
        let host = beside(&host, spelled);
        let spellings = ["+491701234567", "1701234567", "+49 (0)170 1234567", "170-123-4567"].map(sms_send);
        let mut sends: Vec<u64> = Vec::new();
        for round in 0..400_usize {
            let send = &spellings[round % 4];
            let send = match round % 3 {
                0 => send.clone(),
                1 => by_spa(send),
                _ => purpose(send, Usage::ResetPassword),
            };
            if let Ok(delivery) = raw_send(&host, &send).await {
                sends.push(u64::try_from(round).unwrap() * 60);
                if fails > 0 && sends.len() % fails == 0 {
                    drop(host.server.call_delivery_failed(delivery, DeliveryFailure::Undeliverable).await);
                }
            }
            host.advance(secs(60));
        }
        for (index, first) in sends.iter().enumerate() {
            let within = sends[index..].iter().filter(|later| **later < first + 3600).count();
            let most = if fails == 0 { 3 } else { 4 };
            assert!(within <= most, "{fails}: {within} in the hour from {first}");
        }
    }
}

/// SECURITY: "Through a public client, any attacker can use up the five guesses of the owner's code. A resend then
/// brings another code." "Sessions that exist go on."
#[tokio::test]
async fn a_code_whose_guesses_others_used_up_is_replaced_by_a_resend_and_sessions_go_on() {
    let host = hosted(small(), 240);
    let token = tokens_of(&host.log_in(json!({})).await).0;
    host.advance(secs(10));
    let send = by_spa(&sms_send(PHONE));
    let own = host.send(&send).await;
    host.advance(secs(10));
    let others = host.send(&send).await;
    miss_all(&host, &send, &others).await;
    assert_eq!(present(&host, &send, &own, &own.code).await, Outcome::Gone);
    host.advance(secs(10));
    let another = host.send(&send).await;
    assert_ne!(another.code, own.code);
    assert_eq!(present(&host, &send, &another, &another.code).await, Outcome::In);
    host.advance(secs(10));
    use_up(&host, &send, 10).await;
    host.refused_send(&send).await;
    refresh(&host, &token).await;
}

/// `danger::without_send_quotas`: "The record of an address keeps its ten latest challenges, and so a send can end a
/// code that is good."
#[tokio::test]
async fn without_send_quotas_the_ten_latest_challenges_are_kept() {
    let host =
        hosted(with(danger::without_send_quotas(Settings::default()), |s| s.guesses_per_challenge = guesses(200)), 240);
    let sends = [sms_send(PHONE), by_spa(&sms_send(PHONE))];
    let mut all = Vec::new();
    for number in 0..12 {
        all.push(host.send(&sends[number % 2]).await);
    }
    let mut kept = Vec::new();
    for (number, sent) in all.iter().enumerate() {
        if miss(&host, &sends[number % 2], sent).await != Outcome::Gone {
            kept.push(number);
        }
    }
    assert_eq!(kept, (2..12).collect::<Vec<_>>());
}

/// `Settings::body_limit`: "The size of the largest body that the server reads, in bytes."
#[tokio::test]
async fn a_body_of_the_limit_is_read_and_one_byte_more_is_not() {
    let host = hosted(settings(|s| s.body_limit = 700), 240);
    let send = sms_send(PHONE).to_string();
    for (length, is_read) in [(701, false), (700, true)] {
        let body = format!("{send:<length$}");
        assert_eq!(host.server.post_send(json_request(&body, None)).await.is_ok(), is_read, "{length}");
    }
}

/// `CodePolicy::with_token_validity`: "It can be longer than the code's: a resend renews the token alone."
#[tokio::test]
async fn a_resend_renews_the_token_and_not_the_code() {
    let code = CodePolicy::new(7, secs(100)).unwrap().with_token_validity(secs(900)).unwrap();
    let host = Host::with_directory(small(), es256(), directory(&code));
    let first = host.send(&sms_send(PHONE)).await;
    host.advance(secs(40));
    let second = host.send(&sms_send(PHONE)).await;
    let told = |sent: &Sent| ["expires_in", "code_expires_in", "code_length"].map(|name| sent.reply[name].clone());
    assert_eq!((told(&first), told(&second)), ([json!(900), json!(100), json!(7)], [json!(900), json!(60), json!(7)]));
}

/// `Client::with_grants`: "Without `Grant::RefreshToken` the client gets no refresh token." `Client::public`: "The
/// client may not send codes unless `Client::with_sending` allows it."
#[tokio::test]
async fn a_client_without_the_refresh_grant_gets_no_refresh_token_and_a_silent_one_sends_nothing() {
    let sms = AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID").unwrap();
    let client = Client::public(ClientId::new("TENANT_SPA_CLIENT_ID").unwrap()).with_sending().with_auth_source(sms);
    let inner = sample_directory().with_client(client.with_grants([Grant::OtpSms]));
    let host = Host::with_directory(Settings::default(), es256(), inner);
    let said = host.log_in_by(&by_spa(&sms_send(PHONE)), json!({})).await;
    assert!(said["refresh_token"].is_null() && said["access_token"].is_string());
    for usage in [None, Some(Usage::Signup)] {
        let send = but(&by_spa(&sms_send(NOBODY)), json!({ "client_id": "SILENT_SPA_CLIENT_ID" }));
        let send = usage.map_or(send.clone(), |usage| purpose(&send, usage));
        let (calls, said) = host.store_calls(host.refused_send(&send)).await;
        assert_eq!((calls, said), (0, error(400, "unauthorized_client", "")));
    }
}

/// `Keyring`: "changing it forgets every session and every spent budget." "A secret that has leaked is dropped at
/// once: codes and refresh tokens that it sealed are then refused without asking the store."
#[tokio::test]
async fn another_index_secret_forgets_and_a_dropped_sealing_secret_refuses() {
    let key = |byte| MasterKey::from_bytes(&[byte; 33]).unwrap();
    for (index, sealing, forgets) in [(9, 8, true), (7, 9, false)] {
        let host = hosted(small(), 240).beside(small(), es256(), Keyring::new(&key(7), &key(8)));
        let token = tokens_of(&host.log_in(json!({})).await).0;
        host.advance(secs(10));
        let send = by_spa(&email_send(EMAIL));
        let sent = host.send(&send).await;
        let changed = host.beside(small(), es256(), Keyring::new(&key(index), &key(sealing)));
        let (calls, refused) = changed.store_calls(changed.refresh(&token)).await;
        assert_eq!(refused.0, 400);
        if forgets {
            // The address has not been sent to.
            let again = changed.send(&send).await;
            assert_eq!(present(&changed, &send, &again, &again.code).await, Outcome::In);
            continue;
        }
        assert_eq!(calls, 0);
        assert_eq!(changed.store_calls(present(&changed, &send, &sent, &sent.code)).await, (0, Outcome::Gone));
        // When a code is lost, a send in the first half of its time brings a code that works.
        changed.advance(secs(10));
        let again = changed.send(&send).await;
        assert_eq!(present(&changed, &send, &again, &again.code).await, Outcome::In);
    }
}

/// `Event`: each event is told when what it describes happens.
#[tokio::test]
async fn the_observer_hears_of_each_thing_that_happens() {
    let (host, log) = listening(hosted(small(), 240), small(), es256());
    let send = sms_send(PHONE);
    let sent = host.send(&send).await;
    assert_eq!(log.names(), ["Sent"]);
    host.refused_send(&by_spa(&send)).await;
    assert_eq!(log.names(), ["Throttled"]);
    miss(&host, &send, &sent).await;
    assert_eq!(log.names(), ["WrongCode"]);
    let said = host.token(&grant(&send, &sent, &sent.code)).await.1;
    assert_eq!(log.names(), ["LoggedIn"]);
    present(&host, &send, &sent, &sent.code).await;
    assert_eq!(log.names(), ["Exhausted"]);
    let (first, access) = tokens_of(&said);
    let second = refresh(&host, &first).await.0;
    assert_eq!(log.names(), ["Refreshed"]);
    for _ in 0..2 {
        let _ = host.revoke(&access, &[]).await;
    }
    assert_eq!(log.names(), ["AccessTokenRevoked"]);
    host.advance(secs(10));
    host.refresh(&first).await;
    host.refresh(&second).await;
    assert_eq!(log.names(), ["ReuseDetected"]);
    let said = host.log_in(json!({})).await;
    log.names();
    let _ = host.revoke(text(&said, "refresh_token"), &[]).await;
    assert_eq!(log.names(), ["SessionRevoked"]);

    // An expired code, a sign-up, a verification.
    host.advance(secs(10));
    let send = purpose(&sms_send(PHONE), Usage::ResetPassword);
    let sent = host.send(&send).await;
    host.advance(secs(60));
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::Wrong(2));
    let sent = host.send(&send).await;
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::In);
    assert_eq!(log.names(), ["Sent", "WrongCode", "Sent", "Verified"]);
    host.log_in_by(&sms_send(NOBODY), json!({ "auto_signup": true })).await;
    assert_eq!(log.names(), ["Sent", "SignedUp", "LoggedIn"]);

    // A client that does not prove its identity, at each endpoint.
    let nobody = [("client_secret", "guess")];
    host.refused_send(&but(&send, json!({ "client_secret": "guess" }))).await;
    host.refresh_with(&first, &nobody).await;
    let _ = (host.revoke(&first, &nobody).await, host.introspect(&first, &nobody).await);
    assert_eq!(log.names(), ["ClientRefused"; 4]);

    // The work of the host's own parts.
    host.advance(secs(10));
    let delivery = raw_send(&host, &sms_send(PHONE)).await.unwrap();
    let _ = host.server.call_delivery_failed(delivery, DeliveryFailure::AddressRefused).await;
    assert_eq!(log.names(), ["Sent", "DeliveryFailed"]);
    host.store.down.store(true, SeqCst);
    host.refused_send(&sms_send(LOCKED_PHONE)).await;
    assert!(log.names().iter().all(|name| name == "StoreFailed"));
    host.store.down.store(false, SeqCst);
    let sent = host.send(&sms_send(LOCKED_PHONE)).await;
    host.directory.down.store(true, SeqCst);
    assert_eq!(present(&host, &sms_send(LOCKED_PHONE), &sent, &sent.code).await, Outcome::Unavailable);
    assert_eq!(log.names(), ["Sent", "DirectoryFailed"]);
}

/// `Event`: "An address appears as the key of its record, which is the same for the same address"; "secrets do not
/// appear at all"
#[tokio::test]
async fn events_name_an_address_by_one_key_and_hold_no_secret() {
    let (host, log) = listening(hosted(small(), 240), small(), es256());
    let send = email_send("Ada@example.org");
    let mut secrets = vec!["ada".to_owned(), "example.org".to_owned(), "TENANT_CLIENT_SECRET".to_owned()];
    for send in [send.clone(), by_spa(&send), purpose(&send, Usage::Signup)] {
        let sent = host.send(&send).await;
        miss(&host, &send, &sent).await;
        present(&host, &send, &sent, &sent.code).await;
        secrets.extend([sent.otp_token, format!("\"{}\"", sent.code)]);
        host.advance(secs(10));
    }
    let said = host.log_in_by(&send, json!({ "grant_type": EMAIL_GRANT_TYPE, "auto_signup": true })).await;
    let (token, access) = tokens_of(&said);
    let (_, again) = host.refresh(&token).await;
    secrets.extend([token, access, text(&again, "refresh_token").to_owned(), text(&said, "id_token").to_owned()]);
    let events = log.0.lock().unwrap().clone();
    let key = |event: &String| {
        event.split_once("address: ").map(|(_, rest)| rest.split([',', ' ', '}']).next().unwrap().to_owned())
    };
    assert_eq!(events.iter().filter_map(key).collect::<BTreeSet<_>>().len(), 1, "{events:?}");
    for secret in &secrets {
        assert!(!events.iter().any(|event| event.contains(secret.as_str())), "{secret}");
    }
}

/// `UserClaims`: "Adds a claim, or replaces the claim of this name." "Shows the names but not the values"
/// `Directory::user_claims`: "The server filters the standard claims by `scope` afterwards"
#[tokio::test]
async fn a_claim_is_replaced_not_shown_in_debug_output_and_filtered_by_the_scope() {
    let claims = UserClaims::new().with("nickname", "Ada").with("nickname", "Countess").with("email", "a@example.org");
    let shown = format!("{claims:?}");
    assert!(shown.contains("nickname") && !shown.contains("Countess") && !shown.contains("example.org"));
    let host = Host::new();
    host.directory.inner.put_claims(Subject::new("MOCK_USER_ID").unwrap(), claims);
    for (scope, nickname, email) in [
        ("openid", Value::Null, Value::Null),
        ("openid profile", json!("Countess"), Value::Null),
        ("openid email", Value::Null, json!("a@example.org")),
    ] {
        let said = host.log_in(json!({ "scope": scope })).await;
        let (_, userinfo) = read(&host.userinfo(text(&said, "access_token")).await);
        assert_eq!((&userinfo["nickname"], &userinfo["email"]), (&nickname, &email), "{scope}");
    }
}

/// README 3: "A 503 takes back the request's guess […] and the code that it spent", while two codes are in time
#[tokio::test]
async fn a_503_takes_back_the_guess_and_the_code_where_two_codes_are_in_time() {
    let send = by_spa(&email_send(EMAIL));
    for (token, code_of) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late] {
            for call in 0..5 {
                for is_right in [true, false] {
                    let host = hosted(small(), 240);
                    let mut sent = vec![host.send(&send).await];
                    assert_eq!(miss(&host, &send, &sent[0]).await, Outcome::Wrong(2));
                    host.advance(secs(121));
                    sent.push(host.send(&send).await);
                    let code = if is_right { sent[code_of].code.clone() } else { wrong(&sent[code_of].code) };
                    host.store.fault(call, fault);
                    host.store.fault(call + 1, Mishap::FailBefore);
                    let outcome = present(&host, &send, &sent[token], &code).await;
                    host.store.heal();
                    if outcome != Outcome::Unavailable {
                        continue;
                    }
                    let about = format!("{token} {code_of} {fault:?} {call} {is_right}");
                    // The first code has one guess less, and the second code has lost none.
                    assert_eq!(miss(&host, &send, &sent[0]).await, Outcome::Wrong(1), "{about}");
                    assert_eq!(present(&host, &send, &sent[token], &sent[code_of].code).await, Outcome::In, "{about}");
                }
            }
        }
    }
}

/// Repeats an answer ten times, of which the store fails at a call and at the next; tells how each ended, and the last
/// one.
async fn repeat_with_failures(fault: Mishap, call: usize) -> (Outcome, Outcome) {
    let host = hosted(with(small(), |s| s.repeat_answer_within = secs(30)), 240);
    let send = sms_send(PHONE);
    let sent = host.send(&send).await;
    assert_eq!(present(&host, &send, &sent, &sent.code).await, Outcome::In);
    let mut outcome = Outcome::Gone;
    for number in 0..10 {
        host.store.fault(call, fault);
        host.store.fault(call + 1, Mishap::FailBefore);
        let now = present(&host, &send, &sent, &sent.code).await;
        host.store.heal();
        if number == 0 {
            outcome = now;
        }
    }
    assert_eq!(host.counters.logins.load(SeqCst), 1);
    (outcome, present(&host, &send, &sent, &sent.code).await)
}

/// README 3: "A 503 takes back the request's guess", where an answer is repeated
#[tokio::test]
async fn repetitions_that_are_answered_with_503_cost_nothing() {
    for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late] {
        for call in 0..6 {
            if let (Outcome::Unavailable, last) = repeat_with_failures(fault, call).await {
                assert_eq!(last, Outcome::In, "{fault:?} {call}");
            }
        }
    }
}

/// SECURITY: "With a window of zero (`RefreshPolicy::Rotate`) one request gets tokens, by any clock."
#[tokio::test]
async fn without_a_window_the_second_request_ends_the_session_at_a_host_with_any_clock() {
    let sms = AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID").unwrap();
    for (begins, asks) in [(0, 0), (0, -1), (0, -5_000), (5_000, 0), (2_500, -2_500), (0, 5_000)] {
        let policy = RefreshPolicy::Rotate { retry_window: Duration::ZERO };
        let client = Client::public(ClientId::new("TENANT_SPA_CLIENT_ID").unwrap()).with_sending();
        let client = client.with_auth_source(sms.clone()).with_refresh_policy(policy).unwrap();
        let host = Host::with_directory(Settings::default(), es256(), sample_directory().with_client(client));
        let token = tokens_of(&host.log_in_by(&by_spa(&sms_send(PHONE)), json!({})).await).0;
        let spa = [("client_id", "TENANT_SPA_CLIENT_ID"), ("client_secret", "")];
        host.advance(secs(60));
        assert_eq!(at(&host, begins, host.refresh_with(&token, &spa)).await.0, 200);
        assert_eq!(at(&host, asks, host.refresh_with(&token, &spa)).await.0, 400, "{begins} {asks}");
        assert_eq!(reuses(&host), 1, "{begins} {asks}");
    }
}

/// A directory that signs no user up.
struct Closed(MemoryDirectory);

impl ClientRegistry for Closed {
    type Error = EntropyUnavailable;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, Self::Error> {
        self.0.client(id).await
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, Self::Error> {
        self.0.auth_source(id).await
    }
}

impl UserStore for Closed {
    type Error = EntropyUnavailable;

    async fn user_by_address(&self, address: &Address) -> Result<Option<User>, Self::Error> {
        self.0.user_by_address(address).await
    }

    async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, Self::Error> {
        self.0.user_by_subject(subject).await
    }

    async fn user_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> Result<UserClaims, Self::Error> {
        self.0.user_claims(subject, client, scope).await
    }

    async fn sign_up(&self, _address: &Address) -> Result<SignUp, Self::Error> {
        Ok(SignUp::Refused)
    }
}

/// Random bytes that run out.
#[derive(Clone, Default)]
struct Exhaustible(SeededEntropy, Arc<AtomicBool>);

impl Entropy for Exhaustible {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyUnavailable> {
        if self.1.load(SeqCst) { Err(EntropyUnavailable) } else { self.0.fill(buffer) }
    }
}

/// `SignUp::Refused`: "The address may not sign up. The server answers `User not found`, as if there were no sign-up."
/// `Event::Faulted`: "There were no random bytes"
#[tokio::test]
async fn a_directory_that_refuses_a_sign_up_is_told_as_no_such_user_and_no_random_bytes_as_a_503() {
    let (entropy, log) = (Exhaustible::default(), Log::default());
    let server = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), es256())
        .settings(small())
        .entropy(entropy.clone())
        .observer(log.clone())
        .build(MemoryStore::new(), Closed(sample_directory()))
        .unwrap();
    let send = sms_send(NOBODY);
    let body = send.to_string();
    let delivery = server.post_send(json_request(&body, None)).await.unwrap();
    let code = delivery.message().unwrap().code().expose_secret().to_owned();
    let reply = read(&delivery.accepted()).1;
    let sent = Sent { otp_token: text(&reply, "otp_token").to_owned(), code, reply };
    let body = but(&grant(&send, &sent, &sent.code), json!({ "auto_signup": true })).to_string();
    log.names();
    entropy.1.store(true, SeqCst);
    for _ in 0..10 {
        assert_eq!(server.post_token(json_request(&body, None)).await.status(), 503);
    }
    assert!(log.names().iter().all(|name| name == "Faulted"));
    entropy.1.store(false, SeqCst);
    let refused = error(400, "invalid_grant", "User not found");
    for _ in 0..3 {
        assert_eq!(read(&server.post_token(json_request(&body, None)).await), refused);
    }
}

/// README 10: "Other clients can't tell whether the user has just logged in", by a message that was sent before the
/// login
#[tokio::test]
async fn a_message_that_was_sent_before_a_login_does_not_tell_of_it() {
    let mut traces = Vec::new();
    for logs_in in [false, true] {
        let host = hosted(small(), 240);
        let own = sms_send(PHONE);
        let sent = host.send(&own).await;
        host.advance(secs(10));
        let send = by_spa(&own);
        let attack = host.send(&send).await;
        if logs_in {
            assert_eq!(present(&host, &own, &sent, &sent.code).await, Outcome::In);
        }
        traces.push(host.store_calls(miss(&host, &send, &attack)).await);
    }
    assert_eq!(traces[0], traces[1]);
}
