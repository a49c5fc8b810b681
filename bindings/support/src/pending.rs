//! One exchange, step by step, for a host in another language: its questions, and how they are answered.

use std::fmt;
use std::sync::Arc;

use otp_grant::exchange::{self, ClaimsQuestion, ScopeQuestion};
use otp_grant::server::OtpMessage;
use otp_grant::store::Swap;
use otp_grant::time::Timestamp;
use otp_grant::{Address, AuthSourceId, Reply, Scope, User};
use serde_json::{Value, json};

use crate::answer::{Answer, AnswerError, FailedDelivery, HostFailed, QuestionKind, StoredRecord};
use crate::documents::{self, ParsedAuthSource, ParsedClient, UserAnswer};
use crate::error::{At, DocumentError, Misplaced};
use crate::exchange::{Ends, Exchange, Question, Shared, go_on};
use crate::refusal::Refusal;
use crate::values::ChannelName;

/// What an exchange waits for, or how it ended.
#[must_use = "a step that is dropped is a request that is dropped"]
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "an exchange either waits or is over")]
pub enum Step {
    /// It waits for an answer.
    Question(Pending),
    /// It is over.
    Done(Done),
}

/// How an exchange ended.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a binding has to learn of another end")]
pub enum Done {
    /// A request was answered.
    Reply(Reply),
    /// Another verb gave a JSON document, or was refused.
    Document(Result<String, Refusal>),
}

/// A question, with the exchange that waits for its answer.
///
/// Each answer takes the question and gives the next step. An answer of the wrong kind, or one that can't be read,
/// gives the question back. To drop a question is to drop its request, as if the client had hung up.
#[must_use = "a question that is dropped is a request that is dropped"]
pub struct Pending {
    exchange: Box<dyn Exchange>,
    engine: Arc<Shared>,
}

impl Pending {
    /// Returns what is asked for.
    pub fn kind(&self) -> QuestionKind {
        self.exchange.question().kind()
    }

    /// Returns the parts of the question as a JSON object. Bytes are not in it.
    ///
    /// | question | members |
    /// |---|---|
    /// | `load` | none |
    /// | `swap` | `delete_after` |
    /// | `client`, `auth_source` | `id` |
    /// | `user_by_address`, `sign_up` | `channel`, `address` |
    /// | `user_by_subject` | `subject` |
    /// | `user_claims`, `access_token_claims` | `subject`, `client`, `scope` |
    /// | `granted_scope` | `user`, `client`, `requested` |
    /// | `sign` | `algorithm`, `key_id` |
    /// | `deliver` | `channel`, `address`, `code`, `usage`, `client`, `auth_source` for a login, `valid_for` in seconds, rounded up, `attempt` |
    pub fn document(&self) -> String {
        let of_address =
            |address: &Address| json!({ "channel": ChannelName::of(address.channel()), "address": address.as_str() });
        let of_claims = |ClaimsQuestion { subject, client, scope, .. }: &ClaimsQuestion| json!({ "subject": subject.as_str(), "client": client.as_str(), "scope": scope.as_str() });
        let document = match self.exchange.question() {
            Question::Load(_) => json!({}),
            Question::Swap(swap, _) => json!({ "delete_after": swap.next.delete_after.as_unix_millis() }),
            Question::Client(id) => json!({ "id": id.as_str() }),
            Question::AuthSource(id) => json!({ "id": id.as_str() }),
            Question::UserByAddress(address) | Question::SignUp(address) => of_address(address),
            Question::UserBySubject(subject) => json!({ "subject": subject.as_str() }),
            Question::UserClaims(claims) | Question::AccessTokenClaims(claims) => of_claims(claims),
            Question::GrantedScope(ScopeQuestion { user, client, requested, .. }) => {
                json!({ "user": of_user(user), "client": client.as_str(), "requested": requested.as_str() })
            }
            Question::Sign(_) => json!({ "algorithm": self.engine.algorithm.as_str(), "key_id": self.engine.key_id }),
            Question::Deliver(delivery, _) => delivery.message().map_or(Value::Null, of_message),
        };
        document.to_string()
    }

    /// Returns the key of the record to load or to swap.
    pub fn record_key(&self) -> Option<&[u8]> {
        match self.exchange.question() {
            Question::Load(key) => Some(key.as_bytes()),
            Question::Swap(swap, _) => Some(swap.key.as_bytes()),
            _ => None,
        }
    }

    /// Returns the tag that the stored record must have. `None` for a swap means that nothing may be stored.
    pub fn expected_tag(&self) -> Option<&[u8]> {
        match self.exchange.question() {
            Question::Swap(swap, _) => swap.expected.as_ref().map(|tag| &tag.as_bytes()[..]),
            _ => None,
        }
    }

    /// Returns the tag of the record to put in place.
    pub fn tag(&self) -> Option<&[u8]> {
        match self.exchange.question() {
            Question::Swap(swap, _) => Some(swap.next.tag.as_bytes()),
            _ => None,
        }
    }

    /// Returns from when on the record to put in place may be deleted: milliseconds since 1970.
    pub fn delete_after_ms(&self) -> Option<u64> {
        match self.exchange.question() {
            Question::Swap(swap, _) => Some(swap.next.delete_after.as_unix_millis()),
            _ => None,
        }
    }

    /// Returns the body of the record to put in place. It is JSON, to be stored unchanged.
    pub fn record_body(&self) -> Option<&[u8]> {
        match self.exchange.question() {
            Question::Swap(_, body) => Some(body),
            _ => None,
        }
    }

    /// Returns the bytes to sign.
    pub fn message(&self) -> Option<&[u8]> {
        match self.exchange.question() {
            Question::Sign(signing) => Some(&signing.message),
            _ => None,
        }
    }

    /// Returns the client that is asked for, or that the question is about.
    pub fn client_id(&self) -> Option<&str> {
        Some(match self.exchange.question() {
            Question::Client(id) => id.as_str(),
            Question::UserClaims(claims) | Question::AccessTokenClaims(claims) => claims.client.as_str(),
            Question::GrantedScope(scope) => scope.client.as_str(),
            Question::Deliver(delivery, _) => delivery.message()?.client().as_str(),
            _ => return None,
        })
    }

    /// Returns the auth source that is asked for, or whose code is to be delivered.
    pub fn auth_source_id(&self) -> Option<&str> {
        match self.exchange.question() {
            Question::AuthSource(id) => Some(id.as_str()),
            Question::Deliver(delivery, _) => delivery.message()?.auth_source().map(AuthSourceId::as_str),
            _ => None,
        }
    }

    /// Returns the channel of the address: `sms` or `email`.
    pub fn channel(&self) -> Option<&'static str> {
        self.whole_address().map(|address| ChannelName::of(address.channel()))
    }

    /// Returns the address to look up, to sign up or to deliver to.
    pub fn address(&self) -> Option<&str> {
        self.whole_address().map(Address::as_str)
    }

    /// Returns the subject of the user that the question is about.
    pub fn subject(&self) -> Option<&str> {
        Some(match self.exchange.question() {
            Question::UserBySubject(subject) => subject.as_str(),
            Question::UserClaims(claims) | Question::AccessTokenClaims(claims) => claims.subject.as_str(),
            Question::GrantedScope(scope) => scope.user.subject.as_str(),
            _ => return None,
        })
    }

    /// Returns the granted scope, or for `granted_scope` the requested one.
    pub fn scope(&self) -> Option<&str> {
        Some(match self.exchange.question() {
            Question::UserClaims(claims) | Question::AccessTokenClaims(claims) => claims.scope.as_str(),
            Question::GrantedScope(scope) => scope.requested.as_str(),
            _ => return None,
        })
    }

    /// Returns the code to deliver. It is a secret.
    pub fn code(&self) -> Option<&str> {
        self.otp_message().map(|message| message.code().expose_secret())
    }

    /// Returns what the code is for. The message should say so.
    pub fn usage(&self) -> Option<&str> {
        match self.exchange.question() {
            Question::Deliver(_, usage) => Some(usage.as_str()),
            _ => None,
        }
    }

    /// Returns how long the code is still valid, in milliseconds.
    pub fn valid_for_ms(&self) -> Option<u64> {
        self.otp_message().map(valid_for_ms)
    }

    /// Returns the number of the message among those with the same code, beginning with 1. A host can take another
    /// route for a later one.
    pub fn attempt(&self) -> Option<u32> {
        self.otp_message().map(|message| message.attempt().get())
    }

    /// Answers `load` with the record, or with `None` if nothing is stored.
    ///
    /// # Errors
    /// [`Rejected`] gives the question back.
    pub fn answer_record(self, record: Option<StoredRecord<'_>>) -> Result<Step, Rejected> {
        self.answer(|question, _| match question {
            Question::Load(_) => Ok(Answer::Record(record.map(|record| record.record()).transpose()?.map(Box::new))),
            _ => Err(WrongAnswer::Kind),
        })
    }

    /// Answers `swap`: whether the record is in place. `false` means that another record was stored than expected.
    ///
    /// # Errors
    /// [`Rejected`] gives the question back.
    pub fn answer_swap(self, stored: bool) -> Result<Step, Rejected> {
        let swap = if stored { Swap::Stored } else { Swap::Conflict };
        self.answer(|question, _| match question {
            Question::Swap(..) => Ok(Answer::Swap(swap)),
            _ => Err(WrongAnswer::Kind),
        })
    }

    /// Answers a question of the directory with a JSON document. The text `null` is the same as `None`.
    ///
    /// | question | document | `None` |
    /// |---|---|---|
    /// | `client` | a client ([`ParsedClient`]) | unknown |
    /// | `auth_source` | an auth source ([`ParsedAuthSource`]) | unknown |
    /// | `user_by_address`, `user_by_subject` | `{"subject", "status", "tokens_valid_after", "is_test"}` | unknown |
    /// | `sign_up` | the user, who is new or was known | refused |
    /// | `user_claims`, `access_token_claims` | an object of claims | no claims |
    /// | `granted_scope` | `{"scope"}` | nothing is granted |
    ///
    /// The document of a client or an auth source can leave out its `id`. It is kept as it was read, so the same text
    /// costs little the next time.
    ///
    /// # Errors
    /// [`Rejected`] gives the question back.
    pub fn answer_document(self, document: Option<&str>) -> Result<Step, Rejected> {
        let document = document.filter(|document| !documents::is_null(document));
        self.answer(|question, engine| {
            Ok(match question {
                Question::Client(id) => {
                    Answer::Client(document.map(|document| engine.known.client(document, id)).transpose()?)
                }
                Question::AuthSource(id) => {
                    Answer::AuthSource(document.map(|document| engine.known.auth_source(document, id)).transpose()?)
                }
                Question::UserByAddress(_) | Question::UserBySubject(_) | Question::SignUp(_) => {
                    Answer::User(document.map(documents::user).transpose()?)
                }
                Question::UserClaims(_) => {
                    Answer::UserClaims(document.map(documents::user_claims).transpose()?.unwrap_or_default())
                }
                Question::AccessTokenClaims(_) => {
                    Answer::CustomClaims(document.map(documents::custom_claims).transpose()?.unwrap_or_default())
                }
                Question::GrantedScope(_) => Answer::Scope(document.map(documents::granted_scope).transpose()?),
                _ => return Err(WrongAnswer::Kind),
            })
        })
    }

    /// Answers `client` with a client that was read before.
    ///
    /// # Errors
    /// [`Rejected`] gives the question back, also where another client was asked for.
    pub fn answer_client(self, client: Option<&ParsedClient>) -> Result<Step, Rejected> {
        self.answer(|question, _| match (question, client) {
            (Question::Client(id), Some(ParsedClient(client))) if client.id() != id => Err(other_identifier()),
            (Question::Client(_), client) => Ok(Answer::Client(client.map(|client| Arc::clone(&client.0)))),
            _ => Err(WrongAnswer::Kind),
        })
    }

    /// Answers `auth_source` with an auth source that was read before.
    ///
    /// # Errors
    /// [`Rejected`] gives the question back, also where another auth source was asked for.
    pub fn answer_auth_source(self, source: Option<&ParsedAuthSource>) -> Result<Step, Rejected> {
        self.answer(|question, _| match (question, source) {
            (Question::AuthSource(id), Some(ParsedAuthSource(source))) if source.id() != id => Err(other_identifier()),
            (Question::AuthSource(_), source) => Ok(Answer::AuthSource(source.map(|source| Arc::clone(&source.0)))),
            _ => Err(WrongAnswer::Kind),
        })
    }

    /// Answers `user_by_address`, `user_by_subject` or `sign_up` without a document.
    ///
    /// # Errors
    /// [`Rejected`] gives the question back.
    pub fn answer_user(self, user: Option<UserAnswer<'_>>) -> Result<Step, Rejected> {
        self.answer(|question, _| match question {
            Question::UserByAddress(_) | Question::UserBySubject(_) | Question::SignUp(_) => {
                Ok(Answer::User(user.map(|user| user.user()).transpose()?))
            }
            _ => Err(WrongAnswer::Kind),
        })
    }

    /// Answers `granted_scope` without a document. `None` means that nothing is granted.
    ///
    /// # Errors
    /// [`Rejected`] gives the question back.
    pub fn answer_scope(self, scope: Option<&str>) -> Result<Step, Rejected> {
        self.answer(|question, _| match question {
            Question::GrantedScope(_) => {
                let scope = scope.map(Scope::parse).transpose().at::<DocumentError>("scope")?;
                Ok(Answer::Scope(scope))
            }
            _ => Err(WrongAnswer::Kind),
        })
    }

    /// Answers `sign` with the bytes of the signature, in the form that a JWS has (ES256: `r` and `s`, 64 bytes). A
    /// wrong signature is not rejected here. The request then ends with 503.
    ///
    /// # Errors
    /// [`Rejected`] gives the question back.
    pub fn answer_signature(self, signature: &[u8]) -> Result<Step, Rejected> {
        self.answer(|question, _| match question {
            Question::Sign(_) => Ok(Answer::Signature(signature.to_vec())),
            _ => Err(WrongAnswer::Kind),
        })
    }

    /// Answers `deliver`: the code was sent or queued.
    ///
    /// # Errors
    /// [`Rejected`] gives the question back.
    pub fn accept_delivery(self) -> Result<Step, Rejected> {
        self.delivered(None)
    }

    /// Answers `deliver`: the code could not be sent.
    ///
    /// # Errors
    /// [`Rejected`] gives the question back.
    pub fn fail_delivery(self, failure: FailedDelivery) -> Result<Step, Rejected> {
        self.delivered(Some(failure))
    }

    /// Says that the part of the host that should answer has failed. The client mostly gets 503. The observer receives
    /// the message.
    ///
    /// A delivery that fails in this way is undeliverable, and the observer does not receive the message.
    pub fn fail(self, message: &str) -> Step {
        self.exchange.fail(HostFailed(message.to_owned()), self.engine)
    }

    /// Says that the host does not answer questions of this kind. `granted_scope` then grants what was requested,
    /// `access_token_claims` adds nothing and `sign_up` refuses. Any other question fails.
    pub fn refuse(self) -> Step {
        self.exchange.refuse(self.engine)
    }

    pub(crate) fn new(exchange: Box<dyn Exchange>, engine: Arc<Shared>) -> Self {
        Self { exchange, engine }
    }

    /// Runs an exchange up to its first question.
    pub(crate) fn begin<T: Ends>(step: exchange::Step<T>, engine: Arc<Shared>) -> Step {
        go_on(step, engine)
    }

    fn delivered(self, failure: Option<FailedDelivery>) -> Result<Step, Rejected> {
        self.answer(|question, _| match question {
            Question::Deliver(..) => Ok(Answer::Delivered(failure)),
            _ => Err(WrongAnswer::Kind),
        })
    }

    fn answer(self, read: impl FnOnce(Question<'_>, &Shared) -> Result<Answer, WrongAnswer>) -> Result<Step, Rejected> {
        let kind = self.kind();
        let wrong_kind = AnswerError::WrongKind { question: kind };
        let answer = match read(self.exchange.question(), &self.engine) {
            Ok(answer) => answer,
            Err(WrongAnswer::Kind) => return Err(Rejected { question: self, error: wrong_kind }),
            Err(WrongAnswer::Malformed(error)) => {
                return Err(Rejected { question: self, error: AnswerError::Malformed(error) });
            }
        };
        let engine = Arc::clone(&self.engine);
        self.exchange
            .answer(answer, self.engine)
            .map_err(|exchange| Rejected { question: Self { exchange, engine }, error: wrong_kind })
    }

    fn whole_address(&self) -> Option<&Address> {
        match self.exchange.question() {
            Question::UserByAddress(address) | Question::SignUp(address) => Some(address),
            Question::Deliver(delivery, _) => delivery.message().map(OtpMessage::address),
            _ => None,
        }
    }

    fn otp_message(&self) -> Option<&OtpMessage> {
        match self.exchange.question() {
            Question::Deliver(delivery, _) => delivery.message(),
            _ => None,
        }
    }
}

/// Shows no part of the question, which can be personal data.
impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

/// An answer that was not taken: the question, and what was wrong.
#[derive(Debug)]
pub struct Rejected {
    question: Pending,
    error: AnswerError,
}

impl Rejected {
    /// Returns the question, which is still to be answered, and what was wrong.
    pub fn into_parts(self) -> (Pending, AnswerError) {
        (self.question, self.error)
    }

    /// Returns what was wrong.
    pub fn error(&self) -> &AnswerError {
        &self.error
    }
}

enum WrongAnswer {
    Kind,
    Malformed(DocumentError),
}

impl From<DocumentError> for WrongAnswer {
    fn from(error: DocumentError) -> Self {
        Self::Malformed(error)
    }
}

fn other_identifier() -> WrongAnswer {
    WrongAnswer::Malformed(DocumentError::new("id", "another identifier was asked for"))
}

fn of_user(user: &User) -> Value {
    let mut members = json!({ "subject": user.subject.as_str(), "status": documents::status_name(user.status) });
    if let Some(members) = members.as_object_mut() {
        if let Some(instant) = user.tokens_valid_after {
            members.insert("tokens_valid_after".to_owned(), Timestamp::as_unix_millis(instant).into());
        }
        if user.is_test {
            members.insert("is_test".to_owned(), true.into());
        }
    }
    members
}

fn valid_for_ms(message: &OtpMessage) -> u64 {
    u64::try_from(message.validity().as_millis()).unwrap_or(u64::MAX)
}

fn of_message(message: &OtpMessage) -> Value {
    let mut members = json!({
        "channel": ChannelName::of(message.address().channel()),
        "address": message.address().as_str(),
        "code": message.code().expose_secret(),
        "usage": message.usage().as_str(),
        "client": message.client().as_str(),
        "valid_for": valid_for_ms(message).div_ceil(1000),
        "attempt": message.attempt(),
    });
    if let (Some(source), Some(members)) = (message.auth_source(), members.as_object_mut()) {
        members.insert("auth_source".to_owned(), source.as_str().into());
    }
    members
}
