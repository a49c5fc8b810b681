//! The assertions by which clients with keys authenticate.

use core::fmt::Debug;

use crate::id::{ClientId, Issuer};
use crate::time::Timestamp;

/// Verifies the assertions of one client. The keys are those of the `jwt` module, which stands above this one.
pub(crate) trait AssertionKeys: Debug + Send + Sync {
    /// Verifies everything about an assertion except that it is used once.
    fn verify(&self, assertion: &PresentedAssertion<'_>) -> Result<VerifiedAssertion, NotAuthenticated>;
}

/// An assertion, and what it must say.
#[derive(Clone, Copy)]
pub(crate) struct PresentedAssertion<'a> {
    /// The JWT. Nothing of it is verified yet.
    pub(crate) jwt: &'a str,
    /// The audience that the assertion must have.
    pub(crate) issuer: &'a Issuer,
    pub(crate) now: Timestamp,
    /// The client that the assertion must be of.
    pub(crate) client: &'a ClientId,
}

/// What remains of an assertion to check: that it is used once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct VerifiedAssertion {
    /// The identifier of the assertion (`jti`), which its client gives to no other.
    pub(crate) token_id: String,
    /// From this instant on, the assertion is refused for its age.
    pub(crate) until: Timestamp,
}

/// The client is unknown, or its secret or assertion is wrong, missing or not expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAuthenticated;
