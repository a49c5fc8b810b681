//! The port to signatures that are made elsewhere.

use core::error::Error;
use core::future::Future;
use core::pin::Pin;

/// Signs with a key that this crate does not hold: by another library, in an HSM, or by a remote key service.
///
/// [`SigningKey::of_signer`](crate::SigningKey::of_signer) makes a signing key of it. The key set, the `kid`, the header and
/// all verification stay the crate's. For AWS-LC there is one already, the crate `otp-grant-aws-lc`.
///
/// # What has to hold
///
/// - The signature is of `message` as it stands, in the form that JWS wants: for RS256 as long as the modulus (PKCS #1 v1.5 with
///   SHA-256), for ES256 the 32 bytes of r and the 32 of s, not DER, and for EdDSA 64 bytes.
/// - It waits without blocking a thread, if the host's other requests are to go on meanwhile.
/// - It has a time limit: a login waits for it twice.
///
/// A future that is dropped may have signed. Nobody gets to see what it signed.
///
/// # When it fails
///
/// The request is answered with 503, nothing is released, and the client may retry: the signature is asked for before a code is
/// spent or a refresh token advanced. The error reaches the host's [`Observer`](crate::Observer), never a client.
///
/// RFC 7518 section 3, RFC 8037 section 3.1.
pub trait Signer: Send + Sync {
    /// What goes wrong in this signer.
    type Error: Error + Send + Sync + 'static;

    /// Whether the key can change behind the signer, as it can in an HSM or at a key service. Each signature is then
    /// verified before anything is spent for it; one by another key is answered with 503. Defaults to true; `false` is for a
    /// key that this process holds.
    const KEY_CAN_CHANGE: bool = true;

    /// Signs `message`.
    fn sign(&self, message: &[u8]) -> impl Future<Output = Result<Vec<u8>, Self::Error>> + Send;
}

/// Why a [`Signer`] was not made a signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignerError<E> {
    /// It failed. Whether it can be tried again is in its own error.
    Failed(E),
    /// What it signed, the public key does not verify: it has another key, or gives signatures in another form.
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

/// A signature to come.
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
