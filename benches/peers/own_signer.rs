//! What a host gains that signs with another library: the OTP grant with the keys of `ring`, and with AWS-LC's through the
//! `Signer` of the reference host.

use criterion::Criterion;
use otp_grant::SigningKey;
use pollster::block_on;
use serde_json::Value;

use crate::beside::{Contender, Row, print_ratios};
use crate::support::login::Grant;
use crate::support::{Host, KEYS, bench_work};

#[path = "../../host/src/signer.rs"]
#[allow(dead_code, reason = "the host makes keys, too")]
mod signer;

pub(crate) fn bench_grants(criterion: &mut Criterion) {
    for key in KEYS {
        let mut group = criterion.benchmark_group(format!("{} grant", key.0));
        bench_work(&mut group, "ring", &mut Grant::new(key));
        bench_work(&mut group, "aws-lc-rs", &mut signed_by_aws_lc(key));
        group.finish();
    }
}

pub(crate) fn print_grants() {
    println!("\nAn OTP grant, from request bytes to reply bytes:\n");
    for key in KEYS {
        let (mut ring, mut aws_lc) = (Grant::new(key), signed_by_aws_lc(key));
        let contenders = vec![
            Contender::of_work("with the keys of ring", &mut ring),
            Contender::of_work("with a Signer of aws-lc-rs", &mut aws_lc),
        ];
        print_ratios(key.0, contenders, <[Row]>::to_vec);
    }
}

fn signed_by_aws_lc(key: (&'static str, &'static str)) -> Grant {
    Grant::at(Host::with_keys(key, aws_lc), Value::Null)
}

fn aws_lc(pem: &str) -> SigningKey {
    block_on(signer::signing_key(pem)).unwrap()
}
