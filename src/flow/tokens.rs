//! Prepares the tokens of one answer. The tokens are released only after what they stand for is stored.

use crate::directory::Directory;
use crate::directory::client::Client;
use crate::dpop::DpopNonce;
use crate::flow::commit::Turn;
use crate::flow::core::Core;
use crate::flow::dpop::ClientKey;
use crate::grant::Grant;
use crate::id::{SessionId, TokenId};
use crate::jwt::claims::{AccessClaims, AccessTokenProfile, Extras, IdClaims, TokenFacts};
use crate::jwt::signing_key::JwtType;
use crate::otp::guess_budget::{Redeemed, Repeated};
use crate::scope::Scope;
use crate::secret::sealed::RefreshTokenContent;
use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::session::Session;
use crate::session::refresh::{Continued, RefreshTokenFacts};
use crate::store::Store;
use crate::time::Timestamp;
use crate::wire::error::Unavailable;
use crate::wire::reply::{TokenResponse, TokenType};

/// Tokens that are signed but not released.
#[must_use]
pub(crate) struct Prepared {
    access_token: AccessToken,
    id_token: Option<IdToken>,
    scope: Scope,
    expires_in: u64,
    token_type: TokenType,
    dpop_nonce: Option<DpopNonce>,
}

impl Prepared {
    /// Releases the tokens against the proof that their state is stored: the code is spent, or the session continues.
    pub(crate) fn release(self, _: impl Committed, refresh_token: Option<RefreshToken>) -> TokenResponse {
        let Self { access_token, id_token, scope, expires_in, token_type, dpop_nonce } = self;
        let device_token = None;
        TokenResponse { access_token, refresh_token, id_token, scope, expires_in, token_type, dpop_nonce, device_token }
    }
}

/// Proof that the state behind the tokens is stored.
pub(crate) trait Committed {}

impl Committed for Redeemed {}

impl Committed for Repeated {}

impl Committed for Continued {}

/// What the tokens of one answer are for.
pub(crate) struct Issuance<'a> {
    pub(crate) session: &'a Session,
    pub(crate) session_id: SessionId,
    /// The scope of the session, or a part of it.
    pub(crate) scope: Scope,
    /// The number of the answer within its session.
    pub(crate) number: u32,
    /// The key that the client has proved with this request.
    pub(crate) proven_key: &'a ClientKey,
    pub(crate) now: Timestamp,
}

/// Signs an access token and, where the scope has `openid`, an ID token.
pub(crate) async fn prepare<S: Store, D: Directory>(
    turn: &mut Turn<'_, S, D>,
    issue: Issuance<'_>,
) -> Result<Prepared, Unavailable> {
    let core = turn.core;
    let Issuance { session, session_id, scope, number, proven_key, now } = issue;
    let validity = &core.settings.token_validity;
    let profile = &core.settings.access_token_profile;
    let facts = |token_id| TokenFacts { issuer: core.issuer.as_str(), session, session_id, token_id, now };
    let mut json = Vec::with_capacity(TYPICAL_CLAIMS);

    let facts_of_access = facts(TokenId::of(number, turn.random()?));
    let custom = core.directory.access_token_claims(session.subject(), session.client(), &scope).await;
    let custom = core.looked_up(custom)?;
    let key = proven_key.of_tokens();
    let extras = Extras { authentication: core.settings.tells_authentication(), custom: &custom, key };
    let claims = AccessClaims::new(&facts_of_access, &scope, profile, validity, extras);
    let expires_in = now.until(claims.expires_at()).as_secs();
    let typ = match profile {
        AccessTokenProfile::Jwt => JwtType::Jwt,
        AccessTokenProfile::Rfc9068 { .. } => JwtType::AccessToken,
    };
    claims.write(&mut json);
    let access_token = AccessToken::new(sign(core, typ, &json).await?);

    let id_token = match scope.contains("openid") {
        false => None,
        true => {
            let claims = IdClaims::new(&facts(TokenId::of(number, turn.random()?)), validity);
            json.clear();
            claims.write(&mut json);
            Some(IdToken::new(sign(core, JwtType::Jwt, &json).await?))
        }
    };
    let token_type = if key.is_some() { TokenType::Dpop } else { TokenType::Bearer };
    let dpop_nonce = proven_key.nonce_of_answer(core);
    Ok(Prepared { access_token, id_token, scope, expires_in, token_type, dpop_nonce })
}

/// Seals a refresh token for a client that may refresh. The same facts give the same token.
pub(crate) fn refresh_token<S: Store, D: Directory>(
    core: &Core<S, D>,
    client: &Client,
    client_mark: [u8; 15],
    session: SessionId,
    facts: RefreshTokenFacts,
) -> Option<RefreshToken> {
    let RefreshTokenFacts { generation, absolute_expiry, sealed_under } = facts;
    // The token carries the absolute end of its session. Only the record says whether the session was idle for too
    // long. A superseded token must be recognised for as long as its session can be stolen.
    let content = RefreshTokenContent { session, generation, expires_at: absolute_expiry, client_mark };
    client.may_use(Grant::RefreshToken).then(|| content.seal(&core.keyring, sealed_under.as_ref()))
}

async fn sign<S: Store, D: Directory>(core: &Core<S, D>, typ: JwtType, claims: &[u8]) -> Result<String, Unavailable> {
    let key = core.signing_keys.active();
    key.sign_jwt(typ, claims, core.external_signer.as_deref()).await.map_err(|error| core.faulted(&error))
}

/// A buffer of this size holds most claims without growing.
const TYPICAL_CLAIMS: usize = 512;
