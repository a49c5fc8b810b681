//! How a session ends by itself: idle, at its absolute end, or with its user. Also what a clock that is set back does
//! to it.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use otp_grant::jwt::{Audience, TokenValidity};
use otp_grant::server::AccessTokenCheckError;
use otp_grant::time::Clock;
use otp_grant::time::Timestamp;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MILLI: Duration = Duration::from_millis(1);

fn refused() -> (u16, Value) {
    error(400, "invalid_grant", "Unknown or expired refresh_token")
}

fn lasting(idle: Duration, absolute: Duration) -> Settings {
    let access_token = idle.min(secs(300));
    settings(|s| {
        s.session_validity = session_validity(idle, absolute);
        s.token_validity = with(TokenValidity::default(), |v| v.access_token = access_token);
    })
}

/// The same host with other settings, on the same store and clock.
fn beside(host: &Host, settings: Settings) -> Host {
    let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
    host.beside(settings, key, keyring())
}

async fn log_in(host: &Host) -> (String, String) {
    let said = host.log_in(json!({})).await;
    (text(&said, "refresh_token").to_owned(), text(&said, "access_token").to_owned())
}

/// Refreshes, and returns the refresh token and the access token.
async fn refresh(host: &Host, token: &str) -> (String, String) {
    let (status, said) = host.refresh(token).await;
    assert_eq!(status, 200, "{said}");
    (text(&said, "refresh_token").to_owned(), text(&said, "access_token").to_owned())
}

/// No token works any more, and the server reports no replay.
async fn assert_over(host: &Host, refresh_token: &str, access_token: &str) {
    assert!(!host.is_active(refresh_token).await && !host.is_active(access_token).await);
    assert_eq!(host.refresh(refresh_token).await, refused());
    assert_eq!(host.userinfo(access_token).await.status(), 401);
    assert!(host.server.call_check_access_token(access_token, Audience::EveryClient).await.is_err());
    assert_eq!(host.counters.reuses.load(SeqCst), 0);
}

#[tokio::test]
async fn a_session_that_is_not_refreshed_ends_after_fourteen_days_to_the_millisecond() {
    for late in [false, true] {
        let host = Host::new();
        host.advance(Duration::from_millis(345));
        let (token, access) = log_in(&host).await;
        host.advance(DAY * 14 - MILLI);
        assert!(host.is_active(&token).await);
        if late {
            host.advance(MILLI);
            assert_over(&host, &token, &access).await;
        } else {
            // A refresh moves the idle end by the same time again.
            let (token, _) = refresh(&host, &token).await;
            host.advance(DAY * 14 - MILLI);
            let (token, access) = refresh(&host, &token).await;
            host.advance(DAY * 14);
            assert_over(&host, &token, &access).await;
        }
    }
}

#[tokio::test]
async fn a_session_ends_at_the_last_whole_second_of_thirty_days_however_often_it_is_refreshed() {
    for late in [false, true] {
        let host = Host::new();
        host.advance(Duration::from_millis(678));
        let (mut token, mut access) = log_in(&host).await;
        for _ in 0..29 {
            host.advance(DAY);
            (token, access) = refresh(&host, &token).await;
        }
        // `exp` has whole seconds. An access token of the last second could not otherwise end with the session.
        host.advance(DAY - Duration::from_millis(678) - MILLI);
        if late {
            host.advance(MILLI);
            assert_over(&host, &token, &access).await;
        } else {
            (token, access) = refresh(&host, &token).await;
            host.advance(MILLI);
            assert_over(&host, &token, &access).await;
        }
    }
}

#[tokio::test]
async fn introspection_tells_the_idle_end_of_a_session_until_the_absolute_end_is_nearer() {
    let host = Host::with(lasting(secs(1000), secs(2500)));
    let (mut token, _) = log_in(&host).await;
    for (pause, end) in [(0, 1000), (900, 1900), (599, 2499), (2, 2500), (900, 2500)] {
        host.advance(secs(pause));
        if pause > 0 {
            (token, _) = refresh(&host, &token).await;
        }
        let (_, said) = read(&host.introspect(&token, &[]).await);
        assert_eq!(said["exp"].as_u64().unwrap() - START, end, "after {pause} more seconds");
    }
}

#[tokio::test]
async fn an_access_token_never_outlives_the_absolute_end_of_its_session() {
    for fraction in [0, 500] {
        let host = Host::with(lasting(secs(1000), secs(1000)));
        host.advance(Duration::from_millis(fraction));
        let (mut token, _) = log_in(&host).await;
        let end = START + 1000;
        for (pause, lives) in [(699, 300), (2, 299), (298, 1)] {
            host.advance(secs(pause));
            let (status, said) = host.refresh(&token).await;
            assert_eq!(status, 200, "{said}");
            let claims = payload(text(&said, "access_token"));
            let iat = claims["iat"].as_u64().unwrap();
            assert_eq!(claims["exp"].as_u64().unwrap(), (iat + 300).min(end));
            assert_eq!(claims["exp"].as_u64().unwrap() - iat, lives);
            assert!(said["expires_in"].as_u64().unwrap() <= lives);
            text(&said, "refresh_token").clone_into(&mut token);
        }
    }
}

#[tokio::test]
async fn an_access_token_dies_with_a_session_that_ends_before_it_expires() {
    let host = Host::new();
    let (token, access) = log_in(&host).await;
    let (token, _) = refresh(&beside(&host, lasting(secs(100), DAY)), &token).await;
    host.advance(secs(100) - MILLI);
    assert!(host.is_active(&access).await && host.userinfo(&access).await.status() == 200);
    host.advance(MILLI);
    assert_over(&host, &token, &access).await;
    assert_eq!(
        host.server.call_check_access_token(&access, Audience::EveryClient).await,
        Err(AccessTokenCheckError::Revoked)
    );
}

#[tokio::test]
async fn a_superseded_token_has_its_window_whenever_it_would_have_idled_away() {
    let host = Host::with(lasting(secs(5), secs(100)));
    let (first, _) = log_in(&host).await;
    host.advance(secs(4));
    let (second, _) = refresh(&host, &first).await;
    host.advance(secs(1) - MILLI);
    assert_eq!(refresh(&host, &first).await.0, second);
    // The session is not idle. Without the refresh it would be.
    host.advance(MILLI);
    assert!(host.is_active(&first).await);
    assert_eq!(refresh(&host, &first).await.0, second);
    host.advance(secs(4) - MILLI);
    let (third, access) = refresh(&host, &second).await;
    // The session is also over inside a window, and the use of its token is no replay.
    host.advance(secs(5));
    assert_over(&host, &third, &access).await;
    assert_over(&host, &second, &access).await;

    let host = Host::with(lasting(secs(100), secs(100)));
    let (first, _) = log_in(&host).await;
    host.advance(secs(95));
    let (second, access) = refresh(&host, &first).await;
    host.advance(secs(5));
    assert_over(&host, &first, &access).await;
    assert_over(&host, &second, &access).await;
}

#[tokio::test]
async fn a_session_ends_when_it_was_to_end_at_its_beginning_whatever_the_settings_say_now() {
    for (idle, absolute) in [(DAY * 40, DAY * 40), (DAY * 7, DAY * 8)] {
        let host = Host::new();
        let changed = beside(&host, lasting(idle, absolute));
        let (token, _) = log_in(&host).await;
        host.advance(DAY * 13);
        let (mut token, _) = refresh(&changed, &token).await;
        for _ in 0..2 {
            host.advance(DAY * 6);
            token = refresh(&changed, &token).await.0;
        }
        host.advance(DAY * 5 - MILLI);
        let (token, access) = refresh(&changed, &token).await;
        host.advance(MILLI);
        assert_over(&changed, &token, &access).await;
    }
}

fn put_user(host: &Host, status: UserStatus, tokens_valid_after: Option<u64>) {
    let user = User::new(Subject::new("MOCK_USER_ID").unwrap(), status);
    host.directory.inner.put_user(match tokens_valid_after {
        None => user,
        Some(millis) => user.with_tokens_valid_after(Timestamp::from_unix_millis(millis)),
    });
}

#[tokio::test]
async fn a_user_who_may_not_log_in_gets_nothing_and_loses_nothing() {
    let no_user = error(400, "invalid_grant", "User not found");
    let abnormal = error(400, "invalid_grant", "Abnormal user status");
    for (status, said) in [
        (Some(UserStatus::Locked), &abnormal),
        (Some(UserStatus::Frozen), &abnormal),
        (Some(UserStatus::Inactive), &abnormal),
        (None, &no_user),
    ] {
        let host = Host::new();
        let change = || match status {
            Some(status) => put_user(&host, status, None),
            None => host.directory.inner.remove_user(&Subject::new("MOCK_USER_ID").unwrap()),
        };
        let (first, _) = log_in(&host).await;
        let (second, access) = refresh(&host, &first).await;
        // Inside the window the successor comes back when the user comes back.
        change();
        for token in [&first, &second] {
            assert_eq!(&host.refresh(token).await, said);
            assert!(!host.is_active(token).await);
        }
        // An impossible scope makes no difference, and the answer does not tell whether the scope is possible.
        assert_eq!(&host.refresh_with(&second, &[("scope", "admin")]).await, said);
        assert!(!host.is_active(&access).await && host.userinfo(&access).await.status() == 401);
        host.advance(secs(9));
        put_user(&host, UserStatus::Active, None);
        assert_eq!(refresh(&host, &first).await.0, second);
        // The current token stays good for as long as it would have anyway.
        change();
        host.advance(DAY * 14 - secs(9) - MILLI);
        assert_eq!(&host.refresh(&second).await, said);
        put_user(&host, UserStatus::Active, None);
        refresh(&host, &second).await;
        assert_eq!(host.counters.reuses.load(SeqCst), 0);
    }
}

#[tokio::test]
async fn signing_out_everywhere_ends_what_began_before_and_nothing_else() {
    let host = Host::new();
    host.advance(MILLI);
    let (token, access) = log_in(&host).await;
    let auth_time = START * 1000 + 1;
    host.advance(secs(20));
    // The instant itself counts, not when it was set. A session that began later by as much as clocks can differ also
    // ends. A whole second can have been cut off.
    for (after, alive) in [
        (auth_time - 5_000, true),
        (auth_time - 4_999, false),
        (auth_time - 6_001, true),
        (auth_time - 5_001, false),
        (auth_time, false),
        (auth_time + 20_000, false),
    ] {
        put_user(&host, UserStatus::Active, Some(after));
        assert_eq!(host.is_active(&access).await, alive);
        assert_eq!(host.is_active(&token).await, alive);
        assert_eq!(host.userinfo(&access).await.status(), if alive { 200 } else { 401 });
    }
    assert_over(&host, &token, &access).await;
    let (again, access) = log_in(&host).await;
    assert!(host.is_active(&access).await);
    let (newest, access) = refresh(&host, &again).await;
    assert!(host.is_active(&access).await && host.is_active(&newest).await);
    assert_eq!(host.refresh(&token).await, refused());
}

#[tokio::test]
async fn a_login_after_signing_out_everywhere_works_though_the_directorys_clock_is_a_little_ahead() {
    for ahead in [0, 1, 5000] {
        let host = Host::new();
        put_user(&host, UserStatus::Active, Some(START * 1000 + ahead));
        let (token, access) = log_in(&host).await;
        assert!(host.is_active(&access).await, "{ahead}");
        host.advance(secs(60));
        assert!(host.is_active(&access).await, "{ahead}");
        assert_eq!(host.refresh(&token).await.0, 200, "{ahead}");
        // A second sign-out everywhere also ends that login.
        put_user(&host, UserStatus::Active, Some(START * 1000 + 60_000));
        assert!(!host.is_active(&access).await);
    }
}

#[tokio::test]
async fn signing_out_everywhere_again_by_a_clock_that_is_behind_the_first_ends_what_began_between() {
    for (first, second) in [(5000, 0), (3000, 0), (2000, -2000), (0, -3000)] {
        let host = Host::new();
        host.advance(secs(60));
        let stamped =
            |skew| put_user(&host, UserStatus::Active, host.clock.now().as_unix_millis().checked_add_signed(skew));
        stamped(first);
        host.advance(MILLI * 400);
        let (token, access) = log_in(&host).await;
        assert!(host.is_active(&access).await);
        host.advance(MILLI * 1200);
        stamped(second);
        assert!(!host.is_active(&access).await, "{first} {second}");
        assert_eq!(host.refresh(&token).await, refused(), "{first} {second}");
    }
}

#[tokio::test]
async fn a_login_whose_tokens_would_be_dead_is_refused_and_its_code_stays_usable() {
    let host = Host::new();
    put_user(&host, UserStatus::Active, Some(START * 1000 + 5_001));
    let sent = host.send(&sms_send(PHONE)).await;
    let grant = sms_grant(PHONE, &sent);
    assert_eq!(host.token(&grant).await, error(400, "invalid_grant", "Abnormal user status"));
    host.advance(MILLI);
    assert_eq!(host.token(&grant).await.0, 200);
}

#[tokio::test]
async fn a_clock_that_is_set_back_gives_a_session_no_longer_life() {
    for (pause, alive) in [(DAY * 8 - MILLI, true), (DAY * 8, false)] {
        let host = Host::new();
        let (token, _) = log_in(&host).await;
        host.advance(DAY * 10);
        let (token, _) = refresh(&host, &token).await;
        // It is the tenth day, and the clock says the fifth. On the thirtieth day it says the twenty-fifth.
        host.clock.set_back(DAY * 5);
        let (token, _) = refresh(&host, &token).await;
        host.advance(DAY * 12);
        let (token, access) = refresh(&host, &token).await;
        host.advance(pause);
        assert_eq!(host.is_active(&token).await, alive);
        match alive {
            true => drop(refresh(&host, &token).await),
            false => assert_over(&host, &token, &access).await,
        }
    }
    // The session is idle for thirteen days, of which the clock took five back. Fourteen days are over a day later.
    for (pause, alive) in [(DAY * 14 - MILLI, true), (DAY * 14, false)] {
        let host = Host::new();
        let (token, _) = log_in(&host).await;
        host.advance(DAY * 10);
        let (token, _) = refresh(&host, &token).await;
        host.clock.set_back(DAY * 5);
        let (token, _) = refresh(&host, &token).await;
        host.advance(pause);
        assert_eq!(host.refresh(&token).await.0, if alive { 200 } else { 400 });
    }
}

#[tokio::test]
async fn an_access_token_does_not_outlive_a_session_whose_clock_was_set_back() {
    let host = Host::with(lasting(secs(1000), secs(1000)));
    let (token, _) = log_in(&host).await;
    host.advance(secs(990));
    let (token, _) = refresh(&host, &token).await;
    // The session has ten seconds left, which are over when the clock says 900.
    host.clock.set_back(secs(100));
    let (_, access) = refresh(&host, &token).await;
    assert_eq!(payload(&access)["exp"].as_u64().unwrap(), START + 900);
}

#[tokio::test]
async fn after_a_clock_was_set_back_a_predecessor_gets_nothing() {
    for (set_back, same) in [(5000, true), (5001, false), (3_600_000, false)] {
        let host = Host::new();
        let (first, _) = log_in(&host).await;
        let (second, access) = refresh(&host, &first).await;
        host.clock.set_back(Duration::from_millis(set_back));
        if same {
            assert_eq!(refresh(&host, &first).await.0, second);
        } else {
            assert_eq!(host.refresh(&first).await, refused());
            assert_eq!(host.refresh(&second).await, refused());
            assert_eq!(host.counters.reuses.load(SeqCst), 1);
            // When the clock has caught up, no token has come back.
            host.advance(Duration::from_millis(set_back));
            assert!(!host.is_active(&access).await);
            assert_eq!(host.refresh(&second).await, refused());
        }
    }
}

#[tokio::test]
async fn clocks_that_differ_a_little_do_not_open_a_window_for_longer() {
    // The host that rotated was five seconds ahead of the host that gets the retry.
    let host = Host::new();
    let (first, _) = log_in(&host).await;
    host.advance(secs(5));
    let (second, _) = refresh(&host, &first).await;
    host.clock.set_back(secs(5));
    assert_eq!(refresh(&host, &first).await.0, second);
    host.advance(secs(15) - MILLI);
    assert_eq!(refresh(&host, &first).await.0, second);
    host.advance(MILLI);
    assert_eq!(host.refresh(&first).await, refused());
    assert_eq!(host.counters.reuses.load(SeqCst), 1);
}

#[tokio::test]
async fn what_was_revoked_stays_revoked_when_the_clock_is_set_back() {
    // An access token that has expired long ago and is no longer listed.
    let host = Host::new();
    let (token, access) = log_in(&host).await;
    assert_eq!(host.revoke(&access, &[]).await.status(), 200);
    host.advance(secs(400));
    let (token, _) = refresh(&host, &token).await;
    host.advance(secs(400));
    refresh(&host, &token).await;
    host.clock.set_back(secs(800));
    assert!(host.server.verify_access_token(&access, Audience::EveryClient).is_ok());
    assert!(!host.is_active(&access).await && host.userinfo(&access).await.status() == 401);

    // A session that was signed out.
    let host = Host::new();
    let (token, access) = log_in(&host).await;
    host.advance(secs(100));
    assert_eq!(host.revoke(&token, &[]).await.status(), 200);
    for back in [secs(100), DAY] {
        host.clock.set_back(back);
        assert_over(&host, &token, &access).await;
    }
}

#[tokio::test]
async fn what_is_revoked_while_the_clock_is_behind_is_revoked_when_it_has_caught_up() {
    for by_refresh_token in [true, false] {
        let host = Host::new();
        host.advance(secs(100));
        let (token, access) = log_in(&host).await;
        host.clock.set_back(secs(60));
        let revoked = if by_refresh_token { &token } else { &access };
        assert_eq!(host.revoke(revoked, &[]).await.status(), 200);
        assert!(!host.is_active(&access).await);
        host.advance(secs(60));
        assert!(!host.is_active(&access).await, "by refresh token: {by_refresh_token}");
        assert_eq!(host.refresh(&token).await.0, if by_refresh_token { 400 } else { 200 });
    }
}
