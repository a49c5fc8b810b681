//! A private key as AWS-LC has it.

use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use otp_grant::{Algorithm, Signer};

pub(crate) enum Key {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    pub(crate) fn read(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyRejected> {
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
