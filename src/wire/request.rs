//! Typed requests, parsed from HTTP requests.

use std::borrow::Cow;

use crate::address::{Address, AddressPolicy, Channel};
use crate::grant::{CustomUsage, Usage};
use crate::id::{AuthSourceId, ClientId};
use crate::scope::{InvalidScope, Scope};
use crate::secret::PresentedSecret;
use crate::wire::basic::parse_basic;
use crate::wire::error::{IntrospectionError, InvalidClient, NoBearerToken, RevocationError, SendError, TokenError};
use crate::wire::members::{InvalidRequest, Member, Members, Problem};

/// An HTTP request: its method, its path, its headers and its body.
///
/// The crate picks the headers that it knows and ignores the others. A host should pass on all headers. It then need
/// not change when a later version of the crate reads another header.
///
/// ```
/// use otp_grant::Request;
///
/// let headers = [("host", &b"login.example.com"[..]), ("content-type", b"application/json")];
/// let request = Request::new("POST", "/oauth2/token").headers(headers).body(b"{}");
/// assert_eq!((request.path(), request.content_type()), ("/oauth2/token", Some("application/json")));
/// ```
///
/// # Headers
///
/// A header that occurs twice, or that is not visible ASCII, counts as present and empty. An empty `Authorization`
/// header names no client, and the request fails with `invalid_client`. An empty `Content-Type` header names no media
/// type, and a body fails with `invalid_request`.
///
/// A proxy in front of the host can pick one of two headers, and check the client that it names. If the crate picked
/// the other header, or ignored both, it would serve another client than the proxy has checked.
///
/// # Body
///
/// The host must limit how much of the body it reads, and how long that may take. It should read a little more than the
/// limit of the crate, so the crate can report a body that is too large. It must never pass on a body that was cut
/// short.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    method: &'a str,
    path: &'a str,
    content_type: Option<&'a str>,
    authorization: Option<&'a str>,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    /// Makes a request without headers and body. The path has no query. It begins with the path of the issuer, if the
    /// issuer has one.
    #[must_use]
    pub fn new(method: &'a str, path: &'a str) -> Self {
        Self { method, path, content_type: None, authorization: None, body: b"" }
    }

    /// Adds a header. The name can have any case.
    #[must_use]
    pub fn header(self, name: &str, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.with_header(name, value.as_ref())
    }

    /// Adds headers. The names can have any case.
    #[must_use]
    pub fn headers<'n>(self, headers: impl IntoIterator<Item = (&'n str, &'a [u8])>) -> Self {
        headers.into_iter().fold(self, |request, (name, value)| request.with_header(name, value))
    }

    /// Replaces the body.
    #[must_use]
    pub fn body(mut self, body: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        self.body = body.as_ref();
        self
    }

    /// Returns the method.
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// Returns the path.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// Returns the `Content-Type` header. It is empty where the request has two, or where it is not visible ASCII.
    pub fn content_type(&self) -> Option<&'a str> {
        self.content_type
    }

    /// Returns the `Authorization` header. It is empty where the request has two, or where it is not visible ASCII.
    pub fn authorization(&self) -> Option<&'a str> {
        self.authorization
    }

    /// Returns the access token of an `Authorization: Bearer` header, for the routes of the host's own API.
    ///
    /// # Errors
    /// [`NoBearerToken`] when the request has no such header, or when the header has no token. The host can convert the
    /// error into the [`Reply`](crate::Reply) that asks for a token.
    ///
    /// RFC 6750 section 2.1.
    pub fn bearer_token(&self) -> Result<&'a str, NoBearerToken> {
        self.authorization.and_then(bearer_token).ok_or(NoBearerToken)
    }

    /// Returns the body as it was received.
    pub fn content(&self) -> &'a [u8] {
        self.body
    }

    /// Returns the request without its body, for methods whose body has no meaning (RFC 9110 section 9.3.1).
    pub(crate) fn without_body(self) -> Self {
        Self { content_type: None, body: b"", ..self }
    }

    fn with_header(mut self, name: &str, value: &'a [u8]) -> Self {
        let found = match name {
            name if name.eq_ignore_ascii_case("Content-Type") => &mut self.content_type,
            name if name.eq_ignore_ascii_case("Authorization") => &mut self.authorization,
            _ => return self,
        };
        let is_text = found.is_none() && value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        *found = Some(core::str::from_utf8(value).ok().filter(|_| is_text).unwrap_or_default());
        self
    }
}

impl core::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Request").field("content_type", &self.content_type).finish_non_exhaustive()
    }
}

/// The rules by which requests are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestRules<'s> {
    /// The `grant_type` values, and the channel of each.
    pub(crate) grant_types: &'s [(String, Channel)],
    pub(crate) addresses: &'s AddressPolicy,
    pub(crate) body_limit: usize,
    /// The usages that the host defines.
    pub(crate) usages: &'s [CustomUsage],
}

impl RequestRules<'_> {
    fn usage(&self, name: &str) -> Option<Usage> {
        let custom = || self.usages.iter().find(|usage| usage.as_str() == name).copied().map(Usage::Custom);
        Usage::from_wire(name).or_else(custom)
    }
}

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
        let auto_signup = members.take_bool(Member::AutoSignup)?;
        // A malformed scope is reported as an invalid scope, after the client is authenticated (RFC 6749 section 5.2).
        let scope = RequestedScope::parse(members.take_str(Member::Scope)?);
        let refresh_token = members.take_secret(Member::RefreshToken)?;

        if grant_type == REFRESH_GRANT_TYPE {
            let refresh_token = refresh_token.ok_or(missing(Member::RefreshToken))?;
            return Ok(Self::Refresh(RefreshGrantRequest { credentials, refresh_token, scope }));
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
            auto_signup,
            scope,
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
    /// Whether to create the user where the address has none.
    pub auto_signup: bool,
    /// The scope that the client requests.
    pub scope: RequestedScope,
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
        let (auto_signup, scope) = (false, RequestedScope::Default);
        Self { credentials, auth_source, address, otp_token, otp, auto_signup, scope }
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
}

impl<'a> RefreshGrantRequest<'a> {
    /// Makes a request for the whole scope of the session.
    pub fn new(credentials: ClientCredentials<'a>, refresh_token: PresentedSecret<'a>) -> Self {
        Self { credentials, refresh_token, scope: RequestedScope::Default }
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
}

impl<'a> SendRequest<'a> {
    /// Makes a request for a code. A login also needs an [auth source](Self::with_auth_source).
    pub fn new(credentials: ClientCredentials<'a>, usage: Usage, address: Address) -> Self {
        Self { credentials, usage, address, auth_source: None }
    }

    /// Names the auth source of a login.
    #[must_use]
    pub fn with_auth_source(mut self, id: AuthSourceId) -> Self {
        self.auth_source = Some(id);
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
        Ok(Self { credentials, usage, address, auth_source })
    }
}

/// A token that a client wants to revoke (RFC 7009 section 2.1).
///
/// A `token_type_hint` is ignored, because the token itself says what it is.
#[derive(Debug)]
#[non_exhaustive]
pub struct RevocationRequest<'a> {
    /// The client, and how it authenticates.
    pub credentials: ClientCredentials<'a>,
    /// The access token or refresh token.
    pub token: PresentedSecret<'a>,
}

impl<'a> RevocationRequest<'a> {
    /// Makes a request to revoke a token.
    pub fn new(credentials: ClientCredentials<'a>, token: PresentedSecret<'a>) -> Self {
        Self { credentials, token }
    }

    pub(crate) fn parse(request: &Request<'a>, rules: &RequestRules<'_>) -> Result<Self, RevocationError> {
        credentials_and_token(request, rules).map(|(credentials, token)| Self::new(credentials, token))
    }
}

/// A token that a client asks about (RFC 7662 section 2.1).
///
/// A `token_type_hint` is ignored, because the token itself says what it is.
#[derive(Debug)]
#[non_exhaustive]
pub struct IntrospectionRequest<'a> {
    /// The client, and how it authenticates.
    pub credentials: ClientCredentials<'a>,
    /// The access token or refresh token.
    pub token: PresentedSecret<'a>,
}

impl<'a> IntrospectionRequest<'a> {
    /// Makes a request to introspect a token.
    pub fn new(credentials: ClientCredentials<'a>, token: PresentedSecret<'a>) -> Self {
        Self { credentials, token }
    }

    pub(crate) fn parse(request: &Request<'a>, rules: &RequestRules<'_>) -> Result<Self, IntrospectionError> {
        credentials_and_token(request, rules).map(|(credentials, token)| Self::new(credentials, token))
    }
}

/// Reads a form that presents a token. Revocation and introspection requests have the same members.
fn credentials_and_token<'a, E: From<InvalidRequest> + From<InvalidClient>>(
    request: &Request<'a>,
    rules: &RequestRules<'_>,
) -> Result<(ClientCredentials<'a>, PresentedSecret<'a>), E> {
    // A request without any client authentication is refused as a failed one, before anything else is checked (RFC 6749
    // section 5.2).
    let anonymous = InvalidClient::InBody;
    if request.authorization.is_none() && request.body.is_empty() {
        return Err(anonymous.into());
    }
    let mut members = match encoding(request, rules)? {
        Encoding::Form => Members::from_form(request.body)?,
        Encoding::Json => return Err(InvalidRequest::body(Problem::ContentType).into()),
    };
    if request.authorization.is_none() && !members.has(Member::ClientId) && !members.has(Member::ClientSecret) {
        return Err(anonymous.into());
    }
    let credentials = ClientCredentials::parse(request, &mut members)?;
    let token = members.take_secret(Member::Token)?.ok_or(missing(Member::Token))?;
    Ok((credentials, token))
}

/// A request for the claims of a user (OpenID Connect Core section 5.3.1).
#[derive(Debug)]
#[non_exhaustive]
pub struct UserinfoRequest<'a> {
    /// The access token.
    pub access_token: PresentedSecret<'a>,
}

impl<'a> UserinfoRequest<'a> {
    /// Makes a request with an access token.
    pub fn new(access_token: PresentedSecret<'a>) -> Self {
        Self { access_token }
    }

    /// Finds the access token in the `Authorization` header, or in a form (RFC 6750 sections 2.1 and 2.2).
    pub(crate) fn parse(request: &Request<'a>, rules: &RequestRules<'_>) -> Result<Self, InvalidRequest> {
        let in_header = request.authorization.and_then(bearer_token).map(PresentedSecret::new);
        let in_body = match encoding(request, rules) {
            Ok(Encoding::Form) => Members::from_form(request.body)?.take_secret(Member::AccessToken)?,
            Err(error) if error == InvalidRequest::body(Problem::TooLarge) => return Err(error),
            // A body of any other kind is ignored. Most requests have none.
            Ok(Encoding::Json) | Err(_) => None,
        };
        match (in_header, in_body) {
            // A request may present its token in one way only. This holds even if the header names no token.
            (_, Some(_)) if request.authorization.is_some() => Err(InvalidRequest::body(Problem::TwoTokens)),
            (Some(access_token), _) | (None, Some(access_token)) => Ok(Self { access_token }),
            (None, None) => Err(missing(Member::AccessToken)),
        }
    }
}

/// The identity that a client claims, and its proof (RFC 6749 section 2.3.1).
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientCredentials<'a> {
    /// The client is named in the body or by HTTP Basic.
    Named {
        /// The identifier that the client claims.
        id: ClientId,
        /// The secret that the client presents. A public client has none.
        secret: Option<PresentedSecret<'a>>,
        /// Whether HTTP Basic was used.
        basic: bool,
    },
    /// The request names no possible client: it has a malformed `Authorization` header, or an identifier that no client
    /// can have.
    Unreadable {
        /// Whether the request has an `Authorization` header.
        basic: bool,
    },
}

impl<'a> ClientCredentials<'a> {
    /// Returns the error for these credentials when they are refused.
    pub(crate) fn refused(&self) -> InvalidClient {
        match self {
            Self::Named { basic: true, .. } | Self::Unreadable { basic: true } => InvalidClient::InHeader,
            Self::Named { .. } | Self::Unreadable { .. } => InvalidClient::InBody,
        }
    }

    fn parse(request: &Request<'_>, members: &mut Members<'a>) -> Result<Self, InvalidRequest> {
        let body_id = members.take_str(Member::ClientId)?;
        let body_secret = members.take_secret(Member::ClientSecret)?;
        let Some(header) = request.authorization else {
            let id = body_id.ok_or(missing(Member::ClientId))?;
            return Ok(match ClientId::new(&id) {
                Ok(id) => Self::Named { id, secret: body_secret, basic: false },
                Err(_) => Self::Unreadable { basic: false },
            });
        };
        if body_secret.is_some() {
            return Err(InvalidRequest::body(Problem::TwoCredentials));
        }
        let Ok((basic_id, secret)) = parse_basic(header) else { return Ok(Self::Unreadable { basic: true }) };
        if body_id.is_some_and(|body_id| *body_id != *basic_id) {
            return Err(InvalidRequest::member(Member::ClientId, Problem::DiffersFromHeader));
        }
        match ClientId::new(&basic_id) {
            Ok(id) => Ok(Self::Named { id, secret: Some(secret), basic: true }),
            Err(_) => Ok(Self::Unreadable { basic: true }),
        }
    }
}

enum Encoding {
    Json,
    Form,
}

/// Returns the encoding of the body. Refuses a body that is too large.
fn encoding(request: &Request<'_>, rules: &RequestRules<'_>) -> Result<Encoding, InvalidRequest> {
    if request.body.len() > rules.body_limit {
        return Err(InvalidRequest::body(Problem::TooLarge));
    }
    let media_type = request.content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        Ok(Encoding::Json)
    } else if media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Ok(Encoding::Form)
    } else {
        Err(InvalidRequest::body(Problem::ContentType))
    }
}

/// Returns the token of an `Authorization: Bearer` header.
fn bearer_token(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    Some(token).filter(|token| scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty())
}

fn missing(member: Member) -> InvalidRequest {
    InvalidRequest::member(member, Problem::Missing)
}

fn invalid(member: Member) -> InvalidRequest {
    InvalidRequest::member(member, Problem::InvalidValue)
}

/// The `grant_type` of a refresh (RFC 6749 section 6).
pub(crate) const REFRESH_GRANT_TYPE: &str = "refresh_token";
