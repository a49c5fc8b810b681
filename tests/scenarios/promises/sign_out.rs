//! README 8: what is revoked stays revoked.

use super::*;

/// README 8: "Once a sign-out has been answered, every refresh and userinfo request of that session is refused at every
/// host, and introspection reports the session's tokens as inactive. The client can sign out with any refresh token of
/// the session, however old." README 9: "The clocks of hosts can differ by 5 seconds."
#[tokio::test]
async fn a_sign_out_near_the_end_of_a_session_holds_at_hosts_whose_clocks_differ() {
    let mut wrong = Vec::new();
    for (idle, absolute, end) in [(1800, 7200, 1800 + 60), (3000, 3000, 3000)] {
        for generation in 0..3 {
            for offset in [-9_000_i64, -5_001, -4_000, -1, 0, 1, 3_000, 4_999] {
                for (there, here) in
                    [(0, 0), (5_000, 0), (0, 5_000), (-5_000, 0), (0, -5_000), (2_500, -2_500), (-2_500, 2_500)]
                {
                    let host = hosted(lasting(idle, absolute), 180);
                    let mut tokens = vec![tokens_of(&host.log_in(json!({})).await).0];
                    for _ in 0..2 {
                        host.advance(secs(30));
                        tokens.push(refresh(&host, tokens.last().unwrap()).await.0);
                    }
                    host.advance(Duration::from_millis(u64::try_from((end - 60) * 1000 + offset).unwrap()));
                    let reply = at(&host, there, host.revoke(&tokens[generation], &[])).await;
                    assert_eq!(reply.status(), 200);
                    let active = at(&host, here, host.is_active(&tokens[2])).await;
                    let (status, said) = at(&host, here, host.refresh(&tokens[2])).await;
                    let userinfo = match said["access_token"].as_str() {
                        Some(access) => at(&host, here, host.userinfo(access)).await.status(),
                        None => 401,
                    };
                    if active || status == 200 || userinfo == 200 {
                        wrong.push((idle, generation, offset, there, here, active, status));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them: {:?}", wrong.len(), &wrong[..wrong.len().min(8)]);
}

/// README 8: "Once a sign-out has been answered, every […] request of that session is refused at every host", by the
/// host's own word and for one access token
#[tokio::test]
async fn a_revocation_by_the_host_or_of_an_access_token_holds_at_hosts_whose_clocks_differ() {
    let mut wrong = Vec::new();
    for offset in [-6_000_i64, -4_999, -1, 0, 1, 2_000, 4_999] {
        for (there, here) in [(0, 0), (5_000, 0), (0, -5_000), (2_500, -2_500), (-2_500, 2_500), (4_000, -1_000)] {
            for by_host in [true, false] {
                let host = hosted(lasting(600, 7200), 180);
                let (token, access) = tokens_of(&host.log_in(json!({})).await);
                let end = if by_host { 600_000 } else { 300_000 };
                host.advance(Duration::from_millis(u64::try_from(end + offset).unwrap()));
                if by_host {
                    let sid = SessionId::try_from(payload(&access)["sid"].as_str().unwrap().to_owned()).unwrap();
                    at(&host, there, host.server.call_revoke_session(&sid)).await.unwrap();
                    let (status, _) = at(&host, here, host.refresh(&token)).await;
                    if status == 200 {
                        wrong.push((by_host, offset, there, here));
                    }
                } else {
                    assert_eq!(at(&host, there, host.revoke(&access, &[])).await.status(), 200);
                    let active = at(&host, here, host.is_active(&access)).await;
                    let userinfo = at(&host, here, host.userinfo(&access)).await.status();
                    if active || userinfo == 200 {
                        wrong.push((by_host, offset, there, here));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them: {:?}", wrong.len(), &wrong[..wrong.len().min(8)]);
}

/// `User::tokens_valid_after`: "Sessions that began before this instant are over, with all their tokens. To sign
/// a user out everywhere, set it to the current time." README 9: "The clocks of hosts can differ by 5 seconds."
#[tokio::test]
async fn signing_out_everywhere_ends_logins_at_hosts_whose_clocks_are_ahead_of_the_directorys() {
    for ahead in [-5_000_i64, 0, 4_000, 5_000] {
        for whole_seconds in [false, true] {
            let host = Host::new();
            let said = at(&host, ahead, host.log_in(json!({}))).await;
            let (token, access) = tokens_of(&said);
            host.advance(Duration::from_millis(900));
            let now = host.clock.now();
            let now = if whole_seconds { Timestamp::from_unix_secs(now.as_unix_millis() / 1000) } else { now };
            let user = User::new(Subject::new("MOCK_USER_ID").unwrap(), UserStatus::Active);
            host.directory.inner.put_user(user.with_tokens_valid_after(now));
            assert!(!host.is_active(&access).await, "{ahead} {whole_seconds}");
            assert_eq!(host.userinfo(&access).await.status(), 401);
            assert_eq!(host.refresh(&token).await.0, 400);
        }
    }
}

/// `grant`: the same where a user's `tokens_valid_after` is taken back.
#[tokio::test]
async fn a_refresh_token_that_was_refused_after_signing_out_everywhere_works_when_the_directory_takes_that_back() {
    let host = Host::new();
    let token = tokens_of(&host.log_in(json!({})).await).0;
    let user = User::new(Subject::new("MOCK_USER_ID").unwrap(), UserStatus::Active);
    host.directory.inner.put_user(user.clone().with_tokens_valid_after(host.clock.now()));
    let refused = host.refresh(&token).await;
    assert_eq!((refused.0, &refused.1["error"]), (400, &json!("invalid_grant")));
    assert_ne!(refused.1["error_description"], "Abnormal user status");
    host.directory.inner.put_user(user);
    assert_eq!(host.refresh(&token).await.0, 200);
}

/// `revoke`: "When more than 8 access tokens of one session are revoked before they expire, the tokens that were issued
/// before or together with the oldest of them also die."
#[tokio::test]
async fn with_the_ninth_access_token_those_that_are_as_old_as_the_oldest_die() {
    let host = Host::new();
    let (client, secret) = ("STABLE_CLIENT_ID", "STABLE_CLIENT_ID_SECRET");
    let changes = [("client_id", client), ("client_secret", secret)];
    let send = but(&sms_send(PHONE), json!({ "client_id": client, "client_secret": secret }));
    let (token, first) = tokens_of(&host.log_in_by(&send, json!({})).await);
    let mut access = vec![first];
    for _ in 0..12 {
        host.advance(secs(2));
        access.push(tokens_of(&host.refresh_with(&token, &changes).await.1).1);
    }
    let alive = async || {
        let mut alive = Vec::new();
        for (number, token) in access.iter().enumerate() {
            if host.userinfo(token).await.status() == 200 {
                alive.push(number);
            }
        }
        alive
    };
    for token in &access[3..11] {
        assert_eq!(host.revoke(token, &changes).await.status(), 200);
    }
    assert_eq!(alive().await, [0, 1, 2, 11, 12]);
    assert_eq!(host.revoke(&access[11], &changes).await.status(), 200);
    assert_eq!(alive().await, [12]);
}

/// `revoke`: "After a 503, no revocation is known to have taken place." "`TemporarilyUnavailable` is safe to retry." A
/// request that was answered with 200 can also be repeated.
#[tokio::test]
async fn a_revocation_is_done_when_it_says_so_and_may_be_retried() {
    for call in 0..3 {
        for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late, Mishap::Twice, Mishap::Overwritten] {
            for second in [false, true] {
                let host = Host::new();
                let (token, access) = tokens_of(&host.log_in(json!({})).await);
                for revoked in [&access, &token] {
                    host.store.fault(call, fault);
                    if second {
                        host.store.fault(call + 1, Mishap::FailBefore);
                    }
                    let status = host.revoke(revoked, &[]).await.status();
                    host.store.heal();
                    assert!(status == 200 || status == 503);
                    if status == 200 {
                        assert!(!host.is_active(revoked).await, "{call} {fault:?} {second}");
                    }
                    assert_eq!(host.revoke(revoked, &[]).await.status(), 200);
                    assert!(!host.is_active(revoked).await);
                }
            }
        }
    }
}
