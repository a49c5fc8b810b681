//! Phone numbers: how they are read, and which of them can't be a telephone.

use std::sync::Arc;

/// A normalised phone number. Made by [`AddressPolicy::phone_number`](crate::AddressPolicy::phone_number).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber(pub(super) Arc<str>);

impl PhoneNumber {
    /// Returns the digits of the number, with `+` before them where it is international.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the calling code, if the number is international. All of North America has one.
    pub(crate) fn calling_code(&self) -> Option<&str> {
        self.0.strip_prefix('+').and_then(Self::calling_code_of)
    }

    /// Returns the calling code that digits begin with.
    pub(crate) fn calling_code_of(digits: &str) -> Option<&str> {
        let code = digits.get(..calling_code_len(digits)).filter(|code| !code.starts_with('0'))?;
        code.bytes().all(|byte| byte.is_ascii_digit()).then_some(code)
    }

    /// Returns the number without its last 4 digits: the block that it belongs to.
    pub(crate) fn block(&self) -> &str {
        self.0.len().checked_sub(DIGITS_WITHIN_A_BLOCK).and_then(|end| self.0.get(..end)).unwrap_or_default()
    }
}

impl core::fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PhoneNumber(..)")
    }
}

/// A text is not a phone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedPhoneNumber(pub(super) ());

impl core::fmt::Display for MalformedPhoneNumber {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not a phone number")
    }
}

impl core::error::Error for MalformedPhoneNumber {}

/// Returns the digits and the leading `+` of `text`, if it has nothing else but a limited number of separators.
pub(super) fn strip_separators(text: &str) -> Option<String> {
    let mut number = String::with_capacity(MAX_DIGITS + 1);
    let mut digits = 0;
    for character in text.chars() {
        match character {
            ' ' | '-' | '.' | '(' | ')' => continue,
            '+' if number.is_empty() => {}
            '0'..='9' if digits < MAX_DIGITS => digits += 1,
            _ => return None,
        }
        number.push(character);
    }
    Some(number)
}

/// Tells whether the first digits of a number with `+` show that it is not an international number. Such a number
/// contains digits of the national spelling, which a caller leaves out when dialling.
pub(super) fn has_national_digits(number: &str) -> bool {
    let Some(digits) = number.strip_prefix('+') else { return false };
    match digits.as_bytes() {
        // No country code begins with zero.
        [b'0', ..] => true,
        // North America: ten digits, of which the first is neither 0 nor 1. Exchanges ignore more of them.
        [b'1', national @ ..] => national.len() != 10 || matches!(national, [b'0' | b'1', ..]),
        _ => digits
            .split_at_checked(calling_code_len(digits))
            .is_some_and(|(code, national)| national.starts_with('0') && !BEFORE_A_ZERO.contains(&code)),
    }
}

/// Returns how many digits the calling code has that these digits begin with.
fn calling_code_len(digits: &str) -> usize {
    if digits.starts_with(['1', '7']) {
        1
    } else if digits.get(..2).is_some_and(|code| CODES_OF_TWO_DIGITS.contains(&code)) {
        2
    } else {
        3
    }
}

/// Returns the digits by which numbers of an unknown country are told apart. A shorter number is compared as a whole.
pub(super) fn last_digits(number: &str) -> &str {
    let digits = number.trim_start_matches('+');
    digits.len().checked_sub(TOLD_APART_BY).and_then(|from| digits.get(from..)).unwrap_or(digits)
}

/// E.164 has at most 15 digits; the shortest numbers in use have 7 with their country code.
pub(super) const MIN_DIGITS: usize = 7;
pub(super) const TOLD_APART_BY: usize = 8;
pub(super) const MAX_DIGITS: usize = 15;
const DIGITS_WITHIN_A_BLOCK: usize = 4;

/// The country codes of two digits (ITU-T E.164 annex). Codes that begin with 1 or 7 have one digit. All other codes
/// have three.
pub(super) const CODES_OF_TWO_DIGITS: [&str; 44] = [
    "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49", "51",
    "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84", "86", "90",
    "91", "92", "93", "94", "95", "98",
];

/// The country codes after which a mobile or landline number can begin with zero, from the metadata of libphonenumber
/// 9: Italy, Côte d'Ivoire, Burkina Faso, Benin, Gabon, Congo, Rwanda, San Marino, the Vatican and Tajikistan.
pub(super) const BEFORE_A_ZERO: [&str; 10] = ["39", "225", "226", "229", "241", "242", "250", "378", "379", "992"];
