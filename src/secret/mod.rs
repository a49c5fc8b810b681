//! Values that must not leak: redacted, wiped when dropped, without `Clone`, `Display` or `Serialize`.
//!
//! What the crate owns is wiped: these values, the bytes of a [`MasterKey`](crate::MasterKey), decoded key files and the
//! bodies of replies. Not wiped are the keys that `ring` holds (HMAC keys, signing keys and digests under way), what a host
//! has taken out ([`Reply::into_body`](crate::Reply::into_body)), and the request, which is the host's. A process that may
//! have leaked its memory has leaked its keys.

pub(crate) mod keyring;
pub(crate) mod keys_in_use;
pub(crate) mod sealed;

pub use crate::secret::keyring::{InvalidMasterKey, Keyring, MasterKey};
use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD};
use ring::digest;
use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, Zeroizing};

/// Declares an owned secret text with one accessor.
macro_rules! secret_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        pub struct $name(String);

        impl $name {
            pub(crate) fn new(text: String) -> Self {
                Self(text)
            }

            /// Reveals the secret. Search for this name to find every place that handles one.
            pub fn expose_secret(&self) -> &str {
                &self.0
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                wipe(&mut self.0);
            }
        }
    };
}

/// Wipes all the room of a text at once. `zeroize` does so with what is free; what is in use, it wipes byte by byte.
pub(crate) fn wipe(text: &mut String) {
    text.clear();
    text.zeroize();
}

secret_text! {
    /// A one-time code, as it is sent to its address.
    Code
}

secret_text! {
    /// The sealed token that names a challenge; the client returns it together with the code.
    OtpToken
}

secret_text! {
    /// A refresh token (RFC 6749 section 1.5).
    RefreshToken
}

secret_text! {
    /// A signed access token (RFC 6749 section 1.4).
    AccessToken
}

secret_text! {
    /// A signed ID token (OpenID Connect Core section 2).
    IdToken
}

impl Code {
    /// Compares with what a caller presented, in time that depends on the lengths alone.
    pub(crate) fn matches(&self, presented: &PresentedSecret<'_>) -> Choice {
        self.0.as_bytes().ct_eq(presented.0.as_bytes())
    }
}

/// A secret that a caller presented: a client secret, a code or a token, borrowed from the request where possible.
pub struct PresentedSecret<'a>(Cow<'a, str>);

impl<'a> PresentedSecret<'a> {
    /// Takes over a secret from a request.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Self(text.into())
    }

    /// Reveals the secret. Search for this name to find every place that handles one.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl Drop for PresentedSecret<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            wipe(text);
        }
    }
}

impl core::fmt::Debug for PresentedSecret<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PresentedSecret(..)")
    }
}

/// The SHA-256 digest of a client secret: all that a directory has to keep of it.
///
/// A client secret is a random value of at least 128 bits that the host generated, so a plain digest is enough; a
/// secret that a human chose has no place here.
///
/// An empty secret is that of nobody: no client can authenticate with it, whatever the digest is.
pub struct ClientSecret([u8; digest::SHA256_OUTPUT_LEN]);

impl ClientSecret {
    /// Digests `secret` and forgets it. The digest of an empty text, such as a variable that is not set, authenticates
    /// nobody.
    ///
    /// ```
    /// let secret = otp_grant::ClientSecret::digest("TENANT_CLIENT_SECRET");
    /// ```
    pub fn digest(secret: &str) -> Self {
        Self(sha256(secret.as_bytes()))
    }

    /// Takes a digest that was made earlier.
    pub const fn from_sha256(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// Compares with what a client presented. Digests are compared, so neither content nor length shows in the timing.
    pub(crate) fn matches(&self, presented: &PresentedSecret<'_>) -> bool {
        let digest = Zeroizing::new(sha256(presented.0.as_bytes()));
        let is_empty = Choice::from(u8::from(presented.0.is_empty()));
        (self.0.ct_eq(&*digest) & !is_empty).into()
    }
}

impl Drop for ClientSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl core::fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// Decodes base64 with or without line breaks, without leaving a copy behind.
pub(crate) fn secret_from_base64(text: &str) -> Result<Zeroizing<Vec<u8>>, base64::DecodeError> {
    // With room for all of it, it is never moved.
    let mut compact = Zeroizing::new(String::with_capacity(text.len()));
    compact.extend(text.chars().filter(|character| !character.is_ascii_whitespace()));
    BASE64_STANDARD.decode(compact.as_bytes()).map(Zeroizing::new)
}

fn sha256(bytes: &[u8]) -> [u8; digest::SHA256_OUTPUT_LEN] {
    let mut out = [0; digest::SHA256_OUTPUT_LEN];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_is_redacted() {
        let texts = [
            format!("{:?}", Code::new("123456".into())),
            format!("{:?}", PresentedSecret::new("123456")),
            format!("{:?}", ClientSecret::digest("123456")),
        ];
        assert_eq!(texts, ["Code(..)", "PresentedSecret(..)", "ClientSecret(..)"]);
    }

    #[test]
    fn only_the_same_text_matches() {
        let code = Code::new("012345".into());
        assert!(bool::from(code.matches(&PresentedSecret::new("012345"))));
        for wrong in ["", "12345", "012346", "0123450", "０12345"] {
            assert!(!bool::from(code.matches(&PresentedSecret::new(wrong))));
        }
        assert!(ClientSecret::digest("a").matches(&PresentedSecret::new("a")));
        assert!(!ClientSecret::digest("a").matches(&PresentedSecret::new("b")));
        assert!(!ClientSecret::digest("").matches(&PresentedSecret::new("")));
        assert!(!ClientSecret::digest("a").matches(&PresentedSecret::new("")));
    }
}
