//! Why a token was not signed.

/// Signing failed. It can be retried.
#[derive(Debug)]
pub(crate) enum SigningError {
    /// The operating system gave no random bytes, or the processor miscalculated.
    Pair,
    /// The host's signer failed.
    Signer(Box<dyn core::error::Error + Send + Sync>),
    /// The host's signer returned something that is not a signature of this algorithm.
    WrongLength,
    /// The key is outside the server, and the server has no signer for it.
    NoSigner,
    /// The published key does not verify what the host's signer signed: it has another key now.
    WrongKey,
}

impl core::fmt::Display for SigningError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Pair => "the token could not be signed",
            Self::Signer(_) => "the signer failed",
            Self::WrongLength => "the signer gave a signature of the wrong length",
            Self::NoSigner => "the key is outside the server, which has no signer for it",
            Self::WrongKey => "the published key does not verify what the signer signed",
        })
    }
}

impl core::error::Error for SigningError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Signer(error) => Some(&**error),
            Self::Pair | Self::WrongLength | Self::NoSigner | Self::WrongKey => None,
        }
    }
}
