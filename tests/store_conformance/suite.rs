//! The suite for stores lets the good one pass, and says of each broken one which promise it breaks.

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use otp_grant::id::{RecordKey, Tag};
use otp_grant::store::conformance::{self, Promise, Report, Violation};
use otp_grant::store::{Record, Swap};
use otp_grant::time::{Clock, SystemClock, Timestamp};
use otp_grant::{MemoryStore, Store};
use pollster::block_on;
use serde_json::Value;
use tokio::task::yield_now;

#[test]
fn the_memory_store_passes() {
    let records = Arc::new(Counted::default());
    let start = Instant::now();
    let report = block_on(conformance::all(|| async { Ok(records.clone()) })).unwrap();
    // It deletes a record when others are inserted near it, and of these there may be none.
    assert!(report.not_observed().iter().all(|promise| *promise == Promise::DeletedAltogether));
    let (kept, calls) = (records.inner.len(), records.calls.load(SeqCst));
    println!("{calls} calls in {:?}; {kept} records are kept", start.elapsed());
    let hour = SystemClock.now().after(Duration::from_secs(3600));
    assert!(records.inner.records().iter().all(|(_, record)| hour.has_reached(record.delete_after)));
}

#[test]
fn each_check_passes_alone() {
    let records = Arc::new(MemoryStore::new());
    let make = || async { Ok(records.clone()) };
    block_on(async {
        conformance::swaps_only_what_was_expected(make).await?;
        conformance::inserts_only_where_nothing_is(make).await?;
        conformance::loads_records_whole(make).await?;
        conformance::applies_swaps_once(make).await?;
        conformance::sees_what_was_answered(make).await?;
        conformance::lets_one_swap_win(make).await?;
        conformance::loses_no_update(make).await?;
        conformance::survives_dropped_calls(make).await?;
        conformance::keeps_keys_apart(make).await?;
        conformance::keeps_records_until_delete_after(make).await?;
        conformance::deletes_for_all_or_nobody(make).await
    })
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runtime_can_run_it_as_a_task() {
    let records = Arc::new(Database::with(Fault::Slow));
    tokio::spawn(conformance::all(connections(&records))).await.unwrap().unwrap();
    println!("{} calls where each takes a millisecond", records.calls.load(SeqCst));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_is_not_blamed() {
    let disk = Arc::new((MemoryStore::new(), tokio::sync::Mutex::new(())));
    let make = || async { Ok(SlowDisk(disk.clone())) };
    let report = conformance::keeps_records_until_delete_after(make).await.unwrap();
    // Nor is it praised: it had no time to look at a record shortly before its end.
    assert_eq!(report.not_observed(), [Promise::StaysStored]);
    let said = report.complete().unwrap_err().to_string();
    assert!(said.starts_with("not observed: what was stored stays stored until its `delete_after`;"), "{said}");
}

#[test]
fn a_store_that_deletes_in_time_is_seen_to_keep_every_promise() {
    let database = Arc::new(Database::with(Fault::None));
    let report = block_on(conformance::all(connections(&database))).unwrap();
    assert_eq!((report.not_observed(), report.clone().complete()), (&[][..], Ok(())));
}

#[test]
fn a_member_that_a_format_has_no_place_for() {
    // Every member of the records that the suite writes, without which a record can still be read, and is another one.
    let written = Arc::new(Written::default());
    block_on(conformance::loads_records_whole(|| async { Ok(written.clone()) })).unwrap();
    let records = std::mem::take(&mut *written.records.lock().unwrap());
    let mut paths = BTreeSet::new();
    for record in &records {
        collect_paths(record, &mut Vec::new(), &mut paths);
    }
    let is_lost = |path: &Vec<String>| {
        records.iter().any(|record| {
            let mut without = record.clone();
            remove(&mut without, path);
            let [whole, without] = [record.clone(), without].map(serde_json::from_value::<Record>);
            without.is_ok_and(|without| without != whole.unwrap())
        })
    };
    let optional: Vec<_> = paths.into_iter().filter(is_lost).collect();
    let names: Vec<_> = optional.iter().map(|path| path.join(".")).collect();
    println!("{names:?}");
    for known in [
        "body.session.d",
        "body.session.t",
        "body.session.k",
        "body.session.w",
        "body.authenticator.c.*.s",
        "body.session.2.j",
    ] {
        assert!(names.iter().any(|name| name == known), "{known}");
    }
    for path in optional {
        let forgetful = Arc::new(Forgetful { inner: MemoryStore::new(), path });
        let make = || async { Ok(forgetful.clone()) };
        let violation = block_on(conformance::loads_records_whole(make)).err();
        let promise = violation.as_ref().and_then(Violation::promise);
        assert_eq!(promise, Some(Promise::LoadedWhole), "without {:?}: {violation:?}", forgetful.path);
    }
}

#[test]
fn a_tag_outlives_its_value() {
    is_caught(Fault::TagOutlivesValue, Promise::DeletedAltogether);
}

#[test]
fn a_store_that_keeps_everything_for_some_time_deletes_early_after_it() {
    // While it keeps everything nothing is seen of it, and that is said.
    let database = Arc::new(Database::with(Fault::EarlyAfterFourSeconds));
    let report = block_on(conformance::all(connections(&database))).unwrap();
    assert_eq!(report.not_observed(), [Promise::DeletedAltogether]);
    let within =
        |database: &Arc<Database>| block_on(conformance::all_within(Duration::from_secs(4), connections(database)));
    is_caught_by(within, Fault::EarlyAfterFourSeconds, Promise::StaysStored);
}

#[test]
fn a_swap_that_is_not_atomic() {
    is_caught(Fault::NotAtomic, Promise::AtomicSwap);
    let lost = |database: &Arc<Database>| block_on(conformance::loses_no_update(connections(database)));
    is_caught_by(lost, Fault::NotAtomic, Promise::AtomicSwap);
}

#[test]
fn the_last_write_wins() {
    is_caught(Fault::LastWriteWins, Promise::ComparesTag);
    let race = |database: &Arc<Database>| block_on(conformance::lets_one_swap_win(connections(database)));
    is_caught_by(race, Fault::LastWriteWins, Promise::AtomicSwap);
}

#[test]
fn a_load_is_stale_for_a_while() {
    is_caught(Fault::StaleForAWhile, Promise::SeesAnswered);
    is_caught(Fault::StaleCache, Promise::SeesAnswered);
}

#[test]
fn an_insert_overwrites() {
    is_caught(Fault::IgnoresNone, Promise::InsertsIfAbsent);
}

#[test]
fn a_record_expires_early() {
    is_caught(Fault::ExpiresASecondEarly, Promise::StaysStored);
}

#[test]
fn a_deadline_is_cut_to_seconds() {
    is_caught(Fault::WholeSeconds, Promise::StaysStored);
}

#[test]
fn a_swap_is_applied_twice() {
    is_caught(Fault::AppliesTwice, Promise::AppliedOnce);
    let once = |database: &Arc<Database>| block_on(conformance::applies_swaps_once(connections(database)));
    is_caught_by(once, Fault::AppliesTwice, Promise::AppliedOnce);
}

#[test]
fn a_conflict_changes_the_deadline() {
    is_caught(Fault::ConflictMovesDeadline, Promise::LoadedWhole);
}

#[test]
fn a_deadline_is_cut_to_the_numbers_of_a_database() {
    is_caught(Fault::SignedDeadline, Promise::LoadedWhole);
}

#[test]
fn tag_and_body_are_read_one_after_the_other() {
    is_caught(Fault::TornLoads, Promise::LoadedWhole);
}

#[test]
fn tags_are_compared_without_case() {
    is_caught(Fault::IgnoresCaseOfTags, Promise::ComparesTag);
}

#[test]
fn keys_are_cut_off() {
    // Two random keys can begin with zero, and another check can then be the first to notice.
    let apart = |database: &Arc<Database>| block_on(conformance::keeps_keys_apart(connections(database)));
    is_caught_by(apart, Fault::KeysEndAtZero, Promise::KeysApart);
}

#[test]
fn a_cache_is_full() {
    is_caught(Fault::Evicts, Promise::StaysStored);
}

#[test]
fn a_record_is_hidden_before_it_is_deleted() {
    is_caught(Fault::HidesExpired, Promise::DeletedAltogether);
}

#[test]
fn a_dropped_swap_goes_on_without_comparing() {
    is_caught(Fault::DroppedSwapsGoOn, Promise::AtomicSwap);
    let dropped = |database: &Arc<Database>| block_on(conformance::survives_dropped_calls(connections(database)));
    is_caught_by(dropped, Fault::DroppedSwapsGoOn, Promise::AtomicSwap);
}

#[test]
fn a_dropped_call_leaves_its_answer_to_the_next() {
    is_caught(Fault::AnswersStayBehind, Promise::KeysApart);
}

#[test]
fn a_call_fails() {
    let database = Arc::new(Database::with(Fault::GoesDown));
    let violation = block_on(conformance::all(connections(&database))).unwrap_err();
    println!("{violation}: {}", violation.source().unwrap());
    assert_eq!(violation.promise(), None);
    assert!(violation.source().unwrap().downcast_ref::<Down>().is_some());
    assert!(violation.to_string().contains("` failed"), "{violation}");
}

#[test]
fn a_store_can_not_be_made() {
    let make = || async { Err::<Connection, _>(Down) };
    let violation = block_on(conformance::loses_no_update(make)).unwrap_err();
    assert_eq!(violation.to_string(), "making a store failed (loses_no_update)");
    assert_eq!((violation.promise(), violation.check()), (None, "loses_no_update"));
    assert!(violation.source().unwrap().downcast_ref::<Down>().is_some());
}

#[track_caller]
fn is_caught(fault: Fault, promise: Promise) {
    is_caught_by(|database| block_on(conformance::all(connections(database))), fault, promise);
}

#[track_caller]
fn is_caught_by(check: impl Fn(&Arc<Database>) -> Result<Report, Violation>, fault: Fault, promise: Promise) {
    let start = Instant::now();
    let violation = check(&Arc::new(Database::with(fault))).err().unwrap_or_else(|| panic!("{fault:?} was not found"));
    println!("{fault:?}, found after {:?}: {violation}", start.elapsed());
    assert_eq!(violation.promise(), Some(promise), "{violation}");
    assert!(violation.source().is_none());
}

fn connections(database: &Arc<Database>) -> impl Fn() -> std::future::Ready<Result<Connection, Down>> + use<> {
    let database = database.clone();
    move || std::future::ready(Ok(Connection::to(&database)))
}

/// What a store does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// It deletes what may be deleted when it is asked for it.
    None,
    /// None, but each call takes a while.
    Slow,
    NotAtomic,
    LastWriteWins,
    /// As a replica does that lags.
    StaleForAWhile,
    /// As a cache of each instance does.
    StaleCache,
    IgnoresNone,
    ExpiresASecondEarly,
    /// It keeps everything for four seconds, and then until 0.7 seconds before it should.
    EarlyAfterFourSeconds,
    WholeSeconds,
    /// As a queue of writes does that is sent again.
    AppliesTwice,
    ConflictMovesDeadline,
    SignedDeadline,
    TornLoads,
    /// As a column of text does, under many a collation.
    IgnoresCaseOfTags,
    KeysEndAtZero,
    /// As a cache does that has room for so many.
    Evicts,
    /// Loads only what has not expired, but does not insert where something has.
    HidesExpired,
    /// Deletes the value in the second after it expires, and never its tag.
    TagOutlivesValue,
    DroppedSwapsGoOn,
    AnswersStayBehind,
    GoesDown,
}

#[derive(Debug)]
struct Down;

impl std::fmt::Display for Down {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the store is down")
    }
}

impl Error for Down {}

/// Where the records are kept, for all connections.
struct Database {
    fault: Fault,
    rows: Mutex<HashMap<Vec<u8>, Row>>,
    calls: AtomicUsize,
    /// To be written once more.
    again: Mutex<Vec<(Instant, Vec<u8>, Record)>>,
}

struct Row {
    written_at: Timestamp,
    record: Record,
    previous: Option<Record>,
    stale_loads: usize,
}

impl Database {
    fn with(fault: Fault) -> Self {
        Self { fault, rows: Mutex::default(), calls: AtomicUsize::new(0), again: Mutex::default() }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn compares(&self, key: &[u8], expected: Option<Tag>) -> bool {
        if self.is(Fault::None) {
            // What has expired is deleted first.
            drop(self.read(key));
        }
        let rows = self.rows.lock().unwrap();
        match (rows.get(key), expected) {
            _ if self.is(Fault::LastWriteWins) => true,
            (_, None) if self.is(Fault::IgnoresNone) => true,
            (Some(row), Some(tag)) if self.is(Fault::IgnoresCaseOfTags) => {
                String::from(row.record.tag).eq_ignore_ascii_case(&String::from(tag))
            }
            (Some(row), Some(tag)) => row.record.tag == tag,
            (None, None) => true,
            _ => false,
        }
    }

    fn write(&self, key: &[u8], next: &Record) {
        let mut next = next.clone();
        if self.is(Fault::SignedDeadline) {
            let millis = next.delete_after.as_unix_millis().min(i64::MAX as u64);
            next.delete_after = Timestamp::from_unix_millis(millis);
        }
        let mut rows = self.rows.lock().unwrap();
        if self.is(Fault::Evicts) && rows.len() == 5000 {
            let oldest = rows.keys().next().unwrap().clone();
            rows.remove(&oldest);
        }
        let previous = rows.remove(key).map(|row| row.record);
        rows.insert(key.to_vec(), Row { written_at: SystemClock.now(), record: next, previous, stale_loads: 3 });
    }

    fn compare_and_write(&self, key: &[u8], expected: Option<Tag>, next: &Record) -> Swap {
        if self.compares(key, expected) {
            self.write(key, next);
            Swap::Stored
        } else {
            Swap::Conflict
        }
    }

    fn read(&self, key: &[u8]) -> Option<Record> {
        let mut rows = self.rows.lock().unwrap();
        let row = rows.get_mut(key)?;
        let second = Duration::from_secs(1);
        let expires_at = match self.fault {
            Fault::None => row.record.delete_after,
            Fault::TagOutlivesValue => row.record.delete_after.after(second).whole_second(),
            Fault::EarlyAfterFourSeconds => {
                row.record.delete_after.before(Duration::from_millis(700)).max(row.written_at.after(4 * second))
            }
            Fault::ExpiresASecondEarly => row.record.delete_after.before(Duration::from_secs(1)),
            Fault::WholeSeconds => row.record.delete_after.whole_second(),
            Fault::HidesExpired => row.record.delete_after,
            _ => Timestamp::from_unix_millis(u64::MAX),
        };
        if SystemClock.now().has_reached(expires_at) {
            if !self.is(Fault::HidesExpired) && !self.is(Fault::TagOutlivesValue) {
                rows.remove(key);
            }
            return None;
        }
        if self.is(Fault::StaleForAWhile) && row.stale_loads > 0 {
            row.stale_loads -= 1;
            return row.previous.clone();
        }
        Some(row.record.clone())
    }
}

struct Connection {
    database: Arc<Database>,
    /// With how often each has been used.
    cache: Mutex<HashMap<RecordKey, (Option<Record>, usize)>>,
    /// An answer that nobody has taken.
    left_behind: Mutex<Option<Option<Record>>>,
}

impl Connection {
    fn to(database: &Arc<Database>) -> Self {
        Self { database: database.clone(), cache: Mutex::default(), left_behind: Mutex::default() }
    }

    async fn enter(&self, key: &RecordKey) -> Result<Vec<u8>, Down> {
        let calls = self.database.calls.fetch_add(1, SeqCst);
        if self.database.is(Fault::GoesDown) && calls > 500 {
            return Err(Down);
        }
        if self.database.is(Fault::Slow) {
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
        let mut key = key.as_bytes().to_vec();
        if self.database.is(Fault::KeysEndAtZero) {
            key.truncate(key.iter().position(|byte| *byte == 0).unwrap_or(32));
        }
        Ok(key)
    }

    /// Writes what is due once more, over what has replaced it. Where nothing has within a second, nothing would show.
    fn write_again(&self) {
        let mut again = self.database.again.lock().unwrap();
        let mut waiting = Vec::new();
        for (at, key, record) in std::mem::take(&mut *again) {
            let is_replaced = |row: &Row| row.record.tag != record.tag;
            if at.elapsed() <= Duration::from_millis(300) {
                waiting.push((at, key, record));
            } else if self.database.rows.lock().unwrap().get(&key).is_none_or(is_replaced) {
                self.database.write(&key, &record);
            } else if at.elapsed() < Duration::from_secs(1) {
                waiting.push((at, key, record));
            }
        }
        *again = waiting;
    }
}

impl Store for Connection {
    type Error = Down;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, Down> {
        let database = &self.database;
        let row = self.enter(key).await?;
        match database.fault {
            Fault::StaleCache => {
                if let Some((cached, uses)) = self.cache.lock().unwrap().get_mut(key) {
                    *uses += 1;
                    if *uses < 5 {
                        return Ok(cached.clone());
                    }
                }
                let found = database.read(&row);
                self.cache.lock().unwrap().insert(*key, (found.clone(), 0));
                Ok(found)
            }
            Fault::TornLoads => {
                let first = database.read(&row);
                yield_now().await;
                let second = database.read(&row);
                Ok(first.zip(second).map(|(first, second)| Record::new(second.tag, first.delete_after, first.body)))
            }
            Fault::AnswersStayBehind => {
                let left = self.left_behind.lock().unwrap().take();
                let mut unread = Unread(self, Some(left.unwrap_or_else(|| database.read(&row))));
                yield_now().await;
                Ok(unread.1.take().unwrap())
            }
            _ => {
                self.write_again();
                Ok(database.read(&row))
            }
        }
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, Down> {
        let database = &self.database;
        let row = self.enter(key).await?;
        match database.fault {
            Fault::NotAtomic => {
                let compares = database.compares(&row, expected);
                yield_now().await;
                if compares {
                    database.write(&row, next);
                    return Ok(Swap::Stored);
                }
                Ok(Swap::Conflict)
            }
            Fault::AppliesTwice => {
                let swapped = database.compare_and_write(&row, expected, next);
                let mut again = database.again.lock().unwrap();
                // One at a time for a key: the last of several would put the latest record back, as if the load before
                // it had been stale.
                if swapped == Swap::Stored && !again.iter().any(|(_, key, _)| *key == row) {
                    again.push((Instant::now(), row, next.clone()));
                }
                Ok(swapped)
            }
            Fault::ConflictMovesDeadline => {
                let swapped = database.compare_and_write(&row, expected, next);
                if let Some(stored) = database.rows.lock().unwrap().get_mut(&row) {
                    stored.record.delete_after = next.delete_after;
                }
                Ok(swapped)
            }
            Fault::DroppedSwapsGoOn => {
                let (compares, on_its_way) = (database.compares(&row, expected), OnItsWay(database, &row, next));
                yield_now().await;
                std::mem::forget(on_its_way);
                if compares {
                    return Ok(database.compare_and_write(&row, expected, next));
                }
                Ok(Swap::Conflict)
            }
            _ => Ok(database.compare_and_write(&row, expected, next)),
        }
    }
}

/// A swap that was sent; once dropped, it is written at some time.
struct OnItsWay<'a>(&'a Database, &'a [u8], &'a Record);

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        let Self(database, key, next) = *self;
        database.again.lock().unwrap().push((Instant::now(), key.to_vec(), next.clone()));
    }
}

/// An answer that is on its way; once dropped, the next call takes it for its own.
struct Unread<'a>(&'a Connection, Option<Option<Record>>);

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        if let Some(answer) = self.1.take() {
            *self.0.left_behind.lock().unwrap() = Some(answer);
        }
    }
}

/// Notes the path to every member of every object, with `*` for the elements of arrays.
fn collect_paths(value: &Value, path: &mut Vec<String>, paths: &mut BTreeSet<Vec<String>>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(elements) => elements.iter().map(|value| ("*".to_owned(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in members {
        path.push(name);
        paths.insert(path.clone());
        collect_paths(value, path, paths);
        path.pop();
    }
}

/// Removes what a path leads to.
fn remove(value: &mut Value, path: &[String]) {
    match (value, path) {
        (Value::Object(members), [name]) => drop(members.remove(name)),
        (Value::Object(members), [name, rest @ ..]) => {
            if let Some(value) = members.get_mut(name) {
                remove(value, rest);
            }
        }
        (Value::Array(elements), [_]) => elements.clear(),
        (Value::Array(elements), [_, rest @ ..]) => elements.iter_mut().for_each(|value| remove(value, rest)),
        _ => {}
    }
}

/// A good store that notes what is written.
#[derive(Default)]
struct Written {
    inner: MemoryStore,
    records: Mutex<Vec<Value>>,
}

impl Store for Written {
    type Error = std::convert::Infallible;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, Self::Error> {
        self.inner.load(key).await
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, Self::Error> {
        self.records.lock().unwrap().push(serde_json::to_value(next).unwrap());
        self.inner.swap(key, expected, next).await
    }
}

/// An adapter whose format has no place for one member.
struct Forgetful {
    inner: MemoryStore,
    path: Vec<String>,
}

impl Store for Forgetful {
    type Error = std::convert::Infallible;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, Self::Error> {
        self.inner.load(key).await
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, Self::Error> {
        let mut value = serde_json::to_value(next).unwrap();
        remove(&mut value, &self.path);
        // Where it can't be left out, it is kept.
        let kept = serde_json::from_value(value).unwrap_or_else(|_| next.clone());
        self.inner.swap(key, expected, &kept).await
    }
}

/// A good store that counts its calls.
#[derive(Default)]
struct Counted {
    inner: MemoryStore,
    calls: AtomicUsize,
}

impl Store for Counted {
    type Error = std::convert::Infallible;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, Self::Error> {
        self.calls.fetch_add(1, SeqCst);
        self.inner.load(key).await
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, Self::Error> {
        self.calls.fetch_add(1, SeqCst);
        self.inner.swap(key, expected, next).await
    }
}

/// A store whose writers wait for one another. What has expired is gone for a load.
struct SlowDisk(Arc<(MemoryStore, tokio::sync::Mutex<()>)>);

impl Store for SlowDisk {
    type Error = std::convert::Infallible;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, Self::Error> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let Ok(found) = self.0.0.load(key).await;
        Ok(found.filter(|record| !SystemClock.now().has_reached(record.delete_after)))
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, Self::Error> {
        let _turn = self.0.1.lock().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.0.0.swap(key, expected, next).await
    }
}
