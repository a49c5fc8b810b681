//! The refresh grant: a refresh token is redeemed for fresh tokens.

use crate::directory::Directory;
use crate::directory::client::Client;
use crate::directory::user::UserStatus;
use crate::dpop::DpopError;
use crate::flow::caller;
use crate::flow::commit::{Refused, Turn};
use crate::flow::core::Core;
use crate::flow::dpop::Examined;
use crate::flow::narrow::granted_scope;
use crate::flow::tokens::{self, Issuance};
use crate::grant::Grant;
use crate::id::{ClientId, Mark, SessionId, Subject};
use crate::observer::Event;
use crate::scope::Scope;
use crate::secret::sealed::RefreshTokenContent;
use crate::session::Session;
use crate::session::refresh::{NotRefreshed, RefreshSession, Refreshed, Standing};
use crate::store::Store;
use crate::wire::error::TokenError;
use crate::wire::reply::TokenResponse;
use crate::wire::request::{RefreshGrantRequest, RequestedScope};

/// Redeems a refresh token. The client is authenticated before anything else is checked, and the write that advances
/// the session comes last.
pub(crate) async fn refresh_grant<S: Store, D: Directory>(
    core: &Core<S, D>,
    request: RefreshGrantRequest<'_>,
) -> Result<TokenResponse, TokenError> {
    let mut turn = Turn::new(core);

    // These checks need no record of the session. A token of another client changes nothing.
    let proof = Examined::at_endpoint(core, request.dpop.as_ref(), core.proof_targets.token.as_ref());
    let client = caller::authenticate(core, &request.credentials).await?;
    let proven_key = proof.of_client(core, client.configuration())?;
    let client = caller::admit(core, client).await?;
    if !client.may_use(Grant::RefreshToken) {
        return Err(TokenError::UnauthorizedClient);
    }
    let token = RefreshTokenContent::unseal(&request.refresh_token, &core.keyring, core.clock.now())
        .map_err(|_| TokenError::UnknownRefreshToken)?;
    if token.client_mark != core.keyring.client_mark(client.id()) {
        return Err(TokenError::UnknownRefreshToken);
    }

    let loaded = turn.load::<Session>(core.keyring.session_key(&token.session)).await?;
    // `presented_at` is the clock reading after the first load of the session. It stays the same where the decision is
    // repeated because other requests were faster. It tells whether the token came in time for a retry.
    // `seen_at` is the instant to decide at: the later of `presented_at` and the latest use of the session. Where the
    // clock was set back, it is `presented_at`.
    let presented_at = loaded.now();
    let (session, seen_at) = loaded.state().ok_or(TokenError::UnknownRefreshToken)?.seen_at(presented_at);
    let standing = session.standing(token.generation, presented_at, seen_at);
    let standing = session.with_key(standing, token.generation, proven_key.thumbprint());
    let issue = session.issue_for(standing);
    let prepared = match standing {
        Standing::Dead => return Err(TokenError::UnknownRefreshToken),
        Standing::WithoutKey => {
            key_not_proven(core, client.id(), session.subject(), token.session);
            return Err(TokenError::UnknownRefreshToken);
        }
        // A replayed token ends the session, even where the rest of the request would be refused. No tokens are
        // prepared.
        Standing::Superseded => None,
        Standing::Current | Standing::Retried => {
            let scope = scope_of_refresh(core, &client, &session, &request.scope).await?;
            let signed_at = core.clock.now();
            let session_id = token.session;
            let issuance = Issuance {
                session: &session,
                session_id,
                scope,
                number: issue,
                proven_key: &proven_key,
                now: signed_at,
            };
            Some(tokens::prepare(&mut turn, issuance).await?)
        }
    };

    // The tokens are signed first. The swap that advances the session comes last, and its proof releases the tokens.
    let refresh = RefreshSession {
        generation: token.generation,
        presented_at,
        stood: standing,
        issue,
        policy: client.refresh_policy(),
        idle: core.settings.session_validity.idle,
        access_token: core.settings.token_validity.access_token,
        sealed_under: core.keyring.names_its_key(),
        key: proven_key.thumbprint().copied(),
        proof: proven_key.of_refresh(session.is_bound()),
        mark: Mark::from_bytes(turn.random()?),
    };
    let subject = session.subject().clone();
    // `session` borrows from `loaded`, and the commit takes `loaded` by value.
    drop(session);
    let refreshed = match turn.commit(loaded, &refresh).await {
        Ok((refreshed, _)) => refreshed,
        Err(refused) => {
            match refused {
                Refused::ByRule(NotRefreshed::WithoutKey) => {
                    key_not_proven(core, client.id(), &subject, token.session);
                }
                Refused::ByRule(NotRefreshed::ReplayedProof) => {
                    core.observer.event(&Event::ProofReplayed { client: client.id() });
                }
                // This client may never repeat the request.
                Refused::Unavailable if standing == Standing::Superseded => {
                    reuse_detected(core, client.id(), &subject, token.session, false);
                }
                _ => {}
            }
            return Err(refused.into());
        }
    };
    let Refreshed::Continued(continued) = refreshed else {
        reuse_detected(core, client.id(), &subject, token.session, true);
        return Err(TokenError::UnknownRefreshToken);
    };
    // Only a superseded token has no prepared tokens. A superseded token never becomes current again, and so a session
    // that continues always has them. The error replaces a panic.
    let prepared = prepared.ok_or(TokenError::UnknownRefreshToken)?;
    let refresh_token =
        tokens::refresh_token(core, &client, token.client_mark, token.session, continued.refresh_token());
    core.observer.event(&Event::Refreshed { client: client.id(), subject: &subject, session: token.session });
    Ok(prepared.release(continued, refresh_token))
}

fn key_not_proven<S: Store, D: Directory>(core: &Core<S, D>, client: &ClientId, subject: &Subject, session: SessionId) {
    core.observer.event(&Event::KeyNotProven { client, subject, session });
}

fn reuse_detected<S: Store, D: Directory>(
    core: &Core<S, D>,
    client: &ClientId,
    subject: &Subject,
    session: SessionId,
    has_ended: bool,
) {
    core.observer.event(&Event::ReuseDetected { client, subject, session, has_ended });
}

/// Returns the scope of a refresh. Checks that the user may still log in, and narrows the scope to what is still
/// granted.
async fn scope_of_refresh<S: Store, D: Directory>(
    core: &Core<S, D>,
    client: &Client,
    session: &Session,
    asked: &RequestedScope,
) -> Result<Scope, TokenError> {
    let user = core.looked_up(core.directory.user_by_subject(session.subject()).await)?;
    let user = user.ok_or(TokenError::UserNotFound)?;
    if user.status != UserStatus::Active || !session.suits(user.is_test) {
        return Err(TokenError::UserNotActive);
    }
    if session.is_ended_by(user.tokens_valid_after) {
        return Err(TokenError::UnknownRefreshToken);
    }
    let asked = asked.get().map_err(|_| TokenError::InvalidScope)?;
    let scope = client.narrow_scope(session.scope(), asked).map_err(|_| TokenError::InvalidScope)?;
    granted_scope(core, &user, client, scope).await?.ok_or(TokenError::InvalidScope)
}

impl From<Refused<NotRefreshed>> for TokenError {
    fn from(refused: Refused<NotRefreshed>) -> Self {
        match refused {
            Refused::ByRule(NotRefreshed::Dead | NotRefreshed::Overtaken | NotRefreshed::WithoutKey) => {
                Self::UnknownRefreshToken
            }
            Refused::ByRule(NotRefreshed::ReplayedProof) => Self::InvalidDpopProof(DpopError::Replayed),
            Refused::ByRule(NotRefreshed::Unresolved) | Refused::Unavailable => Self::TemporarilyUnavailable,
        }
    }
}
