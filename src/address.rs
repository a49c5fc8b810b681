//! Phone numbers and e-mail addresses: parsed and normalised once, so that one address has one spelling.

use std::borrow::Cow;
use std::sync::Arc;

use email_address::Options;
use serde::{Deserialize, Serialize};

/// How addresses are read. What it returns is normalised; reading that again gives the same value.
///
/// A policy also says which addresses share one *budget*: the sends and guesses that one telephone or mailbox has,
/// whatever spelling is used. A budget never changes where a message goes, nor which address a code belongs to.
///
/// | policy | a number without `+` | which phone numbers share a budget |
/// |---|---|---|
/// | default | is kept as written | those with the same last eight digits |
/// | [`with_country_code`](Self::with_country_code) | gets the country code | each has its own |
/// | [`with_numbering_plan`](Self::with_numbering_plan) | becomes what the host says | each has its own |
///
/// The default policy knows no country, so it cannot tell that `13612345678` and `+8613612345678` are one telephone. For a
/// directory they are two addresses. For their budget it compares the last eight digits, which all but a few countries have. Now and
/// then two people share a budget, and where numbers are shorter one telephone can have two. A host with many users
/// configures a country or a numbering plan.
///
/// E-mail addresses share a budget where they differ only in a sub-address (RFC 5233): `user+news@example.com` has the
/// budget of `user@example.com`. Dots count. [`with_budgets`](Self::with_budgets) replaces both rules. E-mail addresses
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
    numbers: Numbers,
    budgets: Budgets,
    international_local_parts: bool,
}

impl AddressPolicy {
    /// Puts `+` and a country code before every number that has no `+`.
    ///
    /// With `86`, `13612345678` and `+8613612345678` are the same number. A number without `+` is refused where the code
    /// would make another telephone of it, or none:
    ///
    /// - It begins with zero: a trunk prefix such as the `0` of `07911 123456`, or the `00` before a country code.
    /// - It begins with the country code, and at least seven digits follow: its `+` may have been left out.
    ///
    /// Use [`with_numbering_plan`](Self::with_numbering_plan) where users write numbers so.
    ///
    /// # Errors
    /// [`InvalidCountryCode`] unless `code` is 1 to 3 digits that do not begin with zero.
    pub fn with_country_code(mut self, code: &str) -> Result<Self, InvalidCountryCode> {
        let digits = (1..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || code.starts_with('0') {
            return Err(InvalidCountryCode(()));
        }
        self.numbers = Numbers::CountryCode(code.into());
        Ok(self)
    }

    /// Asks `plan` for the international form of every number, with and without `+`.
    ///
    /// It gets the digits, with `+` before them where the user wrote it. It must be a pure function of them. What it returns
    /// must begin with `+`, and `plan` must return that same number for it. A number is refused where `plan` returns
    /// `None` or breaks these rules. A port of libphonenumber is such a plan.
    ///
    /// ```
    /// let policy = otp_grant::AddressPolicy::default().with_numbering_plan(|number| {
    ///     if number.starts_with('+') {
    ///         return Some(number.to_owned());
    ///     }
    ///     let national = number.strip_prefix('0').filter(|rest| !rest.starts_with('0'))?;
    ///     Some(format!("+44{national}"))
    /// });
    /// assert_eq!(policy.phone_number("07911 123456").unwrap().as_str(), "+447911123456");
    /// assert_eq!(policy.phone_number("+44 7911 123456").unwrap().as_str(), "+447911123456");
    /// assert!(policy.phone_number("7911 123456").is_err());
    /// assert!(policy.phone_number("0044 7911 123456").is_err());
    /// assert!(policy.phone_number("+44 (0)7911 123456").is_err());
    /// ```
    #[must_use]
    pub fn with_numbering_plan(mut self, plan: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.numbers = Numbers::Plan(Arc::new(plan));
        self
    }

    /// Asks `budget` which budget an address has. Addresses of one kind for which it returns the same text share one.
    ///
    /// It must be a pure function of the address: the budget says where the record of the address is kept, so a change of
    /// the function forgets codes in flight and what was counted. It replaces the rules of this policy; to add to
    /// them, it can ask a policy without it.
    ///
    /// A directory that finds a user by more than one address, by rules of its own, must give these addresses one budget.
    /// Otherwise each of them has guesses of its own against the same account.
    ///
    /// ```
    /// use otp_grant::{Address, AddressPolicy};
    ///
    /// // Mailboxes of one provider, which ignores dots.
    /// let policy = AddressPolicy::default().with_budgets(|address| {
    ///     let budget = AddressPolicy::default().budget_of(address);
    ///     match budget.strip_suffix("@mail.example") {
    ///         Some(local) => format!("{}@mail.example", local.replace('.', "")),
    ///         None => budget,
    ///     }
    /// });
    /// let budget = |text| policy.budget_of(&Address::Email(policy.email(text).unwrap()));
    /// assert_eq!(budget("first.last+news@mail.example"), budget("firstlast@mail.example"));
    /// assert_ne!(budget("first.last@example.com"), budget("firstlast@example.com"));
    /// ```
    #[must_use]
    pub fn with_budgets(mut self, budget: impl Fn(&Address) -> String + Send + Sync + 'static) -> Self {
        self.budgets = Budgets::Host(Arc::new(budget));
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
    /// A number with `+` that begins with zero is refused, and so is one with a zero after its country code, as in
    /// `+44 (0)7911 123456`. Whoever dials that number leaves the zero out, so it would be a second spelling of the same
    /// telephone. The zero is not dropped here: in a few countries, such as Italy, numbers begin with zero and reach
    /// another telephone without it. There `+39 (0)6…` and `+39 06…` are accepted and are the same number. A numbering
    /// plan sees the number first and can drop the zero.
    ///
    /// # Errors
    /// [`MalformedPhoneNumber`] when there is anything else, or the policy refuses the number.
    pub fn phone_number(&self, text: &str) -> Result<PhoneNumber, MalformedPhoneNumber> {
        let written = strip_separators(text).ok_or(MalformedPhoneNumber(()))?;
        self.numbers
            .normalise(written)
            .filter(|number| number.trim_start_matches('+').len() >= MIN_DIGITS && !is_of_no_telephone(number))
            .map(|number| PhoneNumber(number.into()))
            .ok_or(MalformedPhoneNumber(()))
    }

    /// Reads an e-mail address: a dot-atom, `@` and a domain of at least two labels; 254 characters at most.
    ///
    /// ASCII letters become lower case; an international domain becomes its A-labels (UTS 46, RFC 5890). Display names,
    /// quoted local parts, comments, domain literals and surrounding white space are refused.
    ///
    /// Local parts are refused that a program behind the host could take for something else:
    ///
    /// - With `=?` or `?=`, the signs of an encoded-word. RFC 2047 section 5 forbids it in an address, and mail libraries that
    ///   decode it all the same send the message elsewhere.
    /// - With `%` or `!`, by which old mail systems route a message on (RFC 1123 section 5.2.16, RFC 5321 appendix F.2).
    /// - With `-` as its first character, which a program takes for an option.
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

    /// Says which budget an address has. Addresses of one channel with the same budget share their sends and guesses.
    ///
    /// A directory can use it to find users by another form of their address: no two of the forms have budgets of their own.
    ///
    /// ```
    /// use otp_grant::{Address, AddressPolicy};
    ///
    /// let policy = AddressPolicy::default();
    /// let email = Address::Email(policy.email("user+news@example.com").unwrap());
    /// let phones = ["13612345678", "+8613612345678"].map(|text| Address::Phone(policy.phone_number(text).unwrap()));
    /// assert_eq!(policy.budget_of(&email), "user@example.com");
    /// assert_eq!(policy.budget_of(&phones[0]), policy.budget_of(&phones[1]));
    /// ```
    pub fn budget_of(&self, address: &Address) -> String {
        self.budget(address).into_owned()
    }

    /// The same without a copy where there need not be one.
    pub(crate) fn budget<'a>(&self, address: &'a Address) -> Cow<'a, str> {
        match (&self.budgets, address, &self.numbers) {
            (Budgets::Host(budget), ..) => Cow::Owned(budget(address)),
            (Budgets::Default, Address::Email(email), _) => without_sub_address(email.as_str()),
            (Budgets::Default, Address::Phone(number), Numbers::AsWritten) => {
                Cow::Borrowed(last_digits(number.as_str()))
            }
            (Budgets::Default, Address::Phone(number), _) => Cow::Borrowed(number.as_str()),
        }
    }

    fn local_part(&self, text: &str) -> Option<String> {
        let local = text.to_ascii_lowercase();
        let characters = local.is_ascii() || (self.international_local_parts && is_unambiguous(&local));
        // A quoted local part is another spelling of the same mailbox, so it would have budgets of its own.
        let misread = local.starts_with('-') || ["\"", "=?", "?=", "%", "!"].iter().any(|part| local.contains(part));
        (characters && local.len() <= MAX_LOCAL_PART && !misread).then_some(local)
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
#[expect(
    clippy::exhaustive_enums,
    reason = "a host that delivers codes has to learn of another kind from its compiler"
)]
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
#[expect(
    clippy::exhaustive_enums,
    reason = "a host that delivers codes has to learn of another kind from its compiler"
)]
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

/// Gives the international form of a number.
type NumberingPlan = dyn Fn(&str) -> Option<String> + Send + Sync;

/// What becomes of a number.
#[derive(Clone, Default)]
enum Numbers {
    #[default]
    AsWritten,
    CountryCode(Arc<str>),
    Plan(Arc<NumberingPlan>),
}

impl Numbers {
    /// The number that a user has written, in the form of this policy.
    fn normalise(&self, written: String) -> Option<String> {
        match self {
            Self::AsWritten => Some(written),
            Self::CountryCode(_) if written.starts_with('+') => Some(written),
            Self::CountryCode(code) => {
                let without_plus = written.strip_prefix(&**code).is_some_and(|rest| rest.len() >= MIN_DIGITS);
                let is_national = !written.starts_with('0') && !without_plus;
                is_national.then(|| strip_separators(&format!("+{code}{written}")))?
            }
            Self::Plan(plan) => {
                let international = |number: &str| plan(number).and_then(|number| strip_separators(&number));
                let number = international(&written).filter(|number| number.starts_with('+'))?;
                // What is read again has to stay as it is: an address that moves has other budgets and another user.
                (number == written || international(&number).as_ref() == Some(&number)).then_some(number)
            }
        }
    }
}

impl core::fmt::Debug for Numbers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::AsWritten => f.write_str("AsWritten"),
            Self::CountryCode(code) => f.debug_tuple("CountryCode").field(code).finish(),
            Self::Plan(_) => f.write_str("Plan(..)"),
        }
    }
}

/// Gives the budget of an address.
type BudgetOf = dyn Fn(&Address) -> String + Send + Sync;

/// Which addresses share a budget.
#[derive(Clone, Default)]
enum Budgets {
    #[default]
    Default,
    Host(Arc<BudgetOf>),
}

impl core::fmt::Debug for Budgets {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Default => "Default",
            Self::Host(_) => "Host(..)",
        })
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

/// Tells whether a number with `+` can't be an international number, by how it begins: digits are in it that belong to
/// national spelling, and are left out by whoever dials it.
fn is_of_no_telephone(number: &str) -> bool {
    let Some(digits) = number.strip_prefix('+') else { return false };
    match digits.as_bytes() {
        // No country code begins with zero.
        [b'0', ..] => true,
        // North America: ten digits, of which the first is neither 0 nor 1. Exchanges ignore more of them.
        [b'1', national @ ..] => national.len() != 10 || matches!(national, [b'0' | b'1', ..]),
        _ => {
            let code_len = if digits.starts_with('7') {
                1
            } else if digits.get(..2).is_some_and(|code| CODES_OF_TWO_DIGITS.contains(&code)) {
                2
            } else {
                3
            };
            digits
                .split_at_checked(code_len)
                .is_some_and(|(code, national)| national.starts_with('0') && !BEFORE_A_ZERO.contains(&code))
        }
    }
}

/// The digits by which numbers of no known country are told apart. A number that has fewer is compared as a whole.
fn last_digits(number: &str) -> &str {
    let digits = number.trim_start_matches('+');
    digits.len().checked_sub(TOLD_APART_BY).and_then(|from| digits.get(from..)).unwrap_or(digits)
}

/// The address without what follows the first `+` in its local part.
fn without_sub_address(email: &str) -> Cow<'_, str> {
    let parts = email.rsplit_once('@').and_then(|(local, domain)| {
        let (user, _) = local.split_once('+')?;
        (!user.is_empty()).then(|| format!("{user}@{domain}"))
    });
    parts.map_or(Cow::Borrowed(email), Cow::Owned)
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
const TOLD_APART_BY: usize = 8;
const MAX_DIGITS: usize = 15;

/// The country codes of two digits (ITU-T E.164 annex). Those that begin with 1 or 7 have one digit, all others three.
const CODES_OF_TWO_DIGITS: [&str; 44] = [
    "20", "27", "30", "31", "32", "33", "34", "36", "39", "40", "41", "43", "44", "45", "46", "47", "48", "49", "51",
    "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "81", "82", "84", "86", "90",
    "91", "92", "93", "94", "95", "98",
];

/// The country codes after which a mobile or landline number can begin with zero, from the metadata of libphonenumber 9:
/// Italy, Côte d'Ivoire, Burkina Faso, Benin, Gabon, Congo, Rwanda, San Marino, the Vatican and Tajikistan.
const BEFORE_A_ZERO: [&str; 10] = ["39", "225", "226", "229", "241", "242", "250", "378", "379", "992"];

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

    /// As the documentation has it.
    fn british(number: &str) -> Option<String> {
        if number.starts_with('+') {
            return Some(number.to_owned());
        }
        let national = number.strip_prefix('0').filter(|rest| !rest.starts_with('0'))?;
        Some(format!("+4 4{national}"))
    }

    fn policies() -> [AddressPolicy; 4] {
        [
            AddressPolicy::default(),
            AddressPolicy::default().with_country_code("86").unwrap(),
            AddressPolicy::default().with_numbering_plan(british),
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
        assert_ne!(policy.phone_number("+813612345678").unwrap(), national);
        // With its country code it is too long.
        assert!(policy.phone_number("12345678901234").is_err());
        for code in ["", "0", "086", "+86", "8612", "８６", "8 "] {
            assert!(AddressPolicy::default().with_country_code(code).is_err(), "{code:?}");
        }
    }

    #[test]
    fn a_country_code_refuses_what_it_would_make_another_telephone_of() {
        for (code, numbers) in [
            ("86", ["013612345678", "008613612345678", "8613612345678", "86 755 8888 888"]),
            ("44", ["07400 123456", "0044 7400 123456", "447400123456", "44 (0)7400 123456"]),
            ("1", ["1 (202) 555-0123", "12025550123", "011 86 136 1234 567", "0012025550123"]),
            ("39", ["06 698 12345", "39 06 698 12345", "0039 312 345 6789", "39 312 345 6789"]),
        ] {
            let policy = AddressPolicy::default().with_country_code(code).unwrap();
            for number in numbers {
                assert!(policy.phone_number(number).is_err(), "{code}: {number}");
            }
        }
        // Numbers of this country that begin as its code does are too short to have lost a plus.
        let danish = AddressPolicy::default().with_country_code("45").unwrap();
        assert_eq!(danish.phone_number("45 12 34 56").unwrap().as_str(), "+4545123456");
        assert!(danish.phone_number("45 45 12 34 56").is_err());
    }

    #[test]
    fn a_zero_that_callers_leave_out_is_refused() {
        for policy in policies() {
            for number in [
                "+0000000",
                "+008613612345678",
                "+0086 136 1234 5678",
                "+86 (0)136 1234 5678",
                "+44 0 7911 123456",
                "+44 (0)7911 123456",
                "+49 (0) 1512 3456789",
                "+98 0912 345 6789",
                "+972 (0)50 123 4567",
                "+7 (0)912 345 67 89",
                "+1 (0) 202 555 0123",
                "+1 1 202 555 0123",
                "+1 (202) 555 0123 0000",
            ] {
                assert!(policy.phone_number(number).is_err(), "{number}");
            }
            for (number, normalised) in [
                ("+39 (0)6 6982 1234", "+390669821234"),
                ("+39 06 6982 1234", "+390669821234"),
                ("+39 312 345 6789", "+393123456789"),
                ("+225 01 23 45 67 89", "+2250123456789"),
                ("+242 06 123 4567", "+242061234567"),
                ("+44 7911 123456", "+447911123456"),
                ("+971 50 123 4567", "+971501234567"),
                ("+7 912 345 67 89", "+79123456789"),
                ("+1 202 555 0100", "+12025550100"),
            ] {
                assert_eq!(policy.phone_number(number).unwrap().as_str(), normalised);
            }
        }
    }

    #[test]
    fn a_numbering_plan_sees_every_number() {
        let policy = AddressPolicy::default().with_numbering_plan(|number| match number {
            "+4407911123456" | "07911123456" | "+447911123456" => Some("+44 7911 123456".to_owned()),
            _ => None,
        });
        for number in ["+44 (0)7911 123456", "07911 123456", "+44 7911 123456"] {
            assert_eq!(policy.phone_number(number).unwrap().as_str(), "+447911123456");
        }
        assert!(policy.phone_number("+8613612345678").is_err());
    }

    #[test]
    fn a_result_of_the_numbering_plan_is_checked_as_any_other() {
        for result in ["", "13612345678", "+86 136\0", "+12", "++8613612345678", "nonsense", "+86 (0)136 1234 5678"] {
            let policy = AddressPolicy::default().with_numbering_plan(move |_| Some(result.to_owned()));
            assert!(policy.phone_number("13612345678").is_err(), "{result:?}");
        }
        let constant = AddressPolicy::default().with_numbering_plan(|_| Some("+8613612345678".to_owned()));
        assert!(constant.phone_number("13612345678").is_ok());
        // Each reading would be another number.
        let moving = AddressPolicy::default().with_numbering_plan(|number| {
            let next: u64 = number.trim_start_matches('+').parse::<u64>().ok()? + 1;
            Some(format!("+{next}"))
        });
        assert!(moving.phone_number("+8613612345678").is_err());
    }

    fn budget(policy: &AddressPolicy, text: &str) -> Option<String> {
        let address = match text.contains('@') {
            true => Address::Email(policy.email(text).ok()?),
            false => Address::Phone(policy.phone_number(text).ok()?),
        };
        Some(policy.budget_of(&address))
    }

    #[test]
    fn one_telephone_has_one_budget_in_every_spelling_that_is_accepted() {
        let with_code = |code| AddressPolicy::default().with_country_code(code).unwrap();
        let plan = AddressPolicy::default().with_numbering_plan(british);
        let chinese = [
            "13612345678",
            "+8613612345678",
            "8613612345678",
            "008613612345678",
            "+86 (0)136 1234 5678",
            "+0086 136 1234 5678",
            "013612345678",
        ];
        let british = ["07911 123456", "+447911123456", "+44 (0)7911 123456", "+0044 7911 123456", "0044 7911 123456"];
        let american =
            ["(202) 555-0123", "+1 202 555 0123", "1-202-555-0123", "001 202 555 0123", "011 1 202 555 0123"];
        let danish = ["12 34 56 78", "+45 12 34 56 78", "4512345678", "0045 12345678", "+45 (0)12345678"];
        let everything: [(AddressPolicy, &[&str], &str); 8] = [
            (AddressPolicy::default(), &chinese, "12345678"),
            (AddressPolicy::default(), &british, "11123456"),
            (AddressPolicy::default(), &american, "25550123"),
            (AddressPolicy::default(), &danish, "12345678"),
            (with_code("86"), &chinese, "+8613612345678"),
            (with_code("44"), &british, "+447911123456"),
            (with_code("1"), &american, "+12025550123"),
            (plan, &british, "+447911123456"),
        ];
        for (policy, spellings, expected) in everything {
            let budgets: std::collections::BTreeSet<_> =
                spellings.iter().filter_map(|text| budget(&policy, text)).collect();
            assert_eq!(budgets.into_iter().collect::<Vec<_>>(), [expected], "{policy:?} {spellings:?}");
        }
    }

    #[test]
    fn sub_addresses_share_a_budget_and_dots_do_not() {
        let policy = AddressPolicy::default();
        for (text, expected) in [
            ("user@example.com", "user@example.com"),
            ("USER+news@Example.com", "user@example.com"),
            ("user+@example.com", "user@example.com"),
            ("user+a+b@example.com", "user@example.com"),
            ("first.last+x@bücher.example", "first.last@xn--bcher-kva.example"),
            ("firstlast@example.com", "firstlast@example.com"),
            ("user-news@example.com", "user-news@example.com"),
            // Nothing stands before the sub-address.
            ("+news@example.com", "+news@example.com"),
        ] {
            assert_eq!(budget(&policy, text).as_deref(), Some(expected));
        }
    }

    #[test]
    fn the_host_says_which_addresses_share_a_budget() {
        let policy = AddressPolicy::default().with_budgets(|address| address.as_str().replace('.', ""));
        assert_eq!(budget(&policy, "a.b+c@example.com").as_deref(), Some("ab+c@examplecom"));
        assert_eq!(budget(&policy, "13612345678").as_deref(), Some("13612345678"));
        assert_eq!(format!("{:?}", policy.budgets), "Host(..)");
    }

    #[test]
    fn emails_are_normalised() {
        for (text, address) in [
            ("MOCK_USERNAME@example.com", "mock_username@example.com"),
            ("first.last+tag@Sub.Example.COM", "first.last+tag@sub.example.com"),
            ("o'brien@example.com", "o'brien@example.com"),
            ("bounce=a=b.c?d@example.com", "bounce=a=b.c?d@example.com"),
            ("a-b@example.com", "a-b@example.com"),
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

    /// Records are kept by what a domain is mapped to. Were it another one, what belongs to the address would be lost with
    /// the version that changed it.
    #[test]
    fn domains_are_mapped_to_the_same_from_version_to_version() {
        for (domain, mapped) in [
            ("example.com", "example.com"),
            ("EXAMPLE.com", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("Bu\u{308}cher.example", "xn--bcher-kva.example"),
            // The deviations of UTS 46: IDNA 2003 mapped these to ss, σ and nothing.
            ("faß.example", "xn--fa-hia.example"),
            ("FAẞ.example", "xn--fa-hia.example"),
            ("βόλος.example", "xn--nxasmm1c.example"),
            ("βόλοσ.example", "xn--nxasmq6b.example"),
            ("نامه\u{200c}ای.example", "xn--mgba3gch31f060k.example"),
            ("क्\u{200d}ष.example", "xn--11b2ezcw70k.example"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("例え．テスト", "xn--r8jz45g.xn--zckzah"),
            ("ﾃｽﾄ.example", "xn--zckzah.example"),
            ("ｅｘａｍｐｌｅ.com", "example.com"),
            ("①②.example", "12.example"),
            ("ﬁ.example", "fi.example"),
            ("\u{212a}elvin.example", "kelvin.example"),
            ("İstanbul.example", "xn--istanbul-o0e.example"),
            ("привет.рф", "xn--b1agh1afp.xn--p1ai"),
            ("مثال.إختبار", "xn--mgbh0fb.xn--kgbechtv"),
            ("דוגמה.טעסט", "xn--6dbbec0c.xn--deba0ad"),
            ("☕.example", "xn--53h.example"),
            ("ab\u{ad}cd.example", "abcd.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            let address = email(&format!("user@{domain}"));
            assert_eq!(address.as_deref(), Some(&*format!("user@{mapped}")), "{domain}");
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
            // Mail libraries decode an encoded-word, and send the message to what it says.
            "=?utf-8?q?mallory=40evil.example=3e=00?=x@corp.example",
            "=?UTF-8?Q?mallory=40evil.example=3e=00?=@corp.example",
            "x=?iso-8859-1?B?bWFsbG9yeUBldmlsLmV4YW1wbGU+AA==?=@corp.example",
            "=?utf-8*en?b?bQ==?=@corp.example",
            "a.=?us-ascii?q?m?=.=?us-ascii?q?n?=@corp.example",
            "=??q??=@corp.example",
            "=?utf-8?q?m@corp.example",
            "m?=@corp.example",
            // Old mail systems route these on.
            "mallory%evil.example@corp.example",
            "evil.example!mallory@corp.example",
            // An option of the program that delivers.
            "-oQ/tmp@example.com",
            "-@example.com",
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
        assert_eq!(format!("{:?}", policies()[2].numbers), "Plan(..)");
        assert_eq!(serde_json::to_string(&phone.channel()).unwrap(), "\"sms\"");
    }

    proptest! {
        #[test]
        fn a_normalised_phone_number_stays_as_it_is(text in "[+]?[0-9 ().-]{5,20}|\\PC*") {
            for policy in policies() {
                if let Ok(number) = policy.phone_number(&text) {
                    prop_assert_eq!(&policy.phone_number(number.as_str()).unwrap(), &number);
                    prop_assert!(policy.budget_of(&Address::Phone(number)).len() >= MIN_DIGITS);
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
                    // The budget of an address is itself one of that budget.
                    let budget = policy.budget_of(&Address::Email(email));
                    prop_assert_eq!(policy.budget_of(&Address::Email(policy.email(&budget).unwrap())), budget);
                }
            }
        }
    }
}
