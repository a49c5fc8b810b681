//! Finds out who calls: the client of a request, and the auth source that the request names.

use std::sync::Arc;

use crate::address::Channel;
use crate::directory::client::AuthenticatedClient;
use crate::directory::{AuthSource, Directory};
use crate::flow::core::Core;
use crate::id::{AuthSourceId, ClientId};
use crate::observer::Event;
use crate::store::Store;
use crate::wire::error::{IntrospectionError, InvalidClient, RevocationError, SendError, TokenError, Unavailable};
use crate::wire::request::ClientCredentials;

/// Authenticates the client of a request (RFC 6749 section 2.3).
pub(crate) async fn authenticate<S: Store, D: Directory>(
    core: &Core<S, D>,
    credentials: &ClientCredentials<'_>,
) -> Result<AuthenticatedClient, ClientRefused> {
    let ClientCredentials::Named { id, secret, .. } = credentials else {
        return Err(refused(core, None, credentials));
    };
    let known = core.looked_up(core.directory.client(id).await).map_err(|Unavailable| ClientRefused::Unavailable)?;
    AuthenticatedClient::authenticate(known, secret.as_ref()).map_err(|_| refused(core, Some(id), credentials))
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

fn refused<S: Store, D: Directory>(
    core: &Core<S, D>,
    client: Option<&ClientId>,
    credentials: &ClientCredentials<'_>,
) -> ClientRefused {
    core.observer.event(&Event::ClientRefused { client });
    ClientRefused::Invalid(credentials.refused())
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
