//! The origins of pages: those of a client, and how an origin is written.

use std::net::IpAddr;

use reqwest::Url;

use super::{ClientEntry, Config, ConfigError};

/// An origin as browsers send it: `https://app.example.com`, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PageOrigin(String);

impl PageOrigin {
    /// Reads an origin that a client allows.
    pub(crate) fn new(text: &str) -> Result<Self, &'static str> {
        if text == "null" {
            return Err("`null` is the origin of every sandboxed page and of every local file");
        }
        if text.contains('*') {
            return Err("there are no wildcards: an origin is allowed by its own name");
        }
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err("http is for localhost and the addresses of this machine alone"),
            _ => return Err(EXPECTED),
        }
        if Self::of(&url).0 == text {
            return Ok(Self(text.to_owned()));
        }
        // Url adds the slash that an origin does not have.
        let ends_with_origin = url.path() == "/" && !text.ends_with('/');
        let has_more = !ends_with_origin || url.query().is_some() || url.fragment().is_some();
        Err(if has_more { "an origin has no path, no query and no slash at its end" } else { EXPECTED })
    }

    /// The origin of a URL.
    pub(crate) fn of(url: &Url) -> Self {
        Self(url.origin().ascii_serialization())
    }

    /// The origin as it is written in headers.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The host, and the port unless it is that of the scheme: what a browser sends as `Host`.
    pub(crate) fn authority(text: &str) -> Option<&str> {
        text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))
    }
}

impl ClientEntry {
    /// Reads the origins whose pages use the client. `name` is the name of the client.
    pub(crate) fn page_origins(&self, config: &Config, name: &str) -> Result<Vec<PageOrigin>, ConfigError> {
        let place = format!("clients.{name}.allowed_origins");
        if !self.allowed_origins.is_empty() && (self.secret.is_some() || self.secret_sha256.is_some()) {
            config.warnings.add(&place, "the client has a secret, which every visitor of a page can read");
        }
        let origins = self.allowed_origins.iter().enumerate();
        origins
            .map(|(index, text)| {
                PageOrigin::new(text).map_err(|what| ConfigError::new(format!("{place}[{index}]"), what))
            })
            .collect()
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

const EXPECTED: &str = "an origin is written as browsers send it: https://, the host in lower case and in A-labels, and the port unless it is 443";

#[cfg(test)]
mod tests {
    use super::PageOrigin;

    #[test]
    fn an_origin_is_what_browsers_send() {
        for good in [
            "https://app.example.com",
            "https://app.example.com:8443",
            "https://xn--bcher-kva.example",
            "https://192.0.2.1",
            "https://[2001:db8::1]:8443",
            "http://localhost",
            "http://localhost:5173",
            "http://app.localhost:5173",
            "http://127.0.0.1:5173",
            "http://[::1]:5173",
        ] {
            assert_eq!(PageOrigin::new(good).map(|origin| origin.as_str().to_owned()), Ok(good.to_owned()));
        }
        for (bad, why) in [
            ("null", "null"),
            ("*", "wildcards"),
            ("https://*.example.com", "wildcards"),
            ("https://app.example.com/", "slash"),
            ("https://app.example.com/login", "path"),
            ("https://app.example.com?a=b", "query"),
            ("https://app.example.com#a", "query"),
            ("http://app.example.com", "http is for"),
            ("http://192.168.0.1:5173", "http is for"),
            ("http://localhost.example.com", "http is for"),
            ("https://app.example.com:443", "as browsers send it"),
            ("http://localhost:80", "as browsers send it"),
            ("https://App.example.com", "as browsers send it"),
            ("HTTPS://app.example.com", "as browsers send it"),
            ("https://bücher.example", "as browsers send it"),
            ("https://user@app.example.com", "as browsers send it"),
            ("https:app.example.com", "as browsers send it"),
            (" https://app.example.com", "as browsers send it"),
            ("app.example.com", "as browsers send it"),
            ("capacitor://localhost", "as browsers send it"),
            ("file://", "as browsers send it"),
            ("https://", "as browsers send it"),
            ("", "as browsers send it"),
        ] {
            let said = PageOrigin::new(bad).unwrap_err();
            assert!(said.contains(why), "{bad}: {said}");
        }
    }
}
