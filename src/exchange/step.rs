//! One exchange, step by step: the question that it waits for, and what an answer leads to.

use core::error::Error;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::Arc;

use crate::address::Address;
use crate::directory::{AuthSource, Client, CustomClaims, SignUp, User, UserClaims};
use crate::erased::ErasedError;
use crate::exchange::mailbox::{Mailbox, Taken, Unanswered};
use crate::exchange::outcome::Outcome;
use crate::exchange::question::{
    Answer, ClaimsQuestion, Delivered, Question, ScopeQuestion, SigningQuestion, SwapQuestion,
};
use crate::flow::core::Parts;
use crate::id::{AuthSourceId, ClientId, RecordKey, Subject};
use crate::scope::Scope;
use crate::server::Delivery;
use crate::store::{Record, Swap};
use crate::wire::error::DeliveryFailure;
use crate::wire::reply::Reply;

/// What an exchange waits for, or its outcome.
///
/// Each variant but `Done` is one call of a port, and asks for what that port returns: [`Store`](crate::Store),
/// [`ClientRegistry`](crate::directory::ClientRegistry) and [`UserStore`](crate::directory::UserStore) say what that
/// has to be. The host that answers must guarantee what these ports must.
///
/// Later versions can ask more. `other => other.refuse()` is the arm for questions that a host does not know.
#[must_use = "a step that is dropped is a request that is dropped"]
#[non_exhaustive]
pub enum Step<T = Reply> {
    /// [`Store::load`](crate::Store::load).
    Load(Ask<RecordKey, Option<Record>, T>),
    /// [`Store::swap`](crate::Store::swap), which has to be atomic.
    Swap(Ask<SwapQuestion, Swap, T>),
    /// [`ClientRegistry::client`](crate::directory::ClientRegistry::client).
    Client(Ask<ClientId, Option<Arc<Client>>, T>),
    /// [`ClientRegistry::auth_source`](crate::directory::ClientRegistry::auth_source).
    AuthSource(Ask<AuthSourceId, Option<Arc<AuthSource>>, T>),
    /// [`UserStore::user_by_address`](crate::directory::UserStore::user_by_address).
    UserByAddress(Ask<Address, Option<User>, T>),
    /// [`UserStore::user_by_subject`](crate::directory::UserStore::user_by_subject).
    UserBySubject(Ask<Subject, Option<User>, T>),
    /// [`UserStore::user_claims`](crate::directory::UserStore::user_claims).
    UserClaims(Ask<ClaimsQuestion, UserClaims, T>),
    /// [`UserStore::sign_up`](crate::directory::UserStore::sign_up). Refused, it is [`SignUp::Refused`].
    SignUp(Ask<Address, SignUp, T>),
    /// [`UserStore::granted_scope`](crate::directory::UserStore::granted_scope). Refused, it grants what was requested.
    GrantedScope(Ask<ScopeQuestion, Option<Scope>, T>),
    /// [`UserStore::access_token_claims`](crate::directory::UserStore::access_token_claims). Refused, it adds no claim.
    AccessTokenClaims(Ask<ClaimsQuestion, CustomClaims, T>),
    /// [`Signer::sign`](crate::jwt::Signer::sign), only for an [external key](crate::SigningKey::external).
    Sign(Ask<SigningQuestion, Vec<u8>, T>),
    /// Asks to have a code delivered.
    Deliver(Deliver<T>),
    /// The exchange is over.
    Done(T),
}

impl<T: Outcome> Step<T> {
    /// Refuses the question, whichever it is. See [`Ask::refuse`]. An outcome stays as it is.
    pub fn refuse(self) -> Self {
        match self {
            Self::Load(ask) => ask.refuse(),
            Self::Swap(ask) => ask.refuse(),
            Self::Client(ask) => ask.refuse(),
            Self::AuthSource(ask) => ask.refuse(),
            Self::UserByAddress(ask) => ask.refuse(),
            Self::UserBySubject(ask) => ask.refuse(),
            Self::UserClaims(ask) => ask.refuse(),
            Self::SignUp(ask) => ask.refuse(),
            Self::GrantedScope(ask) => ask.refuse(),
            Self::AccessTokenClaims(ask) => ask.refuse(),
            Self::Sign(ask) => ask.refuse(),
            Self::Deliver(deliver) => deliver.refuse(),
            Self::Done(outcome) => Self::Done(outcome),
        }
    }

    /// Returns the name of the variant in `snake_case`, for logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Load(_) => "load",
            Self::Swap(_) => "swap",
            Self::Client(_) => "client",
            Self::AuthSource(_) => "auth_source",
            Self::UserByAddress(_) => "user_by_address",
            Self::UserBySubject(_) => "user_by_subject",
            Self::UserClaims(_) => "user_claims",
            Self::SignUp(_) => "sign_up",
            Self::GrantedScope(_) => "granted_scope",
            Self::AccessTokenClaims(_) => "access_token_claims",
            Self::Sign(_) => "sign",
            Self::Deliver(_) => "deliver",
            Self::Done(_) => "done",
        }
    }
}

impl<T: Outcome> fmt::Debug for Step<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Step({})", self.name())
    }
}

/// A question, with the exchange that waits for its answer.
///
/// It is answered once, since each answer takes it. The answer leads to the next step. To drop a question is to drop
/// its request, as if the client had hung up: what was stored stays stored, and a code is usable or spent.
#[must_use = "a question that is dropped is a request that is dropped"]
pub struct Ask<Q, A, T = Reply> {
    question: Q,
    /// Names the answer for the mailbox.
    named: fn(A) -> Answer,
    exchange: Exchange<T>,
}

impl<Q, A, T: Outcome> Ask<Q, A, T> {
    /// Returns the question.
    pub fn question(&self) -> &Q {
        &self.question
    }

    /// Answers, and returns the next step.
    pub fn answer(self, answer: A) -> Step<T> {
        self.exchange.go_on_with(Ok((self.named)(answer)))
    }

    /// Says that the part of the host that should answer has failed, and returns the next step.
    ///
    /// The observer receives the error. It never reaches a client. A failed swap may have been applied or may be
    /// applied later, and the exchange finds out which. The request mostly ends with a 503.
    pub fn failed(self, error: impl Error + Send + Sync + 'static) -> Step<T> {
        self.exchange.go_on_with(Err(Unanswered::Failed(ErasedError::new(error))))
    }

    /// Says that the host does not answer questions of this kind, and returns the next step.
    ///
    /// [`Step::SignUp`], [`Step::GrantedScope`] and [`Step::AccessTokenClaims`] have an answer for this case. Any other
    /// question fails, as if its port had.
    pub fn refuse(self) -> Step<T> {
        self.exchange.go_on_with(Err(Unanswered::Refused))
    }
}

/// Shows no part of the question, which can be personal data.
impl<Q, A, T> fmt::Debug for Ask<Q, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").finish_non_exhaustive()
    }
}

/// A code to deliver, with the exchange that waits to hear of it.
#[must_use = "a delivery that is dropped is a request that is dropped"]
pub struct Deliver<T = Reply> {
    delivery: Box<Delivery>,
    exchange: Exchange<T>,
}

impl<T: Outcome> Deliver<T> {
    /// Returns the delivery.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Says that the code was sent or queued. The client gets its otp_token.
    pub fn accepted(self) -> Step<T> {
        let (delivery, handed_out) = self.hand_out();
        handed_out.replied(delivery.accepted())
    }

    /// Says that the code could not be sent, as
    /// [`AuthorizationServer::delivery_failed`](crate::AuthorizationServer::delivery_failed) does. After
    /// [`DeliveryFailure::Undeliverable`] the exchange also lets the address be sent to again at once.
    pub fn failed(self, failure: DeliveryFailure) -> Step<T> {
        let Self { delivery, exchange } = self;
        exchange.go_on_with(Ok(Answer::Deliver(Delivered::Failed(delivery, failure))))
    }

    /// Says that the host delivers nothing. The request ends as after [`DeliveryFailure::Undeliverable`].
    pub fn refuse(self) -> Step<T> {
        self.failed(DeliveryFailure::Undeliverable)
    }

    /// Hands the delivery out, for a host that makes the reply itself. Such a host can queue the message of
    /// [`Delivery::into_parts`], for example.
    pub fn hand_out(self) -> (Delivery, HandedOut<T>) {
        let Self { delivery, exchange } = self;
        (*delivery, HandedOut { exchange })
    }
}

impl<T> fmt::Debug for Deliver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliver").field("delivery", &self.delivery).finish_non_exhaustive()
    }
}

/// An exchange whose delivery was handed out.
#[must_use = "an exchange that is dropped is a request that is dropped"]
pub struct HandedOut<T = Reply> {
    exchange: Exchange<T>,
}

impl<T: Outcome> HandedOut<T> {
    /// Goes on with the reply for the delivery.
    pub fn replied(self, reply: Reply) -> Step<T> {
        self.exchange.go_on_with(Ok(Answer::Deliver(Delivered::Replied(reply))))
    }
}

impl<T> fmt::Debug for HandedOut<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandedOut").finish_non_exhaustive()
    }
}

/// A request that waits for an answer.
pub(crate) struct Exchange<T> {
    request: Pin<Box<dyn Future<Output = T> + Send>>,
    mailbox: Arc<Mailbox>,
    parts: Arc<Parts>,
}

impl<T: Outcome> Exchange<T> {
    pub(crate) fn new(
        request: Pin<Box<dyn Future<Output = T> + Send>>,
        mailbox: Arc<Mailbox>,
        parts: Arc<Parts>,
    ) -> Self {
        Self { request, mailbox, parts }
    }

    /// Runs the request up to its next question.
    pub(crate) fn go_on(mut self) -> Step<T> {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(outcome) = self.request.as_mut().poll(&mut context) {
                return Step::Done(outcome);
            }
            match self.mailbox.take() {
                Taken::Question(question) => return self.ask(question),
                Taken::HasMoved => {}
                Taken::Nothing => return Step::Done(T::unavailable(self.parts.faulted(&WaitsForNoAnswer))),
            }
        }
    }

    /// Answers the question, and runs the request up to its next one.
    fn go_on_with(self, answer: Result<Answer, Unanswered>) -> Step<T> {
        self.mailbox.answer(answer);
        self.go_on()
    }

    fn ask(self, question: Question) -> Step<T> {
        match question {
            Question::Load(question) => Step::Load(self.with(question, |found| Answer::Load(found.map(Box::new)))),
            Question::Swap(question) => Step::Swap(self.with(question, Answer::Swap)),
            Question::Client(question) => Step::Client(self.with(question, Answer::Client)),
            Question::AuthSource(question) => Step::AuthSource(self.with(question, Answer::AuthSource)),
            Question::UserByAddress(question) => Step::UserByAddress(self.with(question, Answer::UserByAddress)),
            Question::UserBySubject(question) => Step::UserBySubject(self.with(question, Answer::UserBySubject)),
            Question::UserClaims(question) => Step::UserClaims(self.with(question, Answer::UserClaims)),
            Question::SignUp(question) => Step::SignUp(self.with(question, Answer::SignUp)),
            Question::GrantedScope(question) => Step::GrantedScope(self.with(question, Answer::GrantedScope)),
            Question::AccessTokenClaims(question) => {
                Step::AccessTokenClaims(self.with(question, Answer::AccessTokenClaims))
            }
            Question::Sign(question) => Step::Sign(self.with(question, Answer::Sign)),
            Question::Deliver(delivery) => Step::Deliver(Deliver { delivery, exchange: self }),
        }
    }

    fn with<Q, A>(self, question: Q, named: fn(A) -> Answer) -> Ask<Q, A, T> {
        Ask { question, named, exchange: self }
    }
}

/// A port of the host waits for something that no answer brings: a timer, a socket or another thread.
#[derive(Debug)]
struct WaitsForNoAnswer;

impl fmt::Display for WaitsForNoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an exchange waits for something else than an answer, such as a signer that does I/O")
    }
}

impl Error for WaitsForNoAnswer {}
