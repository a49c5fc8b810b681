//! The texts of one language: ours, and those of the host, which take precedence.

use std::collections::{BTreeSet, HashMap};

use crate::address::Channel;
use crate::grant::Usage;
use crate::message::language::Language;
use crate::message::names::Purpose;
use crate::message::template::{EmailTemplate, InvalidTemplate, Slot, Template};
use crate::message::texts::{BuiltIn, PerUsage, Units};

/// The texts of one language. A usage of `None` stands for every usage that nothing else names.
pub(crate) struct Texts {
    pub(crate) language: Language,
    pub(crate) built_in: Option<BuiltInTemplates>,
    pub(crate) own_sms: HashMap<Option<Usage>, Template>,
    pub(crate) own_email: HashMap<Option<Usage>, EmailTemplate>,
    pub(crate) purposes: HashMap<Usage, Purpose>,
}

/// The built-in texts of a language as templates.
pub(crate) struct BuiltInTemplates {
    texts: &'static BuiltIn,
    /// The versions for each usage. The shortest of the usage is last, if there is one.
    sms: PerUsage<Vec<Template>>,
    sms_with_own_purpose: Vec<Template>,
    email: EmailTemplate,
    email_with_link: EmailTemplate,
}

impl Texts {
    pub(crate) fn of_host(language: Language) -> Self {
        let (own_sms, own_email, purposes) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { language, built_in: None, own_sms, own_email, purposes }
    }

    pub(crate) fn built_in(texts: &'static BuiltIn) -> Option<Self> {
        let built_in = BuiltInTemplates::of(texts).ok()?;
        Some(Self { built_in: Some(built_in), ..Self::of_host(Language::new(texts.tag).ok()?) })
    }

    /// The versions of an SMS, the fullest first, and the phrase for what the code is for.
    pub(crate) fn sms(&self, usage: Option<Usage>) -> Option<(&[Template], &str)> {
        let own = self.own_sms.get(&usage).or_else(|| self.own_sms.get(&None));
        let templates = match (own, &self.built_in) {
            (Some(own), _) => core::slice::from_ref(own),
            (None, Some(built_in)) => built_in.sms(usage, self.own_purpose(usage).is_some()),
            (None, None) => return None,
        };
        let needs_purpose = templates.iter().any(|template| template.has(Slot::Purpose));
        Some((templates, self.needed_purpose(needs_purpose, usage, Channel::Sms)?))
    }

    /// The template of an e-mail, and the phrase for what the code is for.
    pub(crate) fn email(&self, usage: Option<Usage>, has_link: bool) -> Option<(&EmailTemplate, &str)> {
        let own = self.own_email.get(&usage).or_else(|| self.own_email.get(&None));
        let template = match (own, &self.built_in) {
            (Some(own), _) => own,
            (None, Some(built_in)) if has_link => &built_in.email_with_link,
            (None, Some(built_in)) => &built_in.email,
            (None, None) => return None,
        };
        if template.has(Slot::Link) && !has_link {
            return None;
        }
        Some((template, self.needed_purpose(template.has(Slot::Purpose), usage, Channel::Email)?))
    }

    /// The words for times. Only built-in texts use them.
    pub(crate) fn units(&self) -> Option<&'static Units> {
        self.built_in.as_ref().map(|built_in| &built_in.texts.units)
    }

    /// The usages of the host's own that have a text or a phrase.
    pub(crate) fn named_usages(&self) -> impl Iterator<Item = Usage> {
        let named = self.own_sms.keys().chain(self.own_email.keys()).copied().flatten();
        named.chain(self.purposes.keys().copied())
    }

    fn needed_purpose(&self, is_needed: bool, usage: Option<Usage>, channel: Channel) -> Option<&str> {
        if !is_needed {
            return Some("");
        }
        self.own_purpose(usage).map(Purpose::as_str).or_else(|| {
            let texts = self.built_in.as_ref()?.texts;
            let purposes = match channel {
                Channel::Sms => &texts.sms_purposes,
                Channel::Email => &texts.email_purposes,
            };
            Some(*purposes.of(usage))
        })
    }

    fn own_purpose(&self, usage: Option<Usage>) -> Option<&Purpose> {
        self.purposes.get(&usage?)
    }
}

impl BuiltInTemplates {
    fn of(texts: &'static BuiltIn) -> Result<Self, InvalidTemplate> {
        let shortest = texts.sms_shortest.as_ref();
        let with = |last: Option<&&str>| {
            texts.sms.iter().chain(last).map(|text| Template::parse(text)).collect::<Result<Vec<_>, _>>()
        };
        let sms = |usage| with(shortest.map(|shortest| shortest.per_usage.of(usage)));
        let email = &texts.email;
        let whole = |paragraphs: &[&str]| {
            EmailTemplate::new(Template::parse(email.subject)?, Template::parse(&paragraphs.join("\n\n"))?)
        };
        let link = format!("{}\n{{link}}", email.link);
        Ok(Self {
            texts,
            sms: PerUsage {
                login: sms(Some(Usage::Login))?,
                signup: sms(Some(Usage::Signup))?,
                confirm_address: sms(Some(Usage::UpdateUserinfo))?,
                reset_password: sms(Some(Usage::ResetPassword))?,
                other: sms(None)?,
            },
            sms_with_own_purpose: with(shortest.map(|shortest| &shortest.with_own_purpose))?,
            email: whole(&[email.intro, "{code}", email.validity, email.closing])?,
            email_with_link: whole(&[email.intro, "{code}", email.validity, &link, email.closing])?,
        })
    }

    fn sms(&self, usage: Option<Usage>, has_own_purpose: bool) -> &[Template] {
        if has_own_purpose { &self.sms_with_own_purpose } else { self.sms.of(usage) }
    }
}

/// The usages to build texts for: all of the crate, those that the host names, and `None` for any other.
pub(crate) fn usages(texts: &[Texts]) -> BTreeSet<Named> {
    let named = texts.iter().flat_map(Texts::named_usages);
    BUILT_IN_USAGES.into_iter().chain(named).map(|usage| Named(Some(usage))).chain([Named(None)]).collect()
}

/// A usage, in the order of its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named(pub(crate) Option<Usage>);

impl Ord for Named {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        let name = |named: &Self| named.0.map(|usage| usage.as_str().to_owned());
        name(self).cmp(&name(other))
    }
}

impl PartialOrd for Named {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

const BUILT_IN_USAGES: [Usage; 4] = [Usage::Login, Usage::Signup, Usage::UpdateUserinfo, Usage::ResetPassword];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::message::texts::BUILT_IN;

    #[test]
    fn each_built_in_text_is_a_template() {
        for texts in BUILT_IN {
            let built = Texts::built_in(texts).unwrap();
            assert_eq!(built.language.as_str(), texts.tag);
            BuiltInTemplates::of(texts).unwrap();
            let purposes = [&texts.sms_purposes, &texts.email_purposes];
            for PerUsage { login, signup, confirm_address, reset_password, other } in purposes {
                for phrase in [login, signup, confirm_address, reset_password, other] {
                    assert!(Purpose::new(phrase).is_ok(), "{phrase}");
                }
            }
        }
    }
}
