//! A client that holds a key.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use ed25519_dalek::{Signer, SigningKey};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

pub const ISSUER: &str = "https://login.example.com";

/// The holder of one key.
pub struct Prover {
    key: SigningKey,
}

impl Prover {
    pub fn new(seed: u8) -> Self {
        Self { key: SigningKey::from_bytes(&[seed; 32]) }
    }

    pub fn jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64URL.encode(self.key.verifying_key().as_bytes()) })
    }

    pub fn thumbprint(&self) -> String {
        let x = BASE64URL.encode(self.key.verifying_key().as_bytes());
        sha256(&format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#))
    }

    /// A JWT of these claims, over claims that each JWT of a request has.
    pub fn sign(&self, header: Value, claims: Value) -> String {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let mut all = json!({ "jti": format!("jwt {}", MADE.fetch_add(1, Ordering::Relaxed)), "iat": now() });
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        let signed = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(all.to_string()));
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64URL.encode(signature.to_bytes()))
    }

    /// A fresh proof (RFC 9449).
    pub fn proof(&self, claims: Value) -> String {
        self.sign(json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": self.jwk() }), claims)
    }

    /// A fresh proof for a `POST` to this path of the engine.
    pub fn proof_of(&self, path: &str) -> String {
        self.proof(json!({ "htm": "POST", "htu": format!("{ISSUER}{path}") }))
    }

    /// A fresh assertion of a client (RFC 7523).
    pub fn assertion(&self, client: &str, changes: Value) -> String {
        let mut claims = json!({ "iss": client, "sub": client, "aud": ISSUER, "exp": now() + 60 });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.sign(json!({ "alg": "EdDSA" }), claims)
    }
}

/// In base64url, as `ath` and code challenges have it.
pub fn sha256(text: &str) -> String {
    BASE64URL.encode(digest(&SHA256, text.as_bytes()))
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
