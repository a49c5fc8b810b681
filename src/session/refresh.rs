//! The refresh rule: rotation, the retry window of the direct predecessor, and the reuse of a superseded token.

use core::time::Duration;

use crate::change::{Attempt, Change, Decision};
use crate::id::{KeyId, KeyThumbprint, Mark};
use crate::session::bound_key::PresentedKey;
use crate::session::policy::{LONGEST_RETRY_WINDOW, RefreshPolicy};
use crate::session::{RevocationReason, Session};
use crate::time::Timestamp;

/// Continues a session for a refresh token that its client presents. Ends the session when the token has been
/// superseded (RFC 9700 section 4.14.2).
///
/// Only the token's own client gets this far, because a refresh token names the client that it was issued to.
pub(crate) struct RefreshSession {
    pub(crate) generation: u32,
    /// The clock reading when the request first loaded the session. It decides whether the token came in time for a
    /// retry.
    pub(crate) presented_at: Timestamp,
    /// Where the token stood at `presented_at`.
    pub(crate) stood: Standing,
    /// The number of the access token that was prepared.
    pub(crate) issue: u32,
    pub(crate) policy: RefreshPolicy,
    pub(crate) idle: Duration,
    /// How long access tokens live.
    pub(crate) access_token: Duration,
    /// The secret under which a successor is sealed, while hosts accept several secrets.
    pub(crate) sealed_under: Option<KeyId>,
    /// The key that is presented with the token.
    pub(crate) key: Option<KeyThumbprint>,
    /// The proof of that key, where the tokens of the client are bound to it.
    pub(crate) proof: Option<PresentedKey>,
    /// Identifies this request. After an unknown outcome, it tells whether this request wrote.
    pub(crate) mark: Mark,
}

impl Change for RefreshSession {
    type State = Session;
    type Verdict = Refreshed;
    type Refusal = NotRefreshed;

    fn decide(&self, state: Option<Session>, attempt: Attempt) -> Result<Decision<Session, Refreshed>, NotRefreshed> {
        let (mut next, now) = state.ok_or(NotRefreshed::Dead)?.at(attempt.now);
        let standing = next.standing(self.generation, self.presented_at, now);
        // The successor needs no key. The answer to a proof would say that it does.
        if standing == Standing::Retried && self.binds_refresh_tokens() && !next.is_bound() {
            return Err(NotRefreshed::Overtaken);
        }
        match next.with_key(standing, self.generation, self.key.as_ref()) {
            Standing::Dead => return Err(NotRefreshed::Dead),
            Standing::WithoutKey => return Err(NotRefreshed::WithoutKey),
            // The token was stolen, and both its owner and the thief have used it. The server can't tell which of the
            // two this is. This request can have stored nothing but the end of the session.
            Standing::Superseded if self.stood == Standing::Superseded => {
                let next = next.ended(RevocationReason::Reuse).marked(self.mark);
                return Ok(Decision::new(next, Refreshed::Replayed));
            }
            // This request may itself have superseded the token, and other requests may have gone on since.
            Standing::Superseded if attempt.follows_unknown_outcome => return Err(NotRefreshed::Unresolved),
            // The token was good when it was presented, and other requests were faster. This is no sign of a theft.
            Standing::Superseded => return Err(NotRefreshed::Overtaken),
            // Since the access token was prepared, so many tokens were revoked that its number is also revoked.
            _ if next.revoked_tokens.are_revoked_up_to(self.issue) => return Err(NotRefreshed::Unresolved),
            Standing::Retried => {
                let continued = Refreshed::Continued(Continued(next.refresh_token()));
                // No rotation is repeated where the clock was set back, so this is the session as it was loaded.
                return Ok(Decision::as_it_is(next, continued));
            }
            Standing::Current => {}
        }
        let is_admitted = |proof: &PresentedKey| next.proven_key.as_ref().is_none_or(|key| key.admits(&proof.proof));
        match &self.proof {
            Some(proof) if !is_admitted(proof) && attempt.follows_unknown_outcome => {
                return Err(NotRefreshed::Unresolved);
            }
            Some(proof) if !is_admitted(proof) => return Err(NotRefreshed::ReplayedProof),
            _ => {}
        }
        next.retry_until = None;
        if let RefreshPolicy::Rotate { retry_window } = self.policy {
            next.generation = next.generation.checked_add(1).ok_or(NotRefreshed::Dead)?;
            next.sealed_under = self.sealed_under;
            next.retry_until = Some(now.after(retry_window));
        }
        if let Some(proof) = &self.proof {
            let generation = next.generation;
            next.proven_key.get_or_insert_default().record(proof, generation);
        }
        next.issue = next.issue.saturating_add(1);
        next.used_at = now;
        next.expires_at = now.after(self.idle).min(next.ends_at);
        // Retries can be answered until the longest retry window after the latest refresh.
        if now.has_reached(next.latest_expiry.after(LONGEST_RETRY_WINDOW)) {
            next.revoked_tokens.fold();
        }
        next.latest_expiry = next.latest_expiry.max(now.after(self.access_token));
        let continued = Refreshed::Continued(Continued(next.refresh_token()));
        Ok(Decision::new(next.marked(self.mark), continued))
    }

    fn found_in(&self, stored: &Session) -> Option<Refreshed> {
        let place = stored.marks.iter().position(|mark| *mark == self.mark)?;
        // A session that is over is never written again, and so its end is the latest write.
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

impl RefreshSession {
    /// Tells whether a session that is bound to no key is bound to one by this refresh.
    fn binds_refresh_tokens(&self) -> bool {
        self.proof.as_ref().is_some_and(|proof| proof.binds_refresh_tokens)
    }
}

impl Session {
    /// Returns where a refresh token of this session's client stands, in a session as it is seen at `now` and whatever
    /// key is presented with it.
    ///
    /// `presented_at` decides whether the token came in time for a retry, and so a slow store never makes a client look
    /// like a thief. If the clock that began the retry window was later, that clock counts.
    pub(crate) fn standing(&self, generation: u32, presented_at: Timestamp, now: Timestamp) -> Standing {
        if self.is_over_everywhere(now) {
            return Standing::Dead;
        }
        let is_current = generation == self.generation;
        let is_predecessor = generation.checked_add(1) == Some(self.generation);
        let presented_at = presented_at.max(self.used_at);
        let in_time = self.retry_until.is_some_and(|until| !presented_at.has_reached(until));
        let is_retried = is_predecessor && in_time;
        match () {
            () if (is_current || is_retried) && self.is_over(now) => Standing::Dead,
            () if is_current => Standing::Current,
            () if is_retried => Standing::Retried,
            // This also holds where the session has only just expired by this clock. By the clock of another host, a
            // thief can still use it. A generation that is still to come can only mean that the store went back to an
            // older copy.
            () => Standing::Superseded,
        }
    }

    /// Returns the standing of a refresh token that is presented with a key, or without one.
    ///
    /// A token that needs the key of its session gets no successor without the key, and changes nothing. A superseded
    /// token from before the binding needs no key to end its session. The thief of such a token may have bound the
    /// session to a key of their own.
    pub(crate) fn with_key(&self, standing: Standing, generation: u32, key: Option<&KeyThumbprint>) -> Standing {
        let bound = self.proven_key.as_ref().and_then(|proven| proven.bound());
        let Some(bound) = bound.filter(|bound| key != Some(&bound.key)) else { return standing };
        match standing {
            Standing::Superseded if generation < bound.from => Standing::Superseded,
            Standing::Current | Standing::Retried | Standing::Superseded => Standing::WithoutKey,
            Standing::WithoutKey | Standing::Dead => standing,
        }
    }

    /// Returns the number for the access token that answers a refresh token of this standing.
    pub(crate) fn issue_for(&self, standing: Standing) -> u32 {
        if standing == Standing::Current { self.issue.saturating_add(1) } else { self.issue }
    }

    /// Returns the content of the current refresh token.
    pub(crate) fn refresh_token(&self) -> RefreshTokenFacts {
        let Self { generation, ends_at, sealed_under, .. } = *self;
        RefreshTokenFacts { generation, absolute_expiry: ends_at, sealed_under }
    }
}

/// Why a session was not refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotRefreshed {
    /// The session is over.
    Dead,
    /// The token was good when it was presented, and other requests have superseded it since. Or the request would bind
    /// the session to a key, and the refresh that it repeats has not. This request gets no tokens.
    Overtaken,
    /// The token needs the key of its session, and the request does not prove it.
    WithoutKey,
    /// The proof of the request was used before.
    ReplayedProof,
    /// What this request has stored is unknown, or other requests have overtaken it. The client can repeat the request.
    Unresolved,
}

/// The outcome of a refresh.
pub(crate) enum Refreshed {
    /// The session goes on.
    Continued(Continued),
    /// The token had been superseded, and the session has ended.
    Replayed,
}

/// Proof that a session is stored as refreshed. The release of refreshed tokens takes it by value.
pub(crate) struct Continued(RefreshTokenFacts);

impl Continued {
    /// Returns the content of the refresh token in the answer.
    pub(crate) fn refresh_token(&self) -> RefreshTokenFacts {
        self.0
    }
}

/// The content of a refresh token, and the secret under which it is sealed.
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
    /// The token is the latest one.
    Current,
    /// The token has a successor that was not used yet, and its retry window is open.
    Retried,
    /// The token has a successor, and must not be used any more.
    Superseded,
    /// The token needs the key of its session, and the request does not prove it. The session goes on.
    WithoutKey,
    /// The session is over.
    Dead,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::address::Channel;
    use crate::id::{ClientId, Subject, TokenId};
    use crate::scope::Scope;
    use crate::session::revoke::RevokeToken;
    use crate::session::{Login, SessionValidity};

    const NOW: Timestamp = Timestamp::from_unix_secs(1_800_000_000);

    fn session() -> Session {
        let login = Login {
            client: ClientId::new("CLIENT").unwrap(),
            subject: Subject::new("USER").unwrap(),
            scope: Scope::openid(),
            channel: Channel::Sms,
            tokens_valid_after: None,
            sealed_under: None,
            proven_key: None,
            test_ends_at: None,
        };
        Session::open(login, &SessionValidity::default(), Duration::from_secs(300), NOW)
    }

    fn refresh(issue: u32) -> RefreshSession {
        RefreshSession {
            generation: 0,
            presented_at: NOW,
            stood: Standing::Current,
            issue,
            policy: RefreshPolicy::default(),
            idle: Duration::from_secs(3600),
            access_token: Duration::from_secs(300),
            sealed_under: None,
            key: None,
            proof: None,
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
        let presented_later = RefreshSession { presented_at: later.now, ..replayed };
        let ended = presented_later.decide(Some(refreshed), later).unwrap().into_parts().0;
        assert!(matches!(presented_later.found_in(&ended), Some(Refreshed::Replayed)));
    }
}
