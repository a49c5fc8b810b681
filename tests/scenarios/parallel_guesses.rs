//! Races at one challenge: between guesses, between right codes, and between resends and guesses.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use futures::future::{join, join_all};
use otp_grant_tests::*;
use serde_json::{Value, json};

fn yielding() -> Host {
    let host = Host::new();
    host.store.yields.store(2, SeqCst);
    host
}

#[tokio::test]
async fn two_hundred_wrong_guesses_get_five_comparisons() {
    let host = yielding();
    let sent = host.send(&sms_send(PHONE)).await;
    let guess = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
    let replies = join_all((0..200).map(|_| host.token(&guess))).await;

    assert_eq!(host.counters.wrong_codes.load(SeqCst), 5);
    let compared = replies.iter().filter(|(_, body)| body["error_description"] == "Unknown or expired OTP").count();
    assert_eq!(compared, 5);
    let refused = error(400, "invalid_grant", "Unknown or expired otp_token");
    assert_eq!(replies.iter().filter(|reply| **reply == refused).count(), 195);
    // The right code is also refused: it comes after the fifth guess.
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await, refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_wrong_guesses_on_four_threads_get_five_comparisons() {
    let host = Arc::new(yielding());
    let sent = host.send(&sms_send(PHONE)).await;
    let guess = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
    let guesses: Vec<_> = (0..200)
        .map(|_| {
            let (host, guess) = (host.clone(), guess.clone());
            tokio::spawn(async move { host.token(&guess).await })
        })
        .collect();
    for guess in guesses {
        assert_eq!(guess.await.unwrap().0, 400);
    }
    assert_eq!(host.counters.wrong_codes.load(SeqCst), 5);
}

#[tokio::test]
async fn fifty_right_codes_get_one_token_set() {
    for yields in 0..4 {
        // In lockstep, the first request would finish before any other is charged. Some start a little later.
        for steps in 1..12 {
            let host = Host::new();
            host.store.yields.store(yields, SeqCst);
            let sent = host.send(&sms_send(PHONE)).await;
            let grant = sms_grant(PHONE, &sent);
            let replies = join_all((0..50).map(|number| token_later(&host, &grant, number % steps))).await;
            assert_eq!(replies.iter().filter(|(status, _)| *status == 200).count(), 1);
            assert_eq!(host.counters.logins.load(SeqCst), 1);
        }
    }
}

async fn token_later(host: &Host, grant: &Value, steps: usize) -> (u16, Value) {
    for _ in 0..steps {
        tokio::task::yield_now().await;
    }
    host.token(grant).await
}

#[tokio::test]
async fn a_right_code_beside_four_wrong_guesses_always_logs_in() {
    for run in 0..1000 {
        let host = Host::new();
        host.store.yields.store(run % 5, SeqCst);
        let sent = host.send(&sms_send(PHONE)).await;
        let right = sms_grant(PHONE, &sent);
        let guess = but(&right, json!({ "otp": wrong(&sent.code) }));
        let requests = (0..5).map(|slot| host.token(if slot == run % 5 { &right } else { &guess }));
        let replies = join_all(requests).await;
        assert_eq!(replies[run % 5].0, 200, "run {run}: {:?}", replies[run % 5]);
    }
}

#[tokio::test]
async fn a_resend_beside_a_wrong_guess_shares_its_code_and_counts_the_guess_once() {
    for yields in 0..6 {
        let host = Host::new();
        let first = host.send(&sms_send(PHONE)).await;
        host.advance(secs(30));
        host.store.yields.store(yields, SeqCst);
        let guess = but(&sms_grant(PHONE, &first), json!({ "otp": wrong(&first.code) }));
        let send = sms_send(PHONE);
        let (second, _) = join(host.send(&send), host.token(&guess)).await;
        assert_eq!(second.code, first.code);
        for remaining in [3, 2, 1, 0] {
            assert_eq!(host.token(&guess).await.1["attempts_remaining"], remaining);
        }
        assert_eq!(host.token(&sms_grant(PHONE, &first)).await.0, 400);
        assert_eq!(host.token(&sms_grant(PHONE, &second)).await.0, 400);
        host.store.yields.store(0, SeqCst);
        host.advance(secs(30));
        let third = host.send(&send).await;
        assert_ne!(third.code, first.code);
        assert_eq!(host.token(&sms_grant(PHONE, &third)).await.0, 200);
    }
}

#[tokio::test]
async fn a_slow_store_does_not_make_other_requests_look_like_a_clock_that_was_set_back() {
    // The calls of a grant: load, swap (reserve), swap (insert session), swap (spend).
    for call in 0..4 {
        let host = Host::new();
        let sent = host.send(&sms_send(PHONE)).await;
        let right = sms_grant(PHONE, &sent);
        let guess = but(&right, json!({ "otp": wrong(&sent.code) }));
        host.store.fault(call, Mishap::Slow);
        let beside = async {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            host.advance(secs(20));
            host.token(&guess).await
        };
        let (first, second) = join(host.token(&right), beside).await;
        assert_eq!(first.0, 200, "call {call}: {first:?}");
        assert_eq!(second.0, 400);
    }
}

#[tokio::test]
async fn a_proved_code_is_redeemed_whatever_the_clock_does_before_it_is_spent() {
    for set_back in [false, true] {
        let host = Host::new();
        let sent = host.send(&sms_send(PHONE)).await;
        let right = sms_grant(PHONE, &sent);
        // The insert of the session is slow, between proof and spend.
        host.store.fault(2, Mishap::Slow);
        let beside = async {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            if set_back { host.clock.set_back(secs(60)) } else { host.advance(secs(400)) }
        };
        let (first, ()) = join(host.token(&right), beside).await;
        assert_eq!(first.0, 200, "set back: {set_back}, {first:?}");
        assert_eq!(host.token(&right).await.0, 400);
    }
}
