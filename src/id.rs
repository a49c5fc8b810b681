//! Identifiers: those that the host chooses (clients, auth sources, subjects, the issuer) and those that the crate
//! draws at random.

use std::sync::Arc;

use base64::Engine;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::base64url::BASE64URL;

/// Declares an identifier that the host chooses: 1 to 255 printable ASCII characters (`VSCHAR` of RFC 6749 appendix A).
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "Arc<str>", into = "Arc<str>")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Parses an identifier of 1 to 255 printable ASCII characters.
            ///
            /// # Errors
            /// [`InvalidId`] when the text is empty, too long or has another character.
            pub fn new(text: &str) -> Result<Self, InvalidId> {
                check_id(text)?;
                Ok(Self(text.into()))
            }

            /// Returns the identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<Arc<str>> for $name {
            type Error = InvalidId;

            fn try_from(text: Arc<str>) -> Result<Self, InvalidId> {
                check_id(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for Arc<str> {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

text_id! {
    /// Names a client (RFC 6749 section 2.2).
    ClientId
}

text_id! {
    /// Names an authentication source, which has a channel, a code length and validities.
    AuthSourceId
}

text_id! {
    /// Names a user to clients. It is the `sub` claim, and is never reassigned (OpenID Connect Core section 2).
    Subject
}

impl Subject {
    /// Makes a random subject for a user who signs up in the embedded directory.
    pub(crate) fn random(bytes: [u8; 16]) -> Self {
        Self(BASE64URL.encode(bytes).into())
    }
}

/// Names the issuer of tokens. It is an `https` URL without query or fragment (OpenID Connect Discovery section 3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Issuer(Arc<str>);

impl Issuer {
    /// Parses an issuer. `http` is accepted only for `localhost` and loopback addresses.
    ///
    /// # Errors
    /// [`InvalidId`] when the text is not such a URL.
    pub fn new(url: &str) -> Result<Self, InvalidId> {
        check_id(url)?;
        let (scheme, rest) = url.split_once("://").ok_or(InvalidId(()))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => v6.split_once(']').ok_or(InvalidId(()))?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let is_host = !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':'));
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        let is_loopback = matches!(host, "localhost" | "127.0.0.1" | "::1");
        let is_secure = scheme == "https" || (scheme == "http" && is_loopback);
        if !is_secure || !is_host || !is_port || !(path.is_empty() || is_path(path)) {
            return Err(InvalidId(()));
        }
        Ok(Self(url.into()))
    }

    /// Returns the issuer, byte for byte as it was configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path at which the RFC 8414 metadata must be served. The path of the issuer follows the well-known
    /// part (section 3.1).
    ///
    /// ```
    /// let issuer = otp_grant::Issuer::new("https://login.example.com/tenant")?;
    /// assert_eq!(issuer.metadata_path(), "/.well-known/oauth-authorization-server/tenant");
    /// # Ok::<(), otp_grant::id::InvalidId>(())
    /// ```
    pub fn metadata_path(&self) -> String {
        format!("/.well-known/oauth-authorization-server{}", self.path())
    }

    /// Returns the path at which the OpenID configuration must be served. It lies below the path of the issuer (OpenID
    /// Connect Discovery section 4).
    ///
    /// ```
    /// let issuer = otp_grant::Issuer::new("https://login.example.com/tenant")?;
    /// assert_eq!(issuer.openid_configuration_path(), "/tenant/.well-known/openid-configuration");
    /// # Ok::<(), otp_grant::id::InvalidId>(())
    /// ```
    pub fn openid_configuration_path(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.path())
    }

    /// Returns the URL of a path that already contains the path of the issuer.
    pub(crate) fn url_of(&self, path: &str) -> String {
        let issuer = self.0.trim_end_matches('/');
        let origin = issuer.strip_suffix(self.path()).unwrap_or(issuer);
        format!("{origin}{path}")
    }

    /// Returns the path without a slash at its end. It is empty for most issuers. The endpoints of the metadata lie
    /// below it.
    pub fn path(&self) -> &str {
        let after_scheme = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let path = after_scheme.find('/').and_then(|slash| after_scheme.get(slash..));
        path.unwrap_or_default().trim_end_matches('/')
    }
}

/// An identifier is empty, too long, or has a character that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidId(());

impl core::fmt::Display for InvalidId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not a valid identifier")
    }
}

impl core::error::Error for InvalidId {}

fn check_id(text: &str) -> Result<(), InvalidId> {
    let fits = (1..=255).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
    if fits { Ok(()) } else { Err(InvalidId(())) }
}

/// Tells whether a text is an absolute path of a URL (RFC 3986 section 3.3). Empty and dot segments are refused,
/// because clients remove them. One slash can end the path.
pub(crate) fn is_path(text: &str) -> bool {
    let Some(segments) = text.strip_prefix('/') else { return false };
    let segments = segments.strip_suffix('/').unwrap_or(segments);
    let has_whole_escapes = text
        .split('%')
        .skip(1)
        .all(|rest| matches!(rest.as_bytes(), [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()));
    let is_char = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%".contains(&byte);
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(is_char);
    text == "/" || (has_whole_escapes && segments.split('/').all(is_segment))
}

/// Declares an identifier of random bytes.
macro_rules! random_bytes {
    ($(#[$doc:meta])* $vis:vis $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        $vis struct $name([u8; $len]);

        impl $name {
            /// The number of bytes.
            pub const LEN: usize = $len;

            /// Takes the bytes without a change.
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// Returns the bytes without a change.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Reads base64url without padding.
            fn from_base64url(text: &str) -> Result<Self, InvalidId> {
                let mut bytes = [0; $len];
                match BASE64URL.decode_slice(text, &mut bytes) {
                    Ok($len) => Ok(Self(bytes)),
                    _ => Err(InvalidId(())),
                }
            }

            /// How much room [`base64url`](Self::base64url) needs.
            pub(crate) const TEXT_LEN: usize = ($len * 4usize).div_ceil(3);

            /// Writes the bytes as base64url into `text`.
            pub(crate) fn base64url<'t>(&self, text: &'t mut [u8; Self::TEXT_LEN]) -> &'t str {
                let len = BASE64URL.encode_slice(self.0, text).unwrap_or_default();
                text.get(..len).and_then(|text| core::str::from_utf8(text).ok()).unwrap_or_default()
            }
        }
    };
}

/// Declares an identifier of random bytes, written as base64url.
macro_rules! random_id {
    ($(#[$doc:meta])* $vis:vis $name:ident, $len:literal) => {
        random_bytes! { $(#[$doc])* $vis $name, $len }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(&BASE64URL.encode(self.0))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.base64url(&mut [0; Self::TEXT_LEN]))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                BASE64URL.encode(id.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::from_base64url(&text)
            }
        }
    };
}

random_id! {
    /// Identifies a device of an address.
    #[derive(Default)]
    pub DeviceId, 8
}

random_id! {
    /// Names a challenge. It opens nothing without its seal.
    pub ChallengeId, 32
}

random_id! {
    /// Names a login session. It is the `sid` claim.
    pub SessionId, 32
}

random_bytes! {
    /// Names one signed token. It is the `jti` claim (RFC 7519 section 4.1.7).
    ///
    /// It is written as a UUID of version 8 (RFC 9562 section 5.8), in lower case. Earlier versions wrote base64url,
    /// and their tokens are still read. Such an identifier is written as base64url again, unless it happens to have the
    /// bits of such a UUID.
    pub TokenId, 16
}

random_id! {
    /// What the record of a session keeps of a revoked access token: its number, and 34 of its random bits.
    pub TokenMark, 9
}

random_id! {
    /// Identifies one write of one record. Each write has a new random tag. A record that was deleted and made again is
    /// therefore not mistaken for the old record.
    pub Tag, 16
}

random_id! {
    /// The key under which a record is kept. It is an HMAC of the address or the session, and reveals neither. The
    /// record of the keys in use is kept under a hash of the issuer, where a host with other secrets also finds it.
    pub RecordKey, 32
}

random_id! {
    /// Names a secret of the keyring. It is derived from the secret, so nothing has to be configured.
    pub KeyId, 4
}

random_id! {
    /// The random input that a code is derived from. It is worth nothing without the secret.
    pub Nonce, 16
}

random_id! {
    /// What a challenge is bound to: a MAC over client, auth source, address and usage.
    pub Binding, 16
}

random_id! {
    /// The mark that one request leaves in a record. After an unknown outcome, the request recognises its own write by
    /// it.
    pub Mark, 8
}

random_id! {
    /// Names a message in the records of its destinations: the first bytes of its challenge.
    pub MessageMark, 4
}

random_id! {
    /// Names a public key: its SHA-256 thumbprint (RFC 7638). It is the `jkt` of the `cnf` claim (RFC 9449 section
    /// 6.1).
    pub KeyThumbprint, 32
}

random_id! {
    /// Names one use of a DPoP proof: a hash of its key and its `jti`.
    pub ProofMark, 8
}

/// Who asked for a code: a MAC over the code challenge and the key that the request came with. The otp_token does not
/// contain it. The caller that redeems the code must present the same challenge and key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker {
    mac: [u8; Self::LEN],
    parts: AskerParts,
}

/// What an asker was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskerParts {
    Challenge,
    Key,
    Both,
}

impl Asker {
    pub(crate) const LEN: usize = 16;

    pub(crate) const fn new(mac: [u8; Self::LEN], parts: AskerParts) -> Self {
        Self { mac, parts }
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.mac
    }

    pub(crate) const fn parts(&self) -> AskerParts {
        self.parts
    }
}

impl TokenId {
    /// Makes the identifier of an access token: the number of its issue within its session, and then random bits. The
    /// version and the variant of a UUID lie among the random bits.
    pub(crate) fn of(issue: u32, random: [u8; 12]) -> Self {
        let mut bytes = [0; Self::LEN];
        let (number, rest) = bytes.split_at_mut(4);
        number.copy_from_slice(&issue.to_be_bytes());
        rest.copy_from_slice(&random);
        let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
        *version = *version & 0x0f | VERSION_8;
        *variant = *variant & 0x3f | VARIANT;
        Self(bytes)
    }

    /// Writes the identifier as tokens have it: as a UUID, if it has the version and the variant of one.
    pub(crate) fn text<'t>(&self, text: &'t mut [u8; UUID_LEN]) -> &'t str {
        if !self.is_uuid() {
            return text.first_chunk_mut().map(|text| self.base64url(text)).unwrap_or_default();
        }
        let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
        let digits = self.0.map(|byte| [digit(byte >> 4), digit(byte & 0x0f)]);
        *text = [b'-'; UUID_LEN];
        for (from, to) in [(0..8, 0..8), (8..12, 9..13), (12..16, 14..18), (16..20, 19..23), (20..32, 24..36)] {
            if let (Some(from), Some(to)) = (digits.as_flattened().get(from), text.get_mut(to)) {
                to.copy_from_slice(from);
            }
        }
        core::str::from_utf8(text).unwrap_or_default()
    }

    fn is_uuid(&self) -> bool {
        let [.., version, _, variant, _, _, _, _, _, _, _] = self.0;
        version & 0xf0 == VERSION_8 && variant & 0xc0 == VARIANT
    }

    /// Reads a UUID of version 8, in the only form in which it is written.
    fn from_uuid(text: &str) -> Result<Self, InvalidId> {
        let digit = |character: u8| match character {
            b'0'..=b'9' => Ok(character - b'0'),
            b'a'..=b'f' => Ok(character - b'a' + 10),
            _ => Err(InvalidId(())),
        };
        let mut digits = text.bytes().filter(|character| *character != b'-').map(digit);
        let mut bytes = [0; Self::LEN];
        for byte in &mut bytes {
            let (high, low) = (digits.next().ok_or(InvalidId(()))??, digits.next().ok_or(InvalidId(()))??);
            *byte = high << 4 | low;
        }
        let id = Self(bytes);
        // A text with other hyphens, more digits or other bits is not such a UUID.
        if id.text(&mut [0; UUID_LEN]) == text { Ok(id) } else { Err(InvalidId(())) }
    }

    pub(crate) fn issue(&self) -> u32 {
        self.mark().issue()
    }

    pub(crate) fn mark(&self) -> TokenMark {
        TokenMark(leading(&self.0))
    }
}

impl core::fmt::Debug for TokenId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&String::from(*self))
    }
}

impl Serialize for TokenId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text(&mut [0; UUID_LEN]))
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        id.text(&mut [0; UUID_LEN]).to_owned()
    }
}

impl TryFrom<String> for TokenId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        // Version 0.1 wrote base64url. Its tokens are good until they expire.
        if text.len() == UUID_LEN { Self::from_uuid(&text) } else { Self::from_base64url(&text) }
    }
}

impl TokenMark {
    pub(crate) fn issue(&self) -> u32 {
        u32::from_be_bytes(leading(&self.0))
    }
}

impl Mark {
    /// Returns the mark that a session leaves in the challenge that it spent.
    pub(crate) fn of_session(session: &SessionId) -> Self {
        Self(leading(session.as_bytes()))
    }
}

impl MessageMark {
    pub(crate) fn of(challenge: &ChallengeId) -> Self {
        Self(leading(challenge.as_bytes()))
    }

    /// Returns the mark that the success of the message leaves.
    pub(crate) fn credited(self) -> Self {
        Self(self.0.map(|byte| !byte))
    }
}

fn leading<const N: usize>(bytes: &[u8]) -> [u8; N] {
    core::array::from_fn(|index| bytes.get(index).copied().unwrap_or_default())
}

/// RFC 9562 section 4.
pub(crate) const UUID_LEN: usize = 36;
const VERSION_8: u8 = 0x80;
const VARIANT: u8 = 0x80;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_printable_ascii() {
        assert_eq!(ClientId::new("TENANT_CLIENT_ID").unwrap().as_str(), "TENANT_CLIENT_ID");
        for bad in ["", "a\0", "é", "line\n", &"x".repeat(256)] {
            assert!(ClientId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_issuer_is_an_https_url() {
        for good in
            ["https://sample.portal.example.com", "https://a.example/t1", "http://127.0.0.1:8080", "http://[::1]:1"]
        {
            assert_eq!(Issuer::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "https://",
            "http://example.com",
            "https://a?b",
            "https://a#b",
            "https://u@a",
            "ftp://a",
            "a",
            "https://a//",
            "https://[::1",
            "https://a:99999",
            "https://a:x",
            "https://a/{x}",
            "https://a/%zz",
            "https://a/..",
        ] {
            assert!(Issuer::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_token_is_named_by_a_uuid() {
        for (issue, random, text) in [
            (0, [0; 12], "00000000-0000-8000-8000-000000000000"),
            (u32::MAX, [0xff; 12], "ffffffff-ffff-8fff-bfff-ffffffffffff"),
            (7, *b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67", "00000007-0123-8567-89ab-cdef01234567"),
        ] {
            let id = TokenId::of(issue, random);
            assert_eq!((String::from(id), format!("{id:?}"), id.issue()), (text.to_owned(), text.to_owned(), issue));
            assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
            assert_eq!(TokenId::try_from(text.to_owned()).unwrap(), id);
        }
        for bad in [
            "00000007-0123-8567-89AB-cdef01234567",
            "00000007-0123-4567-89ab-cdef01234567",
            "00000007-0123-8567-49ab-cdef01234567",
            "000000070123-8567-89ab-cdef-01234567",
            "00000007-0123-8567-89ab-cdef0123456g",
            "00000007-0123-8567-89ab-cdef012345678",
            "------------------------------------",
            "0000000701238567 89ab cdef01234567   ",
            "é0000007-0123-8567-89ab-cdef0123456",
            "",
        ] {
            assert!(TokenId::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_name_of_an_earlier_token_is_read_and_written_as_it_was() {
        let text = "AAAABwEjRWeJq83vASNFZw";
        let id = TokenId::try_from(text.to_owned()).unwrap();
        assert_eq!((String::from(id), id.issue()), (text.to_owned(), 7));
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
    }

    #[test]
    fn random_identifiers_survive_serde() {
        let id = TokenId::from_bytes([7; 16]);
        let text = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<TokenId>(&text).unwrap(), id);
        assert!(serde_json::from_str::<TokenId>("\"AAAA\"").is_err());
    }
}
