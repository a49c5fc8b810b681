//! How many calls of the store and the directory a request makes.

use std::future::Future;
use std::sync::atomic::Ordering::SeqCst;

use otp_grant::jwt::Audience;
use otp_grant_tests::*;
use serde_json::json;

#[tokio::test]
async fn store_calls_are_counted() {
    let host = Host::new();
    let (calls, sent) = host.store_calls(host.send(&sms_send(PHONE))).await;
    assert_eq!(calls, 2, "send");
    let grant = sms_grant(PHONE, &sent);
    let (calls, _) = host.store_calls(host.token(&but(&grant, json!({ "otp": wrong(&sent.code) })))).await;
    assert_eq!(calls, 2, "wrong code");
    for garbage in [
        json!({ "otp_token": "garbage" }),
        json!({ "otp_token": format!("{}A", sent.otp_token) }),
        json!({ "phone_number": NOBODY }),
        json!({ "client_secret": "wrong" }),
        json!({ "scope": "admin" }),
        json!({ "otp": 1 }),
    ] {
        let (calls, (status, _)) = host.store_calls(host.token(&but(&grant, garbage.clone()))).await;
        assert_eq!(calls, 0, "{garbage}");
        assert!((400..500).contains(&status));
    }
    let (calls, (status, _)) = host.store_calls(host.token(&grant)).await;
    assert_eq!((calls, status), (4, 200), "right code");
    let (calls, _) = host.store_calls(host.token(&grant)).await;
    assert_eq!(calls, 1, "spent code");
    host.advance(secs(301));
    let (calls, _) = host.store_calls(host.token(&grant)).await;
    assert_eq!(calls, 0, "expired otp_token");
}

#[tokio::test]
async fn nothing_tells_a_known_from_an_unknown_or_locked_user_before_the_address_is_proved() {
    let mut traces = Vec::new();
    for phone in [PHONE, NOBODY, LOCKED_PHONE] {
        let host = Host::new();
        let (send_calls, sent) = host.store_calls(host.send(&sms_send(phone))).await;
        let guess = but(&sms_grant(phone, &sent), json!({ "otp": wrong(&sent.code) }));
        let (guess_calls, reply) = host.store_calls(host.token(&guess)).await;
        let directory = host.directory.calls.lock().unwrap().clone();
        traces.push((send_calls, guess_calls, reply, directory));
    }
    assert_eq!(traces[0], traces[1]);
    assert_eq!(traces[0], traces[2]);
    assert_eq!(traces[0].3, ["client", "auth_source", "client", "auth_source"]);
}

/// The cost of a request to an endpoint: calls of the store, calls of the directory, and the status.
async fn cost(host: &Host, request: impl Future<Output = u16>) -> (usize, Vec<&'static str>, u16) {
    host.directory.calls.lock().unwrap().clear();
    let (calls, status) = host.store_calls(request).await;
    (calls, host.directory.calls.lock().unwrap().clone(), status)
}

#[tokio::test]
async fn the_calls_of_a_session_are_counted() {
    let host = Host::new();
    let said = host.log_in(json!({})).await;
    let (first, access) = (text(&said, "refresh_token"), text(&said, "access_token"));
    let refresh = async |token: &str| host.refresh(token).await.0;
    let revoke = async |token: &str| host.revoke(token, &[]).await.status();
    let introspect = async |token: &str| host.introspect(token, &[]).await.status();
    let userinfo = async || host.userinfo(access).await.status();
    let check = async || host.server.call_check_access_token(access, Audience::EveryClient).await.map_or(401, |_| 200);
    let asked_of_user = vec!["client", "user_by_subject"];
    let asked_of_client = vec!["client"];

    assert_eq!(cost(&host, introspect(access)).await, (1, asked_of_user.clone(), 200));
    assert_eq!(cost(&host, introspect(first)).await, (1, asked_of_user.clone(), 200));
    assert_eq!(cost(&host, userinfo()).await, (1, vec!["user_by_subject", "user_claims"], 200));
    assert_eq!(cost(&host, check()).await, (1, vec!["user_by_subject"], 200));

    assert_eq!(cost(&host, refresh(first)).await, (2, asked_of_user.clone(), 200), "the current token");
    assert_eq!(cost(&host, refresh(first)).await, (1, asked_of_user.clone(), 200), "a retry writes nothing");
    let widened = async { host.refresh_with(first, &[("scope", "openid admin")]).await.0 };
    assert_eq!(cost(&host, widened).await, (1, asked_of_user.clone(), 400), "a scope that is not granted");

    assert_eq!(cost(&host, revoke(access)).await, (2, asked_of_client.clone(), 200), "an access token");
    assert_eq!(cost(&host, revoke(access)).await, (1, asked_of_client.clone(), 200), "it is dead already");
    assert_eq!(cost(&host, introspect(access)).await, (1, asked_of_client.clone(), 200), "a revoked access token");
    assert_eq!(cost(&host, userinfo()).await, (1, vec![], 401), "a revoked access token");

    host.advance(secs(10));
    assert_eq!(cost(&host, refresh(first)).await, (2, asked_of_client.clone(), 400), "a replay");
    assert_eq!(cost(&host, refresh(first)).await, (1, asked_of_client.clone(), 400), "its session is over already");
    assert_eq!(cost(&host, revoke(first)).await, (1, asked_of_client.clone(), 200), "its session is over already");
    assert_eq!(cost(&host, introspect(first)).await, (1, asked_of_client.clone(), 200), "its session is over already");

    let said = host.log_in(json!({})).await;
    let token = text(&said, "refresh_token");
    let spa = async { host.refresh_with(token, &[("client_id", "TENANT_SPA_CLIENT_ID")]).await.0 };
    assert_eq!(cost(&host, spa).await, (0, asked_of_client.clone(), 401), "a client that is not authenticated");
    assert_eq!(cost(&host, revoke(token)).await, (2, asked_of_client, 200), "a refresh token");
}

#[tokio::test]
async fn garbage_costs_no_call_of_the_store() {
    let host = Host::new();
    let said = host.log_in(json!({})).await;
    let (mut refresh, access) = (text(&said, "refresh_token").to_owned(), text(&said, "access_token"));
    let other = [("client_id", "OTHER_CLIENT_ID"), ("client_secret", "OTHER_CLIENT_SECRET")];
    let asked = vec!["client"];
    let garbage = ["garbage".to_owned(), wrong(&refresh), format!("{refresh}A"), wrong(access)];
    for token in garbage.iter().map(String::as_str).chain([text(&said, "id_token")]) {
        assert_eq!(cost(&host, async { host.refresh(token).await.0 }).await, (0, asked.clone(), 400));
        assert_eq!(cost(&host, async { host.revoke(token, &[]).await.status() }).await, (0, asked.clone(), 200));
        assert_eq!(cost(&host, async { host.introspect(token, &[]).await.status() }).await, (0, asked.clone(), 200));
        assert_eq!(cost(&host, async { host.userinfo(token).await.status() }).await, (0, vec![], 401));
    }
    for token in [&refresh, access] {
        assert_eq!(cost(&host, async { host.refresh_with(token, &other).await.0 }).await, (0, asked.clone(), 400));
        assert_eq!(cost(&host, async { host.revoke(token, &other).await.status() }).await, (0, asked.clone(), 401));
        assert_eq!(cost(&host, async { host.introspect(token, &other).await.status() }).await, (0, asked.clone(), 200));
    }
    // The server also reads the expiry from the token: a refresh token ends with its session.
    const DAY: u64 = 24 * 60 * 60;
    for days in [13, 13] {
        host.advance(secs(days * DAY));
        refresh = text(&host.refresh(&refresh).await.1, "refresh_token").to_owned();
    }
    host.advance(secs(4 * DAY + 5));
    for token in [&refresh, access] {
        assert_eq!(cost(&host, async { host.refresh(token).await.0 }).await, (0, asked.clone(), 400));
        assert_eq!(cost(&host, async { host.revoke(token, &[]).await.status() }).await, (0, asked.clone(), 200));
        assert_eq!(cost(&host, async { host.introspect(token, &[]).await.status() }).await, (0, asked.clone(), 200));
    }
    assert_eq!(host.counters.reuses.load(SeqCst), 0);
}
