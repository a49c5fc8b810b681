//! `POST /oauth2/introspect` (RFC 7662), row by row: status, headers and whole body.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use otp_grant::jwt::{AccessTokenProfile, Audience};
use otp_grant::server::AccessTokenCheckError;
use otp_grant::time::Timestamp;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const INACTIVE: &str = r#"{"active":false}"#;
const INVALID_CLIENT: &str = r#"{"error":"invalid_client"}"#;
const UNAVAILABLE: &str =
    r#"{"error":"temporarily_unavailable","error_description":"Temporarily unavailable. It is safe to try again."}"#;
const TENANT: [(&str, &str); 2] = [("client_id", "TENANT_CLIENT_ID"), ("client_secret", "TENANT_CLIENT_SECRET")];
const OTHER: [(&str, &str); 2] = [("client_id", "OTHER_CLIENT_ID"), ("client_secret", "OTHER_CLIENT_SECRET")];
const API: [(&str, &str); 2] = [("client_id", "API_CLIENT_ID"), ("client_secret", "API_CLIENT_ID_SECRET")];
const NAMELESS: [(&str, &str); 2] = [("client_id", ""), ("client_secret", "")];
const AUDIENCE: &str = "https://api.example.com";
const FOURTEEN_DAYS: u64 = 14 * 24 * 60 * 60;

fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

fn rfc_9068() -> Settings {
    settings(|s| s.access_token_profile = AccessTokenProfile::Rfc9068 { audience: AUDIENCE.to_owned() })
}

async fn ready() -> (Host, Value) {
    let host = Host::new();
    let said = host.log_in(json!({ "scope": "openid profile" })).await;
    (host, said)
}

/// The answer about an access token, byte for byte.
fn access_token_body(access_token: &str, client: &str, audience: &str) -> String {
    let claims = payload(access_token);
    let [exp, iat] = ["exp", "iat"].map(|name| claims[name].as_u64().unwrap());
    let (jti, sid) = (text(&claims, "jti"), text(&claims, "sid"));
    // Introspection says when and how the user logged in only where the token says so: under RFC 9068.
    let login = match audience == AUDIENCE {
        true => format!(r#","auth_time":{},"amr":["otp","sms"]"#, claims["auth_time"]),
        false => String::new(),
    };
    format!(
        r#"{{"active":true,"scope":"openid profile","client_id":"{client}","token_type":"Bearer","exp":{exp},"iat":{iat},"nbf":{iat},"sub":"MOCK_USER_ID","aud":"{audience}","iss":"{ISSUER}","jti":"{jti}","sid":"{sid}"{login}}}"#
    )
}

/// The answer about a refresh token, byte for byte.
fn refresh_token_body(exp: u64, sid: &str) -> String {
    format!(
        r#"{{"active":true,"scope":"openid profile","client_id":"TENANT_CLIENT_ID","exp":{exp},"sub":"MOCK_USER_ID","iss":"{ISSUER}","sid":"{sid}"}}"#
    )
}

/// Every client gets the inactive answer, byte for byte.
async fn assert_inactive(host: &Host, token: &str) {
    for client in [TENANT, API, OTHER] {
        assert_reply(&host.introspect(token, &client).await, 200, INACTIVE, &[]);
    }
}

#[tokio::test]
async fn an_access_token_is_told_whole_under_both_profiles() {
    for (settings, audience) in [(Settings::default(), "TENANT_CLIENT_ID"), (rfc_9068(), AUDIENCE)] {
        let host = Host::with(settings);
        let said = host.log_in(json!({ "scope": "openid profile" })).await;
        let body = access_token_body(text(&said, "access_token"), "TENANT_CLIENT_ID", audience);
        for hint in ["", "access_token", "refresh_token", "nonsense"] {
            let reply = host.introspect(text(&said, "access_token"), &[("token_type_hint", hint)]).await;
            assert_reply(&reply, 200, &body, &[]);
        }
        // The answer has the narrowed scope of the token, and a later token has its own times.
        host.advance(secs(100));
        let said = host.refresh_with(text(&said, "refresh_token"), &[("scope", "profile")]).await.1;
        let body = access_token_body(text(&said, "access_token"), "TENANT_CLIENT_ID", audience);
        let body = body.replace("openid profile", "profile");
        assert!(body.contains(&format!(r#""exp":{},"iat":{}"#, START + 400, START + 100)));
        assert_reply(&host.introspect(text(&said, "access_token"), &[]).await, 200, &body, &[]);
        host.advance(secs(300) - Duration::from_millis(1));
        assert_reply(&host.introspect(text(&said, "access_token"), &[]).await, 200, &body, &[]);
        host.advance(Duration::from_millis(1));
        assert_inactive(&host, text(&said, "access_token")).await;
    }
}

#[tokio::test]
async fn a_refresh_token_is_told_whole_and_has_no_token_type() {
    let (host, said) = ready().await;
    let sid = text(&payload(text(&said, "access_token")), "sid").to_owned();
    let first = text(&said, "refresh_token");
    let body = refresh_token_body(START + FOURTEEN_DAYS, &sid);
    for hint in ["", "access_token", "refresh_token", "nonsense"] {
        assert_reply(&host.introspect(first, &[("token_type_hint", hint)]).await, 200, &body, &[]);
    }
    host.advance(secs(100));
    // The refresh token of a narrowed answer still carries the scope of the login.
    let second = host.refresh_with(first, &[("scope", "openid")]).await.1;
    let newer = refresh_token_body(START + 100 + FOURTEEN_DAYS, &sid);
    assert_reply(&host.introspect(text(&second, "refresh_token"), &[]).await, 200, &newer, &[]);
    // A token inside its retry window is still active.
    assert_reply(&host.introspect(first, &[]).await, 200, &newer, &[]);
    host.advance(secs(10));
    assert_inactive(&host, first).await;
    assert_reply(&host.introspect(text(&second, "refresh_token"), &[]).await, 200, &newer, &[]);
}

#[tokio::test]
async fn introspecting_a_superseded_refresh_token_revokes_nothing() {
    let (host, said) = ready().await;
    let (first, access) = (text(&said, "refresh_token"), text(&said, "access_token"));
    let second = host.refresh(first).await.1;
    let third = host.refresh(text(&second, "refresh_token")).await.1;
    for pause in [0, 10, 100] {
        host.advance(secs(pause));
        for _ in 0..3 {
            assert_inactive(&host, first).await;
        }
    }
    assert!(host.is_active(access).await);
    assert_eq!((host.counters.reuses.load(SeqCst), host.counters.revocations.load(SeqCst)), (0, 0));
    assert_eq!(host.refresh(text(&third, "refresh_token")).await.0, 200);
    // Introspection neither uses a token up nor counts as its use.
    assert_eq!(host.counters.refreshes.load(SeqCst), 3);
}

#[tokio::test]
async fn what_is_no_token_is_inactive() {
    let host = Host::new();
    let sent = host.send(&sms_send(PHONE)).await;
    let said = host.token(&sms_grant(PHONE, &sent)).await.1;
    let (access, refresh) = (text(&said, "access_token"), text(&said, "refresh_token"));
    let (head, signature) = access.rsplit_once('.').unwrap();
    let altered = [wrong(access), wrong(refresh), format!("{access}A"), format!("{refresh}="), refresh[1..].to_owned()];
    let altered = altered.into_iter().chain([format!("{head}."), format!("{head}.{}", wrong(signature))]);
    let others = ["garbage", "a.b.c", "é\0", &sent.otp_token, text(&said, "id_token")].map(str::to_owned);
    let (calls, ()) = host
        .store_calls(async {
            for token in altered.chain(others) {
                assert_inactive(&host, &token).await;
            }
        })
        .await;
    assert_eq!(calls, 0);
    assert!(host.is_active(access).await && host.is_active(refresh).await);
}

#[tokio::test]
async fn every_reason_for_a_token_to_be_over_looks_the_same() {
    let subject = || Subject::new("MOCK_USER_ID").unwrap();
    let put = |host: &Host, user: User| host.directory.inner.put_user(user);
    let user = |status| User::new(subject(), status);
    for case in 0..9 {
        let (host, said) = ready().await;
        let (access, refresh) = (text(&said, "access_token"), text(&said, "refresh_token"));
        assert!(host.is_active(access).await && host.is_active(refresh).await);
        match case {
            0 => put(&host, user(UserStatus::Locked)),
            1 => put(&host, user(UserStatus::Frozen)),
            2 => put(&host, user(UserStatus::Inactive)),
            3 => host.directory.inner.remove_user(&subject()),
            4 => {
                let later = Timestamp::from_unix_millis(START * 1000 + 1);
                put(&host, user(UserStatus::Active).with_tokens_valid_after(later));
            }
            5 => assert_eq!(host.revoke(refresh, &[]).await.status(), 200),
            6 => {
                let session = host.server.verify_access_token(access, Audience::EveryClient).unwrap().session;
                host.server.call_revoke_session(&session).await.unwrap();
            }
            7 => {
                host.refresh(refresh).await;
                host.advance(secs(10));
                assert_eq!(host.refresh(refresh).await.0, 400);
                assert_eq!(host.counters.reuses.load(SeqCst), 1);
            }
            _ => host.advance(secs(FOURTEEN_DAYS)),
        }
        assert_inactive(&host, access).await;
        assert_inactive(&host, refresh).await;
    }
    // One access token is revoked. Its session goes on.
    let (host, said) = ready().await;
    assert_eq!(host.revoke(text(&said, "access_token"), &[]).await.status(), 200);
    assert_inactive(&host, text(&said, "access_token")).await;
    assert!(host.is_active(text(&said, "refresh_token")).await);
}

#[tokio::test]
async fn a_client_learns_of_its_own_tokens_and_an_api_of_every_access_token() {
    for (settings, profile_audience) in [(Settings::default(), None), (rfc_9068(), Some(AUDIENCE))] {
        let host = Host::with(settings);
        for (client, secret) in
            [("TENANT_CLIENT_ID", json!("TENANT_CLIENT_SECRET")), ("TENANT_SPA_CLIENT_ID", json!(null))]
        {
            let send = but(&sms_send(PHONE), json!({ "client_id": client, "client_secret": secret }));
            let said = host.log_in_by(&send, json!({ "scope": "openid profile" })).await;
            let (access, refresh) = (text(&said, "access_token"), text(&said, "refresh_token"));
            let body = access_token_body(access, client, profile_audience.unwrap_or(client));
            assert_reply(&host.introspect(access, &API).await, 200, &body, &[]);
            // A refresh token is active only for its own client.
            for (token, asking) in [(refresh, API), (refresh, OTHER), (access, OTHER)] {
                assert_reply(&host.introspect(token, &asking).await, 200, INACTIVE, &[]);
            }
            if client == "TENANT_SPA_CLIENT_ID" {
                for token in [access, refresh] {
                    assert_reply(&host.introspect(token, &TENANT).await, 200, INACTIVE, &[]);
                }
            }
        }
        // An API that is a client itself also learns of its own refresh tokens.
        let own = but(&sms_send(PHONE), json!({ "client_id": API[0].1, "client_secret": API[1].1 }));
        let said = host.log_in_by(&own, json!({})).await;
        for token in ["access_token", "refresh_token"] {
            assert_eq!(read(&host.introspect(text(&said, token), &API).await).1["active"], true);
            assert!(!host.is_active(text(&said, token)).await);
        }
    }
}

#[tokio::test]
async fn a_token_of_the_other_profile_or_another_audience_is_inactive() {
    let key = || SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
    let another = AccessTokenProfile::Rfc9068 { audience: "https://other.example.com".to_owned() };
    let host = Host::with(rfc_9068());
    let said = host.log_in(json!({})).await;
    assert!(host.is_active(text(&said, "access_token")).await);
    for settings in [Settings::default(), settings(|s| s.access_token_profile = another)] {
        let beside = host.beside(settings, key(), keyring());
        assert_inactive(&beside, text(&said, "access_token")).await;
    }
}

#[tokio::test]
async fn only_a_confidential_client_that_proved_who_it_is_gets_an_answer() {
    let (host, said) = ready().await;
    for token in [text(&said, "access_token"), text(&said, "refresh_token"), "garbage"] {
        for changes in [
            &[("client_id", "UNKNOWN")][..],
            &[("client_id", "no\u{1}body")],
            &[("client_secret", "WRONG")],
            &NAMELESS[1..],
            // A public client, with and without a secret.
            &[("client_id", "TENANT_SPA_CLIENT_ID"), NAMELESS[1]],
            &[("client_id", "TENANT_SPA_CLIENT_ID")],
        ] {
            assert_reply(&host.introspect(token, changes).await, 401, INVALID_CLIENT, &[]);
        }
        let body = form(&[("token", token)], &NAMELESS);
        for pair in ["TENANT_CLIENT_ID:WRONG", "UNKNOWN:S", "TENANT_SPA_CLIENT_ID:", "no colon"] {
            let reply = host.server.post_introspect(form_request(&body, Some(&basic(pair)))).await;
            assert_reply(&reply, 401, INVALID_CLIENT, &[("WWW-Authenticate", "Basic")]);
        }
    }
    let spa = but(&sms_send(PHONE), json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null }));
    let own = host.log_in_by(&spa, json!({})).await;
    for token in ["access_token", "refresh_token"] {
        let reply = host.introspect(text(&own, token), &[("client_id", "TENANT_SPA_CLIENT_ID"), NAMELESS[1]]).await;
        assert_reply(&reply, 401, INVALID_CLIENT, &[]);
    }
    // Basic, with and without the client's name in the body.
    for changes in [&NAMELESS[..], &NAMELESS[1..]] {
        let body = form(&[("token", text(&said, "access_token"))], changes);
        let authorization = basic("TENANT_CLIENT_ID:TENANT_CLIENT_SECRET");
        let reply = host.server.post_introspect(form_request(&body, Some(&authorization))).await;
        let whole = access_token_body(text(&said, "access_token"), "TENANT_CLIENT_ID", "TENANT_CLIENT_ID");
        assert_reply(&reply, 200, &whole, &[]);
    }
}

#[tokio::test]
async fn a_malformed_request_says_what_is_wrong() {
    let (host, said) = ready().await;
    let token = text(&said, "access_token");
    let invalid = |said: &str| format!(r#"{{"error":"invalid_request","error_description":"{said}"}}"#);
    let whole = form(&[("token", token)], &[]);
    for (body, said) in [
        (form(&[], &[]), "token is missing"),
        (form(&[("token", token)], &NAMELESS[..1]), "client_id is missing"),
        (format!("{whole}&token={token}"), "token is given twice"),
        (format!("{whole}&token_type_hint=a&token_type_hint=b"), "token_type_hint is given twice"),
        (format!("{whole}&x=%"), "the body is not a valid form"),
    ] {
        assert_reply(&host.server.post_introspect(form_request(&body, None)).await, 400, &invalid(said), &[]);
    }
    // The client does not identify itself. That is no missing member, whatever other errors the request has.
    for body in [String::new(), "x=1".to_owned(), form(&[("token", token)], &NAMELESS), form(&[], &NAMELESS)] {
        assert_reply(
            &host.server.post_introspect(form_request(&body, None)).await,
            401,
            r#"{"error":"invalid_client"}"#,
            &[],
        );
    }
    let nothing = Post { content_type: None, authorization: None, body: b"" };
    assert_reply(&host.server.post_introspect(nothing).await, 401, r#"{"error":"invalid_client"}"#, &[]);
    let json = json!({ "token": token, "client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET" });
    let reply = host.server.post_introspect(json_request(&json.to_string(), None)).await;
    assert_reply(&reply, 400, &invalid("the body has an unsupported content type"), &[]);
    let authorization = basic("TENANT_CLIENT_ID:TENANT_CLIENT_SECRET");
    let reply = host.server.post_introspect(form_request(&whole, Some(&authorization))).await;
    assert_reply(&reply, 400, &invalid("the body has a client_secret besides the Authorization header"), &[]);
}

#[tokio::test]
async fn what_can_not_be_found_out_is_503_and_not_inactive() {
    let (host, said) = ready().await;
    let tokens = [text(&said, "access_token"), text(&said, "refresh_token")];
    for (down, name) in [(&host.store.down, "store"), (&host.directory.down, "directory")] {
        down.store(true, SeqCst);
        for token in tokens {
            assert_reply(&host.introspect(token, &[]).await, 503, UNAVAILABLE, &[]);
            assert_reply(&host.introspect("garbage", &[]).await, 200, INACTIVE, &[]);
            assert_reply(&host.introspect(token, &OTHER).await, 200, INACTIVE, &[]);
        }
        let checked = host.server.call_check_access_token(tokens[0], Audience::EveryClient).await;
        assert_eq!(checked, Err(AccessTokenCheckError::TemporarilyUnavailable), "{name}");
        assert_reply(&host.userinfo(tokens[0]).await, 503, UNAVAILABLE, &[]);
        down.store(false, SeqCst);
        for token in tokens {
            assert!(host.is_active(token).await);
        }
    }
    for fault in [Mishap::FailBefore, Mishap::FailAfter] {
        for token in tokens {
            host.store.fault(0, fault);
            assert_reply(&host.introspect(token, &[]).await, 503, UNAVAILABLE, &[]);
            assert!(host.is_active(token).await);
        }
    }
}
