//! The refresh grant: a refresh token is redeemed for fresh tokens.

use crate::client::Client;
use crate::directory::Directory;
use crate::error::TokenError;
use crate::flow::Core;
use crate::flow::commit::Refused;
use crate::flow::draw::Draw;
use crate::flow::tokens::{Issue, Prepared};
use crate::grant::Grant;
use crate::id::{Mark, SessionId};
use crate::observer::Event;
use crate::reply::TokenResponse;
use crate::request::{AskedScope, RefreshGrantRequest};
use crate::sealed::RefreshTokenContent;
use crate::session::{Dead, Refresh, Refreshed, Session, Standing};
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
        if token.client_mark != self.keyring.client_mark(&self.issuer, client.id()) {
            return Err(TokenError::UnknownRefreshToken);
        }

        let held = self.load::<Session>(self.keyring.session_key(&self.issuer, &token.session)).await?;
        let (session, now) = held.state().ok_or(TokenError::UnknownRefreshToken)?.at(held.now());
        let prepared = match session.standing(token.generation, now) {
            Standing::Dead => return Err(TokenError::UnknownRefreshToken),
            // A replay ends the session, whatever else there is to say of the request.
            Standing::Superseded => None,
            standing => {
                let of_answer = (token.session, standing);
                Some(self.prepare_refresh(&client, &session, of_answer, &request.scope, &mut draw).await?)
            }
        };

        // Everything is made ready; the swap that advances the session comes last and releases it.
        let refresh = Refresh {
            generation: token.generation,
            policy: client.refresh_policy(),
            idle: self.settings.session_validity.idle,
            mark: Mark::from_bytes(self.random(&mut draw)?),
        };
        let rule = |state: Option<&Session>, now| state.ok_or(Dead)?.refresh(&refresh, now);
        let is_ours = |state: &Session| state.was_written_by(&refresh.mark);
        let (refreshed, held) = self.update(held, rule, is_ours, &mut draw).await?;
        let Refreshed::Continued(continued) = refreshed else {
            self.observer.event(&Event::ReuseDetected { client: client.id(), session: token.session });
            return Err(TokenError::UnknownRefreshToken);
        };
        // What had been superseded does not become current again, so that this is never missing.
        let prepared = prepared.ok_or(TokenError::UnknownRefreshToken)?;
        let refresh_token =
            self.refresh_token(&client, token.client_mark, token.session, continued.refresh_token(held.state()));
        self.observer.event(&Event::Refreshed { client: client.id(), session: token.session });
        Ok(prepared.release(continued, refresh_token))
    }

    /// Asks whether the user may still log in, and signs the tokens of the answer.
    async fn prepare_refresh(
        &self,
        client: &Client,
        session: &Session,
        (session_id, standing): (SessionId, Standing),
        asked: &AskedScope,
        draw: &mut Draw,
    ) -> Result<Prepared, TokenError> {
        let user = self.asked(self.directory.user_by_subject(session.subject()).await)?;
        let user = user.ok_or(TokenError::UserNotFound)?;
        if user.status != UserStatus::Active {
            return Err(TokenError::UserNotActive);
        }
        if session.began_before(user.tokens_valid_after) {
            return Err(TokenError::UnknownRefreshToken);
        }
        let asked = asked.get().map_err(|_| TokenError::InvalidScope)?;
        let scope = client.narrow_scope(session.scope(), asked).map_err(|_| TokenError::InvalidScope)?;
        let number = session.issue_for(standing);
        let issue = Issue { session, session_id, scope, number, now: self.clock.now() };
        Ok(self.prepare(issue, draw)?)
    }
}

impl From<Refused<Dead>> for TokenError {
    fn from(refused: Refused<Dead>) -> Self {
        match refused {
            Refused::ByRule(Dead) => Self::UnknownRefreshToken,
            Refused::Unavailable => Self::TemporarilyUnavailable,
        }
    }
}
