//! README 9: clocks that differ, and clocks that are set back.

use super::*;

/// README 9: "The clocks of hosts can differ by 5 seconds." "The later of two times counts: the time of the clock, and
/// the time of the last write of the record. A period can be up to 5 seconds too long or too short."
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

/// README 9: "If a send or a guess for an address arrives before the clock catches up, the codes of this address become
/// invalid."
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

/// README 9: "records that no request touches": "They stay as they are"; "tokens that had expired": "They are valid
/// again".
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
