//! The private keys that `ring` holds: how they are generated, read and used to sign.

use base64::Engine;
use ring::error::KeyRejected;
use ring::rand::{SecureRandom, SystemRandom};
use ring::rsa;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaEncoding, RsaKeyPair,
};
use zeroize::Zeroizing;

use crate::base64url::BASE64URL;
use crate::jwt::algorithm::Algorithm;
use crate::jwt::jwk::PublicKey;
use crate::jwt::key_error::KeyError;
use crate::jwt::signing_error::SigningError;

/// A private key of `ring`.
pub(crate) enum KeyPair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl KeyPair {
    /// Makes a random P-256 or Ed25519 key.
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        match algorithm {
            Algorithm::RS256 | Algorithm::PS256 => Err(KeyError::CannotGenerateRsa),
            Algorithm::ES256 => {
                // This one copy can't be wiped, because ring returns a generated P-256 key in its own document type.
                let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                    .map_err(|_| KeyError::NoRandomness)?;
                Self::p256(document.as_ref())
            }
            Algorithm::EdDSA | Algorithm::Ed25519 => {
                let mut seed = Zeroizing::new([0; 32]);
                random.fill(seed.as_mut()).map_err(|_| KeyError::NoRandomness)?;
                Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).map(Self::Ed25519).map_err(rejection)
            }
        }
    }

    /// Reads PKCS#8, or an RSA key in PKCS#1.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        match Self::from_pkcs8(der) {
            // PKCS#1 names no algorithm, so it can only be RSA.
            Err(KeyError::Malformed) => RsaKeyPair::from_der(der).map(Self::Rsa).map_err(rejection),
            decided => decided,
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        for parse in [Self::rsa, Self::p256, Self::ed25519] {
            match parse(der) {
                Err(KeyError::Unsupported) => {}
                decided => return decided,
            }
        }
        Err(KeyError::Unsupported)
    }

    fn rsa(pkcs8: &[u8]) -> Result<Self, KeyError> {
        RsaKeyPair::from_pkcs8(pkcs8).map(Self::Rsa).map_err(rejection)
    }

    fn p256(pkcs8: &[u8]) -> Result<Self, KeyError> {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new())
            .map(Self::P256)
            .map_err(rejection)
    }

    fn ed25519(pkcs8: &[u8]) -> Result<Self, KeyError> {
        // "Unchecked" refers to files without the public key, as OpenSSL writes them. The public key is computed, so
        // there is nothing to check.
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map(Self::Ed25519).map_err(rejection)
    }

    pub(crate) fn public(&self) -> Result<PublicKey, KeyError> {
        match self {
            Self::Rsa(pair) => {
                let rsa::PublicKeyComponents { n, e } = rsa::PublicKeyComponents::from(pair.public());
                PublicKey::from_rsa(n, e)
            }
            Self::P256(pair) => PublicKey::from_p256(pair.public_key().as_ref()),
            Self::Ed25519(pair) => PublicKey::from_ed25519(pair.public_key().as_ref()),
        }
    }

    pub(crate) fn signs_for(&self, public: &PublicKey) -> bool {
        let mut signed = String::new();
        let signature = self.append_signature(public.algorithm(), &mut signed).is_ok().then(|| signed.split_off(1));
        let signature = signature.and_then(|signature| BASE64URL.decode(signature).ok());
        signature.is_some_and(|signature| public.verifies(b"", &signature))
    }

    /// Signs with an algorithm of this key.
    pub(crate) fn append_signature(&self, algorithm: Algorithm, token: &mut String) -> Result<(), SigningError> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut space = [0; LONGEST_SIGNATURE];
                let signature = space.get_mut(..pair.public().modulus_len()).ok_or(SigningError::Pair)?;
                let scheme: &dyn RsaEncoding = match algorithm {
                    Algorithm::PS256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                pair.sign(scheme, &random, token.as_bytes(), signature).map_err(|_| SigningError::Pair)?;
                append(token, signature);
            }
            Self::P256(pair) => {
                append(token, pair.sign(&random, token.as_bytes()).map_err(|_| SigningError::Pair)?.as_ref());
            }
            Self::Ed25519(pair) => append(token, pair.sign(token.as_bytes()).as_ref()),
        }
        Ok(())
    }
}

pub(crate) fn append(token: &mut String, signature: &[u8]) {
    token.push('.');
    BASE64URL.encode_string(signature, token);
}

/// ring gives the reason of a refusal only as text. If ring changed a text, it would give `Malformed` here, and the
/// tests would fail.
fn rejection(rejected: KeyRejected) -> KeyError {
    match rejected.to_string().as_str() {
        "WrongAlgorithm" => KeyError::Unsupported,
        "TooSmall" => KeyError::RsaTooSmall,
        "TooLarge" => KeyError::RsaTooLarge,
        _ => KeyError::Malformed,
    }
}

/// An RSA key that signs has at most 4096 bits.
const LONGEST_SIGNATURE: usize = 512;
