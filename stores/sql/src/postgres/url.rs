//! The address of a PostgreSQL.

use std::path::PathBuf;

use deadpool_postgres::tokio_postgres::Config;
use deadpool_postgres::tokio_postgres::config::SslMode;

#[cfg(feature = "tls")]
use super::tls::{Tls, Verified};
use crate::error::{Cause, SqlStoreError};

/// Where a server is, and how to speak to it.
pub(super) struct Url {
    pub(super) server: Config,
    pub(super) tls: Option<Tls>,
}

/// A build that has no TLS never makes one.
#[cfg(not(feature = "tls"))]
pub(super) enum Tls {}

impl Url {
    /// Reads what libpq would, but for the parameters of TLS, which tokio-postgres leaves to us, and `options[name]=value`.
    pub(super) fn parse(url: &str) -> Result<Self, SqlStoreError> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(wrong("the URL does not begin with postgres://"));
        }
        // A password may have a question mark. It can't have a slash.
        let authority = url
            .splitn(4, '/')
            .nth(2)
            .and_then(|authority| authority.find('@'))
            .map_or(0, |at| at + "postgres://".len());
        let question = url.get(authority..).and_then(|rest| rest.find('?')).map(|at| authority + at);
        let (before, parameters) = match question.and_then(|at| url.split_at_checked(at)) {
            Some((before, parameters)) => (before, parameters.trim_start_matches('?')),
            None => (url, ""),
        };
        let (mut passed_on, mut options, mut files, mut mode) =
            (Vec::new(), Vec::new(), Files::default(), "prefer".into());
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            let Some((name, value)) = form_urlencoded::parse(parameter.as_bytes()).next() else { continue };
            match &*name {
                "sslmode" | "ssl-mode" => mode = value,
                "sslrootcert" | "ssl-root-cert" | "ssl-ca" => files.roots = Some(PathBuf::from(&*value)),
                "sslcert" | "ssl-cert" => files.certificate = Some(PathBuf::from(&*value)),
                "sslkey" | "ssl-key" => files.key = Some(PathBuf::from(&*value)),
                "options" => options.push(value.into_owned()),
                // There are four statements.
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

/// As libpq does: the socket of this machine if there is one, or localhost.
fn name_a_host(server: &mut Config) {
    if !server.get_hosts().is_empty() {
        return;
    }
    // The name of the host is what a certificate is compared with.
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

/// For the `options` of a connection's start.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(' ', "\\ ")
}

fn wrong(what: &'static str) -> SqlStoreError {
    SqlStoreError::Configuration(Cause::new(what))
}

const SOCKET_FOLDERS: [&str; 3] = ["/run/postgresql", "/var/run/postgresql", "/tmp"];

const UNKNOWN_MODE: &str = "sslmode is disable, allow, prefer, require, verify-ca or verify-full";
