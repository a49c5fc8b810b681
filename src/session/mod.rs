//! The state machine of one login session: who logged in where, how far its refresh tokens have advanced, and which of
//! its tokens were revoked.

pub(crate) mod policy;
pub(crate) mod refresh;
pub(crate) mod revoke;
pub(crate) mod revoked_tokens;

use core::time::Duration;
use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::address::Channel;
use crate::id::{ClientId, KeyId, Mark, Subject, TokenId};
use crate::scope::Scope;
pub use crate::session::policy::{InvalidRefreshPolicy, RefreshPolicy, SessionValidity};
use crate::session::revoked_tokens::RevokedTokens;
use crate::time::set_back::Reading;
use crate::time::{CLOCK_TOLERANCE, Timestamp};
use crate::unknown::{Unknown, keep_unknown_members};

/// Everything that is known about one login session, in one record that stays the same for all of its refreshes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct Session {
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
    /// From when on its user's tokens were valid when the session began. What its user ends later ends it.
    #[serde(rename = "v", skip_serializing_if = "Option::is_none", default)]
    tokens_valid_after: Option<Timestamp>,
    /// Of the refresh token that is current.
    #[serde(rename = "g")]
    generation: u32,
    /// The secret that the current refresh token is sealed under, while hosts accept several.
    #[serde(rename = "y", skip_serializing_if = "Option::is_none", default)]
    sealed_under: Option<KeyId>,
    /// The number that the access tokens of the latest login or refresh carry.
    #[serde(rename = "n")]
    issue: u32,
    /// When the session was last refreshed, or begun.
    #[serde(rename = "r")]
    used_at: Timestamp,
    /// Until when the direct predecessor of the current refresh token gets it again. Fixed when it was superseded.
    #[serde(rename = "w", skip_serializing_if = "Option::is_none", default)]
    retry_until: Option<Timestamp>,
    /// When the session ends unless it is refreshed.
    #[serde(rename = "x")]
    expires_at: Timestamp,
    /// When it ends in any case; a whole second, as access tokens end with it.
    #[serde(rename = "e")]
    ends_at: Timestamp,
    /// When the last access token of the latest refresh, or of one before it, expires.
    #[serde(rename = "l")]
    latest_expiry: Timestamp,
    #[serde(rename = "d", skip_serializing_if = "Option::is_none", default)]
    revoked: Option<RevocationReason>,
    #[serde(rename = "t", skip_serializing_if = "RevokedTokens::is_empty", default)]
    revoked_tokens: RevokedTokens,
    /// Of the latest writes, the latest first.
    #[serde(rename = "k", skip_serializing_if = "Vec::is_empty", default)]
    marks: Vec<Mark>,
    #[serde(skip)]
    unknown: Unknown,
}

keep_unknown_members!(Session);

impl Session {
    /// The session of a login that happens `now`.
    pub(crate) fn open(login: Login, validity: &SessionValidity, access_token: Duration, now: Timestamp) -> Self {
        let Login { client, subject, scope, channel, tokens_valid_after, sealed_under } = login;
        // The directory's clock may be a little ahead: whoever has just signed out everywhere can log in again.
        let auth_time = tokens_valid_after.map_or(now, |after| now.max(after));
        let ends_at = now.after(validity.absolute).whole_second();
        Self {
            client,
            subject,
            scope,
            channel,
            auth_time,
            tokens_valid_after,
            generation: 0,
            sealed_under,
            issue: 0,
            used_at: now,
            retry_until: None,
            expires_at: now.after(validity.idle).min(ends_at),
            ends_at,
            latest_expiry: now.after(access_token),
            revoked: None,
            revoked_tokens: RevokedTokens::default(),
            marks: Vec::new(),
            unknown: Unknown::default(),
        }
    }

    /// Tells whether an access token of this session has been revoked, by itself or with the session.
    pub(crate) fn has_revoked(&self, token: &TokenId) -> bool {
        self.revoked.is_some() || self.revoked_tokens.contains(token)
    }

    /// Tells whether its user has ended all sessions since it began.
    ///
    /// The clock of the host where it began may have been ahead of the one that said when, and a directory may keep whole
    /// seconds. So a session that began a little later ends as well, unless its login knew of that instant already. An instant
    /// that lies before the one that its login knew of is not that one: clocks that differ said when.
    pub(crate) fn is_ended_by(&self, tokens_valid_after: Option<Timestamp>) -> bool {
        let Some(after) = tokens_valid_after.filter(|after| self.tokens_valid_after != Some(*after)) else {
            return false;
        };
        let cut_off = if after == after.whole_second() { Duration::from_secs(1) } else { Duration::ZERO };
        !self.auth_time.has_reached(after.after(CLOCK_TOLERANCE.saturating_add(cut_off)))
    }

    /// Tells whether the session has been revoked or has expired.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.revoked.is_some() || now.has_reached(self.expires_at)
    }

    /// Tells whether there is nothing left to revoke, by the clock of any host.
    fn is_over_everywhere(&self, now: Timestamp) -> bool {
        self.is_over(now.before(CLOCK_TOLERANCE))
    }

    /// Tells whether nobody has used what its login was given.
    pub(crate) fn is_unused(&self) -> bool {
        self.generation == 0 && self.issue == 0 && self.marks.is_empty()
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

    /// Authentication method references (RFC 8176): a one-time password, over SMS where it was sent by one.
    pub(crate) fn amr(&self) -> &'static [&'static str] {
        match self.channel {
            Channel::Sms => &["otp", "sms"],
            Channel::Email => &["otp"],
        }
    }

    /// When the session ends unless it is refreshed.
    pub(crate) fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// When the session ends in any case.
    pub(crate) fn ends_at(&self) -> Timestamp {
        self.ends_at
    }

    /// This session as a decision at `now` must see it, and the instant to decide at. It is copied only where the clock was
    /// set back.
    pub(crate) fn seen_at(&self, now: Timestamp) -> (Cow<'_, Self>, Timestamp) {
        match Reading::new(now, self.used_at) {
            Reading::At(now) => (Cow::Borrowed(self), now),
            Reading::SetBack(by) => (Cow::Owned(self.clone().shortened(by)), now),
        }
    }

    /// The same, of a session that is decided on.
    fn at(self, now: Timestamp) -> (Self, Timestamp) {
        match Reading::new(now, self.used_at) {
            Reading::At(now) => (self, now),
            Reading::SetBack(by) => (self.shortened(by), now),
        }
    }

    /// The session does not live longer because a clock was set back. The age of its latest rotation is unknown then, so the
    /// rotation is not repeated.
    fn shortened(mut self, by: Duration) -> Self {
        self.retry_until = None;
        self.expires_at = self.expires_at.before(by);
        self.ends_at = self.ends_at.before(by).whole_second();
        self
    }

    fn ended(mut self, reason: RevocationReason) -> Self {
        self.revoked = Some(reason);
        // All are dead now.
        self.revoked_tokens.clear();
        self
    }

    fn marked(mut self, mark: Mark) -> Self {
        self.marks.truncate(MARKS - 1);
        self.marks.insert(0, mark);
        self
    }
}

/// A login that a session is to be made of.
pub(crate) struct Login {
    pub(crate) client: ClientId,
    pub(crate) subject: Subject,
    pub(crate) scope: Scope,
    pub(crate) channel: Channel,
    pub(crate) tokens_valid_after: Option<Timestamp>,
    pub(crate) sealed_under: Option<KeyId>,
}

/// Why a session was ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RevocationReason {
    /// A refresh token was used again after it had been superseded.
    Reuse,
    /// Its client signed out.
    SignedOut,
    /// The host ended it.
    Host,
}

/// Two: whoever is told the result of a rotation may rotate again before the one that made it has found out.
const MARKS: usize = 2;
