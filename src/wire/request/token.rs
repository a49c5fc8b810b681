//! Requests to the token endpoint: a code or a refresh token is redeemed.

use std::borrow::Cow;

use super::{ClientCredentials, DpopHeader, Encoding, Request, RequestRules, encoding, invalid, missing};
use crate::address::{Address, Channel};
use crate::id::AuthSourceId;
use crate::scope::{InvalidScope, Scope};
use crate::secret::PresentedSecret;
use crate::wire::error::TokenError;
use crate::wire::members::{Member, Members};

/// A request to the token endpoint.
#[derive(Debug)]
#[non_exhaustive]
pub enum TokenRequest<'a> {
    /// A request to redeem a code.
    Otp(OtpGrantRequest<'a>),
    /// A request to redeem a refresh token.
    Refresh(RefreshGrantRequest<'a>),
}

impl<'a> TokenRequest<'a> {
    pub(crate) fn parse(request: &Request<'a>, rules: &RequestRules<'_>) -> Result<Self, TokenError> {
        let mut members = match encoding(request, rules)? {
            Encoding::Json => Members::from_json(request.body)?,
            Encoding::Form => Members::from_form(request.body)?,
        };
        // Every member is read before the grant type is checked. A malformed member is therefore reported first, for
        // every grant.
        let credentials = ClientCredentials::parse(request, &mut members)?;
        let grant_type = members.require_str(Member::GrantType)?;
        let auth_source = members.take_str(Member::AuthSourceId)?;
        let phone_number = members.take_str(Member::PhoneNumber)?;
        let email = members.take_str(Member::Email)?;
        let otp_token = members.take_secret(Member::OtpToken)?;
        let otp = members.take_secret(Member::Otp)?;
        let code_verifier = members.take_secret(Member::CodeVerifier)?;
        let auto_signup = members.take_bool(Member::AutoSignup)?;
        let device_token = members.take_secret(Member::DeviceToken)?;
        let remember_device = members.take_bool(Member::RememberDevice)?;
        // A malformed scope is reported as an invalid scope, after the client is authenticated (RFC 6749 section 5.2).
        let scope = RequestedScope::parse(members.take_str(Member::Scope)?);
        let refresh_token = members.take_secret(Member::RefreshToken)?;

        if grant_type == REFRESH_GRANT_TYPE {
            let refresh_token = refresh_token.ok_or(missing(Member::RefreshToken))?;
            return Ok(Self::Refresh(RefreshGrantRequest { credentials, refresh_token, scope, dpop: request.dpop() }));
        }
        let known = rules.grant_types.iter().find(|(name, _)| *name == *grant_type);
        let address = match known {
            Some((_, Channel::Sms)) => {
                let text = phone_number.ok_or(missing(Member::PhoneNumber))?;
                let parsed = rules.addresses.phone_number(&text);
                Address::Phone(parsed.map_err(|_| invalid(Member::PhoneNumber))?)
            }
            Some((_, Channel::Email)) => {
                let text = email.ok_or(missing(Member::Email))?;
                Address::Email(rules.addresses.email(&text).map_err(|_| invalid(Member::Email))?)
            }
            None => return Err(TokenError::UnsupportedGrantType),
        };
        let auth_source = auth_source.ok_or(missing(Member::AuthSourceId))?;
        Ok(Self::Otp(OtpGrantRequest {
            credentials,
            auth_source: AuthSourceId::new(&auth_source).map_err(|_| invalid(Member::AuthSourceId))?,
            address,
            otp_token: otp_token.ok_or(missing(Member::OtpToken))?,
            otp: otp.ok_or(missing(Member::Otp))?,
            code_verifier,
            auto_signup,
            scope,
            dpop: request.dpop(),
            device_token,
            remember_device,
        }))
    }
}

/// A code and the otp_token that came with it, to be redeemed for tokens.
#[derive(Debug)]
#[non_exhaustive]
pub struct OtpGrantRequest<'a> {
    /// The client, and how it authenticates.
    pub credentials: ClientCredentials<'a>,
    /// The auth source that sent the code.
    pub auth_source: AuthSourceId,
    /// The address that the code was sent to.
    pub address: Address,
    /// The otp_token that came with the code.
    pub otp_token: PresentedSecret<'a>,
    /// The code.
    pub otp: PresentedSecret<'a>,
    /// The verifier of the code challenge that came with the request for the code.
    pub code_verifier: Option<PresentedSecret<'a>>,
    /// Whether to create the user where the address has none.
    pub auto_signup: bool,
    /// The scope that the client requests.
    pub scope: RequestedScope,
    /// The proof of the key that the tokens are bound to (RFC 9449).
    pub dpop: Option<DpopHeader<'a>>,
    /// The device token of an earlier login to this address.
    pub device_token: Option<PresentedSecret<'a>>,
    /// Whether the answer should have a device token.
    pub remember_device: bool,
}

impl<'a> OtpGrantRequest<'a> {
    /// Makes a request for the client's default scope. The request creates no user.
    pub fn new(
        credentials: ClientCredentials<'a>,
        auth_source: AuthSourceId,
        address: Address,
        otp_token: PresentedSecret<'a>,
        otp: PresentedSecret<'a>,
    ) -> Self {
        Self {
            credentials,
            auth_source,
            address,
            otp_token,
            otp,
            code_verifier: None,
            auto_signup: false,
            scope: RequestedScope::Default,
            dpop: None,
            device_token: None,
            remember_device: false,
        }
    }

    /// Adds the verifier of the code challenge that came with the request for the code. Without a challenge, a verifier
    /// is refused (RFC 9700 section 2.1.1).
    #[must_use]
    pub fn with_code_verifier(mut self, verifier: PresentedSecret<'a>) -> Self {
        self.code_verifier = Some(verifier);
        self
    }

    /// Presents a proof. The tokens are then bound to its key.
    #[must_use]
    pub fn with_dpop(mut self, header: DpopHeader<'a>) -> Self {
        self.dpop = Some(header);
        self
    }

    /// Presents the device token of an earlier login to this address, as
    /// [`SendRequest::with_device_token`](crate::wire::SendRequest::with_device_token) does.
    #[must_use]
    pub fn with_device_token(mut self, token: PresentedSecret<'a>) -> Self {
        self.device_token = Some(token);
        self
    }

    /// Asks for a device token, or for a newer one of the same device.
    #[must_use]
    pub fn with_remember_device(mut self) -> Self {
        self.remember_device = true;
        self
    }

    /// Creates the user where the address has none.
    #[must_use]
    pub fn with_auto_signup(mut self) -> Self {
        self.auto_signup = true;
        self
    }

    /// Replaces the scope that the client requests.
    #[must_use]
    pub fn with_scope(mut self, scope: RequestedScope) -> Self {
        self.scope = scope;
        self
    }
}

/// A refresh token, to be redeemed for fresh tokens (RFC 6749 section 6).
#[derive(Debug)]
#[non_exhaustive]
pub struct RefreshGrantRequest<'a> {
    /// The client, and how it authenticates.
    pub credentials: ClientCredentials<'a>,
    /// The refresh token.
    pub refresh_token: PresentedSecret<'a>,
    /// The scope that the client requests: the scope that was granted at login, or a part of it.
    pub scope: RequestedScope,
    /// The proof of the key that the tokens are bound to (RFC 9449).
    pub dpop: Option<DpopHeader<'a>>,
}

impl<'a> RefreshGrantRequest<'a> {
    /// Makes a request for the whole scope of the session.
    pub fn new(credentials: ClientCredentials<'a>, refresh_token: PresentedSecret<'a>) -> Self {
        Self { credentials, refresh_token, scope: RequestedScope::Default, dpop: None }
    }

    /// Presents a proof. The tokens are then bound to its key.
    #[must_use]
    pub fn with_dpop(mut self, header: DpopHeader<'a>) -> Self {
        self.dpop = Some(header);
        self
    }

    /// Replaces the scope that the client requests.
    #[must_use]
    pub fn with_scope(mut self, scope: RequestedScope) -> Self {
        self.scope = scope;
        self
    }
}

/// The scope of a request (RFC 6749 section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestedScope {
    /// The request names no scope. The client gets its default.
    Default,
    /// The request names this scope.
    Some(Scope),
    /// The request names something that is not a scope.
    Malformed,
}

impl RequestedScope {
    /// Returns the scope that was requested, if there is one.
    pub(crate) fn get(&self) -> Result<Option<&Scope>, InvalidScope> {
        match self {
            Self::Default => Ok(None),
            Self::Some(scope) => Ok(Some(scope)),
            Self::Malformed => Err(InvalidScope::new()),
        }
    }

    fn parse(text: Option<Cow<'_, str>>) -> Self {
        text.map_or(Self::Default, |text| Scope::parse(&text).map_or(Self::Malformed, Self::Some))
    }
}

/// The `grant_type` of a refresh (RFC 6749 section 6).
pub(crate) const REFRESH_GRANT_TYPE: &str = "refresh_token";
