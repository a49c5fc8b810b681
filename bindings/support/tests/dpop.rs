//! Tokens that are bound to a key (RFC 9449).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::{Arc, Mutex};

use otp_grant_bindings::{
    ApiRequest, ClockOffset, Done, Engine, PresentedToken, QuestionKind, Refusal, Reply, Verification,
};
use serde_json::{Value, json};

use support::prover::{Prover, now, sha256};
use support::{Host, config};

const API: &str = "https://api.example.com/orders";

fn host(dpop: &str, of_client: &str) -> Host {
    with_events(dpop, of_client).0
}

type Events = Arc<Mutex<Vec<Value>>>;

fn with_events(dpop: &str, of_client: &str) -> (Host, Events) {
    let mut settings = config();
    settings["dpop"] = dpop.into();
    settings["danger"] = json!({ "without_send_quotas": true });
    settings["usages"] = json!(["confirm_payment"]);
    let events = Events::default();
    let told = Arc::clone(&events);
    let observer = move |event: &str| told.lock().unwrap().push(serde_json::from_str(event).unwrap());
    let builder = Engine::builder(&settings.to_string()).unwrap();
    let mut host = Host::new(builder.observer(observer).build().unwrap());
    host.set(
        QuestionKind::Client,
        "app",
        json!({ "public": true, "may_send": true, "auth_sources": ["sms"], "scopes": "openid phone api",
            "dpop": of_client }),
    );
    (host, events)
}

fn read(reply: &Reply) -> (u16, Value) {
    (reply.status(), serde_json::from_slice(reply.body()).unwrap_or(Value::Null))
}

fn header(reply: &Reply, name: &str) -> Option<String> {
    reply.headers().find(|(other, _)| *other == name).map(|(_, value)| value.to_owned())
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap()
}

fn to_send() -> Value {
    json!({ "client_id": "app", "auth_source_id": "sms", "phone_number": "13612345678" })
}

fn to_log_in(sent: &Value, code: &Value) -> Value {
    json!({
        "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/sms", "client_id": "app", "auth_source_id": "sms",
        "phone_number": "13612345678", "otp_token": sent["otp_token"], "otp": code, "scope": "openid api",
    })
}

fn to_refresh(tokens: &Value) -> Value {
    json!({ "grant_type": "refresh_token", "client_id": "app", "refresh_token": tokens["refresh_token"] })
}

fn log_in(host: &mut Host, prover: &Prover) -> Value {
    let (status, sent) = read(&host.post_with("/otp/send", &to_send(), &[&prover.proof_of("/otp/send")]));
    assert_eq!(status, 200, "{sent}");
    let body = to_log_in(&sent, &host.outbox.last().unwrap()["code"].clone());
    let (status, tokens) = read(&host.post_with("/oauth2/token", &body, &[&prover.proof_of("/oauth2/token")]));
    assert_eq!(status, 200, "{tokens}");
    tokens
}

#[test]
fn a_login_binds_its_tokens_and_a_refresh_needs_the_key() {
    let (mut host, events) = with_events("on", "required");
    let (prover, thief) = (Prover::new(1), Prover::new(2));
    let (status, refused) = read(&host.post_with("/otp/send", &to_send(), &[]));
    assert_eq!((status, text(&refused, "error")), (400, "invalid_dpop_proof"));
    assert!(host.outbox.is_empty());

    let (status, sent) = read(&host.post_with("/otp/send", &to_send(), &[&prover.proof_of("/otp/send")]));
    assert_eq!(status, 200, "{sent}");
    let body = to_log_in(&sent, &host.outbox[0]["code"].clone());
    let proof = prover.proof_of("/oauth2/token");
    for (proofs, error) in [
        (&[][..], "invalid_dpop_proof"),
        (&[&*proof, &*proof], "invalid_dpop_proof"),
        (&[&prover.proof_of("/otp/send")], "invalid_dpop_proof"),
        (&["garbage"], "invalid_dpop_proof"),
        (&[&thief.proof_of("/oauth2/token")], "invalid_grant"),
    ] {
        let (status, refused) = read(&host.post_with("/oauth2/token", &body, proofs));
        assert_eq!((status, text(&refused, "error")), (400, error), "{refused}");
    }
    let (status, tokens) = read(&host.post_with("/oauth2/token", &body, &[&proof]));
    assert_eq!((status, text(&tokens, "token_type")), (200, "DPoP"), "{tokens}");

    let (status, refused) = read(&host.post_with("/oauth2/token", &to_refresh(&tokens), &[&proof]));
    assert_eq!((status, text(&refused, "error")), (400, "invalid_dpop_proof"));
    let other = thief.proof_of("/oauth2/token");
    let (status, refused) = read(&host.post_with("/oauth2/token", &to_refresh(&tokens), &[&other]));
    assert_eq!((status, text(&refused, "error")), (400, "invalid_grant"));
    let proof = prover.proof_of("/oauth2/token");
    let (status, refreshed) = read(&host.post_with("/oauth2/token", &to_refresh(&tokens), &[&proof]));
    assert_eq!((status, text(&refreshed, "token_type")), (200, "DPoP"));

    let events = events.lock().unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| text(event, "kind")).collect();
    assert_eq!(kinds, ["sent", "logged_in", "proof_replayed", "key_not_proven", "refreshed"]);
    assert_eq!(events[2], json!({ "kind": "proof_replayed", "client": "app" }));
    let session = &events[1]["session"];
    let expected = json!({ "kind": "key_not_proven", "client": "app", "subject": "ada", "session": session });
    assert_eq!(events[3], expected);
}

#[test]
fn a_client_that_needs_a_nonce_gets_it_in_a_header() {
    let mut host = host("on", "required_with_nonce");
    let prover = Prover::new(1);
    let reply = host.post_with("/otp/send", &to_send(), &[&prover.proof_of("/otp/send")]);
    assert_eq!(text(&read(&reply).1, "error"), "use_dpop_nonce");
    let proof = |path: &str, reply: &Reply| {
        let htu = format!("https://login.example.com{path}");
        let nonce = header(reply, "DPoP-Nonce").unwrap();
        prover.proof(json!({ "htm": "POST", "htu": htu, "nonce": nonce }))
    };
    let sent = host.post_with("/otp/send", &to_send(), &[&proof("/otp/send", &reply)]);
    assert_eq!(sent.status(), 200);
    let body = to_log_in(&read(&sent).1, &host.outbox[0]["code"].clone());
    let reply = host.post_with("/oauth2/token", &body, &[&proof("/oauth2/token", &sent)]);
    let (status, tokens) = read(&reply);
    assert_eq!((status, text(&tokens, "token_type")), (200, "DPoP"));

    let refusal = check(&mut host, request("DPoP", &tokens, &[&for_api(&prover, &tokens, json!({}))])).unwrap_err();
    assert_eq!(refusal.code(), "use_dpop_nonce");
    let reply = refusal.reply().unwrap();
    assert!(header(&reply, "WWW-Authenticate").unwrap().starts_with(r#"DPoP error="use_dpop_nonce""#));
    let nonce = json!({ "nonce": header(&reply, "DPoP-Nonce").unwrap() });
    let presented = request("DPoP", &tokens, &[&for_api(&prover, &tokens, nonce)]);
    assert_eq!(text(&check(&mut host, presented).unwrap(), "subject"), "ada");
}

/// A proof for a `GET` of the API with the access token.
fn for_api(prover: &Prover, tokens: &Value, changes: Value) -> String {
    let mut claims = json!({ "htm": "GET", "htu": API, "ath": sha256(text(tokens, "access_token")) });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    prover.proof(claims)
}

fn request(scheme: &str, tokens: &Value, proofs: &[&str]) -> ApiRequest {
    let authorization = format!("{scheme} {}", text(tokens, "access_token"));
    let proofs = proofs.iter().map(|proof| ("dpop", proof.as_bytes()));
    let headers = [("authorization", authorization.as_bytes())].into_iter().chain(proofs);
    ApiRequest::new("GET", API, headers).unwrap()
}

fn check<'t>(host: &mut Host, token: impl Into<PresentedToken<'t>>) -> Result<Value, Refusal> {
    let step = host.engine.check_access_token(token, Some("app"), Some("api")).unwrap();
    let Done::Document(outcome) = host.drive(step) else { panic!() };
    outcome.map(|document| serde_json::from_str(&document).unwrap())
}

fn verify<'t>(host: &mut Host, token: impl Into<PresentedToken<'t>>) -> Result<Value, Refusal> {
    let outcome = host.engine.verify_access_token(token, Some("app"), Some("api")).unwrap();
    outcome.map(|document| serde_json::from_str(&document).unwrap())
}

type Check = fn(&mut Host, PresentedToken<'_>) -> Result<Value, Refusal>;

#[test]
fn an_api_accepts_a_bound_token_with_a_proof_of_its_key_alone() {
    let mut host = host("on", "accepted");
    let (prover, thief) = (Prover::new(1), Prover::new(2));
    let tokens = log_in(&mut host, &prover);
    let checks: [Check; 2] = [|host, token| check(host, token), |host, token| verify(host, token)];
    for check in checks {
        let good = for_api(&prover, &tokens, json!({}));
        let claims = check(&mut host, request("DPoP", &tokens, &[&good]).into()).unwrap();
        assert_eq!((text(&claims, "subject"), text(&claims, "key")), ("ada", &*prover.thumbprint()));
        // The token can't be used as a bearer token, with or without its proof.
        let alone = PresentedToken::from(text(&tokens, "access_token"));
        for presented in [alone, request("Bearer", &tokens, &[&good]).into()] {
            let refusal = check(&mut host, presented).unwrap_err();
            assert_eq!(refusal.code(), "key_bound");
            let challenge = header(&refusal.reply().unwrap(), "WWW-Authenticate").unwrap();
            let algorithms = "ES256 EdDSA Ed25519 PS256 RS256";
            assert_eq!(challenge, format!(r#"DPoP error="invalid_token", algs="{algorithms}""#));
        }
        let wrong = |changes| for_api(&prover, &tokens, changes);
        for proofs in [
            &[][..],
            &[&*good, &*good],
            &[&for_api(&thief, &tokens, json!({}))],
            &[&wrong(json!({ "htm": "POST" }))],
            &[&wrong(json!({ "htu": "https://api.example.com/others" }))],
            &[&wrong(json!({ "ath": sha256("another token") }))],
            &[&wrong(json!({ "iat": now() - 100 }))],
            &["garbage"],
        ] {
            let refusal = check(&mut host, request("DPoP", &tokens, proofs).into()).unwrap_err();
            let reply = refusal.reply().unwrap();
            assert_eq!((refusal.code(), reply.status()), ("invalid_dpop_proof", 401), "{refusal}");
            let challenge = header(&reply, "WWW-Authenticate").unwrap();
            assert!(challenge.starts_with(r#"DPoP error="invalid_dpop_proof""#), "{challenge}");
        }
    }
}

#[test]
fn a_proof_does_not_make_another_token_good() {
    let mut host = host("on", "accepted");
    let prover = Prover::new(1);
    let bearer = host.log_in();
    assert_eq!(text(&bearer, "token_type"), "Bearer");
    let presented = request("DPoP", &bearer, &[&for_api(&prover, &bearer, json!({}))]);
    let outcome = host.engine.check_access_token(presented.clone(), None, None).unwrap();
    assert_eq!(host.document(outcome), Err("not_key_bound"));
    let outcome = host.engine.verify_access_token(presented, None, None).unwrap();
    assert_eq!(outcome.unwrap_err().code(), "not_key_bound");
    let bound = log_in(&mut host, &prover);
    let presented = || request("DPoP", &bound, &[&for_api(&prover, &bound, json!({}))]);
    for (client, scope, code) in
        [(Some("other"), None, "wrong_audience"), (None, Some("openid phone"), "insufficient_scope")]
    {
        let outcome = host.engine.verify_access_token(presented(), client, scope).unwrap();
        assert_eq!(outcome.unwrap_err().code(), code);
        let step = host.engine.check_access_token(presented(), client, scope).unwrap();
        assert_eq!(host.document(step), Err(code));
    }
    // A bearer token of a request is checked as it is alone.
    let step = host.engine.check_access_token(request("bearer", &bearer, &[]), None, None).unwrap();
    let claims = host.document(step).unwrap();
    assert_eq!((text(&claims, "subject"), claims.get("key")), ("ada", None));

    for headers in
        [&[][..], &[("Authorization", "Basic YTpi")], &[("authorization", "DPoP a"), ("Authorization", "DPoP a")]]
    {
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let none = ApiRequest::new("GET", API, headers).unwrap();
        let refusal = host.engine.verify_access_token(none.clone(), None, None).unwrap().unwrap_err();
        let reply = refusal.reply().unwrap();
        assert_eq!((refusal.code(), reply.status()), ("no_token", 401));
        assert!(header(&reply, "WWW-Authenticate").unwrap().starts_with("Bearer, DPoP algs="));
        let step = host.engine.check_access_token(none, None, None).unwrap();
        assert_eq!(host.document(step), Err("no_token"));
    }
}

#[test]
fn a_url_that_is_none_is_the_fault_of_the_host() {
    for url in
        ["", "/orders", "api.example.com/orders", "ftp://api.example.com", "https://", "https://:443/", "https://a@b/"]
    {
        let error = ApiRequest::new("GET", url, []).unwrap_err();
        assert_eq!(error.argument(), "external_url", "{url}");
    }
    for url in ["https://api.example.com", "HTTP://localhost:8080/a?b", "http://[::1]/"] {
        assert!(ApiRequest::new("GET", url, []).is_ok(), "{url}");
    }
}

#[test]
fn a_strict_server_accepts_a_proof_once() {
    let mut host = host("strict", "required");
    let prover = Prover::new(1);
    let tokens = log_in(&mut host, &prover);
    let presented = request("DPoP", &tokens, &[&for_api(&prover, &tokens, json!({}))]);
    assert!(check(&mut host, presented.clone()).is_ok());
    assert_eq!(check(&mut host, presented).unwrap_err().code(), "invalid_dpop_proof");
}

#[test]
fn without_the_setting_the_header_is_ignored() {
    let mut host = host("off", "accepted");
    let tokens = log_in(&mut host, &Prover::new(1));
    assert_eq!(text(&tokens, "token_type"), "Bearer");
    let (_, metadata) = host.request("GET", "/.well-known/oauth-authorization-server", &[], b"");
    assert_eq!(metadata.get("dpop_signing_alg_values_supported"), None);
    let mut settings = config();
    settings["dpop"] = "on".into();
    let mut host = Host::new(Engine::from_json(&settings.to_string()).unwrap());
    let (_, metadata) = host.request("GET", "/.well-known/oauth-authorization-server", &[], b"");
    assert!(metadata["dpop_signing_alg_values_supported"].is_array());
}

#[test]
fn an_offline_check_goes_by_the_clock_of_the_engine() {
    let mut settings = config();
    settings["dpop"] = "on".into();
    let clock = ClockOffset::new();
    let builder = Engine::builder(&settings.to_string()).unwrap().clock_offset(clock.clone());
    let mut host = Host::new(builder.build().unwrap());
    host.set(
        QuestionKind::Client,
        "app",
        json!({ "public": true, "may_send": true, "auth_sources": ["sms"], "scopes": "openid api", "dpop": "required" }),
    );
    let prover = Prover::new(1);
    let tokens = log_in(&mut host, &prover);
    let presented = || request("DPoP", &tokens, &[&for_api(&prover, &tokens, json!({}))]);
    assert!(verify(&mut host, presented()).is_ok());
    clock.advance_ms(120_000);
    assert_eq!(verify(&mut host, presented()).unwrap_err().code(), "invalid_dpop_proof");
    clock.advance_ms(300_000);
    let fresh = for_api(&prover, &tokens, json!({ "iat": now() + 420 }));
    let refusal = verify(&mut host, request("DPoP", &tokens, &[&fresh])).unwrap_err();
    assert_eq!(refusal.code(), "expired");
    let challenge = header(&refusal.reply().unwrap(), "WWW-Authenticate").unwrap();
    assert!(challenge.starts_with(r#"DPoP error="invalid_token""#), "{challenge}");
}

#[test]
fn a_code_of_another_usage_needs_the_key_and_the_verifier_of_its_send() {
    let mut host = host("on", "accepted");
    let (prover, thief) = (Prover::new(1), Prover::new(2));
    let verifier = "a-verifier-that-is-long-enough-to-be-one-1234";
    let body = json!({
        "client_id": "app", "phone_number": "13612345678", "usage": "confirm_payment",
        "code_challenge": sha256(verifier), "code_challenge_method": "S256",
    });
    let (status, sent) = read(&host.post_with("/otp/send", &body, &[&prover.proof_of("/otp/send")]));
    assert_eq!(status, 200, "{sent}");
    let code = text(&host.outbox[0], "code").to_owned();
    let presented = |prover: &Prover, htu: &str| {
        let proof = prover.proof(json!({ "htm": "POST", "htu": htu }));
        Some(ApiRequest::new("POST", API, [("DPoP", proof.as_bytes())]).unwrap())
    };
    let mut verify = |code_verifier, proof| {
        let request = Verification {
            client: "app",
            usage: "confirm_payment",
            channel: "sms",
            address: "13612345678",
            otp_token: text(&sent, "otp_token"),
            otp: &code,
            code_verifier,
            proof,
            device_token: None,
        };
        let step = host.engine.verify(request).unwrap();
        host.document(step)
    };
    let other = "another-verifier-that-is-long-enough-to-be-one";
    assert_eq!(verify(None, presented(&prover, API)), Err("unknown_otp_token"));
    assert_eq!(verify(Some(other), presented(&prover, API)), Err("unknown_otp_token"));
    assert_eq!(verify(Some("short"), presented(&prover, API)), Err("unknown_otp_token"));
    assert_eq!(verify(Some(verifier), None), Err("unknown_otp_token"));
    assert_eq!(verify(Some(verifier), presented(&thief, API)), Err("unknown_otp_token"));
    assert_eq!(verify(Some(verifier), presented(&prover, "https://evil.example/")), Err("invalid_dpop_proof"));
    let without = Some(ApiRequest::new("POST", API, []).unwrap());
    assert_eq!(verify(Some(verifier), without), Err("invalid_dpop_proof"));
    let verified = verify(Some(verifier), presented(&prover, API)).unwrap();
    assert_eq!((text(&verified, "address"), text(&verified, "usage")), ("+8613612345678", "confirm_payment"));
}

#[test]
fn debug_output_shows_neither_token_nor_proof() {
    let headers = [("Authorization", &b"DPoP secret-token"[..]), ("DPoP", b"secret-proof")];
    let request = ApiRequest::new("GET", API, headers).unwrap();
    let shown =
        format!("{request:?} {:?} {:?}", PresentedToken::from("secret-token"), PresentedToken::from(request.clone()));
    assert!(shown.contains(API) && !shown.contains("secret"), "{shown}");
}
