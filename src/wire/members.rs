//! The members of a request, in either encoding, and the faults that a request can have.

use core::mem;
use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::secret::{PresentedSecret, wipe};

/// The members of one request. Text without escapes is borrowed from the body.
///
/// A body with a name that occurs twice is refused, whether the name is known or not. Other unknown members are
/// ignored. Text that was unescaped and not taken is wiped.
pub(crate) struct Members<'a> {
    known: Known<'a>,
    unknown: BTreeSet<Cow<'a, str>>,
}

impl<'a> Members<'a> {
    /// Tells whether a member was sent with any value.
    pub(crate) fn has(&mut self, member: Member) -> bool {
        !matches!(self.known.slot(member), None | Some(Value::Omitted))
    }

    /// Takes a text, if the member was sent.
    ///
    /// # Errors
    /// [`InvalidRequest`] when the member is not a string, or is empty.
    pub(crate) fn take_str(&mut self, member: Member) -> Result<Option<Cow<'a, str>>, InvalidRequest> {
        let Some(mut value) = self.known.slot(member).take() else { return Ok(None) };
        match &mut value {
            Value::Omitted => Ok(None),
            Value::Text(text) if text.is_empty() => Err(InvalidRequest::member(member, Problem::Empty)),
            // The borrowed text that stays behind need not be wiped. An empty `String` would be wiped.
            Value::Text(text) => Ok(Some(mem::replace(text, Cow::Borrowed("")))),
            Value::Bool(_) | Value::Other => Err(InvalidRequest::member(member, Problem::NotAString)),
        }
    }

    /// Takes a text that the request must have.
    ///
    /// # Errors
    /// [`InvalidRequest`] when the member is missing, is not a string, or is empty.
    pub(crate) fn require_str(&mut self, member: Member) -> Result<Cow<'a, str>, InvalidRequest> {
        self.take_str(member)?.ok_or(InvalidRequest::member(member, Problem::Missing))
    }

    /// Takes a secret, if the member was sent.
    ///
    /// # Errors
    /// [`InvalidRequest`] when the member is not a string, or is empty.
    pub(crate) fn take_secret(&mut self, member: Member) -> Result<Option<PresentedSecret<'a>>, InvalidRequest> {
        Ok(self.take_str(member)?.map(PresentedSecret::new))
    }

    /// Takes `true` or `false`, as a boolean or as a string. A member that was not sent counts as false.
    ///
    /// # Errors
    /// [`InvalidRequest`] when the member has another value.
    pub(crate) fn take_bool(&mut self, member: Member) -> Result<bool, InvalidRequest> {
        match self.known.slot(member).take().as_ref() {
            None | Some(Value::Omitted) => Ok(false),
            Some(Value::Bool(value)) => Ok(*value),
            Some(Value::Text(text)) if text == "true" => Ok(true),
            Some(Value::Text(text)) if text == "false" => Ok(false),
            Some(_) => Err(InvalidRequest::member(member, Problem::NotABoolean)),
        }
    }

    pub(super) fn empty() -> Self {
        Self { known: Known::default(), unknown: BTreeSet::new() }
    }

    /// Adds a member that was read.
    pub(super) fn put(&mut self, name: Cow<'a, str>, value: Value<'a>) -> Result<(), InvalidRequest> {
        let Some(member) = Member::from_name(&name) else {
            // The name is text of the caller, and an error must not repeat it.
            let first = self.unknown.insert(name);
            return if first { Ok(()) } else { Err(InvalidRequest::body(Problem::RepeatedMember)) };
        };
        match self.known.slot(member) {
            Some(_) => Err(InvalidRequest::member(member, Problem::Duplicate)),
            slot => {
                *slot = Some(value);
                Ok(())
            }
        }
    }
}

impl core::fmt::Debug for Members<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Members(..)")
    }
}

/// Declares the known members once.
macro_rules! members {
    ($($variant:ident $name:ident,)*) => {
        /// A known member.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Member {
            $($variant,)*
        }

        impl Member {
            /// Returns the name on the wire.
            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name),)*
                }
            }

            fn from_name(name: &str) -> Option<Self> {
                $(if name == stringify!($name) {
                    return Some(Self::$variant);
                })*
                None
            }
        }

        /// One slot per member.
        #[derive(Default)]
        struct Known<'a> {
            $($name: Option<Value<'a>>,)*
        }

        impl<'a> Known<'a> {
            fn slot(&mut self, member: Member) -> &mut Option<Value<'a>> {
                match member {
                    $(Member::$variant => &mut self.$name,)*
                }
            }
        }
    };
}

members! {
    GrantType grant_type,
    ClientId client_id,
    ClientSecret client_secret,
    ClientAssertion client_assertion,
    ClientAssertionType client_assertion_type,
    AuthSourceId auth_source_id,
    PhoneNumber phone_number,
    Email email,
    OtpToken otp_token,
    Otp otp,
    AutoSignup auto_signup,
    Scope scope,
    Usage usage,
    RefreshToken refresh_token,
    Token token,
    TokenTypeHint token_type_hint,
    AccessToken access_token,
    CodeChallenge code_challenge,
    CodeChallengeMethod code_challenge_method,
    CodeVerifier code_verifier,
    DeviceToken device_token,
    RememberDevice remember_device,
}

/// The value of a member.
pub(super) enum Value<'a> {
    /// The member was named but has no value. It still counts as a first occurrence.
    Omitted,
    Text(Cow<'a, str>),
    Bool(bool),
    /// A JSON value of a type that no member has: a number, an array or an object.
    Other,
}

impl Drop for Value<'_> {
    fn drop(&mut self) {
        if let Self::Text(Cow::Owned(text)) = self {
            wipe(text);
        }
    }
}

/// What is wrong with a request, and with which of its members. The error never repeats what was sent.
///
/// ```
/// fn log(error: &otp_grant::wire::InvalidRequest) {
///     println!("{:?}: {error}", error.member_name());
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRequest {
    member: Option<Member>,
    problem: Problem,
}

impl InvalidRequest {
    pub(crate) const fn member(member: Member, problem: Problem) -> Self {
        Self { member: Some(member), problem }
    }

    pub(crate) const fn body(problem: Problem) -> Self {
        Self { member: None, problem }
    }

    /// Returns the name of the wrong member. Returns `None` when the request as a whole is wrong.
    pub fn member_name(&self) -> Option<&'static str> {
        self.member.map(Member::name)
    }
}

/// Writes the `error_description` (RFC 6749 section 5.2).
impl core::fmt::Display for InvalidRequest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}", self.member_name().unwrap_or("the body"), self.problem.text())
    }
}

impl core::error::Error for InvalidRequest {}

/// The faults of a member, followed by the faults of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Missing,
    Duplicate,
    NotAString,
    NotABoolean,
    Empty,
    InvalidValue,
    NotAllowed,
    DiffersFromHeader,
    TooLarge,
    ContentType,
    NotJson,
    NotAnObject,
    NotAForm,
    RepeatedMember,
    NoAddress,
    TwoAddresses,
    TwoCredentials,
    TwoTokens,
    AssertionAndMore,
}

impl Problem {
    const fn text(self) -> &'static str {
        match self {
            Self::Missing => "is missing",
            Self::Duplicate => "is given twice",
            Self::NotAString => "must be a string",
            Self::NotABoolean => "must be true or false",
            Self::Empty => "must not be empty",
            Self::InvalidValue => "is not valid",
            Self::NotAllowed => "is not allowed here",
            Self::DiffersFromHeader => "differs from the Authorization header",
            Self::TooLarge => "is too large",
            Self::ContentType => "has an unsupported content type",
            Self::NotJson => "is not valid JSON",
            Self::NotAnObject => "is not a JSON object",
            Self::NotAForm => "is not a valid form",
            Self::RepeatedMember => "has an unknown member twice",
            Self::NoAddress => "has neither phone_number nor email",
            Self::TwoAddresses => "has both phone_number and email",
            Self::TwoCredentials => "has a client_secret besides the Authorization header",
            Self::TwoTokens => "has an access_token besides the Authorization header",
            Self::AssertionAndMore => "has a client_assertion besides other client credentials",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]
mod tests {
    use super::*;

    #[test]
    fn a_description_names_the_member() {
        let error = InvalidRequest::member(Member::OtpToken, Problem::Missing);
        assert_eq!(error.to_string(), "otp_token is missing");
        assert_eq!(error.member_name(), Some("otp_token"));
        let error = InvalidRequest::body(Problem::NotAnObject);
        assert_eq!(error.to_string(), "the body is not a JSON object");
        assert_eq!(error.member_name(), None);
    }

    #[test]
    fn what_is_absent_is_none_false_or_missing() {
        let mut members = Members::from_json(b"{}").unwrap();
        assert_eq!(members.take_str(Member::Otp), Ok(None));
        assert!(members.take_secret(Member::Otp).unwrap().is_none());
        assert_eq!(members.take_bool(Member::AutoSignup), Ok(false));
        let missing = InvalidRequest::member(Member::Otp, Problem::Missing);
        assert_eq!(members.require_str(Member::Otp), Err(missing));
    }

    #[test]
    fn text_without_escapes_is_borrowed() {
        let mut members = Members::from_json(br#"{"otp":"1","scope":"\u0061"}"#).unwrap();
        assert!(matches!(members.take_str(Member::Otp), Ok(Some(Cow::Borrowed("1")))));
        assert!(matches!(members.take_str(Member::Scope), Ok(Some(Cow::Owned(text))) if text == "a"));
        let mut members = Members::from_form(b"otp=1").unwrap();
        assert!(matches!(members.take_str(Member::Otp), Ok(Some(Cow::Borrowed("1")))));
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Members::from_form(b"otp=123456").unwrap()), "Members(..)");
    }
}
