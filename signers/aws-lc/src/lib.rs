#![doc = include_str!("../README.md")]

mod key;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use otp_grant::SigningKey;
use otp_grant::jwt::{Algorithm, KeyError, KeyFile, PublicKey};
use zeroize::Zeroizing;

use crate::key::Key;

/// Reads a PEM file, as [`SigningKey::from_pem`] does.
///
/// ```
/// # pollster::block_on(async {
/// let refused = otp_grant_aws_lc::from_pem("no key").await;
/// assert_eq!(refused.err(), Some(otp_grant::jwt::KeyError::NoPrivateKey));
/// # });
/// ```
///
/// # Errors
/// The errors of [`SigningKey::from_pem`]. Another file is needed.
pub async fn from_pem(pem: &str) -> Result<SigningKey, KeyError> {
    from_der(KeyFile::from_pem(pem)?.der()).await
}

/// Reads the base64 of a key file or of the text between its lines, as [`SigningKey::from_base64`] does.
///
/// # Errors
/// The errors of [`SigningKey::from_base64`].
pub async fn from_base64(text: &str) -> Result<SigningKey, KeyError> {
    from_der(KeyFile::from_base64(text)?.der()).await
}

/// Reads the DER inside a key file, as [`SigningKey::from_der`] does. The caller must wipe the bytes.
///
/// # Errors
/// The errors of [`SigningKey::from_der`].
pub async fn from_der(der: &[u8]) -> Result<SigningKey, KeyError> {
    // Both libraries read this format.
    let file = KeyFile::from_der(der)?;
    signed_by_aws_lc(SigningKey::from_der(file.der())?.public_key(), file.der()).await
}

/// Reads a key for one of the algorithms of its kind: PS256 in place of RS256, or the name Ed25519 in place of EdDSA.
/// It is what [`SigningKey::with_algorithm`] is for other keys.
///
/// ```
/// # pollster::block_on(async {
/// use otp_grant::jwt::{Algorithm, KeyError, KeyFile};
///
/// let file = KeyFile::from_pem("-----BEGIN PRIVATE KEY-----\n\
///     MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
///     -----END PRIVATE KEY-----\n")?;
/// let key = otp_grant_aws_lc::from_key_file(&file, Algorithm::Ed25519).await?;
/// assert_eq!(key.algorithm(), Algorithm::Ed25519);
/// let refused = otp_grant_aws_lc::from_key_file(&file, Algorithm::PS256).await;
/// assert_eq!(refused.err(), Some(KeyError::AlgorithmMismatch));
/// # Ok::<(), KeyError>(())
/// # }).unwrap();
/// ```
///
/// # Errors
/// [`KeyError::AlgorithmMismatch`] when the key is of another kind, and the errors of [`SigningKey::from_der`].
pub async fn from_key_file(file: &KeyFile, algorithm: Algorithm) -> Result<SigningKey, KeyError> {
    let key = SigningKey::from_der(file.der())?.with_algorithm(algorithm)?;
    signed_by_aws_lc(key.public_key(), file.der()).await
}

/// Makes a random key, which is lost with the process.
///
/// Unlike [`SigningKey::generate`], it also makes RSA keys, with 2048 bits.
///
/// ```
/// # pollster::block_on(async {
/// let key = otp_grant_aws_lc::generate(otp_grant::jwt::Algorithm::RS256).await?;
/// assert_eq!(key.algorithm(), otp_grant::jwt::Algorithm::RS256);
/// # Ok::<(), otp_grant::jwt::KeyError>(())
/// # }).unwrap();
/// ```
///
/// # Errors
/// [`KeyError::NoRandomness`] when AWS-LC made no key. It can be called again.
pub async fn generate(algorithm: Algorithm) -> Result<SigningKey, KeyError> {
    let der = generated(algorithm).map_err(|Unspecified| KeyError::NoRandomness)?;
    from_key_file(&KeyFile::from_der(&der)?, algorithm).await
}

/// The core has read the key, and so the core says which public key belongs to it. From here on, only AWS-LC holds the
/// private key.
async fn signed_by_aws_lc(public: &PublicKey, der: &[u8]) -> Result<SigningKey, KeyError> {
    let key = Key::read(public.algorithm(), der).ok_or(KeyError::Malformed)?;
    // Without random bytes AWS-LC ends the process. An error here comes from the key.
    SigningKey::of_signer(key, public.clone()).await.map_err(|_| KeyError::Malformed)
}

fn generated(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
    let random = SystemRandom::new();
    Ok(Zeroizing::new(match algorithm {
        Algorithm::RS256 | Algorithm::PS256 => {
            let der: Pkcs8V1Der<'_> = RsaKeyPair::generate(KeySize::Rsa2048)?.as_der()?;
            der.as_ref().to_vec()
        }
        Algorithm::ES256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)?.as_ref().to_vec(),
        Algorithm::EdDSA | Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8v1(&random)?.as_ref().to_vec(),
        _ => return Err(Unspecified),
    }))
}
