//! Requests as exchanges that the host drives by hand, without an executor.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use otp_grant::directory::{ClientRegistry, SignUp, UserClaims, UserStore};
use otp_grant::exchange::{Engine, Step};
use otp_grant::id::RecordKey;
use otp_grant::jwt::{AccessTokenClaims, Algorithm, Audience};
use otp_grant::server::AccessTokenCheckError;
use otp_grant::store::{Record, Swap};
use otp_grant::*;
use otp_grant_tests::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

const SEND: &str = "/otp/send";
const TOKEN: &str = "/oauth2/token";

/// A host without a runtime: records in a table, clients and users in the sample directory.
struct Hand {
    engine: Engine,
    clock: ManualClock,
    counters: Counters,
    records: Mutex<HashMap<RecordKey, Record>>,
    directory: MemoryDirectory,
    /// The codes that were delivered, by address.
    delivered: Mutex<BTreeMap<String, String>>,
}

impl Hand {
    fn new() -> Self {
        Self::with(Settings::default(), signing_key())
    }

    fn with(settings: Settings, key: SigningKey) -> Self {
        let (clock, counters) = (ManualClock::new(), Counters::default());
        let builder = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), key)
            .settings(settings)
            .clock(clock.clone())
            .entropy(SeededEntropy::default())
            .observer(counters.clone());
        Self {
            engine: Engine::new(builder).unwrap(),
            clock,
            counters,
            records: Mutex::default(),
            directory: sample_directory(),
            delivered: Mutex::default(),
        }
    }

    fn begin(&self, path: &str, body: &Value) -> Step {
        let body = body.to_string();
        let request = Request::new("POST", path).header("Content-Type", b"application/json").body(&body);
        self.engine.begin(&request).unwrap()
    }

    /// Answers a question as a host that works does.
    fn answer<T: exchange::Outcome>(&self, step: Step<T>) -> Step<T> {
        match step {
            Step::Load(ask) => {
                let record = self.records.lock().unwrap().get(ask.question()).cloned();
                ask.answer(record)
            }
            Step::Swap(ask) => {
                let swap = ask.question();
                let mut records = self.records.lock().unwrap();
                let is_expected = records.get(&swap.key).map(|record| record.tag) == swap.expected;
                if is_expected {
                    records.insert(swap.key, (*swap.next).clone());
                }
                drop(records);
                ask.answer(if is_expected { Swap::Stored } else { Swap::Conflict })
            }
            Step::Client(ask) => {
                let client = at_once(self.directory.client(ask.question()));
                ask.answer(client.unwrap())
            }
            Step::AuthSource(ask) => {
                let source = at_once(self.directory.auth_source(ask.question()));
                ask.answer(source.unwrap())
            }
            Step::UserByAddress(ask) => {
                let user = at_once(self.directory.user_by_address(ask.question()));
                ask.answer(user.unwrap())
            }
            Step::UserBySubject(ask) => {
                let user = at_once(self.directory.user_by_subject(ask.question()));
                ask.answer(user.unwrap())
            }
            Step::UserClaims(ask) => ask.answer(UserClaims::new().with("name", "Mock User")),
            Step::SignUp(ask) => {
                let outcome = at_once(self.directory.sign_up(ask.question()));
                ask.answer(outcome.unwrap())
            }
            Step::Sign(ask) => {
                let signature = sign(&ask.question().message);
                ask.answer(signature)
            }
            Step::Deliver(deliver) => {
                let message = deliver.delivery().message().unwrap();
                let code = message.code().expose_secret().to_owned();
                self.delivered.lock().unwrap().insert(message.address().as_str().to_owned(), code);
                deliver.accepted()
            }
            other => other.refuse(),
        }
    }

    /// Answers every question, and says which they were.
    fn finish<T: exchange::Outcome>(&self, step: Step<T>) -> (T, Vec<&'static str>) {
        self.finish_by(step, |step| self.answer(step))
    }

    /// Answers every question with a function, and says which they were.
    fn finish_by<T: exchange::Outcome>(
        &self,
        mut step: Step<T>,
        mut answer: impl FnMut(Step<T>) -> Step<T>,
    ) -> (T, Vec<&'static str>) {
        let mut asked = Vec::new();
        loop {
            if let Step::Done(outcome) = step {
                return (outcome, asked);
            }
            asked.push(step.name());
            assert!(asked.len() < 1000, "it asks for ever: {:?}", &asked[990..]);
            step = answer(step);
        }
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        read(&self.finish(self.begin(path, body)).0)
    }

    /// Sends a code to a number of China.
    fn send(&self, phone: &str) -> Sent {
        let (status, reply) = self.post(SEND, &sms_send(phone));
        assert_eq!(status, 200, "{reply}");
        let code = self.delivered.lock().unwrap()[phone].clone();
        Sent { otp_token: text(&reply, "otp_token").to_owned(), code, reply }
    }
}

/// What a port in memory answers.
fn at_once<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().unwrap()
}

/// Signs as the sample key.
fn sign(message: &[u8]) -> Vec<u8> {
    let (der, random) = (PrivatePkcs8KeyDer::from_pem_slice(KEY.as_bytes()).unwrap(), SystemRandom::new());
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der(), &random).unwrap();
    pair.sign(&random, message).unwrap().as_ref().to_vec()
}

fn refresh(token: &str) -> Value {
    json!({
        "grant_type": "refresh_token", "client_id": CLIENT, "client_secret": CLIENT_SECRET, "refresh_token": token,
    })
}

#[test]
fn a_login_asks_for_what_it_needs_and_for_nothing_else() {
    let hand = Hand::new();
    let (reply, asked) = hand.finish(hand.begin(SEND, &sms_send(PHONE)));
    assert_eq!(reply.status(), 200);
    assert_eq!(asked, ["client", "auth_source", "load", "swap", "deliver"]);
    let otp_token = text(&read(&reply).1, "otp_token").to_owned();
    let sent = Sent { otp_token, code: hand.delivered.lock().unwrap()[PHONE].clone(), reply: Value::Null };
    let (reply, asked) = hand.finish(hand.begin(TOKEN, &sms_grant(PHONE, &sent)));
    assert_eq!(reply.status(), 200);
    let before = ["client", "auth_source", "load", "swap", "user_by_address", "granted_scope"];
    assert_eq!(asked, [&before[..], &["access_token_claims", "swap", "swap"]].concat());
    assert_eq!(hand.post(TOKEN, &sms_grant(PHONE, &sent)).0, 400, "a code logs in once");

    let refresh_token = text(&read(&reply).1, "refresh_token").to_owned();
    assert_eq!(hand.post(TOKEN, &refresh(&refresh_token)).0, 200);
    let (document, asked) = hand.finish(hand.engine.begin(&Request::new("GET", "/oauth2/jwks")).unwrap());
    assert_eq!((document.status(), asked), (200, vec![]));
    assert!(hand.engine.begin(&Request::new("GET", "/elsewhere")).is_none());
}

#[test]
fn other_work_of_a_server_is_an_exchange_as_well() {
    type Checked = Result<AccessTokenClaims, AccessTokenCheckError>;
    let hand = Hand::new();
    let sent = hand.send(PHONE);
    let (_, tokens) = hand.post(TOKEN, &sms_grant(PHONE, &sent));
    let token = text(&tokens, "access_token").to_owned();
    let check = || -> Step<Checked> {
        let token = token.clone();
        hand.engine.perform(|server| async move { server.check_access_token(&token, Audience::EveryClient).await })
    };
    let (claims, asked) = hand.finish(check());
    assert_eq!((claims.as_ref().unwrap().subject.as_str(), asked), ("MOCK_USER_ID", vec!["load", "user_by_subject"]));
    let session = claims.unwrap().session;
    let (revoked, _) =
        hand.finish(hand.engine.perform(move |server| async move { server.revoke_session(&session).await }));
    assert_eq!(revoked, Ok(()));
    assert_eq!(hand.finish(check()).0, Err(AccessTokenCheckError::Revoked));
    let (failed, _) = hand.finish_by(check(), |step| step.refuse());
    assert_eq!(failed, Err(AccessTokenCheckError::TemporarilyUnavailable));
}

#[test]
fn what_is_asked_at_the_same_time_is_answered_one_by_one() {
    let hand = Hand::new();
    let sent = [hand.send(PHONE), hand.send("13612345679")];
    let grants = [sms_grant(PHONE, &sent[0]), but(&sms_grant("13612345679", &sent[1]), json!({ "auto_signup": true }))];
    // Both orders of polling.
    for order in [[0, 1], [1, 0]] {
        let bodies = order.map(|n| but(&grants[n], json!({ "otp": "000000" })).to_string());
        let step = hand.engine.perform(|server| async move {
            let answer = async |body: &str| {
                let request = Request::new("POST", TOKEN).header("Content-Type", b"application/json").body(body);
                server.handle(request, async |delivery| delivery.accepted()).await.unwrap()
            };
            let (one, two) = futures::join!(answer(&bodies[0]), answer(&bodies[1]));
            Ok::<_, wire::Unavailable>([one, two].map(|reply| reply.status()))
        });
        assert_eq!(hand.finish(step).0, Ok([400, 400]));
    }
    assert_eq!(hand.counters.wrong_codes.load(std::sync::atomic::Ordering::SeqCst), 4);
}

#[test]
fn an_external_key_signs_by_questions() {
    let public = signing_key().public_key().clone();
    let hand = Hand::with(Settings::default(), SigningKey::external(public));
    let sent = hand.send(PHONE);
    let grant = sms_grant(PHONE, &sent);
    type Answers = fn(exchange::Ask<exchange::SigningQuestion, Vec<u8>>) -> Step;
    let broken: [Answers; 5] = [
        |ask| ask.failed(Broken),
        |ask| ask.refuse(),
        |ask| ask.answer(vec![]),
        |ask| ask.answer(vec![0; 64]),
        |ask| {
            let other = sign(&[&ask.question().message[..], b"."].concat());
            ask.answer(other)
        },
    ];
    for (faults, answer) in broken.into_iter().enumerate() {
        let (reply, asked) = hand.finish_by(hand.begin(TOKEN, &grant), |step| match step {
            Step::Sign(ask) => answer(ask),
            other => hand.answer(other),
        });
        assert_eq!((reply.status(), asked.last()), (503, Some(&"swap")), "the guess is given back");
        assert_eq!(hand.counters.faults.load(std::sync::atomic::Ordering::SeqCst), faults + 1);
    }
    let (status, tokens) = hand.post(TOKEN, &grant);
    assert_eq!(status, 200, "{tokens}");
    hand.engine.verify_access_token(text(&tokens, "access_token"), Audience::EveryClient).unwrap();

    // A server asks no questions, so it has no signer for such a key.
    let external = SigningKey::external(signing_key().public_key().clone());
    let builder = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), external);
    let refused = builder.build(MemoryStore::new(), MemoryDirectory::new()).unwrap_err();
    assert_eq!(refused, server::ConfigError::ExternalKey);
}

/// Runs a login and a refresh, in which one step goes wrong in some way, and then tries again.
fn with_one_step_gone_wrong(wrong: impl Fn(Step) -> Option<Step>) {
    let mut steps = 0;
    let mut tried = 0;
    for request in ["send", "login", "refresh"] {
        for at in 0.. {
            let hand = Hand::new();
            let sent = hand.send(PHONE);
            hand.clock.advance(secs(60));
            let body = match request {
                "send" => sms_send(PHONE),
                "login" => sms_grant(PHONE, &sent),
                _ => refresh(text(&hand.post(TOKEN, &sms_grant(PHONE, &sent)).1, "refresh_token")),
            };
            let path = if request == "send" { SEND } else { TOKEN };
            let mut step = hand.begin(path, &body);
            for _ in 0..at {
                step = hand.answer(step);
            }
            if matches!(step, Step::Done(_)) {
                steps += at;
                break;
            }
            let (name, before) = (step.name(), hand.records.lock().unwrap().clone());
            tried += 1;
            let status = wrong(step).map(|step| hand.finish(step).0.status());
            let is_default = matches!(name, "granted_scope" | "access_token_claims");
            match status {
                Some(status) if is_default => assert_eq!(status, 200, "{request}: {name} was refused"),
                // What became of a swap is looked up, and the swap is tried once more.
                Some(200) if name == "swap" => continue,
                Some(status) => assert_eq!(status, 503, "{request}: {name} went wrong"),
                None => assert_eq!(*hand.records.lock().unwrap(), before, "{request}: it went on after it was dropped"),
            }
            if is_default && status.is_some() {
                continue;
            }
            // Whatever it was, the same request succeeds now: the code or the token is usable, and not half spent. A
            // send may have to wait, and a code that was spent may be sent anew.
            let (again, said) = hand.post(path, &body);
            match (request, again) {
                (_, 200) => {}
                ("send", 400) => {
                    assert_eq!(said["error"], "sms_rate_limit_exceeded", "{name}");
                    hand.clock.advance(secs(30));
                    assert_eq!(hand.post(path, &body).0, 200);
                }
                ("login", 400) => {
                    assert_eq!(said["error_description"], "Unknown or expired otp_token", "{name}");
                    let sent = hand.send(PHONE);
                    assert_eq!(hand.post(path, &sms_grant(PHONE, &sent)).0, 200);
                }
                _ => panic!("{request} after {name}: {again} {said}"),
            }
        }
    }
    assert_eq!(tried, steps);
    assert!(steps > 15, "{steps}");
}

#[test]
fn a_request_that_is_dropped_at_any_step_leaves_a_code_usable_or_spent() {
    with_one_step_gone_wrong(|step| {
        drop(step);
        None
    });
}

#[test]
fn a_question_that_is_refused_fails_the_request_unless_it_has_a_default() {
    with_one_step_gone_wrong(|step| Some(step.refuse()));
}

#[test]
fn a_request_whose_every_swap_or_load_is_refused_is_answered_503() {
    for refused in ["swap", "load"] {
        for request in ["send", "login", "refresh"] {
            let hand = Hand::new();
            let sent = hand.send(PHONE);
            hand.clock.advance(secs(60));
            let (path, body) = match request {
                "send" => (SEND, sms_send(PHONE)),
                "login" => (TOKEN, sms_grant(PHONE, &sent)),
                _ => (TOKEN, refresh(text(&hand.post(TOKEN, &sms_grant(PHONE, &sent)).1, "refresh_token"))),
            };
            let answer = |step: Step| if step.name() == refused { step.refuse() } else { hand.answer(step) };
            let (reply, asked) = hand.finish_by(hand.begin(path, &body), answer);
            assert_eq!(reply.status(), 503, "{request}: every {refused} was refused");
            assert!(asked.contains(&refused), "{request} without a {refused}: {asked:?}");
            assert_eq!(hand.post(path, &body).0, 200, "{request} after a refused {refused}");
        }
    }
}

#[test]
fn a_sign_up_that_is_refused_is_a_user_who_is_not_found() {
    let hand = Hand::new();
    let sent = hand.send(NOBODY);
    let grant = but(&sms_grant(NOBODY, &sent), json!({ "auto_signup": true }));
    let (reply, _) = hand.finish_by(hand.begin(TOKEN, &grant), |step| match step {
        Step::SignUp(ask) => ask.refuse(),
        other => hand.answer(other),
    });
    assert_eq!(read(&reply), error(400, "invalid_grant", "User not found"));
    let (reply, _) = hand.finish_by(hand.begin(TOKEN, &grant), |step| match step {
        Step::SignUp(ask) => ask.answer(SignUp::Refused),
        other => hand.answer(other),
    });
    assert_eq!(read(&reply), error(400, "invalid_grant", "User not found"));
}

#[test]
fn a_delivery_that_fails_lets_its_address_be_sent_to_again() {
    let hand = Hand::new();
    for (failure, retried) in [
        (DeliveryFailure::Undeliverable, 200),
        (DeliveryFailure::AddressRefused, 400),
        (DeliveryFailure::InsufficientQuota, 400),
    ] {
        hand.clock.advance(secs(60));
        let (reply, _) = hand.finish_by(hand.begin(SEND, &sms_send(PHONE)), |step| match step {
            Step::Deliver(deliver) => deliver.failed(failure),
            other => hand.answer(other),
        });
        assert!(reply.status() >= 400, "{}", reply.status());
        assert_eq!(hand.post(SEND, &sms_send(PHONE)).0, retried, "{failure:?}");
    }
    // The host makes the reply for a delivery that was handed out.
    hand.clock.advance(secs(60));
    let mut queue = None;
    let (reply, _) = hand.finish_by(hand.begin(SEND, &sms_send(PHONE)), |step| match step {
        Step::Deliver(deliver) => {
            let (delivery, handed_out) = deliver.hand_out();
            let (message, reply) = delivery.into_parts();
            queue = message;
            handed_out.replied(reply)
        }
        other => hand.answer(other),
    });
    let code = queue.unwrap().code().expose_secret().to_owned();
    let sent = Sent { otp_token: text(&read(&reply).1, "otp_token").to_owned(), code, reply: Value::Null };
    assert_eq!(hand.post(TOKEN, &sms_grant(PHONE, &sent)).0, 200);
}

/// Waits for something that no answer brings.
#[derive(Clone)]
struct Elsewhere(Arc<std::sync::atomic::AtomicBool>);

impl jwt::Signer for Elsewhere {
    type Error = Broken;

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Broken> {
        if self.0.load(std::sync::atomic::Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(sign(message))
    }
}

#[test]
fn a_port_that_waits_for_something_else_is_reported_and_answered_503() {
    let waits = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let key = at_once(SigningKey::of_signer(Elsewhere(waits.clone()), signing_key().public_key().clone())).unwrap();
    let hand = Hand::with(Settings::default(), key);
    let sent = hand.send(PHONE);
    waits.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(hand.post(TOKEN, &sms_grant(PHONE, &sent)).0, 503);
    let told = hand.counters.told.lock().unwrap().last().unwrap().clone();
    assert!(told.contains("WaitsForNoAnswer"), "{told}");
    waits.store(false, std::sync::atomic::Ordering::SeqCst);
    // The request ended as one that was dropped.
    assert_eq!(hand.post(TOKEN, &sms_grant(PHONE, &sent)).0, 200);
    let step = hand.engine.perform(|_| async { Ok::<u8, wire::Unavailable>(std::future::pending().await) });
    assert_eq!(hand.finish(step).0, Err(wire::Unavailable));
}

#[test]
fn an_exchange_moves_between_threads_at_any_step() {
    let hand = Hand::new();
    let mut step = hand.begin(SEND, &sms_send(PHONE));
    while !matches!(step, Step::Done(_)) {
        let hand = &hand;
        step = std::thread::scope(|threads| threads.spawn(move || hand.answer(step)).join().unwrap());
    }
    let Step::Done(reply) = step else { unreachable!() };
    assert_eq!(reply.status(), 200);
}

#[test]
fn no_answer_reaches_another_exchange() {
    // Two threads take turns at the exchanges of one engine, each with a thousand of its own, fifty at a time.
    let settings = settings::danger::without_send_quotas(Settings::default());
    let hand = Hand::with(settings, SigningKey::generate(Algorithm::EdDSA).unwrap());
    let logins = std::thread::scope(|threads| {
        let threads = [1, 2].map(|thread| {
            threads.spawn({
                let hand = &hand;
                move || exchanges_of(hand, thread)
            })
        });
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(logins, [500, 500]);
}

/// Logs five hundred users in, fifty at a time, one step of each in turn. Returns how many were themselves.
fn exchanges_of(hand: &Hand, thread: usize) -> usize {
    let mut logins = 0;
    for round in 0..10 {
        let phones: Vec<String> = (0..50).map(|user| format!("136{thread}{round:04}{user:03}")).collect();
        let in_turn = |path: &str, bodies: Vec<Value>| -> Vec<Value> {
            let mut steps: Vec<Option<Step>> = bodies.iter().map(|body| Some(hand.begin(path, body))).collect();
            let mut replies = vec![Value::Null; steps.len()];
            while steps.iter().any(Option::is_some) {
                for (step, reply) in steps.iter_mut().zip(&mut replies) {
                    *step = match step.take() {
                        Some(Step::Done(done)) => {
                            assert_eq!(done.status(), 200, "{:?}", read(&done));
                            *reply = read(&done).1;
                            None
                        }
                        Some(question) => Some(hand.answer(question)),
                        None => None,
                    };
                }
            }
            replies
        };
        let sends = in_turn(SEND, phones.iter().map(|phone| sms_send(phone)).collect());
        let codes = hand.delivered.lock().unwrap().clone();
        let grants = phones.iter().zip(sends).map(|(phone, reply)| {
            let otp_token = text(&reply, "otp_token").to_owned();
            let sent = Sent { otp_token, code: codes[phone].clone(), reply };
            but(&sms_grant(phone, &sent), json!({ "auto_signup": true }))
        });
        let tokens = in_turn(TOKEN, grants.collect());
        for (phone, tokens) in phones.iter().zip(tokens) {
            let address = Address::Phone(hand.engine.addresses().phone_number(phone).unwrap());
            let user = at_once(hand.directory.user_by_address(&address)).unwrap().unwrap();
            assert_eq!(payload(text(&tokens, "access_token"))["sub"], user.subject.as_str());
            logins += 1;
        }
    }
    logins
}
