//! The store: calls are counted, and those that are planned to go wrong. In a run of requests each call also waits once
//! before it takes effect, so that whoever polls decides when that is.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use otp_grant::id::{RecordKey, Tag};
use otp_grant::store::{Record, Swap};
use otp_grant::time::Timestamp;
use otp_grant::*;

use crate::{Broken, ManualClock, waits};

/// What goes wrong at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mishap {
    FailBefore,
    FailAfter,
    /// The call fails, and a swap is applied later: when the next call arrives, or in a run when the run says so, or
    /// never.
    Late,
    /// A swap is applied twice, as a driver that retries would: the answer is a conflict.
    Twice,
    /// The call fails after it was applied, and after somebody else wrote on top of it.
    Overwritten,
    /// The call is answered only after many other tasks had their turn.
    Slow,
    /// A load answers the record as it was before its latest swap.
    Stale,
    /// The request is dropped before the call.
    DropBefore,
    /// The request is dropped after the call took effect.
    DropAfter,
    /// The directory does not answer. The calls that are counted for this are its own.
    DirectoryFails,
    /// The signer does not sign. The calls that are counted for this are its own.
    SignerFails,
    /// The store is down for as long as the run says so.
    Outage,
}

/// A part of the host that can be down for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Store,
    /// What the directory knows of users, not of clients.
    Users,
    Directory,
    Signer,
}

/// What goes wrong, at which call of which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    pub request: usize,
    pub call: usize,
    pub mishap: Mishap,
}

/// What a call did.
pub enum Effect<'a> {
    Loaded,
    /// A swap, and the record that is in place now if it was applied.
    Swapped(Option<&'a Record>),
    /// The store deleted a record that had expired.
    Deleted,
}

/// A request that has not begun, or goes on.
pub type Request<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// How far a request got.
pub enum Polled<T> {
    Answered(T),
    Waits,
    Dropped,
}

/// A store behind counters, yields and mishaps, over whatever keeps the records.
pub struct TestStore<R = MemoryStore> {
    pub inner: R,
    pub calls: AtomicUsize,
    /// Yields before and after each call.
    pub yields: AtomicUsize,
    /// Whether every call fails.
    pub down: AtomicBool,
    state: Mutex<State>,
    /// The request that is being polled.
    polled: Arc<AtomicUsize>,
    watcher: Option<Box<Watcher>>,
    parts_down: Mutex<Vec<Part>>,
}

/// A store that goes step by step, and keeps what each swap replaced.
pub type SteppedStore = TestStore<Versions>;

type Watcher = dyn Fn(usize, &RecordKey, Effect<'_>) + Send + Sync;

#[derive(Default)]
struct State {
    /// What goes wrong at a call, by the number of the call.
    faults: HashMap<usize, Mishap>,
    requests: Vec<Progress>,
    planned: Vec<Planned>,
    struck: Vec<(usize, Mishap)>,
    /// What was stored although the answer was a failure.
    stored_all_the_same: Option<Record>,
    dropped: Option<usize>,
    late: Vec<LateSwap>,
}

/// What keeps the records, each operation at once.
pub trait Records: Send + Sync {
    fn get(&self, key: &RecordKey) -> Option<Record>;

    fn put(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Swap;

    /// What the latest swap of a key replaced, where that is kept.
    fn replaced(&self, key: &RecordKey) -> Option<Option<Record>>;
}

impl Records for MemoryStore {
    fn get(&self, key: &RecordKey) -> Option<Record> {
        let Ok(record) = at_once(self.load(key));
        record
    }

    fn put(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Swap {
        let Ok(swap) = at_once(self.swap(key, expected, next));
        swap
    }

    fn replaced(&self, _: &RecordKey) -> Option<Option<Record>> {
        None
    }
}

/// Records of which none is deleted but by [`SteppedStore::sweep`].
#[derive(Default)]
pub struct Versions(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    records: HashMap<RecordKey, Record>,
    replaced: HashMap<RecordKey, Option<Record>>,
    writes: usize,
}

impl Records for Versions {
    fn get(&self, key: &RecordKey) -> Option<Record> {
        self.0.lock().unwrap().records.get(key).cloned()
    }

    fn put(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Swap {
        let mut kept = self.0.lock().unwrap();
        if kept.records.get(key).map(|record| record.tag) != expected {
            return Swap::Conflict;
        }
        kept.writes += 1;
        let replaced = kept.records.insert(*key, next.clone());
        kept.replaced.insert(*key, replaced);
        Swap::Stored
    }

    fn replaced(&self, key: &RecordKey) -> Option<Option<Record>> {
        self.0.lock().unwrap().replaced.get(key).cloned()
    }
}

/// What a future answers that never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits"),
    }
}

/// How many calls a request has begun, and which it waits for.
#[derive(Clone, Default)]
struct Progress {
    calls: usize,
    directory_calls: usize,
    signer_calls: usize,
    waits_for: Option<Call>,
}

/// A call: of which record, and what a swap expects there.
#[derive(Clone, Copy)]
struct Call {
    key: RecordKey,
    expects: Option<Option<Tag>>,
}

/// What a call does to a record, or would do now.
#[derive(Clone, Copy)]
pub(super) struct Touch {
    pub(super) key: RecordKey,
    pub(super) is_load: bool,
    /// Whether it puts another version in place; a swap that meets another tag only reads it.
    pub(super) writes: bool,
}

struct LateSwap {
    request: usize,
    key: RecordKey,
    expected: Option<Tag>,
    next: Record,
}

impl TestStore {
    pub fn new(clock: ManualClock) -> Self {
        Self::over(MemoryStore::with_clock(clock))
    }
}

impl Default for SteppedStore {
    fn default() -> Self {
        Self::over(Versions::default())
    }
}

impl SteppedStore {
    /// A store that tells what its calls did: of which request, and on which record. `polled` is the request whose turn
    /// it is.
    pub fn watched(
        polled: Arc<AtomicUsize>,
        watcher: impl Fn(usize, &RecordKey, Effect<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self { polled, watcher: Some(Box::new(watcher)), ..Self::default() }
    }

    pub fn records(&self) -> HashMap<RecordKey, Record> {
        self.inner.0.lock().unwrap().records.clone()
    }

    /// Begins a run with these records. Without requests no call waits.
    pub fn begin(&self, records: HashMap<RecordKey, Record>, requests: usize, planned: Option<Planned>) {
        let (requests, planned) = (vec![Progress::default(); requests], planned.into_iter().collect());
        *self.inner.0.lock().unwrap() = Kept { records, ..Kept::default() };
        *self.state.lock().unwrap() = State { requests, planned, ..State::default() };
    }

    /// Deletes what may be deleted.
    pub fn sweep(&self, now: Timestamp) {
        let mut kept = self.inner.0.lock().unwrap();
        let due = |(key, record): (&RecordKey, &Record)| now.has_reached(record.delete_after).then_some(*key);
        let mut due: Vec<RecordKey> = kept.records.iter().filter_map(due).collect();
        due.sort_unstable();
        for key in due {
            kept.replaced.remove(&key);
            kept.records.remove(&key);
            self.tell(usize::MAX, &key, Effect::Deleted);
        }
    }

    /// How many swaps were applied in this run.
    pub(super) fn writes(&self) -> usize {
        self.inner.0.lock().unwrap().writes
    }
}

impl<R: Records> TestStore<R> {
    fn over(inner: R) -> Self {
        let (calls, yields, down, state, polled, watcher, parts_down) = Default::default();
        Self { inner, calls, yields, down, state, polled, watcher, parts_down }
    }

    /// Puts a mishap on the n-th call from now, the first being 0.
    pub fn fault(&self, call: usize, mishap: Mishap) {
        self.state.lock().unwrap().faults.insert(self.calls.load(SeqCst) + call, mishap);
    }

    /// Takes back the mishaps that did not come to pass. A swap that is to be applied late still is.
    pub fn heal(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    /// What was stored although the answer was a failure.
    pub fn stored_all_the_same(&self) -> Option<Record> {
        self.state.lock().unwrap().stored_all_the_same.clone()
    }

    /// Lets a request go on until its n-th call from now, a swap, has taken effect. When it then goes on, the store
    /// tells it that the call failed.
    pub fn hold_when_stored<T>(&self, call: usize, request: &mut Pin<Box<impl Future<Output = T>>>) {
        self.fault(call, Mishap::FailAfter);
        self.yields.store(1, SeqCst);
        while self.stored_all_the_same().is_none() {
            assert!(waits(request), "it ended before it was stored");
        }
        self.yields.store(0, SeqCst);
    }

    /// Adds a request to a run; returns its number.
    pub fn join(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.requests.push(Progress::default());
        state.requests.len() - 1
    }

    pub fn plan(&self, planned: Planned) {
        self.state.lock().unwrap().planned.push(planned);
    }

    /// How many calls each request of the run has begun.
    pub fn calls(&self) -> Vec<usize> {
        self.state.lock().unwrap().requests.iter().map(|request| request.calls).collect()
    }

    pub fn mishap_came_to_pass(&self) -> bool {
        !self.state.lock().unwrap().struck.is_empty()
    }

    /// Whether so many things went wrong.
    pub fn mishaps_came_to_pass(&self, number: usize) -> bool {
        self.state.lock().unwrap().struck.len() >= number
    }

    /// What went wrong, and in which request.
    pub fn struck(&self) -> Vec<(usize, Mishap)> {
        self.state.lock().unwrap().struck.clone()
    }

    /// Whether a swap is still to be applied.
    pub fn has_late_swaps(&self) -> bool {
        !self.state.lock().unwrap().late.is_empty()
    }

    /// Applies a swap that is late.
    pub fn apply_late(&self) {
        let late = {
            let mut state = self.state.lock().unwrap();
            (!state.late.is_empty()).then(|| state.late.remove(0))
        };
        if let Some(LateSwap { request, key, expected, next }) = late {
            let (Swap::Stored | Swap::Conflict) = self.swap_now(request, &key, expected, &next);
        }
    }

    /// Lets a request go on to its next call, which then waits.
    pub fn poll<T>(&self, index: usize, request: &mut Request<'_, T>) -> Polled<T> {
        self.polled.store(index, SeqCst);
        if let Some(progress) = self.state.lock().unwrap().requests.get_mut(index) {
            progress.waits_for = None;
        }
        match request.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Polled::Answered(answer),
            Poll::Pending if self.state.lock().unwrap().dropped == Some(index) => Polled::Dropped,
            Poll::Pending => Polled::Waits,
        }
    }

    /// What the call that a request waits for would do.
    pub(super) fn awaited(&self, index: usize) -> Option<Touch> {
        let state = self.state.lock().unwrap();
        let Call { key, expects } = state.requests[index].waits_for?;
        let found = self.inner.get(&key).map(|record| record.tag);
        Some(Touch { key, is_load: expects.is_none(), writes: expects.is_some_and(|expected| expected == found) })
    }

    /// Says what is down from now on.
    pub fn take_down(&self, parts: &[Part]) {
        *self.parts_down.lock().unwrap() = parts.to_vec();
    }

    /// Counts a call of the directory or the signer by the request whose turn it is. Tells how many such calls the
    /// request had made before, and whether this one is answered.
    pub fn called(&self, part: Part) -> (usize, bool) {
        let request = self.polled.load(SeqCst);
        let is_down = {
            let down = self.parts_down.lock().unwrap();
            down.contains(&part) || part == Part::Users && down.contains(&Part::Directory)
        };
        let mut state = self.state.lock().unwrap();
        let Some(progress) = state.requests.get_mut(request) else { return (0, true) };
        let before = progress.directory_calls + progress.signer_calls;
        let (calls, mishap) = match part {
            Part::Signer => (&mut progress.signer_calls, Mishap::SignerFails),
            _ => (&mut progress.directory_calls, Mishap::DirectoryFails),
        };
        let call = *calls;
        *calls += 1;
        let fails = is_down || state.planned.contains(&Planned { request, call, mishap });
        state.struck.extend(fails.then_some((request, mishap)));
        (before, !fails)
    }

    /// Notes what goes wrong in the request whose turn it is.
    pub fn strike(&self, mishap: Mishap) {
        self.state.lock().unwrap().struck.push((self.polled.load(SeqCst), mishap));
    }

    fn tell(&self, request: usize, key: &RecordKey, effect: Effect<'_>) {
        if let Some(watcher) = &self.watcher {
            watcher(request, key, effect);
        }
    }

    fn swap_now(&self, request: usize, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Swap {
        let swap = self.inner.put(key, expected, next);
        self.tell(request, key, Effect::Swapped((swap == Swap::Stored).then_some(next)));
        swap
    }

    /// Counts a call, waits for its turn, and finds out what goes wrong at it.
    async fn enter(&self, call: Call) -> Result<Option<Mishap>, Broken> {
        let number = self.calls.fetch_add(1, SeqCst);
        if self.down.load(SeqCst) {
            return Err(Broken);
        }
        self.wait().await;
        let is_in_a_run = !self.state.lock().unwrap().requests.is_empty();
        let mishap = if is_in_a_run {
            self.turn(call).await
        } else {
            self.apply_late();
            self.state.lock().unwrap().faults.remove(&number)
        };
        match mishap {
            Some(Mishap::FailBefore | Mishap::Outage) => Err(Broken),
            Some(Mishap::Slow) => {
                for _ in 0..1000 {
                    Yield::default().await;
                }
                Ok(None)
            }
            mishap => Ok(mishap),
        }
    }

    async fn wait(&self) {
        for _ in 0..self.yields.load(SeqCst) {
            Yield::default().await;
        }
    }

    /// In a run: waits for its turn, and finds out what goes wrong at it.
    async fn turn(&self, call: Call) -> Option<Mishap> {
        let request = self.polled.load(SeqCst);
        let number = {
            let mut state = self.state.lock().unwrap();
            let progress = state.requests.get_mut(request)?;
            progress.waits_for = Some(call);
            progress.calls += 1;
            progress.calls - 1
        };
        Yield::default().await;
        let mishap = {
            let mut state = self.state.lock().unwrap();
            let here = |planned: &&Planned| {
                let is_of_store = !matches!(planned.mishap, Mishap::DirectoryFails | Mishap::SignerFails);
                (planned.request, planned.call) == (request, number) && is_of_store
            };
            let mishap = state.planned.iter().find(here).map(|planned| planned.mishap);
            let is_down = self.parts_down.lock().unwrap().contains(&Part::Store);
            let mishap = if is_down { Some(Mishap::Outage) } else { mishap };
            // Nothing is stale where nothing was swapped.
            let mishap = mishap.filter(|mishap| {
                *mishap != Mishap::Stale || call.expects.is_none() && self.inner.replaced(&call.key).is_some()
            });
            state.struck.extend(mishap.map(|mishap| (request, mishap)));
            if mishap == Some(Mishap::DropBefore) {
                state.dropped = Some(request);
            }
            mishap
        };
        if mishap == Some(Mishap::DropBefore) {
            pending::<()>().await;
        }
        mishap
    }

    /// After the call took effect.
    async fn leave(&self, mishap: Option<Mishap>) -> Result<(), Broken> {
        self.wait().await;
        match mishap {
            Some(Mishap::FailAfter | Mishap::Late | Mishap::Overwritten) => Err(Broken),
            Some(Mishap::DropAfter) => {
                self.state.lock().unwrap().dropped = Some(self.polled.load(SeqCst));
                pending().await
            }
            _ => Ok(()),
        }
    }
}

impl<R: Records> Store for TestStore<R> {
    type Error = Broken;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, Broken> {
        let mishap = self.enter(Call { key: *key, expects: None }).await?;
        self.tell(self.polled.load(SeqCst), key, Effect::Loaded);
        let stale = self.inner.replaced(key).filter(|_| mishap == Some(Mishap::Stale));
        let record = stale.unwrap_or_else(|| self.inner.get(key));
        self.leave(mishap).await?;
        Ok(record)
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, Broken> {
        let mishap = self.enter(Call { key: *key, expects: Some(expected) }).await?;
        let request = self.polled.load(SeqCst);
        if mishap == Some(Mishap::Late) {
            let late = LateSwap { request, key: *key, expected, next: next.clone() };
            self.state.lock().unwrap().late.push(late);
            return Err(Broken);
        }
        let mut swap = self.swap_now(request, key, expected, next);
        match mishap {
            Some(Mishap::Twice) => swap = self.swap_now(request, key, expected, next),
            Some(Mishap::Overwritten) => {
                let overwritten = Record::new(Tag::from_bytes([9; Tag::LEN]), next.delete_after, next.body.clone());
                let (Swap::Stored | Swap::Conflict) = self.swap_now(request, key, Some(next.tag), &overwritten);
            }
            Some(Mishap::FailAfter) if swap == Swap::Stored => {
                self.state.lock().unwrap().stored_all_the_same = Some(next.clone());
            }
            _ => {}
        }
        self.leave(mishap).await?;
        Ok(swap)
    }
}

#[derive(Default)]
pub(crate) struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
