//! Templates: texts with placeholders.

use crate::message::names::is_unreadable;
use crate::message::text::MessageText;

/// A text with placeholders, which names the code at least once.
///
/// | placeholder | becomes |
/// |---|---|
/// | `{code}` | the code. Every template must have it |
/// | `{minutes}` | how many minutes the code is still valid, as a number, at least 1 |
/// | `{application}` | the [name of the application](crate::message::Application) |
/// | `{purpose}` | what the code is for: the [phrase](crate::message::KitBuilder::purpose) of the language |
/// | `{link}` | in e-mails: the [link](crate::message::Link) with the code |
///
/// `{{` and `}}` are braces.
///
/// ```
/// use otp_grant::message::Template;
///
/// assert!(Template::new("{code} è il tuo codice per {application}. Scade tra {minutes} min.").is_ok());
/// assert!(Template::new("Il tuo codice scade tra {minutes} min.").is_err());
/// assert!(Template::new("{code} is your code, {name}.").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`InvalidTemplate`] says what is wrong with the text.
    pub fn new(text: &str) -> Result<Self, InvalidTemplate> {
        let template = Self::parse(text)?;
        match template.parts.iter().any(|part| matches!(part, Part::Slot(Slot::Time | Slot::Validity))) {
            true => Err(InvalidTemplate::UnknownPlaceholder),
            false => Ok(template),
        }
    }

    /// Reads a template that can also have the placeholders of the built-in texts, whose words depend on the language.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        if text.chars().any(|c| c != '\n' && is_unreadable(c)) {
            return Err(InvalidTemplate::UnreadableCharacter);
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = brace.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = brace.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else {
                let inner = brace.strip_prefix('{').ok_or(InvalidTemplate::UnbalancedBrace)?;
                let (name, after) = inner.split_once('}').ok_or(InvalidTemplate::UnbalancedBrace)?;
                let slot = SLOTS.into_iter().find(|(known, _)| *known == name);
                let (_, slot) = slot.ok_or(InvalidTemplate::UnknownPlaceholder)?;
                if !literal.is_empty() {
                    parts.push(Part::Literal(core::mem::take(&mut literal)));
                }
                parts.push(Part::Slot(slot));
                rest = after;
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        let template = Self { parts };
        match template.has(Slot::Code) {
            true => Ok(template),
            false => Err(InvalidTemplate::NoCode),
        }
    }

    /// The code alone.
    pub(crate) fn of_code() -> Self {
        Self { parts: vec![Part::Slot(Slot::Code)] }
    }

    pub(crate) fn has(&self, slot: Slot) -> bool {
        self.parts.contains(&Part::Slot(slot))
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(crate) fn is_one_line(&self) -> bool {
        !self.parts.iter().any(|part| matches!(part, Part::Literal(text) if text.contains('\n')))
    }

    /// Writes the values into the text.
    pub(crate) fn render(&self, values: &Values<'_>) -> MessageText {
        self.render_before(values, &[])
    }

    /// Writes the values into the text, and then more texts.
    pub(crate) fn render_before(&self, values: &Values<'_>, more: &[&str]) -> MessageText {
        let texts = || self.parts.iter().map(|part| part.text(values)).chain(more.iter().copied());
        // The capacity is enough for the whole text, which is therefore never moved.
        let mut text = String::with_capacity(texts().map(str::len).sum());
        text.extend(texts());
        MessageText::new(text)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(String),
    Slot(Slot),
}

impl Part {
    fn text<'a>(&'a self, values: &Values<'a>) -> &'a str {
        match self {
            Self::Literal(text) => text,
            Self::Slot(slot) => values.of(*slot),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Code,
    Application,
    Purpose,
    /// The number of minutes.
    Minutes,
    /// Minutes or seconds, in words: `3 minutes`.
    Validity,
    /// Minutes or seconds, abbreviated: `3 min`.
    Time,
    Link,
}

/// What the placeholders stand for in one message.
#[derive(Clone, Copy, Default)]
pub(crate) struct Values<'a> {
    pub(crate) code: &'a str,
    pub(crate) application: &'a str,
    pub(crate) purpose: &'a str,
    pub(crate) minutes: &'a str,
    pub(crate) validity: &'a str,
    pub(crate) time: &'a str,
    pub(crate) link: &'a str,
}

impl<'a> Values<'a> {
    pub(crate) fn of(&self, slot: Slot) -> &'a str {
        match slot {
            Slot::Code => self.code,
            Slot::Application => self.application,
            Slot::Purpose => self.purpose,
            Slot::Minutes => self.minutes,
            Slot::Validity => self.validity,
            Slot::Time => self.time,
            Slot::Link => self.link,
        }
    }
}

/// The template of an e-mail: its subject, its text and its HTML.
///
/// ```
/// use otp_grant::message::{EmailTemplate, Template};
///
/// let subject = Template::new("{code} è il tuo codice per {application}")?;
/// let text = Template::new("Il tuo codice per {application}:\n\n{code}\n\nScade tra {minutes} minuti.")?;
/// let template = EmailTemplate::new(subject, text)?;
/// # Ok::<(), otp_grant::message::InvalidTemplate>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailTemplate {
    pub(crate) subject: Template,
    pub(crate) text: Template,
    pub(crate) html: Option<Template>,
}

impl EmailTemplate {
    /// Takes a subject and a text. The HTML part is made from the text: an empty line begins a paragraph, and a code in
    /// a paragraph of its own is large.
    ///
    /// # Errors
    /// [`InvalidTemplate`] when the subject has a line break or a link.
    pub fn new(subject: Template, text: Template) -> Result<Self, InvalidTemplate> {
        if !subject.is_one_line() {
            return Err(InvalidTemplate::UnreadableCharacter);
        }
        if subject.has(Slot::Link) {
            return Err(InvalidTemplate::UnknownPlaceholder);
        }
        Ok(Self { subject, text, html: None })
    }

    /// Replaces the HTML part. Its placeholders become escaped text, and the rest stays as it is. `{link}` becomes the
    /// URL, for an `href` in quotation marks.
    #[must_use]
    pub fn with_html(mut self, html: Template) -> Self {
        self.html = Some(html);
        self
    }

    pub(crate) fn has(&self, slot: Slot) -> bool {
        self.subject.has(slot) || self.text.has(slot) || self.html.as_ref().is_some_and(|html| html.has(slot))
    }
}

/// A text is not a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidTemplate {
    /// The code is missing.
    NoCode,
    /// A placeholder is not one of those that this text can have.
    UnknownPlaceholder,
    /// A brace has no partner. A brace in the text is written twice.
    UnbalancedBrace,
    /// A character is a control character, changes the direction of writing, or is a line break in a subject.
    UnreadableCharacter,
}

impl core::fmt::Display for InvalidTemplate {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoCode => "a template has no {code}",
            Self::UnknownPlaceholder => "a template has a placeholder that it can't have",
            Self::UnbalancedBrace => "a template has a brace without a partner",
            Self::UnreadableCharacter => "a template has a control character or a line break that it can't have",
        })
    }
}

impl core::error::Error for InvalidTemplate {}

const SLOTS: [(&str, Slot); 7] = [
    ("code", Slot::Code),
    ("application", Slot::Application),
    ("purpose", Slot::Purpose),
    ("minutes", Slot::Minutes),
    ("validity", Slot::Validity),
    ("time", Slot::Time),
    ("link", Slot::Link),
];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALUES: Values<'_> = Values {
        code: "1234",
        application: "{code}",
        purpose: "p",
        minutes: "3",
        validity: "3 minutes",
        time: "3 min",
        link: "https://a",
    };

    #[test]
    fn a_template_says_what_is_wrong_with_it() {
        for (text, wrong) in [
            ("", InvalidTemplate::NoCode),
            ("{{code}}", InvalidTemplate::NoCode),
            ("{minutes}", InvalidTemplate::NoCode),
            ("{code} {name}", InvalidTemplate::UnknownPlaceholder),
            ("{code} {}", InvalidTemplate::UnknownPlaceholder),
            ("{code} { code}", InvalidTemplate::UnknownPlaceholder),
            ("{code} {Code}", InvalidTemplate::UnknownPlaceholder),
            ("{code} {time}", InvalidTemplate::UnknownPlaceholder),
            ("{code} {validity}", InvalidTemplate::UnknownPlaceholder),
            ("{code} {", InvalidTemplate::UnbalancedBrace),
            ("{code} }", InvalidTemplate::UnbalancedBrace),
            ("{code", InvalidTemplate::UnbalancedBrace),
            ("{code}\r\n", InvalidTemplate::UnreadableCharacter),
            ("{code}\u{202e}", InvalidTemplate::UnreadableCharacter),
        ] {
            assert_eq!(Template::new(text), Err(wrong), "{text:?}");
        }
    }

    #[test]
    fn a_value_is_not_read_as_a_template() {
        let template = Template::new("{{{code}}} {application}").unwrap();
        assert_eq!(template.render(&VALUES).expose_secret(), "{1234} {code}");
    }

    #[test]
    fn a_subject_is_one_line_without_a_link() {
        let [good, two_lines, link] = ["{code}", "{code}\n", "{code}{link}"].map(|text| Template::new(text).unwrap());
        assert!(EmailTemplate::new(good.clone(), link.clone()).is_ok());
        assert_eq!(EmailTemplate::new(two_lines, good.clone()), Err(InvalidTemplate::UnreadableCharacter));
        assert_eq!(EmailTemplate::new(link, good), Err(InvalidTemplate::UnknownPlaceholder));
    }

    proptest! {
        #[test]
        fn a_text_without_placeholders_is_kept(before in "[^{}\\p{C}\u{2028}\u{2029}]*", after in "[a-z\n]*") {
            let template = Template::new(&format!("{before}{{code}}{after}")).unwrap();
            let text = template.render(&VALUES);
            prop_assert_eq!(text.expose_secret(), format!("{before}1234{after}"));
        }

        #[test]
        fn any_text_is_a_template_or_not(text in any::<String>()) {
            if let Ok(template) = Template::new(&text) {
                prop_assert!(template.render(&VALUES).expose_secret().contains("1234"));
            }
        }
    }
}
