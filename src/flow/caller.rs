//! Who is calling: the client of a request, and the auth source that it names.

use std::sync::Arc;

use crate::address::Channel;
use crate::directory::client::AuthenticatedClient;
use crate::directory::{AuthSource, Directory};
use crate::flow::core::Core;
use crate::id::{AuthSourceId, ClientId};
use crate::observer::Event;
use crate::store::Store;
use crate::wire::error::Unavailable;
use crate::wire::request::ClientCredentials;

/// Finds out who asks (RFC 6749 section 2.3).
pub(crate) async fn authenticate<S: Store, D: Directory>(
    core: &Core<S, D>,
    credentials: &ClientCredentials<'_>,
) -> Result<AuthenticatedClient, ClientRefused> {
    let (id, secret, basic) = match credentials {
        ClientCredentials::Named { id, secret, basic } => (id, secret, *basic),
        ClientCredentials::Unreadable { basic } => return Err(client_refused(core, None, *basic)),
    };
    let known = core.looked_up(core.directory.client(id).await).map_err(|Unavailable| ClientRefused::Unavailable)?;
    AuthenticatedClient::authenticate(known, secret.as_ref()).map_err(|_| client_refused(core, Some(id), basic))
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

/// Why a client was turned away.
pub(crate) enum ClientRefused {
    Invalid { basic: bool },
    Unavailable,
}

/// Why an auth source was turned away.
pub(crate) enum SourceRefused {
    NotAssociated,
    Unavailable,
}

fn client_refused<S: Store, D: Directory>(core: &Core<S, D>, client: Option<&ClientId>, basic: bool) -> ClientRefused {
    core.observer.event(&Event::ClientRefused { client });
    ClientRefused::Invalid { basic }
}
