//! Signatures that are made once: the runs of a search sign the same few tokens again and again.

use std::collections::HashMap;
use std::sync::Mutex;

use otp_grant::{Signer, SigningKey};
use pollster::block_on;
use ring::error::Unspecified;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;

use crate::support::Broken;

/// The key of the simulated servers.
pub fn signing_key() -> SigningKey {
    let public = SigningKey::from_pem(PEM).unwrap().public_key().clone();
    block_on(SigningKey::of_signer(Remembering::new(), public)).unwrap()
}

struct Remembering {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    signatures: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
}

impl Remembering {
    fn new() -> Self {
        let (der, random) = (PrivatePkcs8KeyDer::from_pem_slice(PEM.as_bytes()).unwrap(), SystemRandom::new());
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der(), &random).unwrap();
        Self { pair, random, signatures: Mutex::default() }
    }
}

impl Signer for Remembering {
    type Error = Broken;

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Broken> {
        let mut signatures = self.signatures.lock().unwrap();
        if let Some(signature) = signatures.get(message) {
            return Ok(signature.clone());
        }
        if signatures.len() == MOST {
            // Long histories hardly sign anything twice.
            signatures.clear();
        }
        let signature = self.pair.sign(&self.random, message).map_err(|Unspecified| Broken)?.as_ref().to_vec();
        signatures.insert(message.to_vec(), signature.clone());
        Ok(signature)
    }
}

const PEM: &str = include_str!("../keys/es256_pkcs8.pem");

const MOST: usize = 10_000;
