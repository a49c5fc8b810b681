//! Requests for the claims of a user.

use super::{Encoding, Request, RequestRules, bearer_token, encoding, missing};
use crate::secret::PresentedSecret;
use crate::wire::members::{InvalidRequest, Member, Members, Problem};

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
