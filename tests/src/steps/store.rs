//! The store of the search. Each call waits once before it takes effect, and goes wrong if this is planned.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use otp_grant::*;

use crate::{Broken, Yield};

/// What goes wrong at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mishap {
    FailBefore,
    FailAfter,
    /// The call fails, and a swap is applied at any later time, or never.
    Late,
    /// A swap is applied twice, as a driver that retries does. The answer is a conflict.
    Twice,
    /// A load returns the record as it was before its latest swap.
    Stale,
    /// The request is dropped before the call.
    DropBefore,
    /// The request is dropped after the call took effect.
    DropAfter,
    /// The directory does not answer. The number of the call counts only calls of the directory.
    DirectoryFails,
    /// The signer does not sign. The number of the call counts only calls of the signer.
    SignerFails,
    /// The store is down for as long as the run says.
    Outage,
}

/// A part of the host that can be down for a long time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Store,
    /// The directory's knowledge of users, but not of clients.
    Users,
    Directory,
    Signer,
}

/// What goes wrong, and at which call of which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    pub request: usize,
    pub call: usize,
    pub mishap: Mishap,
}

/// What a call did.
pub enum Effect<'a> {
    Loaded,
    /// A swap, and the record that it put in place, if it was applied.
    Swapped(Option<&'a Record>),
    /// The store deleted a record that had expired.
    Deleted,
}

/// A request that has not begun or is in progress.
pub type Request<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// How far a request has got.
pub enum Polled<T> {
    Answered(T),
    Waits,
    Dropped,
}

/// Keeps records. Each call waits once before it takes effect, so that the test decides when this happens.
#[derive(Default)]
pub struct SteppedStore {
    state: Mutex<State>,
    /// The request that is being polled.
    polled: Arc<AtomicUsize>,
    watcher: Option<Box<Watcher>>,
    down: Mutex<Vec<Part>>,
}

type Watcher = dyn Fn(usize, &RecordKey, Effect<'_>) + Send + Sync;

#[derive(Default)]
struct State {
    records: HashMap<RecordKey, Record>,
    /// What the latest swap of a key replaced.
    replaced: HashMap<RecordKey, Option<Record>>,
    requests: Vec<Progress>,
    writes: usize,
    planned: Vec<Planned>,
    struck: Vec<(usize, Mishap)>,
    /// The record that was stored although the answer was a failure.
    stored_all_the_same: Option<Record>,
    dropped: Option<usize>,
    late: Vec<LateSwap>,
}

/// How many calls a request has begun, and the call that it waits for.
#[derive(Clone, Default)]
struct Progress {
    calls: usize,
    directory_calls: usize,
    signer_calls: usize,
    waits_for: Option<Call>,
}

/// A call: its record, and the tag that a swap expects there.
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
    /// Whether the call puts another version in place. A swap that meets another tag only reads the record.
    pub(super) writes: bool,
}

struct LateSwap {
    request: usize,
    key: RecordKey,
    expected: Option<Tag>,
    next: Record,
}

impl SteppedStore {
    /// Makes a store that reports what each call did, with its request and its record. `polled` is the request that is
    /// being polled.
    pub fn watched(
        polled: Arc<AtomicUsize>,
        watcher: impl Fn(usize, &RecordKey, Effect<'_>) + Send + Sync + 'static,
    ) -> Self {
        Self { polled, watcher: Some(Box::new(watcher)), ..Self::default() }
    }

    pub fn records(&self) -> HashMap<RecordKey, Record> {
        self.state.lock().unwrap().records.clone()
    }

    /// Returns the record that was stored although the answer was a failure.
    pub fn stored_all_the_same(&self) -> Option<Record> {
        self.state.lock().unwrap().stored_all_the_same.clone()
    }

    /// Begins a run with these records. In a run without requests no call waits.
    pub fn begin(&self, records: HashMap<RecordKey, Record>, requests: usize, planned: Option<Planned>) {
        let (requests, planned) = (vec![Progress::default(); requests], planned.into_iter().collect());
        *self.state.lock().unwrap() = State { records, requests, planned, ..State::default() };
    }

    /// Adds a request to a run. Returns its number.
    pub fn join(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.requests.push(Progress::default());
        state.requests.len() - 1
    }

    pub fn plan(&self, planned: Planned) {
        self.state.lock().unwrap().planned.push(planned);
    }

    /// Returns how many calls each request of the run has begun.
    pub fn calls(&self) -> Vec<usize> {
        self.state.lock().unwrap().requests.iter().map(|request| request.calls).collect()
    }

    pub fn mishap_came_to_pass(&self) -> bool {
        !self.state.lock().unwrap().struck.is_empty()
    }

    /// Tells whether at least this many things went wrong.
    pub fn mishaps_came_to_pass(&self, number: usize) -> bool {
        self.state.lock().unwrap().struck.len() >= number
    }

    /// Returns what went wrong, and in which request.
    pub fn struck(&self) -> Vec<(usize, Mishap)> {
        self.state.lock().unwrap().struck.clone()
    }

    /// Tells whether a swap still waits to be applied.
    pub fn has_late_swaps(&self) -> bool {
        !self.state.lock().unwrap().late.is_empty()
    }

    /// Applies a swap that is late.
    pub fn apply_late(&self) {
        let mut state = self.state.lock().unwrap();
        if state.late.is_empty() {
            return;
        }
        let LateSwap { request, key, expected, next } = state.late.remove(0);
        let (Swap::Stored | Swap::Conflict) = self.swap_now(&mut state, request, &key, expected, &next);
    }

    /// Deletes what may be deleted.
    pub fn sweep(&self, now: Timestamp) {
        let mut state = self.state.lock().unwrap();
        let due = |(key, record): (&RecordKey, &Record)| now.has_reached(record.delete_after).then_some(*key);
        let mut due: Vec<RecordKey> = state.records.iter().filter_map(due).collect();
        due.sort_unstable();
        for key in due {
            state.replaced.remove(&key);
            state.records.remove(&key);
            self.tell(usize::MAX, &key, Effect::Deleted);
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

    /// Returns what the call that a request waits for would do.
    pub(super) fn awaited(&self, index: usize) -> Option<Touch> {
        let state = self.state.lock().unwrap();
        let Call { key, expects } = state.requests[index].waits_for?;
        let found = state.records.get(&key).map(|record| record.tag);
        Some(Touch { key, is_load: expects.is_none(), writes: expects.is_some_and(|expected| expected == found) })
    }

    /// Says which parts are down from now on.
    pub fn take_down(&self, parts: &[Part]) {
        *self.down.lock().unwrap() = parts.to_vec();
    }

    /// Counts a call of the directory or the signer for the request that is being polled. Returns how many such calls
    /// the request had made before, and whether this call is answered.
    pub fn called(&self, part: Part) -> (usize, bool) {
        let request = self.polled.load(SeqCst);
        let is_down = {
            let down = self.down.lock().unwrap();
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

    /// Notes what goes wrong in the request that is being polled.
    pub fn strike(&self, mishap: Mishap) {
        self.state.lock().unwrap().struck.push((self.polled.load(SeqCst), mishap));
    }

    /// Returns how many swaps were applied in this run.
    pub(super) fn writes(&self) -> usize {
        self.state.lock().unwrap().writes
    }

    fn tell(&self, request: usize, key: &RecordKey, effect: Effect<'_>) {
        if let Some(watcher) = &self.watcher {
            watcher(request, key, effect);
        }
    }

    fn swap_now(
        &self,
        state: &mut State,
        request: usize,
        key: &RecordKey,
        expected: Option<Tag>,
        next: &Record,
    ) -> Swap {
        if state.records.get(key).map(|record| record.tag) != expected {
            self.tell(request, key, Effect::Swapped(None));
            return Swap::Conflict;
        }
        state.writes += 1;
        let replaced = state.records.insert(*key, next.clone());
        state.replaced.insert(*key, replaced);
        self.tell(request, key, Effect::Swapped(Some(next)));
        Swap::Stored
    }

    /// Waits for its turn, and returns what goes wrong at the call.
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
            let is_down = self.down.lock().unwrap().contains(&Part::Store);
            let mishap = if is_down { Some(Mishap::Outage) } else { mishap };
            // A load can't be stale if nothing was swapped.
            let mishap = mishap.filter(|mishap| {
                *mishap != Mishap::Stale || call.expects.is_none() && state.replaced.contains_key(&call.key)
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

    /// Ends a call after it took effect.
    async fn leave(&self, mishap: Option<Mishap>) -> Result<(), Broken> {
        match mishap {
            Some(Mishap::FailAfter | Mishap::Late) => Err(Broken),
            Some(Mishap::DropAfter) => {
                self.state.lock().unwrap().dropped = Some(self.polled.load(SeqCst));
                pending().await
            }
            _ => Ok(()),
        }
    }
}

impl Store for SteppedStore {
    type Error = Broken;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, Broken> {
        let mishap = self.turn(Call { key: *key, expects: None }).await;
        if matches!(mishap, Some(Mishap::FailBefore | Mishap::Outage)) {
            return Err(Broken);
        }
        self.tell(self.polled.load(SeqCst), key, Effect::Loaded);
        let record = {
            let state = self.state.lock().unwrap();
            let stale = state.replaced.get(key).filter(|_| mishap == Some(Mishap::Stale));
            stale.cloned().unwrap_or_else(|| state.records.get(key).cloned())
        };
        self.leave(mishap).await?;
        Ok(record)
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, Broken> {
        let mishap = self.turn(Call { key: *key, expects: Some(expected) }).await;
        let request = self.polled.load(SeqCst);
        let mut swap = Swap::Conflict;
        match mishap {
            Some(Mishap::FailBefore | Mishap::Outage) => return Err(Broken),
            Some(Mishap::Late) => {
                let late = LateSwap { request, key: *key, expected, next: next.clone() };
                self.state.lock().unwrap().late.push(late);
            }
            Some(Mishap::Twice) => {
                let mut state = self.state.lock().unwrap();
                let (Swap::Stored | Swap::Conflict) = self.swap_now(&mut state, request, key, expected, next);
                swap = self.swap_now(&mut state, request, key, expected, next);
            }
            _ => swap = self.swap_now(&mut self.state.lock().unwrap(), request, key, expected, next),
        }
        if mishap == Some(Mishap::FailAfter) && swap == Swap::Stored {
            self.state.lock().unwrap().stored_all_the_same = Some(next.clone());
        }
        self.leave(mishap).await?;
        Ok(swap)
    }
}
