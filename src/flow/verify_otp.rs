//! Redeems a code for the proof that an address was verified, for the usages other than login.

use crate::address::Address;
use crate::directory::Directory;
use crate::flow::commit::Turn;
use crate::flow::core::Core;
use crate::flow::guess;
use crate::flow::guess::{Guess, GuessRefused, Proof};
use crate::grant::Usage;
use crate::id::{ClientId, Mark};
use crate::observer::Event;
use crate::otp::guess_budget::{RedeemChallenge, Redeemed};
use crate::secret::PresentedSecret;
use crate::secret::sealed::OtpTokenContent;
use crate::store::Store;
use crate::time::Timestamp;
use crate::wire::error::Unavailable;

pub(crate) async fn verify_otp<S: Store, D: Directory>(
    core: &Core<S, D>,
    request: VerifyRequest<'_>,
) -> Result<VerifiedAddress, VerifyError> {
    let mut turn = Turn::new(core);
    let VerifyRequest { client_id, usage, address, otp_token, otp } = request;
    // A login is redeemed for tokens, and by the token endpoint alone.
    if usage == Usage::Login {
        return Err(VerifyError::MismatchedOtpToken);
    }
    let token = OtpTokenContent::unseal(&otp_token, &core.keyring, core.clock.now())
        .map_err(|_| VerifyError::UnknownOtpToken)?;
    if token.binding != core.keyring.binding(client_id, None, &address, usage) {
        return Err(VerifyError::MismatchedOtpToken);
    }

    let key = core.keyring.authenticator_key(&address, &core.settings.addresses);
    let mark = Mark::from_bytes(turn.random()?);
    let spender = Mark::from_bytes(turn.random()?);
    let guess = Guess { key, token: &token, mark, presented: &otp, policy: &core.settings.code };
    let (proof, loaded) = guess::prove(&mut turn, client_id, guess).await?;
    // Nothing is kept of a verification that could be repeated.
    let Proof::Spendable(proven) = proof else { return Err(VerifyError::UnknownOtpToken) };
    let redeem = RedeemChallenge { proven: &proven, spender, session: None };
    let redeemed = match guess::spend(&mut turn, loaded, &redeem).await {
        Ok(redeemed) => redeemed,
        Err(refused) => {
            if matches!(refused, GuessRefused::Unavailable) {
                guess::release(&mut turn, None, &guess, spender).await;
            }
            return Err(refused.into());
        }
    };

    core.observer.event(&Event::Verified { client: client_id, address: key, usage });
    Ok(VerifiedAddress::new(redeemed, address, usage, core.clock.now()))
}

/// A code that is presented for another usage than login. The host has authenticated the client.
#[derive(Debug)]
#[non_exhaustive]
pub struct VerifyRequest<'a> {
    /// The client that asked for the code.
    pub client_id: &'a ClientId,
    /// What the code was asked for.
    pub usage: Usage,
    /// The address that it was sent to.
    pub address: Address,
    /// The token that came with it.
    pub otp_token: PresentedSecret<'a>,
    /// The code.
    pub otp: PresentedSecret<'a>,
}

impl<'a> VerifyRequest<'a> {
    /// A code and the token that came with it, which a client presents for a usage other than login.
    pub fn new(
        client_id: &'a ClientId,
        usage: Usage,
        address: Address,
        otp_token: PresentedSecret<'a>,
        otp: PresentedSecret<'a>,
    ) -> Self {
        Self { client_id, usage, address, otp_token, otp }
    }
}

/// The proof that whoever sent the request reads messages to the address. Its code is spent: it is given once.
#[derive(Debug)]
pub struct VerifiedAddress {
    address: Address,
    usage: Usage,
    verified_at: Timestamp,
}

impl VerifiedAddress {
    fn new(_: Redeemed, address: Address, usage: Usage, verified_at: Timestamp) -> Self {
        Self { address, usage, verified_at }
    }

    /// The address that was verified.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What it was verified for; proof for one usage is no proof for another.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// When it was verified.
    pub fn verified_at(&self) -> Timestamp {
        self.verified_at
    }
}

/// Why a code was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// The otp_token was not made here, was altered, has expired or is spent, or no guess is left.
    UnknownOtpToken,
    /// Client, address or usage differ from those the code was sent for.
    MismatchedOtpToken,
    /// The code is wrong or has expired.
    UnknownOtp {
        /// How many more guesses there are.
        attempts_remaining: usize,
    },
    /// The host's fault: the store or the random bytes failed. The request can be made again. What it had stored is taken
    /// back; where that fails too, one guess is lost, or the code.
    TemporarilyUnavailable,
}

impl core::fmt::Display for VerifyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::UnknownOtpToken => "unknown or expired otp_token",
            Self::MismatchedOtpToken => "otp_token and parameters do not match",
            Self::UnknownOtp { .. } => "unknown or expired code",
            Self::TemporarilyUnavailable => "temporarily unavailable",
        })
    }
}

impl core::error::Error for VerifyError {}

impl From<Unavailable> for VerifyError {
    fn from(_: Unavailable) -> Self {
        Self::TemporarilyUnavailable
    }
}

impl From<GuessRefused> for VerifyError {
    fn from(refused: GuessRefused) -> Self {
        match refused {
            GuessRefused::NoSuchChallenge => Self::UnknownOtpToken,
            GuessRefused::Wrong { attempts_remaining } => Self::UnknownOtp { attempts_remaining },
            GuessRefused::Unavailable => Self::TemporarilyUnavailable,
        }
    }
}
