//! Requests for the claims of a user.

use super::{DpopHeader, Encoding, PresentedAccessToken, PresentedProof, Request, RequestRules, encoding, missing};
use crate::secret::PresentedSecret;
use crate::wire::members::{InvalidRequest, Member, Members, Problem};

/// A request for the claims of a user (OpenID Connect Core section 5.3.1).
#[derive(Debug)]
#[non_exhaustive]
pub struct UserinfoRequest<'a> {
    /// The access token.
    pub access_token: PresentedSecret<'a>,
    /// How the access token is presented.
    pub scheme: TokenScheme<'a>,
}

/// How a request to the userinfo endpoint presents its access token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TokenScheme<'a> {
    /// Alone (RFC 6750).
    Bearer,
    /// With a proof of the key that the token is bound to (RFC 9449 section 7.1).
    Dpop {
        /// The `DPoP` header.
        proof: Option<DpopHeader<'a>>,
        /// The method of the request.
        method: &'a str,
    },
}

impl<'a> UserinfoRequest<'a> {
    /// Makes a request with an access token alone.
    pub fn new(access_token: PresentedSecret<'a>) -> Self {
        Self { access_token, scheme: TokenScheme::Bearer }
    }

    /// Presents the access token with a proof. `method` is the method of the request.
    #[must_use]
    pub fn with_dpop(mut self, proof: Option<DpopHeader<'a>>, method: &'a str) -> Self {
        self.scheme = TokenScheme::Dpop { proof, method };
        self
    }

    /// Finds the access token in the `Authorization` header, or in a form (RFC 6750 sections 2.1 and 2.2).
    pub(crate) fn parse(request: &Request<'a>, rules: &RequestRules<'_>) -> Result<Self, InvalidRequest> {
        // The endpoint itself knows its URL.
        let proof = PresentedProof::new(request.dpop(), request.method, "");
        let in_header = request.authorization.and_then(|header| PresentedAccessToken::read(header, proof));
        let in_header = in_header.and_then(|presented| match presented {
            PresentedAccessToken::Bearer(token) => Some(Self::new(PresentedSecret::new(token))),
            PresentedAccessToken::Dpop(token, proof) => rules.reads_dpop.then(|| {
                let proof_header = proof.header().copied();
                Self::new(PresentedSecret::new(token)).with_dpop(proof_header, proof.method())
            }),
        });
        let in_body = match encoding(request, rules) {
            Ok(Encoding::Form) => Members::from_form(request.body)?.take_secret(Member::AccessToken)?,
            Err(error) if error == InvalidRequest::body(Problem::TooLarge) => return Err(error),
            // A body of any other kind is ignored. Most requests have none.
            Ok(Encoding::Json) | Err(_) => None,
        };
        match (in_header, in_body) {
            // A request may present its token in one way only. This holds even if the header names no token.
            (_, Some(_)) if request.authorization.is_some() => Err(InvalidRequest::body(Problem::TwoTokens)),
            (Some(presented), _) => Ok(presented),
            (None, Some(access_token)) => Ok(Self::new(access_token)),
            (None, None) => Err(missing(Member::AccessToken)),
        }
    }
}
