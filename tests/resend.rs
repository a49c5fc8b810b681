//! A code that is sent again while it is good: the same code, until the same instant, with guesses of its own.
#![allow(clippy::unwrap_used, reason = "the helpers of a scenario that fails have to fail loudly")]

mod support;

use otp_grant::*;
use serde_json::json;
use support::*;

/// Of a code; its token is valid for 300.
const VALIDITY: u64 = 120;

fn host() -> Host {
    let code = CodePolicy::new(6, secs(VALIDITY)).unwrap();
    let source = AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID").unwrap();
    let directory = sample_directory().with_auth_source(AuthSource::new(source, Channel::Sms).with_code(code));
    let key = SigningKey::from_pem(include_str!("keys/es256_pkcs8.pem")).unwrap();
    Host::with_directory(Settings::default(), key, directory)
}

#[tokio::test]
async fn a_resend_does_not_make_a_code_live_longer() {
    for (waited, status) in [(VALIDITY - 30 - 1, 200), (VALIDITY - 30, 400)] {
        let host = host();
        let first = host.send(&sms_send(PHONE)).await;
        host.advance(secs(30));
        let second = host.send(&sms_send(PHONE)).await;
        assert_eq!(first.code, second.code);
        assert_ne!(first.otp_token, second.otp_token);
        host.advance(secs(waited));
        assert_eq!(host.token(&sms_grant(PHONE, &second)).await.0, status, "{waited} s after the resend");
    }
}

#[tokio::test]
async fn with_less_than_half_of_its_time_left_a_code_is_not_sent_again() {
    for (waited, is_shared) in [(VALIDITY / 2, true), (VALIDITY / 2 + 1, false)] {
        let host = host();
        let first = host.send(&sms_send(PHONE)).await;
        host.advance(secs(waited));
        let second = host.send(&sms_send(PHONE)).await;
        assert_eq!(first.code == second.code, is_shared, "{waited} s after the first");
        assert_eq!(host.token(&sms_grant(PHONE, &second)).await.0, 200);
    }
}

#[tokio::test]
async fn each_send_has_its_own_guesses_and_all_end_with_the_one_that_is_redeemed() {
    let host = host();
    let first = host.send(&sms_send(PHONE)).await;
    host.advance(secs(30));
    let second = host.send(&sms_send(PHONE)).await;
    let wrong_grant = but(&sms_grant(PHONE, &first), json!({ "otp": wrong(&first.code) }));
    for _ in 0..5 {
        assert_eq!(host.token(&wrong_grant).await.0, 400);
    }
    let gone = error(400, "invalid_grant", "Unknown or expired otp_token");
    assert_eq!(host.token(&sms_grant(PHONE, &first)).await, gone);
    assert_eq!(host.token(&sms_grant(PHONE, &second)).await.0, 200);

    host.advance(secs(30));
    let third = host.send(&sms_send(PHONE)).await;
    host.advance(secs(30));
    let fourth = host.send(&sms_send(PHONE)).await;
    assert_eq!(third.code, fourth.code);
    assert_eq!(host.token(&sms_grant(PHONE, &third)).await.0, 200);
    assert_eq!(host.token(&sms_grant(PHONE, &fourth)).await, gone);
}
