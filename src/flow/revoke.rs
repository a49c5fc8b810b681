//! Revocation: a client signs out, or the host ends a session.

use crate::access_token::AccessTokenClaims;
use crate::client::AuthenticatedClient;
use crate::directory::Directory;
use crate::error::{TokenQueryError, Unavailable};
use crate::flow::Core;
use crate::flow::commit::{Held, Refused};
use crate::flow::draw::Draw;
use crate::id::{Mark, SessionId, Subject};
use crate::observer::Event;
use crate::request::TokenQuery;
use crate::sealed::RefreshTokenContent;
use crate::session::{Dead, EndSession, RevocationReason, RevokeToken, Session};
use crate::store::Store;
use crate::time::CLOCK_TOLERANCE;

impl<S: Store, D: Directory> Core<S, D> {
    /// Ends what a token stands for. A token that is unknown or dead already is a success as well (RFC 7009 section 2.2).
    pub(crate) async fn revoke(&self, query: TokenQuery<'_>) -> Result<(), TokenQueryError> {
        let client = self.authenticate(&query.credentials).await?;
        // Another host's clock may be behind: what has only just expired by this one is revoked as well.
        let now = self.clock.now().before(CLOCK_TOLERANCE);
        if let Ok(token) = RefreshTokenContent::unseal(&query.token, &self.keyring, now) {
            if token.client_mark != self.keyring.client_mark(client.id()) {
                return Err(not_its_token(&query));
            }
            // Any generation will do: whoever holds one may end the session, and nobody else can.
            return self.revoke_session_for(&client, token.session).await;
        }
        // Where the clock was set back, a token that is not valid yet will be: it is revoked like any other.
        match self.verifier.authenticate_any_profile(query.token.expose_secret()) {
            Ok(token) if now.has_reached(token.expires_at) => Ok(()),
            Ok(token) if token.client != *client.id() => Err(not_its_token(&query)),
            Ok(token) => self.revoke_access_token(&client, &token).await,
            Err(_) => Ok(()),
        }
    }

    /// Ends a session in the host's name.
    pub(crate) async fn revoke_session(&self, session: SessionId) -> Result<(), Unavailable> {
        if let Some(subject) = self.end_session(session, RevocationReason::Host).await? {
            self.observer.event(&Event::SessionRevoked { client: None, subject: &subject, session });
        }
        Ok(())
    }

    async fn revoke_session_for(
        &self,
        client: &AuthenticatedClient,
        session: SessionId,
    ) -> Result<(), TokenQueryError> {
        if let Some(subject) = self.end_session(session, RevocationReason::SignedOut).await? {
            self.observer.event(&Event::SessionRevoked { client: Some(client.id()), subject: &subject, session });
        }
        Ok(())
    }

    /// The user of the session, if there was one to end.
    async fn end_session(&self, session: SessionId, reason: RevocationReason) -> Result<Option<Subject>, Unavailable> {
        let mut draw = Draw::new();
        let mark = Mark::from_bytes(self.random(&mut draw)?);
        let held = self.load::<Session>(self.keyring.session_key(&session)).await?;
        subject_of(self.update(held, &EndSession { reason, mark }, &mut draw).await)
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
        let revoke = RevokeToken { token: &token_id, mark };
        if let Some(subject) = subject_of(self.update(held, &revoke, &mut draw).await)? {
            self.observer.event(&Event::AccessTokenRevoked { client: client.id(), subject: &subject, session });
        }
        Ok(())
    }
}

/// What is dead already needs no write.
fn subject_of(outcome: Result<((), Held<Session>), Refused<Dead>>) -> Result<Option<Subject>, Unavailable> {
    match outcome {
        Ok(((), held)) => Ok(held.state().map(|session| session.subject().clone())),
        Err(Refused::ByRule(Dead)) => Ok(None),
        Err(Refused::Unavailable) => Err(Unavailable),
    }
}

fn not_its_token(query: &TokenQuery<'_>) -> TokenQueryError {
    TokenQueryError::InvalidClient { basic: query.credentials.are_basic() }
}
