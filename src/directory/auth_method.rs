//! The methods by which clients authenticate.

use crate::directory::assertion::AssertionKeys;
use crate::secret::ClientSecret;

/// How a client authenticates, by the names of the IANA registry (OAuth Token Endpoint Authentication Methods).
///
/// ```
/// use otp_grant::directory::ClientAuthMethod;
///
/// let method: ClientAuthMethod = "private_key_jwt".parse()?;
/// assert_eq!(method, ClientAuthMethod::PrivateKeyJwt);
/// assert_eq!(method.as_str(), "private_key_jwt");
/// # Ok::<(), otp_grant::directory::UnknownAuthMethod>(())
/// ```
///
/// OpenID Connect Core section 9, RFC 7591 section 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientAuthMethod {
    /// The secret of the client in the header of HTTP Basic.
    ClientSecretBasic,
    /// The secret of the client in the body.
    ClientSecretPost,
    /// An assertion that the client signs with its private key.
    PrivateKeyJwt,
    /// Nothing. The client is public.
    None,
}

impl ClientAuthMethod {
    /// Returns the name of the method.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::None => "none",
        }
    }
}

impl core::fmt::Display for ClientAuthMethod {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::str::FromStr for ClientAuthMethod {
    type Err = UnknownAuthMethod;

    fn from_str(name: &str) -> Result<Self, UnknownAuthMethod> {
        let known = [Self::ClientSecretBasic, Self::ClientSecretPost, Self::PrivateKeyJwt, Self::None];
        known.into_iter().find(|method| method.as_str() == name).ok_or(UnknownAuthMethod)
    }
}

/// The text is not the name of an authentication method that this crate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an error that says all there is by its name")]
pub struct UnknownAuthMethod;

impl core::fmt::Display for UnknownAuthMethod {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not a known authentication method of clients")
    }
}

impl core::error::Error for UnknownAuthMethod {}

/// The credentials of a client do not fit the method: a secret, keys or none of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an error that says all there is by its name")]
pub struct AuthMethodMismatch;

impl core::fmt::Display for AuthMethodMismatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the client does not have the credentials of this authentication method")
    }
}

impl core::error::Error for AuthMethodMismatch {}

/// What a client is known by. A client has one kind of credentials.
#[derive(Debug)]
pub(super) enum Credentials {
    /// The client is public.
    None,
    Secret {
        secret: ClientSecret,
        accepted: SecretMethods,
    },
    Keys(Box<dyn AssertionKeys>),
}

impl Credentials {
    pub(super) fn secret(&self) -> Option<&ClientSecret> {
        match self {
            Self::Secret { secret, .. } => Some(secret),
            Self::None | Self::Keys(_) => None,
        }
    }

    /// Tells whether the client has a secret, and may put it where it has put it.
    pub(super) fn accept(&self, in_header: bool) -> bool {
        matches!(self, Self::Secret { accepted, .. } if accepted.accept(in_header))
    }
}

/// Where the secret of a client can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SecretMethods {
    /// In the header or in the body.
    Either,
    Basic,
    Post,
}

impl SecretMethods {
    /// Tells whether a secret may stand where the client has put it.
    pub(super) fn accept(self, in_header: bool) -> bool {
        match self {
            Self::Either => true,
            Self::Basic => in_header,
            Self::Post => !in_header,
        }
    }
}
