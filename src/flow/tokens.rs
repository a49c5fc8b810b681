//! Prepares the tokens of one answer. They stay closed until what they stand for is stored.

use crate::authenticator::Redeemed;
use crate::claims::{AccessClaims, AccessTokenProfile, IdClaims, TokenFacts};
use crate::client::Client;
use crate::directory::Directory;
use crate::error::Unavailable;
use crate::flow::Core;
use crate::flow::draw::Draw;
use crate::flow::otp_grant::Repeated;
use crate::grant::Grant;
use crate::id::{SessionId, TokenId};
use crate::reply::TokenResponse;
use crate::scope::Scope;
use crate::sealed::RefreshTokenContent;
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::session::{Continued, RefreshTokenFacts, Session};
use crate::signing_key::JwtType;
use crate::store::Store;
use crate::time::Timestamp;

/// Tokens that are signed but not released.
#[must_use]
pub(crate) struct Prepared {
    access_token: AccessToken,
    id_token: Option<IdToken>,
    scope: Scope,
    expires_in: u64,
}

impl Prepared {
    /// Releases the tokens for what is stored: a code that is spent, or a session that goes on.
    pub(crate) fn release(self, _: impl Committed, refresh_token: Option<RefreshToken>) -> TokenResponse {
        let Self { access_token, id_token, scope, expires_in } = self;
        TokenResponse { access_token, refresh_token, id_token, scope, expires_in }
    }
}

/// The proof that what tokens stand for is stored.
pub(crate) trait Committed {}

impl Committed for Redeemed {}

impl Committed for Continued {}

impl Committed for Repeated {}

/// What the tokens of one answer are for.
pub(crate) struct Issue<'a> {
    pub(crate) session: &'a Session,
    pub(crate) session_id: SessionId,
    /// The session's, or a part of it.
    pub(crate) scope: Scope,
    /// The number of the answer within its session.
    pub(crate) number: u32,
    pub(crate) now: Timestamp,
}

impl<S: Store, D: Directory> Core<S, D> {
    /// Signs an access token and, where the scope has `openid`, an ID token.
    pub(crate) async fn prepare(&self, issue: Issue<'_>, draw: &mut Draw) -> Result<Prepared, Unavailable> {
        let Issue { session, session_id, scope, number, now } = issue;
        let validity = &self.settings.token_validity;
        let profile = &self.settings.access_token_profile;
        let facts = |token_id| TokenFacts { issuer: self.issuer.as_str(), session, session_id, token_id, now };
        let mut json = Vec::with_capacity(TYPICAL_CLAIMS);

        let facts_of_access = facts(TokenId::of(number, self.random(draw)?));
        let claims = AccessClaims::new(&facts_of_access, &scope, profile, validity);
        let expires_in = now.until(claims.expires_at()).as_secs();
        let typ = match profile {
            AccessTokenProfile::Jwt => JwtType::Jwt,
            AccessTokenProfile::Rfc9068 { .. } => JwtType::AccessToken,
        };
        let access_token = AccessToken::new(self.sign(typ, &claims, &mut json).await?);

        let id_token = match scope.contains("openid") {
            false => None,
            true => {
                let claims = IdClaims::new(&facts(TokenId::of(number, self.random(draw)?)), validity);
                Some(IdToken::new(self.sign(JwtType::Jwt, &claims, &mut json).await?))
            }
        };
        Ok(Prepared { access_token, id_token, scope, expires_in })
    }

    /// Seals a refresh token, for a client that may refresh. The same facts give the same token.
    pub(crate) fn refresh_token(
        &self,
        client: &Client,
        client_mark: [u8; 15],
        session: SessionId,
        facts: RefreshTokenFacts,
    ) -> Option<RefreshToken> {
        let RefreshTokenFacts { generation, absolute_expiry, sealed_under } = facts;
        // It says when its session ends in any case. Whether the session has been idle for too long, its record says; a
        // superseded token is known for as long as there is a session to be stolen.
        let content = RefreshTokenContent { session, generation, expires_at: absolute_expiry, client_mark };
        client.may_use(Grant::RefreshToken).then(|| content.seal(&self.keyring, sealed_under.as_ref()))
    }

    async fn sign(
        &self,
        typ: JwtType,
        claims: &(impl serde::Serialize + Sync),
        json: &mut Vec<u8>,
    ) -> Result<String, Unavailable> {
        json.clear();
        serde_json::to_writer(&mut *json, claims).map_err(|error| self.faulted(&error))?;
        self.signing_keys.active().sign_jwt(typ, json).await.map_err(|error| self.faulted(&error))
    }
}

/// Most claims fit without growing.
const TYPICAL_CLAIMS: usize = 512;
