//! Whole exchanges over a hash table.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use otp_grant_bindings::{ClockOffset, Done, Engine, QuestionKind, Step, Verification};
use serde_json::{Value, json};

use support::{Host, config, engine};

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap()
}

#[test]
fn a_user_logs_in_refreshes_and_signs_out() {
    let mut host = Host::new(engine());
    let (otp_token, code) = host.send();
    let delivery = &host.outbox[0];
    assert_eq!((text(delivery, "address"), text(delivery, "channel")), ("+8613612345678", "sms"));
    assert_eq!((text(delivery, "usage"), text(delivery, "client")), ("login", "app"));
    assert_eq!(text(delivery, "auth_source"), "sms");
    assert!((179..=180).contains(&delivery["valid_for"].as_u64().unwrap()), "{delivery}");
    let wrong = if code == "000000" { "000001" } else { "000000" };
    assert_eq!(host.grant(&otp_token, wrong).0, 400);
    let (status, tokens) = host.grant(&otp_token, &code);
    assert_eq!((status, text(&tokens, "token_type")), (200, "Bearer"));
    assert_eq!(host.grant(&otp_token, &code).0, 400);

    let refresh = |host: &mut Host, token: &str| {
        host.post("/oauth2/token", json!({ "grant_type": "refresh_token", "client_id": "app", "refresh_token": token }))
    };
    let (status, refreshed) = refresh(&mut host, text(&tokens, "refresh_token"));
    assert_eq!(status, 200);
    let claims = host.engine.verify_access_token(text(&refreshed, "access_token"), Some("app"), None);
    let claims: Value = serde_json::from_str(&claims.unwrap().unwrap()).unwrap();
    assert_eq!((text(&claims, "subject"), text(&claims, "client")), ("ada", "app"));
    assert_eq!(claims["custom"], json!({ "tenant": "acme" }));
    assert!(claims["expires_at"].as_u64().unwrap() - claims["issued_at"].as_u64().unwrap() == 300_000);

    let check = |host: &mut Host| {
        let step = host.engine.check_access_token(text(&refreshed, "access_token"), None, Some("openid")).unwrap();
        host.document(step)
    };
    assert_eq!(text(&check(&mut host).unwrap(), "session"), text(&claims, "session"));
    let bearer = format!("Bearer {}", text(&refreshed, "access_token"));
    let (status, userinfo) = host.request("GET", "/userinfo", &[("authorization", bearer.as_bytes())], b"");
    assert_eq!((status, userinfo), (200, json!({ "sub": "ada" })));

    let step = host.engine.revoke_session(text(&claims, "session")).unwrap();
    assert_eq!(host.document(step), Ok(json!({})));
    assert_eq!(check(&mut host), Err("revoked"));
    assert_eq!(refresh(&mut host, text(&refreshed, "refresh_token")).0, 400);
    let step = host.engine.check_keyring();
    assert_eq!(host.document(step), Ok(json!({ "keyring": "agrees" })));
    let step = host.engine.announce_new_keyring();
    assert_eq!(host.document(step), Ok(json!({})));
}

#[test]
fn hosts_with_other_keys_do_not_agree() {
    let mut host = Host::new(engine());
    let step = host.engine.check_keyring();
    host.document(step).unwrap();
    host.engine = engine();
    let step = host.engine.check_keyring();
    assert_eq!(host.document(step), Err("other_index_secret"));
}

#[test]
fn an_access_token_is_refused_by_code_and_the_reply_of_an_api_says_no_more() {
    let clock = ClockOffset::new();
    let engine = Engine::builder(&config().to_string()).unwrap().clock_offset(clock.clone()).build().unwrap();
    let mut host = Host::new(engine);
    let tokens = host.log_in();
    let token = text(&tokens, "access_token");
    let code_of = |host: &Host, token: &str, client, scope| {
        let refusal = host.engine.verify_access_token(token, client, scope).unwrap().unwrap_err();
        (refusal.code(), refusal.reply().unwrap().status())
    };
    assert!(host.engine.verify_access_token(token, Some("app"), Some("openid")).unwrap().is_ok());
    assert_eq!(code_of(&host, token, Some("web"), None), ("wrong_audience", 401));
    assert_eq!(code_of(&host, token, None, Some("openid api")), ("insufficient_scope", 403));
    assert_eq!(code_of(&host, text(&tokens, "id_token"), None, None), ("not_an_access_token", 401));
    assert_eq!(code_of(&host, "a.b.c", None, None), ("invalid_token", 401));
    assert_eq!(host.engine.verify_access_token(token, Some(""), None).unwrap_err().argument(), "client");
    assert_eq!(host.engine.verify_access_token(token, None, Some(" ")).unwrap_err().argument(), "needed_scope");
    clock.advance_ms(300_000);
    assert_eq!(code_of(&host, token, None, None), ("expired", 401));
    clock.advance_ms(-300_000);
    host.set(QuestionKind::UserBySubject, "ada", json!({ "subject": "ada", "status": "locked" }));
    let step = host.engine.check_access_token(token, None, None).unwrap();
    assert_eq!(host.document(step), Err("revoked"));
    host.failing = Some(QuestionKind::Load);
    let step = host.engine.check_access_token(token, None, None).unwrap();
    let Done::Document(Err(refusal)) = host.drive(step) else { panic!() };
    assert!(refusal.is_temporary() && refusal.reply().unwrap().status() == 503);
}

#[test]
fn a_code_of_another_usage_is_verified_once() {
    let mut settings = config();
    settings["usages"] = json!(["confirm_payment"]);
    let mut host = Host::new(Engine::from_json(&settings.to_string()).unwrap());
    let body = json!({ "client_id": "app", "usage": "confirm_payment", "phone_number": "13612345678" });
    let (status, sent) = host.post("/otp/send", body);
    assert_eq!(status, 200, "{sent}");
    let code = text(&host.outbox[0], "code").to_owned();
    let verify = |host: &mut Host, usage: &str, otp: &str| {
        let request = Verification {
            client: "app",
            usage,
            channel: "sms",
            address: "+86 136 1234 5678",
            otp_token: text(&sent, "otp_token"),
            otp,
            code_verifier: None,
            proof: None,
            device_token: None,
        };
        let step = host.engine.verify(request).unwrap();
        host.drive(step)
    };
    let wrong = if code == "000000" { "000001" } else { "000000" };
    let Done::Document(Err(refusal)) = verify(&mut host, "confirm_payment", wrong) else { panic!() };
    let told: Value = serde_json::from_str(&refusal.to_json()).unwrap();
    assert_eq!((text(&told, "code"), &told["attempts_remaining"]), ("unknown_otp", &json!(4)));
    assert!(refusal.reply().is_none());
    let Done::Document(Err(refusal)) = verify(&mut host, "signup", &code) else { panic!() };
    assert_eq!(refusal.code(), "mismatched_otp_token");
    let Done::Document(Ok(document)) = verify(&mut host, "confirm_payment", &code) else { panic!() };
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!((text(&document, "address"), text(&document, "usage")), ("+8613612345678", "confirm_payment"));
    let Done::Document(Err(refusal)) = verify(&mut host, "confirm_payment", &code) else { panic!() };
    assert_eq!(refusal.code(), "unknown_otp_token");
    let of = |client, usage, channel| Verification {
        client,
        usage,
        channel,
        address: "1",
        otp_token: "",
        otp: "",
        code_verifier: None,
        proof: None,
        device_token: None,
    };
    for (request, argument) in [
        (of("", "signup", "sms"), "client"),
        (of("a", "No", "sms"), "usage"),
        (of("a", "signup", "fax"), "channel"),
        (of("a", "signup", "email"), "address"),
    ] {
        assert_eq!(host.engine.verify(request).unwrap_err().argument(), argument);
    }
}

#[test]
fn an_external_key_signs_what_is_asked_for_and_a_wrong_signature_logs_nobody_in() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let x = BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    let mut settings = config();
    settings["signing"] = json!({
        "active": { "external": { "kty": "OKP", "crv": "Ed25519", "x": x } },
        "key_id": "outside",
    });
    let mut host = Host::new(Engine::from_json(&settings.to_string()).unwrap());
    let (otp_token, code) = host.send();
    let body = json!({
        "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/sms", "client_id": "app", "auth_source_id": "sms",
        "phone_number": "13612345678", "otp_token": otp_token, "otp": code,
    });
    for (flip, expected) in [(1, 503), (0, 200)] {
        let headers = [("Content-Type", &b"application/json"[..])];
        let mut step = host.engine.begin("POST", "/oauth2/token", headers, body.to_string().as_bytes()).unwrap();
        let mut signed = 0;
        let reply = loop {
            step = match step {
                Step::Question(question) if question.kind() == QuestionKind::Sign => {
                    signed += 1;
                    let document: Value = serde_json::from_str(&question.document()).unwrap();
                    assert_eq!(document, json!({ "algorithm": "EdDSA", "key_id": "outside" }));
                    let mut signature = key.sign(question.message().unwrap()).to_bytes();
                    signature[0] ^= flip;
                    question.answer_signature(&signature).unwrap()
                }
                Step::Question(question) => host.answer(question).unwrap(),
                Step::Done(Done::Reply(reply)) => break reply,
                Step::Done(Done::Document(document)) => panic!("{document:?}"),
            };
        };
        assert_eq!(reply.status(), expected);
        if expected == 200 {
            let tokens: Value = serde_json::from_slice(reply.body()).unwrap();
            assert_eq!(signed, 2);
            assert!(host.engine.verify_access_token(text(&tokens, "access_token"), None, None).unwrap().is_ok());
        }
    }
}

#[test]
fn the_observer_receives_each_event_as_json_without_secrets() {
    let events: Arc<Mutex<Vec<Value>>> = Arc::default();
    let told = Arc::clone(&events);
    let observer = move |event: &str| told.lock().unwrap().push(serde_json::from_str(event).unwrap());
    let builder = Engine::builder(&config().to_string()).unwrap();
    let mut host = Host::new(builder.observer(observer).build().unwrap());
    let (otp_token, code) = host.send();
    host.grant(&otp_token, if code == "000000" { "000001" } else { "000000" });
    let (_, tokens) = host.grant(&otp_token, &code);
    host.failing = Some(QuestionKind::Load);
    assert_eq!(host.grant(&otp_token, &code).0, 503);
    host.failing = Some(QuestionKind::Client);
    assert_eq!(host.grant(&otp_token, &code).0, 503);
    let events = events.lock().unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| text(event, "kind")).collect();
    assert_eq!(kinds, ["sent", "wrong_code", "logged_in", "store_failed", "directory_failed"]);
    assert_eq!((text(&events[0], "client"), text(&events[0], "address").len()), ("app", 64));
    assert_eq!(events[1]["attempts_remaining"], 4);
    assert_eq!(text(&events[2], "subject"), "ada");
    assert_eq!(text(&events[3], "error"), "the host is out of order");
    let all = serde_json::to_string(&*events).unwrap();
    for secret in [&*otp_token, &code, "13612345678", text(&tokens, "refresh_token")] {
        assert!(!all.contains(&format!("\"{secret}\"")) && !all.contains("13612345678"), "{all}");
    }
}

#[test]
fn a_path_that_is_no_endpoint_has_no_exchange_and_a_document_is_done_at_once() {
    let engine = engine();
    assert!(engine.begin("GET", "/", [], b"").is_none());
    let Some(Step::Done(Done::Reply(reply))) = engine.begin("GET", "/oauth2/jwks", [], b"") else { panic!() };
    assert_eq!((reply.status(), String::from_utf8(reply.into_body()).unwrap()), (200, engine.key_set()));
    let routes: Value = serde_json::from_str(&engine.routes()).unwrap();
    assert_eq!(
        routes[0],
        json!({ "endpoint": "otp_send", "path": "/otp/send", "url": "https://login.example.com/otp/send",
            "methods": ["POST"] })
    );
    assert_eq!(routes.as_array().unwrap().len(), 8);
    assert_eq!(engine.issuer(), "https://login.example.com");
}

#[test]
fn exchanges_of_one_engine_on_several_threads_do_not_mix() {
    let engine = engine();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let engine = engine.clone();
            scope.spawn(move || {
                for round in 0..250 {
                    // The client is asked for by the name that this thread gave.
                    let client = format!("app-{thread}-{round}");
                    let body = json!({ "grant_type": "refresh_token", "client_id": client, "refresh_token": "none" });
                    let headers = [("Content-Type", &b"application/json"[..])];
                    let step = engine.begin("POST", "/oauth2/token", headers, body.to_string().as_bytes()).unwrap();
                    let Step::Question(question) = step else { panic!() };
                    assert_eq!(question.client_id(), Some(&*client));
                    let Ok(Step::Done(Done::Reply(reply))) = question.answer_document(None) else { panic!() };
                    assert_eq!(reply.status(), 401);
                }
            });
        }
    });
}
