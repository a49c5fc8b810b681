//! How clients authenticate, and what their configuration requires of requests for codes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use otp_grant_bindings::{Engine, ParsedClient, QuestionKind};
use serde_json::{Value, json};

use support::prover::{ISSUER, Prover, sha256};
use support::{Host, config};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn host(settings: Value, client: Value) -> Host {
    let mut document = config();
    for (name, value) in settings.as_object().unwrap() {
        document[name] = value.clone();
    }
    let mut host = Host::new(Engine::from_json(&document.to_string()).unwrap());
    host.set(QuestionKind::Client, "app", client);
    host
}

/// Sends a request for a code, with these members besides.
fn send(host: &mut Host, members: Value) -> (u16, Value) {
    let mut body = json!({ "auth_source_id": "sms", "phone_number": "13612345678" });
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    host.post("/otp/send", body)
}

fn log_in(host: &mut Host, sent: &Value, members: Value) -> (u16, Value) {
    let mut body = json!({
        "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/sms", "auth_source_id": "sms",
        "phone_number": "13612345678", "otp_token": sent["otp_token"], "otp": host.outbox.last().unwrap()["code"],
    });
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    host.post("/oauth2/token", body)
}

#[test]
fn a_client_with_keys_logs_in_by_assertions_that_are_good_once() {
    let (prover, thief) = (Prover::new(3), Prover::new(4));
    let client = json!({ "keys": [prover.jwk()], "auth_sources": ["sms"] });
    let mut host = host(json!({ "client_assertions": true }), client.clone());
    let presented = |assertion: &str| json!({ "client_assertion_type": JWT_BEARER, "client_assertion": assertion });
    for wrong in [
        thief.assertion("app", json!({})),
        prover.assertion("other", json!({})),
        prover.assertion("app", json!({ "aud": format!("{ISSUER}/oauth2/token") })),
        prover.assertion("app", json!({ "exp": 1 })),
        "garbage".to_owned(),
    ] {
        let (status, refused) = send(&mut host, presented(&wrong));
        assert_eq!((status, &refused["error"]), (401, &json!("invalid_client")), "{wrong}");
    }
    assert_eq!(send(&mut host, json!({ "client_id": "app" })).0, 401);
    let assertion = prover.assertion("app", json!({}));
    let (status, sent) = send(&mut host, presented(&assertion));
    assert_eq!(status, 200, "{sent}");
    // The assertion was used.
    assert_eq!(log_in(&mut host, &sent, presented(&assertion)).0, 401);
    let (status, tokens) = log_in(&mut host, &sent, presented(&prover.assertion("app", json!({}))));
    assert_eq!(status, 200, "{tokens}");
    let (_, metadata) = host.request("GET", "/.well-known/oauth-authorization-server", &[], b"");
    let methods = metadata["token_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(methods.contains(&json!("private_key_jwt")));

    let mut off = self::host(json!({}), client);
    assert_eq!(send(&mut off, presented(&prover.assertion("app", json!({})))).0, 401);
}

#[test]
fn a_pinned_method_refuses_the_other_one() {
    let in_body = |host: &mut Host| send(host, json!({ "client_id": "app", "client_secret": "secret" })).0;
    let in_header = |host: &mut Host| {
        let body = json!({ "auth_source_id": "sms", "phone_number": "13612345678" }).to_string();
        // app:secret
        let headers = [("Content-Type", &b"application/json"[..]), ("Authorization", b"Basic YXBwOnNlY3JldA==")];
        host.request("POST", "/otp/send", &headers, body.as_bytes()).0
    };
    for (method, body, header) in
        [(json!(null), 200, 200), (json!("client_secret_post"), 200, 401), (json!("client_secret_basic"), 401, 200)]
    {
        let client = json!({ "secret": "secret", "auth_sources": ["sms"], "auth_method": method });
        assert_eq!(in_body(&mut host(json!({}), client.clone())), body, "{method}");
        assert_eq!(in_header(&mut host(json!({}), client)), header, "{method}");
    }
}

#[test]
fn a_client_document_has_one_kind_of_credentials_and_a_method_that_fits() {
    let jwk = Prover::new(3).jwk();
    let (mut private, mut named) = (jwk.clone(), jwk.clone());
    private["d"] = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A".into();
    named["kid"] = "next".into();
    for good in [
        json!({ "keys": [jwk, named] }),
        json!({ "keys": [jwk], "auth_method": "private_key_jwt" }),
        json!({ "secret": "s", "auth_method": "client_secret_basic" }),
        json!({ "secret_sha256": "ab".repeat(32), "auth_method": "client_secret_post" }),
        json!({ "public": true, "auth_method": "none" }),
        json!({ "public": true, "dpop": "required_with_nonce", "code_challenge_required": true }),
    ] {
        let mut document = good.clone();
        document["id"] = "app".into();
        let parsed = ParsedClient::from_json(&document.to_string());
        let is_public = good.get("public").is_some();
        assert_eq!(parsed.map(|client| client.is_confidential()), Ok(!is_public), "{good}");
    }
    for (wrong, place) in [
        (json!({ "auth_method": "none" }), ""),
        (json!({ "keys": [jwk], "secret": "s" }), ""),
        (json!({ "keys": [jwk], "public": true }), ""),
        (json!({ "keys": [] }), "keys"),
        (json!({ "keys": [jwk, jwk] }), "keys"),
        (json!({ "keys": [jwk, {}] }), "keys[1]"),
        (json!({ "keys": [jwk, private] }), "keys[1]"),
        (json!({ "keys": [jwk, { "kty": "oct", "k": "AAAA" }] }), "keys[1]"),
        (json!({ "keys": ["PEM"] }), "keys[0]"),
        (json!({ "keys": jwk }), "keys"),
        (json!({ "keys": [jwk], "auth_method": "client_secret_basic" }), "auth_method"),
        (json!({ "secret": "s", "auth_method": "private_key_jwt" }), "auth_method"),
        (json!({ "secret": "s", "auth_method": "none" }), "auth_method"),
        (json!({ "public": true, "auth_method": "client_secret_post" }), "auth_method"),
        (json!({ "public": true, "auth_method": "tls_client_auth" }), "auth_method"),
        (json!({ "public": true, "dpop": "on" }), "dpop"),
        (json!({ "public": true, "code_challenge_required": "yes" }), "code_challenge_required"),
    ] {
        let mut document = wrong.clone();
        document["id"] = "app".into();
        let error = ParsedClient::from_json(&document.to_string()).unwrap_err();
        assert_eq!(error.place(), place, "{wrong} {error}");
        assert!(!error.to_string().contains("nWGxne"), "{error}");
    }
}

#[test]
fn who_redeems_a_code_with_a_challenge_has_its_verifier() {
    let client = json!({ "public": true, "may_send": true, "auth_sources": ["sms"], "code_challenge_required": true });
    let mut host = host(json!({}), client);
    let verifier = "a-verifier-that-is-long-enough-to-be-one-1234";
    let (status, refused) = send(&mut host, json!({ "client_id": "app" }));
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_request")));
    let challenge = json!({ "client_id": "app", "code_challenge": sha256(verifier), "code_challenge_method": "S256" });
    let (status, sent) = send(&mut host, challenge);
    assert_eq!(status, 200, "{sent}");
    for wrong in [json!({ "client_id": "app" }), json!({ "client_id": "app", "code_verifier": "x".repeat(43) })] {
        let (status, refused) = log_in(&mut host, &sent, wrong);
        assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    }
    let (status, tokens) = log_in(&mut host, &sent, json!({ "client_id": "app", "code_verifier": verifier }));
    assert_eq!(status, 200, "{tokens}");
}
