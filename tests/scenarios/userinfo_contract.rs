//! `GET /userinfo` and `POST /userinfo`, case by case: status, headers and whole body (contract section 6, RFC 6750).

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use otp_grant::directory::{ClientRegistry, SignUp, UserClaims, UserStore};
use otp_grant::entropy::EntropyUnavailable;
use otp_grant::id::SessionId;
use otp_grant::jwt::{AccessTokenProfile, Algorithm};
use otp_grant::time::Timestamp;
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const SUB_ONLY: &str = r#"{"sub":"MOCK_USER_ID","tier":"gold"}"#;
const INVALID_TOKEN: &str = "the access token is unknown, expired or revoked";
const UNAVAILABLE: &str =
    r#"{"error":"temporarily_unavailable","error_description":"Temporarily unavailable. It is safe to try again."}"#;
const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

/// Checks a whole refusal: the challenge and the body say the same.
#[track_caller]
fn assert_refused(reply: &Reply, status: u16, error: &str, description: &str, needed: &str) {
    let challenge = format!(r#"Bearer error="{error}", error_description="{description}"{needed}"#);
    let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
    assert_reply(reply, status, &body, &[("WWW-Authenticate", &challenge)]);
}

#[track_caller]
fn assert_invalid_token(reply: &Reply) {
    assert_refused(reply, 401, "invalid_token", INVALID_TOKEN, "");
}

async fn ask(host: &Host, content_type: Option<&str>, authorization: Option<&str>, body: &str) -> Reply {
    host.server.post_userinfo(Post { content_type, authorization, body: body.as_bytes() }).await
}

async fn logged_in(scope: &str) -> (Host, String) {
    let host = Host::new();
    let token = text(&host.log_in(json!({ "scope": scope })).await, "access_token").to_owned();
    (host, token)
}

fn mock_user() -> User {
    User::new(Subject::new("MOCK_USER_ID").unwrap(), UserStatus::Active)
}

#[tokio::test]
async fn a_token_is_taken_from_the_header_or_from_a_form() {
    let (host, token) = logged_in("openid").await;
    let (bearer, form) = (format!("Bearer {token}"), format!("access_token={token}"));
    let json = format!(r#"{{"access_token":"{token}"}}"#);
    for (content_type, authorization, body) in [
        (None, Some(bearer.as_str()), ""),
        (FORM, Some(&bearer), ""),
        (FORM, Some(&bearer), "access_token=&other=1"),
        (FORM, None, &form),
        (Some("Application/X-WWW-Form-Urlencoded; charset=UTF-8"), None, &form),
        (FORM, None, &format!("a=1&{form}&b=2")),
        // The server reads no token from a body of another content type.
        (Some("application/json"), Some(&bearer), &json),
    ] {
        assert_reply(&ask(&host, content_type, authorization, body).await, 200, SUB_ONLY, &[]);
    }
}

#[tokio::test]
async fn the_scheme_is_read_in_any_case_and_with_any_number_of_spaces() {
    let (host, token) = logged_in("openid").await;
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  ", "bearer   "] {
        assert_reply(&ask(&host, None, Some(&format!("{scheme} {token}")), "").await, 200, SUB_ONLY, &[]);
    }
}

#[tokio::test]
async fn a_token_in_both_places_is_one_too_many() {
    let (host, token) = logged_in("openid").await;
    let (bearer, form) = (format!("Bearer {token}"), format!("access_token={token}"));
    for (bearer, form) in [(bearer.as_str(), form.as_str()), (&bearer, "access_token=x"), ("Bearer x", &form)] {
        let (calls, reply) = host.store_calls(ask(&host, FORM, Some(bearer), form)).await;
        let said = "the body has an access_token besides the Authorization header";
        assert_refused(&reply, 400, "invalid_request", said, "");
        assert_eq!(calls, 0);
    }
}

#[tokio::test]
async fn without_a_token_the_challenge_asks_for_one() {
    let (host, token) = logged_in("openid").await;
    let (form, json) = (format!("access_token={token}"), format!(r#"{{"access_token":"{token}"}}"#));
    let headers = ["Bearer", "Bearer ", "Bearer    ", "", " ", "Basic VEVOQU5UOlNFQ1JFVA==", "DPoP x"];
    for authorization in headers.into_iter().map(Some).chain([None]) {
        for (content_type, body) in [(None, ""), (FORM, ""), (FORM, "access_token="), (FORM, "token=x")] {
            let reply = ask(&host, content_type, authorization, body).await;
            assert_refused(&reply, 400, "invalid_request", "access_token is missing", "");
        }
    }
    for (content_type, body) in [(None, &form), (Some("text/plain"), &form), (Some("application/json"), &json)] {
        let reply = ask(&host, content_type, None, body).await;
        assert_refused(&reply, 400, "invalid_request", "access_token is missing", "");
    }
    for authorization in [format!("Bearer\t{token}"), format!("Bearer{token}"), format!("Token {token}"), token] {
        let reply = ask(&host, None, Some(&authorization), "").await;
        assert_refused(&reply, 400, "invalid_request", "access_token is missing", "");
    }
}

#[tokio::test]
async fn a_malformed_form_is_refused_even_beside_a_good_header() {
    let (host, token) = logged_in("openid").await;
    for (form, said) in [
        ("access_token=a&access_token=b", "access_token is given twice"),
        ("access_token=&access_token=", "access_token is given twice"),
        ("a=1&a=2", "the body has an unknown member twice"),
        ("access_token=%zz", "the body is not a valid form"),
        ("access_token=%ff", "the body is not a valid form"),
    ] {
        for authorization in [None, Some(format!("Bearer {token}"))] {
            let reply = ask(&host, FORM, authorization.as_deref(), form).await;
            assert_refused(&reply, 400, "invalid_request", said, "");
        }
    }
}

#[tokio::test]
async fn what_was_not_issued_as_an_access_token_here_is_invalid_and_costs_no_io() {
    let host = Host::new();
    let said = host.log_in(json!({})).await;
    let (access, id, refresh) = (text(&said, "access_token"), text(&said, "id_token"), text(&said, "refresh_token"));
    let altered = format!("{}A.{}", access.split_once('.').unwrap().0, access.split_once('.').unwrap().1);
    let (signed, signature) = access.rsplit_once('.').unwrap();
    let flipped: String = signature.chars().rev().collect();
    let other = Host::with_key(Settings::default(), other_key(Algorithm::ES256));
    let foreign = text(&other.log_in(json!({})).await, "access_token").to_owned();
    host.directory.calls.lock().unwrap().clear();
    let long = "x".repeat(100_000);
    for token in [
        "x",
        "a.b.c",
        "x y",
        "\"",
        &long,
        &altered,
        &format!("{signed}.{flipped}"),
        &format!("{signed}."),
        &format!("{access} {access}"),
        &foreign,
        id,
        refresh,
    ] {
        let (calls, reply) = host.store_calls(host.userinfo(token)).await;
        assert_invalid_token(&reply);
        assert_eq!(calls, 0);
    }
    // A form can carry any text. A header with other characters than visible ASCII counts as empty.
    let (calls, reply) = host.store_calls(ask(&host, FORM, None, "access_token=%C3%A9")).await;
    assert_invalid_token(&reply);
    assert_eq!(calls, 0);
    let (calls, reply) = host.store_calls(host.userinfo("é")).await;
    assert_refused(&reply, 400, "invalid_request", "access_token is missing", "");
    assert_eq!(calls, 0);
    assert!(host.directory.calls.lock().unwrap().is_empty());
    assert_eq!(host.userinfo(access).await.status(), 200);
}

#[tokio::test]
async fn a_token_ends_at_its_expiry() {
    let (host, token) = logged_in("openid").await;
    host.advance(secs(300) - Duration::from_millis(1));
    assert_eq!(host.userinfo(&token).await.status(), 200);
    host.advance(Duration::from_millis(1));
    let (calls, reply) = host.store_calls(host.userinfo(&token)).await;
    assert_invalid_token(&reply);
    assert_eq!(calls, 0);
}

#[tokio::test]
async fn a_revoked_token_is_invalid_at_once_and_its_siblings_are_not() {
    let host = Host::new();
    let first = host.log_in(json!({})).await;
    let (_, second) = host.refresh(text(&first, "refresh_token")).await;
    assert_eq!(host.revoke(text(&first, "access_token"), &[]).await.status(), 200);
    assert_invalid_token(&host.userinfo(text(&first, "access_token")).await);
    assert_reply(&host.userinfo(text(&second, "access_token")).await, 200, SUB_ONLY, &[]);
}

#[tokio::test]
async fn every_token_of_a_session_that_is_over_is_invalid() {
    for way in ["signed out", "ended by the host", "replayed", "lost"] {
        let host = Host::new();
        let first = host.log_in(json!({})).await;
        let (_, second) = host.refresh(text(&first, "refresh_token")).await;
        let mut asked = &host;
        let elsewhere;
        match way {
            "signed out" => assert_eq!(host.revoke(text(&second, "refresh_token"), &[]).await.status(), 200),
            "ended by the host" => {
                let sid = payload(text(&second, "access_token"))["sid"].as_str().unwrap().to_owned();
                host.server.call_revoke_session(&SessionId::try_from(sid).unwrap()).await.unwrap();
            }
            "replayed" => {
                host.advance(secs(11));
                assert_eq!(host.refresh(text(&first, "refresh_token")).await.0, 400);
            }
            // A store that lost its records no longer knows any session.
            _ => {
                elsewhere = Host::new();
                asked = &elsewhere;
            }
        }
        for said in [&first, &second] {
            assert_invalid_token(&asked.userinfo(text(said, "access_token")).await);
        }
    }
}

#[tokio::test]
async fn a_user_who_may_not_log_in_any_more_has_no_valid_token() {
    let (host, token) = logged_in("openid").await;
    let users = &host.directory.inner;
    for status in [UserStatus::Locked, UserStatus::Frozen, UserStatus::Inactive] {
        users.put_user(User::new(mock_user().subject, status));
        assert_invalid_token(&host.userinfo(&token).await);
    }
    // Clocks can differ by five seconds.
    users.put_user(mock_user().with_tokens_valid_after(Timestamp::from_unix_millis(START * 1000 - 5_001)));
    assert_reply(&host.userinfo(&token).await, 200, SUB_ONLY, &[]);
    users.put_user(mock_user().with_tokens_valid_after(Timestamp::from_unix_millis(START * 1000 - 4_999)));
    assert_invalid_token(&host.userinfo(&token).await);
    users.put_user(mock_user());
    assert_reply(&host.userinfo(&token).await, 200, SUB_ONLY, &[]);
    users.remove_user(&mock_user().subject);
    assert_invalid_token(&host.userinfo(&token).await);
}

#[tokio::test]
async fn a_token_without_openid_is_not_enough() {
    let (host, token) = logged_in("profile email").await;
    let said = "the access token does not have the scope openid";
    assert_refused(&host.userinfo(&token).await, 403, "insufficient_scope", said, r#", scope="openid""#);
    // The server first decides whether the token is good.
    assert_eq!(host.revoke(&token, &[]).await.status(), 200);
    assert_invalid_token(&host.userinfo(&token).await);
}

#[tokio::test]
async fn claims_follow_the_scope_of_the_token() {
    for (scope, body) in [
        ("openid", SUB_ONLY),
        ("offline_access openid", SUB_ONLY),
        ("openid profile", r#"{"sub":"MOCK_USER_ID","name":"Mock User","tier":"gold"}"#),
        (
            "openid email",
            r#"{"sub":"MOCK_USER_ID","email":"MOCK_USERNAME@example.com","email_verified":true,"tier":"gold"}"#,
        ),
        (
            "profile email openid",
            r#"{"sub":"MOCK_USER_ID","email":"MOCK_USERNAME@example.com","email_verified":true,"name":"Mock User","tier":"gold"}"#,
        ),
    ] {
        let (host, token) = logged_in(scope).await;
        assert_reply(&host.userinfo(&token).await, 200, body, &[]);
    }
}

#[tokio::test]
async fn a_token_that_was_narrowed_at_refresh_shows_less_than_its_session() {
    let host = Host::new();
    let wide = host.log_in(json!({ "scope": "openid profile" })).await;
    let (_, narrow) = host.refresh_with(text(&wide, "refresh_token"), &[("scope", "openid")]).await;
    assert_reply(&host.userinfo(text(&narrow, "access_token")).await, 200, SUB_ONLY, &[]);
    assert_eq!(read(&host.userinfo(text(&wide, "access_token")).await).1["name"], "Mock User");
}

#[tokio::test]
async fn each_standard_claim_needs_its_scope_in_every_language() {
    let profile = [
        "name",
        "family_name",
        "given_name",
        "middle_name",
        "nickname",
        "preferred_username",
        "profile",
        "picture",
        "website",
        "gender",
        "birthdate",
        "zoneinfo",
        "locale",
        "name#fr",
        "family_name#ja-Kana-JP",
    ];
    let mut of_scope: Vec<(&str, &str)> = profile.map(|name| (name, "profile")).to_vec();
    of_scope.extend([
        ("email", "email"),
        ("email#fr", "email"),
        ("phone_number", "phone"),
        ("phone_number#x", "phone"),
    ]);
    let mut all = UserClaims::new()
        .with("sub", "SOMEBODY_ELSE")
        .with("updated_at", 1_799_999_999)
        .with("email_verified", true)
        .with("phone_number_verified", false)
        .with("address", json!({ "country": "CN" }))
        .with("tier#fr", "or");
    for (name, _) in &of_scope {
        all = all.with(name, *name);
    }
    of_scope.extend([("updated_at", "profile"), ("email_verified", "email"), ("phone_number_verified", "phone")]);
    of_scope.extend([("address", "address"), ("tier#fr", "openid"), ("sub", "openid")]);

    let scopes = Scope::parse("openid profile email phone address").unwrap();
    let id = ClientId::new("TENANT_CLIENT_ID").unwrap();
    let client = Client::confidential(id, ClientSecret::digest("TENANT_CLIENT_SECRET"))
        .with_auth_source(AuthSourceId::new("MOCK_SMS_OTP_AUTH_SOURCE_ID").unwrap())
        .with_scopes(scopes.clone(), Scope::openid());
    let directory = sample_directory().with_client(client.unwrap());
    directory.put_claims(mock_user().subject, all);
    let key = other_key(Algorithm::EdDSA);
    let host = Host::with_directory(Settings::default(), key, directory);
    for scope in scopes.iter() {
        let asked = if scope == "openid" { "openid".to_owned() } else { format!("openid {scope}") };
        let said = host.log_in(json!({ "scope": asked })).await;
        let (status, claims) = read(&host.userinfo(text(&said, "access_token")).await);
        let expected = of_scope.iter().filter(|(_, needed)| *needed == "openid" || *needed == scope);
        let mut expected: Vec<&str> = expected.map(|(name, _)| *name).collect();
        expected.sort_unstable();
        let shown: Vec<&str> = claims.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!((status, shown), (200, expected), "{scope}");
        // The directory can't change what the token says of its user.
        assert_eq!(claims["sub"], "MOCK_USER_ID");
    }
}

/// A directory that records the requests for claims, and shows each client only the claims that are meant for it.
struct Discreet {
    inner: MemoryDirectory,
    asked: Arc<Mutex<Vec<[String; 3]>>>,
    fails: Arc<AtomicBool>,
}

impl ClientRegistry for Discreet {
    type Error = EntropyUnavailable;

    async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, EntropyUnavailable> {
        self.inner.client(id).await
    }

    async fn auth_source(&self, id: &AuthSourceId) -> Result<Option<Arc<AuthSource>>, EntropyUnavailable> {
        self.inner.auth_source(id).await
    }
}

impl UserStore for Discreet {
    type Error = EntropyUnavailable;

    async fn user_by_address(&self, address: &Address) -> Result<Option<User>, EntropyUnavailable> {
        self.inner.user_by_address(address).await
    }

    async fn user_by_subject(&self, subject: &Subject) -> Result<Option<User>, EntropyUnavailable> {
        self.inner.user_by_subject(subject).await
    }

    async fn user_claims(
        &self,
        subject: &Subject,
        client: &ClientId,
        scope: &Scope,
    ) -> Result<UserClaims, EntropyUnavailable> {
        let asked = [subject.as_str(), client.as_str(), scope.as_str()].map(str::to_owned);
        self.asked.lock().unwrap().push(asked);
        if self.fails.load(SeqCst) {
            return Err(EntropyUnavailable);
        }
        Ok(UserClaims::new().with("seen_by", client.as_str()))
    }

    async fn sign_up(&self, address: &Address) -> Result<SignUp, EntropyUnavailable> {
        self.inner.sign_up(address).await
    }
}

#[tokio::test]
async fn the_directory_is_told_which_client_asks_and_for_what() {
    const KEY: &str = include_str!("../keys/ed25519_pkcs8.pem");
    for profile in [AccessTokenProfile::Jwt, AccessTokenProfile::Rfc9068 { audience: "https://api.example".into() }] {
        let settings = || settings(|s| s.access_token_profile = profile.clone());
        let host = Host::with_key(settings(), SigningKey::from_pem(KEY).unwrap());
        let (asked, fails) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let directory = Discreet { inner: sample_directory(), asked: Arc::clone(&asked), fails: Arc::clone(&fails) };
        let issuer = Issuer::new(ISSUER).unwrap();
        let server = AuthorizationServer::builder(issuer, keyring(), SigningKey::from_pem(KEY).unwrap())
            .settings(settings())
            .clock(host.clock.clone())
            .build(host.store.clone(), directory)
            .unwrap();
        let clients = [("TENANT_CLIENT_ID", json!("TENANT_CLIENT_SECRET")), ("TENANT_SPA_CLIENT_ID", Value::Null)];
        for (client, secret) in clients {
            let send = but(&sms_send(PHONE), json!({ "client_id": client, "client_secret": secret }));
            let said = host.log_in_by(&send, json!({ "scope": "email openid" })).await;
            let bearer = format!("Bearer {}", text(&said, "access_token"));
            let request = || Post { content_type: None, authorization: Some(&bearer), body: b"" };
            let body = format!(r#"{{"sub":"MOCK_USER_ID","seen_by":"{client}"}}"#);
            assert_reply(&server.post_userinfo(request()).await, 200, &body, &[]);
            assert_eq!(asked.lock().unwrap().pop().unwrap(), ["MOCK_USER_ID", client, "email openid"]);
            // Without the directory's answer the server gives no answer, rather than an incomplete one.
            fails.store(true, SeqCst);
            assert_reply(&server.post_userinfo(request()).await, 503, UNAVAILABLE, &[]);
            fails.store(false, SeqCst);
        }
    }
}

#[tokio::test]
async fn both_profiles_of_access_tokens_are_read_the_same() {
    let api = AccessTokenProfile::Rfc9068 { audience: "https://api.example.com".to_owned() };
    let host = Host::with(settings(|s| s.access_token_profile = api));
    for (scope, status) in [("openid profile", 200), ("profile", 403)] {
        let said = host.log_in(json!({ "scope": scope })).await;
        let reply = host.userinfo(text(&said, "access_token")).await;
        assert_eq!((reply.status(), read(&reply).1.get("name").is_some()), (status, status == 200));
        if let Some(id_token) = said["id_token"].as_str() {
            assert_invalid_token(&host.userinfo(id_token).await);
        }
    }
    // A token of the other profile is not accepted.
    assert_invalid_token(&host.userinfo(&logged_in("openid").await.1).await);
}

#[tokio::test]
async fn a_store_or_directory_that_fails_is_a_503_and_nothing_is_lost() {
    let (host, token) = logged_in("openid").await;
    for fault in [Mishap::FailBefore, Mishap::FailAfter] {
        host.store.fault(0, fault);
        assert_reply(&host.userinfo(&token).await, 503, UNAVAILABLE, &[]);
        assert_reply(&host.userinfo(&token).await, 200, SUB_ONLY, &[]);
    }
    host.directory.down.store(true, SeqCst);
    assert_reply(&host.userinfo(&token).await, 503, UNAVAILABLE, &[]);
    host.directory.down.store(false, SeqCst);

    host.directory.calls.lock().unwrap().clear();
    let (calls, reply) = host.store_calls(host.userinfo(&token)).await;
    assert_reply(&reply, 200, SUB_ONLY, &[]);
    assert_eq!((calls, host.directory.calls.lock().unwrap().as_slice()), (1, &["user_by_subject", "user_claims"][..]));
}

#[tokio::test]
async fn nothing_that_was_sent_comes_back() {
    const MARK: &str = "zzMARKzz";
    let host = Host::new();
    let requests = [
        (None, Some(format!("Bearer {MARK}")), String::new()),
        (None, Some(format!("Bearer {MARK}\", x=\"{MARK}")), String::new()),
        (None, Some(format!("{MARK} {MARK}")), String::new()),
        (FORM, None, format!("access_token={MARK}")),
        (FORM, None, format!("{MARK}={MARK}&{MARK}=1")),
        (FORM, None, format!("access_token={MARK}&access_token={MARK}")),
        (FORM, None, format!("access_token=%zz{MARK}")),
        (FORM, Some(format!("Bearer {MARK}")), format!("access_token={MARK}")),
        (Some(MARK), None, MARK.to_owned()),
    ];
    for (content_type, authorization, body) in requests {
        let reply = ask(&host, content_type, authorization.as_deref(), &body).await;
        assert!(matches!(reply.status(), 400 | 401));
        let said = reply.headers().map(|(name, value)| format!("{name}: {value}\n")).collect::<String>();
        assert!(!format!("{said}{}", String::from_utf8_lossy(reply.body())).contains(MARK));
    }
}
