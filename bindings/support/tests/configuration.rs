//! What a configuration can say, and the errors of one that can't be used.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use otp_grant_bindings::{Engine, ParsedAuthSource, ParsedClient};
use serde_json::{Value, json};

use support::config;

const KEY: &str = "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
    -----END PRIVATE KEY-----\n";

fn error_of(change: impl FnOnce(&mut Value)) -> String {
    let mut document = config();
    change(&mut document);
    Engine::from_json(&document.to_string()).unwrap_err().to_string()
}

/// A test identity with these members besides.
fn identity(change: Value) -> Value {
    let mut identity = json!({ "phone_number": "+8613600000001", "code": "246810", "clients": ["app"], "ends_at": 0 });
    for (name, value) in change.as_object().unwrap() {
        identity[name] = value.clone();
    }
    identity
}

#[test]
fn everything_that_can_be_set_is_set() {
    let document = json!({
        "issuer": "https://login.example.com/tenant",
        "keys": { "index": KEY, "sealing": KEY, "accepted": [KEY] },
        "signing": {
            "active": PEM,
            "key_id": "2026-11",
            "published": [{ "kty": "OKP", "crv": "Ed25519", "x": "19bf44096984cdfe8541bac167dc3b96c85086aa30b",
                "kid": "next" }],
        },
        "quotas": {
            "sends": [{ "count": 1, "per": "30s" }, { "count": 20, "per": 86400 }],
            "guesses_per_code": 3,
            "guesses_per_address": { "count": 10, "per": "24h" },
        },
        "devices": { "guesses": { "count": 5, "per": "24h" }, "sends": [{ "count": 1, "per": "30s" }], "validity": "30d" },
        "send_guard": {
            "mode": "enforce",
            "countries": { "allow": ["86", "1"], "except": ["1876"] },
            "thresholds": {
                "block": { "per_day": 6, "per_hour": 6, "verified_percent": 0 },
                "country": { "per_day": 40, "per_hour": 10 },
                "email_domain": { "per_day": 100, "per_hour": 20 },
            },
            "shards": 1024,
            "has_challenge": false,
        },
        "test_identities": [
            { "phone_number": "13600000001", "code": "246810ab", "clients": ["app", "web"], "ends_at": 1_700_000_000_000_u64 },
            { "email": "ü@example.com", "code": "246810ab", "clients": ["app"], "ends_at": 0 },
        ],
        "validity": { "access_token": "10m", "id_token": 60, "session_idle": "7d", "session": "14d",
            "key_set": 0.5, "repeat_answer_within": "500ms" },
        "codes": { "length": 8, "validity": "2m", "token_validity": "5m", "alphabet": "abcdefghij" },
        "usages": ["confirm_payment"],
        "addresses": { "country_code": "86", "international_local_parts": true },
        "access_tokens": { "rfc9068_audience": "https://api.example.com", "authentication_claims": true },
        "dpop": "strict",
        "client_assertions": true,
        "grant_types": { "urn:example:otp": "sms" },
        "discovery": { "claims": ["name"], "scopes": "openid profile" },
        "endpoints": { "otp_send": "/codes", "token": "/token", "revocation": false, "introspection": false,
            "userinfo": "/me", "jwks": "/keys" },
        "limits": { "body": 1024 },
        "danger": { "without_send_quotas": false, "disclose_used_addresses": true },
    });
    // The public key above is shortened, so it can't be one.
    let error = Engine::from_json(&document.to_string()).unwrap_err();
    assert_eq!(error.place(), "signing.published[0]");
    let mut document = document;
    document["signing"]["published"][0]["x"] = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".into();
    let engine = Engine::from_json(&document.to_string()).unwrap();
    let routes: Value = serde_json::from_str(&engine.routes()).unwrap();
    let paths: Vec<&str> = routes.as_array().unwrap().iter().map(|route| route["path"].as_str().unwrap()).collect();
    assert_eq!(paths[..4], ["/tenant/codes", "/tenant/token", "/tenant/me", "/tenant/keys"]);
    let keys: Value = serde_json::from_str(&engine.key_set()).unwrap();
    assert_eq!((&keys["keys"][0]["kid"], &keys["keys"][1]["kid"]), (&json!("2026-11"), &json!("next")));
    let address: Value = serde_json::from_str(&engine.normalise_address("sms", "13612345678").unwrap()).unwrap();
    assert_eq!((&address["address"], &address["channel"]), (&json!("+8613612345678"), &json!("sms")));
    assert!(engine.normalise_address("email", "ü@example.com").is_ok());
}

#[test]
fn the_algorithm_is_one_of_those_of_the_key() {
    const RSA: &str = include_str!("../../../tests/keys/rsa2048_pkcs8.pem");
    let external: Value = {
        let key = otp_grant::SigningKey::from_pem(RSA).unwrap();
        serde_json::from_str(&key.public_key().to_jwk()).unwrap()
    };
    for (signing, algorithm) in [
        (json!({ "active": RSA }), "RS256"),
        (json!({ "active": RSA, "algorithm": "RS256" }), "RS256"),
        (json!({ "active": RSA, "algorithm": "PS256" }), "PS256"),
        (json!({ "active": PEM }), "EdDSA"),
        (json!({ "active": PEM, "algorithm": "Ed25519", "key_id": "1" }), "Ed25519"),
        (json!({ "active": { "generate": "Ed25519" } }), "Ed25519"),
        (json!({ "active": { "external": external }, "algorithm": "PS256" }), "PS256"),
    ] {
        let mut document = config();
        document["signing"] = signing;
        let engine = Engine::from_json(&document.to_string()).unwrap();
        let keys: Value = serde_json::from_str(&engine.key_set()).unwrap();
        assert_eq!(keys["keys"][0]["alg"], algorithm);
    }
}

#[test]
fn an_error_names_the_member_and_repeats_no_value() {
    let secret = "hunter2hunter2hunter2hunter2hunter2hunter2";
    for (change, expected) in [
        (json!({ "colour": secret }), "colour: unknown field `colour`"),
        (json!({ "issuer": format!("http://{secret}") }), "issuer: an issuer is an https URL"),
        (json!({ "issuer": 1 }), "issuer: wrong kind of value, expected a string"),
        (json!({ "keys": { "index": secret, "sealing": KEY } }), "keys.index: "),
        (json!({ "keys": { "index": KEY, "sealing": "%" } }), "keys.sealing: "),
        (json!({ "keys": { "index": KEY } }), "keys: index and sealing have to be given"),
        (json!({ "keys": { "index": KEY, "generate": true } }), "keys.generate: "),
        (json!({ "keys": { "index": KEY, "sealing": KEY, "accepted": ["%"] } }), "keys.accepted[0]: "),
        (json!({ "keys": { "index": { "env": secret } } }), "keys.index: wrong kind of value"),
        (json!({ "signing": { "active": secret } }), "signing.active: "),
        (json!({ "signing": { "active": { "generate": "RS256" } } }), "signing.active.generate: "),
        (json!({ "signing": { "active": { "generate": "PS256" } } }), "signing.active.generate: "),
        (json!({ "signing": { "active": { "generate": "none" } } }), "signing.active.generate: "),
        (json!({ "signing": { "active": PEM, "algorithm": "PS256" } }), "signing.algorithm: "),
        (json!({ "signing": { "active": PEM, "algorithm": secret } }), "signing.algorithm: "),
        (json!({ "signing": { "active": PEM, "algorithm": 256 } }), "signing.algorithm: wrong kind of value"),
        (json!({ "signing": { "active": {} } }), "signing.active: one of generate and external is expected"),
        (json!({ "signing": { "active": { "external": { "kty": secret } } } }), "signing.active.external: "),
        (json!({ "signing": { "active": PEM, "key_id": "é" } }), "signing.key_id: "),
        (json!({ "signing": { "active": PEM, "published": [secret] } }), "signing.published[0]: "),
        (json!({ "signing": { "active": PEM, "published": [5] } }), "signing.published[0]: wrong kind of value"),
        (json!({ "quotas": { "sends": [] } }), "quotas.sends: "),
        (json!({ "quotas": { "sends": [{ "count": 0, "per": "1s" }] } }), "quotas.sends[0].count: "),
        (json!({ "quotas": { "sends": [{ "count": 1, "per": secret }] } }), "quotas.sends[0].per: wrong value"),
        (json!({ "quotas": { "sends": [{ "count": 1001, "per": "24h" }] } }), "quotas: "),
        (json!({ "devices": true }), "devices: devices are remembered by default"),
        (json!({ "devices": null }), "devices: wrong kind of value, expected an object, or false"),
        (json!({ "devices": "off" }), "devices: wrong kind of value, expected an object, or false"),
        (json!({ "devices": { "count": 4 } }), "devices.count: unknown field `count`"),
        (json!({ "devices": { "guesses": { "count": 26, "per": "24h" } } }), "devices: an address and its 3 devices"),
        (json!({ "devices": { "guesses": { "count": 1001, "per": "24h" } } }), "devices.guesses.count: at most 1000"),
        (json!({ "devices": { "sends": [] } }), "devices.sends: "),
        (
            json!({ "devices": { "sends": [{ "count": 1, "per": "30s" }, { "count": 1001, "per": "24h" }] } }),
            "devices.sends[1].count: at most 1000",
        ),
        (json!({ "devices": { "validity": secret } }), "devices.validity: wrong value, expected a duration"),
        (json!({ "send_guard": { "mode": secret } }), "send_guard.mode: unknown name, expected"),
        (json!({ "send_guard": "enforce" }), "send_guard: wrong kind of value"),
        (json!({ "send_guard": { "countries": { "allow": [] } } }), "send_guard.countries.allow: "),
        (
            json!({ "send_guard": { "countries": { "except": ["1876"] } } }),
            "send_guard.countries: missing field `allow`",
        ),
        (json!({ "send_guard": { "countries": { "allow": ["86", "+1"] } } }), "send_guard.countries.allow[1]: "),
        (
            json!({ "send_guard": { "countries": { "allow": ["1"], "except": ["1876", "187"] } } }),
            "send_guard.countries.except[1]: neither a calling code",
        ),
        (json!({ "send_guard": { "shards": 0 } }), "send_guard.shards: "),
        (json!({ "send_guard": { "shards": 1025 } }), "send_guard: a send guard has at most 1024 shards"),
        (json!({ "send_guard": { "has_challenge": 1 } }), "send_guard.has_challenge: wrong kind of value"),
        (json!({ "send_guard": { "block": {} } }), "send_guard.block: unknown field"),
        (
            json!({ "send_guard": { "thresholds": { "block": { "per_day": 3 } } } }),
            "send_guard.thresholds.block: missing field `per_hour`",
        ),
        (
            json!({ "send_guard": { "thresholds": { "country": { "per_day": 3, "per_hour": 4 } } } }),
            "send_guard.thresholds.country.per_hour: at most as many as per_day",
        ),
        (
            json!({ "send_guard": { "thresholds": {
                "email_domain": { "per_day": 3, "per_hour": 3, "verified_percent": 1001 },
            } } }),
            "send_guard.thresholds.email_domain.verified_percent: at most 1000",
        ),
        (
            json!({ "test_identities": [identity(json!({ "phone_number": secret }))] }),
            "test_identities[0].phone_number: ",
        ),
        (
            json!({ "test_identities": [identity(json!({})), identity(json!({ "phone_number": null, "email": secret }))] }),
            "test_identities[1].email: ",
        ),
        (json!({ "test_identities": [identity(json!({ "email": "a@example.com" }))] }), "test_identities[0]: either"),
        (json!({ "test_identities": [identity(json!({ "phone_number": null }))] }), "test_identities[0]: either"),
        (json!({ "test_identities": [identity(json!({ "clients": [] }))] }), "test_identities[0].clients: "),
        (
            json!({ "test_identities": [identity(json!({ "clients": ["app", ""] }))] }),
            "test_identities[0].clients[1]: ",
        ),
        (json!({ "test_identities": [identity(json!({ "code": 246810 }))] }), "test_identities[0].code: wrong kind"),
        (json!({ "test_identities": [identity(json!({ "code": "24681" }))] }), "test_identities: a test identity has"),
        (json!({ "test_identities": [identity(json!({ "ends_at": "tomorrow" }))] }), "test_identities[0].ends_at: "),
        (
            json!({ "test_identities": [identity(json!({ "ends_at": u64::MAX }))] }),
            "test_identities: a test identity has",
        ),
        (
            json!({ "test_identities": [identity(json!({})), identity(json!({}))] }),
            "test_identities: a test identity has",
        ),
        (json!({ "validity": { "access_token": -1 } }), "validity.access_token: "),
        (json!({ "validity": { "access_token": 1e300 } }), "validity.access_token: "),
        (json!({ "validity": { "access_token": u64::MAX } }), "validity.access_token: the duration is too long"),
        (json!({ "validity": { "access_token": "99999999999999999d" } }), "validity.access_token: wrong value"),
        (json!({ "validity": { "access_token": 0 } }), "validity: "),
        (json!({ "validity": { "session": "1d" } }), "validity: "),
        (json!({ "validity": { "repeat_answer_within": "61s" } }), "validity.repeat_answer_within: "),
        (json!({ "codes": { "length": 3 } }), "codes: "),
        (json!({ "codes": { "alphabet": "ab" } }), "codes.alphabet: "),
        (json!({ "codes": { "token_validity": "2d" } }), "codes.token_validity: "),
        (json!({ "usages": ["signup"] }), "usages[0]: "),
        (json!({ "addresses": { "country_code": "0" } }), "addresses.country_code: "),
        (json!({ "addresses": { "region": "GB" } }), "addresses.region: unknown field `region`"),
        (json!({ "dpop": "required" }), "dpop: unknown name, expected"),
        (json!({ "dpop": true }), "dpop: wrong kind of value"),
        (json!({ "client_assertions": "yes" }), "client_assertions: wrong kind of value"),
        (json!({ "grant_types": { "": "sms" } }), "grant_types: "),
        (json!({ "grant_types": { "urn:a": secret } }), "grant_types.urn:a: unknown name, expected"),
        (json!({ "discovery": { "scopes": " " } }), "discovery.scopes: "),
        (json!({ "endpoints": { "userinfo": true } }), "endpoints.userinfo: "),
        (json!({ "endpoints": { "token": "no slash" } }), "endpoints: "),
        (json!({ "endpoints": { "token": false } }), "endpoints.token: wrong kind of value"),
        (json!({ "limits": { "body": 0 } }), "limits.body: "),
        (
            json!({ "danger": { "without_send_quotas": true }, "quotas": { "sends": [{ "count": 1, "per": "1s" }] } }),
            "danger.without_send_quotas: ",
        ),
    ] {
        let error = error_of(|document| {
            for (name, value) in change.as_object().unwrap() {
                document[name] = value.clone();
            }
        });
        assert!(error.starts_with(expected), "{change} {error}");
        assert!(!error.contains(secret), "{error}");
    }
    for missing in ["issuer", "keys", "signing"] {
        let error = error_of(|document| drop(document.as_object_mut().unwrap().remove(missing)));
        assert_eq!(error, format!("missing field `{missing}`"));
    }
}

#[test]
fn a_text_that_is_not_one_json_document_is_refused() {
    for text in ["", "{", "[]", "null", "{} {}", "{\"issuer\":\"https://a\",\"issuer\":\"https://b\"}"] {
        assert!(Engine::from_json(text).is_err(), "{text}");
    }
    let whole = config().to_string();
    assert!(Engine::from_json(&format!(" {whole}\n")).is_ok());
    assert!(Engine::from_json(&format!("{whole}x")).unwrap_err().to_string().starts_with("not JSON at line 1 column"));
}

#[test]
fn functions_of_the_host_read_national_numbers_and_join_budgets() {
    let mut document = config();
    let twice = Engine::builder(&document.to_string()).unwrap().numbering_plan(|_| None).build().unwrap_err();
    assert_eq!(twice.place(), "addresses.country_code");
    document["addresses"] = json!({});
    let engine = Engine::builder(&document.to_string())
        .unwrap()
        .numbering_plan(|text| match text.strip_prefix('0') {
            Some(national) => Some(format!("+44{national}")),
            None => text.starts_with('+').then(|| text.to_owned()),
        })
        .budgets(|channel, address| format!("{channel}:{}", address.to_ascii_lowercase()))
        .build()
        .unwrap();
    let read = |channel: &str, text: &str| -> Value {
        serde_json::from_str(&engine.normalise_address(channel, text).unwrap()).unwrap()
    };
    assert_eq!(read("sms", "07400123456")["address"], "+447400123456");
    assert_eq!(read("email", "Ada@example.com")["budget"], "email:ada@example.com");
    assert_eq!(engine.normalise_address("sms", "7400").unwrap_err().argument(), "address");
    assert_eq!(engine.normalise_address("post", "7400").unwrap_err().argument(), "channel");
}

#[test]
fn documents_are_read_whole_and_their_errors_name_the_member() {
    let client = json!({
        "id": "web", "secret_sha256": "ab".repeat(32), "auth_sources": ["sms"], "scopes": "openid profile",
        "default_scopes": "openid", "grants": ["sms", "refresh_token"], "refresh": "stable",
        "introspects_every_token": true, "may_sign_up": false, "message_budget": { "per_hour": 100, "per_day": 500 },
    });
    let parsed = ParsedClient::from_json(&client.to_string()).unwrap();
    assert_eq!((parsed.id(), parsed.is_confidential()), ("web", true));
    for (change, place) in [
        (json!({ "id": "" }), "id"),
        (json!({ "id": null }), "id"),
        (json!({ "public": true }), ""),
        (json!({ "secret_sha256": "00" }), "secret_sha256"),
        (json!({ "secret_sha256": null, "secret": "" }), "secret"),
        (json!({ "auth_sources": ["sms", ""] }), "auth_sources[1]"),
        (json!({ "grants": ["fax"] }), "grants[0]"),
        (json!({ "retry_window": "1s" }), "retry_window"),
        (json!({ "refresh": "rotate", "retry_window": "61s" }), "refresh"),
        (json!({ "refresh": "stable", "secret_sha256": null, "public": true }), "refresh"),
        (json!({ "scopes": "" }), "scopes"),
        (json!({ "default_scopes": "email" }), "default_scopes"),
        (json!({ "scope": "openid" }), "scope"),
        (json!({ "message_budget": { "per_hour": 0, "per_day": 5 } }), "message_budget.per_hour"),
        (json!({ "message_budget": { "per_hour": 5 } }), "message_budget"),
        (json!({ "message_budget": 5 }), "message_budget"),
    ] {
        let mut document = client.clone();
        for (name, value) in change.as_object().unwrap() {
            document[name] = value.clone();
        }
        let error = ParsedClient::from_json(&document.to_string()).unwrap_err();
        assert_eq!(error.place(), place, "{change} {error}");
    }
    assert_eq!(ParsedAuthSource::from_json(r#"{"id":"sms","channel":"sms"}"#).unwrap().id(), "sms");
    let error = ParsedAuthSource::from_json(r#"{"id":"sms","channel":"sms","code":{"length":3}}"#).unwrap_err();
    assert_eq!(error.place(), "code");
    assert!(ParsedAuthSource::from_json(r#"{"channel":"sms"}"#).is_err());
}
