//! The random bytes of one request, fetched from the entropy port together.

use zeroize::Zeroizing;

use crate::entropy::{Entropy, EntropyUnavailable};

/// Random bytes for the identifiers of one request. They are fetched together, because seven calls to the operating
/// system for 16 bytes each take longer than the rest of a login without its signatures.
pub(crate) struct RandomPool {
    bytes: Zeroizing<[u8; POOL]>,
    used: usize,
}

impl RandomPool {
    /// Makes a pool that has fetched nothing yet.
    pub(crate) fn new() -> Self {
        Self { bytes: Zeroizing::new([0; POOL]), used: POOL }
    }

    /// Takes random bytes. Each byte is given once.
    pub(crate) fn take<const N: usize>(&mut self, entropy: &dyn Entropy) -> Result<[u8; N], EntropyUnavailable> {
        const { assert!(N <= POOL) };
        if self.used.saturating_add(N) > POOL {
            entropy.fill(self.bytes.as_mut_slice())?;
            self.used = 0;
        }
        let fresh = self.bytes.get(self.used..).and_then(<[u8]>::first_chunk).ok_or(EntropyUnavailable)?;
        self.used = self.used.saturating_add(N);
        Ok(*fresh)
    }
}

/// Enough for a login: a mark of 8 bytes, three tags of 16, a session of 32 and two tokens of 16.
const POOL: usize = 128;
