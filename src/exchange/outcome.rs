//! What an exchange can end with.

use crate::wire::error::Unavailable;
use crate::wire::reply::Reply;

/// What an exchange can end with: a [`Reply`], or a result whose error can be [`Unavailable`].
pub trait Outcome: Sized + Send + 'static {
    /// The outcome of an exchange that can't go on.
    fn unavailable(unavailable: Unavailable) -> Self;
}

impl Outcome for Reply {
    fn unavailable(_: Unavailable) -> Self {
        Self::unavailable()
    }
}

impl<T: Send + 'static, E: From<Unavailable> + Send + 'static> Outcome for Result<T, E> {
    fn unavailable(unavailable: Unavailable) -> Self {
        Err(unavailable.into())
    }
}
