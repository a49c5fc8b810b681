//! The record of one login session, and every rule that changes it: refresh, retry, reuse and revocation. The record
//! holds who logged in at which client, how far the refresh tokens have advanced, and which access tokens were revoked.

pub(crate) mod bound_key;
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
use crate::session::bound_key::{PresentedKey, ProvenKey};
pub use crate::session::policy::{InvalidRefreshPolicy, RefreshPolicy, SessionValidity};
use crate::session::revoked_tokens::RevokedTokens;
use crate::time::set_back::Reading;
use crate::time::{CLOCK_TOLERANCE, Timestamp};
use crate::unknown_members::{Unknown, keep_unknown_members};

/// The formats of a session's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionFormat {
    First,
    /// Format 2: the client has proved a key.
    WithKey,
    /// Format 3: the user logged in by a test identity.
    OfTestIdentity,
}

/// The state of one login session. The same record serves all refreshes of the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub(crate) struct Session {
    #[serde(rename = "c")]
    client: ClientId,
    #[serde(rename = "u")]
    subject: Subject,
    #[serde(rename = "s")]
    scope: Scope,
    /// The channel through which the user proved the address.
    #[serde(rename = "m")]
    channel: Channel,
    #[serde(rename = "a")]
    auth_time: Timestamp,
    /// The instant from which the user's tokens were valid, as the directory gave it when the session began.
    /// [`is_ended_by`](Self::is_ended_by) compares a later answer of the directory with it.
    #[serde(rename = "v", skip_serializing_if = "Option::is_none", default)]
    tokens_valid_after: Option<Timestamp>,
    /// The generation of the current refresh token.
    #[serde(rename = "g")]
    generation: u32,
    /// The secret under which the current refresh token is sealed, while hosts accept several secrets.
    #[serde(rename = "y", skip_serializing_if = "Option::is_none", default)]
    sealed_under: Option<KeyId>,
    /// The number that the access tokens of the latest login or refresh carry.
    #[serde(rename = "n")]
    issue: u32,
    /// When the session was last refreshed, or when it began.
    #[serde(rename = "r")]
    used_at: Timestamp,
    /// Until when the direct predecessor of the current refresh token gets the current one again. Fixed when the
    /// predecessor was superseded.
    #[serde(rename = "w", skip_serializing_if = "Option::is_none", default)]
    retry_until: Option<Timestamp>,
    /// When the session ends unless it is refreshed.
    #[serde(rename = "x")]
    expires_at: Timestamp,
    /// When the session ends in any case. It is a whole second, because access tokens end with the session.
    #[serde(rename = "e")]
    ends_at: Timestamp,
    /// When the last access token expires, of the latest refresh or of an earlier one.
    #[serde(rename = "l")]
    latest_expiry: Timestamp,
    #[serde(rename = "d", skip_serializing_if = "Option::is_none", default)]
    revoked: Option<RevocationReason>,
    #[serde(rename = "t", skip_serializing_if = "RevokedTokens::is_empty", default)]
    revoked_tokens: RevokedTokens,
    /// The marks of the latest writes, the latest first.
    #[serde(rename = "k", skip_serializing_if = "Vec::is_empty", default)]
    marks: Vec<Mark>,
    /// The key that the client has proved. A record that has it needs format 2.
    #[serde(rename = "j", skip_serializing_if = "Option::is_none", default)]
    proven_key: Option<Box<ProvenKey>>,
    /// When the test identity ends that the user logged in by. A record that has it needs format 3.
    #[serde(rename = "z", skip_serializing_if = "Option::is_none", default)]
    test_ends_at: Option<Timestamp>,
    #[serde(skip)]
    unknown: Unknown,
}

keep_unknown_members!(Session);

impl Session {
    /// Opens the session of a login that happens `now`.
    pub(crate) fn open(login: Login, validity: &SessionValidity, access_token: Duration, now: Timestamp) -> Self {
        let Login { client, subject, scope, channel, tokens_valid_after, sealed_under, proven_key, test_ends_at } =
            login;
        // The directory's clock can be a little ahead. A user who has just signed out everywhere can still log in
        // again.
        let auth_time = tokens_valid_after.map_or(now, |after| now.max(after));
        let ends_at = now.after(validity.absolute).whole_second();
        let ends_at = test_ends_at.map_or(ends_at, |test| ends_at.min(test));
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
            proven_key: proven_key.as_ref().map(ProvenKey::of_login),
            test_ends_at,
            unknown: Unknown::default(),
        }
    }

    /// Tells whether an access token of this session was revoked, alone or with the session.
    pub(crate) fn has_revoked(&self, token: &TokenId) -> bool {
        self.revoked.is_some() || self.revoked_tokens.contains(token)
    }

    /// Tells whether the user has ended all sessions since this session began.
    ///
    /// The host that began the session can have a clock ahead of the clock that set the instant, and a directory can
    /// keep whole seconds. A session that began a little after the instant therefore ends, unless its login already
    /// knew this instant. Any other instant counts, even an earlier one, because clocks that differ can have set the
    /// two.
    pub(crate) fn is_ended_by(&self, tokens_valid_after: Option<Timestamp>) -> bool {
        let Some(after) = tokens_valid_after.filter(|after| self.tokens_valid_after != Some(*after)) else {
            return false;
        };
        let cut_off = if after == after.whole_second() { Duration::from_secs(1) } else { Duration::ZERO };
        !self.auth_time.has_reached(after.after(CLOCK_TOLERANCE.saturating_add(cut_off)))
    }

    /// Tells whether the session was revoked or has expired.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.revoked.is_some() || now.has_reached(self.expires_at)
    }

    /// Tells whether nothing is left to revoke, by the clock of any host.
    fn is_over_everywhere(&self, now: Timestamp) -> bool {
        self.is_over(now.before(CLOCK_TOLERANCE))
    }

    /// Tells whether the session was neither refreshed nor revoked since its login.
    pub(crate) fn is_unused(&self) -> bool {
        self.generation == 0 && self.issue == 0 && self.marks.is_empty()
    }

    /// Returns the lowest format that may decide on this session. A version that knows format 1 would ignore the key,
    /// and one that knows format 2 would not say that the tokens are of a test identity.
    pub(crate) fn format(&self) -> SessionFormat {
        match (self.test_ends_at, &self.proven_key) {
            (Some(_), _) => SessionFormat::OfTestIdentity,
            (None, Some(_)) => SessionFormat::WithKey,
            (None, None) => SessionFormat::First,
        }
    }

    /// Tells whether the user logged in by a test identity.
    pub(crate) fn is_test(&self) -> bool {
        self.test_ends_at.is_some()
    }

    /// Tells whether the session can go on for its user as the directory knows them now. The session of a test identity
    /// needs a test subject for as long as it lives.
    pub(crate) fn suits(&self, is_test_subject: bool) -> bool {
        is_test_subject || !self.is_test()
    }

    /// Tells whether the refresh tokens of the session need a key.
    pub(crate) fn is_bound(&self) -> bool {
        self.proven_key.as_ref().is_some_and(|proven| proven.bound().is_some())
    }

    /// Tells whether a login with this key would be bound as this session is.
    pub(crate) fn is_bound_like(&self, presented: Option<&PresentedKey>) -> bool {
        let bound = self.proven_key.as_ref().and_then(|proven| proven.bound()).map(|bound| bound.key);
        bound == presented.filter(|key| key.binds_refresh_tokens).map(|key| key.proof.key)
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

    /// Returns the authentication method references (RFC 8176): a one-time password, and SMS where the code was sent by
    /// SMS. A test identity has proved nothing of the kind.
    pub(crate) fn amr(&self) -> &'static [&'static str] {
        match (self.test_ends_at, self.channel) {
            (Some(_), _) => &["test"],
            (None, Channel::Sms) => &["otp", "sms"],
            (None, Channel::Email) => &["otp"],
        }
    }

    /// Returns when the session ends unless it is refreshed.
    pub(crate) fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Returns when the session ends in any case.
    pub(crate) fn ends_at(&self) -> Timestamp {
        self.ends_at
    }

    /// Returns this session as a decision at `now` must see it, and the instant to decide at. The session is copied
    /// only where the clock was set back.
    pub(crate) fn seen_at(&self, now: Timestamp) -> (Cow<'_, Self>, Timestamp) {
        match Reading::new(now, self.used_at) {
            Reading::At(now) => (Cow::Borrowed(self), now),
            Reading::SetBack(by) => (Cow::Owned(self.clone().shortened(by)), now),
        }
    }

    /// Does the same as [`seen_at`](Self::seen_at) for a session that a rule changes.
    fn at(self, now: Timestamp) -> (Self, Timestamp) {
        match Reading::new(now, self.used_at) {
            Reading::At(now) => (self, now),
            Reading::SetBack(by) => (self.shortened(by), now),
        }
    }

    /// Ends the session earlier by as much as the clock was set back. The age of its latest rotation is then unknown,
    /// and so the rotation is not repeated.
    fn shortened(mut self, by: Duration) -> Self {
        self.retry_until = None;
        self.expires_at = self.expires_at.before(by);
        self.ends_at = self.ends_at.before(by).whole_second();
        self
    }

    fn ended(mut self, reason: RevocationReason) -> Self {
        self.revoked = Some(reason);
        // Every token of an ended session is revoked, so the list is no longer needed.
        self.revoked_tokens.clear();
        self
    }

    fn marked(mut self, mark: Mark) -> Self {
        self.marks.truncate(MARKS - 1);
        self.marks.insert(0, mark);
        self
    }
}

/// The login that begins a session.
pub(crate) struct Login {
    pub(crate) client: ClientId,
    pub(crate) subject: Subject,
    pub(crate) scope: Scope,
    pub(crate) channel: Channel,
    pub(crate) tokens_valid_after: Option<Timestamp>,
    pub(crate) sealed_under: Option<KeyId>,
    /// The key that the client proves, where its tokens are bound to it.
    pub(crate) proven_key: Option<PresentedKey>,
    /// When the test identity ends that the user logs in by.
    pub(crate) test_ends_at: Option<Timestamp>,
}

/// Why a session ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RevocationReason {
    /// A superseded refresh token was used again.
    Reuse,
    /// The client signed the user out.
    SignedOut,
    /// The host ended the session.
    Host,
}

/// Two, because a client that is told the result of a rotation can rotate again before the request that stored the
/// first rotation has resolved its outcome.
const MARKS: usize = 2;
