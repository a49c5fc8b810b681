//! Redeems a code for the proof that its address was verified. This serves the usages other than login.

use crate::address::Address;
use crate::directory::Directory;
use crate::dpop::{DpopError, DpopSupport};
use crate::flow::commit::Turn;
use crate::flow::core::Core;
use crate::flow::device_token;
use crate::flow::guard;
use crate::flow::guess::{self, Guess, GuessRefused, Proof};
use crate::grant::Usage;
use crate::id::{ClientId, Mark};
use crate::jwt::dpop_proof::DpopProof;
use crate::observer::Event;
use crate::otp::guess_budget::{RedeemChallenge, Redeemed};
use crate::secret::PresentedSecret;
use crate::secret::code_challenge::challenge_of;
use crate::secret::sealed::{OtpTokenContent, Shown};
use crate::store::Store;
use crate::time::Timestamp;
use crate::wire::error::Unavailable;
use crate::wire::request::PresentedProof;

pub(crate) async fn verify_otp<S: Store, D: Directory>(
    core: &Core<S, D>,
    request: VerifyRequest<'_>,
) -> Result<VerifiedAddress, VerifyError> {
    let mut turn = Turn::new(core);
    let VerifyRequest { client_id, usage, address, otp_token, otp, code_verifier, proof: dpop, device_token } = request;
    // Only the token endpoint redeems the code of a login.
    if usage == Usage::Login {
        return Err(VerifyError::MismatchedOtpToken);
    }
    let dpop = match dpop {
        Some(dpop) if core.settings.dpop != DpopSupport::Off => {
            Some(DpopProof::at_route(&dpop, core.clock.now()).map_err(VerifyError::InvalidDpopProof)?)
        }
        _ => None,
    };
    let dpop = dpop.as_ref().map(DpopProof::proof_use);
    let challenge = challenge_of(code_verifier.as_ref()).map_err(|_| VerifyError::UnknownOtpToken)?;
    let shown = Shown { challenge: challenge.as_ref(), key: dpop.map(|dpop| dpop.key.as_bytes()) };
    let token = OtpTokenContent::unseal(&otp_token, shown, &core.keyring, core.clock.now())
        .map_err(|_| VerifyError::UnknownOtpToken)?;
    if token.binding != core.keyring.binding(client_id, None, &address, usage) {
        return Err(VerifyError::MismatchedOtpToken);
    }

    let key = core.keyring.authenticator_key(&address, &core.settings.addresses);
    let mark = Mark::from_bytes(turn.random()?);
    // As in a login, one mark identifies the guess and another one the spending.
    let spender = Mark::from_bytes(turn.random()?);
    let device = device_token::presented(core, device_token.as_ref(), &key, client_id);
    let policy = &core.settings.code;
    let guess = Guess { key, token: &token, mark, presented: &otp, device, policy, test: None, proof: dpop };
    let (proof, loaded) = guess::prove(&mut turn, client_id, guess).await?;
    // The answer to a verification is never repeated, so its challenge is always spendable.
    let Proof::Spendable(proven) = proof else { return Err(VerifyError::UnknownOtpToken) };
    let redeem =
        RedeemChallenge { proven: &proven, spender, session: None, device, new_device: None, limits: &core.limits };
    let mut redeemed = match guess::spend(&mut turn, loaded, &redeem).await {
        Ok(redeemed) => redeemed,
        Err(refused) => {
            if matches!(refused, GuessRefused::Unavailable) {
                guess::release(&mut turn, None, &guess, spender).await;
            }
            return Err(refused.into());
        }
    };

    guard::credit(&mut turn, &address, key, redeemed.take_settlement(), false).await;
    core.observer.event(&Event::Verified { client: client_id, address: key, usage });
    Ok(VerifiedAddress::new(redeemed, address, usage, core.clock.now()))
}

/// A code that a client presents for a usage other than login. The host has already authenticated the client.
#[derive(Debug)]
#[non_exhaustive]
pub struct VerifyRequest<'a> {
    /// The client that requested the code.
    pub client_id: &'a ClientId,
    /// What the code was requested for.
    pub usage: Usage,
    /// The address that the code was sent to.
    pub address: Address,
    /// The otp_token that came with the code.
    pub otp_token: PresentedSecret<'a>,
    /// The code.
    pub otp: PresentedSecret<'a>,
    /// The verifier of the code challenge that came with the request for the code.
    pub code_verifier: Option<PresentedSecret<'a>>,
    /// The proof of the key that the code was requested with (RFC 9449). The host's own route must be the URL of the
    /// proof. The nonce of the proof is not looked at.
    pub proof: Option<PresentedProof<'a>>,
    /// The device token of an earlier login to this address.
    pub device_token: Option<PresentedSecret<'a>>,
}

impl<'a> VerifyRequest<'a> {
    /// Makes a request from a code and the otp_token that came with it.
    pub fn new(
        client_id: &'a ClientId,
        usage: Usage,
        address: Address,
        otp_token: PresentedSecret<'a>,
        otp: PresentedSecret<'a>,
    ) -> Self {
        Self { client_id, usage, address, otp_token, otp, code_verifier: None, proof: None, device_token: None }
    }

    /// Adds the verifier of the code challenge that came with the request for the code. Without a challenge, a verifier
    /// is refused (RFC 9700 section 2.1.1).
    ///
    /// The server doesn't look up the client of this request. A host whose client
    /// [requires challenges](crate::Client::with_required_code_challenge) should refuse a request without a verifier.
    /// Otherwise the codes that were sent before the client required challenges can still be redeemed without one.
    #[must_use]
    pub fn with_code_verifier(mut self, verifier: PresentedSecret<'a>) -> Self {
        self.code_verifier = Some(verifier);
        self
    }

    /// Adds the proof of the key that the code was requested with. A code that was requested without a key needs none,
    /// and [`Settings::dpop`](crate::Settings::dpop) must be on for the proof to be read.
    ///
    /// RFC 9449 section 4.3.
    #[must_use]
    pub fn with_proof(mut self, proof: PresentedProof<'a>) -> Self {
        self.proof = Some(proof);
        self
    }

    /// Presents the device token of an earlier login to this address, as
    /// [`SendRequest::with_device_token`](crate::wire::SendRequest::with_device_token) does.
    #[must_use]
    pub fn with_device_token(mut self, token: PresentedSecret<'a>) -> Self {
        self.device_token = Some(token);
        self
    }
}

/// Proof that the sender of the request reads messages to the address. The code is spent, so this proof exists once.
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

    /// Returns the address that was verified.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Returns what the address was verified for. Proof for one usage is no proof for another.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Returns when the address was verified.
    pub fn verified_at(&self) -> Timestamp {
        self.verified_at
    }
}

/// Why a code was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// This server did not make the otp_token, or the token was altered, has expired or is spent, or no guess is left.
    UnknownOtpToken,
    /// The client, the address or the usage differs from the request that the code was sent for.
    MismatchedOtpToken,
    /// The code is wrong or has expired.
    UnknownOtp {
        /// The number of guesses that are left.
        attempts_remaining: usize,
    },
    /// The host's fault: the store or the random bytes failed. The request is safe to repeat. What the request has
    /// stored is taken back. If that also fails, one guess or the code is lost.
    TemporarilyUnavailable,
    /// The DPoP proof is invalid, or was used before.
    InvalidDpopProof(DpopError),
}

impl core::fmt::Display for VerifyError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::UnknownOtpToken => "unknown or expired otp_token",
            Self::MismatchedOtpToken => "otp_token and parameters do not match",
            Self::UnknownOtp { .. } => "unknown or expired code",
            Self::TemporarilyUnavailable => "temporarily unavailable",
            Self::InvalidDpopProof(cause) => return cause.fmt(f),
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
            GuessRefused::ReplayedProof => Self::InvalidDpopProof(DpopError::Replayed),
            GuessRefused::Unavailable => Self::TemporarilyUnavailable,
        }
    }
}
