//! How a client identifies itself in a request, and what it presents as proof.

use super::{Request, invalid, missing};
use crate::id::ClientId;
use crate::secret::PresentedSecret;
use crate::wire::basic::parse_basic;
use crate::wire::error::InvalidClient;
use crate::wire::members::{InvalidRequest, Member, Members, Problem};

/// The identity that a client claims, and its proof (RFC 6749 section 2.3).
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
    /// The client signs an assertion with its private key (`private_key_jwt`, RFC 7523 section 2.2).
    Assertion {
        /// The identifier in the body. It can be absent, because the assertion also names the client.
        id: Option<ClientId>,
        /// The assertion, a JWT. Nothing of it is verified yet.
        assertion: PresentedSecret<'a>,
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
            Self::Named { .. } | Self::Assertion { .. } | Self::Unreadable { .. } => InvalidClient::InBody,
        }
    }

    pub(super) fn parse(request: &Request<'_>, members: &mut Members<'a>) -> Result<Self, InvalidRequest> {
        let body_id = members.take_str(Member::ClientId)?;
        let body_secret = members.take_secret(Member::ClientSecret)?;
        if let Some(assertion) = take_assertion(members)? {
            // RFC 6749 section 2.3: a client uses one method per request. A proxy in front of the host could otherwise
            // check another method than this server.
            if body_secret.is_some() || request.authorization.is_some() {
                return Err(InvalidRequest::body(Problem::AssertionAndMore));
            }
            return Ok(match body_id.map(|id| ClientId::new(&id)).transpose() {
                Ok(id) => Self::Assertion { id, assertion },
                Err(_) => Self::Unreadable { basic: false },
            });
        }
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

/// Takes the assertion of a client. Its type must stand beside it, and there is one type (RFC 7521 section 4.2).
fn take_assertion<'a>(members: &mut Members<'a>) -> Result<Option<PresentedSecret<'a>>, InvalidRequest> {
    let assertion = members.take_secret(Member::ClientAssertion)?;
    let assertion_type = members.take_str(Member::ClientAssertionType)?;
    match (assertion, assertion_type) {
        (None, None) => Ok(None),
        (Some(_), None) => Err(missing(Member::ClientAssertionType)),
        (None, Some(_)) => Err(missing(Member::ClientAssertion)),
        (Some(assertion), Some(text)) if text == JWT_BEARER => Ok(Some(assertion)),
        (Some(_), Some(_)) => Err(invalid(Member::ClientAssertionType)),
    }
}

/// RFC 7523 section 2.2.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
