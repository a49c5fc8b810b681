//! The auth sources of the host.

use crate::address::Channel;
use crate::id::AuthSourceId;
use crate::otp::policy::CodePolicy;

/// An authentication source: one channel, with the shape and validity of the codes that it sends.
#[derive(Debug)]
pub struct AuthSource {
    id: AuthSourceId,
    channel: Channel,
    code: CodePolicy,
}

impl AuthSource {
    /// Makes a source of a channel. Its codes default to 6 digits and are valid for 3 minutes. Its otp_tokens are valid
    /// for 5 minutes.
    pub fn new(id: AuthSourceId, channel: Channel) -> Self {
        Self { id, channel, code: CodePolicy::for_login() }
    }

    /// Replaces the shape and validity of the codes.
    #[must_use]
    pub fn with_code(mut self, code: CodePolicy) -> Self {
        self.code = code;
        self
    }

    /// Returns the identifier of the source.
    pub fn id(&self) -> &AuthSourceId {
        &self.id
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel
    }

    pub(crate) fn code(&self) -> &CodePolicy {
        &self.code
    }
}
