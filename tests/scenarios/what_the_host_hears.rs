//! The events by which a host can do what SECURITY advises: who was refused, who signed up, and whose session ended.

use otp_grant_tests::*;
use serde_json::json;

/// The events of one name since the last call.
fn told(host: &Host, name: &str) -> Vec<String> {
    let all: Vec<String> = host.counters.told.lock().unwrap().drain(..).collect();
    all.into_iter().filter(|event| event.starts_with(name)).collect()
}

#[tokio::test]
async fn a_client_that_is_refused_is_named() {
    let host = Host::new();
    let wrong_secret = but(&sms_send(PHONE), json!({ "client_secret": "WRONG" }));
    assert_eq!(host.refused_send(&wrong_secret).await.0, 401);
    let [refused] = told(&host, "ClientRefused").try_into().unwrap();
    assert!(refused.contains("TENANT_CLIENT_ID"), "{refused}");
    assert!(!refused.contains("WRONG"), "{refused}");

    let body = but(&sms_send(PHONE), json!({ "client_id": null, "client_secret": null })).to_string();
    let reply = host.server.post_send(json_request(&body, Some("Basic !"))).await.err().unwrap();
    assert_eq!(reply.status(), 401);
    assert_eq!(told(&host, "ClientRefused"), ["ClientRefused { client: None }"]);
}

#[tokio::test]
async fn a_sign_up_is_told_before_the_login_and_both_name_the_user() {
    let host = Host::new();
    let tokens = host.log_in_by(&sms_send(NOBODY), json!({ "phone_number": NOBODY, "auto_signup": true })).await;
    let claims = payload(text(&tokens, "access_token"));
    let events: Vec<String> = host.counters.told.lock().unwrap().drain(..).collect();
    let place = |name: &str| events.iter().position(|event| event.starts_with(name)).unwrap();
    assert!(place("SignedUp") < place("LoggedIn"));
    assert!(events[place("SignedUp")].contains(text(&claims, "sub")));
    assert!(events[place("LoggedIn")].contains(text(&claims, "sub")));
    assert!(events[place("LoggedIn")].contains(text(&claims, "sid")));
}

#[tokio::test]
async fn what_ends_a_session_names_its_user_and_the_session() {
    let host = Host::new();
    let login = || host.log_in(json!({}));
    let names = |event: &str, tokens: &serde_json::Value| {
        let claims = payload(text(tokens, "access_token"));
        assert!(event.contains(text(&claims, "sub")) && event.contains(text(&claims, "sid")), "{event}");
    };

    let tokens = login().await;
    assert_eq!(host.revoke(text(&tokens, "access_token"), &[]).await.status(), 200);
    names(&told(&host, "AccessTokenRevoked")[0], &tokens);
    assert_eq!(host.revoke(text(&tokens, "refresh_token"), &[]).await.status(), 200);
    names(&told(&host, "SessionRevoked")[0], &tokens);

    host.advance(secs(60));
    let tokens = login().await;
    host.refresh(text(&tokens, "refresh_token")).await;
    host.advance(secs(60));
    host.refresh(text(&tokens, "refresh_token")).await;
    names(&told(&host, "ReuseDetected")[0], &tokens);
}

#[tokio::test]
async fn an_address_that_is_guessed_at_until_it_is_closed_is_told() {
    let host = Host::new();
    for _ in 0..5 {
        let sent = host.send(&sms_send(PHONE)).await;
        let guess = but(&sms_grant(PHONE, &sent), json!({ "otp": wrong(&sent.code) }));
        for _ in 0..5 {
            host.token(&guess).await;
        }
        host.advance(secs(300));
    }
    assert!(told(&host, "LockedOut").is_empty());
    host.refused_send(&sms_send(PHONE)).await;
    let [locked] = told(&host, "LockedOut").try_into().unwrap();
    assert!(locked.contains("TENANT_CLIENT_ID") && !locked.contains(PHONE), "{locked}");
}
