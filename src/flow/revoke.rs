//! Revocation: a client signs out, or the host ends a session.

use crate::directory::Directory;
use crate::directory::authenticated_client::AuthenticatedClient;
use crate::flow::caller;
use crate::flow::commit::{Refused, Turn};
use crate::flow::core::Core;
use crate::flow::record::Loaded;
use crate::id::{Mark, SessionId, Subject};
use crate::jwt::verifier::AccessTokenClaims;
use crate::observer::Event;
use crate::secret::sealed::RefreshTokenContent;
use crate::session::revoke::{Dead, EndSession, RevokeToken};
use crate::session::{RevocationReason, Session};
use crate::store::Store;
use crate::time::CLOCK_TOLERANCE;
use crate::wire::error::{RevocationError, Unavailable};
use crate::wire::request::RevocationRequest;

/// Ends what a token stands for. A token that is unknown or already dead is also a success (RFC 7009 section 2.2).
pub(crate) async fn revoke<S: Store, D: Directory>(
    core: &Core<S, D>,
    request: RevocationRequest<'_>,
) -> Result<(), RevocationError> {
    let client = caller::authenticate(core, &request.credentials).await?;
    let client = caller::admit(core, client).await?;
    // The clock of another host can be behind. A token that has only just expired by this clock is therefore also
    // revoked.
    let now = core.clock.now().before(CLOCK_TOLERANCE);
    if let Ok(token) = RefreshTokenContent::unseal(&request.token, &core.keyring, now) {
        if token.client_mark != core.keyring.client_mark(client.id()) {
            return Err(not_its_token(&request));
        }
        // A refresh token of any generation ends the session. A caller without one can't end it.
        return revoke_session_for(core, &client, token.session).await;
    }
    // A token can be not valid yet where the clock was set back. It is revoked like any other, because it will become
    // valid.
    match core.verifier.authenticate_any_profile(request.token.expose_secret()) {
        Ok(token) if now.has_reached(token.expires_at) => Ok(()),
        Ok(token) if token.client != *client.id() => Err(not_its_token(&request)),
        Ok(token) => revoke_access_token(core, &client, &token).await,
        Err(_) => Ok(()),
    }
}

/// Ends a session on behalf of the host.
pub(crate) async fn revoke_session<S: Store, D: Directory>(
    core: &Core<S, D>,
    session: SessionId,
) -> Result<(), Unavailable> {
    if let Some(subject) = end_session(core, session, RevocationReason::Host).await? {
        core.observer.event(&Event::SessionRevoked { client: None, subject: &subject, session });
    }
    Ok(())
}

async fn revoke_session_for<S: Store, D: Directory>(
    core: &Core<S, D>,
    client: &AuthenticatedClient,
    session: SessionId,
) -> Result<(), RevocationError> {
    if let Some(subject) = end_session(core, session, RevocationReason::SignedOut).await? {
        core.observer.event(&Event::SessionRevoked { client: Some(client.id()), subject: &subject, session });
    }
    Ok(())
}

/// Ends a session. Returns its user, or `None` where the session was unknown or already over.
async fn end_session<S: Store, D: Directory>(
    core: &Core<S, D>,
    session: SessionId,
    reason: RevocationReason,
) -> Result<Option<Subject>, Unavailable> {
    let mut turn = Turn::new(core);
    let mark = Mark::from_bytes(turn.random()?);
    let loaded = turn.load::<Session>(core.keyring.session_key(&session)).await?;
    subject_of(turn.commit(loaded, &EndSession { reason, mark }).await)
}

async fn revoke_access_token<S: Store, D: Directory>(
    core: &Core<S, D>,
    client: &AuthenticatedClient,
    token: &AccessTokenClaims,
) -> Result<(), RevocationError> {
    let AccessTokenClaims { token_id, session, .. } = *token;
    let mut turn = Turn::new(core);
    let mark = Mark::from_bytes(turn.random()?);
    let loaded = turn.load::<Session>(core.keyring.session_key(&session)).await?;
    let revoke = RevokeToken { token: &token_id, mark };
    if let Some(subject) = subject_of(turn.commit(loaded, &revoke).await)? {
        core.observer.event(&Event::AccessTokenRevoked { client: client.id(), subject: &subject, session });
    }
    Ok(())
}

/// Returns the user of the session that was written. A session that is already dead needs no write.
fn subject_of(outcome: Result<((), Loaded<Session>), Refused<Dead>>) -> Result<Option<Subject>, Unavailable> {
    match outcome {
        Ok(((), loaded)) => Ok(loaded.state().map(|session| session.subject().clone())),
        Err(Refused::ByRule(Dead)) => Ok(None),
        Err(Refused::Unavailable) => Err(Unavailable),
    }
}

fn not_its_token(request: &RevocationRequest<'_>) -> RevocationError {
    request.credentials.refused().into()
}
