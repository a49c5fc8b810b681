//! A host with its records in a hash table.

#![allow(dead_code, unreachable_pub, reason = "each test uses another part of it")]

pub mod prover;

use std::collections::HashMap;

use otp_grant_bindings::{Done, Engine, FailedDelivery, Pending, QuestionKind, Rejected, Reply, Step, StoredRecord};
use serde_json::{Value, json};

pub struct Host {
    pub engine: Engine,
    pub records: HashMap<Vec<u8>, (Vec<u8>, u64, Vec<u8>)>,
    /// The documents of deliveries.
    pub outbox: Vec<Value>,
    /// The kinds of the questions, in their order.
    pub asked: Vec<QuestionKind>,
    /// Documents by kind and by what was asked for. Anything else is unknown.
    pub documents: HashMap<(QuestionKind, String), String>,
    pub failing: Option<QuestionKind>,
}

impl Host {
    pub fn new(engine: Engine) -> Self {
        let documents = [
            (
                QuestionKind::Client,
                "app",
                json!({ "public": true, "may_send": true, "auth_sources": ["sms"], "scopes": "openid phone api" }),
            ),
            (QuestionKind::AuthSource, "sms", json!({ "channel": "sms" })),
            (QuestionKind::UserByAddress, "+8613612345678", json!({ "subject": "ada" })),
            (QuestionKind::UserBySubject, "ada", json!({ "subject": "ada" })),
            (QuestionKind::UserClaims, "ada", json!({ "name": "Ada", "phone_number": "+8613612345678" })),
            (QuestionKind::AccessTokenClaims, "ada", json!({ "tenant": "acme" })),
        ];
        Self {
            engine,
            records: HashMap::new(),
            outbox: Vec::new(),
            asked: Vec::new(),
            documents: documents.map(|(kind, id, document)| ((kind, id.to_owned()), document.to_string())).into(),
            failing: None,
        }
    }

    pub fn set(&mut self, kind: QuestionKind, id: &str, document: Value) {
        self.documents.insert((kind, id.to_owned()), document.to_string());
    }

    /// Posts JSON.
    pub fn post(&mut self, path: &str, body: Value) -> (u16, Value) {
        self.request("POST", path, &[("Content-Type", b"application/json")], body.to_string().as_bytes())
    }

    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &[u8])], body: &[u8]) -> (u16, Value) {
        let step = self.engine.begin(method, path, headers.iter().copied(), body).unwrap();
        let reply = self.reply(step);
        (reply.status(), serde_json::from_slice(reply.body()).unwrap_or(Value::Null))
    }

    pub fn reply(&mut self, step: Step) -> Reply {
        match self.drive(step) {
            Done::Reply(reply) => reply,
            Done::Document(document) => panic!("{document:?}"),
        }
    }

    /// The document of a verb, or the code of its refusal.
    pub fn document(&mut self, step: Step) -> Result<Value, &'static str> {
        match self.drive(step) {
            Done::Document(Ok(document)) => Ok(serde_json::from_str(&document).unwrap()),
            Done::Document(Err(refusal)) => Err(refusal.code()),
            Done::Reply(reply) => panic!("{}", reply.status()),
        }
    }

    pub fn drive(&mut self, mut step: Step) -> Done {
        loop {
            match step {
                Step::Done(done) => return done,
                Step::Question(question) => {
                    self.asked.push(question.kind());
                    step = match self.failing == Some(question.kind()) {
                        true => question.fail("the host is out of order"),
                        false => self.answer(question).map_err(Rejected::into_parts).unwrap(),
                    };
                }
            }
        }
    }

    pub fn answer(&mut self, question: Pending) -> Result<Step, Rejected> {
        match question.kind() {
            QuestionKind::Load => {
                let found = self.records.get(question.record_key().unwrap());
                question.answer_record(found.map(|(tag, delete_after_ms, body)| StoredRecord {
                    tag,
                    delete_after_ms: *delete_after_ms,
                    body,
                }))
            }
            QuestionKind::Swap => {
                let key = question.record_key().unwrap().to_vec();
                let is_expected = self.records.get(&key).map(|(tag, ..)| &**tag) == question.expected_tag();
                if is_expected {
                    let (tag, body) = (question.tag().unwrap(), question.record_body().unwrap());
                    let record = (tag.to_vec(), question.delete_after_ms().unwrap(), body.to_vec());
                    self.records.insert(key, record);
                }
                question.answer_swap(is_expected)
            }
            QuestionKind::Deliver => {
                let delivery: Value = serde_json::from_str(&question.document()).unwrap();
                assert_eq!(delivery["valid_for"].as_u64(), question.valid_for_ms().map(|ms| ms.div_ceil(1000)));
                self.outbox.push(delivery);
                question.accept_delivery()
            }
            QuestionKind::GrantedScope => Ok(question.refuse()),
            kind => {
                let parts = [question.client_id(), question.auth_source_id(), question.address(), question.subject()];
                let id = match kind {
                    QuestionKind::UserClaims | QuestionKind::AccessTokenClaims => question.subject(),
                    _ => parts.into_iter().flatten().next(),
                };
                let document = self.documents.get(&(kind, id.unwrap().to_owned())).map(String::as_str);
                question.answer_document(document)
            }
        }
    }

    /// Posts JSON with these `DPoP` headers. Returns the whole reply.
    pub fn post_with(&mut self, path: &str, body: &Value, proofs: &[&str]) -> Reply {
        let proofs = proofs.iter().map(|proof| ("DPoP", proof.as_bytes()));
        let headers = [("Content-Type", &b"application/json"[..])].into_iter().chain(proofs);
        let step = self.engine.begin("POST", path, headers, body.to_string().as_bytes()).unwrap();
        self.reply(step)
    }

    /// Has a code sent to the phone of Ada. Returns the otp_token and the code.
    pub fn send(&mut self) -> (String, String) {
        let (status, sent) = self
            .post("/otp/send", json!({ "client_id": "app", "auth_source_id": "sms", "phone_number": "13612345678" }));
        assert_eq!(status, 200, "{sent}");
        let code = self.outbox.last().unwrap()["code"].as_str().unwrap().to_owned();
        (sent["otp_token"].as_str().unwrap().to_owned(), code)
    }

    pub fn grant(&mut self, otp_token: &str, code: &str) -> (u16, Value) {
        self.post(
            "/oauth2/token",
            json!({
                "grant_type": "http://tencentciam.com/oauth2/grant-type/otp/sms",
                "client_id": "app",
                "auth_source_id": "sms",
                "phone_number": "13612345678",
                "otp_token": otp_token,
                "otp": code,
            }),
        )
    }

    /// Logs Ada in.
    pub fn log_in(&mut self) -> Value {
        let (otp_token, code) = self.send();
        let (status, tokens) = self.grant(&otp_token, &code);
        assert_eq!(status, 200, "{tokens}");
        tokens
    }
}

/// The least that a configuration has.
pub fn config() -> Value {
    json!({
        "issuer": "https://login.example.com",
        "keys": { "generate": true },
        "signing": { "active": { "generate": "ES256" } },
        "addresses": { "country_code": "86" },
    })
}

pub fn engine() -> Engine {
    Engine::from_json(&config().to_string()).unwrap()
}

pub const UNDELIVERABLE: FailedDelivery = FailedDelivery::Undeliverable;
