//! The built-in texts: one file per language. `docs/messages.md` shows all of them as they are sent.

mod ar;
mod de;
mod en;
mod es;
mod fr;
mod hi;
mod ja;
mod pt_br;
mod ru;
mod zh_hans;

use crate::grant::Usage;

/// The texts of a language.
pub(crate) struct BuiltIn {
    /// The tag of the language, as [`Language`](crate::message::Language) spells it.
    pub(crate) tag: &'static str,
    /// The texts of an SMS. The first says the most. A kit takes the first that fits one segment.
    pub(crate) sms: &'static [&'static str],
    /// The last of these versions, where a phrase of `sms_purposes` would be too long in every sentence.
    pub(crate) sms_shortest: Option<Shortest>,
    /// What an SMS says that its code is for.
    pub(crate) sms_purposes: PerUsage,
    pub(crate) email: EmailTexts,
    /// What an e-mail says that its code is for.
    pub(crate) email_purposes: PerUsage,
    pub(crate) units: Units,
}

/// The shortest version of an SMS.
pub(crate) struct Shortest {
    pub(crate) per_usage: PerUsage,
    /// For a usage with a phrase of the host.
    pub(crate) with_own_purpose: &'static str,
}

/// Something for each usage. All phrases of a language have the same grammatical form.
pub(crate) struct PerUsage<T = &'static str> {
    pub(crate) login: T,
    pub(crate) signup: T,
    /// To confirm the address that the message goes to.
    pub(crate) confirm_address: T,
    pub(crate) reset_password: T,
    /// For a usage of the host's own that has no phrase.
    pub(crate) other: T,
}

impl<T> PerUsage<T> {
    pub(crate) fn of(&self, usage: Option<Usage>) -> &T {
        match usage {
            Some(Usage::Login) => &self.login,
            Some(Usage::Signup) => &self.signup,
            Some(Usage::UpdateUserinfo) => &self.confirm_address,
            Some(Usage::ResetPassword) => &self.reset_password,
            Some(Usage::Custom(_)) | None => &self.other,
        }
    }
}

/// The paragraphs of an e-mail. The code stands between `intro` and `validity`.
pub(crate) struct EmailTexts {
    pub(crate) subject: &'static str,
    pub(crate) intro: &'static str,
    pub(crate) validity: &'static str,
    pub(crate) link: &'static str,
    pub(crate) closing: &'static str,
}

/// The words for minutes and seconds. `#` stands for the number.
pub(crate) struct Units {
    /// Which of the forms goes with a number.
    pub(crate) plural: fn(u64) -> Plural,
    pub(crate) minute: Forms,
    pub(crate) second: Forms,
    /// The abbreviations.
    pub(crate) short: [&'static str; 2],
}

/// The forms of a word for a number (CLDR plural rules, cardinals).
pub(crate) struct Forms {
    pub(crate) one: &'static str,
    pub(crate) two: &'static str,
    pub(crate) few: &'static str,
    pub(crate) many: &'static str,
    pub(crate) other: &'static str,
}

/// The class of a number. Numbers begin at 1 here.
#[derive(Clone, Copy)]
pub(crate) enum Plural {
    One,
    Two,
    Few,
    Many,
    Other,
}

impl Forms {
    /// A word with one form.
    const fn same(form: &'static str) -> Self {
        Self::one_other(form, form)
    }

    /// A word with a singular and a plural.
    const fn one_other(one: &'static str, other: &'static str) -> Self {
        Self { one, two: other, few: other, many: other, other }
    }

    pub(crate) fn of(&self, plural: Plural) -> &'static str {
        match plural {
            Plural::One => self.one,
            Plural::Two => self.two,
            Plural::Few => self.few,
            Plural::Many => self.many,
            Plural::Other => self.other,
        }
    }
}

fn one_other(number: u64) -> Plural {
    if number == 1 { Plural::One } else { Plural::Other }
}

pub(crate) static BUILT_IN: [&BuiltIn; 10] = [
    &ar::TEXTS,
    &de::TEXTS,
    &en::TEXTS,
    &es::TEXTS,
    &fr::TEXTS,
    &hi::TEXTS,
    &ja::TEXTS,
    &pt_br::TEXTS,
    &ru::TEXTS,
    &zh_hans::TEXTS,
];
