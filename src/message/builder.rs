//! Builds a message kit, and refuses texts that could be too long.

use core::time::Duration;
use std::collections::{BTreeSet, HashMap};

use crate::grant::Usage;
use crate::id::ClientId;
use crate::message::catalog::{self, Named, Texts};
use crate::message::kit::{LastLines, LongText, MessageKit, VersionKey, Words};
use crate::message::kit_error::KitError;
use crate::message::language::Language;
use crate::message::names::{AppHash, Application, Link, OriginHost, Purpose};
use crate::message::template::{EmailTemplate, Slot, Template};
use crate::message::text::{self, MessageText, SmsEncoding, SmsLength};
use crate::message::texts::BUILT_IN;
use crate::otp::policy::CodePolicy;

/// Builds a [`MessageKit`].
///
/// ```
/// use otp_grant::Usage;
/// use otp_grant::message::{Application, Language, MessageKit, Purpose, Template};
///
/// let italian = Language::new("it")?;
/// let text = Template::new("{code} è il tuo codice {purpose}. Scade tra {minutes} min. Non comunicarlo a nessuno.")?;
/// let kit = MessageKit::builder(Application::new("Example")?)
///     .sms_template(italian.clone(), Some(Usage::Login), text)
///     .purpose(italian, Usage::Login, Purpose::new("per accedere")?)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct KitBuilder {
    applications: Vec<Application>,
    clients: HashMap<ClientId, usize>,
    origin: Option<OriginHost>,
    hash: Option<AppHash>,
    links: HashMap<Usage, Link>,
    codes: Option<Codes>,
    languages: Option<Vec<Language>>,
    fallback: Option<Language>,
    allows_two_segments: bool,
    own: Vec<Own>,
}

/// Something of the host's own in a language.
enum Own {
    Sms(Language, Option<Usage>, Template),
    Email(Language, Option<Usage>, EmailTemplate),
    Purpose(Language, Usage, Purpose),
}

/// The codes that messages can have.
#[derive(Clone, Copy)]
struct Codes {
    length: u8,
    validity: Duration,
    /// The character that takes the most room, and how much.
    widest: (u8, char),
    has_hash_sign: bool,
}

impl MessageKit {
    /// Begins to build a kit. The name stands in the messages of all clients that have no name of their own.
    pub fn builder(application: Application) -> KitBuilder {
        KitBuilder {
            applications: vec![application],
            clients: HashMap::new(),
            origin: None,
            hash: None,
            links: HashMap::new(),
            codes: None,
            languages: None,
            fallback: None,
            allows_two_segments: false,
            own: Vec::new(),
        }
    }
}

impl KitBuilder {
    /// Sets the name of a client's application.
    pub fn client(mut self, client: ClientId, application: Application) -> Self {
        let known = self.applications.iter().position(|known| *known == application);
        let index = known.unwrap_or(self.applications.len());
        if known.is_none() {
            self.applications.push(application);
        }
        self.clients.insert(client, index);
        self
    }

    /// Adds the last line of each SMS, which binds the code to a host. A host whose clients have different origins
    /// builds one kit per origin. Defaults to none.
    pub fn origin(mut self, host: OriginHost) -> Self {
        self.origin = Some(host);
        self
    }

    /// Adds the line of the SMS Retriever to each SMS, which is then at most 140 bytes long. Defaults to none.
    pub fn app_hash(mut self, hash: AppHash) -> Self {
        self.hash = Some(hash);
        self
    }

    /// Adds a link with the code to the e-mails for a usage. Defaults to none.
    pub fn link(mut self, usage: Usage, link: Link) -> Self {
        self.links.insert(usage, link);
        self
    }

    /// Measures the texts with the codes of a policy. It can be called once for each policy of the host: that of the
    /// settings, and that of each auth source. Defaults to [`CodePolicy::for_login`].
    pub fn code_policy(mut self, policy: &CodePolicy) -> Self {
        let codes = Codes::of(policy);
        self.codes = Some(self.codes.map_or(codes, |known| known.and(codes)));
        self
    }

    /// Restricts the built-in languages. Defaults to all ten.
    pub fn languages(mut self, languages: impl IntoIterator<Item = Language>) -> Self {
        self.languages = Some(languages.into_iter().collect());
        self
    }

    /// Sets the language for locales that have no texts. Defaults to English, or else to the first of
    /// [`languages`](Self::languages).
    pub fn fallback(mut self, language: Language) -> Self {
        self.fallback = Some(language);
        self
    }

    /// Accepts texts of two segments where no version fits one segment. [`MessageKit::warnings`] then names them.
    pub fn allow_two_segments(mut self) -> Self {
        self.allows_two_segments = true;
        self
    }

    /// Sets the text of an SMS in a language: for one usage, or with `None` for all usages without a text of their own.
    pub fn sms_template(mut self, language: Language, usage: Option<Usage>, template: Template) -> Self {
        self.own.push(Own::Sms(language, usage, template));
        self
    }

    /// Sets an e-mail in a language: for one usage, or with `None` for all usages without an e-mail of their own.
    pub fn email_template(mut self, language: Language, usage: Option<Usage>, template: EmailTemplate) -> Self {
        self.own.push(Own::Email(language, usage, template));
        self
    }

    /// Sets what `{purpose}` becomes in a language, in built-in texts and in templates. A usage of the host's own
    /// without such a phrase confirms a request.
    ///
    /// `docs/messages.md` shows the grammatical form that the phrases of each built-in language have.
    pub fn purpose(mut self, language: Language, usage: Usage, purpose: Purpose) -> Self {
        self.own.push(Own::Purpose(language, usage, purpose));
        self
    }

    /// Builds the kit, after it measured each text.
    ///
    /// # Errors
    /// [`KitError`] says which text is too long, or what is missing.
    pub fn build(mut self) -> Result<MessageKit, KitError> {
        let texts = self.texts()?;
        let usages = catalog::usages(&texts);
        check_templates(&texts, &usages, &self.links)?;
        let english = texts.iter().map(|texts| &texts.language).find(|language| language.as_str() == "en");
        let first = self.languages.as_ref().and_then(|languages| languages.first());
        let fallback = self.fallback.as_ref().or(english).or(first).cloned().ok_or(KitError::NoFallback)?;
        let has_all = |texts: &Texts| {
            let has = |named: &Named| {
                let has_link = named.0.is_some_and(|usage| self.links.contains_key(&usage));
                texts.sms(named.0).is_some() && texts.email(named.0, has_link).is_some()
            };
            texts.language == fallback && usages.iter().all(has)
        };
        if !texts.iter().any(has_all) {
            return Err(KitError::NoFallback);
        }
        let codes = self.codes.unwrap_or_else(|| Codes::of(&CodePolicy::for_login()));
        if codes.has_hash_sign && self.origin.is_some() {
            return Err(KitError::HashSignInCode);
        }
        let last_lines = LastLines { hash: self.hash.take(), origin: self.origin.take() };
        let Self { applications, clients, links, .. } = self;
        let measured = Measured { codes, last_lines: &last_lines, allows_two_segments: self.allows_two_segments };
        let mut versions = HashMap::new();
        let (mut warnings, mut too_long) = (Vec::new(), Vec::new());
        for (language, texts) in texts.iter().enumerate() {
            let words = Words::longest(codes.validity, texts);
            for (application, name) in applications.iter().enumerate() {
                for Named(usage) in &usages {
                    let Some((templates, purpose)) = texts.sms(*usage) else { continue };
                    let long = |length| {
                        let (language, application) = (texts.language.clone(), name.clone());
                        LongText { language, usage: *usage, application, length }
                    };
                    match measured.version(templates, &words, name, purpose)? {
                        Version::Fits(version) => {
                            versions.insert(VersionKey { language, application, usage: *usage }, version);
                        }
                        Version::TwoSegments(version, length) => {
                            versions.insert(VersionKey { language, application, usage: *usage }, version);
                            warnings.push(long(length));
                        }
                        Version::None(length) => too_long.push(long(length)),
                    }
                }
            }
        }
        if !too_long.is_empty() {
            return Err(KitError::TooLong(too_long));
        }
        Ok(MessageKit { texts, fallback, applications, clients, last_lines, links, versions, warnings })
    }

    /// The texts of all languages, ours and those of the host.
    fn texts(&mut self) -> Result<Vec<Texts>, KitError> {
        let mut texts: Vec<Texts> = BUILT_IN.into_iter().filter_map(Texts::built_in).collect();
        if let Some(languages) = &self.languages {
            let has_texts = |language: &&Language| texts.iter().any(|texts| texts.language == **language);
            if let Some(unknown) = languages.iter().find(|language| !has_texts(language)) {
                return Err(KitError::NoTexts(unknown.clone()));
            }
            texts.retain(|texts| languages.contains(&texts.language));
        }
        for own in core::mem::take(&mut self.own) {
            let (Own::Sms(language, ..) | Own::Email(language, ..) | Own::Purpose(language, ..)) = &own;
            let known = texts.iter().position(|texts| texts.language == *language);
            let index = known.unwrap_or(texts.len());
            if known.is_none() {
                texts.push(Texts::of_host(language.clone()));
            }
            let Some(texts) = texts.get_mut(index) else { continue };
            match own {
                Own::Sms(_, usage, template) => drop(texts.own_sms.insert(usage, template)),
                Own::Email(_, usage, template) => drop(texts.own_email.insert(usage, template)),
                Own::Purpose(_, usage, purpose) => drop(texts.purposes.insert(usage, purpose)),
            }
        }
        Ok(texts)
    }
}

impl core::fmt::Debug for KitBuilder {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KitBuilder").field("applications", &self.applications).finish_non_exhaustive()
    }
}

impl Codes {
    fn of(policy: &CodePolicy) -> Self {
        let alphabet = policy.shape().alphabet();
        // A character outside the 7-bit alphabet makes the whole message UCS-2.
        let width = |c: char| text::septets(c).and_then(|septets| u8::try_from(septets).ok()).unwrap_or(u8::MAX);
        let widest = alphabet.chars().map(|c| (width(c), c)).max().unwrap_or((1, '0'));
        let has_hash_sign = alphabet.contains('#');
        Self { length: policy.length(), validity: policy.validity(), widest, has_hash_sign }
    }

    fn and(self, other: Self) -> Self {
        Self {
            length: self.length.max(other.length),
            validity: self.validity.max(other.validity),
            widest: self.widest.max(other.widest),
            has_hash_sign: self.has_hash_sign || other.has_hash_sign,
        }
    }

    /// A code that no other code of the host exceeds in length.
    fn longest(self) -> String {
        let (_, widest) = self.widest;
        (0..self.length).map(|_| widest).collect()
    }
}

/// What each text is measured with.
struct Measured<'a> {
    codes: Codes,
    last_lines: &'a LastLines,
    allows_two_segments: bool,
}

enum Version {
    Fits(usize),
    TwoSegments(usize, SmsLength),
    None(SmsLength),
}

impl Measured<'_> {
    /// The first version that fits one segment. If there is none, the first that fits two, where two are allowed.
    fn version(
        &self,
        templates: &[Template],
        words: &Words,
        name: &Application,
        purpose: &str,
    ) -> Result<Version, KitError> {
        let code = self.codes.longest();
        let values = words.values(&code, name.as_str(), purpose, "");
        let last_lines = self.last_lines.of(&code);
        let text = |template: &Template| template.render_before(&values, &last_lines);
        let texts: Vec<MessageText> = templates.iter().map(text).collect();
        let texts = || texts.iter().map(MessageText::expose_secret);
        let version = if let Some(version) = texts().position(|text| self.fits(text, false)) {
            Version::Fits(version)
        } else {
            let shortest = texts().next_back().map_or(SmsLength::of(""), SmsLength::of);
            let two = texts().position(|text| self.allows_two_segments && self.fits(text, true));
            let chosen = two.and_then(|two| Some((two, SmsLength::of(texts().nth(two)?))));
            chosen.map_or(Version::None(shortest), |(two, length)| Version::TwoSegments(two, length))
        };
        if let (Version::Fits(version) | Version::TwoSegments(version, _), Some(origin)) =
            (&version, &self.last_lines.origin)
        {
            let found = texts().nth(*version).and_then(text::origin_bound);
            if found != Some((origin.as_str(), &code)) {
                return Err(KitError::LastLineHidden);
            }
        }
        Ok(version)
    }

    fn fits(&self, text: &str, two_segments: bool) -> bool {
        let length = SmsLength::of(text);
        if self.last_lines.hash.is_some() && text.len() > LONGEST_FOR_RETRIEVER {
            return false;
        }
        if !two_segments {
            return length.segments() == 1;
        }
        // A character of two units can't be split. Where it falls depends on the code, and it can cost one unit.
        let (limit, is_wide) = match length.encoding() {
            SmsEncoding::Gsm7 => (306, text.chars().any(|c| text::septets(c) != Some(1))),
            SmsEncoding::Ucs2 => (134, text.chars().any(|c| c.len_utf16() > 1)),
        };
        length.units() + usize::from(is_wide) <= limit
    }
}

/// Checks that each template has what its placeholders need.
fn check_templates(texts: &[Texts], usages: &BTreeSet<Named>, links: &HashMap<Usage, Link>) -> Result<(), KitError> {
    for texts in texts {
        if texts.own_sms.values().any(|template| template.has(Slot::Link)) {
            return Err(KitError::LinkInSms(texts.language.clone()));
        }
        for Named(usage) in usages {
            let own = |has_it: bool| has_it && usage.is_some();
            let has_link = usage.is_some_and(|usage| links.contains_key(&usage));
            let has_sms = texts.own_sms.contains_key(usage) || texts.own_sms.contains_key(&None);
            let email = texts.own_email.get(usage).or_else(|| texts.own_email.get(&None));
            if own(email.is_some_and(|email| email.has(Slot::Link))) && !has_link {
                return Err(KitError::NoLink(texts.language.clone(), *usage));
            }
            let lacks_purpose = (own(has_sms) && texts.sms(*usage).is_none())
                || (own(email.is_some()) && texts.email(*usage, has_link).is_none());
            if lacks_purpose {
                return Err(KitError::NoPurpose(texts.language.clone(), *usage));
            }
        }
    }
    Ok(())
}

/// The SMS Retriever of Google Play services reads no longer message.
const LONGEST_FOR_RETRIEVER: usize = 140;
