//! Introspection: an API asks whether a token is active.

use crate::directory::Directory;
use crate::directory::authenticated_client::AuthenticatedClient;
use crate::flow::caller;
use crate::flow::check_access_token::{AccessTokenCheckError, active_user, check_unproven};
use crate::flow::core::Core;
use crate::flow::narrow::granted_scope;
use crate::flow::record;
use crate::grant::Grant;
use crate::jwt::claims::AccessTokenProfile;
use crate::jwt::verifier::{AccessTokenClaims, Audience};
use crate::secret::sealed::RefreshTokenContent;
use crate::session::Session;
use crate::session::refresh::Standing;
use crate::store::Store;
use crate::wire::error::{IntrospectionError, Unavailable};
use crate::wire::reply::{ActiveToken, Introspection, TokenKind};
use crate::wire::request::IntrospectionRequest;

/// Tells a confidential client what a token is. Every token that is not active, or that the client may not learn about,
/// gets the same answer "inactive".
pub(crate) async fn introspect<S: Store, D: Directory>(
    core: &Core<S, D>,
    request: IntrospectionRequest<'_>,
) -> Result<Introspection, IntrospectionError> {
    let client = caller::authenticate(core, &request.credentials).await?;
    let client = caller::admit(core, client).await?;
    // A public client proves nothing. An attacker who knows its identifier could otherwise learn about every token of
    // that client (RFC 7662 section 2.1).
    if !client.is_confidential() {
        return Err(request.credentials.refused().into());
    }
    let token = match RefreshTokenContent::unseal(&request.token, &core.keyring, core.clock.now()) {
        Ok(token) => introspect_refresh_token(core, &client, &token).await?,
        Err(_) => introspect_access_token(core, &client, request.token.expose_secret()).await?,
    };
    Ok(token.map_or(Introspection::Inactive, |token| Introspection::Active(Box::new(token))))
}

async fn introspect_refresh_token<S: Store, D: Directory>(
    core: &Core<S, D>,
    client: &AuthenticatedClient,
    token: &RefreshTokenContent,
) -> Result<Option<ActiveToken>, Unavailable> {
    // Only the client that a refresh token was issued to may learn about it.
    if token.client_mark != core.keyring.client_mark(client.id()) {
        return Ok(None);
    }
    let loaded = record::load::<Session, _, _>(core, core.keyring.session_key(&token.session)).await?;
    let Some(session) = loaded.state() else { return Ok(None) };
    let (session, now) = session.seen_at(loaded.now());
    // The answer says what a refresh would give now, but nothing is refreshed.
    let standing = session.standing(token.generation, loaded.now(), now);
    let is_usable = client.may_use(Grant::RefreshToken) && matches!(standing, Standing::Current | Standing::Retried);
    let Ok(scope) = client.narrow_scope(session.scope(), None) else { return Ok(None) };
    if !is_usable {
        return Ok(None);
    }
    let Some(user) = active_user(core, &session).await? else { return Ok(None) };
    let Some(scope) = granted_scope(core, &user, client, scope).await? else { return Ok(None) };
    let tells = core.settings.tells_authentication();
    Ok(Some(ActiveToken {
        kind: TokenKind::RefreshToken,
        issuer: core.issuer.clone(),
        subject: session.subject().clone(),
        client: session.client().clone(),
        scope,
        session: token.session,
        expires_at: session.expires_at(),
        auth_time: tells.then(|| session.auth_time()),
        amr: if tells || session.is_test() {
            session.amr().iter().map(|&method| method.to_owned()).collect()
        } else {
            Vec::new()
        },
    }))
}

async fn introspect_access_token<S: Store, D: Directory>(
    core: &Core<S, D>,
    client: &AuthenticatedClient,
    token: &str,
) -> Result<Option<ActiveToken>, Unavailable> {
    let own = Audience::Client(client.id());
    let audience = if client.may_introspect_every_token() { Audience::EveryClient } else { own };
    // The caller does not use the token, and so no proof is asked for.
    let claims = match check_unproven(core, token, audience).await {
        Ok(claims) => claims,
        Err(AccessTokenCheckError::TemporarilyUnavailable) => return Err(Unavailable),
        Err(_) => return Ok(None),
    };
    let AccessTokenClaims { subject, client, scope, token_id, session, issued_at, expires_at, .. } = claims;
    let AccessTokenClaims { auth_time, amr, key, .. } = claims;
    let audience = match &core.settings.access_token_profile {
        AccessTokenProfile::Jwt => client.as_str().to_owned(),
        AccessTokenProfile::Rfc9068 { audience } => audience.clone(),
    };
    let kind = TokenKind::AccessToken { audience, token_id, issued_at, key };
    let issuer = core.issuer.clone();
    Ok(Some(ActiveToken { kind, issuer, subject, client, scope, session, expires_at, auth_time, amr }))
}
