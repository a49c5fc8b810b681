//! The signature algorithms that the crate signs and verifies with.

use crate::jwt::key_error::KeyError;

/// A signature algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1, RFC 9864 section 2.2).
///
/// | key | algorithms, the default first |
/// |---|---|
/// | RSA | RS256, PS256 |
/// | P-256 | ES256 |
/// | Ed25519 | EdDSA, Ed25519 |
///
/// RS256 and PS256 are different signatures, and neither verifies as the other. EdDSA and Ed25519 are two names of one
/// signature. A key with either name verifies tokens with both names, and signs with its own.
///
/// ```
/// use otp_grant::jwt::Algorithm;
///
/// assert_eq!("PS256".parse(), Ok(Algorithm::PS256));
/// assert_eq!(Algorithm::EdDSA.to_string(), "EdDSA");
/// assert_eq!("none".parse::<Algorithm>(), Err(otp_grant::jwt::KeyError::Unsupported));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256, and a salt of 32 bytes.
    PS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519, by the older name, which more libraries know.
    EdDSA,
    /// Ed25519, by the name of RFC 9864. It makes the same signatures as EdDSA.
    Ed25519,
}

impl Algorithm {
    const ALL: [Self; 5] = [Self::ES256, Self::EdDSA, Self::Ed25519, Self::PS256, Self::RS256];

    /// The names of all algorithms, as metadata and challenges list what is verified.
    pub(crate) const NAMES: [&str; 5] = {
        let [first, second, third, fourth, fifth] = Self::ALL;
        [first.as_str(), second.as_str(), third.as_str(), fourth.as_str(), fifth.as_str()]
    };

    /// Returns the `alg` value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::PS256 => "PS256",
            Self::ES256 => "ES256",
            Self::EdDSA => "EdDSA",
            Self::Ed25519 => "Ed25519",
        }
    }

    /// Returns the kind of the keys that can have this algorithm.
    pub(crate) fn key_kind(self) -> KeyKind {
        match self {
            Self::RS256 | Self::PS256 => KeyKind::Rsa,
            Self::ES256 => KeyKind::P256,
            Self::EdDSA | Self::Ed25519 => KeyKind::Ed25519,
        }
    }

    /// Tells whether a key with this algorithm verifies tokens whose header has this `alg`.
    pub(crate) fn has_name(self, alg: &str) -> bool {
        alg == self.as_str()
            || (self.key_kind() == KeyKind::Ed25519 && [Self::EdDSA, Self::Ed25519].map(Self::as_str).contains(&alg))
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
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name).ok_or(KeyError::Unsupported)
    }
}

/// A kind of key. It decides which algorithms a key can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Rsa,
    P256,
    Ed25519,
}

impl KeyKind {
    /// Returns the algorithm of a key of this kind that names none.
    pub(crate) fn default_algorithm(self) -> Algorithm {
        match self {
            Self::Rsa => Algorithm::RS256,
            Self::P256 => Algorithm::ES256,
            Self::Ed25519 => Algorithm::EdDSA,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Algorithm;
    use crate::dpop::PROOF_ALGORITHMS;

    #[test]
    fn a_challenge_lists_what_is_verified() {
        assert_eq!(PROOF_ALGORITHMS, Algorithm::NAMES);
    }
}
