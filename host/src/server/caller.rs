//! Who sent a request: the network address of its client, and the id under which its log lines are found.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue};

use super::client_address::client_address;
use crate::config::{Proxy, ShownAddress};

/// Who sent a request.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The address of the client, as far as trusted proxies tell.
    pub(crate) address: IpAddr,
    /// The id of the request. It goes into the log and into the reply.
    pub(crate) request_id: HeaderValue,
}

/// Finds out who sends requests.
#[derive(Debug)]
pub(crate) struct Callers {
    proxy: Proxy,
    shown: ShownAddress,
    random: RandomState,
    requests: AtomicU64,
}

impl Callers {
    pub(crate) fn new(proxy: Proxy, shown: ShownAddress) -> Self {
        Self { proxy, shown, random: RandomState::new(), requests: AtomicU64::new(0) }
    }

    /// The caller of a request that came over a connection from `peer`.
    pub(crate) fn of(&self, headers: &HeaderMap, peer: IpAddr) -> Caller {
        let peer = peer.to_canonical();
        let given = self.proxy.request_id.as_ref().filter(|_| self.proxy.trusts(peer));
        let request_id = given.and_then(|name| given_id(headers, name)).unwrap_or_else(|| self.new_id());
        Caller { address: client_address(&self.proxy, headers, peer), request_id }
    }

    /// The address of a caller, as the log may show it.
    pub(crate) fn shown(&self, caller: &Caller) -> Option<Shown> {
        match self.shown {
            ShownAddress::Off => None,
            ShownAddress::Network => Some(Shown::Network(caller.address)),
            ShownAddress::Full => Some(Shown::Full(caller.address)),
        }
    }

    /// A new id. It need not be secret, and only must not tell how many requests there are: the number of the request
    /// under a hash whose key is random.
    fn new_id(&self) -> HeaderValue {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let halves = [self.random.hash_one((number, 0)), self.random.hash_one((number, 1))];
        let [first, second] = halves;
        HeaderValue::try_from(format!("{first:016x}{second:016x}")).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}

/// The id that a trusted proxy gave a request, if it is one that can stand in a log.
fn given_id(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut values = headers.get_all(name).into_iter();
    let (Some(id), None) = (values.next(), values.next()) else { return None };
    let is_safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:=;+/@".contains(byte);
    ((1..=LONGEST_ID).contains(&id.len()) && id.as_bytes().iter().all(is_safe)).then(|| id.clone())
}

/// A network address in the log.
#[derive(Debug)]
pub(crate) enum Shown {
    Full(IpAddr),
    /// The first 24 bits of an IPv4 address, or the first 48 of an IPv6 address.
    Network(IpAddr),
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(address) => address.fmt(f),
            Self::Network(IpAddr::V4(address)) => {
                let [first, second, third, _] = address.octets();
                write!(f, "{first}.{second}.{third}.0/24")
            }
            Self::Network(IpAddr::V6(address)) => {
                let [first, second, third, ..] = address.segments();
                write!(f, "{first:x}:{second:x}:{third:x}::/48")
            }
        }
    }
}

/// A `traceparent` has 55 characters, and the trace id of a cloud's load balancer up to 100.
const LONGEST_ID: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn callers() -> Callers {
        let proxy = Proxy {
            trusted: vec!["10.0.0.0/8".parse().unwrap()],
            request_id: Some(HeaderName::from_static("x-request-id")),
            ..Proxy::default()
        };
        Callers::new(proxy, ShownAddress::Off)
    }

    fn id_of(callers: &Callers, values: &[&[u8]], peer: &str) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-request-id", HeaderValue::from_bytes(value).unwrap());
        }
        callers.of(&headers, peer.parse().unwrap()).request_id.to_str().unwrap().to_owned()
    }

    #[test]
    fn an_id_is_taken_from_a_trusted_proxy_alone_and_only_if_it_is_safe() {
        let callers = callers();
        for good in ["a", "7f3c-9", "Root=1-67891233-abcdef012345678912345678;Sampled=1", &"x".repeat(128)] {
            assert_eq!(id_of(&callers, &[good.as_bytes()], "10.1.2.3"), good);
            assert_eq!(id_of(&callers, &[good.as_bytes()], "::ffff:10.1.2.3"), good);
            assert_ne!(id_of(&callers, &[good.as_bytes()], "11.1.2.3"), good);
        }
        let too_long = "x".repeat(129);
        for bad in [&b""[..], b"a b", b"a\"b", b"a\\b", b"\xff", b"a\tb", b"{}", too_long.as_bytes()] {
            let id = id_of(&callers, &[bad], "10.1.2.3");
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        }
        assert_eq!(id_of(&callers, &[b"a", b"a"], "10.1.2.3").len(), 32, "of two ids none is taken");
    }

    #[test]
    fn ids_of_the_host_differ() {
        let callers = callers();
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| id_of(&callers, &[], "10.1.2.3")).collect();
        assert_eq!(ids.len(), 1000);
    }

    #[test]
    fn a_network_is_less_than_an_address() {
        let shown = |text: &str| Shown::Network(text.parse().unwrap()).to_string();
        assert_eq!(shown("203.0.113.77"), "203.0.113.0/24");
        assert_eq!(shown("2001:db8:1:2:3:4:5:6"), "2001:db8:1::/48");
    }
}
