//! Texts: those that carry a code, and how long a text is as an SMS.

use crate::secret::wipe;

/// A text that contains a code: the text of an SMS, or a part of an e-mail. It is wiped when dropped.
pub struct MessageText(String);

impl MessageText {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// Reveals the text. Search for this name to find every place that handles a secret.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Debug for MessageText {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("MessageText(..)")
    }
}

impl Drop for MessageText {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// How an SMS is encoded on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SmsEncoding {
    /// The 7-bit alphabet (3GPP TS 23.038 section 6.2.1), in septets.
    Gsm7,
    /// 16-bit units. One character outside the 7-bit alphabet makes the whole message UCS-2.
    Ucs2,
}

/// How long a text is as an SMS. Providers charge per segment.
///
/// ```
/// use otp_grant::message::{SmsEncoding, SmsLength};
///
/// let english = SmsLength::of("Costs 5€");
/// assert_eq!((english.encoding(), english.units(), english.segments()), (SmsEncoding::Gsm7, 9, 1));
/// let chinese = SmsLength::of(&"码".repeat(71));
/// assert_eq!((chinese.encoding(), chinese.units(), chinese.segments()), (SmsEncoding::Ucs2, 71, 2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmsLength {
    encoding: SmsEncoding,
    units: usize,
    segments: usize,
}

impl SmsLength {
    /// Measures a text.
    pub fn of(text: &str) -> Self {
        let (encoding, whole, part) = match text.chars().all(|c| septets(c).is_some()) {
            true => (SmsEncoding::Gsm7, SEPTETS, SEPTETS_OF_A_PART),
            false => (SmsEncoding::Ucs2, UNITS, UNITS_OF_A_PART),
        };
        let sizes = || text.chars().map(|c| size(encoding, c));
        let units = sizes().sum();
        if units <= whole {
            return Self { encoding, units, segments: 1 };
        }
        // A character of two units is in one segment, which can leave the last unit of a segment empty.
        let fill = |(segments, used): (usize, usize), size| match used + size > part {
            true => (segments + 1, size),
            false => (segments, used + size),
        };
        let (segments, _) = sizes().fold((1, 0), fill);
        Self { encoding, units, segments }
    }

    /// Returns how the text is encoded.
    pub fn encoding(&self) -> SmsEncoding {
        self.encoding
    }

    /// Returns the length in septets or in 16-bit units.
    pub fn units(&self) -> usize {
        self.units
    }

    /// Returns how many segments the text takes.
    pub fn segments(&self) -> usize {
        self.segments
    }
}

fn size(encoding: SmsEncoding, character: char) -> usize {
    match encoding {
        SmsEncoding::Gsm7 => septets(character).unwrap_or_default(),
        SmsEncoding::Ucs2 => character.len_utf16(),
    }
}

/// How many septets a character takes. `None` for a character outside the 7-bit alphabet.
pub(crate) fn septets(character: char) -> Option<usize> {
    match character {
        _ if BASIC.contains(character) => Some(1),
        _ if EXTENSION.contains(character) => Some(2),
        _ => None,
    }
}

/// Finds the host and the code of an origin-bound text as browsers do, with the expression
/// `(?:^|\s)@([a-zA-Z0-9.-]+) #([^#\s]+)`. It returns the first match.
pub(crate) fn origin_bound(text: &str) -> Option<(&str, &str)> {
    text.match_indices('@').find_map(|(at, _)| {
        let (before, rest) = (text.get(..at)?, text.get(at + 1..)?);
        if before.chars().next_back().is_some_and(|last| !last.is_whitespace()) {
            return None;
        }
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-')))?;
        let (host, rest) = rest.split_at_checked(end)?;
        let code = rest.strip_prefix(" #")?;
        let code = code.split(|c: char| c == '#' || c.is_whitespace()).next()?;
        (!host.is_empty() && !code.is_empty()).then_some((host, code))
    })
}

/// The basic table. It has no backtick.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
                     abcdefghijklmnopqrstuvwxyzäöñüà";
/// The extension table: an escape, and the character.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";
const SEPTETS: usize = 160;
const SEPTETS_OF_A_PART: usize = 153;
const UNITS: usize = 70;
const UNITS_OF_A_PART: usize = 67;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_ends_where_the_standard_says() {
        use SmsEncoding::{Gsm7, Ucs2};
        for (text, encoding, units, segments) in [
            (String::new(), Gsm7, 0, 1),
            ("a".repeat(160), Gsm7, 160, 1),
            ("a".repeat(161), Gsm7, 161, 2),
            ("a".repeat(306), Gsm7, 306, 2),
            ("a".repeat(307), Gsm7, 307, 3),
            ("€".repeat(80), Gsm7, 160, 1),
            ("€".repeat(81), Gsm7, 162, 2),
            // 76 pairs fill 152 septets of a segment, and the last septet stays empty.
            ("€".repeat(152), Gsm7, 304, 2),
            ("€".repeat(153), Gsm7, 306, 3),
            ("я".repeat(70), Ucs2, 70, 1),
            ("я".repeat(71), Ucs2, 71, 2),
            ("я".repeat(134), Ucs2, 134, 2),
            ("я".repeat(135), Ucs2, 135, 3),
            ("😀".repeat(35), Ucs2, 70, 1),
            ("😀".repeat(66), Ucs2, 132, 2),
            ("😀".repeat(67), Ucs2, 134, 3),
            ("a`".to_owned(), Ucs2, 2, 1),
            ("código".to_owned(), Ucs2, 6, 1),
        ] {
            let expected = SmsLength { encoding, units, segments };
            assert_eq!(SmsLength::of(&text), expected, "{} times {:?}", text.chars().count(), text.chars().next());
        }
        assert_eq!((BASIC.chars().count(), EXTENSION.chars().count()), (127, 10), "128 without the escape");
    }

    #[test]
    fn the_browsers_expression_is_followed() {
        for (text, found) in [
            ("@a.example #1", Some(("a.example", "1"))),
            ("x\n@a.example #12 34", Some(("a.example", "12"))),
            ("x @a-b.Example #12#34", Some(("a-b.Example", "12"))),
            ("x@a.example #1", None),
            ("@a.example  #1", None),
            ("@a_b.example #1", None),
            ("@ #1", None),
            ("@a #", None),
            ("@a ##1", None),
            ("@@a #1 @b #2", Some(("b", "2"))),
            ("@a", None),
            ("", None),
        ] {
            assert_eq!(origin_bound(text), found, "{text}");
        }
    }

    #[test]
    fn a_text_with_a_code_is_not_printed() {
        assert_eq!(format!("{:?}", MessageText::new("123456".into())), "MessageText(..)");
    }
}
