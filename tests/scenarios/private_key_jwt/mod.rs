//! Clients that authenticate by assertions (`private_key_jwt`, RFC 7523): each rule of an assertion, that it is used
//! once, and what it costs.

mod methods;
mod rules;
mod used_once;

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
const ED25519: &str = include_str!("../../keys/ed25519_pkcs8.pem");
const ES256: &str = include_str!("../../keys/es256_other_pkcs8.pem");
const RSA: &str = include_str!("../../keys/rsa2048_pkcs8.pem");

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
