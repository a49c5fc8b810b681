//! The proxies in front, and the headers that are theirs: the members of `[proxy]`.

use std::net::IpAddr;

use axum::http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;
use serde::Deserialize;

use super::{Config, ConfigError};

/// The members of `[proxy]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProxyEntry {
    /// Addresses and networks.
    #[serde(default)]
    trusted: Vec<String>,
    pub(super) client_address: Option<AddressHeader>,
    request_id: Option<String>,
}

/// The header in which the proxies report the address of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum AddressHeader {
    /// RFC 7239.
    Forwarded,
    #[serde(rename = "X-Forwarded-For")]
    XForwardedFor,
}

impl AddressHeader {
    pub(crate) fn name(self) -> HeaderName {
        match self {
            Self::Forwarded => FORWARDED,
            Self::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        }
    }
}

/// The proxies that are trusted, and the headers that are theirs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxy {
    pub(crate) trusted: Vec<IpNet>,
    pub(crate) client_address: Option<AddressHeader>,
    pub(crate) request_id: Option<HeaderName>,
}

impl Proxy {
    /// The proxies that the file names.
    pub(crate) fn of(config: &Config) -> Result<Self, ConfigError> {
        let ProxyEntry { trusted, client_address, request_id } = &config.proxy;
        let trusted = networks(trusted, "proxy.trusted")?;
        if trusted.iter().any(|network| network.prefix_len() == 0) {
            return Err(ConfigError::new(
                "proxy.trusted",
                "with every address trusted, any client can write the headers",
            ));
        }
        let needs = [("proxy.client_address", client_address.is_some()), ("proxy.request_id", request_id.is_some())];
        if let Some((place, _)) = needs.into_iter().find(|(_, is_set)| *is_set && trusted.is_empty()) {
            return Err(ConfigError::new(place, "proxy.trusted says whose header it is"));
        }
        let request_id = request_id.as_ref().map(HeaderName::try_from).transpose();
        let what = "the name of a header is expected, such as X-Request-Id";
        let request_id = request_id.map_err(|_| ConfigError::new("proxy.request_id", what))?;
        Ok(Self { trusted, client_address: *client_address, request_id })
    }

    /// Tells whether an address is that of a trusted proxy.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }
}

/// Reads addresses and networks. One address is a network of its own.
pub(super) fn networks(texts: &[String], place: &str) -> Result<Vec<IpNet>, ConfigError> {
    let network = |(index, text): (usize, &String)| {
        let address = || text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical())).ok();
        let what = "an address or a network is expected, such as 10.0.0.7, 10.0.0.0/8 or 2001:db8::/32";
        let read = text.parse::<IpNet>().ok().or_else(address);
        read.ok_or_else(|| ConfigError::new(format!("{place}[{index}]"), what))
    };
    texts.iter().enumerate().map(network).collect()
}
