//! What a login settles: its own message is verified, and a few others are not counted any more.

use super::*;

#[tokio::test]
async fn three_sends_in_a_second_to_one_number_charge_one_message() {
    let host = Host::with(guarded(|_| {}));
    let sends = join_all((0..3).map(|_| try_send(&host, NUMBER))).await;
    assert_eq!(sends.iter().filter(|sent| sent.is_ok()).count(), 1);
    assert_eq!(destinations(&host), [(1, 0), (1, 0)]);
    // Where the host lifts the quotas, three messages are sent. A login leaves one, which is verified.
    let host = Host::with(danger::without_send_quotas(guarded(|_| {})));
    let mut sends = Vec::new();
    for _ in 0..3 {
        sends.push(try_send(&host, NUMBER).await.unwrap());
    }
    assert_eq!(destinations(&host), [(3, 0), (3, 0)]);
    assert_eq!(log_in(&host, NUMBER, &sends[1]).await, 200);
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
}

#[tokio::test]
async fn a_success_is_credited_once() {
    let host = Host::with(guarded(|_| {}));
    let first = try_send(&host, NUMBER).await.unwrap();
    host.advance(secs(31));
    let second = try_send(&host, NUMBER).await.unwrap();
    assert_eq!(destinations(&host), [(2, 0), (2, 0)]);
    assert_eq!(log_in(&host, NUMBER, &second).await, 200);
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
    // Both shared one code, which is spent.
    for sent in [&first, &second] {
        assert_eq!(log_in(&host, NUMBER, sent).await, 400);
    }
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
    // A code of its own, whose message was dropped by another success: it works, and is not credited. A neighbour has a
    // message that nobody reads.
    let host = Host::with(guarded(one_shard));
    try_send(&host, &in_block(9)).await.unwrap();
    let signup =
        json!({ "client_id": CLIENT, "client_secret": CLIENT_SECRET, "phone_number": NUMBER, "usage": "signup" });
    let proof = send_as(&host.server, Verdict::None, &signup).await.unwrap();
    host.advance(secs(31));
    let login = try_send(&host, NUMBER).await.unwrap();
    assert_eq!(log_in(&host, NUMBER, &login).await, 200);
    assert_eq!(destinations(&host), [(2, 1), (2, 1)]);
    assert!(verify(&host, &proof).await);
    assert_eq!(destinations(&host), [(2, 1), (2, 1)]);
}

async fn verify(host: &Host, sent: &Sent) -> bool {
    let client = ClientId::new(CLIENT).unwrap();
    let address = Address::Phone(AddressPolicy::default().phone_number(NUMBER).unwrap());
    let (token, code) = (PresentedSecret::new(&*sent.otp_token), PresentedSecret::new(&*sent.code));
    host.server.call_verify(VerifyRequest::new(&client, Usage::Signup, address, token, code)).await.is_ok()
}

#[tokio::test]
async fn a_verification_is_credited_as_a_login_is() {
    let host = Host::with(guarded(|_| {}));
    let signup =
        json!({ "client_id": CLIENT, "client_secret": CLIENT_SECRET, "phone_number": NUMBER, "usage": "signup" });
    let sent = send_as(&host.server, Verdict::None, &signup).await.unwrap();
    let (calls, is_verified) = host.store_calls(verify(&host, &sent)).await;
    assert!(is_verified);
    assert_eq!(calls, 3 + 4);
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
}

#[tokio::test]
async fn messages_whose_otp_token_is_over_are_not_dropped() {
    let host = Host::with(guarded(|_| {}));
    for wait in [31, 300] {
        try_send(&host, NUMBER).await.unwrap();
        host.advance(secs(wait));
    }
    let sent = try_send(&host, NUMBER).await.unwrap();
    assert_eq!(destinations(&host), [(3, 0), (3, 0)]);
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
    // The otp_tokens of the first two are over.
    assert_eq!(destinations(&host), [(3, 1), (3, 1)]);

    let host = Host::with(guarded(|_| {}));
    try_send(&host, NUMBER).await.unwrap();
    host.advance(secs(299));
    let sent = try_send(&host, NUMBER).await.unwrap();
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
}

/// Otherwise each login on a number of their own would give an attacker as many messages as its quotas allow.
#[tokio::test]
async fn a_login_drops_two_other_messages_at_most() {
    let host = Host::with(guarded(|guard| guard.mode = GuardMode::Observe));
    let mut sent = try_send(&host, NUMBER).await.unwrap();
    for _ in 0..6 {
        host.advance(secs(30));
        sent = try_send(&host, NUMBER).await.unwrap();
    }
    assert_eq!(destinations(&host), [(7, 0), (7, 0)]);
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
    assert_eq!(destinations(&host), [(5, 1), (5, 1)]);
    // The rest stays unverified, also after another login.
    host.advance(secs(30));
    let sent = try_send(&host, NUMBER).await.unwrap();
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
    assert_eq!(destinations(&host), [(6, 2), (6, 2)]);
}

/// A stranger who has sent to an address can't tell by the counts whether its owner logs in with a known device.
#[tokio::test]
async fn a_login_with_a_device_leaves_the_messages_of_others_as_they_are() {
    let host = Host::with(guarded(|guard| guard.mode = GuardMode::Observe));
    let sent = try_send(&host, NUMBER).await.unwrap();
    let (_, answer) = host.token(&but(&grant_of(NUMBER, &sent), json!({ "remember_device": true }))).await;
    let device = json!({ "device_token": text(&answer, "device_token") });
    host.advance(secs(30));
    try_send(&host, NUMBER).await.unwrap();
    let sent = send_as(&host.server, Verdict::None, &but(&sms_send(NUMBER), device.clone())).await.unwrap();
    assert_eq!(destinations(&host), [(3, 1), (3, 1)]);
    assert_eq!(host.token(&but(&grant_of(NUMBER, &sent), device)).await.0, 200);
    assert_eq!(destinations(&host), [(3, 2), (3, 2)]);
}

#[tokio::test]
async fn a_code_that_lives_longer_than_an_hour_is_credited() {
    let long = otp_grant::otp::CodePolicy::new(6, secs(3 * 3600)).unwrap();
    let mut guarded = guarded(|_| {});
    guarded.code = long;
    guarded.send_quotas = vec![otp_grant::otp::Quota::new(count(20), secs(24 * 3600))];
    let host = Host::with(guarded);
    let signup =
        json!({ "client_id": CLIENT, "client_secret": CLIENT_SECRET, "phone_number": NUMBER, "usage": "signup" });
    let sent = send_as(&host.server, Verdict::None, &signup).await.unwrap();
    host.advance(secs(2 * 3600));
    send_as(&host.server, Verdict::None, &sms_send(NUMBER)).await.unwrap();
    assert!(verify(&host, &sent).await);
    // The other message, of this moment, is dropped.
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
}

#[tokio::test]
async fn a_message_of_an_hour_ago_is_not_dropped_though_its_otp_token_is_good() {
    let signup =
        json!({ "client_id": CLIENT, "client_secret": CLIENT_SECRET, "phone_number": NUMBER, "usage": "signup" });
    for (wait, left) in [(3599, (1, 1)), (3600, (2, 1))] {
        let host = Host::with(with(guarded(|_| {}), |settings| {
            settings.code = otp_grant::otp::CodePolicy::new(6, secs(3 * 3600)).unwrap();
            settings.send_quotas = vec![otp_grant::otp::Quota::new(count(20), secs(24 * 3600))];
        }));
        send_as(&host.server, Verdict::None, &signup).await.unwrap();
        host.advance(secs(wait));
        let sent = send_as(&host.server, Verdict::None, &signup).await.unwrap();
        assert!(verify(&host, &sent).await);
        assert_eq!(destinations(&host), [left, left], "{wait}");
    }
}

/// A code that a failed request has spent is usable again, and so is its message.
#[tokio::test]
async fn a_login_that_was_undone_is_credited_when_it_is_repeated() {
    let host = Host::with(guarded(|_| {}));
    let sent = try_send(&host, NUMBER).await.unwrap();
    // The swap that spends the code takes effect, and what became of it can't be read.
    host.store.fault(3, Mishap::FailAfter);
    host.store.fault(4, Mishap::FailBefore);
    assert_eq!(log_in(&host, NUMBER, &sent).await, 503);
    host.store.heal();
    assert!(destinations(&host).iter().all(|(sent, verified)| (*sent, *verified) == (1, 0)));
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
    assert!(destinations(&host).iter().all(|(sent, verified)| (*sent, *verified) == (1, 1)));
}

/// The messages that the login had settled can be settled by another one.
#[tokio::test]
async fn a_login_that_was_undone_leaves_its_messages_to_another_login() {
    let host = Host::with(guarded(|_| {}));
    let first = try_send(&host, NUMBER).await.unwrap();
    host.advance(secs(30));
    let second = try_send(&host, NUMBER).await.unwrap();
    assert_eq!(destinations(&host), [(2, 0), (2, 0)]);
    host.store.fault(3, Mishap::FailAfter);
    host.store.fault(4, Mishap::FailBefore);
    assert_eq!(log_in(&host, NUMBER, &first).await, 503);
    assert_eq!(destinations(&host), [(2, 0), (2, 0)]);
    assert_eq!(log_in(&host, NUMBER, &second).await, 200);
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
}

/// A send that failed leaves nothing that a login could settle, and takes no message away.
#[tokio::test]
async fn a_send_that_was_taken_back_leaves_the_message_before_it_to_be_credited() {
    let host = Host::with(guarded(|_| {}));
    let sent = try_send(&host, NUMBER).await.unwrap();
    host.advance(secs(30));
    // The swap that opens the challenge takes effect, and what became of it can't be read.
    host.store.fault(3, Mishap::FailAfter);
    host.store.fault(4, Mishap::FailBefore);
    assert_eq!(try_send(&host, NUMBER).await.unwrap_err().0, 503);
    assert_eq!(destinations(&host), [(1, 0), (1, 0)]);
    assert_eq!(log_in(&host, NUMBER, &sent).await, 200);
    assert_eq!(destinations(&host), [(1, 1), (1, 1)]);
}
