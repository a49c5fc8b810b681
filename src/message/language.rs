//! Languages, and which language a locale falls back to (RFC 4647 section 3.4, lookup).

use crate::message::names::InvalidText;

/// A language of messages: a tag of BCP 47, such as `de`, `pt-BR` or `zh-Hans`. It has one spelling.
///
/// ```
/// use otp_grant::message::Language;
///
/// assert_eq!(Language::new("PT_br")?.as_str(), "pt-BR");
/// assert_eq!(Language::new("zh-CN")?.as_str(), "zh-Hans-CN");
/// assert!(Language::new("Deutsch, bitte").is_err());
/// # Ok::<(), otp_grant::message::InvalidText>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language(String);

impl Language {
    /// Parses a tag, in any case, with hyphens or underscores.
    ///
    /// Chinese always names its script: `zh` and `zh-CN` stand for simplified Chinese, `zh-TW`, `zh-HK` and `zh-MO` for
    /// traditional Chinese. `pt` is `pt-BR`.
    ///
    /// # Errors
    /// [`InvalidText`](crate::message::InvalidText) when the text is not a tag of 2 to 64 characters.
    pub fn new(tag: &str) -> Result<Self, InvalidText> {
        let is_subtag = |tag: &str| (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric());
        let first_is_language = |tag: &str| {
            let first = tag.split('-').next().unwrap_or_default();
            first.len() >= 2 && first.bytes().all(|byte| byte.is_ascii_lowercase())
        };
        let tag = tag.to_ascii_lowercase().replace('_', "-");
        if tag.len() > LONGEST || !first_is_language(&tag) || !tag.split('-').all(is_subtag) {
            return Err(InvalidText(()));
        }
        Ok(Self(canonical(&tag)))
    }

    /// Returns the tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether the language is written from right to left.
    pub(crate) fn is_right_to_left(&self) -> bool {
        let mut subtags = self.0.split('-');
        let language = subtags.next().unwrap_or_default();
        match subtags.find(|subtag| is_script(subtag)) {
            Some(script) => RIGHT_TO_LEFT_SCRIPTS.contains(&script),
            None => RIGHT_TO_LEFT.contains(&language),
        }
    }
}

/// The languages to look a locale up by: the locale itself, and then what is left without its last subtags.
///
/// A locale comes from a client, and so it can be any text. A text that is not a tag has no language.
pub(crate) fn lookup(locale: &str) -> Vec<Language> {
    // POSIX adds an encoding or a modifier: `de_DE.UTF-8`, `de_DE@euro`.
    let tag = locale.split(['.', '@']).next().unwrap_or_default();
    let Ok(Language(tag)) = Language::new(tag) else { return Vec::new() };
    let ends = tag.match_indices('-').map(|(end, _)| end).chain([tag.len()]);
    let spelled = |tag: &str| Language(if tag == "pt" { BRAZILIAN } else { tag }.to_owned());
    ends.filter_map(|end| tag.get(..end)).rev().map(spelled).collect()
}

fn canonical(tag: &str) -> String {
    let mut subtags: Vec<&str> = tag.split('-').collect();
    if subtags.first() == Some(&MANDARIN) {
        subtags.splice(..1, ["zh"]);
    }
    if subtags.first() == Some(&"zh") {
        if subtags.get(1) == Some(&MANDARIN) {
            subtags.remove(1);
        }
        let is_traditional = subtags.iter().any(|subtag| matches!(*subtag, "tw" | "hk" | "mo"));
        // The other Chinese languages have a subtag of three letters, and none of our texts.
        if subtags.get(1).is_none_or(|second| second.len() == 2) {
            subtags.insert(1, if is_traditional { "hant" } else { "hans" });
        }
    }
    if subtags == ["pt"] {
        return BRAZILIAN.to_owned();
    }
    let mut after_singleton = false;
    let mut spelled = |(index, subtag): (usize, &&str)| {
        after_singleton |= subtag.len() == 1;
        match subtag.len() {
            2 if index > 0 && !after_singleton => subtag.to_ascii_uppercase(),
            4 if index > 0 && !after_singleton && is_script(subtag) => {
                let (first, rest) = subtag.split_at(1);
                first.to_ascii_uppercase() + rest
            }
            _ => (*subtag).to_owned(),
        }
    };
    subtags.iter().enumerate().map(&mut spelled).collect::<Vec<_>>().join("-")
}

fn is_script(subtag: &str) -> bool {
    subtag.len() == 4 && subtag.bytes().all(|byte| byte.is_ascii_alphabetic())
}

const LONGEST: usize = 64;
const BRAZILIAN: &str = "pt-BR";
const MANDARIN: &str = "cmn";
const RIGHT_TO_LEFT: [&str; 11] = ["ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi", "iw"];
const RIGHT_TO_LEFT_SCRIPTS: [&str; 6] = ["Adlm", "Arab", "Hebr", "Nkoo", "Syrc", "Thaa"];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tag_has_one_spelling() {
        for (tag, spelled) in [
            ("de", "de"),
            ("DE_at", "de-AT"),
            ("pt", "pt-BR"),
            ("pt-pt", "pt-PT"),
            ("zh", "zh-Hans"),
            ("zh-cn", "zh-Hans-CN"),
            ("zh_SG", "zh-Hans-SG"),
            ("ZH_HANS_CN", "zh-Hans-CN"),
            ("zh-TW", "zh-Hant-TW"),
            ("zh-hant", "zh-Hant"),
            ("zh-Hant-CN", "zh-Hant-CN"),
            ("cmn-Hans", "zh-Hans"),
            ("zh-cmn-Hans-CN", "zh-Hans-CN"),
            ("zh-yue", "zh-yue"),
            ("es-419", "es-419"),
            ("en-US-u-nu-latn", "en-US-u-nu-latn"),
        ] {
            assert_eq!(Language::new(tag).unwrap().as_str(), spelled, "{tag}");
        }
        let too_long = format!("en{}", "-abcdefg".repeat(8));
        for tag in ["", "e", "-", "en-", "-en", "en--us", "en us", "é", "1n", "en-abcdefghi", "i-klingon", &too_long] {
            assert!(Language::new(tag).is_err(), "{tag:?}");
        }
    }

    #[test]
    fn a_locale_falls_back_by_its_subtags() {
        for (locale, tags) in [
            ("zh-Hans-CN", &["zh-Hans-CN", "zh-Hans", "zh"][..]),
            ("zh-Hant", &["zh-Hant", "zh"]),
            ("pt_PT", &["pt-PT", "pt-BR"]),
            ("de_DE.UTF-8", &["de-DE", "de"]),
            ("de_DE@euro", &["de-DE", "de"]),
            ("C", &[]),
            ("*", &[]),
            ("en;q=0.8", &[]),
        ] {
            let found = lookup(locale);
            assert_eq!(found.iter().map(Language::as_str).collect::<Vec<_>>(), tags, "{locale}");
        }
    }

    #[test]
    fn the_script_decides_the_direction() {
        for (tag, is_right_to_left) in [
            ("ar", true),
            ("ar-EG", true),
            ("az-Arab", true),
            ("ar-Latn", false),
            ("he", true),
            ("en", false),
            ("zh-Hans", false),
        ] {
            assert_eq!(Language::new(tag).unwrap().is_right_to_left(), is_right_to_left, "{tag}");
        }
    }

    proptest! {
        #[test]
        fn spelling_a_tag_again_changes_nothing(tag in "[a-zA-Z]{2,3}([-_][a-zA-Z0-9]{1,8}){0,4}") {
            let language = Language::new(&tag).unwrap();
            prop_assert_eq!(&Language::new(language.as_str()).unwrap(), &language);
            let found = lookup(&tag);
            prop_assert_eq!(found.first(), Some(&language));
            prop_assert_eq!(Language::new(&tag.to_uppercase()).unwrap(), language);
        }

        #[test]
        fn any_text_can_be_a_locale(text in any::<String>()) {
            for language in lookup(&text) {
                prop_assert!(Language::new(language.as_str()).is_ok());
            }
        }
    }
}
