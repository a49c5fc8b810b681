//! The state machine of one login session: who logged in where, how far its refresh tokens have advanced, and which of
//! its tokens were revoked.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::Channel;
use crate::client::{LONGEST_RETRY_WINDOW, RefreshPolicy};
use crate::decision::{Attempt, Change, Decision};
use crate::id::{ClientId, KeyId, Mark, Subject, TokenId};
use crate::revoked_tokens::RevokedTokens;
use crate::scope::Scope;
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

    /// What the current refresh token of the session says.
    pub(crate) fn refresh_token(&self) -> RefreshTokenFacts {
        let Self { generation, ends_at, sealed_under, .. } = *self;
        RefreshTokenFacts { generation, absolute_expiry: ends_at, sealed_under }
    }

    /// Where a refresh token stands that was issued to this session's client, in a session as it is seen at `now`. Whether
    /// it came in time for a retry was decided when it was asked for: a store that is slow makes nobody a thief. Of the clock
    /// that said so and the one that began the window, the later counts.
    pub(crate) fn standing(&self, generation: u32, asked_at: Timestamp, now: Timestamp) -> Standing {
        if self.is_over_everywhere(now) {
            return Standing::Dead;
        }
        let is_current = generation == self.generation;
        let is_predecessor = generation.checked_add(1) == Some(self.generation);
        let asked_at = asked_at.max(self.used_at);
        let in_time = self.retry_until.is_some_and(|until| !asked_at.has_reached(until));
        let is_retried = is_predecessor && in_time;
        match () {
            () if (is_current || is_retried) && self.is_over(now) => Standing::Dead,
            () if is_current => Standing::Current,
            () if is_retried => Standing::Retried,
            // Also where the session has only just expired by this clock: by that of another host, a thief may go on with it.
            // A generation that is still to come can only mean that the store went back to an older copy.
            () => Standing::Superseded,
        }
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

/// Continues a session for a refresh token that its client presents, or ends it when the token has been superseded
/// (RFC 9700 section 4.14.2).
///
/// Nobody but its client gets this far: a refresh token says whom it was issued to.
pub(crate) struct RefreshSession {
    pub(crate) generation: u32,
    /// When the session was first loaded for it.
    pub(crate) asked_at: Timestamp,
    /// Where the token stood then.
    pub(crate) stood: Standing,
    /// The number of the access token that was made ready.
    pub(crate) issue: u32,
    pub(crate) policy: RefreshPolicy,
    pub(crate) idle: Duration,
    /// How long access tokens live.
    pub(crate) access_token: Duration,
    /// What a successor is sealed under, while hosts accept several secrets.
    pub(crate) sealed_under: Option<KeyId>,
    /// Identifies this request, so that after an unknown outcome it is found out whether it was the one that wrote.
    pub(crate) mark: Mark,
}

impl Change for RefreshSession {
    type State = Session;
    type Verdict = Refreshed;
    type Refusal = NotRefreshed;

    fn decide(&self, state: Option<Session>, attempt: Attempt) -> Result<Decision<Session, Refreshed>, NotRefreshed> {
        let loaded = state.ok_or(NotRefreshed::Dead)?;
        let (mut next, now) = loaded.at(attempt.now);
        match next.standing(self.generation, self.asked_at, now) {
            Standing::Dead => return Err(NotRefreshed::Dead),
            // It may be this very request that superseded it, and others who went on since.
            Standing::Superseded if attempt.follows_unknown_outcome => return Err(NotRefreshed::Unresolved),
            // It was good when it was presented, and others were faster. That makes nobody a thief.
            Standing::Superseded if self.stood != Standing::Superseded => return Err(NotRefreshed::Overtaken),
            // Stolen, and used by both its owner and the thief; which of them this is, nobody can tell.
            Standing::Superseded => {
                let next = next.ended(RevocationReason::Reuse).marked(self.mark);
                return Ok(Decision::new(next, Refreshed::Replayed));
            }
            // So many tokens were revoked meanwhile that the one that was made ready is dead.
            _ if next.revoked_tokens.are_revoked_up_to(self.issue) => return Err(NotRefreshed::Unresolved),
            Standing::Retried => {
                let continued = Refreshed::Continued(Continued(next.refresh_token()));
                return Ok(Decision::as_it_is(loaded, continued));
            }
            Standing::Current => {}
        }
        next.retry_until = None;
        if let RefreshPolicy::Rotate { retry_window } = self.policy {
            next.generation = next.generation.checked_add(1).ok_or(NotRefreshed::Dead)?;
            next.sealed_under = self.sealed_under;
            next.retry_until = Some(now.after(retry_window));
        }
        next.issue = next.issue.saturating_add(1);
        next.used_at = now;
        next.expires_at = now.after(self.idle).min(next.ends_at);
        // Retries were answered until a window after the latest refresh.
        if now.has_reached(next.latest_expiry.after(LONGEST_RETRY_WINDOW)) {
            next.revoked_tokens.fold();
        }
        next.latest_expiry = next.latest_expiry.max(now.after(self.access_token));
        let continued = Refreshed::Continued(Continued(next.refresh_token()));
        Ok(Decision::new(next.marked(self.mark), continued))
    }

    fn found_in(&self, stored: &Session) -> Option<Refreshed> {
        let place = stored.marks.iter().position(|mark| *mark == self.mark)?;
        // Nothing is written to a session that is over, so that its end was the latest write.
        if place == 0 && stored.revoked == Some(RevocationReason::Reuse) {
            return Some(Refreshed::Replayed);
        }
        let facts = stored.refresh_token();
        let generation = match self.policy {
            RefreshPolicy::Rotate { .. } => self.generation.checked_add(1)?,
            RefreshPolicy::Stable => self.generation,
        };
        let sealed_under = if generation == facts.generation { facts.sealed_under } else { self.sealed_under };
        Some(Refreshed::Continued(Continued(RefreshTokenFacts { generation, sealed_under, ..facts })))
    }
}

/// Ends a session, with every token of it.
pub(crate) struct EndSession {
    pub(crate) reason: RevocationReason,
    pub(crate) mark: Mark,
}

impl Change for EndSession {
    type State = Session;
    type Verdict = ();
    type Refusal = Dead;

    fn decide(&self, state: Option<Session>, attempt: Attempt) -> Result<Decision<Session, ()>, Dead> {
        let state = state.filter(|state| !state.is_over_everywhere(attempt.now)).ok_or(Dead)?;
        Ok(Decision::new(state.ended(self.reason).marked(self.mark), ()))
    }

    fn found_in(&self, stored: &Session) -> Option<()> {
        stored.marks.contains(&self.mark).then_some(())
    }
}

/// Ends one access token.
pub(crate) struct RevokeToken<'a> {
    pub(crate) token: &'a TokenId,
    pub(crate) mark: Mark,
}

impl Change for RevokeToken<'_> {
    type State = Session;
    type Verdict = ();
    type Refusal = Dead;

    fn decide(&self, state: Option<Session>, attempt: Attempt) -> Result<Decision<Session, ()>, Dead> {
        let mut next = state.filter(|state| !state.is_over_everywhere(attempt.now)).ok_or(Dead)?;
        if next.has_revoked(self.token) {
            return Err(Dead);
        }
        // The answers to come, a retry's as well, carry a number that is not among those that are all revoked.
        next.issue = next.issue.max(next.revoked_tokens.insert(self.token));
        Ok(Decision::new(next.marked(self.mark), ()))
    }

    fn found_in(&self, stored: &Session) -> Option<()> {
        stored.marks.contains(&self.mark).then_some(())
    }
}

/// Why a session was not refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotRefreshed {
    /// It is over.
    Dead,
    /// The token was good when it was presented, and has been superseded by others meanwhile. This request gets nothing.
    Overtaken,
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
    pub(crate) fn refresh_token(&self) -> RefreshTokenFacts {
        self.0
    }
}

/// What a refresh token says of its session, and what it is sealed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RefreshTokenFacts {
    pub(crate) generation: u32,
    /// When the session ends in any case.
    pub(crate) absolute_expiry: Timestamp,
    pub(crate) sealed_under: Option<KeyId>,
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
pub(crate) enum RevocationReason {
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
            sealed_under: None,
        };
        Session::open(login, &SessionValidity::default(), Duration::from_secs(300), NOW)
    }

    fn refresh(issue: u32) -> RefreshSession {
        RefreshSession {
            generation: 0,
            asked_at: NOW,
            stood: Standing::Current,
            issue,
            policy: RefreshPolicy::default(),
            idle: Duration::from_secs(3600),
            access_token: Duration::from_secs(300),
            sealed_under: None,
            mark: Mark::from_bytes([1; 8]),
        }
    }

    const ATTEMPT: Attempt = Attempt { now: NOW, follows_unknown_outcome: false };

    #[test]
    fn a_token_that_was_made_ready_is_not_released_when_its_number_was_revoked_meanwhile() {
        let mut session = session();
        // Nine tokens of the number that was made ready: more than are listed.
        for random in 0..9 {
            let revoke = RevokeToken { token: &TokenId::of(1, [random; 12]), mark: Mark::from_bytes([2; 8]) };
            session = revoke.decide(Some(session), ATTEMPT).unwrap().into_parts().0;
        }
        assert_eq!(refresh(1).decide(Some(session.clone()), ATTEMPT).err(), Some(NotRefreshed::Unresolved));
        assert!(refresh(2).decide(Some(session.clone()), ATTEMPT).is_ok());
        // What is made ready now has a number that is not revoked.
        assert_eq!((session.issue_for(Standing::Current), session.issue_for(Standing::Retried)), (3, 2));
    }

    #[test]
    fn what_a_refresh_says_after_an_unknown_outcome_is_what_is_stored() {
        let refreshed = refresh(1).decide(Some(session()), ATTEMPT).unwrap().into_parts().0;
        let facts = |stored: &Session| match refresh(1).found_in(stored) {
            Some(Refreshed::Continued(continued)) => Some(continued.refresh_token()),
            _ => None,
        };
        assert_eq!(facts(&session()), None);
        assert_eq!(facts(&refreshed), Some(refreshed.refresh_token()));
        let gone_on = Session { generation: 2, ..refreshed.clone() };
        assert_eq!(facts(&gone_on).map(|facts| facts.generation), Some(1));
        let replayed = RefreshSession { stood: Standing::Superseded, ..refresh(1) };
        let later = Attempt { now: NOW.after(Duration::from_secs(11)), ..ATTEMPT };
        let asked_later = RefreshSession { asked_at: later.now, ..replayed };
        let ended = asked_later.decide(Some(refreshed), later).unwrap().into_parts().0;
        assert!(matches!(asked_later.found_in(&ended), Some(Refreshed::Replayed)));
    }
}
