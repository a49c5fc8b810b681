//! A slow or failing store or directory must not make a thief of an honest client, and must not lose the client's
//! session.

use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use otp_grant_tests::*;
use pollster::block_on;
use serde_json::{Value, json};

/// A host and a refresh token that no client has used.
fn logged_in() -> (Host, String) {
    let host = Host::new();
    let token = text(&block_on(host.log_in(json!({}))), "refresh_token").to_owned();
    (host, token)
}

fn generation(host: &Host) -> u64 {
    let generation = |record| serde_json::to_value(record).ok()?["body"]["session"]["g"].as_u64();
    host.store.inner.records().iter().find_map(|(_, record)| generation(record)).unwrap_or_default()
}

fn reuses(host: &Host) -> usize {
    host.counters.reuses.load(SeqCst)
}

#[test]
fn two_tabs_that_wait_for_the_directory_for_longer_than_the_window_get_one_successor() {
    let (host, token) = logged_in();
    let (mut one, mut other) = (Box::pin(host.refresh(&token)), Box::pin(host.refresh(&token)));
    host.directory.stalled.store(true, SeqCst);
    assert!(waits(&mut one) && waits(&mut other));
    host.advance(secs(11));
    host.directory.stalled.store(false, SeqCst);
    let (one, other) = (block_on(one), block_on(other));
    assert_eq!((one.0, other.0, reuses(&host)), (200, 200, 0));
    assert_eq!(one.1["refresh_token"], other.1["refresh_token"]);
    // The window began when the session was advanced, not when the request arrived.
    host.advance(Duration::from_millis(9_999));
    assert_eq!(block_on(host.refresh(&token)).1["refresh_token"], one.1["refresh_token"]);
}

#[test]
fn a_retry_that_came_in_time_is_answered_however_long_the_directory_takes() {
    let (host, token) = logged_in();
    let (_, first) = block_on(host.refresh(&token));
    host.advance(Duration::from_millis(9_999));
    let mut retry = Box::pin(host.refresh(&token));
    host.directory.stalled.store(true, SeqCst);
    assert!(waits(&mut retry));
    host.advance(secs(60));
    host.directory.stalled.store(false, SeqCst);
    let (status, second) = block_on(retry);
    assert_eq!((status, reuses(&host)), (200, 0));
    assert_eq!(first["refresh_token"], second["refresh_token"]);
}

#[test]
fn a_request_that_came_while_its_token_was_current_is_no_replay_when_its_own_swap_is_slow() {
    let (host, token) = logged_in();
    host.store.fault(1, Mishap::Slow);
    let mut slow = Box::pin(host.refresh(&token));
    assert!(waits(&mut slow));
    let (_, quick) = block_on(host.refresh(&token));
    host.advance(secs(11));
    let (status, slow) = block_on(slow);
    assert_eq!((status, reuses(&host)), (200, 0));
    assert_eq!(slow["refresh_token"], quick["refresh_token"]);
}

#[test]
fn a_request_that_does_not_know_what_it_wrote_ends_no_session() {
    // The swap of the first request is applied. It hears of a failure only after others have gone on twice from its
    // successor.
    let (host, token) = logged_in();
    host.store.fault(1, Mishap::FailAfter);
    host.store.yields.store(3, SeqCst);
    let mut late = Box::pin(host.refresh(&token));
    while generation(&host) == 0 {
        assert!(waits(&mut late));
    }
    host.store.yields.store(0, SeqCst);
    let mut newest = token.clone();
    for _ in 0..3 {
        let (status, tokens) = block_on(host.refresh(&newest));
        assert_eq!(status, 200);
        newest = text(&tokens, "refresh_token").to_owned();
    }
    assert_eq!(block_on(late).0, 503);
    assert_eq!((block_on(host.refresh(&newest)).0, reuses(&host)), (200, 0));
}

#[test]
fn a_503_can_be_retried_within_the_window_even_if_the_refresh_was_stored() {
    for (later, status) in [(9_999, 200), (10_000, 400)] {
        let (host, token) = logged_in();
        host.store.fault(1, Mishap::FailAfter);
        host.store.fault(2, Mishap::FailBefore);
        assert_eq!(block_on(host.refresh(&token)).0, 503);
        host.advance(Duration::from_millis(later));
        assert_eq!(block_on(host.refresh(&token)).0, status, "{later}");
    }
    // The client can retry a refresh that was not stored for as long as the session lives.
    let (host, token) = logged_in();
    host.store.fault(1, Mishap::FailBefore);
    host.store.fault(2, Mishap::FailBefore);
    assert_eq!(block_on(host.refresh(&token)).0, 503);
    host.advance(secs(24 * 60 * 60));
    assert_eq!(block_on(host.refresh(&token)).0, 200);
}

#[test]
fn a_refresh_that_is_dropped_at_any_await_can_be_repeated() {
    let (mut before, mut after) = (0, 0);
    for polls in 1.. {
        let (host, token) = logged_in();
        host.store.yields.store(1, SeqCst);
        let mut request = Box::pin(host.refresh(&token));
        let mut answer = None;
        for _ in 0..polls {
            if let Poll::Ready(done) = request.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                answer = Some(done);
                break;
            }
        }
        drop(request);
        host.store.yields.store(0, SeqCst);
        if generation(&host) == 0 {
            before += 1
        } else {
            after += 1
        }
        let (status, again) = block_on(host.refresh(&token));
        assert_eq!((status, generation(&host), reuses(&host)), (200, 1, 0), "after {polls} polls");
        if let Some((_, tokens)) = answer {
            assert_eq!(tokens["refresh_token"], again["refresh_token"]);
            break;
        }
    }
    assert_eq!((before, after), (3, 2));
}

#[test]
fn a_refresh_that_is_dropped_while_the_directory_is_asked_changes_nothing() {
    let (host, token) = logged_in();
    host.directory.stalled.store(true, SeqCst);
    let mut request = Box::pin(host.refresh(&token));
    assert!(waits(&mut request));
    drop(request);
    host.directory.stalled.store(false, SeqCst);
    assert_eq!(generation(&host), 0);
    assert_eq!(block_on(host.refresh(&token)).0, 200);
}

#[test]
fn a_session_that_is_signed_out_of_twice_at_once_ends_once() {
    let (host, token) = logged_in();
    host.store.fault(1, Mishap::Slow);
    let mut slow = Box::pin(host.revoke(&token, &[]));
    assert!(waits(&mut slow));
    assert_eq!(block_on(host.revoke(&token, &[])).status(), 200);
    assert_eq!(block_on(slow).status(), 200);
    assert_eq!(host.counters.revocations.load(SeqCst), 1);
}

#[test]
fn a_token_that_was_made_ready_and_revoked_with_its_siblings_is_not_released() {
    let (host, token) = logged_in();
    let answers: Vec<Value> = (0..12).map(|_| block_on(host.refresh(&token)).1).collect();
    for answer in &answers[..9] {
        assert_eq!(block_on(host.revoke(text(answer, "access_token"), &[])).status(), 200);
    }
    let (status, retried) = block_on(host.refresh(&token));
    assert_eq!(status, 200);
    assert!(block_on(host.is_active(text(&retried, "access_token"))), "a 200 with a dead access token");
    assert!(!block_on(host.is_active(text(&answers[0], "access_token"))));
}

#[test]
fn tokens_of_another_validity_are_not_taken_for_expired() {
    let long = token_validity(secs(3600), secs(3600));
    let host = Host::with(settings(|s| s.token_validity = long));
    let first = block_on(host.log_in(json!({})));
    let key = otp_grant::SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
    let short = host.beside(otp_grant::Settings::default(), key, keyring());
    let (_, second) = block_on(short.refresh(text(&first, "refresh_token")));
    assert_eq!(block_on(short.revoke(text(&second, "access_token"), &[])).status(), 200);
    short.advance(secs(400));
    assert_eq!(block_on(short.refresh(text(&second, "refresh_token"))).0, 200);
    assert!(block_on(short.is_active(text(&first, "access_token"))), "nobody revoked it");
}

#[test]
fn an_access_token_of_the_last_second_is_good_until_the_session_ends() {
    const DAY: u64 = 24 * 60 * 60;
    let host = Host::new();
    host.advance(Duration::from_millis(500));
    let mut token = text(&block_on(host.log_in(json!({}))), "refresh_token").to_owned();
    for _ in 0..2 {
        host.advance(secs(13 * DAY));
        token = text(&block_on(host.refresh(&token)).1, "refresh_token").to_owned();
    }
    // Sessions end in all at a whole second. Their access tokens can then end with them.
    host.advance(secs(4 * DAY) - Duration::from_millis(501));
    let (status, tokens) = block_on(host.refresh(&token));
    assert_eq!(status, 200);
    assert!(block_on(host.is_active(text(&tokens, "access_token"))));
    host.advance(Duration::from_millis(1));
    assert!(!block_on(host.is_active(text(&tokens, "access_token"))));
    assert_eq!(block_on(host.refresh(text(&tokens, "refresh_token"))).0, 400);
}
