//! Asks by statistics whether the comparisons take longer the more of a secret is right (dudect): a million samples each,
//! of which about half are wrong at the beginning and the others at the end, in random order. `timing/run` judges.
//!
//! Each comparison is reached through the shortest call that has it. What surrounds it is the same for both classes.

use std::collections::HashSet;
use std::hint::black_box;

use dudect_bencher::rand::RngExt;
use dudect_bencher::{BenchRng, Class, CtRunner, ctbench_main};
use otp_grant::*;
use otp_grant_timing::*;
use pollster::block_on;

ctbench_main!(client_secret, code, control, otp_token, refresh_token);

/// The code: first digit wrong, or last.
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

/// The client secret: a digest that is wrong from its first byte on, or in the last alone.
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

/// The MAC of an otp_token: first byte wrong, or last.
fn otp_token(runner: &mut CtRunner, rng: &mut BenchRng) {
    let host = Host::new(None, ClientSecret::digest(SECRET));
    host.freeze();
    let otp_tokens: Vec<_> = (0..TOKENS).map(|_| host.send(&reset_body()).0).collect();
    // They were sent for another usage, so that what has the right MAC is refused otherwise.
    let refused = |otp_token: &str| verify(&host, Usage::Signup, otp_token, "0123456789");
    assert_eq!(refused(&otp_tokens[0]), VerifyError::MismatchedOtpToken);
    assert_eq!(refused(&with_other_mac(&otp_tokens[0], 0, 1)), VerifyError::UnknownOtpToken);
    measure_sealed(runner, rng, &otp_tokens, refused);
}

/// The MAC of a refresh token: first byte wrong, or last.
fn refresh_token(runner: &mut CtRunner, rng: &mut BenchRng) {
    let host = Host::new(Some(UserStatus::Active), ClientSecret::digest(SECRET));
    let next = |token: &String| Some(host.refresh(token));
    let refresh_tokens: Vec<_> = std::iter::successors(Some(host.log_in()), next).take(TOKENS).collect();
    let refused = |refresh_token: &str| {
        let refresh_token = PresentedSecret::new(refresh_token);
        let request =
            RefreshGrantRequest { credentials: credentials(SECRET), refresh_token, scope: RequestedScope::Default };
        block_on(host.server.grant(TokenRequest::Refresh(request))).unwrap_err()
    };
    assert_eq!(refresh_tokens.iter().collect::<HashSet<_>>().len(), TOKENS);
    measure_sealed(runner, rng, &refresh_tokens, refused);
    // One that got past its MAC was superseded long ago, and would have ended the session.
    host.refresh(&refresh_tokens[TOKENS - 1]);
}

/// What has to be noticed: the check of one otp_token, and then a comparison with the right one that returns at the first
/// difference.
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

/// Measures `refused` on altered tokens. They have to be many: of one alone, the first class would always have the same last
/// characters of the MAC and the second the same first ones, and that alone can make about half a nanosecond.
fn measure_sealed<T>(runner: &mut CtRunner, rng: &mut BenchRng, tokens: &[String], refused: impl Fn(&str) -> T) {
    let wrong = |rng: &mut BenchRng, half: usize| {
        let token = &tokens[rng.random_range(0..tokens.len())];
        with_other_mac(token, half * (DIGEST_LEN - 1), rng.random_range(1..=255))
    };
    measure(runner, rng, wrong, refused);
}

/// Measures `work` on inputs that are wrong at the beginning (half 0) and at the end (half 1).
///
/// Each is made afresh, so that no few inputs stand for a class, and long before it is used; then it is copied to one and the
/// same place. So the classes differ in nothing but what they say.
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
    let request = VerifyRequest {
        client_id: &ClientId::new(CLIENT).unwrap(),
        usage,
        address: Address::Phone(host.server.addresses().phone_number(PHONE).unwrap()),
        otp_token: PresentedSecret::new(otp_token),
        otp: PresentedSecret::new(code),
    };
    block_on(host.server.verify(request)).unwrap_err()
}

fn credentials(secret: &str) -> ClientCredentials<'_> {
    let id = ClientId::new(CLIENT).unwrap();
    ClientCredentials::Named { id, secret: Some(PresentedSecret::new(secret)), basic: false }
}

const SAMPLES: usize = 1_000_000;
const TOKENS: usize = 10_000;
const BATCH: usize = 1000;
