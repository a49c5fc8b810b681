//! Runs `otp_grant::store::conformance` on a store that is not written in Rust.
//!
//! The suite begins many operations at once, since its races need that. [`ConformanceRun::operations`] hands out each
//! operation that has begun. The host runs them at the same time, and answers each by its number when it is done.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fmt::{self, Write as _};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use otp_grant::Store;
use otp_grant::id::{RecordKey, Tag};
use otp_grant::store::conformance::{self, Promise, Report, Violation};
use otp_grant::store::{Record, Swap};
use serde_json::json;

use crate::answer::{HostFailed, StoredRecord};

/// A run of the suite.
///
/// ```text
/// loop:
///     for each operation of run.operations(): begin it
///     if nothing is under way: stop, run.report() is there
///     wait until an operation is done, and answer it
/// ```
///
/// The host must run the operations at the same time, by threads or tasks. Otherwise the races find nothing. The suite
/// takes 9 seconds or more, and leaves about 10,300 records that may be deleted an hour later.
pub struct ConformanceRun {
    suite: Option<Suite>,
    mailbox: Mailbox,
    report: Option<String>,
}

impl ConformanceRun {
    /// Makes a run that has not begun. `deletes_within` is how long the store can take to delete a record that may be
    /// deleted. Defaults to 2 seconds.
    pub fn new(deletes_within: Option<Duration>) -> Self {
        let mailbox = Mailbox::default();
        let opener = mailbox.clone();
        let suite = async move {
            let open = || Instance::open(opener.clone());
            match deletes_within {
                Some(deletes_within) => conformance::all_within(deletes_within, open).await,
                None => conformance::all(open).await,
            }
        };
        Self { suite: Some(Box::pin(suite)), mailbox, report: None }
    }

    /// Goes on with the suite, and returns the operations that have begun since the last call.
    ///
    /// The suite goes on with what was answered. It is over when there is no operation here and none is
    /// [outstanding](Self::outstanding).
    pub fn operations(&mut self) -> Vec<Operation> {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        while let Some(suite) = &mut self.suite {
            if let Poll::Ready(outcome) = suite.as_mut().poll(&mut Context::from_waker(&waker)) {
                self.suite = None;
                self.report = Some(report(outcome));
                break;
            }
            // The suite gives way to operations in progress. Where there are none, it goes on.
            let is_waiting = !self.mailbox.lock().waiting.is_empty();
            if is_waiting || !woken.0.swap(false, Ordering::Relaxed) {
                break;
            }
        }
        std::mem::take(&mut self.mailbox.lock().begun)
    }

    /// Returns the operations that the suite has dropped since the last call, as the operations of a request are
    /// dropped. The host can cancel them. Their answers are ignored.
    pub fn cancelled(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.mailbox.lock().cancelled)
    }

    /// Returns how many operations wait for an answer.
    pub fn outstanding(&self) -> usize {
        self.mailbox.lock().waiting.len()
    }

    /// Answers an operation `open`: there is another instance of the store.
    ///
    /// # Errors
    /// [`OperationError`].
    pub fn answer_opened(&mut self, id: u64) -> Result<(), OperationError> {
        self.answer(id, Some(Kind::Open), || Ok(Answer::Opened))
    }

    /// Answers an operation `load` with the record, or with `None` if nothing is stored. A record that can't be read
    /// counts as a failure of the store.
    ///
    /// # Errors
    /// [`OperationError`].
    pub fn answer_record(&mut self, id: u64, record: Option<StoredRecord<'_>>) -> Result<(), OperationError> {
        self.answer(id, Some(Kind::Load), || match record.map(|record| record.record()).transpose() {
            Ok(record) => Ok(Answer::Record(record.map(Box::new))),
            Err(error) => Err(HostFailed(error.to_string())),
        })
    }

    /// Answers an operation `swap`: whether the record is in place.
    ///
    /// # Errors
    /// [`OperationError`].
    pub fn answer_swap(&mut self, id: u64, stored: bool) -> Result<(), OperationError> {
        self.answer(id, Some(Kind::Swap), || Ok(Answer::Swap(if stored { Swap::Stored } else { Swap::Conflict })))
    }

    /// Says that an operation failed, of whatever kind it is. The store then does not pass.
    ///
    /// # Errors
    /// [`OperationError`].
    pub fn fail(&mut self, id: u64, message: &str) -> Result<(), OperationError> {
        self.answer(id, None, || Err(HostFailed(message.to_owned())))
    }

    /// Returns the report as JSON once the run is over.
    ///
    /// A store that has passed gives `passed` and `not_observed`, a list of promises of which nothing was seen. Any
    /// other store gives `passed`, `check`, `promise` (`null` where a call failed) and `message`.
    pub fn report(&self) -> Option<String> {
        self.report.clone()
    }

    fn answer(
        &mut self,
        id: u64,
        kind: Option<Kind>,
        answer: impl FnOnce() -> Result<Answer, HostFailed>,
    ) -> Result<(), OperationError> {
        let waker = self.mailbox.lock().answer(id, kind, answer)?;
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }
}

type Suite = Pin<Box<dyn Future<Output = Result<Report, Violation>> + Send>>;

impl fmt::Debug for ConformanceRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConformanceRun").field("outstanding", &self.outstanding()).finish_non_exhaustive()
    }
}

/// An operation that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a binding has to learn of another member")]
pub struct Operation {
    /// By what it is answered.
    pub id: u64,
    /// The instance of the store that does it. Instances are numbered from 0. Each is what another process on the same
    /// records would be.
    pub instance: u32,
    /// What the store has to do.
    pub request: StoreRequest,
}

/// What a store has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a binding has to learn of another kind")]
pub enum StoreRequest {
    /// Open this instance.
    Open,
    /// Load the record of a key.
    Load {
        /// The key: 32 bytes.
        key: Vec<u8>,
    },
    /// Compare and swap the record of a key.
    Swap {
        /// The key: 32 bytes.
        key: Vec<u8>,
        /// The tag that the stored record must have, or `None` if nothing may be stored.
        expected: Option<Vec<u8>>,
        /// The tag of the record to put in place: 16 bytes.
        tag: Vec<u8>,
        /// From when on the record may be deleted: milliseconds since 1970.
        delete_after_ms: u64,
        /// The body of the record, to be stored unchanged.
        body: Vec<u8>,
    },
}

/// Why the answer to an operation was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OperationError {
    /// There is no such operation, or it was answered before.
    Unknown,
    /// It is not an answer to this kind of operation.
    WrongKind,
}

impl OperationError {
    /// Returns the name of the error: `unknown_operation` or `wrong_kind`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unknown => "unknown_operation",
            Self::WrongKind => "wrong_kind",
        }
    }
}

impl fmt::Display for OperationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "there is no such operation, or it was answered before",
            Self::WrongKind => "not an answer to this kind of operation",
        })
    }
}

impl Error for OperationError {}

/// An instance of the store under test.
struct Instance {
    number: u32,
    mailbox: Mailbox,
}

impl Instance {
    async fn open(mailbox: Mailbox) -> Result<Self, HostFailed> {
        let number = {
            let mut slots = mailbox.lock();
            slots.instances += 1;
            slots.instances - 1
        };
        let instance = Self { number, mailbox };
        instance.call(StoreRequest::Open).await?;
        Ok(instance)
    }

    fn call(&self, request: StoreRequest) -> Call<'_> {
        Call { instance: self, request: Some(request), id: None }
    }
}

impl Store for Instance {
    type Error = HostFailed;

    async fn load(&self, key: &RecordKey) -> Result<Option<Record>, HostFailed> {
        match self.call(StoreRequest::Load { key: key.as_bytes().to_vec() }).await? {
            Answer::Record(record) => Ok(record.map(|record| *record)),
            _ => Err(HostFailed::not_an_answer()),
        }
    }

    async fn swap(&self, key: &RecordKey, expected: Option<Tag>, next: &Record) -> Result<Swap, HostFailed> {
        let request = StoreRequest::Swap {
            key: key.as_bytes().to_vec(),
            expected: expected.map(|tag| tag.as_bytes().to_vec()),
            tag: next.tag.as_bytes().to_vec(),
            delete_after_ms: next.delete_after.as_unix_millis(),
            body: next.body.to_bytes().map_err(|error| HostFailed(error.to_string()))?,
        };
        match self.call(request).await? {
            Answer::Swap(swap) => Ok(swap),
            _ => Err(HostFailed::not_an_answer()),
        }
    }
}

impl HostFailed {
    /// The mailbox lets no such answer in.
    fn not_an_answer() -> Self {
        Self(OperationError::WrongKind.to_string())
    }
}

/// An operation in progress. It begins when it is polled.
struct Call<'a> {
    instance: &'a Instance,
    request: Option<StoreRequest>,
    id: Option<u64>,
}

impl Future for Call<'_> {
    type Output = Result<Answer, HostFailed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { instance, request, id } = &mut *self;
        let mut slots = instance.mailbox.lock();
        if let Some(request) = request.take() {
            *id = Some(slots.begin(instance.number, request, context.waker().clone()));
            return Poll::Pending;
        }
        let Some(number) = *id else { return Poll::Pending };
        if let Some(answer) = slots.answers.remove(&number) {
            *id = None;
            return Poll::Ready(answer);
        }
        if let Some((_, waker)) = slots.waiting.get_mut(&number) {
            waker.clone_from(context.waker());
        }
        Poll::Pending
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.instance.mailbox.lock().cancel(id);
        }
    }
}

/// Where operations are put, and where their answers arrive.
#[derive(Clone, Default)]
struct Mailbox(Arc<Mutex<Slots>>);

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Slots {
    instances: u32,
    last_id: u64,
    /// Not handed out yet.
    begun: Vec<Operation>,
    /// Handed out or about to be, and not answered.
    waiting: HashMap<u64, (Kind, Waker)>,
    answers: HashMap<u64, Result<Answer, HostFailed>>,
    /// Dropped, and not reported as such yet.
    cancelled: Vec<u64>,
    /// Dropped, and still to be answered.
    ignored: HashSet<u64>,
}

impl Slots {
    fn begin(&mut self, instance: u32, request: StoreRequest, waker: Waker) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        self.waiting.insert(id, (Kind::of(&request), waker));
        self.begun.push(Operation { id, instance, request });
        id
    }

    fn answer(
        &mut self,
        id: u64,
        kind: Option<Kind>,
        answer: impl FnOnce() -> Result<Answer, HostFailed>,
    ) -> Result<Option<Waker>, OperationError> {
        if self.ignored.remove(&id) {
            return Ok(None);
        }
        let (asked, _) = self.waiting.get(&id).ok_or(OperationError::Unknown)?;
        if kind.is_some_and(|kind| kind != *asked) {
            return Err(OperationError::WrongKind);
        }
        self.answers.insert(id, answer());
        Ok(self.waiting.remove(&id).map(|(_, waker)| waker))
    }

    fn cancel(&mut self, id: u64) {
        self.answers.remove(&id);
        if self.waiting.remove(&id).is_none() {
            return;
        }
        // An operation that the host has not seen yet has not begun.
        if let Some(at) = self.begun.iter().position(|operation| operation.id == id) {
            self.begun.remove(at);
            return;
        }
        self.cancelled.push(id);
        self.ignored.insert(id);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Open,
    Load,
    Swap,
}

impl Kind {
    fn of(request: &StoreRequest) -> Self {
        match request {
            StoreRequest::Open => Self::Open,
            StoreRequest::Load { .. } => Self::Load,
            StoreRequest::Swap { .. } => Self::Swap,
        }
    }
}

enum Answer {
    Opened,
    Record(Option<Box<Record>>),
    Swap(Swap),
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn report(outcome: Result<Report, Violation>) -> String {
    let document = match outcome {
        Ok(report) => {
            let not_observed: Vec<String> = report.not_observed().iter().map(name).collect();
            json!({ "passed": true, "not_observed": not_observed })
        }
        Err(violation) => {
            let mut message = violation.to_string();
            let mut source = violation.source();
            while let Some(error) = source {
                let _ = write!(message, ": {error}");
                source = error.source();
            }
            let promise = violation.promise().as_ref().map(name);
            json!({ "passed": false, "check": violation.check(), "promise": promise, "message": message })
        }
    };
    document.to_string()
}

/// The name of the variant in `snake_case`.
fn name(promise: &Promise) -> String {
    format!("{promise:?}").chars().fold(String::new(), |mut name, character| {
        if character.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(character.to_ascii_lowercase());
        name
    })
}
