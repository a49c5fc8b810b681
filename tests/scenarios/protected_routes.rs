//! The routes of a host's own API: the access token of a request, and the answer to a client that has no token or too
//! small a scope.

use std::sync::atomic::Ordering::SeqCst;

use otp_grant::jwt::{AccessTokenClaims, Audience};
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::json;

const ORDERS: &str = "/orders";

/// The first lines of a route of the host.
async fn orders(host: &Host, request: Request<'_>) -> Result<AccessTokenClaims, Reply> {
    let needed = Scope::parse("profile email").unwrap();
    let claims = host.server.call_check_access_token(request.bearer_token()?, Audience::EveryClient).await?;
    claims.require_scope(&needed)?;
    Ok(claims)
}

async fn host_with(scope: &str) -> (Host, String) {
    let host = Host::new();
    let token = text(&host.log_in(json!({ "scope": scope })).await, "access_token").to_owned();
    (host, token)
}

fn get() -> Request<'static> {
    Request::new("GET", ORDERS)
}

#[tokio::test]
async fn a_token_with_the_scopes_is_let_in() {
    for scope in ["profile email", "openid email offline_access profile"] {
        let (host, token) = host_with(scope).await;
        for header in [format!("Bearer {token}"), format!("bearer   {token}")] {
            let claims = orders(&host, get().header("authorization", &header)).await.unwrap();
            assert_eq!(claims.subject.as_str(), "MOCK_USER_ID");
        }
    }
}

#[tokio::test]
async fn without_a_token_one_is_asked_for() {
    let (host, token) = host_with("profile email").await;
    let bearer = format!("Bearer {token}");
    let not_text = [bearer.as_bytes(), &b"\xff"[..]].concat();
    for request in [
        get(),
        get().header("Authorization", "Bearer"),
        get().header("Authorization", "Bearer "),
        get().header("Authorization", "Basic YTpi"),
        get().header("Authorization", &bearer).header("Authorization", &bearer),
        get().header("Authorization", &not_text),
        get().header("X-Authorization", &bearer),
        get().body(&token),
    ] {
        let (calls, refused) = host.store_calls(orders(&host, request)).await;
        let reply = refused.unwrap_err();
        assert_eq!((calls, reply.status(), reply.body()), (0, 401, &b""[..]));
        // RFC 6750 section 3.1: the challenge has no error.
        let headers: Vec<_> = reply.headers().collect();
        assert_eq!(headers, [("Cache-Control", "no-store"), ("Pragma", "no-cache"), ("WWW-Authenticate", "Bearer")]);
    }
}

#[tokio::test]
async fn a_token_that_is_not_good_is_invalid_and_the_reply_does_not_say_why() {
    let (host, token) = host_with("profile email").await;
    let (revoked, expired) = (host_with("profile email").await, host_with("profile email").await);
    assert_eq!(revoked.0.revoke(&revoked.1, &[]).await.status(), 200);
    expired.0.advance(secs(300));
    let description = "the access token is unknown, expired or revoked";
    let challenge = format!(r#"Bearer error="invalid_token", error_description="{description}""#);
    let body = format!(r#"{{"error":"invalid_token","error_description":"{description}"}}"#);
    let altered = format!("{token}A");
    for (host, token) in [(&host, "MARKER"), (&host, &altered), (&revoked.0, &revoked.1), (&expired.0, &expired.1)] {
        let bearer = format!("Bearer {token}");
        let reply = orders(host, get().header("Authorization", &bearer)).await.unwrap_err();
        assert_reply(&reply, 401, &body, &[("WWW-Authenticate", &challenge)]);
        let offline = host.server.verify_access_token("MARKER", Audience::EveryClient).unwrap_err();
        assert_reply(&offline.into(), 401, &body, &[("WWW-Authenticate", &challenge)]);
    }
}

#[tokio::test]
async fn a_token_without_a_scope_is_told_which_are_needed() {
    let description = "the access token lacks a scope that is needed";
    let challenge =
        format!(r#"Bearer error="insufficient_scope", error_description="{description}", scope="profile email""#);
    let body = format!(r#"{{"error":"insufficient_scope","error_description":"{description}"}}"#);
    for scope in ["openid", "profile", "openid email"] {
        let (host, token) = host_with(scope).await;
        let bearer = format!("Bearer {token}");
        let reply = orders(&host, get().header("Authorization", &bearer)).await.unwrap_err();
        assert_reply(&reply, 403, &body, &[("WWW-Authenticate", &challenge)]);
    }
}

#[tokio::test]
async fn a_store_that_fails_is_a_503_without_a_challenge() {
    let (host, token) = host_with("profile email").await;
    let bearer = format!("Bearer {token}");
    host.store.down.store(true, SeqCst);
    let reply = orders(&host, get().header("Authorization", &bearer)).await.unwrap_err();
    assert_reply(&reply, 503, r#"{"error":"temporarily_unavailable"}"#, &[]);
}

#[test]
fn what_a_host_answers_itself_is_kept_by_no_cache() {
    let too_large = r#"{"error":"invalid_request","error_description":"The body is longer than 9 bytes"}"#;
    assert_reply(&Reply::body_too_large(9), 413, too_large, &[]);
    assert_reply(&Reply::unavailable(), 503, r#"{"error":"temporarily_unavailable"}"#, &[]);
    let too_many = concat!(
        r#"{"error":"temporarily_unavailable","#,
        r#""error_description":"There are too many requests. Please try again later."}"#
    );
    let part_of_a_second = std::time::Duration::from_millis(1);
    assert_reply(&Reply::too_many_requests(part_of_a_second), 429, too_many, &[("Retry-After", "1")]);
    assert_reply(&Reply::too_many_requests(secs(0)), 429, too_many, &[]);
    for (reply, status) in [(Reply::not_found(), 404), (Reply::request_timeout(), 408)] {
        let headers: Vec<_> = reply.headers().collect();
        assert_eq!((reply.status(), reply.body()), (status, &b""[..]));
        assert_eq!(headers, [("Cache-Control", "no-store"), ("Pragma", "no-cache")]);
    }
}
