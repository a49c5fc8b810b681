//! Conditions of the OpenID and FAPI conformance suites, under the names of their modules, each with its negative
//! twins. Each check is a function that returns what is wrong. Its twins show that it can fail.
//!
//! These modules do not apply, because there is no authorization endpoint and no token is bound to a key or a
//! certificate:
//! - All modules that begin at the authorization endpoint (`oidcc-server`, `oidcc-prompt-*`, `oidcc-max-age-*`,
//!   `-nonce`, `-redirect-uri`, `-request-uri`, PKCE, PAR), and dynamic registration. A code that was sent takes their
//!   place.
//! - Of `oidcc-discovery-endpoint-verification`: `authorization_endpoint`, `registration_endpoint`, and that
//!   `response_types_supported` has `code` or `id_token`. No grant of the server has a response type.
//! - Of `oidcc-refresh-token`: the nonce of ID tokens, which comes with an authorization request, and `at_hash`, which
//!   is optional here.
//! - Of `oidcc-server-rotate-keys`: the request to the tester to rotate by hand. The other process below has rotated.
//! - Of `fapi2-security-profile-final-refresh-token`: DPoP and mTLS sender constraint, `private_key_jwt` and client
//!   attestation, and encrypted ID tokens.
//! - Signed userinfo (`oidcc-userinfo-rs256`): userinfo is JSON, and the metadata name no other form.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use otp_grant::directory::UserClaims;
use otp_grant::jwt::{PublicKeySet, SigningKeys, jws};
use otp_grant::*;
use otp_grant_tests::*;
use serde_json::{Value, json};

const RSA: &str = include_str!("../keys/rsa2048_pkcs8.pem");
const P256: &str = include_str!("../keys/es256_pkcs8.pem");
const UNKNOWN: &str = r#"{"error":"invalid_grant","error_description":"Unknown or expired refresh_token"}"#;

/// A client of the suite, with its credentials.
#[derive(Clone, Copy)]
struct Tester {
    id: &'static str,
    secret: &'static str,
}

const FIRST: Tester = Tester { id: "TENANT_CLIENT_ID", secret: "TENANT_CLIENT_SECRET" };
const STABLE: Tester = Tester { id: "STABLE_CLIENT_ID", secret: "STABLE_CLIENT_ID_SECRET" };
const SIXTY_SECONDS: Tester = Tester { id: "SIXTY_SECONDS_CLIENT_ID", secret: "SIXTY_SECONDS_CLIENT_ID_SECRET" };

impl Tester {
    async fn log_in(self, host: &Host, scope: &str) -> Value {
        let owner = json!({ "client_id": self.id, "client_secret": self.secret });
        host.log_in_by(&but(&sms_send(PHONE), owner), json!({ "scope": scope })).await
    }

    async fn refresh(self, host: &Host, refresh_token: &str) -> Reply {
        let parameters = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        let body = form(&parameters, &[("client_id", self.id), ("client_secret", self.secret)]);
        host.server.post_token(form_request(&body, None)).await
    }
}

/// A host as the suite requires it: OpenID Connect requires RS256 of every provider.
fn provider() -> Host {
    Host::with_key(Settings::default(), SigningKey::from_pem(RSA).unwrap())
}

type Condition = Result<(), String>;

fn ensure(holds: bool, what: &str) -> Condition {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// How many bits of information a text's characters carry: Shannon's estimate from their frequencies in the text.
fn entropy_bits(text: &str) -> f64 {
    let len = text.len() as f64;
    let counts = text.chars().collect::<BTreeSet<_>>().into_iter().map(|c| text.matches(c).count() as f64 / len);
    counts.map(|share| -share * share.log2()).sum::<f64>() * len
}

fn ensure_unguessable(token: &str) -> Condition {
    ensure(token.len() * 8 >= 128, "MinimumLength")?;
    ensure(entropy_bits(token) > 96.0, "MinimumEntropy")
}

fn ensure_token_response(reply: &Reply) -> Condition {
    let header = |name| reply.header(name).unwrap_or_default();
    ensure(reply.status() == 200, "CheckTokenEndpointHttpStatus200")?;
    ensure(header("Content-Type").starts_with("application/json"), "CheckTokenEndpointReturnedJsonContentType")?;
    ensure(header("Cache-Control").contains("no-store"), "CheckTokenEndpointCacheHeaders")?;
    ensure(header("Pragma") == "no-cache", "CheckTokenEndpointCacheHeaders")?;
    let (_, said) = read(reply);
    ensure(said["token_type"].as_str().is_some_and(|t| t.eq_ignore_ascii_case("Bearer")), "CheckTokenTypeIsBearer")?;
    let access_token = said["access_token"].as_str().unwrap_or_default();
    let is_b64token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    ensure(access_token.bytes().all(is_b64token), "EnsureAccessTokenContainsAllowedCharactersOnly")?;
    ensure_unguessable(access_token)?;
    ensure(said["expires_in"].as_u64().is_some_and(|secs| secs > 0), "ValidateExpiresIn")?;
    let refresh_token = said["refresh_token"].as_str().ok_or("CheckForRefreshTokenValue")?;
    ensure(refresh_token.bytes().all(|byte| matches!(byte, b' '..=b'~')), "RefreshTokenVSCHAR")?;
    ensure_unguessable(refresh_token)
}

/// The requirements of OpenID Connect Core section 12.2 on the ID token of a refresh.
fn compare_id_token_claims(first: &Value, second: &Value) -> Condition {
    for name in ["iss", "sub", "aud", "auth_time", "azp"] {
        ensure(first.get(name) == second.get(name), name)?;
    }
    ensure(second["iat"].is_u64() && first["iat"] != second["iat"], "iat")
}

/// Runs the module for one client, and returns the answers to the login and to the refresh.
async fn oidcc_refresh_token_as(tester: Tester, host: &Host) -> [Value; 2] {
    let (_, metadata) = read(&host.server.get_openid_configuration());
    assert!(metadata["grant_types_supported"].as_array().unwrap().contains(&json!("refresh_token")));
    let first = tester.log_in(host, "openid offline_access").await;
    host.advance(secs(1));
    let reply = tester.refresh(host, text(&first, "refresh_token")).await;
    assert_eq!(ensure_token_response(&reply), Ok(()));
    let (_, second) = read(&reply);
    assert_ne!(first["access_token"], second["access_token"]);
    let keys = PublicKeySet::from_json(host.server.get_jwks().body()).unwrap();
    let id_tokens = [&first, &second].map(|said| {
        let verified = jws::verify(text(said, "id_token"), &keys).unwrap();
        serde_json::from_slice::<Value>(verified.payload()).unwrap()
    });
    assert_eq!(compare_id_token_claims(&id_tokens[0], &id_tokens[1]), Ok(()));
    assert_eq!(host.userinfo(text(&second, "access_token")).await.status(), 200);
    [first, second]
}

/// Client 1 presents the refresh token of client 2 with its own authentication. Client 2 loses nothing.
async fn refuses_the_refresh_token_of_client_2(tester: Tester, host: &Host) {
    for stranger in [FIRST, STABLE, SIXTY_SECONDS].into_iter().filter(|stranger| stranger.id != tester.id) {
        let said = stranger.log_in(host, "openid").await;
        assert_reply(&tester.refresh(host, text(&said, "refresh_token")).await, 400, UNKNOWN, &[]);
        assert_eq!(stranger.refresh(host, text(&said, "refresh_token")).await.status(), 200);
    }
}

/// The negative twins of a refresh. None of them ends the session of the rightful client.
async fn refuses_what_is_not_the_clients_refresh_token(tester: Tester, host: &Host, refresh_token: &str) {
    let with_secret = |secret| Tester { secret, ..tester };
    for secret in ["WRONG", "TENANT_CLIENT_SECRET ", "", SIXTY_SECONDS.id] {
        let reply = with_secret(secret).refresh(host, refresh_token).await;
        assert_reply(&reply, 401, r#"{"error":"invalid_client"}"#, &[]);
    }
    for stranger in [FIRST, STABLE, SIXTY_SECONDS].iter().filter(|stranger| stranger.id != tester.id) {
        assert_reply(&stranger.refresh(host, refresh_token).await, 400, UNKNOWN, &[]);
    }
    for at in [0, 1, 7, 50, 64, 100, 127] {
        let other = if refresh_token.as_bytes()[at] == b'A' { 'B' } else { 'A' };
        let altered = format!("{}{other}{}", &refresh_token[..at], &refresh_token[at + 1..]);
        assert_reply(&tester.refresh(host, &altered).await, 400, UNKNOWN, &[]);
    }
    assert_reply(&tester.refresh(host, &refresh_token[1..]).await, 400, UNKNOWN, &[]);
    let (status, said) = read(&tester.refresh(host, refresh_token).await);
    assert_eq!(status, 200, "{said}");
    host.advance(secs(14 * 24 * 60 * 60));
    assert_reply(&tester.refresh(host, text(&said, "refresh_token")).await, 400, UNKNOWN, &[]);
}

#[tokio::test]
async fn oidcc_refresh_token() {
    for tester in [FIRST, STABLE, SIXTY_SECONDS] {
        let host = provider();
        let [first, second] = oidcc_refresh_token_as(tester, &host).await;
        refuses_the_refresh_token_of_client_2(tester, &host).await;
        // The public answer of another endpoint does not pass. Changed claims do not pass either.
        assert_eq!(ensure_token_response(&host.server.get_jwks()), Err("CheckTokenEndpointCacheHeaders".to_owned()));
        let [first, mut claims] = [&first, &second].map(|said| payload(text(said, "id_token")));
        for (name, value) in [("aud", json!(["TENANT_CLIENT_ID"])), ("azp", Value::Null), ("iat", first["iat"].clone())]
        {
            let kept = claims[name].take();
            claims[name] = value;
            assert_eq!(compare_id_token_claims(&first, &claims), Err(name.to_owned()));
            claims[name] = kept;
        }
    }
}

#[tokio::test]
async fn oidcc_refresh_token_negative() {
    for tester in [FIRST, STABLE, SIXTY_SECONDS] {
        let host = provider();
        let [_, second] = oidcc_refresh_token_as(tester, &host).await;
        refuses_what_is_not_the_clients_refresh_token(tester, &host, text(&second, "refresh_token")).await;
    }
}

#[tokio::test]
async fn fapi2_security_profile_final_refresh_token() {
    // FAPI 2.0 section 5.3.2.1 forbids rotation except in extraordinary circumstances. The old token must then work for
    // as long as a retry takes. The suite waits for 30 seconds.
    for (tester, rotates) in [(STABLE, false), (SIXTY_SECONDS, true)] {
        let host = provider();
        let [first, second] = oidcc_refresh_token_as(tester, &host).await;
        assert_eq!(first["refresh_token"] != second["refresh_token"], rotates);
        host.advance(secs(30));
        let reply = tester.refresh(&host, text(&first, "refresh_token")).await;
        assert_eq!(ensure_token_response(&reply), Ok(()));
        let (_, again) = read(&reply);
        assert_eq!(again["refresh_token"], second["refresh_token"]);
        assert_eq!(host.userinfo(text(&again, "access_token")).await.status(), 200);
        refuses_the_refresh_token_of_client_2(tester, &host).await;
    }
}

#[tokio::test]
async fn fapi2_security_profile_final_refresh_token_negative() {
    for tester in [STABLE, SIXTY_SECONDS] {
        let host = provider();
        let said = tester.log_in(&host, "openid").await;
        refuses_what_is_not_the_clients_refresh_token(tester, &host, text(&said, "refresh_token")).await;
    }
    // The window ends, and a replay after it ends the session. Without rotation no use is a replay.
    for (tester, wait, after) in [(SIXTY_SECONDS, 60_000, 400), (SIXTY_SECONDS, 59_999, 200), (STABLE, 86_400_000, 200)]
    {
        let host = provider();
        let first = tester.log_in(&host, "openid").await;
        let (_, second) = read(&tester.refresh(&host, text(&first, "refresh_token")).await);
        host.advance(Duration::from_millis(wait));
        assert_eq!(tester.refresh(&host, text(&first, "refresh_token")).await.status(), after, "{wait}");
        assert_eq!(tester.refresh(&host, text(&second, "refresh_token")).await.status(), after, "{wait}");
    }
    // The suite would notice a client whose window is shorter than its wait.
    let host = provider();
    let first = FIRST.log_in(&host, "openid").await;
    assert_eq!(FIRST.refresh(&host, text(&first, "refresh_token")).await.status(), 200);
    host.advance(secs(30));
    assert_reply(&FIRST.refresh(&host, text(&first, "refresh_token")).await, 400, UNKNOWN, &[]);
}

/// The suite's requirements on any key set: `ValidateServerJWKs` and its neighbours.
fn ensure_key_set(set: &Value) -> Condition {
    let keys = set["keys"].as_array().filter(|keys| !keys.is_empty()).ok_or("keys")?;
    let mut names = BTreeSet::new();
    for key in keys {
        let needed: &[&str] = match key["kty"].as_str() {
            Some("RSA") => &["e", "n"],
            Some("EC") => &["x", "y"],
            Some("OKP") => &["x"],
            _ => return Err("kty".to_owned()),
        };
        for name in needed {
            let bytes = key[name].as_str().and_then(|text| BASE64URL.decode(text).ok());
            ensure(bytes.is_some_and(|bytes| !bytes.is_empty()), name)?;
        }
        ensure(names.insert(key["kid"].as_str().ok_or("kid")?), "distinct kid")?;
        let secret = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].into_iter().find(|name| key.get(name).is_some());
        ensure(secret.is_none(), "EnsureServerJwksDoesNotContainPrivateOrSymmetricKeys")?;
    }
    Ok(())
}

/// The suite's requirements on a key set after a rotation, compared with the set before it.
fn ensure_rotated(before: &Value, after: &Value) -> Condition {
    ensure_key_set(before)?;
    ensure_key_set(after)?;
    let known = |name: &str, key: &Value| before["keys"].as_array().unwrap().iter().any(|old| old[name] == key[name]);
    let keys = after["keys"].as_array().unwrap().iter().filter(|key| key["use"] == "sig");
    let (old, new): (Vec<&Value>, Vec<&Value>) = keys.partition(|key| known("kid", key));
    let material = |key: &&Value| known(if key["kty"] == "RSA" { "n" } else { "x" }, key);
    ensure(!new.is_empty(), "VerifyNewJwksHasNewSigningKey")?;
    ensure(!new.iter().any(material), "the new key is an old one under another name")?;
    ensure(!old.is_empty(), "VerifyNewJwksStillHasOldSigningKey")
}

#[tokio::test]
async fn oidcc_server_rotate_keys() {
    let key = |pem| SigningKey::from_pem(pem).unwrap();
    let ed25519 = || key(include_str!("../keys/ed25519_pkcs8.pem"));
    for (old, new) in [(key(RSA), key(P256)), (key(P256), ed25519()), (ed25519(), key(RSA))] {
        let old_key = old.public_key().clone();
        let host = Host::with_key(Settings::default(), old);
        let said = FIRST.log_in(&host, "openid").await;
        let kid = new.key_id().to_owned();
        let rotated = SigningKeys::new(new).publishing(old_key).unwrap();
        let after = host.beside(Settings::default(), rotated, keyring());
        let sets = [&host, &after].map(|host| read(&host.server.get_jwks()).1);
        assert_eq!(ensure_rotated(&sets[0], &sets[1]), Ok(()));
        // The new key signs, and the signatures of the old key still count.
        let (_, refreshed) = after.refresh(text(&said, "refresh_token")).await;
        let header = text(&refreshed, "id_token").split('.').next().unwrap();
        let header: Value = serde_json::from_slice(&BASE64URL.decode(header).unwrap()).unwrap();
        assert_eq!(header["kid"], kid);
        assert_eq!(after.userinfo(text(&said, "access_token")).await.status(), 200);
        assert_eq!(after.userinfo(text(&refreshed, "access_token")).await.status(), 200);
    }
}

#[test]
fn oidcc_server_rotate_keys_negative() {
    let set = |keys: SigningKeys| -> Value { serde_json::from_str(&keys.key_set().to_json()).unwrap() };
    let old = || SigningKey::from_pem(RSA).unwrap();
    let before = set(old().into());
    let says = |after: SigningKeys, what: &str| assert_eq!(ensure_rotated(&before, &set(after)), Err(what.to_owned()));
    says(old().into(), "VerifyNewJwksHasNewSigningKey");
    says(SigningKey::from_pem(P256).unwrap().into(), "VerifyNewJwksStillHasOldSigningKey");
    let renamed = old().with_key_id("renamed").unwrap();
    says(renamed.into(), "the new key is an old one under another name");
    for (name, value, what) in [
        ("d", json!("AQAB"), "EnsureServerJwksDoesNotContainPrivateOrSymmetricKeys"),
        ("kid", Value::Null, "kid"),
        ("kty", json!("oct"), "kty"),
        ("e", json!("AQAB="), "e"),
        ("n", json!("+/"), "n"),
    ] {
        let mut altered = before.clone();
        altered["keys"][0][name] = value;
        assert_eq!(ensure_key_set(&altered), Err(what.to_owned()));
    }
}

/// The conditions on the document at a URL of the issuer.
fn ensure_provider_metadata(url: &str, reply: &Reply) -> Condition {
    ensure(reply.status() == 200, "EnsureDiscoveryEndpointResponseStatusCodeIs200")?;
    ensure(reply.header("Content-Type").unwrap_or_default().starts_with("application/json"), "JsonContentType")?;
    ensure_metadata(url, &read(reply).1)
}

fn ensure_metadata(url: &str, metadata: &Value) -> Condition {
    let issuer = url.strip_suffix("/.well-known/openid-configuration").ok_or("the URL of the document")?;
    ensure(metadata["issuer"] == issuer, "CheckDiscEndpointIssuer")?;
    let has = |name: &str, value: &str| metadata[name].as_array().is_some_and(|all| all.contains(&json!(value)));
    for name in ["token_endpoint", "jwks_uri", "userinfo_endpoint"] {
        ensure(metadata[name].as_str().is_some_and(|url| url.starts_with("https://")), name)?;
    }
    let endpoints = metadata.as_object().into_iter().flatten().filter(|(name, _)| name.ends_with("_endpoint"));
    let mut urls = endpoints.map(|(_, url)| url.as_str().unwrap_or_default());
    ensure(urls.all(|url| url.starts_with("https://")), "CheckDiscEndpointAllEndpointsAreHttps")?;
    ensure(has("subject_types_supported", "public") || has("subject_types_supported", "pairwise"), "subject_types")?;
    ensure(has("id_token_signing_alg_values_supported", "RS256"), "id_token_signing_alg_values_supported")?;
    ensure(has("scopes_supported", "openid"), "scopes_supported")?;
    ensure(metadata["claims_supported"].is_array(), "claims_supported")?;
    ensure(metadata["grant_types_supported"].as_array().is_some_and(|all| !all.is_empty()), "grant_types_supported")
}

#[test]
fn oidcc_discovery_endpoint_verification() {
    let host = provider();
    let url = format!("{ISSUER}{}", host.server.issuer().openid_configuration_path());
    assert_eq!(ensure_provider_metadata(&url, &host.server.get_openid_configuration()), Ok(()));

    // With a path in the issuer, and with an RS256 key that is still published and no longer signs.
    let issuer = Issuer::new("https://login.example.com/tenant").unwrap();
    let old = SigningKey::from_pem(RSA).unwrap().public_key().clone();
    let keys = SigningKeys::new(SigningKey::from_pem(P256).unwrap()).publishing(old).unwrap();
    let server = AuthorizationServer::builder(issuer.clone(), keyring(), keys)
        .build(MemoryStore::new(), MemoryDirectory::new())
        .unwrap();
    let url = format!("https://login.example.com{}", issuer.openid_configuration_path());
    assert_eq!(ensure_provider_metadata(&url, &server.get_openid_configuration()), Ok(()));
}

#[test]
fn oidcc_discovery_endpoint_verification_negative() {
    let host = provider();
    let url = format!("{ISSUER}/.well-known/openid-configuration");
    let (_, metadata) = read(&host.server.get_openid_configuration());
    for (name, value, what) in [
        ("issuer", json!(format!("{ISSUER}/")), "CheckDiscEndpointIssuer"),
        ("jwks_uri", json!("http://sample.portal.example.com/jwks"), "jwks_uri"),
        ("otp_send_endpoint", json!("http://sample.portal.example.com"), "CheckDiscEndpointAllEndpointsAreHttps"),
        ("userinfo_endpoint", Value::Null, "userinfo_endpoint"),
        ("scopes_supported", json!(["profile"]), "scopes_supported"),
        ("grant_types_supported", json!([]), "grant_types_supported"),
    ] {
        assert_eq!(ensure_metadata(&url, &but(&metadata, json!({ name: value }))), Err(what.to_owned()));
    }
    // Without an RS256 key the document would not pass, as the documentation says.
    let reply = Host::new().server.get_openid_configuration();
    let said = ensure_provider_metadata(&url, &reply);
    assert_eq!(said, Err("id_token_signing_alg_values_supported".to_owned()));
}

#[tokio::test]
async fn oidcc_server_client_secret_post() {
    let host = provider();
    let (_, metadata) = read(&host.server.get_openid_configuration());
    let methods = metadata["token_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(methods.contains(&json!("client_secret_post")));
    let said = FIRST.log_in(&host, "openid").await;
    let reply = FIRST.refresh(&host, text(&said, "refresh_token")).await;
    assert_eq!(ensure_token_response(&reply), Ok(()));
    refuses_what_is_not_the_clients_refresh_token(FIRST, &host, text(&read(&reply).1, "refresh_token")).await;
}

fn ensure_userinfo(reply: &Reply, id_token: &Value) -> Condition {
    ensure(reply.status() == 200, "EnsureUserInfoStatus200")?;
    ensure(reply.header("Content-Type").unwrap_or_default().starts_with("application/json"), "JsonContentType")?;
    let (_, claims) = read(reply);
    ensure(claims["sub"].is_string() && claims["sub"] == id_token["sub"], "VerifyUserInfoAndIdTokenSameSub")?;
    let texts = ["name", "email", "phone_number", "picture", "locale", "birthdate", "zoneinfo", "website", "gender"];
    for (name, value) in claims.as_object().unwrap() {
        let is_typed = match name.as_str() {
            name if texts.contains(&name) => value.as_str().is_some_and(|text| !text.is_empty()),
            "email_verified" | "phone_number_verified" => value.is_boolean(),
            "updated_at" => value.is_number(),
            "address" => value.is_object(),
            _ => true,
        };
        ensure(is_typed, &format!("ValidateUserInfoStandardClaims: {name}"))?;
    }
    Ok(())
}

/// The three ways to present an access token. Each has one module, with its twins.
async fn oidcc_userinfo(present: impl Fn(&str) -> (Option<String>, Option<String>)) {
    let host = provider();
    let ask = async |token: &str| {
        let (authorization, form) = present(token);
        let content_type = form.as_ref().map(|_| "application/x-www-form-urlencoded");
        let body = form.unwrap_or_default();
        let authorization = authorization.as_deref();
        host.server.post_userinfo(Post { content_type, authorization, body: body.as_bytes() }).await
    };
    let updated = UserClaims::new().with("name", "Mock User").with("updated_at", START).with("email_verified", true);
    host.directory.inner.put_claims(Subject::new("MOCK_USER_ID").unwrap(), updated.with("email", EMAIL));
    let said = FIRST.log_in(&host, "openid profile email").await;
    let (token, id_token) = (text(&said, "access_token"), payload(text(&said, "id_token")));
    let reply = ask(token).await;
    assert_eq!(ensure_userinfo(&reply, &id_token), Ok(()));
    assert_eq!(read(&reply).1.as_object().unwrap().len(), 5);
    let other = json!({ "sub": "SOMEBODY_ELSE" });
    assert_eq!(ensure_userinfo(&reply, &other), Err("VerifyUserInfoAndIdTokenSameSub".to_owned()));

    let altered = format!("{}x", &token[..token.len() - 1]);
    let stranger = provider_of_another_key().await;
    for bad in ["x", &altered, text(&said, "id_token"), text(&said, "refresh_token"), &stranger] {
        assert_eq!(ask(bad).await.status(), 401);
    }
    assert_eq!(ask("").await.status(), 400);
    host.advance(secs(300));
    assert_eq!(ask(token).await.status(), 401);
}

async fn provider_of_another_key() -> String {
    text(&FIRST.log_in(&Host::new(), "openid").await, "access_token").to_owned()
}

#[tokio::test]
async fn oidcc_userinfo_get() {
    oidcc_userinfo(|token| (Some(format!("Bearer {token}")), None)).await;
}

#[tokio::test]
async fn oidcc_userinfo_post_header() {
    oidcc_userinfo(|token| (Some(format!("Bearer {token}")), Some(String::new()))).await;
}

#[tokio::test]
async fn oidcc_userinfo_post_body() {
    oidcc_userinfo(|token| (None, Some(format!("access_token={token}")))).await;
}
