//! What a request owns of secrets is wiped before its memory is freed, wherever its exchange ends.
//!
//! The allocator of this process looks through each block that is freed. That needs `unsafe`, so the test stands here.
#![allow(unsafe_code, reason = "an allocator can't be written without it")]
#![allow(clippy::unwrap_used, reason = "a test that fails has to fail loudly")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, RwLock};

use otp_grant::exchange::{Engine, Step};
use otp_grant::jwt::Algorithm;
use otp_grant::store::Swap;
use otp_grant::*;
use otp_grant_bindings::{ApiRequest, Verification};

const SECRET: &str = "the-secret-of-the-client";
/// `app` with this secret.
const BASIC: &str = "YXBwOnRoZS1zZWNyZXQtb2YtdGhlLWNsaWVudA==";

/// What must not be left. Texts that are compared with are never freed. It changes only while nothing is watched.
static SECRETS: RwLock<Vec<&'static str>> = RwLock::new(Vec::new());

struct Watching;

static WATCHES: AtomicBool = AtomicBool::new(false);
static FREED: AtomicUsize = AtomicUsize::new(0);
static LEFT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: each call is passed on to the allocator of the system, with the layout that it was made with. All memory is
// zeroed when it is handed out, so that every byte of a block can be read when the block is freed.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the promises of `alloc`, which are those of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if WATCHES.load(SeqCst) {
            // SAFETY: the block is allocated with this layout and initialised, and nobody else uses it any more.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            let has = |secret: &str| bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            FREED.fetch_add(1, SeqCst);
            if SECRETS.read().is_ok_and(|secrets| secrets.iter().copied().any(has)) {
                LEFT.fetch_add(1, SeqCst);
            }
        }
        // SAFETY: the block was allocated by the system's allocator with this layout.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

fn engine() -> Engine {
    let keyring = Keyring::new(&MasterKey::generate().unwrap(), &MasterKey::generate().unwrap());
    let issuer = Issuer::new("https://login.example.com").unwrap();
    Engine::new(AuthorizationServer::builder(issuer, keyring, SigningKey::generate(Algorithm::EdDSA).unwrap())).unwrap()
}

/// A host in which every step works.
#[derive(Clone, Default)]
struct Host {
    records: HashMap<id::RecordKey, store::Record>,
    code: String,
}

impl Host {
    fn answer(&mut self, step: Step) -> Step {
        match step {
            Step::Client(ask) => {
                let client = Client::confidential(ask.question().clone(), ClientSecret::digest(SECRET));
                ask.answer(Some(Arc::new(client.with_auth_source(AuthSourceId::new("sms").unwrap()))))
            }
            Step::AuthSource(ask) => {
                let source = AuthSource::new(ask.question().clone(), Channel::Sms);
                ask.answer(Some(Arc::new(source)))
            }
            Step::Load(ask) => {
                let record = self.records.get(ask.question()).cloned();
                ask.answer(record)
            }
            Step::Swap(ask) => {
                let swap = ask.question();
                self.records.insert(swap.key, (*swap.next).clone());
                ask.answer(Swap::Stored)
            }
            Step::UserByAddress(ask) => ask.answer(Some(User::new(Subject::new("user").unwrap(), UserStatus::Active))),
            Step::Deliver(deliver) => {
                self.code = deliver.delivery().message().unwrap().code().expose_secret().to_owned();
                deliver.accepted()
            }
            other => other.refuse(),
        }
    }

    fn finish(&mut self, mut step: Step) -> Reply {
        loop {
            step = match step {
                Step::Done(reply) => return reply,
                question => self.answer(question),
            };
        }
    }
}

/// How many blocks were freed with a secret in them, while this ran.
fn left_by(work: impl FnOnce()) -> usize {
    LEFT.store(0, SeqCst);
    WATCHES.store(true, SeqCst);
    work();
    WATCHES.store(false, SeqCst);
    LEFT.load(SeqCst)
}

fn forever(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

#[test]
fn nothing_of_a_request_is_left_in_memory() {
    let (engine, mut host) = (engine(), Host::default());
    let post = |path, body| Request::new("POST", path).header("Content-Type", b"application/json").body(body);
    let login = r#""client_id":"app","auth_source_id":"sms","phone_number":"+12025550123""#;
    let send = forever(format!(r#"{{{login},"client_secret":"{SECRET}"}}"#));
    let sent = host.finish(engine.begin(&post("/otp/send", send)).unwrap());
    let sent: serde_json::Value = serde_json::from_slice(sent.body()).unwrap();
    let (otp_token, code) = (forever(sent["otp_token"].as_str().unwrap().to_owned()), forever(host.code.clone()));
    *SECRETS.write().unwrap() = vec![SECRET, BASIC, otp_token, code];

    // The test itself sees a secret that is not wiped.
    assert_eq!(left_by(|| drop(format!("a copy of {code} is dropped"))), 1);

    let login = forever(format!(
        r#"{login},"grant_type":"{}","otp_token":"{otp_token}","otp":"{code}""#,
        settings::SMS_GRANT_TYPE
    ));
    let in_body = forever(format!(r#"{{{login},"client_secret":"{SECRET}"}}"#));
    let in_header = (forever(format!("{{{login}}}")), forever(format!("Basic {BASIC}")));
    let requests =
        [post("/oauth2/token", in_body), post("/oauth2/token", in_header.0).header("Authorization", in_header.1)];
    for request in requests {
        for at in 0.. {
            let mut host = host.clone();
            let (mut status, freed) = (None, FREED.load(SeqCst));
            let left = left_by(|| {
                let mut step = engine.begin(&request).unwrap();
                for _ in 0..at {
                    step = host.answer(step);
                }
                if let Step::Done(reply) = &step {
                    status = Some(reply.status());
                }
            });
            assert!(FREED.load(SeqCst) > freed);
            assert_eq!(left, 0, "{left} blocks with a secret, dropped after step {at}");
            if let Some(status) = status {
                assert_eq!((status, at), (200, 9));
                break;
            }
        }
    }

    // The tokens of a reply.
    let reply = host.clone().finish(engine.begin(&requests[0]).unwrap());
    let tokens: serde_json::Value = serde_json::from_slice(reply.body()).unwrap();
    let tokens = ["access_token", "refresh_token"].map(|name| forever(tokens[name].as_str().unwrap().to_owned()));
    SECRETS.write().unwrap().extend(tokens);
    assert_eq!(left_by(|| drop(reply.body().to_vec())), 1);
    assert_eq!(left_by(|| drop(reply)), 0);

    // What a request to an API presents, and the verifier of a code.
    let configuration = r#"{"issuer":"https://login.example.com","keys":{"generate":true},"dpop":"on",
        "signing":{"active":{"generate":"ES256"}}}"#;
    let engine = otp_grant_bindings::Engine::from_json(configuration).unwrap();
    let (bearer, bound) = (forever(format!("Bearer {SECRET}")), forever(format!("DPoP {SECRET}")));
    let presented = |authorization: &'static str| {
        let headers = [("Authorization", authorization.as_bytes()), ("DPoP", SECRET.as_bytes())];
        ApiRequest::new("GET", "https://api.example.com/orders", headers).unwrap()
    };
    let code = |code_verifier, proof| Verification {
        client: "app",
        usage: "signup",
        channel: "sms",
        address: "+12025550123",
        otp_token,
        otp: SECRET,
        code_verifier,
        proof,
        device_token: Some(SECRET),
    };
    let left = left_by(|| {
        for authorization in [bearer, bound] {
            assert!(engine.verify_access_token(presented(authorization), None, None).unwrap().is_err());
            drop(engine.check_access_token(presented(authorization), None, None).unwrap());
        }
        drop(engine.verify(code(Some(SECRET), None)).unwrap());
        drop(engine.verify(code(Some(SECRET), Some(presented(bound)))).unwrap());
    });
    assert_eq!(left, 0, "{left} blocks with a secret");
}
