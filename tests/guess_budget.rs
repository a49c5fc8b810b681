//! The budget of guesses follows the address: over resends, challenges, clients and usages.

mod support;

use std::sync::atomic::Ordering::SeqCst;

use serde_json::json;
use support::*;

fn spa(body: &serde_json::Value) -> serde_json::Value {
    but(body, json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null }))
}

#[tokio::test]
async fn twenty_five_wrong_codes_in_a_day_and_then_none_is_compared() {
    let host = Host::new();
    let mut challenge = 0;
    while host.counters.wrong_codes.load(SeqCst) < 25 {
        // Every other challenge by another client.
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

    let refused = error(400, "invalid_grant", "Unknown or expired otp_token");
    // Hours later, with new codes and even the right one: nothing is compared.
    for _ in 0..10 {
        let sent = host.send(&sms_send(PHONE)).await;
        assert_eq!(host.token(&sms_grant(PHONE, &sent)).await, refused);
        host.advance(secs(3600));
    }
    assert_eq!(host.counters.wrong_codes.load(SeqCst), 25);
    // The window moves: five guesses become free 24 hours after the first five.
    host.advance(secs(24 * 3600 - 10 * 3600 - 5 * 61));
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
    // The challenge can't live for an hour longer, and the send of a moment ago still counts.
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
    // Nor does it live again when the clock has caught up.
    host.advance(secs(60));
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 400);
    // Clocks of hosts that share a store differ by a little; that ends nothing.
    let host = Host::new();
    let sent = host.send(&sms_send(PHONE)).await;
    host.clock.set_back(secs(2));
    assert_eq!(host.token(&sms_grant(PHONE, &sent)).await.0, 200);
}
