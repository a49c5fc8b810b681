//! The kinds of questions and answers, and what can be wrong with an answer.

use std::fmt;
use std::sync::Arc;

use otp_grant::directory::{CustomClaims, UserClaims};
use otp_grant::id::Tag;
use otp_grant::store::{Record, RecordBody, Swap};
use otp_grant::time::Timestamp;
use otp_grant::{AuthSource, Client, DeliveryFailure, Scope, User};

use crate::error::{At, DocumentError, Misplaced};

/// Declares the kinds of questions with their numbers and names.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal, $name:literal;)*) => {
        /// What a question asks for. Numbers and names are stable.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum QuestionKind {
            $($(#[$doc])* $kind = $number,)*
        }

        impl QuestionKind {
            /// Returns the name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// Returns the number.
            pub fn number(self) -> u32 {
                match self {
                    $(Self::$kind => $number,)*
                }
            }
        }
    };
}

kinds! {
    /// Load a record.
    Load = 1, "load";
    /// Compare and swap a record.
    Swap = 2, "swap";
    /// Look a client up.
    Client = 3, "client";
    /// Look an auth source up.
    AuthSource = 4, "auth_source";
    /// Look a user up by an address.
    UserByAddress = 5, "user_by_address";
    /// Look a user up by the subject.
    UserBySubject = 6, "user_by_subject";
    /// Return the claims of a user.
    UserClaims = 7, "user_claims";
    /// Sign a user up.
    SignUp = 8, "sign_up";
    /// Narrow the scope that a user is granted.
    GrantedScope = 9, "granted_scope";
    /// Return the claims that access tokens get.
    AccessTokenClaims = 10, "access_token_claims";
    /// Sign a token.
    Sign = 11, "sign";
    /// Deliver a code.
    Deliver = 12, "deliver";
}

impl fmt::Display for QuestionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A record, as a store has kept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a binding fills it in, and has to learn of another member")]
pub struct StoredRecord<'a> {
    /// The tag: 16 bytes.
    pub tag: &'a [u8],
    /// The instant from which the record may be deleted: milliseconds since 1970.
    pub delete_after_ms: u64,
    /// The body, as it was handed to the store.
    pub body: &'a [u8],
}

impl StoredRecord<'_> {
    pub(crate) fn record(&self) -> Result<Record, DocumentError> {
        let tag: [u8; Tag::LEN] =
            self.tag.try_into().map_err(|_| DocumentError::new("tag", format_args!("a tag has {} bytes", Tag::LEN)))?;
        let body = RecordBody::from_bytes(self.body).at("body")?;
        Ok(Record::new(Tag::from_bytes(tag), Timestamp::from_unix_millis(self.delete_after_ms), body))
    }
}

/// Why the host could not deliver a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailedDelivery {
    /// The provider refused the address.
    AddressRefused,
    /// The host has no quota left with the provider.
    InsufficientQuota,
    /// Any other failure. The client may try again at once.
    Undeliverable,
}

impl FailedDelivery {
    /// Reads a name: `address_refused`, `insufficient_quota` or `undeliverable`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::AddressRefused, Self::InsufficientQuota, Self::Undeliverable]
            .into_iter()
            .find(|failure| failure.name() == name)
    }

    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AddressRefused => "address_refused",
            Self::InsufficientQuota => "insufficient_quota",
            Self::Undeliverable => "undeliverable",
        }
    }
}

impl From<FailedDelivery> for DeliveryFailure {
    fn from(failure: FailedDelivery) -> Self {
        match failure {
            FailedDelivery::AddressRefused => Self::AddressRefused,
            FailedDelivery::InsufficientQuota => Self::InsufficientQuota,
            FailedDelivery::Undeliverable => Self::Undeliverable,
        }
    }
}

/// Why an answer was not taken. The question is still to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerError {
    /// It is not an answer to this kind of question.
    WrongKind {
        /// The kind of the question.
        question: QuestionKind,
    },
    /// A part of the answer can't be read.
    Malformed(DocumentError),
}

impl AnswerError {
    /// Returns the name of the error: `wrong_kind` or `malformed`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::WrongKind { .. } => "wrong_kind",
            Self::Malformed(_) => "malformed",
        }
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongKind { question } => write!(f, "not an answer to the question {question}"),
            Self::Malformed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AnswerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::WrongKind { .. } => None,
            Self::Malformed(error) => Some(error),
        }
    }
}

/// An answer that was read.
pub(crate) enum Answer {
    Record(Option<Box<Record>>),
    Swap(Swap),
    Client(Option<Arc<Client>>),
    AuthSource(Option<Arc<AuthSource>>),
    /// The user that was looked up, or who signed up.
    User(Option<User>),
    UserClaims(UserClaims),
    Scope(Option<Scope>),
    CustomClaims(CustomClaims),
    Signature(Vec<u8>),
    Delivered(Option<FailedDelivery>),
}

/// What a host says when it can't answer.
#[derive(Debug)]
pub(crate) struct HostFailed(pub(crate) String);

impl fmt::Display for HostFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for HostFailed {}
