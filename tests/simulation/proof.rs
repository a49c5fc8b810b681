//! What clients prove with their keys: proofs of DPoP (RFC 9449), and assertions (RFC 7523).

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use otp_grant_tests::{DPOP_CLIENT, ISSUER, Prover};
use ring::digest::{SHA256, digest};
use serde_json::json;

use crate::request::AccessToken;

/// A proof of a key.
#[derive(Clone, Debug)]
pub struct Proof {
    pub text: String,
    /// Names the proof among all proofs of a scene.
    pub id: String,
    /// In milliseconds.
    pub issued_at: u64,
}

impl Proof {
    /// Makes a proof of a key for the token endpoint. `at` is in milliseconds.
    pub fn new(key: u8, id: &str, at: u64) -> Arc<Self> {
        Self::for_request(key, id, at, ("POST", "/oauth2/token"), None)
    }

    /// Makes a proof of a key for the use of an access token at userinfo.
    pub fn with(token: &AccessToken, key: u8, id: &str, at: u64) -> Arc<Self> {
        Self::for_request(key, id, at, ("GET", "/userinfo"), Some(&token.text))
    }

    pub fn for_request(key: u8, id: &str, at: u64, (htm, path): (&str, &str), token: Option<&str>) -> Arc<Self> {
        let ath = token.map(|token| BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes())));
        let mut claims = json!({ "jti": id, "htm": htm, "htu": format!("{ISSUER}{path}"), "iat": at / 1000 });
        if let Some(ath) = ath {
            claims["ath"] = ath.into();
        }
        let prover = Prover::new(key);
        Arc::new(Self { text: prover.sign(&prover.header(), &claims), id: id.to_owned(), issued_at: at / 1000 * 1000 })
    }
}

/// An assertion of a client.
#[derive(Clone, Debug)]
pub struct Assertion {
    pub text: String,
    pub id: String,
    /// Whether the client has made it, and not a thief who knows its `jti`.
    pub is_genuine: bool,
    /// In milliseconds.
    pub expires_at: u64,
}

impl Assertion {
    /// Makes an assertion of [`KEYED_CLIENT`] with a key.
    pub fn new(key: u8, id: &str, at: u64) -> Arc<Self> {
        let end = at / 1000 + 60;
        let claims = json!({ "iss": KEYED_CLIENT, "sub": KEYED_CLIENT, "aud": ISSUER, "exp": end, "jti": id });
        let text = Prover::new(key).sign(&json!({ "alg": "EdDSA" }), &claims);
        Arc::new(Self { text, id: id.to_owned(), is_genuine: key == HOLDER, expires_at: end * 1000 })
    }
}

/// Returns the identifier of the client of an asker, and the key that the asker proves.
pub fn client_and_key(asker: &str) -> (&str, Option<u8>) {
    match asker {
        DPOP_CLIENT => (DPOP_CLIENT, Some(HOLDER)),
        DPOP_CLIENT_OF_A_THIEF => (DPOP_CLIENT, Some(THIEF)),
        other => (other, None),
    }
}

/// The key of the honest client, and that of a thief.
pub const HOLDER: u8 = 1;
pub const THIEF: u8 = 2;
/// The client that users of a key log in with, where a thief runs it with another key. The two are different askers.
pub const DPOP_CLIENT_OF_A_THIEF: &str = "DPOP_CLIENT_ID of a thief";
/// A client that authenticates by assertions.
pub const KEYED_CLIENT: &str = "KEYED_CLIENT_ID";
