//! The connection that carries the commands: to one server, or to a cluster.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "cluster")]
use redis::IntoConnectionInfo;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{Client, Cmd, ConnectionInfo, RedisResult, Value};
use tokio::time::Instant;

#[cfg(feature = "cluster")]
use crate::cluster::Cluster;
use crate::endpoint::{Answer, Endpoint, Request};
use crate::error::RedisStoreError;
use crate::options::RedisOptions;
use crate::sentinel::Sentinels;
use crate::url::Target;

/// A connection that reconnects by itself. A clone shares it.
#[derive(Clone)]
pub(crate) enum Connection {
    Single(Arc<Endpoint>),
    #[cfg(feature = "cluster")]
    Cluster(Arc<Cluster>),
}

impl Connection {
    /// Connects to what a URL leads to: a server, the primary of Sentinels, or a cluster.
    pub(crate) async fn to(url: &str, options: &RedisOptions) -> Result<Self, RedisStoreError> {
        match Target::parse(url)? {
            Target::Server(info) => Self::begin(Endpoint::at(prepared(info, options), options)?, options).await,
            Target::Sentinels { sentinels, service, primary } => {
                let sentinels = sentinels.into_iter().map(|info| prepared(info, options)).collect();
                let sentinels = Sentinels::new(sentinels, &service, prepared(primary, options), options)?;
                Self::begin(Endpoint::primary_of(&Arc::new(sentinels), options), options).await
            }
            #[cfg(feature = "cluster")]
            Target::Cluster(nodes) => {
                let nodes = nodes.into_iter().map(|info| prepared(info, options)).collect();
                Ok(Self::Cluster(Arc::new(Cluster::connect(nodes, options).await?)))
            }
            #[cfg(not(feature = "cluster"))]
            Target::Cluster(_) => Err(redis::RedisError::from((
                redis::ErrorKind::InvalidClientConfig,
                "the URL of a cluster needs the feature `cluster` of otp-grant-redis",
            ))
            .into()),
        }
    }

    pub(crate) async fn with_client(client: Client, options: &RedisOptions) -> Result<Self, RedisStoreError> {
        Self::begin(Endpoint::with_client(client, options), options).await
    }

    async fn begin(endpoint: Endpoint, options: &RedisOptions) -> Result<Self, RedisStoreError> {
        endpoint.connect(Instant::now() + options.connection_timeout).await?;
        Ok(Self::Single(Arc::new(endpoint)))
    }

    #[cfg(feature = "cluster")]
    pub(crate) async fn to_cluster(urls: &[&str], options: &RedisOptions) -> Result<Self, RedisStoreError> {
        let nodes = urls.iter().map(|url| Ok(prepared(url.into_connection_info()?, options)));
        let nodes = nodes.collect::<RedisResult<Vec<_>>>()?;
        Ok(Self::Cluster(Arc::new(Cluster::connect(nodes, options).await?)))
    }

    /// Sends a request. Sends it again only after an answer that says that it was not run.
    pub(crate) async fn run(&self, request: &Request<'_>, deadline: Instant) -> RedisResult<Answer> {
        match self {
            Self::Single(endpoint) => endpoint.run(request, false, deadline).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.run(request, deadline).await,
        }
    }

    /// Sends a command to each primary, and returns its answer. In a cluster the address of the node is beside it.
    pub(crate) async fn query_each(
        &self,
        command: &Cmd,
        deadline: Instant,
    ) -> Vec<(Option<String>, RedisResult<Value>)> {
        match self {
            Self::Single(endpoint) => vec![(None, endpoint.query(command, deadline).await)],
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => {
                let answers = cluster.query_each(command, deadline).await;
                answers.into_iter().map(|(node, answer)| (Some(node), answer)).collect()
            }
        }
    }
}

/// Adds what every connection needs to what a URL says.
fn prepared(info: ConnectionInfo, options: &RedisOptions) -> ConnectionInfo {
    #[cfg(feature = "tls")]
    if matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. }) {
        provide_cryptography();
    }
    info.set_tcp_settings(tcp_settings(options))
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
