//! The refresh grant: a refresh token is redeemed for fresh tokens.

use crate::client::Client;
use crate::directory::Directory;
use crate::error::TokenError;
use crate::flow::Core;
use crate::flow::commit::Refused;
use crate::flow::draw::Draw;
use crate::flow::tokens::Issue;
use crate::grant::Grant;
use crate::id::Mark;
use crate::observer::Event;
use crate::reply::TokenResponse;
use crate::request::{AskedScope, RefreshGrantRequest};
use crate::scope::Scope;
use crate::sealed::RefreshTokenContent;
use crate::session::{NotRefreshed, RefreshSession, Refreshed, Session, Standing};
use crate::store::Store;
use crate::user::UserStatus;

impl<S: Store, D: Directory> Core<S, D> {
    /// Checks who asks before anything else, and commits last.
    pub(crate) async fn refresh_grant(&self, request: RefreshGrantRequest<'_>) -> Result<TokenResponse, TokenError> {
        let mut draw = Draw::new();

        // What can be told without the record of the session. Another client's token changes nothing.
        let client = self.authenticate(&request.credentials).await?;
        if !client.may_use(Grant::RefreshToken) {
            return Err(TokenError::UnauthorizedClient);
        }
        let token = RefreshTokenContent::unseal(&request.refresh_token, &self.keyring, self.clock.now())
            .map_err(|_| TokenError::UnknownRefreshToken)?;
        if token.client_mark != self.keyring.client_mark(client.id()) {
            return Err(TokenError::UnknownRefreshToken);
        }

        let held = self.load::<Session>(self.keyring.session_key(&token.session)).await?;
        let asked_at = held.now();
        let (session, now) = held.state().ok_or(TokenError::UnknownRefreshToken)?.at(asked_at);
        let standing = session.standing(token.generation, asked_at, now);
        let issue = session.issue_for(standing);
        let prepared = match standing {
            Standing::Dead => return Err(TokenError::UnknownRefreshToken),
            // A replay ends the session, whatever else there is to say of the request.
            Standing::Superseded => None,
            Standing::Current | Standing::Retried => {
                let scope = self.scope_of_refresh(&client, &session, &request.scope).await?;
                let now = self.clock.now();
                let issue = Issue { session: &session, session_id: token.session, scope, number: issue, now };
                Some(self.prepare(issue, &mut draw).await?)
            }
        };

        // Everything is made ready; the swap that advances the session comes last and releases it.
        let refresh = RefreshSession {
            generation: token.generation,
            asked_at,
            stood: standing,
            issue,
            policy: client.refresh_policy(),
            idle: self.settings.session_validity.idle,
            access_token: self.settings.token_validity.access_token,
            sealed_under: self.keyring.names_its_key(),
            mark: Mark::from_bytes(self.random(&mut draw)?),
        };
        let subject = session.subject();
        let (refreshed, _) = self.update(held, &refresh, &mut draw).await?;
        let Refreshed::Continued(continued) = refreshed else {
            self.observer.event(&Event::ReuseDetected { client: client.id(), subject, session: token.session });
            return Err(TokenError::UnknownRefreshToken);
        };
        // What had been superseded does not become current again, so that this is never missing.
        let prepared = prepared.ok_or(TokenError::UnknownRefreshToken)?;
        let refresh_token = self.refresh_token(&client, token.client_mark, token.session, continued.refresh_token());
        self.observer.event(&Event::Refreshed { client: client.id(), subject, session: token.session });
        Ok(prepared.release(continued, refresh_token))
    }

    /// Asks whether the user may still log in, and what may still be granted.
    async fn scope_of_refresh(
        &self,
        client: &Client,
        session: &Session,
        asked: &AskedScope,
    ) -> Result<Scope, TokenError> {
        let user = self.asked(self.directory.user_by_subject(session.subject()).await)?;
        let user = user.ok_or(TokenError::UserNotFound)?;
        if user.status != UserStatus::Active {
            return Err(TokenError::UserNotActive);
        }
        if session.is_ended_by(user.tokens_valid_after) {
            return Err(TokenError::UnknownRefreshToken);
        }
        let asked = asked.get().map_err(|_| TokenError::InvalidScope)?;
        client.narrow_scope(session.scope(), asked).map_err(|_| TokenError::InvalidScope)
    }
}

impl From<Refused<NotRefreshed>> for TokenError {
    fn from(refused: Refused<NotRefreshed>) -> Self {
        match refused {
            Refused::ByRule(NotRefreshed::Dead | NotRefreshed::Overtaken) => Self::UnknownRefreshToken,
            Refused::ByRule(NotRefreshed::Unresolved) | Refused::Unavailable => Self::TemporarilyUnavailable,
        }
    }
}
