//! The URLs of databases and of services that deliver messages. A URL that a driver would misread, or that would show
//! codes to the network, is refused here, before the host connects.

use reqwest::Url;

use super::{ConfigError, Secret};

/// Refuses a URL that can't name a database. A URL of an unknown kind is left to the store that opens it.
///
/// The error does not repeat the text, which can have a password in it.
pub(crate) fn check_database_url(place: &str, url: &Secret) -> Result<(), ConfigError> {
    let url = url.expose();
    let (kind, expected) = match url.split(':').next() {
        Some(kind @ ("redis" | "rediss")) => (kind, "redis://[:password@]host[:port][/number]"),
        Some(kind @ ("redis+sentinel" | "rediss+sentinel")) => {
            (kind, "redis+sentinel://[user:password@]host[:port],host[:port]/service[/number]")
        }
        Some(kind @ ("redis+cluster" | "rediss+cluster")) => {
            (kind, "redis+cluster://[user:password@]host[:port],host[:port]")
        }
        Some(kind @ ("redis+unix" | "unix")) => (kind, "unix:///path/of/the/socket"),
        Some(kind @ ("postgres" | "postgresql")) => (kind, "postgres://user:password@host[:port],host[:port]/database"),
        Some("sqlite") => ("sqlite", "sqlite:FILE"),
        _ => return Ok(()),
    };
    let is_good = match kind {
        "sqlite" => url.strip_prefix("sqlite:").is_some_and(|rest| {
            let file = rest.split('?').next().unwrap_or_default().trim_start_matches("//");
            !file.is_empty()
        }),
        _ => url.contains("://") && with_each_host(kind, url).iter().all(|url| is_good_url(kind, url)),
    };
    let what =
        format_args!("not a URL of this kind of database, {expected}; %40 stands for @ in a password, %2F for /");
    if is_good { Ok(()) } else { Err(ConfigError::new(place, what)) }
}

/// Reads the URL of a service that codes are sent to.
///
/// The error does not repeat the text. The parser's own message could show a part of it, and that part can be a secret.
pub(crate) fn read_delivery_url(place: &str, text: &Secret) -> Result<Url, ConfigError> {
    let url = Url::parse(text.expose()).map_err(|_| ConfigError::new(place, "not a URL"))?;
    let is_loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        _ => Err(ConfigError::new(place, "codes go over https; http is for 127.0.0.1 and localhost alone")),
    }
}

/// The URL with each of its hosts alone. Only some kinds can name several.
fn with_each_host(kind: &str, url: &str) -> Vec<String> {
    let whole = vec![url.to_owned()];
    if matches!(kind, "redis" | "rediss" | "redis+unix" | "unix") {
        return whole;
    }
    let Some((scheme, rest)) = url.split_once("://") else { return whole };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (credentials, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    hosts.split(',').map(|host| format!("{scheme}://{credentials}{host}{path}")).collect()
}

fn is_good_url(kind: &str, url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| is_good(kind, &url))
}

fn is_good(kind: &str, url: &Url) -> bool {
    let has_host = url.host_str().is_some_and(|host| !host.is_empty());
    let path = url.path().trim_start_matches('/');
    match kind {
        "redis" | "rediss" => has_host && (path.is_empty() || path.parse::<u32>().is_ok()),
        "redis+sentinel" | "rediss+sentinel" => {
            let (service, number) = path.split_once('/').unwrap_or((path, "0"));
            has_host && !service.is_empty() && number.parse::<u32>().is_ok()
        }
        "redis+cluster" | "rediss+cluster" => has_host && matches!(path, "" | "0"),
        "redis+unix" | "unix" => !path.is_empty(),
        // Without a host, or with a socket in its place, the driver looks where PostgreSQL's own tools do.
        _ => !path.contains('/') && (has_host || url.username().is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_names_no_database_is_refused_without_being_repeated() {
        for good in [
            "memory",
            "redis://127.0.0.1",
            "redis://127.0.0.1:6379/0",
            "rediss://user:pass%40word@cache.example.com:6380/2?protocol=resp3",
            "redis+sentinel://one,two:26380,[::1]:5/primary",
            "rediss+sentinel://app:pass%40word@one,two/primary/2?sentinel_password=word",
            "redis+cluster://one:7000,two:7001",
            "rediss+cluster://:word@one,two/0",
            "unix:///run/redis.sock",
            "redis+unix:///run/redis.sock?db=1",
            "postgres://user:pass@db.example.com/otp?sslmode=verify-full",
            "postgresql://127.0.0.1:5432/otp",
            "postgres://user:a,b@one:5432,two:5433/otp",
            "postgres://one,two/otp?target_session_attrs=read-write",
            "postgres://%2Fvar%2Frun%2Fpostgresql/otp",
            "postgres:///otp?host=/var/run/postgresql",
            "sqlite:/var/lib/records.db",
            "sqlite:records.db?mode=rwc",
            "sqlite://records.db",
            "sqlite::memory:",
        ] {
            check_database_url("store", &Secret::new(good.to_owned())).unwrap_or_else(|error| panic!("{good} {error}"));
        }
        for bad in [
            "redis:",
            "redis:hunter2",
            "redis:/hunter2",
            "redis://",
            "redis://hunter2@",
            "redis://host:hunter2",
            "redis://host/hunter2",
            "redis://:hunter2@host:99999",
            "redis+sentinel://hunter2",
            "redis+sentinel://one,/hunter2",
            "redis+sentinel://one,two:hunter2/primary",
            "redis+sentinel://one/primary/hunter2",
            "redis+cluster://one,two:hunter2",
            "redis+cluster://one/hunter2",
            "redis+cluster:hunter2",
            "unix://",
            "postgres:hunter2",
            "postgres:hunter2/db",
            "postgres://user:hunter2#@host/db",
            "postgres://user:hunter2/db",
            "postgres://user:p/hunter2@host/db",
            "postgres://user:hunter2@one,two:port/db",
            "postgres://user:hunter2@one,,two/db",
            "sqlite:",
            "sqlite:?mode=hunter2",
        ] {
            let error = check_database_url("store", &Secret::new(bad.to_owned())).unwrap_err().to_string();
            assert!(error.starts_with("store: not a URL") && !error.contains("hunter2"), "{bad} {error}");
        }
    }
}
