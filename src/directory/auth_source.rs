//! What the host says of its auth sources.

use crate::address::Channel;
use crate::id::AuthSourceId;
use crate::otp::policy::CodePolicy;

/// An authentication source: one channel, with the shape and validity of its codes.
#[derive(Debug)]
pub struct AuthSource {
    id: AuthSourceId,
    channel: Channel,
    code: CodePolicy,
}

impl AuthSource {
    /// A source of a channel, with codes of 6 digits that are valid for 3 minutes, and otp_tokens that are valid for 5.
    pub fn new(id: AuthSourceId, channel: Channel) -> Self {
        Self { id, channel, code: CodePolicy::for_login() }
    }

    /// Replaces the shape and validity of the codes.
    #[must_use]
    pub fn with_code(mut self, code: CodePolicy) -> Self {
        self.code = code;
        self
    }

    /// The source's identifier.
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
