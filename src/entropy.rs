//! The port to random bytes, and the operating system's random bytes behind it.

use ring::rand::{SecureRandom, SystemRandom};

/// Gives random bytes.
///
/// The bytes must be unpredictable to any attacker, and must never be given twice. Challenge identifiers, the nonces of
/// codes, session identifiers and record tags are made of them. An attacker who can predict the bytes needs the sealing
/// secret to predict codes, but can make two records collide without it.
pub trait Entropy: Send + Sync {
    /// Fills `buffer` with random bytes.
    ///
    /// # Errors
    /// [`EntropyUnavailable`] when there are no random bytes. The request is then answered with 503.
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyUnavailable>;
}

/// Reads the random bytes of the operating system.
#[derive(Clone, Debug)]
pub struct SystemEntropy(SystemRandom);

impl Default for SystemEntropy {
    fn default() -> Self {
        Self(SystemRandom::new())
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyUnavailable> {
        self.0.fill(buffer).map_err(|_| EntropyUnavailable)
    }
}

impl<E: Entropy + ?Sized> Entropy for std::sync::Arc<E> {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyUnavailable> {
        (**self).fill(buffer)
    }
}

/// There were no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an implementation of the port makes it")]
pub struct EntropyUnavailable;

impl core::fmt::Display for EntropyUnavailable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no random bytes could be had")
    }
}

impl core::error::Error for EntropyUnavailable {}
