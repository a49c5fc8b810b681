//! Puts the host together.

use std::sync::Arc;
use std::time::Duration;

use otp_grant::{Algorithm, AuthorizationServer, Keyring, SigningKeys, TracingObserver};

use crate::config::{self, At as _, Config, ConfigError};
use crate::delivery::Courier;
use crate::directory::{HostDirectory, UsersTable};
use crate::phone_numbers::NumberingPlan;
use crate::server::{Host, LoginPage};
use crate::store::AnyStore;

/// The keys of a host.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) keyring: Keyring,
    pub(crate) signing: SigningKeys,
}

impl Keys {
    /// The keys that a file names.
    pub(crate) async fn of(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self { keyring: config::keyring(config)?, signing: config::signing_keys(config).await? })
    }
}

/// A host that is ready to serve.
pub(crate) struct Started {
    pub(crate) host: Host,
    pub(crate) algorithm: Algorithm,
}

/// Checks everything but what databases would say.
pub(crate) fn check(config: &Config, keys: Keys) -> Result<(), ConfigError> {
    let issuer = config::issuer(config)?;
    let settings = config::settings(config)?;
    let url = config.store.read("store", config)?;
    config::check_database_url("store", &url)?;
    AnyStore::kind_of(url.expose()).at("store")?;
    if let Some(table) = &config.users.table {
        let url = table.read("users.table", config)?;
        config::check_database_url("users.table", &url)?;
        UsersTable::migration_of(&url).at("users.table")?;
    }
    let store = otp_grant::MemoryStore::new();
    let builder = AuthorizationServer::builder(issuer, keys.keyring, keys.signing).settings(settings);
    let server = builder.build(store, otp_grant::MemoryDirectory::new()).at("the configuration")?;
    HostDirectory::new(config, None, server.addresses())?;
    Courier::check(config)
}

/// Connects to everything that the configuration names.
pub(crate) async fn start(config: Config, keys: Keys) -> Result<Started, ConfigError> {
    let issuer = config::issuer(&config)?;
    let settings = config::settings(&config)?;
    let algorithm = keys.signing.active().algorithm();

    let users = match &config.users.table {
        Some(source) => Some(users_table(&config, source).await?),
        None => None,
    };
    let url = config.store.read("store", &config)?;
    config::check_database_url("store", &url)?;
    let store = Arc::new(AnyStore::open(&url, config.migrate).await.at("store")?);
    AnyStore::keep_purging(Arc::clone(&store), PURGED_EVERY);

    let addresses = config::addresses(&config)?;
    let directory = Arc::new(HostDirectory::new(&config, users, &addresses)?);
    let server = AuthorizationServer::builder(issuer.clone(), keys.keyring, keys.signing)
        .settings(settings)
        .observer(TracingObserver)
        .build(Arc::clone(&store), Arc::clone(&directory))
        .at("the configuration")?;
    let courier = Courier::new(&config)?;
    config.warnings.log();
    let example = config::numbering_plan(&config)?.and_then(NumberingPlan::example);
    let page = LoginPage::new(&config, &issuer, server.endpoints(), example.as_deref());
    Ok(Started { host: Host { server, store, directory, courier, page, limits: config.limits }, algorithm })
}

async fn users_table(config: &Config, source: &config::Source) -> Result<UsersTable, ConfigError> {
    let place = "users.table";
    let url = source.read(place, config)?;
    config::check_database_url(place, &url)?;
    let table = UsersTable::connect(&url).await.at(place)?;
    if config.migrate {
        table.migrate().await.at(place)?;
    }
    table.check().await.at(place)?;
    Ok(table)
}

const PURGED_EVERY: Duration = Duration::from_secs(60);
