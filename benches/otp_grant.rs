//! The cost of the OTP grant beside its two signatures, from request bytes to reply bytes.
//!
//! `floor` is two bare `ring` signatures of the signing inputs of a real answer, with the same key. An answer with two
//! signed tokens can't be faster. After the groups, `overhead` is the time of the grant beyond its floor.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that fails has to fail loudly")]

use std::sync::Arc;

use criterion::Criterion;
use mimalloc::MiMalloc;
use otp_grant::Reply;
use otp_grant_benches::login::Grant;
use otp_grant_benches::{Host, KEYS, Server, Work, bench_work, criterion, grant, is_measured, print_overhead};
use otp_grant_tests::{but, wrong};
use serde_json::json;

/// The allocator of the reference host.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    let mut criterion = criterion();
    let mut benches = KEYS.map(Grant::new);
    for bench in &mut benches {
        grants(&mut criterion, bench);
    }
    let [_, es256, _] = &mut benches;
    refusals(&mut criterion, es256);
    criterion.final_summary();

    if is_measured() {
        println!();
        benches.iter_mut().for_each(|bench| print_overhead(bench.host.algorithm, bench));
    }
}

fn grants(criterion: &mut Criterion, bench: &mut Grant) {
    let mut group = criterion.benchmark_group(bench.host.algorithm);
    group.bench_function("floor", |bencher| bencher.iter(|| bench.sign()));
    bench_work(&mut group, "grant", bench);
    group.finish();
}

/// Requests that cost an attacker little should cost the server little. These refusals sign nothing.
fn refusals(criterion: &mut Criterion, bench: &mut Grant) {
    let mut group = criterion.benchmark_group("refusals");
    let (server, body) = bench.host.send();
    let garbage = "A".repeat(body["otp_token"].as_str().unwrap().len());
    for (name, body) in [
        ("garbage_otp_token", but(&body, json!({ "otp_token": garbage })).to_string()),
        ("unknown_client", but(&body, json!({ "client_id": "NOBODY" })).to_string()),
        ("malformed_body", body.to_string().replace('}', ",")),
    ] {
        assert_ne!(grant(&server, &body).status(), 200, "{name}");
        group.bench_function(name, |bencher| bencher.iter(|| grant(&server, &body)));
    }
    bench_work(&mut group, "wrong_code", &mut WrongCode(&mut bench.host));
    group.finish();
}

/// A code that was sent, with its last digit wrong.
struct WrongCode<'a>(&'a mut Host);

impl Work for WrongCode<'_> {
    type Round = (Arc<Server>, String);

    fn prepare(&mut self) -> Self::Round {
        let (server, body) = self.0.send();
        let body = but(&body, json!({ "otp": wrong(body["otp"].as_str().unwrap()) }));
        (server, body.to_string())
    }

    fn floor(&self, _: &Self::Round) {}

    fn work(&self, (server, body): &Self::Round) -> Reply {
        grant(server, body)
    }

    fn settle(&mut self, _: Self::Round, reply: &Reply) {
        assert_eq!(reply.status(), 400);
    }
}
