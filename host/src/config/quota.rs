//! How many sends and guesses an address has.

use std::num::{NonZeroU8, NonZeroU32};

use otp_grant::otp::Quota;
use serde::Deserialize;

use super::Span;

/// The quotas. Quotas that the file does not give have the crate's default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quotas {
    pub(crate) sends: Option<Vec<Window>>,
    pub(crate) guesses_per_code: Option<NonZeroU8>,
    pub(crate) guesses_per_address: Option<Window>,
}

/// A number of events per length of time.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    pub(crate) count: NonZeroU32,
    pub(crate) per: Span,
}

impl From<Window> for Quota {
    fn from(window: Window) -> Self {
        Self::new(window.count, window.per.0)
    }
}
