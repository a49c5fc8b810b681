//! Runs calls on several instances of the store under test, and keeps a ledger of what each key must hold.

use core::future::{Future, poll_fn};
use core::task::Poll;
use core::time::Duration;
use std::collections::HashMap;

use futures_util::future::{join_all, try_join_all};

use super::records::{self, NoBody};
use super::violation::{Promise, Violation, describe};
use crate::id::{RecordKey, Tag};
use crate::store::{Record, RecordBody, Store, Swap};
use crate::time::Timestamp;
use crate::time::clock::{Clock, SystemClock};

/// Several instances of the store on the same records.
pub(super) struct Instances<S> {
    stores: [S; INSTANCES],
    deletes_within: Duration,
}

impl<S: Store> Instances<S> {
    /// Makes the instances one after another.
    pub(super) async fn make<F>(
        check: &'static str,
        deletes_within: Duration,
        make: &impl Fn() -> F,
    ) -> Result<Self, Violation>
    where
        F: Future<Output = Result<S, S::Error>>,
    {
        let failed = |cause| Violation::failed(check, "making a store", cause);
        let stores = [
            make().await.map_err(failed)?,
            make().await.map_err(failed)?,
            make().await.map_err(failed)?,
            make().await.map_err(failed)?,
        ];
        Ok(Self { stores, deletes_within })
    }

    pub(super) fn trial(&self, check: &'static str) -> Trial<'_, S> {
        Trial { check, instances: self }
    }
}

/// One check in progress.
pub(super) struct Trial<'a, S> {
    check: &'static str,
    instances: &'a Instances<S>,
}

impl<S: Store> Trial<'_, S> {
    /// How long the store can take to delete a record that may be deleted.
    pub(super) fn deletes_within(&self) -> Duration {
        self.instances.deletes_within
    }

    pub(super) fn random_key(&self) -> Result<RecordKey, Violation> {
        Ok(RecordKey::from_bytes(self.random()?))
    }

    pub(super) fn random<const N: usize>(&self) -> Result<[u8; N], Violation> {
        records::random().map_err(|cause| Violation::failed(self.check, "making a record", cause))
    }

    /// A record of a session of the user with this number, which is kept for an hour.
    pub(super) fn session(&self, user: usize) -> Result<Record, Violation> {
        self.session_until(user, now().after(HOUR))
    }

    pub(super) fn session_until(&self, user: usize, delete_after: Timestamp) -> Result<Record, Violation> {
        self.record_until(self.made(records::session(user))?, delete_after)
    }

    /// A record under a new tag.
    pub(super) fn record_until(&self, body: RecordBody, delete_after: Timestamp) -> Result<Record, Violation> {
        Ok(Record { tag: Tag::from_bytes(self.random()?), delete_after, body })
    }

    pub(super) fn made(&self, body: Result<RecordBody, NoBody>) -> Result<RecordBody, Violation> {
        body.map_err(|cause| Violation::failed(self.check, "making a record", cause))
    }

    pub(super) fn all_made(&self, bodies: Result<Vec<RecordBody>, NoBody>) -> Result<Vec<RecordBody>, Violation> {
        bodies.map_err(|cause| Violation::failed(self.check, "making a record", cause))
    }

    pub(super) fn broken(&self, promise: Promise, expected: impl Into<String>, found: impl Into<String>) -> Violation {
        Violation::broken(self.check, promise, expected.into(), found.into())
    }

    pub(super) async fn load(&self, instance: usize, key: &RecordKey) -> Result<Option<Record>, Violation> {
        let loaded = self.instance(instance).load(key).await;
        loaded.map_err(|cause| Violation::failed(self.check, "`load`", cause))
    }

    pub(super) async fn swap(
        &self,
        instance: usize,
        key: &RecordKey,
        expected: Option<Tag>,
        next: &Record,
    ) -> Result<Swap, Violation> {
        let swapped = self.instance(instance).swap(key, expected, next).await;
        swapped.map_err(|cause| Violation::failed(self.check, "`swap`", cause))
    }

    /// Stores the next record of a key. This must work unless the last record may already be deleted.
    pub(super) async fn write(&self, ledger: &mut Ledger, instance: usize, next: Record) -> Result<(), Violation> {
        match self.swap(instance, &ledger.key, ledger.expected(), &next).await? {
            Swap::Stored => ledger.stored(next),
            // The store was so slow that the expected record may be gone.
            Swap::Conflict if ledger.latest().is_some_and(may_be_deleted) => {
                ledger.never(&next, Promise::ConflictChangesNothing);
            }
            Swap::Conflict => {
                // The conflict can come from an earlier fault of the store.
                self.look(ledger, instance).await?;
                let promise = ledger.promise_of_swap();
                return Err(self.broken(promise, "`Stored`, as what was expected is stored", "`Conflict`"));
            }
        }
        Ok(())
    }

    /// Tries to store a record with a wrong expectation, which must be refused.
    pub(super) async fn refused(
        &self,
        ledger: &mut Ledger,
        instance: usize,
        expected: Option<Tag>,
        next: Record,
    ) -> Result<(), Violation> {
        self.look(ledger, instance).await?;
        match self.swap(instance, &ledger.key, expected, &next).await? {
            Swap::Conflict => ledger.never(&next, Promise::ConflictChangesNothing),
            Swap::Stored => {
                let promise = if expected.is_some() { Promise::ComparesTag } else { Promise::InsertsIfAbsent };
                let stored = describe(ledger.latest());
                let found = format!("`Stored` by a swap that expected {expected:?}");
                return Err(self.broken(promise, format!("`Conflict` with {stored}"), found));
            }
        }
        Ok(())
    }

    /// Loads a key by one instance, and judges the result.
    pub(super) async fn look(&self, ledger: &mut Ledger, instance: usize) -> Result<Option<Record>, Violation> {
        let found = self.load(instance, &ledger.key).await?;
        self.judge(ledger, instance, found.as_ref()).await?;
        Ok(found)
    }

    /// Loads a key by every instance at once, and judges the results.
    pub(super) async fn look_everywhere(&self, ledger: &mut Ledger) -> Result<(), Violation> {
        let key = ledger.key;
        let loads = join_all((0..INSTANCES).map(|instance| self.load(instance, &key))).await;
        for (instance, found) in loads.into_iter().enumerate() {
            self.judge(ledger, instance, found?.as_ref()).await?;
        }
        Ok(())
    }

    /// Loads many keys, each by every instance.
    pub(super) async fn look_at_all(&self, ledgers: &mut [Ledger]) -> Result<(), Violation> {
        for batch in ledgers.chunks_mut(BATCH / INSTANCES) {
            try_join_all(batch.iter_mut().map(|ledger| self.look_everywhere(ledger))).await?;
        }
        Ok(())
    }

    /// Loads many keys, each by one instance.
    pub(super) async fn look_once_at_all(&self, ledgers: &mut [Ledger]) -> Result<(), Violation> {
        for batch in ledgers.chunks_mut(BATCH) {
            try_join_all(batch.iter_mut().enumerate().map(|(number, ledger)| self.look(ledger, number + 1))).await?;
        }
        Ok(())
    }

    /// Loads some keys again and again, until a load has begun at this instant or later.
    pub(super) async fn watch(&self, ledgers: &mut [Ledger], until: Timestamp) -> Result<Ledger, Violation> {
        // Some stores do delayed work only when they are asked for something.
        let mut traffic = Ledger::new(self.random_key()?);
        for round in 0.. {
            let is_last = round >= FEWEST_LOOKS && now().has_reached(until);
            self.write(&mut traffic, round, self.session(round)?).await?;
            self.look_everywhere(&mut traffic).await?;
            self.look_at_all(ledgers).await?;
            if is_last {
                break;
            }
            give_way().await;
        }
        Ok(traffic)
    }

    /// Judges the result of a load that began after the last entry of the ledger and has just been answered.
    pub(super) async fn judge(
        &self,
        ledger: &mut Ledger,
        instance: usize,
        found: Option<&Record>,
    ) -> Result<(), Violation> {
        let latest = ledger.latest();
        let was_seen = ledger.seen.get(&instance) == Some(&ledger.stored.len());
        let verdict = |promise, found: String| Err(self.broken(promise, describe(latest), found));
        let Some(found) = found else {
            return match latest {
                None => Ok(()),
                Some(latest) if may_be_deleted(latest) => Ok(()),
                // The record was there before, or is also missing for a swap.
                Some(latest) if was_seen || !self.is_in_place(&ledger.key, latest).await? => {
                    verdict(Promise::StaysStored, "nothing".to_owned())
                }
                Some(_) => verdict(Promise::SeesAnswered, "nothing".to_owned()),
            };
        };
        let Some(stored) = ledger.stored.iter().rfind(|stored| stored.tag == found.tag) else {
            return match ledger.never.get(&found.tag) {
                Some(promise) => verdict(*promise, describe(Some(found))),
                None => verdict(Promise::KeysApart, format!("{}, which was not stored here", describe(Some(found)))),
            };
        };
        if stored != found {
            let what = if stored.body == found.body { "delete_after" } else { "body" };
            return verdict(
                Promise::LoadedWhole,
                format!("{} with another {what} than was stored", describe(Some(found))),
            );
        }
        match latest {
            Some(latest) if latest.tag != found.tag => {
                // Either this load does not see the latest record, or a replaced record was put in place again.
                let is_stale = self.is_in_place(&ledger.key, latest).await?;
                let promise = if is_stale { Promise::SeesAnswered } else { Promise::AppliedOnce };
                verdict(promise, format!("{}, which had been replaced", describe(Some(found))))
            }
            _ => {
                ledger.seen.insert(instance, ledger.stored.len());
                ledger.found_at = Some(now());
                Ok(())
            }
        }
    }

    /// Asks by a swap whether this record is stored, where a load said otherwise. The swap leaves its body unchanged.
    async fn is_in_place(&self, key: &RecordKey, record: &Record) -> Result<bool, Violation> {
        let again = self.record_until(record.body.clone(), record.delete_after)?;
        Ok(self.swap(0, key, Some(record.tag), &again).await? == Swap::Stored)
    }

    pub(super) fn instance(&self, instance: usize) -> &S {
        let [first, second, third, fourth] = &self.instances.stores;
        match instance % INSTANCES {
            0 => first,
            1 => second,
            2 => third,
            _ => fourth,
        }
    }
}

/// What a check saw of a store that did nothing wrong.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) ledgers: Vec<Ledger>,
    pub(super) not_observed: Vec<Promise>,
}

impl Outcome {
    pub(super) fn add(&mut self, other: impl Into<Self>) {
        let Self { ledgers, not_observed } = other.into();
        self.ledgers.extend(ledgers);
        self.not_observed.extend(not_observed);
    }
}

impl From<Vec<Ledger>> for Outcome {
    fn from(ledgers: Vec<Ledger>) -> Self {
        Self { ledgers, not_observed: Vec::new() }
    }
}

/// The history of one key.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) key: RecordKey,
    /// The stored records, the latest last.
    stored: Vec<Record>,
    /// The tags that must not be found, each with the promise that is broken if it is found.
    never: HashMap<Tag, Promise>,
    /// How many records were stored when each instance last loaded the latest.
    seen: HashMap<usize, usize>,
    /// When the latest record was last found.
    found_at: Option<Timestamp>,
}

impl Ledger {
    /// Makes the ledger of a key without a record.
    pub(super) fn new(key: RecordKey) -> Self {
        Self { key, stored: Vec::new(), never: HashMap::new(), seen: HashMap::new(), found_at: None }
    }

    /// Tells whether the latest record was found at this instant or later.
    pub(super) fn was_found_since(&self, instant: Timestamp) -> bool {
        self.found_at.is_some_and(|found_at| found_at.has_reached(instant))
    }

    pub(super) fn latest(&self) -> Option<&Record> {
        self.stored.last()
    }

    /// Returns the tag that the next swap must expect.
    pub(super) fn expected(&self) -> Option<Tag> {
        self.latest().map(|record| record.tag)
    }

    /// Returns the tags of all replaced records, the latest first. None of them is right any more.
    pub(super) fn replaced(&self) -> impl Iterator<Item = Tag> {
        self.stored.iter().rev().skip(1).map(|record| record.tag)
    }

    /// Tells whether exactly this record was stored at some time.
    pub(super) fn has_stored(&self, record: &Record) -> bool {
        self.stored.iter().any(|stored| stored == record)
    }

    /// Notes that this record was stored.
    pub(super) fn stored(&mut self, record: Record) {
        self.stored.push(record);
    }

    /// Notes that this record was not stored and must not be found.
    pub(super) fn never(&mut self, record: &Record, promise: Promise) {
        self.never.insert(record.tag, promise);
    }

    fn promise_of_swap(&self) -> Promise {
        if self.stored.is_empty() { Promise::InsertsIfAbsent } else { Promise::ComparesTag }
    }
}

pub(super) fn now() -> Timestamp {
    SystemClock.now()
}

/// Tells whether a load that has just been answered can have found that the record was deleted. A server's clock can be
/// a little ahead.
pub(super) fn may_be_deleted(record: &Record) -> bool {
    now().after(TOLERANCE).has_reached(record.delete_after)
}

/// Lets other tasks go on.
pub(super) async fn give_way() {
    let mut gave_way = false;
    poll_fn(|context| {
        if gave_way {
            return Poll::Ready(());
        }
        gave_way = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Enough that an instance other than the two that wrote can read a value back.
pub(super) const INSTANCES: usize = 4;

/// How many calls are in progress at once, at most.
pub(super) const BATCH: usize = 64;

pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);

/// For how long the suite watches whether a swap is done late or twice.
pub(super) const LATE: Duration = Duration::from_millis(500);

const FEWEST_LOOKS: usize = 20;

/// By how much the server's clock can be ahead of this clock.
const TOLERANCE: Duration = Duration::from_millis(250);
