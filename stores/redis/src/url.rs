//! Reads the URL of a store: one server, the Sentinels that know a primary, or the nodes of a cluster.

use redis::{ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisConnectionInfo, RedisError, RedisResult};

/// What a URL leads to.
pub(crate) enum Target {
    Server(ConnectionInfo),
    Sentinels {
        sentinels: Vec<ConnectionInfo>,
        /// The name under which the Sentinels watch the primary.
        service: String,
        /// Credentials, TLS and number of the database for the primary. Its address is that of a Sentinel.
        primary: ConnectionInfo,
    },
    #[cfg_attr(not(any(feature = "cluster", test)), expect(dead_code, reason = "such a URL is refused"))]
    Cluster(Vec<ConnectionInfo>),
}

impl Target {
    /// Reads a URL. No error quotes it, because it can contain passwords.
    pub(crate) fn parse(url: &str) -> RedisResult<Self> {
        let Some((scheme, rest)) = url.split_once("://") else { return url.into_connection_info().map(Self::Server) };
        match scheme {
            "redis+sentinel" => Hosts::parse("redis", rest, SENTINEL_PORT)?.sentinels(),
            "rediss+sentinel" => Hosts::parse("rediss", rest, SENTINEL_PORT)?.sentinels(),
            "redis+cluster" => Hosts::parse("redis", rest, PORT)?.cluster(),
            "rediss+cluster" => Hosts::parse("rediss", rest, PORT)?.cluster(),
            _ => url.into_connection_info().map(Self::Server),
        }
    }
}

/// The parts of a URL that names several hosts.
struct Hosts<'a> {
    scheme: &'a str,
    /// The user and the password, with the `@` behind them, or nothing.
    credentials: &'a str,
    hosts: Vec<String>,
    path: &'a str,
    parameters: Vec<&'a str>,
    /// From the `#` on, or nothing.
    fragment: &'a str,
}

impl<'a> Hosts<'a> {
    /// Reads `[user:password@]host[:port],…[/path][?parameters][#fragment]`.
    fn parse(scheme: &'a str, rest: &'a str, port: u16) -> RedisResult<Self> {
        let (rest, fragment) = split_before(rest, '#');
        let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = split_before(rest, '/');
        let at = authority.rfind('@').map_or(0, |at| at.saturating_add(1));
        let (credentials, hosts) = authority.split_at_checked(at).unwrap_or(("", authority));
        let with_port = |host: &str| {
            // The address of IPv6 has colons within its brackets.
            let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
            if has_port { host.to_owned() } else { format!("{host}:{port}") }
        };
        if hosts.split(',').any(str::is_empty) {
            return Err(malformed("the URL names no host, or has a comma too many"));
        }
        let hosts = hosts.split(',').map(with_port).collect();
        let parameters = parameters.split('&').filter(|parameter| !parameter.is_empty()).collect();
        Ok(Self { scheme, credentials, hosts, path: path.trim_start_matches('/'), parameters, fragment })
    }

    fn sentinels(mut self) -> RedisResult<Target> {
        let user = self.take("sentinel_username");
        let password = self.take("sentinel_password");
        let (service, database) = self.path.split_once('/').unwrap_or((self.path, ""));
        // Sentinel accepts no other names.
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if service.is_empty() || !service.bytes().all(is_allowed) {
            return Err(malformed("the path of the URL is /service or /service/database"));
        }
        let own = match (user, password) {
            (None, None) => String::new(),
            (user, password) => format!("{}:{}@", user.unwrap_or_default(), password.unwrap_or_default()),
        };
        let sentinels = self.hosts.iter().map(|host| self.info(&own, host, "")).collect::<RedisResult<Vec<_>>>()?;
        let first = self.hosts.first().ok_or_else(|| malformed("the URL names no host"))?;
        let primary = self.info(self.credentials, first, database)?;
        Ok(Target::Sentinels { sentinels, service: service.to_owned(), primary })
    }

    fn cluster(self) -> RedisResult<Target> {
        if !matches!(self.path, "" | "0") {
            return Err(malformed("a cluster has one database, 0"));
        }
        let nodes = self.hosts.iter().map(|host| self.info(self.credentials, host, ""));
        nodes.collect::<RedisResult<_>>().map(Target::Cluster)
    }

    /// Removes a parameter, and returns its value as it is written.
    fn take(&mut self, name: &str) -> Option<&'a str> {
        let value = |parameter: &&'a str| parameter.split_once('=').filter(|(key, _)| *key == name);
        let found = self.parameters.iter().find_map(value).map(|(_, value)| value);
        self.parameters.retain(|parameter| value(parameter).is_none());
        found
    }

    /// Has `redis` read the URL of one host.
    fn info(&self, credentials: &str, host: &str, database: &str) -> RedisResult<ConnectionInfo> {
        let Self { scheme, parameters, fragment, .. } = self;
        let parameters = parameters.join("&");
        let info =
            format!("{scheme}://{credentials}{host}/{database}?{parameters}{fragment}").into_connection_info()?;
        // An empty user is the user `default`.
        let redis = info.redis_settings();
        match (redis.username(), redis.password()) {
            (Some(""), Some(password)) => {
                let redis = RedisConnectionInfo::default()
                    .set_password(password)
                    .set_db(redis.db())
                    .set_protocol(redis.protocol());
                Ok(info.set_redis_settings(redis))
            }
            _ => Ok(info),
        }
    }
}

/// Splits a text before the first occurrence of a character, which stays with the second part.
fn split_before(text: &str, character: char) -> (&str, &str) {
    text.find(character).and_then(|at| text.split_at_checked(at)).unwrap_or((text, ""))
}

fn malformed(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, what))
}

const PORT: u16 = 6379;

const SENTINEL_PORT: u16 = 26_379;

#[cfg(test)]
mod tests {
    use redis::ConnectionAddr;

    use super::*;

    fn address(info: &ConnectionInfo) -> (String, u16) {
        match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), *port),
            _ => panic!("no address"),
        }
    }

    fn login(info: &ConnectionInfo) -> (Option<&str>, Option<&str>) {
        (info.redis_settings().username(), info.redis_settings().password())
    }

    #[test]
    fn the_url_of_sentinels_has_their_hosts_the_service_and_the_login_at_the_primary() {
        let url = "redis+sentinel://app:p%40ss@one,two:5000,[::1]:7/my-primary/3?sentinel_password=s%40&protocol=resp3";
        let Ok(Target::Sentinels { sentinels, service, primary }) = Target::parse(url) else { panic!("not read") };
        let hosts = sentinels.iter().map(address).collect::<Vec<_>>();
        assert_eq!(hosts, [("one".to_owned(), 26_379), ("two".to_owned(), 5000), ("::1".to_owned(), 7)]);
        assert_eq!(service, "my-primary");
        assert_eq!((login(&primary), primary.redis_settings().db()), ((Some("app"), Some("p@ss")), 3));
        assert!(sentinels.iter().all(|info| login(info) == (None, Some("s@"))));
        assert_eq!(primary.redis_settings().protocol(), redis::ProtocolVersion::RESP3);

        let Ok(Target::Sentinels { sentinels, primary, .. }) = Target::parse("redis+sentinel://:secret@one/it") else {
            panic!("not read")
        };
        assert_eq!((login(&primary), login(&sentinels[0])), ((None, Some("secret")), (None, None)));
    }

    #[test]
    fn the_url_of_a_cluster_has_its_nodes() {
        for url in [
            "redis+cluster://u:p@one,two:7001",
            "redis+cluster://u:p@one,two:7001/",
            "redis+cluster://u:p@one,two:7001/0",
        ] {
            let Ok(Target::Cluster(nodes)) = Target::parse(url) else { panic!("not read") };
            assert_eq!(
                nodes.iter().map(address).collect::<Vec<_>>(),
                [("one".to_owned(), 6379), ("two".to_owned(), 7001)]
            );
            assert!(nodes.iter().all(|node| login(node) == (Some("u"), Some("p"))));
        }
    }

    #[test]
    #[cfg(feature = "tls")]
    fn a_second_s_means_tls_for_all_hosts() {
        let is_tls = |info: &ConnectionInfo| matches!(info.addr(), ConnectionAddr::TcpTls { insecure: false, .. });
        let Ok(Target::Sentinels { sentinels, primary, .. }) = Target::parse("rediss+sentinel://one,two/it") else {
            panic!("not read")
        };
        assert!(sentinels.iter().chain([&primary]).all(is_tls));
        let Ok(Target::Cluster(nodes)) = Target::parse("rediss+cluster://one,two") else { panic!("not read") };
        assert!(nodes.iter().all(is_tls));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_it() {
        for url in [
            "redis+sentinel://secret",
            "redis+sentinel://secret/",
            "redis+sentinel:///secret",
            "redis+sentinel://one,,two/secret",
            "redis+sentinel://one/sec%20ret",
            "redis+sentinel://one/it/secret",
            "redis+sentinel://one:secret/it",
            "redis+cluster://",
            "redis+cluster://one,/",
            "redis+cluster://one/7",
            "redis+other://secret",
            "secret",
        ] {
            let Err(error) = Target::parse(url) else { panic!("{url} is read") };
            assert_eq!(error.kind(), ErrorKind::InvalidClientConfig, "{url}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
        }
    }
}
