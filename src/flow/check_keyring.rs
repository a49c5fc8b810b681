//! Checks that hosts that share a store also share its secrets.

use core::time::Duration;

use crate::directory::Directory;
use crate::flow::commit::{Refused, Turn};
use crate::flow::core::Core;
use crate::secret::keyring::Keyring;
use crate::secret::keys_in_use::{AnnounceKeys, KeysDiffer, KeysInUse, PeerKeys, ReplaceKeys};
use crate::store::Store;
use crate::wire::error::Unavailable;

/// Announces the secrets of this host, and compares them with the secrets of the other hosts.
pub(crate) async fn check_keyring<S: Store, D: Directory>(core: &Core<S, D>) -> Result<KeyringCheck, KeyringError> {
    let mut turn = Turn::new(core);
    let loaded = turn.load::<KeysInUse>(Keyring::record_of_keys(&core.issuer)).await?;
    match turn.commit(loaded, &announced_keys(core)).await {
        Ok((PeerKeys::Accepted, _)) => Ok(KeyringCheck::Agrees),
        Ok((PeerKeys::Lacking, _)) => Ok(KeyringCheck::LacksAPeersKey),
        Err(Refused::ByRule(KeysDiffer::Index)) => Err(KeyringError::OtherIndexSecret),
        Err(Refused::ByRule(KeysDiffer::Sealing)) => Err(KeyringError::NoSharedSealingSecret),
        Err(Refused::Unavailable) => Err(KeyringError::Unavailable),
    }
}

/// Announces the secrets of this host, and forgets what other hosts announced.
pub(crate) async fn replace_keyring<S: Store, D: Directory>(core: &Core<S, D>) -> Result<(), Unavailable> {
    let mut turn = Turn::new(core);
    let loaded = turn.load::<KeysInUse>(Keyring::record_of_keys(&core.issuer)).await?;
    match turn.commit(loaded, &ReplaceKeys(announced_keys(core))).await {
        Ok(((), _)) => Ok(()),
        Err(Refused::ByRule(never)) => match never {},
        Err(Refused::Unavailable) => Err(Unavailable),
    }
}

fn announced_keys<S: Store, D: Directory>(core: &Core<S, D>) -> AnnounceKeys {
    AnnounceKeys {
        index: core.keyring.index_id(),
        sealing: core.keyring.active().id,
        accepted: core.keyring.accepted_ids(),
        // A refresh token lives as long as its session. An otp_token lives for at most a day.
        keep_for: core.settings.session_validity.absolute.max(DAY),
    }
}

/// The result of a check after which the host can serve.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyringCheck {
    /// This host accepts every secret that another host on the store seals under.
    Agrees,
    /// Another host seals, or has sealed, under a secret that this host does not accept. This host refuses the codes
    /// and refresh tokens that were sealed under that secret.
    ///
    /// This is intended where the operator dropped the secret before everything sealed under it had expired. Otherwise
    /// it is a mistake. Warn the operator.
    LacksAPeersKey,
}

/// Why a keyring can't be used with its store. The host should not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyringError {
    /// The configuration is wrong: the other hosts on the store have another index secret. Each host would look for
    /// records under keys that the others do not use, and would allow its own number of guesses.
    OtherIndexSecret,
    /// The configuration is wrong: this host accepts no sealing secret that another host accepts. Neither host can read
    /// what the other one seals.
    NoSharedSealingSecret,
    /// The store failed, or only a later version may decide on what is stored. The check is safe to repeat.
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
