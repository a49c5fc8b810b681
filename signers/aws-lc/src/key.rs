//! A private key in AWS-LC, which implements the port `Signer`.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding,
    RsaKeyPair,
};
use otp_grant::jwt::{Algorithm, Signer};

pub(crate) enum Key {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    /// Reads a key that the core has already read as a key of this algorithm.
    pub(crate) fn read(algorithm: Algorithm, der: &[u8]) -> Option<Self> {
        Some(match algorithm {
            Algorithm::RS256 => Self::Rsa(rsa(der)?, &RSA_PKCS1_SHA256),
            Algorithm::PS256 => Self::Rsa(rsa(der)?, &RSA_PSS_SHA256),
            Algorithm::ES256 => Self::P256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok()?),
            // AWS-LC does not read every file that `ring` reads or has written. The seed alone is enough to make the
            // key.
            Algorithm::EdDSA | Algorithm::Ed25519 => {
                Self::Ed25519(Ed25519KeyPair::from_seed_unchecked(ed25519_seed(der)?).ok()?)
            }
            // Of a later version of the core.
            _ => return None,
        })
    }
}

impl Signer for Key {
    type Error = Unspecified;

    /// Signs on the calling thread. A signature keeps a core busy wherever it is made, with RSA for about a
    /// millisecond. Other threads would not make more signatures, and waking a thread takes longer than to sign with
    /// ES256 or Ed25519.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        Ok(match self {
            Self::Rsa(pair, scheme) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*scheme, &random, message, &mut signature)?;
                signature
            }
            Self::P256(pair) => pair.sign(&random, message)?.as_ref().to_vec(),
            Self::Ed25519(pair) => pair.try_sign(message)?.as_ref().to_vec(),
        })
    }
}

/// Reads PKCS#8 or PKCS#1.
fn rsa(der: &[u8]) -> Option<RsaKeyPair> {
    RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)).ok()
}

/// Returns the seed in a PKCS#8 file whose structure was checked (RFC 8410 section 7).
fn ed25519_seed(der: &[u8]) -> Option<&[u8]> {
    let before = der.windows(BEFORE_SEED.len()).position(|bytes| bytes == BEFORE_SEED)?;
    der.get(before.checked_add(BEFORE_SEED.len())?..)?.get(..32)
}

/// The identifier of Ed25519, and a string of 32 bytes within another string.
const BEFORE_SEED: [u8; 9] = [0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use otp_grant::SigningKey;
    use otp_grant::jwt::SignerError;
    use pollster::block_on;

    use super::*;
    use crate::generated;

    #[test]
    fn what_a_key_signs_verifies_with_its_own_public_key_alone() {
        use Algorithm::{ES256, Ed25519, EdDSA, PS256, RS256};
        for algorithm in [RS256, PS256, ES256, EdDSA, Ed25519] {
            let [own, other] = [(), ()].map(|()| generated(algorithm).unwrap());
            let public =
                |der: &[u8]| SigningKey::from_der(der).unwrap().with_algorithm(algorithm).unwrap().public_key().clone();
            let key = || Key::read(algorithm, &own).unwrap();
            assert!(block_on(SigningKey::of_signer(key(), public(&own))).is_ok());
            let error = block_on(SigningKey::of_signer(key(), public(&other))).unwrap_err();
            assert_eq!(error, SignerError::WrongSignature);
        }
    }
}
