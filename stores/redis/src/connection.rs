//! The connection that carries the commands: to one server, or to a cluster.

use std::sync::Arc;
use std::time::Duration;

use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{Client, Cmd, ConnectionInfo, FromRedisValue, IntoConnectionInfo, RedisResult};
use tokio::time::Instant;

#[cfg(feature = "cluster")]
use crate::cluster::Cluster;
use crate::error::RedisStoreError;
use crate::options::RedisOptions;
use crate::server::Server;

/// A connection that reconnects by itself. A clone shares it.
#[derive(Clone)]
pub(crate) enum Connection {
    Single(Arc<Server>),
    #[cfg(feature = "cluster")]
    Cluster(Arc<Cluster>),
}

impl Connection {
    pub(crate) async fn to_server(url: &str, options: &RedisOptions) -> Result<Self, RedisStoreError> {
        Self::begin(Server::new(info(url, options)?, options)?, options).await
    }

    pub(crate) async fn with_client(client: Client, options: &RedisOptions) -> Result<Self, RedisStoreError> {
        Self::begin(Server::with_client(client, options), options).await
    }

    async fn begin(server: Server, options: &RedisOptions) -> Result<Self, RedisStoreError> {
        server.connect(Instant::now() + options.connection_timeout).await?;
        Ok(Self::Single(Arc::new(server)))
    }

    #[cfg(feature = "cluster")]
    pub(crate) async fn to_cluster(urls: &[&str], options: &RedisOptions) -> Result<Self, RedisStoreError> {
        let nodes = urls.iter().map(|url| info(url, options)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::Cluster(Arc::new(Cluster::connect(nodes, options).await?)))
    }

    /// Sends a command for one key. Sends it again only after an answer that says that it was not run.
    pub(crate) async fn query<T: FromRedisValue>(&self, key: &str, command: &Cmd, deadline: Instant) -> RedisResult<T> {
        match self {
            Self::Single(server) => {
                let _ = key;
                server.query(command, deadline).await
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.query(key, command, deadline).await,
        }
    }
}

fn info(url: &str, options: &RedisOptions) -> RedisResult<ConnectionInfo> {
    let info = url.into_connection_info()?.set_tcp_settings(tcp_settings(options));
    #[cfg(feature = "tls")]
    if matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }) {
        provide_cryptography();
    }
    Ok(info)
}

/// Installs a provider for TLS, unless the process already has one. Without a provider, `redis` panics.
#[cfg(feature = "tls")]
fn provide_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // This fails if another thread has just installed a provider, which is equally good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// Notices a peer that vanished within the timeout of a command, instead of after the quarter of an hour that the
/// kernel waits.
fn tcp_settings(options: &RedisOptions) -> TcpSettings {
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    let settings = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(options.command_timeout);
    #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
    let _ = options;
    settings
}

const KEEPALIVE: Duration = Duration::from_secs(15);
