//! Requests to send a code.

use super::{ClientCredentials, DpopHeader, Encoding, Request, RequestRules, encoding, invalid, missing};
use crate::address::{Address, Channel};
use crate::grant::Usage;
use crate::guard::Verdict;
use crate::id::AuthSourceId;
use crate::secret::{CodeChallenge, PresentedSecret};
use crate::wire::error::SendError;
use crate::wire::members::{InvalidRequest, Member, Members, Problem};

/// A request to send a code.
#[derive(Debug)]
#[non_exhaustive]
pub struct SendRequest<'a> {
    /// The client, and how it authenticates.
    pub credentials: ClientCredentials<'a>,
    /// What the code is for.
    pub usage: Usage,
    /// The address to send the code to.
    pub address: Address,
    /// The auth source. A login must have one. No other usage may have one.
    pub auth_source: Option<AuthSourceId>,
    /// The code challenge. The code can then be redeemed only with its verifier.
    pub code_challenge: Option<CodeChallenge>,
    /// The proof of the key that the otp_token is bound to (RFC 9449).
    pub dpop: Option<DpopHeader<'a>>,
    /// The device token of an earlier login to this address.
    pub device_token: Option<PresentedSecret<'a>>,
    /// What the host knows about the request. It has an effect only where the send guard is on.
    pub verdict: Verdict,
}

impl<'a> SendRequest<'a> {
    /// Makes a request for a code. A login also needs an [auth source](Self::with_auth_source).
    pub fn new(credentials: ClientCredentials<'a>, usage: Usage, address: Address) -> Self {
        Self {
            credentials,
            usage,
            address,
            auth_source: None,
            code_challenge: None,
            dpop: None,
            device_token: None,
            verdict: Verdict::None,
        }
    }

    /// Names the auth source of a login.
    #[must_use]
    pub fn with_auth_source(mut self, id: AuthSourceId) -> Self {
        self.auth_source = Some(id);
        self
    }

    /// Binds the otp_token to the verifier of a code challenge (RFC 7636 section 4.3).
    ///
    /// A resend with the same challenge delivers the code that is in flight. A request with another challenge, or with
    /// none, gets a code of its own.
    #[must_use]
    pub fn with_code_challenge(mut self, challenge: CodeChallenge) -> Self {
        self.code_challenge = Some(challenge);
        self
    }

    /// Presents a proof. The same key must redeem the code.
    #[must_use]
    pub fn with_dpop(mut self, header: DpopHeader<'a>) -> Self {
        self.dpop = Some(header);
        self
    }

    /// Presents the device token of an earlier login to this address. The request then uses the budgets of its device.
    /// A token that is invalid or has expired, of another address or client, or of a device without a guess left,
    /// counts as none.
    #[must_use]
    pub fn with_device_token(mut self, token: PresentedSecret<'a>) -> Self {
        self.device_token = Some(token);
        self
    }

    /// Adds what the host knows about the request. It has an effect only where
    /// [`Settings::send_guard`](crate::Settings::send_guard) is on.
    #[must_use]
    pub fn with_verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict;
        self
    }

    pub(crate) fn parse(request: &Request<'a>, rules: &RequestRules<'_>) -> Result<Self, SendError> {
        let mut members = match encoding(request, rules)? {
            Encoding::Json => Members::from_json(request.body)?,
            Encoding::Form => return Err(InvalidRequest::body(Problem::ContentType).into()),
        };
        let credentials = ClientCredentials::parse(request, &mut members)?;
        let usage = match members.take_str(Member::Usage)? {
            None => Usage::Login,
            Some(text) => rules.usage(&text).ok_or(invalid(Member::Usage))?,
        };
        let auth_source = match (usage, members.take_str(Member::AuthSourceId)?) {
            (Usage::Login, None) => return Err(missing(Member::AuthSourceId).into()),
            (Usage::Login, Some(id)) => Some(AuthSourceId::new(&id).map_err(|_| invalid(Member::AuthSourceId))?),
            (_, None) => None,
            (_, Some(_)) => return Err(InvalidRequest::member(Member::AuthSourceId, Problem::NotAllowed).into()),
        };
        let code_challenge = parse_challenge(&mut members)?;
        let device_token = members.take_secret(Member::DeviceToken)?;
        let address = match (members.take_str(Member::PhoneNumber)?, members.take_str(Member::Email)?) {
            (None, None) => return Err(InvalidRequest::body(Problem::NoAddress).into()),
            (Some(_), Some(_)) => return Err(InvalidRequest::body(Problem::TwoAddresses).into()),
            (Some(text), None) => {
                let parsed = rules.addresses.phone_number(&text);
                Address::Phone(parsed.map_err(|_| SendError::MalformedAddress(Channel::Sms))?)
            }
            (None, Some(text)) => {
                let parsed = rules.addresses.email(&text);
                Address::Email(parsed.map_err(|_| SendError::MalformedAddress(Channel::Email))?)
            }
        };
        Ok(Self {
            credentials,
            usage,
            address,
            auth_source,
            code_challenge,
            dpop: request.dpop(),
            device_token,
            verdict: request.verdict,
        })
    }
}

/// Reads a challenge and its method. Without a method, the method would be `plain` (RFC 7636 section 4.3), which
/// protects nothing here.
fn parse_challenge(members: &mut Members<'_>) -> Result<Option<CodeChallenge>, InvalidRequest> {
    let challenge = members.take_str(Member::CodeChallenge)?;
    let method = members.take_str(Member::CodeChallengeMethod)?;
    match (challenge, method) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(missing(Member::CodeChallengeMethod)),
        (_, Some(method)) if method != S256 => Err(invalid(Member::CodeChallengeMethod)),
        (None, Some(_)) => Err(missing(Member::CodeChallenge)),
        (Some(text), Some(_)) => CodeChallenge::parse(&text).map(Some).map_err(|_| invalid(Member::CodeChallenge)),
    }
}

/// The only method (RFC 7636 section 4.2).
const S256: &str = "S256";
