//! What a host gains that signs with `otp-grant-aws-lc`: the OTP grant with the keys of `ring`, and with its.

use criterion::Criterion;
use serde_json::Value;

use crate::beside::{Contender, Row, print_ratios};
use crate::signing::signed_by_aws_lc;
use crate::support::login::Grant;
use crate::support::{KEYS, bench_work};

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
