//! Replies about DPoP proofs (RFC 9449 sections 5, 7.1, 8 and 9).

use super::Reply;
use crate::dpop::{DpopError, DpopNonce, PROOF_ALGORITHMS};

impl Reply {
    /// Makes the `invalid_dpop_proof` reply of the send endpoint and the token endpoint.
    pub(super) fn invalid_dpop_proof(cause: DpopError) -> Self {
        Self::described(400, "invalid_dpop_proof", &cause.to_string())
    }

    /// Makes the `use_dpop_nonce` reply of the send endpoint and the token endpoint.
    pub(super) fn use_dpop_nonce(nonce: &DpopNonce) -> Self {
        Self::error(400, "use_dpop_nonce").dpop_nonce(Some(nonce))
    }

    /// Makes a 401 with the challenge of a protected resource.
    pub(super) fn dpop_challenge(error: &'static str, description: &str) -> Self {
        Self::dpop_error(401, error, description, "")
    }

    /// Makes an error with the challenge of a protected resource. `needed` is the attribute `scope`, if there is one.
    pub(super) fn dpop_error(status: u16, error: &'static str, description: &str, needed: &str) -> Self {
        let algorithms = PROOF_ALGORITHMS.join(" ");
        let mut reply = Self::described(status, error, description);
        let challenge = format!(r#"DPoP error="{error}"{needed}, algs="{algorithms}""#);
        reply.headers.push(("WWW-Authenticate", challenge.into()));
        reply
    }

    /// Adds the nonce for the next proof, if there is one.
    pub(crate) fn dpop_nonce(mut self, nonce: Option<&DpopNonce>) -> Self {
        if let Some(nonce) = nonce {
            self.headers.push(("DPoP-Nonce", nonce.as_str().to_owned().into()));
        }
        self
    }
}
