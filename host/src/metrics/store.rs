//! The operations of the store, and how long they took.

use std::time::Instant;

use otp_grant::Store;
use otp_grant::id::{RecordKey, Tag};
use otp_grant::store::{Record, Swap};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Label, Labels};

/// A store whose operations are counted and timed.
#[derive(Debug)]
pub(crate) struct Measured<S> {
    store: S,
    operations: StoreOperations,
}

impl<S> Measured<S> {
    pub(crate) fn new(store: S, operations: StoreOperations) -> Self {
        Self { store, operations }
    }
}

impl<S: Store> Store for Measured<S> {
    type Error = S::Error;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, S::Error> {
        let StoreOperations { load, .. } = &self.operations;
        let timed = load.begin();
        let answer = self.store.load(key).await;
        timed.end(match &answer {
            Ok(Some(_)) => &load.done,
            Ok(None) => &load.other,
            Err(_) => &load.error,
        });
        answer
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, S::Error> {
        let StoreOperations { swap, .. } = &self.operations;
        let timed = swap.begin();
        let answer = self.store.swap(key, expected, next).await;
        timed.end(match &answer {
            Ok(Swap::Stored) => &swap.done,
            Ok(Swap::Conflict) => &swap.other,
            Err(_) => &swap.error,
        });
        answer
    }
}

/// The counters of both operations.
#[derive(Clone, Debug)]
pub(crate) struct StoreOperations {
    load: Operation,
    swap: Operation,
}

impl StoreOperations {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let counts = Family::<Labels, Counter>::default();
        let durations: Family<Label, Histogram, fn() -> Histogram> = Family::new_with_constructor(histogram);
        registry.register("store_operations", "Operations of the store", counts.clone());
        registry.register("store_operation_duration_seconds", "How long the store took", durations.clone());
        let operation = |name, done, other| {
            let count = |outcome| counts.get_or_create_owned(&[("operation", name), ("outcome", outcome)]);
            Operation {
                done: count(done),
                other: count(other),
                error: count("error"),
                abandoned: count("abandoned"),
                duration: durations.get_or_create_owned(&[("operation", name)]),
            }
        };
        Self { load: operation("load", "found", "absent"), swap: operation("swap", "stored", "conflict") }
    }
}

/// The counters of one operation.
#[derive(Clone, Debug)]
struct Operation {
    done: Counter,
    other: Counter,
    error: Counter,
    /// The request ended before the store answered: its time was over, or its client went away.
    abandoned: Counter,
    duration: Histogram,
}

impl Operation {
    fn begin(&self) -> Timed<'_> {
        Timed { operation: self, began: Instant::now(), outcome: &self.abandoned }
    }
}

/// An operation under way. It is counted when it is dropped, which is also what happens to an operation whose request
/// has ended.
struct Timed<'a> {
    operation: &'a Operation,
    began: Instant,
    outcome: &'a Counter,
}

impl<'a> Timed<'a> {
    fn end(mut self, outcome: &'a Counter) {
        self.outcome = outcome;
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.operation.duration.observe(self.began.elapsed().as_secs_f64());
        self.outcome.inc();
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

/// From a store in memory to the time-out of the databases.
const BUCKETS: [f64; 12] = [0.000_01, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 1.0, 5.0];
