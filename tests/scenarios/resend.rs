//! A code that is sent again while it is good: the same code, until the same instant, with the same guesses.

use otp_grant::otp::CodePolicy;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::json;

/// The validity of a code. The validity of its otp_token is 300.
const VALIDITY: u64 = 120;

fn host() -> Host {
    let code = CodePolicy::new(6, secs(VALIDITY)).unwrap();
    let source = AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID").unwrap();
    let directory = sample_directory().with_auth_source(AuthSource::new(source, Channel::Sms).with_code(code));
    let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
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
async fn the_sends_of_one_code_share_its_guesses_and_all_end_with_the_one_that_is_redeemed() {
    let host = host();
    let first = host.send(&sms_send(PHONE)).await;
    host.advance(secs(30));
    let second = host.send(&sms_send(PHONE)).await;
    let gone = error(400, "invalid_grant", "Unknown or expired otp_token");
    for (sent, left) in [(&first, 4), (&second, 3), (&first, 2), (&second, 1), (&first, 0)] {
        let guess = but(&sms_grant(PHONE, sent), json!({ "otp": wrong(&sent.code) }));
        assert_eq!(host.token(&guess).await.1["attempts_remaining"], left);
    }
    for sent in [&first, &second] {
        assert_eq!(host.token(&sms_grant(PHONE, sent)).await, gone);
    }

    // A code without guesses is not sent again, although half of its time is left.
    host.advance(secs(30));
    let third = host.send(&sms_send(PHONE)).await;
    assert_ne!(third.code, first.code);
    assert_eq!(host.token(&sms_grant(PHONE, &third)).await.0, 200);

    host.advance(secs(30));
    let third = host.send(&sms_send(PHONE)).await;
    host.advance(secs(30));
    let fourth = host.send(&sms_send(PHONE)).await;
    assert_eq!(third.code, fourth.code);
    assert_eq!(host.token(&sms_grant(PHONE, &third)).await.0, 200);
    assert_eq!(host.token(&sms_grant(PHONE, &fourth)).await, gone);
}

#[tokio::test]
async fn of_two_codes_that_are_in_time_either_logs_in_with_either_token() {
    for code_of_first in [true, false] {
        for token_of_first in [true, false] {
            let host = host();
            let first = host.send(&sms_send(PHONE)).await;
            host.advance(secs(VALIDITY / 2 + 1));
            let second = host.send(&sms_send(PHONE)).await;
            assert_ne!(first.code, second.code);
            let code = if code_of_first { &first.code } else { &second.code };
            let sent = Sent { code: code.clone(), ..if token_of_first { first.clone() } else { second.clone() } };
            let wrong_code = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(code) }));
            assert_eq!(host.token(&wrong_code).await.1["attempts_remaining"], 4);
            assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200, "{code_of_first} {token_of_first}");
            // A code logs in once, with either token.
            for sent in [&first, &second] {
                let again = Sent { code: code.clone(), ..sent.clone() };
                assert_eq!(host.token(&sms_grant(PHONE, &again)).await.0, 400, "{code_of_first} {token_of_first}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_is_repeated_to_its_own_otp_token_and_code_alone() {
    let code = CodePolicy::new(6, secs(VALIDITY)).unwrap();
    let source = AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID").unwrap();
    for (waited, is_shared) in [(30, true), (VALIDITY / 2 + 1, false)] {
        for token_of_first in [true, false] {
            let source = AuthSource::new(source.clone(), Channel::Sms).with_code(code.clone());
            let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
            let settings = settings(|s| s.repeat_answer_within = secs(60));
            let host = Host::with_directory(settings, key, sample_directory().with_auth_source(source));
            let first = host.send(&sms_send(PHONE)).await;
            host.advance(secs(waited));
            let second = host.send(&sms_send(PHONE)).await;
            assert_eq!(first.code == second.code, is_shared);
            // The first code, with either token.
            let by = |sent: &Sent, code: &str| but(&sms_grant(PHONE, sent), json!({ "otp": code }));
            let (named, other) = if token_of_first { (&first, &second) } else { (&second, &first) };
            assert_eq!(host.token(&by(named, &first.code)).await.0, 200);
            let is_own = named.code == first.code;
            assert_eq!(host.token(&by(named, &first.code)).await.0 == 200, is_own, "{waited} {token_of_first}");
            assert_eq!(host.token(&by(other, &first.code)).await.0, 400, "{waited} {token_of_first}");
            if !is_own {
                assert_eq!(host.token(&by(named, &named.code)).await.0, 400, "{waited} {token_of_first}");
            }
        }
    }
}

#[tokio::test]
async fn a_guess_is_charged_to_each_code_that_it_is_compared_with() {
    let host = host();
    let first = host.send(&sms_send(PHONE)).await;
    host.advance(secs(VALIDITY / 2 + 1));
    let second = host.send(&sms_send(PHONE)).await;
    for _ in 0..5 {
        let guess = but(&sms_grant(PHONE, &second), json!({ "otp": wrong(&second.code) }));
        assert_eq!(host.token(&guess).await.0, 400);
    }
    let gone = error(400, "invalid_grant", "Unknown or expired otp_token");
    for sent in [&first, &second] {
        assert_eq!(host.token(&sms_grant(PHONE, sent)).await, gone);
    }
}

#[tokio::test]
async fn a_code_that_was_guessed_at_five_times_logs_in_with_no_other_token() {
    let host = host();
    let first = host.send(&sms_send(PHONE)).await;
    let wrong_code = but(&sms_grant(PHONE, &first), json!({ "otp": wrong(&first.code) }));
    for left in [4, 3, 2, 1, 0] {
        assert_eq!(host.token(&wrong_code).await.1["attempts_remaining"], left);
    }
    host.advance(secs(VALIDITY / 2 + 1));
    let second = host.send(&sms_send(PHONE)).await;
    let used_up = Sent { code: first.code, ..second.clone() };
    let (status, reply) = host.token(&sms_grant(PHONE, &used_up)).await;
    assert_eq!((status, &reply["attempts_remaining"]), (400, &json!(4)));
    assert_eq!(host.token(&sms_grant(PHONE, &second)).await.0, 200);
}

/// A resend that fails is taken back, though its code has been compared meanwhile. These guesses stay with the code.
#[tokio::test]
async fn a_resend_that_is_taken_back_leaves_the_guesses_at_its_code() {
    let host = host();
    let first = host.send(&sms_send(PHONE)).await;
    host.advance(secs(VALIDITY / 2 + 1));
    let second = host.send(&sms_send(PHONE)).await;
    host.advance(secs(30));
    let again = sms_send(PHONE);
    let mut resend = Box::pin(host.try_send(&again));
    host.store.hold_when_stored(1, &mut resend);
    // The code of the latest challenge is compared as well.
    let wrong_code = wrong(&second.code);
    for _ in 0..4 {
        assert_eq!(host.token(&but(&sms_grant(PHONE, &first), json!({ "otp": wrong_code }))).await.0, 400);
    }
    host.store.fault(0, Mishap::FailBefore);
    assert_eq!(resend.await.unwrap_err().status(), 503);
    let guess = but(&sms_grant(PHONE, &second), json!({ "otp": wrong_code }));
    assert_eq!(host.token(&guess).await.1["attempts_remaining"], 0);
}

#[tokio::test]
async fn of_two_codes_that_are_in_time_either_logs_in_though_the_store_fails_once() {
    for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Twice, Mishap::Overwritten] {
        // The swap that charges the guess, and the one that spends the code.
        for call in [1, 3] {
            for code_of_first in [true, false] {
                let host = host();
                let first = host.send(&sms_send(PHONE)).await;
                host.advance(secs(VALIDITY / 2 + 1));
                let second = host.send(&sms_send(PHONE)).await;
                let (code, token) = if code_of_first { (first, second) } else { (second, first) };
                let sent = Sent { code: code.code, ..token };
                host.store.fault(call, fault);
                let answer = host.token(&sms_grant(PHONE, &sent)).await;
                assert_eq!(answer.0, 200, "{fault:?} at {call}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_code_of_another_client_is_not_accepted_beside_ones_own() {
    let spa = |body| but(&body, json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null }));
    // Also where the guess was charged with an unknown outcome, and somebody else wrote since.
    for fault in [Mishap::Slow, Mishap::FailAfter, Mishap::Overwritten] {
        let host = host();
        let own = host.send(&sms_send(PHONE)).await;
        host.advance(secs(VALIDITY / 2 + 1));
        let of_other = host.send(&spa(sms_send(PHONE))).await;
        assert_ne!(own.code, of_other.code);
        let mixed = Sent { code: own.code.clone(), ..of_other.clone() };
        host.store.fault(1, fault);
        assert_eq!(host.token(&spa(sms_grant(PHONE, &mixed))).await.1["attempts_remaining"], 4, "{fault:?}");
        assert_eq!(host.token(&sms_grant(PHONE, &own)).await.0, 200);
        assert_eq!(host.token(&spa(sms_grant(PHONE, &of_other))).await.0, 200);
    }
}
