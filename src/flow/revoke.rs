//! Revocation: a client signs out, or the host ends a session.

use crate::access_token::AccessTokenClaims;
use crate::client::AuthenticatedClient;
use crate::directory::Directory;
use crate::error::{TokenQueryError, Unavailable};
use crate::flow::Core;
use crate::flow::commit::Refused;
use crate::flow::draw::Draw;
use crate::id::{Mark, SessionId};
use crate::observer::Event;
use crate::request::TokenQuery;
use crate::sealed::RefreshTokenContent;
use crate::session::{Dead, RevocationReason, Session};
use crate::store::Store;

impl<S: Store, D: Directory> Core<S, D> {
    /// Ends what a token stands for. A token that is unknown or dead already is a success as well (RFC 7009 section 2.2).
    pub(crate) async fn revoke(&self, query: TokenQuery<'_>) -> Result<(), TokenQueryError> {
        let client = self.authenticate(&query.credentials).await?;
        let now = self.clock.now();
        if let Ok(token) = RefreshTokenContent::unseal(&query.token, &self.keyring, now) {
            if token.client_mark != self.keyring.client_mark(client.id()) {
                return Err(not_its_token(&query));
            }
            // Any generation will do: whoever holds one may end the session, and nobody else can.
            return self.revoke_session_for(&client, token.session).await;
        }
        // Where the clock was set back, a token that is not valid yet will be: it is revoked like any other.
        match self.verifier.authenticate(query.token.expose_secret()) {
            Ok((token, _)) if now.has_reached(token.expires_at) => Ok(()),
            Ok((token, _)) if token.client != *client.id() => Err(not_its_token(&query)),
            Ok((token, _)) => self.revoke_access_token(&client, &token).await,
            Err(_) => Ok(()),
        }
    }

    /// Ends a session in the host's name.
    pub(crate) async fn revoke_session(&self, session: SessionId) -> Result<(), Unavailable> {
        if self.end_session(session, RevocationReason::Host).await? {
            self.observer.event(&Event::SessionRevoked { client: None, session });
        }
        Ok(())
    }

    async fn revoke_session_for(
        &self,
        client: &AuthenticatedClient,
        session: SessionId,
    ) -> Result<(), TokenQueryError> {
        if self.end_session(session, RevocationReason::SignedOut).await? {
            self.observer.event(&Event::SessionRevoked { client: Some(client.id()), session });
        }
        Ok(())
    }

    /// Tells whether there was a session to end.
    async fn end_session(&self, session: SessionId, reason: RevocationReason) -> Result<bool, Unavailable> {
        let mut draw = Draw::new();
        let mark = Mark::from_bytes(self.random(&mut draw)?);
        let held = self.load::<Session>(self.keyring.session_key(&session)).await?;
        let revoke = |state: Option<Session>, _| state.ok_or(Dead)?.revoke(reason, mark);
        was_alive(self.update(held, revoke, |state| state.was_written_by(&mark), &mut draw).await)
    }

    async fn revoke_access_token(
        &self,
        client: &AuthenticatedClient,
        token: &AccessTokenClaims,
    ) -> Result<(), TokenQueryError> {
        let AccessTokenClaims { token_id, session, .. } = *token;
        let mut draw = Draw::new();
        let mark = Mark::from_bytes(self.random(&mut draw)?);
        let held = self.load::<Session>(self.keyring.session_key(&session)).await?;
        let revoke = |state: Option<Session>, _| state.ok_or(Dead)?.revoke_access_token(&token_id, mark);
        if was_alive(self.update(held, revoke, |state| state.was_written_by(&mark), &mut draw).await)? {
            self.observer.event(&Event::AccessTokenRevoked { client: client.id(), session });
        }
        Ok(())
    }
}

/// What is dead already needs no write.
fn was_alive<T>(outcome: Result<T, Refused<Dead>>) -> Result<bool, Unavailable> {
    match outcome {
        Ok(_) => Ok(true),
        Err(Refused::ByRule(Dead)) => Ok(false),
        Err(Refused::Unavailable) => Err(Unavailable),
    }
}

fn not_its_token(query: &TokenQuery<'_>) -> TokenQueryError {
    TokenQueryError::InvalidClient { basic: query.credentials.are_basic() }
}
