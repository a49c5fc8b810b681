//! README 7: one successor, and the end of a session whose old token is used.

use super::*;

/// README 7: "Parallel refreshes with one token get one successor." SECURITY: "With a window of zero […] one request
/// gets tokens, by any clock."
#[tokio::test]
async fn refreshes_at_once_get_one_successor_at_two_hosts_and_one_answer_without_a_window() {
    for window in [0, 7, 60] {
        for yields in 1..5 {
            let policy = RefreshPolicy::Rotate { retry_window: secs(window) };
            let sms = AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID").unwrap();
            let client = Client::public(ClientId::new("TENANT_SPA_CLIENT_ID").unwrap()).with_sending();
            let client = client.with_auth_source(sms).with_refresh_policy(policy).unwrap();
            let host = Host::with_directory(Settings::default(), es256(), sample_directory().with_client(client));
            let other = beside(&host, Settings::default());
            let token = tokens_of(&host.log_in_by(&by_spa(&sms_send(PHONE)), json!({})).await).0;
            let spa = [("client_id", "TENANT_SPA_CLIENT_ID"), ("client_secret", "")];
            host.store.yields.store(yields, SeqCst);
            let hosts = [&host, &other];
            let answers = join_all((0..40).map(|number| hosts[number % 2].refresh_with(&token, &spa))).await;
            let granted: Vec<&Value> =
                answers.iter().filter(|answer| answer.0 == 200).map(|answer| &answer.1).collect();
            let successors: BTreeSet<&str> = granted.iter().map(|said| text(said, "refresh_token")).collect();
            assert_eq!(successors.len(), 1, "{window} {yields}");
            assert!(granted.len() == if window == 0 { 1 } else { 40 }, "{window} {yields}: {}", granted.len());
            // All requests ran at once: none of them came late.
            assert_eq!(reuses(&host), 0, "{window} {yields}");
            let newest = *successors.first().unwrap();
            assert_eq!(host.refresh_with(newest, &spa).await.0, 200, "{window} {yields}");
        }
    }
}

/// README 7: "While the session lives": "any other superseded token, however old": "The session ends. The host
/// is told".
#[tokio::test]
async fn a_superseded_token_of_any_age_ends_the_session_until_its_absolute_end() {
    // Idle for half an hour, two hours in all.
    let settings = || lasting(1800, 7200);
    for (presented, at) in [(0, 1_860), (0, 3_500), (1, 5_000), (2, 7_199), (0, 7_199)] {
        let (host, log) = listening(hosted(settings(), 180), settings(), es256());
        let said = host.log_in(json!({})).await;
        let mut tokens = vec![tokens_of(&said).0];
        let mut now = 0;
        let mut access = String::new();
        while now < at - 30 {
            let step = (at - 30 - now).min(1_740);
            host.advance(secs(step));
            now += step;
            let (next, newest) = refresh(&host, tokens.last().unwrap()).await;
            tokens.push(next);
            access = newest;
        }
        if tokens.len() <= presented + 1 {
            continue;
        }
        host.advance(secs(30) - MILLI);
        log.names();
        assert_eq!(host.refresh(&tokens[presented]).await.0, 400, "{presented} {at}");
        assert_eq!(log.names(), ["ReuseDetected"], "{presented} {at}");
        assert_eq!(host.refresh(tokens.last().unwrap()).await.0, 400);
        assert!(!host.is_active(&access).await);
    }
}

/// README 7: "While the session lives": "any other superseded token, however old": "The host is told".
/// Settings: "14 days without a refresh, and 30 days in all"
#[tokio::test]
async fn a_superseded_token_is_reported_although_its_session_has_idled_away() {
    let host = hosted(lasting(1800, 7200), 180);
    let first = tokens_of(&host.log_in(json!({})).await).0;
    host.advance(secs(600));
    refresh(&host, &first).await;
    host.advance(secs(1801));
    assert_eq!(host.refresh(&first).await.0, 400);
    assert_eq!(reuses(&host), 1);
}

/// README 7: "a token that was current or within its retry window when its request arrived, and that parallel requests
/// have made older since": "The request is refused. The session goes on."
#[tokio::test]
async fn a_refresh_that_two_others_overtake_is_refused_and_ends_nothing() {
    for overtaken_by in [2, 3, 5] {
        for pause in [0, 11] {
            let host = Host::new();
            let token = tokens_of(&host.log_in(json!({})).await).0;
            host.directory.stalled.store(true, SeqCst);
            let mut slow = Box::pin(host.refresh(&token));
            assert!(waits(&mut slow));
            host.directory.stalled.store(false, SeqCst);
            let mut newest = token.clone();
            for _ in 0..overtaken_by {
                newest = refresh(&host, &newest).await.0;
                host.advance(secs(pause));
            }
            assert_eq!(slow.await.0, 400, "{overtaken_by} {pause}");
            assert_eq!(reuses(&host), 0, "{overtaken_by} {pause}");
            refresh(&host, &newest).await;
        }
    }
}

/// README 3: "A 503 does not take back a refresh. The client can repeat the refresh within the retry window."
#[tokio::test]
async fn a_refresh_that_got_a_503_can_be_repeated_in_the_window_of_its_client() {
    for (client, in_time, late) in
        [("SIXTY_SECONDS_CLIENT_ID", 59_999, Some(60_000)), ("STABLE_CLIENT_ID", 13 * DAY * 1000, None)]
    {
        let secret = format!("{client}_SECRET");
        let changes = [("client_id", client), ("client_secret", secret.as_str())];
        for (later, status) in [(in_time, 200), (late.unwrap_or(0), if late.is_some() { 400 } else { 200 })] {
            let host = Host::new();
            let send = but(&sms_send(PHONE), json!({ "client_id": client, "client_secret": secret }));
            let token = tokens_of(&host.log_in_by(&send, json!({})).await).0;
            host.store.fault(1, Mishap::FailAfter);
            host.store.fault(2, Mishap::FailBefore);
            assert_eq!(host.refresh_with(&token, &changes).await.0, 503);
            host.store.heal();
            host.advance(Duration::from_millis(later));
            assert_eq!(host.refresh_with(&token, &changes).await.0, status, "{client} {later}");
        }
    }
}

/// SECURITY, another client: "refused, told nothing, and nothing is revoked"; thief of a refresh token: "another
/// client can't use it, and a confidential one needs its secret"
#[tokio::test]
async fn a_superseded_token_in_the_hands_of_another_client_ends_nothing() {
    let host = Host::new();
    let first = tokens_of(&host.log_in(json!({})).await).0;
    let second = refresh(&host, &first).await.0;
    host.advance(secs(3600));
    for others in [
        [("client_id", "OTHER_CLIENT_ID"), ("client_secret", "OTHER_CLIENT_SECRET")],
        [("client_id", "TENANT_SPA_CLIENT_ID"), ("client_secret", "")],
        [("client_id", "TENANT_CLIENT_ID"), ("client_secret", "guess")],
        [("client_id", "TENANT_CLIENT_ID"), ("client_secret", "")],
    ] {
        for token in [&first, &second] {
            assert!((400..402).contains(&host.refresh_with(token, &others).await.0));
            assert_eq!(host.revoke(token, &others).await.status(), 401);
            let (_, said) = read(&host.introspect(token, &others).await);
            assert_ne!(said["active"], json!(true));
        }
    }
    assert_eq!(reuses(&host), 0);
    refresh(&host, &second).await;
}

/// SECURITY: "With a window of zero (`RefreshPolicy::Rotate`) one request gets tokens, by any clock."
#[tokio::test]
async fn without_a_window_the_second_request_ends_the_session_at_a_host_with_any_clock() {
    let sms = AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID").unwrap();
    for (begins, asks) in [(0, 0), (0, -1), (0, -5_000), (5_000, 0), (2_500, -2_500), (0, 5_000)] {
        let policy = RefreshPolicy::Rotate { retry_window: Duration::ZERO };
        let client = Client::public(ClientId::new("TENANT_SPA_CLIENT_ID").unwrap()).with_sending();
        let client = client.with_auth_source(sms.clone()).with_refresh_policy(policy).unwrap();
        let host = Host::with_directory(Settings::default(), es256(), sample_directory().with_client(client));
        let token = tokens_of(&host.log_in_by(&by_spa(&sms_send(PHONE)), json!({})).await).0;
        let spa = [("client_id", "TENANT_SPA_CLIENT_ID"), ("client_secret", "")];
        host.advance(secs(60));
        assert_eq!(at(&host, begins, host.refresh_with(&token, &spa)).await.0, 200);
        assert_eq!(at(&host, asks, host.refresh_with(&token, &spa)).await.0, 400, "{begins} {asks}");
        assert_eq!(reuses(&host), 1, "{begins} {asks}");
    }
}
