//! The exchange behind a question, whatever it ends with.

use std::sync::Arc;

use otp_grant::directory::{CustomClaims, SignUp, UserClaims};
use otp_grant::exchange::{self, Ask, ClaimsQuestion, Deliver, Outcome, ScopeQuestion, SigningQuestion, SwapQuestion};
use otp_grant::id::RecordKey;
use otp_grant::jwt::Algorithm;
use otp_grant::server::OtpMessage;
use otp_grant::store::{Record, Swap};
use otp_grant::{
    Address, AuthSource, AuthSourceId, Client, ClientId, Delivery, DeliveryFailure, Reply, Scope, Subject, Usage, User,
};

use crate::answer::{Answer, HostFailed, QuestionKind};
use crate::known_documents::KnownDocuments;
use crate::pending::{Done, Pending, Step};
use crate::refusal::Refusal;

/// What all exchanges of one engine share.
pub(crate) struct Shared {
    pub(crate) known: KnownDocuments,
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: String,
}

/// An exchange, whatever it ends with.
pub(crate) trait Exchange: Send {
    fn question(&self) -> Question<'_>;

    /// Gives the exchange back if the answer is none to its question.
    fn answer(self: Box<Self>, answer: Answer, engine: Arc<Shared>) -> Result<Step, Box<dyn Exchange>>;

    fn fail(self: Box<Self>, error: HostFailed, engine: Arc<Shared>) -> Step;

    fn refuse(self: Box<Self>, engine: Arc<Shared>) -> Step;
}

/// What an exchange can end with.
pub(crate) trait Ends: Outcome {
    fn done(self) -> Done;
}

impl Ends for Reply {
    fn done(self) -> Done {
        Done::Reply(self)
    }
}

impl Ends for Result<String, Refusal> {
    fn done(self) -> Done {
        Done::Document(self)
    }
}

/// A question of this version.
pub(crate) enum Question<'a> {
    Load(&'a RecordKey),
    /// With the bytes of the body.
    Swap(&'a SwapQuestion, &'a [u8]),
    Client(&'a ClientId),
    AuthSource(&'a AuthSourceId),
    UserByAddress(&'a Address),
    UserBySubject(&'a Subject),
    UserClaims(&'a ClaimsQuestion),
    SignUp(&'a Address),
    GrantedScope(&'a ScopeQuestion),
    AccessTokenClaims(&'a ClaimsQuestion),
    Sign(&'a SigningQuestion),
    /// With what the code is for.
    Deliver(&'a Delivery, &'a Usage),
}

impl Question<'_> {
    pub(crate) fn kind(&self) -> QuestionKind {
        match self {
            Self::Load(_) => QuestionKind::Load,
            Self::Swap(..) => QuestionKind::Swap,
            Self::Client(_) => QuestionKind::Client,
            Self::AuthSource(_) => QuestionKind::AuthSource,
            Self::UserByAddress(_) => QuestionKind::UserByAddress,
            Self::UserBySubject(_) => QuestionKind::UserBySubject,
            Self::UserClaims(_) => QuestionKind::UserClaims,
            Self::SignUp(_) => QuestionKind::SignUp,
            Self::GrantedScope(_) => QuestionKind::GrantedScope,
            Self::AccessTokenClaims(_) => QuestionKind::AccessTokenClaims,
            Self::Sign(_) => QuestionKind::Sign,
            Self::Deliver(..) => QuestionKind::Deliver,
        }
    }
}

/// A question, with the exchange that waits for its answer.
enum Asked<T> {
    Load(Ask<RecordKey, Option<Record>, T>),
    Swap(Ask<SwapQuestion, Swap, T>, Vec<u8>),
    Client(Ask<ClientId, Option<Arc<Client>>, T>),
    AuthSource(Ask<AuthSourceId, Option<Arc<AuthSource>>, T>),
    UserByAddress(Ask<Address, Option<User>, T>),
    UserBySubject(Ask<Subject, Option<User>, T>),
    UserClaims(Ask<ClaimsQuestion, UserClaims, T>),
    SignUp(Ask<Address, SignUp, T>),
    GrantedScope(Ask<ScopeQuestion, Option<Scope>, T>),
    AccessTokenClaims(Ask<ClaimsQuestion, CustomClaims, T>),
    Sign(Ask<SigningQuestion, Vec<u8>, T>),
    Deliver(Deliver<T>, Usage),
}

impl<T: Ends> Exchange for Asked<T> {
    fn question(&self) -> Question<'_> {
        match self {
            Self::Load(ask) => Question::Load(ask.question()),
            Self::Swap(ask, body) => Question::Swap(ask.question(), body),
            Self::Client(ask) => Question::Client(ask.question()),
            Self::AuthSource(ask) => Question::AuthSource(ask.question()),
            Self::UserByAddress(ask) => Question::UserByAddress(ask.question()),
            Self::UserBySubject(ask) => Question::UserBySubject(ask.question()),
            Self::UserClaims(ask) => Question::UserClaims(ask.question()),
            Self::SignUp(ask) => Question::SignUp(ask.question()),
            Self::GrantedScope(ask) => Question::GrantedScope(ask.question()),
            Self::AccessTokenClaims(ask) => Question::AccessTokenClaims(ask.question()),
            Self::Sign(ask) => Question::Sign(ask.question()),
            Self::Deliver(deliver, usage) => Question::Deliver(deliver.delivery(), usage),
        }
    }

    fn answer(self: Box<Self>, answer: Answer, engine: Arc<Shared>) -> Result<Step, Box<dyn Exchange>> {
        let step = match (*self, answer) {
            (Self::Load(ask), Answer::Record(record)) => ask.answer(record.map(|record| *record)),
            (Self::Swap(ask, _), Answer::Swap(swap)) => ask.answer(swap),
            (Self::Client(ask), Answer::Client(client)) => ask.answer(client),
            (Self::AuthSource(ask), Answer::AuthSource(source)) => ask.answer(source),
            (Self::UserByAddress(ask), Answer::User(user)) => ask.answer(user),
            (Self::UserBySubject(ask), Answer::User(user)) => ask.answer(user),
            (Self::SignUp(ask), Answer::User(user)) => ask.answer(user.map_or(SignUp::Refused, SignUp::Accepted)),
            (Self::UserClaims(ask), Answer::UserClaims(claims)) => ask.answer(claims),
            (Self::GrantedScope(ask), Answer::Scope(scope)) => ask.answer(scope),
            (Self::AccessTokenClaims(ask), Answer::CustomClaims(claims)) => ask.answer(claims),
            (Self::Sign(ask), Answer::Signature(signature)) => ask.answer(signature),
            (Self::Deliver(deliver, _), Answer::Delivered(None)) => deliver.accepted(),
            (Self::Deliver(deliver, _), Answer::Delivered(Some(failure))) => deliver.failed(failure.into()),
            (asked, _) => return Err(Box::new(asked)),
        };
        Ok(go_on(step, engine))
    }

    fn fail(self: Box<Self>, error: HostFailed, engine: Arc<Shared>) -> Step {
        let step = match *self {
            Self::Load(ask) => ask.failed(error),
            Self::Swap(ask, _) => ask.failed(error),
            Self::Client(ask) => ask.failed(error),
            Self::AuthSource(ask) => ask.failed(error),
            Self::UserByAddress(ask) => ask.failed(error),
            Self::UserBySubject(ask) => ask.failed(error),
            Self::UserClaims(ask) => ask.failed(error),
            Self::SignUp(ask) => ask.failed(error),
            Self::GrantedScope(ask) => ask.failed(error),
            Self::AccessTokenClaims(ask) => ask.failed(error),
            Self::Sign(ask) => ask.failed(error),
            Self::Deliver(deliver, _) => deliver.failed(DeliveryFailure::Undeliverable),
        };
        go_on(step, engine)
    }

    fn refuse(self: Box<Self>, engine: Arc<Shared>) -> Step {
        let step = match *self {
            Self::Load(ask) => ask.refuse(),
            Self::Swap(ask, _) => ask.refuse(),
            Self::Client(ask) => ask.refuse(),
            Self::AuthSource(ask) => ask.refuse(),
            Self::UserByAddress(ask) => ask.refuse(),
            Self::UserBySubject(ask) => ask.refuse(),
            Self::UserClaims(ask) => ask.refuse(),
            Self::SignUp(ask) => ask.refuse(),
            Self::GrantedScope(ask) => ask.refuse(),
            Self::AccessTokenClaims(ask) => ask.refuse(),
            Self::Sign(ask) => ask.refuse(),
            Self::Deliver(deliver, _) => deliver.refuse(),
        };
        go_on(step, engine)
    }
}

/// Stops at the next question that this version knows.
pub(crate) fn go_on<T: Ends>(mut step: exchange::Step<T>, engine: Arc<Shared>) -> Step {
    loop {
        let asked = match step {
            exchange::Step::Load(ask) => Asked::Load(ask),
            exchange::Step::Swap(ask) => match ask.question().next.body.to_bytes() {
                Ok(body) => Asked::Swap(ask, body),
                Err(error) => {
                    step = ask.failed(error);
                    continue;
                }
            },
            exchange::Step::Client(ask) => Asked::Client(ask),
            exchange::Step::AuthSource(ask) => Asked::AuthSource(ask),
            exchange::Step::UserByAddress(ask) => Asked::UserByAddress(ask),
            exchange::Step::UserBySubject(ask) => Asked::UserBySubject(ask),
            exchange::Step::UserClaims(ask) => Asked::UserClaims(ask),
            exchange::Step::SignUp(ask) => Asked::SignUp(ask),
            exchange::Step::GrantedScope(ask) => Asked::GrantedScope(ask),
            exchange::Step::AccessTokenClaims(ask) => Asked::AccessTokenClaims(ask),
            exchange::Step::Sign(ask) => Asked::Sign(ask),
            exchange::Step::Deliver(deliver) => {
                // A test identity gets no message, and the host is not asked to deliver one.
                let Some(usage) = deliver.delivery().message().map(OtpMessage::usage) else {
                    step = deliver.accepted();
                    continue;
                };
                Asked::Deliver(deliver, usage)
            }
            exchange::Step::Done(outcome) => return Step::Done(outcome.done()),
            // A question of a later version.
            other => {
                step = other.refuse();
                continue;
            }
        };
        return Step::Question(Pending::new(Box::new(asked), engine));
    }
}
