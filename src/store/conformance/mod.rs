//! The suite that any [`Store`] must pass, for the tests of its adapter. Feature `conformance`.
//!
//! Each function checks promises of [`Store`]; [`all`] runs them all. They take a way to make stores: every call has to
//! give another instance, with a connection or a pool of its own, on the same records.
//!
//! ```
//! # async fn test() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use otp_grant::{MemoryStore, conformance};
//!
//! let records = Arc::new(MemoryStore::new());
//! let report = conformance::all(|| async { Ok(records.clone()) }).await?;
//! println!("not observed: {:?}", report.not_observed());
//! # Ok(()) }
//! ```
//!
//! The suite has to run against the server that keeps the records in production, as its own process and reached as it
//! will be, not against a mock; what it finds there is what two hosts would do to each other. It drives many calls of
//! four instances at once from one task, spawns nothing, and needs no runtime but the one that the store needs. A call
//! that hangs makes it hang; give it a timeout of the runtime's.
//!
//! The records are of every kind, and also as later versions may write them: with members and kinds that this version
//! does not know. An adapter can keep them in any serde format that carries a [`RecordBody`](crate::RecordBody).
//!
//! What a server does is raced for real, over the connections of the four instances. A store that keeps records in this
//! process needs a test with threads as well: two threads that come between its comparison and its write, where no future
//! gives way, are not found here.
//!
//! A store may delete a record from its `delete_after` on, and need not. What is deleted never, or later than the suite
//! waits, can't be looked at: the [`Report`] names the promises of which nothing was seen, and
//! [`Report::complete`] takes that for a failure. [`all_within`] waits for as long as a store takes.
//!
//! It leaves about 10,300 records under random keys, all of which may be deleted an hour later, so that it can run on a
//! database that is shared. It waits for 9 seconds in all for time to pass, and asks for as much meanwhile as the store
//! answers: in all it makes 180,000 calls where each takes a millisecond, and millions in memory, at most 64 at a time. Its
//! clock is the system's, and the server's must not be ahead by more than 0.2 seconds.

mod expiry;
mod races;
mod records;
mod report;
mod trial;
mod values;
mod violation;

use core::future::Future;
use core::time::Duration;

pub use report::{NotObserved, Report};
use trial::{Instances, Outcome};
pub use violation::{Promise, Violation};

use crate::store::Store;

/// Declares each check as a function of its own, and `all` of them in this order: what others build on comes first.
macro_rules! checks {
    ($($(#[$doc:meta])* $name:ident: $check:path;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            /// The first [`Violation`] that was found.
            pub async fn $name<S, M, F>(make: M) -> Result<Report, Violation>
            where
                S: Store,
                M: Fn() -> F,
                F: Future<Output = Result<S, S::Error>>,
            {
                let instances = Instances::make(stringify!($name), DELETES_WITHIN, &make).await?;
                let outcome = Outcome::from($check(&instances.trial(stringify!($name))).await?);
                Ok(Report::new(outcome.not_observed))
            }
        )*

        /// Runs every check of this module for a store that deletes a record within this time after it may be deleted, and
        /// keeps none for less than this time less long than it has to.
        ///
        /// A store needs it that keeps every record for some shortest time, such as a minute: of a record that ends before,
        /// it is not seen whether the store deletes it too early. It waits twice for this time. [`all`] waits for 2
        /// seconds, which is enough for a store that keeps whole seconds.
        ///
        /// # Errors
        /// The first [`Violation`] that was found.
        pub async fn all_within<S, M, F>(deletes_within: Duration, make: M) -> Result<Report, Violation>
        where
            S: Store,
            M: Fn() -> F,
            F: Future<Output = Result<S, S::Error>>,
        {
            let instances = Instances::make("all", deletes_within, &make).await?;
            let mut seen = Outcome::default();
            $(seen.add($check(&instances.trial(stringify!($name))).await?);)*
            instances.trial("all").look_once_at_all(&mut seen.ledgers).await?;
            let new_instances = Instances::make("all", deletes_within, &make).await?;
            new_instances.trial("all").look_once_at_all(&mut seen.ledgers).await?;
            Ok(Report::new(seen.not_observed))
        }
    };
}

/// Runs every check of this module, and looks at the end whether everything that they stored is still there, for new
/// instances, too.
///
/// # Errors
/// The first [`Violation`] that was found.
pub async fn all<S, M, F>(make: M) -> Result<Report, Violation>
where
    S: Store,
    M: Fn() -> F,
    F: Future<Output = Result<S, S::Error>>,
{
    all_within(DELETES_WITHIN, make).await
}

checks! {
    /// Checks that a swap that expects a tag stores only where that tag is stored, and that a conflict changes nothing.
    swaps_only_what_was_expected: values::expected_tags;

    /// Checks that a swap that expects nothing stores only where nothing is stored.
    inserts_only_where_nothing_is: values::absent_only;

    /// Checks that records of every kind and size, with every member that they can have, are loaded as they were stored, with
    /// whatever `delete_after`: from the past to the end of time.
    loads_records_whole: values::whole_records;

    /// Checks that what was stored once is not stored once more later, over what others stored.
    applies_swaps_once: values::applied_once;

    /// Checks that a load sees what was answered before it began, to whichever instance.
    sees_what_was_answered: races::answered_is_seen;

    /// Checks that of many swaps that expect the same, by many at once, one is stored.
    lets_one_swap_win: races::one_winner;

    /// Checks that no update is lost when many load and swap, again and again, what is under one key.
    loses_no_update: races::no_lost_update;

    /// Checks that a call whose future is dropped is done or not done, and leaves the store usable.
    survives_dropped_calls: races::dropped_calls;

    /// Checks that 10,000 keys, and keys that look alike, do not mix.
    keeps_keys_apart: values::keys_apart;

    /// Checks that records are there until shortly before their `delete_after`. Takes 5 seconds.
    keeps_records_until_delete_after: expiry::until_delete_after;

    /// Checks that a record that may be deleted is there for everybody, to load and to swap, or for nobody. Takes 4
    /// seconds.
    deletes_for_all_or_nobody: expiry::deleted_altogether;
}

const DELETES_WITHIN: Duration = Duration::from_secs(2);
