//! Narrows a scope to the part that the host grants the user.

use crate::directory::Directory;
use crate::directory::client::Client;
use crate::directory::user::User;
use crate::flow::core::Core;
use crate::scope::Scope;
use crate::store::Store;
use crate::wire::error::Unavailable;

/// Returns the part of a scope that the user is granted. Returns `None` where nothing is left.
pub(crate) async fn granted_scope<S: Store, D: Directory>(
    core: &Core<S, D>,
    user: &User,
    client: &Client,
    requested: Scope,
) -> Result<Option<Scope>, Unavailable> {
    // The scope is shared, not copied. Where the host grants what was requested, no new scope is built.
    let granted = core.looked_up(core.directory.granted_scope(user, client.id(), requested.clone()).await)?;
    Ok(granted.and_then(|granted| match granted == requested {
        true => Some(requested),
        // The answer of the host can name more than the client may have. The surplus is dropped.
        false => requested.intersection(&granted),
    }))
}
