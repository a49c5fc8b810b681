//! Sets up an engine: its configuration, and the functions that the host adds.

use std::fmt;

use otp_grant::exchange;
use otp_grant::jwt::AccessTokenVerifier;
use otp_grant::server::ServerBuilder;
use otp_grant::{Address, AuthorizationServer, Settings};

use crate::clock_offset::ClockOffset;
use crate::config::{self, Config, FixedLogin};
use crate::engine::Engine;
use crate::error::{ConfigError, Misplaced};
use crate::event::JsonObserver;
use crate::exchange::Shared;
use crate::known_documents::KnownDocuments;
use crate::values::ChannelName;

/// Sets up an [`Engine`].
#[must_use]
pub struct EngineBuilder {
    builder: ServerBuilder,
    settings: Settings,
    has_country_code: bool,
    has_numbering_plan: bool,
    test_identities: Vec<FixedLogin>,
    clock: ClockOffset,
    shared: Shared,
}

impl EngineBuilder {
    /// Reads a configuration.
    pub(crate) fn from_json(config: &str) -> Result<Self, ConfigError> {
        let mut config = Config::from_json(config)?;
        let test_identities = config.take_test_identities();
        let keys = config::signing_keys(&config)?;
        let shared = Shared {
            known: KnownDocuments::default(),
            algorithm: keys.active().algorithm(),
            key_id: keys.active().key_id().to_owned(),
        };
        Ok(Self {
            settings: config::settings(&config)?,
            builder: AuthorizationServer::builder(config::issuer(&config)?, config::keyring(&config)?, keys),
            has_country_code: config.has_country_code(),
            has_numbering_plan: false,
            test_identities,
            clock: ClockOffset::new(),
            shared,
        })
    }

    /// Adds a function that receives each event as a JSON object: `kind`, and members that depend on it. It is called
    /// in the middle of a request, on the thread that answers it. It must return at once, and must not panic.
    pub fn observer(mut self, observer: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.builder = self.builder.observer(JsonObserver(observer));
        self
    }

    /// Adds a numbering plan, as `AddressPolicy::with_numbering_plan` does.
    pub fn numbering_plan(mut self, plan: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.settings.addresses = self.settings.addresses.with_numbering_plan(plan);
        self.has_numbering_plan = true;
        self
    }

    /// Adds a function that gives the budget of an address, as `AddressPolicy::with_budgets` does. Its arguments are
    /// the channel and the address.
    pub fn budgets(mut self, budget: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> Self {
        let budget = move |address: &Address| budget(ChannelName::of(address.channel()), address.as_str());
        self.settings.addresses = self.settings.addresses.with_budgets(budget);
        self
    }

    /// Lets a test move the clock of the engine. Without this call the engine reads the clock of the system.
    pub fn clock_offset(mut self, offset: ClockOffset) -> Self {
        self.builder = self.builder.clock(offset.clone());
        self.clock = offset;
        self
    }

    /// Builds the engine.
    ///
    /// # Errors
    /// [`ConfigError`] when settings are out of range or contradict one another.
    pub fn build(mut self) -> Result<Engine, ConfigError> {
        if self.has_country_code && self.has_numbering_plan {
            return Err(ConfigError::new("addresses.country_code", "the numbering plan has its own"));
        }
        let addresses = &self.settings.addresses;
        self.settings.test_identities = config::test_identities(&self.test_identities, addresses)?;
        let profile = self.settings.access_token_profile.clone();
        let engine = exchange::Engine::new(self.builder.settings(self.settings))
            .map_err(|error| ConfigError::new(place_of(error), error))?;
        let verifier = AccessTokenVerifier::new(engine.issuer().clone(), engine.key_set().clone(), profile);
        Ok(Engine::new(engine, verifier, self.clock, self.shared))
    }
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineBuilder").field("builder", &self.builder).finish_non_exhaustive()
    }
}

/// The member of the configuration that an error of the settings as a whole is about.
fn place_of(error: otp_grant::server::ConfigError) -> &'static str {
    use otp_grant::server::ConfigError as Error;
    match error {
        Error::ValidityTooShort | Error::SessionValidity => "validity",
        Error::RepeatWindow => "validity.repeat_answer_within",
        Error::Quota | Error::TooManyChallenges => "quotas",
        Error::TooManyGuesses | Error::DeviceValidity | Error::TooManyChallengesOfDevice => "devices",
        Error::SendGuard => "send_guard",
        Error::TestIdentity => "test_identities",
        Error::GrantType => "grant_types",
        Error::Endpoint => "endpoints",
        _ => "",
    }
}
