//! Random bytes for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::entropy::{Entropy, EntropyUnavailable};

/// Bytes that look random and are the same in every run. Clones share one sequence.
///
/// A test becomes repeatable. The same requests in the same order get the same codes and tokens.
///
/// **Never for production.** An attacker can compute the sequence. Two servers with the same seed make the same
/// identifiers.
///
/// ```
/// use otp_grant::entropy::Entropy;
/// use otp_grant::testing::SeededEntropy;
///
/// let (mut first, mut second) = ([0; 16], [0; 16]);
/// SeededEntropy::new(7).fill(&mut first)?;
/// SeededEntropy::new(7).fill(&mut second)?;
/// assert_eq!(first, second);
/// # Ok::<(), otp_grant::entropy::EntropyUnavailable>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SeededEntropy(Arc<AtomicU64>);

impl SeededEntropy {
    /// Begins the sequence of a seed. The seed defaults to 0.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), EntropyUnavailable> {
        for chunk in buffer.chunks_mut(8) {
            // SplitMix64.
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            for (byte, random) in chunk.iter_mut().zip((z ^ (z >> 31)).to_le_bytes()) {
                *byte = random;
            }
        }
        Ok(())
    }
}
