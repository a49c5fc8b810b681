//! Prepares the tokens of one answer. They stay closed until what they stand for is stored.

use crate::authenticator::Redeemed;
use crate::claims::{AccessClaims, AccessTokenProfile, IdClaims, TokenFacts};
use crate::client::Client;
use crate::directory::Directory;
use crate::flow::draw::Draw;
use crate::flow::{Core, Unavailable};
use crate::grant::Grant;
use crate::id::{SessionId, TokenId};
use crate::reply::TokenResponse;
use crate::sealed::RefreshTokenContent;
use crate::secret::{AccessToken, IdToken};
use crate::session::Session;
use crate::signing_key::JwtType;
use crate::store::Store;
use crate::time::Timestamp;

/// Tokens that are signed but not released.
#[must_use]
pub(crate) struct Prepared(TokenResponse);

impl Prepared {
    /// Releases the tokens for a code that is spent.
    pub(crate) fn release(self, _: Redeemed) -> TokenResponse {
        self.0
    }
}

impl<S: Store, D: Directory> Core<S, D> {
    /// Signs and seals the tokens of a session.
    pub(crate) fn prepare(
        &self,
        client: &Client,
        session: &Session,
        session_id: SessionId,
        now: Timestamp,
        draw: &mut Draw,
    ) -> Result<Prepared, Unavailable> {
        let validity = &self.settings.token_validity;
        let profile = &self.settings.access_token_profile;
        let scope = session.scope();
        let facts = |token_id| TokenFacts { issuer: self.issuer.as_str(), session, session_id, token_id, now };
        let mut json = Vec::with_capacity(TYPICAL_CLAIMS);

        let facts_of_access = facts(TokenId::from_bytes(self.random(draw)?));
        let claims = AccessClaims::new(&facts_of_access, scope, profile, validity);
        let expires_in = now.until(claims.expires_at()).as_secs();
        let typ = match profile {
            AccessTokenProfile::Jwt => JwtType::Jwt,
            AccessTokenProfile::Rfc9068 { .. } => JwtType::AccessToken,
        };
        let access_token = AccessToken::new(self.sign(typ, &claims, &mut json)?);

        let id_token = match scope.contains("openid") {
            false => None,
            true => {
                let claims = IdClaims::new(&facts(TokenId::from_bytes(self.random(draw)?)), validity);
                Some(IdToken::new(self.sign(JwtType::Jwt, &claims, &mut json)?))
            }
        };
        let refresh_token = client.may_use(Grant::RefreshToken).then(|| {
            let content = RefreshTokenContent {
                session: session_id,
                generation: session.generation(),
                expires_at: session.expires_at(&self.settings.session_validity),
                client_mark: self.keyring.client_mark(&self.issuer, session.client()),
            };
            content.seal(&self.keyring)
        });
        Ok(Prepared(TokenResponse { access_token, refresh_token, id_token, scope: scope.clone(), expires_in }))
    }

    fn sign(&self, typ: JwtType, claims: &impl serde::Serialize, json: &mut Vec<u8>) -> Result<String, Unavailable> {
        json.clear();
        serde_json::to_writer(&mut *json, claims).map_err(|error| self.faulted(&error))?;
        self.signing_key.sign_jwt(typ, json).map_err(|error| self.faulted(&error))
    }
}

/// Most claims fit without growing.
const TYPICAL_CLAIMS: usize = 512;
