//! Builds a server, and refuses a configuration that contradicts itself.

use std::sync::Arc;

use crate::directory::Directory;
use crate::dpop::target::Target;
use crate::entropy::{Entropy, SystemEntropy};
use crate::flow::core::{Core, Parts, ProofTargets};
use crate::id::Issuer;
use crate::jwt::signing_keys::SigningKeys;
use crate::jwt::verifier::AccessTokenVerifier;
use crate::observer::{NoObserver, Observer};
use crate::otp::test_identity::TestIdentities;
use crate::secret::keyring::Keyring;
use crate::server::AuthorizationServer;
use crate::server::routes::{Endpoint, Routes};
use crate::settings::{LONGEST_REPEAT_WINDOW, Settings};
use crate::store::Store;
use crate::time::clock::{Clock, SystemClock};

impl AuthorizationServer<(), ()> {
    /// Begins to set up a server for an issuer, with its secrets and its signing keys. One signing key is enough to
    /// begin with.
    pub fn builder(issuer: Issuer, keyring: Keyring, signing_keys: impl Into<SigningKeys>) -> ServerBuilder {
        ServerBuilder {
            issuer,
            keyring,
            signing_keys: signing_keys.into(),
            settings: Settings::default(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::default()),
            observer: Arc::new(NoObserver),
        }
    }
}

/// Sets up an [`AuthorizationServer`].
#[must_use]
pub struct ServerBuilder {
    issuer: Issuer,
    keyring: Keyring,
    signing_keys: SigningKeys,
    settings: Settings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    observer: Arc<dyn Observer>,
}

impl ServerBuilder {
    /// Replaces the settings.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Replaces the clock. Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Replaces the source of random bytes. Defaults to [`SystemEntropy`].
    pub fn entropy(mut self, entropy: impl Entropy + 'static) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Replaces the observer. Defaults to none.
    pub fn observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Builds the server.
    ///
    /// # Errors
    /// [`ConfigError`] when settings are out of range or contradict one another.
    pub fn build<S: Store, D: Directory>(
        self,
        store: S,
        directory: D,
    ) -> Result<AuthorizationServer<S, D>, ConfigError> {
        if self.signing_keys.active().is_external() {
            return Err(ConfigError::ExternalKey);
        }
        let (parts, routes) = self.parts()?;
        let core = Core { parts: Arc::new(parts), store, directory, external_signer: None };
        Ok(AuthorizationServer::new(core, Arc::new(routes)))
    }

    /// Checks the settings, and puts together what all requests share.
    pub(crate) fn parts(self) -> Result<(Parts, Routes), ConfigError> {
        let Self { issuer, keyring, signing_keys, mut settings, clock, entropy, observer } = self;
        let second = core::time::Duration::from_secs(1);
        let validity = &settings.token_validity;
        let sessions = &settings.session_validity;
        if [validity.access_token, validity.id_token, sessions.idle].iter().any(|validity| *validity < second) {
            return Err(ConfigError::ValidityTooShort);
        }
        if sessions.absolute < sessions.idle || sessions.idle < validity.access_token {
            return Err(ConfigError::SessionValidity);
        }
        if !settings.quotas_are_sound() {
            return Err(ConfigError::Quota);
        }
        if !settings.challenges_have_room() {
            return Err(ConfigError::TooManyChallenges);
        }
        if !settings.challenges_of_devices_have_room() {
            return Err(ConfigError::TooManyChallengesOfDevice);
        }
        if !settings.devices_are_sound() {
            return Err(ConfigError::DeviceValidity);
        }
        if !settings.guesses_are_few() {
            return Err(ConfigError::TooManyGuesses);
        }
        if !settings.send_guard.is_sound() {
            return Err(ConfigError::SendGuard);
        }
        if settings.repeat_answer_within > LONGEST_REPEAT_WINDOW {
            return Err(ConfigError::RepeatWindow);
        }
        if !settings.grant_types_are_distinct() {
            return Err(ConfigError::GrantType);
        }
        if !settings.endpoints.are_paths() {
            return Err(ConfigError::Endpoint);
        }
        if !settings.test_identities_are_sound(clock.now()) {
            return Err(ConfigError::TestIdentity);
        }
        let keys = signing_keys.key_set().clone();
        let verifier = AccessTokenVerifier::new(issuer.clone(), keys, settings.access_token_profile.clone());
        let routes = Routes::new(&issuer, &settings.endpoints);
        let target = |endpoint| routes.url(endpoint).and_then(Target::new);
        let proof_targets = ProofTargets {
            send: target(Endpoint::OtpSend),
            token: target(Endpoint::Token),
            userinfo: target(Endpoint::Userinfo),
        };
        let keyring = keyring.of(&issuer);
        // Only digests of the fixed codes stay.
        let test_identities = TestIdentities::new(&core::mem::take(&mut settings.test_identities), &keyring);
        let parts = Parts {
            test_identities,
            keyring,
            issuer,
            limits: settings.limits(),
            settings,
            signing_keys,
            verifier,
            clock,
            entropy,
            observer,
            proof_targets,
        };
        Ok((parts, routes))
    }
}

impl core::fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ServerBuilder").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Why a configuration was refused. The caller is at fault, and the server has served no request yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A token or a session would live for less than a second.
    ValidityTooShort,
    /// The absolute validity of sessions is shorter than the idle validity, or the idle validity is shorter than the
    /// validity of access tokens.
    SessionValidity,
    /// There is no send quota, a quota has a window of less than a millisecond, or a quota allows more than 1,000
    /// events. The record of an address would have to keep all events of a quota.
    Quota,
    /// The send quotas allow an address more than 100 live challenges: their windows are too short for the validity of
    /// an otp_token. The record of an address would have to keep all live challenges.
    TooManyChallenges,
    /// The send quotas of devices ([`DevicePolicy::sends`](crate::otp::DevicePolicy)) allow a device more than 20 live
    /// challenges. The record of its address would have to keep all of them.
    TooManyChallengesOfDevice,
    /// A device would be known for less than an hour, or for more than 3,660 days.
    DeviceValidity,
    /// An address and its devices would have more than 100 guesses in 24 hours.
    TooManyGuesses,
    /// The send guard has more than 1,024 shards, a threshold allows more messages per hour than per day, or its
    /// `verified_percent` is more than 1,000.
    SendGuard,
    /// Answers would be repeated for longer than 60 seconds.
    RepeatWindow,
    /// A `grant_type` is empty, occurs twice, or is the `grant_type` of a refresh.
    GrantType,
    /// The path of an endpoint does not begin with a slash, has a character that is not allowed in a path, lies below
    /// `/.well-known/`, or occurs twice.
    Endpoint,
    /// A test identity has a code that is shorter than other codes or has unprintable characters, an end that is more
    /// than 90 days away, or no client, or an address has two.
    TestIdentity,
    /// The signing key is [external](crate::SigningKey::external). Only an exchange can ask for its signatures.
    ExternalKey,
}

impl core::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::ValidityTooShort => "a token or session has to live for at least a second",
            Self::SessionValidity => {
                "the absolute validity of a session has to cover the idle one, and that of access tokens"
            }
            Self::Quota => {
                "there has to be a send quota; a quota has a window of a millisecond or more, and at most 1000 events in it"
            },
            Self::TooManyChallenges => "the send quotas allow more than 100 live challenges of one address",
            Self::TooManyChallengesOfDevice => "the send quotas of devices allow more than 20 live challenges of one device",
            Self::DeviceValidity => "a device can be known for an hour to 3660 days",
            Self::TooManyGuesses => "an address and its 3 devices would have more than 100 guesses in 24 hours",
            Self::SendGuard => {
                "a send guard has at most 1024 shards; a threshold has no more messages per hour than per day, and 1000 percent at most"
            }
            Self::RepeatWindow => "answers can be repeated for 60 seconds at most",
            Self::GrantType => "a grant_type is empty, was given twice or is reserved",
            Self::Endpoint => "the path of an endpoint is not a path, or was given twice",
            Self::TestIdentity => {
                "a test identity has too short a code, too late an end, no client, or the address of another one"
            }
            Self::ExternalKey => "an external key signs only where exchanges are driven",
        })
    }
}

impl core::error::Error for ConfigError {}
