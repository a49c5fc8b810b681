//! What is common to ports whose type is chosen at run time.

use core::error::Error;
use core::fmt;
use core::future::Future;
use core::pin::Pin;

/// What goes wrong in an `ErasedStore` or an `ErasedDirectory`.
///
/// It has the text and the source of the error beneath, which [`get_ref`](Self::get_ref) gives for a downcast.
#[derive(Debug)]
pub struct ErasedError(Box<dyn Error + Send + Sync>);

impl ErasedError {
    pub(crate) fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }

    /// The error beneath.
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Display for ErasedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for ErasedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, ErasedError>> + Send + 'a>>;
