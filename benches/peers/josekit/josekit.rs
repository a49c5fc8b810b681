//! This crate beside `josekit`, in a package of its own: OpenSSL and BoringSSL have symbols of the same names, so that
//! one program cannot have both.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that fails has to fail loudly")]

use std::time::{Duration, UNIX_EPOCH};

use ::josekit::jws::{self, JwsHeader, JwsSigner};
use ::josekit::jwt::{JwtPayload, encode_with_signer};
use mimalloc::MiMalloc;
use otp_grant_benches::{criterion, is_measured};
use otp_grant_peers::signing::{Claims, Sign, bench_signing, print_signing};

/// As in the reference host.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() {
    let mut criterion = criterion();
    bench_signing(&mut criterion, signers);
    criterion.final_summary();
    if is_measured() {
        print_signing(signers);
    }
}

fn signers(algorithm: &str, pem: &str, key_id: &str) -> Vec<(&'static str, Sign)> {
    let signer: Box<dyn JwsSigner> = match algorithm {
        "RS256" => Box::new(jws::RS256.signer_from_pem(pem).unwrap()),
        "ES256" => Box::new(jws::ES256.signer_from_pem(pem).unwrap()),
        _ => Box::new(jws::EdDSA.signer_from_pem(pem).unwrap()),
    };
    let mut header = JwsHeader::new();
    header.set_token_type("JWT");
    header.set_key_id(key_id);
    vec![("josekit", Box::new(move |claims| encode_with_signer(&payload(claims), &header, &*signer).unwrap()))]
}

fn payload(claims: &Claims) -> JwtPayload {
    let mut payload = JwtPayload::new();
    payload.set_subject(claims.sub.as_str());
    payload.set_audience(vec![claims.aud.as_str()]);
    payload.set_issuer(claims.iss.as_str());
    payload.set_expires_at(&(UNIX_EPOCH + Duration::from_secs(claims.exp)));
    payload.set_jwt_id(claims.jti.as_str());
    // Its own functions for times that are not expiries write them with a fraction.
    let others = [
        ("iat", claims.iat.into()),
        ("auth_time", claims.auth_time.into()),
        ("azp", claims.azp.as_str().into()),
        ("amr", claims.amr.clone().into()),
        ("sid", claims.sid.as_str().into()),
    ];
    others.into_iter().for_each(|(name, value)| payload.set_claim(name, Some(value)).unwrap());
    payload
}
