//! A host without an async runtime, which drives each request step by step: `cargo run --example steps`

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex};

use otp_grant::exchange::{Engine, Step};
use otp_grant::{directory::UserClaims, jwt::Algorithm, store::Swap, *};
use serde_json::{Value, json};

/// One client, one user, the records in a table behind a lock, and the code that went out last.
struct Host {
    client: Arc<Client>,
    user: User,
    records: Mutex<HashMap<id::RecordKey, store::Record>>,
    sent: Mutex<String>,
}

impl Host {
    fn handle(&self, engine: &Engine, request: &Request<'_>) -> Option<Reply> {
        let mut step = engine.begin(request)?;
        loop {
            step = match step {
                Step::Load(ask) => {
                    let found = self.records.lock().ok()?.get(ask.question()).cloned();
                    ask.answer(found)
                }
                Step::Swap(ask) => {
                    let swap = ask.question();
                    let mut records = self.records.lock().ok()?;
                    let is_expected = records.get(&swap.key).map(|record| record.tag) == swap.expected;
                    if is_expected {
                        records.insert(swap.key, (*swap.next).clone());
                    }
                    drop(records);
                    ask.answer(if is_expected { Swap::Stored } else { Swap::Conflict })
                }
                Step::Client(ask) => {
                    let client = (ask.question().as_str() == "app").then(|| Arc::clone(&self.client));
                    ask.answer(client)
                }
                Step::AuthSource(ask) => {
                    let source = AuthSource::new(ask.question().clone(), Channel::Sms);
                    ask.answer(Some(Arc::new(source)))
                }
                Step::UserByAddress(ask) => ask.answer(Some(self.user.clone())),
                Step::UserBySubject(ask) => ask.answer(Some(self.user.clone())),
                Step::UserClaims(ask) => ask.answer(UserClaims::new().with("name", "Ada")),
                Step::Deliver(deliver) => {
                    deliver.delivery().message()?.code().expose_secret().clone_into(&mut *self.sent.lock().ok()?);
                    deliver.accepted()
                }
                Step::Done(reply) => return Some(reply),
                other => other.refuse(),
            };
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let keyring = Keyring::new(&MasterKey::generate()?, &MasterKey::generate()?);
    let (issuer, key) = (Issuer::new("https://login.example.com")?, SigningKey::generate(Algorithm::ES256)?);
    let engine = Engine::new(AuthorizationServer::builder(issuer, keyring, key))?;
    let client = Client::public(ClientId::new("app")?).with_sending().with_auth_source(AuthSourceId::new("sms")?);
    let user = User::new(Subject::new("ada")?, UserStatus::Active);
    let host = Host { client: Arc::new(client), user, records: Mutex::default(), sent: Mutex::default() };
    let post = |path: &str, body: Value| -> Result<Value, Box<dyn Error>> {
        let body = body.to_string();
        let request = Request::new("POST", path).header("Content-Type", b"application/json").body(&body);
        let reply = host.handle(&engine, &request).ok_or("not an endpoint")?;
        println!("POST {path} {body}\n  {} {}", reply.status(), String::from_utf8_lossy(reply.body()));
        Ok(serde_json::from_slice(reply.body())?)
    };
    let (client, source, phone) = ("app", "sms", "+12025550123");
    let sent = post("/otp/send", json!({ "client_id": client, "auth_source_id": source, "phone_number": phone }))?;
    let (otp_token, code) = (sent.get("otp_token"), host.sent.lock().map_err(|_| "a request panicked")?.clone());
    let grant = json!({ "grant_type": settings::SMS_GRANT_TYPE, "client_id": client, "auth_source_id": source,
        "phone_number": phone, "otp_token": otp_token, "otp": code });
    post("/oauth2/token", grant)?.get("access_token").map(drop).ok_or_else(|| "no tokens".into())
}
