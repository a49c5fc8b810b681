//! The search. It runs some requests in every order of their steps, one run after the other.

use crate::store::{Polled, Request, SteppedStore, Touch};

/// One step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The next call of a request takes effect.
    Request(usize),
    /// A swap that was late takes effect.
    LateSwap,
    /// Something outside the requests happens, such as a move of the clock.
    Outside,
}

/// The answers of one run, `None` for a request that was dropped, and the order of its steps.
pub struct Run<T> {
    pub answers: Vec<Option<T>>,
    pub steps: Vec<Step>,
}

/// Tries every order of steps, one run after the other.
#[derive(Default)]
pub struct Search {
    /// The choices of this run so far, or of the last run: which was made, and out of how many.
    choices: Vec<(usize, usize)>,
    depth: usize,
    conflicts_are_reads: bool,
}

impl Search {
    /// Makes a search that leaves out more orders. A swap that meets another tag than it expects can also change places
    /// with calls that only read the same record.
    pub fn with_conflicts_as_reads() -> Self {
        Self { conflicts_are_reads: true, ..Self::default() }
    }

    /// Runs requests in the next order, and `outside` somewhere between them. Returns `None` where another order of
    /// steps stands for this order. Two calls can change places if they are loads or belong to different records. So
    /// can requests that are `alike` and wait for their first call.
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
        // Until its first call, a request does not depend on the others.
        for index in 0..requests.len() {
            run.poll(index, store, &mut requests);
        }
        let mut trail = Vec::new();
        while requests.iter().any(Option::is_some) {
            let calls = store.calls();
            let waits_for_first = |index: usize| requests[index].is_some() && calls[index] == 1;
            let is_left_out = |index: usize| {
                // The call could have come before all calls that it can change places with.
                let next = store.awaited(index);
                let mut passed = trail.iter().rev().take_while(|(before, call)| {
                    *before != index && next.is_some_and(|next| self.may_change_places(&next, call))
                });
                let twin = |other| alike(other, index) && waits_for_first(other);
                passed.any(|(before, _)| *before > index) || waits_for_first(index) && (0..index).any(twin)
            };
            let waiting = (0..requests.len()).filter(|index| requests[*index].is_some());
            let mut possible: Vec<Step> = waiting.filter(|index| !is_left_out(*index)).map(Step::Request).collect();
            possible.extend(store.has_late_swaps().then_some(Step::LateSwap));
            possible.extend(outside.map(|_| Step::Outside));
            let step = *possible.get(self.choose(possible.len())?)?;
            match step {
                Step::Request(index) => {
                    let (call, writes) = (store.awaited(index), store.writes());
                    run.poll(index, store, &mut requests);
                    let has_written = store.writes() > writes;
                    match call {
                        Some(call) => trail.push((index, Touch { writes: has_written, ..call })),
                        // A step that is no call of the store can't change places with any other.
                        None => trail.clear(),
                    }
                }
                Step::LateSwap => {
                    trail.clear();
                    store.apply_late();
                }
                Step::Outside => {
                    trail.clear();
                    outside.take().unwrap()();
                }
            }
            run.steps.push(step);
        }
        store.apply_late();
        Some(run)
    }

    /// Goes on to the next order. Returns whether there is one.
    pub fn advance(&mut self) -> bool {
        while let Some((choice, of)) = self.choices.pop() {
            if choice + 1 < of {
                self.choices.push((choice + 1, of));
                return true;
            }
        }
        false
    }

    fn may_change_places(&self, one: &Touch, other: &Touch) -> bool {
        let only_reads = |touch: &Touch| if self.conflicts_are_reads { !touch.writes } else { touch.is_load };
        one.key != other.key || only_reads(one) && only_reads(other)
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
        let Some(request) = &mut requests[index] else { return };
        match store.poll(index, request) {
            Polled::Answered(answer) => {
                self.answers[index] = Some(answer);
                requests[index] = None;
            }
            Polled::Dropped => requests[index] = None,
            Polled::Waits => {}
        }
    }
}
