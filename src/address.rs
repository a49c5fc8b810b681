//! Phone numbers and e-mail addresses: parsed and normalised once, so that one address has one spelling.

use std::sync::Arc;

use email_address::Options;
use serde::{Deserialize, Serialize};

/// How addresses are read. What it returns is normalised; reading that again gives the same value.
///
/// Phone numbers without `+` are kept as written unless the policy says which country they belong to. E-mail addresses
/// have an ASCII local part unless the policy allows others.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use otp_grant::AddressPolicy;
///
/// let policy = AddressPolicy::default().with_country_code("86")?;
/// assert_eq!(policy.phone_number("136-1234-5678")?.as_str(), "+8613612345678");
/// assert_eq!(policy.email("User@EXAMPLE.com")?.as_str(), "user@example.com");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    national: NationalNumbers,
    international_local_parts: bool,
}

impl AddressPolicy {
    /// Puts `+` and a country code before every number that has no `+`.
    ///
    /// With `86`, `13612345678` and `+8613612345678` are the same number. Nothing else is rewritten: where national
    /// numbers begin with a trunk prefix such as `0`, use [`with_national_numbers`](Self::with_national_numbers).
    ///
    /// # Errors
    /// [`InvalidCountryCode`] unless `code` is 1 to 3 digits that do not begin with zero.
    pub fn with_country_code(mut self, code: &str) -> Result<Self, InvalidCountryCode> {
        let digits = (1..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || code.starts_with('0') {
            return Err(InvalidCountryCode(()));
        }
        self.national = NationalNumbers::CountryCode(code.into());
        Ok(self)
    }

    /// Asks `internationalise` for the international form of every number that has no `+`.
    ///
    /// It gets the digits alone, and has to be a pure function of them. A number is refused where it returns `None`, or
    /// a text that is not a number beginning with `+`.
    ///
    /// ```
    /// let policy = otp_grant::AddressPolicy::default()
    ///     .with_national_numbers(|digits| digits.strip_prefix('0').map(|rest| format!("+44{rest}")));
    /// assert_eq!(policy.phone_number("07911 123456").unwrap().as_str(), "+447911123456");
    /// assert!(policy.phone_number("7911 123456").is_err());
    /// ```
    #[must_use]
    pub fn with_national_numbers(
        mut self,
        internationalise: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.national = NationalNumbers::Host(Arc::new(internationalise));
        self
    }

    /// Accepts e-mail addresses with a local part beyond ASCII (RFC 6531). Defaults to refusing them.
    ///
    /// Such a local part has to be in lower case and in the form that UTS 46 maps to, and to have no character whose
    /// other case is an ASCII letter, as the Kelvin sign and the dotless i have: a mail system or a database that folds
    /// them would take one person's address for another's. Whether all systems behind the host tell the remaining
    /// characters apart is for the host to know.
    #[must_use]
    pub fn with_international_local_parts(mut self) -> Self {
        self.international_local_parts = true;
        self
    }

    /// Reads a phone number: 7 to 15 ASCII digits, with `+` before them where it is international.
    ///
    /// Spaces, hyphens, dots and parentheses are dropped.
    ///
    /// # Errors
    /// [`MalformedPhoneNumber`] when there is anything else, or the host's function gives no number.
    pub fn phone_number(&self, text: &str) -> Result<PhoneNumber, MalformedPhoneNumber> {
        let number = strip_separators(text).ok_or(MalformedPhoneNumber(()))?;
        let international = if number.starts_with('+') {
            Some(number)
        } else {
            match &self.national {
                NationalNumbers::AsWritten => Some(number),
                NationalNumbers::CountryCode(code) => strip_separators(&format!("+{code}{number}")),
                // A result that was national still would be given to the function again when it is read again.
                NationalNumbers::Host(internationalise) => internationalise(&number)
                    .and_then(|number| strip_separators(&number))
                    .filter(|number| number.starts_with('+')),
            }
        };
        international
            .filter(|number| number.trim_start_matches('+').len() >= MIN_DIGITS)
            .map(|number| PhoneNumber(number.into()))
            .ok_or(MalformedPhoneNumber(()))
    }

    /// Reads an e-mail address: a dot-atom, `@` and a domain of at least two labels; 254 characters at most.
    ///
    /// ASCII letters become lower case; an international domain becomes its A-labels (UTS 46, RFC 5890). Display names,
    /// quoted local parts, comments, domain literals and surrounding white space are refused.
    ///
    /// # Errors
    /// [`MalformedEmail`] when the text is not such an address.
    pub fn email(&self, text: &str) -> Result<EmailAddress, MalformedEmail> {
        // What is longer cannot become an address, and must not cost the mapping of its domain.
        if text.len() > MAX_EMAIL_INPUT {
            return Err(MalformedEmail(()));
        }
        let (local, domain) = text.split_once('@').ok_or(MalformedEmail(()))?;
        let local = self.local_part(local).ok_or(MalformedEmail(()))?;
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| MalformedEmail(()))?;
        // RFC 3696 section 2: no top-level domain is numeric. 192.0.2.1 is an address of another kind, not a domain.
        let numeric = domain.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
        let address = format!("{local}@{domain}");
        if numeric || address.len() > MAX_EMAIL {
            return Err(MalformedEmail(()));
        }
        let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
        match email_address::EmailAddress::parse_with_options(&address, options) {
            Ok(_) => Ok(EmailAddress(address.into())),
            Err(_) => Err(MalformedEmail(())),
        }
    }

    fn local_part(&self, text: &str) -> Option<String> {
        let local = text.to_ascii_lowercase();
        let characters = local.is_ascii() || (self.international_local_parts && is_unambiguous(&local));
        // A quoted local part is another spelling of the same mailbox, so it would have budgets of its own.
        (characters && local.len() <= MAX_LOCAL_PART && !local.contains('"')).then_some(local)
    }
}

/// A phone number or an e-mail address.
///
/// ```
/// use otp_grant::{Address, AddressPolicy, Channel};
///
/// let number = AddressPolicy::default().phone_number("+1 (202) 555-0123").unwrap();
/// let address = Address::Phone(number);
/// assert_eq!((address.channel(), address.as_str()), (Channel::Sms, "+12025550123"));
/// assert_eq!(format!("{address:?}"), "Phone(PhoneNumber(..))");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A phone number.
    Phone(PhoneNumber),
    /// An e-mail address.
    Email(EmailAddress),
}

impl Address {
    /// How a code reaches the address.
    pub fn channel(&self) -> Channel {
        match self {
            Self::Phone(_) => Channel::Sms,
            Self::Email(_) => Channel::Email,
        }
    }

    /// The address, normalised.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Phone(number) => number.as_str(),
            Self::Email(email) => email.as_str(),
        }
    }
}

/// How a code reaches its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A text message to a phone number.
    Sms,
    /// A message to an e-mail address.
    Email,
}

/// A phone number, normalised. Made by [`AddressPolicy::phone_number`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber(Arc<str>);

impl PhoneNumber {
    /// The number: digits, with `+` before them where it is international.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PhoneNumber(..)")
    }
}

/// An e-mail address, normalised. Made by [`AddressPolicy::email`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress(Arc<str>);

impl EmailAddress {
    /// The address, in lower case, its domain as A-labels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("EmailAddress(..)")
    }
}

/// A text is not a phone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedPhoneNumber(());

impl core::fmt::Display for MalformedPhoneNumber {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not a phone number")
    }
}

impl core::error::Error for MalformedPhoneNumber {}

/// A text is not an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedEmail(());

impl core::fmt::Display for MalformedEmail {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not an e-mail address")
    }
}

impl core::error::Error for MalformedEmail {}

/// A text is not a country code of phone numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCountryCode(());

impl core::fmt::Display for InvalidCountryCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("not a country code of 1 to 3 digits")
    }
}

impl core::error::Error for InvalidCountryCode {}

/// Gives the international form of a national number.
type Internationalise = dyn Fn(&str) -> Option<String> + Send + Sync;

/// What becomes of a number without `+`.
#[derive(Clone, Default)]
enum NationalNumbers {
    #[default]
    AsWritten,
    CountryCode(Arc<str>),
    Host(Arc<Internationalise>),
}

impl core::fmt::Debug for NationalNumbers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::AsWritten => f.write_str("AsWritten"),
            Self::CountryCode(code) => f.debug_tuple("CountryCode").field(code).finish(),
            Self::Host(_) => f.write_str("Host(..)"),
        }
    }
}

/// The digits and the leading `+` of `text`, if there is nothing else but separators and not too much of it.
fn strip_separators(text: &str) -> Option<String> {
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

/// Tells whether a local part beyond ASCII is what UTS 46 maps it to, and stays apart from ASCII when its case changes.
fn is_unambiguous(local: &str) -> bool {
    let changes_to_ascii = |character: char| {
        !character.is_ascii() && character.to_lowercase().chain(character.to_uppercase()).any(|other| other.is_ascii())
    };
    let (mapped, valid) = idna::domain_to_unicode(local);
    valid.is_ok() && mapped == local && !local.chars().any(changes_to_ascii)
}

/// E.164 has at most 15 digits; the shortest numbers in use have 7 with their country code.
const MIN_DIGITS: usize = 7;
const MAX_DIGITS: usize = 15;

/// RFC 5321 section 4.5.3.1, and erratum 1690 of RFC 3696.
const MAX_LOCAL_PART: usize = 64;
const MAX_EMAIL: usize = 254;

/// An international domain is longer as text than as A-labels, though never this much.
const MAX_EMAIL_INPUT: usize = 4 * MAX_EMAIL;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::as_conversions)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn phone(text: &str) -> Option<String> {
        AddressPolicy::default().phone_number(text).ok().map(|number| number.as_str().to_owned())
    }

    fn email(text: &str) -> Option<String> {
        AddressPolicy::default().email(text).ok().map(|email| email.as_str().to_owned())
    }

    fn policies() -> [AddressPolicy; 4] {
        [
            AddressPolicy::default(),
            AddressPolicy::default().with_country_code("86").unwrap(),
            AddressPolicy::default().with_national_numbers(|digits| Some(digits.replacen('0', "+4 4", 1))),
            AddressPolicy::default().with_international_local_parts(),
        ]
    }

    #[test]
    fn phone_numbers_lose_their_separators() {
        for (text, number) in [
            ("13612345678", "13612345678"),
            ("+86 136-1234-5678", "+8613612345678"),
            ("(+1) 202.555.0123", "+12025550123"),
            ("1234567", "1234567"),
            ("123456789012345", "123456789012345"),
        ] {
            assert_eq!(phone(text).as_deref(), Some(number));
        }
    }

    #[test]
    fn what_is_no_phone_number_is_refused() {
        let many = " ".repeat(1 << 20);
        for text in [
            "",
            "+",
            "123456",
            "+123456",
            "1234567890123456",
            "１３６１２３４５６７８",
            "1361234\u{0}5678",
            "136+12345678",
            "++8613612345678",
            "86+13612345678",
            "1361234567a",
            "136\u{a0}12345678",
            "136\t12345678",
            "13612345678\n",
            "١٣٦١٢٣٤٥٦٧٨",
            "136–1234–5678",
            &many,
        ] {
            assert_eq!(phone(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_country_code_makes_two_spellings_one_number() {
        let policy = AddressPolicy::default().with_country_code("86").unwrap();
        let national = policy.phone_number("136 1234 5678").unwrap();
        assert_eq!(national, policy.phone_number("+8613612345678").unwrap());
        assert_eq!(national.as_str(), "+8613612345678");
        assert_ne!(policy.phone_number("+113612345678").unwrap(), national);
        // With its country code it is too long.
        assert!(policy.phone_number("12345678901234").is_err());
        for code in ["", "0", "086", "+86", "8612", "８６", "8 "] {
            assert!(AddressPolicy::default().with_country_code(code).is_err(), "{code:?}");
        }
    }

    #[test]
    fn a_result_of_the_host_is_checked_as_any_other() {
        for result in ["", "13612345678", "+86 136\0", "+12", "++8613612345678", "nonsense"] {
            let policy = AddressPolicy::default().with_national_numbers(move |_| Some(result.to_owned()));
            assert!(policy.phone_number("13612345678").is_err(), "{result:?}");
            assert!(policy.phone_number("+8613612345678").is_ok());
        }
    }

    #[test]
    fn emails_are_normalised() {
        for (text, address) in [
            ("MOCK_USERNAME@example.com", "mock_username@example.com"),
            ("first.last+tag@Sub.Example.COM", "first.last+tag@sub.example.com"),
            ("o'brien@example.com", "o'brien@example.com"),
            ("a@bücher.example", "a@xn--bcher-kva.example"),
            ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
            ("a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example"),
            ("a@faß.example", "a@xn--fa-hia.example"),
            ("a@例え。テスト", "a@xn--r8jz45g.xn--zckzah"),
            // UTS 46 maps both to ASCII, so the value is the ASCII domain, where the message goes.
            ("a@\u{212a}elvin.example", "a@kelvin.example"),
            ("a@ｅｘａｍｐｌｅ.com", "a@example.com"),
        ] {
            assert_eq!(email(text).as_deref(), Some(address), "{text}");
        }
    }

    #[test]
    fn what_is_no_email_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long_label = format!("a@{}.com", "a".repeat(64));
        let long = format!("a@{}example.com", "aaaaaaaaa.".repeat(25));
        let huge = format!("a@{}.com", "ü".repeat(1 << 20));
        for text in [
            "",
            "@",
            "a",
            "a@",
            "@example.com",
            "a@b",
            "a@localhost",
            "a@b@example.com",
            "a@example.com.",
            "a@.com",
            "a@example..com",
            ".a@example.com",
            "a.@example.com",
            "a..b@example.com",
            " a@example.com",
            "a@example.com ",
            "a@example.com\n",
            "a b@example.com",
            "a@exa mple.com",
            "\"a\"@example.com",
            "\"a@b\"@example.com",
            "a(comment)@example.com",
            "(c)a@example.com",
            "a@example.com(c)",
            "A <a@example.com>",
            "<a@example.com>",
            "a@[127.0.0.1]",
            "a@[IPv6:::1]",
            "a@192.0.2.1",
            "a@-example.com",
            "a@example-.com",
            "a@exa_mple.com",
            "a\0@example.com",
            "a@example\0.com",
            "a,b@example.com",
            "a@example.com,b@example.com",
            "a\r\n@example.com",
            "\u{212a}ate@example.com",
            "m\u{131}ke@example.com",
            "é@example.com",
            "ａ@example.com",
            "a@xn--a.example",
            "a\u{7f}@example.com",
            "a\\@example.com",
            "a@example.com\u{3000}",
            &long_local,
            &long_label,
            &long,
            &huge,
        ] {
            assert_eq!(email(text), None, "{text:?}");
        }
    }

    #[test]
    fn international_local_parts_are_a_choice() {
        let policy = AddressPolicy::default().with_international_local_parts();
        assert_eq!(policy.email("josé.ñ@EXAMPLE.com").unwrap().as_str(), "josé.ñ@example.com");
        assert_eq!(policy.email("用户@例え.テスト").unwrap().as_str(), "用户@xn--r8jz45g.xn--zckzah");
        for local in [
            "\u{212a}ate",
            "m\u{131}ke",
            "\u{130}",
            "\u{17f}am",
            "ma\u{df}",
            "ﬀ",
            "É",
            "e\u{301}",
            "ａ",
            "a\u{200b}b",
            "a\u{a0}b",
            "é\u{202e}",
            "é..e",
            "\"é\"",
            "é\0",
        ] {
            assert!(policy.email(&format!("{local}@example.com")).is_err(), "{local:?}");
        }
    }

    #[test]
    fn debug_is_redacted() {
        let policy = AddressPolicy::default();
        let phone = Address::Phone(policy.phone_number("13612345678").unwrap());
        let email = Address::Email(policy.email("a@example.com").unwrap());
        assert_eq!(format!("{phone:?} {email:?}"), "Phone(PhoneNumber(..)) Email(EmailAddress(..))");
        assert_eq!(format!("{:?}", policies()[2].national), "Host(..)");
        assert_eq!(serde_json::to_string(&phone.channel()).unwrap(), "\"sms\"");
    }

    proptest! {
        #[test]
        fn a_normalised_phone_number_stays_as_it_is(text in "[+]?[0-9 ().-]{5,20}|\\PC*") {
            for policy in policies() {
                if let Ok(number) = policy.phone_number(&text) {
                    prop_assert_eq!(&policy.phone_number(number.as_str()).unwrap(), &number);
                }
            }
        }

        #[test]
        fn a_normalised_email_stays_as_it_is(
            text in "[a-zA-Z0-9+é用]{1,8}@(\\w{1,6}[-.。]){1,3}\\w{1,6}|[a-z]@\\PC{1,4}[.][a-zäßあ]{2}|\\PC*@?\\PC*",
        ) {
            for policy in policies() {
                if let Ok(email) = policy.email(&text) {
                    prop_assert_eq!(&policy.email(email.as_str()).unwrap(), &email);
                    prop_assert!(!email.as_str().bytes().any(|byte| byte.is_ascii_uppercase()));
                }
            }
        }
    }
}
