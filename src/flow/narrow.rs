//! Narrows a scope to what the host grants the user.

use crate::directory::Directory;
use crate::directory::client::Client;
use crate::directory::user::User;
use crate::flow::core::Core;
use crate::scope::Scope;
use crate::store::Store;
use crate::wire::error::Unavailable;

/// The part of a scope that the user is granted, if there is any.
pub(crate) async fn granted_scope<S: Store, D: Directory>(
    core: &Core<S, D>,
    user: &User,
    client: &Client,
    requested: Scope,
) -> Result<Option<Scope>, Unavailable> {
    // It costs nothing where the host grants what was requested.
    let granted = core.looked_up(core.directory.granted_scope(user, client.id(), requested.clone()).await)?;
    Ok(granted.and_then(|granted| match granted == requested {
        true => Some(requested),
        // The client is limited to what it may have, whatever the host's answer has besides.
        false => requested.intersection(&granted),
    }))
}
