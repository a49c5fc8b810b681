//! `POST /oauth2/revoke`, row by row: status, headers and whole body, and the tokens that are dead afterwards.

use std::sync::atomic::Ordering::SeqCst;

use base64::{Engine, prelude::BASE64_STANDARD};
use futures::future::join;
use otp_grant::id::SessionId;
use otp_grant::jwt::Audience;
use otp_grant::server::AccessTokenCheckError;
use otp_grant::wire::Unavailable;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const INVALID_CLIENT: &str = r#"{"error":"invalid_client"}"#;
const UNAVAILABLE: &str =
    r#"{"error":"temporarily_unavailable","error_description":"Temporarily unavailable. It is safe to try again."}"#;
const OTHER: [(&str, &str); 2] = [("client_id", "OTHER_CLIENT_ID"), ("client_secret", "OTHER_CLIENT_SECRET")];
const NAMELESS: [(&str, &str); 2] = [("client_id", ""), ("client_secret", "")];
const NO_CHANGES: [(&str, &str); 0] = [];

fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

/// Checks for 200 with an empty body.
#[track_caller]
fn assert_done(reply: &Reply) {
    // The empty answer has the content type of JSON: some clients take an answer without a content type for a failure.
    assert_reply(reply, 200, "", &[]);
}

async fn revoke(host: &Host, token: &str) {
    assert_done(&host.revoke(token, &[]).await);
}

async fn assert_access(host: &Host, token: &str, alive: bool) {
    assert_eq!(host.is_active(token).await, alive);
    assert_eq!(host.userinfo(token).await.status(), if alive { 200 } else { 401 });
    let checked = host.server.call_check_access_token(token, Audience::EveryClient).await;
    assert_eq!(checked.err(), if alive { None } else { Some(AccessTokenCheckError::Revoked) });
    // The offline check does not know of the revocation.
    assert!(host.server.verify_access_token(token, Audience::EveryClient).is_ok());
}

/// The session is over: all its refresh tokens and access tokens are dead.
async fn assert_signed_out(host: &Host, refresh_tokens: &[&str], access_tokens: &[&str]) {
    for token in access_tokens {
        assert_access(host, token, false).await;
    }
    for token in refresh_tokens {
        assert!(!host.is_active(token).await);
        assert_eq!(host.refresh(token).await, error(400, "invalid_grant", "Unknown or expired refresh_token"));
    }
    // A session that its client ended is not reported as stolen.
    assert_eq!(host.counters.reuses.load(SeqCst), 0);
}

fn revocations(host: &Host) -> usize {
    host.counters.revocations.load(SeqCst)
}

/// A host with a session of three generations: refresh tokens and access tokens.
async fn three_generations() -> (Host, Vec<String>, Vec<String>) {
    let host = Host::new();
    let mut said = host.log_in(json!({ "scope": "openid profile" })).await;
    let (mut refresh, mut access) = (Vec::new(), Vec::new());
    loop {
        refresh.push(text(&said, "refresh_token").to_owned());
        access.push(text(&said, "access_token").to_owned());
        if refresh.len() == 3 {
            return (host, refresh, access);
        }
        said = host.refresh(&refresh[refresh.len() - 1]).await.1;
    }
}

fn borrowed(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn an_access_token_dies_alone() {
    let (host, refresh, access) = three_generations().await;
    // One of two answers to one refresh token.
    let retried = host.refresh(&refresh[1]).await.1;
    for token in [text(&retried, "access_token"), &access[0]] {
        revoke(&host, token).await;
        assert_access(&host, token, false).await;
    }
    assert_eq!(revocations(&host), 2);
    for token in &access[1..] {
        assert_access(&host, token, true).await;
    }
    let (status, said) = host.refresh(&refresh[2]).await;
    assert_eq!(status, 200);
    assert_access(&host, text(&said, "access_token"), true).await;
    assert_access(&host, &access[0], false).await;
}

#[tokio::test]
async fn a_refresh_token_of_any_generation_signs_out() {
    for generation in 0..3 {
        for late in [false, true] {
            let (host, refresh, access) = three_generations().await;
            let other = host.log_in(json!({})).await;
            if late {
                host.advance(secs(60));
            }
            revoke(&host, &refresh[generation]).await;
            assert_signed_out(&host, &borrowed(&refresh), &borrowed(&access)).await;
            assert_eq!(revocations(&host), 1);
            // Only this session is over. Another session of the same user goes on.
            assert_access(&host, text(&other, "access_token"), true).await;
            assert_eq!(host.refresh(text(&other, "refresh_token")).await.0, 200);
        }
    }
}

#[tokio::test]
async fn what_is_unknown_or_dead_already_is_a_success() {
    let (host, refresh, access) = three_generations().await;
    let id_token = text(&host.refresh(&refresh[2]).await.1, "id_token").to_owned();
    let otp_token = host.send(&sms_send(NOBODY)).await.otp_token;
    let altered = |token: &str| [wrong(token), format!("{token}A"), token[1..].to_owned()];
    let unknown = ["garbage".to_owned(), "a.b.c".to_owned(), "é\0".to_owned(), id_token, otp_token];
    let (calls, ()) = host
        .store_calls(async {
            for token in unknown.into_iter().chain(altered(&refresh[2])).chain(altered(&access[2])) {
                revoke(&host, &token).await;
            }
        })
        .await;
    assert_eq!((calls, revocations(&host)), (0, 0));
    assert_access(&host, &access[2], true).await;
    for token in [&access[0], &refresh[0]] {
        for _ in 0..3 {
            revoke(&host, token).await;
        }
    }
    // An access token of a session that is over, and any of its refresh tokens.
    for token in [&access[1], &access[2], &refresh[1], &refresh[2]] {
        revoke(&host, token).await;
    }
    assert_eq!(revocations(&host), 2);
    host.advance(secs(31 * 24 * 60 * 60));
    for token in [&access[2], &refresh[2]] {
        revoke(&host, token).await;
    }
}

#[tokio::test]
async fn another_clients_token_is_401_and_nothing_is_revoked() {
    let (host, refresh, access) = three_generations().await;
    let spa = [("client_id", "TENANT_SPA_CLIENT_ID"), NAMELESS[1]];
    let api = [("client_id", "API_CLIENT_ID"), ("client_secret", "API_CLIENT_ID_SECRET")];
    for token in refresh.iter().chain(&access) {
        for client in [&OTHER, &spa, &api] {
            assert_reply(&host.revoke(token, client).await, 401, INVALID_CLIENT, &[]);
        }
        let body = form(&[("token", token)], &NAMELESS);
        let reply =
            host.server.post_revoke(form_request(&body, Some(&basic("OTHER_CLIENT_ID:OTHER_CLIENT_SECRET")))).await;
        assert_reply(&reply, 401, INVALID_CLIENT, &[("WWW-Authenticate", "Basic")]);
    }
    for token in &access {
        assert_access(&host, token, true).await;
    }
    assert_eq!(host.refresh(&refresh[2]).await.0, 200);
    assert_eq!(revocations(&host), 0);
}

#[tokio::test]
async fn a_client_that_does_not_prove_who_it_is_revokes_nothing() {
    let (host, refresh, access) = three_generations().await;
    for token in [&refresh[2], &access[2], "garbage"] {
        for changes in [
            &[("client_id", "UNKNOWN")][..],
            &[("client_secret", "WRONG")],
            &NAMELESS[1..],
            &[("client_id", "TENANT_SPA_CLIENT_ID")],
        ] {
            assert_reply(&host.revoke(token, changes).await, 401, INVALID_CLIENT, &[]);
        }
        let body = form(&[("token", token)], &NAMELESS);
        for pair in ["TENANT_CLIENT_ID:WRONG", "UNKNOWN:S", "no colon"] {
            let reply = host.server.post_revoke(form_request(&body, Some(&basic(pair)))).await;
            assert_reply(&reply, 401, INVALID_CLIENT, &[("WWW-Authenticate", "Basic")]);
        }
    }
    assert_access(&host, &access[2], true).await;
    assert_eq!(host.refresh(&refresh[2]).await.0, 200);
}

#[tokio::test]
async fn a_hint_is_no_more_than_a_hint() {
    for hint in ["access_token", "refresh_token", "id_token", "nonsense", ""] {
        let (host, refresh, access) = three_generations().await;
        assert_done(&host.revoke(&access[2], &[("token_type_hint", hint)]).await);
        assert_access(&host, &access[2], false).await;
        assert_access(&host, &access[1], true).await;
        assert_done(&host.revoke(&refresh[2], &[("token_type_hint", hint)]).await);
        assert_signed_out(&host, &borrowed(&refresh), &borrowed(&access)).await;
    }
}

#[tokio::test]
async fn a_malformed_request_says_what_is_wrong_and_revokes_nothing() {
    let (host, refresh, access) = three_generations().await;
    let invalid = |said: &str| format!(r#"{{"error":"invalid_request","error_description":"{said}"}}"#);
    let whole = form(&[("token", &access[2])], &NO_CHANGES);
    for (body, said) in [
        (form(&NO_CHANGES, &[]), "token is missing"),
        (form(&NO_CHANGES, &[("token", "")]), "token is missing"),
        (form(&[("token", &access[2])], &NAMELESS[..1]), "client_id is missing"),
        (format!("{whole}&token={}", access[2]), "token is given twice"),
        (format!("{whole}&client_id=TENANT_CLIENT_ID"), "client_id is given twice"),
        (format!("{whole}&x=1&x=1"), "the body has an unknown member twice"),
        (format!("{whole}&x=%"), "the body is not a valid form"),
        (format!("{whole}&x={}", "x".repeat(16 * 1024)), "the body is too large"),
    ] {
        assert_reply(&host.server.post_revoke(form_request(&body, None)).await, 400, &invalid(said), &[]);
    }
    let json = json!({ "token": refresh[2], "client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET" });
    for (content_type, body) in [(Some("application/json"), json.to_string()), (None, whole.clone())] {
        let request = Post { content_type, authorization: None, body: body.as_bytes() };
        let said = invalid("the body has an unsupported content type");
        assert_reply(&host.server.post_revoke(request).await, 400, &said, &[]);
    }
    // The client does not identify itself. That is no missing member, whatever other errors the request has.
    for body in
        [String::new(), "x=1".to_owned(), form(&[("token", &access[2])], &NAMELESS), form(&NO_CHANGES, &NAMELESS)]
    {
        assert_reply(&host.server.post_revoke(form_request(&body, None)).await, 401, INVALID_CLIENT, &[]);
    }
    let nothing = Post { content_type: None, authorization: None, body: b"" };
    assert_reply(&host.server.post_revoke(nothing).await, 401, INVALID_CLIENT, &[]);
    let both =
        host.server.post_revoke(form_request(&whole, Some(&basic("TENANT_CLIENT_ID:TENANT_CLIENT_SECRET")))).await;
    assert_reply(&both, 400, &invalid("the body has a client_secret besides the Authorization header"), &[]);
    assert_access(&host, &access[2], true).await;
    assert_eq!(revocations(&host), 0);
}

#[tokio::test]
async fn every_client_revokes_its_own_tokens() {
    let no_secret: Value = json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null });
    for of in ["refresh_token", "access_token"] {
        // A public client by its name alone.
        let host = Host::new();
        let said = host.log_in_by(&but(&sms_send(PHONE), no_secret.clone()), json!({})).await;
        let spa = [("client_id", "TENANT_SPA_CLIENT_ID"), NAMELESS[1]];
        assert_done(&host.revoke(text(&said, of), &spa).await);
        assert_eq!(host.userinfo(text(&said, "access_token")).await.status(), 401);
        let refreshed = host.refresh_with(text(&said, "refresh_token"), &spa).await;
        assert_eq!(refreshed.0, if of == "refresh_token" { 400 } else { 200 });
        // A confidential client by Basic, with and without its name in the body.
        for changes in [&NAMELESS[..], &NAMELESS[1..]] {
            let said = host.log_in(json!({})).await;
            let body = form(&[("token", text(&said, of))], changes);
            let authorization = basic("TENANT_CLIENT_ID:TENANT_CLIENT_SECRET");
            assert_done(&host.server.post_revoke(form_request(&body, Some(&authorization))).await);
            assert_access(&host, text(&said, "access_token"), false).await;
        }
    }
}

#[tokio::test]
async fn a_store_that_fails_is_503_and_never_200_before_the_token_is_dead() {
    // The calls of a revocation: load, swap; after an error of the swap: load, swap, load.
    for of_session in [false, true] {
        for call in 0..2 {
            for fault in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late, Mishap::Twice, Mishap::Overwritten] {
                for again in [None, Some(Mishap::FailBefore), Some(Mishap::FailAfter)] {
                    let (host, refresh, access) = three_generations().await;
                    let token = if of_session { &refresh[2] } else { &access[2] };
                    host.store.fault(call, fault);
                    if let Some(again) = again {
                        host.store.fault(call + 1, again);
                    }
                    let first = host.revoke(token, &[]).await;
                    host.store.heal();
                    if first.status() == 200 {
                        assert_done(&first);
                        assert_access(&host, &access[2], false).await;
                    } else {
                        assert_reply(&first, 503, UNAVAILABLE, &[]);
                        assert!(call == 0 || again.is_some(), "{fault:?} at {call} is resolved");
                    }
                    revoke(&host, token).await;
                    assert_access(&host, &access[2], false).await;
                    assert_access(&host, &access[1], !of_session).await;
                    assert_eq!(host.refresh(&refresh[2]).await.0, if of_session { 400 } else { 200 });
                    // Even where somebody else wrote on top, the request finds its own mark.
                    if again.is_none() {
                        assert_eq!(revocations(&host), 1, "{fault:?} at {call}");
                    }
                }
            }
        }
    }
    let (host, refresh, access) = three_generations().await;
    host.store.down.store(true, SeqCst);
    for token in [&refresh[2], &refresh[0], &access[2]] {
        assert_reply(&host.revoke(token, &[]).await, 503, UNAVAILABLE, &[]);
    }
    let session = host.server.verify_access_token(&access[2], Audience::EveryClient).unwrap().session;
    assert_eq!(host.server.call_revoke_session(&session).await, Err(Unavailable));
    // The directory is down: signing out does not depend on it.
    host.store.down.store(false, SeqCst);
    host.directory.down.store(true, SeqCst);
    revoke(&host, &refresh[2]).await;
    host.directory.down.store(false, SeqCst);
    assert_signed_out(&host, &borrowed(&refresh), &borrowed(&access)).await;
}

#[tokio::test]
async fn the_host_ends_a_session() {
    let (host, refresh, access) = three_generations().await;
    let session = host.server.verify_access_token(&access[1], Audience::EveryClient).unwrap().session;
    let other = host.log_in(json!({})).await;
    for _ in 0..2 {
        host.server.call_revoke_session(&session).await.unwrap();
        assert_signed_out(&host, &borrowed(&refresh), &borrowed(&access)).await;
        assert_eq!(revocations(&host), 1);
    }
    assert_access(&host, text(&other, "access_token"), true).await;
    // The end of a session that never existed is a success.
    let unknown = SessionId::try_from("A".repeat(text(&payload(&access[0]), "sid").len())).unwrap();
    host.server.call_revoke_session(&unknown).await.unwrap();
    assert_eq!(revocations(&host), 1);
}

#[tokio::test]
async fn many_access_tokens_that_are_revoked_one_by_one_all_stay_dead_and_newer_ones_live() {
    let host = Host::new();
    let mut said = host.log_in(json!({})).await;
    let mut dead: Vec<String> = Vec::new();
    for round in 0..40 {
        let token = text(&said, "refresh_token").to_owned();
        // Two answers to one refresh. Every third time the second one is also revoked.
        let retried = host.refresh(&token).await.1;
        if round % 3 == 0 {
            dead.push(text(&retried, "access_token").to_owned());
            revoke(&host, &dead[dead.len() - 1]).await;
        }
        dead.push(text(&said, "access_token").to_owned());
        revoke(&host, &dead[dead.len() - 1]).await;
        said = host.refresh(&token).await.1;
        assert_access(&host, text(&said, "access_token"), true).await;
        for token in &dead {
            assert!(!host.is_active(token).await, "round {round}");
        }
        if round % 10 == 9 {
            host.advance(secs(70));
        }
    }
    assert_eq!(host.refresh(text(&said, "refresh_token")).await.0, 200);
}

#[tokio::test]
async fn whatever_races_with_a_sign_out_is_dead_once_it_has_answered() {
    for yields in 0..6 {
        for generation in 0..3 {
            for head_start in 0..8 {
                let (host, mut refresh, access) = three_generations().await;
                host.store.yields.store(yields, SeqCst);
                let sign_out = async {
                    for _ in 0..head_start * yields {
                        tokio::task::yield_now().await;
                    }
                    host.revoke(&refresh[generation], &[]).await
                };
                let ((status, said), revoked) = join(host.refresh(&refresh[2]), sign_out).await;
                host.store.yields.store(0, SeqCst);
                assert_done(&revoked);
                let mut access = borrowed(&access);
                if status == 200 {
                    refresh.push(text(&said, "refresh_token").to_owned());
                    access.push(text(&said, "access_token"));
                }
                assert_signed_out(&host, &borrowed(&refresh), &access).await;
            }
        }
    }
}

#[tokio::test]
async fn an_access_token_that_is_revoked_beside_a_refresh_is_dead_and_the_refresh_lives() {
    for yields in 0..6 {
        for head_start in 0..8 {
            let (host, refresh, access) = three_generations().await;
            host.store.yields.store(yields, SeqCst);
            let revocation = async {
                for _ in 0..head_start * yields {
                    tokio::task::yield_now().await;
                }
                host.revoke(&access[2], &[]).await
            };
            let ((status, said), revoked) = join(host.refresh(&refresh[2]), revocation).await;
            host.store.yields.store(0, SeqCst);
            assert_done(&revoked);
            assert_eq!(status, 200, "{said}");
            assert_access(&host, &access[2], false).await;
            assert_access(&host, text(&said, "access_token"), true).await;
            assert_eq!(host.refresh(text(&said, "refresh_token")).await.0, 200);
        }
    }
}
