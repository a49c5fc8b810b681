//! Why a message kit can't be built.

use crate::grant::Usage;
use crate::message::kit::LongText;
use crate::message::language::Language;

/// A message kit can't be built.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KitError {
    /// These texts can be too long for an SMS. What helps is a shorter host, a shorter text of the host's own, a
    /// restriction of the [languages](crate::message::KitBuilder::languages), or
    /// [two segments](crate::message::KitBuilder::allow_two_segments).
    TooLong(Vec<LongText>),
    /// Codes can have a `#`, which the line for browsers can't carry.
    HashSignInCode,
    /// A browser would find another host or another code in a text than those of its last line.
    LastLineHidden,
    /// A built-in language was named that does not exist.
    NoTexts(Language),
    /// The fall-back language does not have a text for each usage.
    NoFallback,
    /// A template in this language has `{purpose}`, and the usage has no phrase.
    NoPurpose(Language, Option<Usage>),
    /// A template in this language has `{link}`, and the usage has no link.
    NoLink(Language, Option<Usage>),
    /// A template of an SMS in this language has `{link}`.
    LinkInSms(Language),
}

impl core::fmt::Display for KitError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let usage_of = |usage: &Option<Usage>| usage.map(|usage| usage.as_str().to_owned()).unwrap_or_default();
        match self {
            Self::TooLong(texts) => {
                f.write_str("texts are too long for an SMS: ")?;
                let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join("; "))
            }
            Self::HashSignInCode => f.write_str("codes can have a #, which the line for browsers can't carry"),
            Self::LastLineHidden => f.write_str("a browser would find another host or code than that of the last line"),
            Self::NoTexts(language) => write!(f, "there are no built-in texts in {}", language.as_str()),
            Self::NoFallback => f.write_str("the fall-back language does not have a text for each usage"),
            Self::NoPurpose(language, usage) => {
                write!(f, "{} has no phrase in {}", usage_of(usage), language.as_str())
            }
            Self::NoLink(language, usage) => {
                write!(f, "the e-mail for {} in {} has no link", usage_of(usage), language.as_str())
            }
            Self::LinkInSms(language) => write!(f, "the SMS in {} has a link", language.as_str()),
        }
    }
}

impl core::error::Error for KitError {}
