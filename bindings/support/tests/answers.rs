//! Answers that are not taken give the question back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use otp_grant_bindings::{
    AnswerError, Done, FailedDelivery, ParsedAuthSource, ParsedClient, Pending, QuestionKind, Rejected, Step,
    StoredRecord, UserAnswer,
};
use serde_json::{Value, json};

use support::{Host, engine};

type Try = fn(Pending) -> Result<Step, Rejected>;

/// An answer that can't be read, and the place that its error names.
type Malformed = (Box<dyn FnOnce(Pending) -> Result<Step, Rejected>>, &'static str);

/// Answers of every kind. Each fits to the questions that are named.
const ANSWERS: [(Try, &[QuestionKind]); 9] = [
    (|question| question.answer_record(None), &[QuestionKind::Load]),
    (|question| question.answer_swap(false), &[QuestionKind::Swap]),
    (
        |question| question.answer_document(None),
        &[
            QuestionKind::Client,
            QuestionKind::AuthSource,
            QuestionKind::UserByAddress,
            QuestionKind::UserBySubject,
            QuestionKind::SignUp,
            QuestionKind::UserClaims,
            QuestionKind::AccessTokenClaims,
            QuestionKind::GrantedScope,
        ],
    ),
    (|question| question.answer_client(None), &[QuestionKind::Client]),
    (|question| question.answer_auth_source(None), &[QuestionKind::AuthSource]),
    (
        |question| question.answer_user(None),
        &[QuestionKind::UserByAddress, QuestionKind::UserBySubject, QuestionKind::SignUp],
    ),
    (|question| question.answer_scope(None), &[QuestionKind::GrantedScope]),
    (|question| question.answer_signature(b""), &[QuestionKind::Sign]),
    (|question| question.fail_delivery(FailedDelivery::AddressRefused), &[QuestionKind::Deliver]),
];

/// Gives every wrong kind of answer and a malformed one, and returns the question.
fn misuse(mut question: Pending) -> Pending {
    let kind = question.kind();
    let before = question.document();
    for (answer, fits) in ANSWERS {
        if !fits.contains(&kind) {
            let (back, error) = answer(question).unwrap_err().into_parts();
            assert_eq!((error.code(), error), ("wrong_kind", AnswerError::WrongKind { question: kind }));
            question = back;
        }
    }
    let user = |subject, status| UserAnswer { subject, status, tokens_valid_after_ms: None, is_test: false };
    let record = |tag, body| StoredRecord { tag, delete_after_ms: 0, body };
    let client = ParsedClient::from_json(r#"{"id":"other","public":true}"#).unwrap();
    let source = ParsedAuthSource::from_json(r#"{"id":"other","channel":"sms"}"#).unwrap();
    let malformed: Vec<Malformed> = match kind {
        QuestionKind::Load => vec![
            (Box::new(move |question| question.answer_record(Some(record(b"short", b"{}")))), "tag"),
            (Box::new(move |question| question.answer_record(Some(record(&[0; 16], b"{}")))), "body"),
        ],
        QuestionKind::Client => vec![
            (Box::new(|question| question.answer_document(Some("{"))), ""),
            (Box::new(|question| question.answer_document(Some("{}"))), ""),
            (Box::new(|question| question.answer_document(Some(r#"{"public":true,"id":"other"}"#))), "id"),
            (Box::new(|question| question.answer_document(Some(r#"{"public":true,"colour":1}"#))), "colour"),
            (Box::new(move |question| question.answer_client(Some(&client))), "id"),
        ],
        QuestionKind::AuthSource => vec![
            (Box::new(|question| question.answer_document(Some(r#"{"channel":"fax"}"#))), "channel"),
            (Box::new(move |question| question.answer_auth_source(Some(&source))), "id"),
        ],
        QuestionKind::UserByAddress | QuestionKind::UserBySubject | QuestionKind::SignUp => vec![
            (Box::new(|question| question.answer_document(Some(r#"{"subject":""}"#))), "subject"),
            (Box::new(move |question| question.answer_user(Some(user("ada", "fine")))), "status"),
        ],
        QuestionKind::AccessTokenClaims => {
            vec![(Box::new(|question| question.answer_document(Some(r#"{"sub":"eve"}"#))), "sub")]
        }
        QuestionKind::UserClaims => vec![(Box::new(|question| question.answer_document(Some("[]"))), "")],
        QuestionKind::GrantedScope => vec![
            (Box::new(|question| question.answer_document(Some(r#"{"scope":" "}"#))), "scope"),
            (Box::new(|question| question.answer_scope(Some(" "))), "scope"),
        ],
        _ => vec![],
    };
    for (answer, place) in malformed {
        let (back, error) = answer(question).unwrap_err().into_parts();
        let AnswerError::Malformed(error) = error else { panic!("{error}") };
        assert_eq!(error.place(), place, "{kind} {error}");
        question = back;
    }
    assert_eq!((question.kind(), question.document()), (kind, before));
    question
}

/// Drives an exchange, and misuses each of its questions.
fn drive(host: &mut Host, seen: &mut Vec<QuestionKind>, path: &str, headers: &[(&str, &[u8])], body: Value) -> Value {
    let mut all = vec![("Content-Type", &b"application/json"[..])];
    all.extend(headers);
    let method = if body.is_null() { "GET" } else { "POST" };
    let mut step = host.engine.begin(method, path, all, body.to_string().as_bytes()).unwrap();
    loop {
        step = match step {
            Step::Question(question) => {
                seen.push(question.kind());
                host.answer(misuse(question)).unwrap()
            }
            Step::Done(Done::Reply(reply)) => return serde_json::from_slice(reply.body()).unwrap(),
            Step::Done(Done::Document(document)) => panic!("{document:?}"),
        };
    }
}

#[test]
fn an_answer_that_is_not_taken_changes_nothing() {
    let mut host = Host::new(engine());
    let mut seen = Vec::new();
    let body = json!({ "client_id": "app", "auth_source_id": "sms", "phone_number": "13612345678" });
    let sent = drive(&mut host, &mut seen, "/otp/send", &[], body);
    host.documents.remove(&(QuestionKind::UserByAddress, "+8613612345678".to_owned()));
    host.set(QuestionKind::SignUp, "+8613612345678", json!({ "subject": "ada" }));
    let grant = json!({
        "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/sms", "client_id": "app", "auth_source_id": "sms",
        "phone_number": "13612345678", "otp_token": sent["otp_token"], "otp": host.outbox[0]["code"],
        "auto_signup": true, "scope": "openid phone",
    });
    let tokens = drive(&mut host, &mut seen, "/oauth2/token", &[], grant);
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let told = drive(&mut host, &mut seen, "/userinfo", &[("Authorization", bearer.as_bytes())], Value::Null);
    assert_eq!(told, json!({ "sub": "ada", "phone_number": "+8613612345678" }));
    let all: Vec<QuestionKind> = ANSWERS.iter().flat_map(|(_, kinds)| kinds.iter().copied()).collect();
    for kind in all {
        assert!(seen.contains(&kind) || kind == QuestionKind::Sign, "{kind}");
    }
}

#[test]
fn a_question_that_is_refused_or_failed_ends_as_the_port_would() {
    let begin = |host: &Host, path: &str, body: Value| {
        let headers = [("Content-Type", &b"application/json"[..])];
        host.engine.begin("POST", path, headers, body.to_string().as_bytes()).unwrap()
    };
    let send = json!({ "client_id": "app", "auth_source_id": "sms", "phone_number": "13612345678" });
    for kind in
        [QuestionKind::Client, QuestionKind::AuthSource, QuestionKind::Load, QuestionKind::Swap, QuestionKind::Deliver]
    {
        for fails in [false, true] {
            let mut host = Host::new(engine());
            let mut step = begin(&host, "/otp/send", send.clone());
            let reply = loop {
                step = match step {
                    Step::Question(question) if question.kind() == kind && fails => question.fail("out of order"),
                    Step::Question(question) if question.kind() == kind => question.refuse(),
                    Step::Question(question) => host.answer(question).unwrap(),
                    Step::Done(Done::Reply(reply)) => break reply,
                    Step::Done(Done::Document(document)) => panic!("{document:?}"),
                };
            };
            assert_eq!(reply.status(), 503, "{kind}");
        }
    }
    // Without sign-up the user stays unknown.
    let mut host = Host::new(engine());
    host.documents.remove(&(QuestionKind::UserByAddress, "+8613612345678".to_owned()));
    let (otp_token, code) = host.send();
    let grant = json!({
        "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/sms", "client_id": "app", "auth_source_id": "sms",
        "phone_number": "13612345678", "otp_token": otp_token, "otp": code, "auto_signup": true,
    });
    let mut step = begin(&host, "/oauth2/token", grant);
    let reply = loop {
        step = match step {
            Step::Question(question) if question.kind() == QuestionKind::SignUp => question.refuse(),
            Step::Question(question) => host.answer(question).unwrap(),
            Step::Done(Done::Reply(reply)) => break reply,
            Step::Done(Done::Document(document)) => panic!("{document:?}"),
        };
    };
    let told: Value = serde_json::from_slice(reply.body()).unwrap();
    assert_eq!((reply.status(), &told["error"]), (400, &json!("invalid_grant")));
}

#[test]
fn a_failed_delivery_is_told_to_the_client_by_its_kind() {
    for (failure, status, error) in [
        (FailedDelivery::AddressRefused, 400, "invalid_phone_number"),
        (FailedDelivery::InsufficientQuota, 400, "insufficient_sms_quota"),
        (FailedDelivery::Undeliverable, 503, "temporarily_unavailable"),
    ] {
        assert_eq!(FailedDelivery::from_name(failure.name()), Some(failure));
        let mut host = Host::new(engine());
        let headers = [("Content-Type", &b"application/json"[..])];
        let body = json!({ "client_id": "app", "auth_source_id": "sms", "phone_number": "13612345678" });
        let mut step = host.engine.begin("POST", "/otp/send", headers, body.to_string().as_bytes()).unwrap();
        let reply = loop {
            step = match step {
                Step::Question(question) if question.kind() == QuestionKind::Deliver => {
                    question.fail_delivery(failure).unwrap()
                }
                Step::Question(question) => host.answer(question).unwrap(),
                Step::Done(Done::Reply(reply)) => break reply,
                Step::Done(Done::Document(document)) => panic!("{document:?}"),
            };
        };
        let told: Value = serde_json::from_slice(reply.body()).unwrap();
        assert_eq!((reply.status(), &told["error"]), (status, &json!(error)), "{told}");
    }
    assert_eq!(FailedDelivery::from_name("late"), None);
}

#[test]
fn a_request_that_is_dropped_at_any_step_leaves_a_code_that_is_usable_or_spent() {
    // As many steps as a login has.
    for dropped_at in 0..20 {
        let mut host = Host::new(engine());
        let (otp_token, code) = host.send();
        let grant = json!({
            "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/sms", "client_id": "app",
            "auth_source_id": "sms", "phone_number": "13612345678", "otp_token": otp_token, "otp": code,
        });
        let headers = [("Content-Type", &b"application/json"[..])];
        let mut step = host.engine.begin("POST", "/oauth2/token", headers, grant.to_string().as_bytes()).unwrap();
        let mut is_done = false;
        for _ in 0..dropped_at {
            step = match step {
                Step::Question(question) => host.answer(question).unwrap(),
                Step::Done(_) => {
                    is_done = true;
                    break;
                }
            };
        }
        if let Step::Done(_) = step {
            is_done = true;
        }
        drop(step);
        let (status, _) = host.grant(&otp_token, &code);
        let (usable, spent) = (status == 200, status == 400);
        assert!(if is_done { spent } else { usable || spent }, "{dropped_at} {status}");
        if dropped_at < 5 {
            assert!(usable, "{dropped_at} {status}");
        }
    }
}
