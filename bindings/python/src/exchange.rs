//! An exchange: one request, its pending question, and what it ended with.

use std::sync::{Mutex, MutexGuard, PoisonError};

use otp_grant_bindings::{
    Done, FailedDelivery, Pending, QuestionKind, Refusal, Rejected, Step, StoredRecord, UserAnswer,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::secret::Text;
use crate::values::{
    ExchangeError, ParsedAuthSource, ParsedClient, PortAnswerError, ReplyParts, configuration, reply_parts,
};

/// One request. It asks one question at a time, and each answer gives the next. Dropping it drops the request.
///
/// The lock is held for a look at the question, and never while the core works or a port answers.
#[pyclass(frozen, module = "otp_grant._core")]
pub(crate) struct Exchange(Mutex<State>);

enum State {
    Asks(Pending),
    /// An answer is being worked on.
    Busy,
    Done(Done),
    Closed,
}

/// Code, message, guesses that are left, and the reply of an API.
type RefusalParts<'py> = (String, String, Option<usize>, Option<ReplyParts<'py>>);

/// A document, or why there is none.
pub(crate) type Outcome<'py> = (Option<String>, Option<RefusalParts<'py>>);

impl Exchange {
    pub(crate) fn new(step: Step) -> Self {
        Self(Mutex::new(step.into()))
    }

    /// Answers the question outside the lock, with the interpreter released. A refused answer leaves the question.
    fn answer_with(
        &self,
        py: Python<'_>,
        answer: impl FnOnce(Pending) -> Result<Step, Rejected> + Send,
    ) -> PyResult<()> {
        let pending = self.take()?;
        let (next, refused) = match py.detach(|| answer(pending)) {
            Ok(step) => (step.into(), None),
            Err(rejected) => {
                let (pending, error) = rejected.into_parts();
                (State::Asks(pending), Some(PortAnswerError::new_err(error.to_string())))
            }
        };
        let closed = {
            let mut state = self.lock();
            // Another thread may have closed the exchange meanwhile.
            if matches!(*state, State::Busy) { core::mem::replace(&mut *state, next) } else { next }
        };
        py.detach(|| drop(closed));
        refused.map_or(Ok(()), Err)
    }

    fn take(&self) -> PyResult<Pending> {
        let mut state = self.lock();
        match core::mem::replace(&mut *state, State::Busy) {
            State::Asks(pending) => Ok(pending),
            other => {
                let error = misused(&other);
                *state = other;
                Err(error)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Exchange {
    /// The name of the method that answers the question. `None` at the end.
    #[getter]
    fn kind(&self) -> PyResult<Option<&'static str>> {
        match &*self.lock() {
            State::Asks(pending) => Ok(Some(pending.kind().name())),
            State::Done(_) => Ok(None),
            other => Err(misused(other)),
        }
    }

    /// The parts of the question. Where they are rare and many, they are one document.
    fn parts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let state = self.lock();
        let State::Asks(asked) = &*state else { return Err(misused(&state)) };
        let bytes = |part: Option<&[u8]>| part.map(|part| PyBytes::new(py, part));
        match asked.kind() {
            QuestionKind::Load => (bytes(asked.record_key()),).into_pyobject(py),
            QuestionKind::Swap => {
                let (key, expected, tag) = (asked.record_key(), asked.expected_tag(), asked.tag());
                let (delete_after, body) = (asked.delete_after_ms(), asked.record_body());
                (bytes(key), bytes(expected), bytes(tag), delete_after, bytes(body)).into_pyobject(py)
            }
            QuestionKind::Client => (asked.client_id(),).into_pyobject(py),
            QuestionKind::AuthSource => (asked.auth_source_id(),).into_pyobject(py),
            QuestionKind::UserByAddress | QuestionKind::SignUp => (asked.channel(), asked.address()).into_pyobject(py),
            QuestionKind::UserBySubject => (asked.subject(),).into_pyobject(py),
            QuestionKind::UserClaims | QuestionKind::AccessTokenClaims => {
                (asked.subject(), asked.client_id(), asked.scope()).into_pyobject(py)
            }
            QuestionKind::Sign => (bytes(asked.message()), asked.document()).into_pyobject(py),
            QuestionKind::Deliver => {
                let (channel, address, code, usage) = (asked.channel(), asked.address(), asked.code(), asked.usage());
                let (client, source, valid_for) = (asked.client_id(), asked.auth_source_id(), asked.valid_for_ms());
                (channel, address, code, usage, client, source, valid_for, asked.attempt()).into_pyobject(py)
            }
            _ => (asked.document(),).into_pyobject(py),
        }
    }

    fn answer_record(
        &self,
        py: Python<'_>,
        record: Option<(Bound<'_, PyBytes>, u64, Bound<'_, PyBytes>)>,
    ) -> PyResult<()> {
        let record = record.as_ref();
        let record = record.map(|(tag, delete_after_ms, body)| StoredRecord {
            tag: tag.as_bytes(),
            delete_after_ms: *delete_after_ms,
            body: body.as_bytes(),
        });
        self.answer_with(py, |pending| pending.answer_record(record))
    }

    fn answer_swap(&self, py: Python<'_>, stored: bool) -> PyResult<()> {
        self.answer_with(py, |pending| pending.answer_swap(stored))
    }

    fn answer_client(&self, py: Python<'_>, client: Option<&Bound<'_, ParsedClient>>) -> PyResult<()> {
        let client = client.map(|client| &client.get().0);
        self.answer_with(py, |pending| pending.answer_client(client))
    }

    fn answer_auth_source(&self, py: Python<'_>, source: Option<&Bound<'_, ParsedAuthSource>>) -> PyResult<()> {
        let source = source.map(|source| &source.get().0);
        self.answer_with(py, |pending| pending.answer_auth_source(source))
    }

    fn answer_user(&self, py: Python<'_>, user: Option<(String, String, Option<u64>, bool)>) -> PyResult<()> {
        self.answer_with(py, |pending| {
            pending.answer_user(user.as_ref().map(|(subject, status, tokens_valid_after, is_test)| UserAnswer {
                subject,
                status,
                tokens_valid_after_ms: *tokens_valid_after,
                is_test: *is_test,
            }))
        })
    }

    fn answer_document(&self, py: Python<'_>, document: Option<Text>) -> PyResult<()> {
        self.answer_with(py, |pending| pending.answer_document(document.as_ref().map(Text::as_str)))
    }

    fn answer_scope(&self, py: Python<'_>, scope: Option<&str>) -> PyResult<()> {
        self.answer_with(py, |pending| pending.answer_scope(scope))
    }

    fn answer_signature(&self, py: Python<'_>, signature: &Bound<'_, PyBytes>) -> PyResult<()> {
        let signature = signature.as_bytes();
        self.answer_with(py, |pending| pending.answer_signature(signature))
    }

    fn accept_delivery(&self, py: Python<'_>) -> PyResult<()> {
        self.answer_with(py, Pending::accept_delivery)
    }

    fn fail_delivery(&self, py: Python<'_>, failure: &str) -> PyResult<()> {
        let failure = FailedDelivery::from_name(failure).ok_or_else(|| configuration("unknown failure"))?;
        self.answer_with(py, |pending| pending.fail_delivery(failure))
    }

    /// The host failed to answer. The client gets a 503.
    fn fail(&self, py: Python<'_>, message: &str) -> PyResult<()> {
        self.answer_with(py, |pending| Ok(pending.fail(message)))
    }

    /// The host does not answer questions of this kind.
    fn refuse(&self, py: Python<'_>) -> PyResult<()> {
        self.answer_with(py, |pending| Ok(pending.refuse()))
    }

    /// Drops the request, unless it has ended.
    fn close(&self, py: Python<'_>) {
        let dropped = {
            let mut state = self.lock();
            if matches!(*state, State::Done(_)) { None } else { Some(core::mem::replace(&mut *state, State::Closed)) }
        };
        py.detach(|| drop(dropped));
    }

    /// The reply, at the end of a request.
    fn reply<'py>(&self, py: Python<'py>) -> PyResult<ReplyParts<'py>> {
        match &*self.lock() {
            State::Done(Done::Reply(reply)) => Ok(reply_parts(py, reply)),
            other => Err(misused(other)),
        }
    }

    /// The document, at the end of any other exchange.
    fn document<'py>(&self, py: Python<'py>) -> PyResult<Outcome<'py>> {
        match &*self.lock() {
            State::Done(Done::Document(document)) => Ok(outcome(py, document)),
            other => Err(misused(other)),
        }
    }
}

impl From<Step> for State {
    fn from(step: Step) -> Self {
        match step {
            Step::Question(pending) => Self::Asks(pending),
            Step::Done(done) => Self::Done(done),
        }
    }
}

pub(crate) fn outcome<'py>(py: Python<'py>, outcome: &Result<String, Refusal>) -> Outcome<'py> {
    match outcome {
        Ok(document) => (Some(document.clone()), None),
        Err(refusal) => {
            let reply = refusal.reply().map(|reply| reply_parts(py, &reply));
            (None, Some((refusal.code().to_owned(), refusal.message(), refusal.attempts_remaining(), reply)))
        }
    }
}

fn misused(state: &State) -> PyErr {
    ExchangeError::new_err(match state {
        State::Asks(_) => "the exchange has not ended",
        State::Busy => "another thread answers this question",
        State::Done(Done::Reply(_)) => "the exchange has ended with a reply",
        State::Done(Done::Document(_)) => "the exchange has ended with a document",
        State::Closed => "the exchange is closed",
    })
}
