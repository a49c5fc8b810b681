//! One exchange: the question that it asks now, and the answers.

use napi::{Env, JsString};
use napi_derive::napi;
use otp_grant_bindings::{Done, FailedDelivery, Pending, Refusal, Rejected, Reply, Step, StoredRecord, UserAnswer};
use zeroize::Zeroizing;

use crate::engine::{PreparedAuthSource, PreparedClient};
use crate::error::{Thrown, misuse};
use crate::record::{as_number, decode, encode};

/// A request under way. It ends when it is answered, dropped or collected.
#[napi]
pub struct Exchange {
    state: State,
}

enum State {
    Question(Pending),
    Done(Done),
    Dropped,
}

/// Why a verb was refused.
#[napi(object)]
pub struct RefusalParts {
    /// The reason, as a stable word.
    pub code: String,
    /// The reason, as text.
    pub message: String,
    /// How many guesses are left.
    pub attempts_remaining: Option<u32>,
    /// Whether the host is at fault and the call can be repeated.
    pub is_temporary: bool,
    /// What an API answers. Nothing where the host's own configuration is at fault.
    pub reply: Option<ReplyParts>,
}

/// The parts of a reply that goes with a refusal.
#[napi(object)]
pub struct ReplyParts {
    /// The status.
    pub status: u16,
    /// The headers: names and values in turns.
    pub headers: Vec<String>,
    /// The body, which is JSON.
    pub body: String,
}

impl RefusalParts {
    pub(crate) fn of(refusal: &Refusal) -> Self {
        Self {
            code: refusal.code().to_owned(),
            message: refusal.message(),
            attempts_remaining: refusal.attempts_remaining().and_then(|left| u32::try_from(left).ok()),
            is_temporary: refusal.is_temporary(),
            reply: refusal.reply().map(|reply| ReplyParts {
                status: reply.status(),
                headers: in_turns(&reply),
                body: String::from_utf8_lossy(reply.body()).into_owned(),
            }),
        }
    }
}

fn in_turns(reply: &Reply) -> Vec<String> {
    reply.headers().flat_map(|(name, value)| [name.to_owned(), value.to_owned()]).collect()
}

impl Exchange {
    pub(crate) fn new(step: Step) -> Self {
        Self { state: State::of(step) }
    }

    fn question(&self) -> Result<&Pending, Thrown> {
        match &self.state {
            State::Question(pending) => Ok(pending),
            _ => Err(misuse("the exchange asks nothing")),
        }
    }

    fn done(&self) -> Result<&Done, Thrown> {
        match &self.state {
            State::Done(done) => Ok(done),
            _ => Err(misuse("the exchange has not ended")),
        }
    }

    /// Gives an answer. A question whose answer is refused is asked once more.
    fn give(&mut self, answer: impl FnOnce(Pending) -> Result<Step, Rejected>) -> Result<(), Thrown> {
        match std::mem::replace(&mut self.state, State::Dropped) {
            State::Question(pending) => match answer(pending) {
                Ok(step) => {
                    self.state = State::of(step);
                    Ok(())
                }
                Err(rejected) => {
                    let (pending, error) = rejected.into_parts();
                    self.state = State::Question(pending);
                    Err(Thrown::new(error.code(), error.to_string()))
                }
            },
            other => {
                self.state = other;
                Err(misuse("the exchange asks nothing"))
            }
        }
    }
}

impl State {
    fn of(step: Step) -> Self {
        match step {
            Step::Question(pending) => Self::Question(pending),
            Step::Done(done) => Self::Done(done),
        }
    }
}

#[napi]
impl Exchange {
    /// The number of the question, as `QuestionKind` has it. 0: the exchange has ended.
    #[napi(getter, catch_unwind)]
    pub fn kind(&self) -> u32 {
        match &self.state {
            State::Question(pending) => pending.kind().number(),
            _ => 0,
        }
    }

    /// The parts of the question that are no bytes, as JSON.
    #[napi(catch_unwind)]
    pub fn document(&self) -> Result<String, Thrown> {
        Ok(self.question()?.document())
    }

    /// Load and swap: the key of the record.
    #[napi(catch_unwind)]
    pub fn record_key<'env>(&self, env: &'env Env) -> Result<JsString<'env>, Thrown> {
        bytes(env, self.question()?.record_key())
    }

    /// Swap: the tag that the stored record must have. `null`: nothing may be stored.
    #[napi(catch_unwind)]
    pub fn expected_tag<'env>(&self, env: &'env Env) -> Result<Option<JsString<'env>>, Thrown> {
        let expected = self.question()?.expected_tag();
        expected.map(|tag| bytes(env, Some(tag))).transpose()
    }

    /// Swap: the tag of the record to store.
    #[napi(catch_unwind)]
    pub fn tag<'env>(&self, env: &'env Env) -> Result<JsString<'env>, Thrown> {
        bytes(env, self.question()?.tag())
    }

    /// Swap: the instant from which the record may be deleted, at most the largest safe integer.
    #[napi(catch_unwind)]
    pub fn delete_after(&self) -> Result<i64, Thrown> {
        self.question()?.delete_after_ms().map(as_number).ok_or_else(other_question)
    }

    /// Swap: the value to store.
    #[napi(catch_unwind)]
    pub fn record_value<'env>(&self, env: &'env Env) -> Result<JsString<'env>, Thrown> {
        let pending = self.question()?;
        match (pending.tag(), pending.delete_after_ms(), pending.record_body()) {
            (Some(tag), Some(delete_after), Some(body)) => bytes(env, Some(&encode(tag, delete_after, body))),
            _ => Err(other_question()),
        }
    }

    /// Sign: what to sign.
    #[napi(catch_unwind)]
    pub fn message<'env>(&self, env: &'env Env) -> Result<JsString<'env>, Thrown> {
        bytes(env, self.question()?.message())
    }

    /// Client: its identifier.
    #[napi(catch_unwind)]
    pub fn client_id(&self) -> Result<String, Thrown> {
        self.question()?.client_id().map(str::to_owned).ok_or_else(other_question)
    }

    /// Auth source: its identifier.
    #[napi(catch_unwind)]
    pub fn auth_source_id(&self) -> Result<String, Thrown> {
        self.question()?.auth_source_id().map(str::to_owned).ok_or_else(other_question)
    }

    /// Answers a load.
    #[napi(catch_unwind)]
    pub fn answer_record(&mut self, value: Option<&[u8]>) -> Result<(), Thrown> {
        let Some(value) = value else { return self.give(|pending| pending.answer_record(None)) };
        let record = decode(value).ok_or_else(|| Thrown::new("malformed", "what is stored is not a record"))?;
        let stored = StoredRecord { tag: &record.tag, delete_after_ms: record.delete_after_ms, body: record.body };
        self.give(|pending| pending.answer_record(Some(stored)))
    }

    /// Answers a swap: whether the record was stored.
    #[napi(catch_unwind)]
    pub fn answer_swap(&mut self, stored: bool) -> Result<(), Thrown> {
        self.give(|pending| pending.answer_swap(stored))
    }

    /// Answers with a document, as JSON. `null`: unknown, refused or nothing.
    #[napi(catch_unwind)]
    pub fn answer_document(&mut self, document: Option<String>) -> Result<(), Thrown> {
        let document = document.map(Zeroizing::new);
        self.give(|pending| pending.answer_document(document.as_ref().map(|document| document.as_str())))
    }

    /// Answers with a client that was read before.
    #[napi(catch_unwind)]
    pub fn answer_client(&mut self, client: &PreparedClient) -> Result<(), Thrown> {
        self.give(|pending| pending.answer_client(Some(&client.client)))
    }

    /// Answers with an auth source that was read before.
    #[napi(catch_unwind)]
    pub fn answer_auth_source(&mut self, source: &PreparedAuthSource) -> Result<(), Thrown> {
        self.give(|pending| pending.answer_auth_source(Some(&source.source)))
    }

    /// Answers with a user.
    #[napi(catch_unwind)]
    pub fn answer_user(
        &mut self,
        subject: String,
        status: String,
        is_test: bool,
        tokens_valid_after: Option<i64>,
    ) -> Result<(), Thrown> {
        let tokens_valid_after_ms = tokens_valid_after.map(|at| u64::try_from(at).unwrap_or(0));
        let user = UserAnswer { subject: &subject, status: &status, tokens_valid_after_ms, is_test };
        self.give(|pending| pending.answer_user(Some(user)))
    }

    /// Answers with the granted scope. `null`: nothing is granted.
    #[napi(catch_unwind)]
    pub fn answer_scope(&mut self, scope: Option<String>) -> Result<(), Thrown> {
        self.give(|pending| pending.answer_scope(scope.as_deref()))
    }

    /// Answers with a signature.
    #[napi(catch_unwind)]
    pub fn answer_signature(&mut self, signature: &[u8]) -> Result<(), Thrown> {
        self.give(|pending| pending.answer_signature(signature))
    }

    /// The message was accepted for delivery.
    #[napi(catch_unwind)]
    pub fn accept_delivery(&mut self) -> Result<(), Thrown> {
        self.give(Pending::accept_delivery)
    }

    /// The message can't be delivered, for a reason that the client learns.
    #[napi(catch_unwind)]
    pub fn fail_delivery(&mut self, failure: String) -> Result<(), Thrown> {
        let failure = FailedDelivery::from_name(&failure)
            .ok_or_else(|| Thrown::new("malformed", "not the name of a failure of a delivery"))?;
        self.give(|pending| pending.fail_delivery(failure))
    }

    /// The host could not answer.
    #[napi(catch_unwind)]
    pub fn fail(&mut self, message: String) -> Result<(), Thrown> {
        self.give(|pending| Ok(pending.fail(&message)))
    }

    /// The host does not answer this kind of question.
    #[napi(catch_unwind)]
    pub fn refuse(&mut self) -> Result<(), Thrown> {
        self.give(|pending| Ok(pending.refuse()))
    }

    /// Drops the request, and wipes what it holds.
    #[napi(catch_unwind)]
    pub fn drop(&mut self) {
        self.state = State::Dropped;
    }

    /// The status of the reply.
    #[napi(catch_unwind)]
    pub fn status(&self) -> Result<u16, Thrown> {
        match self.done()? {
            Done::Reply(reply) => Ok(reply.status()),
            Done::Document(_) => Err(misuse("the exchange ended without a reply")),
        }
    }

    /// The headers of the reply: names and values in turns.
    #[napi(catch_unwind)]
    pub fn headers(&self) -> Result<Vec<String>, Thrown> {
        match self.done()? {
            Done::Reply(reply) => Ok(in_turns(reply)),
            Done::Document(_) => Err(misuse("the exchange ended without a reply")),
        }
    }

    /// The body of the reply.
    #[napi(catch_unwind)]
    pub fn body<'env>(&self, env: &'env Env) -> Result<JsString<'env>, Thrown> {
        match self.done()? {
            Done::Reply(reply) => bytes(env, Some(reply.body())),
            Done::Document(_) => Err(misuse("the exchange ended without a reply")),
        }
    }

    /// The outcome of a verb, as JSON. `null`: it was refused.
    #[napi(catch_unwind)]
    pub fn outcome(&self) -> Result<Option<String>, Thrown> {
        match self.done()? {
            Done::Document(outcome) => Ok(outcome.as_ref().ok().cloned()),
            Done::Reply(_) => Err(misuse("the exchange ended with a reply")),
        }
    }

    /// Why a verb was refused.
    #[napi(catch_unwind)]
    pub fn refusal(&self) -> Result<Option<RefusalParts>, Thrown> {
        match self.done()? {
            Done::Document(outcome) => Ok(outcome.as_ref().err().map(RefusalParts::of)),
            Done::Reply(_) => Err(misuse("the exchange ended with a reply")),
        }
    }
}

/// Passes bytes as a string, one character for each. Node makes a buffer of it in a quarter of the time that Node-API
/// takes for one.
pub(crate) fn bytes<'env>(env: &'env Env, bytes: Option<&[u8]>) -> Result<JsString<'env>, Thrown> {
    let bytes = bytes.ok_or_else(other_question)?;
    env.create_string_latin1(bytes).map_err(|error| misuse(&error.reason))
}

fn other_question() -> Thrown {
    misuse("the exchange asks another question")
}
