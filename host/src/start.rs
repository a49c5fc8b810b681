//! Puts the host together.

use std::sync::Arc;
use std::time::Duration;

use otp_grant::jwt::{Algorithm, SigningKeys};
use otp_grant::server::{KeyringCheck, KeyringError};
use otp_grant::{AuthorizationServer, Directory, Keyring, Settings, Store};

use crate::config::{self, At as _, Config, ConfigError, Proxy, VerdictHeader};
use crate::delivery::{Courier, Queues};
use crate::directory::{self, HostDirectory, TableError, UserBase, UsersTable};
use crate::metrics::{HostObserver, Measured, Metrics};
use crate::phone_numbers::NumberingPlan;
use crate::server::{Callers, Cors, Host, LoginPage, NetworkLimits, Process, Running};
use crate::store::AnyStore;

/// The keys of a host.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) keyring: Keyring,
    pub(crate) signing: SigningKeys,
    /// Whether the keyring replaces the keys that other processes on the store have.
    pub(crate) are_new: bool,
}

impl Keys {
    /// The keys that a file names.
    pub(crate) async fn of(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self { keyring: config::keyring(config)?, signing: config::signing_keys(config).await?, are_new: false })
    }
}

/// A host that is ready to serve.
pub(crate) struct Started {
    pub(crate) host: Host,
    pub(crate) algorithm: Algorithm,
}

/// Checks everything except what needs a database.
pub(crate) fn check(config: &Config, keys: Keys, metrics: &Metrics) -> Result<(), ConfigError> {
    let issuer = config::issuer(config)?;
    let settings = config::settings(config)?;
    let url = config.store.read("store", config)?;
    config::check_database_url("store", &url)?;
    let kind = AnyStore::kind_of(url.expose()).at("store")?;
    config::redis_options(config, kind == "redis").map(drop)?;
    if let Some(table) = &config.users.table {
        let url = table.read("users.table", config)?;
        config::check_database_url("users.table", &url)?;
        UsersTable::migration_of(&url).at("users.table")?;
    }
    let store = otp_grant::MemoryStore::new();
    let builder = AuthorizationServer::builder(issuer, keys.keyring, keys.signing).settings(settings);
    let server = builder.build(store, otp_grant::MemoryDirectory::new()).at("the configuration")?;
    directory::read(config, &UserBase::Memory(Arc::default()), server.addresses())?;
    Cors::new(config)?;
    Proxy::of(config)?;
    NetworkLimits::new(config, &metrics.limits, None)?;
    Courier::check(config, &Queues::new(config.delivery.queue, &metrics.deliveries))
}

/// Connects to everything that the configuration names.
pub(crate) async fn start(config: Config, keys: Keys, metrics: &Arc<Metrics>) -> Result<Started, ConfigError> {
    config::issuer(&config)?;
    let settings = config::settings(&config)?;
    let algorithm = keys.signing.active().algorithm();
    let are_new = keys.are_new;
    let process = Arc::new(connect(&config, metrics).await?);
    let host = host(&config, settings, keys, process, None)?;
    if are_new {
        announce_new_keyring(&host.server).await;
    } else {
        check_keyring(&host.server).await?;
    }
    host.process.store.add_durability_risks("store", &config.warnings).await;
    config.warnings.log();
    Ok(Started { host, algorithm })
}

/// Connects to the databases.
async fn connect(config: &Config, metrics: &Arc<Metrics>) -> Result<Process, ConfigError> {
    let users = match &config.users.table {
        Some(source) => UserBase::Table(Arc::new(users_table(config, source).await?)),
        None => UserBase::Memory(Arc::default()),
    };
    let url = config.store.read("store", config)?;
    config::check_database_url("store", &url)?;
    let redis = config::redis_options(config, AnyStore::kind_of(url.expose()).at("store")? == "redis")?;
    let store = AnyStore::open(&url, redis, config.migrate).await.at("store").map_err(ConfigError::that_can_pass)?;
    let store = Arc::new(store);
    AnyStore::keep_purging(Arc::clone(&store), PURGED_EVERY);
    let queues = Queues::new(config.delivery.queue, &metrics.deliveries);
    Ok(Process::new(store, users, queues, Arc::clone(metrics)))
}

/// Puts together what serves requests with one configuration. A reload has a host `before`.
pub(crate) fn host(
    config: &Config,
    settings: Settings,
    keys: Keys,
    process: Arc<Process>,
    before: Option<&Host>,
) -> Result<Host, ConfigError> {
    if let UserBase::Table(table) = &process.users
        && !config.test_identities.is_empty()
        && !table.flags_test_users()
    {
        return Err(ConfigError::new("users.table", NO_TEST_USERS));
    }
    let key_id = keys.signing.active().key_id().to_owned();
    let (clients, users) = directory::read(config, &process.users, &settings.addresses)?;
    let server = AuthorizationServer::builder(config::issuer(config)?, keys.keyring, keys.signing)
        .settings(settings)
        .observer(HostObserver(process.metrics.events.clone()))
        .build(Measured::new(Arc::clone(&process.store), process.metrics.store.clone()), (clients, Arc::clone(&users)))
        .at("the configuration")?;
    let courier = Courier::new(config, &process.queues)?;
    let cors = Cors::new(config)?;
    let example = config::numbering_plan(config)?.and_then(NumberingPlan::example);
    let page = LoginPage::new(config, &server, example.as_deref());
    let verdict_header = VerdictHeader::of(&config.guard)?;
    let callers = Callers::new(Proxy::of(config)?, config.logs.client_address);
    let network_limits = NetworkLimits::new(config, &process.metrics.limits, before.map(|host| &host.network_limits))?;
    let limits = config.limits.clone();
    Ok(Host { process, server, users, courier, page, cors, verdict_header, limits, callers, network_limits, key_id })
}

/// Makes the keys of this process the ones that count on the store.
async fn announce_new_keyring(server: &Server) {
    if let Err(error) = server.announce_new_keyring().await {
        tracing::warn!(%error, "{NOT_ANNOUNCED}");
    }
}

/// Compares the keys with those of other processes on the store. The host starts even if the store does not answer.
pub(crate) async fn check_keyring<S: Store, D: Directory>(
    server: &AuthorizationServer<S, D>,
) -> Result<(), ConfigError> {
    match server.check_keyring().await {
        Ok(KeyringCheck::LacksAPeersKey) => tracing::warn!("{LACKS_A_KEY}"),
        Ok(_) => {}
        Err(KeyringError::OtherIndexSecret) => return Err(ConfigError::new("keys.index", OTHER_INDEX)),
        Err(KeyringError::NoSharedSealingSecret) => return Err(ConfigError::new("keys.sealing", NONE_SHARED)),
        Err(error) => tracing::warn!(%error, "{NOT_COMPARED}"),
    }
    Ok(())
}

/// Announces the keys again at intervals, as long as the process runs, and logs what a start would report.
pub(crate) fn keep_checking_keyring(running: Arc<Running>) {
    if !running.app().host.process.store.is_shared() {
        return;
    }
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(CHECKED_EVERY).await;
            if let Err(error) = check_keyring(&running.app().host.server).await {
                tracing::error!("{error}");
            }
        }
    });
}

/// Warns if a reload skips a step of a rotation: an API then refuses tokens.
pub(crate) fn warn_of_signing_keys(old: &Host, new: &Host) {
    let publishes = |host: &Host, key_id: &str| host.server.key_set().iter().any(|key| key.key_id() == key_id);
    if !publishes(old, &new.key_id) {
        tracing::warn!("signing.active: {NOT_PUBLISHED_BEFORE}");
    }
    if !publishes(new, &old.key_id) {
        tracing::warn!("signing.published: {NOT_PUBLISHED_ANY_MORE}");
    }
}

async fn users_table(config: &Config, source: &config::Source) -> Result<UsersTable, ConfigError> {
    let place = "users.table";
    let url = source.read(place, config)?;
    config::check_database_url(place, &url)?;
    let opened = async {
        let mut table = UsersTable::connect(&url).await?;
        if config.migrate {
            table.migrate().await?;
        }
        table.check().await?;
        table.find_test_users().await?;
        Ok::<_, TableError>(table)
    };
    let table = opened.await.at(place).map_err(ConfigError::that_can_pass)?;
    table.add_durability_risks(place, &config.warnings).await;
    Ok(table)
}

pub(crate) type Server = AuthorizationServer<Measured<Arc<AnyStore>>, HostDirectory>;

const NO_TEST_USERS: &str = "otp_grant_users has no column is_test, so no test identity can log in; add it, and start again: ALTER TABLE \
     otp_grant_users ADD COLUMN is_test BOOLEAN NOT NULL DEFAULT FALSE";
const NOT_PUBLISHED_BEFORE: &str =
    "the key was not published before; APIs refuse its tokens until they fetch the key set again";
const NOT_PUBLISHED_ANY_MORE: &str =
    "the key that was active is gone, and its tokens are refused; publish it until the last of them has expired";
const LACKS_A_KEY: &str = "keys.accepted: another process on this store seals, or has sealed, under a key that is not accepted \
     here; its codes and refresh tokens are refused. Accept it, unless it was dropped on purpose";
const NOT_COMPARED: &str = "the keys could not be compared with those of other processes on this store";
const NOT_ANNOUNCED: &str =
    "the new keys could not be announced to other processes on this store; start with --new-keys again";
const OTHER_INDEX: &str = "the other processes on this store have another key (that of the demo: --secret); give all of them the same one, or start \
     with --new-keys once if it was replaced on purpose, which forgets every session and every spent guess";
const NONE_SHARED: &str = "the other processes on this store accept neither this key nor those of keys.accepted; accept \
     theirs, or start with --new-keys once if it has leaked and was dropped on purpose";

const PURGED_EVERY: Duration = Duration::from_secs(60);
const CHECKED_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
