//! The signing keys of a server: the one that signs, and those that are published beside it.

use crate::jwt::jwk::{PublicKey, PublicKeySet};
use crate::jwt::key_error::KeyError;
use crate::jwt::signing_key::SigningKey;

/// One active signing key, and any number of public keys that are published but do not sign.
///
/// # Rotation
///
/// Three steps, each on all hosts before the next begins; from the first to the last, every unexpired token can be
/// verified by everybody who fetches the key set no less often than it allows:
///
/// 1. **Announce.** Publish the next key beside the active one. Wait for the `max-age` of the key set
///    ([`Settings::key_set_max_age`](crate::Settings::key_set_max_age), by default 5 minutes), so that everybody has it.
/// 2. **Switch.** Make the next key the active one, and publish the previous one beside it. Wait until the last token that
///    the previous key signed has expired: the longer validity of [`TokenValidity`](crate::TokenValidity), by default 30
///    minutes.
/// 3. **Retire.** Publish the previous key no longer, and destroy it.
///
/// Keys may differ in their algorithms; each token is verified with the algorithm of its key alone. A server is put
/// together anew for each step. That needs no restart: build another one on the same store and directory (both ports are
/// implemented for `Arc`), and let requests that come in have it.
///
/// ```
/// use otp_grant::{Algorithm, SigningKey, SigningKeys};
///
/// let (old, new) = (SigningKey::generate(Algorithm::ES256)?, SigningKey::generate(Algorithm::EdDSA)?);
/// let (old_public, new_public) = (old.public_key().clone(), new.public_key().clone());
/// let announced = SigningKeys::new(old).publishing(new_public)?;
/// let switched = SigningKeys::new(new).publishing(old_public)?;
/// assert_eq!(announced.key_set().iter().count(), 2);
/// # Ok::<(), otp_grant::KeyError>(())
/// ```
///
/// OpenID Connect Core section 10.1.1.
#[derive(Debug)]
pub struct SigningKeys {
    active: SigningKey,
    published: PublicKeySet,
}

impl SigningKeys {
    /// A key that signs, published alone.
    pub fn new(active: SigningKey) -> Self {
        let published = PublicKeySet::of(active.public_key().clone());
        Self { active, published }
    }

    /// Publishes another key beside the active one: the next, or one whose tokens have not expired yet.
    ///
    /// # Errors
    /// [`KeyError::DuplicateKeyId`] when a key with this identifier is published already.
    pub fn publishing(mut self, key: PublicKey) -> Result<Self, KeyError> {
        self.published.add(key)?;
        Ok(self)
    }

    /// The key that signs.
    pub fn active(&self) -> &SigningKey {
        &self.active
    }

    /// All keys that are published, the active one first.
    pub fn key_set(&self) -> &PublicKeySet {
        &self.published
    }
}

impl From<SigningKey> for SigningKeys {
    fn from(active: SigningKey) -> Self {
        Self::new(active)
    }
}
