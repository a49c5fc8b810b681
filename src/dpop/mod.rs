//! DPoP (RFC 9449): the client proves with each request that it holds a key, and its tokens are good only together with
//! that key. A thief of a token alone can't use it.
//!
//! [`Settings::dpop`](crate::Settings::dpop) switches it on, and [`Client::with_dpop`](crate::Client::with_dpop) says
//! what it means for a client.

pub(crate) mod target;
pub(crate) mod used_proofs;

use core::time::Duration;

use ring::digest;
use serde::Serialize;

pub use crate::id::KeyThumbprint;
use crate::id::ProofMark;
use crate::time::Timestamp;

/// Whether the server reads DPoP proofs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DpopSupport {
    /// The endpoints ignore the `DPoP` header. A client that must prove a key is refused.
    ///
    /// [`check_access_token`](crate::AuthorizationServer::check_access_token) still accepts a bound token with its
    /// proof, such as a token that was issued before.
    #[default]
    Off,
    /// The server reads proofs. At the token endpoint a proof is good once for each code that was sent and once for
    /// each session. At the send endpoint, at userinfo and at APIs it is good for as long as its `iat` is in time.
    On,
    /// As [`On`](Self::On), and a proof is also good only once at userinfo and for
    /// [`check_access_token`](crate::AuthorizationServer::check_access_token). Each such check costs one more write.
    Strict,
}

/// What a client proves with DPoP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DpopPolicy {
    /// The client gets `Bearer` tokens. A proof changes nothing about them.
    #[default]
    Off,
    /// The client gets tokens that are bound to its key where it sends a proof, and `Bearer` tokens otherwise.
    Accepted,
    /// A request to the send endpoint or the token endpoint without a proof is refused.
    Required,
    /// As [`Required`](Self::Required), and each proof must contain a nonce of the server (RFC 9449 section 8). A proof
    /// that was made in advance is then worth nothing.
    RequiredWithNonce,
}

impl DpopPolicy {
    pub(crate) fn is_off(self) -> bool {
        self == Self::Off
    }

    pub(crate) fn requires_proof(self) -> bool {
        matches!(self, Self::Required | Self::RequiredWithNonce)
    }

    pub(crate) fn requires_nonce(self) -> bool {
        self == Self::RequiredWithNonce
    }
}

/// The use of one proof: whose key it was made with, which proof it is, and when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProofUse {
    pub(crate) key: KeyThumbprint,
    pub(crate) mark: ProofMark,
    /// In whole seconds.
    pub(crate) issued_at: Timestamp,
}

impl ProofUse {
    /// Takes a proof of a key by its [name](name_of_proof) and its `iat`.
    pub(crate) fn named(key: KeyThumbprint, name: &[u8; 32], issued_at: Timestamp) -> Self {
        let mut mark = [0; ProofMark::LEN];
        mark.iter_mut().zip(name).for_each(|(byte, hashed)| *byte = *hashed);
        Self { key, mark: ProofMark::from_bytes(mark), issued_at: issued_at.whole_second() }
    }
}

/// Returns a hash that names one proof of one key, from the `jti` of the proof.
pub(crate) fn name_of_proof(key: &KeyThumbprint, jti: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(key.as_bytes());
    context.update(jti.as_bytes());
    let mut name = [0; 32];
    name.copy_from_slice(context.finish().as_ref());
    name
}

/// The `cnf` claim (RFC 9449 section 6.1).
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Confirmation {
    jkt: KeyThumbprint,
}

impl Confirmation {
    pub(crate) fn of(jkt: KeyThumbprint) -> Self {
        Self { jkt }
    }
}

/// A nonce of the server, which a client puts into its next proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DpopNonce(pub(crate) String);

impl DpopNonce {
    /// Returns the value of the `DPoP-Nonce` header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a proof was refused (RFC 9449 section 4.3). The client is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DpopError {
    /// The client must prove a key, and the request has no proof.
    Missing,
    /// The header is there twice or longer than 4 KiB, or is not a compact JWS with strict JSON inside.
    Malformed,
    /// The `typ` of the header is not `dpop+jwt`.
    WrongType,
    /// The `alg` of the header is not an asymmetric algorithm of this crate, or the header has `crit`, `b64`, `zip` or
    /// `enc`.
    Unsupported,
    /// The `jwk` of the header is missing, is not a public key for the algorithm, or contains the private key.
    InvalidKey,
    /// The key of the header did not make the signature.
    BadSignature,
    /// A claim is missing, is of the wrong type or is too long.
    InvalidClaims,
    /// `htm` is not the method of the request.
    WrongMethod,
    /// `htu` is not the URL of the endpoint.
    WrongUrl,
    /// `iat` is too old or lies in the future.
    OutsideTheWindow,
    /// `ath` is not the hash of the access token.
    WrongAccessToken,
    /// The key is not the key that the access token is bound to.
    WrongKey,
    /// The proof was used before, or is older than proofs that were used.
    Replayed,
}

/// Writes the `error_description`.
impl core::fmt::Display for DpopError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Missing => "a DPoP proof is required",
            Self::Malformed => "the DPoP proof is malformed",
            Self::WrongType => "the typ of the DPoP proof is not dpop+jwt",
            Self::Unsupported => "the header of the DPoP proof has an alg or crit that is not supported",
            Self::InvalidKey => "the jwk of the DPoP proof is not a public key for its alg",
            Self::BadSignature => "the signature of the DPoP proof is wrong",
            Self::InvalidClaims => "a claim of the DPoP proof is missing or invalid",
            Self::WrongMethod => "the htm of the DPoP proof is another method",
            Self::WrongUrl => "the htu of the DPoP proof is another URL",
            Self::OutsideTheWindow => "the iat of the DPoP proof is too old or in the future",
            Self::WrongAccessToken => "the ath of the DPoP proof is missing or of another access token",
            Self::WrongKey => "the key of the DPoP proof is not the key of the access token",
            Self::Replayed => "the DPoP proof was used before",
        })
    }
}

impl core::error::Error for DpopError {}

/// How old a proof may be.
pub(crate) const OLDEST_PROOF: Duration = Duration::from_secs(60);

/// The algorithms that proofs may use, as a challenge lists them (RFC 9449 section 5.1).
pub(crate) const PROOF_ALGORITHMS: [&str; 5] = ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"];
