//! JSON Web Tokens: the keys that sign them, their claims, and their verification (RFC 7515, 7517, 7519, 9068).

pub(crate) mod algorithm;
pub(crate) mod claims;
pub(crate) mod client_assertion;
pub(crate) mod dpop_proof;
pub(crate) mod jwk;
pub mod jws;
pub(crate) mod key_error;
pub(crate) mod key_file;
mod numeric_date;
mod ring_key;
pub(crate) mod signer;
pub(crate) mod signing_error;
pub(crate) mod signing_key;
pub(crate) mod signing_keys;
pub(crate) mod verifier;

pub use crate::jwt::algorithm::Algorithm;
pub use crate::jwt::claims::{AccessTokenProfile, TokenValidity};
pub use crate::jwt::jwk::{PublicKey, PublicKeySet};
pub use crate::jwt::jws::JwsError;
pub use crate::jwt::key_error::KeyError;
pub use crate::jwt::key_file::KeyFile;
pub use crate::jwt::signer::{Signer, SignerError};
pub use crate::jwt::signing_key::SigningKey;
pub use crate::jwt::signing_keys::SigningKeys;
pub use crate::jwt::verifier::{AccessTokenClaims, AccessTokenError, AccessTokenVerifier, Audience};
