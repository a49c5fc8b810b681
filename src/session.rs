//! The state of one login session: who logged in where, and how far its refresh tokens have advanced.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::Channel;
use crate::id::{ClientId, Subject};
use crate::scope::Scope;
use crate::time::Timestamp;

/// Everything that is known about one login session, in one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    #[serde(rename = "c")]
    client: ClientId,
    #[serde(rename = "u")]
    subject: Subject,
    #[serde(rename = "s")]
    scope: Scope,
    /// How the user proved who they are.
    #[serde(rename = "m")]
    channel: Channel,
    #[serde(rename = "a")]
    auth_time: Timestamp,
    /// Of the refresh token that is current.
    #[serde(rename = "g")]
    generation: u32,
    /// When that refresh token was made.
    #[serde(rename = "r")]
    rotated_at: Timestamp,
}

impl Session {
    /// The session of a login that happens `now`.
    pub(crate) fn open(client: ClientId, subject: Subject, scope: Scope, channel: Channel, now: Timestamp) -> Self {
        Self { client, subject, scope, channel, auth_time: now, generation: 0, rotated_at: now }
    }

    pub(crate) fn client(&self) -> &ClientId {
        &self.client
    }

    pub(crate) fn subject(&self) -> &Subject {
        &self.subject
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(crate) fn auth_time(&self) -> Timestamp {
        self.auth_time
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Authentication method references (RFC 8176): a one-time password, over SMS where it was sent by one.
    pub(crate) fn amr(&self) -> &'static [&'static str] {
        match self.channel {
            Channel::Sms => &["otp", "sms"],
            Channel::Email => &["otp"],
        }
    }

    /// The instant at which the current refresh token, and with it the session, expires.
    pub(crate) fn expires_at(&self, validity: &SessionValidity) -> Timestamp {
        self.rotated_at.after(validity.idle).min(self.auth_time.after(validity.absolute))
    }
}

/// How long a session lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionValidity {
    /// Without a refresh. Defaults to 14 days.
    pub idle: Duration,
    /// In all. Defaults to 30 days.
    pub absolute: Duration,
}

impl Default for SessionValidity {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self { idle: DAY * 14, absolute: DAY * 30 }
    }
}
