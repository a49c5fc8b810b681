//! What messages say. The words are those of the message kit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use otp_grant::message::{AppHash, Application, Content, Email, KitError, Language, MessageKit, OriginHost, Sms};
use otp_grant::otp::CodePolicy;
use otp_grant::{ClientId, Usage};

use super::parcel::Parcel;
use crate::config::{At as _, Config, ConfigError, issuer};

/// The texts of this host. Copies share them.
#[derive(Clone)]
pub(super) struct Texts(Arc<Inner>);

struct Inner {
    kit: MessageKit,
    locale: String,
    /// The locales of clients that have one of their own.
    locales: HashMap<ClientId, String>,
}

impl Texts {
    /// Measures the texts in every language that a message of this configuration can have.
    pub(super) fn new(config: &Config) -> Result<Self, ConfigError> {
        let messages = &config.messages;
        let locale = messages.locale.clone().unwrap_or_else(|| "en".to_owned());
        let mut languages = vec![language_of(&locale, "messages.locale")?];
        let mut locales = HashMap::new();
        let host = issuer_host(config)?;
        let application = messages.application.as_deref().unwrap_or(&host);
        let named = |name: &str, place: &str| {
            Application::new(name).map_err(|_| ConfigError::new(place, "a name of 1 to 40 characters in one line"))
        };
        let mut kit = MessageKit::builder(named(application, "messages.application")?);
        for (name, client) in &config.clients {
            let place = format!("clients.{name}");
            let id = || ClientId::new(name).at(&place);
            if let Some(locale) = &client.locale {
                let language = language_of(locale, &format!("{place}.locale"))?;
                if !languages.contains(&language) {
                    languages.push(language);
                }
                locales.insert(id()?, locale.clone());
            }
            if let Some(application) = &client.application {
                kit = kit.client(id()?, named(application, &format!("{place}.application"))?);
            }
        }
        kit = match (&messages.origin, OriginHost::new(&host)) {
            (Some(origin), _) => {
                let what = "a domain in A-labels, without scheme, port and path, such as login.example.com";
                kit.origin(OriginHost::new(origin).map_err(|_| ConfigError::new("messages.origin", what))?)
            }
            // Without a dot it is localhost: a test. The texts then bind the code to no page.
            (None, Ok(origin)) if origin.as_str().contains('.') => kit.origin(origin),
            (None, _) => kit,
        };
        if let Some(hash) = &messages.app_hash {
            let what = "the 11 characters of Android's SMS Retriever";
            kit = kit.app_hash(AppHash::new(hash).map_err(|_| ConfigError::new("messages.app_hash", what))?);
        }
        if messages.two_segments {
            kit = kit.allow_two_segments();
        }
        kit = kit.code_policy(&config.codes.policy(&CodePolicy::default(), "codes")?);
        for (name, source) in &config.auth_sources {
            let place = format!("auth_sources.{name}.code");
            kit = kit.code_policy(&source.code.policy(&CodePolicy::for_login(), &place)?);
        }
        let fallback = languages.first().cloned();
        kit = kit.languages(languages);
        let kit = fallback.into_iter().fold(kit, |kit, fallback| kit.fallback(fallback));
        let kit = kit.build().map_err(|error| match error {
            KitError::TooLong(_) => ConfigError::new("messages.two_segments", error),
            _ => ConfigError::new("[messages]", error),
        })?;
        for text in kit.warnings() {
            config.warnings.add("[messages]", text);
        }
        Ok(Self(Arc::new(Inner { kit, locale, locales })))
    }

    /// The text of an SMS, which says how long the code is good from now on. There is none for a code that is not
    /// printable ASCII, which no policy makes.
    pub(super) fn sms(&self, parcel: &Parcel) -> Option<Sms> {
        let content = Content::from_text(parcel.code(), parcel.usage(), parcel.validity()).ok()?;
        Some(self.0.kit.sms(&content.for_client(parcel.client()), self.locale(parcel)))
    }

    /// The parts of an e-mail, as for an [SMS](Self::sms).
    pub(super) fn email(&self, parcel: &Parcel) -> Option<Email> {
        let content = Content::from_text(parcel.code(), parcel.usage(), parcel.validity()).ok()?;
        Some(self.0.kit.email(&content.for_client(parcel.client()), self.locale(parcel)))
    }

    fn locale(&self, parcel: &Parcel) -> &str {
        self.0.locales.get(parcel.client()).unwrap_or(&self.0.locale)
    }
}

impl std::fmt::Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Texts").field("locale", &self.0.locale).finish_non_exhaustive()
    }
}

/// The language of the kit in which a locale has its texts.
fn language_of(locale: &str, place: &str) -> Result<Language, ConfigError> {
    // Every language, to see which one answers.
    let all = Application::new("a").at(place).map(MessageKit::builder)?.allow_two_segments().build().at(place)?;
    let sample = Content::from_text("000000", Usage::Login, Duration::from_secs(60)).at(place)?;
    let found = all.sms(&sample, locale).language().clone();
    let primary = |tag: &str| tag.split(['-', '_', '.']).next().unwrap_or_default().to_ascii_lowercase();
    if primary(locale) != primary(found.as_str()) {
        let known: Vec<&str> = all.languages().map(Language::as_str).collect();
        return Err(ConfigError::new(place, format_args!("there are texts in {}", known.join(", "))));
    }
    Ok(found)
}

/// The host name of the issuer.
pub(super) fn issuer_host(config: &Config) -> Result<String, ConfigError> {
    let url = reqwest::Url::parse(issuer(config)?.as_str()).at("issuer")?;
    Ok(url.host_str().unwrap_or_default().to_owned())
}
