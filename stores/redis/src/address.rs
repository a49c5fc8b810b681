//! The host and the port of a server, as another server names them.

use redis::{ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, RedisResult};

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    pub(crate) fn of(info: &ConnectionInfo) -> RedisResult<Self> {
        match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                Ok(Self { host: host.clone(), port: *port })
            }
            _ => Err(RedisError::from((ErrorKind::InvalidClientConfig, "a node of a cluster has a host and a port"))),
        }
    }

    /// Reads `host:port`. An empty or unknown host stands for the host of the node that gave the answer.
    #[cfg(feature = "cluster")]
    pub(crate) fn parse(text: &str, said_by: &Self) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self::new(host, port.parse().ok()?, said_by))
    }

    pub(crate) fn new(host: &str, port: u16, said_by: &Self) -> Self {
        Self { host: if matches!(host, "" | "?") { &said_by.host } else { host }.to_owned(), port }
    }

    /// Returns this address with the transport of another address.
    pub(crate) fn within(&self, addr: &ConnectionAddr) -> ConnectionAddr {
        let Self { host, port } = self.clone();
        match addr.clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            _ => ConnectionAddr::Tcp(host, port),
        }
    }
}

#[cfg(all(test, feature = "cluster"))]
mod tests {
    use super::*;

    #[test]
    fn a_redirection_without_a_host_is_to_the_host_that_says_so() {
        let said_by = Address { host: "redis.example".to_owned(), port: 7000 };
        let parse = |text| Address::parse(text, &said_by).map(|address| (address.host, address.port));
        assert_eq!(parse("10.0.0.1:7001"), Some(("10.0.0.1".to_owned(), 7001)));
        assert_eq!(parse("[::1]:7001"), Some(("::1".to_owned(), 7001)));
        assert_eq!(parse("::1:7001"), Some(("::1".to_owned(), 7001)));
        assert_eq!(parse(":7001"), Some(("redis.example".to_owned(), 7001)));
        assert_eq!(parse("?:7001"), Some(("redis.example".to_owned(), 7001)));
        assert_eq!(parse("10.0.0.1"), None);
        assert_eq!(parse("10.0.0.1:none"), None);
    }
}
