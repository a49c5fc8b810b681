//! The signature algorithms that the crate signs and verifies with.

use crate::jwt::key_error::KeyError;

/// A signature algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1).
///
/// ```
/// use otp_grant::jwt::Algorithm;
///
/// assert_eq!("ES256".parse(), Ok(Algorithm::ES256));
/// assert_eq!(Algorithm::EdDSA.to_string(), "EdDSA");
/// assert_eq!("none".parse::<Algorithm>(), Err(otp_grant::jwt::KeyError::Unsupported));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// Returns the `alg` value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
        }
    }
}

impl core::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::str::FromStr for Algorithm {
    type Err = KeyError;

    fn from_str(name: &str) -> Result<Self, KeyError> {
        let known = [Self::RS256, Self::ES256, Self::EdDSA];
        known.into_iter().find(|algorithm| algorithm.as_str() == name).ok_or(KeyError::Unsupported)
    }
}
