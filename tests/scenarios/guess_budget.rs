//! The budget of guesses belongs to the address. It spans resends, challenges, clients and usages.

use std::sync::atomic::Ordering::SeqCst;

use otp_grant::settings::{Settings, danger};
use otp_grant::{Address, AddressPolicy};
use otp_grant_tests::*;
use serde_json::json;

fn spa(body: &serde_json::Value) -> serde_json::Value {
    but(body, json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null }))
}

#[tokio::test]
async fn twenty_five_wrong_codes_in_a_day_and_then_none_is_compared() {
    let host = Host::new();
    let mut challenge = 0;
    while host.counters.wrong_codes.load(SeqCst) < 25 {
        // Every second challenge comes from another client.
        let through_spa = challenge % 2 == 1;
        let send = sms_send(PHONE);
        let sent = host.send(&if through_spa { spa(&send) } else { send }).await;
        let grant = sms_grant(PHONE, &sent);
        let guess = but(&grant, json!({ "otp": wrong(&sent.code) }));
        let guess = if through_spa { spa(&guess) } else { guess };
        for _ in 0..5 {
            assert_eq!(host.token(&guess).await.1["error_description"], "Unknown or expired OTP");
        }
        host.advance(secs(61));
        challenge += 1;
    }
    assert_eq!(challenge, 5);

    // For hours the server sends no code. No guess is left, so no code could be redeemed.
    for _ in 0..10 {
        assert_eq!(host.refused_send(&sms_send(PHONE)).await.1["error"], "sms_rate_limit_exceeded");
        host.advance(secs(3600));
    }
    assert_eq!(host.counters.wrong_codes.load(SeqCst), 25);
    // The window moves: five guesses become free 24 hours after the first five.
    host.advance(secs(24 * 3600 - 10 * 3600 - 5 * 61 - 1));
    assert_eq!(host.refused_send(&sms_send(PHONE)).await.1["error"], "sms_rate_limit_exceeded");
    host.advance(secs(1));
    let sent = host.send(&sms_send(PHONE)).await;
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200);
}

#[tokio::test]
async fn a_success_forgives_and_another_address_is_not_touched() {
    let host = Host::new();
    for _ in 0..20 {
        let sent = host.send(&sms_send(PHONE)).await;
        let grant = sms_grant(PHONE, &sent);
        for _ in 0..4 {
            let reply = host.token(&but(&grant, json!({ "otp": wrong(&sent.code) }))).await;
            assert_eq!(reply.1["error_description"], "Unknown or expired OTP");
        }
        assert_eq!(host.token(&grant).await.0, 200);
        host.advance(secs(61));
    }
}

#[tokio::test]
async fn a_clock_that_jumps_backwards_gives_nothing_back() {
    let host = Host::new();
    let sent = host.send(&sms_send(PHONE)).await;
    let grant = sms_grant(PHONE, &sent);
    for _ in 0..5 {
        host.token(&but(&grant, json!({ "otp": wrong(&sent.code) }))).await;
    }
    host.clock.set_back(secs(3600));
    // The challenge can't live for an hour longer, and the recent send still counts.
    assert_eq!(host.token(&grant).await, error(400, "invalid_grant", "Unknown or expired otp_token"));
    assert_eq!(host.refused_send(&sms_send(PHONE)).await.1["error"], "sms_rate_limit_exceeded");
    host.advance(secs(30));
    let sent = host.send(&sms_send(PHONE)).await;
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200);
}

#[tokio::test]
async fn a_live_code_ends_when_the_clock_is_set_back() {
    let host = Host::new();
    let sent = host.send(&sms_send(PHONE)).await;
    host.clock.set_back(secs(60));
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 400);
    // The challenge stays dead when the clock has caught up.
    host.advance(secs(60));
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 400);
    // It also does if the store failed when that was to be written.
    for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late, Mishap::Twice, Mishap::Overwritten] {
        let host = Host::new();
        let sent = host.send(&sms_send(PHONE)).await;
        host.clock.set_back(secs(60));
        host.store.fault(1, fault);
        assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 400, "{fault:?}");
        host.advance(secs(60));
        assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 400, "{fault:?}");
    }
    // Clocks of hosts that share a store differ by a little. That difference ends no challenge.
    let host = Host::new();
    let sent = host.send(&sms_send(PHONE)).await;
    host.clock.set_back(secs(2));
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200);
}

#[tokio::test]
async fn the_last_challenge_of_an_address_without_guesses_is_refused_with_a_right_code() {
    let host = Host::new();
    for _ in 0..4 {
        let sent = host.send(&sms_send(PHONE)).await;
        for _ in 0..5 {
            host.token(&but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }))).await;
        }
        host.advance(secs(31));
    }
    let own = host.send(&sms_send(PHONE)).await;
    host.advance(secs(31));
    let strangers = host.send(&spa(&sms_send(PHONE))).await;
    for _ in 0..5 {
        host.token(&spa(&but(&sms_grant(PHONE, &strangers), json!({ "otp": wrong(&strangers.code) })))).await;
    }
    let refused = error(400, "invalid_grant", "Unknown or expired otp_token");
    assert_eq!(host.token(&sms_grant(PHONE, &own)).await, refused);
}

#[tokio::test]
async fn a_send_to_an_address_without_guesses_waits_until_there_is_one() {
    for phone in [PHONE, NOBODY] {
        let host = Host::new();
        for _ in 0..5 {
            let sent = host.send(&sms_send(phone)).await;
            for _ in 0..5 {
                host.token(&but(&sms_grant(phone, &sent), json!({ "otp": wrong(&sent.code) }))).await;
            }
            host.advance(secs(60));
        }
        let reply = host.try_send(&sms_send(phone)).await.unwrap_err();
        assert_eq!(read(&reply).1["error"], "sms_rate_limit_exceeded");
        let wait = 24 * 3600 - 5 * 60;
        assert_eq!(reply.header("Retry-After"), Some(wait.to_string().as_str()));
        host.advance(secs(wait));
        let sent = host.send(&sms_send(phone)).await;
        let signs_up = but(&sms_grant(phone, &sent), json!({ "auto_signup": true }));
        assert_eq!(host.token(&signs_up).await.0, 200);
    }
}

#[tokio::test]
async fn a_success_forgives_the_guesses_of_its_own_code_and_no_others() {
    let host = Host::new();
    // An attacker spends 24 guesses.
    for guesses in [5, 5, 5, 5, 4] {
        let sent = host.send(&spa(&sms_send(PHONE))).await;
        for _ in 0..guesses {
            host.token(&spa(&but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) })))).await;
        }
        host.advance(secs(31));
    }
    // The owner logs in, and the attacker sees nothing of it.
    let own = host.send(&sms_send(PHONE)).await;
    assert_eq!(host.token(&sms_grant(PHONE, &own)).await.0, 200);
    host.advance(secs(31));
    let sent = host.send(&spa(&sms_send(PHONE))).await;
    let guess = spa(&but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) })));
    assert_eq!(host.token(&guess).await.1["attempts_remaining"], 0);
    assert_eq!(host.token(&guess).await.1["attempts_remaining"], serde_json::Value::Null);
    assert_eq!(host.counters.wrong_codes.load(SeqCst), 25);
}

/// The code that the request had spent is usable again, and what its success had forgiven is charged again.
#[tokio::test]
async fn a_login_that_was_undone_forgives_nothing() {
    let host = Host::new();
    let left = async || {
        let phone = AddressPolicy::default().phone_number(PHONE).unwrap();
        host.server.call_explain(&Address::Phone(phone)).await.unwrap().guesses.left
    };
    let sent = host.send(&sms_send(PHONE)).await;
    for _ in 0..3 {
        host.token(&but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }))).await;
    }
    assert_eq!(left().await, Some(22));
    // The swap that spends the code takes effect, and what became of it can't be read.
    host.store.fault(3, Mishap::FailAfter);
    host.store.fault(4, Mishap::FailBefore);
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 503);
    assert_eq!(left().await, Some(22));
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200);
    assert_eq!(left().await, Some(25));
}

/// A guess that comes between the spending of a code and its undoing is charged once.
#[tokio::test]
async fn a_guess_beside_a_login_that_is_undone_is_charged_once() {
    let host = Host::with(with(Settings::default(), |settings| settings.repeat_answer_within = secs(20)));
    let phone = Address::Phone(AddressPolicy::default().phone_number(PHONE).unwrap());
    let sent = host.send(&sms_send(PHONE)).await;
    let (grant, guess) = (sms_grant(PHONE, &sent), but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) })));
    let mut login = Box::pin(host.token(&grant));
    host.store.hold_when_stored(3, &mut login);
    assert_eq!(host.token(&guess).await.1["attempts_remaining"], 3);
    host.store.fault(0, Mishap::FailBefore);
    assert_eq!(login.await.0, 503);
    assert_eq!(host.server.call_explain(&phone).await.unwrap().guesses.left, Some(24));
    assert_eq!(host.token(&grant).await.0, 200);
}

/// A login does not know that its code is spent, and takes that back. Meanwhile its client repeats it.
#[tokio::test]
async fn a_login_whose_answer_was_repeated_is_not_taken_back() {
    let session = |said: &serde_json::Value| text(&payload(text(said, "access_token")), "sid").to_owned();
    for fails_again in [true, false] {
        let host = Host::with(with(Settings::default(), |settings| settings.repeat_answer_within = secs(20)));
        let sent = host.send(&sms_send(PHONE)).await;
        let grant = but(&sms_grant(PHONE, &sent), json!({ "remember_device": true }));
        let mut login = Box::pin(host.token(&grant));
        host.store.hold_when_stored(3, &mut login);
        let (status, repeated) = host.token(&grant).await;
        assert_eq!(status, 200, "{repeated}");
        if fails_again {
            host.store.fault(0, Mishap::FailBefore);
        }
        let (status, said) = login.await;
        assert_eq!(status, if fails_again { 503 } else { 200 }, "{said}");
        assert!(fails_again || session(&said) == session(&repeated));
        // The code logs in once: whoever has it gets the same session.
        let (status, once_more) = host.token(&grant).await;
        assert_eq!((status, session(&once_more)), (200, session(&repeated)));
        let phone = Address::Phone(AddressPolicy::default().phone_number(PHONE).unwrap());
        let state = host.server.call_explain(&phone).await.unwrap();
        assert_eq!((state.guesses.left, state.devices.len()), (Some(25), 1));
        assert_eq!(text(&once_more, "device_token"), text(&repeated, "device_token"));
        assert_eq!(host.refresh(text(&repeated, "refresh_token")).await.0, 200);
        assert_eq!(host.token(&grant).await.0, 400);
    }
}

/// The same, but the login is taken back before its answer is repeated.
#[tokio::test]
async fn the_answer_of_a_login_that_was_taken_back_is_not_repeated() {
    let host = Host::with(with(Settings::default(), |settings| settings.repeat_answer_within = secs(20)));
    let sent = host.send(&sms_send(PHONE)).await;
    let grant = sms_grant(PHONE, &sent);
    let mut login = Box::pin(host.token(&grant));
    host.store.hold_when_stored(3, &mut login);
    // The repetition goes on until its guess is charged.
    let phone = Address::Phone(AddressPolicy::default().phone_number(PHONE).unwrap());
    let mut repetition = Box::pin(host.token(&grant));
    host.store.yields.store(1, SeqCst);
    while host.server.call_explain(&phone).await.unwrap().guesses.left == Some(25) {
        assert!(futures::poll!(&mut repetition).is_pending());
    }
    host.store.yields.store(0, SeqCst);
    host.store.fault(0, Mishap::FailBefore);
    assert_eq!(login.await.0, 503);
    assert_eq!(repetition.await.0, 503);
    let (status, said) = host.token(&grant).await;
    assert_eq!(status, 200, "{said}");
    assert_eq!(host.refresh(text(&said, "refresh_token")).await.0, 200);
    assert_eq!(host.token(&grant).await.0, 400);
}

#[tokio::test]
async fn a_success_does_not_forgive_the_guesses_of_another_otp_token_for_the_same_code() {
    let host = Host::new();
    let mut compared = 0;
    for _ in 0..12 {
        // The owner and an attacker use the same client, and therefore share the code.
        let owners = host.send(&spa(&sms_send(PHONE))).await;
        host.advance(secs(30));
        let Ok(attackers) = host.try_send(&spa(&sms_send(PHONE))).await else { break };
        assert_eq!(owners.code, attackers.code);
        for _ in 0..4 {
            host.token(&spa(&but(&sms_grant(PHONE, &attackers), json!({ "otp": wrong(&attackers.code) })))).await;
        }
        assert!([200, 400].contains(&host.token(&spa(&sms_grant(PHONE, &owners))).await.0));
        compared = host.counters.wrong_codes.load(SeqCst);
        host.advance(secs(30));
        if host.try_send(&spa(&sms_send(PHONE))).await.is_err() {
            break;
        }
        host.advance(secs(180));
    }
    assert!(compared <= 25, "{compared} wrong codes compared in an hour");
}

#[tokio::test]
async fn what_cannot_be_a_code_costs_no_guess() {
    let host = Host::new();
    let sent = host.send(&sms_send(PHONE)).await;
    let grant = sms_grant(PHONE, &sent);
    let spaced = format!("{} {}", &sent.code[..3], &sent.code[3..]);
    let arabic: String = sent.code.bytes().filter_map(|digit| char::from_u32(u32::from(digit) + 0x630)).collect();
    for text in [spaced, arabic, "12345".into(), "1234567".into(), "12345a".into(), "Your code".into()] {
        let (calls, (status, said)) = host.store_calls(host.token(&but(&grant, json!({ "otp": text })))).await;
        assert_eq!((calls, status), (1, 400), "{text}");
        assert_eq!((&said["error"], &said["attempts_remaining"]), (&json!("invalid_grant"), &json!(5)), "{text}");
    }
    assert_eq!(host.counters.wrong_codes.load(SeqCst), 0);
    assert_eq!(host.token(&grant).await.0, 200);
}

#[tokio::test]
async fn a_record_is_kept_for_as_long_as_its_budgets_count() {
    let host = Host::new();
    let sent = host.send(&sms_send(PHONE)).await;
    let kept_until = || {
        let records = host.store.inner.records();
        assert_eq!(records.len(), 1);
        records[0].1.delete_after.as_unix_millis()
    };
    let day = START * 1000 + 24 * 3_600_000;
    assert!(kept_until() >= day, "{}", kept_until());
    host.advance(secs(100));
    let guess = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
    assert_eq!(host.token(&guess).await.1["attempts_remaining"], 4);
    assert!(kept_until() >= day + 100_000, "{}", kept_until());
}

#[tokio::test]
async fn a_challenge_that_makes_room_leaves_its_guesses_to_the_code_that_it_shared() {
    let host = Host::with(danger::without_send_quotas(Settings::default()));
    let first = host.send(&sms_send(PHONE)).await;
    let guess = |sent: &Sent| but(&sms_grant(PHONE, sent), json!({ "otp": wrong(&sent.code) }));
    for left in [4, 3, 2, 1] {
        assert_eq!(host.token(&guess(&first)).await.1["attempts_remaining"], left);
    }
    // Without quotas a record has room for ten challenges. The guessed one is gone.
    let mut latest = first.clone();
    for _ in 0..10 {
        latest = host.send(&sms_send(PHONE)).await;
        assert_eq!(latest.code, first.code);
    }
    assert_eq!(host.token(&guess(&latest)).await.1["attempts_remaining"], 0);
    let reply = host.token(&sms_grant(PHONE, &latest)).await;
    assert_eq!((reply.0, &reply.1["error_description"]), (400, &json!("Unknown or expired otp_token")));
}
