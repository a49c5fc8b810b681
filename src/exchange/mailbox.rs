//! Where one exchange puts its questions, and where the answers to them arrive.

use core::error::Error;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::erased::ErasedError;
use crate::exchange::question::{Answer, Question};

/// The mailbox of one exchange. No other exchange has a part in it.
///
/// Questions have numbers, from 1 on, and are taken out one at a time in their order. An answer has the number of its
/// question, and only the one who asked this question takes the answer.
#[derive(Default)]
pub(crate) struct Mailbox(Mutex<Slots>);

#[derive(Default)]
struct Slots {
    /// The number of the question that was put in last.
    last: u64,
    /// The question that is taken out next.
    next: Option<Numbered<Question>>,
    /// The questions behind it. It is empty unless a host asks several things at once.
    waiting: VecDeque<Numbered<Question>>,
    /// The number of the question that is out. 0 if none is, or if nobody waits for its answer any more.
    outstanding: u64,
    answer: Option<Numbered<Result<Answer, Unanswered>>>,
    /// Earlier answers that their askers have not looked for. It is empty unless a host asks several things at once.
    set_aside: Vec<Numbered<Result<Answer, Unanswered>>>,
    /// Whether an answer was taken since the last look for a question.
    has_moved: bool,
}

struct Numbered<T> {
    number: u64,
    content: T,
}

impl Mailbox {
    /// Puts a question into the mailbox, once this is polled, and waits for its answer.
    pub(crate) fn ask(&self, question: Question) -> PendingAnswer<'_> {
        PendingAnswer { mailbox: self, question: Some(question), number: 0 }
    }

    /// Takes the next question out, if there is one.
    pub(crate) fn take(&self) -> Taken {
        let mut slots = self.lock();
        let has_moved = core::mem::take(&mut slots.has_moved);
        match slots.next.take() {
            Some(Numbered { number, content }) => {
                slots.outstanding = number;
                slots.next = slots.waiting.pop_front();
                Taken::Question(content)
            }
            None if has_moved => Taken::HasMoved,
            None => Taken::Nothing,
        }
    }

    /// Answers the question that is out.
    pub(crate) fn answer(&self, answer: Result<Answer, Unanswered>) {
        let mut slots = self.lock();
        match core::mem::take(&mut slots.outstanding) {
            // What a host answers with can do anything when it is dropped, and is dropped without the lock.
            0 => drop((slots, answer)),
            number => {
                let earlier = slots.answer.replace(Numbered { number, content: answer });
                slots.set_aside.extend(earlier);
            }
        }
    }

    /// Locks even after a panic. Nothing under this lock can panic half-way.
    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    /// Puts a question in, and returns its number.
    fn put(&mut self, question: Question) -> u64 {
        self.last = self.last.saturating_add(1);
        let question = Numbered { number: self.last, content: question };
        match self.next {
            None => self.next = Some(question),
            Some(_) => self.waiting.push_back(question),
        }
        self.last
    }

    /// Takes the question of this number back.
    fn withdraw(&mut self, number: u64) -> Option<Numbered<Question>> {
        if self.next.as_ref().is_some_and(|question| question.number == number) {
            return core::mem::replace(&mut self.next, self.waiting.pop_front());
        }
        let place = self.waiting.iter().position(|question| question.number == number)?;
        self.waiting.remove(place)
    }

    /// Takes the answer to the question of this number out.
    fn answer_to(&mut self, number: u64) -> Option<Result<Answer, Unanswered>> {
        let answer = self.answer.take_if(|answer| answer.number == number).or_else(|| {
            let place = self.set_aside.iter().position(|answer| answer.number == number)?;
            Some(self.set_aside.swap_remove(place))
        })?;
        self.has_moved = true;
        Some(answer.content)
    }
}

/// What was in a mailbox.
pub(crate) enum Taken {
    Question(Question),
    /// No question, but an answer was taken since the last look. What waits for whoever took it can go on now.
    HasMoved,
    Nothing,
}

/// A question on its way, and then its answer.
pub(crate) struct PendingAnswer<'a> {
    mailbox: &'a Mailbox,
    /// The question, until it is in the mailbox.
    question: Option<Question>,
    /// The number of the question while its answer is waited for, and 0 before and afterwards.
    number: u64,
}

impl Future for PendingAnswer<'_> {
    type Output = Result<Answer, Unanswered>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut slots = this.mailbox.lock();
        if let Some(question) = this.question.take() {
            this.number = slots.put(question);
        } else if let Some(answer) = slots.answer_to(this.number) {
            this.number = 0;
            return Poll::Ready(answer);
        }
        drop(slots);
        // The call that answers also polls the whole exchange, so there is no task to wake. But what joins many futures
        // polls only those that were woken.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A question that nobody waits for is not asked any more, and its answer is not kept.
impl Drop for PendingAnswer<'_> {
    fn drop(&mut self) {
        if self.number == 0 {
            return;
        }
        let mut slots = self.mailbox.lock();
        if slots.outstanding == self.number {
            slots.outstanding = 0;
        }
        let left = (slots.withdraw(self.number), slots.answer_to(self.number));
        drop(slots);
        // What a host answers with can do anything when it is dropped.
        drop(left);
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

/// An answer of another kind than its question.
#[derive(Debug)]
pub(crate) struct Misplaced;

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an exchange got the answer to another question")
    }
}

impl Error for Misplaced {}

/// The host refused a question that has no default answer.
#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the host does not answer this question")
    }
}

impl Error for Refused {}
