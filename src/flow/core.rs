//! The parts of a server that every flow uses.

use core::ops::Deref;
use std::sync::Arc;

use crate::directory::Directory;
use crate::dpop::target::Target;
use crate::entropy::Entropy;
use crate::id::Issuer;
use crate::jwt::signer::AnySigner;
use crate::jwt::signing_keys::SigningKeys;
use crate::jwt::verifier::AccessTokenVerifier;
use crate::observer::{Event, Observer};
use crate::otp::limits::Limits;
use crate::otp::test_identity::TestIdentities;
use crate::secret::keyring::Keyring;
use crate::settings::Settings;
use crate::store::Store;
use crate::time::clock::Clock;
use crate::wire::error::Unavailable;

/// A server during one request: its parts, and the ports that the request waits for.
pub(crate) struct Core<S, D> {
    pub(crate) parts: Arc<Parts>,
    pub(crate) store: S,
    pub(crate) directory: D,
    /// Signs for a key that is outside the server.
    pub(crate) external_signer: Option<Arc<dyn AnySigner>>,
}

impl<S, D> Deref for Core<S, D> {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// The keys and the settings of a server, and the ports that answer at once. All requests share them.
pub(crate) struct Parts {
    pub(crate) issuer: Issuer,
    pub(crate) settings: Settings,
    /// The limits of sends and guesses, from the settings.
    pub(crate) limits: Limits,
    pub(crate) keyring: Keyring,
    pub(crate) signing_keys: SigningKeys,
    pub(crate) verifier: AccessTokenVerifier,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) proof_targets: ProofTargets,
    pub(crate) test_identities: TestIdentities,
}

/// The URLs of the endpoints that read DPoP proofs.
pub(crate) struct ProofTargets {
    pub(crate) send: Option<Target>,
    pub(crate) token: Option<Target>,
    pub(crate) userinfo: Option<Target>,
}

impl Parts {
    /// Tells the observer of a failure outside the store and the directory.
    pub(crate) fn faulted(&self, error: &(dyn core::error::Error + 'static)) -> Unavailable {
        self.observer.event(&Event::Faulted { error });
        Unavailable
    }
}

impl<S: Store, D: Directory> Core<S, D> {
    /// Returns the answer of the directory. Tells the observer of an error.
    pub(crate) fn looked_up<T>(
        &self,
        answer: Result<T, impl core::error::Error + Send + Sync + 'static>,
    ) -> Result<T, Unavailable> {
        answer.map_err(|error| {
            self.observer.event(&Event::DirectoryFailed { error: &error });
            Unavailable
        })
    }

    /// Tells the observer that the store failed.
    pub(crate) fn store_failed(&self, error: &S::Error) -> Unavailable {
        self.observer.event(&Event::StoreFailed { error });
        Unavailable
    }
}
