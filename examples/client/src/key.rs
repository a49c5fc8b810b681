//! The key of the client, and the proofs that it makes (RFC 9449).

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::Failure;

/// A P-256 key that lives as long as the process. A client that keeps its tokens longer keeps its key with them, where
/// the platform has a place from which no one can copy it.
pub(crate) struct Key {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    jwk: Value,
}

impl Key {
    pub(crate) fn generate() -> Result<Self, Failure> {
        let random = SystemRandom::new();
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(|_| NOT_RANDOM)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
            .map_err(|_| "the new key is refused")?;
        // An uncompressed point: one byte that says so, and the two coordinates.
        let (_, point) = pair.public_key().as_ref().split_first().ok_or("the public key is empty")?;
        let (x, y) = point.split_at_checked(32).ok_or("the public key is too short")?;
        let jwk = json!({"kty": "EC", "crv": "P-256", "x": BASE64URL.encode(x), "y": BASE64URL.encode(y)});
        Ok(Self { pair, random, jwk })
    }

    /// Makes a proof for one request. `access_token` is the token that the request presents, and `nonce` the latest
    /// `DPoP-Nonce` of the server, if there are any.
    pub(crate) fn proof(
        &self,
        method: &str,
        url: &str,
        access_token: Option<&str>,
        nonce: Option<&str>,
    ) -> Result<String, Failure> {
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk});
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut claims = Map::new();
        claims.insert("jti".into(), Uuid::new_v4().to_string().into());
        claims.insert("htm".into(), method.into());
        claims.insert("htu".into(), url.into());
        claims.insert("iat".into(), now.into());
        claims.extend(access_token.map(|token| ("ath".into(), sha256(token).into())));
        claims.extend(nonce.map(|nonce| ("nonce".into(), nonce.into())));
        let part = |value: &Value| BASE64URL.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims.into()));
        let signature = self.pair.sign(&self.random, signed.as_bytes()).map_err(|_| NOT_RANDOM)?;
        Ok(format!("{signed}.{}", BASE64URL.encode(signature)))
    }
}

/// The base64url of the SHA-256 of a text, as `ath` and `code_challenge` have it.
pub(crate) fn sha256(text: &str) -> String {
    BASE64URL.encode(digest(&SHA256, text.as_bytes()))
}

const NOT_RANDOM: &str = "the system gives no random bytes";
