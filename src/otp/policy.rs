//! The shape of codes, and how long codes and otp_tokens are valid.

use core::num::NonZeroU8;
use core::time::Duration;
use std::sync::Arc;

/// Says how codes are spelled, and how long codes and their otp_tokens are valid.
#[derive(Clone, Debug)]
pub struct CodePolicy {
    shape: CodeShape,
    validity: Duration,
    token_validity: Duration,
}

impl CodePolicy {
    /// Makes a policy for codes of `length` digits that are valid for `validity`.
    ///
    /// The otp_token is valid for 5 minutes, or for as long as the code if that is longer.
    ///
    /// # Errors
    /// [`InvalidCodePolicy`] when there are fewer than 4 or more than 10 digits, or when a code is valid for less than
    /// a second or more than a day. (NIST SP 800-63B section 3.1.3 requires at least 6 digits and at most 10 minutes.)
    pub fn new(length: u8, validity: Duration) -> Result<Self, InvalidCodePolicy> {
        let length =
            NonZeroU8::new(length).filter(|length| LENGTHS.contains(&length.get())).ok_or(InvalidCodePolicy)?;
        if validity < Duration::from_secs(1) || validity > LONGEST_VALIDITY {
            return Err(InvalidCodePolicy);
        }
        Ok(Self { shape: CodeShape { length, alphabet: None }, validity, token_validity: TOKEN_VALIDITY.max(validity) })
    }

    /// Replaces the ten digits with another alphabet of 2 to 64 printable ASCII characters without repetition.
    ///
    /// # Errors
    /// [`InvalidCodePolicy`] when the alphabet is of another kind, or when it allows fewer than 10,000 different codes.
    pub fn with_alphabet(mut self, alphabet: &str) -> Result<Self, InvalidCodePolicy> {
        let distinct: std::collections::BTreeSet<u8> = alphabet.bytes().filter(u8::is_ascii_graphic).collect();
        let codes = distinct.len().saturating_pow(u32::from(self.length()));
        if distinct.len() != alphabet.len() || !(2..=64).contains(&alphabet.len()) || codes < 10_000 {
            return Err(InvalidCodePolicy);
        }
        self.shape.alphabet = (alphabet != DIGITS).then(|| alphabet.into());
        Ok(self)
    }

    /// Replaces the validity of the otp_token. It can be longer than the validity of the code, because a resend renews
    /// only the token.
    ///
    /// # Errors
    /// [`InvalidCodePolicy`] when it is shorter than the code's validity, or longer than a day.
    pub fn with_token_validity(mut self, validity: Duration) -> Result<Self, InvalidCodePolicy> {
        if validity < self.validity || validity > LONGEST_VALIDITY {
            return Err(InvalidCodePolicy);
        }
        self.token_validity = validity;
        Ok(self)
    }

    /// Returns how many characters a code has.
    pub fn length(&self) -> u8 {
        self.shape.length.get()
    }

    /// Returns how long a code is valid.
    pub fn validity(&self) -> Duration {
        self.validity
    }

    /// Returns how long an otp_token is valid.
    pub fn token_validity(&self) -> Duration {
        self.token_validity
    }

    pub(crate) fn shape(&self) -> &CodeShape {
        &self.shape
    }

    /// Returns the default policy of an auth source: codes of 6 digits that are valid for 3 minutes, and otp_tokens
    /// that are valid for 5 minutes.
    pub fn for_login() -> Self {
        Self { validity: LOGIN_VALIDITY, ..Self::default() }
    }
}

/// Codes of 6 digits that are valid for 60 seconds, and otp_tokens that are valid for 5 minutes.
impl Default for CodePolicy {
    fn default() -> Self {
        let shape = CodeShape { length: SIX, alphabet: None };
        Self { shape, validity: Duration::from_secs(60), token_validity: TOKEN_VALIDITY }
    }
}

/// How codes are spelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodeShape {
    pub(crate) length: NonZeroU8,
    /// `None` for the ten digits.
    pub(crate) alphabet: Option<Arc<str>>,
}

impl CodeShape {
    pub(crate) fn alphabet(&self) -> &str {
        self.alphabet.as_deref().unwrap_or(DIGITS)
    }

    /// Tells whether a text has the shape of a code. It takes equally long for all texts of one length.
    pub(crate) fn fits(&self, text: &str) -> bool {
        let alphabet = self.alphabet().as_bytes();
        let is_known = |byte: u8| alphabet.iter().fold(false, |found, known| found | (*known == byte));
        text.len() == usize::from(self.length.get()) && text.bytes().fold(true, |all, byte| all & is_known(byte))
    }
}

/// A code policy is out of its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "an error that says all there is by its name")]
pub struct InvalidCodePolicy;

impl core::fmt::Display for InvalidCodePolicy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("a code's length, alphabet or validity is out of bounds")
    }
}

impl core::error::Error for InvalidCodePolicy {}

const LENGTHS: core::ops::RangeInclusive<u8> = 4..=10;
const SIX: NonZeroU8 = NonZeroU8::MIN.saturating_add(5);
const DIGITS: &str = "0123456789";
const TOKEN_VALIDITY: Duration = Duration::from_secs(300);
const LOGIN_VALIDITY: Duration = Duration::from_secs(180);
const LONGEST_VALIDITY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn an_alphabet_has_each_character_once_and_makes_ten_thousand_codes() {
        let graphic: String = (b'!'..=b'~').map(char::from).collect();
        for (length, alphabet, is_good) in [
            (4, "0123456789", true),
            (4, "0123456789A", true),
            (4, "012345678", false),
            (10, "01234567890", false),
            (10, "abc\u{e9}defghijk", false),
            (10, "abc defghijk", false),
            (10, &graphic[..64], true),
            (10, &graphic[..65], false),
        ] {
            let policy = CodePolicy::new(length, Duration::from_secs(60)).unwrap();
            assert_eq!(policy.with_alphabet(alphabet).is_ok(), is_good, "{length} of {alphabet}");
        }
    }

    #[test]
    fn an_otp_token_is_valid_for_as_long_as_its_code_and_for_a_day_at_most() {
        let day = Duration::from_secs(86_400);
        let (code, millisecond) = (Duration::from_secs(60), Duration::from_millis(1));
        for (validity, is_good) in [
            (code - millisecond, false),
            (code, true),
            (code + millisecond, true),
            (day, true),
            (day + millisecond, false),
        ] {
            let policy = CodePolicy::new(6, code).unwrap().with_token_validity(validity);
            assert_eq!(policy.is_ok(), is_good, "{validity:?}");
            assert!(policy.is_err() || policy.unwrap().token_validity() == validity);
        }
    }
}
