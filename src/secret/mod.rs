//! Secret values: their `Debug` is redacted, they are wiped when dropped, and they have no `Clone`, `Display` or
//! `Serialize`.
//!
//! The crate wipes what it owns: these values, the bytes of a [`MasterKey`], decoded key files and the bodies of
//! replies. It can't wipe:
//!
//! - the keys that `ring` holds: HMAC keys, signing keys and digests in progress;
//! - what a host has taken out ([`Reply::into_body`](crate::Reply::into_body));
//! - the request, which belongs to the host.
//!
//! A process whose memory may have leaked has leaked its keys.

pub(crate) mod code_challenge;
pub(crate) mod keyring;
pub(crate) mod keys_in_use;
pub(crate) mod sealed;

pub use crate::secret::code_challenge::{CodeChallenge, InvalidCodeChallenge, InvalidCodeVerifier};
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

            /// Reveals the secret. Search for this name to find every place that handles a secret.
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

/// Wipes the whole buffer of a text at once. `zeroize` wipes the unused part at once, but the part in use byte by byte.
pub(crate) fn wipe(text: &mut String) {
    text.clear();
    text.zeroize();
}

secret_text! {
    /// A one-time code, as it is sent to its address.
    Code
}

secret_text! {
    /// The sealed token that names a challenge. The client returns it together with the code.
    OtpToken
}

secret_text! {
    /// The sealed token of a device that its user has logged in with. The client sends it along with later requests for
    /// the same address.
    DeviceToken
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
    /// Compares with the text that a caller presented. The time depends only on the two lengths.
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

    /// Reveals the secret. Search for this name to find every place that handles a secret.
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

/// The SHA-256 digest of a client secret. A directory keeps only this digest.
///
/// The client secret must be a random value of at least 128 bits that the host generated. A plain digest is then
/// enough. A secret that a human chose must not be used here.
///
/// No client can authenticate with an empty secret, whatever the digest is.
pub struct ClientSecret([u8; digest::SHA256_OUTPUT_LEN]);

impl ClientSecret {
    /// Digests `secret` and forgets it. The digest of an empty text, such as that of a variable that is not set,
    /// authenticates no client.
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

    /// Compares with the secret that a client presented. Only digests are compared, so the timing shows neither content
    /// nor length.
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

/// Decodes base64 with or without line breaks, and leaves no copy behind.
pub(crate) fn secret_from_base64(text: &str) -> Result<Zeroizing<Vec<u8>>, base64::DecodeError> {
    // The capacity is enough for the whole text, which is therefore never moved.
    let mut compact = Zeroizing::new(String::with_capacity(text.len()));
    compact.extend(text.chars().filter(|character| !character.is_ascii_whitespace()));
    BASE64_STANDARD.decode(compact.as_bytes()).map(Zeroizing::new)
}

fn sha256(bytes: &[u8]) -> [u8; digest::SHA256_OUTPUT_LEN] {
    let mut out = [0; digest::SHA256_OUTPUT_LEN];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    wipe_stack();
    out
}

/// Overwrites the part of the stack on which a hash has just had its last block. A value that is moved to the heap
/// later can carry such bytes along, where it has room that is not in use.
#[inline(never)]
pub(crate) fn wipe_stack() {
    core::hint::black_box(&mut [0_u8; 1024]);
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
