//! What a host gains that signs with `otp-grant-aws-lc`: the OTP grant with the keys of `ring`, and with its.

use criterion::Criterion;
use otp_grant_benches::login::Grant;
use otp_grant_benches::{KEYS, bench_work};
use otp_grant_peers::beside::{Contender, Row, print_ratios};
use otp_grant_peers::signing::signed_by_aws_lc;
use serde_json::Value;

pub(crate) fn bench_grants(criterion: &mut Criterion) {
    for key in KEYS {
        let mut group = criterion.benchmark_group(format!("{} grant", key.0));
        bench_work(&mut group, "ring", &mut Grant::new(key));
        bench_work(&mut group, "otp-grant-aws-lc", &mut signed_by_aws_lc(key, Value::Null));
        group.finish();
    }
}

pub(crate) fn print_grants() {
    println!("\nAn OTP grant, from request bytes to reply bytes:\n");
    for key in KEYS {
        let (mut ring, mut aws_lc) = (Grant::new(key), signed_by_aws_lc(key, Value::Null));
        let contenders = vec![
            Contender::of_work("with the keys of ring", &mut ring),
            Contender::of_work("with otp-grant-aws-lc", &mut aws_lc),
        ];
        print_ratios(key.0, contenders, <[Row]>::to_vec);
    }
}
