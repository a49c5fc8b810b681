//! What a reading of the clock means for a record: clocks that differ, and clocks that were set back.
//!
//! A record carries the instant of its latest write. A decision compares that instant with its own reading:
//!
//! | the record was written | cause | the decision is made |
//! |---|---|---|
//! | at or before the reading | the usual case | at the reading |
//! | up to [`CLOCK_TOLERANCE`] after it | the clock of another host is ahead | at the instant of the write |
//! | later than that | the clock was set back | at the reading, on a shortened record |
//!
//! A clock that was set back extends nothing. How a record is shortened depends on its kind:
//!
//! - An authenticator loses its challenges, since their age is unknown. Its counted sends and guesses move to the
//!   reading. The shortened record is stored before anything else is decided. Otherwise the same challenges would be
//!   alive again once the clock has caught up.
//! - Its devices are forgotten earlier by as much as the clock was set back. A destination of the send guard counts
//!   what lies in the future as of the reading, and lets no message off.
//! - A session ends earlier by as much as the clock was set back, and its latest rotation is not repeated. The
//!   shortened session is not stored. Every decision sees it. The original ends hold again once the clock has caught
//!   up.

use core::time::Duration;

use crate::time::{CLOCK_TOLERANCE, Timestamp};

/// A reading of the clock, compared with the instant at which a record was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The instant to decide at: the later of the two.
    At(Timestamp),
    /// The clock was set back since the write, by at least this much.
    SetBack(Duration),
}

impl Reading {
    /// Compares the reading `now` with the instant of the latest write.
    pub(crate) fn new(now: Timestamp, written: Timestamp) -> Self {
        let ahead = now.until(written);
        if ahead > CLOCK_TOLERANCE { Self::SetBack(ahead) } else { Self::At(now.max(written)) }
    }
}
