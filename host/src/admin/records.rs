//! The records of the hosts: a server on their store, which serves no client.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use otp_grant::id::{RecordKey, Tag};
use otp_grant::observer::{Event, Observer, TracingObserver};
use otp_grant::store::{Record, Swap};
use otp_grant::{Address, AuthorizationServer, MemoryStore, Store, Subject};

use crate::config::{self, At as _, Config, ConfigError};
use crate::directory::{self, HostDirectory};
use crate::start::{self, Keys};
use crate::store::{AnyStore, StoreError};

/// A server with the keys and settings of the hosts. Its store is empty until it is opened.
pub(super) struct Records {
    pub(super) server: AuthorizationServer<Arc<LateStore>, HostDirectory>,
    ended: Arc<Ended>,
}

impl Records {
    pub(super) fn new(config: &Config, keys: Keys) -> Result<Self, ConfigError> {
        let ended = Arc::new(Ended::default());
        let server = AuthorizationServer::builder(config::issuer(config)?, keys.keyring, keys.signing)
            .settings(config::settings(config)?)
            .observer(Arc::clone(&ended))
            .build(Arc::default(), directory::read_without_users(config)?)
            .at("the configuration")?;
        Ok(Self { server, ended })
    }

    /// Opens the store of the hosts, and compares the keys with theirs. Creates no table.
    pub(super) async fn open(&self, config: &Config) -> Result<Result<(), StoreError>, ConfigError> {
        let url = config.store.read("store", config)?;
        config::check_database_url("store", &url)?;
        let kind = AnyStore::kind_of(url.expose()).at("store")?;
        if kind == "memory" {
            return Err(ConfigError::new("store", IN_MEMORY));
        }
        let redis = config::redis_options(config, kind == "redis")?;
        let store = match AnyStore::open(&url, redis, false).await {
            Ok(store) => store,
            Err(error) => return Ok(Err(error)),
        };
        self.server.store().open(store);
        start::check_keyring(&self.server).await?;
        Ok(Ok(()))
    }

    /// The hash of an address, as it is in the log of the hosts. The store must not be open yet.
    pub(super) async fn key_of(&self, address: &Address) -> Option<RecordKey> {
        // The record that an explanation asks for is that of the address. The empty store has none.
        self.server.explain(address).await.ok()?;
        *self.server.store().asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The user whose session was ended last.
    pub(super) fn ended(&self) -> Option<Subject> {
        self.ended.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A store that is empty until that of the hosts is opened. It knows which record was asked for last.
#[derive(Default)]
pub(super) struct LateStore {
    opened: OnceLock<AnyStore>,
    empty: MemoryStore,
    asked: Mutex<Option<RecordKey>>,
}

impl LateStore {
    fn open(&self, store: AnyStore) {
        let _ = self.opened.set(store);
    }
}

impl Store for LateStore {
    type Error = StoreError;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, StoreError> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(*key);
        match self.opened.get() {
            Some(store) => store.load(key).await,
            None => {
                let Ok(record) = self.empty.load(key).await;
                Ok(record)
            }
        }
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, StoreError> {
        match self.opened.get() {
            Some(store) => store.swap(key, expected, next).await,
            None => {
                let Ok(swap) = self.empty.swap(key, expected, next).await;
                Ok(swap)
            }
        }
    }
}

/// Logs as the hosts do, and keeps whose session was ended.
#[derive(Default)]
struct Ended(Mutex<Option<Subject>>);

impl Observer for Ended {
    fn event(&self, event: &Event<'_>) {
        if let Event::SessionRevoked { subject, .. } = event {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((*subject).clone());
        }
        TracingObserver.event(event);
    }
}

const IN_MEMORY: &str = "records in memory belong to the process of the host, and no other process can read them; the hosts \
     need a store of redis, postgres or sqlite";
