//! The network address of a client, as trusted proxies report it: `Forwarded` (RFC 7239) or `X-Forwarded-For`.
//!
//! Each proxy adds the address that it talks to at the right end. The header is therefore read from the right, as
//! long as the address that reported an entry is that of a trusted proxy. What a client has sent stands on the left,
//! and is never reached. It also can't change how the right end is read: texts are split from the right, so an open
//! quotation mark of the client does not swallow what a proxy has added. The parsers of the `Forwarded` header on
//! crates.io begin at the left, so the host has its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::HeaderMap;

use crate::config::{AddressHeader, Proxy};

/// The address of the client of a request that came over a connection from `peer`.
///
/// Where a proxy does not know the client, or writes something that can't be read, the address of this proxy is the
/// last one that is known.
pub(super) fn client_address(proxy: &Proxy, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let mut known = peer;
    let Some(header) = proxy.client_address.filter(|_| proxy.trusts(peer)) else { return known };
    let lines = headers.get_all(header.name()).into_iter().rev();
    for entry in lines.flat_map(|line| FromRight::new(line.as_bytes(), b',')) {
        let entry = entry.map(<[u8]>::trim_ascii);
        if entry == Some(b"") {
            // RFC 9110 section 5.6.1: a list can have empty elements.
            continue;
        }
        let reported = entry.and_then(|entry| std::str::from_utf8(entry).ok()).and_then(|entry| match header {
            AddressHeader::Forwarded => node(forwarded_for(entry)?),
            AddressHeader::XForwardedFor => node(entry),
        });
        match reported {
            Some(address) => known = address,
            None => return known,
        }
        if !proxy.trusts(known) {
            break;
        }
    }
    known
}

/// The node of the one `for` parameter of an element.
fn forwarded_for(element: &str) -> Option<&str> {
    let mut found = None;
    for pair in FromRight::new(element.as_bytes(), b';') {
        let (name, value) = std::str::from_utf8(pair?).ok()?.split_once('=')?;
        if name.trim_ascii().eq_ignore_ascii_case("for") && found.replace(value.trim_ascii()).is_some() {
            return None;
        }
    }
    let value = found?;
    match value.strip_prefix('"') {
        // No address needs a backslash.
        Some(quoted) => quoted.strip_suffix('"').filter(|text| !text.contains('\\')),
        None => Some(value),
    }
}

/// An address with or without a port. IPv6 can stand in brackets, and must where it has a port. `None` for `unknown`,
/// for obfuscated identifiers, and for everything else.
fn node(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address.parse::<Ipv6Addr>().ok().filter(|_| is_port).map(|address| IpAddr::V6(address).to_canonical());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = text.split_once(':')?;
    address.parse::<Ipv4Addr>().ok().filter(|_| is_port(port)).map(IpAddr::V4)
}

/// RFC 7239 section 6: digits, or an obfuscated port.
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// The parts of a text between separators that are not quoted, from the right. A part whose quotation mark is never
/// opened is `None`, and the last.
struct FromRight<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> FromRight<'a> {
    fn new(text: &'a [u8], separator: u8) -> Self {
        Self { rest: Some(text), separator }
    }
}

impl<'a> Iterator for FromRight<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest.take()?;
        let mut is_quoted = false;
        for (at, byte) in text.iter().enumerate().rev() {
            let (before, part) = text.split_at_checked(at)?;
            match byte {
                b'"' if is_quoted && is_escaped(before) => {}
                b'"' => is_quoted = !is_quoted,
                _ if *byte == self.separator && !is_quoted => {
                    self.rest = Some(before);
                    return Some(part.get(1..));
                }
                _ => {}
            }
        }
        Some((!is_quoted).then_some(text))
    }
}

/// Tells whether an odd number of backslashes stands before a quotation mark.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(header: AddressHeader, lines: &[&str], peer: &str) -> String {
        let proxy = Proxy {
            trusted: ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap()).to_vec(),
            client_address: Some(header),
            ..Proxy::default()
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header.name(), HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        client_address(&proxy, &headers, peer.parse::<IpAddr>().unwrap().to_canonical()).to_string()
    }

    #[test]
    fn x_forwarded_for_is_read_from_the_right_past_trusted_proxies() {
        for (lines, client) in [
            (&["203.0.113.5"][..], "203.0.113.5"),
            // What the client sent itself.
            (&["1.1.1.1, 203.0.113.5"], "203.0.113.5"),
            (&["127.0.0.1, 203.0.113.5"], "203.0.113.5"),
            (&["garbage \u{e9}, 203.0.113.5"], "203.0.113.5"),
            (&["203.0.113.5, garbage \u{e9}"], "127.0.0.1"),
            (&["\", 203.0.113.5"], "203.0.113.5"),
            // Two proxies.
            (&["1.1.1.1, 203.0.113.5, 10.0.0.7"], "203.0.113.5"),
            (&["1.1.1.1, 203.0.113.5", "10.0.0.7"], "203.0.113.5"),
            (&["1.1.1.1", "203.0.113.5", "10.0.0.7"], "203.0.113.5"),
            // Every address is a proxy's: the first is the client.
            (&["10.0.0.9, 10.0.0.7"], "10.0.0.9"),
            (&[], "127.0.0.1"),
            (&[""], "127.0.0.1"),
            (&["203.0.113.5,, "], "203.0.113.5"),
            // Ports and IPv6.
            (&["203.0.113.5:4711"], "203.0.113.5"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["[2001:db8::1]:443"], "2001:db8::1"),
            (&["::ffff:203.0.113.5"], "203.0.113.5"),
            (&["[::ffff:10.0.0.7]:1"], "10.0.0.7"),
            // What a proxy wrote and can't be read ends the walk at this proxy.
            (&["203.0.113.5, unknown, 10.0.0.7"], "10.0.0.7"),
            (&["203.0.113.5, unknown"], "127.0.0.1"),
            (&["203.0.113.5:port"], "127.0.0.1"),
            (&["[2001:db8::1]443"], "127.0.0.1"),
            (&["[203.0.113.5]"], "127.0.0.1"),
            (&["fe80::1%eth0"], "127.0.0.1"),
            (&["203.0.113.5/32"], "127.0.0.1"),
        ] {
            assert_eq!(of(AddressHeader::XForwardedFor, lines, "127.0.0.1"), client, "{lines:?}");
        }
    }

    #[test]
    fn forwarded_is_read_from_the_right_past_trusted_proxies() {
        for (lines, client) in [
            (&["for=203.0.113.5"][..], "203.0.113.5"),
            (&["For=203.0.113.5;proto=https;by=10.0.0.1"], "203.0.113.5"),
            (&["proto=https; FOR = \"203.0.113.5:4711\""], "203.0.113.5"),
            (&["for=\"[2001:db8::1]:4711\""], "2001:db8::1"),
            (&["for=\"[2001:db8::1]\", for=10.0.0.7"], "2001:db8::1"),
            (&["for=1.1.1.1, for=203.0.113.5", "for=\"10.0.0.7:_hidden\";by=_x"], "203.0.113.5"),
            // What a client sent does not change how the right end is read.
            (&["for=\", for=203.0.113.5"], "203.0.113.5"),
            (&["for=1.1.1.1;host=\"\\\", for=203.0.113.5"], "203.0.113.5"),
            (&["for=203.0.113.5;host=\"a\\\", for=1.1.1.1;x=\\\"\""], "203.0.113.5"),
            (&["for=203.0.113.5;host=\"a, for=1.1.1.1\""], "203.0.113.5"),
            // What can't be read ends the walk.
            (&["for=203.0.113.5, for=unknown"], "127.0.0.1"),
            (&["for=203.0.113.5, for=_hidden, for=10.0.0.7"], "10.0.0.7"),
            (&["for=203.0.113.5, proto=https"], "127.0.0.1"),
            (&["for=203.0.113.5;for=1.1.1.1"], "127.0.0.1"),
            (&["203.0.113.5"], "127.0.0.1"),
            (&["for=\"203.0.113.5"], "127.0.0.1"),
            (&["for=\"203\\.0.113.5\""], "127.0.0.1"),
        ] {
            assert_eq!(of(AddressHeader::Forwarded, lines, "::ffff:127.0.0.1"), client, "{lines:?}");
        }
    }

    #[test]
    fn a_peer_that_is_no_trusted_proxy_is_the_client() {
        for header in [AddressHeader::Forwarded, AddressHeader::XForwardedFor] {
            assert_eq!(of(header, &["for=203.0.113.5", "203.0.113.5"], "192.0.2.1"), "192.0.2.1");
        }
        // The other header is not read: the proxy passes it on as the client sent it.
        let proxy = Proxy {
            trusted: vec!["127.0.0.1/32".parse().unwrap()],
            client_address: Some(AddressHeader::XForwardedFor),
            ..Proxy::default()
        };
        let mut headers = HeaderMap::new();
        headers.append("forwarded", HeaderValue::from_static("for=203.0.113.5"));
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(client_address(&proxy, &headers, peer), peer);
    }
}
