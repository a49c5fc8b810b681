//! The message kit: from what a message has to say, and a locale, to its text.

use core::time::Duration;
use std::collections::HashMap;

use zeroize::Zeroizing;

use crate::grant::Usage;
use crate::id::ClientId;
use crate::message::catalog::Texts;
use crate::message::html;
use crate::message::language::{self, Language};
use crate::message::names::{AppHash, Application, InvalidText, Link, OriginHost};
use crate::message::template::{Template, Values};
use crate::message::text::{MessageText, SmsLength};
use crate::message::validity::Stated;
use crate::secret::Code;

/// What a message has to say. [`OtpMessage::content`](crate::server::OtpMessage::content) returns it.
pub struct Content<'a> {
    code: &'a str,
    usage: Usage,
    validity: Duration,
    client: Option<&'a ClientId>,
}

impl<'a> Content<'a> {
    /// Says that a code is for a usage, and how long it is still valid.
    pub fn new(code: &'a Code, usage: Usage, validity: Duration) -> Self {
        Self { code: code.expose_secret(), usage, validity, client: None }
    }

    /// Takes a code that the host has as a text: of a message that waits in its queue, or of a sample that shows a
    /// template.
    ///
    /// # Errors
    /// [`InvalidText`] when the code is empty or has a character that is not printable ASCII.
    pub fn from_text(code: &'a str, usage: Usage, validity: Duration) -> Result<Self, InvalidText> {
        if code.is_empty() || !code.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidText(()));
        }
        Ok(Self { code, usage, validity, client: None })
    }

    /// Names the client that requested the code. The client's application can have a name of its own.
    #[must_use]
    pub fn for_client(mut self, client: &'a ClientId) -> Self {
        self.client = Some(client);
        self
    }

    /// Replaces how long the code is still valid, for a message that waited in a queue.
    #[must_use]
    pub fn with_validity(mut self, validity: Duration) -> Self {
        self.validity = validity;
        self
    }
}

impl core::fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Content").field("usage", &self.usage).field("client", &self.client).finish_non_exhaustive()
    }
}

/// Renders messages. It is built once, by [`MessageKit::builder`], and can be shared between threads.
pub struct MessageKit {
    pub(crate) texts: Vec<Texts>,
    /// The language for all locales that no text fits.
    pub(crate) fallback: Language,
    /// The first is that of clients that have none.
    pub(crate) applications: Vec<Application>,
    pub(crate) clients: HashMap<ClientId, usize>,
    pub(crate) last_lines: LastLines,
    pub(crate) links: HashMap<Usage, Link>,
    pub(crate) versions: HashMap<VersionKey, usize>,
    pub(crate) warnings: Vec<LongText>,
}

/// Which version of a text fits depends on these.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct VersionKey {
    /// Indices of a language and an application.
    pub(crate) language: usize,
    pub(crate) application: usize,
    pub(crate) usage: Option<Usage>,
}

impl MessageKit {
    /// Renders an SMS. The text is in the language of the locale, or in one that the locale falls back to.
    ///
    /// The locale is a tag of BCP 47 or a locale of POSIX, such as `pt-BR`, `zh_CN` or `de_AT.UTF-8`. It can come from
    /// the request: any text is accepted. A text that is no locale, or whose language has no texts, gives the language
    /// of [`KitBuilder::fallback`](crate::message::KitBuilder::fallback).
    ///
    /// A code that is longer than the kit was built for can make the message longer than the kit allows. A code with
    /// `#` has no line for browsers.
    pub fn sms(&self, content: &Content<'_>, locale: &str) -> Sms {
        let (application, name) = self.application(content.client);
        let usage = Some(content.usage);
        let found = self.find(locale, |texts| texts.sms(usage));
        let last_lines = self.last_lines.of(content.code);
        let Some((index, texts, (templates, purpose))) = found else {
            let code = Template::of_code();
            let text = code.render_before(&Values { code: content.code, ..Values::default() }, &last_lines);
            return Sms { language: self.fallback.clone(), text };
        };
        let key = |usage| VersionKey { language: index, application, usage };
        let version = self.versions.get(&key(usage)).or_else(|| self.versions.get(&key(None)));
        let template = version.and_then(|version| templates.get(*version)).or(templates.last());
        let stated = Words::of(Stated::of(content.validity), texts);
        let values = stated.values(content.code, name, purpose, "");
        let text = match template {
            Some(template) => template.render_before(&values, &last_lines),
            None => Template::of_code().render_before(&values, &last_lines),
        };
        Sms { language: texts.language.clone(), text }
    }

    /// Renders an e-mail. The language is found as for an [SMS](Self::sms).
    pub fn email(&self, content: &Content<'_>, locale: &str) -> Email {
        let (_, name) = self.application(content.client);
        let link = self.links.get(&content.usage).map(|link| link_with(link, content.code));
        let found = self.find(locale, |texts| texts.email(Some(content.usage), link.is_some()));
        let link = link.as_ref().map(|link| link.as_str()).unwrap_or_default();
        let Some((_, texts, (template, purpose))) = found else {
            let (code, values) = (Template::of_code(), Values { code: content.code, ..Values::default() });
            let html = html::from_text(&code, &self.fallback, &values);
            let (subject, text) = (code.render(&values), code.render(&values));
            return Email { language: self.fallback.clone(), subject, text, html };
        };
        let words = Words::of(Stated::of(content.validity), texts);
        let values = words.values(content.code, name, purpose, link);
        let html = match &template.html {
            Some(html) => html::from_html(html, &values),
            None => html::from_text(&template.text, &texts.language, &values),
        };
        let (subject, text) = (template.subject.render(&values), template.text.render(&values));
        Email { language: texts.language.clone(), subject, text, html }
    }

    /// Returns the languages that the kit has texts in.
    pub fn languages(&self) -> impl Iterator<Item = &Language> {
        self.texts.iter().map(|texts| &texts.language)
    }

    /// Returns the texts that can take two segments. There are none without
    /// [`KitBuilder::allow_two_segments`](crate::message::KitBuilder::allow_two_segments).
    pub fn warnings(&self) -> &[LongText] {
        &self.warnings
    }

    fn application(&self, client: Option<&ClientId>) -> (usize, &str) {
        let index = client.and_then(|client| self.clients.get(client)).copied().unwrap_or_default();
        (index, self.applications.get(index).map(Application::as_str).unwrap_or_default())
    }

    /// Finds the first language of the locale for which `texts` returns something.
    fn find<'a, T>(&'a self, locale: &str, texts: impl Fn(&'a Texts) -> Option<T>) -> Option<(usize, &'a Texts, T)> {
        let languages = language::lookup(locale).into_iter().chain([self.fallback.clone()]);
        let of = |language: Language| {
            let (index, found) = self.texts.iter().enumerate().find(|(_, texts)| texts.language == language)?;
            Some((index, found, texts(found)?))
        };
        languages.into_iter().find_map(of)
    }
}

impl core::fmt::Debug for MessageKit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let languages: Vec<&str> = self.languages().map(Language::as_str).collect();
        f.debug_struct("MessageKit").field("languages", &languages).finish_non_exhaustive()
    }
}

/// The text of an SMS, and its language.
#[derive(Debug)]
pub struct Sms {
    language: Language,
    text: MessageText,
}

impl Sms {
    /// Reveals the text. Search for this name to find every place that handles a secret.
    pub fn expose_secret(&self) -> &str {
        self.text.expose_secret()
    }

    /// Returns the language of the text.
    pub fn language(&self) -> &Language {
        &self.language
    }

    /// Measures the text.
    pub fn length(&self) -> SmsLength {
        SmsLength::of(self.expose_secret())
    }
}

/// The parts of an e-mail. The host adds the sender and the recipient, and encodes them.
#[derive(Debug)]
pub struct Email {
    language: Language,
    subject: MessageText,
    text: MessageText,
    html: MessageText,
}

impl Email {
    /// Returns the subject, one line that begins with the code in built-in texts.
    pub fn subject(&self) -> &MessageText {
        &self.subject
    }

    /// Returns the plain text. Lines end with a line feed.
    pub fn text(&self) -> &MessageText {
        &self.text
    }

    /// Returns the HTML document. Built-in documents load nothing.
    pub fn html(&self) -> &MessageText {
        &self.html
    }

    /// Returns the language of the e-mail.
    pub fn language(&self) -> &Language {
        &self.language
    }

    /// Returns the header fields that the message must have beside the usual ones: `Auto-Submitted` (RFC 3834) stops
    /// automatic replies, and `Content-Language` (RFC 3282) names the language.
    pub fn headers(&self) -> [(&'static str, &str); 2] {
        [("Auto-Submitted", "auto-generated"), ("Content-Language", self.language.as_str())]
    }
}

/// A text that can take more than one segment as an SMS.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LongText {
    /// The language of the text.
    pub language: Language,
    /// The usage that the text is for. `None` stands for the usages of the host's own that the kit does not know.
    pub usage: Option<Usage>,
    /// The application that the text names, or could name.
    pub application: Application,
    /// The length with the longest code and the longest time: of the version that the kit sends, or for an error of the
    /// shortest version.
    pub length: SmsLength,
}

impl core::fmt::Display for LongText {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let usage = self.usage.as_ref().map_or("other usages", Usage::as_str);
        let (language, units) = (self.language.as_str(), self.length.units());
        write!(f, "the SMS in {language} for {usage} can have {units} units")
    }
}

/// The lines after the text of an SMS.
pub(crate) struct LastLines {
    pub(crate) hash: Option<AppHash>,
    pub(crate) origin: Option<OriginHost>,
}

impl LastLines {
    /// The lines for a code, in parts. A code with `#` can't be in the line for browsers.
    pub(crate) fn of<'a>(&'a self, code: &'a str) -> Vec<&'a str> {
        let hash = self.hash.iter().flat_map(|hash| ["\n", hash.as_str()]);
        let origin = self.origin.iter().filter(|_| !code.contains('#'));
        hash.chain(origin.flat_map(|host| ["\n@", host.as_str(), " #", code])).collect()
    }
}

/// The words of a language for a time.
pub(crate) struct Words {
    minutes: String,
    validity: String,
    time: String,
}

impl Words {
    pub(crate) fn of(stated: Stated, texts: &Texts) -> Self {
        let units = texts.units();
        Self {
            minutes: stated.minutes(),
            validity: units.map(|units| stated.in_words(units)).unwrap_or_default(),
            time: units.map(|units| stated.abbreviated(units)).unwrap_or_default(),
        }
    }

    /// The longest words for the times that a code can be valid.
    pub(crate) fn longest(validity: Duration, texts: &Texts) -> Self {
        let start = Self { minutes: String::new(), validity: String::new(), time: String::new() };
        let longer = |a: String, b: String| if b.encode_utf16().count() > a.encode_utf16().count() { b } else { a };
        Stated::up_to(validity).map(|stated| Self::of(stated, texts)).fold(start, |longest, words| Self {
            minutes: longer(longest.minutes, words.minutes),
            validity: longer(longest.validity, words.validity),
            time: longer(longest.time, words.time),
        })
    }

    pub(crate) fn values<'a>(
        &'a self,
        code: &'a str,
        application: &'a str,
        purpose: &'a str,
        link: &'a str,
    ) -> Values<'a> {
        Values { code, application, purpose, minutes: &self.minutes, validity: &self.validity, time: &self.time, link }
    }
}

/// The link with the code in its fragment, where no server sees it.
fn link_with(link: &Link, code: &str) -> Zeroizing<String> {
    // The capacity is enough for a code that is encoded as a whole. The link is therefore never moved.
    let mut text = Zeroizing::new(String::with_capacity(link.as_str().len() + FRAGMENT.len() + 3 * code.len()));
    text.push_str(link.as_str());
    text.push_str(FRAGMENT);
    for character in code.chars() {
        match character {
            _ if character.is_ascii_alphanumeric() || "-._~".contains(character) => text.push(character),
            _ => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    let digit = |digit: u8| char::from_digit(u32::from(digit), 16).unwrap_or_default();
                    text.extend(['%', digit(byte >> 4).to_ascii_uppercase(), digit(byte & 15).to_ascii_uppercase()]);
                }
            }
        }
    }
    text
}

const FRAGMENT: &str = "#otp=";
