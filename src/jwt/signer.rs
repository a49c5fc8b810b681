//! The port to a key that signs outside this crate.

use core::error::Error;
use core::future::Future;
use core::pin::Pin;

/// Signs with a key that this crate does not hold: with another library, in an HSM, or at a remote key service.
///
/// [`SigningKey::of_signer`](crate::SigningKey::of_signer) makes a signing key from a signer. The crate still makes the
/// key set, the `kid` and the header, and does all verification. The crate `otp-grant-aws-lc` is a signer for AWS-LC.
///
/// # What a signer must guarantee
///
/// - It signs `message` without a change.
/// - The signature has the form of JWS, for the algorithm of the public key. For RS256 and PS256 it is as long as the
///   modulus: PKCS #1 v1.5 with SHA-256, or PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes. For ES256 it is
///   the 32 bytes of r and the 32 bytes of s, not DER. For EdDSA and Ed25519 it is 64 bytes.
/// - It waits without blocking a thread. Otherwise other requests of the host wait for it.
/// - It has a time limit, because a login waits for it twice.
///
/// A future that is dropped may have signed. Its signature is never released.
///
/// # When it fails
///
/// The request is answered with 503 and nothing is released. The client can retry, because the signature is made before
/// a code is spent or a refresh token is advanced. The error reaches the host's
/// [`Observer`](crate::observer::Observer), never a client.
///
/// RFC 7518 section 3, RFC 8037 section 3.1.
pub trait Signer: Send + Sync {
    /// The error of this signer.
    type Error: Error + Send + Sync + 'static;

    /// Whether the key can change behind the signer, as it can in an HSM or at a key service. If so, each signature is
    /// verified before anything is spent for it, and a signature by another key is answered with 503. Defaults to true.
    /// Use `false` for a key that this process holds.
    const KEY_CAN_CHANGE: bool = true;

    /// Signs `message`.
    fn sign(&self, message: &[u8]) -> impl Future<Output = Result<Vec<u8>, Self::Error>> + Send;
}

/// Says why no signing key was made from a [`Signer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignerError<E> {
    /// The signer failed. Its own error says whether it can be tried again.
    Failed(E),
    /// The public key does not verify the signature. The signer has another key, or its signatures have another form.
    WrongSignature,
}

impl<E> core::fmt::Display for SignerError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Failed(_) => "the signer failed",
            Self::WrongSignature => "the public key does not verify what the signer signed",
        })
    }
}

impl<E: Error + 'static> Error for SignerError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            Self::WrongSignature => None,
        }
    }
}

/// A [`Signer`] of any type.
pub(crate) trait AnySigner: Send + Sync {
    fn sign<'a>(&'a self, message: &'a [u8]) -> Signature<'a>;

    fn key_can_change(&self) -> bool;
}

/// The future of a signature.
pub(crate) type Signature<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<u8>, Box<dyn Error + Send + Sync>>> + Send + 'a>>;

impl<S: Signer> AnySigner for S {
    fn sign<'a>(&'a self, message: &'a [u8]) -> Signature<'a> {
        Box::pin(async move { Signer::sign(self, message).await.map_err(Into::into) })
    }

    fn key_can_change(&self) -> bool {
        S::KEY_CAN_CHANGE
    }
}
