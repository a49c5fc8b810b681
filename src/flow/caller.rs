//! Finds out who calls: the client of a request, and the auth source that the request names.

use std::sync::Arc;

use crate::address::Channel;
use crate::directory::assertion::{PresentedAssertion, VerifiedAssertion};
use crate::directory::authenticated_client::{AuthenticatedClient, VerifiedClient};
use crate::directory::{AuthSource, Client, Directory};
use crate::flow::commit::Turn;
use crate::flow::core::Core;
use crate::flow::used_once::{UsedOnceRefused, use_once};
use crate::id::{AuthSourceId, ClientId};
use crate::jwt::client_assertion;
use crate::observer::Event;
use crate::store::Store;
use crate::wire::error::{IntrospectionError, InvalidClient, RevocationError, SendError, TokenError, Unavailable};
use crate::wire::request::ClientCredentials;

/// Authenticates the client of a request (RFC 6749 section 2.3). An assertion is verified here, but [`admit`] uses it.
pub(crate) async fn authenticate<S: Store, D: Directory>(
    core: &Core<S, D>,
    credentials: &ClientCredentials<'_>,
) -> Result<VerifiedClient, ClientRefused> {
    match credentials {
        ClientCredentials::Named { id, secret, basic } => {
            let known = client(core, id).await?;
            VerifiedClient::by_secret(known, secret.as_ref(), *basic)
                .map_err(|_| refused(core, Some(id), credentials.refused()))
        }
        ClientCredentials::Assertion { id, assertion } => {
            let jwt = assertion.expose_secret();
            // An assertion that this server does not accept is refused, not ignored: its client would otherwise pass as
            // a public client.
            let id = match id.as_ref() {
                Some(id) => Some(id.clone()),
                None => client_assertion::claimed_client(jwt),
            };
            let id = id.filter(|_| core.settings.client_assertions);
            let id = id.ok_or_else(|| refused(core, None, credentials.refused()))?;
            let known = client(core, &id).await?;
            let presented = PresentedAssertion { jwt, issuer: &core.issuer, client: &id, now: core.clock.now() };
            VerifiedClient::by_assertion(known, &presented).map_err(|_| refused(core, Some(&id), credentials.refused()))
        }
        ClientCredentials::Unreadable { .. } => Err(refused(core, None, credentials.refused())),
    }
}

/// Uses the assertion of a client. A client without an assertion is admitted at once.
///
/// This is a step of its own, because an error that the client could mend must not use up the assertion.
pub(crate) async fn admit<S: Store, D: Directory>(
    core: &Core<S, D>,
    verified: VerifiedClient,
) -> Result<AuthenticatedClient, ClientRefused> {
    let unused = match verified.into_authenticated() {
        Ok(client) => return Ok(client),
        Err(unused) => unused,
    };
    let (client, VerifiedAssertion { token_id, until }) = (unused.client(), unused.assertion());
    let key = core.keyring.used_once_key("assertion", [client.as_str().as_bytes(), token_id.as_bytes()]);
    match use_once(&mut Turn::new(core), key, *until).await {
        Ok(used) => Ok(unused.into_authenticated(used)),
        Err(UsedOnceRefused::Used) => Err(refused(core, Some(client), InvalidClient::InBody)),
        Err(UsedOnceRefused::Unavailable) => Err(ClientRefused::Unavailable),
    }
}

/// Finds the auth source that the client may use on this channel.
pub(crate) async fn auth_source<S: Store, D: Directory>(
    core: &Core<S, D>,
    client: &AuthenticatedClient,
    id: &AuthSourceId,
    channel: Channel,
) -> Result<Arc<AuthSource>, SourceRefused> {
    let source =
        core.looked_up(core.directory.auth_source(id).await).map_err(|Unavailable| SourceRefused::Unavailable)?;
    client.associated(source, channel).map_err(|_| SourceRefused::NotAssociated)
}

/// Why a client was refused.
pub(crate) enum ClientRefused {
    Invalid(InvalidClient),
    Unavailable,
}

/// Why an auth source was refused.
pub(crate) enum SourceRefused {
    NotAssociated,
    Unavailable,
}

async fn client<S: Store, D: Directory>(
    core: &Core<S, D>,
    id: &ClientId,
) -> Result<Option<Arc<Client>>, ClientRefused> {
    core.looked_up(core.directory.client(id).await).map_err(|Unavailable| ClientRefused::Unavailable)
}

fn refused<S: Store, D: Directory>(
    core: &Core<S, D>,
    client: Option<&ClientId>,
    cause: InvalidClient,
) -> ClientRefused {
    core.observer.event(&Event::ClientRefused { client });
    ClientRefused::Invalid(cause)
}

impl From<ClientRefused> for TokenError {
    fn from(refused: ClientRefused) -> Self {
        match refused {
            ClientRefused::Invalid(cause) => cause.into(),
            ClientRefused::Unavailable => Unavailable.into(),
        }
    }
}

impl From<ClientRefused> for SendError {
    fn from(refused: ClientRefused) -> Self {
        match refused {
            ClientRefused::Invalid(cause) => cause.into(),
            ClientRefused::Unavailable => Unavailable.into(),
        }
    }
}

impl From<ClientRefused> for RevocationError {
    fn from(refused: ClientRefused) -> Self {
        match refused {
            ClientRefused::Invalid(cause) => cause.into(),
            ClientRefused::Unavailable => Unavailable.into(),
        }
    }
}

impl From<ClientRefused> for IntrospectionError {
    fn from(refused: ClientRefused) -> Self {
        match refused {
            ClientRefused::Invalid(cause) => cause.into(),
            ClientRefused::Unavailable => Unavailable.into(),
        }
    }
}

impl From<SourceRefused> for TokenError {
    fn from(refused: SourceRefused) -> Self {
        match refused {
            SourceRefused::NotAssociated => Self::InvalidAuthSource,
            SourceRefused::Unavailable => Unavailable.into(),
        }
    }
}

impl From<SourceRefused> for SendError {
    fn from(refused: SourceRefused) -> Self {
        match refused {
            SourceRefused::NotAssociated => Self::InvalidAuthSource,
            SourceRefused::Unavailable => Unavailable.into(),
        }
    }
}
