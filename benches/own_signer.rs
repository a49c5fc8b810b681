//! The cost of a `Signer` that waits for another thread: the key service of `examples/own_signer`, a thread that signs
//! with `ed25519-dalek`, beside the Ed25519 of `ring`.
//!
//! A lone grant waits for two signatures, and each of them makes two threads wake each other. With many grants in
//! flight on one thread, as at a busy host, there is always another grant to continue, while the key service works on
//! its own core.
#![allow(clippy::unwrap_used, reason = "a benchmark that fails has to fail loudly")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use mimalloc::MiMalloc;
use otp_grant::{Reply, SigningKey};
use otp_grant_benches::login::Grant;
use otp_grant_benches::{Host, KEYS, Server, Work, is_measured, median, nanos};
use otp_grant_example_own_signer::KeyService;
use otp_grant_tests::{Posts as _, json_request};
use pollster::block_on;
use serde_json::Value;

/// The allocator of the reference host.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    let [.., ed25519] = KEYS;
    let mut ring = Grant::new(ed25519);
    let mut served = Grant::at(Host::with_keys(ed25519, |_| served_key()), Value::Null);
    let (mut of_ring, mut in_turn, mut in_flight) = (Vec::new(), Vec::new(), Vec::new());
    let begun = Instant::now();
    loop {
        of_ring.push(batch(&mut ring, one_after_the_other));
        in_turn.push(batch(&mut served, one_after_the_other));
        in_flight.push(batch(&mut served, all_at_once));
        if !is_measured() || begun.elapsed() > TIME {
            break;
        }
    }
    println!("an OTP grant with Ed25519, from request bytes to reply bytes, {} batches of {GRANTS}:", of_ring.len());
    let with_ring = median(&mut of_ring);
    for (name, taken) in [
        ("with the keys of ring", with_ring),
        ("with a key service, one after the other", median(&mut in_turn)),
        ("with a key service, all of a batch in flight", median(&mut in_flight)),
    ] {
        println!("{name}: {:.2} ({:.1} µs)", taken / with_ring, taken / 1000.0);
    }
}

/// A key that lives in a key service.
fn served_key() -> SigningKey {
    let (service, public) = KeyService::start().unwrap();
    block_on(SigningKey::of_signer(service, public)).unwrap()
}

type Round = (Arc<Server>, String);

/// The nanoseconds per grant of a batch.
fn batch(grant: &mut Grant, redeem: fn(&Grant, &[Round]) -> Vec<Reply>) -> f64 {
    let rounds: Vec<_> = (0..GRANTS).map(|_| grant.prepare()).collect();
    let (taken, replies) = nanos(|| redeem(grant, &rounds));
    rounds.into_iter().zip(&replies).for_each(|(round, reply)| grant.settle(round, reply));
    taken / f64::from(GRANTS)
}

fn one_after_the_other(grant: &Grant, rounds: &[Round]) -> Vec<Reply> {
    rounds.iter().map(|round| grant.work(round)).collect()
}

fn all_at_once(_: &Grant, rounds: &[Round]) -> Vec<Reply> {
    block_on(join_all(rounds.iter().map(|(server, body)| server.post_token(json_request(body, None)))))
}

const GRANTS: u32 = 64;
const TIME: Duration = Duration::from_secs(10);
