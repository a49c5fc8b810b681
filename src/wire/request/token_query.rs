//! Requests of a client about one of its tokens: revocation and introspection.

use super::{ClientCredentials, Encoding, Request, RequestRules, encoding, missing};
use crate::secret::PresentedSecret;
use crate::wire::error::{IntrospectionError, InvalidClient, RevocationError};
use crate::wire::members::{InvalidRequest, Member, Members, Problem};

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
    let of_client = [Member::ClientId, Member::ClientSecret, Member::ClientAssertion, Member::ClientAssertionType];
    if request.authorization.is_none() && !of_client.into_iter().any(|member| members.has(member)) {
        return Err(anonymous.into());
    }
    let credentials = ClientCredentials::parse(request, &mut members)?;
    let token = members.take_secret(Member::Token)?.ok_or(missing(Member::Token))?;
    Ok((credentials, token))
}
