//! A key service, and the `Signer` that calls it.

use std::error::Error;
use std::fmt;
use std::sync::mpsc;
use std::thread;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey as DalekKey};
use futures::channel::oneshot;
use otp_grant::entropy::{Entropy, SystemEntropy};
use otp_grant::jwt::{PublicKey, Signer};
use serde_json::json;

/// The host's connection to the key service.
pub struct KeyService {
    orders: mpsc::Sender<Order>,
}

/// The bytes to sign, and where the signature goes.
struct Order {
    message: Vec<u8>,
    signature: oneshot::Sender<Vec<u8>>,
}

impl Signer for KeyService {
    type Error = KeyServiceGone;

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyServiceGone> {
        let (signature, signed) = oneshot::channel();
        self.orders.send(Order { message: message.to_vec(), signature }).map_err(|_| KeyServiceGone)?;
        // A real host puts a time limit here, such as tokio::time::timeout.
        signed.await.map_err(|_| KeyServiceGone)
    }
}

impl KeyService {
    /// Starts the service with a new key, and returns the public key that belongs to it.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn start() -> Result<(Self, PublicKey), Box<dyn Error>> {
        let mut seed = [0; 32];
        SystemEntropy::default().fill(&mut seed)?;
        let key = DalekKey::from_bytes(&seed);
        let x = BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
        let public = PublicKey::from_jwk(json!({ "kty": "OKP", "crv": "Ed25519", "x": x }).to_string().as_bytes())?;

        let (orders, received) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for Order { message, signature } in received {
                // The login that ordered the signature can be gone. The signature is then dropped.
                let _ = signature.send(key.sign(&message).to_vec());
            }
        });
        Ok((Self { orders }, public))
    }
}

/// The key service has ended.
#[derive(Debug)]
pub struct KeyServiceGone;

impl fmt::Display for KeyServiceGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key service has ended")
    }
}

impl Error for KeyServiceGone {}
