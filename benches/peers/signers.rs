//! Libraries that sign the same ID token. Each reads its key once, if its API lets it.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use jwt_simple::prelude::{
    Audiences, ECDSAP256KeyPairLike, ES256KeyPair, Ed25519KeyPair, EdDSAKeyPairLike, JWTClaims, RS256KeyPair,
    RSAKeyPairLike, UnixTimeStamp,
};
use otp_grant_peers::signing::{Claims, Sign};
use serde::Serialize;

pub(crate) fn signers(algorithm: &str, pem: &str, key_id: &str) -> Vec<(&'static str, Sign)> {
    vec![("jsonwebtoken", jsonwebtoken(algorithm, pem, key_id)), ("jwt-simple", jwt_simple(algorithm, pem, key_id))]
}

/// Its `EncodingKey` keeps the bytes of a key, which each signature reads again.
fn jsonwebtoken(algorithm: &str, pem: &str, key_id: &str) -> Sign {
    let (algorithm, key) = match algorithm {
        "RS256" => (Algorithm::RS256, EncodingKey::from_rsa_pem(pem.as_bytes())),
        "ES256" => (Algorithm::ES256, EncodingKey::from_ec_pem(pem.as_bytes())),
        _ => (Algorithm::EdDSA, EncodingKey::from_ed_pem(pem.as_bytes())),
    };
    let (key, mut header) = (key.unwrap(), Header::new(algorithm));
    header.kid = Some(key_id.to_owned());
    Box::new(move |claims| jsonwebtoken::encode(&header, claims, &key).unwrap())
}

fn jwt_simple(algorithm: &str, pem: &str, key_id: &str) -> Sign {
    match algorithm {
        "RS256" => {
            let key = RS256KeyPair::from_pem(pem).unwrap().with_key_id(key_id);
            Box::new(move |claims| key.sign(jwt_simple_claims(claims)).unwrap())
        }
        "ES256" => {
            let key = ES256KeyPair::from_pem(pem).unwrap().with_key_id(key_id);
            Box::new(move |claims| key.sign(jwt_simple_claims(claims)).unwrap())
        }
        _ => {
            let key = Ed25519KeyPair::from_pem(pem).unwrap().with_key_id(key_id);
            Box::new(move |claims| key.sign(jwt_simple_claims(claims)).unwrap())
        }
    }
}

fn jwt_simple_claims(claims: &Claims) -> JWTClaims<Custom<'_>> {
    JWTClaims {
        issued_at: Some(UnixTimeStamp::from_secs(claims.iat)),
        expires_at: Some(UnixTimeStamp::from_secs(claims.exp)),
        invalid_before: None,
        issuer: Some(claims.iss.clone()),
        subject: Some(claims.sub.clone()),
        audiences: Some(Audiences::AsString(claims.aud.clone())),
        jwt_id: Some(claims.jti.clone()),
        nonce: None,
        custom: Custom { azp: &claims.azp, auth_time: claims.auth_time, amr: &claims.amr, sid: &claims.sid },
    }
}

/// The claims that `jwt-simple` has no names for.
#[derive(Serialize)]
struct Custom<'a> {
    azp: &'a str,
    auth_time: u64,
    amr: &'a [String],
    sid: &'a str,
}
