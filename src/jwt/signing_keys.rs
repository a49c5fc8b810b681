//! The signing keys of a server: the key that signs, the keys that are published beside it, and their rotation.

use crate::jwt::jwk::{PublicKey, PublicKeySet};
use crate::jwt::key_error::KeyError;
use crate::jwt::signing_key::SigningKey;

/// The active key, which signs, and any number of public keys that are published but do not sign.
///
/// # Rotation
///
/// Take three steps. Finish each step on all hosts before the next step begins. Every unexpired token can then be
/// verified at any time, by each verifier that fetches the key set as often as its `max-age` asks:
///
/// 1. **Announce.** Publish the next key beside the active key. Wait for the `max-age` of the key set
///    ([`Settings::key_set_max_age`](crate::Settings::key_set_max_age), by default 5 minutes). Every verifier then has
///    the next key.
/// 2. **Switch.** Make the next key the active key, and publish the previous key beside it. Wait until the last token
///    that the previous key signed has expired. This is the longer validity of
///    [`TokenValidity`](crate::jwt::TokenValidity), by default 30 minutes.
/// 3. **Retire.** Stop publishing the previous key, and destroy it.
///
/// The keys can have different algorithms. Each token is verified only with the algorithm of its key.
///
/// Each step needs a new server, but no restart. Build another server on the same store and directory (both ports are
/// implemented for `Arc`), and give it the requests that come in.
///
/// ```
/// use otp_grant::SigningKey;
/// use otp_grant::jwt::{Algorithm, SigningKeys};
///
/// let (old, new) = (SigningKey::generate(Algorithm::ES256)?, SigningKey::generate(Algorithm::EdDSA)?);
/// let (old_public, new_public) = (old.public_key().clone(), new.public_key().clone());
/// let announced = SigningKeys::new(old).publishing(new_public)?;
/// let switched = SigningKeys::new(new).publishing(old_public)?;
/// assert_eq!(announced.key_set().iter().count(), 2);
/// # Ok::<(), otp_grant::jwt::KeyError>(())
/// ```
///
/// OpenID Connect Core section 10.1.1.
#[derive(Debug)]
pub struct SigningKeys {
    active: SigningKey,
    published: PublicKeySet,
}

impl SigningKeys {
    /// Makes a key the active key, published alone.
    pub fn new(active: SigningKey) -> Self {
        let published = PublicKeySet::of(active.public_key().clone());
        Self { active, published }
    }

    /// Publishes another key beside the active key: the next key, or a previous key whose tokens have not expired yet.
    ///
    /// # Errors
    /// [`KeyError::DuplicateKeyId`] when a key with this identifier is already published.
    pub fn publishing(mut self, key: PublicKey) -> Result<Self, KeyError> {
        self.published.add(key)?;
        Ok(self)
    }

    /// Returns the key that signs.
    pub fn active(&self) -> &SigningKey {
        &self.active
    }

    /// Returns all published keys, the active key first.
    pub fn key_set(&self) -> &PublicKeySet {
        &self.published
    }
}

impl From<SigningKey> for SigningKeys {
    fn from(active: SigningKey) -> Self {
        Self::new(active)
    }
}
