//! Test identities: one address logs in with a fixed code until its end, is told from no other address before that, and
//! its tokens say what they are.

use std::sync::atomic::Ordering::SeqCst;

use futures::future::join_all;
use otp_grant::jwt::{AccessTokenProfile, Audience};
use otp_grant::otp::TestIdentity;
use otp_grant::server::ConfigError;
use otp_grant::time::Timestamp;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const REVIEWER: &str = "+8613600000001";
const CODE: &str = "246810";
const DAY: u64 = 24 * 60 * 60;

fn phone(text: &str) -> Address {
    Address::Phone(AddressPolicy::default().phone_number(text).unwrap())
}

fn identity(days: u64) -> TestIdentity {
    let end = Timestamp::from_unix_secs(START + days * DAY);
    TestIdentity::new(phone(REVIEWER), CODE, [ClientId::new(CLIENT).unwrap()], end)
}

/// The sample directory, with a user of the reviewer's address.
fn directory(is_test: bool) -> MemoryDirectory {
    let user = User::new(Subject::new("TEST_USER_ID").unwrap(), UserStatus::Active);
    sample_directory().with_user(if is_test { user.as_test_subject() } else { user }, [phone(REVIEWER)])
}

fn host_with(is_test: bool, change: impl FnOnce(&mut Settings)) -> Host {
    let settings = settings(|s| {
        s.test_identities.push(identity(30));
        change(s);
    });
    Host::with_directory(settings, signing_key(), directory(is_test))
}

fn host() -> Host {
    host_with(true, |_| {})
}

/// Sends for an address, and returns the otp_token and the code that was delivered.
async fn send(host: &Host, body: &Value) -> (Sent, Option<String>) {
    let bytes = body.to_string();
    let delivery = host.server.post_send(json_request(&bytes, None)).await.map_err(|reply| read(&reply)).unwrap();
    let delivered = delivery.message().map(|message| message.code().expose_secret().to_owned());
    let reply = read(&delivery.accepted()).1;
    let otp_token = text(&reply, "otp_token").to_owned();
    (Sent { otp_token, code: CODE.to_owned(), reply }, delivered)
}

#[tokio::test]
async fn a_test_identity_logs_in_with_its_code_and_gets_no_message() {
    for profile in [AccessTokenProfile::Jwt, AccessTokenProfile::Rfc9068 { audience: "https://api.example.com".into() }]
    {
        let host = host_with(true, |s| s.access_token_profile = profile.clone());
        let (sent, delivered) = send(&host, &sms_send(REVIEWER)).await;
        assert_eq!(delivered, None);
        let (status, answer) = host.token(&sms_grant(REVIEWER, &sent)).await;
        assert_eq!(status, 200, "{answer}");
        for token in ["access_token", "id_token"] {
            assert_eq!(payload(text(&answer, token))["amr"], json!(["test"]), "{token}");
        }
        assert_eq!(payload(text(&answer, "access_token"))["sub"], "TEST_USER_ID");
        let (status, refreshed) = host.refresh(text(&answer, "refresh_token")).await;
        assert_eq!(status, 200);
        assert_eq!(payload(text(&refreshed, "access_token"))["amr"], json!(["test"]));
        for token in ["access_token", "refresh_token"] {
            let said = read(&host.introspect(text(&refreshed, token), &[]).await).1;
            assert_eq!((&said["active"], &said["amr"]), (&json!(true), &json!(["test"])), "{token}");
        }
        let told = host.counters.told.lock().unwrap().join("\n");
        assert_eq!(told.matches("TestIdentityUsed").count(), 2, "{told}");
        assert!(!told.contains("Sent {") && !told.contains(CODE));
    }
    // Another user's tokens say nothing of it.
    let host = host();
    assert_eq!(payload(text(&host.log_in(json!({})).await, "access_token"))["amr"], Value::Null);
}

#[tokio::test]
async fn its_sessions_end_when_it_does_and_the_day_after_its_code_is_wrong() {
    let host = host();
    host.advance(secs(30 * DAY - 600));
    let (sent, _) = send(&host, &sms_send(REVIEWER)).await;
    let answer = host.token(&sms_grant(REVIEWER, &sent)).await.1;
    host.advance(secs(590));
    assert!(host.is_active(text(&answer, "refresh_token")).await);
    let refreshed = host.refresh(text(&answer, "refresh_token")).await.1;
    assert_eq!(refreshed["expires_in"], 10);
    host.advance(secs(10));
    assert!(!host.is_active(text(&refreshed, "refresh_token")).await);
    assert_eq!(host.refresh(text(&refreshed, "refresh_token")).await.0, 400);
    // A challenge that was opened before the end.
    let (late, _) = send(&host, &sms_send(REVIEWER)).await;
    assert_eq!(host.token(&sms_grant(REVIEWER, &late)).await.1["error_description"], "Unknown or expired OTP");

    // From its end on, the address is like any other, but for its user, who exists for tests.
    host.advance(secs(DAY));
    let (sent, delivered) = send(&host, &sms_send(REVIEWER)).await;
    let delivered = delivered.unwrap();
    assert_eq!(host.token(&sms_grant(REVIEWER, &sent)).await.1["error_description"], "Unknown or expired OTP");
    let grant = but(&sms_grant(REVIEWER, &sent), json!({ "otp": delivered }));
    assert_eq!(host.token(&grant).await, error(400, "invalid_grant", "Abnormal user status"));
}

#[tokio::test]
async fn a_challenge_that_outlives_the_test_identity_has_no_right_code() {
    let host = host();
    host.advance(secs(30 * DAY - 5));
    let (sent, delivered) = send(&host, &sms_send(REVIEWER)).await;
    assert_eq!(delivered, None);
    host.advance(secs(5));
    assert_eq!(host.token(&sms_grant(REVIEWER, &sent)).await.1["error_description"], "Unknown or expired OTP");
}

#[tokio::test]
async fn two_hundred_wrong_codes_get_five_comparisons() {
    let host = host();
    host.store.yields.store(2, SeqCst);
    let (sent, _) = send(&host, &sms_send(REVIEWER)).await;
    let guess = but(&sms_grant(REVIEWER, &sent), json!({ "otp": "246811" }));
    join_all((0..200).map(|_| host.token(&guess))).await;
    assert_eq!(host.counters.wrong_codes.load(SeqCst), 5);
    assert_eq!(host.token(&sms_grant(REVIEWER, &sent)).await.0, 400);
}

#[tokio::test]
async fn only_a_test_subject_logs_in_by_it_and_nobody_is_signed_up() {
    let flagged = host_with(false, |_| {});
    let absent = Host::with(settings(|s| s.test_identities.push(identity(30))));
    for host in [flagged, absent] {
        let (sent, _) = send(&host, &sms_send(REVIEWER)).await;
        host.directory.calls.lock().unwrap().clear();
        let grant = but(&sms_grant(REVIEWER, &sent), json!({ "auto_signup": true }));
        assert_eq!(host.token(&grant).await, error(400, "invalid_grant", "User not found"));
        assert!(!host.directory.calls.lock().unwrap().contains(&"sign_up"));
    }
}

#[tokio::test]
async fn a_session_ends_when_its_user_is_no_longer_a_test_subject() {
    let host = host();
    let (sent, _) = send(&host, &sms_send(REVIEWER)).await;
    let answer = host.token(&sms_grant(REVIEWER, &sent)).await.1;
    let access_token = text(&answer, "access_token");
    assert!(host.server.call_check_access_token(access_token, Audience::EveryClient).await.is_ok());
    host.directory.inner.put_user(User::new(Subject::new("TEST_USER_ID").unwrap(), UserStatus::Active));
    assert!(host.server.call_check_access_token(access_token, Audience::EveryClient).await.is_err());
    assert_eq!(host.refresh(text(&answer, "refresh_token")).await.0, 400);
}

#[tokio::test]
async fn at_another_client_or_for_another_usage_its_code_is_wrong_and_one_is_sent() {
    let host = host();
    let other = json!({ "client_id": "API_CLIENT_ID", "client_secret": "API_CLIENT_ID_SECRET" });
    let (sent, delivered) = send(&host, &but(&sms_send(REVIEWER), other.clone())).await;
    assert!(delivered.is_some());
    let (_, answer) = host.token(&but(&sms_grant(REVIEWER, &sent), other)).await;
    assert_eq!(answer["error_description"], "Unknown or expired OTP");
    host.advance(secs(30));
    let of_usage = but(&sms_send(REVIEWER), json!({ "usage": "signup", "auth_source_id": null }));
    assert!(send(&host, &of_usage).await.1.is_some());
    // Its code is wrong for every other address.
    let (sent, delivered) = send(&host, &sms_send(PHONE)).await;
    assert!(delivered.is_some_and(|code| code != CODE));
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 400);
}

#[tokio::test]
async fn nobody_can_tell_a_test_identity_from_another_address() {
    let mut seen = Vec::new();
    for number in [REVIEWER, NOBODY] {
        let host = host();
        let mut trace = Vec::new();
        for _ in 0..7 {
            let (calls, (mut sent, _)) = host.store_calls(send(&host, &sms_send(number))).await;
            sent.reply["otp_token"] = json!(sent.otp_token.len());
            trace.push((calls, 200, sent.reply.clone()));
            for text in ["111111", "1111111", "24681", ""] {
                let guess = but(&sms_grant(number, &sent), json!({ "otp": text }));
                let (calls, (status, answer)) = host.store_calls(host.token(&guess)).await;
                trace.push((calls, status, answer));
            }
            host.advance(secs(30));
        }
        seen.push((trace, host.directory.calls.lock().unwrap().clone()));
    }
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn a_test_identity_that_weakens_a_server_is_refused() {
    let clock = ManualClock::new();
    let build = |tests: Vec<TestIdentity>| {
        AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), signing_key())
            .settings(settings(|s| s.test_identities = tests))
            .clock(clock.clone())
            .build(MemoryStore::new(), MemoryDirectory::new())
            .err()
    };
    let (client, end) = (ClientId::new(CLIENT).unwrap(), Timestamp::from_unix_secs(START + DAY));
    let of = |address: &str, code: &str, clients: &[ClientId]| {
        TestIdentity::new(phone(address), code, clients.to_vec(), end)
    };
    assert_eq!(build(vec![identity(90)]), None);
    assert_eq!(build(vec![identity(0)]), None);
    let refused = Some(ConfigError::TestIdentity);
    assert_eq!(build(vec![identity(91)]), refused);
    assert_eq!(build(vec![of(REVIEWER, "24681", std::slice::from_ref(&client))]), refused);
    assert_eq!(build(vec![of(REVIEWER, "24681\n", std::slice::from_ref(&client))]), refused);
    assert_eq!(build(vec![of(REVIEWER, CODE, &[])]), refused);
    assert_eq!(build(vec![identity(1), of(REVIEWER, "135790", std::slice::from_ref(&client))]), refused);
    let shown = format!("{:?}", settings(|s| s.test_identities.push(of(REVIEWER, CODE, &[client]))));
    assert!(!shown.contains(CODE) && !shown.contains("13600000001"), "{shown}");
}
