//! What a host tells the message kit about itself: the application's name, the origin, the hash of its Android app and
//! its links. Each is parsed once.

use core::net::Ipv6Addr;

/// The name of an application, as users know it: 1 to 40 characters in one line.
///
/// ```
/// use otp_grant::message::Application;
///
/// assert!(Application::new("Bücher & Söhne").is_ok());
/// assert!(Application::new("Example\r\nBcc: all@example.com").is_err());
/// # Ok::<(), otp_grant::message::InvalidText>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Application(String);

impl Application {
    /// Takes a name.
    ///
    /// # Errors
    /// [`InvalidText`] when the name has no letter or digit or is too long, begins or ends with white space, or has a
    /// line break, a control character or a character that changes the direction of writing.
    pub fn new(name: &str) -> Result<Self, InvalidText> {
        let has_letter = name.chars().any(char::is_alphanumeric);
        if !is_one_line(name) || !has_letter || name.chars().count() > LONGEST_NAME {
            return Err(InvalidText(()));
        }
        Ok(Self(name.to_owned()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a code is for, as a phrase of a text: `to confirm your payment`. It has 1 to 60 characters in one line.
///
/// ```
/// use otp_grant::message::Purpose;
///
/// assert!(Purpose::new("to confirm your payment").is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Purpose(String);

impl Purpose {
    /// Takes a phrase.
    ///
    /// # Errors
    /// [`InvalidText`] for what [`Application::new`] refuses, except that 60 characters are allowed.
    pub fn new(phrase: &str) -> Result<Self, InvalidText> {
        if !is_one_line(phrase) || phrase.chars().count() > LONGEST_PHRASE {
            return Err(InvalidText(()));
        }
        Ok(Self(phrase.to_owned()))
    }

    /// Returns the phrase.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The host that a browser may enter a code for, as in `@login.example.com #123456` (WICG, origin-bound one-time
/// codes).
///
/// ```
/// use otp_grant::message::OriginHost;
///
/// assert_eq!(OriginHost::new("Login.Example.com")?.as_str(), "login.example.com");
/// assert!(OriginHost::new("https://login.example.com").is_err());
/// assert!(OriginHost::new("bücher.example").is_err(), "this is xn--bcher-kva.example");
/// # Ok::<(), otp_grant::message::InvalidText>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OriginHost(String);

impl OriginHost {
    /// Parses a domain, without scheme, port and path. Capital letters become small ones.
    ///
    /// # Errors
    /// [`InvalidText`] when the text is not a domain of A-labels, such as a domain with other letters, or a number.
    pub fn new(host: &str) -> Result<Self, InvalidText> {
        let host = host.to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        };
        let last = host.rsplit('.').next().unwrap_or_default();
        let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
        if host.len() > 253 || is_number || !host.split('.').all(is_label) {
            return Err(InvalidText(()));
        }
        Ok(Self(host))
    }

    /// Returns the host.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The hash of an Android app: 11 characters, by which the SMS Retriever of Google Play services finds the app that a
/// message is for.
///
/// ```
/// use otp_grant::message::AppHash;
///
/// assert!(AppHash::new("FA+9qCX9VSu").is_ok());
/// assert!(AppHash::new("FA+9qCX9VS").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppHash(String);

impl AppHash {
    /// Takes a hash.
    ///
    /// # Errors
    /// [`InvalidText`] when the text is not 11 characters of base64.
    pub fn new(hash: &str) -> Result<Self, InvalidText> {
        let is_base64 = hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
        if hash.len() != 11 || !is_base64 {
            return Err(InvalidText(()));
        }
        Ok(Self(hash.to_owned()))
    }

    /// Returns the hash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A page of the application that reads a code from its own address. The link in an e-mail is the page with the code in
/// the fragment: `https://app.example/login#otp=123456`.
///
/// A browser does not send the fragment to a server. Software that follows links on the way, such as a virus scanner,
/// has no otp_token and can't use the code.
///
/// ```
/// use otp_grant::message::Link;
///
/// assert!(Link::new("https://app.example/login").is_ok());
/// assert!(Link::new("http://localhost:3000/login").is_ok());
/// assert!(Link::new("http://app.example/login").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Link(String);

impl Link {
    /// Parses the URL of the page. `http` is accepted only for `localhost` and loopback addresses.
    ///
    /// # Errors
    /// [`InvalidText`] when the text is not such a URL, or has user information or a fragment.
    pub fn new(url: &str) -> Result<Self, InvalidText> {
        let (scheme, rest) = url.split_once("://").ok_or(InvalidText(()))?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((v6, port)) => (v6, port),
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let is_v6 = authority.starts_with('[') && host.parse::<Ipv6Addr>().is_ok();
        let is_name = !authority.starts_with('[')
            && !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
        let is_digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_digits);
        let is_loopback = matches!(host, "localhost" | "127.0.0.1" | "::1");
        let is_secure = scheme == "https" || (scheme == "http" && is_loopback);
        if !is_secure || !(is_v6 || is_name) || !is_port || !is_path(path) || url.len() > LONGEST_URL {
            return Err(InvalidText(()));
        }
        Ok(Self(url.to_owned()))
    }

    /// Returns the URL of the page.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Tells whether a text has the characters of a path and a query (RFC 3986 sections 3.3 and 3.4).
fn is_path(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_good = match byte {
            b'%' => {
                let mut is_hex = || bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit());
                is_hex() && is_hex()
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte),
        };
        if !is_good {
            return false;
        }
    }
    true
}

/// Tells whether a text is one line of readable text.
pub(crate) fn is_one_line(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.chars().any(is_unreadable)
}

/// Tells whether a character is a control character, breaks a line or changes the direction of writing.
pub(crate) fn is_unreadable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(character, '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// The text is not what the type needs: a language, a name, a host, a hash, a link or a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidText(pub(crate) ());

impl core::fmt::Display for InvalidText {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a text for messages does not have the form that its type needs")
    }
}

impl core::error::Error for InvalidText {}

const LONGEST_NAME: usize = 40;
const LONGEST_PHRASE: usize = 60;
const LONGEST_URL: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_readable_line() {
        for name in ["A", "Bücher & <Söhne>", "微信", "{name}", "مثال", &"a".repeat(40)] {
            assert!(Application::new(name).is_ok(), "{name}");
        }
        let too_long = "a".repeat(41);
        for name in
            ["", " ", " a", "a ", "a\nb", "a\r\nBcc: x", "a\0", "a\u{202e}b", "a\u{2028}b", "\u{200f}a", &too_long]
        {
            assert!(Application::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_origin_is_a_domain_alone() {
        let longest = format!("{}a", "a.".repeat(126));
        for host in ["localhost", "a.example", "xn--bcher-kva.example", "1a.2b", &longest] {
            assert_eq!(OriginHost::new(host).map(|host| host.0).as_deref(), Ok(host));
        }
        let (long_label, too_long) = ("a".repeat(64), format!("{longest}a"));
        for host in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a.b",
            "a-.b",
            "a_b.c",
            "a b",
            "a:443",
            "@a.b",
            "https://a.b",
            "a/b",
            "é.b",
            "127.0.0.1",
            "[::1]",
            &long_label,
            &too_long,
        ] {
            assert!(OriginHost::new(host).is_err(), "{host:?}");
        }
    }

    #[test]
    fn a_link_is_a_secure_page_without_a_fragment() {
        for url in [
            "https://a.example",
            "https://a.example:8443/x/?y=z&b=%20",
            "http://localhost",
            "http://127.0.0.1:80/",
            "http://[::1]:3000/a",
            "https://[2001:db8::1]/",
        ] {
            assert!(Link::new(url).is_ok(), "{url}");
        }
        for url in [
            "",
            "https://",
            "https:///a",
            "HTTPS://a.example",
            "http://a.example",
            "http://localhost.example",
            "javascript://a/%0a",
            "https://a.example/#",
            "https://a.example#x",
            "https://u:p@a.example/",
            "https://a.example:x/",
            "https://a.example:65536/",
            "https://a.example:+1/",
            "https://a.example/ b",
            "https://a.example/\"",
            "https://a.example/<",
            "https://a.example/\n",
            "https://a.example/%2",
            "https://a.example\\b",
            "https://[a.example]/",
            "https://é.example/",
        ] {
            assert!(Link::new(url).is_err(), "{url:?}");
        }
    }
}
