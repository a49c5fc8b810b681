//! The keys that sign: AWS-LC's, whose signatures take less time than those of `ring`, which the core signs with.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use otp_grant::{Algorithm, KeyError, Signer, SigningKey};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

/// Reads a private key: a PEM file, or the base64 inside of one.
///
/// The core reads it too, so it is the core that says what is wrong with a key, and whose public key and `kid` it has.
pub(crate) async fn signing_key(text: &str) -> Result<SigningKey, KeyError> {
    let (core, framed) = if text.contains(PEM_BEGINS) {
        (SigningKey::from_pem(text)?, None)
    } else {
        (SigningKey::from_base64(text)?, Some(framed(text)))
    };
    let pem = framed.as_deref().map_or(text, String::as_str);
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| KeyError::Malformed)?;
    signed_by_aws_lc(&core, Zeroizing::new(der).secret_der()).await
}

/// A PEM file of what is inside of one. Of its frame, nothing counts here but where it is.
fn framed(text: &str) -> Zeroizing<String> {
    let parts = [PEM_BEGINS, " PRIVATE KEY-----\n", text, "\n-----END PRIVATE KEY-----\n"];
    // With room for all of it, no copy is left behind when it grows.
    let mut framed = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    framed.extend(parts);
    framed
}

/// Makes a key that is lost with the process.
pub(crate) async fn made_key(algorithm: Algorithm) -> Result<SigningKey, KeyError> {
    let der = made(algorithm).map_err(|_| KeyError::NoRandomness)?;
    signed_by_aws_lc(&SigningKey::from_der(&der)?, &der).await
}

/// A key of the core's whose signatures are made here.
async fn signed_by_aws_lc(core: &SigningKey, der: &[u8]) -> Result<SigningKey, KeyError> {
    let key = Key::read(core.algorithm(), der).map_err(|_| KeyError::Malformed)?;
    SigningKey::of_signer(key, core.public_key().clone()).await.map_err(|_| KeyError::Malformed)
}

fn made(algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, Unspecified> {
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

/// A private key as AWS-LC has it.
enum Key {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    fn read(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyRejected> {
        Ok(match algorithm {
            // In PKCS#8 or in PKCS#1.
            Algorithm::RS256 => Self::Rsa(RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der))?),
            Algorithm::ES256 => Self::P256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)?),
            // "Unchecked" are files without the public key, as OpenSSL writes them.
            Algorithm::EdDSA => Self::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)?),
        })
    }
}

impl Signer for Key {
    type Error = Unspecified;

    /// Signs on the thread that asks. A signature keeps a core busy for a millisecond at the most, wherever it is made: other
    /// threads would do no more of them, and waking one takes longer than to sign with ES256 or Ed25519.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        Ok(match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)?;
                signature
            }
            Self::P256(pair) => pair.sign(&random, message)?.as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        })
    }
}

const PEM_BEGINS: &str = "-----BEGIN";
