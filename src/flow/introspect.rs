//! Introspection: an API asks whether a token is good.

use crate::access_token::{AccessTokenClaims, Audience};
use crate::claims::AccessTokenProfile;
use crate::client::AuthenticatedClient;
use crate::directory::Directory;
use crate::error::{TokenQueryError, Unavailable};
use crate::flow::access_token::CheckError;
use crate::flow::{ClientRefused, Core};
use crate::grant::Grant;
use crate::reply::{ActiveToken, Introspection, TokenKind};
use crate::request::TokenQuery;
use crate::sealed::RefreshTokenContent;
use crate::session::{Session, Standing};
use crate::store::Store;

impl<S: Store, D: Directory> Core<S, D> {
    /// Says what a token is, to a client that proved who it is, and nothing but "inactive" of any other token.
    pub(crate) async fn introspect(&self, query: TokenQuery<'_>) -> Result<Introspection, TokenQueryError> {
        let client = self.authenticate(&query.credentials).await?;
        // Whoever can name a public client would otherwise learn about every token (RFC 7662 section 2.1).
        if !client.is_confidential() {
            return Err(TokenQueryError::InvalidClient { basic: query.credentials.are_basic() });
        }
        let token = match RefreshTokenContent::unseal(&query.token, &self.keyring, self.clock.now()) {
            Ok(token) => self.introspect_refresh_token(&client, &token).await?,
            Err(_) => self.introspect_access_token(&client, query.token.expose_secret()).await?,
        };
        Ok(token.map_or(Introspection::Inactive, |token| Introspection::Active(Box::new(token))))
    }

    async fn introspect_refresh_token(
        &self,
        client: &AuthenticatedClient,
        token: &RefreshTokenContent,
    ) -> Result<Option<ActiveToken>, Unavailable> {
        // Nobody but its client has business with a refresh token.
        if token.client_mark != self.keyring.client_mark(client.id()) {
            return Ok(None);
        }
        let held = self.load::<Session>(self.keyring.session_key(&token.session)).await?;
        let Some(session) = held.state() else { return Ok(None) };
        let (session, now) = session.at(held.now());
        // What a refresh would give, without one.
        let standing = session.standing(token.generation, held.now(), now);
        let is_usable =
            client.may_use(Grant::RefreshToken) && matches!(standing, Standing::Current | Standing::Retried);
        let Ok(scope) = client.narrow_scope(session.scope(), None) else { return Ok(None) };
        if !is_usable || !self.user_may_go_on(&session).await? {
            return Ok(None);
        }
        Ok(Some(ActiveToken {
            kind: TokenKind::RefreshToken,
            issuer: self.issuer.clone(),
            subject: session.subject().clone(),
            client: session.client().clone(),
            scope,
            session: token.session,
            expires_at: session.expires_at(),
        }))
    }

    async fn introspect_access_token(
        &self,
        client: &AuthenticatedClient,
        token: &str,
    ) -> Result<Option<ActiveToken>, Unavailable> {
        let own = Audience::Client(client.id());
        let audience = if client.may_introspect_every_token() { Audience::EveryClient } else { own };
        let claims = match self.check_access_token(token, audience).await {
            Ok(claims) => claims,
            Err(CheckError::Refused(_) | CheckError::Revoked) => return Ok(None),
            Err(CheckError::TemporarilyUnavailable) => return Err(Unavailable),
        };
        let AccessTokenClaims { subject, client, scope, token_id, session, issued_at, expires_at } = claims;
        let audience = match &self.settings.access_token_profile {
            AccessTokenProfile::Jwt => client.as_str().to_owned(),
            AccessTokenProfile::Rfc9068 { audience } => audience.clone(),
        };
        let kind = TokenKind::AccessToken { audience, token_id, issued_at };
        Ok(Some(ActiveToken { kind, issuer: self.issuer.clone(), subject, client, scope, session, expires_at }))
    }
}

impl From<ClientRefused> for TokenQueryError {
    fn from(refused: ClientRefused) -> Self {
        match refused {
            ClientRefused::Invalid { basic } => Self::InvalidClient { basic },
            ClientRefused::Unavailable => Self::TemporarilyUnavailable,
        }
    }
}
