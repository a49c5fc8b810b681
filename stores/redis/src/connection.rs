//! What carries the commands.

use std::sync::{Arc, PoisonError, RwLock};

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{Client, Cmd, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo, RedisResult};
use tokio::time::timeout;

use crate::error::RedisStoreError;
use crate::options::RedisOptions;

/// A connection that comes back. A clone is the same one.
#[derive(Clone)]
pub(crate) enum Connection {
    /// Made elsewhere.
    Given(ConnectionManager),
    Single(Arc<Renewed>),
    #[cfg(feature = "cluster")]
    Cluster(redis::cluster_async::ClusterConnection),
}

impl Connection {
    pub(crate) async fn to_server(url: &str, options: &RedisOptions) -> Result<Self, RedisStoreError> {
        let client = Client::open(info(url, options)?)?;
        // No attempts within an attempt: the next command is one, and until then everybody fails at once. A command has its time
        // limit from the store, and needs no second one.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(options.connection_timeout))
            .set_response_timeout(None);
        let connecting = ConnectionManager::new_with_config(client.clone(), config.clone());
        let manager = timeout(options.connection_timeout, connecting).await.map_err(|_| RedisStoreError::Timeout)??;
        Ok(Self::Single(Arc::new(Renewed { client, config, current: RwLock::new((manager, 0)) })))
    }

    #[cfg(feature = "cluster")]
    pub(crate) async fn to_cluster(urls: &[&str], options: &RedisOptions) -> Result<Self, RedisStoreError> {
        let nodes = urls.iter().map(|url| info(url, options)).collect::<Result<Vec<_>, _>>()?;
        let client = redis::cluster::ClusterClient::builder(nodes)
            .connection_timeout(options.connection_timeout)
            .response_timeout(options.command_timeout)
            .tcp_settings(tcp_settings(options))
            .retries(3)
            .build()?;
        let connecting = client.get_async_connection();
        let connection =
            timeout(options.connection_timeout, connecting).await.map_err(|_| RedisStoreError::Timeout)??;
        Ok(Self::Cluster(connection))
    }

    pub(crate) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Given(manager) => query(manager.clone(), command).await,
            Self::Single(renewed) => renewed.query(command).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(connection) => query(connection.clone(), command).await,
        }
    }
}

/// A manager that is replaced when it has given up: one that was refused when it connected again never tries once more.
pub(crate) struct Renewed {
    client: Client,
    config: ConnectionManagerConfig,
    /// With how many there were before it.
    current: RwLock<(ConnectionManager, u64)>,
}

impl Renewed {
    async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let (manager, number) = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        let answer = query(manager, command).await;
        // Redis says so to nobody who is connected.
        if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::AuthenticationFailed) {
            self.replace(number);
        }
        answer
    }

    /// Replaces this manager by one that connects for the next command, if nobody else has done so.
    fn replace(&self, number: u64) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.1 == number {
            if let Ok(manager) = ConnectionManager::new_lazy_with_config(self.client.clone(), self.config.clone()) {
                *current = (manager, number.wrapping_add(1));
            }
        }
    }
}

async fn query<T: FromRedisValue>(mut connection: impl ConnectionLike, command: &Cmd) -> RedisResult<T> {
    command.query_async(&mut connection).await
}

fn info(url: &str, options: &RedisOptions) -> RedisResult<ConnectionInfo> {
    let info = url.into_connection_info()?.set_tcp_settings(tcp_settings(options));
    #[cfg(feature = "tls")]
    if matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }) {
        provide_cryptography();
    }
    Ok(info)
}

/// `redis` uses what the process has for TLS, and panics if it has nothing.
#[cfg(feature = "tls")]
fn provide_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // It fails if somebody else was faster, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// A peer that vanished without a word is noticed within the timeout of a command, not after the kernel's quarter of an
/// hour.
fn tcp_settings(options: &RedisOptions) -> TcpSettings {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(options.command_timeout);
    #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
    let _ = options;
    settings
}

const KEEPALIVE: std::time::Duration = std::time::Duration::from_secs(15);
