//! Signing one ID token: the same claims under the same header with the same key.

use std::hint::black_box;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use criterion::Criterion;
use otp_grant::SigningKey;
use otp_grant::jwt::{PublicKeySet, jws};
use otp_grant_benches::login::Grant;
use otp_grant_benches::{Bare, Host, KEYS};
use otp_grant_tests::text;
use pollster::block_on;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::beside::{Contender, Row, print_ratios};

/// Signs claims: what a library is measured at.
pub type Sign = Box<dyn Fn(&Claims) -> String>;

/// Makes signers of an algorithm, a private key as PEM and its identifier.
pub type MakeSigners = fn(&str, &str, &str) -> Vec<(&'static str, Sign)>;

pub fn bench_signing(criterion: &mut Criterion, make: MakeSigners) {
    for key in KEYS {
        let mut logins = Grant::new(key);
        let claims = Claims::of(&mut logins);
        let mut group = criterion.benchmark_group(format!("{} id_token", key.0));
        group.bench_function("floor", |bencher| bencher.iter(|| claims.sign_with(&logins.host.bare)));
        for (name, sign) in checked(make, key, &claims) {
            group.bench_function(name, |bencher| bencher.iter(|| sign(black_box(&claims))));
        }
        group.finish();
    }
}

/// Prints what each takes, where our share is what a login with an ID token takes beyond one without.
pub fn print_signing(make: MakeSigners) {
    println!("\nSigning one ID token:\n");
    for key in KEYS {
        let mut logins = Grant::new(key);
        let mut without = Grant::with_scope(key, json!("profile"));
        let mut by_aws_lc = signed_by_aws_lc(key, Value::Null);
        let mut without_by_aws_lc = signed_by_aws_lc(key, json!("profile"));
        let claims = Claims::of(&mut logins);
        let bare = Bare::of(key);
        let signers = checked(make, key, &claims);
        let mut contenders = vec![
            Contender::new("one bare signature", || claims.sign_with(&bare)),
            Contender::of_work("a login without an ID token", &mut without),
            Contender::of_work("a login with one", &mut logins),
            Contender::of_work("a login without an ID token, by AWS-LC", &mut without_by_aws_lc),
            Contender::of_work("a login with one, by AWS-LC", &mut by_aws_lc),
        ];
        contenders.extend(signers.iter().map(|(name, sign)| Contender::new(name, || sign(black_box(&claims)))));
        print_ratios(key.0, contenders, |medians| {
            let [floor, without, with, without_by_aws_lc, by_aws_lc, peers @ ..] = medians else { unreachable!() };
            let ours = Row::new("otp-grant", with.nanos - without.nanos);
            let with_aws_lc = Row::new("otp-grant, with otp-grant-aws-lc", by_aws_lc.nanos - without_by_aws_lc.nanos);
            [floor.clone(), ours, with_aws_lc].into_iter().chain(peers.iter().cloned()).collect()
        });
    }
}

/// Logins whose tokens are signed by AWS-LC.
pub fn signed_by_aws_lc(key: (&'static str, &'static str), scope: Value) -> Grant {
    Grant::at(Host::with_keys(key, |pem| block_on(otp_grant_aws_lc::from_pem(pem)).unwrap()), scope)
}

/// The claims of an ID token that this crate issued.
#[derive(Serialize, Deserialize)]
pub struct Claims {
    pub sub: String,
    pub aud: String,
    pub azp: String,
    pub iss: String,
    pub exp: u64,
    pub iat: u64,
    pub jti: String,
    pub auth_time: u64,
    pub amr: Vec<String>,
    pub sid: String,
    #[serde(skip)]
    signing_input: String,
}

impl Claims {
    fn of(logins: &mut Grant) -> Self {
        let answer = logins.log_in();
        let (signing_input, _) = text(&answer, "id_token").rsplit_once('.').unwrap();
        let (_, claims) = signing_input.split_once('.').unwrap();
        let claims: Self = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        Self { signing_input: signing_input.to_owned(), ..claims }
    }

    fn sign_with(&self, bare: &Bare) -> Vec<u8> {
        bare.sign(black_box(self.signing_input.as_bytes()))
    }
}

/// Signers that have shown that their tokens verify, say the same and are as long.
fn checked(make: MakeSigners, (algorithm, pem): (&str, &str), claims: &Claims) -> Vec<(&'static str, Sign)> {
    let key = SigningKey::from_pem(pem).unwrap();
    let signers = make(algorithm, pem, key.key_id());
    let keys = PublicKeySet::new([key.public_key().clone()]).unwrap();
    for (name, sign) in &signers {
        let token = sign(claims);
        let verified = jws::verify(&token, &keys).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(serde_json::from_slice::<Value>(verified.payload()).unwrap(), json!(claims), "{name}");
        assert_eq!(verified.typ(), Some("JWT"), "{name}");
        let (signing_input, _) = token.rsplit_once('.').unwrap();
        assert_eq!(signing_input.len(), claims.signing_input.len(), "{name}: {token}");
    }
    signers
}
