//! The bodies of the records that the checks store: states of the crate's own machines.

use core::num::{NonZeroU8, NonZeroU32};
use core::time::Duration;

use crate::address::Channel;
use crate::authenticator::{Authenticator, Limits, OpenChallenge, ReserveGuess};
use crate::challenge::NewChallenge;
use crate::client::{CodePolicy, InvalidCodePolicy, RefreshPolicy};
use crate::decision::{Attempt, Change};
use crate::entropy::{Entropy, EntropyUnavailable, SystemEntropy};
use crate::id::{Binding, ChallengeId, ClientId, InvalidId, KeyId, Mark, Nonce, Subject, TokenId};
use crate::meter::Quota;
use crate::scope::{InvalidScope, Scope};
use crate::secret::PresentedSecret;
use crate::session::{Login, RefreshSession, RevokeToken, Session, SessionValidity, Standing};
use crate::store::RecordBody;
use crate::time::Timestamp;

/// Why a body could not be made.
#[derive(Debug)]
pub(super) enum NoBody {
    Entropy(EntropyUnavailable),
    Id(InvalidId),
    Scope(InvalidScope),
    Code(InvalidCodePolicy),
}

impl core::fmt::Display for NoBody {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Entropy(cause) => cause.fmt(f),
            Self::Id(cause) => cause.fmt(f),
            Self::Scope(cause) => cause.fmt(f),
            Self::Code(cause) => cause.fmt(f),
        }
    }
}

impl core::error::Error for NoBody {}

/// Random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], NoBody> {
    let mut bytes = [0; N];
    SystemEntropy::default().fill(&mut bytes).map_err(NoBody::Entropy)?;
    Ok(bytes)
}

/// A session of the user with this number.
pub(super) fn session(user: usize) -> Result<RecordBody, NoBody> {
    let subject = Subject::new(&user.to_string()).map_err(NoBody::Id)?;
    let client = ClientId::new("conformance").map_err(NoBody::Id)?;
    let session = open(client, subject, Scope::openid());
    Ok(RecordBody::Session(session))
}

/// The number of the user that a session is of.
pub(super) fn user(body: &RecordBody) -> Option<usize> {
    match body {
        RecordBody::Session(session) => session.subject().as_str().parse().ok(),
        RecordBody::Authenticator(_) => None,
    }
}

/// Of an address that nothing is known about.
pub(super) fn empty_authenticator() -> RecordBody {
    RecordBody::Authenticator(Authenticator::default())
}

/// The largest session: names as long as they get, of all characters that they may have, and as many revoked tokens as
/// are listed.
pub(super) fn largest_session() -> Result<RecordBody, NoBody> {
    let printable: String = (b' '..=b'~').map(char::from).cycle().take(255).collect();
    let in_scope = |byte: &u8| !matches!(byte, b' ' | b'"' | b'\\');
    let tokens: Vec<u8> = (b' '..=b'~').filter(in_scope).cycle().take(960).collect();
    let scope = tokens.chunks(15).map(String::from_utf8_lossy).enumerate();
    // A number in front keeps the tokens apart.
    let scope: Vec<String> = scope.map(|(n, token)| format!("{n:02}{token}").chars().take(15).collect()).collect();
    let scope = Scope::parse(&scope.join(" ")).map_err(NoBody::Scope)?;
    let client = ClientId::new(&printable).map_err(NoBody::Id)?;
    let subject = Subject::new(&printable).map_err(NoBody::Id)?;
    let mut session = open(client, subject, scope);
    for generation in 0..3_u32 {
        let refresh = RefreshSession {
            generation,
            asked_at: START,
            stood: Standing::Current,
            issue: generation.saturating_add(1),
            policy: RefreshPolicy::Rotate { retry_window: MINUTE },
            idle: DAY * 365,
            access_token: DAY,
            sealed_under: Some(KeyId::from_bytes(random()?)),
            mark: Mark::from_bytes(random()?),
        };
        session = changed(session, &refresh, START);
    }
    // As many as the list takes before it folds, and what it does then.
    for issue in 0..REVOKED {
        let token = TokenId::of(issue, random()?);
        let revoke = RevokeToken { token: &token, mark: Mark::from_bytes(random()?) };
        session = changed(session, &revoke, START);
    }
    Ok(RecordBody::Session(session))
}

/// The largest authenticator: as many challenges as there may be, each with five guesses, and 1000 sends and 1000
/// guesses that are still counted.
pub(super) fn largest_authenticator() -> Result<RecordBody, NoBody> {
    let quota = Quota::new(NonZeroU32::MIN.saturating_add(1999), DAY);
    let limits = Limits {
        sends: vec![quota],
        guesses_per_challenge: NonZeroU8::MIN.saturating_add(4),
        guesses_per_address: quota,
    };
    let short = CodePolicy::new(6, MINUTE).map_err(NoBody::Code)?;
    let long = CodePolicy::new(10, DAY).and_then(|policy| policy.with_alphabet(LETTERS)).map_err(NoBody::Code)?;
    let mut state = Authenticator::default();
    let mut now = START;
    for round in 0..SENDS {
        // Distances that take many digits.
        now = now.after(Duration::from_millis(80_000));
        // The last hundred challenges stay, with five guesses each. The others of the thousand come from those before.
        let is_kept = round >= SENDS - KEPT;
        let new = NewChallenge {
            id: ChallengeId::from_bytes(random()?),
            nonce: Nonce::from_bytes(random()?),
            code_key: KeyId::from_bytes(random()?),
            binding: Binding::from_bytes(random()?),
            policy: if is_kept { &long } else { &short },
            knows_key: &|_| true,
        };
        let id = new.id;
        let policy = new.policy;
        state = changed(state, &OpenChallenge { new, limits: &limits }, now);
        let guesses = if is_kept || round % 5 == 0 { 5 } else { 0 };
        let text = LETTERS.get(..usize::from(policy.length())).filter(|_| is_kept).unwrap_or("123456");
        for _ in 0..guesses {
            let guess = ReserveGuess {
                id,
                mark: Mark::from_bytes(random()?),
                presented: &PresentedSecret::new(text),
                policy,
                limits: &limits,
                repeat_window: Duration::ZERO,
            };
            state = changed(state, &guess, now);
        }
    }
    Ok(RecordBody::Authenticator(state))
}

/// The state after a change, or as it was where the change is refused.
fn changed<C: Change<State: Clone>>(state: C::State, change: &C, now: Timestamp) -> C::State {
    let attempt = Attempt { now, follows_unknown_outcome: false };
    match change.decide(Some(state.clone()), attempt) {
        Ok(decision) => decision.into_parts().0,
        Err(_) => state,
    }
}

fn open(client: ClientId, subject: Subject, scope: Scope) -> Session {
    let channel = Channel::Email;
    let login = Login { client, subject, scope, channel, tokens_valid_after: Some(START), sealed_under: None };
    Session::open(login, &SessionValidity::default(), MINUTE, START)
}

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const KEPT: u32 = 100;
const SENDS: u32 = 1000;
const REVOKED: u32 = 8;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const START: Timestamp = Timestamp::from_unix_secs(1_800_000_000);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_records_are_as_large_as_they_say() {
        let authenticator = serde_json::to_value(largest_authenticator().unwrap()).unwrap();
        let authenticator = &authenticator["authenticator"];
        let challenges = authenticator["c"].as_array().unwrap();
        assert_eq!(challenges.len(), 100);
        assert!(challenges.iter().all(|challenge| challenge["g"].as_array().unwrap().len() == 5));
        assert_eq!(authenticator["s"].as_array().unwrap().len(), 1000);
        assert!(authenticator["f"].as_array().unwrap().len() >= 1000);
        let session = serde_json::to_value(largest_session().unwrap()).unwrap();
        let session = &session["session"];
        assert_eq!(session["s"].as_str().unwrap().len(), 1023);
        assert_eq!(session["u"].as_str().unwrap().len(), 255);
        assert_eq!(session["k"].as_array().unwrap().len(), 2);
        assert_eq!(session["t"]["l"].as_str().unwrap().len(), 8 * 12);
    }
}
