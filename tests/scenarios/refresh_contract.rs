//! `POST /oauth2/token` with a refresh token, row by row: status, headers and whole body.

use std::sync::atomic::Ordering::SeqCst;

use base64::{Engine, prelude::BASE64_STANDARD};
use otp_grant::jwt::{AccessTokenProfile, Audience};
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const REFUSED: &str = r#"{"error":"invalid_grant","error_description":"Unknown or expired refresh_token"}"#;
const INVALID_SCOPE: &str = r#"{"error":"invalid_scope"}"#;
const UNAVAILABLE: &str =
    r#"{"error":"temporarily_unavailable","error_description":"Temporarily unavailable. It is safe to try again."}"#;
const OTHER: [(&str, &str); 2] = [("client_id", "OTHER_CLIENT_ID"), ("client_secret", "OTHER_CLIENT_SECRET")];
const NAMELESS: [(&str, &str); 2] = [("client_id", ""), ("client_secret", "")];

fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

fn refresh_form(token: &str, changes: &[(&str, &str)]) -> String {
    form(&[("grant_type", "refresh_token"), ("refresh_token", token)], changes)
}

fn refresh_json(token: &str) -> Value {
    json!({
        "grant_type": "refresh_token", "refresh_token": token,
        "client_id": "TENANT_CLIENT_ID", "client_secret": "TENANT_CLIENT_SECRET",
    })
}

async fn post(host: &Host, token: &str, changes: &[(&str, &str)]) -> Reply {
    host.server.post_token(form_request(&refresh_form(token, changes), None)).await
}

async fn refuse(host: &Host, token: &str, changes: &[(&str, &str)], status: u16, said: &str) {
    assert_reply(&post(host, token, changes).await, status, said, &[]);
}

/// Checks an answer with tokens for this scope, byte for byte.
#[track_caller]
fn assert_granted(reply: &Reply, scope: &str) -> Value {
    let said = read(reply).1;
    let id_token = said.get("id_token").map(|jwt| format!(r#""id_token":{jwt},"#)).unwrap_or_default();
    let refresh_token = text(&said, "refresh_token");
    let whole = format!(
        r#"{{"access_token":"{}","refresh_token":"{refresh_token}","scope":"{scope}",{id_token}"token_type":"Bearer","expires_in":300}}"#,
        text(&said, "access_token"),
    );
    assert_reply(reply, 200, &whole, &[]);
    assert_eq!(id_token.is_empty(), !scope.split(' ').any(|token| token == "openid"));
    let of_alphabet = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    assert!(refresh_token.len() == 128 && refresh_token.bytes().all(of_alphabet));
    said
}

/// A host, and the refresh token of a login.
async fn ready() -> (Host, String) {
    let host = Host::new();
    let token = text(&host.log_in(json!({})).await, "refresh_token").to_owned();
    (host, token)
}

/// The requests before used up neither the token nor the session.
async fn assert_untouched(host: &Host, token: &str) {
    assert_eq!((host.counters.reuses.load(SeqCst), host.counters.revocations.load(SeqCst)), (0, 0));
    assert_granted(&post(host, token, &[]).await, "openid");
}

#[tokio::test]
async fn a_refresh_answers_as_a_login_does_with_a_new_refresh_token() {
    let (host, mut token) = ready().await;
    let mut seen = vec![token.clone()];
    for _ in 0..3 {
        host.advance(secs(100));
        let said = assert_granted(&post(&host, &token, &[]).await, "openid");
        text(&said, "refresh_token").clone_into(&mut token);
        for new in [&token, text(&said, "access_token"), text(&said, "id_token")] {
            assert!(!seen.iter().any(|old| old == new), "given before: {new}");
            seen.push(new.to_owned());
        }
        assert!(host.is_active(text(&said, "access_token")).await);
    }
}

#[tokio::test]
async fn form_and_json_are_read_the_same() {
    let (host, token) = ready().await;
    for content_type in ["application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=UTF-8"] {
        let body = refresh_form(&token, &[]);
        let request = Post { content_type: Some(content_type), authorization: None, body: body.as_bytes() };
        assert_granted(&host.server.post_token(request).await, "openid");
    }
    let body = refresh_json(&token).to_string();
    assert_granted(&host.server.post_token(json_request(&body, None)).await, "openid");
    for content_type in [None, Some("text/plain"), Some("multipart/form-data")] {
        let body = refresh_form(&token, &[]);
        let said = r#"{"error":"invalid_request","error_description":"the body has an unsupported content type"}"#;
        let request = Post { content_type, authorization: None, body: body.as_bytes() };
        assert_reply(&host.server.post_token(request).await, 400, said, &[]);
    }
}

#[tokio::test]
async fn basic_takes_the_place_of_the_posted_secret() {
    let authorization = basic("TENANT_CLIENT_ID:TENANT_CLIENT_SECRET");
    for changes in [&NAMELESS[..], &NAMELESS[1..]] {
        let (host, token) = ready().await;
        let body = refresh_form(&token, changes);
        assert_granted(&host.server.post_token(form_request(&body, Some(&authorization))).await, "openid");
    }
    for changes in [json!({ "client_secret": null }), json!({ "client_id": null, "client_secret": null })] {
        let (host, token) = ready().await;
        let body = but(&refresh_json(&token), changes).to_string();
        assert_granted(&host.server.post_token(json_request(&body, Some(&authorization))).await, "openid");
    }
}

#[tokio::test]
async fn a_public_client_refreshes_by_its_name_alone() {
    let host = Host::new();
    let spa = json!({ "client_id": "TENANT_SPA_CLIENT_ID", "client_secret": null });
    let tokens = host.log_in_by(&but(&sms_send(PHONE), spa), json!({})).await;
    let token = text(&tokens, "refresh_token");
    let said =
        assert_granted(&post(&host, token, &[("client_id", "TENANT_SPA_CLIENT_ID"), NAMELESS[1]]).await, "openid");
    assert_ne!(text(&said, "refresh_token"), token);
    refuse(&host, token, &[("client_id", "TENANT_SPA_CLIENT_ID")], 401, r#"{"error":"invalid_client"}"#).await;
}

#[tokio::test]
async fn a_malformed_request_says_what_is_wrong_and_costs_nothing() {
    let (host, token) = ready().await;
    let whole = refresh_form(&token, &[]);
    let invalid = |said: &str| format!(r#"{{"error":"invalid_request","error_description":"{said}"}}"#);
    for (body, said) in [
        (refresh_form("", &[]), "refresh_token is missing"),
        (refresh_form(&token, &[("grant_type", "")]), "grant_type is missing"),
        (refresh_form(&token, &NAMELESS), "client_id is missing"),
        (format!("{whole}&refresh_token={token}"), "refresh_token is given twice"),
        (format!("{whole}&refresh_token="), "refresh_token is given twice"),
        (format!("{whole}&client_id=TENANT_CLIENT_ID"), "client_id is given twice"),
        (format!("{whole}&client_secret=x"), "client_secret is given twice"),
        (format!("{whole}&grant_type=refresh_token"), "grant_type is given twice"),
        (format!("{whole}&scope=openid&scope=openid"), "scope is given twice"),
        (format!("{whole}&x=1&x=2"), "the body has an unknown member twice"),
        (format!("{whole}&x=%zz"), "the body is not a valid form"),
    ] {
        assert_reply(&host.server.post_token(form_request(&body, None)).await, 400, &invalid(said), &[]);
    }
    let json = refresh_json(&token);
    for (body, said) in [
        (but(&json, json!({ "refresh_token": 1 })).to_string(), "refresh_token must be a string"),
        (but(&json, json!({ "refresh_token": "" })).to_string(), "refresh_token must not be empty"),
        (but(&json, json!({ "scope": "" })).to_string(), "scope must not be empty"),
        (json.to_string().replacen('{', r#"{"refresh_token":"x","#, 1), "refresh_token is given twice"),
        ("[]".to_owned(), "the body is not a JSON object"),
    ] {
        assert_reply(&host.server.post_token(json_request(&body, None)).await, 400, &invalid(said), &[]);
    }
    let header = basic("TENANT_CLIENT_ID:TENANT_CLIENT_SECRET");
    let both = host.server.post_token(form_request(&whole, Some(&header))).await;
    assert_reply(&both, 400, &invalid("the body has a client_secret besides the Authorization header"), &[]);
    let differs = refresh_form(&token, &[OTHER[0], NAMELESS[1]]);
    let differs = host.server.post_token(form_request(&differs, Some(&header))).await;
    assert_reply(&differs, 400, &invalid("client_id differs from the Authorization header"), &[]);
    refuse(&host, &token, &[("grant_type", "Refresh_token")], 400, r#"{"error":"unsupported_grant_type"}"#).await;
    assert_untouched(&host, &token).await;
}

#[tokio::test]
async fn a_client_that_does_not_prove_who_it_is_gets_401_and_costs_nothing() {
    const SAID: &str = r#"{"error":"invalid_client"}"#;
    let (host, token) = ready().await;
    for changes in [
        &[("client_id", "UNKNOWN")][..],
        &[("client_id", "no\u{1}body")],
        &[("client_id", "UNKNOWN"), NAMELESS[1]],
        &[("client_secret", "WRONG")],
        &[("client_secret", "OTHER_CLIENT_SECRET")],
        &[NAMELESS[1]],
        &[("client_id", "TENANT_SPA_CLIENT_ID")],
    ] {
        refuse(&host, &token, changes, 401, SAID).await;
    }
    let body = refresh_form(&token, &NAMELESS);
    for pair in ["UNKNOWN:S", "TENANT_CLIENT_ID:WRONG", "TENANT_CLIENT_ID:", "TENANT_SPA_CLIENT_ID:", "no colon"] {
        let reply = host.server.post_token(form_request(&body, Some(&basic(pair)))).await;
        assert_reply(&reply, 401, SAID, &[("WWW-Authenticate", "Basic")]);
    }
    assert_untouched(&host, &token).await;
}

#[tokio::test]
async fn a_client_without_the_grant_is_told_so_before_its_token_is_looked_at() {
    let (host, token) = ready().await;
    let no_grant = [("client_id", "NO_GRANT_CLIENT_ID"), ("client_secret", "SECRET")];
    for token in [&token, "garbage"] {
        refuse(&host, token, &no_grant, 400, r#"{"error":"unauthorized_client"}"#).await;
    }
    assert_untouched(&host, &token).await;
}

#[tokio::test]
async fn another_clients_token_changes_nothing_and_revokes_nothing() {
    let (host, first) = ready().await;
    refuse(&host, &first, &OTHER, 400, REFUSED).await;
    let said = assert_granted(&post(&host, &first, &[]).await, "openid");
    // This also holds for a superseded token, inside and after its window.
    refuse(&host, &first, &OTHER, 400, REFUSED).await;
    host.advance(secs(60));
    refuse(&host, &first, &OTHER, 400, REFUSED).await;
    refuse(&host, &first, &[("client_id", "TENANT_SPA_CLIENT_ID"), NAMELESS[1]], 400, REFUSED).await;
    assert!(host.is_active(text(&said, "access_token")).await);
    assert_untouched(&host, text(&said, "refresh_token")).await;
}

#[tokio::test]
async fn what_is_not_a_refresh_token_of_this_server_is_refused_from_the_token_alone() {
    let host = Host::new();
    let sent = host.send(&sms_send(PHONE)).await;
    let said = host.token(&sms_grant(PHONE, &sent)).await.1;
    let token = text(&said, "refresh_token");
    let master = MasterKey::from_bytes(&[7; 32]).unwrap();
    let key = SigningKey::from_pem(include_str!("../keys/es256_pkcs8.pem")).unwrap();
    let elsewhere = host.beside(Settings::default(), key, Keyring::new(&master, &master));
    let foreign = elsewhere.log_in(json!({})).await;

    let mut not_ours: Vec<String> = [
        "garbage",
        &sent.otp_token,
        text(&said, "access_token"),
        text(&said, "id_token"),
        text(&foreign, "refresh_token"),
    ]
    .map(str::to_owned)
    .to_vec();
    for position in 0..token.len() {
        let other = if token.as_bytes()[position] == b'A' { "B" } else { "A" };
        not_ours.push(format!("{}{other}{}", &token[..position], &token[position + 1..]));
        if position > 0 {
            not_ours.push(token[..position].to_owned());
            not_ours.push(token[position..].to_owned());
        }
    }
    not_ours.extend([format!("{token}A"), format!("{token}="), format!("{token} "), token.repeat(2)]);
    let (calls, ()) = host
        .store_calls(async {
            for token in &not_ours {
                refuse(&host, token, &[], 400, REFUSED).await;
            }
        })
        .await;
    assert_eq!(calls, 0);
    assert_untouched(&host, token).await;
}

#[tokio::test]
async fn scope_narrows_for_one_answer_and_never_widens() {
    let host = Host::new();
    let said = host.log_in(json!({ "scope": "openid profile email" })).await;
    let mut token = text(&said, "refresh_token").to_owned();
    // A refused request does not use the token up: it is still the current one long after.
    for refused in
        ["openid offline_access", "openid profile email phone", "OPENID", "admin", "openid  email", " openid", "a\"b"]
    {
        refuse(&host, &token, &[("scope", refused)], 400, INVALID_SCOPE).await;
        host.advance(secs(60));
    }
    assert_eq!(host.counters.refreshes.load(SeqCst), 0);
    for (asked, granted) in [
        ("openid", "openid"),
        ("email openid", "email openid"),
        ("profile", "profile"),
        ("openid profile email", "openid profile email"),
        ("email", "email"),
        // In a form, an empty value requests no scope. The session has kept the scope of the login.
        ("", "openid profile email"),
    ] {
        let said = assert_granted(&post(&host, &token, &[("scope", asked)]).await, granted);
        let of_access = payload(text(&said, "access_token"))["scope"].clone();
        assert_eq!(of_access, json!(granted.split(' ').collect::<Vec<_>>()));
        // The same holds for a retry inside the window.
        assert_granted(&post(&host, &token, &[("scope", "email")]).await, "email");
        refuse(&host, &token, &[("scope", "openid offline_access")], 400, INVALID_SCOPE).await;
        text(&said, "refresh_token").clone_into(&mut token);
    }
    // The answer to an unknown token comes first.
    refuse(&host, "garbage", &[("scope", "admin")], 400, REFUSED).await;
    assert_eq!(host.counters.reuses.load(SeqCst), 0);
}

#[tokio::test]
async fn an_id_token_of_a_refresh_tells_of_the_same_login() {
    let host = Host::new();
    let login = host.log_in(json!({})).await;
    let first = payload(text(&login, "id_token"));
    let mut token = text(&login, "refresh_token").to_owned();
    for refresh in 1..4 {
        host.advance(secs(1000));
        let said = assert_granted(&post(&host, &token, &[]).await, "openid");
        text(&said, "refresh_token").clone_into(&mut token);
        let (id, access) = (payload(text(&said, "id_token")), payload(text(&said, "access_token")));
        let now = START + 1000 * refresh;
        let fresh = json!({ "iat": now, "exp": now + 1800, "jti": id["jti"] });
        assert_eq!(id, but(&first, fresh));
        assert_eq!(id["auth_time"], START);
        assert_eq!(id["amr"], json!(["otp", "sms"]));
        assert!(![&first["jti"], &access["jti"]].contains(&&id["jti"]));
        let whole = json!({
            "sub": "MOCK_USER_ID", "aud": "TENANT_CLIENT_ID", "nbf": now, "scope": ["openid"], "iss": ISSUER,
            "exp": now + 300, "iat": now, "jti": access["jti"], "sid": first["sid"],
        });
        assert_eq!(access, whole);
    }
}

#[tokio::test]
async fn a_refresh_under_rfc_9068_gives_access_tokens_of_that_profile() {
    const API: &str = "https://api.example.com";
    let settings = settings(|s| s.access_token_profile = AccessTokenProfile::Rfc9068 { audience: API.to_owned() });
    let host = Host::with(settings);
    let login = host.log_in(json!({ "scope": "openid profile" })).await;
    host.advance(secs(100));
    let said = assert_granted(&post(&host, text(&login, "refresh_token"), &[]).await, "openid profile");
    let access = payload(text(&said, "access_token"));
    let whole = json!({
        "sub": "MOCK_USER_ID", "aud": API, "nbf": START + 100, "scope": "openid profile", "iss": ISSUER,
        "exp": START + 400, "iat": START + 100, "jti": access["jti"], "sid": payload(text(&login, "id_token"))["sid"],
        "client_id": "TENANT_CLIENT_ID", "auth_time": START, "amr": ["otp", "sms"],
    });
    assert_eq!(access, whole);
    let checked =
        host.server.call_check_access_token(text(&said, "access_token"), Audience::EveryClient).await.unwrap();
    assert_eq!(checked.client.as_str(), "TENANT_CLIENT_ID");
}

#[tokio::test]
async fn a_store_that_fails_loses_nothing() {
    // The calls of a refresh: load, swap; after an error of the swap: load, swap, load.
    for (call, fault) in [
        (0, Mishap::FailBefore),
        (0, Mishap::FailAfter),
        (1, Mishap::FailBefore),
        (1, Mishap::FailAfter),
        (1, Mishap::Late),
        (1, Mishap::Twice),
        (1, Mishap::Overwritten),
    ] {
        for then in [None, Some((call + 1, Mishap::FailBefore)), Some((call + 2, Mishap::FailAfter))] {
            let (host, token) = ready().await;
            host.store.fault(call, fault);
            if let Some((call, fault)) = then {
                host.store.fault(call, fault);
            }
            let first = post(&host, &token, &[]).await;
            host.store.heal();
            if first.status() != 200 {
                assert_reply(&first, 503, UNAVAILABLE, &[]);
            } else {
                assert_ne!(call, 0, "{fault:?}");
            }
            // One fault of a swap is resolved without the client noticing.
            assert!(first.status() == 200 || call == 0 || then.is_some(), "{fault:?} at {call}, {then:?}");
            let second = assert_granted(&post(&host, &token, &[]).await, "openid");
            if first.status() == 200 {
                assert_eq!(read(&first).1["refresh_token"], second["refresh_token"], "{fault:?} at {call}, {then:?}");
            }
            host.advance(secs(60));
            assert_untouched(&host, text(&second, "refresh_token")).await;
        }
    }
}

#[tokio::test]
async fn a_store_or_a_directory_that_is_down_loses_nothing_however_long() {
    let (host, token) = ready().await;
    host.store.down.store(true, SeqCst);
    for _ in 0..3 {
        refuse(&host, &token, &[], 503, UNAVAILABLE).await;
        host.advance(secs(60));
    }
    host.store.down.store(false, SeqCst);
    host.directory.down.store(true, SeqCst);
    for _ in 0..3 {
        refuse(&host, &token, &[], 503, UNAVAILABLE).await;
        host.advance(secs(60));
    }
    host.directory.down.store(false, SeqCst);
    assert_eq!(host.counters.refreshes.load(SeqCst), 0);
    assert_untouched(&host, &token).await;
}
