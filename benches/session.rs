//! The cost of the requests of a session beside their signatures, from request bytes to reply bytes.
//!
//! The floors are what `ring` alone takes with the same key: two signatures of the same signing inputs for a refresh,
//! one verification of the same token for introspection, userinfo and the revocation of an access token. The revocation
//! of a refresh token has no floor. The sessions take turns, so no record is warmer in the caches than another. After
//! the groups, `overhead` is the time of each call beyond its floor.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that fails has to fail loudly")]

use criterion::Criterion;
use mimalloc::MiMalloc;
use otp_grant_benches::sessions::{Call, Calls, Pool, refresh_body, sign_both, token_body, verify_first};
use otp_grant_benches::{KEYS, bench_work, criterion, is_measured, print_overhead};
use otp_grant_tests::read;
use serde_json::json;

/// The allocator of the reference host.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    let mut criterion = criterion();
    let mut pools = KEYS.map(Pool::new);
    for pool in &mut pools {
        calls(&mut criterion, pool);
    }
    let [_, es256, _] = &pools;
    refusals(&mut criterion, es256);
    criterion.final_summary();

    if is_measured() {
        println!();
        for pool in &mut pools {
            for call in CALLS {
                print_overhead(&format!("{} {}", pool.host.algorithm, call.name()), &mut Calls { pool, call });
            }
        }
    }
}

fn calls(criterion: &mut Criterion, pool: &mut Pool) {
    let mut group = criterion.benchmark_group(pool.host.algorithm);
    let issued = pool.sessions[0].issued();
    group.bench_function("two_signatures", |bencher| bencher.iter(|| sign_both(&pool.host.bare, &issued)));
    group.bench_function("one_verification", |bencher| bencher.iter(|| verify_first(&pool.host.bare, &issued)));
    for call in CALLS {
        bench_work(&mut group, call.name(), &mut Calls { pool, call });
    }
    group.finish();
}

/// Only the forged token costs a verification.
fn refusals(criterion: &mut Criterion, pool: &Pool) {
    let mut group = criterion.benchmark_group("refusals");
    let session = &pool.sessions[0];
    let garbage = |token: &str| "A".repeat(token.len());
    let (signing_input, _) = session.access_token.rsplit_once('.').unwrap();
    let (_, of_another) = session.id_token.rsplit_once('.').unwrap();
    let forged = format!("{signing_input}.{of_another}");
    let other_client = [("client_id", "OTHER_CLIENT_ID"), ("client_secret", "OTHER_CLIENT_SECRET")];
    for (name, call, body) in [
        ("garbage_refresh_token", Call::Refresh, refresh_body(&garbage(&session.refresh_token), &[])),
        ("refresh_token_of_another_client", Call::Refresh, refresh_body(&session.refresh_token, &other_client)),
        ("garbage_access_token", Call::Introspect, token_body(&garbage(&session.access_token))),
        ("forged_access_token", Call::Introspect, token_body(&forged)),
    ] {
        let (_, answer) = read(&call.make(&session.server, &body));
        assert!(answer["error"] == "invalid_grant" || answer == json!({ "active": false }), "{name}: {answer}");
        group.bench_function(name, |bencher| bencher.iter(|| call.make(&session.server, &body)));
    }
    group.finish();
}

const CALLS: [Call; 5] =
    [Call::Refresh, Call::Introspect, Call::Userinfo, Call::RevokeAccessToken, Call::RevokeRefreshToken];
