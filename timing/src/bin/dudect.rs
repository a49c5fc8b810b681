//! Measures by statistics whether a comparison takes longer when more of a secret is right (dudect). It takes a million
//! samples per comparison, about half of them wrong at the beginning and the others at the end, in random order.
//! `timing/run` judges the result.
//!
//! Each comparison is reached through the shortest call that contains it. The code around it is the same for both
//! classes.

use std::collections::HashSet;
use std::hint::black_box;

use dudect_bencher::rand::RngExt;
use dudect_bencher::{BenchRng, Class, CtRunner, ctbench_main};
use otp_grant::dpop::DpopPolicy;
use otp_grant::secret::PresentedSecret;
use otp_grant::server::{VerifyError, VerifyRequest};
use otp_grant::wire::{ClientCredentials, IntrospectionError, IntrospectionRequest, RefreshGrantRequest, TokenRequest};
use otp_grant::*;
use otp_grant_timing::*;
use pollster::block_on;
use serde_json::json;

ctbench_main!(client_secret, code, control, nonce, otp_token, refresh_token);

/// The code, wrong in its first digit or in its last.
fn code(runner: &mut CtRunner, rng: &mut BenchRng) {
    let host = Host::new(None, ClientSecret::digest(SECRET));
    let (otp_token, code) = host.send(&reset_body());
    host.freeze();
    let wrong =
        |rng: &mut BenchRng, half: usize| with_other_digit(&code, half * (code.len() - 1), rng.random_range(1..10));
    let refused = |code: &str| verify(&host, Usage::ResetPassword, &otp_token, code);
    assert!(matches!(refused(&wrong(rng, 0)), VerifyError::UnknownOtp { attempts_remaining: 4 }));
    measure(runner, rng, wrong, refused);
}

/// The client secret, whose digest is wrong from its first byte on or only in its last byte.
fn client_secret(runner: &mut CtRunner, rng: &mut BenchRng) {
    let host = Host::new(None, neighbour(DIGEST_LEN - 1));
    let wrong = |rng: &mut BenchRng, half: usize| {
        let random = SECRET.chars().map(|_| char::from(rng.random_range(b'A'..=b'Z'))).collect();
        [random, SECRET.to_owned()][half].clone()
    };
    let refused = |secret: &str| {
        let query = IntrospectionRequest::new(credentials(secret), PresentedSecret::new("A"));
        block_on(host.server.introspect(query)).unwrap_err()
    };
    assert!(matches!(refused(SECRET), IntrospectionError::InvalidClient(_)));
    measure(runner, rng, wrong, refused);
}

/// The MAC of an otp_token, wrong in its first byte or in its last.
fn otp_token(runner: &mut CtRunner, rng: &mut BenchRng) {
    let host = Host::new(None, ClientSecret::digest(SECRET));
    host.freeze();
    let otp_tokens: Vec<_> = (0..TOKENS).map(|_| host.send(&reset_body()).0).collect();
    // The tokens were sent for another usage. A token with the right MAC is therefore refused with another error.
    let refused = |otp_token: &str| verify(&host, Usage::Signup, otp_token, "0123456789");
    assert_eq!(refused(&otp_tokens[0]), VerifyError::MismatchedOtpToken);
    assert_eq!(refused(&with_other_mac(&otp_tokens[0], 0, 1)), VerifyError::UnknownOtpToken);
    measure_sealed(runner, rng, &otp_tokens, refused);
}

/// The MAC of a refresh token, wrong in its first byte or in its last.
fn refresh_token(runner: &mut CtRunner, rng: &mut BenchRng) {
    let host = Host::new(Some(UserStatus::Active), ClientSecret::digest(SECRET));
    let next = |token: &String| Some(host.refresh(token));
    let refresh_tokens: Vec<_> = std::iter::successors(Some(host.log_in()), next).take(TOKENS).collect();
    let refused = |refresh_token: &str| {
        let request = RefreshGrantRequest::new(credentials(SECRET), PresentedSecret::new(refresh_token));
        block_on(host.server.grant(TokenRequest::Refresh(request))).unwrap_err()
    };
    assert_eq!(refresh_tokens.iter().collect::<HashSet<_>>().len(), TOKENS);
    measure_sealed(runner, rng, &refresh_tokens, refused);
    // A token that passed the check of its MAC was superseded long ago, and would have ended the session.
    host.refresh(&refresh_tokens[TOKENS - 1]);
}

/// The nonce of a DPoP proof, wrong in its first byte or in its last.
///
/// A proof takes long to sign, so the proofs are made before, and each is used many times.
fn nonce(runner: &mut CtRunner, rng: &mut BenchRng) {
    let (server, holder) = (keyed::proving(DpopPolicy::RequiredWithNonce), keyed::Holder::of_the_client());
    let refused =
        |proof: &str| keyed::post(&server, keyed::json_to(TOKEN).header("DPoP", proof).body(keyed::REFRESH)).0;
    let right = refused(&holder.proof(&json!({}))).header("DPoP-Nonce").unwrap().to_owned();
    let proofs = [0, DIGEST_LEN / 2 - 1].map(|position| {
        let wrong = |number| {
            let nonce = keyed::with_other_byte(&right, position, rng.random_range(1..=255));
            holder.proof(&json!({ "nonce": nonce, "jti": format!("{number:05}") }))
        };
        (0..TOKENS).map(wrong).collect::<Vec<_>>()
    });
    let wrong = |rng: &mut BenchRng, half: usize| proofs[half][rng.random_range(0..TOKENS)].clone();
    assert_eq!(refused(&holder.proof(&json!({ "nonce": right }))).status(), 400);
    for proofs in &proofs {
        assert!(refused(&proofs[0]).header("DPoP-Nonce").is_some());
    }
    measure(runner, rng, wrong, refused);
}

/// A control that must be noticed: the check of one otp_token, and then a comparison with the right token that returns
/// at the first difference.
fn control(runner: &mut CtRunner, rng: &mut BenchRng) {
    let host = Host::new(None, ClientSecret::digest(SECRET));
    let (otp_token, code) = host.send(&reset_body());
    host.freeze();
    let refused = |presented: &str| {
        let same = otp_token.bytes().zip(presented.bytes()).all(|(right, presented)| black_box(right) == presented);
        (verify(&host, Usage::ResetPassword, presented, &code), same)
    };
    measure_sealed(runner, rng, std::slice::from_ref(&otp_token), refused);
}

/// Measures `refused` on many altered tokens. With one token, the first class would always have the same last
/// characters of the MAC, and the second class the same first characters. This alone can make a difference of about
/// half a nanosecond.
fn measure_sealed<T>(runner: &mut CtRunner, rng: &mut BenchRng, tokens: &[String], refused: impl Fn(&str) -> T) {
    let wrong = |rng: &mut BenchRng, half: usize| {
        let token = &tokens[rng.random_range(0..tokens.len())];
        with_other_mac(token, half * (DIGEST_LEN - 1), rng.random_range(1..=255))
    };
    measure(runner, rng, wrong, refused);
}

/// Measures `work` on inputs that are wrong at the beginning (half 0) and at the end (half 1).
///
/// Each input is new, so that a class does not consist of a few inputs. It is made long before it is used, and then
/// copied to always the same place. The classes therefore differ only in their content.
fn measure<T>(
    runner: &mut CtRunner,
    rng: &mut BenchRng,
    wrong: impl Fn(&mut BenchRng, usize) -> String,
    work: impl Fn(&str) -> T,
) {
    let mut place = wrong(rng, 0);
    for _ in 0..SAMPLES / BATCH {
        let batch: Vec<_> = (0..BATCH)
            .map(|_| {
                let half = rng.random_range(0..2);
                ([Class::Left, Class::Right][half], wrong(rng, half))
            })
            .collect();
        for (class, input) in &batch {
            place.clear();
            place.push_str(input);
            runner.run_one(*class, || work(black_box(&place)));
        }
    }
}

fn verify(host: &Host, usage: Usage, otp_token: &str, code: &str) -> VerifyError {
    let client = ClientId::new(CLIENT).unwrap();
    let address = Address::Phone(host.server.addresses().phone_number(PHONE).unwrap());
    let (otp_token, otp) = (PresentedSecret::new(otp_token), PresentedSecret::new(code));
    let request = VerifyRequest::new(&client, usage, address, otp_token, otp);
    block_on(host.server.verify(request)).unwrap_err()
}

fn credentials(secret: &str) -> ClientCredentials<'_> {
    let id = ClientId::new(CLIENT).unwrap();
    ClientCredentials::Named { id, secret: Some(PresentedSecret::new(secret)), basic: false }
}

const SAMPLES: usize = 1_000_000;
const TOKENS: usize = 10_000;
const BATCH: usize = 1000;
