//! The DPoP proof of a request: it is checked before the client is known, and its error is answered after the client is
//! authenticated.

use crate::directory::client::Client;
use crate::dpop::target::Target;
use crate::dpop::{DpopError, DpopNonce, DpopPolicy, DpopSupport, KeyThumbprint, ProofUse};
use crate::flow::core::Parts;
use crate::jwt::dpop_proof::DpopProof;
use crate::session::bound_key::PresentedKey;
use crate::wire::error::{SendError, TokenError};
use crate::wire::request::DpopHeader;

/// A proof that was checked, before it is known whether its client needs one.
#[must_use]
pub(crate) struct Examined(Result<Option<DpopProof>, DpopError>);

impl Examined {
    /// Checks the proof of a request to an endpoint of the server.
    pub(crate) fn at_endpoint(parts: &Parts, header: Option<&DpopHeader<'_>>, target: Option<&Target>) -> Self {
        Self(match (header, target) {
            (Some(header), Some(target)) if parts.settings.dpop != DpopSupport::Off => {
                DpopProof::verify(header.as_str(), "POST", target, parts.clock.now()).map(Some)
            }
            _ => Ok(None),
        })
    }

    /// Answers the error of the proof, unless the client has no use for one.
    pub(crate) fn of_client(self, parts: &Parts, client: &Client) -> Result<ClientKey, DpopRefused> {
        let policy = client.dpop();
        let proof = match self.0 {
            Ok(proof) => proof,
            // An otp_token and a session that are bound to a key need it in every mode, and then there is none.
            Err(_) if policy.is_off() => None,
            Err(error) => return Err(DpopRefused::Invalid(error)),
        };
        if policy.requires_proof() && proof.is_none() {
            return Err(DpopRefused::Invalid(DpopError::Missing));
        }
        if policy.requires_nonce() && !proof.as_ref().is_some_and(|proof| has_nonce(parts, proof)) {
            return Err(DpopRefused::UseNonce(next_nonce(parts)));
        }
        let proof = proof.map(|proof| *proof.proof_use());
        Ok(ClientKey { proof, policy, is_public: !client.is_confidential() })
    }
}

/// The key that an authenticated client has proved, if it has proved one.
pub(crate) struct ClientKey {
    proof: Option<ProofUse>,
    policy: DpopPolicy,
    is_public: bool,
}

impl ClientKey {
    /// Returns the key, whether or not tokens are bound to it. What is bound to a key needs it in every mode.
    pub(crate) fn thumbprint(&self) -> Option<&KeyThumbprint> {
        self.proof.as_ref().map(|proof| &proof.key)
    }

    /// Returns the proof that counts as used: where the tokens of the client are bound to its key, and in every mode
    /// where what is redeemed needs the key.
    pub(crate) fn used_proof(&self, needs_key: bool) -> Option<&ProofUse> {
        self.proof.as_ref().filter(|_| needs_key || !self.policy.is_off())
    }

    /// Returns the key that the tokens of the client are bound to.
    pub(crate) fn of_tokens(&self) -> Option<KeyThumbprint> {
        self.used_proof(false).map(|proof| proof.key)
    }

    /// Returns the proof as the record of a new session keeps it.
    pub(crate) fn of_login(&self) -> Option<PresentedKey> {
        self.of_refresh(false)
    }

    /// Returns the proof as the record of a session keeps it that is bound to a key or not.
    pub(crate) fn of_refresh(&self, is_bound: bool) -> Option<PresentedKey> {
        let binds_refresh_tokens = self.is_public && !self.policy.is_off();
        self.used_proof(is_bound).map(|&proof| PresentedKey { proof, binds_refresh_tokens })
    }

    /// Returns the nonce that goes with the answer, so that the next request needs no second attempt.
    pub(crate) fn nonce_of_answer(&self, parts: &Parts) -> Option<DpopNonce> {
        self.policy.requires_nonce().then(|| next_nonce(parts))
    }
}

/// Tells whether a proof has a nonce that this server gave a short time ago.
pub(crate) fn has_nonce(parts: &Parts, proof: &DpopProof) -> bool {
    proof.nonce().is_some_and(|nonce| parts.keyring.accepts_dpop_nonce(nonce, parts.clock.now()))
}

/// Returns the nonce for the next proof.
pub(crate) fn next_nonce(parts: &Parts) -> DpopNonce {
    DpopNonce(parts.keyring.dpop_nonce(parts.clock.now()))
}

/// Why the proof of a client was refused.
pub(crate) enum DpopRefused {
    Invalid(DpopError),
    /// The proof needs this nonce.
    UseNonce(DpopNonce),
}

impl From<DpopRefused> for TokenError {
    fn from(refused: DpopRefused) -> Self {
        match refused {
            DpopRefused::Invalid(cause) => Self::InvalidDpopProof(cause),
            DpopRefused::UseNonce(nonce) => Self::UseDpopNonce(nonce),
        }
    }
}

impl From<DpopRefused> for SendError {
    fn from(refused: DpopRefused) -> Self {
        match refused {
            DpopRefused::Invalid(cause) => Self::InvalidDpopProof(cause),
            DpopRefused::UseNonce(nonce) => Self::UseDpopNonce(nonce),
        }
    }
}
