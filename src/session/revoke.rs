//! Ends a session, or revokes one access token of a session.

use crate::change::{Attempt, Change, Decision};
use crate::id::{Mark, TokenId};
use crate::session::{RevocationReason, Session};

/// Ends a session with all its tokens.
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

/// Revokes one access token.
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
        // Later answers carry a number above the numbers that are wholly revoked. This includes the answer to a retry.
        next.issue = next.issue.max(next.revoked_tokens.insert(self.token));
        Ok(Decision::new(next.marked(self.mark), ()))
    }

    fn found_in(&self, stored: &Session) -> Option<()> {
        stored.marks.contains(&self.mark).then_some(())
    }
}

/// The session or the token is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dead;
