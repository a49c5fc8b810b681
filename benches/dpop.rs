//! What a DPoP proof adds to a login and to a refresh (RFC 9449), from request bytes to reply bytes.
//!
//! The floor is one bare ES256 verification of the same proof by `ring`. After the groups, `a proof adds` compares each
//! request with the same request without a proof, in turns. It prints what the proof adds beside the floor.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that fails has to fail loudly")]

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use mimalloc::MiMalloc;
use otp_grant::dpop::DpopSupport;
use otp_grant::settings::{SMS_GRANT_TYPE, danger};
use otp_grant::time::{Clock, SystemClock};
use otp_grant::*;
use otp_grant_benches::{
    Bare, KEYS, Server, USERS, Work, bench_work, criterion, directory, granted, is_measured, median, nanos, phone,
};
use otp_grant_tests::{ISSUER, SMS_SOURCE, but, keyring, settings, text};
use pollster::block_on;
use serde_json::{Value, json};

/// The allocator of the reference host.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    let mut criterion = criterion();
    let mut requests =
        [Request::Login, Request::Refresh].map(|request| [false, true].map(|with| Proving::new(request, with)));
    let mut group = criterion.benchmark_group("dpop");
    for proving in requests.iter_mut().flatten() {
        let name = format!("{:?} {}", proving.request, if proving.with_proof { "with_proof" } else { "bearer" });
        bench_work(&mut group, &name.to_lowercase(), proving);
    }
    let round = requests[0][1].prepare();
    group.bench_function("one_verification", |bencher| bencher.iter(|| requests[0][1].floor(&round)));
    group.finish();
    criterion.final_summary();

    if is_measured() {
        println!();
        requests.iter_mut().for_each(print_what_a_proof_adds);
    }
}

/// Measures the request without a proof, the request with one, and the floor in turns.
fn print_what_a_proof_adds([without, with]: &mut [Proving; 2]) {
    let (mut floors, mut added) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < TIME {
        let rounds: Vec<_> = (0..ROUNDS).map(|_| (without.prepare(), with.prepare())).collect();
        for (bare, proving) in rounds {
            // They take turns at going first.
            let is_even = floors.len() % 2 == 0;
            let first = is_even.then(|| nanos(|| without.work(&bare)));
            let (taken, reply) = nanos(|| with.work(&proving));
            let (base, base_reply) = first.unwrap_or_else(|| nanos(|| without.work(&bare)));
            let floor = nanos(|| with.floor(&proving)).0;
            without.settle(bare, &base_reply);
            with.settle(proving, &reply);
            floors.push(floor);
            added.push(taken - base - floor);
        }
    }
    let (request, rounds) = (with.request, floors.len());
    let (floor, added) = (median(&mut floors) / 1000.0, median(&mut added) / 1000.0);
    println!("a proof adds to a {request:?}: {added:.1} µs beside its verification ({floor:.1} µs, {rounds} rounds)");
}

#[derive(Clone, Copy, Debug)]
enum Request {
    Login,
    Refresh,
}

/// Requests of one kind, with a proof or without one.
struct Proving {
    request: Request,
    with_proof: bool,
    holder: Holder,
    directory: Arc<MemoryDirectory>,
    server: Arc<Server>,
    sends: u64,
    /// A record keeps its eight latest proofs. Sessions therefore take turns.
    sessions: VecDeque<(Arc<Server>, String)>,
}

struct Round {
    server: Arc<Server>,
    body: String,
    proof: Option<String>,
    signed: (String, Vec<u8>),
}

impl Proving {
    fn new(request: Request, with_proof: bool) -> Self {
        let directory = Arc::new(directory());
        let server = server(directory.clone());
        let holder = Holder { bare: Bare::of(KEYS[1]), made: 0 };
        let sessions = VecDeque::new();
        let mut proving = Self { request, with_proof, holder, directory, server, sends: 0, sessions };
        if matches!(request, Request::Refresh) {
            for _ in 0..if is_measured() { SESSIONS } else { 1 } {
                let round = proving.round_of_login();
                let answer = granted(&proving.work(&round));
                proving.sessions.push_back((round.server, text(&answer, "refresh_token").to_owned()));
            }
        }
        proving
    }

    fn round_of_login(&mut self) -> Round {
        if self.sends == USERS {
            self.server = server(self.directory.clone());
            self.sends = 0;
        }
        let send = json!({ "client_id": CLIENT, "auth_source_id": SMS_SOURCE, "phone_number": phone(self.sends) });
        self.sends += 1;
        let mut code = None;
        let body = send.to_string();
        let request = otp_grant::Request::new("POST", "/otp/send").header("Content-Type", "application/json");
        let reply = block_on(self.server.handle(request.body(&body), async |delivery: Delivery| {
            code = Some(delivery.message().unwrap().code().expose_secret().to_owned());
            delivery.accepted()
        }));
        let grant = json!({
            "grant_type": SMS_GRANT_TYPE, "otp_token": granted(&reply.unwrap())["otp_token"], "otp": code.unwrap(),
        });
        self.round(self.server.clone(), but(&send, grant).to_string())
    }

    fn round(&mut self, server: Arc<Server>, body: String) -> Round {
        let proof = self.holder.proof();
        let (input, signature) = proof.rsplit_once('.').unwrap();
        let signed = (input.to_owned(), BASE64URL.decode(signature).unwrap());
        Round { server, body, proof: Some(proof).filter(|_| self.with_proof), signed }
    }
}

impl Work for Proving {
    type Round = Round;

    fn prepare(&mut self) -> Round {
        match self.request {
            Request::Login => self.round_of_login(),
            Request::Refresh => {
                let (server, token) = self.sessions.pop_front().unwrap();
                let body = json!({ "grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": token });
                self.round(server, body.to_string())
            }
        }
    }

    fn floor(&self, round: &Round) {
        let (input, signature) = &round.signed;
        self.holder.bare.verify(black_box(input.as_bytes()), black_box(signature));
    }

    fn work(&self, round: &Round) -> Reply {
        let request = otp_grant::Request::new("POST", PATH).header("Content-Type", "application/json");
        let request = request.body(black_box(&round.body));
        let request = match &round.proof {
            Some(proof) => request.header("DPoP", black_box(proof)),
            None => request,
        };
        block_on(round.server.handle(request, async |delivery| delivery.accepted())).unwrap()
    }

    fn settle(&mut self, round: Round, reply: &Reply) {
        let answer = granted(reply);
        assert_eq!(answer["token_type"], if self.with_proof { "DPoP" } else { "Bearer" });
        if matches!(self.request, Request::Refresh) {
            self.sessions.push_back((round.server, text(&answer, "refresh_token").to_owned()));
        }
    }
}

/// The holder of an ES256 key.
struct Holder {
    bare: Bare,
    made: u64,
}

impl Holder {
    /// Makes a fresh proof for the token endpoint.
    fn proof(&mut self) -> String {
        self.made += 1;
        let jwk: Value = serde_json::from_str(&SigningKey::from_pem(KEYS[1].1).unwrap().public_key().to_jwk()).unwrap();
        let jwk = but(&jwk, json!({ "kid": null, "use": null, "alg": null }));
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk });
        let (jti, now) = (format!("{:022}", self.made), SystemClock.now().as_unix_secs());
        let claims = json!({ "jti": jti, "htm": "POST", "htu": format!("{ISSUER}{PATH}"), "iat": now });
        let signed = [header, claims].map(|part| BASE64URL.encode(part.to_string())).join(".");
        let signature = self.bare.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64URL.encode(signature))
    }
}

fn server(directory: Arc<MemoryDirectory>) -> Arc<Server> {
    let settings = danger::without_send_quotas(settings(|settings| settings.dpop = DpopSupport::On));
    let key = SigningKey::from_pem(KEYS[1].1).unwrap();
    let builder = AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), key).settings(settings);
    Arc::new(builder.build(MemoryStore::new(), directory).unwrap())
}

const PATH: &str = "/oauth2/token";
/// A public client whose proofs are accepted and not required.
const CLIENT: &str = "DPOP_ACCEPTED_CLIENT_ID";
const SESSIONS: usize = 4096;
const ROUNDS: usize = 64;
const TIME: Duration = Duration::from_secs(8);
