//! Clients that authenticate by assertions (`private_key_jwt`, RFC 7523): each rule of an assertion, that it is used
//! once, and what it costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use base64::{Engine, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use futures::future::join_all;
use otp_grant::directory::{AuthMethodMismatch, ClientAuthMethod, UnknownAuthMethod};
use otp_grant::jwt::{KeyError, PublicKey, PublicKeySet};
use otp_grant::settings::{EMAIL_GRANT_TYPE, SMS_GRANT_TYPE};
use otp_grant::store::Swap;
use otp_grant::time::{Clock, Timestamp};
use otp_grant::*;
use otp_grant_tests::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

const KEYED: &str = "KEYED_CLIENT_ID";
/// A client with a key of each kind. Its assertions must say which key they are by.
const MANY_KEYS: &str = "MANY_KEYS_CLIENT_ID";
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const ED25519: &str = include_str!("../keys/ed25519_pkcs8.pem");
const ES256: &str = include_str!("../keys/es256_other_pkcs8.pem");
const RSA: &str = include_str!("../keys/rsa2048_pkcs8.pem");

fn der(pem: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap()
}

fn public(pem: &str) -> PublicKey {
    SigningKey::from_pem(pem).unwrap().public_key().clone()
}

fn public_with_id(pem: &str, id: &str) -> PublicKey {
    SigningKey::from_pem(pem).unwrap().with_key_id(id).unwrap().public_key().clone()
}

fn client(client: Client) -> Client {
    client
        .with_auth_source(AuthSourceId::new(SMS_SOURCE).unwrap())
        .with_auth_source(AuthSourceId::new("MOCK_EMAIL_OTP_AUTH_SOURCE_ID").unwrap())
}

fn keyed(id: &str, keys: impl IntoIterator<Item = PublicKey>) -> Client {
    client(Client::private_key_jwt(ClientId::new(id).unwrap(), PublicKeySet::new(keys).unwrap()).unwrap())
}

fn directory() -> MemoryDirectory {
    let pinned = |id: &str, method| {
        let secret = ClientSecret::digest("PINNED_SECRET");
        client(Client::confidential(ClientId::new(id).unwrap(), secret)).with_auth_method(method).unwrap()
    };
    sample_directory()
        .with_client(keyed(KEYED, [public(ED25519)]))
        .with_client(keyed(
            MANY_KEYS,
            [public_with_id(ED25519, "ed"), public_with_id(ES256, "ec"), public_with_id(RSA, "rsa")],
        ))
        .with_client(keyed("KEYED_TWIN", [public(ED25519)]))
        .with_client(keyed("KEYED_WITHOUT_GRANTS", [public(ED25519)]).with_grants([]))
        .with_client(pinned("BASIC_ONLY", ClientAuthMethod::ClientSecretBasic))
        .with_client(pinned("POST_ONLY", ClientAuthMethod::ClientSecretPost))
}

fn on() -> Settings {
    settings(|settings| settings.client_assertions = true)
}

fn host() -> Host {
    Host::with_directory(on(), signing_key(), directory())
}

/// The claims of a good assertion. Each has a `jti` of its own.
fn claims(host: &Host) -> Value {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = host.clock.now().as_unix_secs();
    let id = format!("assertion {}", NEXT.fetch_add(1, SeqCst));
    json!({ "iss": KEYED, "sub": KEYED, "aud": ISSUER, "exp": now + 60, "iat": now, "jti": id })
}

fn signed_by(pem: &str, header: &Value, payload: impl AsRef<[u8]>) -> String {
    let signed = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(payload));
    let (der, random) = (der(pem), SystemRandom::new());
    let signature = match pem {
        ES256 => {
            let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der, &random).unwrap();
            key.sign(&random, signed.as_bytes()).unwrap().as_ref().to_vec()
        }
        RSA => {
            let key = RsaKeyPair::from_pkcs8(&der).unwrap();
            let mut signature = vec![0; key.public().modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
            signature
        }
        _ => Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap().sign(signed.as_bytes()).as_ref().to_vec(),
    };
    format!("{signed}.{}", BASE64URL.encode(signature))
}

fn sign(claims: &Value) -> String {
    signed_by(ED25519, &json!({ "alg": "EdDSA" }), claims.to_string())
}

fn good(host: &Host) -> String {
    sign(&claims(host))
}

/// The members by which a client authenticates.
fn members(assertion: &str) -> Vec<(&str, &str)> {
    vec![("client_assertion_type", TYPE), ("client_assertion", assertion)]
}

fn urlencoded(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

async fn introspect_with(host: &Host, parameters: &[(&str, &str)], authorization: Option<&str>) -> Reply {
    let body = urlencoded(&[&[("token", "unknown")], parameters].concat());
    host.server.post_introspect(form_request(&body, authorization)).await
}

/// Asks about a token that nobody knows. The answer says whether the client was authenticated, and nothing else.
async fn present(host: &Host, assertion: &str) -> (u16, Value) {
    read(&introspect_with(host, &members(assertion), None).await)
}

fn authenticated() -> (u16, Value) {
    (200, json!({ "active": false }))
}

fn refused() -> (u16, Value) {
    error(401, "invalid_client", "")
}

async fn is_good(host: &Host, changes: Value) -> bool {
    let changed = but(&claims(host), changes);
    let answer = present(host, &sign(&changed)).await;
    assert!(answer == authenticated() || answer == refused(), "{answer:?}");
    answer == authenticated()
}

/// Sends a code with an assertion, and returns the body of the grant without an assertion.
async fn ready_grant(host: &Host) -> Value {
    let send = json!({
        "client_assertion_type": TYPE, "client_assertion": good(host),
        "auth_source_id": SMS_SOURCE, "phone_number": PHONE,
    });
    let sent = host.send(&send).await;
    json!({
        "grant_type": SMS_GRANT_TYPE, "auth_source_id": SMS_SOURCE, "phone_number": PHONE,
        "otp_token": sent.otp_token, "otp": sent.code,
    })
}

fn with_assertion(body: &Value, assertion: &str) -> Value {
    but(body, json!({ "client_assertion_type": TYPE, "client_assertion": assertion }))
}

#[tokio::test]
async fn a_client_with_a_key_uses_every_endpoint() {
    let host = host();
    let grant = ready_grant(&host).await;
    let (status, tokens) = host.token(&with_assertion(&grant, &good(&host))).await;
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(payload(text(&tokens, "access_token"))["aud"], KEYED);

    let (first, second) = (good(&host), good(&host));
    let token = text(&tokens, "refresh_token");
    let refresh = [&[("grant_type", "refresh_token"), ("refresh_token", token)], &*members(&first)].concat();
    let (status, tokens) = read(&host.server.post_token(form_request(&urlencoded(&refresh), None)).await);
    assert_eq!(status, 200, "{tokens}");

    let token = text(&tokens, "refresh_token");
    let introspect = [&[("token", token)], &*members(&second)].concat();
    let (status, told) = read(&host.server.post_introspect(form_request(&urlencoded(&introspect), None)).await);
    assert_eq!((status, &told["active"], &told["client_id"]), (200, &json!(true), &json!(KEYED)));

    let assertion = good(&host);
    let revoke = [&[("token", token)], &*members(&assertion)].concat();
    assert_eq!(host.server.post_revoke(form_request(&urlencoded(&revoke), None)).await.status(), 200);
    let assertion = good(&host);
    let introspect = [&[("token", token)], &*members(&assertion)].concat();
    let (_, told) = read(&host.server.post_introspect(form_request(&urlencoded(&introspect), None)).await);
    assert_eq!(told, json!({ "active": false }));
}

#[tokio::test]
async fn a_login_by_mail_takes_an_assertion() {
    let host = host();
    let address = json!({ "auth_source_id": "MOCK_EMAIL_OTP_AUTH_SOURCE_ID", "email": EMAIL });
    let sent = host.send(&with_assertion(&address, &good(&host))).await;
    let grant = but(
        &address,
        json!({ "grant_type": EMAIL_GRANT_TYPE, "otp_token": sent.otp_token, "otp": sent.code, "client_id": KEYED }),
    );
    assert_eq!(host.token(&with_assertion(&grant, &good(&host))).await.0, 200);
}

#[tokio::test]
async fn the_client_is_issuer_and_subject() {
    let host = host();
    for name in ["iss", "sub"] {
        for other in [json!(null), json!("KEYED_TWIN"), json!(CLIENT), json!([KEYED]), json!(1), json!("")] {
            let given = if other.is_null() { json!({ name: null }) } else { json!({ name: other }) };
            assert!(!is_good(&host, given).await, "{name} {other}");
        }
    }
    // The twin has the same key, but says that it is another client.
    assert!(is_good(&host, json!({ "iss": "KEYED_TWIN", "sub": "KEYED_TWIN" })).await);
    assert!(is_good(&host, json!({})).await);
}

#[tokio::test]
async fn an_assertion_for_anything_but_the_issuer_is_refused() {
    let host = host();
    let shapes = [
        json!(format!("{ISSUER}/oauth2/token")),
        json!(format!("{ISSUER}/")),
        json!(ISSUER.to_uppercase()),
        json!("https://other.portal.example.com"),
        json!([ISSUER, "https://other.portal.example.com"]),
        json!([ISSUER, ISSUER]),
        json!([format!("{ISSUER}/oauth2/token")]),
        json!([]),
        json!([[ISSUER]]),
        json!({ "issuer": ISSUER }),
        json!(true),
        json!(""),
        json!(&ISSUER[..ISSUER.len() - 1]),
        json!(KEYED),
    ];
    for audience in shapes {
        assert!(!is_good(&host, json!({ "aud": audience })).await, "{audience}");
    }
    assert!(!is_good(&host, json!({ "aud": null })).await);
    let null = claims(&host).to_string().replace(&format!("\"{ISSUER}\""), "null");
    assert_eq!(present(&host, &signed_by(ED25519, &json!({ "alg": "EdDSA" }), null)).await, refused());
    assert!(is_good(&host, json!({ "aud": [ISSUER] })).await);
    assert!(is_good(&host, json!({ "aud": ISSUER })).await);
}

#[tokio::test]
async fn the_registered_key_decides_the_algorithm() {
    let host = host();
    let of_many = |host: &Host| but(&claims(host), json!({ "iss": MANY_KEYS, "sub": MANY_KEYS })).to_string();
    for (pem, id, algorithm) in [(ED25519, "ed", "EdDSA"), (ES256, "ec", "ES256"), (RSA, "rsa", "RS256")] {
        let header = json!({ "alg": algorithm, "kid": id });
        assert_eq!(present(&host, &signed_by(pem, &header, of_many(&host))).await, authenticated(), "{algorithm}");
        for other in ["none", "HS256", "RS256", "ES256", "EdDSA", "ES384", ""] {
            let header = json!({ "alg": other, "kid": id });
            let expected = if other == algorithm { authenticated() } else { refused() };
            assert_eq!(present(&host, &signed_by(pem, &header, of_many(&host))).await, expected, "{algorithm} {other}");
        }
        // Another key than the named one.
        for other in ["ed", "ec", "rsa", "unknown"].into_iter().filter(|other| *other != id) {
            let header = json!({ "alg": algorithm, "kid": other });
            assert_eq!(present(&host, &signed_by(pem, &header, of_many(&host))).await, refused(), "{id} {other}");
        }
        // A client with several keys must say which.
        let header = json!({ "alg": algorithm });
        assert_eq!(present(&host, &signed_by(pem, &header, of_many(&host))).await, refused(), "{id}");
    }
    // An assertion without a signature.
    let header = BASE64URL.encode(r#"{"alg":"none"}"#);
    let unsigned = format!("{header}.{}.", BASE64URL.encode(claims(&host).to_string()));
    assert_eq!(present(&host, &unsigned).await, refused());
    // The key by its name, where the client has one.
    let header = json!({ "alg": "EdDSA", "kid": public(ED25519).key_id() });
    assert_eq!(present(&host, &signed_by(ED25519, &header, claims(&host).to_string())).await, authenticated());
    let header = json!({ "alg": "EdDSA", "kid": "another" });
    assert_eq!(present(&host, &signed_by(ED25519, &header, claims(&host).to_string())).await, refused());
}

#[tokio::test]
async fn a_key_in_the_header_is_refused_even_where_it_is_the_registered_one() {
    let host = host();
    let jwk = |pem| serde_json::from_str::<Value>(&public(pem).to_jwk()).unwrap();
    // An attacker's key.
    let header = json!({ "alg": "ES256", "jwk": jwk(ES256) });
    assert_eq!(present(&host, &signed_by(ES256, &header, claims(&host).to_string())).await, refused());
    for (name, value) in [
        ("jwk", jwk(ED25519)),
        ("jwk", json!(null)),
        ("jku", json!("https://keys.example.com/jwks")),
        ("x5u", json!("https://keys.example.com/cert")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
        ("crit", json!(["exp"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
    ] {
        let header = json!({ "alg": "EdDSA", name: value });
        assert_eq!(present(&host, &signed_by(ED25519, &header, claims(&host).to_string())).await, refused(), "{name}");
    }
    // A member that means nothing here is ignored (RFC 7515 section 4).
    let header = json!({ "alg": "EdDSA", "cty": "x", "https://example.com/": {} });
    assert_eq!(present(&host, &signed_by(ED25519, &header, claims(&host).to_string())).await, authenticated());
}

#[tokio::test]
async fn the_type_is_of_a_client_authentication_or_of_any_jwt_or_absent() {
    let host = host();
    for (typ, expected) in [
        ("client-authentication+jwt", true),
        ("Client-Authentication+JWT", true),
        ("application/client-authentication+jwt", true),
        ("JWT", true),
        ("jwt", true),
        ("application/jwt", true),
        ("at+jwt", false),
        ("dpop+jwt", false),
        ("client-authentication", false),
        ("text/client-authentication+jwt", false),
        ("application/application/jwt", false),
        (" JWT", false),
        ("", false),
    ] {
        let header = json!({ "alg": "EdDSA", "typ": typ });
        let expected = if expected { authenticated() } else { refused() };
        assert_eq!(present(&host, &signed_by(ED25519, &header, claims(&host).to_string())).await, expected, "{typ:?}");
    }
    let header = json!({ "alg": "EdDSA", "typ": 1 });
    assert_eq!(present(&host, &signed_by(ED25519, &header, claims(&host).to_string())).await, refused());
}

/// Clocks may differ by 5 seconds.
#[tokio::test]
async fn an_assertion_expires_and_lives_for_five_minutes_at_most() {
    let host = host();
    let now = host.clock.now().as_unix_secs();
    for (exp, expected) in [
        (json!(now + 1), true),
        (json!(now + 300), true),
        (json!(now + 305), true),
        (json!(now + 306), false),
        (json!(f64::from(u32::try_from(now).unwrap()) + 305.5), false),
        (json!(f64::from(u32::try_from(now).unwrap()) + 304.5), true),
        (json!(now + 3600), false),
        (json!(u64::MAX), false),
        (json!(1e300), false),
        (json!(now), true),
        (json!(now - 4), true),
        (json!(now - 5), false),
        (json!(now - 3600), false),
        (json!(0), false),
        (json!(-1), false),
        (json!((now + 60).to_string()), false),
        (json!([now + 60]), false),
    ] {
        assert_eq!(is_good(&host, json!({ "exp": exp })).await, expected, "{exp}");
    }
    assert!(!is_good(&host, json!({ "exp": null })).await);
    // To the millisecond.
    let early = sign(&but(&claims(&host), json!({ "exp": now + 60 })));
    host.clock.set(Timestamp::from_unix_millis((now + 65) * 1000 - 1));
    assert_eq!(present(&host, &early).await, authenticated());
    let late = sign(&but(&claims(&host), json!({ "exp": now + 60 })));
    host.advance(std::time::Duration::from_millis(1));
    assert_eq!(present(&host, &late).await, refused());
}

#[tokio::test]
async fn an_assertion_is_refused_before_its_time() {
    let host = host();
    let now = host.clock.now().as_unix_secs();
    for (nbf, expected) in [
        (json!(now - 3600), true),
        (json!(0), true),
        (json!(now), true),
        (json!(now + 5), true),
        (json!(now + 6), false),
        (json!("0"), false),
        (json!(-1), false),
        (json!(false), false),
    ] {
        assert_eq!(is_good(&host, json!({ "nbf": nbf })).await, expected, "{nbf}");
    }
}

#[tokio::test]
async fn the_time_of_issue_is_a_number_and_may_be_absent() {
    let host = host();
    for (iat, expected) in
        [(json!(0), true), (json!(1.5), true), (json!(-7), true), (json!("1"), false), (json!([1]), false)]
    {
        assert_eq!(is_good(&host, json!({ "iat": iat })).await, expected, "{iat}");
    }
    assert!(is_good(&host, json!({ "iat": null })).await);
}

#[tokio::test]
async fn an_assertion_has_an_identifier() {
    let host = host();
    for (jti, expected) in [
        (json!("x"), true),
        (json!("é".repeat(128)), true),
        (json!("x".repeat(256)), true),
        (json!("x".repeat(257)), false),
        (json!("é".repeat(129)), false),
        (json!(""), false),
        (json!(7), false),
    ] {
        assert_eq!(is_good(&host, json!({ "jti": jti })).await, expected, "{jti}");
    }
    assert!(!is_good(&host, json!({ "jti": null })).await);
}

#[tokio::test]
async fn claims_are_read_strictly() {
    let host = host();
    let header = json!({ "alg": "EdDSA" });
    let text = claims(&host).to_string();
    let twice =
        ["sub", "aud", "exp", "jti", "x"].map(|name| text.replacen('{', &format!("{{\"{name}\":1,\"{name}\":1,"), 1));
    for payload in twice.iter().map(String::as_str).chain(["", "null", "[]", "{}", "\"text\""]) {
        assert_eq!(present(&host, &signed_by(ED25519, &header, payload)).await, refused(), "{payload}");
    }
    let whole = signed_by(ED25519, &header, &text);
    for broken in
        ["", ".", "..", "...", "a.b.c", &whole[1..], &format!("{whole}="), &format!("{whole}.x"), &wrong(&whole)]
    {
        // A form value that is empty counts as absent.
        let expected = if broken.is_empty() { 400 } else { 401 };
        assert_eq!(present(&host, broken).await.0, expected, "{broken}");
    }
    assert_eq!(present(&host, &whole).await, authenticated());
}

#[tokio::test]
async fn a_client_id_in_the_body_names_the_same_client() {
    let host = host();
    for (id, expected) in [(KEYED, 200), ("KEYED_TWIN", 401), (CLIENT, 401), ("NOBODY", 401), ("\u{7f}", 401)] {
        let assertion = good(&host);
        let parameters = [&[("client_id", id)], &*members(&assertion)].concat();
        let reply = introspect_with(&host, &parameters, None).await;
        assert_eq!(reply.status(), expected, "{id}");
        if expected == 401 {
            assert_reply(&reply, 401, r#"{"error":"invalid_client"}"#, &[]);
        }
    }
}

#[tokio::test]
async fn a_second_method_in_the_same_request_is_a_malformed_request() {
    let host = host();
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{KEYED}:")));
    let assertion = good(&host);
    for (more, authorization) in [
        (vec![("client_secret", CLIENT_SECRET)], None),
        (vec![("client_id", CLIENT), ("client_secret", CLIENT_SECRET)], None),
        (vec![], Some(basic.as_str())),
        (vec![], Some("Basic broken")),
        (vec![("client_id", KEYED)], Some("")),
    ] {
        let parameters = [&*more, &*members(&assertion)].concat();
        let reply = introspect_with(&host, &parameters, authorization).await;
        let said = "the body has a client_assertion besides other client credentials";
        assert_eq!(read(&reply), error(400, "invalid_request", said), "{more:?}");
        assert!(reply.header("WWW-Authenticate").is_none());
    }
    // Nothing of it was used.
    assert_eq!(present(&host, &assertion).await, authenticated());
}

#[tokio::test]
async fn the_two_members_stand_together_and_the_type_is_known() {
    let host = host();
    let assertion = good(&host);
    for (parameters, said) in [
        (vec![("client_assertion", assertion.as_str())], "client_assertion_type is missing"),
        (vec![("client_assertion_type", TYPE)], "client_assertion is missing"),
        (vec![("client_id", KEYED), ("client_assertion_type", TYPE)], "client_assertion is missing"),
        (
            vec![
                ("client_assertion", assertion.as_str()),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
            ],
            "client_assertion_type is not valid",
        ),
        (
            [members(&assertion), vec![("client_assertion", assertion.as_str())]].concat(),
            "client_assertion is given twice",
        ),
    ] {
        let reply = introspect_with(&host, &parameters, None).await;
        assert_eq!(read(&reply), error(400, "invalid_request", said));
    }
    for wrong in [json!(1), json!(["x"]), json!({}), json!(true), json!("")] {
        for name in ["client_assertion", "client_assertion_type"] {
            let body =
                but(&with_assertion(&sms_send(PHONE), &assertion), json!({ "client_secret": null, name: wrong }));
            assert_eq!(host.refused_send(&body).await.1["error"], "invalid_request", "{name} {wrong}");
        }
    }
}

#[tokio::test]
async fn every_refusal_is_the_same() {
    let host = host();
    let other_key = signed_by(ES256, &json!({ "alg": "ES256" }), claims(&host).to_string());
    let used = good(&host);
    assert_eq!(present(&host, &used).await, authenticated());
    let unknown = sign(&but(&claims(&host), json!({ "iss": "NOBODY", "sub": "NOBODY" })));
    let of_secret = sign(&but(&claims(&host), json!({ "iss": CLIENT, "sub": CLIENT })));
    let of_public = sign(&but(&claims(&host), json!({ "iss": PUBLIC_CLIENT, "sub": PUBLIC_CLIENT })));
    let expired = sign(&but(&claims(&host), json!({ "exp": 1 })));
    let nobody = sign(&but(&claims(&host), json!({ "sub": null })));
    for assertion in [other_key, used, unknown, of_secret, of_public, expired, nobody, "garbage".to_owned()] {
        let reply = introspect_with(&host, &members(&assertion), None).await;
        assert_reply(&reply, 401, r#"{"error":"invalid_client"}"#, &[]);
        let body = with_assertion(&json!({ "auth_source_id": SMS_SOURCE, "phone_number": PHONE }), &assertion);
        let Err(reply) = host.try_send(&body).await else { panic!("sent") };
        assert_reply(&reply, 401, r#"{"error":"invalid_client"}"#, &[]);
    }
    let told = host.counters.told.lock().unwrap();
    assert_eq!(told.iter().filter(|event| event.starts_with("ClientRefused")).count(), 16);
}

#[tokio::test]
async fn a_client_with_a_key_has_no_secret() {
    let host = host();
    let bare = [("client_id", KEYED)];
    assert_eq!(introspect_with(&host, &bare, None).await.status(), 401);
    let secret = [("client_id", KEYED), ("client_secret", CLIENT_SECRET)];
    assert_eq!(introspect_with(&host, &secret, None).await.status(), 401);
    for password in ["", CLIENT_SECRET] {
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{KEYED}:{password}")));
        let reply = introspect_with(&host, &[], Some(&basic)).await;
        assert_reply(&reply, 401, r#"{"error":"invalid_client"}"#, &[("WWW-Authenticate", "Basic")]);
    }
}

#[tokio::test]
async fn a_pinned_method_is_the_only_one() {
    let host = host();
    for (id, by_header, by_body) in [("BASIC_ONLY", 200, 401), ("POST_ONLY", 401, 200), (CLIENT, 200, 200)] {
        let secret = if id == CLIENT { CLIENT_SECRET } else { "PINNED_SECRET" };
        let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{id}:{secret}")));
        assert_eq!(introspect_with(&host, &[], Some(&basic)).await.status(), by_header, "{id}");
        let body = [("client_id", id), ("client_secret", secret)];
        assert_eq!(introspect_with(&host, &body, None).await.status(), by_body, "{id}");
        let wrong = [("client_id", id), ("client_secret", "WRONG")];
        assert_eq!(introspect_with(&host, &wrong, None).await.status(), 401, "{id}");
        assert_eq!(introspect_with(&host, &[("client_id", id)], None).await.status(), 401, "{id}");
    }
}

#[test]
fn a_method_must_fit_the_credentials() {
    use ClientAuthMethod::{ClientSecretBasic, ClientSecretPost, None as NoMethod, PrivateKeyJwt};
    let id = || ClientId::new("client").unwrap();
    let secret = || Client::confidential(id(), ClientSecret::digest("secret"));
    let public_client = || Client::public(id());
    let keyed = || keyed("client", [public(ED25519)]);
    for method in [ClientSecretBasic, ClientSecretPost, PrivateKeyJwt, NoMethod] {
        assert_eq!((method.as_str().parse(), method.to_string().as_str()), (Ok(method), method.as_str()));
        let is_secret = matches!(method, ClientSecretBasic | ClientSecretPost);
        for (client, fits) in
            [(secret(), is_secret), (public_client(), method == NoMethod), (keyed(), method == PrivateKeyJwt)]
        {
            match client.with_auth_method(method) {
                Ok(client) => assert!(fits && client.auth_method() == Some(method)),
                Err(AuthMethodMismatch) => assert!(!fits, "{method}"),
            }
        }
    }
    assert_eq!("tls_client_auth".parse::<ClientAuthMethod>(), Err(UnknownAuthMethod));
    assert_eq!(secret().auth_method(), None);
    assert_eq!((public_client().auth_method(), keyed().auth_method()), (Some(NoMethod), Some(PrivateKeyJwt)));
    assert!(keyed().is_confidential() && secret().is_confidential() && !public_client().is_confidential());
}

#[test]
fn keys_of_clients_have_at_most_4096_bits_and_there_is_one() {
    let rsa = |bytes: usize| {
        let mut modulus = vec![0xff; bytes];
        modulus[bytes - 1] = 1;
        let jwk = format!(r#"{{"kty":"RSA","e":"AQAB","n":"{}"}}"#, BASE64URL.encode(modulus));
        PublicKeySet::new([PublicKey::from_jwk(jwk.as_bytes()).unwrap()]).unwrap()
    };
    let made = |keys| Client::private_key_jwt(ClientId::new("client").unwrap(), keys).err();
    assert_eq!((made(rsa(256)), made(rsa(512))), (None, None));
    assert_eq!((made(rsa(513)), made(rsa(1024))), (Some(KeyError::RsaTooLarge), Some(KeyError::RsaTooLarge)));
    assert_eq!(made(PublicKeySet::default()), Some(KeyError::NoPublicKey));
}

#[tokio::test]
async fn a_server_that_accepts_no_assertions_refuses_them() {
    let off = Host::with_directory(Settings::default(), signing_key(), directory());
    let assertion = good(&off);
    let reply = introspect_with(&off, &members(&assertion), None).await;
    assert_reply(&reply, 401, r#"{"error":"invalid_client"}"#, &[]);
    assert_eq!(off.directory.calls.lock().unwrap().len(), 0);
    // Not ignored: the public client would otherwise be served.
    let send = but(
        &with_assertion(&sms_send(PHONE), &assertion),
        json!({ "client_id": PUBLIC_CLIENT, "client_secret": null }),
    );
    assert_eq!(off.refused_send(&send).await, refused());
    assert_eq!(off.store.calls.load(SeqCst), 0);
    assert!(!off.server.get_metadata().body().windows(15).any(|part| part == b"private_key_jwt"));
    assert!(!off.server.get_metadata().body().windows(12).any(|part| part == b"auth_signing"));
}

#[test]
fn the_metadata_names_the_method_and_its_algorithms() {
    let host = host();
    for reply in [host.server.get_metadata(), host.server.get_openid_configuration()] {
        let (_, said) = read(&reply);
        let both = json!(["client_secret_basic", "client_secret_post", "none", "private_key_jwt"]);
        assert_eq!(said["token_endpoint_auth_methods_supported"], both);
        assert_eq!(said["revocation_endpoint_auth_methods_supported"], both);
        let confidential = json!(["client_secret_basic", "client_secret_post", "private_key_jwt"]);
        assert_eq!(said["introspection_endpoint_auth_methods_supported"], confidential);
        for endpoint in ["token", "revocation", "introspection"] {
            let algorithms = &said[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")];
            assert_eq!(*algorithms, json!(["ES256", "EdDSA", "Ed25519", "PS256", "RS256"]));
        }
    }
    let without = settings(|settings| {
        settings.client_assertions = true;
        (settings.endpoints.revocation, settings.endpoints.introspection) = (None, None);
    });
    let (_, said) = read(&Host::with(without).server.get_metadata());
    for endpoint in ["revocation", "introspection"] {
        assert!(said.get(format!("{endpoint}_endpoint_auth_signing_alg_values_supported")).is_none());
    }
}

#[tokio::test]
async fn a_malformed_request_comes_before_the_assertion_and_uses_nothing() {
    let host = host();
    let grant = ready_grant(&host).await;
    let assertion = good(&host);
    let body = with_assertion(&grant, &assertion);
    for member in ["otp", "otp_token", "phone_number", "auth_source_id", "grant_type"] {
        assert_eq!(host.token(&but(&body, json!({ member: null }))).await.1["error"], "invalid_request", "{member}");
    }
    let (status, said) = host.token(&but(&body, json!({ "grant_type": "password" }))).await;
    assert_eq!((status, &said["error"]), (400, &json!("unsupported_grant_type")));
    // A refused assertion before a grant that the client may not use.
    let without_grants = |changes: Value| {
        let id = json!({ "iss": "KEYED_WITHOUT_GRANTS", "sub": "KEYED_WITHOUT_GRANTS" });
        with_assertion(&grant, &sign(&but(&but(&claims(&host), id), changes)))
    };
    assert_eq!(host.token(&without_grants(json!({ "aud": "x" }))).await, refused());
    let used_up = without_grants(json!({}));
    assert_eq!(host.token(&used_up).await, error(400, "unauthorized_client", ""));
    assert_eq!(host.token(&used_up).await, refused());
    // The assertion of the malformed requests is still good.
    assert_eq!(host.token(&body).await.0, 200);
}

#[tokio::test]
async fn an_assertion_is_good_for_one_request_at_any_endpoint() {
    let host = host();
    let grant = ready_grant(&host).await;
    let assertion = good(&host);
    assert_eq!(host.token(&but(&with_assertion(&grant, &assertion), json!({ "otp": "000000" }))).await.0, 400);
    assert_eq!(present(&host, &assertion).await, refused());
    assert_eq!(host.token(&with_assertion(&grant, &assertion)).await, refused());
    // The same identifier in another assertion, and another spelling of the same claims.
    let mut again = claims(&host);
    again["jti"] = payload(&assertion)["jti"].clone();
    again["exp"] = json!(host.clock.now().as_unix_secs() + 250);
    assert_eq!(present(&host, &sign(&again)).await, refused());
    // Each client has identifiers of its own.
    (again["iss"], again["sub"]) = (json!("KEYED_TWIN"), json!("KEYED_TWIN"));
    assert_eq!(present(&host, &sign(&again)).await, authenticated());
    assert_eq!(host.token(&with_assertion(&grant, &good(&host))).await.0, 200);
}

#[tokio::test]
async fn an_attacker_can_not_use_up_the_assertion_of_a_client() {
    let host = host();
    let claims = claims(&host);
    // Everything is right but the signature, or one claim.
    let forged = signed_by(ES256, &json!({ "alg": "EdDSA" }), claims.to_string());
    assert_eq!(present(&host, &forged).await, refused());
    assert_eq!(present(&host, &wrong(&sign(&claims))).await, refused());
    assert_eq!(present(&host, &sign(&but(&claims, json!({ "aud": "https://other.example.com" })))).await, refused());
    assert_eq!(host.store.calls.load(SeqCst), 0);
    assert_eq!(present(&host, &sign(&claims)).await, authenticated());
}

#[tokio::test]
async fn of_fifty_parallel_uses_one_is_served() {
    for yields in 0..4 {
        let host = host();
        host.store.yields.store(yields, SeqCst);
        let assertion = good(&host);
        let answers = join_all((0..50).map(|_| present(&host, &assertion))).await;
        assert_eq!(answers.iter().filter(|answer| **answer == authenticated()).count(), 1);
        assert_eq!(answers.iter().filter(|answer| **answer == refused()).count(), 49);
    }
}

#[tokio::test]
async fn of_fifty_parallel_logins_with_one_assertion_one_gets_tokens() {
    let host = host();
    let grant = with_assertion(&ready_grant(&host).await, &good(&host));
    host.store.yields.store(2, SeqCst);
    let answers = join_all((0..50).map(|_| host.token(&grant))).await;
    assert_eq!(answers.iter().filter(|answer| answer.0 == 200).count(), 1);
    assert_eq!(answers.iter().filter(|answer| **answer == refused()).count(), 49);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_uses_on_four_threads_one_is_served() {
    let host = Arc::new(host());
    let assertion = Arc::new(good(&host));
    let uses: Vec<_> = (0..50)
        .map(|_| {
            let (host, assertion) = (host.clone(), assertion.clone());
            tokio::spawn(async move { present(&host, &assertion).await })
        })
        .collect();
    let mut served = 0;
    for answer in uses {
        served += usize::from(answer.await.unwrap() == authenticated());
    }
    assert_eq!(served, 1);
}

#[tokio::test]
async fn one_fault_of_the_store_is_resolved_and_a_lasting_one_is_a_503() {
    for mishap in [Mishap::FailBefore, Mishap::FailAfter, Mishap::Late, Mishap::Twice, Mishap::Slow] {
        let host = host();
        let assertion = good(&host);
        host.store.fault(0, mishap);
        assert_eq!(present(&host, &assertion).await, authenticated(), "{mishap:?}");
        host.store.heal();
        assert_eq!(present(&host, &assertion).await, refused(), "{mishap:?}");
    }
    let unavailable = error(503, "temporarily_unavailable", "Temporarily unavailable. It is safe to try again.");
    for first in [Mishap::FailBefore, Mishap::FailAfter] {
        let host = host();
        let assertion = good(&host);
        host.store.fault(0, first);
        host.store.fault(1, Mishap::FailBefore);
        assert_eq!(present(&host, &assertion).await, unavailable, "{first:?}");
        // Whether it was used is unknown to the client. A new assertion is good in any case.
        let expected = if first == Mishap::FailBefore { authenticated() } else { refused() };
        assert_eq!(present(&host, &assertion).await, expected, "{first:?}");
        assert_eq!(present(&host, &good(&host)).await, authenticated());
    }
    let host = host();
    let (assertion, grant) = (good(&host), ready_grant(&host).await);
    host.store.down.store(true, SeqCst);
    assert_eq!(host.token(&with_assertion(&grant, &assertion)).await, unavailable);
    host.store.down.store(false, SeqCst);
    assert_eq!(host.token(&with_assertion(&grant, &assertion)).await.0, 200);
}

#[tokio::test]
async fn a_record_that_only_a_later_version_may_decide_on_is_a_503() {
    let host = host();
    let assertion = good(&host);
    assert_eq!(present(&host, &assertion).await, authenticated());
    let (key, record) = host.store.inner.records().into_iter().next().unwrap();
    let mut later = serde_json::to_value(&record).unwrap();
    later["body"] = json!({ "used.2": later["body"]["used"] });
    later["tag"] = json!("AAAAAAAAAAAAAAAAAAAAAA");
    let later = serde_json::from_value(later).unwrap();
    let Ok(swap) = host.store.inner.swap(&key, Some(record.tag), &later).await;
    assert_eq!(swap, Swap::Stored);
    assert_eq!(present(&host, &assertion).await.0, 503);
    assert_eq!(present(&host, &good(&host)).await, authenticated());
}

#[tokio::test]
async fn an_assertion_costs_one_call_of_the_store_more() {
    let host = host();
    let send = json!({ "auth_source_id": SMS_SOURCE, "phone_number": PHONE });
    let (calls, sent) = host.store_calls(host.send(&with_assertion(&send, &good(&host)))).await;
    assert_eq!(calls, 3, "send");
    let grant = but(&send, json!({ "grant_type": SMS_GRANT_TYPE, "otp_token": sent.otp_token, "otp": sent.code }));
    let (calls, (status, tokens)) = host.store_calls(host.token(&with_assertion(&grant, &good(&host)))).await;
    assert_eq!((calls, status), (5, 200), "login");
    let assertion = good(&host);
    let refresh = json!({ "grant_type": "refresh_token", "refresh_token": tokens["refresh_token"] });
    let (calls, (status, _)) = host.store_calls(host.token(&with_assertion(&refresh, &assertion))).await;
    assert_eq!((calls, status), (3, 200), "refresh");
    let (calls, answer) = host.store_calls(present(&host, &good(&host))).await;
    assert_eq!((calls, answer), (1, authenticated()), "introspection of garbage");
    // One swap meets the record, and one load says that another request wrote it.
    let (calls, answer) = host.store_calls(present(&host, &assertion)).await;
    assert_eq!((calls, answer), (2, refused()), "a replay");
    let (calls, answer) = host.store_calls(present(&host, &wrong(&assertion))).await;
    assert_eq!((calls, answer), (0, refused()), "a forged one");
}

/// The record is kept until no host accepts the assertion any more, by its own clock.
#[tokio::test]
async fn the_record_outlives_the_assertion_on_every_clock() {
    let host = host();
    let claims = claims(&host);
    let exp = claims["exp"].as_u64().unwrap();
    assert_eq!(present(&host, &sign(&claims)).await, authenticated());
    let (_, record) = host.store.inner.records().into_iter().next().unwrap();
    assert_eq!(record.body.kind(), "used");
    assert_eq!(record.delete_after, Timestamp::from_unix_secs(exp + 10));
    // Nothing readable is at rest.
    let stored = serde_json::to_string(&host.store.inner.records()).unwrap();
    for secret in [text(&claims, "jti"), KEYED, PHONE] {
        assert!(!stored.contains(secret), "{stored}");
    }
    assert!(stored.len() < 256, "{} bytes", stored.len());
    // Until its last moment, and after it.
    for now in [exp + 4, exp + 5, exp + 3600] {
        host.clock.set(Timestamp::from_unix_secs(now));
        assert_eq!(present(&host, &sign(&claims)).await, refused(), "{now}");
    }
}

/// A swap that waits until the record of the first use is deleted must not be a second use.
#[tokio::test]
async fn a_request_that_outlasts_its_assertion_is_refused() {
    let host = host();
    let assertion = good(&host);
    host.store.yields.store(3, SeqCst);
    let (answer, ()) = futures::join!(present(&host, &assertion), async { host.advance(secs(65)) });
    assert_eq!(answer, refused());
}

#[tokio::test]
async fn each_issuer_takes_its_own_assertions() {
    let clock = ManualClock::new();
    let store = Arc::new(MemoryStore::with_clock(clock.clone()));
    let other = "https://other.portal.example.com";
    let servers = [ISSUER, other].map(|issuer| {
        AuthorizationServer::builder(Issuer::new(issuer).unwrap(), keyring(), signing_key())
            .settings(on())
            .clock(clock.clone())
            .entropy(SeededEntropy::default())
            .build(store.clone(), directory())
            .unwrap()
    });
    let now = clock.now().as_unix_secs();
    let of = |audience: &str| {
        sign(&json!({ "iss": KEYED, "sub": KEYED, "aud": audience, "exp": now + 60, "jti": "the same" }))
    };
    let present = async |server: &AuthorizationServer<_, _>, assertion: &str| {
        let body = urlencoded(&[&[("token", "unknown")], &*members(assertion)].concat());
        server.post_introspect(form_request(&body, None)).await.status()
    };
    for (server, own, foreign) in [(&servers[0], ISSUER, other), (&servers[1], other, ISSUER)] {
        assert_eq!(present(server, &of(foreign)).await, 401);
        // The same `jti` at the other issuer is another assertion.
        assert_eq!(present(server, &of(own)).await, 200);
        assert_eq!(present(server, &of(own)).await, 401);
    }
}

#[tokio::test]
async fn another_process_on_the_same_store_refuses_a_replay() {
    let host = host();
    let beside = host.beside(on(), signing_key(), keyring());
    let assertion = good(&host);
    assert_eq!(present(&host, &assertion).await, authenticated());
    assert_eq!(present(&beside, &assertion).await, refused());
}

/// The records in `tests/records`, as `record_versions` has those of the other kinds.
#[tokio::test]
async fn a_use_that_another_version_has_stored_counts() {
    let read = |name: &str| -> Value {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../records").join(name);
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let written = read("2026-11-28/used.json");
    let with_more = |mut record: Value| {
        record["body"]["used"]["later"] = json!([1, { "x": null }]);
        record
    };
    for (record, expected) in [
        (None, 200),
        (Some(written["record"].clone()), 401),
        (Some(with_more(written["record"].clone())), 401),
        (Some(read("later/used.2.json")["record"].clone()), 503),
    ] {
        let host = host();
        host.clock.set(Timestamp::from_unix_millis(written["at"].as_u64().unwrap()));
        let key = serde_json::from_value(written["key"].clone()).unwrap();
        if let Some(record) = &record {
            let stored = serde_json::from_value(record.clone()).unwrap();
            let Ok(swap) = host.store.inner.swap(&key, None, &stored).await;
            assert_eq!(swap, Swap::Stored);
        }
        let (status, said) = present(&host, text(&written["presented"], "client_assertion")).await;
        assert_eq!(status, expected, "{said}");
        let stored = serde_json::to_value(&host.store.inner.records()[0].1).unwrap();
        assert!(record.is_none_or(|record| record == stored));
    }
}
