//! How a client identifies itself in a request, and what it presents as proof.

use super::{Request, missing};
use crate::id::ClientId;
use crate::secret::PresentedSecret;
use crate::wire::basic::parse_basic;
use crate::wire::error::InvalidClient;
use crate::wire::members::{InvalidRequest, Member, Members, Problem};

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

    pub(super) fn parse(request: &Request<'_>, members: &mut Members<'a>) -> Result<Self, InvalidRequest> {
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
