//! The result of the suite for a store that broke no promise: the promises that could not be observed.

use super::violation::Promise;

/// Names the promises that the suite could not observe, of a store that broke none.
///
/// ```
/// # async fn test() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
///
/// use otp_grant::MemoryStore;
/// use otp_grant::store::conformance;
///
/// let records = Arc::new(MemoryStore::new());
/// let report = conformance::all(|| async { Ok(records.clone()) }).await?;
/// // It deletes a record when others are inserted near it.
/// println!("not observed: {:?}", report.not_observed());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    not_observed: Vec<Promise>,
}

impl Report {
    pub(super) fn new(not_observed: Vec<Promise>) -> Self {
        Self { not_observed }
    }

    /// Returns the promises of which nothing was seen, neither kept nor broken:
    ///
    /// - [`Promise::StaysStored`] where the store was too slow for a look at its records shortly before their end;
    /// - [`Promise::DeletedAltogether`] where the store deleted nothing in time.
    pub fn not_observed(&self) -> &[Promise] {
        &self.not_observed
    }

    /// Passes if every promise was seen to be kept.
    ///
    /// # Errors
    /// [`NotObserved`] names the promises of which nothing was seen.
    pub fn complete(self) -> Result<(), NotObserved> {
        if self.not_observed.is_empty() { Ok(()) } else { Err(NotObserved { promises: self.not_observed }) }
    }
}

/// Some promises of a store were not observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotObserved {
    promises: Vec<Promise>,
}

impl NotObserved {
    /// Returns the promises.
    pub fn promises(&self) -> &[Promise] {
        &self.promises
    }
}

impl core::fmt::Display for NotObserved {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not observed:")?;
        self.promises.iter().try_for_each(|promise| write!(f, " {promise};"))?;
        f.write_str(" see `conformance::all_within`")
    }
}

impl core::error::Error for NotObserved {}
