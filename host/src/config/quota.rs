//! How often an address may be sent to and guessed at.

use std::num::{NonZeroU8, NonZeroU32};

use otp_grant::otp::Quota;
use serde::Deserialize;

use super::Span;

/// The quotas; what is not given has the crate's default.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quotas {
    pub(crate) sends: Option<Vec<Window>>,
    pub(crate) guesses_per_code: Option<NonZeroU8>,
    pub(crate) guesses_per_address: Option<Window>,
}

/// So many in such a time.
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
