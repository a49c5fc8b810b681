//! The suite that every [`Store`] must pass, for the tests of its adapter. Feature `conformance`.
//!
//! Each function checks promises of [`Store`], and [`all`] runs every check. The caller gives a function that makes
//! stores. Every call must give another instance, with its own connection or pool, on the same records.
//!
//! ```
//! # async fn test() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use otp_grant::MemoryStore;
//! use otp_grant::store::conformance;
//!
//! let records = Arc::new(MemoryStore::new());
//! let report = conformance::all(|| async { Ok(records.clone()) }).await?;
//! println!("not observed: {:?}", report.not_observed());
//! # Ok(()) }
//! ```
//!
//! # Where to run it
//!
//! Run the suite against the kind of server that keeps the records in production, as a process of its own and reached
//! in the same way. Do not run it against a mock. What the suite finds there is what two hosts would do to each other.
//!
//! The suite drives many calls of four instances at once from one task. It spawns nothing, and needs no runtime but the
//! store's. A call that hangs makes the suite hang, so give it a timeout of the runtime.
//!
//! A store on a server gets real races, over the connections of the four instances. A store that keeps records in this
//! process also needs a test with threads. Two threads can come between its comparison and its write at a point where
//! no future gives way, and the suite does not find this.
//!
//! # What it can't observe
//!
//! A store may delete a record from its `delete_after` on, but does not have to. If it never deletes a record, or
//! deletes it later than the suite waits, the suite sees nothing of the promises on deletion. The [`Report`] names the
//! promises of which nothing was seen, and [`Report::complete`] treats them as a failure. [`all_within`] waits for as
//! long as a store takes.
//!
//! # What it costs
//!
//! The suite leaves about 10,300 records under random keys. All of them may be deleted an hour later, so the suite can
//! run on a shared database. It waits 9 seconds in all for time to pass, and makes as many calls in that time as the
//! store answers: 180,000 calls in all where each takes a millisecond, and millions in memory, at most 64 at a time. It
//! uses the system's clock. The clock of the server must not be ahead by more than 0.2 seconds.

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

/// Declares each check as a function, and `all` of them in this order. A check that others build on comes first.
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

        /// Runs every check of this module for a store that can take `deletes_within` to delete a record that may be
        /// deleted.
        ///
        /// A store that keeps every record for a minimum time, such as a minute, needs this function. A record that
        /// ends within the minimum time does not show whether the store deletes records too early. `deletes_within`
        /// must be at least the minimum time. The suite waits twice for it. [`all`] waits for 2 seconds, which is
        /// enough for a store that keeps whole seconds.
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

/// Runs every check of this module. At the end it looks whether new instances also see every record that the checks
/// stored.
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

    /// Checks that every record is loaded as it was stored. The records have every kind and size and every member, and
    /// their `delete_after` lies anywhere from the past to the end of time.
    loads_records_whole: values::whole_records;

    /// Checks that a swap that was stored is not stored once more later, over what others have stored.
    applies_swaps_once: values::applied_once;

    /// Checks that a load by any instance sees every swap that was answered before the load began.
    sees_what_was_answered: races::answered_is_seen;

    /// Checks that one swap is stored out of many parallel swaps that expect the same tag.
    lets_one_swap_win: races::one_winner;

    /// Checks that no update is lost when many callers load and swap the same key again and again.
    loses_no_update: races::no_lost_update;

    /// Checks that a call whose future is dropped is either done or not done, and leaves the store usable.
    survives_dropped_calls: races::dropped_calls;

    /// Checks that 10,000 keys do not mix, nor keys that look alike.
    keeps_keys_apart: values::keys_apart;

    /// Checks that records exist until shortly before their `delete_after`. Takes 5 seconds.
    keeps_records_until_delete_after: expiry::until_delete_after;

    /// Checks that a record that may be deleted exists for all instances or for none, to load and to swap. Takes 4
    /// seconds.
    deletes_for_all_or_nobody: expiry::deleted_altogether;
}

const DELETES_WITHIN: Duration = Duration::from_secs(2);
