//! One-time codes. The record of an address, its challenges, the counting of guesses and sends, and the derivation of
//! codes live here.

pub(crate) mod authenticator;
pub(crate) mod challenge;
pub(crate) mod code_derivation;
pub(crate) mod device;
pub(crate) mod guess_budget;
pub(crate) mod limits;
pub(crate) mod meter;
pub(crate) mod policy;
pub(crate) mod resend;
pub(crate) mod support;
pub(crate) mod test_identity;
#[cfg(test)]
mod tests;

pub use crate::otp::device::DevicePolicy;
pub use crate::otp::meter::Quota;
pub use crate::otp::policy::{CodePolicy, InvalidCodePolicy};
pub use crate::otp::support::{AddressState, BudgetState, DeviceState, LiveChallenge};
pub use crate::otp::test_identity::TestIdentity;
