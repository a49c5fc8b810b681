//! This crate beside libraries that do a part of its work.
//!
//! Signing: one ID token, the same claims under the same header with the same key, and what an OTP grant gains where
//! AWS-LC signs. Refreshing: from request bytes to reply bytes. After the groups, `beside` measures all of a kind in
//! turns and prints their ratios, as tables in Markdown.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that fails has to fail loudly")]

mod aws_lc;
mod oxide;
mod signers;

use criterion::Criterion;
use mimalloc::MiMalloc;
use otp_grant_benches::sessions::{Call, Calls, Pool};
use otp_grant_benches::{KEYS, bench_work, criterion, is_measured};
use otp_grant_peers::beside::{Contender, Row, print_ratios};
use otp_grant_peers::signing::{bench_signing, print_signing};

use crate::aws_lc::{bench_grants, print_grants};
use crate::oxide::Oxide;
use crate::signers::signers;

/// As in the reference host.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    let mut criterion = criterion();
    bench_signing(&mut criterion, signers);
    bench_grants(&mut criterion);
    refresh(&mut criterion);
    criterion.final_summary();

    if is_measured() {
        print_signing(signers);
        print_grants();
        println!("\nA refresh, from request bytes to reply bytes:\n");
        print_refreshing();
    }
}

fn refresh(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("refresh");
    for key in KEYS {
        let mut pool = Pool::new(key);
        bench_work(&mut group, key.0, &mut Calls { pool: &mut pool, call: Call::Refresh });
    }
    let mut oxide = Oxide::new();
    group.bench_function("oxide_auth", |bencher| bencher.iter_custom(|iterations| oxide.refresh_often(iterations)));
    group.finish();
}

fn print_refreshing() {
    let mut pools = KEYS.map(Pool::new);
    let mut oxide = Oxide::new();
    let mut calls: Vec<_> = pools.iter_mut().map(|pool| Calls { pool, call: Call::Refresh }).collect();
    let mut contenders = vec![Contender::batches("oxide-auth, which signs nothing", || oxide.refreshes())];
    for call in &mut calls {
        let algorithm = call.pool.host.algorithm;
        contenders.push(Contender::overhead_of_work(&format!("otp-grant beside two {algorithm} signatures"), call));
    }
    print_ratios("refresh", contenders, <[Row]>::to_vec);
}
