//! The types that C sees.

use std::ffi::c_void;

use otp_grant_bindings::{FailedDelivery, HostVerdict, QuestionKind};

/// The version of this ABI. It changes when a program that was compiled against an earlier header would not work.
pub const ABI_VERSION: u32 = 3;

/// A server without its store and directory. 0 is none.
pub type EngineHandle = u64;

/// An exchange at its present step. 0 is none. Each answer gives the exchange another number.
pub type ExchangeHandle = u64;

/// Bytes that belong to another. `{NULL, 0}` is no bytes.
///
/// Bytes that are passed in are read during the call alone. Bytes that are passed out stay as they are until their
/// exchange is freed, or until the observer returns. A zero byte follows them, which `length` does not count.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    /// The first byte.
    pub data: *const u8,
    /// How many bytes there are.
    pub length: usize,
}

impl Bytes {
    pub(crate) const NONE: Self = Self { data: std::ptr::null(), length: 0 };

    /// Bytes that an exchange keeps, without the zero byte at their end.
    pub(crate) fn shown(kept: &[u8]) -> Self {
        Self { data: kept.as_ptr(), length: kept.len().saturating_sub(1) }
    }
}

/// A header of a request.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The name, in any case.
    pub name: Bytes,
    /// The value.
    pub value: Bytes,
}

/// A request. A header that is repeated is given repeatedly.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The method, such as `POST`.
    pub method: Bytes,
    /// The path, without the query.
    pub path: Bytes,
    /// The headers.
    pub headers: *const Header,
    /// How many headers there are.
    pub header_count: usize,
    /// The body.
    pub body: Bytes,
    /// What the host knows about the request: one of `enum otp_grant_verdict`. 0 is nothing. The send endpoint reads
    /// it, where the send guard is on.
    pub verdict: u32,
}

/// A request to a route of the host's own. It presents an access token, the proof of a key (RFC 9449), or both.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ApiRequest {
    /// The method, such as `GET`.
    pub method: Bytes,
    /// The URL of the route as clients know it. It comes from the configuration of the host, never from the `Host`
    /// header. Otherwise a proof for a server of an attacker would pass.
    pub external_url: Bytes,
    /// All headers. A header that is repeated is given repeatedly.
    pub headers: *const Header,
    /// How many headers there are.
    pub header_count: usize,
}

/// A record, as the store has kept it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// The tag: 16 bytes.
    pub tag: Bytes,
    /// From when on the record may be deleted: milliseconds since 1970.
    pub delete_after_ms: u64,
    /// The body, unchanged.
    pub body: Bytes,
}

/// A code of a usage other than login, to be redeemed. The host has authenticated the client.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CodeToVerify {
    /// The client that requested the code.
    pub client: Bytes,
    /// What the code was requested for.
    pub usage: Bytes,
    /// `sms` or `email`.
    pub channel: Bytes,
    /// The address, in any spelling.
    pub address: Bytes,
    /// The otp_token that came with the code.
    pub otp_token: Bytes,
    /// The code.
    pub otp: Bytes,
    /// The verifier of the code challenge that came with the request for the code. `{NULL, 0}` if there was none.
    pub code_verifier: Bytes,
    /// The request, with the proof of the key that the code was requested with. NULL if there was none.
    pub proof: *const ApiRequest,
    /// The device token of an earlier login to this address. `{NULL, 0}` if there is none. One that is not good counts
    /// as none.
    pub device_token: Bytes,
}

/// What an engine has besides its configuration. All members can be 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Called with each event, a JSON object, in the middle of the call that answers a request, on its thread. Several
    /// threads can call it at once. It must return at once.
    pub observer: Option<unsafe extern "C" fn(context: *mut c_void, event: Bytes)>,
    /// Passed to `observer`. It must be there until the engine and all of its exchanges are freed.
    pub context: *mut c_void,
    /// 1 lets `otp_grant_engine_advance_clock` move the clock. For tests only.
    pub has_test_clock: u32,
}

/// What an exchange is at.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The handle names no exchange, another thread is in a call with the exchange, or a fault of the library has taken
    /// the question.
    None = 0,
    /// Load the record with the key `RECORD_KEY`. Answer: `answer_record`.
    Load = 1,
    /// Store the record `TAG`, `DELETE_AFTER_MS`, `RECORD_BODY` under `RECORD_KEY`, in one atomic step, if the stored
    /// record has the tag `EXPECTED_TAG`, or without that part if nothing is stored. Answer: `answer_swap`.
    Swap = 2,
    /// Look up the client `CLIENT_ID`. Answer: `answer_document`.
    Client = 3,
    /// Look up the auth source `AUTH_SOURCE_ID`. Answer: `answer_document`.
    AuthSource = 4,
    /// Look up the user with the `ADDRESS`. Answer: `answer_document`.
    UserByAddress = 5,
    /// Look up the user with the `SUBJECT`. Answer: `answer_document`.
    UserBySubject = 6,
    /// Return the claims of the `SUBJECT` that the client `CLIENT_ID` may see. Answer: `answer_document`.
    UserClaims = 7,
    /// Create the user of the `ADDRESS`, or return the user who exists. Answer: `answer_document`.
    SignUp = 8,
    /// Narrow the `SCOPE` that the `SUBJECT` is granted. Answer: `answer_document`, or `refuse` to grant all of it.
    GrantedScope = 9,
    /// Return the claims that access tokens of the `SUBJECT` get. Answer: `answer_document`, or `refuse` for none.
    AccessTokenClaims = 10,
    /// Sign the `MESSAGE` with the external key. Answer: `answer_signature`.
    Sign = 11,
    /// Send the `CODE` to the `ADDRESS`. Answer: `accept_delivery` or `fail_delivery`.
    Deliver = 12,
    /// Over: the reply to the request is there.
    Reply = 100,
    /// Over: the `DOCUMENT` is there.
    Document = 101,
    /// Over: refused, for the `REFUSAL_CODE`. The refusal of an access token also has a reply.
    Refused = 102,
}

impl Kind {
    pub(crate) fn of(question: QuestionKind) -> Self {
        match question {
            QuestionKind::Load => Self::Load,
            QuestionKind::Swap => Self::Swap,
            QuestionKind::Client => Self::Client,
            QuestionKind::AuthSource => Self::AuthSource,
            QuestionKind::UserByAddress => Self::UserByAddress,
            QuestionKind::UserBySubject => Self::UserBySubject,
            QuestionKind::UserClaims => Self::UserClaims,
            QuestionKind::SignUp => Self::SignUp,
            QuestionKind::GrantedScope => Self::GrantedScope,
            QuestionKind::AccessTokenClaims => Self::AccessTokenClaims,
            QuestionKind::Sign => Self::Sign,
            QuestionKind::Deliver => Self::Deliver,
            // The crate for all bindings has the same version, and asks no others.
            _ => Self::None,
        }
    }
}

/// The parts of a question or an end that are bytes. Texts are UTF-8.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The key of a record: 32 bytes.
    RecordKey = 1,
    /// The tag that the stored record must have: 16 bytes. Missing where nothing may be stored.
    ExpectedTag = 2,
    /// The tag of the record to store: 16 bytes.
    Tag = 3,
    /// The body of the record to store, JSON.
    RecordBody = 4,
    /// What to sign.
    Message = 5,
    /// A client.
    ClientId = 6,
    /// An auth source. Missing in a delivery for a usage other than login.
    AuthSourceId = 7,
    /// `sms` or `email`.
    Channel = 8,
    /// An address.
    Address = 9,
    /// A user.
    Subject = 10,
    /// The granted scope, or the requested scope of `GRANTED_SCOPE`.
    Scope = 11,
    /// The code to deliver. It is wiped when the exchange is freed.
    Code = 12,
    /// What the code is for.
    Usage = 13,
    /// The question or the end as a JSON object, or the array of `otp_grant_routes`. Every kind but `REPLY` has it.
    Document = 14,
    /// The body of the reply.
    ReplyBody = 15,
    /// Why a verb was refused, such as `expired`.
    RefusalCode = 16,
}

impl Part {
    const ALL: [Self; 16] = [
        Self::RecordKey,
        Self::ExpectedTag,
        Self::Tag,
        Self::RecordBody,
        Self::Message,
        Self::ClientId,
        Self::AuthSourceId,
        Self::Channel,
        Self::Address,
        Self::Subject,
        Self::Scope,
        Self::Code,
        Self::Usage,
        Self::Document,
        Self::ReplyBody,
        Self::RefusalCode,
    ];

    #[expect(clippy::as_conversions, reason = "the number of a variant")]
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|part| *part as u32 == number)
    }
}

/// The parts of a question or an end that are numbers.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Number {
    /// From when on the record to store may be deleted: milliseconds since 1970.
    DeleteAfterMs = 1,
    /// How long the code to deliver is still valid, in milliseconds.
    ValidForMs = 2,
    /// The status of the reply.
    ReplyStatus = 3,
    /// How many headers the reply has.
    ReplyHeaders = 4,
    /// The number of the message to deliver among those with the same code, beginning with 1.
    Attempt = 5,
}

impl Number {
    const ALL: [Self; 5] =
        [Self::DeleteAfterMs, Self::ValidForMs, Self::ReplyStatus, Self::ReplyHeaders, Self::Attempt];

    #[expect(clippy::as_conversions, reason = "the number of a variant")]
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| *known as u32 == number)
    }
}

/// Why the host could not deliver a code.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The provider refused the address.
    AddressRefused = 1,
    /// The host has no quota left with the provider.
    InsufficientQuota = 2,
    /// Any other failure. The client may try again at once.
    Undeliverable = 3,
}

impl Failure {
    const ALL: [Self; 3] = [Self::AddressRefused, Self::InsufficientQuota, Self::Undeliverable];

    #[expect(clippy::as_conversions, reason = "the number of a variant")]
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| *failure as u32 == number)
    }
}

impl From<Failure> for FailedDelivery {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::AddressRefused => Self::AddressRefused,
            Failure::InsufficientQuota => Self::InsufficientQuota,
            Failure::Undeliverable => Self::Undeliverable,
        }
    }
}

/// What the host knows about a request for a code: from a captcha, a device attestation or the reputation of a network.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The host knows nothing.
    None = 0,
    /// The request comes from a person, as far as the host can tell. It is a reason to trust the send.
    Allow = 1,
    /// The client must pass a challenge. Where the guard enforces, the send is answered with `challenge_required`.
    Challenge = 2,
    /// Where the guard enforces, the send is refused as if no quota were left.
    Refuse = 3,
}

impl Verdict {
    const ALL: [Self; 4] = [Self::None, Self::Allow, Self::Challenge, Self::Refuse];

    #[expect(clippy::as_conversions, reason = "the number of a variant")]
    pub(crate) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| *verdict as u32 == number)
    }
}

impl From<Verdict> for HostVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::None => Self::None,
            Verdict::Allow => Self::Allow,
            Verdict::Challenge => Self::Challenge,
            Verdict::Refuse => Self::Refuse,
        }
    }
}
