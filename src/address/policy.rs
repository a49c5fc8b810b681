//! How addresses are read, and which addresses share a budget.

use std::borrow::Cow;
use std::sync::Arc;

use email_address::Options;

use crate::address::Address;
use crate::address::email::{
    EmailAddress, MAX_EMAIL, MAX_EMAIL_INPUT, MAX_LOCAL_PART, MalformedEmail, is_unambiguous, normalise_domain,
    without_sub_address,
};
use crate::address::phone_number::{
    MIN_DIGITS, MalformedPhoneNumber, PhoneNumber, has_national_digits, last_digits, strip_separators,
};

/// Says how addresses are read, and which addresses share a budget.
///
/// A policy returns normalised addresses. Reading such an address again gives the same value.
///
/// A *budget* is the sends and guesses that one telephone or mailbox has, in whatever spelling it is written. A budget
/// never changes where a message goes, nor which address a code belongs to.
///
/// | policy | a number without `+` | which phone numbers share a budget |
/// |---|---|---|
/// | default | is kept as written | those with the same last eight digits |
/// | [`with_country_code`](Self::with_country_code) | gets the country code | each has its own |
/// | [`with_numbering_plan`](Self::with_numbering_plan) | becomes what the host says | each has its own |
///
/// The default policy knows no country, so it cannot tell that `13612345678` and `+8613612345678` are one telephone.
/// For a directory they are two addresses. For their budget, the policy compares the last eight digits, which the
/// numbers of all but a few countries have. Sometimes two people share a budget. Where numbers are shorter, one
/// telephone can have two budgets. A host with many users configures a country or a numbering plan.
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
    pub(super) numbers: Numbers,
    pub(super) budgets: Budgets,
    international_local_parts: bool,
}

impl AddressPolicy {
    /// Puts `+` and a country code before every number that has no `+`.
    ///
    /// With `86`, `13612345678` and `+8613612345678` are the same number. A number without `+` is refused where the
    /// added code would give another telephone or no telephone:
    ///
    /// - The number begins with zero. The zero can be a trunk prefix, as in `07911 123456`, or part of the `00` before
    ///   a country code.
    /// - The number begins with the country code, and at least seven digits follow. Its `+` may have been left out.
    ///
    /// Use [`with_numbering_plan`](Self::with_numbering_plan) where users write such numbers.
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
    /// `plan` gets the digits, with `+` before them where the user wrote it. It must be a pure function of this text.
    /// Its result must begin with `+`, and for this result `plan` must return the same number again. A number is
    /// refused where `plan` returns `None` or breaks these rules. A port of libphonenumber is such a plan.
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

    /// Asks `budget` which budget an address has. Addresses of one kind share a budget where `budget` returns the same
    /// text.
    ///
    /// `budget` must be a pure function of the address. Its result says where the record of the address is kept. A
    /// change of the function therefore forgets the codes in flight and the counted sends and guesses.
    ///
    /// `budget` replaces the rules of this policy. To add to these rules, it can ask a policy that has no `budget`.
    ///
    /// A directory can find a user by more than one address, by its own rules. `budget` must then give these addresses
    /// one budget. Otherwise each address has its own guesses against the same account.
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
    /// Such a local part must be in lower case and in the form that UTS 46 maps to. It must have no character whose
    /// other case is an ASCII letter, such as the Kelvin sign and the dotless i. A mail system or a database that folds
    /// these characters would take one person's address for another's. The host must know whether all systems behind it
    /// tell the remaining characters apart.
    ///
    /// Needs the feature `idn`.
    #[cfg(feature = "idn")]
    #[must_use]
    pub fn with_international_local_parts(mut self) -> Self {
        self.international_local_parts = true;
        self
    }

    /// Reads a phone number: 7 to 15 ASCII digits, with `+` before them where it is international.
    ///
    /// Spaces, hyphens, dots and parentheses are dropped.
    ///
    /// A number with `+` is refused where it begins with zero or has a zero after its country code, as in `+44 (0)7911
    /// 123456`. A caller who dials that number leaves the zero out, so it would be a second spelling of the same
    /// telephone.
    ///
    /// The zero is not dropped here. In a few countries, such as Italy, numbers begin with zero and reach another
    /// telephone without it. There `+39 (0)6…` and `+39 06…` are accepted and are the same number. A numbering plan
    /// sees the number first and can drop the zero.
    ///
    /// # Errors
    /// [`MalformedPhoneNumber`] when the text has anything else, or when the policy refuses the number.
    pub fn phone_number(&self, text: &str) -> Result<PhoneNumber, MalformedPhoneNumber> {
        let written = strip_separators(text).ok_or(MalformedPhoneNumber(()))?;
        self.numbers
            .normalise(written)
            .filter(|number| number.trim_start_matches('+').len() >= MIN_DIGITS && !has_national_digits(number))
            .map(|number| PhoneNumber(number.into()))
            .ok_or(MalformedPhoneNumber(()))
    }

    /// Reads an e-mail address: a dot-atom, `@` and a domain of at least two labels, with 254 characters at most.
    ///
    /// ASCII letters become lower case. An international domain becomes its A-labels (UTS 46, RFC 5890). Without the
    /// feature `idn` international domains are refused, also in the form of A-labels, since nothing checks them.
    /// Display names, quoted local parts, comments, domain literals and surrounding white space are refused.
    ///
    /// A local part is refused if a program behind the host could misread it:
    ///
    /// - With `=?` or `?=`, the signs of an encoded-word. RFC 2047 section 5 forbids it in an address. Some mail
    ///   libraries decode it all the same and send the message elsewhere.
    /// - With `%` or `!`, by which old mail systems route a message on (RFC 1123 section 5.2.16, RFC 5321 appendix
    ///   F.2).
    /// - With `-` as its first character, which a program takes for an option.
    ///
    /// # Errors
    /// [`MalformedEmail`] when the text is not such an address.
    pub fn email(&self, text: &str) -> Result<EmailAddress, MalformedEmail> {
        // A longer text can't become an address, and must not cost the mapping of its domain.
        if text.len() > MAX_EMAIL_INPUT {
            return Err(MalformedEmail(()));
        }
        let (local, domain) = text.split_once('@').ok_or(MalformedEmail(()))?;
        let local = self.local_part(local).ok_or(MalformedEmail(()))?;
        let domain = normalise_domain(domain).ok_or(MalformedEmail(()))?;
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

    /// Returns the budget of an address. Addresses of one channel with the same budget share their sends and guesses.
    ///
    /// A directory can find users by the budget. Then no two forms of one address have separate budgets.
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

    /// Does the same as [`budget_of`](Self::budget_of), and copies only where it must.
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
        // A quoted local part is another spelling of the same mailbox, which would then have a second budget.
        let misread = local.starts_with('-') || ["\"", "=?", "?=", "%", "!"].iter().any(|part| local.contains(part));
        (characters && local.len() <= MAX_LOCAL_PART && !misread).then_some(local)
    }
}

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

/// How a number is normalised.
#[derive(Clone, Default)]
pub(super) enum Numbers {
    #[default]
    AsWritten,
    CountryCode(Arc<str>),
    Plan(Arc<NumberingPlan>),
}

impl Numbers {
    /// Returns the form that this policy gives to a number as the user wrote it.
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
                // A number that is read again must stay the same. An address that moves has another budget and another
                // user.
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

/// Returns the budget of an address.
type BudgetOf = dyn Fn(&Address) -> String + Send + Sync;

/// Which addresses share a budget.
#[derive(Clone, Default)]
pub(super) enum Budgets {
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
