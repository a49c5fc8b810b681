//! The check of the keyring: whether hosts that share a store share its secrets.

use core::time::Duration;

use crate::directory::Directory;
use crate::error::Unavailable;
use crate::flow::Core;
use crate::flow::commit::Refused;
use crate::flow::draw::Draw;
use crate::keyring::Keyring;
use crate::keys_in_use::{AnnounceKeys, KeysDiffer, KeysInUse, PeerKeys, ReplaceKeys};
use crate::store::Store;

impl<S: Store, D: Directory> Core<S, D> {
    /// Announces the secrets of this host, and compares them with those of the others.
    pub(crate) async fn check_keyring(&self) -> Result<KeyringCheck, KeyringError> {
        let held = self.load::<KeysInUse>(Keyring::record_of_keys(&self.issuer)).await?;
        match self.update(held, &self.announced_keys(), &mut Draw::new()).await {
            Ok((PeerKeys::Accepted, _)) => Ok(KeyringCheck::Agrees),
            Ok((PeerKeys::Lacking, _)) => Ok(KeyringCheck::LacksAPeersKey),
            Err(Refused::ByRule(KeysDiffer::Index)) => Err(KeyringError::OtherIndexSecret),
            Err(Refused::ByRule(KeysDiffer::Sealing)) => Err(KeyringError::NoSharedSealingSecret),
            Err(Refused::Unavailable) => Err(KeyringError::Unavailable),
        }
    }

    /// Announces the secrets of this host, and forgets what others announced.
    pub(crate) async fn replace_keyring(&self) -> Result<(), Unavailable> {
        let held = self.load::<KeysInUse>(Keyring::record_of_keys(&self.issuer)).await?;
        match self.update(held, &ReplaceKeys(self.announced_keys()), &mut Draw::new()).await {
            Ok(((), _)) => Ok(()),
            Err(Refused::ByRule(never)) => match never {},
            Err(Refused::Unavailable) => Err(Unavailable),
        }
    }

    fn announced_keys(&self) -> AnnounceKeys {
        AnnounceKeys {
            index: self.keyring.index_id(),
            sealing: self.keyring.active().id,
            accepted: self.keyring.accepted_ids(),
            // A refresh token lives as long as its session, an otp_token for at most a day.
            keep_for: self.settings.session_validity.absolute.max(DAY),
        }
    }
}

/// What a check of the keyring found: the host can serve.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyringCheck {
    /// This host accepts every secret that hosts on the store seal under.
    Agrees,
    /// Another host seals, or has sealed, under a secret that this host does not accept. This host refuses the codes and
    /// refresh tokens that were sealed under it. That is intended where the secret was dropped before everything expired
    /// that it had sealed, and a mistake otherwise: warn the operator.
    LacksAPeersKey,
}

/// Why a keyring can't be used on its store. The host should not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyringError {
    /// The hosts on the store have another index secret: each would look for records where the others keep none, and
    /// allow its own number of guesses. The fault of the configuration.
    OtherIndexSecret,
    /// This host accepts no sealing secret that another host accepts: neither can read what the other seals. The fault of
    /// the configuration.
    NoSharedSealingSecret,
    /// The store failed. The check may be repeated.
    Unavailable,
}

impl From<Unavailable> for KeyringError {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl core::fmt::Display for KeyringError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::OtherIndexSecret => "other hosts on this store have another index secret",
            Self::NoSharedSealingSecret => "other hosts on this store accept none of the sealing secrets of this one",
            Self::Unavailable => "the store failed",
        })
    }
}

impl core::error::Error for KeyringError {}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
