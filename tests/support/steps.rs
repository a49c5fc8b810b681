//! A store that goes step by step, and a search that tries every order of the steps.

use std::collections::HashMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use otp_grant::*;

use super::{Broken, Yield};

/// What goes wrong at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    FailBefore,
    FailAfter,
    /// The call fails, and a swap is applied at any later time, or never.
    Late,
    /// A swap is applied twice, as a driver that retries would: the answer is a conflict.
    Twice,
    /// The request is dropped before the call.
    DropBefore,
    /// The request is dropped after the call took effect.
    DropAfter,
}

/// What goes wrong, at which call of which request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    pub request: usize,
    pub call: usize,
    pub mishap: Mishap,
}

/// Keeps records. Each call waits once before it takes effect, so that whoever polls decides when that is.
#[derive(Default)]
pub struct SteppedStore(Mutex<State>);

#[derive(Default)]
struct State {
    records: HashMap<RecordKey, Record>,
    /// The request that is being polled.
    polled: usize,
    /// How many calls each request has begun, and whether the one that it waits for is a load.
    calls: Vec<usize>,
    waits_to_load: Vec<bool>,
    planned: Option<Planned>,
    came_to_pass: bool,
    /// What was stored although the answer was a failure.
    stored_all_the_same: Option<Record>,
    dropped: Option<usize>,
    late: Option<(RecordKey, Option<Tag>, Record)>,
}

impl SteppedStore {
    pub fn records(&self) -> HashMap<RecordKey, Record> {
        self.0.lock().unwrap().records.clone()
    }

    /// What was stored although the answer was a failure.
    pub fn stored_all_the_same(&self) -> Option<Record> {
        self.0.lock().unwrap().stored_all_the_same.clone()
    }

    /// Begins a run with these records.
    pub fn begin(&self, records: HashMap<RecordKey, Record>, requests: usize, planned: Option<Planned>) {
        let (calls, waits_to_load) = (vec![0; requests], vec![false; requests]);
        *self.0.lock().unwrap() = State { records, calls, waits_to_load, planned, ..State::default() };
    }

    /// How many calls each request of the run has begun.
    pub fn calls(&self) -> Vec<usize> {
        self.0.lock().unwrap().calls.clone()
    }

    pub fn mishap_came_to_pass(&self) -> bool {
        self.0.lock().unwrap().came_to_pass
    }

    fn apply_late(&self) {
        let mut state = self.0.lock().unwrap();
        if let Some((key, expected, next)) = state.late.take() {
            let (Swap::Stored | Swap::Conflict) = state.swap(&key, expected, &next);
        }
    }

    /// Waits for its turn, and finds out what goes wrong at it.
    async fn turn(&self, is_load: bool) -> Option<Mishap> {
        let (request, call) = {
            let mut state = self.0.lock().unwrap();
            let request = state.polled;
            if state.calls.is_empty() {
                return None;
            }
            state.waits_to_load[request] = is_load;
            state.calls[request] += 1;
            (request, state.calls[request] - 1)
        };
        Yield::default().await;
        let mishap = {
            let mut state = self.0.lock().unwrap();
            let planned = state.planned.filter(|planned| (planned.request, planned.call) == (request, call));
            state.came_to_pass |= planned.is_some();
            if planned.is_some_and(|planned| planned.mishap == Mishap::DropBefore) {
                state.dropped = Some(request);
            }
            planned.map(|planned| planned.mishap)
        };
        if mishap == Some(Mishap::DropBefore) {
            pending::<()>().await;
        }
        mishap
    }

    /// After the call took effect.
    async fn leave(&self, mishap: Option<Mishap>) -> Result<(), Broken> {
        match mishap {
            Some(Mishap::FailAfter | Mishap::Late) => Err(Broken),
            Some(Mishap::DropAfter) => {
                {
                    let mut state = self.0.lock().unwrap();
                    state.dropped = Some(state.polled);
                }
                pending().await
            }
            _ => Ok(()),
        }
    }
}

impl State {
    fn swap(&mut self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Swap {
        if self.records.get(key).map(|record| record.tag) != expected {
            return Swap::Conflict;
        }
        self.records.insert(*key, next.clone());
        Swap::Stored
    }
}

impl Store for SteppedStore {
    type Error = Broken;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, Broken> {
        let mishap = self.turn(true).await;
        if mishap == Some(Mishap::FailBefore) {
            return Err(Broken);
        }
        let record = self.0.lock().unwrap().records.get(key).cloned();
        self.leave(mishap).await?;
        Ok(record)
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, Broken> {
        let mishap = self.turn(false).await;
        let mut swap = Swap::Conflict;
        match mishap {
            Some(Mishap::FailBefore) => return Err(Broken),
            Some(Mishap::Late) => self.0.lock().unwrap().late = Some((*key, expected, next.clone())),
            Some(Mishap::Twice) => {
                let mut state = self.0.lock().unwrap();
                let (Swap::Stored | Swap::Conflict) = state.swap(key, expected, next);
                swap = state.swap(key, expected, next);
            }
            _ => swap = self.0.lock().unwrap().swap(key, expected, next),
        }
        if mishap == Some(Mishap::FailAfter) && swap == Swap::Stored {
            self.0.lock().unwrap().stored_all_the_same = Some(next.clone());
        }
        self.leave(mishap).await?;
        Ok(swap)
    }
}

/// One step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next call of a request takes effect.
    Request(usize),
    /// A swap that was late takes effect.
    LateSwap,
    /// Something happens that the run brings along, such as a move of the clock.
    Outside,
}

/// A request that has not begun.
pub type Request<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The answers of one run, `None` for a request that was dropped, and the order of its steps.
pub struct Run<T> {
    pub answers: Vec<Option<T>>,
    pub steps: Vec<Step>,
}

/// Tries every order of steps, one run after the other.
#[derive(Default)]
pub struct Search {
    /// What was chosen in this run so far or the last one, of how many.
    choices: Vec<(usize, usize)>,
    depth: usize,
}

impl Search {
    /// Runs requests in the next order, and `outside` somewhere between them. `None` where another order of steps stands
    /// for this one: of two neighbouring loads, and of requests that are `alike` and wait for their first call.
    pub fn run<T>(
        &mut self,
        store: &SteppedStore,
        requests: Vec<Request<'_, T>>,
        alike: impl Fn(usize, usize) -> bool,
        mut outside: Option<&dyn Fn()>,
    ) -> Option<Run<T>> {
        self.depth = 0;
        let mut requests: Vec<_> = requests.into_iter().map(Some).collect();
        let mut run = Run { answers: requests.iter().map(|_| None).collect(), steps: Vec::new() };
        // Up to the first call of each nothing depends on the others.
        for index in 0..requests.len() {
            run.poll(index, store, &mut requests);
        }
        let mut last_load = None;
        while requests.iter().any(Option::is_some) {
            let mut possible = Vec::new();
            {
                let state = store.0.lock().unwrap();
                let waits_for_first = |index: usize| requests[index].is_some() && state.calls[index] == 1;
                possible.extend((0..requests.len()).filter(|index| requests[*index].is_some()).filter(|index| {
                    let swapped = state.waits_to_load[*index] && last_load.is_some_and(|last| last > *index);
                    let twin = |other| alike(other, *index) && waits_for_first(other);
                    !(swapped || waits_for_first(*index) && (0..*index).any(twin))
                }));
            }
            let mut possible: Vec<Step> = possible.into_iter().map(Step::Request).collect();
            possible.extend(store.0.lock().unwrap().late.as_ref().map(|_| Step::LateSwap));
            possible.extend(outside.map(|_| Step::Outside));
            let step = *possible.get(self.choose(possible.len())?)?;
            last_load = None;
            match step {
                Step::Request(index) => {
                    last_load = Some(index).filter(|index| store.0.lock().unwrap().waits_to_load[*index]);
                    run.poll(index, store, &mut requests);
                }
                Step::LateSwap => store.apply_late(),
                Step::Outside => outside.take().unwrap()(),
            }
            run.steps.push(step);
        }
        store.apply_late();
        Some(run)
    }

    /// Goes on to the next order; tells whether there is one.
    pub fn advance(&mut self) -> bool {
        while let Some((choice, of)) = self.choices.pop() {
            if choice + 1 < of {
                self.choices.push((choice + 1, of));
                return true;
            }
        }
        false
    }

    fn choose(&mut self, of: usize) -> Option<usize> {
        if of == 0 {
            self.choices.truncate(self.depth);
            return None;
        }
        if self.depth == self.choices.len() {
            self.choices.push((0, of));
        }
        self.depth += 1;
        Some(self.choices[self.depth - 1].0)
    }
}

impl<T> Run<T> {
    fn poll(&mut self, index: usize, store: &SteppedStore, requests: &mut [Option<Request<'_, T>>]) {
        store.0.lock().unwrap().polled = index;
        let Some(request) = &mut requests[index] else { return };
        match request.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => {
                self.answers[index] = Some(answer);
                requests[index] = None;
            }
            Poll::Pending if store.0.lock().unwrap().dropped == Some(index) => requests[index] = None,
            Poll::Pending => {}
        }
    }
}
