//! A client that holds a key and proves it with DPoP (RFC 9449).

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use otp_grant::time::Clock;
use otp_grant::{Reply, Request};
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::{Host, ISSUER, Posts, but, read};

/// The holder of one key. Its proofs have the same bytes in each run.
pub struct Prover {
    pair: Ed25519KeyPair,
    made: AtomicUsize,
}

impl Prover {
    pub fn new(seed: u8) -> Self {
        Self { pair: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap(), made: AtomicUsize::new(0) }
    }

    pub fn jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": BASE64URL.encode(self.pair.public_key()) })
    }

    /// The `jkt` of the tokens that are bound to the key.
    pub fn thumbprint(&self) -> String {
        let required = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, BASE64URL.encode(self.pair.public_key()));
        BASE64URL.encode(digest(&SHA256, required.as_bytes()))
    }

    pub fn header(&self) -> Value {
        json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": self.jwk() })
    }

    /// The claims of a fresh proof for a `POST` to this path.
    pub fn claims(&self, host: &Host, path: &str) -> Value {
        let jti = format!("proof {}", self.made.fetch_add(1, Relaxed));
        json!({ "jti": jti, "htm": "POST", "htu": format!("{ISSUER}{path}"), "iat": host.clock.now().as_unix_secs() })
    }

    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims.to_string()));
        let signature = self.pair.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64URL.encode(signature))
    }

    /// A fresh proof for a `POST` to this path, with some claims replaced.
    pub fn proof(&self, host: &Host, path: &str, changes: Value) -> String {
        self.sign(&self.header(), &but(&self.claims(host, path), changes))
    }

    /// A fresh proof for the use of an access token at userinfo.
    pub fn proof_with(&self, host: &Host, access_token: &str, changes: Value) -> String {
        let hash = BASE64URL.encode(digest(&SHA256, access_token.as_bytes()));
        self.proof(host, "/userinfo", but(&json!({ "htm": "GET", "ath": hash }), changes))
    }
}

/// Requests with the header `DPoP`.
impl Host {
    /// Sends JSON with these values of the header.
    pub async fn post_with(&self, path: &str, body: &Value, proofs: &[&str]) -> Reply {
        let body = body.to_string();
        let proofs = proofs.iter().map(|proof| ("dpop", proof.as_bytes()));
        let headers = [("content-type", "application/json".as_bytes())].into_iter().chain(proofs);
        let request = Request::new("POST", path).headers(headers).body(&body);
        self.server.serve(request, async |delivery| delivery.accepted()).await.unwrap()
    }

    /// Asks for a code. Returns the code with the reply.
    pub async fn send_with(&self, body: &Value, proof: &str) -> (String, Value) {
        let body = body.to_string();
        let headers = [("content-type", "application/json".as_bytes()), ("dpop", proof.as_bytes())];
        let request = Request::new("POST", "/otp/send").headers(headers).body(&body);
        let (code, keep) = std::sync::mpsc::channel();
        let deliver = async move |delivery: otp_grant::Delivery| {
            code.send(delivery.message().unwrap().code().expose_secret().to_owned()).unwrap();
            delivery.accepted()
        };
        let reply = self.server.serve(request, deliver).await.unwrap();
        (keep.recv().unwrap_or_default(), read(&reply).1)
    }

    /// Asks for the claims of the user of a token, in this scheme.
    pub async fn userinfo_with(&self, scheme: &str, access_token: &str, proofs: &[&str]) -> Reply {
        let authorization = format!("{scheme} {access_token}");
        let proofs = proofs.iter().map(|proof| ("dpop", proof.as_bytes()));
        let headers = [("authorization", authorization.as_bytes())].into_iter().chain(proofs);
        let request = Request::new("GET", "/userinfo").headers(headers);
        self.server.serve(request, async |delivery| delivery.accepted()).await.unwrap()
    }
}
