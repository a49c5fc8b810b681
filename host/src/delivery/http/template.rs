//! Templates with placeholders: `{name}`, or `{name:json}` for a value inside of JSON inside of something else.

use std::fmt::{self, Write as _};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::delivery::parcel::Parcel;
use crate::delivery::text::Texts;

/// A text with places for values.
pub(super) struct Template(Vec<Part>);

enum Part {
    Literal(Zeroizing<String>),
    Value { name: Name, as_json: bool },
}

/// What a place is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Address,
    Digits,
    Code,
    Text,
    Subject,
    Html,
    Usage,
    Channel,
    Minutes,
    Seconds,
    Id,
}

/// How values are written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Escape {
    /// As they are: what is written is encoded as a whole.
    Nothing,
    /// In a URL.
    Percent,
    /// Inside of a string of JSON.
    Json,
}

/// The values of a message.
pub(super) struct Values<'a> {
    parcel: &'a Parcel,
    text: Zeroizing<String>,
    subject: Zeroizing<String>,
    html: Zeroizing<String>,
}

impl<'a> Values<'a> {
    /// The values of a message. What it says about the time is true now.
    pub(super) fn new(parcel: &'a Parcel, texts: &Texts) -> Option<Self> {
        let own = |text: &str| Zeroizing::new(text.to_owned());
        Some(match parcel.channel() {
            "sms" => {
                let text = own(texts.sms(parcel)?.expose_secret());
                Self { parcel, text, subject: Zeroizing::default(), html: Zeroizing::default() }
            }
            _ => {
                let mail = texts.email(parcel)?;
                let [text, subject, html] =
                    [mail.text(), mail.subject(), mail.html()].map(|part| own(part.expose_secret()));
                Self { parcel, text, subject, html }
            }
        })
    }
}

/// A placeholder that does not exist.
#[derive(Debug)]
pub(super) struct UnknownPlaceholder;

impl Template {
    /// A text without placeholders.
    pub(super) fn literal(text: &str) -> Self {
        Self(vec![Part::Literal(Zeroizing::new(text.to_owned()))])
    }

    /// Reads a template. Braces around anything but a lower-case word are no placeholder.
    pub(super) fn parse(text: &str) -> Result<Self, UnknownPlaceholder> {
        let (mut parts, mut literal, mut rest) = (Vec::new(), Zeroizing::new(String::new()), text);
        while let Some((before, after)) = rest.split_once('{') {
            literal.push_str(before);
            let word = after.split_once('}').filter(|(word, _)| is_word(word));
            let Some((word, behind)) = word else {
                literal.push('{');
                rest = after;
                continue;
            };
            let (name, as_json) = match word.strip_suffix(":json") {
                Some(name) => (name, true),
                None => (word, false),
            };
            let name = Name::of(name).ok_or(UnknownPlaceholder)?;
            parts.push(Part::Literal(std::mem::take(&mut literal)));
            parts.push(Part::Value { name, as_json });
            rest = behind;
        }
        literal.push_str(rest);
        parts.push(Part::Literal(literal));
        Ok(Self(parts))
    }

    /// The places of the template.
    pub(super) fn names(&self) -> impl Iterator<Item = Name> {
        self.0.iter().filter_map(|part| match part {
            Part::Value { name, .. } => Some(*name),
            Part::Literal(_) => None,
        })
    }

    /// Writes the template with the values of a message.
    pub(super) fn fill(&self, values: &Values<'_>, escape: Escape) -> Zeroizing<String> {
        let mut filled = Zeroizing::new(String::new());
        for part in &self.0 {
            match part {
                Part::Literal(literal) => filled.push_str(literal),
                Part::Value { name, as_json } => {
                    let value = name.value(values);
                    let value = if *as_json { in_json(&value) } else { value };
                    match escape {
                        Escape::Nothing => filled.push_str(&value),
                        Escape::Percent => filled.push_str(&percent_encoded(&value)),
                        Escape::Json => filled.push_str(&in_json(&value)),
                    }
                }
            }
        }
        filled
    }
}

/// Shows no literal, which can be secret.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Name {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "address" => Self::Address,
            "digits" => Self::Digits,
            "code" => Self::Code,
            "text" => Self::Text,
            "subject" => Self::Subject,
            "html" => Self::Html,
            "usage" => Self::Usage,
            "channel" => Self::Channel,
            "minutes" => Self::Minutes,
            "seconds" => Self::Seconds,
            "id" => Self::Id,
            _ => return None,
        })
    }

    /// Tells whether the value can stand in a header, and tells nobody anything there.
    pub(super) fn is_for_headers(self) -> bool {
        matches!(self, Self::Id | Self::Channel | Self::Minutes | Self::Seconds)
    }

    /// Tells whether the value is a part of the message or its address.
    pub(super) fn is_private(self) -> bool {
        matches!(self, Self::Address | Self::Digits | Self::Code | Self::Text | Self::Subject | Self::Html)
    }

    fn value(self, Values { parcel, text, subject, html }: &Values<'_>) -> Zeroizing<String> {
        let usage = parcel.usage();
        let value = match self {
            Self::Address => parcel.address(),
            Self::Digits => parcel.address().trim_start_matches('+'),
            Self::Code => parcel.code(),
            Self::Text => text,
            Self::Subject => subject,
            Self::Html => html,
            Self::Usage => usage.as_str(),
            Self::Channel => parcel.channel(),
            Self::Minutes => return Zeroizing::new(parcel.minutes().to_string()),
            Self::Seconds => return Zeroizing::new(parcel.seconds().to_string()),
            Self::Id => parcel.id(),
        };
        Zeroizing::new(value.to_owned())
    }
}

/// Encodes everything but the unreserved characters of RFC 3986, as signatures of requests require.
pub(super) fn percent_encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(utf8_percent_encode(text, RESERVED).to_string())
}

/// The inside of a string of JSON.
fn in_json(text: &str) -> Zeroizing<String> {
    let mut inside = Zeroizing::new(String::with_capacity(text.len() + 8));
    for character in text.chars() {
        match character {
            '"' => inside.push_str("\\\""),
            '\\' => inside.push_str("\\\\"),
            '\n' => inside.push_str("\\n"),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(inside, "\\u{:04x}", u32::from(character));
            }
            _ => inside.push(character),
        }
    }
    inside
}

fn is_word(word: &str) -> bool {
    let name = word.strip_suffix(":json").unwrap_or(word);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use otp_grant::Channel;

    use super::*;

    const HOSTILE: &str = "a\"b\\c\n&d=e{code}%+é\u{2028}</x>";

    fn filled(template: &str, escape: Escape) -> String {
        let parcel = Parcel::trial(Channel::Sms, "+447400123456", "123456", Duration::from_secs(180)).unwrap();
        let text = Zeroizing::new(HOSTILE.to_owned());
        let values = Values { parcel: &parcel, text, subject: Zeroizing::default(), html: Zeroizing::default() };
        Template::parse(template).unwrap().fill(&values, escape).to_string()
    }

    #[test]
    fn a_value_stays_inside_of_its_string_of_json() {
        let json: serde_json::Value =
            serde_json::from_str(&filled(r#"{"text":"{text}","n":{seconds},"{digits}":["{code}"]}"#, Escape::Json))
                .unwrap();
        assert_eq!(json["text"], HOSTILE);
        assert_eq!(json["n"], 180);
        assert_eq!(json["447400123456"][0], "123456");
    }

    #[test]
    fn json_inside_of_json_is_escaped_twice() {
        let json: serde_json::Value =
            serde_json::from_str(&filled(r#"{"inner":"{\"text\":\"{text:json}\"}"}"#, Escape::Json)).unwrap();
        let inner: serde_json::Value = serde_json::from_str(json["inner"].as_str().unwrap()).unwrap();
        assert_eq!(inner["text"], HOSTILE);
    }

    #[test]
    fn a_value_in_a_url_has_no_reserved_character() {
        let url = filled("https://a.example/{address}?t={text}&x=1", Escape::Percent);
        let (path, query) = url.split_once('?').unwrap();
        assert_eq!(path, "https://a.example/%2B447400123456");
        let pairs: Vec<_> = reqwest::Url::parse(&url).unwrap().query_pairs().into_owned().collect();
        assert_eq!(pairs, [("t".to_owned(), HOSTILE.to_owned()), ("x".to_owned(), "1".to_owned())], "{query}");
    }

    #[test]
    fn a_value_is_no_template() {
        assert!(filled("{text}", Escape::Nothing).contains("{code}"));
    }

    #[test]
    fn only_known_words_are_placeholders() {
        for unknown in ["{adress}", "{code:xml}x{nothing}", "{password}", "{nothing:json}", "{{nothing}"] {
            assert!(Template::parse(unknown).is_err(), "{unknown}");
        }
        assert_eq!(filled("{code:xml}", Escape::Nothing), "{code:xml}");
        assert_eq!(filled("{ {1} {\"a\":{}} {Code} {", Escape::Nothing), "{ {1} {\"a\":{}} {Code} {");
    }
}
