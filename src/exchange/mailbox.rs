//! Where one exchange puts its question, and where the answer to it arrives.

use core::error::Error;
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::erased::ErasedError;

/// The mailbox of one exchange. It holds one question at a time. No other exchange has a part in it.
pub(crate) struct Mailbox<Q>(Mutex<Slot<Q>>);

struct Slot<Q> {
    question: Option<Q>,
    /// Whether a question was asked or answered since this was last looked at.
    has_moved: bool,
}

impl<Q> Mailbox<Q> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Slot { question: None, has_moved: false }))
    }

    /// Puts a question into the mailbox and waits for its answer.
    ///
    /// While another question of the same exchange is in the mailbox, this one waits until it has been taken out.
    pub(crate) async fn ask<A>(&self, question: impl FnOnce(Inlet<A>) -> Q) -> Result<A, Unanswered> {
        let answer = Arc::default();
        let mut question = Some(|| question(Inlet(Arc::clone(&answer))));
        // The call that answers also polls, so there is no task to wake.
        poll_fn(|_| {
            let mut slot = lock(&self.0);
            if slot.question.is_none() {
                if let Some(question) = question.take() {
                    *slot = Slot { question: Some(question()), has_moved: true };
                }
            }
            let answer = lock(&answer).take();
            slot.has_moved |= answer.is_some();
            answer.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Takes the question out.
    pub(crate) fn take(&self) -> Option<Q> {
        lock(&self.0).question.take()
    }

    /// Tells whether a question was asked or answered since the last call.
    pub(crate) fn has_moved(&self) -> bool {
        core::mem::take(&mut lock(&self.0).has_moved)
    }
}

/// Where the answer to one question goes.
pub(crate) struct Inlet<A>(Arc<Mutex<Option<Result<A, Unanswered>>>>);

impl<A> Inlet<A> {
    pub(crate) fn put(self, answer: Result<A, Unanswered>) {
        *lock(&self.0) = Some(answer);
    }
}

/// Why a question has no answer.
pub(crate) enum Unanswered {
    /// The host does not answer questions of this kind.
    Refused,
    /// The part of the host that should have answered failed.
    Failed(ErasedError),
}

impl From<Unanswered> for ErasedError {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Refused => Self::new(Refused),
            Unanswered::Failed(error) => error,
        }
    }
}

/// The host refused a question that has no default answer.
#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host does not answer this question")
    }
}

impl Error for Refused {}

/// Locks even after a panic. Nothing under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
