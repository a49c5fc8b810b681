//! The parts that all ports with a type chosen at run time share.

use core::error::Error;
use core::fmt;
use core::future::Future;
use core::pin::Pin;

/// An error of an `ErasedStore` or an `ErasedDirectory`.
///
/// It has the text and the source of the inner error. [`get_ref`](Self::get_ref) returns the inner error for a
/// downcast.
#[derive(Debug)]
pub struct ErasedError(Box<dyn Error + Send + Sync>);

impl ErasedError {
    pub(crate) fn new(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }

    /// Returns the inner error.
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
