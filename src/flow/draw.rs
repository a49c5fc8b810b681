//! The random bytes of one request.

use zeroize::Zeroizing;

use crate::directory::Directory;
use crate::error::Unavailable;
use crate::flow::Core;
use crate::store::Store;

/// Random bytes for the identifiers of one request, fetched together: asking the operating system seven times for 16
/// bytes takes longer than everything else that a login does beside its signatures.
pub(crate) struct Draw {
    pool: Zeroizing<[u8; POOL]>,
    used: usize,
}

impl Draw {
    /// A draw that has fetched nothing yet.
    pub(crate) fn new() -> Self {
        Self { pool: Zeroizing::new([0; POOL]), used: POOL }
    }
}

impl<S: Store, D: Directory> Core<S, D> {
    /// Random bytes for an identifier; each is given once.
    pub(crate) fn random<const N: usize>(&self, draw: &mut Draw) -> Result<[u8; N], Unavailable> {
        const { assert!(N <= POOL) };
        if draw.used.saturating_add(N) > POOL {
            self.entropy.fill(draw.pool.as_mut_slice()).map_err(|error| self.faulted(&error))?;
            draw.used = 0;
        }
        let fresh = draw.pool.get(draw.used..).and_then(<[u8]>::first_chunk).ok_or(Unavailable)?;
        draw.used = draw.used.saturating_add(N);
        Ok(*fresh)
    }
}

/// Enough for a login: a mark of 8 bytes, three tags of 16, a session of 32 and two tokens of 16.
const POOL: usize = 128;
