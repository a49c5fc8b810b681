//! One exchange: the question that it waits for or its end, and the bytes that C was shown.

use std::sync::{Mutex, MutexGuard, TryLockError};

use otp_grant_bindings::{Done, FailedDelivery, Pending, Refusal, Rejected, Reply, Step, StoredRecord};
use zeroize::Zeroizing;

use crate::fault::{Fault, Status};
use crate::types::{Kind, Number, Part};

/// An exchange that C holds.
pub(crate) struct Exchange(Mutex<State>);

/// What an exchange is at.
pub(crate) struct State {
    at: At,
    /// What C was shown of the present step, by the number of the part.
    shown: Vec<(Shown, usize)>,
    /// Everything that C was shown. It stays where it is until the exchange is freed.
    kept: Vec<Zeroizing<Vec<u8>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    Part(Part),
    HeaderName(usize),
    HeaderValue(usize),
}

enum At {
    Question(Pending),
    Reply(Reply),
    Document(String),
    Refused(Refusal, Option<Reply>),
    /// A panic has taken the question.
    Lost,
}

impl Exchange {
    pub(crate) fn new(step: Step) -> Self {
        Self(Mutex::new(State { at: step.into(), shown: Vec::new(), kept: Vec::new() }))
    }

    /// An exchange that is over at once.
    pub(crate) fn document(document: Result<String, Refusal>) -> Self {
        Self::new(Step::Done(Done::Document(document)))
    }

    /// Locks the exchange. It belongs to one thread at a time.
    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, State>, Fault> {
        match self.0.try_lock() {
            Ok(state) => Ok(state),
            // After a panic the question is lost.
            Err(TryLockError::Poisoned(error)) => Ok(error.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Fault::new(Status::Busy, "another call uses this exchange")),
        }
    }
}

impl State {
    pub(crate) fn kind(&self) -> Kind {
        match &self.at {
            At::Question(question) => Kind::of(question.kind()),
            At::Reply(_) => Kind::Reply,
            At::Document(_) => Kind::Document,
            At::Refused(..) => Kind::Refused,
            At::Lost => Kind::None,
        }
    }

    /// Shows a part. A zero byte follows it.
    pub(crate) fn part(&mut self, part: Part) -> Result<&[u8], Fault> {
        self.show(Shown::Part(part), |at| {
            Some(match (part, at) {
                (Part::Document, At::Question(question)) => question.document().into_bytes(),
                (Part::Document, At::Document(document)) => document.clone().into_bytes(),
                (Part::Document, At::Refused(refusal, _)) => refusal.to_json().into_bytes(),
                (Part::ReplyBody, at) => at.reply()?.body().to_vec(),
                (Part::RefusalCode, At::Refused(refusal, _)) => refusal.code().as_bytes().to_vec(),
                (part, At::Question(question)) => part_of(part, question)?.to_vec(),
                _ => return None,
            })
        })
    }

    /// Shows the name or the value of a header of the reply. A zero byte follows it.
    pub(crate) fn header(&mut self, index: usize, is_value: bool) -> Result<&[u8], Fault> {
        let shown = if is_value { Shown::HeaderValue(index) } else { Shown::HeaderName(index) };
        self.show(shown, |at| {
            let (name, value) = at.reply()?.headers().nth(index)?;
            Some(if is_value { value } else { name }.as_bytes().to_vec())
        })
    }

    pub(crate) fn number(&self, number: Number) -> Result<u64, Fault> {
        let question = match &self.at {
            At::Question(question) => Some(question),
            _ => None,
        };
        let found = match number {
            Number::DeleteAfterMs => question.and_then(Pending::delete_after_ms),
            Number::ValidForMs => question.and_then(Pending::valid_for_ms),
            Number::Attempt => question.and_then(Pending::attempt).map(u64::from),
            Number::ReplyStatus => self.at.reply().map(|reply| u64::from(reply.status())),
            Number::ReplyHeaders => self.at.reply().map(|reply| reply.headers().fold(0, |count, _| count + 1)),
        };
        found.ok_or_else(no_such_part)
    }

    pub(crate) fn answer(&mut self, answer: Answer<'_>) -> Result<(), Fault> {
        let question = match std::mem::replace(&mut self.at, At::Lost) {
            At::Question(question) => question,
            over => {
                self.at = over;
                let fault = match self.at {
                    At::Lost => Fault::new(Status::Internal, "the exchange was lost by a fault of the library"),
                    _ => Fault::new(Status::Over, "the exchange is over"),
                };
                return Err(fault);
            }
        };
        let step = match answer {
            Answer::Record(record) => question.answer_record(record),
            Answer::Swap(stored) => question.answer_swap(stored),
            Answer::Document(document) => question.answer_document(document),
            Answer::Signature(signature) => question.answer_signature(signature),
            Answer::Accept => question.accept_delivery(),
            Answer::FailDelivery(failure) => question.fail_delivery(failure),
            Answer::Fail(message) => Ok(question.fail(message)),
            Answer::Refuse => Ok(question.refuse()),
        };
        match step.map_err(Rejected::into_parts) {
            Ok(step) => {
                self.at = step.into();
                self.shown.clear();
                Ok(())
            }
            Err((question, error)) => {
                self.at = At::Question(question);
                let status = if error.code() == "wrong_kind" { Status::WrongKind } else { Status::Malformed };
                Err(Fault::new(status, error))
            }
        }
    }

    fn show(&mut self, shown: Shown, read: impl FnOnce(&At) -> Option<Vec<u8>>) -> Result<&[u8], Fault> {
        let place = match self.shown.iter().find(|(known, _)| *known == shown) {
            Some((_, place)) => *place,
            None => {
                let bytes = Zeroizing::new(read(&self.at).ok_or_else(no_such_part)?);
                // Allocated once, so that no copy is left behind.
                let mut kept = Vec::with_capacity(bytes.len() + 1);
                kept.extend_from_slice(&bytes);
                kept.push(0);
                self.kept.push(Zeroizing::new(kept));
                self.shown.push((shown, self.kept.len() - 1));
                self.kept.len() - 1
            }
        };
        self.kept.get(place).map(|kept| kept.as_slice()).ok_or_else(no_such_part)
    }
}

impl At {
    fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Reply(reply) => Some(reply),
            Self::Refused(_, reply) => reply.as_ref(),
            _ => None,
        }
    }
}

impl From<Step> for At {
    fn from(step: Step) -> Self {
        match step {
            Step::Question(question) => Self::Question(question),
            Step::Done(Done::Reply(reply)) => Self::Reply(reply),
            Step::Done(Done::Document(Ok(document))) => Self::Document(document),
            Step::Done(Done::Document(Err(refusal))) => {
                let reply = refusal.reply();
                Self::Refused(refusal, reply)
            }
        }
    }
}

/// An answer of C.
pub(crate) enum Answer<'a> {
    Record(Option<StoredRecord<'a>>),
    Swap(bool),
    Document(Option<&'a str>),
    Signature(&'a [u8]),
    Accept,
    FailDelivery(FailedDelivery),
    Fail(&'a str),
    Refuse,
}

fn part_of(part: Part, question: &Pending) -> Option<&[u8]> {
    match part {
        Part::RecordKey => question.record_key(),
        Part::ExpectedTag => question.expected_tag(),
        Part::Tag => question.tag(),
        Part::RecordBody => question.record_body(),
        Part::Message => question.message(),
        Part::ClientId => question.client_id().map(str::as_bytes),
        Part::AuthSourceId => question.auth_source_id().map(str::as_bytes),
        Part::Channel => question.channel().map(str::as_bytes),
        Part::Address => question.address().map(str::as_bytes),
        Part::Subject => question.subject().map(str::as_bytes),
        Part::Scope => question.scope().map(str::as_bytes),
        Part::Code => question.code().map(str::as_bytes),
        Part::Usage => question.usage().map(str::as_bytes),
        Part::Document | Part::ReplyBody | Part::RefusalCode => None,
    }
}

fn no_such_part() -> Fault {
    Fault::new(Status::NoSuchPart, "there is no such part")
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use otp_grant_bindings::Engine;

    use super::*;

    const CONFIG: &str = r#"{"issuer":"https://login.example.com","keys":{"generate":true},
        "signing":{"active":{"generate":"EdDSA"}}}"#;
    const BODY: &[u8] = br#"{"client_id":"app","grant_type":"refresh_token","refresh_token":"none"}"#;

    fn begin(engine: &Engine) -> Exchange {
        let headers = [("content-type", &b"application/json"[..])];
        Exchange::new(engine.begin("POST", "/oauth2/token", headers, BODY).unwrap())
    }

    #[test]
    fn a_panic_takes_the_question_and_nothing_else() {
        let builder = Engine::builder(CONFIG).unwrap();
        let engine = builder.observer(|_| panic!("an observer must not panic")).build().unwrap();
        let exchange = begin(&engine);
        let answer = || exchange.lock().unwrap().answer(Answer::Document(None));
        assert!(catch_unwind(AssertUnwindSafe(answer)).is_err());
        let mut state = exchange.lock().unwrap();
        assert_eq!(state.kind(), Kind::None);
        assert_eq!(state.answer(Answer::Refuse).unwrap_err().status, Status::Internal);
        assert_eq!(state.part(Part::Document).unwrap_err().status, Status::NoSuchPart);
        assert_eq!(begin(&engine).lock().unwrap().kind(), Kind::Client);
    }

    #[test]
    fn bytes_stay_where_they_are_until_the_exchange_is_freed_and_are_shown_once() {
        let exchange = begin(&Engine::from_json(CONFIG).unwrap());
        let mut state = exchange.lock().unwrap();
        let shown = state.part(Part::ClientId).unwrap().as_ptr();
        assert_eq!(state.part(Part::ClientId).unwrap(), b"app\0");
        for _ in 0..100 {
            state.part(Part::Document).unwrap();
            assert!(state.answer(Answer::Swap(true)).is_err());
        }
        assert_eq!(state.kept.len(), 2);
        state.answer(Answer::Document(None)).unwrap();
        state.part(Part::ReplyBody).unwrap();
        assert!(state.part(Part::ClientId).is_err());
        assert_eq!(state.kept[0].as_ptr(), shown);
        assert_eq!(*state.kept[0], b"app\0");
    }
}
