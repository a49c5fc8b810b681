//! What the benches share: a host, a key as bare `ring` uses it, and the measurement of work beside its floor.
#![allow(missing_docs, reason = "it is read by whoever writes a bench, beside the bench")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::as_conversions, reason = "a benchmark fails loudly")]

pub mod login;
pub mod sessions;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use otp_grant::directory::UserClaims;
use otp_grant::settings::danger;
use otp_grant::*;
use otp_grant_tests::{
    ISSUER, Posts as _, Sent, json_request, keyring, read, sample_directory, settings, sms_grant, sms_send,
};
use pollster::block_on;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, Signature, UnparsedPublicKey,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;

/// Work that is measured beside its least possible cost.
pub trait Work {
    /// The input of one round.
    type Round;

    /// Prepares a round.
    fn prepare(&mut self) -> Self::Round;

    /// The bare signatures or verifications of a round.
    fn floor(&self, round: &Self::Round);

    /// The whole round, from request bytes to reply bytes.
    fn work(&self, round: &Self::Round) -> Reply;

    /// Checks the reply, and keeps what later rounds need of it.
    fn settle(&mut self, round: Self::Round, reply: &Reply);
}

pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(50)
        .configure_from_args()
}

/// Tells whether this is a measurement: not `cargo test --benches`, which runs everything once, and not `--list`.
pub fn is_measured() -> bool {
    let arguments: Vec<String> = std::env::args().collect();
    arguments.iter().any(|argument| argument == "--bench") && !arguments.iter().any(|argument| argument == "--list")
}

/// Measures work in batches. The preparation of rounds is not measured, and does not run just before each round.
pub fn bench_work(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, work: &mut impl Work) {
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            let (mut left, mut measured) = (iterations as usize, Duration::ZERO);
            while left > 0 {
                let rounds: Vec<_> = (0..left.min(ROUNDS)).map(|_| work.prepare()).collect();
                left -= rounds.len();
                let begun = Instant::now();
                let replies: Vec<_> = rounds.iter().map(|round| work.work(round)).collect();
                measured += begun.elapsed();
                rounds.into_iter().zip(&replies).for_each(|(round, reply)| work.settle(round, reply));
            }
            measured
        });
    });
}

/// Measures floor and work in turns: a change of the machine's speed affects both. Takes the median of their
/// differences, which an interruption hardly changes.
pub fn print_overhead(name: &str, work: &mut impl Work) {
    let (mut floors, mut overheads) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < OVERHEAD_TIME {
        for round in (0..ROUNDS).map(|_| work.prepare()).collect::<Vec<_>>() {
            // The second of the two finds the key in the cache, so they also take turns at going first.
            let (floor, (taken, reply)) = if floors.len() % 2 == 0 {
                let floor = nanos(|| work.floor(&round)).0;
                (floor, nanos(|| work.work(&round)))
            } else {
                let measured = nanos(|| work.work(&round));
                (nanos(|| work.floor(&round)).0, measured)
            };
            work.settle(round, &reply);
            floors.push(floor);
            overheads.push(taken - floor);
        }
    }
    let (floor, overhead) = (median(&mut floors), median(&mut overheads));
    let of_floor = if floor < NO_WORK {
        "no floor".to_owned()
    } else {
        format!("ratio {:.3}; floor {:.1} µs", (floor + overhead) / floor, floor / 1000.0)
    };
    println!("overhead {name}: {:.1} µs ({of_floor}, {} rounds)", overhead / 1000.0, floors.len());
}

pub type Server = AuthorizationServer<MemoryStore, Arc<MemoryDirectory>>;

/// Servers with one key, one after another, and the key as `ring` uses it.
pub struct Host {
    pub algorithm: &'static str,
    pub bare: Bare,
    pem: &'static str,
    read: fn(&str) -> SigningKey,
    directory: Arc<MemoryDirectory>,
    server: Arc<Server>,
    sends: u64,
}

impl Host {
    pub fn new(key: (&'static str, &'static str)) -> Self {
        Self::with_keys(key, |pem| SigningKey::from_pem(pem).unwrap())
    }

    /// Servers whose key is read with `read`.
    pub fn with_keys((algorithm, pem): (&'static str, &'static str), read: fn(&str) -> SigningKey) -> Self {
        let directory = Arc::new(directory());
        let server = Arc::new(server(read(pem), directory.clone()));
        Self { algorithm, bare: Bare::of((algorithm, pem)), pem, read, directory, server, sends: 0 }
    }

    /// Sends a code to an address that has had none yet, and returns the body that redeems it. When all addresses have
    /// had a code, another server with an empty store takes over.
    pub fn send(&mut self) -> (Arc<Server>, Value) {
        if self.sends == USERS {
            self.server = Arc::new(server((self.read)(self.pem), self.directory.clone()));
            self.sends = 0;
        }
        let phone = phone(self.sends);
        self.sends += 1;
        let body = sms_send(&phone).to_string();
        let delivery = block_on(self.server.post_send(json_request(&body, None))).unwrap();
        let code = delivery.message().unwrap().code().expose_secret().to_owned();
        let reply: Value = serde_json::from_slice(delivery.accepted().body()).unwrap();
        let otp_token = reply["otp_token"].as_str().unwrap().to_owned();
        (self.server.clone(), sms_grant(&phone, &Sent { otp_token, code, reply }))
    }
}

pub fn grant(server: &Server, body: &str) -> Reply {
    block_on(server.post_token(json_request(black_box(body), None)))
}

/// The JSON of a reply that is no refusal.
#[track_caller]
pub fn granted(reply: &Reply) -> Value {
    let (status, answer) = read(reply);
    assert_eq!(status, 200, "{answer}");
    answer
}

/// A key without the crate around it.
pub struct Bare {
    pair: Pair,
    public: UnparsedPublicKey<Vec<u8>>,
}

impl Bare {
    pub fn of((algorithm, pem): (&str, &str)) -> Self {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (der, random) = (key.secret_pkcs8_der(), SystemRandom::new());
        match algorithm {
            "RS256" => {
                let pair = RsaKeyPair::from_pkcs8(der).unwrap();
                let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref().to_vec());
                Self { pair: Pair::Rsa(pair, random), public }
            }
            "ES256" => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random).unwrap();
                let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref().to_vec());
                Self { pair: Pair::P256(pair, random), public }
            }
            _ => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).unwrap();
                let public = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref().to_vec());
                Self { pair: Pair::Ed25519(pair), public }
            }
        }
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let bytes = |signature: Signature| signature.as_ref().to_vec();
        match &self.pair {
            Pair::Rsa(pair, random) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, random, message, &mut signature).unwrap();
                signature
            }
            Pair::P256(pair, random) => bytes(pair.sign(random, message).unwrap()),
            Pair::Ed25519(pair) => bytes(pair.sign(message)),
        }
    }

    pub fn verify(&self, message: &[u8], signature: &[u8]) {
        self.public.verify(message, signature).unwrap();
    }
}

enum Pair {
    Rsa(RsaKeyPair, SystemRandom),
    P256(EcdsaKeyPair, SystemRandom),
    Ed25519(Ed25519KeyPair),
}

pub fn server(key: SigningKey, directory: Arc<MemoryDirectory>) -> Server {
    // A run with all its measurements takes longer than the 300 seconds that an access token lives by default.
    let settings = danger::without_send_quotas(settings(|s| s.token_validity.access_token = DAY));
    AuthorizationServer::builder(Issuer::new(ISSUER).unwrap(), keyring(), key)
        .settings(settings)
        .build(MemoryStore::new(), directory)
        .unwrap()
}

/// The sample directory, with users whose phone numbers are the first of [`phone`].
pub fn directory() -> MemoryDirectory {
    let addresses = AddressPolicy::default();
    (0..USERS).fold(sample_directory(), |directory, number| {
        let subject = Subject::new(&format!("USER_{number}")).unwrap();
        let claims = UserClaims::new()
            .with("name", format!("User {number}"))
            .with("email", format!("user_{number}@example.com"))
            .with("email_verified", true)
            .with("phone_number", format!("+86{}", phone(number)));
        directory.put_claims(subject.clone(), claims);
        let address = Address::Phone(addresses.phone_number(&phone(number)).unwrap());
        directory.with_user(User::new(subject, UserStatus::Active), [address])
    })
}

pub fn phone(number: u64) -> String {
    format!("137{number:08}")
}

pub fn nanos<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = Instant::now();
    let result = black_box(work());
    (begun.elapsed().as_nanos() as f64, result)
}

pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub const KEYS: [(&str, &str); 3] = [
    ("RS256", include_str!("../../tests/keys/rsa2048_pkcs8.pem")),
    ("ES256", include_str!("../../tests/keys/es256_pkcs8.pem")),
    ("EdDSA", include_str!("../../tests/keys/ed25519_pkcs8.pem")),
];
pub const USERS: u64 = 16_384;
const ROUNDS: usize = 64;
const OVERHEAD_TIME: Duration = Duration::from_secs(8);
/// More nanoseconds than two consecutive readings of the clock take.
const NO_WORK: f64 = 500.0;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
