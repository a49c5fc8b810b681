//! What messages say: the only place with words for users.

use std::borrow::Cow;

use super::parcel::Parcel;
use crate::config::{Config, ConfigError, issuer};

/// What the texts of this host name.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    application: String,
    origin: String,
}

/// A message in the forms in which it can be sent.
pub(super) struct Text {
    pub(super) sms: String,
    pub(super) subject: String,
    pub(super) plain: String,
    pub(super) html: String,
}

impl Texts {
    pub(super) fn new(config: &Config) -> Result<Self, ConfigError> {
        let url = reqwest::Url::parse(issuer(config)?.as_str())
            .map_err(|_| ConfigError::new("issuer", "the messages need its host name"))?;
        let host = || url.host_str().unwrap_or_default().to_owned();
        let origin = config.messages.origin.clone().unwrap_or_else(host);
        let is_name = !origin.is_empty() && origin.bytes().all(is_of_host_names);
        if config.messages.origin.is_some() && !is_name {
            let what = "a host name in lower case, without scheme and port, such as login.example.com";
            return Err(ConfigError::new("messages.origin", what));
        }
        let application = config.messages.application.clone().unwrap_or_else(host);
        if application.trim().is_empty() || application.chars().any(char::is_control) {
            return Err(ConfigError::new("messages.application", "a name in one line"));
        }
        Ok(Self { application, origin })
    }

    /// The texts for a message. They say how long the code is good from now on.
    pub(super) fn of(&self, parcel: &Parcel) -> Text {
        let (code, application, minutes) = (parcel.code(), &self.application, parcel.minutes());
        let purpose = match parcel.usage() {
            "login" => "to sign in to",
            _ => "for",
        };
        let valid = if minutes == 1 { "1 minute".to_owned() } else { format!("{minutes} minutes") };
        let plain = format!("{code} is your code {purpose} {application}. It is valid for {valid}. Do not share it.");
        let html = format!(
            "<!DOCTYPE html><html lang=\"en\"><body><p><strong style=\"font-size:150%\">{}</strong></p>\
             <p>This is your code {purpose} {}. It is valid for {valid}. Do not share it.</p></body></html>",
            escaped(code),
            escaped(application)
        );
        Text {
            // The last line binds the code to the page (WICG, origin-bound one-time codes).
            sms: format!("{plain}\n\n@{} #{code}", self.origin),
            subject: format!("{code} is your code {purpose} {application}"),
            plain,
            html,
        }
    }
}

fn is_of_host_names(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.'
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    Cow::Owned(escaped)
}
