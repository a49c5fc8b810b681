//! A signer that remembers its signatures, because the runs of a search sign the same few tokens again and again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use otp_grant::SigningKey;
use otp_grant::jwt::Signer;
use otp_grant_tests::Broken;
use otp_grant_tests::steps::{Mishap, Part, SteppedStore};
use pollster::block_on;
use ring::error::Unspecified;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;

use crate::facts::{Log, What};
use crate::host::Calls;

/// The signer of all hosts of a world. It signs with the published key, or with another key that has replaced it.
pub struct Remembering {
    pairs: [EcdsaKeyPair; 2],
    random: SystemRandom,
    signatures: Mutex<Signatures>,
    log: Arc<Log>,
    store: Arc<SteppedStore>,
    calls: Arc<Calls>,
}

impl Remembering {
    pub fn new(log: Arc<Log>, store: Arc<SteppedStore>, calls: Arc<Calls>) -> Self {
        let (der, random) = (PrivatePkcs8KeyDer::from_pem_slice(PEM.as_bytes()).unwrap(), SystemRandom::new());
        let other = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pairs = [der.secret_pkcs8_der(), other.as_ref()]
            .map(|der| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random).unwrap());
        Self { pairs, random, signatures: Mutex::default(), log, store, calls }
    }
}

/// Makes the key of the simulated servers. If it can change, each signature is verified before it is used.
pub fn signing_key(signer: &Arc<Remembering>, key_can_change: bool) -> SigningKey {
    let public = SigningKey::from_pem(PEM).unwrap().public_key().clone();
    let signer = signer.clone();
    let key = if key_can_change {
        block_on(SigningKey::of_signer(Shared::<true>(signer), public))
    } else {
        block_on(SigningKey::of_signer(Shared::<false>(signer), public))
    };
    key.unwrap()
}

/// Makes the key of the simulated engines, whose signatures are asked for. Each is verified before it is used.
pub fn external_key() -> SigningKey {
    SigningKey::external(SigningKey::from_pem(PEM).unwrap().public_key().clone())
}

pub struct Shared<const KEY_CAN_CHANGE: bool>(pub Arc<Remembering>);

impl<const KEY_CAN_CHANGE: bool> Signer for Shared<KEY_CAN_CHANGE> {
    type Error = Broken;

    const KEY_CAN_CHANGE: bool = KEY_CAN_CHANGE;

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Broken> {
        let Remembering { pairs, random, signatures, log, store, calls } = &*self.0;
        let (call, signs) = store.called(Part::Signer);
        // A server that is being built does not count.
        let is_asked = log.polled() != crate::facts::OUTSIDE;
        if is_asked {
            log.note(What::Signed);
            calls.happens(log.polled(), call).await;
        }
        if !signs {
            return Err(Broken);
        }
        let in_place = !is_asked || calls.key_is_in_place();
        if !in_place {
            store.strike(Mishap::SignerFails);
        }
        let mut signatures = signatures.lock().unwrap();
        if let Some(signature) = signatures.get(&(in_place, message.to_vec())) {
            return Ok(signature.clone());
        }
        if signatures.len() == MOST {
            // Long histories rarely sign anything twice.
            signatures.clear();
        }
        let signature = pairs[usize::from(!in_place)].sign(random, message);
        let signature = signature.map_err(|Unspecified| Broken)?.as_ref().to_vec();
        signatures.insert((in_place, message.to_vec()), signature.clone());
        Ok(signature)
    }
}

const PEM: &str = include_str!("../keys/es256_pkcs8.pem");

const MOST: usize = 10_000;

/// The signatures by key and signed text.
type Signatures = HashMap<(bool, Vec<u8>), Vec<u8>>;
