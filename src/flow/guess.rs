//! One guess at a code: it is charged, compared, and then spent or given back.

use crate::directory::Directory;
use crate::dpop::ProofUse;
use crate::flow::commit::{Refused, Turn};
use crate::flow::core::Core;
use crate::flow::record::Loaded;
use crate::id::{ClientId, DeviceId, Mark, RecordKey, SessionId};
use crate::observer::Event;
use crate::otp::authenticator::Authenticator;
use crate::otp::challenge::CodeInFlight;
use crate::otp::code_derivation::{self, CodeSource};
use crate::otp::guess_budget::{NotReserved, Proven, RedeemChallenge, Redeemed, ReleaseGuess, ReserveGuess, WrongCode};
use crate::otp::policy::CodePolicy;
use crate::otp::test_identity::TestIdentityMatch;
use crate::secret::PresentedSecret;
use crate::secret::sealed::OtpTokenContent;
use crate::store::Store;
use crate::wire::error::Unavailable;

/// Charges one guess, and compares the code only after the charge is stored.
pub(crate) async fn prove<S: Store, D: Directory>(
    turn: &mut Turn<'_, S, D>,
    client: &ClientId,
    guess: Guess<'_>,
) -> Result<(Proof, Loaded<Authenticator>), GuessRefused> {
    let core = turn.core;
    let loaded = turn.load_authenticator(guess.key).await?;
    let reserve = ReserveGuess {
        id: guess.token.challenge,
        mark: guess.mark,
        presented: guess.presented,
        device: guess.device,
        policy: guess.policy,
        limits: &core.limits,
        repeat_window: core.settings.repeat_answer_within,
        proof: guess.proof,
    };
    let (reserved, loaded) = match turn.commit(loaded, &reserve).await {
        Ok(reserved) => reserved,
        Err(refused) => {
            // The outcome is unknown, so the guess may be charged. No code was compared for it.
            if matches!(refused, Refused::Unavailable) {
                // Nothing is spent yet, and so no challenge carries the mark that is passed as the spender.
                release(turn, None, &guess, guess.mark).await;
            }
            return Err(exhausted(core, client, guess.key, refused));
        }
    };

    let repeats = reserved.repeats();
    // A code whose key was retired can no longer be right. Its guess is charged like any other.
    let binding = core.keyring.kept_binding(guess.token.binding, guess.token.asker.as_ref());
    let derive = |code: &CodeInFlight| {
        let source = CodeSource { record: &guess.key, binding: &binding, nonce: &code.nonce };
        code_derivation::derive(&core.keyring, &code.key, source, &code.shape)
    };
    let fixed = guess.test.map(|found| found.compare(&core.keyring, guess.presented));
    match (reserved.compare(derive, guess.presented, fixed), repeats) {
        (Ok(proven), None) => Ok((Proof::Spendable(proven), loaded)),
        (Ok(_), Some(session)) => Ok((Proof::Repeated(session), loaded)),
        (Err(WrongCode { attempts_remaining }), _) => {
            core.observer.event(&Event::WrongCode { client, address: guess.key, attempts_remaining });
            Err(GuessRefused::Wrong { attempts_remaining })
        }
    }
}

/// Spends the challenge. This is the last write of a login, and its proof releases the prepared tokens.
pub(crate) async fn spend<S: Store, D: Directory>(
    turn: &mut Turn<'_, S, D>,
    loaded: Loaded<Authenticator>,
    redeem: &RedeemChallenge<'_>,
) -> Result<Redeemed, GuessRefused> {
    let (redeemed, _) = turn.commit(loaded, redeem).await?;
    Ok(redeemed)
}

/// Gives back the guess of a right code, after a failure that is not the client's fault.
pub(crate) async fn release<S: Store, D: Directory>(
    turn: &mut Turn<'_, S, D>,
    loaded: Option<Loaded<Authenticator>>,
    guess: &Guess<'_>,
    spender: Mark,
) {
    let release = ReleaseGuess { mark: guess.mark, spender, limits: &turn.core.limits };
    let _ = turn.undo(guess.key, loaded, &release).await;
}

/// A code that is presented for a challenge.
#[derive(Clone, Copy)]
pub(crate) struct Guess<'a> {
    pub(crate) key: RecordKey,
    pub(crate) token: &'a OtpTokenContent,
    /// Identifies this guess.
    pub(crate) mark: Mark,
    pub(crate) presented: &'a PresentedSecret<'a>,
    /// The device whose token comes with the guess.
    pub(crate) device: Option<DeviceId>,
    pub(crate) policy: &'a CodePolicy,
    /// What was found of the address among the test identities.
    pub(crate) test: Option<&'a TestIdentityMatch>,
    /// The proof of a key that comes with the guess.
    pub(crate) proof: Option<&'a ProofUse>,
}

/// What a right code proves.
pub(crate) enum Proof {
    /// The challenge can be spent.
    Spendable(Proven),
    /// The challenge was spent a moment ago, for the login of this session.
    Repeated(SessionId),
}

/// Why a guess proved nothing.
pub(crate) enum GuessRefused {
    NoSuchChallenge,
    Wrong { attempts_remaining: usize },
    ReplayedProof,
    Unavailable,
}

fn exhausted<S: Store, D: Directory>(
    core: &Core<S, D>,
    client: &ClientId,
    address: RecordKey,
    refused: Refused<NotReserved>,
) -> GuessRefused {
    match refused {
        Refused::ByRule(NotReserved::NoSuchChallenge) => core.observer.event(&Event::Exhausted { client, address }),
        Refused::ByRule(NotReserved::ReplayedProof) => core.observer.event(&Event::ProofReplayed { client }),
        Refused::ByRule(NotReserved::NotACode { .. }) | Refused::Unavailable => {}
    }
    refused.into()
}

impl From<Unavailable> for GuessRefused {
    fn from(_: Unavailable) -> Self {
        Self::Unavailable
    }
}

impl From<Refused<NotReserved>> for GuessRefused {
    fn from(refused: Refused<NotReserved>) -> Self {
        match refused {
            Refused::ByRule(NotReserved::NoSuchChallenge) => Self::NoSuchChallenge,
            Refused::ByRule(NotReserved::NotACode { attempts_remaining }) => Self::Wrong { attempts_remaining },
            Refused::ByRule(NotReserved::ReplayedProof) => Self::ReplayedProof,
            Refused::Unavailable => Self::Unavailable,
        }
    }
}
