//! The list of countries that messages are sent to.

use crate::address::PhoneNumber;

/// A list of calling codes, and of area codes inside `+1`. The longest code that a number begins with decides.
///
/// ```
/// use otp_grant::guard::Countries;
///
/// // China and North America, but no number of the area codes of Jamaica.
/// let countries = Countries::only(["86", "1"])?.except(["1876", "1658"])?;
/// // Of North America, New York alone.
/// let city = Countries::only(["1212"])?;
/// # Ok::<(), otp_grant::guard::InvalidCallingCode>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Countries {
    codes: Vec<(Box<str>, bool)>,
}

impl Countries {
    /// Allows the numbers of these codes and no others. A code has no `+`.
    ///
    /// # Errors
    /// [`InvalidCallingCode`] when a code is neither a calling code nor `1` and an area code.
    pub fn only<'c>(codes: impl IntoIterator<Item = &'c str>) -> Result<Self, InvalidCallingCode> {
        Self { codes: Vec::new() }.with(codes, true)
    }

    /// Refuses the numbers of these codes, unless a longer code allows them.
    ///
    /// # Errors
    /// [`InvalidCallingCode`] when a code is neither a calling code nor `1` and an area code.
    pub fn except<'c>(self, codes: impl IntoIterator<Item = &'c str>) -> Result<Self, InvalidCallingCode> {
        self.with(codes, false)
    }

    /// Tells whether messages are sent to a number. Without `+`, the country of a number is not known.
    pub(crate) fn allow(&self, number: &PhoneNumber) -> bool {
        let Some(digits) = number.as_str().strip_prefix('+') else { return false };
        let matching = self.codes.iter().filter(|(code, _)| digits.starts_with(&**code));
        // Of the same code twice, the later one decides.
        matching.max_by_key(|(code, _)| code.len()).is_some_and(|(_, allowed)| *allowed)
    }

    fn with<'c>(mut self, codes: impl IntoIterator<Item = &'c str>, allowed: bool) -> Result<Self, InvalidCallingCode> {
        for code in codes {
            if !is_code(code) {
                return Err(InvalidCallingCode(()));
            }
            self.codes.push((code.into(), allowed));
        }
        Ok(self)
    }
}

/// A text is neither a calling code nor `1` and an area code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCallingCode(());

impl core::fmt::Display for InvalidCallingCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("neither a calling code nor 1 and an area code of 3 digits")
    }
}

impl core::error::Error for InvalidCallingCode {}

fn is_code(text: &str) -> bool {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    match text.as_bytes() {
        [b'1', area @ ..] => area.is_empty() || matches!(area, [b'2'..=b'9', _, _]),
        _ => PhoneNumber::calling_code_of(text) == Some(text),
    }
}
