//! Parses the URL of a PostgreSQL database as libpq does.

use std::path::PathBuf;

use deadpool_postgres::tokio_postgres::Config;
use deadpool_postgres::tokio_postgres::config::{SslMode, TargetSessionAttrs};

#[cfg(feature = "tls")]
use super::tls::{Tls, Verified};
use crate::error::{Cause, SqlStoreError};

/// Where a server is, and how to connect to it.
pub(super) struct Url {
    pub(super) server: Config,
    pub(super) tls: Option<Tls>,
}

/// A build without TLS never makes a value of this type.
#[cfg(not(feature = "tls"))]
pub(super) enum Tls {}

impl Url {
    /// Reads what libpq reads. The parameters of TLS and `options[name]=value` are read here, because tokio-postgres
    /// does not read them.
    pub(super) fn parse(url: &str) -> Result<Self, SqlStoreError> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(wrong("the URL does not begin with postgres://"));
        }
        // A password can have a question mark, but no slash.
        let begin = url.find("://").map_or(0, |at| at.saturating_add(3));
        let password = url.get(begin..).and_then(|rest| rest.split('/').next());
        let authority = password.and_then(|password| password.find('@')).map_or(0, |at| begin.saturating_add(at));
        let question = url.get(authority..).and_then(|rest| rest.find('?')).map(|at| authority + at);
        let (before, parameters) = match question.and_then(|at| url.split_at_checked(at)) {
            Some((before, parameters)) => (before, parameters.trim_start_matches('?')),
            None => (url, ""),
        };
        let (mut passed_on, mut options, mut files, mut mode) =
            (Vec::new(), Vec::new(), Files::default(), "prefer".into());
        let mut attributes = None;
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let Some((name, value)) = form_urlencoded::parse(parameter.as_bytes()).next() else { continue };
            match &*name {
                "sslmode" | "ssl-mode" => mode = value,
                "sslrootcert" | "ssl-root-cert" | "ssl-ca" => files.roots = Some(PathBuf::from(&*value)),
                "sslcert" | "ssl-cert" => files.certificate = Some(PathBuf::from(&*value)),
                "sslkey" | "ssl-key" => files.key = Some(PathBuf::from(&*value)),
                "target_session_attrs" => attributes = Some(value),
                // tokio-postgres takes a list for one host.
                "host" => {
                    let hosts = parameter.split_once('=').map_or("", |(_, hosts)| hosts).split(',');
                    passed_on.extend(hosts.map(|host| format!("host={}", host.replace('@', "%40"))));
                }
                "options" => options.push(value.into_owned()),
                // The store has four statements.
                "statement-cache-capacity" => {}
                _ => match name.strip_prefix("options[").and_then(|name| name.strip_suffix(']')) {
                    Some(name) => options.push(format!("-c {}={}", escaped(name), escaped(&value))),
                    // Where there is no user before the host, tokio-postgres would look for one here.
                    None => passed_on.push(parameter.replace('@', "%40")),
                },
            }
        }
        let mut server: Config = format!("{before}?{}", passed_on.join("&"))
            .parse()
            .map_err(|error| SqlStoreError::Configuration(Cause::new(error)))?;
        if !options.is_empty() {
            server.options(options.join(" "));
        }
        name_a_host(&mut server);
        server.target_session_attrs(match attributes.as_deref() {
            // A standby among several hosts must not be taken for the primary.
            None if server.get_hosts().len() > 1 => TargetSessionAttrs::ReadWrite,
            None | Some("any") => TargetSessionAttrs::Any,
            Some("read-write" | "primary") => TargetSessionAttrs::ReadWrite,
            Some("read-only" | "standby" | "prefer-standby") => return Err(wrong(NO_STANDBY)),
            Some(_) => return Err(wrong(UNKNOWN_ATTRIBUTES)),
        });
        let tls = tls(&mode, files, &mut server)?;
        Ok(Self { server, tls })
    }
}

/// The files that the URL names.
#[derive(Default)]
pub(super) struct Files {
    pub(super) roots: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

#[cfg(feature = "tls")]
fn tls(mode: &str, files: Files, server: &mut Config) -> Result<Option<Tls>, SqlStoreError> {
    let (ssl_mode, verified) = match mode {
        "disable" | "allow" => (SslMode::Disable, None),
        "prefer" => (SslMode::Prefer, Some(Verified::Nothing)),
        "require" => (SslMode::Require, Some(Verified::Nothing)),
        "verify-ca" => (SslMode::Require, Some(Verified::Issuer)),
        "verify-full" => (SslMode::Require, Some(Verified::IssuerAndName)),
        _ => return Err(wrong(UNKNOWN_MODE)),
    };
    server.ssl_mode(ssl_mode);
    Ok(verified.map(|verified| Tls { verified, files }))
}

#[cfg(not(feature = "tls"))]
fn tls(mode: &str, _: Files, server: &mut Config) -> Result<Option<Tls>, SqlStoreError> {
    match mode {
        "disable" | "allow" | "prefer" => {
            server.ssl_mode(SslMode::Disable);
            Ok(None)
        }
        "require" | "verify-ca" | "verify-full" => Err(wrong("sslmode needs the feature `tls` of otp-grant-sql")),
        _ => Err(wrong(UNKNOWN_MODE)),
    }
}

/// Names the socket of this machine if there is one, or localhost, as libpq does.
fn name_a_host(server: &mut Config) {
    if !server.get_hosts().is_empty() {
        return;
    }
    // A certificate is compared with the name of the host.
    let addresses = server.get_hostaddrs().to_vec();
    for address in &addresses {
        server.host(address.to_string());
    }
    if addresses.is_empty() {
        let port = server.get_ports().first().copied().unwrap_or(5432);
        let has_socket = |folder: &&&str| PathBuf::from(folder).join(format!(".s.PGSQL.{port}")).exists();
        server.host(*SOCKET_FOLDERS.iter().find(has_socket).unwrap_or(&"localhost"));
    }
}

/// Escapes a value for the `options` of a connection's start.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(' ', "\\ ")
}

fn wrong(what: &'static str) -> SqlStoreError {
    SqlStoreError::Configuration(Cause::new(what))
}

const SOCKET_FOLDERS: [&str; 3] = ["/run/postgresql", "/var/run/postgresql", "/tmp"];

const UNKNOWN_ATTRIBUTES: &str = "target_session_attrs is read-write, primary or any";

const NO_STANDBY: &str = "target_session_attrs asks for a server that takes no writes";

const UNKNOWN_MODE: &str = "sslmode is disable, allow, prefer, require, verify-ca or verify-full";

#[cfg(test)]
mod tests {
    use deadpool_postgres::tokio_postgres::config::Host;

    use super::*;

    fn server(url: &str) -> Config {
        Url::parse(url).map(|url| url.server).unwrap()
    }

    #[test]
    fn a_url_says_where_the_server_is() {
        let one = server("postgresql://ada:p%40ss?w@db.example:6432/login?application_name=host");
        assert_eq!(one.get_hosts(), [Host::Tcp("db.example".to_owned())]);
        assert_eq!((one.get_user(), one.get_password()), (Some("ada"), Some(&b"p@ss?w"[..])));
        assert_eq!((one.get_ports(), one.get_dbname()), (&[6432][..], Some("login")));
        assert_eq!(one.get_application_name(), Some("host"));

        let socket = server("postgres:///login?host=/run/postgresql&user=ada&password=a@b&statement-cache-capacity=10");
        assert_eq!(socket.get_hosts(), [Host::Unix("/run/postgresql".into())]);
        assert_eq!((socket.get_user(), socket.get_password()), (Some("ada"), Some(&b"a@b"[..])));

        let two = server("postgres://one,two:5433/login?target_session_attrs=read-write");
        assert_eq!(two.get_hosts().len(), 2);
        for (url, attributes) in [
            ("postgres://one,two:5433/login", TargetSessionAttrs::ReadWrite),
            ("postgres:///login?host=one,two&port=1,2", TargetSessionAttrs::ReadWrite),
            ("postgres:///login?host=/run/one,/run/two", TargetSessionAttrs::ReadWrite),
            ("postgres://one,two/login?target_session_attrs=primary", TargetSessionAttrs::ReadWrite),
            ("postgres://one,two/login?target_session_attrs=any", TargetSessionAttrs::Any),
            ("postgres://one/login?target_session_attrs=read-write", TargetSessionAttrs::ReadWrite),
            ("postgres://one/login", TargetSessionAttrs::Any),
        ] {
            assert_eq!(server(url).get_target_session_attrs(), attributes, "{url}");
        }
        assert_eq!(server("postgres:///login?hostaddr=127.0.0.1").get_hosts(), [Host::Tcp("127.0.0.1".to_owned())]);
        assert_eq!(server("postgres://").get_hosts().len(), 1);
    }

    #[test]
    fn options_are_passed_on() {
        let options = server("postgres://h/d?options[search_path]=a%20b&options=-c%20work_mem=1MB&options[x]=c:\\d");
        assert_eq!(options.get_options(), Some("-c search_path=a\\ b -c work_mem=1MB -c x=c:\\\\d"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_it() {
        for url in [
            "",
            "secret",
            "host=secret",
            "mysql://u:secret@h/d",
            "postgres://u:secret@h:port/d",
            "postgres://u:secret@h:99999/d",
            "postgres://u:secret@[h/d",
            "postgres://u:secret@h/d?port",
            "postgres://u:secret@h/d?target_session_attrs=secret",
            "postgres://u:secret@h,i/d?target_session_attrs=standby",
            "postgres://u:secret@h/d?sslmode=secret",
            "postgres://u:secret@h/d?hostaddr=secret",
        ] {
            let Err(SqlStoreError::Configuration(cause)) = Url::parse(url) else { panic!("{url} is read") };
            assert!(!format!("{cause} {cause:?}").contains("secret"), "{cause:?}");
        }
    }
}
