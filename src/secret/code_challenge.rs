//! The code challenge of a send, and the verifier that it was made from (RFC 7636).

use base64::Engine;

use crate::base64url::BASE64URL;
use crate::secret::{PresentedSecret, sha256};

/// The SHA-256 digest of a code verifier, as a client sends it with the request for a code.
///
/// The caller that redeems the code must present the verifier. An otp_token and a code that were stolen together are
/// worth nothing without the verifier. The only method is `S256`.
///
/// ```
/// use otp_grant::secret::CodeChallenge;
///
/// let challenge = CodeChallenge::of_verifier("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")?;
/// assert_eq!(challenge.to_string(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
/// assert_eq!(CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), Ok(challenge));
/// # Ok::<(), otp_grant::secret::InvalidCodeVerifier>(())
/// ```
///
/// RFC 7636 section 4.2.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CodeChallenge([u8; Self::LEN]);

impl CodeChallenge {
    const LEN: usize = 32;

    /// Parses a challenge: 43 characters of base64url without padding.
    ///
    /// # Errors
    /// [`InvalidCodeChallenge`] when the text is not base64url of 32 bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidCodeChallenge> {
        let mut bytes = [0; Self::LEN];
        match BASE64URL.decode_slice(text, &mut bytes) {
            Ok(Self::LEN) => Ok(Self(bytes)),
            _ => Err(InvalidCodeChallenge),
        }
    }

    /// Makes the challenge of a verifier: 43 to 128 characters, each a letter, a digit or one of `-._~`.
    ///
    /// The client must draw the verifier at random, and use it for one login only.
    ///
    /// # Errors
    /// [`InvalidCodeVerifier`] when the text is too short or too long, or has another character.
    ///
    /// RFC 7636 sections 4.1 and 4.2.
    pub fn of_verifier(verifier: &str) -> Result<Self, InvalidCodeVerifier> {
        let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if (43..=128).contains(&verifier.len()) && verifier.bytes().all(is_unreserved) {
            Ok(Self(sha256(verifier.as_bytes())))
        } else {
            Err(InvalidCodeVerifier)
        }
    }

    pub(super) const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// Writes the challenge as a client sends it.
impl core::fmt::Display for CodeChallenge {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&BASE64URL.encode(self.0))
    }
}

impl core::fmt::Debug for CodeChallenge {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("CodeChallenge(..)")
    }
}

/// Returns the challenge of the verifier that a caller presents, if it presents one.
pub(crate) fn challenge_of(
    verifier: Option<&PresentedSecret<'_>>,
) -> Result<Option<CodeChallenge>, InvalidCodeVerifier> {
    verifier.map(|verifier| CodeChallenge::of_verifier(verifier.expose_secret())).transpose()
}

/// A text is not a code challenge: base64url of 32 bytes, without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an error that says all there is by its name")]
pub struct InvalidCodeChallenge;

impl core::fmt::Display for InvalidCodeChallenge {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a code challenge must be base64url of 32 bytes, without padding")
    }
}

impl core::error::Error for InvalidCodeChallenge {}

/// A text is not a code verifier: 43 to 128 characters, each a letter, a digit or one of `-._~`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an error that says all there is by its name")]
pub struct InvalidCodeVerifier;

impl core::fmt::Display for InvalidCodeVerifier {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a code verifier must have 43 to 128 letters, digits and characters of `-._~`")
    }
}

impl core::error::Error for InvalidCodeVerifier {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_rfc_7636_gives_its_challenge() {
        let challenge = CodeChallenge::of_verifier(VERIFIER).unwrap();
        assert_eq!(challenge.to_string(), CHALLENGE);
        assert_eq!(CodeChallenge::parse(CHALLENGE), Ok(challenge));
        assert_eq!(format!("{challenge:?}"), "CodeChallenge(..)");
    }

    #[test]
    fn a_challenge_is_base64url_of_32_bytes_and_has_one_spelling() {
        let padded = format!("{CHALLENGE}=");
        let of_31_bytes = "A".repeat(42);
        let of_33_bytes = "A".repeat(44);
        // The last character carries two bits that no byte uses.
        let with_bits_beyond = format!("{}N", CHALLENGE.trim_end_matches('M'));
        let base64 = CHALLENGE.replace('-', "+");
        for wrong in [&padded, &of_31_bytes, &of_33_bytes, &with_bits_beyond, &base64, "", &CHALLENGE.replace('9', " ")]
        {
            assert_eq!(CodeChallenge::parse(wrong), Err(InvalidCodeChallenge), "{wrong:?}");
        }
    }

    #[test]
    fn a_verifier_has_43_to_128_unreserved_characters() {
        for len in [43, 44, 127, 128] {
            assert!(CodeChallenge::of_verifier(&"a".repeat(len)).is_ok(), "{len}");
        }
        for len in [0, 1, 42, 129, 1000] {
            assert_eq!(CodeChallenge::of_verifier(&"a".repeat(len)), Err(InvalidCodeVerifier), "{len}");
        }
        for byte in 0..=127_u8 {
            let verifier = VERIFIER.replace('B', &char::from(byte).to_string());
            let is_allowed = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
            assert_eq!(CodeChallenge::of_verifier(&verifier).is_ok(), is_allowed, "{byte}");
        }
        assert!(CodeChallenge::of_verifier(&"é".repeat(43)).is_err());
    }
}
