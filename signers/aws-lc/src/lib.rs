#![doc = include_str!("../README.md")]

mod key;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use otp_grant::{Algorithm, KeyError, SigningKey};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use crate::key::Key;

/// Reads a private key from a PEM file, as [`SigningKey::from_pem`] does.
///
/// # Errors
/// [`KeyError`], what is wrong with the key as otp-grant says it: the same file is refused for the same reason by both.
pub async fn from_pem(pem: &str) -> Result<SigningKey, KeyError> {
    let core = SigningKey::from_pem(pem)?;
    signed_by_aws_lc(&core, der_of(pem)?.secret_der()).await
}

/// Reads a private key from the base64 inside of a PEM file, as [`SigningKey::from_base64`] does.
///
/// # Errors
/// [`KeyError`], what is wrong with the key.
pub async fn from_base64(text: &str) -> Result<SigningKey, KeyError> {
    let core = SigningKey::from_base64(text)?;
    signed_by_aws_lc(&core, der_of(&framed(text))?.secret_der()).await
}

/// Reads a private key in PKCS#8 or, for RSA, in PKCS#1, as [`SigningKey::from_der`] does.
///
/// # Errors
/// [`KeyError`], what is wrong with the key.
pub async fn from_der(der: &[u8]) -> Result<SigningKey, KeyError> {
    signed_by_aws_lc(&SigningKey::from_der(der)?, der).await
}

/// Makes a key that is lost with the process, for tests and demos. Unlike [`SigningKey::generate`] it makes RSA keys,
/// too, of 2048 bits.
///
/// # Errors
/// [`KeyError::NoRandomness`], when the system gives no random bytes.
pub async fn generate(algorithm: Algorithm) -> Result<SigningKey, KeyError> {
    from_der(&generated(algorithm).map_err(|Unspecified| KeyError::NoRandomness)?).await
}

/// A key of the core's, whose signatures are made here. What the core has read, AWS-LC reads, too.
async fn signed_by_aws_lc(core: &SigningKey, der: &[u8]) -> Result<SigningKey, KeyError> {
    let key = Key::read(core.algorithm(), der).map_err(|_| KeyError::Malformed)?;
    SigningKey::of_signer(key, core.public_key().clone()).await.map_err(|_| KeyError::Malformed)
}

fn der_of(pem: &str) -> Result<Zeroizing<PrivateKeyDer<'static>>, KeyError> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).map(Zeroizing::new).map_err(|_| KeyError::Malformed)
}

/// A PEM file of what is inside of one. Of its frame, nothing counts here but where it is.
fn framed(text: &str) -> Zeroizing<String> {
    let parts = ["-----BEGIN PRIVATE KEY-----\n", text, "\n-----END PRIVATE KEY-----\n"];
    // With room for all of it, no copy is left behind when it grows.
    let mut framed = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    framed.extend(parts);
    framed
}

fn generated(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let random = SystemRandom::new();
    Ok(Zeroizing::new(match algorithm {
        Algorithm::RS256 => {
            let der: Pkcs8V1Der<'_> = RsaKeyPair::generate(KeySize::Rsa2048)?.as_der()?;
            der.as_ref().to_vec()
        }
        Algorithm::ES256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)?.as_ref().to_vec(),
        Algorithm::EdDSA => Ed25519KeyPair::generate_pkcs8v1(&random)?.as_ref().to_vec(),
    }))
}
