//! What a host in another language does against messages that nobody reads and lockouts that an attacker causes, and
//! how a reviewer without a telephone logs in.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::{Arc, Mutex};

use otp_grant_bindings::{ClockOffset, Engine, HostVerdict, QuestionKind, Verification};
use serde_json::{Value, json};

use support::{Host, config};

const PHONE: &str = "13612345678";
const REVIEWER: &str = "+8613600000001";
const HALF_A_MINUTE: i64 = 31_000;

/// A host, its clock and its events.
struct Watched {
    host: Host,
    clock: ClockOffset,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Watched {
    fn new(settings: &Value) -> Self {
        let mut document = config();
        for (name, value) in settings.as_object().unwrap() {
            document[name] = value.clone();
        }
        let (clock, events) = (ClockOffset::new(), Arc::<Mutex<Vec<Value>>>::default());
        let told = Arc::clone(&events);
        let builder = Engine::builder(&document.to_string()).unwrap();
        let observer = move |event: &str| told.lock().unwrap().push(serde_json::from_str(event).unwrap());
        let engine = builder.observer(observer).clock_offset(clock.clone()).build().unwrap();
        Self { host: Host::new(engine), clock, events }
    }

    fn send(&mut self, phone: &str, members: Value) -> (u16, Value) {
        self.send_as(HostVerdict::None, phone, members)
    }

    fn send_as(&mut self, verdict: HostVerdict, phone: &str, members: Value) -> (u16, Value) {
        let body = with(json!({ "client_id": "app", "auth_source_id": "sms", "phone_number": phone }), members);
        let headers = [("Content-Type", &b"application/json"[..])];
        let body = body.to_string();
        let step = self.host.engine.begin_with_verdict("POST", "/otp/send", headers, body.as_bytes(), verdict);
        let reply = self.host.reply(step.unwrap());
        (reply.status(), serde_json::from_slice(reply.body()).unwrap())
    }

    fn grant(&mut self, phone: &str, sent: &Value, code: &str, members: Value) -> (u16, Value) {
        let body = json!({
            "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/sms", "client_id": "app",
            "auth_source_id": "sms", "phone_number": phone, "otp_token": sent["otp_token"], "otp": code,
        });
        self.host.post("/oauth2/token", with(body, members))
    }

    fn code(&self) -> String {
        self.host.outbox.last().unwrap()["code"].as_str().unwrap().to_owned()
    }

    /// Logs in, and has the device remembered.
    fn remembered(&mut self) -> String {
        let sent = self.send(PHONE, json!({})).1;
        let (status, tokens) = self.grant(PHONE, &sent, &self.code(), json!({ "remember_device": true }));
        assert_eq!(status, 200, "{tokens}");
        self.clock.advance_ms(HALF_A_MINUTE);
        tokens["device_token"].as_str().unwrap().to_owned()
    }

    /// Uses up all guesses of those who have no device token.
    fn lock(&mut self) {
        let sent = self.send(PHONE, json!({})).1;
        let wrong = if self.code() == "000000" { "000001" } else { "000000" };
        for _ in 0..5 {
            assert_eq!(self.grant(PHONE, &sent, wrong, json!({})).0, 400);
        }
        self.clock.advance_ms(HALF_A_MINUTE);
        let (status, refused) = self.send(PHONE, json!({}));
        assert_eq!((status, &refused["error"]), (400, &json!("sms_rate_limit_exceeded")));
    }

    fn explain(&mut self) -> Value {
        let step = self.host.engine.explain("sms", PHONE).unwrap();
        self.host.document(step).unwrap()
    }

    fn kinds(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        events.iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
    }
}

/// Five guesses lock an address.
fn few_guesses() -> Value {
    json!({ "quotas": { "guesses_per_address": { "count": 5, "per": "24h" } }, "usages": ["confirm_payment"] })
}

fn with(mut object: Value, members: Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        object[name] = value.clone();
    }
    object
}

#[test]
fn a_known_device_logs_in_to_an_address_that_an_attacker_has_locked() {
    let mut watched = Watched::new(&few_guesses());
    let device_token = watched.remembered();
    watched.lock();
    let device = json!({ "device_token": device_token });
    let (status, sent) = watched.send(PHONE, device.clone());
    assert_eq!(status, 200, "{sent}");
    let code = watched.code();
    assert_eq!(watched.grant(PHONE, &sent, &code, json!({})).0, 400, "without the token, the address is locked");
    assert_eq!(watched.grant(PHONE, &sent, &code, device.clone()).0, 200);
    assert!(watched.kinds().contains(&"device_remembered".to_owned()));

    // A code of another usage is redeemed with the device token also.
    watched.clock.advance_ms(HALF_A_MINUTE);
    let of_payment = json!({ "usage": "confirm_payment", "device_token": device_token, "auth_source_id": null });
    let (status, sent) = watched.send(PHONE, of_payment);
    assert_eq!(status, 200, "{sent}");
    let code = watched.code();
    let mut verify = |device_token| {
        let request = Verification {
            client: "app",
            usage: "confirm_payment",
            channel: "sms",
            address: PHONE,
            otp_token: sent["otp_token"].as_str().unwrap(),
            otp: &code,
            code_verifier: None,
            proof: None,
            device_token,
        };
        let step = watched.host.engine.verify(request).unwrap();
        watched.host.document(step)
    };
    assert_eq!(verify(None), Err("unknown_otp_token"));
    assert_eq!(verify(Some("not a token")), Err("unknown_otp_token"));
    assert_eq!(verify(Some(&device_token)).unwrap()["usage"], "confirm_payment");
}

#[test]
fn a_server_that_remembers_no_device_gives_no_token() {
    let mut watched = Watched::new(&json!({ "devices": false }));
    let sent = watched.send(PHONE, json!({})).1;
    let (status, tokens) = watched.grant(PHONE, &sent, &watched.code(), json!({ "remember_device": true }));
    assert_eq!((status, tokens.get("device_token")), (200, None));
}

#[test]
fn the_staff_explains_unlocks_and_forgets() {
    let mut watched = Watched::new(&few_guesses());
    let explained = watched.explain();
    let untouched = json!({ "left": 5, "available_at": null });
    assert_eq!((&explained["is_locked"], &explained["guesses"]), (&json!(false), &untouched));
    assert_eq!((&explained["challenges"], &explained["devices"]), (&json!([]), &json!([])));

    let device_token = watched.remembered();
    watched.lock();
    let explained = watched.explain();
    assert_eq!((&explained["is_locked"], &explained["guesses"]["left"]), (&json!(true), &json!(0)));
    let (available_at, known_until) = (&explained["guesses"]["available_at"], &explained["devices"][0]["known_until"]);
    assert!(known_until.as_u64().unwrap() > available_at.as_u64().unwrap(), "{explained}");
    let device = &explained["devices"][0];
    assert_eq!((&device["guesses"]["left"], &device["sends"]["left"]), (&json!(10), &json!(10)));
    let challenge = &explained["challenges"][0];
    assert_eq!(challenge["guesses_left"], 0);
    assert!(challenge["expires_at"].as_u64().unwrap() > challenge["code_expires_at"].as_u64().unwrap());
    let told = explained.to_string();
    assert!(!told.contains(PHONE) && !told.contains(&watched.code()), "{told}");

    let step = watched.host.engine.unlock("sms", PHONE).unwrap();
    assert_eq!(watched.host.document(step), Ok(json!({})));
    assert_eq!(watched.explain()["guesses"], untouched);
    let (status, sent) = watched.send(PHONE, json!({}));
    assert_eq!(status, 200, "{sent}");
    assert_eq!(watched.grant(PHONE, &sent, &watched.code(), json!({})).0, 200);

    watched.clock.advance_ms(HALF_A_MINUTE);
    let step = watched.host.engine.forget_devices("sms", PHONE).unwrap();
    assert_eq!(watched.host.document(step), Ok(json!({})));
    assert_eq!(watched.explain()["devices"], json!([]));
    watched.lock();
    assert_eq!(watched.send(PHONE, json!({ "device_token": device_token })).0, 400, "a device that is forgotten");
    let kinds = watched.kinds();
    assert!(["unlocked", "devices_forgotten"].iter().all(|kind| kinds.contains(&(*kind).to_owned())), "{kinds:?}");

    watched.host.failing = Some(QuestionKind::Load);
    let engine = watched.host.engine.clone();
    for begin in [Engine::explain, Engine::unlock, Engine::forget_devices] {
        assert_eq!(watched.host.document(begin(&engine, "sms", PHONE).unwrap()), Err("temporarily_unavailable"));
        assert_eq!(begin(&engine, "fax", PHONE).unwrap_err().argument(), "channel");
        assert_eq!(begin(&engine, "email", PHONE).unwrap_err().argument(), "address");
    }
}

#[test]
fn a_test_identity_logs_in_with_its_code_and_the_host_delivers_nothing() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let ends_at = u64::try_from(now.as_millis()).unwrap() + 60 * 60 * 1000;
    let identity = json!({ "phone_number": REVIEWER, "code": "246810", "clients": ["app"], "ends_at": ends_at });
    let mut watched = Watched::new(&json!({ "test_identities": [identity] }));
    let by_address = (QuestionKind::UserByAddress, REVIEWER.to_owned());
    let user = |is_test| json!({ "subject": "reviewer", "is_test": is_test }).to_string();
    watched.host.documents.insert(by_address.clone(), user(false));
    watched.host.documents.insert((QuestionKind::UserBySubject, "reviewer".to_owned()), user(true));

    let (status, sent) = watched.send(REVIEWER, json!({}));
    assert_eq!(status, 200, "{sent}");
    assert!(watched.host.outbox.is_empty() && !watched.host.asked.contains(&QuestionKind::Deliver));
    assert_eq!(watched.grant(REVIEWER, &sent, "246810", json!({})).0, 400, "no test subject");
    watched.host.documents.insert(by_address, user(true));
    watched.clock.advance_ms(HALF_A_MINUTE);
    let sent = watched.send(REVIEWER, json!({})).1;
    assert_eq!(watched.grant(REVIEWER, &sent, "246811", json!({})).0, 400);
    let (status, tokens) = watched.grant(REVIEWER, &sent, "246810", json!({}));
    assert_eq!(status, 200, "{tokens}");
    let claims = watched.host.engine.verify_access_token(tokens["access_token"].as_str().unwrap(), None, None);
    let claims: Value = serde_json::from_str(&claims.unwrap().unwrap()).unwrap();
    assert_eq!((&claims["subject"], &claims["amr"]), (&json!("reviewer"), &json!(["test"])));
    assert!(watched.host.outbox.is_empty());
    let kinds = watched.kinds();
    assert_eq!(kinds.iter().filter(|kind| *kind == "test_identity_used").count(), 3, "{kinds:?}");

    // After its end, the address is like any other.
    watched.clock.advance_ms(60 * 60 * 1000);
    assert_eq!(watched.send(REVIEWER, json!({})).0, 200);
    assert_eq!(watched.host.outbox.len(), 1);
}

#[test]
fn the_address_of_a_test_identity_is_read_as_the_numbering_plan_says() {
    let mut document = config();
    document["addresses"] = json!({});
    document["test_identities"] =
        json!([{ "phone_number": "013600000001", "code": "246810", "clients": ["app"], "ends_at": 0 }]);
    let builder = || Engine::builder(&document.to_string()).unwrap();
    let plan = |text: &str| match text.strip_prefix('0') {
        Some(national) => Some(format!("+86{national}")),
        None => Some(text.to_owned()),
    };
    assert!(builder().numbering_plan(plan).build().is_ok());
    let error = builder().numbering_plan(|_| None).build().unwrap_err();
    assert_eq!(error.place(), "test_identities[0].phone_number");
}

#[test]
fn a_send_that_is_not_trusted_passes_with_the_verdict_of_the_host() {
    let guard = json!({ "mode": "enforce", "countries": { "allow": ["86", "1"], "except": ["1876"] },
        "thresholds": { "block": { "per_day": 2, "per_hour": 2 } } });
    let mut watched = Watched::new(&json!({ "send_guard": guard }));
    let in_block = |number: usize| format!("+861361234{number:04}");
    for number in 0..4 {
        assert_eq!(watched.send(&in_block(number), json!({})).0, 200);
    }
    let challenged = (400, json!("challenge_required"));
    let error = |(status, body): (u16, Value)| (status, body["error"].clone());
    assert_eq!(error(watched.send(&in_block(5), json!({}))), challenged);
    assert_eq!(watched.send_as(HostVerdict::Allow, &in_block(5), json!({})).0, 200);
    assert_eq!(error(watched.send_as(HostVerdict::Challenge, "+8613700000000", json!({}))), challenged);
    let refused = error(watched.send_as(HostVerdict::Refuse, "+8613700000000", json!({})));
    assert_eq!(refused, (400, json!("insufficient_sms_quota")));
    let elsewhere = error(watched.send_as(HostVerdict::Allow, "+18765550123", json!({})));
    assert_eq!(elsewhere, (400, json!("invalid_phone_number")));

    let events = watched.events.lock().unwrap();
    let of_guard = events.iter().filter(|event| event.get("cause").is_some());
    let told: Vec<_> = of_guard.map(|event| [&event["kind"], &event["cause"], &event["client"]]).collect();
    assert_eq!(
        json!(told),
        json!([
            ["send_challenged", "block", "app"],
            ["send_challenged", "verdict", "app"],
            ["send_refused", "verdict", "app"],
            ["send_refused", "country_not_allowed", "app"],
        ])
    );
}

#[test]
fn a_guard_that_observes_tells_and_sends_and_a_client_has_a_budget() {
    let guard = json!({ "mode": "observe", "thresholds": { "block": { "per_day": 1, "per_hour": 1 } }, "shards": 1 });
    let mut watched = Watched::new(&json!({ "send_guard": guard }));
    let client = json!({ "public": true, "may_send": true, "auth_sources": ["sms"],
        "message_budget": { "per_hour": 4, "per_day": 4 } });
    watched.host.set(QuestionKind::Client, "app", client);
    for number in 0..5 {
        assert_eq!(watched.send(&format!("+861361234000{number}"), json!({})).0, 200);
    }
    let kinds = watched.kinds();
    for kind in ["send_would_be_refused", "client_budget_half_used", "client_budget_used"] {
        assert!(kinds.contains(&kind.to_owned()), "{kind} {kinds:?}");
    }
}

#[test]
fn a_second_message_with_the_same_code_says_so() {
    let mut watched = Watched::new(&json!({}));
    for attempt in 1..=2 {
        assert_eq!(watched.send(PHONE, json!({})).0, 200);
        assert_eq!(watched.host.outbox.last().unwrap()["attempt"], attempt);
        watched.clock.advance_ms(HALF_A_MINUTE);
    }
    assert_eq!(watched.host.outbox[0]["code"], watched.host.outbox[1]["code"]);
}

#[test]
fn a_verdict_has_a_name() {
    for (name, verdict) in [
        ("none", HostVerdict::None),
        ("allow", HostVerdict::Allow),
        ("challenge", HostVerdict::Challenge),
        ("refuse", HostVerdict::Refuse),
    ] {
        assert_eq!(HostVerdict::from_name(name), Some(verdict));
    }
    assert_eq!(HostVerdict::from_name("Allow"), None);
}
