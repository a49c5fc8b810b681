//! What the OTP grant costs beside its two signatures, from request bytes to reply bytes.
//!
//! `floor` is two bare `ring` signatures of the signing inputs of a real answer, with the same key; nothing that answers
//! with two signed tokens can be faster. After the groups, `overhead` is what the grant takes beyond them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a benchmark that fails has to fail loudly"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion};
use otp_grant::*;
use pollster::block_on;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair, Signature,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::support::{ISSUER, but, json_request, read, sample_directory, sms_grant, sms_send, wrong};

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50)
        .configure_from_args();
    let mut benches = KEYS.map(Bench::new);
    for bench in &mut benches {
        grants(&mut criterion, bench);
    }
    let [_, es256, _] = &mut benches;
    refusals(&mut criterion, es256);
    criterion.final_summary();

    // Not under `cargo test --benches`, which runs everything once, and not for `--list`.
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--bench") && !arguments.iter().any(|argument| argument == "--list")
    {
        println!();
        benches.iter_mut().for_each(print_overhead);
    }
}

fn grants(criterion: &mut Criterion, bench: &mut Bench) {
    let mut group = criterion.benchmark_group(bench.algorithm);
    group.bench_function("floor", |bencher| bencher.iter(|| bench.floor()));
    group.bench_function("grant", |bencher| {
        let bench = std::cell::RefCell::new(&mut *bench);
        // The setup may start another server, and so the grant gets the one that its code was sent by.
        let setup = || bench.borrow_mut().sent();
        bencher.iter_batched(setup, |(server, body)| (grant(&server, &body), server), BatchSize::SmallInput);
    });
    group.finish();
}

/// What costs an attacker little should cost the server little; these sign nothing.
fn refusals(criterion: &mut Criterion, bench: &mut Bench) {
    let mut group = criterion.benchmark_group("refusals");
    let (server, body) = bench.sent();
    let body: Value = serde_json::from_str(&body).unwrap();
    let garbage = "A".repeat(body["otp_token"].as_str().unwrap().len());
    for (name, body) in [
        ("garbage_otp_token", but(&body, json!({ "otp_token": garbage })).to_string()),
        ("unknown_client", but(&body, json!({ "client_id": "NOBODY" })).to_string()),
        ("malformed_body", body.to_string().replace('}', ",")),
    ] {
        assert_ne!(grant(&server, &body).status(), 200, "{name}");
        group.bench_function(name, |bencher| bencher.iter(|| grant(&server, &body)));
    }
    group.bench_function("wrong_code", |bencher| {
        let setup = || {
            let (server, body) = bench.sent();
            let body: Value = serde_json::from_str(&body).unwrap();
            let body = but(&body, json!({ "otp": wrong(body["otp"].as_str().unwrap()) }));
            (server, body.to_string())
        };
        bencher.iter_batched(setup, |(server, body)| (grant(&server, &body), server), BatchSize::SmallInput);
    });
    group.finish();
}

/// Measures floor and grant in turns, so that a change of the machine's speed meets both, and takes the median of their
/// differences, so that an interruption counts for nothing.
fn print_overhead(bench: &mut Bench) {
    let (mut floors, mut overheads) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < OVERHEAD_TIME {
        for (server, body) in (0..ROUNDS).map(|_| bench.sent()).collect::<Vec<_>>() {
            let measure_floor = |bench: &Bench| nanos(|| bench.floor()).0;
            let measure_grant = || {
                let (nanos, reply) = nanos(|| grant(&server, &body));
                assert_eq!(reply.status(), 200);
                nanos
            };
            // Whoever comes second finds the key in the cache, so they take turns at that too.
            let (floor, grant) = if floors.len() % 2 == 0 {
                let floor = measure_floor(bench);
                (floor, measure_grant())
            } else {
                let grant = measure_grant();
                (measure_floor(bench), grant)
            };
            floors.push(floor);
            overheads.push(grant - floor);
        }
    }
    let (floor, overhead) = (median(&mut floors), median(&mut overheads));
    println!(
        "overhead {}: {:.1} µs (ratio {:.3}; floor {:.1} µs, {} rounds)",
        bench.algorithm,
        overhead / 1000.0,
        (floor + overhead) / floor,
        floor / 1000.0,
        floors.len(),
    );
}

fn nanos<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = Instant::now();
    let result = black_box(work());
    (begun.elapsed().as_nanos() as f64, result)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn grant(server: &Server, body: &str) -> Reply {
    block_on(server.token(json_request(black_box(body), None)))
}

type Server = AuthorizationServer<MemoryStore, Arc<MemoryDirectory>>;

/// One key, as the server uses it and as `ring` does.
struct Bench {
    algorithm: &'static str,
    pem: &'static str,
    bare: Bare,
    signing_inputs: Vec<String>,
    directory: Arc<MemoryDirectory>,
    server: Arc<Server>,
    sends: u64,
}

impl Bench {
    fn new((algorithm, pem): (&'static str, &'static str)) -> Self {
        let directory = Arc::new(directory());
        let server = Arc::new(server(pem, directory.clone()));
        let bare = Bare::new(algorithm, pem);
        let mut bench = Self { algorithm, pem, bare, signing_inputs: Vec::new(), directory, server, sends: 0 };
        let (server, body) = bench.sent();
        let (status, reply) = read(&grant(&server, &body));
        assert_eq!(status, 200, "{reply}");
        bench.signing_inputs = ["access_token", "id_token"]
            .map(|name| reply[name].as_str().unwrap().rsplit_once('.').unwrap().0.to_owned())
            .to_vec();
        bench
    }

    fn floor(&self) -> [Vec<u8>; 2] {
        [0, 1].map(|index| self.bare.sign(black_box(self.signing_inputs[index].as_bytes())))
    }

    /// Sends a code to an address that none was sent to yet, and gives the body that redeems it. When all have had one,
    /// the server starts again with an empty store.
    fn sent(&mut self) -> (Arc<Server>, String) {
        if self.sends == USERS {
            self.server = Arc::new(server(self.pem, self.directory.clone()));
            self.sends = 0;
        }
        let phone = phone(self.sends);
        self.sends += 1;
        let body = sms_send(&phone).to_string();
        let delivery = block_on(self.server.send_otp(json_request(&body, None))).unwrap();
        let code = delivery.code().expose_secret().to_owned();
        let reply: Value = serde_json::from_slice(delivery.accepted().body()).unwrap();
        let otp_token = reply["otp_token"].as_str().unwrap().to_owned();
        let body = sms_grant(&phone, &support::Sent { otp_token, code, reply });
        (self.server.clone(), body.to_string())
    }
}

fn server(pem: &str, directory: Arc<MemoryDirectory>) -> Server {
    let (index, sealing) = (MasterKey::from_bytes(&[1; 32]).unwrap(), MasterKey::from_bytes(&[2; 32]).unwrap());
    let key = SigningKey::from_pem(pem).unwrap();
    AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), Keyring::new(&index, &sealing), key)
        .settings(danger::without_send_quotas(Settings::default()))
        .build(MemoryStore::new(), directory)
        .unwrap()
}

fn directory() -> MemoryDirectory {
    let addresses = AddressPolicy::default();
    (0..USERS).fold(sample_directory(), |directory, number| {
        let user = User::new(Subject::new(&format!("USER_{number}")).unwrap(), UserStatus::Active);
        directory.with_user(user, [Address::Phone(addresses.phone_number(&phone(number)).unwrap())])
    })
}

fn phone(number: u64) -> String {
    format!("137{number:08}")
}

/// A key without the crate around it.
enum Bare {
    Rsa(RsaKeyPair, SystemRandom),
    P256(EcdsaKeyPair, SystemRandom),
    Ed25519(Ed25519KeyPair),
}

impl Bare {
    fn new(algorithm: &str, pem: &str) -> Self {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (der, random) = (key.secret_pkcs8_der(), SystemRandom::new());
        match algorithm {
            "RS256" => Self::Rsa(RsaKeyPair::from_pkcs8(der).unwrap(), random),
            "ES256" => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random).unwrap();
                Self::P256(pair, random)
            }
            _ => Self::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).unwrap()),
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let bytes = |signature: Signature| signature.as_ref().to_vec();
        match self {
            Self::Rsa(pair, random) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, random, message, &mut signature).unwrap();
                signature
            }
            Self::P256(pair, random) => bytes(pair.sign(random, message).unwrap()),
            Self::Ed25519(pair) => bytes(pair.sign(message)),
        }
    }
}

const KEYS: [(&str, &str); 3] = [
    ("RS256", include_str!("../tests/keys/rsa2048_pkcs8.pem")),
    ("ES256", include_str!("../tests/keys/es256_pkcs8.pem")),
    ("EdDSA", include_str!("../tests/keys/ed25519_pkcs8.pem")),
];
const USERS: u64 = 16_384;
const ROUNDS: usize = 64;
const OVERHEAD_TIME: Duration = Duration::from_secs(8);
