//! The state machine of one login session: who logged in where, how far its refresh tokens have advanced, and which of
//! its tokens were revoked.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::Channel;
use crate::client::{LONGEST_RETRY_WINDOW, RefreshPolicy};
use crate::decision::Decision;
use crate::id::{ClientId, Mark, Subject, TokenId};
use crate::revoked_tokens::RevokedTokens;
use crate::scope::Scope;
use crate::time::{CLOCK_TOLERANCE, Timestamp};

/// Everything that is known about one login session, in one record that stays the same for all of its refreshes.
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
}

impl Session {
    /// The session of a login that happens `now`.
    pub(crate) fn open(login: Login, validity: &SessionValidity, access_token: Duration, now: Timestamp) -> Self {
        let Login { client, subject, scope, channel, tokens_valid_after } = login;
        // The directory's clock may be a little ahead: whoever has just signed out everywhere can log in again.
        let ahead = tokens_valid_after.filter(|after| now.until(*after) <= CLOCK_TOLERANCE);
        let auth_time = ahead.map_or(now, |after| now.max(after));
        let ends_at = now.after(validity.absolute).whole_second();
        Self {
            client,
            subject,
            scope,
            channel,
            auth_time,
            generation: 0,
            issue: 0,
            used_at: now,
            retry_until: None,
            expires_at: now.after(validity.idle).min(ends_at),
            ends_at,
            latest_expiry: now.after(access_token),
            revoked: None,
            revoked_tokens: RevokedTokens::default(),
            marks: Vec::new(),
        }
    }

    /// Continues the session, or ends it when its refresh token has been superseded (RFC 9700 section 4.14.2).
    ///
    /// Nobody but its client gets this far: a refresh token says whom it was issued to.
    pub(crate) fn refresh(self, refresh: &Refresh, now: Timestamp) -> Result<Decision<Self, Refreshed>, NotRefreshed> {
        let (mut next, now) = self.at(now);
        let standing = next.standing(refresh.generation, refresh.asked_at, now);
        match standing {
            Standing::Dead => return Err(NotRefreshed::Dead),
            // It may be this very request that superseded it, and others who went on since.
            Standing::Superseded if refresh.follows_unknown_outcome => return Err(NotRefreshed::Unresolved),
            // Stolen, and used by both its owner and the thief; which of them this is, nobody can tell.
            Standing::Superseded => {
                let next = next.ended(RevocationReason::Reuse).marked(refresh.mark);
                return Ok(Decision::new(next, Refreshed::Replayed));
            }
            // So many tokens were revoked meanwhile that the one that was made ready is dead.
            _ if next.revoked_tokens.are_revoked_up_to(refresh.issue) => return Err(NotRefreshed::Unresolved),
            Standing::Retried => {
                let continued = Refreshed::Continued(Continued::of(&next));
                return Ok(Decision::as_it_is(self, continued));
            }
            Standing::Current => {}
        }
        next.retry_until = None;
        if let RefreshPolicy::Rotate { retry_window } = refresh.policy {
            next.generation = next.generation.checked_add(1).ok_or(NotRefreshed::Dead)?;
            next.retry_until = Some(now.after(retry_window));
        }
        next.issue = next.issue.saturating_add(1);
        next.used_at = now;
        next.expires_at = now.after(refresh.idle).min(next.ends_at);
        // Retries were answered until a window after the latest refresh.
        if now.has_reached(next.latest_expiry.after(LONGEST_RETRY_WINDOW)) {
            next.revoked_tokens.fold();
        }
        next.latest_expiry = next.latest_expiry.max(now.after(refresh.access_token));
        let continued = Refreshed::Continued(Continued::of(&next));
        Ok(Decision::new(next.marked(refresh.mark), continued))
    }

    /// Ends the session, with every token of it.
    pub(crate) fn revoke(&self, reason: RevocationReason, mark: Mark) -> Result<Decision<Self, ()>, Dead> {
        if self.revoked.is_some() {
            return Err(Dead);
        }
        Ok(Decision::new(self.clone().ended(reason).marked(mark), ()))
    }

    /// Ends one access token.
    pub(crate) fn revoke_access_token(&self, token: &TokenId, mark: Mark) -> Result<Decision<Self, ()>, Dead> {
        if self.has_revoked(token) {
            return Err(Dead);
        }
        let mut next = self.clone();
        // The answers to come, a retry's as well, carry a number that is not among those that are all revoked.
        next.issue = next.issue.max(next.revoked_tokens.insert(token));
        Ok(Decision::new(next.marked(mark), ()))
    }

    /// Tells whether an access token of this session has been revoked, by itself or with the session.
    pub(crate) fn has_revoked(&self, token: &TokenId) -> bool {
        self.revoked.is_some() || self.revoked_tokens.contains(token)
    }

    /// Tells whether the session began before the instant from which on its user's tokens are valid.
    pub(crate) fn began_before(&self, tokens_valid_after: Option<Timestamp>) -> bool {
        tokens_valid_after.is_some_and(|after| !self.auth_time.has_reached(after))
    }

    /// Tells whether the request with this mark wrote this state, or the one before it.
    pub(crate) fn was_written_by(&self, mark: &Mark) -> bool {
        self.marks.contains(mark)
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

    /// The number for the access token that answers a refresh token of this standing.
    pub(crate) fn issue_for(&self, standing: Standing) -> u32 {
        if standing == Standing::Current { self.issue.saturating_add(1) } else { self.issue }
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

    /// What the first refresh token of the session says.
    pub(crate) fn first_refresh_token(&self) -> RefreshTokenFacts {
        RefreshTokenFacts::of(self)
    }

    /// Where a refresh token stands that was issued to this session's client, in a session as it is seen at `now`. Whether
    /// it came in time for a retry was decided when it was asked for: a store that is slow makes nobody a thief.
    pub(crate) fn standing(&self, generation: u32, asked_at: Timestamp, now: Timestamp) -> Standing {
        if self.revoked.is_some() || now.has_reached(self.expires_at) {
            return Standing::Dead;
        }
        if generation == self.generation {
            return Standing::Current;
        }
        let is_predecessor = generation.checked_add(1) == Some(self.generation);
        let in_time = self.retry_until.is_some_and(|until| !asked_at.has_reached(until));
        // A generation that is still to come can only mean that the store went back to an older copy.
        if is_predecessor && in_time { Standing::Retried } else { Standing::Superseded }
    }

    /// This session as a decision at `now` has to see it, and the instant to decide at: of the clocks of two hosts, the
    /// later reading.
    ///
    /// Where the clock was set back, the session does not live longer for it, and how old its last rotation is can't be
    /// known, so that nobody gets its result again.
    pub(crate) fn at(&self, now: Timestamp) -> (Self, Timestamp) {
        let mut state = self.clone();
        let set_back = now.until(self.used_at);
        if set_back <= CLOCK_TOLERANCE {
            return (state, now.max(self.used_at));
        }
        state.retry_until = None;
        state.expires_at = state.expires_at.before(set_back);
        state.ends_at = state.ends_at.before(set_back).whole_second();
        (state, now)
    }

    fn ended(mut self, reason: RevocationReason) -> Self {
        self.revoked = Some(reason);
        // All are dead now.
        self.revoked_tokens = RevokedTokens::default();
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
}

/// A refresh token that is presented by the client that it was issued to.
pub(crate) struct Refresh {
    pub(crate) generation: u32,
    /// When the session was first loaded for it.
    pub(crate) asked_at: Timestamp,
    /// The number of the access token that was made ready.
    pub(crate) issue: u32,
    pub(crate) policy: RefreshPolicy,
    pub(crate) idle: Duration,
    /// How long access tokens live.
    pub(crate) access_token: Duration,
    /// Identifies this request, so that after an unknown outcome the flow finds out whether it was the one that wrote.
    pub(crate) mark: Mark,
    /// Whether this request may have written already without a trace of it being left.
    pub(crate) follows_unknown_outcome: bool,
}

/// Why a session was not refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotRefreshed {
    /// It is over.
    Dead,
    /// What this request has done so far can't be known, or has been overtaken. It can be made again.
    Unresolved,
}

/// What became of a refresh.
pub(crate) enum Refreshed {
    /// The session goes on.
    Continued(Continued),
    /// The token had been superseded, and the session is over.
    Replayed,
}

/// A session that is stored as refreshed: what the release of refreshed tokens takes by value.
pub(crate) struct Continued(RefreshTokenFacts);

impl Continued {
    /// What the refresh token of the answer says.
    ///
    /// `stored` has the last word: it may be that not the last attempt of this request was applied but an earlier one,
    /// late, and everybody has to get the same token.
    pub(crate) fn refresh_token(&self, stored: Option<&Session>) -> RefreshTokenFacts {
        let stored = stored.map(RefreshTokenFacts::of);
        stored.filter(|stored| stored.generation == self.0.generation).unwrap_or(self.0)
    }

    fn of(session: &Session) -> Self {
        Self(RefreshTokenFacts::of(session))
    }
}

/// What a refresh token says of its session's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefreshTokenFacts {
    pub(crate) generation: u32,
    /// When the session ends unless it is refreshed.
    pub(crate) idle_expiry: Timestamp,
    /// When it ends in any case.
    pub(crate) absolute_expiry: Timestamp,
}

impl RefreshTokenFacts {
    fn of(session: &Session) -> Self {
        let Session { generation, expires_at, ends_at, .. } = *session;
        Self { generation, idle_expiry: expires_at, absolute_expiry: ends_at }
    }
}

/// Where a refresh token stands in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is the one to be used.
    Current,
    /// Its successor has been made, but not used, and the time to ask again is not over.
    Retried,
    /// It should not be used any more by anybody.
    Superseded,
    /// The session is over.
    Dead,
}

/// Why a session was ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RevocationReason {
    /// A refresh token was used again after it had been superseded.
    Reuse,
    /// Its client signed out.
    SignedOut,
    /// The host ended it.
    Host,
}

/// The session, or the token, is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dead;

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

/// Two: whoever is told the result of a rotation may rotate again before the one that made it has found out.
const MARKS: usize = 2;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_secs(1_800_000_000);

    fn session() -> Session {
        let login = Login {
            client: ClientId::new("CLIENT").unwrap(),
            subject: Subject::new("USER").unwrap(),
            scope: Scope::openid(),
            channel: Channel::Sms,
            tokens_valid_after: None,
        };
        Session::open(login, &SessionValidity::default(), Duration::from_secs(300), NOW)
    }

    fn refresh(issue: u32) -> Refresh {
        Refresh {
            generation: 0,
            asked_at: NOW,
            issue,
            policy: RefreshPolicy::default(),
            idle: Duration::from_secs(3600),
            access_token: Duration::from_secs(300),
            mark: Mark::from_bytes([1; 8]),
            follows_unknown_outcome: false,
        }
    }

    #[test]
    fn a_token_that_was_made_ready_is_not_released_when_its_number_was_revoked_meanwhile() {
        let mut session = session();
        // Nine tokens of the number that was made ready: more than are listed.
        for random in 0..9 {
            let token = TokenId::of(1, [random; 12]);
            session = session.revoke_access_token(&token, Mark::from_bytes([2; 8])).unwrap().into_parts().0;
        }
        assert_eq!(session.clone().refresh(&refresh(1), NOW).err(), Some(NotRefreshed::Unresolved));
        assert!(session.clone().refresh(&refresh(2), NOW).is_ok());
        // What is made ready now has a number that is not revoked.
        assert_eq!((session.issue_for(Standing::Current), session.issue_for(Standing::Retried)), (3, 2));
    }

    #[test]
    fn the_stored_session_has_the_last_word_on_its_own_refresh_token_alone() {
        let session = session();
        let continued = Continued::of(&session);
        let later = Session { expires_at: NOW, ..session.clone() };
        let gone_on = Session { generation: 1, ..later.clone() };
        assert_eq!(continued.refresh_token(None), RefreshTokenFacts::of(&session));
        assert_eq!(continued.refresh_token(Some(&later)), RefreshTokenFacts::of(&later));
        assert_eq!(continued.refresh_token(Some(&gone_on)), RefreshTokenFacts::of(&session));
    }
}
